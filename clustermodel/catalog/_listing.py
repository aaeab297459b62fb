"""Entries as plain rows: lists of a kind, and every number of one entry."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from clustermodel import specs
from clustermodel.catalog._catalog import QUOTES, Catalog, Entry
from clustermodel.catalog._kinds import KINDS
from clustermodel.catalog._override import TIER
from clustermodel.catalog._provenance import Written
from clustermodel.catalog._quotes import quotes
from clustermodel.catalog._read import Table, nested, subtables
from clustermodel.units import parse, split, unit_scale

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Column:
    """One fact of a list: its heading, the field it comes from and the unit it is shown in; or a word."""

    heading: str
    path: str
    unit: str | None = None  # None for a word


_COLUMNS = {
    "accelerators": (
        _Column("vendor", "vendor"),
        _Column("year", "year"),
        _Column("memory_gb", "memory[0].capacity", "GB"),
        _Column("bandwidth_tb_per_s", "memory[0].bandwidth", "TB/s"),
        _Column("bf16_tflops", "flops_bf16", "TFLOP/s"),
        _Column("fp8_tflops", "flops_fp8", "TFLOP/s"),
        _Column("fp4_tflops", "flops_fp4", "TFLOP/s"),
        _Column("tdp_w", "tdp", "W"),
        _Column("price_usd", "price", "USD"),
    ),
    "systems": (
        _Column("vendor", "vendor"),
        _Column("accelerator", "accelerator"),
        _Column("count", "count", ""),
        _Column("max_power_kw", "max_power", "kW"),
        _Column("price_usd", "price", "USD"),
    ),
    "models": (
        _Column("params_b", "total_params", ""),
        _Column("layers", "layers", ""),
        _Column("attention", "attention"),
        _Column("context_tokens", "context", "token"),
        _Column("cache_elems_per_token", "kv_elems", "1/token"),
    ),
    "workloads": (
        _Column("isl_tokens", "isl", "token"),
        _Column("osl_tokens", "osl", "token"),
        _Column("prefix_hit_rate", "prefix_hit_rate", ""),
        _Column("peak_to_mean", "peak_to_mean", ""),
    ),
    "engines": (
        _Column("max_num_seqs", "max_num_seqs", ""),
        _Column("chunk_tokens", "chunk", "token"),
        _Column("memory_fraction", "memory_fraction", ""),
    ),
    "sites": (
        _Column("region", "region"),
        _Column("usd_per_kwh", "electricity", "USD/kWh"),
        _Column("pue", "pue", ""),
        _Column("facility_usd_per_w", "facility_capex", "USD/W"),
        _Column("carbon_kg_per_kwh", "carbon", "kg/kWh"),
    ),
    "prices": (
        _Column("wacc", "wacc", ""),
        _Column("life_years", "life", "year"),
        _Column("residual_fraction", "residual_fraction", ""),
        _Column("price_factor", "price_factor", ""),
    ),
    "apis": (
        _Column("model", "model"),
        _Column("provider", "provider"),
        _Column("date", "date"),
        _Column("usd_per_mtok_input", "uncached", "USD/Mtok"),
        _Column("usd_per_mtok_cached_input", "cached", "USD/Mtok"),
        _Column("usd_per_mtok_output", "output", "USD/Mtok"),
    ),
    "contracts": (
        _Column("obligor", "obligor"),
        _Column("supplier", "supplier"),
        _Column("value_usd", "value", "USD"),
        _Column("term_years", "term", "year"),
        _Column("power_mw", "power", "MW"),
        _Column("take_or_pay", "take_or_pay", ""),
    ),
    "scenarios": (_Column("question", "question"),),
}
_SCALES = {"params_b": 1e9}
_NEAREST = "memory[0]."


def catalog_rows(catalog: Catalog, folder: str) -> list[Row]:
    """One row per entry of a kind, or per quote for "quotes"; None where a number is unknown or not given."""
    if folder == QUOTES:
        return [_quote_row(quote) for quote in quotes(catalog)]
    rows = []
    for slug, path in catalog.paths(folder).items():
        table = catalog.table(path)
        facts = {column.heading: _fact(table, column) for column in _COLUMNS[folder]}
        memory = _system_memory(catalog, table, facts["count"]) if folder == "systems" else {}
        rows.append({"slug": slug, "name": table.get("name"), **facts, **memory})
    return rows


def _system_memory(catalog: Catalog, table: Table, count: float | None) -> Row:
    """Capacity and bandwidth of the nearest tier of a whole system: its accelerators', or its own pool."""
    parts, name = catalog.paths("accelerators"), str(table.get("accelerator")).lower()
    slug = catalog.names("accelerators").get(name)
    part = catalog.table(parts[slug]) if slug else {}
    columns = (
        _Column("memory_tb", _NEAREST + "capacity", "TB"),
        _Column("tb_per_s", _NEAREST + "bandwidth", "TB/s"),
    )
    own = {column.heading: _fact(table, column) for column in columns}
    near = {column.heading: _fact(part, column) for column in columns}
    shared = {heading: each * count for heading, each in near.items() if each is not None and count}
    return {**dict.fromkeys(own), **shared} if part.get("memory") else own


def _quote_row(quote: Any) -> Row:
    head = {name: getattr(quote, name) for name in ("accelerator", "item", "basis", "date")}
    return {**head, **_number_row(quote.number)}


def _fact(table: Table, column: _Column) -> Any:
    row: Any = table
    for key in column.path.replace("[0]", ".0").split("."):
        row = _child(row, key)
    if column.unit is None or not isinstance(row, Mapping) or "value" not in row:
        return row if column.unit is None else None
    try:
        number = parse(row["value"], expect=column.unit)
    except ValueError:  # `catalog check` says what is wrong with it
        return None
    return number / unit_scale(column.unit)[0] / _SCALES.get(column.heading, 1.0)


def _child(row: Any, key: str) -> Any:
    if isinstance(row, list):
        return row[0] if row and key == "0" else None
    return row.get(key) if isinstance(row, Mapping) else None


def entry_rows(entry: Entry[Any]) -> list[Row]:
    """Every number of an entry as it was written, with the meaning of its field."""
    return [
        {"field": path, **_number_row(number), "meaning": _meaning(entry, path)}
        for path, number in entry.provenance.items()
    ]


def _number_row(number: Written) -> Row:
    value, unit = (None, "") if number.value is None else split(number.value)
    low, high = (None if text is None else split(text)[0] for text in (number.low, number.high))
    return {
        "value": value,
        "unit": unit,
        "source": number.source,
        "confidence": number.confidence,
        "low": low,
        "high": high,
        "note": number.note,
        "date": number.date,
    }


def _meaning(entry: Entry[Any], path: str) -> str:
    """The `doc` of the field that a path ends in."""
    spec = KINDS[entry.kind].spec
    *parents, field = path.split(".")
    for parent in parents:
        spec = specs.MemoryTier if TIER.match(f"{parent}.") else {**nested(spec), **subtables(spec)}[parent]
    return specs.fields(spec)[field].metadata["doc"]
