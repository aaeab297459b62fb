"""How it is served: what is asked, and the engine that answers."""

import equinox as eqx

from clustermodel._types import Scalar
from clustermodel.specs._quantity import quantity


class Workload(eqx.Module):
    """What one request looks like, and how requests arrive."""

    isl: Scalar = quantity("token", "mean input length", least=1.0)
    osl: Scalar = quantity("token", "mean output length", least=1.0)
    prefix_hit_rate: Scalar = quantity("", "share of input tokens found in the prefix cache", 0.0, most=1.0)
    reuse_interval: Scalar = quantity("s", "mean time a cached prefix waits for its next use", 300.0)
    peak_to_mean: Scalar = quantity("", "peak over mean request rate", 1.0, least=1.0)
    burstiness: Scalar = quantity("", "squared variation coefficient of times between arrivals", 1.0)
    input_variation: Scalar = quantity("", "squared variation coefficient of input lengths", 1.0)
    adapters: Scalar = quantity("", "low-rank adapters (LoRA) kept in memory", 0.0)
    adapter_size: Scalar = quantity("B", "bytes of one adapter", 0.0)
    adapter_share: Scalar = quantity("", "share of the requests that use an adapter", 1.0, most=1.0)


class Engine(eqx.Module):
    """Settings of a serving engine that the model needs."""

    chunk: Scalar = quantity("token", "most prefill tokens in one iteration", least=1.0)
    memory_fraction: Scalar = quantity(
        "", "share of the free memory given to the cache", least=1e-6, most=1.0
    )
    usable_fraction: Scalar = quantity(
        "", "share of the memory left by driver and context", least=1e-6, most=1.0
    )
    workspace: Scalar = quantity("B", "activations, graphs and communication buffers")
    draft_acceptance: Scalar = quantity("", "chance that a drafted token is accepted", 0.7, most=1.0)
    transfer_overlap: Scalar = quantity(
        "", "share of a cache transfer hidden behind its prefill", 0.0, most=1.0
    )
    max_num_seqs: Scalar = quantity("", "most running sequences per attention rank", 1024.0, least=1.0)
    workspace_share: Scalar = quantity(
        "", "most of an accelerator's memory that workspace takes", 1.0, most=1.0
    )
    offload: Scalar = quantity(
        "", "1 to keep running data in all tiers, even where the nearest would do", 0.0
    )
