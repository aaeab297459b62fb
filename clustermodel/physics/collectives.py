"""What accelerators wait for each other: all-reduce, all-to-all and pipeline transfers."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment


class CommunicationTime(eqx.Module):
    """Seconds of one iteration spent in each kind of communication."""

    all_reduce: Scalar
    all_to_all: Scalar
    pipeline: Scalar

    @property
    def total(self) -> Scalar:
        """All kinds together (s)."""
        return self.all_reduce + self.all_to_all + self.pipeline


def communication(deployment: Deployment, stage_tokens: Scalar) -> CommunicationTime:
    """Communication of one iteration in which `stage_tokens` pass a pipeline stage."""
    return CommunicationTime(
        all_reduce=_all_reduce(deployment, stage_tokens),
        all_to_all=_all_to_all(deployment, stage_tokens),
        pipeline=_pipeline(deployment, stage_tokens),
    )


def _rate(d: Deployment, ranks: Scalar) -> Scalar:
    return d.link(ranks) * d.coefficients.link_share


def _latency(d: Deployment, ranks: Scalar) -> Scalar:
    slow = d.link(ranks) < d.coefficients.slow_link
    return d.coefficients.collective_latency * jnp.where(slow, d.coefficients.slow_link_excess, 1.0)


def _all_reduce(d: Deployment, stage_tokens: Scalar) -> Scalar:
    """Two a layer: 2 L [alpha (tp/4)^g + 2 m D b (tp - 1)/tp / rate], with b bytes per activation."""
    tp, c = d.layout.tp, d.coefficients
    latency = _latency(d, tp) * jnp.exp(c.collective_exponent * jnp.log(tp / 4))
    ring = 2 * d.formats.activation_bytes * (tp - 1) / tp
    wire = ring * stage_tokens / d.layout.dp * d.model.d_model / _rate(d, tp)
    return jnp.where(tp > 1, 2 * d.model.layers * (latency + wire), 0.0)


def _all_to_all(d: Deployment, stage_tokens: Scalar) -> Scalar:
    """Dispatch and combine of a MoE layer under data-parallel attention; latency and wire add in quadrature.

    Expert parallelism sends a token to at most K ranks; experts cut across all ranks (ep 1) need every token
    on every rank.
    """
    layout, c = d.layout, d.coefficients
    copies = jnp.where(layout.ep > 1, jnp.minimum(d.model.top_k, layout.ep), layout.stage)
    wire = stage_tokens / layout.stage * copies * d.model.d_model / _rate(d, layout.stage)
    latency = _latency(d, layout.stage)
    each = c.dispatch_excess * jnp.sqrt(latency**2 + wire**2)
    return jnp.where((layout.dp > 1) & (d.model.n_experts > 0), 2 * d.model.moe_layers * each, 0.0)


def _pipeline(d: Deployment, stage_tokens: Scalar) -> Scalar:
    """One transfer of the residual stream between neighbouring stages."""
    layout = d.layout
    wire = stage_tokens / layout.stage * d.model.d_model * d.formats.activation_bytes
    each = _latency(d, layout.n_accelerators) + wire / _rate(d, layout.n_accelerators)
    return jnp.where(layout.pp > 1, (layout.pp - 1) * each, 0.0)
