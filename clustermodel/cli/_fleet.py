"""What to buy: a fleet problem by name or folder, solved with proof."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustermodel.cli import _readers as read
from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import Argument, Flag, Option

if TYPE_CHECKING:
    from clustermodel.fleet.plan import Plan
    from clustermodel.fleet.planner import Options
    from clustermodel.fleet.solution import Progress

_PROBLEM = Argument("problem", read.name, "NAME|FOLDER", "a shipped problem or a folder of tables")
_LIST = Flag("list", "the problems that ship and the questions they answer")
_COLUMNS = Flag("columns", "what a folder of your own may hold: tables, columns, units, defaults")
_ASKED = (
    Option(
        "budget", read.amount("USD"), "USD", "for all orders together: 1e10 or '10 GUSD'", "the problem's"
    ),
    Option("power", read.amount("MW"), "MW", "for all sites together: 500 or '0.5 GW'", "the problem's"),
    Option(
        "power_basis",
        read.one_of("provisioned", "p90"),
        "provisioned|p90",
        "what counts against power: planned power, or idle and load",
        "the problem's",
    ),
    Option("omega", read.number, "SHARE", "weight of CVaR against the mean", "the problem's"),
    Option("alpha", read.number, "SHARE", "CVaR is the mean of the worst 1 - alpha", "the problem's"),
    Flag("relaxed", "fractions of systems are allowed"),
)
_METHODS, _ORACLES = ("auto", "highs", "benders"), ("auto", "highs", "interior-point")
_EFFORTS = (
    Option("mip_gap", read.number, "SHARE", "relative gap between plan and bound", "1e-4", panel="Effort"),
    Option("time_limit", read.number, "SECONDS", "the best plan by then is kept", "60", panel="Effort"),
    Option("method", read.one_of(*_METHODS), "|".join(_METHODS), "solver", "auto", panel="Effort"),
    Option("oracle", read.one_of(*_ORACLES), "|".join(_ORACLES), "of benders", "auto", panel="Effort"),
)
_KINDS = ("budget", "power", "supply", "memory", "carbon", "vendor_share", "systems")
_BEYOND = (
    Option(
        "near",
        read.number,
        "SHARE",
        "other fleets within this share of the best cost",
        panel="Beyond the best",
    ),
    Option(
        "sweep",
        read.one_of(*_KINDS),
        "KIND",
        "half to twice the limits of a kind: budget, power, supply, ...",
        panel="Beyond the best",
    ),
    Flag(
        "uncertainty", "what planning for scenarios is worth, and knowing them (VSS, EVPI)", "Beyond the best"
    ),
    Option(
        "replan", read.name, "SCENARIO", "live through it, planning every period", panel="Beyond the best"
    ),
)
_SAVE = Option(
    "save", read.path, "DIR", "write every table of the plan there, as CSV and Parquet", panel="Output"
)
_CHANGES = ("budget", "power", "omega", "alpha", "relaxed", "power_basis")
_EFFORT = {"mip_gap": "gap", "time_limit": "seconds", "method": "method", "oracle": "oracle"}


@command(_PROBLEM, _LIST, _COLUMNS, *_ASKED, *_EFFORTS, *_BEYOND, _SAVE)
def fleet(ask: Ask) -> Answer:
    """Which systems to buy, when and where, with proven bounds and what one more of every limit is worth.

    Example: clustermodel fleet melange
    """
    from clustermodel.fleet.answer import Beyond, Changes, answer, case

    chosen = dict(ask.options)
    if chosen.pop("columns", False):
        from clustermodel.fleet.schema import columns

        return ask.answer("fleet_columns", columns=columns())
    if chosen.pop("list", False) or not chosen:
        from clustermodel.fleet.load import listed

        return ask.answer("fleets", fleets=listed(ask.catalog))
    if "problem" not in chosen:
        _refuse_nameless(next(iter(chosen)))
    changes = Changes(**{name: chosen[name] for name in _CHANGES if name in chosen})
    asked = case(chosen["problem"], ask.catalog, changes)
    options = _options(ask, chosen, asked.problem.policy.unit)
    found, plan = answer(asked, options)
    if "save" in chosen:
        ask.say(f"wrote {len(_saved(plan, chosen['save']))} tables to {chosen['save']}")
    beyond = Beyond(**{option.name: chosen[option.name] for option in _BEYOND if option.name in chosen})
    more = beyond.answer(plan, options)
    for row in more.get("left_out", ()):
        ask.say(f"{row['table']} left out: {row['reason']}")
    return ask.answer("fleet") | found | more


def _refuse_nameless(option: str) -> None:
    from clustermodel.catalog import ConfigError

    flag = f"--{option.replace('_', '-')}"
    raise ConfigError(
        f"{flag}: of which problem? write its name or folder, as in `clustermodel fleet melange {flag}`"
    )


def _saved(plan: "Plan", folder: Path) -> list[Path]:
    return sorted(plan.save(folder).glob("*.csv"))


def _options(ask: Ask, chosen: dict[str, Any], unit: str) -> "Options":
    from clustermodel.fleet.planner import Options
    from clustermodel.fleet.solution import relative_gap

    def tell(progress: "Progress") -> None:
        gap = relative_gap(progress.lower, progress.upper)
        ask.progress(
            f"{progress.phase}: between {progress.lower:.6g} and {progress.upper:.6g} {unit}, "
            f"gap {100 * gap:.3g} %, {progress.seconds:.0f} s; Ctrl-C keeps the best plan"
        )

    given = {field: chosen[option] for option, field in _EFFORT.items() if option in chosen}
    return Options(**given, watcher=tell)
