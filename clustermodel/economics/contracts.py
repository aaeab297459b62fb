"""What a contract promises over time, what is billed for the use made of it, and what of it is firm."""

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from clustermodel._types import Scalar
from clustermodel.scenarios import Contract

Usage = Float[Array, " period"]


def recognised_share(contract: Contract, elapsed: Scalar) -> Scalar:
    """Share of the value delivered within `elapsed` (s) of the first delivery: 0 before, 1 after the term.

    Delivery grows linearly over the ramp R and is flat to the end of the term T:
    C(e) = [min(e, R)^2 / 2R + max(e - R, 0)] / (T - R/2)
    """
    ramp = jnp.minimum(contract.ramp, contract.term)
    time = jnp.clip(elapsed, 0.0, contract.term)
    rising = jnp.minimum(time, ramp)
    half_slope = 1 / (2 * jnp.where(ramp > 0, ramp, 1.0))
    return (rising * rising * half_slope + time - rising) * (1 / (contract.term - ramp / 2))


def effective_value(contract: Contract) -> Scalar:
    """Firm value and the expected part of the rest (USD): V [b + p (1 - b)]."""
    return contract.value * (contract.binding + contract.conversion * (1 - contract.binding))


def remaining_obligation(contract: Contract, since_signing: Scalar) -> Scalar:
    """Headline value not yet delivered (USD): what the supplier reports as RPO."""
    return contract.value * (1 - recognised_share(contract, since_signing - contract.start))


def current_obligation(contract: Contract, since_signing: Scalar, horizon: Scalar) -> Scalar:
    """Part of the remaining obligation that converts to revenue within `horizon` (cRPO for 12 months)."""
    later = remaining_obligation(contract, since_signing + horizon)
    return remaining_obligation(contract, since_signing) - later


def billed_share(contract: Contract, usage: Scalar) -> Scalar:
    """Share of the agreed volume that is billed: max(min(u, 1), phi), use it or lose it."""
    return jnp.maximum(jnp.minimum(usage, 1.0), contract.take_or_pay)


def settled_price(contract: Contract, market: Scalar) -> Scalar:
    """Price over the agreed one when the market stands at `market`: clip(1 - b + b m, floor, cap)."""
    indexed = 1 - contract.index_share + contract.index_share * market
    return jnp.clip(indexed, contract.price_floor, contract.price_cap)


def limited_mean(median: Scalar, spread: Scalar, limit: Scalar) -> Scalar:
    """E[min(D, K)] of a lognormal D with standard deviation `spread` of its logarithm; min(m, K) without spread.

    E[min(D, K)] = m e^(s^2/2) Phi(d - s) + K (1 - Phi(d)),  d = ln(K/m)/s
    [limited expected value; Klugman et al., Loss Models, appendix A.5.1.1]
    """
    bounded = jnp.where(limit > 0, limit, 1.0)
    wide = jnp.where(spread > 0, spread, 1.0)
    distance = jnp.log(bounded / median) / wide
    mean = median * jnp.exp(wide**2 / 2) * ndtr(distance - wide) + bounded * ndtr(-distance)
    mean = jnp.where(spread > 0, mean, jnp.minimum(median, bounded))
    return jnp.where(limit > 0, mean, 0.0)


def expected_billed_share(contract: Contract, median: Scalar, spread: Scalar) -> Scalar:
    """Mean billed share for lognormal use over the agreed volume: phi + E[min(u, 1)] - E[min(u, phi)]."""
    taken = limited_mean(median, spread, jnp.ones_like(median))
    return contract.take_or_pay + taken - limited_mean(median, spread, contract.take_or_pay)


def makeup_bills(contract: Contract, usage: Usage, period: Scalar) -> Usage:
    """Billed share of each period when volume paid for and not used may be taken later.

    Use beyond the agreed volume is not billed while banked volume no older than `makeup` covers it, oldest
    first; use above both is billed at the agreed price.

    Args:
        contract: take-or-pay share and make-up time.
        usage: use of each period over the agreed volume of a period.
        period: length of a period (s).
    """
    ages = jnp.arange(usage.size, dtype=usage.dtype)

    def step(bank: Usage, now: tuple[Scalar, Scalar]) -> tuple[Usage, Scalar]:
        index, used = now
        fresh = jnp.where((index - ages) * period <= contract.makeup, bank, 0.0)
        older = jnp.cumsum(fresh) - fresh
        taken = jnp.clip(jnp.maximum(used - 1, 0.0) - older, 0.0, fresh)
        unused = jnp.maximum(contract.take_or_pay - used, 0.0)
        left = jnp.where(ages == index, unused, fresh - taken)
        return left, jnp.maximum(used, contract.take_or_pay) - jnp.sum(taken)

    return jax.lax.scan(step, jnp.zeros_like(usage), (ages, usage))[1]


def backstop_payment(contract: Contract, unsold: Scalar) -> Scalar:
    """What the buyer owes for capacity worth `unsold` (USD) that found no other taker: a put on it."""
    return jnp.minimum(jnp.maximum(unsold, 0.0), contract.backstop)


def exit_share(contract: Contract, elapsed: Scalar) -> Scalar:
    """Minimum bills owed by a buyer who leaves `elapsed` after the first delivery, over the contract's value.

    phi [C(e + x) - C(e)] for a fee of the minimum bills of a time x
    """
    after = recognised_share(contract, elapsed + contract.exit_fee)
    return contract.take_or_pay * (after - recognised_share(contract, elapsed))


def exit_charge(contract: Contract, elapsed: Scalar) -> Scalar:
    """Minimum bills owed by a buyer who leaves `elapsed` after the first delivery (USD)."""
    return contract.value * exit_share(contract, elapsed)


def _saved_by_leaving(contract: Contract, market: Scalar) -> Scalar:
    """What a buyer gains who leaves at the first delivery and buys at the market, over the contract's value."""
    return 1 - market - exit_share(contract, jnp.zeros_like(market))


def terminated(contract: Contract, delay: Scalar, market: Scalar) -> Scalar:
    """1 where the buyer leaves: the delivery is later than the grace allows and the market with the fee is cheaper."""
    return jnp.where((delay > contract.grace) & (_saved_by_leaving(contract, market) > 0), 1.0, 0.0)


def delivery_option(contract: Contract, delay: Scalar, market: Scalar) -> Scalar:
    """What the right to leave a late delivery is worth to the buyer (USD): V (1 - m) less the fee when it is used."""
    return contract.value * terminated(contract, delay, market) * _saved_by_leaving(contract, market)
