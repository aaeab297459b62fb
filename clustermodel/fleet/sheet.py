"""Read a CSV file as texts, with the line that every row starts on."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from clustermodel.catalog import ConfigError

Line = tuple[int, list[str]]


def read_sheet(path: Path) -> pd.DataFrame:
    """The rows of a CSV file under its headers, as texts; the index is the line in the file, blank lines counted.

    Empty cells beyond the last header, as spreadsheets leave them, mean nothing; others are refused.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(_lines(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if not lines:
        raise ConfigError(f"{path}: cannot be read: it is empty; begin it with a line of headers")
    headers = _without_empty_end(lines[0][1], 0)
    rows = [(line, _without_empty_end(cells, len(headers))) for line, cells in lines[1:]]
    wrong = [
        f"{path.name}: line {line}: {len(cells)} cells under {len(headers)} headers; quote a text that has "
        "commas and write numbers without them"
        for line, cells in rows
        if len(cells) > len(headers)
    ]
    wrong += [
        f"{path.name}: column {name!r} stands there twice; keep one"
        for name in dict.fromkeys(headers)
        if headers.count(name) > 1
    ]
    if wrong:
        raise ConfigError("\n  ".join(wrong))
    texts = [cells + [""] * (len(headers) - len(cells)) for _, cells in rows]
    return pd.DataFrame(texts, columns=headers, index=[line for line, _ in rows], dtype=str)


def _lines(file: Iterator[str]) -> Iterator[Line]:
    """Every line that is not blank, with its number as editors count."""
    reader = csv.reader(file, skipinitialspace=True, strict=True)
    last = 0
    for cells in reader:
        start, last = last + 1, reader.line_num
        if any(cell.strip() for cell in cells):
            yield start, cells


def _without_empty_end(cells: list[str], least: int) -> list[str]:
    """The cells up to the last that is not empty, at least so many."""
    used = max((i + 1 for i, cell in enumerate(cells) if cell.strip()), default=0)
    return cells[: max(used, least)]
