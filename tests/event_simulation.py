"""A small discrete-event simulation of continuous batching with chunked prefill: the oracle for queueing formulas."""

import dataclasses
from collections import deque

import numpy as np


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the requests of one run saw, after warm-up (s)."""

    ttft: np.ndarray
    tpot: np.ndarray
    batch: float
    busy: float  # share of time in which anything is in flight


def simulate(step_time, rate, isl, osl, *, slots=10_000, chunk=8192, requests=4000, seed=0, burstiness=1.0):
    """Requests arrive at `rate` (Gamma renewals), are prefilled in order, and decode together.

    `step_time(sequences, prompt_tokens)` is the time of one iteration; `isl` and `osl` draw lengths from a
    generator. The first fifth of the requests is warm-up.
    """
    random = np.random.default_rng(seed)
    gaps = random.gamma(1 / burstiness, burstiness / rate, requests)
    arrival = np.cumsum(gaps)
    prompt = np.maximum(isl(random, requests), 1.0)
    output = np.maximum(np.round(osl(random, requests)), 2).astype(int)
    first, last = np.full(requests, np.nan), np.full(requests, np.nan)
    left_prompt = prompt.copy()
    waiting, prefilling = deque(), deque()
    running, left = np.empty(0, dtype=int), np.empty(0, dtype=int)
    clock, coming, area, busy = 0.0, 0, 0.0, 0.0
    while np.isnan(last).any():
        while coming < requests and arrival[coming] <= clock:
            waiting.append(coming)
            coming += 1
        while waiting and len(running) + len(prefilling) < slots:
            prefilling.append(waiting.popleft())
        if not len(running) and not prefilling:
            clock = arrival[coming]
            continue
        budget, done = float(chunk), []
        for request in list(prefilling):
            taken = min(budget, left_prompt[request])
            left_prompt[request] -= taken
            budget -= taken
            if left_prompt[request] <= 0:
                done.append(request)
                prefilling.popleft()
            if budget <= 0:
                break
        duration = step_time(len(running), chunk - budget)
        area += duration * len(running)
        busy += duration
        clock += duration
        left -= 1
        last[running[left == 0]] = clock
        running, left = running[left > 0], left[left > 0]
        first[done] = clock
        running = np.concatenate([running, np.asarray(done, dtype=int)])
        left = np.concatenate([left, output[np.asarray(done, dtype=int)] - 1])
    kept = slice(requests // 5, None)
    tpot = (last - first) / (output - 1)
    return Seen((first - arrival)[kept], tpot[kept], area / clock, busy / clock)
