"""Design questions: at what price a system matches another, what an answer hangs on, what would be best."""

from clustermodel.design.breakeven import breakeven as breakeven
from clustermodel.design.claims import claims as claims
from clustermodel.design.maps import breakeven_map as breakeven_map
from clustermodel.design.memory import memory as memory
from clustermodel.design.memory import memory_series as memory_series
from clustermodel.design.optimize import optimize as optimize
from clustermodel.design.sensitivity import sensitivity as sensitivity
