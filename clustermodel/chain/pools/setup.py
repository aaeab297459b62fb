"""A question about two pools, as two setups that share model, engine, site and owner."""

import dataclasses

import jax
import jax.numpy as jnp

from clustermodel.assembly.layouts import Shape, candidates, stack_layouts
from clustermodel.catalog import Catalog, InfeasibleError
from clustermodel.chain.pools.evaluate import Owners
from clustermodel.chain.question import Question
from clustermodel.chain.setup import Setup, set_up
from clustermodel.serving.pools import Pool, Pools

_WITHIN = "disaggregated"


@dataclasses.dataclass(frozen=True)
class PoolsSetup:
    """Both pools' view of the question; the systems, and with them formats and prices, may differ."""

    prefill: Setup
    decode: Setup

    @property
    def question(self) -> Question:
        """What was asked."""
        return self.decode.question

    @property
    def owners(self) -> Owners:
        """Who pays for each pool."""
        return Owners(self.prefill.money, self.decode.money)

    @property
    def apart(self) -> bool:
        """Whether the pools stand on different systems."""
        return self.prefill.system.slug != self.decode.system.slug

    @property
    def template(self) -> Pools:
        """Pools of one accelerator each; layouts and workers are put in row by row."""
        one = jax.tree.map(lambda axis: axis[0], stack_layouts([(1, 1, 1, 1)]))
        pools = [Pool(setup.deployment(one), jnp.ones(())) for setup in (self.prefill, self.decode)]
        overlap = self.decode.engine.spec.transfer_overlap
        return Pools(*pools, overlap=overlap, apart=jnp.asarray(float(self.apart)))


def set_up_pools(catalog: Catalog, question: Question) -> PoolsSetup:
    """Resolve a question about pools; the cache has one format, that of the decode pool."""
    within = _WITHIN if question.allocation == "time_weighted" else question.allocation
    decode = set_up(catalog, dataclasses.replace(question, allocation=within))
    prefill = dataclasses.replace(
        question,
        system=question.prefill_system or question.system,
        kv_precision=decode.precision.cache,
        allocation=within,
        **{axis: getattr(question, f"prefill_{axis}") for axis in ("tp", "pp", "ep", "dp")},
    )
    setup = PoolsSetup(set_up(catalog, prefill), decode)
    _check_network(setup)
    return setup


def shapes(setup: Setup) -> list[Shape]:
    """Layouts that a worker may have."""
    return candidates(setup.system.spec, setup.model.spec, None, setup.question.fixed_axes)


def _check_network(setup: PoolsSetup) -> None:
    """Different systems meet over the network only."""
    for each in (setup.prefill, setup.decode):
        accelerator = each.system.spec.accelerator
        link = accelerator.scaleout_bandwidth if setup.apart else accelerator.link_bandwidth
        if float(link) <= 0:
            raise InfeasibleError(
                f"no link over which {each.system.name} could pass caches to the other pool is known; binding "
                "limit: interconnect. What would do: one system for both pools, or a link such as "
                "--set accelerator.scaleout_bandwidth='50 GB/s'"
            )
