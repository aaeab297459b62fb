"""What a rack is made of in money, and what a change of one part does to the whole."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from clustermodel._types import Scalar
from clustermodel.economics.margin import price_at_margin
from clustermodel.specs import quantity


class BillOfMaterials(eqx.Module):
    """Price of a rack or of a data centre by part (USD)."""

    accelerators: Scalar = quantity("USD", "accelerators without memory bought apart", 0.0)
    memory: Scalar = quantity("USD", "HBM, DRAM and flash where priced apart", 0.0)
    cpus: Scalar = quantity("USD", "host processors", 0.0)
    network: Scalar = quantity("USD", "switches, adapters, optics and cables", 0.0)
    storage: Scalar = quantity("USD", "drives", 0.0)
    power_cooling: Scalar = quantity("USD", "power conversion and cooling", 0.0)
    other: Scalar = quantity("USD", "all else", 0.0)

    @property
    def total(self) -> Scalar:
        """The sum of the parts (USD)."""
        return sum((getattr(self, field.name) for field in dataclasses.fields(self)), jnp.zeros(()))


def shares(bill: BillOfMaterials) -> BillOfMaterials:
    """Each part as a share of the total."""
    return jax.tree.map(lambda part: part / bill.total, bill)


def split(total: Scalar, fractions: BillOfMaterials) -> BillOfMaterials:
    """A bill from a total and the share of each part; what the shares leave is `other`."""
    known = fractions.total - fractions.other
    parts = jax.tree.map(lambda fraction: total * fraction, fractions)
    return eqx.tree_at(lambda bill: bill.other, parts, total * (1 - known))


def substitution_saving(part: Scalar, substitute: Scalar, whole: Scalar) -> Scalar:
    """Share of the whole price saved by replacing a part."""
    return (part - substitute) / whole


def repriced(price: Scalar, margin: Scalar, new_margin: Scalar) -> Scalar:
    """Price of the same part from a supplier content with another gross margin; its cost is unchanged."""
    return price_at_margin(price * (1 - margin), new_margin)
