"""The whole chain for one disaggregated operating point: two pools, two bills, one price per class of tokens."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.chain.evaluate import Money, carried_accelerators, holding_of, hour_cost
from clustermodel.economics.levelized import HourCost
from clustermodel.economics.tokens import TokenRates, UnitCost, disaggregated_costs
from clustermodel.physics.chassis import InletPower, system_power
from clustermodel.serving.load import Load
from clustermodel.serving.pools import Pool, Pools, PoolsPoint, disaggregated, placed_pool
from clustermodel.serving.pools_power import PoolPower, decode_power, prefill_power


class Owners(eqx.Module):
    """Who pays for each pool; the systems may differ, and with them prices and boards."""

    prefill: Money
    decode: Money


class PoolBill(eqx.Module):
    """Power and money of one pool (SI)."""

    power: PoolPower  # W, boards
    inlet: InletPower  # W per accelerator
    hour: HourCost  # USD/s per accelerator, after utilisation
    carried: Scalar  # accelerators paid for, stranded ones included

    @property
    def bill(self) -> Scalar:
        """The pool's cost (USD/s)."""
        return self.hour.total * self.carried


class PoolsEvaluation(eqx.Module):
    """One disaggregated operating point from silicon to money (SI)."""

    point: PoolsPoint
    prefill: PoolBill
    decode: PoolBill
    unit: UnitCost  # USD/token: input by the prefill pool's bill, output by the decode pool's
    fits: Scalar  # 1 where a worker of either pool holds its weights and a sequence

    @property
    def bill(self) -> Scalar:
        """Both pools (USD/s)."""
        return self.prefill.bill + self.decode.bill


def evaluate_pools(pools: Pools, load: Load, owners: Owners) -> PoolsEvaluation:
    """Serve `load` on both pools, draw power, and share each pool's bill among its own tokens."""
    prefill, decode = (placed_pool(pool, load, load.concurrency) for pool in (pools.prefill, pools.decode))
    pools = Pools(prefill, decode, pools.overlap, pools.apart)
    point = disaggregated(pools, load)
    prefill = _bill(pools.prefill, owners.prefill, prefill_power(owners.prefill.board, pools, load, point))
    decode = _bill(pools.decode, owners.decode, decode_power(owners.decode.board, pools, load, point))
    unit = pool_costs(pools, load, owners, (prefill, decode), point)
    fits = jnp.minimum(point.memory.fits, point.prefill_memory.fits)
    return PoolsEvaluation(point, prefill, decode, unit, fits)


def _bill(pool: Pool, money: Money, power: PoolPower) -> PoolBill:
    unread = jnp.zeros_like(pool.worker.accelerator.memory.capacity)
    inlet = system_power(pool.worker.system, power.mean, unread)
    carried = pool.workers * carried_accelerators(pool.worker)
    return PoolBill(power, inlet, hour_cost(pool.worker, money, inlet.total), carried)


def pool_costs(
    pools: Pools, load: Load, owners: Owners, bills: tuple[PoolBill, PoolBill], point: PoolsPoint
) -> UnitCost:
    """Cost of a token of each class, of the bills of the prefill and the decode pool (USD)."""
    rates = pool_rates(point, load)
    holding = holding_of(pools.prefill.worker, owners.prefill, rates.cached, bills[0].carried)
    return disaggregated_costs(bills[0].bill, bills[1].bill, rates, point.token_time, holding)


def pool_rates(point: PoolsPoint, load: Load) -> TokenRates:
    """Tokens per second of the deployment by class."""
    return TokenRates(point.request_rate * load.uncached, point.request_rate * load.cached, point.output_rate)
