"""Everything wrong with a file or folder of entries, one sentence each."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clustermodel import specs
from clustermodel.catalog._catalog import CONFIGS, QUOTES, Catalog, Entry, names_in
from clustermodel.catalog._counts import COUNTED, count
from clustermodel.catalog._errors import ConfigError, did_you_mean
from clustermodel.catalog._huggingface import read_config
from clustermodel.catalog._kinds import KINDS
from clustermodel.catalog._quotes import quote_problems
from clustermodel.catalog._recount import layer_problem

OTHER_FOLDERS = ("calibration", "fleets", "measurements")
"""Folders of configs/ that other modules read and check."""
COUNT_TOLERANCE = 0.035
"""Largest error of a counted total over the published models of the catalogue, those listed in its test aside."""
_SOURCE_WORDS = ("title", "url", "published", "accessed", "licence", "note")


def check(path: Path | str) -> list[str]:
    """Read a configs folder, one kind's folder, one entry or a config.json; sentences that name file and field."""
    if not Path(path).exists():
        raise ConfigError(f"{path}: no such file or folder; check the path")
    place = Path(path).resolve()
    if place.suffix == ".json":
        return _sentences(place.name, lambda: read_config(place))
    if place.is_file():
        return _file_problems(place)
    if place.name in KINDS:
        return [each for file in sorted(place.glob("*.toml")) for each in _file_problems(file)]
    return list(_folder_problems(place))


def _file_problems(file: Path) -> list[str]:
    if file.name == "sources.toml":
        return list(_source_problems(file.parent))
    if file.parent.name not in KINDS:
        return [f"{file.name}: lies in {file.parent.name}/; move it into a folder named {', '.join(KINDS)}"]
    catalog = Catalog((file.parent.parent, CONFIGS))
    return _entry_problems(catalog, file.parent.name, file.stem)


def _folder_problems(root: Path) -> Iterator[str]:
    known = (*KINDS, *OTHER_FOLDERS)
    if not any((root / name).is_dir() for name in known) and not (root / "sources.toml").exists():
        yield f"{root.name}/: no entries in it; put them in folders named {', '.join(KINDS)}"
    for child in sorted(root.iterdir()):
        if child.is_dir() and child.name not in known and any(child.glob("*.toml")):
            yield f"{child.name}/: no kind of entry{did_you_mean(child.name, known)}; nothing in it is read"
    yield from _source_problems(root)
    catalog = Catalog((root, CONFIGS))
    for folder in KINDS:
        files = sorted((root / folder).glob("*.toml"))
        yield from (each for file in files for each in _entry_problems(catalog, folder, file.stem))
        yield from _shared_names(files)


def _entry_problems(catalog: Catalog, folder: str, slug: str) -> list[str]:
    where = f"{folder}/{slug}.toml"
    return _sentences(where, lambda: _read(catalog, folder, slug, where))


def _read(catalog: Catalog, folder: str, slug: str, where: str) -> list[str]:
    if folder == "prices" and slug in (lists := catalog.paths(QUOTES)):
        table = catalog.table(lists[slug])
        if isinstance(table.get("accelerator"), str):
            catalog.slug("accelerators", table["accelerator"])
        return [f"{where}: {problem}" for problem in quote_problems(table, catalog.sources)]
    entry = catalog.entry(folder, slug)
    return [f"{where}: {problem}" for problem in _miscounted(entry)] if folder == "models" else []


def _sentences(where: str, read: Any) -> list[str]:
    """What reading complains about, each line with the name of the file."""
    try:
        found = read()
    except ConfigError as error:
        first, *rest = str(error).split("\n  ")
        return [f"{where}: {line}" for line in rest or [first]]
    return found if isinstance(found, list) else []


def _miscounted(entry: Entry[specs.Model]) -> Iterator[str]:
    """Kinds of layers that do not add up, and totals and cache elements that don't follow from the shapes."""
    fields = {name: float(getattr(entry.spec, name)) for name in specs.fields(specs.Model)}
    if problem := layer_problem(fields):
        yield problem
    counts = count(fields, entry.words.get("shape", {}))
    for name, counted in ((name, getattr(counts, of)) for name, of in COUNTED.items()):
        if abs(fields[name] - counted) > COUNT_TOLERANCE * max(fields[name], counted):
            yield f"{name}: {fields[name]:.4g} is given, {counted:.4g} follows from the shapes; correct one"


def _shared_names(files: list[Path]) -> Iterator[str]:
    """Names that more than one entry of a kind claims."""
    claimed: dict[str, Path] = {}
    for file in files:
        for name in {file.stem, *names_in(file)}:
            other = claimed.setdefault(name.lower(), file)
            if other is not file:
                where = f"{file.parent.name}/{file.name}"
                yield f"{where}: aliases: {name!r} also names {other.stem}; keep it in one of them"


def _source_problems(root: Path) -> Iterator[str]:
    if not (root / "sources.toml").exists():
        return
    sources: Mapping[str, Any] = {}
    try:
        sources = Catalog((root,)).sources
    except ConfigError as error:
        yield str(error)
    for key, source in sources.items():
        if not isinstance(source, dict) or not isinstance(source.get("title"), str):
            yield f"sources.toml: {key}: title missing; write what it is"
            continue
        for word in source.keys() - set(_SOURCE_WORDS):
            yield f"sources.toml: {key}: {word} is none of {', '.join(_SOURCE_WORDS)}"
