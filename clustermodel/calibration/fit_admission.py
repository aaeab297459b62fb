"""How bluntly memory bounds what an engine runs, from a simulation of engines that admit, grow and preempt.

`python -m clustermodel.calibration.fit_admission` fits `BLUNTNESS` of serving/admission.py in least squares of the
logarithm, over caches that are nearly all input to nearly all output, rooms for 4 to 64 sequences, and loads from
half to three times of what fits. It prints the number and what it leaves.
"""

import collections
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from clustermodel.serving.admission import crowding, whole_sequences

LENGTHS = ((800, 100), (400, 100), (300, 150), (200, 200), (100, 300), (50, 400))
ROOMS = (4, 16, 64)
LOADS = (0.6, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.8, 3.0)
STEPS = 4000
"""Iterations of an engine; the first quarter is not counted."""
SHORTEST = 0.8
"""Outputs are uniform between this share of the longest and the longest, as in the benchmarks of the serving fit."""


def mean_size(isl: Any, osl: Any) -> Any:
    """Mean cache of a sequence met at random while it runs: isl + E[L^2] / (2 E[L]), in tokens."""
    relative_variance = ((1 - SHORTEST) / (1 + SHORTEST)) ** 2 / 3
    return isl + osl / 2 * (1 + relative_variance)


def simulated(requests: int, capacity: float, isl: float, osl: float, *, seed: int = 0) -> float:
    """Mean number of running sequences of an engine that always has so many requests.

    In each step every running sequence gets a token. The oldest request that waits is admitted where what it has so
    far fits with a token for each; where the next tokens do not fit, the youngest is put back and keeps its tokens.
    """
    random = np.random.default_rng(seed)
    draw = lambda: np.ceil(random.uniform(SHORTEST, 1) * osl * 2 / (1 + SHORTEST))
    length = np.array([draw() for _ in range(requests)])
    done = np.floor(random.random(requests) * length)
    running: list[int] = []
    waiting = collections.deque(range(requests))
    count = 0
    for step in range(STEPS):
        used = isl * len(running) + done[running].sum()
        while waiting and used + isl + done[waiting[0]] + len(running) + 1 <= capacity:
            running.append(waiting.popleft())
            used += isl + done[running[-1]]
        while used + len(running) > capacity:
            waiting.appendleft(running.pop())
            used -= isl + done[waiting[0]]
        done[running] += 1
        for request in [each for each in running if done[each] >= length[each]]:
            running.remove(request)
            waiting.append(request)
            done[request], length[request] = 0, draw()
        count += len(running) if step >= STEPS // 4 else 0
    return count / (STEPS - STEPS // 4)


def study(rooms: Sequence[int] = ROOMS) -> pd.DataFrame:
    """Simulated engines: input, output, room for sequences of mean size, requests, and how many run."""
    rows = []
    for (isl, osl), room, load in itertools.product(LENGTHS, rooms, LOADS):
        requests = max(round(room * load), 1)
        rows.append((isl, osl, room, requests, simulated(requests, room * mean_size(isl, osl), isl, osl)))
    return pd.DataFrame(rows, columns=["isl", "osl", "room", "requests", "running"])


def errors(table: pd.DataFrame, bluntness: float) -> NDArray[np.float64]:
    """Log of what the formula says over what ran."""
    isl, osl, room, requests, running = (table[name].to_numpy(float) for name in table)
    blunt = bluntness * osl / mean_size(isl, osl)
    whole = jax.vmap(whole_sequences)(jnp.asarray(room))
    lost = jax.vmap(crowding)(*map(jnp.asarray, (requests, whole, blunt)))
    return np.log(np.minimum(requests, whole) / (1 + np.asarray(lost)) / running)


def main() -> None:
    """Print the fit."""
    jax.config.update("jax_enable_x64", True)
    table = study()
    found = minimize_scalar(
        lambda b: float(np.mean(errors(table, b) ** 2)), bounds=(1e-3, 1), method="bounded"
    )
    left = np.abs(errors(table, found.x))
    print(f"bluntness {found.x:.4f}; error {np.sqrt(np.mean(left**2)):.1%} rms, {left.max():.1%} at most")
    print(f"beside it the smaller of both: {np.sqrt(np.mean(errors(table, 1e-6) ** 2)):.1%} rms")


if __name__ == "__main__":
    main()
