import dataclasses

import numpy as np
import pytest

from clustermodel.catalog import load_catalog
from clustermodel.chain import Question, cost, power

CATALOG = load_catalog()
ASKED = Question("hgx-b200", "llama-3.1-70b", precision="fp8", max_tpot_ms=50)


@pytest.fixture(scope="module")
def answer():
    return power(CATALOG, ASKED)


def test_power_and_cost_agree_on_the_same_point(answer):
    same = cost(CATALOG, ASKED)
    shared = answer.keys() & same.keys() - {"kind", "breakdown", "uncertainty"}
    assert {"power_w_per_accelerator", "facility_w_per_accelerator", "tok_s_per_mw", "layout"} <= shared
    assert {name: answer[name] for name in shared} == {name: same[name] for name in shared}


def test_watts_by_cause_sum_to_the_meter_and_phases_stay_within_floor_and_cap(answer):
    parts = answer["breakdown"]["power_w"]
    np.testing.assert_allclose(sum(parts.values()), answer["facility_w_per_accelerator"], rtol=1e-9)
    watts = answer["phase_w"]
    assert watts["idle"] <= watts["stalled"] <= watts["decode"] <= watts["prefill"] <= 975.0
    np.testing.assert_allclose(sum(answer["phase_share"].values()), 1.0)


def test_joules_of_input_and_output_tokens_add_up_to_the_energy(answer):
    per, ratio = answer["joules_per_token"], 1024 / 1024  # chat-1k: as many input as output tokens
    np.testing.assert_allclose(
        per["input"] * ratio + per["output"], answer["joules_per_output_token"], rtol=1e-9
    )


def test_energy_is_a_small_share_of_cost_and_as_much_as_its_price_says(answer):
    by_hand = answer["joules_per_output_token"] / 3.6e6 * 0.07 * 1e6
    np.testing.assert_allclose(answer["usd_per_mtok_output_energy"], by_hand, rtol=1e-9)
    assert 0.02 < answer["energy_share_of_cost"] < 0.12  # Epoch's gigawatt: 7 %


def test_a_bound_fleet_plans_no_more_than_its_boards_can_draw(answer):
    assert answer["phase_w"]["prefill"] == 975.0
    np.testing.assert_allclose(
        answer["p90_w_per_accelerator"], 1.1 * answer["facility_w_per_accelerator"], rtol=0.02
    )


def test_a_lighter_load_plans_for_its_own_peak():
    light = power(CATALOG, dataclasses.replace(ASKED, concurrency=4.0, max_tpot_ms=None))
    ratio = light["p90_w_per_accelerator"] / light["facility_w_per_accelerator"]
    np.testing.assert_allclose(ratio, 1.1 * 1.1, rtol=1e-6)
    bases = light["accelerators_per_mw"]
    assert bases["p90"] > 1.15 * bases["provisioned"]


def test_caps_trade_speed_for_energy_and_the_best_for_money_is_not_the_best_for_joules(answer):
    rows = answer["caps"]
    joules = [row["board_joules_per_output_token"] for row in rows]
    rates = [row["output_tok_s_per_accelerator"] for row in rows]
    assert rates == sorted(rates)
    assert min(joules) < 0.8 * joules[-1]
    best = answer["best_cap_w"]
    assert best["joules_per_token"] < best["usd_per_token"]
    np.testing.assert_allclose(rows[-1]["power_w"], answer["power_w_per_accelerator"], rtol=1e-6)


def test_risk_of_oversubscription_grows_with_the_factor(answer):
    times = [row["throttled_time"] for row in answer["oversubscription"]]
    assert times == sorted(times)


@pytest.mark.parametrize("system", ["hgx-h200", "prometheus-128tb", "gb300-nvl72"])
def test_boards_that_nobody_fitted_say_what_their_coefficients_rest_on(system):
    found = power(CATALOG, dataclasses.replace(ASKED, system=system, max_tpot_ms=None, concurrency=64.0))
    assert found["power_basis"] in ("transferred", "prior")
    low, high = found["uncertainty"]["power_w_per_accelerator"]
    assert low < found["power_w_per_accelerator"] <= high


def test_a_thinly_measured_board_says_how_far_unseen_models_are_off():
    found = power(CATALOG, dataclasses.replace(ASKED, system="mi355x", max_tpot_ms=None, concurrency=64.0))
    said = found["uncertainty"]
    assert said["relative_error"] == pytest.approx(0.216)
    assert "median 15 %" in said["measured_on"]
