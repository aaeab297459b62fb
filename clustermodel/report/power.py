"""The answer to `power`: joules and megawatts, watts by phase and level, and what more boards or a cap would do."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from clustermodel.report.cost import breakdowns, layout, pool_facts
from clustermodel.report.figures import count, figure, percent, several, usd
from clustermodel.report.headline import Headline, told
from clustermodel.report.records import chosen
from clustermodel.units import MILLION

Answer = Mapping[str, Any]

_BASES = {
    "fitted": "fitted on such boards",
    "transferred": "that of another board of its generation, scaled with TDP",
    "prior": "a prior in shares of TDP",
}
"""Where the coefficients of a board come from."""
_NOTHING = 1e-6
"""A share below which time or energy is not worth a digit."""


def headline(answer: Answer) -> Headline:
    """Joules of an output token, and every watt behind them."""
    return Headline(
        f"Watts of {answer['model']} on {answer['system']} with {answer['engine']}",
        f"{figure(answer['joules_per_output_token'])} J per output token",
        f"{figure(answer['facility_w_per_accelerator'])} W an accelerator at the meter, "
        f"{figure(answer['tok_s_per_mw'] / MILLION)} M output tok/s a planned megawatt.",
        tuple(_facts(answer)),
    )


def watts(answer: Answer) -> Iterator[RenderableType]:
    """Everything that draws, and what a plan may make of it."""
    yield from told(headline(answer), below=1)
    yield Padding(breakdowns(answer["breakdown"]), (0, 0, 1, 2))
    if rows := answer.get("oversubscription"):
        yield Text("more accelerators on the same megawatt than its 90th percentile allows", style="bold")
        yield chosen(rows, _OVERSUBSCRIPTION)
    if rows := answer.get("caps"):
        yield Text("a cap on the power of every board", style="bold")
        yield chosen(rows, _CAPS)


def _facts(answer: Answer) -> Iterator[tuple[str, str]]:
    n = {key: figure(value) for key, value in answer.items() if not isinstance(value, Mapping | list)}
    yield (
        "deployment",
        f"{answer['precision']}, {layout(answer['layout'])}; "
        f"{several(count(answer['concurrency']), 'request')} in flight, "
        f"{n['tpot_ms']} ms a token, {n['output_tok_s_per_accelerator']} output tok/s per accelerator",
    )
    yield (
        "watts",
        f"board {n['power_w_per_accelerator']}, with chassis {n['it_w_per_accelerator']}, with cooling "
        f"{n['facility_w_per_accelerator']}; planned {n['provisioned_w_per_accelerator']} an accelerator",
    )
    if "phase_w" in answer:
        yield "phases", _phases(answer["phase_w"], answer["phase_share"])
    for name, pool in answer.get("pools", {}).items():
        yield f"{name} pool", pool_facts(pool)
    each = answer["joules_per_token"]
    yield (
        "energy",
        f"{figure(each['input'])} J an input and {figure(each['output'])} J an output token, each of its phase; "
        f"boards alone {n['board_joules_per_output_token']} J per output token",
    )
    if "accelerators_per_mw" in answer:
        yield "a megawatt", _megawatt(answer)
    share = answer.get("energy_share_of_cost")
    of_cost = "" if share is None else f"; energy is {figure(100 * share)} % of the cost"
    yield (
        "per million",
        f"output tokens: {usd(answer['usd_per_mtok_output_energy'])} of energy, "
        f"{n['carbon_kg_per_mtok_output']} kg of CO2, {n['water_l_per_mtok_output']} L of water{of_cost}",
    )
    if "best_cap_w" in answer:
        best = answer["best_cap_w"]
        yield (
            "best cap",
            f"{figure(best['joules_per_token'])} W a board for joules, {figure(best['usd_per_token'])} W for dollars",
        )
    yield "board model", _trust(answer)


def _phases(board: Mapping[str, float], share: Mapping[str, float]) -> str:
    timed = ", ".join(f"{name} {figure(board[name])} W for {percent(share[name])} of it" for name in share)
    rest = ", ".join(f"{name} {figure(value)} W" for name, value in board.items() if name not in share)
    return f"of a board, while it works: {timed}; {rest}"


def _megawatt(answer: Answer) -> str:
    boards, rates = answer["accelerators_per_mw"], answer["tok_s_per_mw_by_basis"]
    held = {
        name: f"{count(round(boards[name]))} accelerators and {figure(rates[name] / MILLION)} M output tok/s"
        for name in boards
    }
    peak = figure(answer["p90_w_per_accelerator"])
    return f"{held['provisioned']} as planned, {held['p90']} at the 90th percentile of {peak} W"


def _trust(answer: Answer) -> str:
    basis = _BASES[answer["power_basis"]]
    if "uncertainty" not in answer:
        return basis
    low, high = map(figure, answer["uncertainty"]["power_w_per_accelerator"])
    return f"{basis}; 80 % range {low} to {high} W (error: {answer['uncertainty']['measured_on']})"


def _share(value: float) -> str:
    return "0 %" if value < _NOTHING else f"{figure(100 * value)} %"


_OVERSUBSCRIPTION = {
    "factor": ("factor", count),
    "accelerators_per_mw": ("accelerators\na MW", lambda n: count(round(n))),
    "throttled_time": ("time\nthrottled", _share),
    "throttled_energy": ("energy\nlost", _share),
}
_CAPS = {
    "cap_w": ("cap\nW", figure),
    "power_w": ("drawn\nW", figure),
    "prefill_slowdown": ("prefill\nfactor", figure),
    "decode_slowdown": ("decode\nfactor", figure),
    "tpot_ms": ("ms a\ntoken", figure),
    "output_tok_s_per_accelerator": ("tok/s\nacc.", figure),
    "board_joules_per_output_token": ("board J\na token", figure),
    "usd_per_mtok_output": ("USD/M\noutput", figure),
}
