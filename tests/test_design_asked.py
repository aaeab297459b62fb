"""What design questions are asked with: an allocation is honoured or refused, and so are dated prices and 32 bits."""

import dataclasses

import jax
import pytest

from clustermodel.catalog import ConfigError, load_catalog, parse_override
from clustermodel.chain import Question, cost
from clustermodel.design import breakeven, breakeven_map, claims, memory, optimize, sensitivity
from clustermodel.design.optimize import Plan
from clustermodel.design.sensitivity import PRICES
from clustermodel.economics.allocation import SINGLE_CLASS

CATALOG = load_catalog()
ASKED = Question(
    "hgx-h200", "llama-3.1-8b", precision="fp8", tp=1, n_accelerators=1, concurrency=64, prefix_hit_rate=0.3
)
PRICED = {"total": "total", "input_only": "input", "output_only": "output"}
STEP = 1e-4  # of the number; the difference is then right to 1e-8, and rounding leaves 1e-11

DESIGNS = {
    "breakeven": lambda q: breakeven(CATALOG, q, "mi355x", "hgx-b200"),
    "map": lambda q: breakeven_map(CATALOG, q, "mi355x", "hgx-b200"),
    "claims": lambda q: claims(CATALOG, q, "prometheus-128tb", "vr200-nvl72"),
    "memory": lambda q: memory(CATALOG, q),
    "optimize": lambda q: optimize(CATALOG, q, Plan(("memory",))),
    "sensitivity": lambda q: sensitivity(CATALOG, q),
}
WITHOUT_CLASSES = [name for name in DESIGNS if name != "sensitivity"]


def asked(allocation):
    return dataclasses.replace(ASKED, allocation=allocation)


@pytest.mark.parametrize("design", WITHOUT_CLASSES)
@pytest.mark.parametrize("allocation", ["flops_weighted", "output_only"])
def test_an_allocation_that_would_change_nothing_is_refused_with_the_cure(design, allocation):
    with pytest.raises(ConfigError, match=rf"^--allocation {allocation}: .*; leave it out$"):
        DESIGNS[design](asked(allocation))


@pytest.mark.parametrize("design", WITHOUT_CLASSES)
def test_a_dated_price_is_refused_with_the_cure(design):
    with pytest.raises(ConfigError, match=r"^--cost-basis neocloud: .*; use bottom_up, the default$"):
        DESIGNS[design](dataclasses.replace(ASKED, cost_basis="neocloud"))


@pytest.mark.parametrize("design", DESIGNS)
def test_pools_of_their_own_are_refused(design):
    with pytest.raises(ConfigError, match="pools of their own"):
        DESIGNS[design](dataclasses.replace(asked("disaggregated"), tp=None, n_accelerators=None))


@pytest.mark.parametrize("design", ["claims", "optimize", "sensitivity"])
def test_a_rate_of_requests_is_refused_where_systems_are_always_busy(design):
    with pytest.raises(ConfigError, match=r"^--rate: .*; leave it out"):
        DESIGNS[design](dataclasses.replace(ASKED, concurrency=None, rate=10.0))


@pytest.mark.parametrize("design", DESIGNS)
def test_32_bits_are_refused(design):
    with jax.enable_x64(False), pytest.raises(ConfigError, match=r"^answers to design questions need 64-bit"):
        DESIGNS[design](ASKED)


@pytest.mark.parametrize(
    ("allocation", "kind"),
    [
        ("time_weighted", "cached_input"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("flops_weighted", "input"),
                ("output_only", "output"),
                ("time_weighted", "output"),
                ("flops_weighted", "output"),
                ("input_only", "input"),
                ("total", "total"),
            )
        ),
    ],
)
def test_elasticities_of_a_price_are_those_of_cost_under_the_same_allocation(allocation, kind):
    """Exact derivatives against the command `cost` with the number set by hand, at the same point."""
    question, output = asked(allocation), f"usd_per_mtok_{kind}"
    answer = sensitivity(CATALOG, question, output)
    assert answer["inputs"]["allocation"] == allocation
    rows = {(row["entry"], row["field"]): row["elasticity"] for row in answer["elasticities"]}
    for entry, field in (("systems/hgx-h200", "price"), ("sites/us-average", "electricity")):
        up, down = (cost(_moved(entry, field, sign * STEP), question)[output] for sign in (1, -1))
        found = (up - down) / (up + down) / STEP
        assert rows.get((entry, field), 0.0) == pytest.approx(found, rel=1e-5, abs=1e-9)


def _moved(entry, field, step):
    kind, slug = entry.split("/")
    value = float(getattr(CATALOG.entry(kind, slug).spec, field)) * (1 + step)
    unit = {"price": "USD", "electricity": "USD/J"}[field]
    return CATALOG.changed([parse_override(f"{kind[:-1]}/{slug}.{field}={value!r} {unit}")])


@pytest.mark.parametrize("allocation", SINGLE_CLASS)
def test_a_price_that_an_allocation_leaves_open_is_refused_with_the_one_it_gives(allocation):
    for output in PRICES:
        if output != f"usd_per_mtok_{PRICED[allocation]}":
            with pytest.raises(ConfigError) as refused:
                sensitivity(CATALOG, asked(allocation), output)
            assert str(refused.value) == (
                f"--output {output}: --allocation {allocation} leaves it without a price; write --output "
                f"usd_per_mtok_{PRICED[allocation]}, or another allocation"
            )


@pytest.mark.slow
def test_speed_has_elasticities_under_every_allocation():
    rows = [
        sensitivity(CATALOG, asked(name), "tpot_ms")["elasticities"] for name in ("total", "time_weighted")
    ]
    assert rows[0] == rows[1]
