"""What the deployment that was chosen would cost if other things were as they are not."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from clustermodel import specs
from clustermodel.chain.choose import Carried, Choice, requests_in_flight
from clustermodel.chain.evaluate import Evaluation
from clustermodel.chain.over_time import while_busy
from clustermodel.chain.search import Rows, evaluations, full_batches, in_the_mean
from clustermodel.chain.setup import Setup
from clustermodel.chain.sizing import fleet_price
from clustermodel.physics.deployment import Layout

Floats = NDArray[np.float64]


def priced(choice: Choice, setups: Sequence[Setup]) -> Floats:
    """Price of a token of any class at the chosen layout and load in each setup (USD); NaN where it does not fit.

    The first setup is the one that it was chosen in.
    """
    if choice.carried is None:
        found = _fullest(setups, choice)
        price = np.asarray(found.unit.blended, float)
    else:
        found, price = _under_arrivals(setups, choice, choice.carried)
    served = (np.asarray(found.point.memory.fits) > 0) & np.isfinite(price)
    return np.where(served, price, np.nan)


def _under_arrivals(setups: Sequence[Setup], choice: Choice, carried: Carried) -> tuple[Evaluation, Floats]:
    """Full replicas, and the price of a token from as many whole systems of them as carry the rate."""
    full = _fullest(setups, choice)
    usual = jax.tree.map(lambda leaf: np.full(len(setups), leaf), carried.arrivals.usual)
    mean = in_the_mean(_rows(setups, choice, float(while_busy(carried.arrivals.usual.in_flight))), usual)
    rates = np.asarray(full.point.request_rate, float)
    prices = [
        fleet_price(each, [choice.shape], rates[[i]], jax.tree.map(lambda leaf, i=i: leaf[[i]], mean.hour))[0]
        for i, each in enumerate(setups)
    ]
    return full, np.asarray(prices)


def _fullest(setups: Sequence[Setup], choice: Choice) -> Evaluation:
    """A replica with the requests in flight at which it was chosen, or with as many as run where those were all."""
    rows = _rows(setups, choice, choice.fullest)
    load = requests_in_flight(setups[0], choice)(jnp.asarray(full_batches(*rows[:2])))
    return evaluations(*eqx.tree_at(lambda each: each[1].concurrency, rows, load))


def _rows(setups: Sequence[Setup], choice: Choice, concurrency: float) -> Rows:
    layout, n = Layout(*map(specs.strong_float, choice.shape)), specs.strong_float(concurrency)
    return specs.gather([(each.deployment(layout), each.load(n), each.money) for each in setups])
