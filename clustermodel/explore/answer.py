"""From a state of the explorer to what its page shows, through the same chain as every command."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from clustermodel import chain
from clustermodel.catalog import Catalog, InfeasibleError, parse_override
from clustermodel.chain import Question
from clustermodel.chain.choose import choose
from clustermodel.chain.cost import operating_point
from clustermodel.chain.setup import set_up
from clustermodel.design.breakeven import matching_price, price_per_token
from clustermodel.explore.state import State, overrides
from clustermodel.report.charts import Chart
from clustermodel.report.charts.frontier import price_against_speed
from clustermodel.report.charts.operating import money
from clustermodel.report.figures import usd
from clustermodel.report.headlines import Headline, headline
from clustermodel.units import MILLION

PARTS = ("price", "money", "curves", "matching")
"""Parts of the page, in the order in which they are asked for."""
_KEPT = 8
"""Operating points that are kept: the chart is of the one whose number is shown."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """One part of the page: a headline and a chart, or the sentence that says why there is none."""

    headline: Headline | None = None
    chart: Chart | None = None
    reason: str = ""


class Answers:
    """What the page shows of each state, over one catalogue."""

    def __init__(self, catalog: Catalog):
        self.catalog = catalog
        self._point = functools.lru_cache(_KEPT)(functools.partial(point, catalog))

    def price(self, state: State) -> Shown:
        """What a million tokens cost, and which wall sets that."""
        return _shown(lambda: Shown(headline(self._point(state))))

    def money(self, state: State) -> Shown:
        """Where the money goes; the price says why there may be none."""
        found = _shown(lambda: Shown(chart=money([self._point(state)])))
        return dataclasses.replace(found, reason="")

    def curves(self, state: State) -> Shown:
        """Price against speed for both systems, whatever the target."""
        return _shown(lambda: _curves(changed(self.catalog, state), state))

    def matching(self, state: State) -> Shown:
        """The price at which the first system would match the second."""
        if not state.against or state.against == state.system:
            return Shown(reason="choose another system to compare with")
        return _shown(lambda: _matching(changed(self.catalog, state), state))


def point(catalog: Catalog, state: State) -> Mapping[str, Any]:
    """The operating point that `cost` answers with."""
    mine = changed(catalog, state)
    setup = set_up(mine, question(state))
    return operating_point(mine, setup, choose(setup))


def changed(catalog: Catalog, state: State) -> Catalog:
    """The catalogue with the state's sliders in it."""
    texts = [f"{target}={value}" for target, value in overrides(catalog, state).items()]
    return catalog.changed(map(parse_override, texts))


def _shown(answer: Callable[[], Shown]) -> Shown:
    try:
        return answer()
    except InfeasibleError as error:
        return Shown(reason=str(error))


def _curves(catalog: Catalog, state: State) -> Shown:
    systems = list(dict.fromkeys(filter(None, (state.system, state.against))))
    free = dataclasses.replace(question(state), max_tpot_ms=None)
    points = chain.frontier(catalog, free, systems)["points"]
    return Shown(chart=price_against_speed([each for each in points if "reason" not in each]))


def _matching(catalog: Catalog, state: State) -> Shown:
    other = set_up(catalog, dataclasses.replace(question(state), system=state.against))
    target = price_per_token(choose(other))
    setup = set_up(catalog, question(state))
    (matched, _), listed = matching_price(setup, target), float(setup.system.spec.price)
    return Shown(
        Headline(
            f"The price at which {state.system} matches {state.against}",
            f"{usd(matched)} a system",
            f"It then costs {usd(target * MILLION)} per million tokens; its price here is {usd(listed)}.",
        )
    )


def question(state: State) -> Question:
    """The state as a question to the chain."""
    return Question(
        state.system,
        state.model,
        workload=state.workload,
        precision=state.precision or None,
        max_tpot_ms=state.max_tpot_ms,
        rate=state.rate,
    )
