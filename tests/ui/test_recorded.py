"""The app on a recorded run: all that was recorded can be looked at and sampled from; nothing can be made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot

from tests.ui.harness import ONCE, drive, fresh, pane_text, said, screen_text, until
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution
from txexplain.engine.trace import Trace
from txexplain.explorer.session.events import Opened
from txexplain.explorer.state import ExplorerState, from_flags
from txexplain.ui.app import ExplorerApp

App, Hand = ExplorerApp, Pilot[None]


@pytest.fixture
def whole(storyteller: GPT2, tmp_path: Path) -> Path:
    fresh(storyteller, ONCE).save(tmp_path / "t.safetensors")
    return tmp_path / "t.safetensors"


def replay(test: object, path: Path, state: ExplorerState | None = None) -> None:
    drive(test, None, state or from_flags(trace=str(path)), load=lambda: Result(Trace.load(path), None))  # type: ignore[arg-type]


def test_a_recorded_run_is_shown_and_sampled_from(storyteller: GPT2, whole: Path) -> None:
    logits = fresh(storyteller, ONCE).last_logits

    async def test(app: App, hand: Hand) -> None:
        assert "trace of storyteller" in screen_text(app)[0]
        assert "w shows attention rollout" in "\n".join(pane_text(app, "stage"))
        for key in ("left_square_bracket", "left_square_bracket", "s", "equals_sign"):
            await hand.press(key)
        assert (app.state.temperature, app.state.mode, app.state.k) == (0.8, "top-k", 6)
        want = distribution(logits, 0.8, top_k=6)
        assert app.session.distribution is not None
        np.testing.assert_allclose(app.session.distribution.probability, want.probability, rtol=1e-6)
        await hand.press("w")
        await until(hand, lambda: app.scene(*app.size).ribbons is not None, "the rollout's ribbons")
        for key in ("enter", "enter", "enter"):
            await hand.press(key)
        assert str(app.state.location) == "L0H0"
        assert "softmax = " in "\n".join(pane_text(app, "stage"))
        await hand.press("y")
        assert any(f"--trace {whole}" in text and "--model" not in text for text in said(app))

    replay(test, whole)


@pytest.mark.parametrize("key", ["space", "g", "slash", "e", "x"])
def test_what_needs_the_model_is_refused_in_one_sentence(whole: Path, key: str) -> None:
    async def test(app: App, hand: Hand) -> None:
        before = app.state
        await hand.press(key)
        await hand.pause()
        assert (app.state, app.session.pane, len(app.screen_stack), app.session.generating, app.session.queued) == (
            before,
            "stage",
            1,
            False,
            0,
        )
        assert ["recorded run" in text and text.count(".") == 1 for text in said(app)] == [True]

    replay(test, whole)


def test_the_window_s_name_is_the_run_s_own(whole: Path) -> None:
    names: list[str] = []

    async def test(app: App, hand: Hand) -> None:
        assert app.result is not None
        app._driver.entitle = names.append  # type: ignore[union-attr]
        app.session = replace(app.session, result=None)
        app.happen(Opened("load", Result(Trace.load(whole), None)))

    replay(test, whole)
    assert names == [f"txexplain trace of storyteller: {Trace.load(whole).prompt}"]


def test_a_candidate_cannot_be_appended(whole: Path) -> None:
    async def test(app: App, hand: Hand) -> None:
        await hand.press("tab", "down", "enter", "u")
        assert (app.session.candidate, app.state.ids, app.running) == (1, None, False)
        assert any("needs the model" in text for text in said(app))

    replay(test, whole)


def test_surprisal_of_a_run_with_every_positions_logits(storyteller: GPT2, tmp_path: Path) -> None:
    trace = storyteller.forward(storyteller.prompt_ids(ONCE), all_logits=True)
    assert trace is not None
    trace.save(tmp_path / "t")

    async def test(app: App, hand: Hand) -> None:
        await until(hand, lambda: len(app.session.surprised[1]) == 7, "the surprisal of each token")
        p = np.exp(trace["logits"][5].astype(np.float64))
        assert app.session.surprised[1][6] is not None
        assert app.session.surprised[1][6].probability == pytest.approx(p[trace.ids[6]] / p.sum(), rel=1e-5)

    replay(test, tmp_path / "t")


def test_a_place_that_the_run_lacks_gives_way_in_the_app(whole: Path) -> None:
    async def test(app: App, hand: Hand) -> None:
        assert str(app.state.location) == "L5H7:softmax[6,6]"

    replay(test, whole, from_flags(trace=str(whole), at="L50H70:softmax[60,60]"))
