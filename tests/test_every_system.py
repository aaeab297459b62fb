"""Every system of the catalogue answers, or says in one sentence why not; no answer holds a number that is none."""

import math

import pytest

from clustermodel.catalog import ConfigError, InfeasibleError, load_catalog
from clustermodel.chain import Question, cost, frontier, power

CATALOG = load_catalog()
LARGE_MEMORY = (
    "prometheus-8tb prometheus-32tb prometheus-64tb prometheus-128tb gb200-nvl72 gb300-nvl72 gh200 mi300x mi355x "
    "hgx-h20 xeon-6980p-2s epyc-9965-2s hpe-scaleup-32tb dgx-spark sn40l cs-3 groqrack tpu-v7 trn3-ultraserver "
    "mi450-helios vr200-nvl72"
).split()
UNPUBLISHED = ("ai200", "positron-atlas", "positron-titan")


def small(system):
    """A model that the smallest memory holds, loaded lightly."""
    precision = "int8" if system == "groqrack" else None  # 16.6 GB of SRAM
    return Question(system, "llama-3.1-8b", isl=512, osl=128, concurrency=8.0, precision=precision)


def numbers(value, path=""):
    """Every number in an answer, with the path to it."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from numbers(each, f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for each in value:
            yield from numbers(each, path)
    elif isinstance(value, float):
        yield path, value


def sound(answer):
    """The paths of numbers that are none."""
    return [path for path, value in numbers(answer) if math.isnan(value)]


def answered(system):
    """The answer, or what is said instead of one."""
    try:
        return cost(CATALOG, small(system)), ""
    except (ConfigError, InfeasibleError) as refusal:
        return None, str(refusal)


@pytest.mark.parametrize("system", CATALOG.paths("systems"))
def test_a_small_model_is_answered_or_refused_in_words(system):
    answer, refusal = answered(system)
    if answer is None:
        assert any(word in refusal for word in ("--set", "does not fit", "published")), refusal
        return
    assert sound(answer) == []
    assert answer["ttft_ms"] > 0
    assert answer["tpot_ms"] >= answer["bounds"]["tpot_ms"]
    assert answer["usd_per_mtok_total"] > 0


@pytest.mark.parametrize("system", LARGE_MEMORY)
def test_large_memory_systems_answer_with_power_and_a_frontier(system):
    assert sound(power(CATALOG, small(system))) == []
    curve = frontier(CATALOG, small(system), [system])
    assert sound(curve) == []
    assert curve["points"]


@pytest.mark.parametrize("system", UNPUBLISHED)
def test_systems_of_which_too_little_is_published_say_what_to_set(system):
    with pytest.raises(ConfigError, match="--set"):
        power(CATALOG, small(system))
