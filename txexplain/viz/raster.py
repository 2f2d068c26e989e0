"""A picture in cells: its samples, and for each cell the character with two colours that is nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.viz.palette import Palette, blend
from txexplain.viz.shapes import Doubles, Layer, Picture

Ints = NDArray[np.int64]
GROUNDS = ("background", "panel")  # roles that lie under the others, and hide what is below
FINE = (8, 8)  # samples of a cell, across and down: eighths and quarters of a cell have edges between them
TURNS = 6  # steps in which a layer turns from one role to another: few colours make long runs of equal cells
EIGHTHS_DOWN, EIGHTHS_ACROSS = "▁▂▃▄▅▆▇", "▏▎▍▌▋▊▉"
QUADRANTS = {"▘": (1, 0, 0, 0), "▝": (0, 1, 0, 0), "▖": (0, 0, 1, 0), "▗": (0, 0, 0, 1)}  # three quarters: one of the other colour


def samples(picture: Picture, palette: Palette) -> Ints:
    """The picture's colours. Shapes: -> [height · 8, width · 8] of 0xRRGGBB."""
    across, down = FINE
    size = (picture.height * down, picture.width * across)
    code = np.zeros(size, dtype=np.int64)
    tables: list[list[tuple[str, str, float, int]]] = []  # of each layer: what each of its numbers stands for
    for layer in picture.layers:
        plane, table = indexed(layer, size)
        code = code * len(table) + plane
        tables.append(table)
    found, where = np.unique(code, return_inverse=True)
    colours = [composed(int(number), tables, palette) for number in found.tolist()]
    return np.array(colours, dtype=np.int64)[where].reshape(size)


def indexed(layer: Layer, size: tuple[int, int]) -> tuple[Ints, list[tuple[str, str, float, int]]]:
    """A layer's plane of numbers, 0 where it has no shape, and what each stands for: role, the other role, strength, turn."""
    across, down = FINE
    strengths = sorted({shape.strength for shape in layer.shapes})
    turns = TURNS if layer.into else 1
    plane = np.zeros(size, dtype=np.int64)
    for shape in layer.shapes:
        first, last = max(0, round(shape.x0 * across)), min(size[1], round(shape.x1 * across))
        if first >= last:
            continue
        x = (np.arange(first, last) + 0.5) / across  # [n]
        top, bottom = (np.rint(edge * down).astype(np.int64) for edge in shape.edges(x))  # [n]
        low, high = max(0, int(top.min())), min(size[0], int(bottom.max()))
        if low >= high:
            continue
        turn = np.minimum(((x - shape.x0) / (shape.x1 - shape.x0) * turns).astype(np.int64), turns - 1)  # [n]
        number = 1 + strengths.index(shape.strength) * turns + turn
        rows = np.arange(low, high)[:, None]
        part = plane[low:high, first:last]
        np.maximum(part, np.where((rows >= top) & (rows < bottom), number, 0), out=part)
    table = [(layer.role, layer.into, strength, turn) for strength, turn in product(strengths, range(turns))]
    return plane, [("", "", 0.0, 0), *table]


def composed(number: int, tables: Sequence[Sequence[tuple[str, str, float, int]]], palette: Palette) -> int:
    """The colour where these layers lie over one another."""
    seen = []
    for table in reversed(tables):
        number, index = divmod(number, len(table))
        seen.append(table[index])
    colour, below = palette.rgb("background"), 0.0
    for role, into, strength, turn in reversed(seen):
        if not role:
            continue
        part = (turn + 0.5) / TURNS if into else 0.0
        strength = palette.lifted(strength)
        if role in GROUNDS:
            colour, below = palette.rgb(role), 0.0
        elif palette.depth == "256":  # no mixed colours: a step of the upper one's ladder
            below = max(below, strength)
            colour = palette.step(into if part > 0.5 else role, below)
        else:
            own = blend(palette.rgb(role), palette.rgb(into), part) if into else palette.rgb(role)
            colour = blend(colour, own, strength)
    return colour


@lru_cache(maxsize=4)
def masks(glyphs: str) -> tuple[list[str], Doubles]:
    """The characters that cells may have, and where each shows its ink. Shapes: -> [n], [n, 64]."""
    across, down = FINE
    x, y = np.arange(across)[None, :], np.arange(down)[:, None]
    shapes: dict[str, NDArray[Any]] = {"▀": np.broadcast_to(y < down // 2, (down, across))}
    if glyphs == "edge":
        shapes |= {char: np.broadcast_to(y >= down - 1 - i, (down, across)) for i, char in enumerate(EIGHTHS_DOWN) if char != "▄"}
        shapes |= {char: np.broadcast_to(x <= i, (down, across)) for i, char in enumerate(EIGHTHS_ACROSS)}
        for char, corners in QUADRANTS.items():
            shapes[char] = np.array(corners).reshape(2, 2).repeat(down // 2, axis=0).repeat(across // 2, axis=1) > 0
    return list(shapes), np.array([shape.ravel() for shape in shapes.values()], dtype=np.float64)


def cells(picture: Picture, palette: Palette) -> tuple[NDArray[Any], Ints, Ints]:
    """The picture as characters with their inks and grounds, each a colour that the cell has. Shapes: -> [h, w] each."""
    across, down = FINE
    image = samples(picture, palette)
    blocks = image.reshape(picture.height, down, picture.width, across).swapaxes(1, 2).reshape(-1, down * across)  # [h·w, 64]
    ink = blocks[:, 0].copy()
    ground = ink.copy()
    chars = np.full(len(blocks), " ", dtype=object)
    edged = np.flatnonzero((blocks != blocks[:, :1]).any(axis=1))
    if len(edged):
        chars[edged], ink[edged], ground[edged] = fitted(blocks[edged], palette.blocks)
    shape = (picture.height, picture.width)
    return chars.reshape(shape), ink.reshape(shape), ground.reshape(shape)


def fitted(blocks: Ints, glyphs: str) -> tuple[NDArray[Any], Ints, Ints]:
    """Of cells with an edge in them: the character of least squared error, and for each side of it the nearest colour that is there.

    Shapes: blocks [n, 64] -> [n] each.
    """
    names, inside = masks(glyphs)  # [m, 64]
    colours = np.stack([blocks >> 16, blocks >> 8 & 255, blocks & 255], axis=1).astype(np.float64)  # [n, 3, 64]
    size = inside.sum(axis=1)  # [m]
    total = colours.sum(axis=2)  # [n, 3]
    under = colours @ inside.T  # [n, 3, m]
    over = total[..., None] - under
    best = ((under**2).sum(axis=1) / size + (over**2).sum(axis=1) / (blocks.shape[1] - size)).argmax(axis=1)  # [n]
    each, mask = np.arange(len(blocks)), inside[best] > 0  # [n], [n, 64]
    found = []
    for sums, part, count in ((under[each, :, best], mask, size[best]), (over[each, :, best], ~mask, blocks.shape[1] - size[best])):
        away = ((colours - (sums / count[:, None])[..., None]) ** 2).sum(axis=1)  # [n, 64]
        found.append(blocks[each, np.where(part, away, np.inf).argmin(axis=1)])
    ink, ground = found
    chars = np.array(names, dtype=object)[best]
    chars[ink == ground] = " "
    return chars, ink, ground
