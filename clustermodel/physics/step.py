"""How long one iteration of an engine takes, operation by operation."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.collectives import CommunicationTime, communication
from clustermodel.physics.cube_root import cube_root
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.transformer import expert_coverage, expert_input, routed_share
from clustermodel.physics.work import Demand, Tokens, Work, rank_tokens, work

ATTENTION_PRODUCTS, LATENT_PRODUCTS, FFN_PRODUCTS = 2.0, 4.0, 2.0
"""Matrix products of a layer whose input is quantised first: query-key-value and output; with latent
attention down, up, absorbed up and output; gate-up and down of an FFN or of the experts."""

_SMOOTH = 1e-12  # s; keeps the gradient of the norm finite where both parts are 0


class OperationTime(eqx.Module):
    """Seconds of one operation; its two parts overlap as far as the cube norm lets them."""

    traffic: Scalar
    arithmetic: Scalar

    @property
    def total(self) -> Scalar:
        """(traffic^3 + arithmetic^3)^(1/3): between perfect overlap and none (s)."""
        return cube_root((self.traffic + _SMOOTH) ** 3 + (self.arithmetic + _SMOOTH) ** 3)

    @property
    def traffic_share(self) -> Scalar:
        """Share of the total owed to memory; the rest is owed to arithmetic."""
        traffic, arithmetic = (self.traffic + _SMOOTH) ** 3, (self.arithmetic + _SMOOTH) ** 3
        return traffic / (traffic + arithmetic)


class StepTime(eqx.Module):
    """One iteration, operation by operation (s)."""

    dense: OperationTime
    experts: OperationTime
    head: OperationTime
    attention: OperationTime
    prefill_attention: Scalar
    communication: CommunicationTime
    launch: Scalar
    host: Scalar

    @property
    def total(self) -> Scalar:
        """The iteration (s)."""
        operations = self.dense.total + self.experts.total + self.head.total + self.attention.total
        return operations + self.prefill_attention + self.communication.total + self.launch + self.host


def draft_time(step: StepTime, layers: Scalar) -> Scalar:
    """Drafting one token with a multi-token-prediction head: one layer's share of an iteration and the output head (s).

    [DeepSeek-V3 report, arXiv:2412.19437, section 2.2: one transformer block per drafted token]
    """
    layer = step.dense.total + step.experts.total + step.attention.total
    return (layer + step.communication.total + step.launch) / layers + step.head.total


def iteration(deployment: Deployment, tokens: Tokens) -> tuple[StepTime, Work]:
    """Time and least work of one iteration of one replica.

    Every operation takes its physical time over the share of the peak that engines reach; launches, host
    work and communication come on top, so no iteration is faster than its work at peak rates.
    """
    need, c = work(deployment, tokens), deployment.coefficients
    step = StepTime(
        dense=_at(need.dense, c.weight_read, c.dense_math),
        experts=_experts(deployment, tokens, need.experts),
        head=_at(need.head, c.weight_read, c.dense_math),
        attention=_at(need.attention, c.cache_read, c.attention_math),
        prefill_attention=need.prefill_attention.arithmetic / c.attention_math,
        communication=communication(deployment, rank_tokens(deployment, tokens)),
        launch=launch(deployment),
        host=c.iteration_host + c.sequence_host * tokens.decode / deployment.layout.dp,
    )
    return step, need


def _at(need: Demand, read: Scalar, math: Scalar) -> OperationTime:
    return OperationTime(need.traffic / read, need.arithmetic / math)


def launch(deployment: Deployment) -> Scalar:
    """Launching the kernels of all layers; narrow formats add those that quantise activations (s)."""
    c, model = deployment.coefficients, deployment.model
    latent = jnp.where(model.replicated_cache > 0, model.layers, 0.0)
    times = model.layers * c.layer_launch + model.moe_layers * c.moe_launch + latent * c.latent_launch
    return (times + quantised_products(deployment) * c.quantise_launch) * c.launch_scale


def quantised_products(deployment: Deployment) -> Scalar:
    """Matrix products of one iteration whose activations are quantised before them."""
    f, model = deployment.formats, deployment.model
    attention = jnp.where(model.kv_lora_rank > 0, LATENT_PRODUCTS, ATTENTION_PRODUCTS) * model.layers
    shared = jnp.where(model.shared_ffn_dim > 0, model.moe_layers, 0.0)
    ffn = FFN_PRODUCTS * (model.dense_ffn_layers + shared)
    kinds = (
        (attention, f.attention_bytes),
        (ffn, f.ffn_bytes),
        (FFN_PRODUCTS * model.moe_layers, f.expert_bytes),
    )
    narrow = [jnp.where(width < f.activation_bytes, products, 0.0) for products, width in kinds]
    return narrow[0] + narrow[1] + narrow[2]


def _experts(d: Deployment, tokens: Tokens, need: Demand) -> OperationTime:
    """Routed experts: uneven load over ranks, rows padded to tiles, and experts too small to fill the machine.

    imbalance = 1 + imb (1 - 1/ep) u/(1 + u), u = sqrt(E / (K tokens));  padding adds coverage x pad x E/K
    tokens;  arithmetic slows by 1 + w0/width, reading by 1 + s0/(bytes of an expert on one accelerator).
    """
    c, routed = d.coefficients, jnp.maximum(rank_tokens(d, tokens), 1e-6)
    touched = expert_coverage(d.model, routed, c.coverage_skew)
    share = jnp.maximum(routed_share(d.model), 1e-9)
    spread = jnp.sqrt(1 / (share * routed))
    imbalance = 1 + c.expert_imbalance * (1 - 1 / d.layout.ep) * spread / (1 + spread)
    padding = 1 + touched * c.expert_padding / share / routed
    narrow = 1 + c.expert_width / jnp.maximum(d.model.moe_ffn_dim, 1.0)
    small = 1 + c.expert_slice / jnp.maximum(_expert_slice(d), 1.0)
    some = d.model.n_experts > 0
    return OperationTime(
        jnp.where(some, need.traffic * imbalance * small / c.expert_read, 0.0),
        jnp.where(some, need.arithmetic * imbalance * padding * narrow / c.expert_math, 0.0),
    )


def _expert_slice(d: Deployment) -> Scalar:
    """Bytes of one expert of one layer that an accelerator holds: all of it under expert parallelism."""
    matrices = d.model.ffn_matrices * expert_input(d.model) * d.model.moe_ffn_dim
    return matrices * d.formats.expert_bytes * d.layout.ep / d.layout.stage
