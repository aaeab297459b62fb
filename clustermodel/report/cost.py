"""The answer to `cost` on one screen: the number, the wall that sets it, where time, money and power go."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clustermodel.report.figures import UNKNOWN, figure, percent, usd, words

Answer = Mapping[str, Any]

_PARTS = 6
"""Rows of a breakdown; what is smaller is summed as `other`."""


def screen(answer: Answer) -> Iterator[RenderableType]:
    """Everything a planner reads, from the question to the sources."""
    yield from _question(answer)
    yield Padding(_price(answer), (1, 0, 1, 2))
    yield Padding(_facts(answer), (0, 0, 1, 2))
    yield Padding(_breakdowns(answer["breakdown"]), (0, 0, 1, 2))


def _question(answer: Answer) -> Iterator[Text]:
    yield Text(f"{answer['model']} on {answer['system']} with {answer['engine']}", style="bold")
    hit = percent(answer["prefix_hit_rate"])
    formats = f"{answer['precision']} weights, {answer['kv_precision']} cache"
    if answer["compute_precision"] != answer["precision"]:
        formats += f", {answer['compute_precision']} arithmetic"
    yield Text(
        f"{formats}; {figure(answer['isl'])} tokens in, {figure(answer['osl'])} out, {hit} of input cached"
    )
    yield Text(f"{figure(answer['n_accelerators'])} accelerators a replica: {layout(answer['layout'])}")


def layout(shape: Mapping[str, Any]) -> str:
    """`tp 8, ep 8`: the axes of a layout that are more than 1; `tp 1` where none is."""
    if "prefill" in shape:
        return f"prefill {layout(shape['prefill'])} | decode {layout(shape['decode'])}"
    split = [f"{axis} {size}" for axis, size in shape.items() if size is not None and size > 1]
    return ", ".join(split) or "tp 1"


def _price(answer: Answer) -> Text:
    text = Text()
    text.append(f"{usd(answer['usd_per_mtok_total'])} per million tokens", style="bold green")
    for kind in ("input", "cached_input", "output"):
        text.append(f"   {words(kind)} {usd(answer[f'usd_per_mtok_{kind}'])}")
    text.append(f"\nlimited by {words(answer['binding_limit'])}", style="bold")
    text.append(f"; {words(answer['cost_basis'])} cost, {words(answer['allocation'])} allocation")
    return text


def _facts(answer: Answer) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, fact in _sentences(answer):
        table.add_row(Text(name, style="cyan"), fact)
    return table


def _sentences(answer: Answer) -> Iterator[tuple[str, str]]:
    number = {key: figure(value) for key, value in answer.items() if not isinstance(value, Mapping | list)}
    yield (
        "speed",
        f"first token {number['ttft_ms']} ms, then {number['tpot_ms']} ms a token "
        f"({number['interactivity_tok_s_user']} tok/s for a user)",
    )
    yield (
        "throughput",
        f"{number['output_tok_s_per_accelerator']} output tok/s per accelerator "
        f"({number['total_tok_s_per_accelerator']} with input); "
        f"{number['batch']} of {number['concurrency']} requests running",
    )
    yield "memory", _memory(answer["memory"])
    yield (
        "power",
        f"per accelerator: board {number['power_w_per_accelerator']} W, IT {number['it_w_per_accelerator']} W, "
        f"facility {number['facility_w_per_accelerator']} W, planned {number['provisioned_w_per_accelerator']} W",
    )
    yield (
        "energy",
        f"{number['joules_per_output_token']} J per output token; {number['tok_s_per_mw']} output tok/s per planned MW",
    )
    if number["n_systems"] != UNKNOWN:
        yield "fleet", f"{number['n_systems']} systems serve the rate"
    yield "confidence", _confidence(answer)


def _memory(memory: Mapping[str, Any]) -> str:
    used = ", ".join(
        f"{label} {figure(memory[key])}"
        for key, label in (("weights_gb", "weights"), ("kv_gb", "cache"), ("workspace_gb", "workspace"))
    )
    return f"{used} of {figure(memory['capacity_gb'])} GB per accelerator"


def _confidence(answer: Answer) -> str:
    seen = "measured" if answer["seen"] else "not measured"
    text = f"this combination was {seen} in the calibration data"
    ranges = answer.get("uncertainty") or {}
    for name, unit in (("tpot_ms", "ms a token"), ("usd_per_mtok_output", "USD per million output tokens")):
        if ranges.get(name):
            low, high = map(figure, ranges[name])
            text += f"; 80 %: {low} to {high} {unit}"
    return text


def _breakdowns(breakdown: Mapping[str, Mapping[str, float]]) -> Table:
    grid = Table.grid(padding=(0, 4))
    titles = {"usd_per_accelerator_hour": "USD an hour", "step_ms": "ms a step", "power_w": "W"}
    grid.add_row(*(_shares(title, breakdown[name]) for name, title in titles.items() if breakdown.get(name)))
    return grid


def _shares(title: str, parts: Mapping[str, float]) -> Table:
    total = sum(parts.values())
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=14)
    for _ in range(2):
        table.add_column(justify="right")
    table.add_row(Text(title, style="cyan"), Text(figure(total), style="bold"), "")
    for name, value in largest(parts):
        table.add_row(f"  {words(name)}", figure(value), percent(value / total if total else None))
    return table


def largest(parts: Mapping[str, float]) -> list[tuple[str, float]]:
    """The parts of a total that are not zero, largest first, the smallest ones summed as `other`."""
    ranked = sorted(((k, v) for k, v in parts.items() if v), key=lambda part: -abs(part[1]))
    if len(ranked) <= _PARTS:
        return ranked
    return [*ranked[: _PARTS - 1], ("other", sum(value for _, value in ranked[_PARTS - 1 :]))]
