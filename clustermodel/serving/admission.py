"""How many requests are admitted at a time: what the engine allows, and whole sequences whose caches come and go."""

import jax
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.serving.load import Load
from clustermodel.serving.memory import MemoryUse

SHARPNESS = (
    11.7  # fitted to simulated engines: python -m clustermodel.calibration.fit_admission; 1.5 % rms is left
)


def admitted(deployment: Deployment, load: Load, memory: MemoryUse) -> Scalar:
    """Mean number of requests that run or are read at a time, at most `load.concurrency`.

    Of N requests that the engine may run as many as there is room for, `crowded` with sharpness p = 11.7 (isl + h osl)
    / osl, h = `held_output`: what is nearly all input hardly grows.
    """
    dp = deployment.layout.dp
    asked = jnp.minimum(load.concurrency, deployment.engine.max_num_seqs * dp)
    mean = load.isl + deployment.coefficients.held_output * load.osl
    return crowded(asked, dp * whole_sequences(memory.sequences / dp), SHARPNESS * mean / load.osl)


def crowded(asked: Scalar, room: Scalar, sharpness: Scalar) -> Scalar:
    """Mean number that runs of N that ask for room for K (both above 0).

    Where N is about K, caches that grow at the same time push the youngest out, and those that stay are older and
    larger than the mean. A form with one number that meets simulated engines:

        n = min(N, K) (1 + (min(N, K) / max(N, K))^p)^(-1/p).
    """
    less, more = jnp.minimum(asked, room), jnp.maximum(asked, room)
    return less * jnp.exp(-jax.nn.softplus(-sharpness * jnp.log(more / less)) / sharpness)


def whole_sequences(room: Scalar) -> Scalar:
    """Mean number of whole sequences of any age (above 0) in room for `room` of mean size.

    Sizes of mean 1 that scatter little fill x with x - 1/2 in the mean [renewal theory: Cox 1962, ch. 4]; a room for
    one has one.
    """
    return jnp.maximum(jnp.maximum(room - 0.5, jnp.minimum(room, 1.0)), 1e-3)
