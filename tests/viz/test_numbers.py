from __future__ import annotations

import math
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txexplain.viz.numbers import count, exact, fit, number, percent, shape, whole_percent

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
mantissas, signs = st.floats(1, 9.999), st.sampled_from([-1, 1])
magnitudes = st.builds(lambda mantissa, power, sign: sign * mantissa * 10.0**power, mantissas, st.integers(-30, 30), signs)
probabilities = st.one_of(st.floats(0, 1), st.builds(lambda mantissa, power: mantissa * 10.0**power, mantissas, st.integers(-300, -1)))
near_one = st.builds(lambda mantissa, power: 1 - mantissa * 10.0**power, mantissas, st.integers(-15, -2))


def read(text: str) -> float:
    return float(text.replace("−", "-").replace("∞", "inf").replace("%", "").replace(">", ""))


def unit(text: str) -> float:
    """One unit in the last place that a number shows."""
    mantissa, _, power = text.replace("−", "-").strip("%").partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 10.0 ** (int(power or 0) - decimals)


@given(st.one_of(finite, magnitudes))
def test_a_number_reads_back_within_half_a_unit_of_its_third_figure(x: float) -> None:
    text = number(x)
    assert abs(read(text) - x) <= 0.5000001 * max(unit(text), 10.0 ** (math.floor(math.log10(abs(x))) - 2) if x else 0)
    assert len(text) <= 9
    assert "-" not in text
    assert number(x, ascii=True) == text.replace("−", "-")
    assert number(x, ascii=True).isascii()


@given(st.lists(st.one_of(finite, magnitudes), min_size=2, max_size=10))
def test_numbers_keep_their_order(values: list[float]) -> None:
    shown = [read(number(x)) for x in sorted(values)]
    assert shown == sorted(shown)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0, "0"), (-0.0, "0"), (1234, "1230"), (-0.00123, "−0.00123"), (1.2e-12, "1.20e−12"), (0.9999, "1.00"), (99950, "1.00e5"),
        (12, "12.0"), (math.inf, "∞"), (-math.inf, "−∞"), (math.nan, "NaN"), (-135.91, "−136"),
    ],
)  # fmt: skip
def test_a_number_is_written_like_this(x: float, text: str) -> None:
    assert number(x) == text


def test_a_sign_is_written_where_asked() -> None:
    assert number(1.5, sign=True) == "+1.50"
    assert number(-1.5, sign=True) == "−1.50"
    assert number(0, sign=True) == "0"


@given(finite, st.integers(1, 9))
def test_a_number_fits_its_cells_or_is_left_out(x: float, cells: int) -> None:
    text = fit(x, cells)
    assert len(text) <= cells
    if text:
        shown = read(text)
        assert abs(shown - x) <= 0.5000001 * max(unit(text), 10.0 ** math.floor(math.log10(abs(x))) if x else 0)


@given(finite)
def test_exact_reads_back_as_the_same_float32(x: float) -> None:
    assert np.float32(read(exact(x))) == np.float32(x)


@given(st.one_of(probabilities, near_one))
def test_a_percentage_is_right_at_every_size(p: float) -> None:
    text = percent(p)
    assert len(text) <= 7
    assert (text == "100%") == (p == 1)
    assert (read(text) == 0) == (p == 0)
    assert percent(p, ascii=True).isascii()
    if text.startswith(">"):
        assert p > 0.9999
    elif 0 < p < 1:
        figures = re.sub(r"e.*|[^0-9]", "", text).lstrip("0")
        assert abs(read(text) - 100 * p) <= 0.5000001 * unit(text)
        assert len(figures) >= (3 if p >= 1e-4 else 2 if p >= 1e-11 else 1)


@given(st.lists(st.one_of(probabilities, near_one), min_size=2, max_size=10))
def test_percentages_keep_their_order(values: list[float]) -> None:
    shown = [read(percent(p)) for p in sorted(values)]
    assert shown == sorted(shown)


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.547, "54.7%"), (0.294, "29.4%"), (0.9999, "99.99%"), (0.99999, ">99.99%"), (0.00312, "0.312%"), (1e-12, "1e−10%"),
        (1e-6, "0.0001%"), (0.9994, "99.9%"), (0.99951, "99.95%"), (0, "0%"), (1, "100%"),
    ],
)  # fmt: skip
def test_a_percentage_is_written_like_this(p: float, text: str) -> None:
    assert read(percent(p)) == pytest.approx(read(text))
    assert len(percent(p)) <= 7


def test_shapes_and_counts() -> None:
    assert shape((7, 256)) == "7×256"
    assert shape((7, 256), ascii=True) == "7x256"
    assert count(50257) == "50,257"


def test_a_percentage_that_rounds_up_to_another_figure() -> None:
    for power, mantissa in product(range(-20, 0), (9.949, 9.951, 9.9949, 9.9951, 9.99949, 9.99951, 9.9996)):
        p = mantissa * 10.0**power
        text = percent(p)
        assert len(text) <= 7, (p, text)
        assert text.startswith(">") or abs(read(text) - 100 * p) <= 0.5000001 * unit(text), (p, text)


@given(st.floats(0, 1))
def test_a_whole_percent_is_the_nearest_and_only_all_is_all(p: float) -> None:
    text = whole_percent(p)
    assert len(text) <= 4
    assert (text == "100%") == (p == 1)
    assert (text == "0%") == (p == 0)
    if text != "<1%":
        assert abs(int(text[:-1]) - 100 * p) <= (0.5 if p <= 0.99 else 1)
    else:
        assert p <= 0.005
