"""Money and power of two pools: each pool's own, and both together per accelerator paid for."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax

from clustermodel.chain.pools.choose import PoolsChoice
from clustermodel.chain.pools.evaluate import PoolBill, pool_rates
from clustermodel.chain.pools.setup import PoolsSetup
from clustermodel.chain.pools.sizing import NAMES
from clustermodel.chain.setup import Setup
from clustermodel.chain.watts import WATTS_PER_MW, planned_power
from clustermodel.economics.allocation import SINGLE_CLASS, single_class_cost
from clustermodel.economics.tokens import UnitCost
from clustermodel.units import MILLION, SECONDS_PER_HOUR


@dataclasses.dataclass(frozen=True)
class Both:
    """Two pools with their bills, to be averaged over the accelerators that are paid for."""

    setup: PoolsSetup
    choice: PoolsChoice

    def bill(self, name: str) -> PoolBill:
        """One pool's power and money."""
        return getattr(self.choice.evaluation, name)

    def view(self, name: str) -> Setup:
        """One pool's entries."""
        return getattr(self.setup, name)

    @property
    def carried(self) -> float:
        """Accelerators paid for."""
        return sum(float(self.bill(name).carried) for name in NAMES)

    def mean(self, of: Callable[[Setup, PoolBill], float]) -> float:
        """A number per accelerator, averaged over both pools."""
        each = [float(self.bill(name).carried) * of(self.view(name), self.bill(name)) for name in NAMES]
        return sum(each) / self.carried


def watts(setup: Setup, bill: PoolBill) -> dict[str, float]:
    """Power of one pool's accelerator at each level (W)."""
    inlet = float(bill.inlet.total)
    return {
        "power_w_per_accelerator": float(bill.power.mean),
        "it_w_per_accelerator": inlet,
        "facility_w_per_accelerator": inlet * float(setup.site.spec.pue),
        "provisioned_w_per_accelerator": planned_power(setup, inlet),
    }


def power_fields(both: Both) -> dict[str, Any]:
    """Watts per accelerator of both pools at each level, joules per token and tokens per megawatt."""
    names = watts(both.setup.decode, both.bill("decode"))
    mean = {name: both.mean(lambda setup, bill, name=name: watts(setup, bill)[name]) for name in names}
    rate = float(both.choice.evaluation.point.output_rate) / both.carried
    site, facility = both.setup.decode.site.spec, mean["facility_w_per_accelerator"]
    return {
        **mean,
        "joules_per_output_token": facility / rate,
        "board_joules_per_output_token": mean["power_w_per_accelerator"] / rate,
        "tok_s_per_mw": WATTS_PER_MW * rate / mean["provisioned_w_per_accelerator"],
        "power_basis": both.setup.decode.board.basis,
        "energy_usd_per_accelerator_hour": facility * float(site.electricity) * SECONDS_PER_HOUR,
    }


def power_parts(both: Both) -> dict[str, float]:
    """Facility power per accelerator by cause (W); sums to `facility_w_per_accelerator`."""
    names = [f.name for f in dataclasses.fields(both.bill("decode").inlet)]
    parts = {name: both.mean(lambda _, bill, name=name: float(getattr(bill.inlet, name))) for name in names}
    pue = float(both.setup.decode.site.spec.pue)
    return {**parts, "cooling": sum(parts.values()) * (pue - 1)}


def hour_parts(both: Both) -> dict[str, float]:
    """Where the mean accelerator-hour goes (USD/h); sums to `usd_per_accelerator_hour`."""
    names = [f.name for f in dataclasses.fields(both.bill("decode").hour)]
    return {
        name: both.mean(lambda _, bill, name=name: float(getattr(bill.hour, name))) * SECONDS_PER_HOUR
        for name in names
    }


def unit_cost(both: Both) -> UnitCost:
    """Cost of a token of each class: input by the prefill pool's bill, output by the decode pool's."""
    found, idle, allocation = both.choice.evaluation, both.choice.idle, both.setup.question.allocation
    if allocation in SINGLE_CLASS:
        load = both.setup.decode.load(both.choice.concurrency)
        return single_class_cost(allocation, found.bill * idle, pool_rates(found.point, load))
    return jax.tree.map(lambda price: price * idle, found.unit)


def money_fields(both: Both) -> dict[str, Any]:
    """Prices of the mean accelerator-hour and of a million tokens."""
    unit, decode = unit_cost(both), both.setup.decode
    return {
        "usd_per_accelerator_hour": both.mean(lambda _, bill: float(bill.hour.total)) * SECONDS_PER_HOUR,
        "cost_basis": both.setup.question.cost_basis,
        "price_date": decode.quote.date if decode.quote else None,
        "price_factor": None if decode.quote else float(decode.terms.spec.price_factor),
        "utilisation": float(decode.terms.spec.utilisation),
        "allocation": both.setup.question.allocation,
        "accelerators_paid_for": both.carried,
        "usd_per_mtok_input": _per_mtok(unit.input),
        "usd_per_mtok_cached_input": _per_mtok(unit.cached_input),
        "usd_per_mtok_output": _per_mtok(unit.output),
        "usd_per_mtok_total": _per_mtok(unit.blended),
    }


def _per_mtok(usd_per_token: Any) -> float | None:
    value = float(usd_per_token) * MILLION
    return value if math.isfinite(value) else None
