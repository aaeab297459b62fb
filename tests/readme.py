"""The README's examples: find them, run them, compare them, write them anew (`python tests/readme.py`)."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner

from clustermodel.cli.main import app

README = Path(__file__).parents[1] / "README.md"
CUT = "..."
"""A last line that stands for the guesses and sources, which every answer ends with."""

_BLOCK = re.compile(r"^```console\n\$ (.*?[^\\])\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e[-+]\d+)?")


@dataclass(frozen=True)
class Example:
    """One command of the README and the output that stands under it."""

    command: str
    shown: str

    def output(self):
        """What the command prints now, standard error included, cut where the README cuts it."""
        arguments = shlex.split(self.command.replace("\\\n", " "))
        assert arguments.pop(0) == "clustermodel"
        text = CliRunner().invoke(app, arguments, prog_name="clustermodel").output
        if self.shown.endswith(f"{CUT}\n"):
            text = text.partition("~ estimates")[0].rstrip() + f"\n\n{CUT}\n"
        return text


def examples(text):
    """Every ```console block that starts with a command."""
    return [Example(*match.groups()) for match in _BLOCK.finditer(text)]


def regenerated(text):
    """The README with the present output under every command."""
    return _BLOCK.sub(lambda m: f"```console\n$ {m[1]}\n{Example(*m.groups()).output()}```", text)


def words_and_numbers(text):
    """The text without its numbers and blanks, and its numbers."""
    numbers = [float(number.replace(",", "")) for number in _NUMBER.findall(text)]
    return re.sub(r"[\s─]+", " ", _NUMBER.sub("#", text)), numbers


if __name__ == "__main__":
    README.write_text(regenerated(README.read_text(encoding="utf-8")), encoding="utf-8")
