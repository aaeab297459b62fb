"""Write the reference of commands and of the Python front door, from their own help: `python docs/reference.py`."""

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import clustermodel as cm
from clustermodel.cli.main import app

PAGE = Path(__file__).parent / "reference.md"
_SHARED = ("format", "out", "configs", "overrides", "quiet", "help")


def commands(group: Any, path: tuple[str, ...] = ("clustermodel",)) -> Iterator[tuple[str, Any]]:
    """Every command below a typer group with the words that call it."""
    for name, each in group.commands.items():
        if hasattr(each, "commands"):
            yield from commands(each, (*path, name))
        else:
            yield " ".join((*path, name)), each


def command_page(words: str, command: Any) -> Iterator[str]:
    """One command: what it is for, then its arguments and options."""
    yield f"## {words}\n\n{textwrap.dedent(command.help)}\n"
    own = [parameter for parameter in command.params if parameter.name not in _SHARED]
    if own:
        yield "| option | value | meaning |\n| --- | --- | --- |"
    for parameter in own:
        names = ", ".join(parameter.opts)
        value = parameter.metavar or ""
        yield (
            "| "
            + " | ".join(f"{cell}".replace("|", "\\|") for cell in (f"`{names}`", value, parameter.help))
            + " |"
        )
    yield ""


def python_page() -> Iterator[str]:
    """Every public name with its signature and its docstring."""
    for name in sorted(cm.__all__):
        value = getattr(cm, name)
        if callable(value):
            signature = "" if inspect.isclass(value) else str(inspect.signature(value))
            yield f"## cm.{name}\n\n```python\n{name}{signature}\n```\n\n{inspect.getdoc(value)}\n"


def reference() -> str:
    """The whole page."""
    shared = "Every command also takes --format, --out, --configs, --set and --quiet.\n"
    found = [f"# clustermodel {cm.__version__}: commands\n\n{shared}"]
    for words, command in commands(typer.main.get_command(app)):
        found += command_page(words, command)
    return "\n".join([*found, "# From Python\n\n`import clustermodel as cm`\n", *python_page()])


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}")
