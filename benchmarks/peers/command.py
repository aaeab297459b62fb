"""What the commands of this folder share: options, and an end that is a code and one sentence."""

import argparse
from collections.abc import Callable
from pathlib import Path

from environment import NO_ANSWER, NoAnswer, say

WRONG, STOPPED = 2, 130


def positive(text: str) -> int:
    """A number of rows."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of rows above 0, got {text!r}")
    return int(text)


def ended(command: Callable[[], None]) -> int:
    """Run a command: 0, or 2 where the question is wrong, 3 where a peer gives no answer."""
    try:
        command()
    except argparse.ArgumentError as error:
        say(str(error))
        return WRONG
    except NoAnswer as error:
        say(str(error))
        return NO_ANSWER
    except KeyboardInterrupt:
        say("stopped; nothing is written")
        return STOPPED
    return 0


def written(text: str, path: Path) -> None:
    """Write a text at once or not at all."""
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    say(f"written to {path}")
