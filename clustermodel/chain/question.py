"""A question as it is asked, and what is wrong with it."""

import dataclasses
import math
from typing import Any

from clustermodel.catalog import ConfigError, Entry
from clustermodel.chain.typed import typed
from clustermodel.economics.allocation import ALLOCATIONS, SINGLE_CLASS
from clustermodel.specs import Engine, Model, Site, System, Workload

BASES = ("bottom_up", "hyperscaler", "neocloud", "rental_3y", "on_demand")
PERCENTILES = (50, 90, 99)
WITHIN_POOLS = ("time_weighted", "disaggregated", *SINGLE_CLASS)
"""Allocations of pools: time-weighted within each pool is what `disaggregated` means."""
_POSITIVE = ("isl", "osl", "concurrency", "rate", "max_ttft_ms", "max_tpot_ms", "n_accelerators")
_AXES = ("tp", "pp", "ep", "dp")
_POOLS = ("prefill_tp", "prefill_pp", "prefill_ep", "prefill_dp", "prefill_workers", "decode_workers")
_MOST_DRAFTED = 64
_MOST = 1e12  # beyond this a number is a slip, not a workload


@dataclasses.dataclass(frozen=True)
class Question:
    """One deployment to cost; None means the default, or that it is searched for the cheapest.

    Names are resolved in the catalogue; an `Entry`, perhaps with changed numbers, stands for itself.
    """

    system: str | Entry[System]
    model: str | Entry[Model]
    engine: str | Entry[Engine] = "vllm"
    workload: str | Entry[Workload] = "chat-1k"
    isl: float | None = None
    osl: float | None = None
    prefix_hit_rate: float | None = None
    concurrency: float | None = None
    rate: float | None = None
    draft_tokens: float | None = None
    acceptance: float | None = None
    adapters: float | None = None
    adapter_mb: float | None = None
    adapter_share: float | None = None
    max_ttft_ms: float | None = None
    max_tpot_ms: float | None = None
    percentile: int | None = None
    n_accelerators: int | None = None
    tp: int | None = None
    pp: int | None = None
    ep: int | None = None
    dp: int | None = None
    prefill_system: str | Entry[System] | None = None
    prefill_tp: int | None = None
    prefill_pp: int | None = None
    prefill_ep: int | None = None
    prefill_dp: int | None = None
    prefill_workers: int | None = None
    decode_workers: int | None = None
    precision: str | None = None
    kv_precision: str | None = None
    cost_basis: str = "bottom_up"
    price_date: str | None = None
    allocation: str = "time_weighted"
    effects: str = "full"
    calibration: str | None = None
    site: str | Entry[Site] = "us-average"
    utilisation: float | None = None

    @classmethod
    def of(cls, **given: Any) -> "Question":
        """The question of values as people give them; a `ConfigError` says which are of a wrong kind."""
        return cls(**typed(cls, given, option))

    def put_to(self, system: Any) -> "Question":
        """The same question about another system."""
        return dataclasses.replace(self, **typed(Question, {"system": system}, option))

    @property
    def fixed_axes(self) -> dict[str, int]:
        """The layout axes that the question names."""
        return {axis: getattr(self, axis) for axis in _AXES if getattr(self, axis) is not None}

    @property
    def disaggregated(self) -> bool:
        """Whether prefill and decode get pools of their own: asked by the allocation or by any option of pools."""
        stated = [getattr(self, field) is not None for field in ("prefill_system", *_POOLS)]
        return self.allocation == "disaggregated" or any(stated)


def named(given: str | Entry[Any]) -> str:
    """The name of an entry, whichever way it was given."""
    return given if isinstance(given, str) else given.slug


def option(field: str) -> str:
    """The command-line spelling of a field."""
    return "--" + field.replace("_", "-")


def check(question: Question) -> None:
    """Raise a `ConfigError` with every mistake that needs no catalogue to see."""
    problems = [*_bad_numbers(question), *_bad_choices(question)]
    if question.concurrency is not None and question.rate is not None:
        problems.append("--concurrency and --rate exclude each other; give the one you know")
    if question.percentile is not None and question.rate is None:
        problems.append("--percentile needs --rate: a closed loop has means only")
    if question.price_date is not None and question.cost_basis == "bottom_up":
        dated = ", ".join(BASES[1:])
        problems.append(f"--price-date needs dated prices: leave it out, or write a --cost-basis of {dated}")
    if problems:
        raise ConfigError("\n".join(problems))


def _bad_numbers(question: Question) -> list[str]:
    problems = []
    for field in (*_POSITIVE, *_AXES, *_POOLS, "utilisation"):
        value = getattr(question, field)
        if value is not None and not (math.isfinite(value) and 0 < value <= _MOST):
            problems.append(f"{option(field)} {value}: write a positive number of at most {_MOST:g}")
    if question.utilisation is not None and question.utilisation > 1:
        problems.append(f"--utilisation {question.utilisation}: write a share in (0, 1]")
    hit = question.prefix_hit_rate
    if hit is not None and not 0 <= hit < 1:
        problems.append(f"--prefix-hit-rate {hit}: write a share in [0, 1)")
    if question.draft_tokens is not None and not 0 <= question.draft_tokens <= _MOST_DRAFTED:
        problems.append(f"--draft-tokens {question.draft_tokens}: write 0 to {_MOST_DRAFTED} tokens")
    if question.acceptance is not None and not 0 <= question.acceptance <= 1:
        problems.append(f"--acceptance {question.acceptance}: write a share in [0, 1]")
    if question.adapters and not question.adapter_mb and isinstance(question.workload, str):
        problems.append(f"--adapters {question.adapters:g} needs --adapter-mb, the size of one adapter")
    for field in ("adapters", "adapter_mb", "adapter_share"):
        value = getattr(question, field)
        if value is not None and not 0 <= value <= (1 if field == "adapter_share" else _MOST):
            kind = "a share in [0, 1]" if field == "adapter_share" else "a number of at least 0"
            problems.append(f"{option(field)} {value}: write {kind}")
    for field in ("isl", "osl"):
        value = getattr(question, field)
        if value is not None and math.isfinite(value) and 0 < value < 1:
            problems.append(f"{option(field)} {value}: write at least one token")
    return problems


def _bad_choices(question: Question) -> list[str]:
    percentile = question.percentile
    choices = {
        "cost_basis": BASES,
        "allocation": WITHIN_POOLS if question.disaggregated else ALLOCATIONS,
        "effects": ("full", "globals"),
    }
    problems = [
        f"{option(field)} {getattr(question, field)!r}: write one of {', '.join(known)}"
        for field, known in choices.items()
        if getattr(question, field) not in known
    ]
    if percentile is not None and percentile not in PERCENTILES:
        problems.append(f"--percentile {percentile}: write 50, 90 or 99")
    return problems
