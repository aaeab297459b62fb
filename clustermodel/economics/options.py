"""Rights and their price: waiting, price collars, locking supply, swapping to the next generation."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.economics.contracts import limited_mean, recognised_share, settled_price
from clustermodel.economics.finance_metrics import carry
from clustermodel.scenarios import Contract
from clustermodel.units import SECONDS_PER_YEAR


def waiting_multiple(rate: Scalar, payout: Scalar, volatility: Scalar) -> Scalar:
    """Value over cost below which it pays to wait with an investment that can't be undone.

    V*/K = b / (b - 1),  b = 1/2 - (r - q)/s^2 + sqrt(((r - q)/s^2 - 1/2)^2 + 2 r/s^2)
    [Dixit & Pindyck 1994, Investment under Uncertainty, ch. 5, eq. 15]

    Written with 1/b, which needs no division by s: without volatility it is max(r/q, 1).

    Args:
        rate: cost of capital per year.
        payout: value lost per year of waiting, such as the erosion of prices.
        volatility: of the log value over a year.
    """
    variance = volatility**2
    drift = rate - payout - variance / 2
    square = drift**2 + 2 * rate * variance
    root = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
    growing = drift > 0
    rising = (drift + root) / jnp.where(growing, 2 * rate, 1.0)
    falling = variance / jnp.where(growing | (root == 0), 1.0, root - drift)
    return 1 / (1 - jnp.where(growing, rising, falling))


def collar_mean(contract: Contract, median: Scalar, spread: Scalar) -> Scalar:
    """Expected price over the agreed one for a lognormal market price: E[clip(1 - b + b m, floor, cap)].

    E[clip(x, f, c)] = f + E[min(x, c)] - E[min(x, f)], with the limits moved to the market price.
    """
    weight = contract.index_share
    share = jnp.where(weight > 0, weight, 1.0)
    fixed = 1 - weight
    limit = lambda price: jnp.maximum((price - fixed) / share, 0.0)
    capped = share * limited_mean(
        median, spread, jnp.minimum(limit(contract.price_cap), jnp.finfo(float).max)
    )
    floored = share * limited_mean(median, spread, limit(contract.price_floor))
    least = jnp.minimum(jnp.maximum(contract.price_floor, fixed), contract.price_cap)
    return jnp.where(weight > 0, least + capped - floored, settled_price(contract, median))


class LockValue(eqx.Module):
    """What locking supply brings over buying at the market, per unit of volume at today's price."""

    market: Scalar
    locked: Scalar
    prepayment: Scalar
    shortfall: Scalar

    @property
    def advantage(self) -> Scalar:
        """Market price saved, less locked price, carry of the prepayment and volume paid for in vain."""
        return self.market - self.locked - self.prepayment - self.shortfall


def lock_value(contract: Contract, market: Scalar, usage: Scalar, wacc: Scalar) -> LockValue:
    """Lock against spot for one outcome of the market price and of the use made of the volume.

    market - settled - prepaid [(1 + r)^T - 1] - (max(u, phi) - u) settled, all per unit used

    Args:
        contract: the supply agreement; take-or-pay is the share of the volume paid for in any case.
        market: market price at delivery over today's.
        usage: volume needed over the volume agreed, up to 1.
        wacc: annual cost of capital.
    """
    settled = settled_price(contract, market)
    waiting = carry(contract.prepaid, wacc, contract.term / SECONDS_PER_YEAR)
    shortfall = jnp.maximum(contract.take_or_pay - usage, 0.0) * settled
    return LockValue(market * usage, settled * usage, waiting, shortfall)


def lock_regret(
    contract: Contract, locked: Float[Array, " choice"], markets: Float[Array, " outcome"], wacc: Scalar
) -> Float[Array, "choice outcome"]:
    """Regret of locking a share of the volume when the market turns out as it does, per unit of volume.

    R_ij = cost of choice i in outcome j less the cheapest choice's, at full use.
    """
    waiting = carry(contract.prepaid, wacc, contract.term / SECONDS_PER_YEAR)
    settled = jax.vmap(settled_price, in_axes=(None, 0))(contract, markets) + waiting
    cost = (1 - locked[:, None]) * markets[None, :] + locked[:, None] * settled[None, :]
    return cost - jnp.min(cost, axis=0, keepdims=True)


def refresh_gain(contract: Contract, elapsed: Scalar, uplift: Scalar, price: Scalar) -> Scalar:
    """What the buyer gains by swapping the rest of a contract to the next generation (USD).

    V (1 - C(t)) max(1 - p/k, 0): the same work on hardware k times as fast at p times the price.
    """
    allowed = jnp.where(elapsed >= contract.refresh, 1.0, 0.0)
    rest = contract.value * (1 - recognised_share(contract, elapsed))
    return allowed * rest * jnp.maximum(1 - price / uplift, 0.0)


def stranded_value(capex: Scalar, book_life: Scalar, elapsed: Scalar, resale: Scalar) -> Scalar:
    """Book value that the supplier loses on hardware returned at `elapsed` (USD): NBV less resale, at least 0."""
    book = capex * jnp.maximum(1 - elapsed / book_life, 0.0)
    return jnp.maximum(book - resale * capex, 0.0)
