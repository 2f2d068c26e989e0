"""Scenes to draw, and numbers read back from what was drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from txexplain.engine.derive import Result
from txexplain.explorer.choice import distribution_of, finish
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import Doing, footer
from txexplain.front.scenes import scene_of
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette, blend
from txexplain.viz.ramps import Ramp
from txexplain.viz.scene import Scene
from txexplain.viz.views import paint_stage

STAGES = {"narrow": (80, 14), "wide": (80, 31), "large": (148, 54)}  # the stage's own size on a screen of 80×24, 120×36, 200×60
FIGURE = r"[−-]?(?:\d+\.?\d*(?:e[−-]?\d+)?|inf|∞)"


def scene_at(result: Result, at: str, size: tuple[int, int], palette: Palette | None = None, **settings: object) -> Scene:
    """The scene of a place, with all that a finished one has."""
    palette = palette or Palette()
    state = replace(ExplorerState(model="a model", location=parse(at)), **settings)
    finish(result, state)
    keys = footer(Doing(state.location.kind), ascii=palette.ascii)
    more = {"distribution": distribution_of(result, state), "ribbons": tuple(result.flow(state.flow)), "keys": keys}
    return scene_of(state, palette, size, result, **more)


def stage_at(result: Result, at: str, size: tuple[int, int], palette: Palette | None = None, **settings: object) -> Canvas:
    return paint_stage(scene_at(result, at, size, palette, **settings))


def value(text: str) -> float:
    """A number as it is written on screen."""
    return float(text.replace("−", "-").replace("∞", "inf").replace("%", "").replace(">", ""))


def unit(text: str) -> float:
    """One unit in the last place that a number shows."""
    mantissa, _, power = text.replace("−", "-").strip("%+-").partition("e")
    return 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))


def shows(text: str, x: float, slack: float = 1e-5) -> bool:
    """Whether a written number is this one, to the figures that it has (three at least, whatever they look like)."""
    if math.isinf(x):
        return value(text) == x
    last = max(unit(text), 10.0 ** (math.floor(math.log10(abs(x))) - 2)) if x else unit(text)
    return abs(value(text) - x) <= 0.5001 * last + slack * abs(x)


def shows_percent(text: str, p: float) -> bool:
    return p > 0.9999 if text.startswith(">") else abs(value(text) - 100 * p) <= 0.501 * unit(text) + 1e-5 * p


def in_points(result: Result, vector: np.ndarray, row: int) -> np.ndarray:
    """By how much a vector in a row's stream moves each token's probability, to first order, in float64. Shapes: [d] -> [V]."""
    model = result.weights()
    unembedding = model.unembedding.astype(np.float64)
    gain, scale = model.weights["ln_f.weight"].astype(np.float64), float(result.trace["ln_final.scale"][row, 0])
    logits = result.trace["ln_final.normalized"][row].astype(np.float64) @ unembedding.T
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    effect = ((vector - vector.mean()) * gain / scale) @ unembedding.T
    return shares * (effect - shares @ effect)


def line_with(canvas: Canvas, pattern: str) -> re.Match[str]:
    """The one place in the canvas's rows that a pattern is found at."""
    found = [match for row in canvas.text() if (match := re.search(pattern, row))]
    assert found, (pattern, "\n".join(canvas.text()))
    return found[0]


def hits(canvas: Canvas, choose: Callable[[object], bool]) -> Iterator:
    return (hit for hit in canvas.hits if choose(hit.target))


def levels_of(kind: str, n_levels: int, values: np.ndarray, low: float, high: float) -> np.ndarray:
    """The level of each number on a scale, written down apart from Ramp.quantise."""
    values = np.asarray(values, dtype=np.float64)
    if kind == "diverging":
        reach = max(abs(low), abs(high))
        low, high = -reach, reach
    return np.rint((values - low) / (high - low) * (n_levels - 1)).astype(int)


def strip_of(ramp: Ramp, shown: np.ndarray, vector: np.ndarray) -> list[int]:
    """The colours of a vector's strip, whose cells show some of its numbers: half as strong but for the largest twentieth."""
    levels = levels_of("diverging", ramp.levels, shown, vector.min(), vector.max())
    least = sorted(map(abs, np.asarray(shown).tolist()))[-max(1, round(len(shown) / 20))]
    ground = ramp.palette.rgb("background")
    return [
        ramp.colour(level) if abs(value) >= least else blend(ramp.colour(level), ground, 0.5)
        for level, value in zip(levels.tolist(), np.asarray(shown).tolist(), strict=True)
    ]


def strips(canvas: Canvas, colours: list[int]) -> list[tuple[int, int]]:
    """Where a row of cells (each 1 to 6 wide) has these backgrounds: (x, y) of each such place."""
    found = []
    for each in range(1, 7):
        want = np.repeat(colours, each)
        if len(want) > canvas.width:
            break
        windows = np.lib.stride_tricks.sliding_window_view(canvas.bg, len(want), axis=1)
        y, x = np.nonzero((windows == want).all(axis=2))
        found += list(zip(x.tolist(), y.tolist(), strict=True))
    return found


def halves(canvas: Canvas, x: int, y: int, width: int, height: int) -> np.ndarray:
    """The pixels of a part of a canvas, two a cell. Shapes: -> [2h, w]."""
    rows, columns = slice(max(y, 0), y + height), slice(max(x, 0), x + width)
    chars, fg, bg = canvas.chars[rows, columns], canvas.fg[rows, columns], canvas.bg[rows, columns]
    image = np.empty((2 * chars.shape[0], chars.shape[1]), dtype=np.int64)
    image[0::2] = np.where(chars == "▀", fg, bg)
    image[1::2] = bg
    return image


def to_fraction(text: str, cells: int, palette: Palette) -> float:
    """The fraction that a bar of viz.bars shows."""
    eighths = palette.glyphs.bars
    steps = len(eighths) - 1
    return sum(eighths.index(char) for char in text.rstrip(" ")) / (cells * steps)
