"""The answer first: a title, its one number or name, the sentence around it, and the facts beside it."""

import dataclasses
from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


@dataclasses.dataclass(frozen=True)
class Headline:
    """What stands on top of an answer: the question, the answer, what it means, and the facts beside it."""

    title: str
    answer: str
    sentence: str
    facts: tuple[tuple[str, str], ...] = ()


def told(top: Headline, below: int = 0) -> Iterator[RenderableType]:
    """The same for a terminal; `below` lines stay empty after it, none before a table, which brings its own."""
    yield Text(top.title, style="bold")
    text = Text(top.answer, style="bold green")
    if top.sentence:
        text.append(f"\n{top.sentence}", style="bold")
    yield Padding(text, (1, 0, 1 if top.facts else below, 2))
    if top.facts:
        yield Padding(facts(top.facts), (0, 0, below, 2))


def facts(pairs: tuple[tuple[str, str], ...]) -> Table:
    """Names with a sentence each."""
    table = Table.grid(padding=(0, 2))
    for name, fact in pairs:
        table.add_row(Text(name, style="cyan"), fact)
    return table
