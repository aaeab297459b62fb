"""Files that are written: refused before anything is computed for them, and never seen by half."""

import os
from pathlib import Path


def unwritable(path: Path) -> str:
    """Why a file can't be written, with the cure; empty if it can."""
    try:
        if path.is_dir():
            return f"{path} is a folder; name a file in it"
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}; create it first"
        if not path.exists() or path.is_file():
            _try_beside(path.resolve())
        if path.exists() and not os.access(path, os.W_OK):
            return f"{path} cannot be written; choose another place"
    except OSError as error:
        return f"{path} cannot be written ({error.strerror}); choose another place"
    return ""


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it: to a neighbour first, then renamed.

    Links are followed; what is no regular file (a pipe, a terminal) is written to directly.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8", newline="")
        return
    part = _beside(target)
    try:
        part.write_text(text, encoding="utf-8", newline="")
        if target.exists():
            part.chmod(target.stat().st_mode)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.part")


def _try_beside(target: Path) -> None:
    """Write nothing where `write_whole` will; permissions alone don't tell, as in /proc."""
    part = _beside(target)
    part.touch()
    part.unlink()
