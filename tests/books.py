"""Books of contracts and their models of paths, for tests: a large buyer among small ones, and equal ones."""

import equinox as eqx
import jax
import jax.numpy as jnp

from clustermodel.economics.montecarlo import Sampling, simulate
from clustermodel.economics.outcome import PathModel, certain
from clustermodel.economics.world import World
from clustermodel.scenarios import Contract, Credit, Rent, neutral, without_supply_agreement
from clustermodel.specs import stack
from clustermodel.units import SECONDS_PER_YEAR

YEAR = float(SECONDS_PER_YEAR)
BLOCK = 20_000


def book(shares, hazards, **fields):
    return stack(
        [
            Contract(term=5 * YEAR, value=s, hazard=h / YEAR, **fields)
            for s, h in zip(shares, hazards, strict=True)
        ]
    )


ANCHOR = book([0.40, *[0.15] * 4, *[0.0] * 5], [0.104, *[0.05] * 9])  # filled up: one program for both books
EQUAL = book([0.1] * 10, [0.104 * 0.4 + 0.05 * 0.6] * 10)


def world(contracts, rho, wrong_way):
    credit = Credit(correlation=rho, wrong_way=wrong_way, vacancy=0.5 * YEAR, fill=0.9)
    rent = Rent(level=0.8, target=0.8, dispersion=0.4, ceiling=1.5)
    scenario = eqx.tree_at(lambda s: (s.credit, s.rent), neutral(), (credit, rent))
    return World(scenario, contracts, without_supply_agreement())


def model(contracts, rho, wrong_way, edges):
    made = certain(world(contracts, rho, wrong_way))
    return PathModel(made, jnp.arange(contracts.value.size), jnp.asarray(edges), 0)


def losses(of, paths=200_000, method="quasi", seed=0):
    outcome, _, _ = simulate(of, Sampling(jax.random.key(seed), paths, of.draws, method), BLOCK)
    return outcome.loss_share
