"""Parts of the program that need more than the core is installed with."""

import importlib.util

from clustermodel.catalog import ConfigError


def need(extra: str, *modules: str) -> None:
    """Refuse in one sentence where the modules of an extra are not installed."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        raise ConfigError(
            f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed; "
            f"pip install 'clustermodel[{extra}]' brings what is needed"
        )
