"""What is written can be read: the contrast of every letter on the screen as it is painted, toasts included."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.color import Color
from textual.pilot import Pilot

from tests.covering import few
from tests.ui.harness import COLOURS, ONCE, become, drive, settled, until
from txexplain.engine.model import GPT2
from txexplain.explorer.location import parse
from txexplain.explorer.session import answers
from txexplain.explorer.state import ExplorerState
from txexplain.ui.app import ExplorerApp
from txexplain.viz.palette import THEMES

READABLE = 4.5


def luminance(color: Color) -> float:
    """WCAG 2.1's relative luminance."""
    parts = [part / 255 for part in color.get_truecolor()]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ratio(ink: Color, ground: Color) -> float:
    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def faint(app: ExplorerApp) -> set[tuple[str, str, str, float]]:
    """Pieces of text whose letters stand out too little, with their inks, grounds and ratios."""
    found = set()
    seen = 0
    for strip in app.screen._compositor.render_strips():
        for text, style, _control in strip:
            if style is None or not any(c.isalnum() for c in text):
                continue
            ink, ground = style.color, style.bgcolor
            assert ink is not None, (text, style)
            assert ground is not None, (text, style)
            if style.reverse:
                ink, ground = ground, ink
            seen += 1
            if (got := ratio(ink, ground)) < READABLE:
                found.add((text, ink.name, ground.name, round(got, 2)))
    assert seen
    return found


@pytest.mark.parametrize("theme", few(THEMES, lambda theme: theme == "light"))
def test_every_letter_at_every_place_can_be_read(storyteller: GPT2, theme: str) -> None:
    found: dict[str, set[tuple[str, str, str, float]]] = {}

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        for place in ("model", "embed", "L2", "L2.attn", "L2H3:softmax", "L2H3[4,1]", "L2.mlp", "output", "heads"):
            become(app, answers.change(app.session, app.state.go(parse(place), app.session.dims())))
            await settled(app, pilot)
            found[place] = faint(app)
        app.action_do("prompt")
        app.say("A sentence of some words")
        await until(pilot, lambda: bool(app._notifications), "the sentence")
        await pilot.pause()
        found["prompt and toast"] = faint(app)

    drive(test, storyteller, ExplorerState(prompt=ONCE), options=replace(COLOURS, theme=theme))
    assert not {name: pieces for name, pieces in found.items() if pieces}
