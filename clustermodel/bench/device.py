"""`bench device`: what this machine reaches, beside what the catalogue says, and the coefficients that follow."""

import dataclasses
import datetime
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from clustermodel import __version__
from clustermodel.bench import links, rates
from clustermodel.bench.decoder import Shape, scaled, shape_of
from clustermodel.bench.driver import driver
from clustermodel.bench.energy import AbstractMeter, Reading, find_meter, idle_reading, measure
from clustermodel.bench.layers import default_scale, faster_group, layers
from clustermodel.bench.machine import machine
from clustermodel.bench.rates import KINDS, Measured, Sizes
from clustermodel.bench.self_calibration import Peaks, calibrated, coefficients, peaks
from clustermodel.bench.startup import Startup, startup
from clustermodel.calibration.effects import LINKS, CoefficientTable, Level, load_table, natural, written
from clustermodel.catalog import Catalog, ConfigError, Entry
from clustermodel.files import unwritable, write_whole
from clustermodel.physics.coefficients import Coefficients
from clustermodel.specs import Accelerator

_WINDOW, _WINDOWS = 30.0, 3  # s of power measurement for each activity, and how often
_QUICK_WINDOW = 5.0  # s; the counter's refresh is 2 % of it
_VENDOR = "NVIDIA "
MODEL = "llama-3.1-8b"
"""Model whose layers are run by default, scaled down where the machine needs it."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """One run of `bench device`, before it is written."""

    accelerator: Entry[Accelerator] | None
    figures: Sequence[Measured]
    start: Startup
    readings: Mapping[str, Reading]
    kind: str  # of the numbers that models are served in here
    group: int | None = None  # layers that share a compiled body; None for all alike ones

    @property
    def peaks(self) -> Peaks:
        """Peaks that the figures are shares of."""
        return peaks(self.figures, self.accelerator)

    @property
    def coefficients(self) -> dict[str, float]:
        """What the figures say about the model's coefficients."""
        return coefficients(self.figures, self.start, self.peaks, self.kind)

    def table(self, catalog: Catalog) -> CoefficientTable:
        """The shipped table with this machine's coefficients in it."""
        return calibrated(load_table(catalog), self.coefficients)


def serving_type() -> Any:
    """The type that models are served in here: bfloat16, or float32 on processors, which multiply it faster."""
    return jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16


def find_accelerator(catalog: Catalog, name: str | None) -> Entry[Accelerator] | None:
    """The catalogue's entry of the default device, by `name` or by what the driver calls it; None if unknown."""
    if name is not None:
        return catalog.entry("accelerators", name)
    kind = jax.devices()[0].device_kind
    for each in (kind, kind.removeprefix(_VENDOR)):
        try:
            return catalog.entry("accelerators", each)
        except ConfigError:
            continue
    return None


def run(
    accelerator: Entry[Accelerator] | None,
    sizes: Sizes,
    shape: Shape,
    meter: AbstractMeter | None = None,
    quick: bool = True,
) -> Bench:
    """Measure everything, layers at the widths of `shape`; power only where there is a meter."""
    dtype = serving_type()
    group = faster_group(shape, dtype, sizes.repeats)
    start = startup(sizes.repeats, group)
    figures = [*_figures(sizes, dtype), *layers(shape, sizes, dtype, start, group)]
    readings = {} if meter is None else dict(_power(meter, sizes, quick))
    return Bench(accelerator, figures, start, readings, KINDS[jnp.dtype(dtype).name], group)


def _figures(sizes: Sizes, dtype: Any) -> Iterator[Measured]:
    yield from rates.traffic(sizes)
    yield from rates.products(sizes)
    yield from rates.attention(sizes, dtype)
    yield from rates.expert_products(sizes, dtype)
    yield from links.launches(sizes)
    yield from links.host_link(sizes)
    yield from links.collectives(sizes)


def _power(meter: AbstractMeter, sizes: Sizes, quick: bool) -> Iterator[tuple[str, Reading]]:
    """Doing nothing with a context loaded, copying, multiplying, and nothing again while warm."""
    x = jnp.ones(sizes.elements, jnp.float32)
    square = jax.random.normal(jax.random.key(4), (sizes.width, sizes.width)).astype(serving_type())
    copy, product = jax.jit(lambda a: a + 1), jax.jit(lambda a: a @ a)
    activities = {
        "awake": lambda: time.sleep(1),
        "copy": lambda: copy(x),
        "product": lambda: product(square),
        "awake_after": lambda: time.sleep(1),
    }
    window, windows = _windows(quick)
    for name, activity in activities.items():
        yield name, measure(meter, activity, window, windows)


def _windows(quick: bool) -> tuple[float, int]:
    return (_QUICK_WINDOW, 1) if quick else (_WINDOW, _WINDOWS)


def bench_device(
    catalog: Catalog,
    *,
    accelerator: str | None = None,
    quick: bool = False,
    calibration_out: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Measure this machine; `calibration_out` gets a table that `--calibration` of every question reads.

    A place that cannot be written is refused before anything is measured.

    Called before anything else of jax in a process, it also reads what the board draws while nobody uses it.
    """
    target = None if calibration_out is None else Path(calibration_out)
    if target and (problem := unwritable(target)):
        raise ConfigError(f"--calibration-out: {problem}")
    window, windows = _windows(quick)
    idle = idle_reading(window, windows)
    whole = shape_of(catalog.entry("models", MODEL))
    shape, part = scaled(whole, default_scale(whole)), find_accelerator(catalog, accelerator)
    found = run(part, rates.sizes(quick), shape, find_meter(), quick)
    found = dataclasses.replace(
        found, readings=({} if idle is None else {"idle": idle}) | dict(found.readings)
    )
    if target is not None:
        write_whole(target, calibration_text(catalog, found))
    return answer(catalog, found)


def bench_of(catalog: Catalog, answer: Mapping[str, Any]) -> Bench:
    """What an answer of `bench_device` was made of, power left out."""
    slug = answer["accelerator"]
    fields = [field.name for field in dataclasses.fields(Measured)]
    return Bench(
        accelerator=None if slug is None else catalog.entry("accelerators", slug),
        figures=[Measured(**{name: row[name] for name in fields}) for row in answer["measurements"]],
        start=Startup(**answer["startup"]),
        readings={},
        kind=answer["numbers"],
        group=answer["group"],
    )


def calibration_text(catalog: Catalog, bench: Bench) -> str:
    """The calibration as TOML; watts stay in the answer, for power has coefficients of its own (see `power`)."""
    device = machine()
    notes = {
        "title": f"measured on {device['device']}, {bench.kind}",
        "source": f"clustermodel bench device {__version__}, jax {device['jax']}",
        "date": datetime.date.today().isoformat(),
    }
    return written(bench.table(catalog), notes)


def answer(catalog: Catalog, bench: Bench) -> dict[str, Any]:
    """Figures beside their peaks, coefficients beside the shipped ones, watts by activity."""
    shipped = natural(load_table(catalog).links(Level("", "")))
    limits = bench.peaks
    return {
        "kind": "bench-device",
        "version": __version__,
        "date": datetime.date.today().isoformat(),
        **machine(),
        "driver": driver(),
        "numbers": bench.kind,
        "group": bench.group,
        "startup": bench.start._asdict(),
        "accelerator": None if bench.accelerator is None else bench.accelerator.slug,
        "peaks": "catalogue" if limits.known else "the best measured here",
        "measurements": [_row(each, limits) for each in bench.figures],
        "coefficients": [
            {
                "coefficient": name,
                "here": value,
                "shipped": float(getattr(shipped, name)),
                "unit": _unit(name),
            }
            for name, value in bench.coefficients.items()
        ],
        "power": [{"activity": name, **dataclasses.asdict(row)} for name, row in bench.readings.items()],
    }


def _row(figure: Measured, limits: Peaks) -> dict[str, Any]:
    peak = limits.of(figure)
    share = None if not peak else 100 * figure.value / peak
    return {**dataclasses.asdict(figure), "peak": peak, "percent_of_peak": share}


def _unit(name: str) -> str:
    (unit,) = (f.metadata["unit"] for f in dataclasses.fields(Coefficients) if f.name == name)
    return "share" if LINKS[name] == "logit" else unit
