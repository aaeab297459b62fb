"""From a state of the explorer to what its page shows, through the same chain as every command."""

import dataclasses
import threading
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
from clustermodel.report.charts.frontier import frontier
from clustermodel.report.charts.operating import money
from clustermodel.report.figures import usd
from clustermodel.report.headlines import Headline, headline
from clustermodel.units import MILLION

TURN = threading.Lock()
"""One answer at a time: charts are drawn with settings that threads share."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """One part of the page: a headline and a chart, or the sentence that says why there is none."""

    headline: Headline | None = None
    chart: Chart | None = None
    reason: str = ""


def price(catalog: Catalog, state: State) -> Shown:
    """What a million tokens cost, which wall sets that, and where the money goes."""
    return _shown(lambda: _price(changed(catalog, state), state))


def curves(catalog: Catalog, state: State) -> Shown:
    """Price against speed for both systems, whatever the target."""
    return _shown(lambda: _curves(changed(catalog, state), state))


def matching(catalog: Catalog, state: State) -> Shown:
    """The price at which the first system would match the second."""
    if not state.against or state.against == state.system:
        return Shown(reason="choose another system to compare with")
    return _shown(lambda: _matching(changed(catalog, state), state))


def changed(catalog: Catalog, state: State) -> Catalog:
    """The catalogue with the state's sliders in it."""
    texts = [f"{target}={value}" for target, value in overrides(catalog, state).items()]
    return Catalog(catalog.folders, (*catalog.overrides, *map(parse_override, texts)))


def _shown(answer: Any) -> Shown:
    with TURN:
        try:
            return answer()
        except InfeasibleError as error:
            return Shown(reason=str(error))


def _price(catalog: Catalog, state: State) -> Shown:
    setup = set_up(catalog, question(state))
    found = operating_point(catalog, setup, choose(setup))
    return Shown(headline(found), money([found]))


def _curves(catalog: Catalog, state: State) -> Shown:
    systems = list(dict.fromkeys(filter(None, (state.system, state.against))))
    free = dataclasses.replace(question(state), max_tpot_ms=None)
    found = chain.frontier(catalog, free, systems)
    return Shown(headline(found), next(frontier(found)))


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
    )
