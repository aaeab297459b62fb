"""Tidy tables of a problem that refer to each other by name."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from clustermodel.catalog import did_you_mean
from clustermodel.fleet.problem import Names
from clustermodel.fleet.schema import ANY


@dataclasses.dataclass(frozen=True, eq=False)
class Tables:
    """Tidy tables, settings and the names that they use; `problems` collects what does not fit."""

    settings: dict[str, Any]
    frames: dict[str, pd.DataFrame]
    problems: list[str]

    @property
    def periods(self) -> Names:
        """Names of the periods."""
        return tuple(map(str, self.settings["periods"]))

    @property
    def length(self) -> float:
        """Seconds of a period."""
        return float(self.settings["period_length"])

    def names(self, table: str, column: str) -> Names:
        """The names that a table defines, in order."""
        return tuple(dict.fromkeys(self.frames[table][column]))

    def index(self, table: str, column: str, known: Names) -> np.ndarray:
        """Position of every cell among known names; -1 where it is empty (any), unknown ones are reported."""
        where = {name: i for i, name in enumerate(known)} | {ANY: -1}
        cells = self.frames[table][column]
        unknown = dict.fromkeys(cell for cell in cells if cell not in where)
        for name in unknown:
            self.problems.append(f"{table}: {column} {name!r} is not known{did_you_mean(name, known)}")
        return np.array([where.get(cell, -1) for cell in cells], dtype=int)

    def own(self, table: str, column: str) -> np.ndarray:
        """Position of every cell among the systems, sites or workloads that the problem defines."""
        return self.index(table, column, self.names(f"{column}s", column))

    def when(self, table: str, column: str, missing: int) -> np.ndarray:
        """Period of every cell; `missing` where it is empty."""
        index = self.index(table, column, self.periods)
        return np.where(index < 0, missing, index)


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """The assets: index of the system and of the site of each, and the offer where a pair has several.

    The offer is empty for what is owned, for the first tier of a price and for all that stands elsewhere.
    """

    system: np.ndarray
    site: np.ndarray
    offer: Names

    @property
    def keys(self) -> list[tuple[int, int, str]]:
        """(system, site, offer) of every asset."""
        return list(zip(self.system.tolist(), self.site.tolist(), self.offer, strict=True))

    @property
    def plain(self) -> np.ndarray:
        """Which assets are the first or only offer of their pair."""
        return np.array([not offer for offer in self.offer], dtype=bool)

    @property
    def on_demand(self) -> np.ndarray:
        """Which assets are systems on demand in one's own hall."""
        return np.array([offer.startswith("on demand") for offer in self.offer], dtype=bool)

    def matching(self, tables: Tables, table: str) -> np.ndarray:
        """[row, asset]: which assets the rows of a table mean; an empty name means all."""
        systems, sites = tables.own(table, "system")[:, None], tables.own(table, "site")[:, None]
        return ((systems == self.system) | (systems < 0)) & ((sites == self.site) | (sites < 0))

    def names(self, tables: Tables) -> tuple[Names, Names, Names]:
        """System, site and vendor of every asset."""
        systems, sites = tables.frames["systems"], tables.frames["sites"]
        of_system = lambda column: tuple(systems[column].to_numpy()[self.system])
        return of_system("system"), tuple(sites["site"].to_numpy()[self.site]), of_system("vendor")


def pairs(tables: Tables) -> Pairs:
    """Every system at every own site where it may stand, and what contracts and legacy name."""
    systems, sites = tables.names("systems", "system"), tables.names("sites", "site")
    rented = tables.frames["sites"]["rented"].to_numpy() > 0
    at = tables.index("systems", "site", sites)
    own = [(h, g) for h in range(len(systems)) for g in range(len(sites)) if not rented[g]]
    found = [(h, g) for h, g in own if at[h] in (-1, g)]
    for table in ("contracts", "legacy"):
        named = zip(tables.own(table, "system"), tables.own(table, "site"), strict=True)
        found += [(int(h), int(g)) for h, g in named if h >= 0 and g >= 0]
    both = np.array(list(dict.fromkeys(found)), dtype=int).reshape(-1, 2)
    return Pairs(both[:, 0], both[:, 1], ("",) * len(both))
