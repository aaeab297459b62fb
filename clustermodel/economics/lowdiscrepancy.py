"""Points that fill the unit cube more evenly than chance: a digital net in base 2, randomly shifted.

Niederreiter's construction needs no table: digit j of coordinate i comes from the Laurent expansion of
x^(e - 1 - u) / p_i(x)^(q + 1) over GF(2), j - 1 = q e + u, with p_i the i-th irreducible polynomial and e its
degree. Each power of two of points then meets every stratum of every coordinate once.
[Niederreiter 1988, Low-discrepancy and low-dispersion sequences, J. Number Theory 30, section 3]
A polynomial is an integer whose bits are its coefficients: x^2 + x + 1 is 0b111.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

BITS = 32
"""Binary digits of a coordinate; the sequence has 2^32 points."""


def _quotient(numerator: int, denominator: int) -> tuple[int, int]:
    """Quotient and rest of polynomials over GF(2)."""
    quotient = 0
    while (shift := numerator.bit_length() - denominator.bit_length()) >= 0:
        quotient |= 1 << shift
        numerator ^= denominator << shift
    return quotient, numerator


def _product(first: int, second: int) -> int:
    """Product of polynomials over GF(2)."""
    product = 0
    for bit in range(second.bit_length()):
        product ^= (first << bit) * (second >> bit & 1)
    return product


def irreducible_polynomials(count: int) -> list[int]:
    """The first irreducible polynomials over GF(2): x, x + 1, x^2 + x + 1, ..."""
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        divisors = (p for p in found if 2 * (p.bit_length() - 1) < candidate.bit_length())
        if all(_quotient(candidate, p)[1] for p in divisors):
            found.append(candidate)
        candidate += 1
    return found


@functools.cache
def generators(dimensions: int) -> np.ndarray:
    """Generator matrices, one column of output digits per digit of the index: uint32 [dimension, digit]."""
    columns = np.zeros((dimensions, BITS), dtype=np.uint32)
    for row, polynomial in enumerate(irreducible_polynomials(dimensions)):
        degree, power = polynomial.bit_length() - 1, 1
        for digit in range(BITS):
            if digit % degree == 0:
                power = _product(power, polynomial)
            expansion, _ = _quotient(1 << (degree - 1 - digit % degree + BITS), power)
            bits = expansion >> np.arange(BITS - 1, -1, -1) & 1
            columns[row] |= (bits << (BITS - 1 - digit)).astype(np.uint32)
    return columns


def net_point(index: Int[Array, ""], shift: UInt32[Array, " dimension"]) -> Float[Array, " dimension"]:
    """Point `index` of the sequence in the open unit cube, its digits flipped where `shift` has ones.

    A uniform random shift makes every point uniform, so that means are unbiased, and keeps the evenness.
    """
    digits = index.astype(jnp.uint32) >> jnp.arange(BITS, dtype=jnp.uint32) & 1
    chosen = jnp.asarray(generators(shift.size)) * digits[None, :]
    word = jax.lax.reduce(chosen, np.uint32(0), jax.lax.bitwise_xor, (1,)) ^ shift
    return (word.astype(float) + 1 / 2) / 2.0**BITS


def random_shift(key: Array, dimensions: int) -> UInt32[Array, " dimension"]:
    """A uniform shift."""
    return jax.random.bits(key, (dimensions,), dtype=jnp.uint32)
