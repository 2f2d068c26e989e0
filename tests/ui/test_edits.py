"""A run is its model, its ids and what was changed on the way: nothing anywhere shows a number of the unchanged run as the changed one's."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from tests.ui.harness import ONCE, drive, expected_text, screen_text, settled, until
from txexplain.engine.derive import Lens
from txexplain.engine.interventions import Set
from txexplain.engine.model import GPT2
from txexplain.engine.surprisal import surprisal
from txexplain.engine.trace import Trace
from txexplain.explorer.location import parse
from txexplain.ui.app import ExplorerApp

EDIT = Set("blocks.2.attn.z", 0, head=3)
SIZE = (120, 40)
PLACES = ("model", "L2", "L2H3", "L2H3[6,3]", "L4.mlp", "residual", "heads", "output", "L2.proj", "embed")


def changed(model: GPT2, ids: Any) -> Trace:
    return model.forward(ids, interventions=[EDIT])


def test_all_that_is_shown_is_of_the_changed_run(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edit is put in by hand while the plain run is on screen, with its ribbons, its surprisal and its bars held."""
    plain = GPT2.stoppable_forward

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        app.animation_level = "none"  # a zoom's frames aren't what this is about
        await until(hand, lambda: len(app.surprised[1]) == 7, "the surprisal")
        await hand.press("b")
        before = app.lens
        assert before is not None
        monkeypatch.setattr(GPT2, "stoppable_forward", lambda *args, **options: plain(*args, **{**options, "interventions": (EDIT,)}))
        app.run_model()
        await until(hand, lambda: app.lens is not before and not app.running, "the changed run")
        await settled(app, hand)
        assert app.ribbons() is None  # what a changed z moved isn't told by shares and values
        assert "ribbons: not recorded: blocks.2.attn.z was changed by hand" in "\n".join(screen_text(app))
        assert app.lens is not None
        ids = app.lens.trace.ids
        assert app.lens.trace.interventions == (EDIT,)
        fresh = Lens(changed(storyteller, list(ids)), storyteller)
        for name in fresh.trace.names:
            np.testing.assert_allclose(app.lens.trace[name], fresh.trace[name], rtol=1e-5, atol=1e-4, err_msg=name)
        assert app.distribution is not None
        np.testing.assert_allclose(app.distribution.logits, fresh.trace["logits"], rtol=1e-5, atol=1e-4)
        await until(hand, lambda: app.surprised[0] == app.lens.trace.run, "the changed run's surprisal")
        wanted = surprisal(fresh.trace, storyteller.unembedding)
        plain_run = surprisal(before.trace, storyteller.unembedding)
        for now, new, old in zip(app.surprised[1][1:], wanted[1:], plain_run[1:], strict=True):
            assert now is not None
            assert new is not None
            assert old is not None
            assert now.bits == pytest.approx(new.bits, rel=1e-3, abs=1e-4)
        assert any(abs(a.bits - b.bits) > 0.01 for a, b in zip(wanted[1:], plain_run[1:], strict=True) if a and b)
        assert len(app.history) == 2  # the same ids in the same setting, and yet another run
        assert app.held is not None
        assert app.held.run == before.trace.run
        await hand.press("b")  # let go: a fresh screen has nothing to hold
        for place in PLACES:
            app.change(replace(app.state, location=parse(place)))
            await settled(app, hand)
            assert screen_text(app) == expected_text(app, storyteller, SIZE), place

    drive(test, storyteller, size=SIZE)


def test_a_run_goes_to_another_process_whole(storyteller: GPT2) -> None:
    trace = changed(storyteller, storyteller.prompt_ids(ONCE))
    there = pickle.loads(pickle.dumps(trace))
    assert (there.ids, there.interventions, there.config, there.names) == (trace.ids, trace.interventions, trace.config, trace.names)
    for name in trace.names:
        np.testing.assert_array_equal(there[name], trace[name])
    assert there.run != trace.run
    with pytest.raises(ValueError, match="same model"):
        storyteller.forward(trace.ids, prefix=there)
