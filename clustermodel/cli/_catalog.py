"""The catalogue: lists, single entries with the source of every number, the check of own folders."""

from typing import TYPE_CHECKING, Any

import typer

from clustermodel.cli import _readers as read
from clustermodel.cli._command import Answer, Ask, command
from clustermodel.cli._options import Argument

if TYPE_CHECKING:
    from clustermodel.catalog import Catalog, Entry

app = typer.Typer(help="What is known of hardware, models, workloads and prices, and from where.")

_KIND = Argument(
    "folder", read.name, "[KIND]", "accelerators, systems, ..., sources, capex; without it, how many"
)
_NAME = Argument("entry", read.name, "NAME", "name or slug, or KIND/NAME where several kinds have it", True)
_PATH = Argument("path", read.path, "[PATH]", "file or folder of entries; without it, all that ships")


@app.command("list")
@command(_KIND)
def entries(ask: Ask) -> Answer:
    """The entries of one kind, quotes, sources or capex (capital spending by company), or how many there are of each.

    Example: clustermodel catalog list systems
    """
    from clustermodel.catalog import KINDS, ConfigError, capex_rows, catalog_rows, did_you_mean

    folder = ask.options.get("folder")
    if folder is None:
        counts = [{"kind": each, "entries": len(ask.catalog.paths(each))} for each in KINDS]
        return ask.answer("catalog_list", entries=counts)
    if folder == "sources":
        listed = [{"key": key, **source} for key, source in sorted(ask.catalog.sources.items())]
        return ask.answer("catalog_sources", entries=listed)
    if folder == "capex":
        spent = capex_rows(ask.catalog)
        return ask.answer("capex", rows=spent, sources=_sources(ask.catalog, spent))
    known = [*KINDS, "quotes", "sources", "capex"]
    if folder not in known:
        raise ConfigError(f"no kind {folder!r}{did_you_mean(folder, known)}; there are {', '.join(known)}")
    return ask.answer("catalog_list", entries=catalog_rows(ask.catalog, folder))


@app.command()
@command(_NAME)
def show(ask: Ask) -> Answer:
    """Every number of an entry with its unit, source and confidence.

    Example: clustermodel catalog show hgx-h200
    """
    from clustermodel.catalog import entry_rows

    entry = _find(ask.catalog, ask.options["entry"])
    numbers = entry_rows(entry)
    sources = _sources(ask.catalog, numbers)
    words = {key: value for key, value in entry.words.items() if key != "name"}
    return ask.answer(
        "catalog_entry",
        entry=f"{entry.kind}/{entry.slug}",
        name=entry.name,
        words=words,
        fields=numbers,
        sources=sources,
    )


@app.command()
@command(_PATH)
def check(ask: Ask) -> Answer:
    """Read every entry of a file or folder and say all that is wrong with it.

    Example: clustermodel catalog check my-configs
    """
    from clustermodel.catalog import CONFIGS, ConfigError
    from clustermodel.catalog import check as problems_in

    path = ask.options.get("path", CONFIGS)
    if problems := problems_in(path):
        raise ConfigError("\n".join(problems))
    return ask.answer("catalog_check", path=str(path), problems=0)


def _sources(catalog: "Catalog", rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The sources that rows name, each once."""
    used = {row["source"]: catalog.sources.get(row["source"]) for row in rows}
    return [{"key": key, **source} for key, source in used.items() if source]


def _find(catalog: "Catalog", text: str) -> "Entry[Any]":
    """The entry that a name means; a bare name is looked for in every kind."""
    from clustermodel.catalog import KINDS, ConfigError, did_you_mean

    folder, slash, name = text.partition("/")
    if slash and folder in KINDS:
        return catalog.entry(folder, name)
    names = {each: catalog.names(each) for each in KINDS}
    homes = [each for each in KINDS if text.lower() in names[each]]
    if not homes:
        known = [name for each in names.values() for name in each]
        raise ConfigError(
            f"no entry named {text!r}{did_you_mean(text, known)}; see `clustermodel catalog list`"
        )
    if len(homes) > 1:
        several = " or ".join(f"{each}/{text}" for each in homes)
        raise ConfigError(f"{text!r} may mean several entries; write {several}")
    return catalog.entry(homes[0], text)
