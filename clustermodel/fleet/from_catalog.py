"""Fill in what a fleet's tables leave to the catalogue: prices, power and memory of systems, and sites."""

import dataclasses
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np
import pandas as pd

from clustermodel.catalog import Catalog, Written, load_catalog
from clustermodel.fleet.naming import Pairs, Tables
from clustermodel.fleet.schema import TABLES
from clustermodel.physics.facility import provisioned_power
from clustermodel.specs import Site, System, Terms
from clustermodel.units import SECONDS_PER_YEAR

_USED = {
    "systems": (
        "price", "count", "max_power", "accelerator.provisioned_power", "accelerator.provisioned_pue",
        "accelerator.idle_power", "chassis.fixed_power",
    ),
    "sites": ("electricity", "pue", "carbon", "facility_capex", "facility_life"),
    "prices": ("price_factor", "network_fraction", "maintenance_fraction", "life"),
}  # fmt: skip
"""Fields of the catalogue that `system_numbers` and `site_numbers` read."""


def filled(tables: Tables, catalog: Catalog | None) -> Tables:
    """The tables with the catalogue's numbers where the problem names an entry and writes nothing itself."""
    systems, sites = tables.frames["systems"], tables.frames["sites"]
    if not (systems["catalog"].any() or sites["catalog"].any()):
        return tables
    catalog = catalog or load_catalog()
    sites = _completed(sites, dict(_site_rows(catalog, sites)))
    terms = catalog.entry("prices", str(tables.settings["terms"])).spec
    rows = {
        name: system_numbers(catalog.entry("systems", name).spec, terms)
        for name in dict.fromkeys(systems["catalog"])
        if name
    }
    systems = _completed(systems, rows)
    vendors = [
        vendor or (catalog.entry("systems", name).words.get("vendor", "") if name else "")
        for vendor, name in zip(systems["vendor"], systems["catalog"], strict=True)
    ]
    frames = tables.frames | {"systems": systems.assign(vendor=vendors), "sites": sites}
    return dataclasses.replace(tables, frames=frames)


def planning_power(tables: Tables, pairs: Pairs, catalog: Catalog | None) -> np.ndarray:
    """[asset] planning power (W): what the problem writes, else the catalogue's with the PUE of the asset's site."""
    systems, pue = tables.frames["systems"], tables.frames["sites"]["pue"].to_numpy(dtype=float)[pairs.site]
    power = systems["provisioned_power"].to_numpy(dtype=float)[pairs.system]
    names = systems["catalog"].to_numpy()[pairs.system]
    open_ = np.nonzero(np.isnan(power) & (names != ""))[0]
    if len(open_):
        catalog = catalog or load_catalog()
        power[open_] = [planned(catalog.entry("systems", names[a]).spec, float(pue[a])) for a in open_]
    return power


def catalog_numbers(
    raw: dict[str, pd.DataFrame], terms: str, catalog: Catalog
) -> Iterator[tuple[str, str, Written]]:
    """Entry, field and number of what the catalogue fills in for the tables of a folder."""
    named = [(kind, name) for kind in ("systems", "sites") for name in _named(raw, kind)]
    if any(kind == "systems" for kind, _ in named):
        named.append(("prices", terms))
    for kind, name in named:
        entry = catalog.entry(kind, name)
        for field in _USED[kind]:
            if field in entry.provenance:
                yield f"{kind}/{entry.slug}", field, entry.provenance[field]


def in_use(raw: dict[str, pd.DataFrame], terms: str, catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """Slugs of the entries that the tables of a folder name, by kind of the catalogue."""
    systems = _named(raw, "systems")
    entries = [catalog.entry("systems", name) for name in systems]
    workloads, named = raw.get("workloads", pd.DataFrame()), _named(raw, "workloads", "model")
    found = {
        "systems": systems,
        "accelerators": [entry.words["accelerator"] for entry in entries],
        "sites": _named(raw, "sites"),
        "prices": [terms] if systems else [],
        "models": named,
    }
    for kind, column in (("workloads", "lengths"), ("engines", "engine")):
        usual = [str(TABLES["workloads"][column].default)] if named else []
        known = column in workloads and workloads[column].fillna("").ne("").all()
        found[kind] = [*_named(raw, "workloads", column), *([] if known else usual)] if named else []
    return {kind: tuple(dict.fromkeys(catalog.slug(kind, n) for n in names)) for kind, names in found.items()}


def _named(raw: dict[str, pd.DataFrame], table: str, column: str = "catalog") -> list[str]:
    frame = raw.get(table, pd.DataFrame())
    cells = frame[column].dropna() if column in frame else []
    return [name for name in dict.fromkeys(cells) if name]


def _site_rows(catalog: Catalog, sites: pd.DataFrame) -> Iterator[tuple[str, dict[str, float]]]:
    for name in dict.fromkeys(sites["catalog"]):
        if name:
            yield name, site_numbers(catalog.entry("sites", name).spec)


def planned(system: System, pue: float) -> float:
    """Planning power of one system at a site with this PUE, facility overhead inside (W)."""
    chip, limit = system.accelerator, system.max_power / system.count
    each = provisioned_power(chip.provisioned_power, chip.provisioned_pue, limit, jnp.asarray(pue))
    return float(system.count) * float(each)


def system_numbers(system: System, terms: Terms) -> dict[str, float]:
    """What owning one system of the catalogue costs and draws, under terms of ownership (SI).

    The price is the volume price with the network; planning power depends on the site, see `planned`.
    """
    count = float(system.count)
    return {
        "price": float(system.price * terms.price_factor * (1 + terms.network_fraction)),
        "maintenance": float(terms.maintenance_fraction) / SECONDS_PER_YEAR,
        "life": float(terms.life),
        "idle_power": count * float(system.accelerator.idle_power) + float(system.chassis.fixed_power),
        "memory": count * float(system.accelerator.hbm_capacity),
    }


def site_numbers(site: Site) -> dict[str, float]:
    """What a site of the catalogue charges and emits (SI)."""
    return {
        "electricity": float(site.electricity),
        "pue": float(site.pue),
        "carbon": float(site.carbon),
        "building": float(site.facility_capex),
        "building_life": float(site.facility_life),
    }


def _completed(frame: pd.DataFrame, rows: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Numbers that the table does not write are the catalogue's."""
    columns = {}
    for column in dict.fromkeys(column for row in rows.values() for column in row):
        written = frame[column].to_numpy(dtype=float)
        known = [rows.get(name, {}).get(column, np.nan) for name in frame["catalog"]]
        columns[column] = np.where(np.isnan(written), known, written)
    return frame.assign(**columns)
