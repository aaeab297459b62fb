"""First-stage variables and rows as data: where each decision stands, and what a row means to people."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Lot:
    """Systems that came together and can be retired together: one order, or legacy of one last period."""

    asset: int
    order: int  # period of the order; -1 for legacy
    first: int  # first period in which retiring makes a difference
    last: int  # last period in service
    count: float  # systems of a legacy lot


@dataclasses.dataclass(frozen=True, eq=False)
class Columns:
    """Where each decision stands in the vector of first-stage variables."""

    shape: tuple[int, int]  # periods, assets
    lots: tuple[Lot, ...]
    retire_lot: np.ndarray  # lot of each retire column
    retire_period: np.ndarray
    allow_limit: np.ndarray  # index into limits of each allow column
    allow_slot: np.ndarray
    opens: int  # tiers of prices that are opened by a 0/1 decision

    @property
    def buy(self) -> np.ndarray:
        """[period, asset] indices of orders."""
        return np.arange(np.prod(self.shape)).reshape(self.shape)

    @property
    def reserve(self) -> np.ndarray:
        """[period, asset] indices of reservations."""
        return self.buy + self.buy.size

    @property
    def retire(self) -> np.ndarray:
        """Indices of retirements."""
        return 2 * self.buy.size + np.arange(len(self.retire_lot))

    @property
    def allow(self) -> np.ndarray:
        """Indices of carbon allowances."""
        return 2 * self.buy.size + len(self.retire_lot) + np.arange(len(self.allow_limit))

    @property
    def open(self) -> np.ndarray:
        """Indices of the 0/1 decisions that open tiers of prices."""
        return self.count - self.opens + np.arange(self.opens)

    @property
    def count(self) -> int:
        """Number of variables."""
        return 2 * self.buy.size + len(self.retire_lot) + len(self.allow_limit) + self.opens


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What a limit means to people: a row of the shadow-price table."""

    constraint: str
    period: str
    site: str = ""
    system: str = ""
    unit: str = ""
    amount: float = 0.0  # the limit in SI
    scale: float = 1.0  # the row was divided by this
    relaxable: bool = True  # False for rows that hold by nature, e.g. retire no more than there is


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """lower <= sum values x[columns] <= upper."""

    columns: np.ndarray
    values: np.ndarray
    lower: float
    upper: float
    meaning: Meaning
