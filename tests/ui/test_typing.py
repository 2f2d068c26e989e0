"""Typing faster than the model computes, as in GPT-2 124M: no key waits for it, one pass runs at a time, the last text wins.

The model here computes for as long as the test holds it, so nothing depends on how fast a machine is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.covering import few
from tests.ui.harness import ONCE, drive, expected_text, screen_text, settled, until
from txexplain.engine.model import GPT2
from txexplain.explorer.state import ExplorerState
from txexplain.ui.app import ExplorerApp

TEXT = "A quick brown fox jumps over the lazy dog"
HELD = 45_000  # milliseconds at most: longer than a test has patience
EACH = 4  # keys typed before the held pass is let go


class Held:
    """GPT2.stoppable_forward, each pass of which waits until it is let go or asked to stop."""

    def __init__(self) -> None:
        self.plain = GPT2.stoppable_forward
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.running = self.most = self.begun = self.finished = 0
        self.ids: list[int] = []  # that the last pass computes

    def forward(self, model: GPT2, ids: list[int], *, should_stop: Callable[[], bool] | None = None, **options: Any) -> Any:
        with self.lock:
            self.running += 1
            self.begun += 1
            self.most = max(self.most, self.running)
            self.ids = list(ids)
        try:
            for _ in range(HELD):  # not for ever: a test that fails leaves no thread waiting
                if self.gate.wait(0.001):
                    break
                if should_stop is not None and should_stop():
                    return None
            trace = self.plain(model, ids, should_stop=should_stop, **options)
            self.finished += trace is not None
            return trace
        finally:
            with self.lock:
                self.running -= 1


@pytest.mark.parametrize("at_once", few([False, True], lambda at_once: at_once))
def test_typing_never_waits_and_the_last_text_wins(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    held = Held()

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        first = app.result
        held.plain = GPT2.stoppable_forward
        monkeypatch.setattr(GPT2, "stoppable_forward", lambda model, ids, **options: held.forward(model, ids, **options))
        await hand.press("slash")
        app.editor.select_all()
        await hand.press("delete")
        for number, char in enumerate(TEXT, 1):
            await hand.press("space" if char == " " else char)
            assert app.editor.text == TEXT[:number]  # painted while a pass runs, or none
            assert app.state.prompt == TEXT[:number]
            if not at_once and number % EACH == 0:
                await until(hand, lambda: held.running > 0 or held.finished > 0, "a pass")
                assert app.result is first or app.result is None or app.result.trace.prompt != TEXT
                scene = app.scene(*app.size)
                assert scene.stale or app.result is None or app.result.trace.prompt == app.state.prompt
        last = storyteller.prompt_ids(TEXT)
        await until(hand, lambda: held.running == 1 and held.ids == last, "a pass for the last text, the others stopped")
        held.gate.set()
        await settled(app, hand)
        await until(hand, lambda: app.result is not None and app.result.trace.prompt == TEXT, "the last text's result")
        assert held.most == 1
        assert held.finished <= 2  # a stopped one may have been past its last look
        assert held.begun <= len(TEXT) + 1
        assert not app.scene(*app.size).stale
        monkeypatch.setattr(GPT2, "stoppable_forward", held.plain)
        await hand.press("enter")
        assert screen_text(app) == expected_text(app, storyteller, (120, 36))

    drive(test, storyteller, ExplorerState(prompt=ONCE))  # type: ignore[arg-type]


def test_other_keys_work_while_a_pass_runs(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Temperature, zoom and cursor act on what is there, which is called old."""
    held = Held()

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        held.plain = GPT2.stoppable_forward
        monkeypatch.setattr(GPT2, "stoppable_forward", lambda model, ids, **options: held.forward(model, ids, **options))
        await hand.press("slash", "exclamation_mark", "enter")
        await until(hand, lambda: held.running == 1, "the pass")
        await hand.press("right_square_bracket", "enter", "enter", "up", "escape")
        assert app.state.temperature == 1.1
        assert app.state.location.block == 0
        assert app.scene(*app.size).stale
        assert held.running == 1
        held.gate.set()
        await settled(app, hand)
        assert app.state.temperature == 1.1
        assert app.result is not None
        assert app.result.trace.prompt == ONCE + "!"
        assert not app.scene(*app.size).stale

    drive(test, storyteller, ExplorerState(prompt=ONCE))  # type: ignore[arg-type]


def test_no_key_writes_the_prompt_out(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual described each worker by its arguments: after a paste of 10 MB that took most of a key's time."""
    written: list[str] = []
    monkeypatch.setattr(ExplorerState, "__repr__", lambda state: written.append("state") or "state")  # type: ignore[func-returns-value]
    monkeypatch.setattr(GPT2, "__repr__", lambda model: written.append("model") or "model")  # type: ignore[func-returns-value]

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        await hand.press("slash", "x")
        await settled(app, hand)
        assert app.state.prompt == ONCE + "x"
        assert not written

    drive(test, storyteller, ExplorerState(prompt=ONCE))
