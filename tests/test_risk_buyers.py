"""A buyer defaults on everything at once: contracts that name it are one contract of the sum, on every path."""

import jax
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clustermodel.catalog import ConfigError, load_catalog, parse_override
from clustermodel.economics.montecarlo import Sampling, simulate
from clustermodel.risk import load_scenario, run_scenario

PATHS = 256
LIKELY = ("5 %/year", "1 %/year", "40 %/year")
SCENARIO = """
name = "Mine"
question = "?"
contracts = [{contracts}]
metrics = ["loss"]
[credit]
correlation = {{ value = {correlation}, source = "clustermodel", confidence = "published" }}
fill = {{ value = 0, source = "clustermodel", confidence = "published" }}
"""


def number(value, low=None, high=None):
    ranged = f', low = "{low}", high = "{high}"' if low else ""
    confidence = "assumption" if low else "published"
    return f'{{ value = "{value}", source = "clustermodel", confidence = "{confidence}"{ranged} }}'


def contract(value, hazard=LIKELY, obligor="Buyer", **more):
    lines = [f'name = "{obligor}"', f'obligor = "{obligor}"' if obligor else ""]
    lines += [f"value = {number(f'{value!r} USD')}", f"term = {number('5 year')}"]
    lines += [f"hazard = {number(*hazard)}"] if hazard else []
    lines += [f"{field} = {number(text)}" for field, text in more.items()]
    return "\n".join(lines)


def written(folder, contracts, correlation=0.3):
    """A catalogue with contracts by name, and the scenario `mine` of them in this order."""
    for kind in ("contracts", "scenarios"):
        (folder / kind).mkdir(exist_ok=True)
    for name, text in contracts.items():
        (folder / "contracts" / f"{name}.toml").write_text(text)
    quoted = ", ".join(f'"{name}"' for name in contracts)
    text = SCENARIO.format(contracts=quoted, correlation=correlation)
    (folder / "scenarios" / "mine.toml").write_text(text)
    return load_catalog([folder])


def outcomes(catalog):
    model = load_scenario(catalog, "mine").model
    return simulate(model, Sampling(jax.random.key(0), PATHS, model.draws), PATHS)[0]


@settings(max_examples=8, deadline=None, phases=[Phase.generate])  # an example takes seconds to shrink
@given(
    values=st.lists(st.floats(1e6, 1e11), min_size=2, max_size=5),
    hazard=st.tuples(st.integers(0, 20), st.integers(20, 60), st.integers(60, 300)),
    correlation=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_contracts_of_one_buyer_are_one_contract_of_the_sum_on_every_path(
    tmp_path_factory, values, hazard, correlation
):
    low, likely, high = (f"{each} %/year" for each in hazard)
    folder = tmp_path_factory.mktemp("split")
    split = {f"part-{i}": contract(value, (likely, low, high)) for i, value in enumerate(values)}
    apart = outcomes(written(folder, split, correlation))
    one = outcomes(written(folder, {"whole": contract(sum(values), (likely, low, high))}, correlation))
    rounding = 1e-12 * sum(values)
    for name in ("loss", "default_loss", "contract_revenue", "revenue"):
        np.testing.assert_allclose(getattr(apart, name), getattr(one, name), rtol=1e-12, atol=rounding)
    if hazard[0]:
        assert 0 < np.mean(one.default_loss > 0) < 1  # some paths see a default


def test_the_hazard_of_a_buyer_is_one_unknown_named_after_it(tmp_path):
    names = {"first": contract(1e9), "second": contract(2e9), "other": contract(1e9, obligor="Other")}
    assert load_scenario(written(tmp_path, names), "mine").inputs == ("Buyer.hazard", "Other.hazard")


def test_a_default_of_the_first_buyer_takes_all_of_its_contracts(tmp_path):
    """Told to default in a year, all of five years' value but the first fifth is lost, of both contracts."""
    catalog = written(
        tmp_path, {"first": contract(1e9, ("0 %/year",)), "second": contract(4e9, ("0 %/year",))}
    )
    changed = catalog.changed([parse_override("scenario/mine.credit.first_default=1 year")])
    loss = run_scenario(changed, "mine", 32)["metrics"]["loss_usd"]
    assert [loss["p10"], loss["p90"]] == pytest.approx([4e9, 4e9])


@pytest.mark.parametrize(
    ("hazard", "words"),
    [
        (("4 %/year", "1 %/year", "40 %/year"), "here it is 4 %/year (1 %/year to 40 %/year)"),
        (("5 %/year", "2 %/year", "40 %/year"), "here it is 5 %/year (2 %/year to 40 %/year)"),
        (("5 %/year",), "here it is 5 %/year"),
        (None, "here it is not given, which means 0"),
    ],
)
def test_a_buyer_with_two_hazards_is_refused(tmp_path, hazard, words):
    with pytest.raises(ConfigError) as refused:
        load_scenario(written(tmp_path, {"first": contract(1e9), "second": contract(1e9, hazard)}), "mine")
    assert str(refused.value) == (
        "contracts/second.toml: hazard: Buyer defaults on all of its contracts at once, so it has one hazard, but "
        f"{words} and in contracts/first.toml 5 %/year (1 %/year to 40 %/year); write the same value and range in both"
    )


def test_the_same_hazard_in_another_unit_is_the_same(tmp_path):
    hazard = ("0.05 1/year", "0.01 1/year", "0.4 1/year")
    names = {"first": contract(1e9), "second": contract(1e9, hazard)}
    assert load_scenario(written(tmp_path, names), "mine").inputs == ("Buyer.hazard",)


def test_a_named_buyer_is_not_many(tmp_path):
    with pytest.raises(
        ConfigError, match=r"first.toml: buyers: Buyer is one buyer, not 50; leave out `buyers`"
    ):
        load_scenario(written(tmp_path, {"first": contract(1e9, buyers="50")}), "mine")
