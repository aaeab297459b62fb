"""Find a fleet problem by name or folder and read it."""

from pathlib import Path

from clustermodel.catalog import CONFIGS, Catalog, ConfigError, did_you_mean, load_catalog, read_toml
from clustermodel.fleet.build import build, tidy
from clustermodel.fleet.folder import Folder, read_folder
from clustermodel.fleet.problem import FleetProblem
from clustermodel.fleet.schema import SETTINGS


def shipped(catalog: Catalog | None = None) -> dict[str, Path]:
    """Problems by name: those of the configs folders."""
    roots = catalog.folders if catalog else (CONFIGS,)
    found = [path.parent for root in reversed(roots) for path in (root / "fleets").glob("*/fleet.toml")]
    return {path.name: path for path in sorted(found)}


def listed(catalog: Catalog | None = None) -> list[dict[str, str]]:
    """Name and question of every shipped problem."""
    rows = {name: read_toml(path / "fleet.toml") for name, path in shipped(catalog).items()}
    return [{"name": name, "question": str(row.get("question", ""))} for name, row in rows.items()]


def find(name: Path | str, catalog: Catalog | None = None) -> Folder:
    """The folder of a problem: a path, or the name of a shipped one."""
    known = shipped(catalog)
    path = Path(name)
    if path.is_dir():
        return read_folder(path)
    if str(name) not in known:
        raise ConfigError(
            f"no fleet named {str(name)!r} and no such folder{did_you_mean(str(name), known)}; "
            f"shipped are {', '.join(known)}"
        )
    return read_folder(known[str(name)])


def problem_of(folder: Folder, catalog: Catalog | None = None, anew: bool = False) -> FleetProblem:
    """The problem that a folder describes.

    The serving model fills in a missing throughput table; `anew` asks it also for the rows of the table that
    name it as their source.
    """
    tables = dict(folder.tables)
    written = tables.get("throughput")
    if written is None or anew:
        from clustermodel.fleet.coefficients import renewed

        tidied = tidy({key: rule.default for key, rule in SETTINGS.items()} | folder.settings, tables)
        tables["throughput"] = renewed(tidied, catalog or load_catalog(), written)
    return build(folder.settings, tables, catalog)


def load(name: Path | str, catalog: Catalog | None = None) -> FleetProblem:
    """Read a problem from a folder, or a shipped one by name."""
    return problem_of(find(name, catalog), catalog)
