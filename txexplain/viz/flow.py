"""Flow ribbons: what reached the selected token, traced back block by block, as a Sankey picture.

Every column holds the same total: what a token holds after a block came from the tokens before it, in the shares given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Colour = tuple[int, int, int]

UNITS = 1000  # a column's total, in whole parts
THINNEST = 3  # parts; a thinner ribbon isn't drawn


@dataclass(frozen=True)
class Ribbon:
    """`units` parts of a column's total that go from token `source` before a block to token `target` after it."""

    source: int
    target: int
    units: int


def allocate(total: int, weights: Doubles) -> Ints:
    """Whole numbers in proportion to weights that add up to total exactly: largest remainders first, ties by lower index.

    Shapes: weights [n] ≥ 0 -> [n].
    """
    whole = float(weights.sum())
    if total == 0 or whole <= 0:
        return np.zeros(len(weights), dtype=np.int64)
    exact = weights / whole * total  # [n]
    parts = np.floor(exact).astype(np.int64)  # [n]
    missing = total - int(parts.sum())
    order = np.argsort(-(exact - parts), kind="stable")  # [n]
    parts[order[:missing]] += 1
    return parts


def trace_back(shares: Sequence[Doubles], target: int, units: int = UNITS) -> tuple[list[Ints], list[list[Ribbon]]]:
    """The Sankey's columns and ribbons, traced back from one token behind the last block.

    shares: L × [T, T], row i = where token i's vector after the block came from. Returns L+1 columns of whole parts,
    each [T] with the sum `units`, and the L lists of ribbons between them: what enters a token leaves it.
    """
    n = shares[0].shape[0]
    column = np.zeros(n, dtype=np.int64)
    column[target] = units
    columns, between = [column], []
    for share in reversed(shares):
        before = np.zeros(n, dtype=np.int64)
        ribbons: list[Ribbon] = []
        for i in np.flatnonzero(column).tolist():
            parts = allocate(int(column[i]), share[i])
            ribbons += [Ribbon(j, i, int(parts[j])) for j in np.flatnonzero(parts).tolist()]
            before += parts
        columns.append(before)
        between.append(ribbons)
        column = before
    return columns[::-1], between[::-1]


def smootherstep(u: Doubles) -> Doubles:
    """From 0 to 1 with flat ends (Perlin 2002)."""
    return u * u * u * (u * (u * 6 - 15) + 10)


def draw_ribbons(
    size: tuple[int, int],
    columns: Sequence[Ints],
    between: Sequence[Sequence[Ribbon]],
    row_y: Doubles,
    column_x: Sequence[int],
    thickest: float,
    colours: dict[str, Colour],
) -> NDArray[np.uint8]:
    """Paint the ribbons. Returns pixels [2h, w, 3], two to a cell, of a picture of (w, h) cells.

    row_y [T]: each token's middle, in pixels; column_x [L+1]: each column's left pixel; thickest: the pixels of a whole
    column. Ribbons that stay with their token are "residual", those that move "attention", on "background".
    """
    width, height = size[0], 2 * size[1]
    image = np.empty((height, width, 3))
    image[:] = colours["background"]
    per_unit = thickest / max(1, int(columns[0].sum()))
    for b, ribbons in enumerate(between):
        x0, x1 = column_x[b], min(column_x[b + 1], width)
        if x1 <= x0 or x0 >= width or x1 <= 0:
            continue
        order = sorted((r for r in ribbons if r.units >= THINNEST or r.source == r.target), key=lambda r: (r.source != r.target, r.units))
        starts, ends = offsets(columns[b], ribbons, "source"), offsets(columns[b + 1], ribbons, "target")
        for ribbon in order:
            y0 = row_y[ribbon.source] + starts[ribbon] * per_unit
            y1 = row_y[ribbon.target] + ends[ribbon] * per_unit
            stays = ribbon.source == ribbon.target
            band(image, x0, x1, y0, y1, ribbon.units * per_unit, colours["residual" if stays else "attention"], 0.34 if stays else 0.62)
    for b, column in enumerate(columns):
        if 0 <= column_x[b] < width:
            for token in np.flatnonzero(column).tolist():
                node(image, column_x[b], float(row_y[token]), int(column[token]) * per_unit, colours["residual"])
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def offsets(column: Ints, ribbons: Sequence[Ribbon], end: str) -> dict[Ribbon, float]:
    """How far each ribbon's middle lies from its token's middle, in parts: they are stacked in the order of their other end."""
    other = "target" if end == "source" else "source"
    at = {token: -int(column[token]) / 2 for token in np.flatnonzero(column).tolist()}
    place: dict[Ribbon, float] = {}
    for ribbon in sorted(ribbons, key=lambda r: getattr(r, other)):
        token = getattr(ribbon, end)
        place[ribbon] = at[token] + ribbon.units / 2
        at[token] += ribbon.units
    return place


def band(image: Doubles, x0: int, x1: int, y0: float, y1: float, thickness: float, colour: Colour, opacity: float) -> None:
    """One ribbon, blended over what is there. Its height grows with its slope, so that it looks as thick everywhere."""
    u = (np.arange(x0, x1) + 0.5 - x0) / (x1 - x0)  # [w]
    middle = y0 + (y1 - y0) * smootherstep(u)  # [w]
    slope = (y1 - y0) * 30 * u * u * (u - 1) * (u - 1) / (x1 - x0)  # [w]
    half = np.maximum(thickness, 0.35) / 2 * np.sqrt(1 + slope * slope)  # [w]
    top, bottom = int(max(0, np.floor((middle - half).min()))), int(min(image.shape[0], np.ceil((middle + half).max()) + 1))
    left, right = max(0, -x0), min(x1, image.shape[1]) - x0
    if top >= bottom or left >= right:
        return
    rows = np.arange(top, bottom)[:, None]  # [h, 1]
    covered = np.clip(np.minimum(rows + 1, middle + half) - np.maximum(rows, middle - half), 0, 1)[:, left:right, None]  # [h, w, 1]
    part = image[top:bottom, x0 + left : x0 + right]
    part += (np.array(colour) - part) * covered * opacity


def node(image: Doubles, x: int, y: float, thickness: float, colour: Colour) -> None:
    """What a token holds at a column, as a bright mark one pixel wide."""
    half = max(thickness, 0.6) / 2
    rows = np.arange(image.shape[0])
    covered = np.clip(np.minimum(rows + 1, y + half) - np.maximum(rows, y - half), 0, 1)[:, None]
    image[:, x] += (np.array(colour) - image[:, x]) * covered * 0.85
