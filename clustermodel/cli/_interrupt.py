"""Ctrl-C ends the program wherever it stands, with its files whole, and crashes no thread that still computes."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from clustermodel.cli._program import INTERRUPTED

_RUNTIME = "jax"
_TIDY = "\r\x1b[2K\x1b[?25h"
"""Clears the line of a terminal and shows the cursor again, which a spinner hides."""


def run_to_the_end(program: Callable[[], object]) -> None:
    """Run a program; interrupted, the process ends without tearing down the interpreter.

    That would take arrays from threads of the runtime that still compute on them: a crash, now and then.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, and stays so
        signal.signal(signal.SIGINT, _interrupt)
    try:
        program()
    except KeyboardInterrupt:  # outside a command
        _end_here()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _leave()
        raise


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Unwind our own code, which may be writing a file, but end at once within jax, and at the second Ctrl-C.

    What is raised within jax may be lost in its callback at every garbage collection, or unwind its C++.
    """
    signal.signal(signal.SIGINT, _end_here)
    if any(name.partition(".")[0] == _RUNTIME for name in _modules(frame)):
        _end_here()
    raise KeyboardInterrupt


def _modules(frame: FrameType | None) -> Iterator[str]:
    """Names of the modules whose code is running, the innermost first."""
    while frame is not None:
        yield frame.f_globals.get("__name__", "")
        frame = frame.f_back


def _end_here(*_: object) -> NoReturn:
    with contextlib.suppress(OSError):
        tidy = _TIDY if os.isatty(2) else ""
        os.write(2, f"{tidy}interrupted\n".encode())  # a print may be what was interrupted
    _leave()


def _leave() -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # gone, closed, or being written to
            stream.flush()
    os._exit(INTERRUPTED)
