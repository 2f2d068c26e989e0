"""The app's screen without the app: as text, as a picture, in words. Free of Textual and of clocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.derive import Result
from txexplain.engine.trace import Trace
from txexplain.errors import LessonError, NotRecorded
from txexplain.explorer.choice import dims_of, distribution_of, finish
from txexplain.explorer.edits import told_of_run
from txexplain.explorer.lesson import Lesson
from txexplain.explorer.location import check
from txexplain.explorer.reading import page_of
from txexplain.explorer.runs import required_run
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import Doing, footer
from txexplain.front.documents import candidate_fields, token_fields
from txexplain.front.lessons import read, where
from txexplain.front.names import names_of
from txexplain.front.options import UiOptions
from txexplain.front.scenes import palette_of, roomy, scene_of, surprisal_of
from txexplain.models import load_model
from txexplain.models.hub import NotHere
from txexplain.viz.canvas import plain_ascii
from txexplain.viz.describe import describe, document
from txexplain.viz.live import fill
from txexplain.viz.palette import THEMES, Palette
from txexplain.viz.poster import poster
from txexplain.viz.scene import Scene
from txexplain.viz.screen import paint_screen
from txexplain.viz.svg import svg
from txexplain.viz.tables import CANDIDATES
from txexplain.viz.views.explain import explain_text
from txexplain.viz.views.lesson import page_lines, page_scene

EXPLAINED = 76  # cells of a line of `explain`


def result_of(state: ExplorerState, *, may_fetch: bool = True) -> Result:
    """Run the model, or open the trace, that a state names; may_fetch: from the hub, too.

    Raises ExplainError, LocationError for a place that isn't there.
    """
    if state.trace is not None:
        return open_trace(state)
    model = load_model(state.model, revision=state.revision, tokenizer=state.tokenizer, specials=state.specials, may_fetch=may_fetch)
    result = required_run(state, model)
    check(state.location, replace(dims_of(result), model=state.model))
    return result


def open_trace(state: ExplorerState) -> Result:
    """The run that a state's trace file holds. Raises TraceError, LocationError for a place that it lacks."""
    assert state.trace is not None
    result = Result(Trace.load(state.trace), None)
    check(state.location, dims_of(result))
    return result


def scene_for(
    state: ExplorerState, options: UiOptions, width: int, height: int, side: str = "", lesson: Lesson | None = None, page: int = 1,
    *, may_fetch: bool = True,
) -> Scene:  # fmt: skip
    """The finished screen of a state with something in its side pane, or of a lesson's page whose state it is. Raises LessonError."""
    try:
        result = result_of(state, may_fetch=may_fetch)
    except NotHere as error:
        if lesson is None:
            raise
        raise LessonError(f"{where(lesson, page_of(lesson, page))}: {error}") from None
    palette = palette_of(options)
    reading = None
    if lesson is not None:
        state, reading = read(lesson, page_of(lesson, page), state, result, palette)
    finish(result, state)
    doing = Doing(
        state.location.kind, recorded=state.trace is not None, lesson=reading is not None,
        answers=0 if reading is None else len(reading.page.answers), changed=bool(state.edits),
    )  # fmt: skip
    keys = footer(doing, ascii=palette.ascii)
    return scene_of(
        state, palette, (width, height), result, distribution=distribution_of(result, state), ribbons=ribbons_of(result, state.flow),
        keys=keys, surprisal=surprisal_of(result) if roomy(width, height) else None, reading=reading, side="lesson" if reading else side,
    )  # fmt: skip


def ribbons_of(result: Result, flow: str) -> tuple[NDArray[np.float64], ...] | None:
    """The ribbons' shares, where the run has what they are traced from."""
    try:
        return tuple(result.flow(flow))
    except NotRecorded:
        return None


def render_screen(
    state: ExplorerState,
    options: UiOptions,
    width: int,
    height: int,
    fmt: str,
    side: str = "",
    lesson: Lesson | None = None,
    page: int = 1,
    *,
    may_fetch: bool = True,
) -> str:
    """The screen as "svg", or as "txt": exactly `height` lines of the text of every cell."""
    if options.color == "auto":
        options = replace(options, color="truecolor")  # a file has no terminal to ask, for its ground neither
    options = replace(options, theme=options.theme if options.theme in THEMES else "dark")
    canvas = paint_screen(scene_for(state, options, width, height, side, lesson, page, may_fetch=may_fetch))
    return svg(canvas) if fmt == "svg" else "".join(f"{line}\n" for line in canvas.text())


def describe_screen(
    state: ExplorerState, options: UiOptions, lesson: Lesson | None = None, page: int = 1, *, may_fetch: bool = True
) -> str:
    """The view in sentences and a plain table; a lesson's page comes first."""
    scene = scene_for(state, options, 80, 24, "", lesson, page, may_fetch=may_fetch)
    text = page_text(scene) + describe(scene)
    return plain_ascii(text) if scene.palette.ascii else text


def describe_document(
    state: ExplorerState, options: UiOptions, lesson: Lesson | None = None, page: int = 1, *, may_fetch: bool = True
) -> dict[str, Any]:
    """The view as values; of a lesson's page its text, too."""
    scene = scene_for(state, options, 80, 24, "", lesson, page, may_fetch=may_fetch)
    names, trace, distribution = names_of(scene.result), scene.trace, scene.distribution
    likeliest = [] if distribution is None else distribution.order[:CANDIDATES].tolist()
    return {
        "model": scene.model_name,
        "prompt": trace.prompt,
        "tokens": [token_fields(names, id) for id in trace.ids],
        "changes": [str(each) for each in state.edits] or told_of_run(trace.interventions),
        **({} if lesson is None else {"page": page_text(scene)}),
        **document(scene, lambda id: names.decode([id])),
        "next": [] if distribution is None else [candidate_fields(names, distribution, id) for id in likeliest],
    }


def render_poster(state: ExplorerState, theme: str) -> str:
    """The run of a state as one large picture."""
    result = result_of(state)
    return poster(scene_of(state, Palette(theme), (0, 0), result, distribution=distribution_of(result, state)))


def page_text(scene: Scene) -> str:
    """The open page as plain text."""
    if scene.reading is None:
        return ""
    page, pages = scene.reading.page, len(scene.reading.lesson.pages)
    heading = f"{scene.reading.lesson.title}, page {page.number} of {pages}: {fill(page.title, page_scene(scene, scene.reading) or scene)}"
    rows = ["".join(run.text for run in line.runs).replace("\xa0", " ").rstrip() for line in page_lines(scene, 100)]
    return "\n".join((heading, "", *rows, "", ""))


def explain_screen(state: ExplorerState, options: UiOptions) -> str:
    """What is selected in the view, explained."""
    return explain_text(scene_for(state, options, 80, 24), EXPLAINED)
