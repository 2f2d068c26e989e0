"""What each key costs on the wire: the bytes that Textual writes for it, at 120×40 in 24-bit colours.

The budgets are DESIGN.md's; they are counts, not times, so that they hold on any machine.
"""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from rich.color import ColorSystem
from rich.console import Console
from rich.control import Control
from textual._compositor import CompositorUpdate
from textual.pilot import Pilot

from tests.covering import few
from tests.ui.harness import COLOURS, press, settled
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.explorer.choice import distribution_of
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.scenes import scene_of
from txexplain.ui.app import ExplorerApp
from txexplain.ui.terminal.wire import BEGIN, END, Wire
from txexplain.viz.palette import Palette
from txexplain.viz.screen import paint_screen

SIZE = (120, 40)
KIB = 1024
LONG = "Once upon a time there was a little girl who lived in a small house near the old forest with her mother and her dog"


class Metered(ExplorerApp):
    """An app that counts what it would write to a 24-bit terminal."""

    CSS_PATH = inspect.getfile(ExplorerApp).removesuffix("app.py") + "app.tcss"
    written = 0
    frames = 0
    wire = Wire()
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", legacy_windows=False)

    def _display(self, screen: Any, renderable: Any) -> None:
        if isinstance(renderable, CompositorUpdate) and not self._batch_count:
            text = renderable.render_segments(self.terminal)
            at = self.screen.outer_size.clamp_offset(self.cursor_position)
            sent = [self.wire.shrink(part) for part in (BEGIN, text + Control.move_to(*at).segment.text, END)]
            self.written += len("".join(sent).encode())
            self.frames += 1
        super()._display(screen, renderable)


def metered(
    model: GPT2, at: str, test: Callable[[Metered, Pilot[None]], Awaitable[None]], prompt: str = LONG, animation: str = "none"
) -> None:
    async def go() -> None:
        Metered.wire = Wire()
        Metered.wire.resize(*SIZE)
        app = Metered(ExplorerState(prompt=prompt, location=parse(at)), COLOURS, lambda progress: model)
        app.animation_level = animation  # type: ignore[assignment]
        async with app.run_test(size=SIZE) as pilot:
            await settled(app, pilot)
            await test(app, pilot)

    asyncio.run(go())


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow machine must not fade what a quick one leaves alone."""
    monkeypatch.setattr("txexplain.explorer.session.answers.FADE_AFTER", 1000.0)


async def cost(app: Metered, pilot: Pilot[None], key: str) -> int:
    app.written = 0
    await press(app, pilot, key)
    await pilot.pause()
    assert app.written > 0, f"{key} painted nothing"
    return app.written


BUDGETS = {"model": 30}  # of a step; 12 elsewhere
ALL = ("model", "embed", "L2", "L2.attn", "heads", "L2H3", "L2H3[9,4]", "L2.mlp", "output")
EVERYWHERE = few(ALL, lambda at: at in ("model", "L2.attn", "L2H3[9,4]"))


@pytest.mark.parametrize("at", EVERYWHERE)
def test_a_temperature_key(storyteller: GPT2, at: str) -> None:
    async def test(app: Metered, pilot: Pilot[None]) -> None:
        for key in ("left_square_bracket", "right_square_bracket", "right_square_bracket", "right_curly_bracket"):
            assert await cost(app, pilot, key) <= 260 * SIZE[1] + KIB, key

    metered(storyteller, at, test)


@pytest.mark.parametrize("at", ["L2H3:softmax[9,4]", "L2H3:qk[9,4]", "L2H3:values[9,4]"])
def test_a_cursor_move_in_a_grid(storyteller: GPT2, at: str) -> None:
    async def test(app: Metered, pilot: Pilot[None]) -> None:
        for key in ("left", "right", "right", "left"):
            assert await cost(app, pilot, key) <= KIB, key

    metered(storyteller, at, test)


@pytest.mark.parametrize(
    "prompt", [LONG, "The little fox lost her red ball. She looked everywhere for her red"], ids=["grid", "grid and table"]
)
def test_a_move_to_another_row_of_a_grid(storyteller: GPT2, prompt: str) -> None:
    """Below a grid with room to spare stands the cursor's row in numbers, which changes as a whole."""

    async def test(app: Metered, pilot: Pilot[None]) -> None:
        for key in ("up", "up", "down", "up"):
            assert await cost(app, pilot, key) <= (1 if prompt == LONG else 2) * KIB, key

    metered(storyteller, "L2H3:softmax[9,4]", test, prompt)


def longest(app: Metered) -> int:
    """Letters of the longest of the last tokens, which a block's picture shows."""
    scene = app.scene(*SIZE)
    return max(len(scene.label(i)) for i in range(scene.n_tokens - 8, scene.n_tokens))


@pytest.mark.parametrize("at", EVERYWHERE)
def test_a_step_of_generation(storyteller: GPT2, at: str) -> None:
    async def test(app: Metered, pilot: Pilot[None]) -> None:
        widest = longest(app)
        for _ in range(4):
            written = await cost(app, pilot, "space")
            # A word longer than all in view makes the labels' column wider: the picture moves, as dear as half a zoom.
            moved, widest = longest(app) != widest, longest(app)
            assert written <= (24 if moved and at == "L2" else BUDGETS.get(at, 12)) * KIB

    metered(storyteller, at, test)


@pytest.mark.parametrize("animation", ["none", "full"])
def test_a_zoom_with_its_animation(storyteller: GPT2, animation: str) -> None:
    async def test(app: Metered, pilot: Pilot[None]) -> None:
        for key in ("enter", "enter", "enter", "enter", "escape", "escape", "escape", "escape"):
            app.frames = 0
            assert await cost(app, pilot, key) <= 128 * KIB, (key, str(app.state.location))
            assert app.frames <= 8

    metered(storyteller, "model[L2]", test, animation=animation)


@pytest.mark.parametrize(("size", "most"), [((120, 40), 26), ((200, 60), 48)])
@pytest.mark.parametrize("prompt", [LONG, "The little fox lost her red ball. She looked everywhere for her red"], ids=["long", "short"])
def test_a_whole_screen_of_the_model_view(storyteller: GPT2, size: tuple[int, int], most: int, prompt: str) -> None:
    trace = storyteller.forward(storyteller.prompt_ids(prompt))
    assert trace is not None
    state, result = ExplorerState(prompt=prompt), Result(trace, storyteller)
    more = {"distribution": distribution_of(result, state), "ribbons": tuple(result.flow("norms"))}
    for theme in ("dark", "light", "contrast"):
        canvas = paint_screen(scene_of(state, Palette(theme), size, result, **more))
        text = []
        for y, row in enumerate(canvas.lines(range(canvas.height))):
            said = (each.style.render(each.text, color_system=ColorSystem.TRUECOLOR) if each.style else each.text for each in row)
            text.append(f"\x1b[{y + 1};1H" + "".join(said))
        wire = Wire()
        wire.resize(*size)
        assert len(wire.shrink(BEGIN + "".join(text) + END).encode()) <= most * KIB


def test_what_changes_nothing_writes_nothing(storyteller: GPT2) -> None:
    async def test(app: Metered, pilot: Pilot[None]) -> None:
        app.written = 0
        await press(app, pilot, "0")  # the temperature is 1 already
        await pilot.pause()
        assert app.written == 0

    metered(storyteller, "model", test)
