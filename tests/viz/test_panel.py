"""The panel's picture of the temperature: each cell is the token that the true pile of shares says."""

from __future__ import annotations

import numpy as np
import pytest

from txexplain.engine.derive import Lens
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution
from txexplain.explorer.state import STOPS, ExplorerState
from txexplain.ui.session import scene_of
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.viz.views.panel import PILED, SWEEP_LEAST, SWEEP_ROWS, draw_panel

WIDTH, HEIGHT = 52, 33
SWEPT = [stop for stop in STOPS if stop >= SWEEP_LEAST]


@pytest.fixture(scope="module")
def lens(storyteller: GPT2) -> Lens:
    trace = storyteller.forward(storyteller.prompt_ids("Once upon a time there was a"))
    assert trace is not None
    return Lens(trace, storyteller)


def panel(lens: Lens, temperature: float, **sampling: int) -> tuple[Canvas, Scene]:
    dist = distribution(lens.trace.last_logits, temperature, **sampling)
    state = ExplorerState().at_temperature(temperature)
    scene = scene_of(state, Palette(depth="none"), (WIDTH, HEIGHT), lens, distribution=dist)
    return draw_panel(scene), scene


@pytest.mark.parametrize("temperature", [0.1, 0.8, 1.0, 2.0, 10.0])
def test_the_pile_at_each_temperature_is_the_models(lens: Lens, temperature: float) -> None:
    rows = panel(lens, temperature)[0].text()
    top = next(y for y, line in enumerate(rows) if "T 0.1 to 10" in line) + 1
    logits = lens.trace.last_logits.astype(np.float64)
    for i, stop in enumerate(SWEPT):
        e = np.exp((logits - logits.max()) / stop)
        pile = np.cumsum(np.sort(e / e.sum())[::-1][:PILED]) * SWEEP_ROWS
        for row in range(SWEEP_ROWS):
            below = SWEEP_ROWS - row - 0.5
            want = next((str(token + 1) for token in range(PILED) if pile[token] >= below), " ")
            assert rows[top + row][2 + i] == want, (stop, row)
    mark = rows[top + SWEEP_ROWS].index("▲")
    assert SWEPT[mark - 2] == temperature


def test_what_the_filter_keeps_shows_what_it_was_before(lens: Lens) -> None:
    state = ExplorerState(mode="top-k", k=3)
    dist = distribution(lens.trace.last_logits, top_k=3)
    palette = Palette()
    canvas = draw_panel(scene_of(state, palette, (WIDTH, HEIGHT), lens, distribution=dist))
    calm, ghost = palette.mix("background", "attention", 0.75), palette.mix("background", "attention", 0.45)
    token = int(dist.order[0])
    bar = [int(ink) for ink, char in zip(canvas.fg[5], canvas.chars[5], strict=True) if char == "█"]
    before = sum(ink == ghost for ink in bar)
    assert set(bar) == {calm, ghost}
    assert before / len(bar) == pytest.approx(dist.full_probability[token] / dist.probability[token], abs=1.5 / len(bar))
