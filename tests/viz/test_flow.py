from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txexplain.viz.canvas import Canvas
from txexplain.viz.flow import (
    LINE_FROM,
    LINES,
    THINNEST,
    Doubles,
    Ribbons,
    paint_lines,
    ribbons_of,
    trace_back,
)
from txexplain.viz.palette import Palette


def shares_of(n: int, blocks: int, seed: int, *, power: float = 4) -> list[Doubles]:
    """Causal shares with rows that sum to 1, a few of them large, as attention has them."""
    random = np.random.default_rng(seed)
    weights = [np.tril(random.random((n, n)) ** power + np.eye(n)) for _ in range(blocks)]
    return [w / w.sum(axis=1, keepdims=True) for w in weights]


def moved(n: int, *arrows: tuple[int, int]) -> Doubles:
    """A block in which everything that token i holds came from token j, for each (j, i); the others keep their own."""
    share = np.eye(n)
    for j, i in arrows:
        share[i] = np.eye(n)[j]
    return share


flows = st.builds(shares_of, st.integers(1, 9), st.integers(1, 6), st.integers(0, 999))


def traced(shares: list[Doubles], target: int, least: float = THINNEST) -> tuple[list[Doubles], list[Ribbons]]:
    columns = trace_back(shares, target)
    return columns, [ribbons_of(share, after, least) for share, after in zip(shares, columns[1:], strict=True)]


def matrix(ribbons: Ribbons, n: int, of: str) -> Doubles:
    """One of the ribbons' arrays as [T, T], rows the tokens that they enter; NaN where there is none."""
    found = np.full((n, n), np.nan)
    found[ribbons.target, ribbons.source] = getattr(ribbons, of)
    return found


@given(flows, st.data())
def test_the_flow_is_conserved(shares: list[Doubles], data: st.DataObject) -> None:
    n = len(shares[0])
    target = data.draw(st.integers(0, n - 1))
    columns, between = traced(shares, target, least=0.0)
    assert len(columns) == len(shares) + 1 == len(between) + 1
    assert columns[-1].tolist() == [float(i == target) for i in range(n)]
    for b, ribbons in enumerate(between):
        share = matrix(ribbons, n, "share")
        assert columns[b].sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(share.sum(axis=0), columns[b], atol=1e-12)  # what leaves a token
        np.testing.assert_allclose(share.sum(axis=1), columns[b + 1], atol=1e-12)  # what enters one
    assert all((column[target + 1 :] == 0).all() for column in columns)


@given(flows)
def test_only_what_can_be_seen_is_kept_and_lies_where_it_lay(shares: list[Doubles]) -> None:
    n = len(shares[0])
    _, whole = traced(shares, n - 1, least=0.0)
    _, seen = traced(shares, n - 1)
    for all_, some in zip(whole, seen, strict=True):
        thick = matrix(all_, n, "share") >= THINNEST
        assert (~np.isnan(matrix(some, n, "share")) == thick).all()
        for of in ("share", "leaving", "entering"):
            assert (matrix(some, n, of)[thick] == matrix(all_, n, of)[thick]).all()


@given(flows)
def test_the_columns_are_the_products_of_the_shares(shares: list[Doubles]) -> None:
    row = np.eye(len(shares[0]))[-1]
    for share, column in zip(reversed(shares), reversed(trace_back(shares, len(row) - 1)[:-1]), strict=True):
        row = row @ share
        np.testing.assert_allclose(column, row)


def test_the_trace_follows_the_arrows_of_each_block_in_its_order() -> None:
    columns, between = traced([moved(4, (0, 1)), moved(4, (1, 3))], 3)
    assert [int(column.argmax()) for column in columns] == [0, 1, 3]
    assert [(r.source.tolist(), r.target.tolist(), r.share.tolist()) for r in between] == [([0], [1], [1.0]), ([1], [3], [1.0])]


@given(flows)
def test_ribbons_fill_a_token_at_both_ends_in_the_order_of_their_other_end(shares: list[Doubles]) -> None:
    """Stacked without gap or overlap around the token's middle: at the source by target, at the target by source."""
    n = len(shares[0])
    _, between = traced(shares, n - 1, least=0.0)
    for ribbons in between:
        leaving, entering, share = (matrix(ribbons, n, of) for of in ("leaving", "entering", "share"))
        for ends, sizes in ((leaving.T, share.T), (entering, share)):
            for middle, size in zip(ends, sizes, strict=True):
                edges = np.cumsum([-size.sum() / 2, *size])
                np.testing.assert_allclose(middle, (edges[:-1] + edges[1:]) / 2, atol=1e-12)


def lines(between: list[Ribbons], n: int, *, ascii: bool = False, width: int = 16, step: int = 8) -> Canvas:
    canvas = Canvas(width, 2 * n - 1, Palette(depth="none", ascii=ascii))
    paint_lines(canvas, 0, 0, (width, 2 * n - 1), between, {i: 2 * i for i in range(n)}, [step * b for b in range(len(between) + 1)])
    return canvas


def test_lines_are_as_heavy_as_what_runs_along_them() -> None:
    share = np.array([[1.0, 0, 0], [0.0, 1, 0], [0.05, 0.3, 0.65]])
    _, between = traced([share], 2)
    assert lines(between, 3, width=8).text() == ["╶─────┐ ", "      │ ", "╺━━━━━┫ ", "      ┃ ", "══════╩═"]
    assert lines(between, 3, width=8, ascii=True).text() == ["------+ ", "      | ", "======+ ", "      | ", "######+#"]


def test_lines_leave_out_what_is_slight() -> None:
    slight = LINE_FROM * 0.99
    _, between = traced([np.array([[1.0, 0], [slight, 1 - slight]])], 1)
    assert lines(between, 2, width=8).text() == ["        ", "        ", "════════"]


@given(flows)
def test_every_line_goes_on_in_the_next_row(shares: list[Doubles]) -> None:
    n = len(shares[0])
    _, between = traced(shares, n - 1)
    rows = lines(between, n, width=8 * len(shares)).text()
    downwards = {char for table in LINES for bits, char in enumerate(table) if bits & 2}
    upwards = {char for table in LINES for bits, char in enumerate(table) if bits & 1}
    for above, below in pairwise(rows):
        for a, b in zip(above, below, strict=True):
            assert (a in downwards) == (b in upwards)
    assert not upwards & set(rows[0])
    assert not downwards & set(rows[-1])
    plain = lines(between, n, ascii=True, width=8 * len(shares)).text()
    assert [[c != " " for c in row] for row in plain] == [[c != " " for c in row] for row in rows]
