"""A picture in pixels: its shapes with smooth edges, at the size of a terminal's cells.

Most cells of a calm picture have one colour, and can stay cells; only the others are made of pixels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from txexplain.viz.palette import Palette, blend, split
from txexplain.viz.raster import FINE, GROUNDS, TURNS
from txexplain.viz.shapes import Doubles, Field, Layer, Picture, Ribbon

Floats = NDArray[np.float32]
Whole = NDArray[np.int64]
CellSize = tuple[int, int]  # a cell's width and height in pixels
STEPS = 4  # from outside an edge to inside, usually: few colours are soon packed


def edged(
    picture: Picture, palette: Palette, cell: CellSize, faded: float = 0.0, steps: int = STEPS
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """The cells in which a picture has edges, and their pixels as 0xRRGGBB, row by row. Shapes: -> [h, w], [n, cell height, cell width]."""
    return rastered(picture.width, picture.height, tuple(picture.layers), palette, cell, faded, steps)


@lru_cache(maxsize=2)  # a pane is drawn more often than its picture changes
def rastered(
    width: int, height: int, layers: tuple[Layer, ...], palette: Palette, cell: CellSize, faded: float, steps: int
) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
    """The same of these layers, read-only."""
    picture = Picture(width, height, list(layers))
    where = crossed(picture, cell)
    found = pixels(picture, palette, cell, where, faded, steps)
    for plane in (where, found):
        plane.setflags(write=False)
    return where, found


def crossed(picture: Picture, cell: CellSize) -> NDArray[np.bool_]:
    """The cells that the edges of shapes may run through. Shapes: -> [h, w]."""
    found = np.zeros((picture.height, picture.width), dtype=bool)
    rows = np.arange(picture.height)[:, None]
    for shape in (shape for layer in picture.layers for shape in layer.shapes):
        if is_box(shape):
            (y0, y1), (x0, x1) = (
                [max(0, round(at * FINE[axis])) for at in ends] for axis, ends in ((1, span(shape)), (0, (shape.x0, shape.x1)))
            )
            tall, wide = slice(y0 // FINE[1], -(-y1 // FINE[1])), slice(x0 // FINE[0], -(-x1 // FINE[0]))
            for y in (y for y in (y0, y1) if y % FINE[1]):
                found[y // FINE[1] : y // FINE[1] + 1, wide] = True
            for x in (x for x in (x0, x1) if x % FINE[0]):
                found[tall, x // FINE[0] : x // FINE[0] + 1] = True
            continue
        first, last = max(0, int(shape.x0)), min(picture.width, int(np.ceil(shape.x1)))
        if first < last:
            across = np.arange(first, last)[:, None] + np.linspace(0, 1, cell[0] + 1)  # [w, n]
            tops, bottoms = shape.edges(np.clip(across, shape.x0, shape.x1))
            for edge in (tops, bottoms):
                low, high = edge.min(axis=1) - 1 / cell[1], edge.max(axis=1) + 1 / cell[1]  # [w]
                found[:, first:last] |= (rows >= np.floor(low)) & (rows <= high)
            for x in {first, last - 1} if shape.x0 % 1 or shape.x1 % 1 else ():
                found[:, x] |= (rows[:, 0] >= np.floor(tops[x - first].min())) & (rows[:, 0] <= bottoms[x - first].max())
    return found


def pixels(
    picture: Picture, palette: Palette, cell: CellSize, where: NDArray[np.bool_], faded: float = 0.0, steps: int = STEPS
) -> NDArray[np.int32]:
    """Some cells' pixels, row by row, as 0xRRGGBB. Shapes: where [h, w] -> [n, cell height, cell width]."""
    ys, xs = np.nonzero(where)  # [n]
    background = np.array(split(palette.rgb("background")), dtype=np.float32)
    image = np.empty((3, len(ys), cell[1], cell[0]), dtype=np.float32)
    image[:] = background[:, None, None, None]
    for layer in picture.layers:
        veil, touched = veil_of(layer, palette, cell, ys, xs, steps)
        own = colours(layer, palette, picture.width)[:, xs[touched]]  # [3, m]
        below = image[:, touched]
        image[:, touched] = np.rint(below + (own[..., None, None] - below) * veil[touched])  # as cells are mixed
    if faded:
        image = np.rint(image + (background[:, None, None, None] - image) * np.float32(faded))
    red, green, blue = image.astype(np.int32)
    return red << 16 | green << 8 | blue


def colours(layer: Layer, palette: Palette, width: int) -> Floats:
    """A layer's colour in each column of cells; it turns between cells, so that within one only edges show. Shapes: -> [3, w]."""
    role = palette.rgb(layer.role)
    if not layer.into:
        return np.tile(np.array(split(role), dtype=np.float32)[:, None], width)
    x0, x1 = min(shape.x0 for shape in layer.shapes), max(shape.x1 for shape in layer.shapes)
    parts = (np.arange(width) + 0.5 - x0) / (x1 - x0)
    steps = (np.clip(np.floor(parts * TURNS), 0, TURNS - 1) + 0.5) / TURNS
    return np.array([split(blend(role, palette.rgb(layer.into), step)) for step in steps.tolist()], dtype=np.float32).T


def veil_of(layer: Layer, palette: Palette, cell: CellSize, ys: Whole, xs: Whole, steps: int) -> tuple[Floats, Whole]:
    """How much of what is below a layer each pixel of some cells hides, and in which of them any does; where shapes overlap, the
    strongest counts. Shapes: ys, xs [n] -> [n, cell height, cell width], [m]."""
    veil = np.zeros((len(ys), cell[1], cell[0]), dtype=np.float32)
    for shape in layer.shapes:
        top, bottom = span(shape)
        near = np.flatnonzero((xs + 1 > shape.x0) & (xs < shape.x1) & (ys + 1 > top) & (ys < bottom))  # [k]
        if len(near):
            strength = np.float32(1.0 if layer.role in GROUNDS else palette.lifted(shape.strength))
            x = xs[near, None] * cell[0] + np.arange(cell[0])  # [k, w]
            y = ys[near, None] * cell[1] + np.arange(cell[1])  # [k, h]
            veil[near] = np.maximum(veil[near], strength * covered(shape, x, y, cell, steps))
    return veil, np.flatnonzero(veil.any(axis=(1, 2)))


def span(shape: Field | Ribbon) -> tuple[float, float]:
    """What a shape's height lies within: no edge swings beyond its ends."""
    if isinstance(shape, Field):
        return min(shape.left[0], shape.right[0]), max(shape.left[1], shape.right[1])
    return min(shape.y0, shape.y1) - shape.thickness / 2, max(shape.y0, shape.y1) + shape.thickness / 2


def covered(shape: Field | Ribbon, x: Whole, y: Whole, cell: CellSize, steps: int) -> Floats:
    """How much of each pixel lies in a shape, in steps. Shapes: x [n, w], y [n, h], from the picture's corner -> [n, h, w]."""
    left, right = (rounded(at, 0, cell) for at in (shape.x0, shape.x1))
    within = ((x >= left) & (x < right))[:, None, :]  # [n, 1, w]
    if is_box(shape):
        top, bottom = (rounded(at, 1, cell) for at in span(shape))
        return (within & ((y >= top) & (y < bottom))[:, :, None]).astype(np.float32)
    borders = np.clip(np.arange(left, right + 1) / cell[0], shape.x0, shape.x1)  # [m + 1], between the columns of pixels
    column = np.clip(x - left, 0, right - left - 1)
    tops, bottoms = (past(y, edge * cell[1], column) for edge in shape.edges(borders))
    return np.rint((tops - bottoms) * within * steps) / np.float32(steps)


def past(y: Whole, edge: Doubles, column: Whole) -> Floats:
    """How much of each pixel lies below an edge, which is given between columns: the steeper, the longer it is on its way.

    Shapes: y [n, h], edge [m + 1], column [n, w] -> [n, h, w].
    """
    middle = ((edge[1:] + edge[:-1]) / 2).astype(np.float32)[column][:, None, :]
    reach = (1 + np.abs(edge[1:] - edge[:-1])).astype(np.float32)[column][:, None, :]
    return np.clip((y[:, :, None] + np.float32(0.5) - middle) / reach + np.float32(0.5), 0, 1)


def is_box(shape: Field | Ribbon) -> bool:
    return isinstance(shape, Field) and shape.left == shape.right


def rounded(at: float, axis: int, cell: CellSize) -> int:
    """A rectangle's edge, between two pixels; it stays in the cells in which it is drawn with characters, too."""
    return round(round(at * FINE[axis]) * cell[axis] / FINE[axis])
