"""Which memory of a system a design varies: the one where running data live."""

import numpy as np

from clustermodel.specs import System


def main_tier(system: System) -> int:
    """The largest tier that running data may use: the nearest, or one that accelerators read directly."""
    memory = system.accelerator.memory
    usable = np.asarray(memory.capacity) * np.maximum(
        np.asarray(memory.direct), np.eye(len(memory.direct))[0]
    )
    return int(np.argmax(usable))
