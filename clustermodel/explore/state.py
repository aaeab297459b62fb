"""What the explorer shows, as an address holds it: names of the catalogue, targets and sliders, all of it checked."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from clustermodel.catalog import Catalog, ConfigError, did_you_mean
from clustermodel.units import SECONDS_PER_YEAR, unit_scale


@dataclasses.dataclass(frozen=True)
class Slider:
    """One number to drag: its range, and the override of the catalogue that it stands for."""

    name: str
    label: str
    unit: str  # in words
    low: float
    high: float
    step: float
    target: str = ""  # of a number of everybody's; a factor on the first system's own number has none
    written: str = ""  # the unit as the catalogue writes it


SLIDERS = (
    Slider("price", "price of the first system", "x", 0.1, 4, 0.05),
    Slider("memory", "its memory", "x", 0.25, 4, 0.05),
    Slider("bandwidth", "its memory bandwidth", "x", 0.25, 4, 0.05),
    Slider("wacc", "cost of capital", "a year", 0.02, 0.25, 0.005, "price.wacc"),
    Slider("life", "life", "years", 1, 10, 0.5, "price.life", "year"),
    Slider("electricity", "electricity", "USD/kWh", 0.01, 0.4, 0.005, "site.electricity", "USD/kWh"),
    Slider("utilisation", "utilisation", "of the time", 0.05, 1, 0.01, "price.utilisation"),
)
FORMATS = ("", "bf16", "fp8", "fp4")
NAMES = {"system": "systems", "against": "systems", "model": "models", "workload": "workloads"}
START = {"system": "hgx-b200", "against": "hgx-h200", "model": "llama-3.1-70b", "workload": "chat-1k"}
_MOST_MS = 1e6
_RATES = (1e-6, 1e6)  # requests/s
_KNOWN = (*NAMES, "precision", "max_tpot_ms", "rate", *(slider.name for slider in SLIDERS))
_CLOSE = 1e-9


@dataclasses.dataclass(frozen=True)
class State:
    """One setting of every control; `moved` holds the sliders that stand elsewhere than the catalogue."""

    system: str
    against: str
    model: str
    workload: str
    precision: str
    max_tpot_ms: float | None
    rate: float | None  # requests/s that whole systems carry; None where one replica is always busy
    moved: tuple[tuple[str, float], ...]

    @property
    def numbers(self) -> dict[str, float]:
        """The number of each slider that was moved."""
        return dict(self.moved)

    @property
    def query(self) -> str:
        """The address of this state, without what is as it was at the start."""
        named = {name: getattr(self, name) for name in START}
        fields = {name: slug for name, slug in named.items() if slug != START[name]}
        fields |= {"precision": self.precision} if self.precision else {}
        fields |= {"max_tpot_ms": f"{self.max_tpot_ms:g}" if self.max_tpot_ms else ""}
        fields |= {"rate": f"{self.rate:g}"} if self.rate else {}
        return urlencode(fields | {name: f"{value:g}" for name, value in self.numbers.items()})


def read_state(catalog: Catalog, given: Mapping[str, str]) -> State:
    """The state in the fields of a form or an address; every mistake is one sentence of a `ConfigError`."""
    for name in given:
        if name not in _KNOWN:
            raise ConfigError(f"no control {name!r}{did_you_mean(name, _KNOWN)}")
    names = {name: _slug(catalog, name, given.get(name, START[name])) for name in NAMES}
    if not names["system"] or not names["model"] or not names["workload"]:
        raise ConfigError("system, model and workload need a name each")
    precision = given.get("precision", "")
    if precision not in FORMATS:
        raise ConfigError(
            f"precision {precision!r}: write one of {', '.join(filter(None, FORMATS))}, or nothing"
        )
    limit = given.get("max_tpot_ms", "50").strip()
    target = _number("max_tpot_ms", limit, 1.0, _MOST_MS) if limit else None
    often = given.get("rate", "").strip()
    rate = _number("rate", often, *_RATES) if often else None
    starts = start_values(catalog)
    moved = []
    for slider in SLIDERS:
        if slider.name in given:
            value = _number(slider.name, given[slider.name], slider.low, slider.high)
            if not math.isclose(value, starts[slider.name], rel_tol=_CLOSE):
                moved.append((slider.name, value))
    return State(**names, precision=precision, max_tpot_ms=target, rate=rate, moved=tuple(moved))


def start_values(catalog: Catalog) -> dict[str, float]:
    """Where each slider stands before it is moved: at the catalogue's number, or at a factor of 1."""
    terms, site = catalog.entry("prices", "ownership").spec, catalog.entry("sites", "us-average").spec
    return {
        "price": 1.0,
        "memory": 1.0,
        "bandwidth": 1.0,
        "wacc": float(terms.wacc),
        "life": float(terms.life) / SECONDS_PER_YEAR,
        "electricity": round(float(site.electricity) / unit_scale("USD/kWh")[0], 9),
        "utilisation": float(terms.utilisation),
    }


def overrides(catalog: Catalog, state: State) -> dict[str, str]:
    """The moved sliders as numbers of the catalogue: `{"price.wacc": "0.1"}`, as `--set` takes them."""
    found = {}
    for slider in SLIDERS:
        if slider.name in state.numbers:
            value = state.numbers[slider.name]
            if slider.target:
                found[slider.target] = f"{value:g} {slider.written}".rstrip()
            else:
                found |= _scaled(catalog, state.system, slider.name, value)
    return found


def options(catalog: Catalog, state: State) -> dict[str, Any]:
    """The state as options of `cost`, numbers that were changed under `set`."""
    asked = {"system": state.system, "model": state.model, "workload": state.workload}
    asked |= {"precision": state.precision} if state.precision else {}
    asked |= {"max-tpot-ms": state.max_tpot_ms} if state.max_tpot_ms else {}
    asked |= {"rate": state.rate} if state.rate else {}
    return asked | {"set": overrides(catalog, state)}


def toml(catalog: Catalog, state: State) -> str:
    """A file of options: `clustermodel cost @state.toml` gives the same answer."""
    asked = options(catalog, state)
    changed = asked.pop("set")
    lines = [
        "# clustermodel cost @state.toml",
        *(f"{name} = {_quoted(value)}" for name, value in asked.items()),
    ]
    if changed:
        lines += ["", "[set]", *(f"{_quoted(name)} = {_quoted(value)}" for name, value in changed.items())]
    return "\n".join(lines) + "\n"


def _scaled(catalog: Catalog, system: str, what: str, factor: float) -> dict[str, str]:
    """A number of the first system times `factor`; its nearest memory is its accelerators' or its own."""
    entry = catalog.entry("systems", system)
    if what == "price":
        return {f"system/{system}.price": f"{float(entry.spec.price) * factor:g} USD"}
    field, unit = {"memory": ("capacity", "B"), "bandwidth": ("bandwidth", "B/s")}[what]
    part = entry.words["accelerator"]
    if f"accelerator.memory[0].{field}" in entry.provenance:
        nearest = float(getattr(entry.spec.accelerator.memory, field)[0])
        return {f"accelerator/{part}.memory[0].{field}": f"{nearest * factor:g} {unit}"}
    pooled = float(getattr(entry.spec.accelerator.memory, field)[0] * entry.spec.count)
    return {f"system/{system}.memory[0].{field}": f"{pooled * factor:g} {unit}"}


def _slug(catalog: Catalog, name: str, text: str) -> str:
    return catalog.entry(NAMES[name], text).slug if text else ""


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low * (1 - _CLOSE) <= value <= high * (1 + _CLOSE):
        raise ConfigError(f"{name} {text!r}: write a number from {low:g} to {high:g}")
    return value


def _quoted(value: Any) -> str:
    """A TOML value; names of the catalogue and quantities are plain texts."""
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{value:g}"
