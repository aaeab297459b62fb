"""Where an answer goes: standard output or a file, as a table, strict JSON or CSV; all of it or nothing."""

import contextlib
import csv
import dataclasses
import functools
import io
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from clustermodel.cli._options import FORMATS
from clustermodel.files import unwritable, write_whole
from clustermodel.report import rows, tables

Answer = Mapping[str, Any]

WIDTH = 100
"""Columns that a table may use; a terminal may have fewer."""

DOCUMENTS = {"calibration": "toml"}
"""Details that are texts in a form of their own, by suffix."""

_SUFFIXES = {"txt": "table"}
"""Forms that files are named otherwise."""

_LiteralConsole = functools.partial(Console, highlight=False, markup=False, emoji=False)
"""A console that prints text as it is, whatever rich would read into it."""


@dataclasses.dataclass(frozen=True)
class Destination:
    """A form, a file or standard output, and which part of an answer goes there."""

    form: str
    path: Path | None
    part: Callable[[Answer], Answer] = dict

    def write(self, answer: Answer) -> None:
        """Write the part, all of it or nothing."""
        text = _FORMS[self.form]
        if self.path is not None:
            write_whole(self.path, text(self.part(answer)))
        elif self.form == "table" and sys.stdout.isatty():
            screen = shutil.get_terminal_size().columns
            _print(self.part(answer), _LiteralConsole(width=min(screen, WIDTH)))
        else:
            sys.stdout.write(text(self.part(answer)))
        sys.stdout.flush()


def destinations(
    form: str | None, path: Path | None, detail: str = "", forms: Sequence[str] = FORMATS
) -> list[Destination]:
    """Where an answer goes; refuses a file that can't be before anything is computed.

    The suffix of the file is its form where none was asked for. An answer with a `detail` sends that list to
    the file, in the form of the suffix, and everything else to standard output. A detail of `DOCUMENTS` is a
    text that has one form only.
    """
    suffix = path.suffix.removeprefix(".").lower() if path else ""
    form_of_suffix = _SUFFIXES.get(suffix, suffix)
    by_suffix = form_of_suffix if form_of_suffix in forms else None
    if path is not None:
        if problem := unwritable(path):
            raise typer.BadParameter(problem, param_hint="--out")
        if suffix and not by_suffix and (not form or detail) and detail not in DOCUMENTS:
            raise typer.BadParameter(_unknown_suffix(path, forms), param_hint="--out")
    if not detail:
        return [Destination(form or by_suffix or forms[0], path)]

    def summary(answer: Answer) -> Answer:
        return {name: value for name, value in answer.items() if name != detail}

    def rows_only(answer: Answer) -> Answer:
        return {"kind": f"{answer['kind']}_{detail}", detail: answer[detail]}

    if path and detail in DOCUMENTS and suffix != DOCUMENTS[detail]:
        problem = (
            f"{path}: a {detail} is written as {DOCUMENTS[detail].upper()}; name it .{DOCUMENTS[detail]}"
        )
        raise typer.BadParameter(problem, param_hint="--out")
    in_file = "document" if detail in DOCUMENTS else by_suffix or "csv"
    files = [Destination(in_file, path, rows_only)] if path else []
    return [*files, Destination(form or "table", None, summary)]


def working(quiet: bool) -> AbstractContextManager[Any]:
    """A sign of life on a terminal while an answer is computed."""
    if quiet or not sys.stderr.isatty():
        return contextlib.nullcontext()
    return Console(stderr=True).status("computing")


def _json(answer: Answer) -> str:
    return json.dumps(rows.plain(answer), indent=2, allow_nan=False) + "\n"


def _csv(answer: Answer) -> str:
    text, table = io.StringIO(), rows.rows(answer)
    writer = csv.DictWriter(text, rows.columns(table), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def _document(answer: Answer) -> str:
    return next(str(value) for name, value in answer.items() if name in DOCUMENTS)


def _table(answer: Answer) -> str:
    text = io.StringIO()
    _print(answer, _LiteralConsole(file=text, width=WIDTH, color_system=None))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().split("\n")[:-1])


def _html(answer: Answer) -> str:
    from clustermodel.report.page import html

    return html(answer["sections"])


def _markdown(answer: Answer) -> str:
    from clustermodel.report.page import markdown

    return markdown(answer["sections"])


_FORMS: Mapping[str, Callable[[Answer], str]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "document": _document,
    "html": _html,
    "md": _markdown,
}


def _print(answer: Answer, console: Console) -> None:
    console.print(*tables.parts(answer), sep="\n")


def _unknown_suffix(path: Path, forms: Sequence[str]) -> str:
    known = [f".{suffix}" for suffix in (*forms, *_SUFFIXES) if _SUFFIXES.get(suffix, suffix) in forms]
    suffixes = ", ".join(each for each in known if each != ".table")
    return f"{path}: {path.suffix} is no form of this answer; name it {suffixes}, or choose with --format"
