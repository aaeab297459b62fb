"""A pair of pools under arrivals over all its time; both wait awake while no request is in flight."""

import jax

from clustermodel.chain.evaluate import Money, hour_cost
from clustermodel.chain.over_time import Arriving, averaged, carrying, waiting_power
from clustermodel.chain.pools.evaluate import Owners, PoolBill, PoolsEvaluation, pool_costs
from clustermodel.serving.load import Load
from clustermodel.serving.pools import Pool, Pools
from clustermodel.serving.pools_power import PoolPower


def over_time(
    running: PoolsEvaluation, pools: Pools, load: Load, owners: Owners, arriving: Arriving
) -> PoolsEvaluation:
    """`running`, the point at `while_busy` requests in flight, in the mean over all time; see `chain.over_time`."""
    point = carrying(running.point, load, arriving)
    prefill = _bill(running.prefill, pools.prefill, owners.prefill, arriving)
    decode = _bill(running.decode, pools.decode, owners.decode, arriving)
    unit = pool_costs(pools, load, owners, (prefill, decode), point)
    return PoolsEvaluation(point, prefill, decode, unit, running.fits)


def _bill(running: PoolBill, pool: Pool, owner: Money, arriving: Arriving) -> PoolBill:
    over = lambda at_work, at_rest: averaged(arriving, at_work, at_rest)
    inlet = jax.tree.map(over, running.inlet, waiting_power(pool.worker, owner))
    power = PoolPower(running.power.busy, over(running.power.mean, owner.board.stalled))
    return PoolBill(power, inlet, hour_cost(pool.worker, owner, inlet.total), running.carried)
