"""The kinds of catalogue entries: their folder, their spec and the words they may carry."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import equinox as eqx

from clustermodel import scenarios, specs
from clustermodel.catalog._errors import ConfigError, did_you_mean
from clustermodel.catalog._shape import bad_shape


@dataclasses.dataclass(frozen=True)
class Kind:
    """One folder of configs/: which spec its files hold and which words besides numbers."""

    folder: str
    spec: type[eqx.Module]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The kind in the singular, as errors and `--set` say it."""
        return self.folder.removesuffix("s")


WORDS = ("name", "aliases", "note")
OFFER = ("model", "provider", "date")
"""What every list price says besides its numbers: of which model, by whom, since when."""
KINDS = {
    kind.folder: kind
    for kind in (
        Kind(
            "accelerators",
            specs.Accelerator,
            (*WORDS, "vendor", "architecture", "generation", "year", "status", "process", "price_basis"),
        ),
        Kind(
            "systems",
            specs.System,
            (*WORDS, "vendor", "accelerator", "cpus", "nics", "cooling"),
        ),
        Kind(
            "models",
            specs.Model,
            (*WORDS, "hf_id", "attention", "shape", "native", "four_bit", "date", "status"),
        ),
        Kind("workloads", specs.Workload, WORDS),
        Kind("engines", specs.Engine, WORDS),
        Kind("sites", specs.Site, (*WORDS, "region", "cooling")),
        Kind("prices", specs.Terms, WORDS),
        Kind("apis", scenarios.TokenPrices, (*WORDS, *OFFER)),
        Kind("contracts", scenarios.Contract, (*WORDS, "obligor", "supplier", "signed")),
        Kind("scenarios", scenarios.Scenario, (*WORDS, "question", "contracts", "supply", "metrics")),
    )
}
LISTS = ("aliases", "contracts", "metrics")
"""Words that are lists of names."""
SINGULAR = {kind.name: folder for folder, kind in KINDS.items()}

PRECISIONS = ("bf16", "fp16", "fp8", "int8", "fp4", "mxfp4", "nvfp4", "int4", "q4_k_m")
TENSORS = ("attention", "ffn", "experts")
"""What may be stored in formats of its own; `native` and `four_bit` name one for each."""


def folder_of(kind: str) -> str:
    """The folder of a kind given in the singular or plural."""
    folder = SINGULAR.get(kind.lower(), kind.lower())
    if folder not in KINDS:
        raise ConfigError(
            f"no kind of entry named {kind!r}{did_you_mean(kind, KINDS)}; there are {', '.join(KINDS)}"
        )
    return folder


def bad_words(kind: Kind, table: Mapping[str, Any]) -> Iterator[str]:
    """Everything wrong with the words of an entry, a sentence each."""
    if "name" not in table:
        yield "name: missing; write the name people use"
    if "accelerator" in kind.words and "accelerator" not in table:
        yield "accelerator: missing; write the slug of a file in accelerators/"
    if kind.folder == "apis":
        yield from (f"{word}: missing; a list price says it" for word in OFFER if word not in table)
    for word in kind.words:
        if word not in table:
            continue
        if word in ("native", "four_bit"):
            yield from (f"{word}: {problem}" for problem in _bad_formats(table[word]))
        elif word == "shape":
            yield from (f"shape.{problem}" for problem in bad_shape(table[word]))
        elif word in LISTS:
            if not _texts(table[word]):
                yield f"{word}: expected a list of names, got {table[word]!r}"
        elif word == "year":
            if type(table[word]) is not int:
                yield f"year: expected a year, got {table[word]!r}"
        elif not isinstance(table[word], str) or not table[word].strip():
            yield f"{word}: expected a text, got {table[word]!r}"


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and each.strip() for each in value)


def _bad_formats(formats: Any) -> Iterator[str]:
    if not isinstance(formats, dict):
        yield f"expected {{ {', '.join(TENSORS)} }}, got {formats!r}"
        return
    for name in TENSORS:
        if name not in formats:
            yield f"{name} missing; write one of {', '.join(PRECISIONS)}"
    for name, value in formats.items():
        if name not in TENSORS:
            yield f"{name!r} is none of {', '.join(TENSORS)}"
        elif value not in PRECISIONS:
            hint = did_you_mean(value, PRECISIONS) if isinstance(value, str) else ""
            yield f"{name} {value!r} is none of {', '.join(PRECISIONS)}{hint}"
