"""Where memory is lacking the app says so in one sentence, and goes on: in workers, in drawing, in what keys do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.ui.harness import ONCE, become, drive, pane_text, press, said, settled, until
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.errors import NO_MEMORY
from txexplain.explorer.session import answers
from txexplain.explorer.session.keys import KEYS
from txexplain.explorer.state import ExplorerState
from txexplain.ui import app as module
from txexplain.ui.app import ExplorerApp


def lacking(*_: Any, **__: Any) -> Any:
    raise MemoryError


def test_a_lack_of_memory_ends_nothing(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = module.paint_pane

    def drawn(name: str, scene: Any, rect: Any) -> Any:
        too_much = name == "stage" and scene.shown is not None and scene.location.kind == "block"
        return lacking() if too_much else plain(name, scene, rect)

    def has_said(app: ExplorerApp) -> bool:
        return said(app) == [NO_MEMORY]

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        with monkeypatch.context() as patch:  # drawing
            patch.setattr(module, "paint_pane", drawn)
            await press(app, pilot, "enter")
            assert app.state.location.kind == "block"
            assert "too little memory" in " ".join(pane_text(app, "stage"))
            assert "bits" in " ".join(pane_text(app, "panel"))
            await press(app, pilot, "escape")
            assert "too little memory" not in " ".join(pane_text(app, "stage"))
        with monkeypatch.context() as patch:  # what a key does
            patch.setitem(KEYS, "atlas", lacking)
            await pilot.press("a")
            await until(pilot, lambda: has_said(app), "the sentence")
        app.clear_notifications()
        with monkeypatch.context() as patch:  # a worker beside the run
            patch.setattr(Result, "flow", lacking)
            assert app.result is not None
            await pilot.press("w")
            await until(pilot, lambda: has_said(app), "the sentence")
        app.clear_notifications()
        with monkeypatch.context() as patch:  # what is made of a run once it is there
            patch.setattr(answers, "distribution_of", lacking)
            become(app, answers.run(app.session))
            await until(pilot, lambda: app.session.message == NO_MEMORY, "the sentence")
        with monkeypatch.context() as patch:  # the run
            patch.setattr(GPT2, "stoppable_forward", lacking)
            app.session = replace(app.session, message="", prefix=None)  # the same run isn't run again
            become(app, answers.run(app.session))
            await until(pilot, lambda: app.session.message == NO_MEMORY, "the sentence")
            assert "too little memory" in " ".join(pane_text(app, "stage"))
        become(app, answers.run(app.session))
        await settled(app, pilot)
        assert app.session.message == ""

    drive(test, storyteller, ExplorerState(prompt=ONCE))


def test_a_model_too_large_for_the_memory_is_a_sentence(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.session.message == NO_MEMORY, "the sentence")

    drive(test, storyteller, load=lacking, wait=False)
