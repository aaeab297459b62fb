"""What one accelerator can do."""

import equinox as eqx
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.specs._memory import MemoryTier
from clustermodel.specs._quantity import quantity


class Accelerator(eqx.Module):
    """One accelerator package, CPU socket or wafer. FLOP rates are dense; links count one direction."""

    memory: MemoryTier
    tdp: Scalar = quantity("W", "board or module power limit")
    flops_bf16: Scalar = quantity("FLOP/s", "dense BF16 rate", 0.0)
    flops_fp16: Scalar = quantity("FLOP/s", "dense FP16 rate", 0.0)
    flops_fp8: Scalar = quantity("FLOP/s", "dense FP8 rate", 0.0)
    flops_int8: Scalar = quantity("FLOP/s", "dense INT8 rate", 0.0)
    flops_fp4: Scalar = quantity("FLOP/s", "dense 4-bit float rate", 0.0)
    flops_fp6: Scalar = quantity("FLOP/s", "dense FP6 rate", 0.0, noted=True)
    flops_tf32: Scalar = quantity("FLOP/s", "dense TF32 rate", 0.0, noted=True)
    flops_fp64: Scalar = quantity("FLOP/s", "FP64 vector rate", 0.0, noted=True)
    sram: Scalar = quantity("B", "on-chip SRAM or last-level cache", 0.0, noted=True)
    scaleup_bandwidth: Scalar = quantity("B/s", "scale-up link, one direction", 0.0)
    hostlink_bandwidth: Scalar = quantity("B/s", "host link, one direction", 0.0)
    scaleout_bandwidth: Scalar = quantity("B/s", "network, one direction", 0.0)
    idle_power: Scalar = quantity("W", "board power without work", 0.0)
    provisioned_power: Scalar = quantity("W", "all-in planning power, facility overhead included", 0.0)
    provisioned_pue: Scalar = quantity("", "PUE inside the planning power", 1.0, least=1.0)
    price: Scalar = quantity("USD", "purchase price of the part", 0.0)

    @property
    def hbm_capacity(self) -> Scalar:
        """Bytes of the nearest tier, where weights and cache live."""
        return self.memory.capacity[..., 0]

    @property
    def hbm_bandwidth(self) -> Scalar:
        """Peak bandwidth of the nearest tier (B/s)."""
        return self.memory.bandwidth[..., 0]

    @property
    def link_bandwidth(self) -> Scalar:
        """Bandwidth between accelerators of one system: the scale-up link, or the host link without one."""
        return jnp.where(self.scaleup_bandwidth > 0, self.scaleup_bandwidth, self.hostlink_bandwidth)
