"""The next-token panel: bars by descending logit, so that temperature changes lengths and never the order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.sampling import Distribution, Ranking, settle
from txexplain.engine.tokenizer import cell_width
from txexplain.explorer.state import STOPS
from txexplain.viz.bars import bar, slider
from txexplain.viz.canvas import BOLD, STRIKE, Canvas
from txexplain.viz.numbers import count, number, percent
from txexplain.viz.scene import Scene
from txexplain.viz.views.chrome import OLD, title

AXES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # where a full bar may end
HOTTEST = 10.0
SWEEP_FROM, SWEEP_ROWS, SWEEP_LEAST, PILED = 28, 5, 0.1, 5
NUMBER = 8  # cells of a percentage with its space


def axis(largest: float) -> float:
    """The probability that a full bar stands for: the first round one that holds the largest."""
    return next((end for end in AXES if largest <= end), 1.0)


def sampling_text(scene: Scene) -> str:
    """The sampling mode in a word or two."""
    state = scene.state
    return {"full": "full", "greedy": "greedy", "top-k": f"top-k {state.k}", "top-p": f"top-p {state.p:g}"}[state.mode]


def temperature_position(temperature: float) -> float:
    """Where the slider's knob lies: half the way is for 0 to 2, where most of the stops are."""
    return temperature / 4 if temperature <= 2 else 0.5 + (temperature - 2) / (2 * (HOTTEST - 2))


def draw_panel(scene: Scene) -> Canvas:
    """Temperature, live figures, and a bar for as many candidates as fit."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    beside = scene.height > 14
    title(canvas, scene, "Next token", focused=scene.pane == "panel")
    if beside:
        canvas.vline(0, 1, scene.height - 1)
        canvas.put(0, 0, scene.palette.glyphs.tees[2], "rule")
    distribution = scene.distribution
    if distribution is None:
        canvas.put(2, 1, scene.message or "not computed yet", "muted", width=scene.width - 3)
        return canvas
    if beside:
        settings(canvas, scene, 2, 2, scene.width - 3)
        figures(canvas, scene, distribution, 2, 3)
        swept = scene.height >= SWEEP_FROM
        candidates(canvas, scene, distribution, 5, scene.height - 8 - (SWEEP_ROWS + 2 if swept else 0))
        if swept:
            sweep(canvas, scene, distribution, 2, scene.height - 4 - SWEEP_ROWS, scene.width - 4)
        rest(canvas, scene, distribution, 2, scene.height - 2)
        story(canvas, scene, 2, scene.height - 1)
    else:
        settings(canvas, scene, 16, 0, 44)
        candidates(canvas, scene, distribution, 1, scene.height - 2)
        if scene.draw is not None:
            story(canvas, scene, 1, scene.height - 1)
        else:
            figures(canvas, scene, distribution, 1, scene.height - 1)
    if scene.stale:
        canvas.fade(OLD)
        canvas.put(2 if beside else 62, 1 if beside else 0, " old: computing the new ones ", "warning", "panel")
    return canvas


def settings(canvas: Canvas, scene: Scene, x: int, y: int, width: int) -> None:
    """Temperature as a slider that the mouse moves too, and the sampling mode."""
    temperature = scene.state.temperature
    x += canvas.put(x, y, f" T {temperature:.2f} " if y == 0 else f"T {temperature:.2f} ", "text", attrs=BOLD)
    cells = min(16, width - 24)
    canvas.put(x, y, slider(temperature_position(temperature), cells, scene.palette), "muted")
    for step in range(1, cells - 1):
        fraction = (step - 1) / max(1, cells - 3)
        value = 4 * fraction if fraction <= 0.5 else 2 + (fraction - 0.5) * 2 * (HOTTEST - 2)
        canvas.target(x + step, y, 1, 1, ("temperature", round(value, 1)))
    x += cells
    text = f" {sampling_text(scene)} "
    canvas.put(x + 1, y, text, "accent" if scene.state.mode != "full" else "muted")
    canvas.target(x + 1, y, len(text), 1, ("do", "mode"))


def figures(canvas: Canvas, scene: Scene, distribution: Distribution, x: int, y: int) -> None:
    """Entropy, perplexity and how many tokens may be drawn."""
    dot = scene.palette.glyphs.dot
    bits, ascii = number(distribution.entropy_bits, ascii=scene.palette.ascii), scene.palette.ascii
    text = f"{bits} bits {dot} perplexity {number(distribution.perplexity, ascii=ascii)}"
    if distribution.kept_count < len(distribution.order):
        text += f" {dot} {count(distribution.kept_count)} kept"
    canvas.put(x, y, text, "muted", width=scene.width - x - 1)


def candidates(canvas: Canvas, scene: Scene, distribution: Distribution, y: int, rows: int) -> None:
    """A row a candidate: its token, its bar, its probability; behind the bar, what it had before the filter."""
    filtered = distribution.mode != "full"
    inside = 2 if scene.height > 14 else 1
    label = 14 if scene.width >= 48 else 11
    numbers = NUMBER * (2 if filtered else 1)
    room = scene.width - inside - label - 1 - numbers - 1
    first = max(0, scene.candidate - rows + 1)
    shown = distribution.order[first : first + rows]
    end = axis(float(max(distribution.probability.max(), distribution.full_probability.max())))
    if scene.height > 14:
        heads = f"full bar {percent(end)}"
        canvas.put(inside, y - 1, heads, "faint")
        if filtered:
            canvas.put(scene.width - 1 - numbers, y - 1, "kept", "faint", width=NUMBER, align="right")
            canvas.put(scene.width - 1 - NUMBER, y - 1, "all", "faint", width=NUMBER, align="right")
    ghost, calm = scene.palette.mix("background", "faint", 0.5), scene.palette.mix("background", "attention", 0.75)
    for row, token in enumerate(shown.tolist()):
        rank, at = first + row, y + row
        kept = bool(distribution.kept[token])
        probability, full = float(distribution.probability[token]), float(distribution.full_probability[token])
        lit = scene.pane == "panel" and rank == scene.candidate
        ink = "text" if kept else "faint"
        ground, attrs = "cursor" if lit else None, (BOLD if lit else 0) | (0 if kept else STRIKE)
        canvas.put(inside, at, scene.id_label(token), ink, ground, attrs, width=label)
        x = inside + label + 1
        if filtered:
            canvas.put(x, at, bar(full / end, room, scene.palette), ghost)
        drawn = bar(probability / end, room, scene.palette)
        canvas.put(x, at, drawn, calm)
        if filtered and kept and int(full / end * room) < len(drawn):
            # The filter only ever lengthens what it keeps, so what it was before shows as the bar's darker beginning.
            before = int(full / end * room)
            canvas.style(x, at, before, 1, fg=scene.palette.mix("background", "attention", 0.45))
        x = scene.width - 1 - numbers
        canvas.put(x, at, percent(probability, ascii=scene.palette.ascii), "text" if kept else "faint", width=NUMBER, align="right")
        if filtered:
            canvas.put(x + NUMBER, at, percent(full, ascii=scene.palette.ascii), "faint", width=NUMBER, align="right")
        canvas.target(inside, at, scene.width - inside, 1, ("candidate", rank))


@lru_cache(maxsize=4)  # a temperature key changes the mark in the picture, never the shares
def piled_shares(ranking: Ranking, stops: tuple[float, ...]) -> NDArray[np.float64]:
    """The likeliest tokens' running sums of probability over the whole vocabulary at each temperature. Shapes: -> [stops, PILED]."""
    tops = ranking.order[:PILED]
    return np.array([np.cumsum(settle(ranking, stop, None, None).full_probability[tops]) for stop in stops])


def sweep(canvas: Canvas, scene: Scene, distribution: Distribution, x: int, y: int, width: int) -> None:
    """How the distribution changes from T = 0.1 to 10: the shares of the likeliest tokens, piled up; the present T is marked."""
    stops = [stop for stop in STOPS if stop >= SWEEP_LEAST]
    each = max(1, width // len(stops))
    present = min(range(len(stops)), key=lambda i: abs(stops[i] - distribution.shown_temperature))
    piles = piled_shares(distribution.ranking, tuple(stops))
    shades = [scene.palette.mix("background", "attention", 0.9 - 0.14 * i) for i in range(PILED)]
    for i in range(len(stops)):
        heights = piles[i] * SWEEP_ROWS  # [PILED], in rows
        for row in range(SWEEP_ROWS):
            level = SWEEP_ROWS - row - 0.5  # the middle of the row, from below
            token = int(np.searchsorted(heights, level))
            at = x + i * each
            if token < PILED:
                if scene.palette.pixels:
                    canvas.fill(at, y + 1 + row, each, 1, bg=shades[token])
                else:
                    canvas.put(at, y + 1 + row, str(token + 1) * each, "attention")
        if i == present:
            canvas.put(x + i * each, y + 1 + SWEEP_ROWS, scene.palette.glyphs.up, "accent", attrs=BOLD)
    canvas.put(x, y, f"shares of the top {PILED}, T 0.1 to 10", "faint")


def rest(canvas: Canvas, scene: Scene, distribution: Distribution, x: int, y: int) -> None:
    """Where the mass outside the list is."""
    shown = min(len(distribution.order), max(0, scene.height - 8 - (SWEEP_ROWS + 2 if scene.height >= SWEEP_FROM else 0)))
    below = float(1.0 - distribution.cumulative[shown - 1]) if shown else 1.0
    text = f"{count(len(distribution.order) - shown)} other tokens: {percent(max(below, 0.0), ascii=scene.palette.ascii)} of all"
    canvas.put(x, y, text, "muted", width=scene.width - x - 1)


def story(canvas: Canvas, scene: Scene, x: int, y: int) -> None:
    """How the last token was drawn; or the seed that the next will be drawn with."""
    drawn = scene.draw
    if drawn is None:
        canvas.put(x, y, f"seed {scene.state.seed}", "faint", width=scene.width - x - 1)
        return
    token = scene.id_label(drawn.id).strip()
    x += canvas.put(x, y, "drew ", "muted")
    x += canvas.put(x, y, token, "drawn", attrs=BOLD, width=min(cell_width(token), 14))
    low, high = number(drawn.low, ascii=scene.palette.ascii), number(drawn.high, ascii=scene.palette.ascii)
    text = f" rank {drawn.rank + 1}: u {drawn.uniform:.4f} in {low}{scene.palette.glyphs.ellipsis}{high}"
    canvas.put(x, y, text, "muted", width=scene.width - x - 1)
