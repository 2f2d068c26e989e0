"""A picture in cells: its samples, and for each cell the character with two colours that is nearest to them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.viz.bars import braille
from txexplain.viz.palette import Palette, blend
from txexplain.viz.shapes import Doubles, Field, Layer, Picture, Ribbon

Ints = NDArray[np.int64]
GROUNDS = ("background", "panel")  # roles that lie under the others, and hide what is below
FINE = (8, 8)  # samples of a cell, across and down: eighths and quarters of a cell have edges between them
TURNS = 6  # steps in which a layer turns from one role to another: few colours make long runs of equal cells
EIGHTHS_DOWN, EIGHTHS_ACROSS = "▁▂▃▄▅▆▇", "▏▎▍▌▋▊▉"
WEIGHTS = ((0.5, "═"), (0.3, "━"), (0.2, "─"))  # lines, by the strength from which on
SHADED = ((0.7, "█"), (0.45, "▓"), (0.25, "▒"), (0.1, "░"))
LEAST_LINE = 4  # cells of what is drawn as a line
QUADRANTS = {"▘": (1, 0, 0, 0), "▝": (0, 1, 0, 0), "▖": (0, 0, 1, 0), "▗": (0, 0, 0, 1)}  # three quarters: one of the other colour


@dataclass(frozen=True)
class Tone:
    """What a sample shows: its colour, and with 256 colours how strong the strongest shape there is."""

    colour: int
    strength: float = 0.0


@dataclass(frozen=True)
class Ink:
    """What a shape puts on what is below it: a role, turned some steps towards another."""

    role: str
    into: str
    strength: float
    turn: int


def samples(picture: Picture, palette: Palette) -> Ints:
    """The picture's colours. Shapes: -> [height · 8, width · 8] of 0xRRGGBB."""
    across, down = FINE
    tones = {Tone(palette.rgb("background")): 0}
    shown = np.zeros((picture.height * down, picture.width * across), dtype=np.int64)  # numbers of tones
    for layer in picture.layers:
        area, plane, inks = indexed(layer, shown.shape)
        both = shown[area] * len(inks) + plane
        after = np.zeros(len(tones) * len(inks), dtype=np.int64)
        below = list(tones)
        for number in np.flatnonzero(np.bincount(both.ravel(), minlength=len(after))).tolist():
            tone, ink = below[number // len(inks)], inks[number % len(inks)]
            after[number] = tones.setdefault(tone if ink is None else over(tone, ink, palette), len(tones))
        shown[area] = after[both]
    return np.array([tone.colour for tone in tones], dtype=np.int64)[shown]


def indexed(layer: Layer, size: tuple[int, ...]) -> tuple[tuple[slice, slice], Ints, list[Ink | None]]:
    """A layer's part of the picture: where it lies, its plane of numbers, 0 where it has no shape, and what each stands for."""
    across, down = FINE
    strengths = sorted({shape.strength for shape in layer.shapes})
    turns = TURNS if layer.into else 1
    inks: list[Ink | None] = [None, *(Ink(layer.role, layer.into, strength, turn) for strength, turn in product(strengths, range(turns)))]
    x0 = max(0, min(round(shape.x0 * across) for shape in layer.shapes))
    x1 = max(x0, min(size[1], max(round(shape.x1 * across) for shape in layer.shapes)))
    plane = np.zeros((size[0], x1 - x0), dtype=np.int64)
    for shape in layer.shapes:
        first, last = max(x0, round(shape.x0 * across)), min(x1, round(shape.x1 * across))
        number = 1 + strengths.index(shape.strength) * turns
        if first >= last:
            continue
        if isinstance(shape, Field) and shape.left == shape.right and turns == 1:
            top, bottom = (min(max(round(edge * down), 0), size[0]) for edge in shape.left)
            np.maximum(plane[top:bottom, first - x0 : last - x0], number, out=plane[top:bottom, first - x0 : last - x0])
            continue
        x = (np.arange(first, last) + 0.5) / across  # [n]
        tops, bottoms = (np.rint(edge * down).astype(np.int64) for edge in shape.edges(x))  # [n]
        low, high = max(0, int(tops.min())), min(size[0], int(bottoms.max()))
        turn = np.minimum(((x - shape.x0) / (shape.x1 - shape.x0) * turns).astype(np.int64), turns - 1)  # [n]
        rows = np.arange(low, max(low, high))[:, None]
        part = plane[low : max(low, high), first - x0 : last - x0]
        np.maximum(part, np.where((rows >= tops) & (rows < bottoms), number + turn, 0), out=part)
    held = np.flatnonzero(plane.any(axis=1))
    y0, y1 = (int(held[0]), int(held[-1]) + 1) if len(held) else (0, 0)
    return (slice(y0, y1), slice(x0, x1)), plane[y0:y1], inks


def over(below: Tone, ink: Ink, palette: Palette) -> Tone:
    """What is seen where a shape lies over something."""
    if ink.role in GROUNDS:
        return Tone(palette.rgb(ink.role))
    part, strength = (ink.turn + 0.5) / TURNS if ink.into else 0.0, palette.lifted(ink.strength)
    if palette.depth == "256":  # no mixed colours: a step of the upper one's ladder
        strength = max(below.strength, strength)
        return Tone(palette.step(ink.into if part > 0.5 else ink.role, strength), strength)
    own = blend(palette.rgb(ink.role), palette.rgb(ink.into), part) if ink.into else palette.rgb(ink.role)
    return Tone(blend(below.colour, own, strength))


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
    return rastered(picture.width, picture.height, tuple(picture.layers), palette)


@lru_cache(maxsize=2)  # a pane is drawn more often than its picture changes: when it grows old, when another has the keys
def rastered(width: int, height: int, layers: tuple[Layer, ...], palette: Palette) -> tuple[NDArray[Any], Ints, Ints]:
    """The cells of these layers, read-only."""
    across, down = FINE
    picture = Picture(width, height, list(layers))
    image = samples(picture, palette)
    blocks = image.reshape(picture.height, down, picture.width, across).swapaxes(1, 2).reshape(-1, down * across)  # [h·w, 64]
    ink = blocks[:, 0].copy()
    ground = ink.copy()
    chars = np.full(len(blocks), " ", dtype=object)
    edged = np.flatnonzero((blocks != blocks[:, :1]).any(axis=1))
    if len(edged):
        chars[edged], ink[edged], ground[edged] = fitted(blocks[edged], palette.blocks)
    for plane in (chars, ink, ground):
        plane.setflags(write=False)
    return chars.reshape(height, width), ink.reshape(height, width), ground.reshape(height, width)


def strokes(picture: Picture) -> tuple[NDArray[Any], NDArray[Any]]:
    """The picture where colours are few, as characters with their roles ("" where there is none): what is wide is a line as heavy as it
    is strong, what is small a shade, and ribbons are dots. Translucent fields can't be shown. Shapes: -> [h, w] each.
    """
    chars = np.full((picture.height, picture.width), " ", dtype=object)
    roles = np.full(chars.shape, "", dtype=object)
    for layer in (layer for layer in picture.layers if layer.role not in GROUNDS):
        points = np.zeros((4 * picture.height, 2 * picture.width), dtype=bool)
        for shape in sorted(layer.shapes, key=lambda shape: shape.strength):
            if isinstance(shape, Ribbon):
                dot(points, shape)
            elif shape.left == shape.right:
                columns = slice(max(0, round(shape.x0)), max(0, round(shape.x1)))
                rows = slice(int(sum(shape.left) / 2), max(round(shape.left[1]), int(sum(shape.left) / 2) + 1))
                wide = shape.x1 - shape.x0 >= LEAST_LINE
                char = next((char for least, char in (WEIGHTS if wide else SHADED) if shape.strength >= least), " ")
                if char != " ":
                    chars[rows, columns], roles[rows, columns] = char, layer.role
        dots = np.array([list(row) for row in braille(points)], dtype=object).reshape(chars.shape)
        chars, roles = np.where(dots != " ", dots, chars), np.where(dots != " ", layer.role, roles)
    return chars, roles


def dot(points: NDArray[np.bool_], ribbon: Ribbon) -> None:
    """Set the points that a ribbon covers, of each column one at least. Shapes: points [4h, 2w]."""
    height, width = points.shape
    x = (np.arange(width) + 0.5) / 2  # [2w]
    part = slice(max(0, 2 * round(ribbon.x0)), min(width, 2 * round(ribbon.x1)))
    top, bottom = ribbon.edges(x[part])
    down = (np.arange(height)[:, None] + 0.5) / 4  # [4h, 1]
    points[:, part] |= (down >= top) & (down < np.maximum(bottom, top + 0.25))


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
