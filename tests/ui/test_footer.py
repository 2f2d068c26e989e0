"""The footer: the keys that work in the pane that has the focus, the most useful where there is little room."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from tests.ui.harness import pane_text, press, settled, until
from tests.ui.paper import on_paper
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.explorer.choice import dims_of
from txexplain.explorer.lesson import shipped_lessons
from txexplain.explorer.location import FACES, Location
from txexplain.explorer.places import KINDS
from txexplain.explorer.reading import Reads
from txexplain.explorer.state import ExplorerState, from_flags
from txexplain.front.actions import ACTIONS, Doing, footer, key_name, rebound
from txexplain.text import cell_width
from txexplain.ui.app import ExplorerApp
from txexplain.viz.views.chrome import fitting_entries

Hand = Pilot[None]
SIZES = ((60, 16), (80, 24), (120, 36))


def said(app: ExplorerApp) -> str:
    return " ".join(" ".join(pane_text(app, "footer")).split())


def at(doing: Doing, width: int) -> str:
    return "  ".join(f"{keys} {word}".strip() for keys, word in fitting_entries(footer(doing), width - 1))


def test_what_is_shown_first_at_80_columns() -> None:
    assert at(Doing("model"), 80) == "⏎ zoom  space draw  [ ] T  / text  t learn  i explain  ? help  w flow  d stream"
    for keys in ("w flow", "d stream", "a atlas", "M how", "X off"):
        assert keys in at(Doing("model"), 160)
    assert "[ ] temperature" in at(Doing("model"), 160)  # at length where there is room


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_it_fits_and_tells_how_to_go_on(kind: str, width: int) -> None:
    for pane in ("stage", "panel", "side", "prompt"):
        for more in ({}, {"lesson": True, "answers": 4}, {"generating": True}, {"recorded": True}):
            text = at(Doing(kind, pane, **more), width)  # type: ignore[arg-type]
            assert 0 < cell_width(text) <= width - 1
            assert ("g pauses" in text) == ("generating" in more and pane != "prompt")
            if "lesson" in more and pane != "prompt":
                assert "n p page" in text or width == 60
                assert re.search("t (lessons, )?close", text)


STEPS = {
    "enter": lambda state, dims: state.enter(dims), "out": lambda state, dims: state.out(dims),
    "block_back": lambda state, dims: state.step_block(-1, dims), "block_on": lambda state, dims: state.step_block(1, dims),
    "head_back": lambda state, dims: state.step_head(-1, dims), "head_on": lambda state, dims: state.step_head(1, dims),
    "stage": lambda state, dims: state.next_stage(), "residual": lambda state, dims: state.look("residual", dims),
    "flow": lambda state, dims: state.toggle_flow(), "mode": lambda state, dims: state.cycle_mode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_on_the_stage_only_keys_that_do_something(tiny: GPT2, kind: str) -> None:
    """Each key that moves does so somewhere at the kind of place it is shown at, and every key that moves there is shown."""
    trace = tiny.forward([5, 17, 42, 3])
    assert trace is not None
    dims = dims_of(Result(trace, tiny))
    faces = FACES.get(kind, (None,))
    first = ExplorerState(location=Location(kind, face=faces[-1] if kind == "heads" else None)).fit(dims)
    states = [first, first.step_block(1, dims)]
    shown = {keys for keys, _, _ in footer(Doing(kind))}
    for id, step in STEPS.items():
        key = next(key_name(action.keys[0]) for action in ACTIONS if action.id == id)
        moves = any(step(state, dims) != state for state in states)
        told = any(key in keys.split() for keys in shown)
        if id == "enter" and kind in ("output", "effects"):
            assert told  # it takes the candidate, or switches off what is selected
        elif (id, kind) == ("flow", kind) and kind != "model":
            assert not told  # the ribbons are the model's
        elif (id, kind) != ("mode", kind):
            assert told == moves, (id, kind)


def test_a_recorded_run_promises_no_key_that_needs_a_model() -> None:
    for pane in ("stage", "panel"):
        words = " ".join(word for _, word, _ in footer(Doing("model", pane, recorded=True)))
        assert not re.search("draw|prompt|lesson|generate|take back|seed|examples", words)


def test_own_keys_stand_in_every_pane() -> None:
    actions = rebound(ACTIONS, {"lessons": ("L",), "generate": ("f10",), "explain": ("f2",)})
    assert ("L", "lessons, close", "close") in footer(Doing("model", lesson=True), actions=actions)
    assert footer(Doing("model", generating=True), actions=actions)[1][:2] == ("f10", "pauses")
    assert ("f2", "explain", "explain") in footer(Doing("model", "prompt"), actions=actions)
    assert ("f12", "explain", "explain") in footer(Doing("model", "prompt"))


@pytest.mark.parametrize("size", SIZES)
def test_it_follows_the_focus(storyteller: GPT2, size: tuple[int, int]) -> None:
    async def walk(app: ExplorerApp, hand: Hand) -> None:
        assert said(app).startswith("⏎ zoom space draw [ ]")
        await press(app, hand, "tab")
        assert said(app).startswith("↑ ↓ choose ⏎ take [ ]")
        assert "esc stage" in said(app) or size[0] < 80
        await press(app, hand, "tab")
        assert app.session.pane == "prompt"
        assert said(app).startswith("type") and "⏎ done" in said(app) and "ctrl+j" in said(app)  # noqa: PT018
        assert "space draw" not in said(app)
        await press(app, hand, "escape", "g")
        await until(hand, lambda: "generating g pauses" in said(app), "that it generates")
        await press(app, hand, "tab")
        assert "generating g pauses" in said(app)
        app.session = replace(app.session, pace=0.0)
        await hand.press("g")
        await settled(app, hand)
        assert "generating" not in said(app)

    on_paper(walk, storyteller, size=size)


@pytest.mark.parametrize("size", SIZES[1:])
def test_in_a_lesson(storyteller: GPT2, size: tuple[int, int]) -> None:
    async def read(app: ExplorerApp, hand: Hand) -> None:
        answers = len(app.session.reader.reading.page.answers)  # type: ignore[union-attr]
        assert f"1-{answers} answer" in said(app)
        assert re.match("n p page t (lessons, )?close", said(app))
        await press(app, hand, "tab", "tab")
        assert app.session.pane == "side"
        assert "⏎ answer" in said(app)
        await press(app, hand, "enter")
        assert f"1-{answers} reasons" in said(app)
        assert "⏎" not in said(app)

    on_paper(read, storyteller, size=size, reads=Reads(shipped_lessons()[0], page=3))


def test_a_lecture_says_that_it_generates(storyteller: GPT2) -> None:
    async def watch(app: ExplorerApp, hand: Hand) -> None:
        await press(app, hand, "g")
        await until(hand, lambda: said(app).endswith("generating g pauses"), "that it generates")
        assert said(app).startswith("g ")

    on_paper(watch, storyteller, from_flags(prompt="Once"), size=(60, 16), reads=Reads(shipped_lessons()[0], lecture=True, pace=500))
