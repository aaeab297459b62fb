"""A report to look at and to pass on, from answers that were kept as JSON."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustermodel.cli import _readers as read
from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import Argument, Option

if TYPE_CHECKING:
    from clustermodel.report.document import Section

_RESULTS = Argument("results", read.path, "RESULT.json...", "answers of other commands, as JSON", True, True)
_FIGURES = Option("figures", read.path, "DIR", "also write every chart there, as PNG and SVG")
_TABLES = {
    "validate_rows": (("metric", "mode"), ("measured", "predicted")),
    "capex": (("company", "period"), ("usd",)),
}
"""Tables that have charts: columns of names and columns of numbers; `catalog list capex --format csv` is one."""


@command(_RESULTS, _FIGURES, forms=("html", "md"))
def report(ask: Ask) -> Answer:
    """One page on one or several answers: the answer first, charts, tables, inputs, guesses and sources.

    The page is one file that loads nothing: it can be mailed, printed and kept. Rows of `validate --out rows.csv`
    become charts of predicted against measured, a CSV of company, period and usd one of capital spending.

    Example: clustermodel report my-answer.json --out my-report.html
    """
    from clustermodel.report.extras import need

    ask.refuse_changes("a report shows answers as they are; give it to the command that computes them")
    _refuse_overwriting(ask.options["results"], ask.out)
    need("report", "matplotlib", "jinja2")
    sections = [_section(path) for path in ask.options["results"]]
    if folder := ask.options.get("figures"):
        from clustermodel.report.page import figures

        ask.say(f"wrote {len(figures(sections, folder))} files to {folder}")
    return ask.answer("report", sections=sections)


def _refuse_overwriting(results: Sequence[Path], out: Path | None) -> None:
    """Refuse a page in the place of an answer that it shows."""
    from clustermodel.catalog import ConfigError

    for path in results:
        if out and out.exists() and path.exists() and path.samefile(out):
            raise ConfigError(f"--out {out}: the page would take the place of the answer; name another file")


def _section(path: Path) -> "Section":
    """The part of the report on the answer in a file, or one sentence that says what is wrong with it."""
    from clustermodel.catalog import ConfigError
    from clustermodel.report.document import section

    answer = _read(path)
    try:
        return section(answer)
    except (
        LookupError,
        ArithmeticError,
        TypeError,
        ValueError,
        AttributeError,
        StopIteration,
        RecursionError,
    ) as error:
        raise ConfigError(
            f"{path}: not a whole {answer['kind']} answer ({error}); make it anew with --format json"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    """The answer in a file as it was written."""
    from clustermodel.catalog import ConfigError
    from clustermodel.report.kinds import unreadable

    try:
        text = path.read_text(encoding="utf-8-sig")
        answer = _tabled(path, text) if path.suffix.lower() == ".csv" else _answer(text)
    except (ValueError, RecursionError) as error:  # no text, no JSON, no numbers
        if isinstance(error, ConfigError):
            raise
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("kind"), str):
        raise ConfigError(
            f"{path}: neither an answer of clustermodel (--format json) nor rows of `validate --out rows.csv`"
        )
    if problem := unreadable(answer):
        raise ConfigError(f"{path}: {problem}")
    return answer


def _answer(text: str) -> Any:
    """JSON as our own commands write it: NaN and infinity are no part of it."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def _tabled(path: Path, text: str) -> dict[str, Any] | None:
    """The rows of a table whose columns we know, as an answer."""
    reader = csv.DictReader(text.splitlines())
    rows = [(reader.line_num, row) for row in reader]
    for kind, (names, numbers) in _TABLES.items():
        if rows and {*names, *numbers} <= rows[0][1].keys():
            read = [
                row | {name: _number(row[name], f"{path}:{line}: {name}") for name in numbers}
                for line, row in rows
            ]
            return {"kind": kind, "rows": read}
    return None


def _number(text: str | None, where: str) -> float | None:
    """The number of a cell; None where it is empty."""
    from clustermodel.catalog import ConfigError

    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"{where}: write a finite number, got {text!r:.40}")
    return value
