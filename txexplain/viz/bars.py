"""Bars in eighths of a cell, sparklines and sliders, as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from txexplain.viz.palette import Palette


def bar(fraction: float, cells: int, palette: Palette) -> str:
    """A horizontal bar of `cells` cells at most, to the nearest eighth of a cell (a whole cell in ASCII), without padding.

    What isn't zero shows at least the thinnest mark.
    """
    eighths = palette.glyphs.bars
    steps = len(eighths) - 1
    units = round(min(max(fraction, 0.0), 1.0) * cells * steps)
    if fraction > 0:
        units = max(units, 1)
    full, rest = divmod(units, steps)
    return eighths[-1] * full + (eighths[rest] if rest else "")


def sparkline(values: Sequence[float], palette: Palette, high: float | None = None) -> str:
    """One character a value, as high as the value is of the highest."""
    rises = palette.glyphs.rises
    top = max(values, default=0.0) if high is None else high
    if top <= 0:
        return rises[0] * len(values)
    return "".join(rises[min(len(rises) - 1, max(int(v > 0), round(v / top * (len(rises) - 1))))] for v in values)


def slider(position: float, cells: int, palette: Palette) -> str:
    """A slider whose knob lies a fraction of the way: ├──●────┤."""
    left, right = palette.glyphs.tees[0], palette.glyphs.tees[1]
    inner = cells - 2
    at = round(min(max(position, 0.0), 1.0) * (inner - 1))
    line = palette.glyphs.horizontal
    return left + line * at + palette.glyphs.knob + line * (inner - 1 - at) + right


def braille(points: NDArray[np.bool_]) -> list[str]:
    """Points as rows of characters, two across and four down in each. Shapes: points [4h, 2w] -> h texts of w."""
    height, width = points.shape
    dots = points.reshape(height // 4, 4, width // 2, 2).transpose(0, 2, 3, 1).reshape(height // 4, width // 2, 8)
    bits = np.array([1, 2, 4, 64, 8, 16, 32, 128])  # of each column from above; the lowest two dots came later (Unicode 3.0)
    return ["".join(chr(0x2800 + int(code)) if code else " " for code in row) for row in (dots * bits).sum(axis=2)]
