"""Bars in eighths of a cell, sparklines and sliders, as text."""

from __future__ import annotations

from collections.abc import Sequence

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
