"""How jax computes for a command: in float64, and nothing compiled twice on one machine."""

import contextlib
import os
import sys
import time
import warnings
from pathlib import Path

from clustermodel.process import set_flags

_WORTH_KEEPING = 0.0  # s of compilation: a small one still takes ten times as long as reading it
_FORGOTTEN = 90 * 86_400.0  # s: of versions gone by, or no longer asked for
_FATAL = "3"
"""The least severe of the compiler's own lines that is shown, unless the user chose: what fails is raised besides.

Of every program that it reads from its cache it warns on many processors, in a thousand characters, that it "could lead
to SIGILL", though it was compiled on this one [https://github.com/jax-ml/jax/issues/38445, jax 0.10.1]."""


_HALF_WRITTEN = "Error reading persistent compilation cache entry"
"""What jax says where another command is still writing what this one looks for; it then compiles it itself."""


def set_up_jax(fused: bool = False) -> None:
    """Compute in float64; keep what is compiled in the user's cache, or where jax was told to by its own settings.

    `fused`: with the flags of `process.set_flags`, in a process that has not imported jax. In any other it may be too
    late for them, and the environment stays as it is: jax keeps compiled programs under the flags that it finds there.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", _FATAL)  # read when jax is imported
    if fused and "jax" not in sys.modules:
        set_flags()
    import jax

    warnings.filterwarnings("ignore", _HALF_WRITTEN, UserWarning)
    jax.config.update("jax_enable_x64", True)
    if jax.config.values["jax_compilation_cache_dir"] is None and (folder := cache_folder()):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)
        forget(folder, time.time() - _FORGOTTEN)


def cache_folder() -> Path | None:
    """$XDG_CACHE_HOME or ~/.cache, as the XDG base directory specification says; None where nothing can be kept."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "clustermodel" / "jax"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return None
    return folder if os.access(folder, os.W_OK) else None


def forget(folder: Path, before: float) -> None:
    """Remove the files that were written before a time (s since the epoch)."""
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # another process may be as tidy
            if file.is_file() and file.stat().st_mtime < before:
                file.unlink()
