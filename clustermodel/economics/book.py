"""What a book of contracts brings in when buyers default together, leave late deliveries or use less.

A book is a stacked `Contract`: every leaf has a leading axis, one entry per contract.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, Float, Int

from clustermodel._types import Scalar
from clustermodel.economics.contracts import billed_share, recognised_share, settled_price, terminated
from clustermodel.scenarios import Contract, Credit

PerContract = Float[Array, " contract"]
Path = Float[Array, " period"]
Edges = Float[Array, " edge"]


class Market(eqx.Module):
    """What a book meets: use of the agreed volume and prices in each period, and the slip of delivery (s)."""

    usage: Path
    rent: Path
    relet: Path
    delay: Scalar


class Fate(eqx.Module):
    """What becomes of each contract: when its buyer defaults (s from today) and the value that is firm (USD)."""

    default: PerContract
    firm: PerContract


class BookRevenue(eqx.Module):
    """Revenue of each period by origin (USD), and what full use would bring with and without defaults.

    `prepaid` is the part of `planned` that was paid at signing. It is earned with the rest; what a default does not
    let the supplier keep is given back as the rest would have been delivered.
    """

    billed: Path
    relet: Path
    recovered: Path
    kept: Path
    planned: Path
    prepaid: Path

    @property
    def total(self) -> Path:
        """All revenue of each period."""
        return self.billed + self.relet + self.recovered

    @property
    def ahead(self) -> Path:
        """What is paid in each period before it is earned, negative where it was paid before: sums to nothing."""
        return (-self.prepaid).at[0].add(jnp.sum(self.prepaid))


def default_times(book: Contract, credit: Credit, factor: Scalar, own: PerContract) -> PerContract:
    """Default times (s) of a one-factor Gaussian copula; a high factor means early defaults for all.

    tau_i = -ln Phi(sqrt(rho) Z + sqrt(1 - rho) eps_i) / lambda_i  [Li 2000, On Default Correlation]
    """
    common = jnp.sqrt(credit.correlation) * factor
    driver = ndtr(common + jnp.sqrt(1 - credit.correlation) * own)
    hazard = book.hazard * credit.stress
    waiting = -jnp.log(jnp.maximum(driver, jnp.finfo(driver.dtype).tiny))
    return jnp.where(hazard > 0, waiting / jnp.where(hazard > 0, hazard, 1.0), jnp.inf)


def after_first_default(times: PerContract, credit: Credit, obligors: Int[Array, " contract"]) -> PerContract:
    """Default times where the buyer of the first contract defaults for certain, on all of its contracts."""
    return jnp.where(obligors == obligors[0], jnp.minimum(times, credit.first_default), times)


def firm_value(book: Contract, uniforms: PerContract) -> PerContract:
    """Value that becomes an obligation (USD): the binding part, and the rest where the uniform says so."""
    converted = jnp.where(uniforms < book.conversion, 1.0, 0.0)
    return book.value * (book.binding + converted * (1 - book.binding))


def _value_at(time: Scalar, values: Path, edges: Edges) -> Scalar:
    """Value of the period that holds `time`, of the last one if it is later."""
    inside = jnp.clip(time, edges[0], edges[-2])
    return jnp.sum(jnp.where((edges[:-1] <= inside) & (inside < edges[1:]), values, 0.0))


def _one_contract(
    contract: Contract, fate: tuple[Scalar, Scalar], credit: Credit, market: Market, edges: Edges
) -> BookRevenue:
    """Revenue of one contract in the periods between `edges`.

    The vacancy is lost but for what is recovered; a buyer who leaves a late delivery owes minimum bills as they fall
    due for the time of the exit fee.
    """
    default, firm = fate
    first = contract.start + market.delay
    delivered = jax.vmap(recognised_share, in_axes=(None, 0))
    leaves = terminated(contract, market.delay, _value_at(first, market.rent, edges)) > 0
    left = leaves & (default > first)
    end = jnp.where(left, first, default)
    planned = jnp.diff(delivered(contract, edges - first))
    kept = jnp.diff(delivered(contract, jnp.minimum(edges, end) - first))
    vacant = jnp.diff(delivered(contract, jnp.minimum(edges, end + credit.vacancy) - first))
    relet = (planned - vacant) * credit.fill * market.relet
    due = jnp.diff(delivered(contract, jnp.minimum(edges, first + contract.exit_fee) - first))
    claim = (planned - kept) * recovered_share(contract, planned - kept, relet)
    owed = jnp.where(left, contract.take_or_pay * due, claim)
    prices = jax.vmap(settled_price, in_axes=(None, 0))(contract, market.rent)
    billed = kept * prices * jax.vmap(billed_share, in_axes=(None, 0))(contract, market.usage)
    paid = contract.prepaid * planned
    revenue = BookRevenue(billed, relet, owed, kept, planned, paid)
    return jax.tree.map(lambda share: firm * share, revenue)


def recovered_share(contract: Contract, undelivered: Path, relet: Path) -> Scalar:
    """Share of the undelivered value U that a default leaves in hand, prepayment p and claim at recovery R.

    A claim is on the damage S = max(U - relet, 0), and a prepayment is kept as far as there is any: recovery and
    re-letting together never bring more than the contract, unless the market alone does.

    min(p U + R S, S) / U
    """
    total = jnp.sum(undelivered)
    uncovered = jnp.maximum(1 - jnp.sum(relet) / jnp.where(total > 0, total, 1.0), 0.0)
    return jnp.minimum(contract.prepaid + contract.recovery * uncovered, uncovered)


def book_revenue(book: Contract, credit: Credit, fate: Fate, market: Market, edges: Edges) -> BookRevenue:
    """Revenue of all contracts in the periods between `edges` (s from today).

    A default ends billing; after the vacancy the capacity is let again, planned volume x fill x price, and of the
    value that this leaves open prepayments are kept and a share is recovered. Who leaves a late delivery owes the exit
    fee alone.
    """
    each = jax.vmap(_one_contract, in_axes=(0, 0, None, None, None))
    rows = each(book, (fate.default, fate.firm), credit, market, edges)
    return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), rows)
