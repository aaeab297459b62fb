"""`@state.toml` in a command: options from a file, as the explorer writes them."""

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

_MARK, _SUFFIX = "@", ".toml"


def expanded(words: Sequence[str]) -> list[str]:
    """The words of a command with every `@FILE.toml` replaced by the options in it.

    `max-tpot-ms = 50` becomes `--max-tpot-ms 50`, a list its members with commas between, and every line under
    `[set]` a `--set`.
    """
    found: list[str] = []
    for word in words:
        named = word.startswith(_MARK) and word.endswith(_SUFFIX)
        found += _options(Path(word.removeprefix(_MARK))) if named else [word]
    return found


def _options(path: Path) -> Iterator[str]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise typer.BadParameter(f"{path}: not a file of options: {error}") from error
    for name, value in table.items():
        if name == "set" and isinstance(value, dict):
            for target, number in value.items():
                yield from ("--set", f"{target}={_text(path, target, number)}")
        else:
            yield from (f"--{name}", _text(path, name, value))


def _text(path: Path, name: str, value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_text(path, name, each) for each in value)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise typer.BadParameter(f"{path}: {name}: write a text, a number or a list of them")
