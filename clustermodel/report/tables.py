"""Answers as text for a terminal: what each kind of answer shows, and the sources at its end."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clustermodel.report.cost import screen
from clustermodel.report.design import breakeven, designed, held, mapped, ranked, remembered
from clustermodel.report.entries import entry, sources
from clustermodel.report.figures import words
from clustermodel.report.fleet import proven
from clustermodel.report.headline import told
from clustermodel.report.points import curves, side_by_side
from clustermodel.report.power import watts
from clustermodel.report.provenance import grounds
from clustermodel.report.records import cell, records_table
from clustermodel.report.risk import tails
from clustermodel.report.rows import UNFLATTENED, flat, tables_of
from clustermodel.report.speed import cases, limits, serving
from clustermodel.report.spending import spent
from clustermodel.report.validation import learnt, scores

Answer = Mapping[str, Any]

_SHOWN: Mapping[str, Callable[[Answer], Iterator[RenderableType]]] = {
    "cost": screen,
    "compare": side_by_side,
    "frontier": curves,
    "power": watts,
    "design_breakeven": lambda answer: told(breakeven(answer), below=1),
    "design_map": mapped,
    "design_memory": remembered,
    "design_claims": held,
    "design_sensitivity": ranked,
    "design_optimize": designed,
    "catalog_entry": entry,
    "catalog_sources": sources,
    "validate": scores,
    "calibrate": learnt,
    "bench-model": cases,
    "bench-device": limits,
    "bench-serve": serving,
    "risk": tails,
    "fleet": proven,
    "capex": spent,
}


def parts(answer: Answer) -> Iterator[RenderableType]:
    """What a console prints of an answer."""
    yield from _SHOWN.get(answer["kind"], anything)(answer)
    yield from grounds(answer)


def anything(answer: Answer) -> Iterator[RenderableType]:
    """Any answer: its single facts, then each of its tables."""
    found = tables_of(answer)
    hidden = {"kind", "schema", "version", *UNFLATTENED, *found}
    facts = flat({name: value for name, value in answer.items() if name not in hidden})
    if facts:
        grid = Table.grid(padding=(0, 2))
        for name, value in facts.items():
            grid.add_row(Text(words(name), style="cyan"), "" if value is None else cell(name, value))
        yield grid
    for records in found.values():
        if records:
            yield records_table(records)
