"""`power` of a disaggregated deployment: watts of each pool, joules of input and of output tokens."""

from typing import Any

import jax.numpy as jnp

from clustermodel import __version__
from clustermodel.catalog import Catalog
from clustermodel.chain.fields import MS
from clustermodel.chain.pools.answer import SCHEMA, layout, pool_fields
from clustermodel.chain.pools.bill import Both, power_fields, power_parts
from clustermodel.chain.pools.choose import choose_pools
from clustermodel.chain.pools.setup import set_up_pools
from clustermodel.chain.pools.sizing import NAMES
from clustermodel.chain.provenance import assumptions, inputs, sources
from clustermodel.chain.question import Question
from clustermodel.physics.facility import footprint
from clustermodel.units import MILLION


def power(catalog: Catalog, question: Question) -> dict[str, Any]:
    """Watts and joules of two pools; numbers per accelerator are means over both, each pool's under `pools`."""
    setup = set_up_pools(catalog, question)
    choice = choose_pools(setup)
    both, point, decode = Both(setup, choice), choice.evaluation.point, setup.decode
    views = (decode, setup.prefill)
    return {
        "kind": "power",
        "schema": SCHEMA,
        "version": __version__,
        "system": decode.system.slug,
        "prefill_system": setup.prefill.system.slug,
        "model": decode.model.slug,
        "engine": decode.engine.slug,
        "precision": decode.precision.label,
        "layout": layout(choice),
        "n_accelerators": choice.n_accelerators,
        "concurrency": choice.concurrency,
        "batch": float(point.batch),
        "tpot_ms": float(point.tpot) * MS,
        "output_tok_s_per_accelerator": float(point.output_rate) / choice.n_accelerators,
        **power_fields(both),
        **_per_token(both),
        "pools": {name: pool_fields(both, name) for name in NAMES},
        "breakdown": {"power_w": power_parts(both)},
        "seen": all(each.measured for each in views),
        "inputs": inputs(*views),
        "assumptions": assumptions(*views),
        "sources": sources(catalog, *views),
    }


def _per_token(both: Both) -> dict[str, Any]:
    """Energy of a pool over its own tokens, and what that leaves behind."""
    point, site = both.choice.evaluation.point, both.setup.decode.site.spec
    load = both.setup.decode.load(jnp.ones(()))
    drawn = {name: float(both.bill(name).inlet.total * both.bill(name).carried * site.pue) for name in NAMES}
    output, inputs_rate = float(point.output_rate), float(point.request_rate * load.uncached)
    joules = sum(drawn.values()) / output
    left = footprint(jnp.asarray(joules) / site.pue, site)
    return {
        "joules_per_token": {"input": drawn["prefill"] / inputs_rate, "output": drawn["decode"] / output},
        "usd_per_mtok_output_energy": joules * float(site.electricity) * MILLION,
        "carbon_kg_per_mtok_output": float(left.carbon) * MILLION,
        "water_l_per_mtok_output": float(left.water) * MILLION,
    }
