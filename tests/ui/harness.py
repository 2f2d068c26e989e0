"""Driving the app without a terminal: conditions are waited for, never the clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution, uniform
from txexplain.engine.trace import Trace
from txexplain.explorer.choice import finish
from txexplain.explorer.reading import Reads
from txexplain.explorer.runs import run
from txexplain.explorer.session import answers
from txexplain.explorer.session.value import Outcome
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import Doing, footer
from txexplain.front.options import UiOptions
from txexplain.front.scenes import palette_of, roomy, scene_of, surprisal_of
from txexplain.ui.app import ExplorerApp
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.screen import paint_screen

ONCE = "Once upon a time there was a"
PATIENCE = 30.0  # seconds until a condition that never comes true fails its test
COLOURS = UiOptions(color="truecolor")


def drive(
    test: Callable[[ExplorerApp, Pilot[None]], Awaitable[None]],
    model: GPT2 | None,
    state: ExplorerState | None = None,
    *,
    size: tuple[int, int] = (120, 36),
    options: UiOptions = COLOURS,
    load: Callable[[], GPT2] | None = None,
    wait: bool = True,
    reads: Reads | None = None,
) -> None:
    """Run a test against a new app; by default from the first full screen on."""

    give = load or (None if model is None else lambda: model)
    opening = None if give is None else lambda progress: give()

    async def go() -> None:
        app = ExplorerApp(state or ExplorerState(), options, opening, reads)
        async with app.run_test(size=size, notifications=True) as pilot:
            if wait:
                await settled(app, pilot)
            await test(app, pilot)
        app.work.join()

    asyncio.run(go())


def become(app: ExplorerApp, outcome: Outcome) -> None:
    """Bring an app to what a function of the session gives, as an event does."""
    app.become(answers.lacking(app.session, *outcome))


async def until(pilot: Pilot[Any], condition: Callable[[], bool], what: str) -> None:
    """Pump messages until a condition holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while not condition():
        assert loop.time() < end, f"never happened: {what}"
        await pilot.pause(0.002)
    await pilot.pause()


async def settled(app: ExplorerApp, pilot: Pilot[Any]) -> None:
    """Until nothing runs and the screen shows the result of what is asked."""
    await until(
        pilot,
        lambda: app.result is not None and not (app.running or app.session.queued or app.work.jobs or app.motion.coming),
        "a settled screen",
    )


async def press(app: ExplorerApp, pilot: Pilot[Any], *keys: str) -> None:
    """Press keys, each once the one before has had its whole effect."""
    for key in keys:
        await pilot.press(key)
        await settled(app, pilot)


async def write(app: ExplorerApp, pilot: Pilot[Any], text: str) -> None:
    """Replace what the editor holds by typing, key by key."""
    app.editor.select_all()
    await pilot.press("delete", *("space" if char == " " else char for char in text))
    assert app.editor.text == text


def screen_text(app: ExplorerApp) -> list[str]:
    """Every cell of the Textual screen, a line a row; of tests/ui/paper.py's as it would be drawn."""
    if not isinstance(app, ExplorerApp):
        return app.text()
    return [strip.text for strip in app.screen._compositor.render_strips()]


def pane_text(app: ExplorerApp, name: str) -> list[str]:
    """The cells of one pane, as they stand on the Textual screen."""
    region = app.query_one(f"#{name}", Picture).region
    return [line[region.x : region.right] for line in screen_text(app)[region.y : region.bottom]]


def fresh(model: GPT2, ids: Sequence[int] | str) -> Trace:
    """A run of the model by itself, away from the app."""
    trace = model.forward(model.prompt_ids(ids) if isinstance(ids, str) else list(ids))
    assert trace is not None
    return trace


def expected_text(app: ExplorerApp, model: GPT2, size: tuple[int, int], options: UiOptions = COLOURS) -> list[str]:
    """What the screen of the app's state should say, drawn from a fresh run; only the cost figure is the app's."""
    state, tones = app.state, palette_of(options)
    result = run(state, model)
    assert result is not None
    finish(result, state)
    scene = scene_of(
        state,
        tones,
        size,
        result,
        distribution=distribution(result.trace.last_logits, **state.sampling),
        ribbons=None if result.flow_lacks(state.flow) else tuple(result.flow(state.flow)),
        keys=footer(Doing(state.location.kind, changed=bool(state.edits)), ascii=tones.ascii),
        draw=app.session.last_draw,
        drawn_from=app.session.drawn_from if app.session.last_draw is not None else None,
        surprisal=surprisal_of(result) if (roomy(*size) if app.session.strip is None else app.session.strip) else None,
    )
    return paint_screen(replace(scene, cost=app.session.cost)).text()


def draws(model: GPT2, ids: Sequence[int], count: int, seed: int = 0, **sampling: Any) -> list[int]:
    """The ids that drawing puts behind a prompt, one by one, by the contract's own words."""
    drawn = list(ids)
    for _ in range(count):
        dist = distribution(fresh(model, drawn).last_logits, **sampling)
        drawn.append(dist.draw(uniform(seed, len(drawn))).id)
    return drawn[len(ids) :]


def where(app: ExplorerApp, pane: str, target: object) -> tuple[int, int]:
    """A cell of the screen that answers to the pointer with a target."""
    picture = app.query_one(f"#{pane}", Picture)
    assert picture.canvas is not None
    for hit in picture.canvas.hits:
        if hit.target == target:
            for y in range(hit.y, hit.y + hit.height):
                for x in range(hit.x, hit.x + hit.width):
                    if picture.canvas.hit(x, y) == target:
                        return picture.region.x + x, picture.region.y + y
    raise AssertionError(f"nothing in {pane} answers with {target}")


def said(app: ExplorerApp) -> list[str]:
    """The sentences that popped up."""
    if not isinstance(app, ExplorerApp):
        return app.notes
    return [note.message for note in app._notifications]


class SlowForward:
    """GPT2.stoppable_forward behind a gate for each text: the real one runs, deaf to `should_stop`, once its gate is open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.real = GPT2.stoppable_forward
        self.gates: dict[tuple[int, ...], threading.Event] = {}
        self.started: list[tuple[int, ...]] = []
        self.ended: list[tuple[int, ...]] = []
        self.shut = True
        monkeypatch.setattr(GPT2, "stoppable_forward", lambda model, ids, **options: self.run(model, ids, **options))

    def gate(self, ids: Sequence[int]) -> threading.Event:
        return self.gates.setdefault(tuple(ids), threading.Event())

    def run(self, model: GPT2, ids: Sequence[int], **options: Any) -> Trace | None:
        gate = self.gate(ids)
        self.started.append(tuple(ids))
        if self.shut:
            assert gate.wait(PATIENCE)
        trace = self.real(model, ids, **(options | {"should_stop": None}))
        self.ended.append(tuple(ids))
        return trace

    def open(self) -> None:
        """Let everything through from now on."""
        self.shut = False
        for gate in list(self.gates.values()):
            gate.set()
