"""How many requests are admitted at a time: what the engine allows, and whole sequences whose caches come and go."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.physics.deployment import Deployment
from clustermodel.serving.load import Load
from clustermodel.serving.memory import MemoryUse

BLUNTNESS = 0.0595  # fitted to simulated engines: python -m clustermodel.calibration.fit_admission


class Admitted(eqx.Module):
    """Requests that run or are read at a time, in the mean, and those that wait for them."""

    requests: Scalar
    waiting: Scalar  # over `requests`


def admitted(deployment: Deployment, load: Load, memory: MemoryUse) -> Admitted:
    """How many of the requests in flight are admitted at a time.

    Of N requests that the engine may run as many as there is room for, less what `crowding` takes with bluntness
    b = 0.0595 osl / (isl + h osl), h = `held_output`: what is nearly all input hardly grows. Those that wait are
    formed from what is lost, for where there is room N and n are nearly equal.
    """
    dp, n = deployment.layout.dp, load.concurrency
    asked = jnp.minimum(n, deployment.engine.max_num_seqs * dp)
    room = dp * whole_sequences(memory.sequences / dp)
    mean = load.isl + deployment.coefficients.held_output * load.osl
    lost, most = crowding(asked, room, BLUNTNESS * load.osl / mean), jnp.minimum(asked, room)
    return Admitted(requests=most / (1 + lost), waiting=(n - most) / most + n / most * lost)


def crowding(asked: Scalar, room: Scalar, bluntness: Scalar) -> Scalar:
    """What fewer run of N that ask for room for K (all above 0) than min(N, K), over those that run.

    Where N is about K, caches that grow at the same time push the youngest out, and those that stay are older and
    larger than the mean. A form with one number that meets simulated engines:

        n = min(N, K) / (1 + b (min(N, K) / max(N, K))^p),   p = (1 + b) / (2 b), which makes n smooth at N = K.
    """
    less, more = jnp.minimum(asked, room), jnp.maximum(asked, room)
    steepness = (1 + bluntness) / (2 * bluntness)
    return bluntness * jnp.exp(steepness * jnp.log(less / more))


def whole_sequences(room: Scalar) -> Scalar:
    """Mean number of whole sequences of any age (above 0) in room for `room` of mean size.

    Sizes of mean 1 that scatter little fill x with x - 1/2 in the mean [renewal theory: Cox 1962, ch. 4]; a room for
    one has one.
    """
    return jnp.maximum(jnp.maximum(room - 0.5, jnp.minimum(room, 1.0)), 1e-3)
