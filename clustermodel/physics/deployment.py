"""One replica of a model on some accelerators of a system: what every kernel is asked about."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.coefficients import Coefficients
from clustermodel.physics.tiers import Placement
from clustermodel.specs import Accelerator, Engine, Model, System, quantity


class Layout(eqx.Module):
    """How a replica is split: tp x pp x dp accelerators; ep divides tp x dp and does not multiply."""

    tp: Scalar = quantity("", "tensor-parallel ranks", least=1.0)
    pp: Scalar = quantity("", "pipeline stages", 1.0, least=1.0)
    dp: Scalar = quantity("", "attention-data-parallel ranks", 1.0, least=1.0)
    ep: Scalar = quantity("", "expert-parallel ranks", 1.0, least=1.0)

    @property
    def stage(self) -> Scalar:
        """Accelerators per pipeline stage."""
        return self.tp * self.dp

    @property
    def n_accelerators(self) -> Scalar:
        """Accelerators of the replica."""
        return self.tp * self.pp * self.dp


class Formats(eqx.Module):
    """Bytes per stored number and FLOP/s of its arithmetic, by kind of tensor."""

    attention_bytes: Scalar = quantity("B", "per attention weight")
    ffn_bytes: Scalar = quantity("B", "per dense or shared FFN weight")
    expert_bytes: Scalar = quantity("B", "per routed expert weight")
    head_bytes: Scalar = quantity("B", "per embedding weight")
    cache_bytes: Scalar = quantity("B", "per cache element")
    state_bytes: Scalar = quantity("B", "per recurrent state element")
    activation_bytes: Scalar = quantity("B", "per activation sent between accelerators")
    attention_rate: Scalar = quantity("FLOP/s", "attention projections")
    ffn_rate: Scalar = quantity("FLOP/s", "dense and shared FFN")
    expert_rate: Scalar = quantity("FLOP/s", "routed experts")
    wide_rate: Scalar = quantity("FLOP/s", "16-bit: attention over the cache, output head")


class Deployment(eqx.Module):
    """A system, a model on it, how it is stored and split, and how well the engine does."""

    system: System
    model: Model
    formats: Formats
    layout: Layout
    engine: Engine
    coefficients: Coefficients
    placement: Placement | None = None  # None: everything that runs lives in the nearest tier

    @property
    def accelerator(self) -> Accelerator:
        """The accelerator of the system."""
        return self.system.accelerator

    def link(self, ranks: Scalar) -> Scalar:
        """Bandwidth per accelerator and direction inside a group of `ranks` (B/s).

        The scale-up (or host) link while the group fits one scale-up domain, else the network; cards without one
        talk over their hosts' links inside one system.
        """
        chip, system = self.accelerator, self.system
        over_host = jnp.where(ranks <= system.count, chip.hostlink_bandwidth, 0.0)
        beyond = jnp.where(chip.scaleout_bandwidth > 0, chip.scaleout_bandwidth, over_host)
        return jnp.where(ranks <= system.scaleup_domain, chip.link_bandwidth, beyond)

    def read_rate(self, kind: str) -> Scalar:
        """Bandwidth at which dense weights, experts, head or cache are read where they lie (B/s)."""
        if self.placement is None:
            return self._near_rate
        return getattr(self.placement, kind).rate

    def near_share(self, kind: str) -> Scalar:
        """Seconds that the nearest tier, at its own rate, works in a second of reading data of a kind."""
        if self.placement is None:
            return jnp.ones_like(self._near_rate)
        where = getattr(self.placement, kind)
        return where.near * where.rate / self._near_rate

    @property
    def _near_rate(self) -> Scalar:
        return self.accelerator.hbm_bandwidth * self.accelerator.memory.efficiency[..., 0]
