"""The range of a price: the inputs' ranges and the model's error, alone and together, and what drives it."""

import pytest

import clustermodel as cm
from clustermodel.chain import Question
from clustermodel.chain.choose import choose
from clustermodel.chain.input_ranges import MODEL_ERROR
from clustermodel.chain.setup import set_up
from clustermodel.chain.uncertain_numbers import uncertain_numbers

LAYOUT = {"tp": 1, "pp": 1, "dp": 1, "ep": 1, "n_accelerators": 1, "concurrency": 112}
UTILISATION = "prices/ownership.utilisation"
LIFE = "prices/ownership.life"


def asked(*overrides, **options):
    catalog = cm.load_catalog(overrides=overrides)
    return cm.cost_per_token(
        "hgx-h200", "llama-3.1-70b", precision="fp8", catalog=catalog, **LAYOUT | options
    )


@pytest.fixture(scope="module")
def answer():
    return asked()


def width(between):
    return between["p90"] / between["p10"]


def factors(found, name):
    (row,) = (each for each in found["drivers"] if each["input"] == name)
    return row["price_factor_at_low"], row["price_factor_at_high"]


def test_model_and_inputs_together_are_less_certain_than_either_alone(answer):
    parts = answer["price_range"]
    both = width(parts["usd_per_mtok_total"])
    assert both > width(parts["from_inputs"]) > 1
    assert both > width(parts["from_model"]) > 1
    assert both < width(parts["from_inputs"]) * width(parts["from_model"])


def test_the_model_alone_has_the_range_of_its_validation(answer):
    """A normal on each side with these quantiles: sampling 4 096 draws leaves two per cent of the width."""
    low, high = answer["uncertainty"]["usd_per_mtok_total"]
    found = answer["price_range"]["from_model"]
    assert [found["p10"], found["p90"]] == pytest.approx([low, high], rel=0.01)


def test_half_sold_hours_cost_twice_and_that_is_what_drives_a_price(answer):
    first = answer["drivers"][0]
    assert first["input"] == UTILISATION
    assert factors(answer, UTILISATION) == pytest.approx((1 / 0.4, 1.0))
    shares = [each["share_of_variance"] for each in answer["drivers"]]
    assert shares == sorted(shares, reverse=True)
    assert 0.5 < sum(shares) <= 1


def test_what_the_question_says_is_certain(answer):
    found = asked(utilisation=0.8)
    assert UTILISATION not in {each["input"] for each in found["drivers"]}
    assert width(found["price_range"]["from_inputs"]) < width(answer["price_range"]["from_inputs"])
    certain = asked("price/ownership.life=5 year", utilisation=0.8)
    assert LIFE not in {each["input"] for each in certain["drivers"]}


def test_the_effect_of_a_number_is_what_setting_it_does(answer):
    short, long = (asked(f"price/ownership.life={years} year") for years in (3, 6))
    moved = [each["usd_per_mtok_total"] / answer["usd_per_mtok_total"] for each in (short, long)]
    assert factors(answer, LIFE) == pytest.approx(moved, rel=1e-9)


def test_the_effects_of_two_numbers_multiply_nearly(answer):
    """The approximation behind the sample: no interaction; two strong numbers at their ends: five per cent."""
    together = asked("price/ownership.life=3 year", "price/ownership.residual_fraction=0.45")
    alone = [asked(f"price/ownership.{each}") for each in ("life=3 year", "residual_fraction=0.45")]
    base = answer["usd_per_mtok_total"]
    product = alone[0]["usd_per_mtok_total"] * alone[1]["usd_per_mtok_total"] / base**2
    assert together["usd_per_mtok_total"] / base == pytest.approx(product, rel=0.05)


def test_a_dated_price_leaves_the_model_and_the_quote_as_the_only_unknowns():
    found = asked(cost_basis="hyperscaler", utilisation=1.0)
    names = {each["input"] for each in found["drivers"]}
    assert MODEL_ERROR in names
    assert not any(name.startswith(("sites/", "prices/ownership")) for name in names)


def test_where_nothing_moves_the_price_nothing_drives_it():
    """One system that is more than enough, at a quoted price, whole."""
    found = cm.cost_per_token("hgx-h200", "llama-3.1-8b", rate=0.5, cost_basis="hyperscaler", utilisation=1.0)
    price = found["usd_per_mtok_total"]
    assert found["price_range"]["usd_per_mtok_total"] == {"p10": price, "p90": price}
    assert found["drivers"] == []


def test_an_allocation_without_a_price_of_all_tokens_has_no_range():
    found = asked(allocation="output_only")
    assert found["price_range"] is None
    assert found["drivers"] == []


def test_every_range_holds_its_value_and_each_number_is_named_once():
    question = Question("hgx-h200", "llama-3.1-70b", precision="fp8", **LAYOUT)
    setup = set_up(cm.load_catalog(), question)
    assert choose(setup).shape == (1, 1, 1, 1)
    numbers = list(uncertain_numbers(setup))
    assert len({each.name for each in numbers}) == len(numbers) > 20
    for each in numbers:
        assert each.low <= each.value * (1 + 1e-12)
        assert each.value <= each.high * (1 + 1e-12)


def pools(**options):
    fixed = {"concurrency": 256.0, "tp": 2, "prefill_tp": 2, "prefill_workers": 1, "decode_workers": 2}
    options = fixed | {"allocation": "disaggregated"} | options
    return cm.cost_per_token("hgx-h200", "llama-3.1-70b", precision="fp8", **options)


def test_pools_have_ranges_as_well_and_share_what_both_rest_on():
    found = pools()
    assert factors(found, UTILISATION) == pytest.approx((1 / 0.4, 1.0))
    between = found["price_range"]["usd_per_mtok_total"]
    assert between["p10"] < between["p90"] < 4 * between["p10"]


def test_pools_on_two_systems_are_as_uncertain_as_both():
    """The price of each system moves its own pool's bill only; on one system the same price moves both."""
    one, two = pools(), pools(prefill_system="hgx-h100")
    names = {each["input"] for each in two["drivers"]}
    assert any(name.startswith("systems/hgx-h200") for name in names)
    whole = factors(one, "systems/hgx-h200.price")[1] - 1
    assert 0 < factors(two, "systems/hgx-h200.price")[1] - 1 < whole


@pytest.mark.parametrize("asked", [pools, asked])
def test_the_range_of_a_rate_counts_whole_systems(asked):
    """One system that is enough costs what it costs, however fast it is; of many there are more or fewer."""
    few, many = (asked(concurrency=None, rate=rate) for rate in (0.01, 2000.0))
    inputs = few["price_range"]["from_inputs"]
    assert few["price_range"]["usd_per_mtok_total"] == pytest.approx(inputs)
    assert width(few["price_range"]["from_model"]) == pytest.approx(1)
    assert width(many["price_range"]["from_model"]) > 1.1
