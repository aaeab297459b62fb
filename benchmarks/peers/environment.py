"""An environment of its own for each peer: made once, with one pinned version, and asked through an adapter."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
INSTALLED = "installed"
NO_ANSWER = 3


class NoAnswer(Exception):
    """A sentence for the user: why a peer cannot be asked."""


class Pinned(NamedTuple):
    """A peer on the package index, and the adapter that asks it."""

    package: str
    version: str
    pythons: tuple[int, int]  # first and last minor version of Python 3 that it installs on
    licence: str
    adapter: Path

    @property
    def requirement(self) -> str:
        """What is installed."""
        return f"{self.package}=={self.version}"


PEERS = {
    "aiconfigurator": Pinned(
        "aiconfigurator", "0.12.0", (11, 13), "Apache-2.0", HERE / "adapter_aiconfigurator.py"
    ),
    "vllm-sr-sim": Pinned(
        "vllm-sr-sim",
        "0.1.0.dev20260713123629",
        (10, 14),
        "Apache-2.0",
        HERE / "adapter_vllm_sr_sim.py",
    ),
}


def environment(peer: Pinned, folder: Path | None = None) -> Path:
    """The interpreter of the peer's environment, which is made where it is not there yet."""
    home = folder or HERE / f".venv-{peer.package}"
    python, mark = home / "bin" / "python", home / INSTALLED
    if mark.is_file() and mark.read_text(encoding="utf-8") == peer.requirement:
        return python
    say(f"installing {peer.requirement} into {home}")
    shutil.rmtree(home, ignore_errors=True)
    _run([interpreter(peer), "-m", "venv", str(home)], f"{home} could not be made")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    failed = f"{peer.requirement} could not be installed into {home} (is the package index in reach?)"
    _run([*install, peer.requirement], failed)
    mark.write_text(peer.requirement, encoding="utf-8")
    return python


def interpreter(peer: Pinned) -> str:
    """A Python that the peer installs on: this one, or one on the path."""
    first, last = peer.pythons
    if first <= sys.version_info.minor <= last:
        return sys.executable
    names = (f"python3.{minor}" for minor in range(last, first - 1, -1))
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise NoAnswer(f"{peer.requirement} needs Python 3.{first} to 3.{last}, and none is on the path")
    return found


def asked(
    peer: Pinned, python: Path | str, rows: Sequence[Mapping[str, Any]], seconds: float
) -> dict[str, Any]:
    """What the adapter of a peer answers to the rows."""
    question = json.dumps({"rows": list(rows), "seconds": seconds})
    done = _run([str(python), str(peer.adapter)], f"{peer.adapter.name} failed", question)
    try:
        return json.loads(done)
    except json.JSONDecodeError:
        raise NoAnswer(f"{peer.adapter.name} failed: its answer is not JSON") from None


def _run(command: Sequence[str], failed: str, given: str = "") -> str:
    """What a command prints; where it fails, a sentence with the last thing that it said."""
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, env=_surroundings()
        )
    except OSError as error:
        raise NoAnswer(f"{failed}: {error}") from None
    if done.returncode:
        lines = [line.strip().removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.strip()]
        raise NoAnswer(f"{failed}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return done.stdout


def _surroundings() -> dict[str, str]:
    """Our environment variables without those that lead a peer to our packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def say(words: str) -> None:
    """Talk, which is not data."""
    print(words, file=sys.stderr, flush=True)
