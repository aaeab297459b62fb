"""Dated prices and rates: the `[[quotes]]` of prices/*.toml."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clustermodel.catalog import _read
from clustermodel.catalog._catalog import QUOTES, Catalog
from clustermodel.catalog._errors import ConfigError, did_you_mean
from clustermodel.catalog._provenance import Bounds, Written, read_written
from clustermodel.units import split, unit_scale

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_FIELDS = ("item", "basis", "date", "value")
_SAME_MARKET = 3
"""Months before the newest quote in which others tell of the same market."""
_BY_TRUST = ("measured", "published", "derived", "estimate", "assumption")
"""Confidences of a price, the best first: what somebody paid, what a seller asks, what others make of it."""


@dataclasses.dataclass(frozen=True)
class Quote:
    """One price or rate as somebody quoted it; `accelerator` is empty where it is about something else."""

    accelerator: str
    item: str
    basis: str
    date: str
    number: Written

    @property
    def unit(self) -> str:
        """The unit as written, such as "USD/h"."""
        return split(self.number.value or 0.0)[1]

    @property
    def si(self) -> float:
        """The value in SI, e.g. USD/s for a rent."""
        return self.number.si(self.unit)

    @property
    def range_si(self) -> tuple[float, float]:
        """Low and high in SI; the value itself where no range was written."""
        return self.number.range_si(self.unit)


def quotes(catalog: Catalog, accelerator: str | None = None) -> list[Quote]:
    """Every quote, or those of one accelerator (by any of its names), oldest first."""
    wanted = None if accelerator is None else catalog.slug("accelerators", accelerator)
    found = [quote for path in catalog.paths(QUOTES).values() for quote in _quotes_in(catalog, path)]
    chosen = [quote for quote in found if wanted in (None, quote.accelerator)]
    return sorted(chosen, key=lambda quote: (quote.date, quote.basis, quote.item))


def price_quote(catalog: Catalog, accelerator: str, basis: str, on_or_before: str) -> Quote:
    """What an accelerator costs on a basis at a date: YYYY, YYYY-MM or YYYY-MM-DD, inclusive.

    Of the quotes up to that date those within three months of the newest count; of these only the most
    trustworthy kind (paid, then published, then derived or guessed), and of an item quoted more than once only
    the last. The price is their median, with the range of all of them; item, date and source are those of the
    middle one, or of the lower of the two that it lies between.
    """
    if not _DATE.fullmatch(on_or_before):
        raise ConfigError(f"--price-date {on_or_before!r}: write a date such as 2026-07 or 2026-07-15")
    known = quotes(catalog, accelerator)
    on_basis = [quote for quote in known if quote.basis == basis]
    slug = catalog.slug("accelerators", accelerator)
    if not on_basis:
        bases = sorted({quote.basis for quote in known})
        has = f"it has {', '.join(bases)}" if bases else "it has no quotes; bottom_up needs none"
        raise ConfigError(f"no {basis} price of {slug} is known{did_you_mean(basis, bases)}; {has}")
    in_time = [quote for quote in on_basis if quote.date[: len(on_or_before)] <= on_or_before]
    if not in_time:
        raise ConfigError(
            f"no {basis} price of {slug} is known on or before {on_or_before}; "
            f"the first is of {on_basis[0].date}"
        )
    return _median(_that_count(in_time))


def _that_count(in_time: Sequence[Quote]) -> list[Quote]:
    """The quotes of the newest market and the best kind, each item once; `in_time` goes from old to new."""
    since = _month(in_time[-1].date) - _SAME_MARKET
    recent = [quote for quote in in_time if _month(quote.date) >= since]
    best = min(recent, key=_distrust)
    return list({quote.item: quote for quote in recent if _distrust(quote) == _distrust(best)}.values())


def _distrust(quote: Quote) -> int:
    return _BY_TRUST.index(quote.number.confidence)


def _month(date: str) -> int:
    """Months since the year 0; a year alone is its first month."""
    year, _, rest = date.partition("-")
    return 12 * int(year) + int(rest[:2] or 1)


def _median(found: Sequence[Quote]) -> Quote:
    """The quote in the middle, or the lower of two at half way to the other, with the range of all."""
    ordered = sorted(found, key=lambda quote: quote.si)
    middle, upper = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    if len(ordered) == 1:
        return middle
    price = (middle.si + upper.si) / 2 / unit_scale(middle.unit)[0]
    lowest = min(ordered, key=lambda quote: quote.range_si[0]).number
    highest = max(ordered, key=lambda quote: quote.range_si[1]).number
    number = dataclasses.replace(
        middle.number,
        value=f"{price:.12g} {middle.unit}".strip(),
        low=lowest.value if lowest.low is None else lowest.low,
        high=highest.value if highest.high is None else highest.high,
        note="; ".join(filter(None, (middle.number.note, f"the median of {len(ordered)} quotes"))),
    )
    return dataclasses.replace(middle, number=number)


def _quotes_in(catalog: Catalog, path: Any) -> Iterator[Quote]:
    table = catalog.table(path)
    if found := quote_problems(table, catalog.sources):
        raise ConfigError("\n  ".join([path.name, *found]))
    named = table.get("accelerator")
    slug = catalog.slug("accelerators", named) if named else ""
    for row in table["quotes"]:
        yield Quote(slug, row["item"], row["basis"], row["date"], read_written(row["value"]))


def quote_problems(table: Mapping[str, Any], sources: Mapping[str, Any]) -> list[str]:
    """Every mistake in a file of quotes, a sentence each."""
    known = ("name", "note", "accelerator", "quotes")
    found = [
        f"{key}: not a field of a list of quotes{did_you_mean(key, known)}"
        for key in table.keys() - set(known)
    ]
    found += [f"{key}: expected a text" for key in known[:3] if not isinstance(table.get(key, ""), str)]
    if not isinstance(table.get("quotes"), list):
        return [*found, "quotes: missing; write [[quotes]] tables"]
    for index, row in enumerate(table["quotes"]):
        found += [f"quotes[{index}]{problem}" for problem in _row_problems(row, sources)]
    return sorted(found)


def _row_problems(row: Any, sources: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(row, dict):
        yield f": expected a table, got {row!r}"
        return
    for key in row.keys() - set(_FIELDS):
        yield f".{key}: not a field of a quote{did_you_mean(key, _FIELDS)}"
    for key in _FIELDS[:3]:
        if not isinstance(row.get(key), str) or not row[key].strip():
            yield f".{key}: missing; expected a text"
    if isinstance(row.get("date"), str) and not _DATE.fullmatch(row["date"]):
        yield f".date: expected YYYY-MM or YYYY-MM-DD, got {row['date']!r}"
    value = row.get("value")
    unit = split(value["value"])[1] if isinstance(value, dict) and _is_number(value.get("value")) else ""
    for problem in _read.number_problems(value, unit, Bounds(least=float("-inf")), sources):
        yield f".value: {problem}"


def _is_number(value: Any) -> bool:
    return isinstance(value, str | float | int) and not isinstance(value, bool)
