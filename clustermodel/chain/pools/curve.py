"""The frontier of pairs of pools: price and throughput at every speed a user can have."""

from typing import Any

import jax
import jax.numpy as jnp

from clustermodel.catalog import Catalog
from clustermodel.chain.fields import MS
from clustermodel.chain.pools.answer import layout
from clustermodel.chain.pools.bill import Both, power_fields
from clustermodel.chain.pools.choose import PoolsChoice, allowed_points
from clustermodel.chain.pools.search import PoolsGrid, first_grid
from clustermodel.chain.pools.setup import PoolsSetup, set_up_pools
from clustermodel.chain.question import Question
from clustermodel.chain.search import lower_envelope
from clustermodel.units import MILLION


def curve(catalog: Catalog, question: Question) -> list[dict[str, Any]]:
    """Pairs of pools that no other pair beats in speed and in price alike, fastest first."""
    setup = set_up_pools(catalog, question)
    grid = first_grid(setup)
    kept = lower_envelope(grid.price, grid.tpot, allowed_points(setup, grid))
    return [_point(setup, grid, int(index)) for index in kept]


def _point(setup: PoolsSetup, grid: PoolsGrid, index: int) -> dict[str, Any]:
    found = jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), grid.evaluations)
    arrivals = jax.tree.map(lambda leaf: jnp.asarray(leaf[index]), grid.arrivals)
    choice = PoolsChoice(grid.plan(index), found, None, searched=len(grid.price), arrivals=arrivals)
    point = found.point
    return {
        "system": setup.decode.system.slug,
        "prefill_system": setup.prefill.system.slug,
        "interactivity_tok_s_user": 1 / float(grid.tpot[index]),
        "usd_per_mtok_total": float(grid.price[index]) * MILLION,
        "output_tok_s_per_accelerator": float(point.output_rate) / choice.n_accelerators,
        "tok_s_per_mw": power_fields(Both(setup, choice))["tok_s_per_mw"],
        "ttft_ms": float(grid.ttft[index]) * MS,
        "tpot_ms": float(grid.tpot[index]) * MS,
        "concurrency": choice.concurrency,
        "layout": layout(choice),
    }
