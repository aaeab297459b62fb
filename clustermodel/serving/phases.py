"""Three numbers, one for each phase of serving."""

import equinox as eqx

from clustermodel._types import Scalar


class Phases(eqx.Module):
    """Prefill of uncached input, reload of cached input, decode of output."""

    prefill: Scalar
    reload: Scalar
    decode: Scalar

    @property
    def total(self) -> Scalar:
        """The sum of the three."""
        return self.prefill + self.reload + self.decode
