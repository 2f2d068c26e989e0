"""After any keys the terminal shows what it would show if all of the screen were sent again."""

from __future__ import annotations

from itertools import product

import numpy as np
import pyte
import pytest
from rich.color import ColorSystem
from rich.style import Style
from textual.pilot import Pilot
from textual.strip import Strip
from textual.widgets import Input, TextArea

from tests.covering import few
from tests.ui.harness import press
from tests.ui.recorder import Recorded, record
from tests.ui.test_wire import look
from txexplain.engine.model import GPT2
from txexplain.explorer.state import ExplorerState
from txexplain.front.options import UiOptions

KEYS = [
    "enter", "enter", "enter", "backspace", "left", "right", "up", "down", "left_square_bracket", "right_square_bracket", "space", "u",
    "v", "a", "f", "s", "i", "comma", "full_stop", "d", "h", "t", "question_mark", "escape", "escape", "ctrl+p", "tab", "slash",
]  # fmt: skip
PROMPTS = {"words": "Once upon a time there was a little girl", "wide": "日本語の文 a\u0301 中 e 🙂 x"}


@pytest.fixture(autouse=True)
def one_terminal_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A style keeps the sequence that it was first sent as, perhaps to another test's terminal in fewer colours; here it forgets that."""
    plain = Strip.render_style

    def render_style(style: Style, text: str, color_system: ColorSystem) -> str:
        style._ansi = None
        return plain(style, text, color_system)

    monkeypatch.setattr(Strip, "render_style", staticmethod(render_style))


@pytest.mark.parametrize(
    ("prompt", "size", "colour"),
    few(product(PROMPTS, [(80, 24), (130, 40)], ["truecolor", "16"]), lambda *case: case == ("wide", (80, 24), "truecolor")),
    ids=str,
)
def test_nothing_old_stays_and_nothing_new_is_missing(storyteller: GPT2, prompt: str, size: tuple[int, int], colour: str) -> None:
    rng = np.random.default_rng(sum(size))
    screen = pyte.Screen(*size)
    stream, read, pressed = pyte.Stream(screen), [0], []

    def seen(app: Recorded) -> list[list[tuple[object, ...]]]:
        sent = app.written[read[0] :]
        read[0] += len(sent)
        stream.feed("".join(sent))
        return [[look(screen.buffer[y][x]) for x in range(size[0])] for y in range(size[1])]

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        app.animation_level = "none"
        for _ in range(6):
            keys = rng.choice(KEYS, 6).tolist()
            pressed.append(keys)
            await press(app, pilot, *keys)
            for field in (*app.screen.query(Input), *app.screen.query(TextArea)):
                field.cursor_blink = False
            await pilot.pause()
            before = seen(app)
            app.action_do("repaint")
            await pilot.pause()
            assert app.written[read[0] :], "nothing was painted again"
            after = seen(app)
            wrong = [
                (x, y, a, b)
                for y, rows in enumerate(zip(before, after, strict=True))
                for x, (a, b) in enumerate(zip(*rows, strict=True))
                if a != b
            ]
            assert wrong[:3] == [], pressed

    record(test, storyteller, ExplorerState(prompt=PROMPTS[prompt]), size=size, options=UiOptions(color=colour))
