"""The one module of colour scales: numbers to levels, levels to colours or glyphs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.viz.canvas import AS_IT_IS, Canvas
from txexplain.viz.palette import Palette, contrast

MASKED = -1
DEEPEST = 0.92  # how near the top of a sequential scale comes to the role's colour
QUIET = 0.5  # how strong what isn't to lead is
CALM = 0.6  # and a wall of bars
READABLE = 4.5  # contrast of text (WCAG 2.1, level AA)
SHADES, ASCII_SHADES, CONSOLE_SHADES = " ░▒▓█", " .:*#", " ·░▒█"
SIGNS, ASCII_SIGNS, CONSOLE_SIGNS = "≡=- ░▒▓", "%=- .*#", "═=- ░▒█"


@dataclass(frozen=True)
class Ramp:
    """A scale of one kind, "sequential" (0 … most, for shares) or "diverging" (around 0, for signed data), in a role's colour.

    coarse: in few levels, for small pictures that change as a whole: runs of equal cells cost little on the wire.
    """

    kind: str
    role: str
    palette: Palette
    coarse: bool = False

    @property
    def coloured(self) -> bool:
        """Whether levels are colours; else they are glyphs."""
        return self.palette.pixels

    @property
    def levels(self) -> int:
        """How many levels there are: what each depth can keep apart."""
        if not self.coloured:
            return len(SHADES) if self.kind == "sequential" else len(SIGNS)
        if self.palette.depth == "256" and not self.coarse:
            return len(self.palette.ladder(self.role)) if self.kind == "sequential" else 2 * len(self.palette.ladder("positive")) - 1
        many = 6 if self.coarse else 32
        return many if self.kind == "sequential" else many - 1

    def quantise(self, values: Any, low: float, high: float) -> NDArray[np.int64]:
        """Each value's level; MASKED for NaN and infinities. A diverging scale reaches as far below 0 as above."""
        array = np.asarray(values, dtype=np.float64)
        finite = np.isfinite(array)
        if self.kind == "diverging":
            reach = max(abs(low), abs(high)) or 1.0
            low, high = -reach, reach
        width = (high - low) or 1.0
        part = np.clip((np.where(finite, array, low) - low) / width, 0.0, 1.0)
        return np.where(finite, np.rint(part * (self.levels - 1)), MASKED).astype(np.int64)

    @property
    def colours(self) -> list[int]:
        """The colour of each level. Lightness moves one way only as values move away from the background's."""
        return colours_of(self)

    def mixed(self) -> list[int]:
        """The colours, mixed anew."""
        if self.kind == "sequential":
            return self.rise(self.role, self.levels)
        middle = self.levels // 2
        return [*self.rise("negative", middle + 1)[:0:-1], *self.rise("positive", middle + 1)]

    def rise(self, role: str, steps: int) -> list[int]:
        """Colours from the background to nearly the role's own."""
        palette = self.palette
        if palette.depth == "256":
            return [palette.mix("background", role, step / (steps - 1)) for step in range(steps)]
        return [palette.mix("background", role, DEEPEST * (step / (steps - 1)) ** 0.8) for step in range(steps)]

    def colour(self, level: int) -> int:
        return self.colours[level]

    def glyph(self, level: int) -> str:
        """The character of a level where colours can't tell; negative ones are lines, positive ones shades."""
        if self.kind == "sequential":
            return (CONSOLE_SHADES if self.palette.console else ASCII_SHADES if self.palette.ascii else SHADES)[level]
        return (CONSOLE_SIGNS if self.palette.console else ASCII_SIGNS if self.palette.ascii else SIGNS)[level]

    def ink(self, level: int) -> int:
        """The colour in which a number can be read on a level."""
        return self.palette.rgb("text") if not self.coloured or level < 0 else inks_of(self)[level]

    def cell(self, canvas: Canvas, x: int, y: int, width: int, level: int) -> None:
        """Show a level in `width` cells of a row; a masked one looks masked, not like a zero."""
        if level == MASKED:
            canvas.put(x, y, self.palette.glyphs.masked.center(width), "rule")
        elif self.coloured:
            canvas.fill(x, y, width, 1, " ", None, self.colour(level))
        else:
            canvas.put(x, y, self.glyph(level) * width, self.role)

    def cells(
        self, canvas: Canvas, corner: tuple[int, int], size: tuple[int, int], levels: NDArray[np.int64],
        strong: NDArray[np.bool_] | None = None,
    ) -> None:  # fmt: skip
        """Show rows of levels, each in `size` columns and rows: what `cell` shows of each, all at once; where they aren't to be
        strong, in quiet colours. Shapes: levels, strong [h, w].
        """
        (left, top), (cell, tall) = corner, size
        if not self.coloured:
            for row, column in np.ndindex(*levels.shape):
                for line in range(tall):
                    self.cell(canvas, left + column * cell, top + row * tall + line, cell, int(levels[row, column]))
            return
        table = [*self.colours, *quiet(self), AS_IT_IS]  # the last is what MASKED, −1, picks
        quieter = 0 if strong is None else np.where(strong | (levels == MASKED), 0, self.levels)
        colours = np.array(table)[levels + quieter]
        canvas.fill(left, top, levels.shape[1] * cell, levels.shape[0] * tall)
        canvas.paint(left, top, colours.repeat(tall, axis=0).repeat(cell, axis=1))
        marks = (" " * cell, self.palette.glyphs.masked.center(cell))
        for row, masked in enumerate((levels == MASKED).tolist()):
            if True in masked:
                first = masked.index(True)
                text = "".join(marks[each] for each in masked[first:])
                for line in range(tall):
                    canvas.put(left + first * cell, top + row * tall + line, text, "rule")


@lru_cache(maxsize=64)
def colours_of(ramp: Ramp) -> list[int]:
    """A ramp's colours: every frame makes its ramps anew, and they are few."""
    return ramp.mixed()


@lru_cache(maxsize=64)
def quiet(ramp: Ramp) -> list[int]:
    """A ramp's colours, part of the way back to the background."""
    return [ramp.palette.faded(colour, 1 - QUIET) for colour in ramp.colours]


@lru_cache(maxsize=64)
def inks_of(ramp: Ramp) -> list[int]:
    """The colour in which a number can be read on each of a ramp's colours."""
    own = (ramp.palette.rgb("text"), ramp.palette.rgb("background"))
    inks = []
    for ground in ramp.colours:
        readable = [ink for ink in own if contrast(ink, ground) >= READABLE]
        inks.append(readable[0] if readable else max((0x000000, 0xFFFFFF), key=lambda ink: contrast(ink, ground)))
    return inks


def span(values: Any) -> tuple[float, float]:
    """The least and greatest finite number; (0, 0) where there is none."""
    array = np.asarray(values)
    finite = array[np.isfinite(array)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def pool(values: NDArray[Any], cells: int) -> tuple[NDArray[np.float64], str]:
    """A vector, or rows of them, in at most `cells` cells: each shows the number of greatest size among those that it stands for.

    Shapes: values [..., n] -> [..., min(n, cells)]. Returns the pooled vector and words that say so, empty where nothing was pooled.
    """
    array = np.asarray(values, dtype=np.float64)
    n = array.shape[-1]
    if n <= cells:
        return array, ""
    starts = np.arange(cells) * n // cells  # [cells]
    greatest, least = np.maximum.reduceat(array, starts, axis=-1), np.minimum.reduceat(array, starts, axis=-1)  # [..., cells]
    each = str(n // cells) if n % cells == 0 else f"{n // cells}-{n // cells + 1}"
    return np.where(greatest >= -least, greatest, least), f"{cells} cells, each the largest of {each}"


def pool2d(grid: NDArray[np.float64], rows: int, columns: int) -> tuple[NDArray[np.float64], int]:
    """A square grid of at most rows × columns: each cell the largest of factor × factor. Returns it and the factor."""
    n = grid.shape[0]
    factor = max(1, -(-n // max(1, min(rows, columns))))
    if factor == 1:
        return grid, 1
    padded = np.pad(grid, (0, -n % factor))
    m = padded.shape[0] // factor
    return padded.reshape(m, factor, m, factor).max(axis=(1, 3)), factor
