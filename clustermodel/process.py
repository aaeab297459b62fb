"""What a process of ours asks of its surroundings before it computes: how XLA fuses, and memory that stays."""

import ctypes
import os
import sys
from collections.abc import MutableMapping

_OPTIONS = "--xla_backend_extra_options"
_FUSED = "xla_cpu_use_multi_output_fusion"

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_NEVER = (1 << 31) - 1  # B


def set_flags(environment: MutableMapping[str, str] = os.environ) -> None:
    """Compile for processors into loops that write several arrays each; to be called before jax computes anything.

    Otherwise what several loops need is computed again in each of them: for the whole chain twice the operations in 81
    loops instead of 48, which takes half as long again to run and a fifth longer to compile. Not for everything: with
    it Jacobians of the fits compile for ten times as long, and an interior point may run three times as long (jax
    0.10.1). Flags that were set before stay; where options of this kind are among them, nothing is added.
    """
    before = environment.get("XLA_FLAGS", "")
    if _OPTIONS not in before:
        environment["XLA_FLAGS"] = f"{before} {_OPTIONS}={_FUSED}".strip()


def keep_memory() -> None:
    """Keep freed memory for the next array, from now on and for good.

    glibc gives large pieces back, or not, by what was freed before; each is paged in anew when it returns, and a batch
    of the chain takes up to three times as long where that happens with every call. With another C library nothing
    changes.
    """
    if sys.platform == "linux" and hasattr(c := ctypes.CDLL(None), "mallopt"):
        c.mallopt(_MMAP_THRESHOLD, _NEVER)
        c.mallopt(_TRIM_THRESHOLD, _NEVER)
