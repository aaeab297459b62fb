"""Which systems to buy, when and where, under budget, power, supply and uncertain demand, with proof."""

from clustermodel.fleet.plan import Plan as Plan
from clustermodel.fleet.planner import Options as Options
from clustermodel.fleet.problem import Assets as Assets
from clustermodel.fleet.problem import Demand as Demand
from clustermodel.fleet.problem import FleetProblem as FleetProblem
from clustermodel.fleet.problem import Horizon as Horizon
from clustermodel.fleet.problem import Limit as Limit
from clustermodel.fleet.problem import Policy as Policy
from clustermodel.fleet.problem import Rental as Rental
from clustermodel.fleet.problem import Service as Service
