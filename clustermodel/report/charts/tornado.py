"""What an answer hangs on: how far each uncertain number moves it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from clustermodel.report.charts.data import Axis, Chart, Span, Spans
from clustermodel.report.figures import GUESSES, figure, label, words

_SHOWN = 12
_INDEX = re.compile(r"\[0\]\.|\.")  # the nearest memory is the memory


def tornado(answer: Mapping[str, Any]) -> Iterator[Chart]:
    """Ranges of the output over the ranges of the inputs, in shares of the output; the widest first."""
    output = label(answer["inputs"]["output"])
    wide = [row for row in answer["elasticities"] if row["high"] > row["low"]][:_SHOWN]
    if wide:
        yield Spans(
            "tornado",
            f"What the {output} hangs on",
            f"{_name(wide[0])} moves it the most: from {figure(wide[0]['low'])} to {figure(wide[0]['high'])} "
            "times its value.",
            Axis(f"{output} over its value", "1"),
            1.0,
            tuple(
                Span(_name(row), float(row["low"]), float(row["high"]), row["confidence"] in GUESSES)
                for row in wide
            ),
        )
    yield elasticities(answer)


def elasticities(answer: Mapping[str, Any]) -> Spans:
    """Per cent of change of the output for a per cent of each number, the largest first."""
    rows = sorted(answer["elasticities"], key=lambda row: -abs(row["elasticity"]))[:_SHOWN]
    output = label(answer["inputs"]["output"])
    spans = (
        Span(_name(row), min(e, 0.0), max(e, 0.0), row["confidence"] in GUESSES)
        for row in rows
        for e in (float(row["elasticity"]),)
    )
    return Spans(
        "elasticities",
        f"Elasticities of the {output}",
        f"One per cent more {_name(rows[0])} changes it by {figure(rows[0]['elasticity'])} %.",
        Axis(f"change of the {output} for 1 %", "%"),
        0.0,
        tuple(spans),
    )


def _name(row: Mapping[str, Any]) -> str:
    kind = str(row["entry"]).partition("/")[0]
    return f"{kind}: {words(_INDEX.sub(' ', str(row['field']).removeprefix('accelerator.')))}"
