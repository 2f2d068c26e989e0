"""Flow ribbons: what reached the selected token, traced back block by block, as a Sankey picture.

Every column holds the same total: what a token holds after a block came from the tokens before it, in the shares given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txexplain.viz.canvas import BOLD, Canvas

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

THINNEST = 0.002  # of a column's total; a thinner ribbon isn't drawn
INK = {"residual": 0.5, "attention": 1.1}  # how dense a ribbon's colour lies: one layer hides 1 − e^−density of what is below
# Lines, by the sides of the cell that they leave through: up 1, down 2, left 4, right 8.
LIGHT, HEAVY, DOUBLE = " ╵╷│╴┘┐┤╶└┌├─┴┬┼", " ╹╻┃╸┛┓┫╺┗┏┣━┻┳╋", " ║║║═╝╗╣═╚╔╠═╩╦╬"
ASCII_LINES = tuple(" |||" + (line + "+++") * 2 + line + "+++" for line in "-=#")
LINES = (LIGHT, HEAVY, DOUBLE)
HEAVY_FROM, DOUBLE_FROM, LINE_FROM = 0.1, 0.5, 0.02  # the shares that a line of each weight stands for


@dataclass(frozen=True)
class Ribbons:
    """What flows between two columns, as far as it is worth drawing.

    Arrays [n]: `source` and `target` are tokens, before and after the block. `leaving` and `entering` say how far a ribbon's middle
    lies from the middle of the token that it leaves and of the one that it enters, as shares of the total too.
    """

    source: Ints
    target: Ints
    share: Doubles
    leaving: Doubles
    entering: Doubles


def trace_back(shares: Sequence[Doubles], target: int) -> list[Doubles]:
    """The Sankey's columns, traced back from one token behind the last block: how much of it each token holds.

    shares: L × [T, T], row i = where token i's vector after the block came from, with the sum 1. Returns L+1 columns [T], each with
    the sum 1.
    """
    columns = [np.zeros(len(shares[0]))]
    columns[0][target] = 1
    for share in reversed(shares):
        columns.append(columns[-1] @ share)  # [T] @ [T, T]
    return columns[::-1]


def ribbons_of(share: Doubles, after: Doubles, least: float = THINNEST) -> Ribbons:
    """The ribbons between two columns from `least` on. At both ends they are stacked in the order of their other end, thin ones too,
    so that they fill a token and cross as little as can be. Shapes: share [T, T], after [T], the column that they enter.
    """
    rows = np.flatnonzero(after >= least)  # no ribbon is thicker than what it enters
    into = share[rows] * after[rows, None]  # [r, T]
    row, source = np.nonzero(into >= least)
    entering = np.cumsum(into, axis=1) - into / 2 - after[rows, None] / 2  # [r, T]
    sources, column = np.unique(source, return_inverse=True)
    out = share[:, sources] * after[:, None]  # [T, c]
    leaving = np.cumsum(out, axis=0) - out / 2 - out.sum(axis=0) / 2  # [T, c]
    target = rows[row]
    return Ribbons(source, target, into[row, source], leaving[target, column], entering[row, source])


def paint_lines(
    canvas: Canvas, x: int, y: int, size: tuple[int, int], between: Sequence[Ribbons], rows: Mapping[int, int], column_x: Sequence[int]
) -> None:
    """The flow where pixels can't be had: lines as heavy as what runs along them (from 2%, 10% and 50% on).

    rows: the row of each token in view, from y on; column_x [L+1]: the first cell of each column, from x on. A token's
    line runs along its row; what moves leaves it, meets what else moves to the same token in a common descent, and joins that.
    """
    width, height = size
    along: dict[str, Doubles] = {role: np.zeros((height, width, 4)) for role in INK}  # up, down, left, right
    for b, ribbons in enumerate(between):
        x0, x1 = max(0, column_x[b]), min(width, column_x[b + 1])
        moves = ribbons.source != ribbons.target
        lanes = [i for i in rows if (moves & (ribbons.target == i) & (ribbons.share >= LINE_FROM)).any()]
        for i, j, share in zip(ribbons.target.tolist(), ribbons.source.tolist(), ribbons.share.tolist(), strict=True):
            if share < LINE_FROM or x1 - x0 < 3 or i not in rows or j not in rows:
                continue
            if i == j:
                run(along["residual"], rows[i], x0, x1 - 1, share)
                continue
            lane = x1 - 2 - (len(lanes) - 1 - lanes.index(i)) * (x1 - x0 - 2) // len(lanes)
            run(along["attention"], rows[j], x0, lane, share)
            drop(along["attention"], lane, rows[j], rows[i], share)
            run(along["attention"], rows[i], lane, x1 - 1, share)
    put_lines(canvas, x, y, along)


def run(along: Doubles, row: int, x0: int, x1: int, share: float) -> None:
    """Add a run from the middle of one cell to that of another in the same row."""
    along[row, x0:x1, 3] += share
    along[row, x0 + 1 : x1 + 1, 2] += share


def drop(along: Doubles, x: int, y0: int, y1: int, share: float) -> None:
    """Add a descent from the middle of one cell to that of another below it."""
    along[y0:y1, x, 1] += share
    along[y0 + 1 : y1 + 1, x, 0] += share


def put_lines(canvas: Canvas, x: int, y: int, along: Mapping[str, Doubles]) -> None:
    """The character of each cell that something runs through, in the colour of what runs there most."""
    moves = along["attention"]
    both = along["residual"] + moves  # [h, w, 4]
    shapes = ((both > 0) * np.array([1, 2, 4, 8])).sum(axis=2)  # [h, w]
    heaviest = both.max(axis=2)  # [h, w]
    weights = (heaviest >= HEAVY_FROM).astype(int) + (heaviest >= DOUBLE_FROM)  # [h, w]
    moving = 2 * moves.max(axis=2) >= heaviest  # [h, w]
    tables = LINES if canvas.palette.lines else ASCII_LINES
    for row, column in np.argwhere(shapes > 0).tolist():
        role = "attention" if moving[row, column] else "residual"
        weight = int(weights[row, column])
        canvas.put(x + column, y + row, tables[weight][int(shapes[row, column])], role, attrs=BOLD if weight == 2 else 0)
