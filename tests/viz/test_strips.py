"""Strips: the cursor's cell is the one that shows its element, and the numbers are the vector's own."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.viz.ramps import pool
from txexplain.viz.views.strips import cell_of, peaks, strip_cells

calm = examples(100)


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
