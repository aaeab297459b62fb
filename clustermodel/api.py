"""The Python front door: the commands as functions that take names or entries and return tables.

import jax
jax.config.update("jax_enable_x64", True)
import clustermodel as cm

cm.cost_per_token("hgx-h200", "llama-3.1-70b", precision="fp8", max_tpot_ms=50)["usd_per_mtok_total"]
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from clustermodel import chain
from clustermodel.bench.device import bench_device as device_answer
from clustermodel.bench.model import bench_model as model_answer
from clustermodel.bench.serve import bench_serve as serve_answer
from clustermodel.catalog import (
    Catalog,
    ConfigError,
    Entry,
    did_you_mean,
    load_catalog,
    require_float64,
    several,
)
from clustermodel.chain import Question
from clustermodel.report.rows import flat

if TYPE_CHECKING:
    import pandas as pd

Name = str | os.PathLike[str] | Entry[Any]
"""Something of the catalogue: by name, by a file where one can stand for it, or the entry itself."""
_LISTS = ("points", "measurements", "cases")  # rows of an answer, where it has several


class Answer(dict[str, Any]):
    """An answer: a mapping with the fields of the JSON object, and a table of it."""

    def to_frame(self) -> "pd.DataFrame":
        """One row per point; nested fields become dotted columns, as in CSV."""
        import pandas as pd

        points = next((self[name] for name in _LISTS if name in self), [self])
        return pd.DataFrame([flat(point) for point in points])


def cost_per_token(
    system: Name,
    model: Name,
    workload: Name = "chat-1k",
    *,
    catalog: Catalog | None = None,
    allow_float32: bool = False,
    **options: Any,
) -> Answer:
    """Tokens, watts and dollars of one deployment; `options` are the fields of `Question`.

    Raises:
        ConfigError: a name, an option or a number is wrong.
        InfeasibleError: there is no answer; the text says which limit binds and the nearest feasible value.
    """
    _require_float64(allow_float32)
    question = _question(system=system, model=model, workload=workload, **options)
    return Answer(chain.cost(_catalog(catalog), question))


def compare(
    systems: Name | Iterable[Name],
    model: Name,
    workload: Name = "chat-1k",
    apis: str | Iterable[str] = (),
    **options: Any,
) -> Answer:
    """The same question put to several systems, cheapest first; options as in `cost_per_token`.

    `apis` puts list prices beside them, `"all"` those of the model, with the volume from which a system pays.
    """
    answer = functools.partial(chain.compare_sources, apis=several(apis, "apis"))
    return _of_several(answer, systems, model=model, workload=workload, **options)


def frontier(
    systems: Name | Iterable[Name],
    model: Name,
    workload: Name = "chat-1k",
    **options: Any,
) -> Answer:
    """Price and throughput at every speed a user can have, per system; options as in `cost_per_token`."""
    return _of_several(chain.frontier, systems, model=model, workload=workload, **options)


def bench_device(*, catalog: Catalog | None = None, **options: Any) -> Answer:
    """What this machine reaches, beside the catalogue's peaks; options of `clustermodel bench device`.

    `calibration_out` writes the coefficients that follow, which `calibration` of every question takes.
    """
    return Answer(device_answer(_catalog(catalog), **options))


def bench_serve(*, catalog: Catalog | None = None, **options: Any) -> Answer:
    """A real transformer prefills and decodes here, beside the model's prediction of it before and after calibration.

    Options of `clustermodel bench serve`; `measured` is an answer of `bench_device`, so that it is not measured again.
    """
    return Answer(serve_answer(_catalog(catalog), **options))


def bench_model(*, catalog: Catalog | None = None, **options: Any) -> Answer:
    """Evaluations of the whole chain per second on this machine; options of `clustermodel bench model`."""
    return Answer(model_answer(_catalog(catalog), **options))


def _of_several(
    answer: Callable[[Catalog, Question, Sequence[str | Entry[Any]]], dict[str, Any]],
    systems: Name | Iterable[Name],
    *,
    catalog: Catalog | None = None,
    allow_float32: bool = False,
    **options: Any,
) -> Answer:
    _require_float64(allow_float32)
    named = several(systems, "systems")
    if not named:
        raise ConfigError("systems is empty; name at least one")
    return Answer(answer(_catalog(catalog), _question(system=named[0], **options), named))


def _catalog(given: Catalog | None) -> Catalog:
    if given is not None and not isinstance(given, Catalog):
        raise ConfigError(f"catalog: expected what load_catalog gives, got {given!r:.60}")
    return given or load_catalog()


def _question(**options: Any) -> Question:
    known = [field.name for field in dataclasses.fields(Question)]
    for name in options:
        if name not in known:
            raise ConfigError(f"no option {name!r}{did_you_mean(name, known)}")
    return Question.of(**options)


def _require_float64(allow_float32: bool) -> None:
    if not allow_float32:
        require_float64("prices", "pass allow_float32=True")
