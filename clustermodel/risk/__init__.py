"""Scenarios from the catalogue, run: what may happen to a book of contracts and the capex behind it."""

from clustermodel.risk._load import Loaded as Loaded
from clustermodel.risk._load import load_scenario as load_scenario
from clustermodel.risk._run import list_scenarios as list_scenarios
from clustermodel.risk._run import run_scenario as run_scenario
from clustermodel.risk._run import sweep_scenario as sweep_scenario
