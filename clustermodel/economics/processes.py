"""How prices and dates may move: mean reversion with jumps, decline, slips; one path from one set of normals.

Every process is exact in distribution at the times asked for, whatever their spacing, except that a period holds
at most one jump. Times are seconds from today, one per period.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.annuity import exprel
from clustermodel.economics.supply import market_impact
from clustermodel.scenarios import Demand, Memory, Project, Rent
from clustermodel.units import SECONDS_PER_YEAR

Path = Float[Array, " period"]

LATEST = 3.0
"""Standard deviations beyond which no slip is counted, one path in 741: the horizon has an end."""


def mean_reverting(reversion: Scalar, start: Scalar, shocks: Path, times: Path) -> Path:
    """Ornstein-Uhlenbeck deviation from its mean at `times`, from 0 on: exact discretisation.

    y_k = e^(-kappa dt_k) y_{k-1} + shock_k, with `shocks` from `reverting_shocks`
    """
    steps = jnp.diff(times, prepend=0.0)

    def step(y: Scalar, now: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        interval, shock = now
        y = jnp.exp(-reversion * interval) * y + shock
        return y, y

    return jax.lax.scan(step, start, (steps, shocks))[1]


def reverting_shocks(reversion: Scalar, volatility: Scalar, normals: Path, times: Path) -> Path:
    """Innovations of the process over each step: sigma sqrt((1 - e^(-2 kappa dt)) / 2 kappa) eps.

    [Glasserman 2003, Monte Carlo Methods in Financial Engineering, eq. 3.46]
    """
    steps = jnp.diff(times, prepend=0.0)
    variance = volatility**2 * steps / SECONDS_PER_YEAR * jax.vmap(exprel)(-2 * reversion * steps)
    return jnp.sqrt(jnp.maximum(variance, 0.0)) * normals


def jumps(rent: Rent, uniforms: Path, times: Path) -> Path:
    """Log jump of each step: one with probability 1 - e^(-lambda dt), normal in size.

    A uniform u below that probability p means a jump, and u / p is again uniform: it gives the size.
    """
    chance = -jnp.expm1(-rent.jump_rate * jnp.diff(times, prepend=0.0))
    tiny = jnp.finfo(uniforms.dtype).eps
    size_uniform = jnp.clip(uniforms / jnp.maximum(chance, tiny), tiny, 1 - tiny)
    size = rent.jump_size + rent.jump_spread * ndtri(size_uniform)
    return jnp.where(uniforms < chance, size, 0.0)


def memory_price(memory: Memory, normals: Path, times: Path) -> Path:
    """Price of memory over today's."""
    shocks = reverting_shocks(memory.reversion, memory.volatility, normals, times)
    start = jnp.log(memory.level / memory.target)
    return memory.target * jnp.exp(mean_reverting(memory.reversion, start, shocks, times))


def correlated(first: Path, second: Path, correlation: Scalar) -> Path:
    """Normals with the given correlation to `first`, the rest of them from `second`."""
    return correlation * first + jnp.sqrt(1 - correlation**2) * second


def rent_price(rent: Rent, level_normal: Scalar, moves: Path, memory: Path, times: Path) -> Path:
    """Market price of capacity over today's contracts.

    target e^(-decline t) exp(y_t) (1 + depth reserved) m_{t - lag}^share: y mean-reverting from
    ln(level / target), with a spread of levels that nobody knows today; m the price of memory over today's.

    Args:
        rent: the process.
        level_normal: standard normal of the unknown level.
        moves: shocks and jumps of each step, see `reverting_shocks` and `jumps`.
        memory: price of memory over today's, at `times`.
        times: when (s).
    """
    start = jnp.log(rent.level / rent.target) + rent.dispersion * level_normal
    deviation = mean_reverting(rent.reversion, start, moves, times)
    passed_on = jnp.interp(times - rent.memory_lag, times, jnp.log(memory), left=0.0)
    level = rent.target * market_impact(rent.reserved, rent.depth)
    return level * jnp.exp(deviation - rent.decline * times + rent.memory_share * passed_on)


def token_price(demand: Demand, normals: Path, times: Path) -> Path:
    """Price of a token over today's: geometric Brownian motion around e^(-d t), so that its mean is that."""
    steps = jnp.diff(times, prepend=0.0) / SECONDS_PER_YEAR
    noise = demand.token_volatility * jnp.cumsum(jnp.sqrt(steps) * normals)
    years = times / SECONDS_PER_YEAR
    return jnp.exp(noise - demand.token_decline * times - demand.token_volatility**2 / 2 * years)


def slip(project: Project, normal: Scalar) -> Scalar:
    """Energization delay (s): lognormal around its median, at the most `LATEST` standard deviations late."""
    return project.delay * jnp.exp(project.delay_spread * jnp.minimum(normal, LATEST))


def regime_path(demand: Demand, uniforms: Path, times: Path) -> Path:
    """1 in a boom and 0 in a digestion, from a boom on: a two-state Markov chain seen at `times`.

    P(boom after dt | boom) = q + (1 - q) e^(-(a + b) dt), q = b / (a + b), with a the rate of leaving a boom
    and b that of leaving a digestion; a boom without end where both are 0.
    """
    steps = jnp.diff(times, prepend=0.0)
    total = demand.leave_boom + demand.leave_digestion
    share = demand.leave_digestion / jnp.where(total > 0, total, 1.0)

    def step(boom: Scalar, now: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        interval, uniform = now
        chance = share + (boom - share) * jnp.exp(-total * interval)
        boom = jnp.where(uniform < chance, 1.0, 0.0)
        return boom, boom

    return jax.lax.scan(step, jnp.ones_like(total), (steps, uniforms))[1]
