"""An operating point under arrivals over all its time: the boards wait awake while no request is in flight.

Little's law gives the mean number in flight, N = rate (TTFT + osl TPOT). None are for a share e^-N of the time, as in
a queue with a server for every request, whatever their lengths [F. P. Kelly, Reversibility and Stochastic Networks,
1979, ch. 3.3]; in the rest N / (1 - e^-N) are, and it runs as in a closed loop of as many.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from clustermodel._types import Scalar
from clustermodel.chain.evaluate import Evaluation, Money, holding_of, hour_cost, token_rates
from clustermodel.economics.tokens import token_costs
from clustermodel.physics.chassis import InletPower, system_power
from clustermodel.physics.deployment import Deployment
from clustermodel.serving.load import Load
from clustermodel.serving.open_loop import Latency
from clustermodel.serving.pools import PoolsPoint
from clustermodel.serving.steady import ServingPoint

Floats = NDArray[np.float64]
Point = TypeVar("Point", ServingPoint, PoolsPoint)


def requests_in_flight(rate: Scalar, latency: Latency, osl: Scalar) -> Scalar:
    """Mean number in flight at `rate` requests/s, those that wait included (Little's law)."""
    return rate * (latency.ttft.mean + osl * latency.tpot.mean)


def busy_share(in_flight: Scalar) -> Scalar:
    """Share of time in which any request is in flight, of the mean number in flight."""
    return -jnp.expm1(-in_flight)


def while_busy(in_flight: Scalar) -> Scalar:
    """Mean number in flight in the time in which any is; 1 at the least."""
    some = jnp.maximum(in_flight, 1e-12)
    return some / busy_share(some)


class Arriving(eqx.Module):
    """What reaches one replica, or one pair of pools."""

    rate: Scalar  # requests/s
    in_flight: Scalar  # in the mean


class UnderArrivals(NamedTuple):
    """What becomes of a replica, or of a pair of pools, when requests arrive on their own; or of rows of them."""

    capacity: Any  # requests/s that one carries at the most: so many are bought
    latency: Latency  # at the peaks
    usual: Arriving  # at the mean rate


def under_arrivals(
    capacity: Floats, peak: Floats, peak_to_mean: float, osl: float, latency_at: Callable[[Floats], Latency]
) -> UnderArrivals:
    """Rows of replicas that `peak` requests/s reach at the peaks; `latency_at` is a function of such rates."""
    mean, latency = peak / peak_to_mean, latency_at(peak)
    seen = latency if peak_to_mean == 1 else latency_at(mean)
    usual = jax.vmap(_arriving, in_axes=(0, 0, None))(jnp.asarray(mean), seen, jnp.asarray(osl, dtype=float))
    return UnderArrivals(capacity, latency, usual)


def _arriving(rate: Scalar, latency: Latency, osl: Scalar) -> Arriving:
    """One request is in flight where the queue would grow without limit; such points have no price."""
    in_flight = requests_in_flight(rate, latency, osl)
    return Arriving(rate, jnp.where(jnp.isfinite(in_flight), in_flight, 1.0))


def objectives(latency: Latency, percentile: int | None) -> tuple[Floats, Floats]:
    """TTFT and TPOT as targets limit them (s): the percentile asked for, else the mean."""
    level = "mean" if percentile is None else f"p{percentile}"
    return np.asarray(getattr(latency.ttft, level), float), np.asarray(getattr(latency.tpot, level), float)


def over_time(
    running: Evaluation, deployment: Deployment, load: Load, money: Money, arriving: Arriving
) -> Evaluation:
    """`running`, the point at `while_busy` requests in flight, in the mean over all time.

    Rates are those that arrive; the batch, power, energy and prices follow. Latency and the times of an iteration
    stay those of the running replica.
    """
    over = lambda at_work, at_rest: averaged(arriving, at_work, at_rest)
    inlet = jax.tree.map(over, running.inlet, waiting_power(deployment, money))
    hour = hour_cost(deployment, money, inlet.total)
    point = carrying(running.point, load, arriving)
    bill = hour.total * running.carried
    rates = token_rates(point, load)
    holding = holding_of(deployment, money, rates.cached, running.carried)
    unit = token_costs(bill, rates, point.token_time, holding)
    board = over(running.board_power, money.board.stalled)
    return Evaluation(point, running.board, board, inlet, hour, running.carried, unit, holding)


def carrying(point: Point, load: Load, arriving: Arriving) -> Point:
    """An operating point with the rates that arrive and the batch in the mean over time."""
    batch = averaged(arriving, point.batch, jnp.zeros_like(point.batch))
    where = lambda each: (each.batch, each.request_rate, each.output_rate)
    return eqx.tree_at(where, point, (batch, arriving.rate, arriving.rate * load.osl))


def averaged(arriving: Arriving, at_work: Scalar, at_rest: Scalar) -> Scalar:
    """Mean over time of what is one thing while requests are in flight and another while none are."""
    busy = busy_share(arriving.in_flight)
    return busy * at_work + (1 - busy) * at_rest


def waiting_power(deployment: Deployment, money: Money) -> InletPower:
    """IT power of an accelerator whose engine waits for a request (W)."""
    unread = jnp.zeros_like(deployment.accelerator.memory.capacity)
    return system_power(deployment.system, money.board.stalled, unread)
