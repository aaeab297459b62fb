"""What would mend a problem without a plan: by how much all limits of one kind have to move, the others as they are."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import highspy
import numpy as np

from clustermodel.fleet.highs import INFINITY, LinearProgram, Model, highs_model
from clustermodel.fleet.shadow import SHOWN
from clustermodel.units import unit_scale

LOWERED = ("must_serve", "purchases")
"""Kinds that are relaxed by lowering them."""
SHARES = ("must_serve", "vendor_share")
SECONDS = 10.0
"""For each cure with whole systems; after that the one with fractions has to do."""
PERCENT_DIGITS, AMOUNT_DIGITS = 3, 6
CRUMB = 1e-7
"""What a solver's tolerance leaves open of a number; rounding up must not step over it."""
MOST_AMOUNTS = 3
"""New amounts that a cure names."""


@dataclasses.dataclass(frozen=True, eq=False)
class Item:
    """One limit that a person set: the rows it makes, the relief that 100 % of its amount gives each, its amount.

    Of a limit at 0 the relief is that of one unit, as it is shown. `option`: the command's option of the same name
    (`--budget`, `--power`) says the same.
    """

    name: str
    kind: str
    rows: np.ndarray
    relief: np.ndarray
    amount: float  # SI
    option: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({shown(self.amount, self.kind)})"


def cures(rows: LinearProgram, items: list[Item], kinds: Iterable[str]) -> list[str]:
    """A cure in words for every kind whose limits alone can mend the problem; systems whole where they have to be."""
    fractions = dataclasses.replace(rows, integer=np.zeros(len(rows.integer), bool))
    relaxed = highs_model(fractions, solver="simplex")
    found = []
    for kind in kinds:
        mine = [item for item in items if item.kind == kind]
        mine = [item for item in mine if item.amount > 0] or mine  # a share of nothing moves nothing
        if not math.isfinite(share := _least(relaxed, mine)):
            continue
        note = ""
        if rows.integer.any():
            model = highs_model(rows, mip_rel_gap=CRUMB, time_limit=SECONDS)
            whole = _least(model, mine)
            note = "" if math.isfinite(whole) else ", with fractions of systems"
            share = whole if math.isfinite(whole) else share
        found.append(_in_words(mine, share) + note)
    return found


def _least(model: Model, items: list[Item]) -> float:
    """The smallest common relief of the items with which a plan exists; infinite where none is found."""
    rows = np.concatenate([item.rows for item in items]).astype(np.int32)
    relief = np.concatenate([item.relief for item in items])
    model.addCol(1.0, 0.0, INFINITY, len(rows), rows, -relief)
    column = model.getNumCol() - 1
    model.run()
    known = model.getModelStatus() == highspy.HighsModelStatus.kOptimal
    share = float(model.getSolution().col_value[column]) if known else math.inf
    model.deleteCols(1, np.array([column], dtype=np.int32))
    return share


def _in_words(items: Sequence[Item], share: float) -> str:
    kind = items[0].kind
    sign, verb = (-1, "lowered") if kind in LOWERED else (1, "raised")
    if not any(item.amount > 0 for item in items):
        return f"{kind} raised to {shown(round_up(share * _unit(kind)[0], AMOUNT_DIGITS), kind)} throughout"
    percent = round_up(100 * share, PERCENT_DIGITS)
    percent = min(percent, 100.0) if sign < 0 else percent
    amounts = {item.name: rounded(item.amount * (1 + sign * share), sign) for item in items}
    values = dict.fromkeys(shown(amount, kind) for amount in amounts.values())
    if len(values) == 1:
        value = next(iter(values))
        to = f" (--{kind} '{value}')" if all(item.option for item in items) else f" (to {value})"
    elif len(amounts) <= MOST_AMOUNTS:
        to = f" ({', '.join(f'{name} to {shown(amount, kind)}' for name, amount in amounts.items())})"
    else:
        to = ""
    return f"{kind} {verb} by {percent:g} % throughout{to}"


def rounded(amount: float, sign: int) -> float:
    """An amount to few digits, away from what it was: up (sign 1) or down (-1); never a negative zero."""
    return sign * round_up(sign * max(amount, 0.0), AMOUNT_DIGITS) + 0.0


def round_up(value: float, digits: int) -> float:
    """The next number of so many digits that is not below, up to what a solver leaves open."""
    if value == 0:
        return 0.0
    step = 10.0 ** (digits - 1 - math.floor(math.log10(abs(value))))
    return math.ceil(value * step - CRUMB * abs(value) * step) / step


def _unit(kind: str) -> tuple[float, str]:
    """What one unit of a limit is in SI as it is shown, and its name."""
    unit = SHOWN.get(kind, "system")
    return (1.0, "systems") if unit == "system" else (unit_scale(unit)[0], unit)


def unit_relief(amount: float, kind: str) -> float:
    """What a relief of one moves a limit by, in SI: by its amount, or by a unit where that is nothing."""
    return amount if amount > 0 else _unit(kind)[0]


def shown(amount: float, kind: str) -> str:
    """An amount in SI as people write it in constraints.csv."""
    if kind in SHARES:
        return f"{100 * amount:.6g} %"
    factor, unit = _unit(kind)
    return f"{amount / factor:.6g} {unit}"
