"""The root command: whatever goes wrong becomes one sentence on stderr and an exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from clustermodel.cli._arguments import expanded

WRONG_QUESTION = 2
NO_ANSWER = 3
INTERRUPTED = 130


class Program(TyperGroup):
    """A typer group without tracebacks for the user's mistakes; an error of ours still shows one."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **extra: Any) -> NoReturn:
        """Run to the end and exit: 0 answered, 2 the question is wrong, 3 it has no answer."""
        words = sys.argv[1:] if args is None else list(args)
        try:
            code = super().main(expanded(words) or ["--help"], *more, **extra | {"standalone_mode": False})
        except typer.TyperException as error:
            _stop(_sentence(error), WRONG_QUESTION)
        except ValueError as error:
            _stop(str(error), _exit_code(error))
        except BrokenPipeError:  # the reader of our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except OSError as error:
            _stop(f"{error.filename or 'output'}: {error.strerror or error}", WRONG_QUESTION)
        except MemoryError:
            _stop("not enough memory on this machine; ask for fewer points at a time", WRONG_QUESTION)
        if code == INTERRUPTED:
            _stop("interrupted", INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def _sentence(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    where = f"; see `{context.command_path} --help`" if context else ""
    return " ".join(error.format_message().split()).rstrip(".") + where


def _exit_code(error: ValueError) -> int:
    from clustermodel.catalog import ConfigError, InfeasibleError

    codes = {InfeasibleError: NO_ANSWER, ConfigError: WRONG_QUESTION}
    for kind, code in codes.items():
        if isinstance(error, kind):
            return code
    raise error


def _stop(sentence: str, code: int) -> NoReturn:
    kind = {NO_ANSWER: "no answer: ", INTERRUPTED: ""}.get(code, "error: ")
    print(f"{kind}{sentence}", file=sys.stderr)
    sys.exit(code)
