"""How every command runs: read the options, answer, write. A command itself is only its answer."""

import functools
import inspect
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustermodel import __version__
from clustermodel.cli import _output
from clustermodel.cli._jax import set_up_jax
from clustermodel.cli._options import FORMATS, QUIET, SHARED, Argument, Flag, Option, shared

if TYPE_CHECKING:
    from clustermodel.catalog import Catalog
    from clustermodel.chain import Question

Answer = dict[str, Any]
Asked = Option | Argument | Flag

PROGRESS_SECONDS = 5.0
"""Between two lines of progress where there is no terminal to draw on."""
SCHEMA = 1
"""Version of the form of the answers; it changes when a field changes its meaning or goes."""


class Ask:
    """What the user asked: the options that were given, the catalogue, and a voice on stderr."""

    def __init__(self, given: Mapping[str, Any], quiet: bool):
        common = {option.name for option in SHARED}
        wanted = {k: v for k, v in given.items() if k not in common}
        self.options = {k: v for k, v in wanted.items() if v is not None and v is not False}
        self._folders: list[Path] = given["configs"] or []
        self._overrides: list[str] = given["overrides"] or []
        self.out: Path | None = given["out"]
        self._quiet = quiet
        self._sign: Any = None
        self._spoke: float | None = None

    @functools.cached_property
    def catalog(self) -> "Catalog":
        """The shipped catalogue under the user's folders and `--set` texts."""
        from clustermodel.catalog import load_catalog

        return load_catalog(self._folders, self._overrides)

    def refuse_changes(self, why: str) -> None:
        """Refuse --configs and --set where there is nothing that they could change."""
        from clustermodel.catalog import ConfigError

        given = [
            *(f"--configs {each}" for each in self._folders),
            *(f"--set {each}" for each in self._overrides),
        ]
        if given:
            raise ConfigError(f"{', '.join(given)}: {why}")

    def question(self, **fields: Any) -> "Question":
        """The options as a question to the chain; `fields` go first."""
        from clustermodel.chain import Question

        return Question.of(**(self.options | fields))

    def refuse_unused(self) -> None:
        """Refuse numbers of the user's that an answer was computed without."""
        from clustermodel.catalog import ConfigError

        if unused := self.catalog.unused:
            raise ConfigError(
                "\n".join(
                    f"{each}: this question uses no {each.target}, so nothing would change; leave it out"
                    for each in unused
                )
            )

    def answer(self, kind: str, **fields: Any) -> Answer:
        """An answer that echoes the options; what the chain answers comes with its own echo."""
        head = {"kind": kind, "schema": SCHEMA, "version": __version__, "inputs": self.options}
        return head | fields

    def say(self, text: str) -> None:
        """Talk, unless the user asked for quiet."""
        if not self._quiet:
            print(text, file=sys.stderr)

    def progress(self, text: str) -> None:
        """Say where a long computation stands: on the spinner of a terminal, elsewhere a line now and then."""
        now = time.monotonic()
        if self._sign is not None:
            self._sign.update(text)
        elif self._spoke is None:  # what is over at once needs no line
            self._spoke = now
        elif now - self._spoke > PROGRESS_SECONDS:
            self._spoke = now
            self.say(text)

    def shown_on(self, sign: Any) -> None:
        """Where progress goes while the answer is computed; None where there is no terminal."""
        self._sign = sign


def command(
    *options: Asked, detail: str = "", forms: Sequence[str] = FORMATS, fused: bool = False
) -> Callable[[Callable[[Ask], Answer]], Callable[..., None]]:
    """Make a typer command of a function from `Ask` to an answer.

    The command takes `options` and the shared ones, computes in float64, and writes the answer in the form
    and to the place that the user chose, all of it or nothing. `detail` names a long list in the answer that
    goes to `--out` alone, while the rest goes to standard output. `forms` are those that the answer comes in,
    the usual one first. `fused`: compiled with the flags of `process.set_flags`.
    """

    def decorate(answer: Callable[[Ask], Answer]) -> Callable[..., None]:
        @functools.wraps(answer)
        def run(quiet: bool, **given: Any) -> None:
            outputs = _output.destinations(given["format"], given["out"], detail, forms)
            set_up_jax(fused)
            ask = Ask(given, quiet)
            with _output.working(quiet) as sign:
                ask.shown_on(sign)
                found = answer(ask)
                for destination in outputs:
                    if destination.path:  # drawing a report takes its time, too
                        destination.write(found)
            for destination in outputs:
                if not destination.path:
                    destination.write(found)
            if given["out"]:
                ask.say(f"wrote {given['out']}")

        setattr(run, "__signature__", _signature(options, forms))  # noqa: B010
        run.__annotations__ = {}
        return run

    return decorate


def _signature(options: Sequence[Asked], forms: Sequence[str]) -> inspect.Signature:
    return inspect.Signature([option.parameter for option in (*options, *shared(forms), QUIET)])
