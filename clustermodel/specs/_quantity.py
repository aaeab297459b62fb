"""A number that configs may write: declared once, with its unit and its meaning."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array


def strong_float(value: Any) -> Array:
    """Any number as a float array: of its own precision where it is one already, else of the default one."""
    kept = isinstance(value, Array) and jnp.issubdtype(value.dtype, jnp.floating) and not value.weak_type
    # a bare asarray would leave weak types: a second jit entry
    return value if kept else jnp.asarray(value, dtype=float)


def quantity(
    unit: str,
    doc: str,
    default: float | None = None,
    *,
    least: float = 0.0,
    most: float = float("inf"),
    whole: bool = False,
    noted: bool = False,
) -> Any:
    """A field held in SI, written in configs in any unit of the same dimension as `unit`.

    Args:
        unit: what configs and `--set` must be convertible to; "" for a plain number.
        doc: the meaning, shown by `catalog show`.
        default: value when the config is silent; None makes the field required.
        least: smallest value that makes sense.
        most: largest one; 1 for shares.
        whole: whether only whole numbers do.
        noted: whether it is a fact that no formula reads, so that changing it would do nothing.
    """
    metadata = {"unit": unit, "doc": doc, "least": least, "most": most, "whole": whole, "noted": noted}
    if default is None:
        return eqx.field(converter=strong_float, metadata=metadata)
    return eqx.field(converter=strong_float, default=default, metadata=metadata)


def fields(kind: type[eqx.Module]) -> dict[str, dataclasses.Field]:
    """The `quantity` fields of a spec by name, without its nested specs."""
    return {f.name: f for f in dataclasses.fields(kind) if "unit" in f.metadata}
