"""Vectors as strips of cells, one under the other, with one cursor through all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.explorer.location import Location
from txexplain.facts.vector import VectorFacts
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import exact, number, shape
from txexplain.viz.palette import Palette
from txexplain.viz.ramps import DEEPEST, QUIET, Ramp, pool
from txexplain.viz.scene import Scene
from txexplain.viz.shapes import Picture, rectangle

NAME, FIGURES = 12, 20  # cells of a row's name at the left, and of its numbers at the right
MARGIN = 1
WIDEST, TALLEST = 4, 6  # cells of one element; rows of the columns that strips are where there is room
STRONG = 0.05  # the part of a strip's cells, those of the largest numbers, that is at full strength
Leads = Callable[[int], Location]  # where a click on an element goes


@dataclass(frozen=True)
class Vector:
    """One strip. Vectors that stand together under one cursor are equally long; a shorter one is told by its number alone.

    `whole` is the shape of the tensor that the vector is a row of, where that is worth saying.
    """

    name: str
    role: str
    facts: VectorFacts
    formula: str = ""
    whole: tuple[int, ...] = ()
    kind: str = "diverging"

    @property
    def values(self) -> NDArray[Any]:
        return self.facts.values


def strip_cells(width: int, length: int, left: int = NAME) -> tuple[int, int]:
    """How many cells a strip has in a width, and how many columns each takes; `left` columns are for its name, and then some at the
    right for its numbers: without, a heading has both.
    """
    room = max(1, width - 2 * MARGIN - left - (FIGURES if left else 0))
    cells = min(length, room)
    return cells, max(1, min(room // cells, WIDEST))


def cell_of(element: int, length: int, cells: int) -> int:
    """The cell of a pooled strip that an element is in: `pool`'s own division."""
    if length <= cells:
        return element
    return int(np.searchsorted(np.arange(1, cells + 1) * length // cells, element, side="right"))


def lines_each(vectors: Sequence[Vector], height: int, palette: Palette) -> int:
    """Lines that a vector takes: 1 its strip, 2 a heading too, 3 a line of air too; from 4 on the strip is columns of several rows."""
    return max(1, min(2 + TALLEST if palette.pixels else 3, height // max(1, len(vectors))))


def paint_strips(
    canvas: Canvas, scene: Scene, vectors: Sequence[Vector], y: int, height: int, place: Location, to: Leads | None = None
) -> int:
    """Paint vectors from row y on in at most `height` rows, the last for the caret; returns the first row behind.

    place: the page's Location; its `element` is under the cursor, and a click on a cell goes to the element shown there,
    or to where `to` says that an element leads.
    """
    length = max(len(vector.values) for vector in vectors)
    tall = lines_each(vectors, height - 1, scene.palette)
    left = NAME if tall == 1 else 0
    cells, each = strip_cells(scene.width, length, left)
    for vector in vectors:
        if tall >= 2:
            heading(canvas, scene, vector, y, place.element)
        row = y + int(tall >= 2)
        one_strip(canvas, scene, vector, row, (length, cells, each), place, named=tall == 1, to=to, rows=max(1, tall - 2))
        y += tall
    if tall >= 3:
        y -= 1
    if place.element is not None and place.element < length:
        x = MARGIN + left + cell_of(place.element, length, cells) * each
        canvas.put(x, y, scene.palette.glyphs.up, "accent", attrs=BOLD)
        text = f"element {place.element} of {length}"
        canvas.put(x + 2 if x + 2 + len(text) < scene.width else x - 1 - len(text), y, text, "accent")
    else:
        _, pooled = pool(np.zeros(length), cells)
        text, room = f"{length} elements" + (f" in {pooled}" if pooled else ""), cells * each + (FIGURES if left else 0)
        canvas.put(MARGIN + left, y, text if len(text) <= room else pooled, "faint", width=room)
    return y + 1


def heading(canvas: Canvas, scene: Scene, vector: Vector, y: int, element: int | None = None) -> None:
    """A vector's name, shape and formula, and at the right its least, greatest and length, or the number under the cursor."""
    ascii, facts = scene.palette.ascii, vector.facts
    here = element is not None and element < len(vector.values)
    text = f"{number(facts.least, ascii=ascii)} to {number(facts.greatest, ascii=ascii)}, norm {number(facts.length, ascii=ascii)}"
    if element is not None and here:
        text = exact(facts[element], short=scene.lecture)
    right = scene.width - MARGIN - len(text)
    x = MARGIN + canvas.put(MARGIN, y, vector.name, vector.role, attrs=BOLD)
    if len(vector.values) > 1:
        canvas.put(right, y, text, "accent" if here else "muted", attrs=BOLD if here else 0)
    said = (f"  {shape(vector.whole, ascii=ascii)}" if vector.whole else "", f"  = {vector.formula}" if vector.formula else "")
    for words, ink in zip(said, ("muted", "text"), strict=True):
        if words and x + len(words) < (right if len(vector.values) > 1 else scene.width):
            x += canvas.put(x, y, words, ink)


def one_strip(
    canvas: Canvas,
    scene: Scene,
    vector: Vector,
    y: int,
    layout: tuple[int, int, int],
    place: Location,
    *,
    named: bool,
    to: Leads | None = None,
    rows: int = 1,
) -> None:
    """One vector's cells, with its name at the left where no heading has it and its numbers at the right."""
    length, cells, each = layout
    ascii = scene.palette.ascii
    if named:
        canvas.put(MARGIN, y, vector.name, vector.role, attrs=BOLD, width=NAME - 1)
    if len(vector.values) == 1:
        canvas.put(MARGIN + (NAME if named else 0), y, exact(vector.facts[0], short=scene.lecture), "text", attrs=BOLD)
        return
    if len(vector.values) != length:
        raise ValueError(f"{vector.name} has {len(vector.values)} elements beside {length}")
    pooled, _ = pool(vector.values, cells)
    low, high = vector.facts.least, vector.facts.greatest
    shown = peaks(vector.values, cells)
    x = MARGIN + (NAME if named else 0)
    strong = largest(pooled)
    if place.element is not None and place.element < length:
        strong[cell_of(place.element, length, cells)] = True
    if rows > 1:
        columns(canvas, pooled, strong, (low, high), (x, y), (each, rows))
    else:
        ramp = Ramp(vector.kind, vector.role, scene.palette)
        levels = ramp.quantise(pooled, 0.0 if vector.kind == "sequential" else low, high)
        ramp.cells(canvas, (x, y), (each, 1), levels[None], strong[None])
    leads = to or (lambda element: replace(place, element=element))
    canvas.board(x, y, each * len(pooled), rows, (x, y), (each, rows), lambda _, cell: leads(shown[cell]))
    if named and place.element is not None and place.element < length:
        text = exact(vector.facts[place.element], short=scene.lecture)
        canvas.put(scene.width - MARGIN - FIGURES, y, text, "accent", attrs=BOLD, width=FIGURES, align="right")
    elif named:
        text = f"{number(low, ascii=ascii)} to {number(high, ascii=ascii)}"
        canvas.put(scene.width - MARGIN - FIGURES, y, text, "muted", width=FIGURES, align="right")


def largest(pooled: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which cells of a strip show its largest numbers, a twentieth of them. Shapes: [c] -> [c]."""
    return np.asarray(np.abs(pooled) >= np.sort(np.abs(pooled))[-max(1, round(STRONG * len(pooled)))])


def columns(
    canvas: Canvas, pooled: NDArray[np.float64], strong: NDArray[np.bool_], ends: tuple[float, float], corner: tuple[int, int],
    size: tuple[int, int],
) -> None:  # fmt: skip
    """Signed numbers as columns from the line that stands for 0, as high as they are large, `size` (width, height of all) each."""
    (each, rows), low, high = size, min(ends[0], 0.0), max(ends[1], 0.0)
    zero = rows if low == 0 else 0 if high == 0 else max(1, min(rows - 1, round(high / (high - low) * rows)))  # rows above the line
    unit = min(zero / high if high else np.inf, (rows - zero) / -low if low else np.inf)
    picture = Picture(each * len(pooled), rows)
    for role, sign in (("positive", 1), ("negative", -1)):
        shapes = []
        for i in np.flatnonzero(sign * pooled > 0).tolist():
            tall = max(1 / 8, abs(float(pooled[i])) * unit)
            shapes.append(rectangle(i * each, zero - tall if sign > 0 else zero, each, tall, DEEPEST * (1 if strong[i] else QUIET)))
        picture.add(role, *shapes)
    canvas.show(*corner, picture)


def peaks(values: NDArray[Any], cells: int) -> list[int]:
    """The element of greatest size in each cell of a pooled strip: the one that the cell shows."""
    n = len(values)
    edges = (np.arange(min(cells, n) + 1) * n // min(cells, n)).tolist()
    return [a + int(np.abs(values[a:b]).argmax()) for a, b in pairwise(edges)]


def plain_strip(canvas: Canvas, scene: Scene, vector: VectorFacts, role: str, x: int, y: int, width: int) -> None:
    """A vector as a row of cells on its own scale, without name or cursor."""
    if len(vector) == 1:
        canvas.put(x, y, number(vector[0]), "text", attrs=BOLD)
        return
    ramp = Ramp("diverging", role, scene.palette)
    pooled, _ = pool(vector.values, width)
    each = max(1, min(width // len(pooled), WIDEST))
    levels = ramp.quantise(pooled, vector.least, vector.greatest)
    ramp.cells(canvas, (x, y), (each, 1), levels[None], largest(pooled)[None])
