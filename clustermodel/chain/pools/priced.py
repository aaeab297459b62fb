"""The uncertain numbers of two pools, and what the pools that were chosen would cost with other ones."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from clustermodel import specs
from clustermodel.chain.over_time import UnderArrivals
from clustermodel.chain.pools.choose import PoolsChoice
from clustermodel.chain.pools.search import (
    Plan,
    Rows,
    asked_rows,
    evaluations,
    in_the_mean,
    running_plans,
)
from clustermodel.chain.pools.setup import PoolsSetup
from clustermodel.chain.pools.sizing import fleet_price
from clustermodel.chain.uncertain_numbers import Uncertain, uncertain_numbers

Floats = NDArray[np.float64]


def pools_numbers(setup: PoolsSetup) -> Iterator[Uncertain[PoolsSetup]]:
    """Every number behind an answer that was written with a range; one that both pools rest on moves in both."""
    decode = {number.name: number for number in uncertain_numbers(setup.decode)}
    prefill = {number.name: number for number in uncertain_numbers(setup.prefill)}
    for name, number in (prefill | decode).items():

        def at(value: float, name: str = name) -> PoolsSetup:
            pools = ((prefill, setup.prefill), (decode, setup.decode))
            return PoolsSetup(
                *(own[name].asked_with(value) if name in own else as_it_is for own, as_it_is in pools)
            )

        yield Uncertain(name, number.low, number.value, number.high, number.written, at)


def priced(choice: PoolsChoice, setups: Sequence[PoolsSetup]) -> Floats:
    """Price of a token of any class at the chosen plan in each setup (USD); NaN where it does not fit."""
    every = jax.tree.map(lambda leaf: np.full(len(setups), leaf), choice.plan)
    found = evaluations(_rows(setups, every))
    price = np.asarray(found.unit.blended, float)
    if choice.arrivals is not None:
        price = _under_arrivals(setups, every, choice.arrivals, np.asarray(found.point.request_rate, float))
    served = (np.asarray(found.fits) > 0) & np.isfinite(price)
    return np.where(served, price, np.nan)


def _under_arrivals(
    setups: Sequence[PoolsSetup], plans: Plan, arrivals: UnderArrivals, capacity: Floats
) -> Floats:
    """From as many whole systems as carry the rate."""
    usual = jax.tree.map(lambda leaf: np.full(len(setups), leaf), arrivals.usual)
    mean = in_the_mean(_rows(setups, running_plans(plans, usual)), usual)
    row = lambda i: jax.tree.map(lambda leaf: leaf[[i]], mean)
    return np.asarray([fleet_price(each, row(i), capacity[[i]])[0] for i, each in enumerate(setups)])


def _rows(setups: Sequence[PoolsSetup], plans: Plan) -> Rows:
    one = jnp.ones(())
    pools, load, owners = specs.gather(
        [(each.template, each.decode.load(one), each.owners) for each in setups]
    )
    return (*asked_rows(pools, load, plans), owners)
