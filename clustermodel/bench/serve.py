"""`bench serve`: a real transformer prefills and decodes on this machine, beside what the model says about it."""

import dataclasses
import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from clustermodel import __version__
from clustermodel.bench import rates
from clustermodel.bench.counts import check_counts
from clustermodel.bench.decoder import (
    Cache,
    Decoder,
    Shape,
    decode_steps,
    empty_cache,
    forward,
    prefill,
    random_decoder,
    scaled,
    shape_of,
    step,
)
from clustermodel.bench.device import MODEL, Bench, bench_of, find_accelerator, run, serving_type
from clustermodel.bench.driver import driver
from clustermodel.bench.energy import AbstractMeter, find_meter, measure
from clustermodel.bench.forecast import Point, forecast
from clustermodel.bench.layers import default_scale
from clustermodel.bench.machine import machine, seconds
from clustermodel.calibration.effects import CoefficientTable, load_table
from clustermodel.catalog import Catalog, ConfigError, did_you_mean

_SEED = 0
_CHECKED = 64  # tokens read before the one that is decoded and compared with a full pass
_WINDOW = 5.0  # s of power measurement at each point


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Which points are run, and how."""

    batches: Sequence[int] = (1, 4, 16, 32)
    contexts: Sequence[int] = (512, 4096)
    steps: int = 64  # decode steps in one program
    repeats: int = 3
    page: int = 0  # slots of a cache page; 0 for one stretch per sequence
    group: int | None = None  # layers per compiled body; None for all alike ones


ON_CPU = Sweep(batches=(1, 4, 16), contexts=(64, 512), steps=16)
QUICK_ON_CPU = Sweep(batches=(1, 4), contexts=(64,), steps=8, repeats=2)
QUICK = Sweep(batches=(1, 32), contexts=(1024,), steps=32)


def sweep_of(quick: bool) -> Sweep:
    """Points for the default device."""
    if jax.default_backend() == "cpu":
        return QUICK_ON_CPU if quick else ON_CPU
    return QUICK if quick else Sweep()


@dataclasses.dataclass(frozen=True)
class Serving:
    """A decoder on this machine, and how its points are run."""

    decoder: Decoder
    sweep: Sweep
    meter: AbstractMeter | None

    @property
    def shape(self) -> Shape:
        """The decoder's shape."""
        return self.decoder.shape

    def cache(self, batch: int, slots: int) -> Cache:
        """Room for a batch of sequences."""
        return empty_cache(
            self.decoder.counts, self.shape, (batch, slots), self.decoder.dtype, self.sweep.page
        )

    def prompts(self, batch: int, length: int) -> Array:
        """Random token numbers."""
        random = np.random.default_rng(_SEED)
        return jnp.asarray(random.integers(0, self.shape.vocab, (batch, length)), jnp.int32)

    def prefill_time(self, batch: int, context: int) -> float:
        """Seconds until the first tokens of a batch of prompts, into a cache that each call hands to the next."""
        tokens, state = self.prompts(batch, context), [self.cache(batch, context)]
        none = np.zeros(batch, np.int32)

        def once() -> Array:
            first, filled = prefill(self.decoder, tokens, state.pop())
            state.append(dataclasses.replace(filled, lengths=jnp.array(none)))
            return first

        return seconds(once, self.sweep.repeats)

    def decode_run(self, batch: int, context: int) -> Any:
        """A function that decodes `steps` tokens of a batch around a context, its cache given back each time."""
        steps = self.sweep.steps
        held = self.cache(batch, context + steps)
        token, state = jnp.asarray(np.zeros(batch, np.int32)), [held]
        start = np.full(batch, context - steps // 2, np.int32)

        def once() -> Array:
            cache = dataclasses.replace(state.pop(), lengths=jnp.array(start))
            tokens, filled = decode_steps(self.decoder, token, cache, steps)
            state.append(filled)
            return tokens

        return once

    def disagreement(self) -> float:
        """Largest difference of decoded and fully computed next-token logits, over the largest logit."""
        tokens = self.prompts(1, 2 * _CHECKED)
        full = jax.jit(forward)(self.decoder, tokens)[:, _CHECKED]
        _, cache = prefill(self.decoder, tokens[:, :_CHECKED], self.cache(1, 2 * _CHECKED))
        logits, _ = jax.jit(step)(self.decoder, tokens[:, _CHECKED], cache)
        return float(jnp.max(jnp.abs(logits - full)) / jnp.max(jnp.abs(full)))


def bench_serve(
    catalog: Catalog,
    *,
    model: str = MODEL,
    scale: int | None = None,
    quick: bool = False,
    accelerator: str | None = None,
    calibration: str | os.PathLike[str] | None = None,
    sweep: Sweep | None = None,
    measured: Bench | Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Run a model of the catalogue here; `changes` are fields of `Sweep`.

    The machine's peaks are `measured` (an answer of `bench_device`), or found first; so are its coefficients without
    a `calibration`. Coefficients are shares of peaks: where the catalogue has none, those of another run are shares
    of something else.
    """
    asked = _asked(sweep or sweep_of(quick), changes)
    whole = shape_of(catalog.entry("models", model))
    factor = default_scale(whole) if scale is None else scale
    part = find_accelerator(catalog, accelerator)
    shape = scaled(whole, factor)
    if calibration and part is None and measured is None:
        raise ConfigError(
            "--calibration needs an accelerator of the catalogue, whose peaks its shares are of; "
            "name one with --accelerator, or leave --calibration out and this run measures its own"
        )
    own = None if calibration is None else load_table(catalog, Path(calibration))
    if isinstance(measured, Mapping):
        measured = bench_of(catalog, measured)
    bench = measured or run(part, rates.sizes(quick), shape)
    asked = asked if "group" in changes else dataclasses.replace(asked, group=bench.group)
    decoder = random_decoder(shape, serving_type(), group=asked.group)
    serving = Serving(decoder, asked, find_meter())
    points = list(_points(serving, bench, (load_table(catalog), own or bench.table(catalog))))
    return {
        "kind": "bench-serve",
        "version": __version__,
        "date": datetime.date.today().isoformat(),
        **machine(),
        "driver": driver(),
        "model": model,
        "scale": factor,
        "parameters": serving.shape.parameters,
        "weights_gb": decoder.bytes / 1e9,
        "numbers": bench.kind,
        "cache_page": serving.sweep.page,
        "group": serving.sweep.group,
        "accelerator": None if part is None else part.slug,
        "decode_against_forward": serving.disagreement(),
        "points": points,
    }


def _asked(sweep: Sweep, changes: Mapping[str, Any]) -> Sweep:
    """The points as they are asked for; a `ConfigError` says what is wrong before anything is measured."""
    known = [field.name for field in dataclasses.fields(Sweep)]
    for name in changes.keys() - set(known):
        raise ConfigError(f"no option {name!r}{did_you_mean(name, known)}")
    asked = dataclasses.replace(sweep, **changes)
    least = dict.fromkeys(known, 1) | {"page": 0}
    check_counts((name, getattr(asked, name), least[name]) for name in known)
    for name in ("batches", "contexts"):
        if not isinstance(getattr(asked, name), list | tuple) or not getattr(asked, name):
            raise ConfigError(f"--{name} {getattr(asked, name)!r}: write a list of at least one")
    if min(asked.contexts) <= asked.steps:
        raise ConfigError(f"--contexts must be longer than the {asked.steps} steps that are decoded")
    return asked


def _points(
    serving: Serving, bench: Bench, tables: tuple[CoefficientTable, CoefficientTable]
) -> Iterator[dict[str, Any]]:
    for context in serving.sweep.contexts:
        for batch in serving.sweep.batches:
            taken = serving.prefill_time(batch, context)
            yield _row(bench, serving, tables, Point("prefill", batch, context), taken) | {
                "ttft_ms": 1e3 * taken,
                "tokens_per_s": batch * context / taken,
            }
            run_steps = serving.decode_run(batch, context)
            taken = seconds(run_steps, serving.sweep.repeats) / serving.sweep.steps
            row = _row(bench, serving, tables, Point("decode", batch, context), taken)
            row |= {"tpot_ms": 1e3 * taken, "tokens_per_s": batch / taken}
            if serving.meter is not None:
                energy = measure(serving.meter, run_steps, _WINDOW).joules_per_run
                row["joules_per_token"] = energy / (batch * serving.sweep.steps)
            yield row


def _row(
    bench: Bench,
    serving: Serving,
    tables: tuple[CoefficientTable, CoefficientTable],
    point: Point,
    taken: float,
) -> dict[str, Any]:
    before, after = (forecast(bench, serving.shape, table, point) for table in tables)
    return {
        "phase": point.phase,
        "batch": point.batch,
        "context": point.context,
        "measured_ms": 1e3 * taken,
        "before_ms": 1e3 * before.seconds,
        "after_ms": 1e3 * after.seconds,
        "before_error_pct": 100 * (before.seconds / taken - 1),
        "after_error_pct": 100 * (after.seconds / taken - 1),
        "percent_of_roofline": 100 * after.bound / taken,
    }
