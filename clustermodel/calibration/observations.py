"""One form for all measured serving rows: what was run, on what, and what was seen."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from clustermodel.assembly.formats import BYTES
from clustermodel.catalog import Catalog, ConfigError

FOLDER = "measurements"
TABLE = "serving.csv"
FLAGS = "serving_flags.csv"

TEXT: dict[str, str] = {
    "id": "key of the row in its source table",
    "system": "system slug; empty where the catalogue does not know it",
    "model": "model slug; empty where the catalogue does not know it",
    "engine": "serving engine",
    "version": "engine version, or mYYMM, the month of the run, where it is not stated",
    "precision": "format of weights and activations; empty: the model's own",
    "kv_precision": "format of the cache; empty: not stated",
    "scenario": "how load was offered (see data formats)",
    "speculation": "none, mtp (stated), inferred (from timing against a labelled twin) or empty (not stated)",
    "flag": "why the row should not be scored as it stands; empty: no objection",
    "measurement": "rows of one measurement share it",
    "source": "key in sources.toml",
    "date": "day or month of the run or its publication",
}
NUMBERS: dict[str, str] = {
    "n_accelerators": "accelerators of the deployment, all pools",
    "tp": "tensor-parallel ranks of a worker (of the decode pool, where there are two)",
    "pp": "pipeline stages of a worker",
    "dp": "attention-data-parallel ranks of a worker",
    "ep": "expert-parallel ranks of a worker",
    "workers": "replicas that share the load; 0: not stated",
    "prefill_tp": "the same for the prefill pool",
    "prefill_pp": "the same for the prefill pool",
    "prefill_dp": "the same for the prefill pool",
    "prefill_ep": "the same for the prefill pool",
    "prefill_workers": "the same for the prefill pool",
    "disaggregated": "1 where prefill and decode run on pools of their own",
    "layout_assumed": "1 where the source does not state the layout in full",
    "isl": "true mean input tokens of a request",
    "osl": "true mean output tokens of a request",
    "depth": "tokens of each sequence that were in the cache before the prompt",
    "equal_lengths": "1 where all requests have the same lengths",
    "concurrency": "requests in flight of the deployment; sequences of a static batch",
    "ttft_ms": "mean time to first token",
    "tpot_ms": "mean time per output token",
    "output_tok_s_per_accelerator": "output tokens/s over all accelerators",
    "total_tok_s_per_accelerator": "input and output tokens/s over all accelerators",
    "power_w": "mean board power per accelerator",
    "usd_per_mtok": "published price per million tokens",
    "usd_per_accelerator_hour": "the price behind it",
    "usd_output_only": "1 where that price is per million output tokens, else all tokens",
}
COLUMNS = (*TEXT, *NUMBERS)
REQUIRED = ("system", "model", "engine", "isl", "osl", "concurrency")
"""What a user's own table must have; everything else has a neutral default."""

_DEFAULTS = {"pp": 1.0, "dp": 1.0, "ep": 1.0, "workers": 1.0, "disaggregated": 0.0, "layout_assumed": 0.0}
_DEFAULTS |= {"equal_lengths": 0.0, "usd_output_only": 0.0, "prefill_workers": 0.0, "depth": 0.0}
_ZERO_ONE = ("disaggregated", "layout_assumed", "equal_lengths", "usd_output_only")
RANKS = frozenset(f"{pool}{axis}" for pool in ("", "prefill_") for axis in ("tp", "pp", "dp", "ep"))
FORMATS = frozenset({"precision", "kv_precision"})
CLOSED_LOOP = "online-closed-loop"
UNSTATED = 0.0
"""Worker count of a pool whose source does not state it."""


@dataclasses.dataclass(frozen=True)
class Names:
    """What the catalogue knows about the names in a table."""

    systems: Mapping[str, str]
    models: Mapping[str, str]
    experts: frozenset[str]  # models with routed experts

    def system(self, names: pd.Series) -> pd.Series:
        """Slugs of systems; empty where unknown."""
        return _resolved(names, self.systems)

    def model(self, names: pd.Series) -> pd.Series:
        """Slugs of models; empty where unknown."""
        return _resolved(names, self.models)

    def is_moe(self, slugs: pd.Series) -> pd.Series:
        """Whether a model has routed experts."""
        return slugs.isin(self.experts)


def _resolved(names: pd.Series, known: Mapping[str, str]) -> pd.Series:
    return names.astype(str).str.strip().str.lower().map(known).fillna("")


def names(catalog: Catalog) -> Names:
    """Names and aliases of systems and models, and which models are mixtures of experts."""
    paths = catalog.paths("models")
    tables = {slug: catalog.table(path) for slug, path in paths.items()}
    experts = frozenset(slug for slug, table in tables.items() if "n_experts" in table)
    return Names(catalog.names("systems"), catalog.names("models"), experts)


Reader = Callable[[pd.DataFrame, Names], pd.DataFrame]


def read_observations(catalog: Catalog, data: Path | None, readers: Mapping[str, Reader]) -> pd.DataFrame:
    """All rows of `data`, or of the table that ships with the package, in one form (`COLUMNS`).

    `readers` are keyed by a column that only their format has; a table with none of these columns is read as
    the package's own format.
    """
    known = names(catalog)
    if data is None:
        return with_flags(own_format(shipped_table(catalog, TABLE), known), flags(catalog))
    raw = read_table(data)
    reader = next((read for column, read in readers.items() if column in raw.columns), own_format)
    try:
        rows = reader(raw, known)
    except ConfigError as error:
        raise ConfigError(f"{data}: {error}") from None
    if "flagged" in raw.columns:
        flagged = ~raw["flagged"].astype(object).fillna("").astype(str).isin(["", "0", "0.0", "False"])
        rows["flag"] = rows["flag"].where(~flagged | rows["flag"].ne(""), "flagged by the table")
    return with_flags(with_known_facts(rows, shipped_rows(catalog)), flags(catalog))


def shipped(catalog: Catalog, name: str) -> Path:
    """A file of the measurements folder; the first configs folder that has it wins."""
    files = [folder / FOLDER / name for folder in catalog.folders]
    return next((file for file in files if file.exists()), files[-1])


def shipped_table(catalog: Catalog, name: str) -> pd.DataFrame:
    """A table of the measurements folder as it stands."""
    return read_table(shipped(catalog, name))


def shipped_rows(catalog: Catalog) -> pd.DataFrame:
    """The table that ships with the package, without flags."""
    return own_format(shipped_table(catalog, TABLE), names(catalog))


def flags(catalog: Catalog) -> pd.DataFrame:
    """Rows known to be unfit for scoring as they stand: id, flag, use, reason."""
    return shipped_table(catalog, FLAGS).fillna("")


def read_table(path: Path) -> pd.DataFrame:
    """The table; a row's label is its line in the file less 2, so blank lines leave gaps."""
    try:
        raw = pd.read_csv(path, low_memory=False, skip_blank_lines=False)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ConfigError(f"{path}: cannot be read as CSV: {error}") from None
    if not isinstance(raw.index, pd.RangeIndex):
        raise ConfigError(
            f"{path}: rows have more fields than the header has names; take commas off their ends"
        )
    if len(raw.columns) == 1 and (other := next((each for each in ";\t" if each in raw.columns[0]), "")):
        raise ConfigError(f"{path}: fields are separated by {other!r}; separate them by commas")
    return raw.dropna(how="all")


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with every column of `COLUMNS`, text as text and numbers as numbers."""
    filled = pd.DataFrame(index=rows.index)
    for name in TEXT:
        column = rows[name] if name in rows else pd.Series("", index=rows.index)
        filled[name] = column.astype(object).fillna("").astype(str).str.strip()
    for name in NUMBERS:
        column = rows[name] if name in rows else pd.Series(np.nan, index=rows.index)
        filled[name] = (
            pd.to_numeric(column, errors="coerce").astype(float).fillna(_DEFAULTS.get(name, np.nan))
        )
    return filled


def own_format(raw: pd.DataFrame, known: Names) -> pd.DataFrame:
    """Rows of the package's own format, which is also the simplest for a user's table."""
    rows = complete(checked(raw, REQUIRED, NUMBERS))
    rows["system"], rows["model"] = known.system(rows["system"]), known.model(rows["model"])
    rows["engine"] = rows["engine"].str.lower()
    rows["scenario"] = rows["scenario"].where(rows["scenario"].ne(""), CLOSED_LOOP)
    unnamed = rows["id"].eq("")
    rows["id"] = rows["id"].where(
        ~unnamed, "row " + pd.Series(range(1, len(rows) + 1), rows.index).astype(str)
    )
    rows["measurement"] = rows["measurement"].where(rows["measurement"].ne(""), rows["id"])
    return rows


def checked(raw: pd.DataFrame, required: Iterable[str], numbers: Iterable[str]) -> pd.DataFrame:
    """The table with plain names of its columns and labels in order, if numbers are numbers and nothing lacks."""
    raw = raw.rename(columns=lambda name: name.strip().lower())
    if problems := list(_problems(raw, required, numbers)):
        raise ConfigError("\n  ".join(["not a table of measurements", *problems]))
    return raw.reset_index(drop=True)


def _problems(raw: pd.DataFrame, required: Iterable[str], numeric: Iterable[str]) -> Iterator[str]:
    for name in raw.columns[raw.columns.duplicated()]:
        yield f"column {name}: written twice; leave one"
    if raw.columns.has_duplicates:
        return
    for name in required:
        if name not in raw.columns:
            yield f"column {name}: missing; the table needs {', '.join(required)}"
    for name in FORMATS.intersection(raw.columns):
        stated = raw[name].dropna().astype(str).str.strip().str.lower()
        for index in stated.index[~stated.isin(["", *BYTES])][:1]:
            yield f"column {name}, line {index + 2}: {stated[index]!r} is none of {', '.join(BYTES)}"
    for name in [each for each in numeric if each in raw.columns]:
        column = raw[name]
        numbers = pd.to_numeric(column, errors="coerce")
        for index in numbers.index[numbers.isna() & column.notna()][:1]:
            yield f"column {name}, line {index + 2}: expected a number, got {column[index]!r}"
        for index in numbers.index[numbers < 0][:1]:
            yield f"column {name}, line {index + 2}: {numbers[index]:g} is negative"
        for index in numbers.index[np.isinf(numbers)][:1]:
            yield f"column {name}, line {index + 2}: expected a finite number; leave unmeasured cells empty"
        if name in RANKS:
            for index in numbers.index[(numbers < 1) | (numbers % 1 > 0)][:1]:
                yield f"column {name}, line {index + 2}: expected a whole number of at least 1"
        if name in _ZERO_ONE and not numbers.dropna().isin([0, 1]).all():
            yield f"column {name}: expected 0 or 1"


def with_flags(rows: pd.DataFrame, listed: pd.DataFrame) -> pd.DataFrame:
    """Mark the rows that are listed; a row that carries several flags shows the first."""
    first = listed.drop_duplicates("id").set_index("id")["flag"]
    flag = rows["id"].map(first).fillna("")
    return rows.assign(flag=rows["flag"].where(rows["flag"].ne(""), flag))


FACTS = (
    "speculation",
    "workers",
    "layout_assumed",
    *sorted(RANKS),
    "prefill_workers",
    "n_accelerators",
)


def with_known_facts(rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Fill what a published table leaves open from the shipped copy of the same measurement.

    Only pools and speculation are filled, and only where the row itself does not state them.
    """
    facts = known[known["measurement"].ne("")].drop_duplicates("measurement").set_index("measurement")
    twin = rows["measurement"].where(rows["measurement"].isin(facts.index))
    open_layout = twin.notna() & (rows["layout_assumed"] > 0) & (rows["disaggregated"] > 0)
    for name in FACTS:
        where = twin.notna() & rows["speculation"].eq("") if name == "speculation" else open_layout
        rows[name] = rows[name].mask(where, twin.map(facts[name]))
    return rows
