"""Strips: the cursor's cell is the one that shows its element, and the numbers are the vector's own."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.viz.reading import stage_at
from tests.viz.test_shapes import shown
from txexplain.engine.derive import Result
from txexplain.viz.palette import Palette, blend
from txexplain.viz.ramps import pool
from txexplain.viz.views.strips import cell_of, peaks, strip_cells

calm = examples(100)
SIGNS = {"positive": 1, "negative": -1}


@calm
@given(st.integers(1, 4000), st.integers(20, 300), st.integers(0, 10**6))
def test_each_cell_shows_an_element_that_is_in_it(length: int, width: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(length)
    cells, each = strip_cells(width, length)
    assert each >= 1
    pooled, _ = pool(values, cells)
    assert len(pooled) == cells
    shown = peaks(values, cells)
    assert [values[i] for i in shown] == pooled.tolist()
    assert [cell_of(i, length, cells) for i in shown] == list(range(cells))


@calm
@given(st.integers(1, 4000), st.integers(20, 300))
def test_cells_follow_the_elements(length: int, width: int) -> None:
    cells, _ = strip_cells(width, length)
    found = [cell_of(i, length, cells) for i in range(length)]
    assert found[0] == 0
    assert found[-1] == cells - 1
    assert set(np.diff(found).tolist()) <= {0, 1}


@pytest.mark.parametrize("at", ["L1.ln1", "L1.ln1[7]", "embed", "embed[3]", "L1.qkv"])
@pytest.mark.parametrize("size", [(80, 40), (148, 54)])
def test_where_there_is_height_strips_are_columns_as_high_as_their_numbers(result: Result, at: str, size: tuple[int, int]) -> None:
    """Read back from the cells: up from the line for 0 or down from it, in the vector's own scale; strong only where it is large."""
    canvas, palette = stage_at(result, at, size), Palette()
    name, token = {"L1.ln1": "blocks.1.resid_pre", "embed": "embed", "L1.qkv": "blocks.1.ln1.normalized"}[at.split("[")[0]], -1
    vector = result.trace[name][token].astype(np.float64)
    head = next(y for y, row in enumerate(canvas.text()) if re.match(r" (x|wte) +\d*", row) and y)
    cells, each = strip_cells(size[0], len(vector), 0)
    pooled, _ = pool(vector, cells)
    end = next(y for y in range(head + 1, canvas.height) if re.match(r" \w", canvas.text()[y]))
    inks = {blend(palette.rgb("background"), palette.rgb(role), 0.92 * part): sign for role, sign in SIGNS.items() for part in (0.5, 1)}
    image = shown(canvas)[8 * (head + 1) : 8 * end]
    for i in range(cells):
        column = image[:, 8 * (1 + i * each) + 4]
        sign = {inks.get(int(colour)) for colour in column} - {None}
        assert sign == ({np.sign(pooled[i])} if pooled[i] else set())
    heights = np.array([sum(int(c) in inks for c in image[:, 8 * (1 + i * each) + 4]) for i in range(cells)])
    scale = heights.max() / np.abs(pooled).max()
    assert np.abs(heights - np.maximum(np.abs(pooled) * scale, 1)).max() <= 1.01
    least = np.sort(np.abs(pooled))[-max(1, round(cells / 20))]
    full = [blend(palette.rgb("background"), palette.rgb(role), 0.92) for role in SIGNS]
    strong = [bool(np.isin(image[:, 8 * (1 + i * each) + 4], full).any()) for i in range(cells)]
    cursor = {cell_of(int(at.split("[")[1][:-1]), len(vector), cells)} if "[" in at else set()
    assert {i for i in range(cells) if strong[i]} - cursor == {i for i in range(cells) if abs(pooled[i]) >= least} - cursor
