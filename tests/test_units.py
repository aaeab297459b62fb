import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustermodel.units import parse, show, unit_scale


def test_prefixes_binary_units_and_ratios_are_read():
    assert parse("141 GB", "B") == pytest.approx(141e9)
    assert parse("141 GiB", "B") == pytest.approx(141 * 2**30)
    assert parse("0.08 USD/kWh", "USD/J") == pytest.approx(0.08 / 3.6e6)
    assert parse("4 pJ/b", "J/B") == pytest.approx(32e-12)
    assert parse("130 USD/kW/month", "USD/W/s") == pytest.approx(130 / 1e3 / (730 * 3600))
    assert parse("8 %", "") == pytest.approx(0.08)
    assert parse("1_000.5e3", "") == pytest.approx(1000.5e3)


@pytest.mark.parametrize("text", ["4.8 TB/s", "", "nan B", "inf B", "1e999 B", "B", "--1 B", "1 2 B", "True"])
def test_what_is_not_a_finite_number_of_bytes_is_refused(text):
    with pytest.raises(ValueError, match=r"expected|unknown unit"):
        parse(text, "B")


@given(value=st.floats(1e-9, 1e18), unit=st.sampled_from(["TB/s", "GiB", "USD/Mtok", "pJ/b", "USD/kW/month"]))
def test_what_is_shown_can_be_read_back(value, unit):
    scaled = value * unit_scale(unit)[0]
    assert parse(show(scaled, unit), unit) == pytest.approx(scaled, rel=1e-3)  # 4 digits shown


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused_with_a_sentence(text):
    try:
        value = parse(text, "B/s")
    except ValueError as error:
        value = str(error)
    assert value is not None
    assert value != ""
