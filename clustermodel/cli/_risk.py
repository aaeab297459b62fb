"""What may go wrong: the scenarios of the catalogue, over many paths."""

from clustermodel.cli import _readers as read
from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import Flag, Option

_LIST = Flag("list", "the scenarios and the questions they answer")
_SCENARIO = Option("scenario", read.name, "NAME", "the scenario to run", "all are listed")
_PATHS = Option("paths", read.whole, "N", "random paths", "20000")
_SEED = Option("seed", read.whole, "K", "the same seed gives the same paths", "0")
_METHOD = Option("method", read.name, "pseudo|antithetic|quasi", "how paths are drawn", "quasi")


@command(_LIST, _SCENARIO, _PATHS, _SEED, _METHOD)
def risk(ask: Ask) -> Answer:
    """What a scenario does to revenue, value and cover: means, tails, drivers. Without any option, all are listed.

    Example: clustermodel risk --scenario anchor-defaults
    """
    from clustermodel.catalog import ConfigError
    from clustermodel.risk import list_scenarios, run_scenario

    chosen = dict(ask.options)
    listed = chosen.pop("list", False)
    if chosen and "scenario" not in chosen:
        raise ConfigError(
            f"--{next(iter(chosen))} needs a scenario to run: add --scenario NAME of `risk --list`"
        )
    if listed or not chosen:
        return ask.answer("scenarios", scenarios=list_scenarios(ask.catalog))
    found = run_scenario(ask.catalog, chosen.pop("scenario"), **chosen)
    return ask.answer("risk", **found)
