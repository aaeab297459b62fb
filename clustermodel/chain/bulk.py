"""How many operating points one program takes at a time."""

import jax

_ON_A_PROCESSOR = 1 << 16
_ON_AN_ACCELERATOR = 1 << 20


def at_a_time() -> int:
    """Points of one call of a program.

    On a processor it is a straight program: of the body of a loop the compiler makes twice as many pieces, which
    repeat each other's work (jax 0.10.1: 1.6 times slower).
    """
    return _ON_A_PROCESSOR if jax.default_backend() == "cpu" else _ON_AN_ACCELERATOR
