"""Films on the app's stage: they go on, pause and step, and leave the stage as it was."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from tests.ui.harness import ONCE, drive, pane_text, press, screen_text
from txexplain.engine.model import GPT2
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.ui.app import ExplorerApp


@pytest.mark.parametrize("at", ["model", "L3H5", "output"])
def test_a_film_is_shown_step_by_step_and_leaves_nothing_behind(storyteller: GPT2, at: str) -> None:
    """Without animations it waits for steps; Escape ends it there, any other key ends it and does what it does."""

    async def look(app: ExplorerApp, pilot: Pilot[None]) -> None:
        app.animation_level = "none"
        before = pane_text(app, "stage")
        await press(app, pilot, "M")
        assert app.motion.timer is None
        (film, first) = app.motion.film, pane_text(app, "stage")
        assert film is not None
        assert first[-1].startswith(f" 1 of {film.frames}   . a step   M plays   esc ends")
        await press(app, pilot, "full_stop", "full_stop")
        assert str(app.state.location) == at
        assert pane_text(app, "stage") == film.frame(2).text()
        await press(app, pilot, "comma", "comma", "comma")
        assert pane_text(app, "stage") == first
        await press(app, pilot, "escape")
        assert (pane_text(app, "stage"), str(app.state.location)) == (before, at)
        await press(app, pilot, "M", "full_stop", "T")
        assert app.motion.film is None
        assert pane_text(app, "stage") == before
        assert app.tones.theme != "dark"

    drive(look, storyteller, ExplorerState(prompt=ONCE, location=parse(at)))


def test_a_film_goes_on_by_itself_pauses_and_ends_where_it_says(storyteller: GPT2) -> None:
    async def look(app: ExplorerApp, pilot: Pilot[None]) -> None:
        app.animation_level = "full"
        await press(app, pilot, "M")
        motion = app.motion
        assert motion.timer is not None
        assert motion.film is not None
        await press(app, pilot, "M")
        assert motion.timer is None
        at = motion.at
        await press(app, pilot, "M")
        assert motion.timer is not None
        for _ in range(motion.film.frames):
            motion.tick()
        assert (motion.at, motion.timer) == (motion.film.frames - 1, None)
        assert at < motion.at
        await press(app, pilot, "w")  # another picture than the film's
        assert not motion.playing
        assert "rollout" in "\n".join(pane_text(app, "stage"))

    drive(look, storyteller, ExplorerState(prompt=ONCE))


def test_where_nothing_moves_the_key_says_so(storyteller: GPT2) -> None:
    async def look(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "M")
        assert app.motion.film is None
        assert "M shows how it comes about in the model view" in "\n".join(screen_text(app))

    drive(look, storyteller, ExplorerState(prompt=ONCE, location=parse("L3")))
