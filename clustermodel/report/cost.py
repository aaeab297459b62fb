"""The answer to `cost` on one screen: the number, the wall that sets it, where time, money and power go."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clustermodel.report.figures import count, figure, percent, several, usd, words
from clustermodel.report.headline import facts
from clustermodel.units import MILLION

Answer = Mapping[str, Any]

WALLS = {
    "compute": "arithmetic takes most of a step",
    "weight_bandwidth": "reading the weights takes most of a step",
    "kv_bandwidth": "reading the attention cache takes most of a step",
    "capacity": "memory holds no more sequences",
    "interconnect": "links between accelerators take most of a step",
    "host_overhead": "launches and the host take most of a step",
    "prefill": "prefill takes most of a step",
    "tier_bandwidth": "reading farther memory takes most of a step",
    "demand": "one system, the least there can be, carries the rate",
    "slo_ttft": "cheaper points are slower than --max-ttft-ms",
    "slo_tpot": "cheaper points are slower than --max-tpot-ms",
}
"""Every binding limit in words."""

_BREAKDOWNS = {
    "usd_per_accelerator_hour": ("USD an hour", usd),
    "step_ms": ("ms a token", figure),
    "power_w": ("W", figure),
}
_PARTS = 6
"""Rows of a breakdown; what is smaller is summed as `other`."""
_VISIBLE = 1e-3
"""Share of a total below which a part is not worth a row."""


def screen(answer: Answer) -> Iterator[RenderableType]:
    """Everything a planner reads, from the question to what the answer rests on."""
    yield Text(_title(answer), style="bold")
    yield Text(_setting(answer))
    yield Padding(_price(answer), (1, 0, 1, 2))
    yield Padding(facts(tuple(_sentences(answer))), (0, 0, 1, 2))
    yield Padding(breakdowns(answer["breakdown"]), (0, 0, 1, 2))


def layout(shape: Mapping[str, Any]) -> str:
    """`tp8 ep8`: the axes of a layout that are more than 1; `tp1` where none is."""
    if "prefill" in shape:
        return " | ".join(f"{name} {_workers(shape[name])}" for name in ("prefill", "decode"))
    split = [f"{axis}{size}" for axis, size in shape.items() if size is not None and size > 1]
    return " ".join(split) or "tp1"


def _workers(pool: Mapping[str, Any]) -> str:
    """`4 x tp2`: how many workers of which layout."""
    return f"{pool['workers']} x {layout({axis: size for axis, size in pool.items() if axis != 'workers'})}"


def _title(answer: Answer) -> str:
    return f"{answer['model']} on {answer['system']} with {answer['engine']}"


def _setting(answer: Answer) -> str:
    n, paid = answer["n_accelerators"], answer["accelerators_paid_for"]
    replica = f"{several(count(n), 'accelerator')} {'in two pools' if 'pools' in answer else 'a replica'}"
    stranded = f" (pays for {count(paid)})" if paid > n else ""
    return (
        f"{answer['precision']} weights, {answer['compute_precision']} arithmetic, "
        f"{answer['kv_precision']} cache; {count(answer['isl'])} tokens in, {count(answer['osl'])} out, "
        f"{percent(answer['prefix_hit_rate'])} of the input cached\n"
        f"{replica}{stranded}, {layout(answer['layout'])}; "
        f"{several(load(answer), 'request')} in flight, {figure(answer['batch'])} running"
    )


def load(answer: Answer) -> str:
    """Requests in flight: of a closed loop as asked or chosen, under arrivals in the mean."""
    return count(answer["concurrency"]) if answer["n_systems"] is None else figure(answer["concurrency"])


def _price(answer: Answer) -> Text:
    text = Text()
    text.append(f"{usd(answer['usd_per_mtok_total'])} per million tokens", style="bold green")
    for kind in ("input", "cached_input", "output"):
        text.append(f"   {words(kind)} {usd(answer[f'usd_per_mtok_{kind}'])}")
    limit = answer["binding_limit"]
    text.append(f"\nset by {words(limit)}: {WALLS[limit]}", style="bold")
    return text


def fleet(answer: Answer) -> str:
    """How many systems carry the rate that was asked for."""
    n = answer["n_systems"]
    some = f"{several(count(n), 'system')} {'carries' if n == 1 else 'carry'}"
    full = percent(answer["latency"]["utilisation"])
    return f"{some} the rate, peaks and repairs included; {full} full at the peaks"


def _percentiles(latency: Mapping[str, Any]) -> str:
    levels = ("p50", "p90", "p99")
    first, each = (" / ".join(figure(latency[name][q]) for q in levels) for name in ("ttft_ms", "tpot_ms"))
    return f"{first} ms to the first token, {each} ms a token at 50 / 90 / 99 % of requests"


def _sentences(answer: Answer) -> Iterator[tuple[str, str]]:
    n = {key: figure(value) for key, value in answer.items() if not isinstance(value, Mapping | list)}
    rate_per_mw = figure(answer["tok_s_per_mw"] / MILLION)
    yield (
        "speed",
        f"{n['ttft_ms']} ms to the first token, {n['tpot_ms']} ms a token (physical bound "
        f"{figure(answer['bounds']['tpot_ms'])}): {n['interactivity_tok_s_user']} tok/s a user",
    )
    if answer.get("latency"):
        yield "percentiles", _percentiles(answer["latency"])
    yield (
        "throughput",
        f"{n['output_tok_s_per_accelerator']} output tok/s per accelerator, "
        f"{n['total_tok_s_per_accelerator']} with input",
    )
    yield "memory", _memory(answer["memory"])
    if (prefixes := _prefixes(answer["memory"])) is not None:
        yield "prefixes", prefixes
    for name, pool in answer.get("pools", {}).items():
        yield f"{name} pool", pool_facts(pool)
    if "transfer" in answer:
        yield "transfer", _transfer(answer["transfer"])
    yield (
        "power",
        f"board {n['power_w_per_accelerator']} W, with chassis {n['it_w_per_accelerator']} W, with cooling "
        f"{n['facility_w_per_accelerator']} W; planned {n['provisioned_w_per_accelerator']} W",
    )
    yield (
        "energy",
        f"{n['joules_per_output_token']} J per output token; {rate_per_mw} M output tok/s a planned MW",
    )
    if answer["n_systems"] is not None:
        yield "fleet", fleet(answer)
    yield (
        "money",
        f"{_basis(answer)} at utilisation {n['utilisation']}, {words(answer['allocation'])} among the tokens",
    )
    yield "calibration", _calibration(answer)
    if answer.get("price_range"):
        yield "range", _range(answer)


def _basis(answer: Answer) -> str:
    """What the money is: a dated price, or parts at a share of the catalogue's prices."""
    factor = answer["price_factor"]
    paid = "" if factor in (None, 1) else f", {figure(factor)} of catalogue prices,"
    return f"{words(answer['cost_basis'])} cost{paid}"


def _memory(memory: Mapping[str, Any]) -> str:
    uses = {"weights_gb": "weights", "kv_gb": "cache in use", "workspace_gb": "workspace"}
    used = ", ".join(f"{label} {figure(memory[key])}" for key, label in uses.items())
    return f"{used} of {figure(memory['capacity_gb'])} GB per accelerator"


def _prefixes(memory: Mapping[str, Any]) -> str | None:
    """That the memory has no room for prefixes until their next use, where it has none."""
    kept, interval = memory.get("prefix_kept_s"), memory.get("prefix_interval_s")
    if kept is None or kept >= interval:
        return None
    return (
        f"kept for {figure(kept)} s, all that their memory has room for, and not for the {figure(interval)} s of "
        "reuse_interval: at this rate the hit rate needs more memory or earlier uses"
    )


def pool_facts(pool: Mapping[str, Any]) -> str:
    """What a pool is, how busy, and its share of the bill."""
    n = count(pool["n_accelerators"])
    return (
        f"{n} accelerators of {pool['system']}, {percent(pool['utilisation'])} used, "
        f"{percent(pool['bill_share'])} of the bill; board {figure(pool['power_w_per_accelerator'])} W"
    )


def _transfer(transfer: Mapping[str, float]) -> str:
    return (
        f"{figure(transfer['gb_per_request'])} GB of cache a request in {figure(transfer['ms'])} ms, "
        f"{figure(transfer['exposed_ms'])} ms of it not hidden behind prefill"
    )


def _calibration(answer: Answer) -> str:
    seen = "has been measured" if answer["seen"] else "was never measured: predicted from others"
    ranges = answer["uncertainty"]
    (fast, slow), price = ranges["tpot_ms"], ranges["usd_per_mtok_total"]
    text = f"this system, model and engine {seen}; 80 % range {figure(fast)} to {figure(slow)} ms a token"
    return text if price is None else f"{text}, {usd(price[0])} to {usd(price[1])} per million tokens"


def _range(answer: Answer) -> str:
    between = answer["price_range"]["usd_per_mtok_total"]
    drivers = [
        f"{words(each['input'])} ({percent(each['share_of_variance'])})" for each in answer["drivers"][:3]
    ]
    return (
        f"with the ranges of the inputs {usd(between['p10'])} to {usd(between['p90'])} per million tokens, "
        f"{'driven by ' + ', '.join(drivers) if drivers else 'no range moves it'}"
        f"{_outside(answer['usd_per_mtok_total'], between)}"
        f"{''.join(_unfit(each) for each in answer['price_range']['does_not_fit_at'])}"
    )


def _outside(price: float, between: Mapping[str, float]) -> str:
    """Inputs such as utilisation stand at an end of their ranges, so the price may lie beyond their middle."""
    if between["p10"] <= price <= between["p90"]:
        return ""
    side = "below" if price < between["p10"] else "above"
    return f"; the price shown lies {side}, for some inputs are at an end of their ranges"


def _unfit(end: Mapping[str, Any]) -> str:
    return f"; at {words(end['input'])} {end['value']} it does not fit"


def breakdowns(breakdown: Mapping[str, Mapping[str, float]]) -> Table:
    """Where time, money and power go, side by side."""
    grid = Table.grid(padding=(0, 4))
    grid.add_row(*(_shares(name, parts) for name, parts in breakdown.items()))
    return grid


def _shares(name: str, parts: Mapping[str, float]) -> Table:
    (title, show), total = _BREAKDOWNS[name], sum(parts.values())
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_row(Text(title, style="cyan"), Text(show(total), style="bold"), "")
    for part, value in largest(parts):
        table.add_row(f"  {words(part)}", show(value), percent(value / total))
    return table


def largest(parts: Mapping[str, float]) -> list[tuple[str, float]]:
    """The visible parts of a total, largest first, the smallest ones summed as `other`."""
    least = _VISIBLE * sum(parts.values())
    ranked = sorted(((k, v) for k, v in parts.items() if v > least), key=lambda part: -part[1])
    if len(ranked) <= _PARTS:
        return ranked
    return [*ranked[: _PARTS - 1], ("other", sum(value for _, value in ranked[_PARTS - 1 :]))]
