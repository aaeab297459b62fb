"""Charts of answers: data first, with units and a sentence that says what to see; drawn by `draw`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from clustermodel.report.charts.breakeven import breakeven, price_map
from clustermodel.report.charts.data import Chart as Chart
from clustermodel.report.charts.fan import risk
from clustermodel.report.charts.fleet import fleet
from clustermodel.report.charts.frontier import frontier
from clustermodel.report.charts.market import listed, spending
from clustermodel.report.charts.operating import one, several
from clustermodel.report.charts.power import power
from clustermodel.report.charts.tornado import tornado
from clustermodel.report.charts.validation import errors, scatter

Answer = Mapping[str, Any]

_CHARTS: Mapping[str, Callable[[Answer], Iterator[Chart]]] = {
    "cost": one,
    "compare": several,
    "frontier": frontier,
    "power": power,
    "risk": risk,
    "fleet": fleet,
    "validate": errors,
    "validate_rows": lambda answer: scatter(answer["rows"]),
    "design_sensitivity": tornado,
    "design_breakeven": breakeven,
    "design_map": price_map,
    "catalog_list": listed,
    "capex": spending,
}


def charts(answer: Answer) -> list[Chart]:
    """The charts of an answer, most telling first; none where its kind has none."""
    return list(_CHARTS.get(answer["kind"], lambda _: iter(()))(answer))
