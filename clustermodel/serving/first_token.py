"""How long a prompt takes on a replica that has nothing else to prefill."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.physics.step import iteration
from clustermodel.serving.load import Load
from clustermodel.serving.mixed import tokens_of
from clustermodel.serving.prefix import cached_token_time


class Prefill(eqx.Module):
    """The prefill of one request alone (s)."""

    request: Scalar
    bound: Scalar  # at peak bandwidth and arithmetic
    chunks: Scalar  # iterations that carry it


class FirstToken(eqx.Module):
    """The unloaded time to first token by part (s)."""

    host: Scalar  # fixed, and the iterations waited for
    prefill: Scalar  # own prefill, and the reload of a cached prefix
    wave: Scalar  # one prompt on every attention rank at once

    @property
    def total(self) -> Scalar:
        """Host and prefill (s)."""
        return self.host + self.prefill


def prefill_alone(deployment: Deployment, load: Load) -> Prefill:
    """One request's prefill on an idle replica, chunk by chunk."""
    chunk = jnp.maximum(load.chunk(deployment.engine.chunk), 1.0)
    step, need = iteration(deployment, tokens_of(load, jnp.zeros_like(chunk), chunk))
    chunks = load.uncached / chunk
    return Prefill(chunks * step.total, chunks * need.total.bound, chunks)


def unloaded_ttft(deployment: Deployment, load: Load, tpot: Scalar, others: Scalar) -> FirstToken:
    """Time to first token with no other prompt before it, while `others` sequences are running.

    TTFT = s (h0 + h1 TPOT chunks p + k t_w) + reload, with t_w a prefill wave over all attention ranks and
    p = others/(1 + others) the chance that an iteration is under way.
    """
    c, layout = deployment.coefficients, deployment.layout
    chunk = jnp.maximum(load.chunk(deployment.engine.chunk), 1.0)
    step, _ = iteration(deployment, tokens_of(load, jnp.zeros_like(chunk), chunk * layout.dp))
    wave = load.uncached / chunk * (step.total + deployment.model.layers * c.mixed_launch)
    chunks = jnp.ceil(load.uncached / deployment.engine.chunk)
    reload = load.cached * cached_token_time(deployment, load).latency
    return FirstToken(
        host=c.ttft_scale * (c.ttft_host + c.ttft_iterations * tpot * chunks * others / (1 + others)),
        prefill=c.ttft_scale * c.ttft_prefill * wave + reload,
        wave=wave,
    )
