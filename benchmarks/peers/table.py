"""The result as text, at most a hundred columns wide."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

WIDTH = 100
RATES = ("from_names", "prepared", "batched")
HEAD = (
    f"{'':<23}{'':>8}{'|error| of TPOT in %':>31}{'evaluations per second':>30}{'ours':>8}",
    f"{'tool':<23}{'answers':>8}{'median':>7}{'90 %':>7}{'bias':>7}{'< bound':>10}"
    f"{'by name':>9}{'prepared':>11}{'batched':>10}{'/ its':>8}",
)


def text(result: Mapping[str, Any]) -> str:
    """The table with what is needed to read it."""
    return "\n".join(line.rstrip() for line in _lines(result))


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    rows, tools = result["rows"]["n"], result["tools"]
    yield f"{rows:,} measured aggregated rows; {result['device']}, {result['cores']} cores, {result['date']}"
    yield from ("", *HEAD, f"the {result['common']['n']:,} rows that all answer")
    for name, found in result["common"]["errors"].items():
        tool = tools[name]
        yield f"{name:<23}{tool['answers']:>8,}{_errors(found)}{_speed(tool)}"
    for name, own in result["answered_by"].items():
        part = own[result["largest_source"]]
        yield f"the {own['n']:,} rows that {name} answers"
        yield from (f"{tool:<23}{'':>8}{_errors(found)}" for tool, found in own["errors"].items())
        yield f"the {part['n']:,} of them from {result['largest_source']}"
        yield from (f"{tool:<23}{'':>8}{_errors(found)}" for tool, found in part["errors"].items())
    yield from _notes(result)


def _errors(found: Mapping[str, Any]) -> str:
    numbers = (found[f"{name}_pct"] for name in ("median_abs", "p90_abs", "bias"))
    signs = ("7.1f", "7.1f", "+7.1f")
    cells = (f"{'-':>7}" if x is None else f"{x:{sign}}" for x, sign in zip(numbers, signs, strict=True))
    return "".join(cells) + f"{found['below_bound']:>10,}"


def _speed(tool: Mapping[str, Any]) -> str:
    cells = (_rounded(tool["per_s"].get(name)) for name in RATES)
    ratio = _rounded(tool["ours_per_its"])
    return "".join(f"{cell:>{width}}" for cell, width in zip((*cells, ratio), (9, 11, 10, 8), strict=True))


def _rounded(value: float | None) -> str:
    """Two significant digits."""
    if value is None:
        return "-"
    short = float(f"{value:.2g}")
    return f"{short:,.0f}" if short >= 10 else f"{short:g}"


def _notes(result: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    for name, tool in result["tools"].items():
        for reason, n in tool["reasons"].items():
            yield f"{name} does not answer {n:,} rows: {reason}"
        yield from _wrapped(f"{name} {tool['version']}: {tool['has_seen']}")
    yield from _wrapped(result["reading"])
    yield "clustermodel with rows left out of its fit, median / 90 % of |error|"
    for each in result["left_out"]:
        numbers = f"{each['median_abs_pct']:.1f} / {each['p90_abs_pct']:.1f} %"
        yield f"  each {each['left_out']:<7}{numbers:>14} of {each['n']:,} rows, source {each['source']}"


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, subsequent_indent="  ")
