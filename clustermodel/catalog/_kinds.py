"""The kinds of catalogue entries: their folder, their spec and the words they may carry."""

import dataclasses

import equinox as eqx

from clustermodel import specs


@dataclasses.dataclass(frozen=True)
class Kind:
    """One folder of configs/: which spec its files hold and which words besides numbers."""

    folder: str
    spec: type[eqx.Module]
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The kind in the singular, as errors and `--set` say it."""
        return self.folder.removesuffix("s")


WORDS = ("name", "aliases", "note")
KINDS = {
    kind.folder: kind
    for kind in (
        Kind(
            "accelerators",
            specs.Accelerator,
            (*WORDS, "vendor", "architecture", "generation", "year", "status", "process", "price_basis"),
        ),
        Kind(
            "systems",
            specs.System,
            (*WORDS, "vendor", "accelerator", "cpus", "nics", "cooling"),
        ),
        Kind(
            "models",
            specs.Model,
            (*WORDS, "hf_id", "attention", "linear", "native", "four_bit", "date", "status"),
        ),
        Kind("workloads", specs.Workload, WORDS),
        Kind("engines", specs.Engine, WORDS),
        Kind("sites", specs.Site, (*WORDS, "region", "cooling")),
        Kind("prices", specs.Terms, WORDS),
    )
}
SINGULAR = {kind.name: folder for folder, kind in KINDS.items()}
