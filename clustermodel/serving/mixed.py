"""The mean iteration of a running batch under continuous batching: decode, and the prefill it has to carry."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.step import StepTime, draft_time, iteration
from clustermodel.physics.work import Demand, Tokens
from clustermodel.serving.load import Load
from clustermodel.serving.phases import Phases
from clustermodel.serving.prefix import CachedTokenTime, cached_token_time


class MixedIteration(eqx.Module):
    """One mean iteration, per output token of every running sequence (s)."""

    tpot: Scalar  # as a running sequence sees it
    step: StepTime  # one pure decode iteration
    time: Phases  # of the replica, by phase, the prefill of every prompt included
    prompt_time: Scalar  # what the prefill of one prompt adds to the iterations that carry it
    prefill_demand: Demand  # work at peak rates behind `time.prefill` and `time.reload`
    decode_demand: Demand  # work at peak rates behind `time.decode`
    step_bound: Scalar  # least time of the decode iteration alone
    bound: Scalar  # least TPOT with the prefill that a running sequence sees


def tokens_of(load: Load, decode: Scalar, prefill: Scalar) -> Tokens:
    """What an iteration with `decode` sequences and `prefill` prompt tokens processes."""
    adapters = (load.adapters, load.adapter_bytes, load.adapter_share)
    return Tokens(decode, prefill, load.context, load.prefill_context, 1 + load.draft_tokens, *adapters)


def others(in_flight: Scalar) -> Scalar:
    """Share of the prompts that a running request waits for: all but its own, (N - 1)/N."""
    return jnp.maximum(in_flight - 1, 0.0) / jnp.maximum(in_flight, 1.0)


def mixed_iteration(
    deployment: Deployment,
    load: Load,
    batch: Scalar,
    in_flight: Scalar,
    prefix: CachedTokenTime | None = None,
) -> MixedIteration:
    """The mean iteration of `batch` running sequences, of `in_flight` requests that share the replica.

    Every decode iteration carries a prefill chunk of c tokens with the probability phi that balances input
    and output tokens: t = t(b, 0) + phi {m [t(b, c) - t(b, 0)] + L t_e} + reload of cached prefixes. A request does
    not run while its own prompt is read: TPOT has (N - 1)/N of what prompts add. A mean batch below one is one
    sequence that runs part of the time.
    """
    batch = jnp.maximum(batch, 1.0)
    seen = others(in_flight)
    c, zero = deployment.coefficients, jnp.zeros_like(batch)
    prefix = cached_token_time(deployment, load) if prefix is None else prefix
    pure, need = iteration(deployment, tokens_of(load, batch, zero))
    balance = batch / deployment.layout.pp * load.uncached / load.osl
    chunk = jnp.maximum(balance, load.chunk(deployment.engine.chunk))
    share = balance / jnp.maximum(chunk, 1e-9)
    full, full_need = iteration(deployment, tokens_of(load, batch, chunk))
    mixing, apart = mixed_share(deployment, load), _apart(deployment, load)
    launches = deployment.model.layers * c.mixed_launch
    longer = jnp.maximum(full.total - pure.total, 0.0)  # more tokens even out expert load
    carried = longer * mixing + launches * apart
    extra = share * carried
    accepted = 1 + load.accepted_tokens
    drafting = load.draft_tokens * draft_time(pure, deployment.model.layers)
    step_bound = need.total.bound / (1 + load.draft_tokens)
    reused = batch * load.cached / load.osl
    attention = jnp.minimum(reused * prefix.attention * mixing, extra)
    time = Phases(
        prefill=extra - attention,
        reload=reused * prefix.reload + attention,
        decode=jnp.maximum((pure.total + drafting) / accepted, step_bound),
    )
    added = _less(full_need.total, need.total).scaled(share)
    bound = need.total.scaled(1 / (1 + load.draft_tokens)) + added.scaled(seen)
    return MixedIteration(
        tpot=time.decode + seen * (time.prefill + time.reload),
        step=pure,
        time=time,
        prompt_time=carried * load.uncached / jnp.maximum(chunk, 1.0),
        prefill_demand=added,
        decode_demand=need.total.scaled(1 / accepted),
        step_bound=step_bound,
        bound=bound.bound,
    )


def mixed_share(deployment: Deployment, load: Load) -> Scalar:
    """Part of the time of a prompt's work by which an iteration that also decodes gets longer."""
    return deployment.coefficients.mixing * _apart(deployment, load)


def _apart(deployment: Deployment, load: Load) -> Scalar:
    """1, or what is left of the interference where all lengths are equal."""
    return jnp.where(load.equal_lengths > 0, deployment.coefficients.synchronised, 1.0)


def _less(a: Demand, b: Demand) -> Demand:
    return Demand(a.traffic - b.traffic, a.arithmetic - b.arithmetic)
