"""What a fleet planner knows: systems on offer at sites, workloads to serve, limits, and uncertain demand.

Everything is SI: s, W, B, kg, USD, and work per second, where work is tokens (or requests) as the demand
counts them. An *asset* is one kind of system at one site; axes are always named period, asset, workload,
scenario, block in this order. A block is a part of every period with its own load, e.g. the busy hours.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import equinox as eqx
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from clustermodel.catalog import Catalog

if TYPE_CHECKING:
    import clustermodel.fleet.plan

Names = tuple[str, ...]
PerPeriod = Float[np.ndarray, "period"]
PerAsset = Float[np.ndarray, "asset"]
PeriodAsset = Float[np.ndarray, "period asset"]
PeriodWorkload = Float[np.ndarray, "period workload"]
PeriodAssetWorkload = Float[np.ndarray, "period asset workload"]

UNLIMITED = np.inf


def _floats(value: Any) -> np.ndarray:
    return np.array(value, dtype=float)


def _whole(value: Any) -> np.ndarray:
    return np.array(value, dtype=int)


def _numbers() -> Any:
    return eqx.field(converter=_floats)


def _counts() -> Any:
    return eqx.field(converter=_whole)


class Horizon(eqx.Module):
    """Periods and the load blocks within them."""

    periods: Names = eqx.field(static=True)
    blocks: Names = eqx.field(static=True)
    seconds: PerPeriod = _numbers()  # length of each period
    discount: PerPeriod = _numbers()  # present value of a dollar of that period, paid at its start
    last_discount: Float[np.ndarray, ""] = (
        _numbers()
    )  # of a dollar at the horizon, the end of the last period
    share: Float[np.ndarray, "block"] = _numbers()  # share of every period that a block lasts; sums to 1


class Assets(eqx.Module):
    """Kinds of systems at sites: what owning them costs, draws and requires."""

    systems: Names = eqx.field(static=True)
    sites: Names = eqx.field(static=True)
    vendors: Names = eqx.field(static=True)
    offers: Names = eqx.field(static=True)  # what tells assets of one system at one site apart, mostly empty
    price: PeriodAsset = _numbers()  # USD per system, paid when it is ordered
    building: PeriodAsset = _numbers()  # USD for the building, power and cooling ordered with a system
    lasting: PeriodAsset = _numbers()  # USD of that which is left at the horizon
    resale: PerAsset = _numbers()  # value at the horizon over price, times the share of life that is left
    standing_cost: PeriodAsset = _numbers()  # USD/s of a system in service, busy or not, maintenance apart
    maintenance: PerAsset = _numbers()  # 1/s: maintenance over the price paid, as long as a system is kept
    legacy_price: PerAsset = _numbers()  # USD that maintenance of legacy systems is a share of
    supply: PeriodAsset = _numbers()  # most systems that can be ordered
    lead: Int[np.ndarray, "asset"] = _counts()  # periods from order to service
    life: Int[np.ndarray, "asset"] = _counts()  # periods in service
    legacy: PeriodAsset = _numbers()  # systems already owned that are still in service
    usable: PerAsset = _numbers()  # share of an owned system that can serve
    standing_power: PerAsset = _numbers()  # W of a system in service without load, facility overhead inside
    standing_draw: PerAsset = _numbers()  # W that such a system takes from limits; none at sites of others
    memory: PerAsset = _numbers()  # B per system
    carbon: PerAsset = _numbers()  # kg/J of the site's energy

    @property
    def alive(self) -> np.ndarray:
        """[period, order period, asset]: 1 where a system ordered then is in service."""
        periods = np.arange(len(self.price))
        age = periods[:, None, None] - periods[None, :, None] - self.lead
        return ((age >= 0) & (age < self.life)).astype(float)

    @property
    def outlay(self) -> np.ndarray:
        """[order period, asset]: USD that an order takes from budgets."""
        return self.price + self.building

    @property
    def residual(self) -> np.ndarray:
        """[order period, asset]: USD that a system is worth at the horizon, undiscounted."""
        periods = len(self.price)
        left = np.arange(periods)[:, None] + self.lead + self.life - periods
        return self.resale * self.price * np.clip(left / self.life, 0, 1)


class Service(eqx.Module):
    """What assets do for workloads, and what served and unserved work is worth."""

    workloads: Names = eqx.field(static=True)
    rate: PeriodAssetWorkload = _numbers()  # work/s of one fully busy system; 0 where it cannot serve
    busy_cost: PeriodAssetWorkload = _numbers()  # USD/s of a busy system on top of its standing cost
    busy_power: PeriodAssetWorkload = _numbers()  # W of a busy system on top of its standing power
    busy_draw: PeriodAssetWorkload = _numbers()  # W that load adds to what limits count
    penalty: PeriodWorkload = _numbers()  # USD per unit of unmet work
    revenue: PeriodWorkload = _numbers()  # USD per unit of served work
    must_serve: PeriodWorkload = _numbers()  # share of demand that has to be met


class Rental(eqx.Module):
    """Capacity of others: reserved ahead with take-or-pay, or on demand."""

    price: PeriodAsset = _numbers()  # USD/s of one reserved system
    take_or_pay: PeriodAsset = _numbers()  # share of that price paid whether used or not
    least: PeriodAsset = _numbers()  # reservations already signed
    most: PeriodAsset = _numbers()  # most systems that can be reserved
    hosted: PeriodAsset = (
        _numbers()
    )  # 1 where they stand in one's own hall and draw there what owned ones do idle
    on_demand_price: PeriodAsset = _numbers()  # USD/s of one system without reservation
    on_demand_most: PeriodAsset = _numbers()


class Tiers(eqx.Module):
    """Prices that depend on how many are ordered, or reserved, in one period: an asset for each tier.

    A tier holds the systems beyond `above` up to `end`, those of its assets (one a site) together; where `every`,
    the price of the tier that the number reaches holds for all of them. `least` are reservations already signed.
    """

    decision: Literal["buy", "reserve"] = eqx.field(static=True)
    period: int = eqx.field(static=True)
    assets: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    above: tuple[float, ...] = eqx.field(static=True)
    end: tuple[float, ...] = eqx.field(static=True)
    every: bool = eqx.field(static=True)
    least: float = eqx.field(static=True, default=0.0)


class Demand(eqx.Module):
    """Work per second that is asked for, in each of several futures."""

    scenarios: Names = eqx.field(static=True)
    probability: Float[np.ndarray, "scenario"] = _numbers()
    work: Float[np.ndarray, "scenario period block workload"] = _numbers()


LimitKind = Literal["budget", "power", "supply", "purchases", "vendor_share", "memory", "carbon", "systems"]
UNITS: dict[LimitKind, str] = {
    "budget": "USD",
    "power": "W",
    "supply": "",
    "purchases": "",
    "vendor_share": "",
    "memory": "B",
    "carbon": "kg",
    "systems": "",
}
"""What limits count: spending (USD), draw at a site (W), orders (at most, at least), a vendor's share of the
spending, bytes of memory ordered, emissions (kg), and systems in service."""


class Limit(eqx.Module):
    """One limit on the fleet. A scope left empty means all; `period` None means the whole horizon."""

    kind: LimitKind = eqx.field(static=True)
    value: float
    period: int | None = eqx.field(static=True, default=None)
    system: str = eqx.field(static=True, default="")
    site: str = eqx.field(static=True, default="")
    vendor: str = eqx.field(static=True, default="")

    @property
    def scope(self) -> tuple[str, str, str]:
        """Site, system and vendor that it counts; empty ones mean all."""
        return self.site, self.system, self.vendor

    @property
    def subject(self) -> str:
        """The vendor or system that tables show in their column `system`."""
        return self.vendor or self.system

    def covers(self, assets: Assets) -> np.ndarray:
        """Which assets the limit counts."""
        scopes = ((self.system, assets.systems), (self.site, assets.sites), (self.vendor, assets.vendors))
        if self.kind == "vendor_share":  # its vendor says whose share, not which spending is counted
            scopes = scopes[:2]
        return np.all([[not scope or scope == name for name in names] for scope, names in scopes], axis=0)


class Policy(eqx.Module):
    """What counts as best.

    objective: `cost` (meet demand cheaply, unmet work is penalised), `npv` (served work earns its revenue)
    or `served` (minus the work served, every unit of it counts one; money counts only in budgets).
    omega, alpha: the objective is (1 - omega) E[cost] + omega CVaR_alpha[cost], the mean of the worst 1 - alpha.
    """

    objective: Literal["cost", "npv", "served"] = eqx.field(static=True, default="cost")
    omega: float = eqx.field(static=True, default=0.0)
    alpha: float = eqx.field(static=True, default=0.9)
    whole_systems: bool = eqx.field(static=True, default=True)
    whole_reservations: bool = eqx.field(static=True, default=False)
    early_retirement: bool = eqx.field(static=True, default=False)
    unit: str = eqx.field(static=True, default="USD")
    work_unit: str = eqx.field(static=True, default="token")


class FleetProblem(eqx.Module):
    """A complete planning problem; `solve` turns it into a `Plan`."""

    horizon: Horizon
    assets: Assets
    service: Service
    rental: Rental
    demand: Demand
    limits: tuple[Limit, ...]
    policy: Policy = Policy()
    tiers: tuple[Tiers, ...] = ()

    @classmethod
    def load(cls, folder: Path | str, catalog: Catalog | None = None) -> "FleetProblem":
        """Read a folder of tables, or a shipped problem by name; see `clustermodel.fleet.schema`."""
        from clustermodel.fleet.load import load

        return load(folder, catalog)

    @classmethod
    def from_frames(cls, tables: dict[str, pd.DataFrame], **settings: Any) -> "FleetProblem":
        """Make a problem from the tables of a folder as frames, and the keys of fleet.toml in SI.

        Headers carry units as in files, `throughput [Mtoken/s]`; numbers under plain headers are SI.
        """
        from clustermodel.fleet.build import build

        return build(settings, tables)

    def solve(self, **options: Any) -> "clustermodel.fleet.plan.Plan":
        """The best plan; options are those of `clustermodel.fleet.Options`, e.g. `gap=1e-3, seconds=60`."""
        from clustermodel.fleet.planner import Options, plan

        return plan(self, Options(**options))

    @property
    def shape(self) -> dict[str, int]:
        """Length of every axis."""
        scenarios, periods, blocks, workloads = self.demand.work.shape
        sizes = {"periods": periods, "assets": len(self.assets.systems), "workloads": workloads}
        return sizes | {"scenarios": scenarios, "blocks": blocks}
