"""The screen as a whole: panes that tile it, and pictures that depend on nothing but their inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.viz.reading import scene_at
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.explorer.choice import distribution_of
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.scenes import scene_of
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.viz.screen import SMALLEST, Rect, inputs, layout, layout_of, paint_pane, paint_screen
from txexplain.viz.views.chrome import prompt_rows

PLACES = [
    "model",
    "model[output]",
    "L1",
    "L1[qkv]",
    "L1.attn[2]",
    "L0H1",
    "L0H1:qk[3,2]",
    "L0H1[3,2]",
    "output",
    "heads",
    "embed",
    "L1.mlp",
]


@examples(200)
@given(st.integers(1, 400), st.integers(1, 120), st.sampled_from(["", "explain", "lesson"]), st.booleans())
def test_the_panes_tile_the_screen(width: int, height: int, side: str, lecture: bool) -> None:
    covered = np.zeros((height, width), dtype=int)
    rects = layout(width, height, side, lecture=lecture)
    if side != "explain":
        assert ("side" in rects) == (side != "" and "small" not in rects)
    for rect in rects.values():
        assert rect.x >= 0
        assert rect.y >= 0
        assert rect.width > 0
        assert rect.height > 0
        covered[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width] += 1
    assert (covered == 1).all()


def test_at_80_by_24_the_rows_are_those_of_the_design() -> None:
    rects = layout(80, 24)
    assert {name: rect.height for name, rect in rects.items()} == {"header": 1, "prompt": 2, "stage": 14, "panel": 6, "footer": 1}


@pytest.fixture(scope="module")
def result(tiny: GPT2) -> Result:
    trace = tiny.forward([7, 3, 3, 60, 0, 12, 41])
    assert trace is not None
    return Result(trace, tiny)


def scene(result: Result, state: ExplorerState, size: tuple[int, int] = (100, 30), **more: object) -> Scene:
    return scene_of(
        state, Palette(), size, result, distribution=distribution_of(result, state), ribbons=tuple(result.flow("norms")), **more
    )


def same(a: Canvas, b: Canvas) -> bool:
    planes = ((a.chars, b.chars), (a.fg, b.fg), (a.bg, b.bg), (a.attrs, b.attrs))
    return all(np.array_equal(x, y) for x, y in planes) and [h.target for h in a.hits] == [h.target for h in b.hits]


def test_equal_inputs_give_equal_pictures(result: Result) -> None:
    """A pane that isn't drawn again mustn't have changed."""
    base = ExplorerState(model="m", ids=result.trace.ids)
    states = [replace(base, location=parse(place)) for place in PLACES]
    changes = [
        {"temperature": 0.5},
        {"mode": "top-k", "k": 3},
        {"mode": "top-p", "p": 0.5},
        {"seed": 9},
        {"flow": "rollout"},
    ]
    rects = layout(100, 30, "explain")
    drawn: dict[tuple[str, object], Canvas] = {}
    compared = 0
    for state in states:
        first = scene(result, state, side="explain")
        variants = [
            first,
            replace(first, candidate=2),
            replace(first, scroll=3),
            replace(first, pane="panel"),
            replace(first, cost="3 ms"),
            replace(first, stale=True),
            replace(first, stale=True, faded=True),
        ]
        variants += [replace(first, hover=parse("L0H1:qk[2,1]")), replace(first, message="Said.")]
        for change in changes:
            other = replace(state, **change)  # type: ignore[arg-type]
            # As the app does, the distribution stays the very same object where the sampling does.
            fresh = first.distribution if other.sampling == state.sampling else distribution_of(result, other)
            variants.append(replace(first, state=other, distribution=fresh))
        for variant in variants:
            for name, rect in rects.items():
                canvas = paint_pane(name, variant, rect)
                key = (name, inputs(name, variant, rect))
                if key in drawn:
                    compared += 1
                    assert same(canvas, drawn[key]), (name, str(state.location))
                drawn[key] = canvas
    assert compared > 100


def test_a_screen_that_is_too_small_says_what_it_needs() -> None:
    text = " ".join(" ".join(paint_screen(Scene(ExplorerState(), Palette(), 30, 5)).text()).split())
    assert f"{SMALLEST[0]}×{SMALLEST[1]}" in text
    assert "30×5" in text


def test_a_pane_is_as_large_as_its_place(result: Result) -> None:
    for name, rect in {"stage": Rect(0, 0, 61, 14), "panel": Rect(0, 0, 40, 20), "header": Rect(0, 0, 60, 1)}.items():
        canvas = paint_pane(name, scene(result, ExplorerState(model="m")), rect)
        assert (canvas.width, canvas.height) == (rect.width, rect.height)


@pytest.mark.parametrize("size", [(80, 24), (80, 50), (100, 29), (120, 36), (200, 60)])
def test_the_prompt_has_the_rows_that_it_needs_and_no_more(wordy: Result, size: tuple[int, int]) -> None:
    for pane in ("stage", "prompt"):
        scene = replace(scene_at(wordy, "model", size), pane=pane)
        rects, most = layout_of(scene), layout(*size)["prompt"].height
        needed = len(prompt_rows(scene, size[0] - 3))
        assert rects["prompt"].height == (most if pane == "prompt" else min(needed, most))
        assert rects["stage"].y == 1 + rects["prompt"].height
        covered = sum(rect.width * rect.height for rect in rects.values())
        assert covered == size[0] * size[1]


def test_at_the_output_the_stage_has_the_width_and_the_panel_says_what_was_drawn(story_result: Result) -> None:
    scene = scene_at(story_result, "output", (120, 36))
    assert scene.distribution is not None
    rects = layout_of(scene)
    assert (rects["stage"].width, rects["panel"].width, rects["panel"].height) == (120, 120, 3)
    drawn = scene.distribution.draw(0.4)
    panel = paint_pane("panel", replace(scene, draw=drawn, drawn_from=scene.distribution), rects["panel"])
    assert "T 1.00" in panel.text()[0]
    assert "▲" in panel.text()[1]
    assert "drew" in panel.text()[2]
    assert not any(isinstance(hit.target, tuple) and hit.target[0] == "candidate" for hit in panel.hits)
    assert layout_of(replace(scene, side="explain"))["panel"].width == 40
