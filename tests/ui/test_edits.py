"""A run is its model, its ids and what was changed on the way: nothing anywhere shows a number of the unchanged run as the changed one's."""

from __future__ import annotations

import pickle
import re
import shlex
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from tests.ui.harness import ONCE, become, expected_text, press, said, screen_text, settled, until
from tests.ui.paper import on_paper
from txexplain.engine.derive import Result
from txexplain.engine.interventions import Set
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution, uniform
from txexplain.engine.surprisal import surprisal
from txexplain.engine.trace import Trace
from txexplain.explorer import edits
from txexplain.explorer.location import Location, parse
from txexplain.explorer.places import KINDS
from txexplain.explorer.session import answers
from txexplain.explorer.state import ExplorerState
from txexplain.ui.app import ExplorerApp

GIVING = "When Tom and Anna went to the park, Tom gave a ball to"
EDIT = Set("blocks.2.attn.z", 0, head=3)
SIZE = (120, 40)
AT = {kind: str(Location(kind, block=2, head=3)) for kind in KINDS} | {
    "head": "L2H3:values[6,3]", "product": "L2H3[6,3]", "neuron": "L2.mlp[7]", "residual": "residual[L2.attn]",
}  # fmt: skip
PLACES = (*AT.values(), "L2H2[6,3]", "L2H3", "L4.qkv:matrix", "heads:induction", "L2[proj]", "embed:nearest", "model[L2]@3", "output@2")


def changed(model: GPT2, ids: Any) -> Trace:
    return model.forward(ids, interventions=[EDIT])


async def go(app: ExplorerApp, hand: Pilot[None], place: str) -> None:
    become(app, answers.change(app.session, replace(app.state, location=parse(place))))
    await settled(app, hand)


@pytest.mark.long
def test_all_that_is_shown_is_of_the_changed_run(storyteller: GPT2) -> None:
    """A head is switched off by key while the plain run is on screen, with its ribbons and its surprisal."""

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        app.animation_level = "none"  # a zoom's frames aren't what this is about
        await until(hand, lambda: len(app.session.surprised[1]) == 7, "the surprisal")
        before = app.result
        assert before is not None
        await go(app, hand, "L2.attn[3]")
        await press(app, hand, "X", "X")
        assert list(map(str, app.state.edits)) == ["L2H3=zero"]
        await go(app, hand, "model")
        assert app.scene(*app.size).ribbons is None  # what a changed z moved isn't told by shares and values
        assert "ribbons: not told: blocks.2.attn.z was changed by hand" in "\n".join(screen_text(app))
        assert app.result is not None
        ids = app.result.trace.ids
        assert app.result.trace.interventions == (EDIT,)
        fresh = Result(changed(storyteller, list(ids)), storyteller)
        for name in fresh.trace.names:
            np.testing.assert_allclose(app.result.trace[name], fresh.trace[name], rtol=1e-5, atol=1e-4, err_msg=name)
        assert app.session.distribution is not None
        np.testing.assert_allclose(app.session.distribution.logits, fresh.trace["logits"], rtol=1e-5, atol=1e-4)
        await until(hand, lambda: app.session.surprised[0] == app.result.trace.run, "the changed run's surprisal")
        wanted = surprisal(fresh.trace, storyteller.unembedding)
        plain_run = surprisal(before.trace, storyteller.unembedding)
        for now, new, old in zip(app.session.surprised[1][1:], wanted[1:], plain_run[1:], strict=True):
            assert now is not None
            assert new is not None
            assert old is not None
            assert now.bits == pytest.approx(new.bits, rel=1e-3, abs=1e-4)
        assert any(abs(a.bits - b.bits) > 0.01 for a, b in zip(wanted[1:], plain_run[1:], strict=True) if a and b)
        assert len(app.session.history) == 3  # the same ids in the same setting, and yet other runs
        scene = app.scene(*SIZE)
        assert scene.held is not None  # the plain run, beside the changed one
        assert scene.held.run == before.trace.run
        assert app.session.held is None
        for place in PLACES:
            await go(app, hand, place)
            assert screen_text(app) == expected_text(app, storyteller, SIZE), place
        await press(app, hand, "U")
        assert app.result is not None
        assert app.result.trace.run == before.trace.run
        assert screen_text(app) == expected_text(app, storyteller, SIZE)

    on_paper(test, storyteller, size=SIZE)


def test_the_line_under_the_header_says_what_is_off_and_what_it_did(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        plain = storyteller.forward(storyteller.prompt_ids(GIVING))["logits"]
        anna, tom = (storyteller.tokenizer.encode(name)[0] for name in (" Anna", " Tom"))
        for keys, text in ((["X"], "L4H6 at mean"), (["X"], "L4H6 at zero"), (["X"], None)):
            await press(app, hand, *keys)
            line = screen_text(app)[1]
            assert app.result is not None
            now = app.result.trace.last_logits
            if text is None:
                assert "When│ Tom" in line  # the prompt has its row again
                continue
            said = re.search(r"^ (.*) · Anna − Tom (\S+) → (\S+)", line)
            assert said is not None, line
            assert said[1] == text
            for shown, logits in ((said[2], plain), (said[3], now)):
                assert float(shown.replace("−", "-")) == pytest.approx(float(logits[anna] - logits[tom]), rel=0.01)
        assert app.state.edits == ()

    on_paper(test, storyteller, ExplorerState(prompt=GIVING, location=parse("L4.attn[6]")), size=SIZE)


KEYED = {  # what X makes of what is selected, key by key
    "L5H1:softmax[7,3]": ["L5H1[7,3]", "L5[7,3]", "[7,3]", ""], "L5H1[7,3]": ["L5H1[7,3]"], "model@3": ["[*,3]", ""], "heads[5.1]": ["L5H1"],
    "L3.mlp": ["L3.mlp", "L3.mlp=zero", ""], "L3.mlp[41]": ["L3.mlp[41]", "L3.mlp[41]=zero"], "residual[L3.attn]@4": ["L3.attn@4"],
    "L3[proj]": ["L3.attn"], "L3[fc]": ["L3.mlp"], "L5H1:qk[3,7]": [""], "output": [""], "final": [""], "embed@2": ["embed@2"],
}  # fmt: skip


@pytest.mark.parametrize("place", KEYED)
def test_x_switches_what_is_selected(storyteller: GPT2, place: str) -> None:
    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        for made in KEYED[place]:
            await press(app, hand, "X")
            assert " ".join(map(str, app.state.edits)) == made
        if not any(KEYED[place]):
            assert said(app) == [
                "Nothing is selected here that can be switched off: go to a head, an MLP, a neuron, a token, or a cell of a grid."
            ]

    on_paper(test, storyteller, ExplorerState(prompt=GIVING, location=parse(place)))


def test_p_patches_from_the_run_that_is_held(storyteller: GPT2) -> None:
    """The subject's number, carried by one head, found by what it does: patched, are becomes is."""
    other = "The key near the houses"

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        await press(app, hand, "P")
        assert "b holds this one" in said(app)[0]
        become(app, answers.change(app.session, app.state.with_prompt(other)))
        await settled(app, hand)
        await press(app, hand, "b")
        become(app, answers.change(app.session, app.state.with_prompt("The keys near the houses")))
        await settled(app, hand)
        await press(app, hand, "P")
        assert list(map(str, app.state.edits)) == ["L4H3=from"]
        ids, others = (storyteller.prompt_ids(text) for text in ("The keys near the houses", other))
        donor = storyteller.forward(others)["blocks.4.attn.z"][:, 3]
        wanted = storyteller.forward(ids, interventions=[Set("blocks.4.attn.z", donor, head=3, each=True)])
        assert app.result is not None
        np.testing.assert_allclose(app.result.trace["logits"], wanted["logits"], atol=1e-4)
        assert shlex.split(app.state.command_line())[-4:] == ["--patch", "L4H3", "--from-ids", ",".join(map(str, others))]
        await press(app, hand, "P")
        assert app.state.edits == ()
        assert "--from-ids" not in app.state.arguments()  # without a patch the command line would be refused

    on_paper(test, storyteller, ExplorerState(location=parse("L4.attn[3]")))


@pytest.mark.parametrize(("key", "place"), [("L", "lens[L5]"), ("D", "direct[L4H1]")])
def test_readings_are_looked_up_and_left_again(storyteller: GPT2, key: str, place: str) -> None:
    """From a head, over one another, and of a run that is changed while they are on screen."""

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        app.animation_level = "none"
        await press(app, hand, key)
        assert str(app.state.location) == place
        assert screen_text(app) == expected_text(app, storyteller, SIZE)
        become(app, answers.change(app.session, replace(app.state, edits=edits.read_flags([("--ablate", "L4H1=zero")]))))
        await settled(app, hand)
        assert screen_text(app) == expected_text(app, storyteller, SIZE)
        await press(app, hand, "d", "D", "L", "L")
        assert str(app.state.location) == "L4.attn[1]"

    on_paper(test, storyteller, ExplorerState(location=parse("L4.attn[1]")), size=SIZE)


def test_a_text_drawn_under_a_change_is_drawn_with_the_same_numbers(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        await press(app, hand, "X", "X", "space", "space")
        assert app.result is not None
        ids = list(storyteller.prompt_ids(ONCE))
        for _ in range(2):
            logits = storyteller.forward(ids, interventions=["L4H1=zero"])["logits"]
            ids.append(distribution(logits).draw(uniform(0, len(ids))).id)
        assert list(app.result.trace.ids) == ids
        assert app.result.trace.interventions

    on_paper(test, storyteller, ExplorerState(location=parse("L4.attn[1]")))


def test_a_run_goes_to_another_process_whole(storyteller: GPT2) -> None:
    trace = changed(storyteller, storyteller.prompt_ids(ONCE))
    there = pickle.loads(pickle.dumps(trace))
    assert (there.ids, there.interventions, there.config, there.names) == (trace.ids, trace.interventions, trace.config, trace.names)
    for name in trace.names:
        np.testing.assert_array_equal(there[name], trace[name])
    assert there.run != trace.run
    with pytest.raises(ValueError, match="same model"):
        storyteller.forward(trace.ids, prefix=there)
