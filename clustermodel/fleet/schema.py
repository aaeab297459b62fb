"""What the tables of a fleet folder may hold: every column with its unit, meaning and default.

A table is a CSV file whose headers carry units, `throughput [Mtoken/s]`, or (systems, sites, workloads) a TOML
file with one table per row and numbers written as { value, source, confidence }. `{work}` in a unit stands for
what the problem counts as work: token unless `work_unit` says otherwise.
"""

import dataclasses
import math

ANY = ""  # an empty cell: every site, period, block or scenario


@dataclasses.dataclass(frozen=True)
class Column:
    """One column: unit (None for a name, "" for a plain number), meaning, default (None: required), range."""

    unit: str | None
    doc: str
    default: float | str | None = None
    least: float = 0.0
    most: float = math.inf


def _name(doc: str, default: str | None = None) -> Column:
    return Column(None, doc, default)


SYSTEM, SITE, WORKLOAD = _name("system"), _name("site; empty: every site", ANY), _name("workload")
PERIOD = _name("period; empty: every period", ANY)
FURTHER, ALL = "further", "all"
HOLDS_FOR = _name(
    "for which systems a tier's price holds: further (those beyond `above`) or all of them", FURTHER
)
TABLES: dict[str, dict[str, Column]] = {
    "systems": {
        "system": SYSTEM,
        "vendor": _name("who sells it", ANY),
        "catalog": _name("catalogue entry that fills in what is not written here", ANY),
        "site": SITE,
        "available_from": _name("first period of orders; empty: from the start", ANY),
        "last_order": _name("last period of orders; empty: to the end", ANY),
        "price": Column("USD", "price of one system; without one it is not for sale", math.nan),
        "price_change": Column(
            "1/s", "change of the price over the price, from the first order", 0.0, -math.inf
        ),
        "lead_time": Column("s", "from order to service, rounded up to periods", 0.0),
        "life": Column("s", "time in service, rounded down to periods", math.inf),
        "resale": Column(
            "",
            "share of the price, times share of life left, credited at the horizon, the end of the last period",
            0.0,
            most=1.0,
        ),
        "maintenance": Column(
            "1/s",
            "maintenance over the price paid, in every period of service; legacy: over the first price known",
            0.0,
        ),
        "provisioned_power": Column("W", "planning power of one system, facility overhead inside", math.nan),
        "idle_power": Column("W", "IT power without load", 0.0),
        "memory": Column("B", "memory of one system", 0.0),
        "usable": Column("", "share of an owned system that can serve", 1.0, most=1.0),
    },
    "sites": {
        "site": _name("site"),
        "catalog": _name("catalogue entry that fills in what is not written here", ANY),
        "rented": Column(
            "",
            "1 where others own the systems: nothing can be bought for it, and limits on power count nothing there",
            0.0,
            most=1.0,
        ),
        "electricity": Column("USD/J", "delivered energy price", 0.0),
        "pue": Column("", "facility power over IT power", 1.0, 1.0),
        "carbon": Column("kg/J", "emissions of the site's energy", 0.0),
        "building": Column(
            "USD/W", "building, power and cooling per W of IT power, bought with a system", 0.0
        ),
        "building_life": Column(
            "s", "economic life of the building; its rest is credited at the horizon", math.inf
        ),
    },
    "workloads": {
        "workload": WORKLOAD,
        "penalty": Column("USD/{work}", "cost of a unit of work left out", 0.0),
        "revenue": Column("USD/{work}", "price of a unit of served work", 0.0),
        "revenue_change": Column("1/s", "change of that price over the price", 0.0, -math.inf),
        "must_serve": Column("", "share of the demand that has to be met", 0.0, most=1.0),
        "model": _name("model of the catalogue, for throughput from the serving model", ANY),
        "lengths": _name("workload of the catalogue: lengths and hit rate of its requests", "chat-1k"),
        "engine": _name("serving engine of the catalogue", "vllm"),
        "precision": _name("number format of the weights", ANY),
        "max_ttft": Column("s", "objective on the time to first token", math.inf),
        "max_tpot": Column("s", "objective on the time per output token", math.inf),
    },
    "throughput": {
        "system": SYSTEM,
        "workload": WORKLOAD,
        "throughput": Column("{work}/s", "work per second of one fully busy system"),
        "power": Column("W", "IT power of a fully busy system", 0.0),
        "cost": Column("USD/{work}", "other running cost of a unit of work", 0.0),
        "site": SITE,
        "period": PERIOD,
    },
    "demand": {
        "workload": WORKLOAD,
        "demand": Column("{work}/s", "work asked for"),
        "period": PERIOD,
        "block": _name("load block; empty: every block, times its load", ANY),
        "scenario": _name("scenario; empty: every scenario", ANY),
    },
    "prices": {
        "system": SYSTEM,
        "period": PERIOD,
        "price": Column("USD", "price of one system ordered then"),
        "site": SITE,
        "above": Column(
            "",
            "a tier: the price holds beyond so many systems ordered in the period, at the sites of the row together",
            0.0,
        ),
        "holds_for": HOLDS_FOR,
    },
    "contracts": {
        "system": SYSTEM,
        "site": _name("where the rented systems stand"),
        "kind": _name("reserved or on_demand"),
        "price": Column("USD/s", "price of one system"),
        "take_or_pay": Column("", "share of a reserved price that is due in any case", 1.0, most=1.0),
        "least": Column("", "systems already reserved", 0.0),
        "most": Column("", "most systems on offer, those of lower tiers counted", math.inf),
        "from": _name("first period; empty: from the start", ANY),
        "to": _name("last period; empty: to the end", ANY),
        "above": Column(
            "", "a tier: the price holds beyond so many systems of the same offer at a time", 0.0
        ),
        "holds_for": HOLDS_FOR,
        "hosted": Column(
            "",
            "1 where the rented systems stand in one's own hall and draw on its power; empty: at sites not rented",
            math.nan,
            most=1.0,
        ),
    },
    "constraints": {
        "kind": _name("budget, power, supply, purchases, vendor_share, memory, carbon or systems"),
        "value": _name("the amount with its unit"),
        "period": _name("a period, `each` (default) or `total` over the horizon", "each"),
        "system": _name("system; empty: all together", ANY),
        "site": _name("site; empty: all together", ANY),
        "vendor": _name("vendor; empty: all together", ANY),
    },
    "legacy": {
        "system": SYSTEM,
        "site": _name("site"),
        "systems": Column("", "systems already in service"),
        "until": _name("last period in service; empty: to the end", ANY),
    },
    "scenarios": {
        "scenario": _name("scenario"),
        "probability": Column("", "probability", most=1.0),
    },
    "factors": {
        "scenario": _name("scenario"),
        "factor": Column("", "demand over the demand of demand.csv"),
        "period": PERIOD,
        "workload": _name("workload; empty: every workload", ANY),
    },
}
REQUIRED = ("systems", "workloads", "demand")
PROVENANCE = ("source", "confidence", "low", "high", "note", "date")
"""Columns that any table may carry besides its own."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """One key of fleet.toml: a quantity with unit, or a word with its choices."""

    doc: str
    default: object
    unit: str | None = None
    choices: tuple[object, ...] = ()


SETTINGS: dict[str, Setting] = {
    "name": Setting("what people call the problem", ""),
    "question": Setting("what it answers", ""),
    "note": Setting("anything else", ""),
    "periods": Setting("names of the periods, in order", None),
    "period_length": Setting("length of every period", None, "s"),
    "discount_rate": Setting(
        "annual rate; flows of a period count at its start, what is left at the horizon at its end", 0.0, "1/s"
    ),
    "objective": Setting(
        "what counts as best: least cost, most npv (revenue less cost), or most work served, each unit as one",
        "cost", choices=("cost", "npv", "served"),
    ),
    "omega": Setting("weight of CVaR against the mean", 0.0),
    "alpha": Setting("CVaR is the mean of the worst 1 - alpha", 0.9),
    "whole_systems": Setting("whether systems are whole numbers", True, choices=(True, False)),
    "whole_reservations": Setting("whether reservations are whole numbers", False, choices=(True, False)),
    "early_retirement": Setting("whether systems may be sold before their end", False, choices=(True, False)),
    "power_basis": Setting(
        "what counts against power at own sites: provisioned power of the systems that stand there, owned or rented, "
        "or their idle power and all load there (p90)", "provisioned",
        choices=("provisioned", "p90"),
    ),
    "unit": Setting("unit of the objective, for display", "USD"),
    "work_unit": Setting("what work is counted in", "token", choices=("token", "request")),
    "terms": Setting("terms of ownership of the catalogue, for systems that it prices", "ownership"),
    "blocks": Setting("load blocks: [[blocks]] with name, share of the time, load over mean", ()),
}  # fmt: skip


def columns() -> list[dict[str, object]]:
    """Every column of every table, and the settings, as rows: what a folder may hold."""
    rows: list[dict[str, object]] = [
        {
            "table": "fleet.toml",
            "column": name,
            "unit": rule.unit or "",
            "default": rule.default,
            "meaning": rule.doc,
        }
        for name, rule in SETTINGS.items()
    ]
    for table, schema in TABLES.items():
        for name, rule in schema.items():
            needed = rule.default is None
            default = "needed" if needed else "" if rule.default in (ANY, math.inf) else rule.default
            unit = rule.unit or ""
            rows.append(
                {"table": table, "column": name, "unit": unit, "default": default, "meaning": rule.doc}
            )
    return rows
