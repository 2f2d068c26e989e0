from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.viz.reading import to_fraction
from txexplain.viz.bars import bar, braille, slider, sparkline
from txexplain.viz.palette import Palette

fractions, widths = st.floats(0, 1), st.integers(1, 60)
palettes = st.sampled_from([Palette(), Palette(ascii=True)])


@given(fractions, widths, palettes)
def test_a_bar_converts_back_within_half_a_sub_cell(fraction: float, cells: int, palette: Palette) -> None:
    text = bar(fraction, cells, palette)
    steps = cells * (len(palette.glyphs.bars) - 1)
    assert len(text) <= cells
    assert bool(text) == (fraction > 0)
    thinnest = 1 / steps  # what isn't zero shows at least this
    error = abs(to_fraction(text, cells, palette) - fraction)
    assert error <= 0.5000001 / steps or (0 < fraction < thinnest and to_fraction(text, cells, palette) == thinnest)


@given(st.lists(fractions, min_size=2), widths, palettes)
def test_longer_bars_for_larger_numbers(values: list[float], cells: int, palette: Palette) -> None:
    lengths = [to_fraction(bar(value, cells, palette), cells, palette) for value in sorted(values)]
    assert lengths == sorted(lengths)


def test_a_bar_has_eighths() -> None:
    assert bar(0.5, 4, Palette()) == "██"
    assert bar(0.59375, 4, Palette()) == "██▍"
    assert bar(1e-9, 4, Palette()) == "▏"
    assert bar(1, 4, Palette()) == "████"
    assert bar(7, 4, Palette()) == "████"
    assert bar(0.5, 4, Palette(ascii=True)) == "##"


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), palettes)
def test_a_sparkline_is_as_high_as_its_numbers(values: list[float], palette: Palette) -> None:
    text, rises = sparkline(values, palette), palette.glyphs.rises
    assert len(text) == len(values)
    top = max(values)
    for value, char in zip(values, text, strict=True):
        assert (char == rises[0]) == (value == 0)
        if value:
            shown = rises.index(char) / (len(rises) - 1)
            assert abs(shown - value / top) <= 0.5000001 / (len(rises) - 1) or shown == 1 / (len(rises) - 1)


@pytest.mark.parametrize("palette", [Palette(), Palette(ascii=True)])
def test_the_knob_lies_where_the_position_is(palette: Palette) -> None:
    knobs = [slider(position / 10, 21, palette).index(palette.glyphs.knob) for position in range(11)]
    assert knobs == [round(1 + position * 1.8) for position in range(11)]
    assert all(len(slider(position / 7, 21, palette)) == 21 for position in range(-3, 12))


def test_points_in_braille_are_where_they_were() -> None:
    points = np.random.default_rng(0).random((8, 10)) < 0.4
    rows = braille(points)
    assert [len(row) for row in rows] == [5, 5]
    names = {1: (0, 0), 2: (1, 0), 3: (2, 0), 4: (0, 1), 5: (1, 1), 6: (2, 1), 7: (3, 0), 8: (3, 1)}  # of Unicode's dots: row, column
    found = np.zeros_like(points)
    for y, x in np.ndindex(2, 5):
        dots = unicodedata.name(rows[y][x]).rpartition("-")[2] if rows[y][x] != " " else ""
        for dot in dots:
            row, column = names[int(dot)]
            found[4 * y + row, 2 * x + column] = True
    assert (found == points).all()
