"""The named ways to share a deployment's bill among its tokens.

`time_weighted`, `flops_weighted` and `disaggregated` sum to the bill; `total`, `input_only` and `output_only`
are InferenceX's conventions for charts: the whole bill over one class of tokens, never to be added together.
"""

import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.economics.tokens import TokenRates, UnitCost

SUMMING = ("time_weighted", "flops_weighted", "disaggregated")
"""Allocations whose prices times rates give the bill exactly."""

SINGLE_CLASS = ("total", "input_only", "output_only")
"""Conventions that put the whole bill on one class of tokens."""

ALLOCATIONS = (*SUMMING, *SINGLE_CLASS)


def single_class_cost(convention: str, bill: Scalar, rates: TokenRates) -> UnitCost:
    """The whole bill over all (`total`), all input or all output tokens; the other prices are NaN.

    [SemiAnalysisAI/InferenceX process_result.py, lines 207-266, 2026-04]
    """
    if convention not in SINGLE_CLASS:
        raise ValueError(f"convention {convention!r} is none of {', '.join(SINGLE_CLASS)}")
    undefined = jnp.full_like(bill, jnp.nan)
    return UnitCost(
        input=bill / rates.input if convention == "input_only" else undefined,
        reload=undefined,
        holding=undefined,
        output=bill / rates.output if convention == "output_only" else undefined,
        blended=bill / rates.total if convention == "total" else undefined,
    )
