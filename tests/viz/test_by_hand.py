"""A run that was changed by hand: what is shown is true of that run, and what a change made untrue is said not to be told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.engine.test_run import IDS, edited, zero
from tests.explorer.test_explain import Bent
from txexplain.engine.derive import Result
from txexplain.engine.interventions import Cut, Set
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace
from txexplain.errors import ChangedByHand, NotRecorded
from txexplain.explorer.choice import distribution_of, finish
from txexplain.explorer.edits import read_flags
from txexplain.explorer.history import Moment
from txexplain.explorer.location import Location, parse
from txexplain.explorer.places import KINDS, PLACES
from txexplain.explorer.runs import run
from txexplain.explorer.state import ExplorerState
from txexplain.facts import head, linear, mlp, norm, product, residual
from txexplain.facts.by_hand import recomputable
from txexplain.front.scenes import scene_of
from txexplain.viz.describe import describe
from txexplain.viz.palette import Palette
from txexplain.viz.views import paint_stage
from txexplain.viz.views.explain import explain_text

SIZE = (148, 54)


def changed(tiny: GPT2, name: str, which: int = 1) -> Result:
    return Result(edited(tiny, IDS, zero(name, which)), tiny)


def rooms(result: Result, at: str) -> list[str]:
    """A place as the stage draws it, as `i` explains it, and as `describe` says it."""
    state = ExplorerState(model="a model", location=parse(at))
    ribbons = None if result.flow_lacks("norms") else tuple(result.flow("norms"))
    scene = scene_of(state, Palette(), SIZE, result, distribution=distribution_of(result, state), ribbons=ribbons)
    return ["\n".join(paint_stage(scene).text()), explain_text(scene, 400), describe(scene)]


def test_a_head_that_was_switched_off_moves_nothing_that_is_told(tiny: GPT2) -> None:
    result = changed(tiny, "blocks.1.attn.z")
    with pytest.raises(ChangedByHand, match=r"blocks\.1\.attn\.z was changed by hand"):
        product.moved(result, 1, 1, 6, 2)
    with pytest.raises(ChangedByHand):
        product.moved_reading(result, 1, 1, 6, 2)
    assert not head.has_stage(result, 1, 1, "values")
    assert product.moved(result, 1, 0, 6, 2).length > 0  # another head moves what it moved
    assert "into a stream of" in rooms(result, "L1H0[6,2]")[0]
    assert product.moved(result, 0, 1, 6, 2).length > 0  # the other block is what it was
    for text in rooms(result, "L1H1[6,2]"):
        assert "blocks.1.attn.z" in text
        assert "changed by hand" in text
        assert "into a stream of" not in text
    assert linear.head_lengths(result, 1, 6)[1] == 0  # what z itself adds is the run's own
    assert linear.head_lengths(result, 1, 6)[0] > 0


def test_a_view_that_is_of_a_formula_says_that_it_does_not_hold(tiny: GPT2) -> None:
    result = changed(tiny, "blocks.1.attn.z")
    stage = " ".join(rooms(result, "L1H1:values")[0].split())
    assert "blocks.1.attn.z was changed by hand, so that its formula, which this view shows, doesn't hold here." in stage


@pytest.mark.parametrize("value", [40.0, -40.0])
def test_a_neuron_that_was_set_stands_off_its_curve(tiny: GPT2, value: float) -> None:
    """The point is at what the neuron was set to, in the picture and not above or below it."""
    result = Result(edited(tiny, IDS, Set("blocks.1.mlp.post", value, index=7)), tiny)
    stage = rooms(result, "L1.mlp[7]")[0].split("\n")
    (point,) = [(y, row.index("●")) for y, row in enumerate(stage) if "●" in row]
    curve = [y for y, row in enumerate(stage) if any("\u2800" < char <= "\u28ff" for char in row)]
    assert point[0] < min(curve) if value > 0 else point[0] > max(curve[:3])
    assert "changed by hand: mlp.post" in stage[1]


def test_ribbons_are_not_traced_through_a_changed_head(tiny: GPT2) -> None:
    result = changed(tiny, "blocks.1.attn.z")
    assert "blocks.1.attn.z" in result.flow_lacks("norms")
    with pytest.raises(NotRecorded):
        result.flow("norms")
    assert not result.flow_lacks("rollout")
    stage, _, described = rooms(result, "model")
    assert "ribbons: not told: blocks.1.attn.z was changed by hand" in stage
    assert "w shows attention rollout instead" in stage
    assert "blocks.1.attn.z was changed by hand" in described
    assert not changed(tiny, "blocks.1.attn.q").flow_lacks("norms")  # pattern and z follow from changed queries as from others


@pytest.mark.parametrize("name", ["attn.q", "attn.k", "attn.v"])
def test_what_follows_from_a_change_is_told(tiny: GPT2, name: str) -> None:
    """q · k, shares and what is moved are those of the changed run: only how the changed one came about isn't told."""
    result = changed(tiny, f"blocks.1.{name}")
    scores = result.trace["blocks.1.attn.attn_scores"][1, 6, :7]
    np.testing.assert_allclose([head.score(result, 1, 1, 6, key).scaled for key in range(7)], scores, rtol=1e-5, atol=1e-6)
    moved = sum(product.moved(result, 1, 1, 6, key).values for key in range(7))
    weight = tiny.blocks[1]["attn.c_proj.weight"][8:16]
    np.testing.assert_allclose(moved, result.trace["blocks.1.attn.z"][6, 1] @ weight, rtol=1e-4, atol=1e-6)
    part = "qkv".index(name[-1])
    with pytest.raises(ChangedByHand):
        linear.dot(result, 1, linear.QKV, 6, 24 * part + 8)
    assert linear.dot(result, 1, linear.QKV, 6, 24 * ((part + 1) % 3) + 8).terms.values.any()


def test_a_cut_edge_is_a_change_of_its_row(tiny: GPT2) -> None:
    result = Result(edited(tiny, IDS, Cut(1, head=1, edges=[(6, 2)])), tiny)
    assert not head.score(result, 1, 1, 6, 2).holds
    assert head.score(result, 1, 1, 5, 2).holds
    assert head.score(result, 1, 0, 6, 2).holds
    assert head.share(result, 1, 1, 6, 2).share == 0
    assert product.moved(result, 1, 1, 6, 2).length == 0  # the share that is left, and nothing else, moves
    assert "changed by hand" in rooms(result, "L1H1[6,2]")[1]


def test_changed_scores_are_said_beside_what_they_would_be(tiny: GPT2) -> None:
    result = Result(edited(tiny, IDS, Bent("blocks.1.attn.attn_scores")), tiny)
    for text in rooms(result, "L1H1[6,2]"):
        assert "changed by hand" in text
    assert product.moved(result, 1, 1, 6, 2).length > 0  # by the changed share


def test_an_embedding_and_a_share_that_were_set_are_said_to_be(tiny: GPT2) -> None:
    set_row = Result(edited(tiny, IDS, Set("embed", 1.0, rows=2), Set("blocks.1.attn.pattern", 0.25, head=1, rows=6)), tiny)
    assert "wte  = changed by hand" in rooms(set_row, "embed@2")[0]
    assert "wte  = row" in rooms(set_row, "embed@1")[0]
    assert "changed: 0.250" in rooms(set_row, "L1H1[6,2]")[0]
    assert "changed" not in rooms(set_row, "L1H0[6,2]")[0]


OTHERS = {"[5,1]": ("--cut", "[5,1]"), "L1H1": ("--ablate", "L1H1=zero"), "L0.resid@3": ("--ablate", "L0.resid@3=0.5")}
SEEN = [
    replace(Location(kind, block=1, head=1, query=6, key=2, neuron=3), face=face)
    for kind in KINDS
    for face in (None, *PLACES[kind].faces[1:])
]


@pytest.mark.parametrize("change", OTHERS)
def test_no_stage_shows_a_number_of_the_run_without_the_changes(tiny: GPT2, change: str) -> None:
    """With quite another run in place of the unchanged one, each stage is the same."""
    edits = read_flags([OTHERS[change]])
    result = run(ExplorerState(ids=tuple(IDS), edits=edits), tiny)
    assert result is not None
    other = Result(result.trace, tiny)
    other.plain = Result(tiny.forward([7] * len(IDS)), tiny)
    for place in SEEN:
        state = ExplorerState(model="a model", location=place, edits=edits, answer="#3", against="#9")
        pictures = []
        for each in (result, other):
            finish(each, state)
            found = distribution_of(each, state)
            assert found is not None
            held = Moment.of(state, each.trace.run, found)  # else it is the unchanged run that is held
            pictures.append(paint_stage(scene_of(state, Palette(), SIZE, each, distribution=found, held=held)).text())
        assert pictures[0] == pictures[1], place


def test_each_fact_asks_for_the_formulas_that_it_rests_on(tiny: GPT2) -> None:
    for name, ask in {
        "blocks.1.attn_out": lambda result: linear.dot(result, 1, linear.PROJ, 6, 3),
        "blocks.1.mlp.pre": lambda result: linear.dot(result, 1, linear.FC, 6, 3),
        "blocks.1.mlp_out": lambda result: mlp.adds(result, 1, 6),
        "blocks.1.ln1.normalized": lambda result: norm.norm(result, "blocks.1.ln1", 6),
        "ln_final.normalized": lambda result: norm.norm(result, "ln_final", 6),
        "blocks.0.attn.z": lambda result: head.weighted(result, 0, 2),
    }.items():
        ask(Result(tiny.forward(IDS), tiny))
        result = Result(edited(tiny, IDS, Set(name, 0)), tiny)
        assert not recomputable(result, name)
        assert recomputable(result, "blocks.0.resid_mid")
        with pytest.raises(ChangedByHand) as caught:
            ask(result)
        assert caught.value.name == name
        earlier = Result(edited(tiny, IDS, Set(name, 0, rows=5)), tiny)
        if name != "blocks.0.attn.z":  # a grid has all rows
            ask(earlier)


def test_a_stream_that_was_set_has_a_part_more(tiny: GPT2) -> None:
    result = Result(edited(tiny, IDS, Set("blocks.0.resid_mid", 0)), tiny)
    read = residual.residual(result, 6, (5, 7)).direct
    assert read is not None
    assert abs(read.changed) > 0.01
    assert read.total == pytest.approx(float(result.trace.last_logits[5] - result.trace.last_logits[7]), abs=1e-4)


def test_what_left_a_block_and_what_enters_the_next_are_one(tiny: GPT2) -> None:
    result = Result(edited(tiny, IDS, Set("blocks.1.resid_pre", 0)), tiny)
    assert not recomputable(result, "blocks.0.resid_post")
    assert recomputable(result, "blocks.1.resid_post")


def test_a_file_of_a_changed_run_is_not_completed_with_what_the_change_replaced(tiny: GPT2) -> None:
    whole = edited(tiny, IDS, zero("blocks.1.attn.pattern", 1))
    kept = {name: (whole[name],) for name in whole.names if not name.endswith(("pattern", "attn_scores"))}
    result = Result(Trace(IDS, kept, config=tiny.config, interventions=whole.interventions), None)
    assert result.trace.interventions == whole.interventions
    assert "blocks.0.attn.pattern" in result.trace
    assert "blocks.1.attn.pattern" not in result.trace


@pytest.mark.parametrize("at", ["L1", "L1.ln1", "L1.qkv", "L1.proj", "L1.mlp", "L1.mlp[3]", "L1H1:values", "L1H1", "residual", "embed[3]"])
def test_every_room_stands_whatever_was_changed(tiny: GPT2, at: str) -> None:
    for name in ("attn.z", "attn_out", "mlp.pre", "mlp.post", "mlp_out", "attn.pattern", "ln1.normalized", "resid_mid", "attn.q"):
        for text in rooms(Result(edited(tiny, IDS, Bent(f"blocks.1.{name}")), tiny), at):
            assert text.strip()
