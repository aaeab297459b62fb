"""How jax computes for a command: in float64, and nothing compiled twice on one machine."""

import os
from pathlib import Path

_WORTH_KEEPING = 0.2  # s of compilation


def set_up_jax() -> None:
    """Compute in float64; keep what is compiled in the user's cache, or where jax was told to by its own settings."""
    import jax

    jax.config.update("jax_enable_x64", True)
    folder = _cache_folder()
    if jax.config.values["jax_compilation_cache_dir"] is None and _can_hold_files(folder):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)


def _cache_folder() -> Path:
    """[XDG base directory specification: $XDG_CACHE_HOME, or ~/.cache]."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "clustermodel" / "jax"


def _can_hold_files(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
