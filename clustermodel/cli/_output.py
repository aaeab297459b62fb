"""Where an answer goes: standard output or a file, as a table, strict JSON or CSV; all of it or nothing."""

import csv
import dataclasses
import functools
import io
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from clustermodel.report import rows, tables

WIDTH = 100
"""Columns that a table may use; a terminal may have fewer."""

_LiteralConsole = functools.partial(Console, highlight=False, markup=False, emoji=False)
"""A console that prints text as it is, whatever rich would read into it."""


@dataclasses.dataclass(frozen=True)
class Destination:
    """The form of the answer and the file it goes to, if any."""

    format: str
    path: Path | None

    @classmethod
    def of(cls, form: str | None, path: Path | None) -> "Destination":
        """Settle the form, by the file's suffix where none was asked for; refuse a file that can't be."""
        suffix = path.suffix.removeprefix(".") if path else ""
        if path is not None:
            _refuse_unwritable(path)
        return cls(form or (suffix if suffix in ("json", "csv") else "table"), path)

    def write(self, answer: Mapping[str, Any]) -> None:
        """Write the whole answer."""
        if self.path is not None:
            write_whole(self.path, self._text(answer))
        elif self.format == "table" and sys.stdout.isatty():
            screen = shutil.get_terminal_size().columns
            _print(answer, _LiteralConsole(width=min(screen, WIDTH)))
        else:
            sys.stdout.write(self._text(answer))
        sys.stdout.flush()

    def _text(self, answer: Mapping[str, Any]) -> str:
        return {"json": _json, "csv": _csv, "table": _table}[self.format](answer)


def _json(answer: Mapping[str, Any]) -> str:
    return json.dumps(rows.plain(answer), indent=2, allow_nan=False) + "\n"


def _csv(answer: Mapping[str, Any]) -> str:
    text, table = io.StringIO(), rows.rows(answer)
    writer = csv.DictWriter(text, rows.columns(table), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def _table(answer: Mapping[str, Any]) -> str:
    text = io.StringIO()
    _print(answer, _LiteralConsole(file=text, width=WIDTH, color_system=None))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().split("\n")[:-1])


def _print(answer: Mapping[str, Any], console: Console) -> None:
    console.print(*tables.parts(answer), sep="\n")


def _refuse_unwritable(path: Path) -> None:
    folder = path.parent
    problem = None
    if path.is_dir():
        problem = f"{path} is a folder; name a file in it"
    elif not folder.is_dir():
        problem = f"there is no folder {folder}; create it first"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        problem = f"{path} cannot be written; choose another place"
    if problem:
        raise typer.BadParameter(problem, param_hint="--out")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it: to a neighbour first, then renamed.

    Links are followed; what is no regular file (a pipe, a terminal) is written to directly.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8", newline="")
        return
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        if target.exists():
            part.chmod(target.stat().st_mode)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
