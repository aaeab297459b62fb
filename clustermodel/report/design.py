"""The answers to `design`: the price that matches, maps of it, what memory is worth, what moves an answer most."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from clustermodel.report.cost import WALLS, layout, load
from clustermodel.report.figures import UNKNOWN, count, figure, label, percent, several, short, usd, words
from clustermodel.report.headline import Headline, told
from clustermodel.report.records import chosen, titled

Answer = Mapping[str, Any]


def breakeven(answer: Answer) -> Headline:
    """What a candidate may cost, and what both systems do at that price."""
    price, listed = answer["price_usd"], answer["catalogue_price_usd"]
    candidate, reference = answer["candidate"], answer["reference"]
    beside = f"; it is listed at {usd(listed)}, {_against(listed / price['value'])}" if listed else ""
    return Headline(
        f"The price at which {candidate['system']} matches {reference['system']} for {candidate['model']}",
        f"{usd(price['value'])} a system",
        f"Between {usd(price['low'])} and {usd(price['high'])} by the ranges of its own numbers{beside}.",
        (
            ("requests", f"{count(candidate['isl'])} tokens in, {count(candidate['osl'])} out"),
            ("tokens", f"{usd(answer['usd_per_mtok'])} per million from either"),
            *((point["system"], _point(point)) for point in (candidate, reference)),
        ),
    )


def _against(ratio: float) -> str:
    """What a listed price is beside the one that matches."""
    if ratio > _MANY:
        return f"{figure(ratio)} times as much"
    return f"{figure(100 * abs(ratio - 1))} % {'more' if ratio > 1 else 'less'}"


_MANY = 2.0
"""From where on a price is so many times another, and not so many per cent more."""


def _point(point: Answer) -> str:
    n = {key: figure(value) for key, value in point.items() if not isinstance(value, Mapping | list)}
    return (
        f"{point['precision']}, {layout(point['layout'])}, {several(load(point), 'request')} in flight: "
        f"{n['tpot_ms']} ms a token, {n['output_tok_s_per_accelerator']} output tok/s and "
        f"{n['facility_w_per_accelerator']} W per accelerator; {WALLS[point['binding_limit']]}"
    )


def price_map(answer: Answer) -> Headline:
    """From where to where the matching price, or the ratio of costs, goes."""
    asked, (x, y), found = answer["inputs"], tuple(answer["units"]), _found(answer)
    values = [cell[found] for cell in answer["cells"] if cell[found] is not None]
    form = _CELL[found]
    priced = found == "price_usd"
    matches = f"The price at which {asked['candidate']} matches {asked['reference']}"
    ratio = f"The cost of {asked['candidate']} over that of {asked['reference']}"
    return Headline(
        f"{matches if priced else ratio} for {asked['model']}, over {x} and {y}",
        f"{form(min(values))} to {form(max(values))}{' a system' if priced else ' times the cost'}",
        f"To the right {_AXES[x]}, down {_AXES[y]}.",
    )


def mapped(answer: Answer) -> Iterator[RenderableType]:
    """The map as a map: one quantity to the right, the other down."""
    yield from told(price_map(answer))
    cells, found, (x, y) = answer["cells"], _found(answer), tuple(answer["units"])
    across = list(dict.fromkeys(cell[x] for cell in cells))
    sizes = [_sized(value, answer["units"][x]) for value in across]
    table = titled(right=(words(y), *sizes, "USD/M of\nreference"))
    for value in dict.fromkeys(cell[y] for cell in cells):
        row = {cell[x]: cell for cell in cells if cell[y] == value}
        shown = (UNKNOWN if row[at][found] is None else _CELL[found](row[at][found]) for at in across)
        reference = figure(row[across[0]]["reference_usd_per_mtok"])
        table.add_row(_sized(value, answer["units"][y]), *shown, reference)
    yield table
    if any(cell[found] is None for cell in cells):
        yield Text(f"{UNKNOWN}: it does not fit there, meets no target, or no price above 0 would match")


_AXES = {
    "bandwidth": "the bandwidth of the candidate's memory",
    "touched": "the share of its context that a token reads",
    "memory": "the memory of the candidate",
    "context": "the tokens that a request brings",
    "price": "the price of the candidate",
    "utilisation": "the share of hours that it sells",
}
"""What a map runs over."""


def _found(answer: Answer) -> str:
    return next(name for name in _CELL if name in answer["cells"][0])


_CELL: Mapping[str, Callable[[float], str]] = {
    "price_usd": lambda price: f"${short(price)}",
    "cost_ratio": figure,
}
"""What a cell may hold."""


def _sized(value: float, unit: str) -> str:
    """`32.0 TB/s`, `8,192`: a value of an axis."""
    if unit == "USD":
        return usd(value)
    if unit in ("B", "B/s"):
        return f"{short(value)}{unit}"
    return count(value)


def memory(answer: Answer) -> Headline:
    """What memory is of a system's price, and what dearer memory does to a token."""
    now, dearer = answer["dearer"][0], answer["dearer"][-1]
    rise = dearer["usd_per_mtok_total"] / now["usd_per_mtok_total"] - 1
    factor = dearer["memory_factor"] / now["memory_factor"]
    return Headline(
        f"The memory of {answer['inputs']['system']} as money, serving {answer['inputs']['model']}",
        f"{percent(answer['memory_share'])} of the price of the system",
        f"{usd(answer['price_usd'] - answer['rest_usd'])} of {usd(answer['price_usd'])}; at {figure(factor)} times the "
        f"price of memory a million tokens cost {usd(dearer['usd_per_mtok_total'])} instead of "
        f"{usd(now['usd_per_mtok_total'])}, {figure(100 * rise)} % more.",
        (
            (
                "point",
                f"{layout(answer['layout'])}, {several(count(answer['concurrency']), 'request')} in flight",
            ),
            (
                "cached token",
                f"{figure(answer['cache_kb_per_token'])} kB; to prefill it again takes "
                f"{figure(answer['recompute_us_per_token'])} us and {usd(answer['usd_per_mtok_input'])} a million",
            ),
        ),
    )


def remembered(answer: Answer) -> Iterator[RenderableType]:
    """What each memory costs, holds and saves, and what memory cost when."""
    yield from told(memory(answer), below=1)
    yield Text("keeping the cache of a prefix until its next use", style="bold")
    yield chosen(answer["tiers"], _TIERS)
    yield Text("dated prices of memory", style="bold")
    yield chosen(answer["series"], _SERIES)


def claims(answer: Answer) -> Headline:
    """How many of a vendor's claims hold, and of what."""
    asked, rows = answer["inputs"], answer["claims"]
    of = lambda text: [row for row in rows if row["workload"] == text]
    tokens = [row for row in rows if row["workload"] not in _BYTES]
    some = [(text, of(text)) for text in _BYTES] + [("tokens served", tokens)]
    return Headline(
        f"What the vendor claims for {asked['candidate']}, against {asked['reference']} with {asked['model']}",
        f"{_holding(rows)} of {len(rows)} claims hold",
        f"{', '.join(f'of {text} {_holding(part)} of {len(part)}' for text, part in some if part).capitalize()}.",
        tuple(
            (f"no answer: {row['workload']}", f"{row['system']}: {row['reason']}")
            for row in answer.get("left_out", ())
        ),
    )


_BYTES = ("bytes stored", "bytes read")


def _holding(rows: Sequence[Answer]) -> int:
    return sum(row["holds"] == "yes" for row in rows)


def held(answer: Answer) -> Iterator[RenderableType]:
    """One line a claim: what was said, what it comes to, and the tokens it is judged by."""
    yield from told(claims(answer))
    yield chosen(answer["claims"], _CLAIMS)


def optimum(answer: Answer) -> Headline:
    """The price of a token from the best design, beside the system as it is."""
    asked, paid = answer["inputs"], answer["accelerators_paid_for"]
    saved = 1 - answer["usd_per_mtok_total"] / answer["usd_per_mtok_start"]
    hits = answer["prefix_hit_rate"]
    return Headline(
        f"The design around {asked['system']} that serves {asked['model']} ({asked['workload']}) most cheaply",
        f"{usd(answer['usd_per_mtok_total'])} per million tokens",
        f"{usd(answer['usd_per_mtok_start'])} as it is, so {figure(100 * abs(saved))} % "
        f"{'less' if saved >= 0 else 'more, for a limit'}; the system may then cost "
        f"{usd(answer['price_usd'])}.",
        (
            (
                "speed",
                f"{figure(answer['ttft_ms'])} ms to the first token, {figure(answer['tpot_ms'])} ms a token",
            ),
            (
                "layout",
                f"{layout(answer['layout'])}; pays for {count(paid)} accelerator{'s' if paid > 1 else ''}",
            ),
            *((("prefixes", f"{percent(hits)} of the input found in the cache"),) if hits else ()),
            *(
                (f"--{row['limit'].replace('_', '-')}", f"binds: {_worth(row['elasticity_of_price'])}")
                for row in answer["active"]
            ),
        ),
    )


def _worth(elasticity: float) -> str:
    return f"one per cent more of it makes a token {figure(-elasticity)} % cheaper"


def designed(answer: Answer) -> Iterator[RenderableType]:
    """Each quantity that was free: where it started, and where it is best."""
    yield from told(optimum(answer))
    table = titled(("quantity",), ("as it is", "best", ""))
    for row in answer["optimum"]:
        unit = row["unit"] if row["unit"] != "request" else ""
        ends = (f"{short(row[name])}{unit}" for name in ("start", "value"))
        table.add_row(row["variable"], *ends, "at the end of its range" if row["at_bound"] else "")
    yield table


def sensitivity(answer: Answer) -> Headline:
    """The number whose range moves an answer most."""
    asked, first = answer["inputs"], answer["elasticities"][0]
    low, high = figure(first["low"]), figure(first["high"])
    return Headline(
        f"What the {label(asked['output'])} of {asked['model']} on {asked['system']} hangs on",
        f"{words(first['field'])} ({first['entry']})",
        f"Its range moves the answer to between {low} and {high} times what it is.",
        (
            (
                "point",
                f"{layout(answer['layout'])}, {several(count(answer['concurrency']), 'request')} in flight",
            ),
        ),
    )


def ranked(answer: Answer) -> Iterator[RenderableType]:
    """Numbers by what their ranges do to the answer, with exact elasticities."""
    yield from told(sensitivity(answer))
    yield chosen(answer["elasticities"], _ELASTICITIES)


_TIERS = {
    "memory": ("memory", str),
    "capacity_gb": ("GB", figure),
    "price_usd": ("USD a\nsystem", figure),
    "share": ("of the\nprice", percent),
    "usd_per_mtok_hour": ("USD to hold\nM for 1 h", figure),
    "reload_us_per_token": ("reload\nus/tok", figure),
    "faster_than_prefill": ("times faster\nthan prefill", figure),
    "pays_for_hours": ("pays for\nhours", figure),
    "usd_per_mtok_cached_input": ("USD/M\ncached", figure),
}
_SERIES = {
    "memory": ("memory", str),
    "date": ("date", str),
    "usd_per_gb": ("USD/GB", figure),
    "low": ("low", figure),
    "high": ("high", figure),
    "rise": ("rise", percent),
    "confidence": ("confidence", str),
    "source": ("source", str),
}
_CLAIMS = {
    "claim": ("claim", str),
    "workload": ("workload", str),
    "against": ("against", str),
    "claimed": ("claimed\ntimes", count),
    "found": ("found", figure),
    "holds": ("holds", str),
    "usd_per_mtok": ("USD/M", figure),
    "reference_usd_per_mtok": ("other\nUSD/M", figure),
}
_ELASTICITIES = {
    "entry": ("entry", str),
    "field": ("number", words),
    "value": ("value", str),
    "confidence": ("confidence", str),
    "elasticity": ("elasticity", figure),
    "low": ("low", figure),
    "high": ("high", figure),
}
