"""How many requests are admitted at a time: what the engine allows, and whole sequences whose caches come and go."""

import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.serving.load import Load
from clustermodel.serving.memory import MemoryUse

BLUNTNESS = 0.0595  # fitted to simulated engines: python -m clustermodel.calibration.fit_admission


def admitted(deployment: Deployment, load: Load, memory: MemoryUse) -> Scalar:
    """Mean number of requests that run or are read at a time, at most `load.concurrency`.

    Of N requests that the engine may run as many as there is room for, `crowded` with bluntness b = 0.0595 osl /
    (isl + h osl), h = `held_output`: what is nearly all input hardly grows.
    """
    dp = deployment.layout.dp
    asked = jnp.minimum(load.concurrency, deployment.engine.max_num_seqs * dp)
    mean = load.isl + deployment.coefficients.held_output * load.osl
    return crowded(asked, dp * whole_sequences(memory.sequences / dp), BLUNTNESS * load.osl / mean)


def crowded(asked: Scalar, room: Scalar, bluntness: Scalar) -> Scalar:
    """Mean number that runs of N that ask for room for K (all above 0).

    Where N is about K, caches that grow at the same time push the youngest out, and those that stay are older and
    larger than the mean. A form with one number that meets simulated engines:

        n = min(N, K) / (1 + b (min(N, K) / max(N, K))^p),   p = (1 + b) / (2 b), which makes it smooth at N = K.
    """
    less, more = jnp.minimum(asked, room), jnp.maximum(asked, room)
    steepness = (1 + bluntness) / (2 * bluntness)
    return less / (1 + bluntness * jnp.exp(steepness * jnp.log(less / more)))


def whole_sequences(room: Scalar) -> Scalar:
    """Mean number of whole sequences of any age (above 0) in room for `room` of mean size.

    Sizes of mean 1 that scatter little fill x with x - 1/2 in the mean [renewal theory: Cox 1962, ch. 4]; a room for
    one has one.
    """
    return jnp.maximum(jnp.maximum(room - 0.5, jnp.minimum(room, 1.0)), 1e-3)
