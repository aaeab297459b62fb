"""The Python front door: the commands as functions that take names or entries and return tables.

import jax
jax.config.update("jax_enable_x64", True)
import clustermodel as cm

cm.cost_per_token("hgx-h200", "llama-3.1-70b", precision="fp8", max_tpot_ms=50)["usd_per_mtok_total"]
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax

from clustermodel import chain
from clustermodel.bench.device import bench_device as device_answer
from clustermodel.bench.model import bench_model as model_answer
from clustermodel.bench.serve import bench_serve as serve_answer
from clustermodel.catalog import Catalog, ConfigError, Entry, did_you_mean, load_catalog
from clustermodel.chain import Question
from clustermodel.report.rows import flat

if TYPE_CHECKING:
    import pandas as pd

_LISTS = ("points", "measurements", "cases")  # rows of an answer, where it has several


class Answer(dict[str, Any]):
    """An answer: a mapping with the fields of the JSON object, and a table of it."""

    def to_frame(self) -> "pd.DataFrame":
        """One row per point; nested fields become dotted columns, as in CSV."""
        import pandas as pd

        points = next((self[name] for name in _LISTS if name in self), [self])
        return pd.DataFrame([flat(point) for point in points])


def cost_per_token(
    system: str | Entry[Any],
    model: str | Entry[Any],
    workload: str | Entry[Any] = "chat-1k",
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
    return Answer(chain.cost(catalog or load_catalog(), question))


def compare(
    systems: Sequence[str | Entry[Any]],
    model: str | Entry[Any],
    workload: str | Entry[Any] = "chat-1k",
    apis: Sequence[str] = (),
    **options: Any,
) -> Answer:
    """The same question put to several systems, cheapest first; options as in `cost_per_token`.

    `apis` puts list prices beside them, `["all"]` those of the model, with the volume from which a system pays.
    """
    answer = functools.partial(chain.compare_sources, apis=apis)
    return _of_several(answer, systems, model=model, workload=workload, **options)


def frontier(
    systems: Sequence[str | Entry[Any]],
    model: str | Entry[Any],
    workload: str | Entry[Any] = "chat-1k",
    **options: Any,
) -> Answer:
    """Price and throughput at every speed a user can have, per system; options as in `cost_per_token`."""
    return _of_several(chain.frontier, systems, model=model, workload=workload, **options)


def bench_device(*, catalog: Catalog | None = None, **options: Any) -> Answer:
    """What this machine reaches, beside the catalogue's peaks; options of `clustermodel bench device`.

    `calibration_out` writes the coefficients that follow, which `calibration` of every question takes.
    """
    return Answer(device_answer(catalog or load_catalog(), **options))


def bench_serve(*, catalog: Catalog | None = None, **options: Any) -> Answer:
    """A real transformer prefills and decodes here, beside the model's prediction of it before and after calibration.

    Options of `clustermodel bench serve`; `measured` is an answer of `bench_device`, so that it is not measured again.
    """
    return Answer(serve_answer(catalog or load_catalog(), **options))


def bench_model(*, catalog: Catalog | None = None, **options: Any) -> Answer:
    """Evaluations of the whole chain per second on this machine; options of `clustermodel bench model`."""
    return Answer(model_answer(catalog or load_catalog(), **options))


def _of_several(
    answer: Callable[[Catalog, Question, Sequence[str | Entry[Any]]], dict[str, Any]],
    systems: Sequence[str | Entry[Any]],
    *,
    catalog: Catalog | None = None,
    allow_float32: bool = False,
    **options: Any,
) -> Answer:
    _require_float64(allow_float32)
    if not systems:
        raise ConfigError("systems is empty; name at least one")
    return Answer(answer(catalog or load_catalog(), _question(system=systems[0], **options), systems))


def _question(**options: Any) -> Question:
    known = [field.name for field in dataclasses.fields(Question)]
    for name in options:
        if name not in known:
            raise ConfigError(f"no option {name!r}{did_you_mean(name, known)}")
    return Question(**options)


def _require_float64(allow_float32: bool) -> None:
    if not (allow_float32 or jax.config.read("jax_enable_x64")):
        raise ConfigError(
            "float32 loses money and overflows in capital sums: add "
            'jax.config.update("jax_enable_x64", True) before the first call, or pass allow_float32=True'
        )
