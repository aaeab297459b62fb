"""Billions of dollars need 64-bit numbers: whoever would compute with fewer is told so, with the line to add."""

import jax

from clustermodel.catalog._errors import ConfigError


def require_float64(what: str, otherwise: str = "") -> None:
    """Refuse to go on where jax computes in 32 bits.

    Args:
        what: what would come out wrong, in the plural; the sentence begins with it.
        otherwise: another cure than the line to add, where there is one.
    """
    if jax.config.read("jax_enable_x64"):
        return
    cure = 'add jax.config.update("jax_enable_x64", True) before the first call'
    cures = f"{cure}, or {otherwise}" if otherwise else cure
    raise ConfigError(f"{what} need 64-bit numbers, for 32 bits hold too few digits: {cures}")
