"""The app's screen without the app: as text, as a picture, in words. Free of Textual and of clocks."""

from __future__ import annotations

from dataclasses import replace

from txexplain.engine.derive import Lens
from txexplain.engine.trace import Trace
from txexplain.explorer.location import check
from txexplain.explorer.state import ExplorerState
from txexplain.models import load_model
from txexplain.ui.actions import footer
from txexplain.ui.options import UiOptions
from txexplain.ui.session import dims_of, distribution_of, palette_of, roomy, scene_of, surprisal_of
from txexplain.viz.describe import describe
from txexplain.viz.scene import Scene
from txexplain.viz.screen import draw_screen
from txexplain.viz.svg import svg
from txexplain.viz.views.explain import explain_text

EXPLAINED = 76  # cells of a line of `explain`


def lens_of(state: ExplorerState) -> Lens:
    """Run the model, or open the trace, that a state names. Raises ExplainError, LocationError for a place that isn't there."""
    if state.trace is not None:
        return open_trace(state)
    model = load_model(state.model, revision=state.revision)
    trace = model.forward(list(state.ids) if state.ids is not None else model.prompt_ids(state.prompt))
    assert trace is not None  # None says "stopped", and nobody stops it here
    lens = Lens(trace, model)
    check(state.location, replace(dims_of(lens), model=state.model))
    return lens


def open_trace(state: ExplorerState) -> Lens:
    """The run that a state's trace file holds. Raises TraceError, LocationError for a place that it lacks."""
    assert state.trace is not None
    lens = Lens(Trace.load(state.trace), None)
    check(state.location, dims_of(lens))
    return lens


def scene_for(state: ExplorerState, options: UiOptions, width: int, height: int, side: str = "") -> Scene:
    """The finished screen of a state, with something in its side pane or nothing."""
    lens, palette = lens_of(state), palette_of(options)
    try:
        ribbons = tuple(lens.flow(state.flow))
    except KeyError:
        ribbons = None
    keys = footer(state.location.level.name, ascii=palette.ascii)
    return scene_of(
        state, palette, (width, height), lens, distribution=distribution_of(lens, state), ribbons=ribbons, keys=keys,
        surprisal=surprisal_of(lens) if roomy(width, height) else None, side=side,
    )  # fmt: skip


def render_screen(state: ExplorerState, options: UiOptions, width: int, height: int, fmt: str, side: str = "") -> str:
    """The screen as "svg", or as "txt": exactly `height` lines of the text of every cell."""
    if options.color == "auto":
        options = replace(options, color="truecolor")  # a file has no terminal to ask
    canvas = draw_screen(scene_for(state, options, width, height, side))
    return svg(canvas) if fmt == "svg" else "".join(f"{line}\n" for line in canvas.text())


def describe_screen(state: ExplorerState, options: UiOptions) -> str:
    """The view in sentences and a plain table."""
    return describe(scene_for(state, options, 80, 24))


def explain_screen(state: ExplorerState, options: UiOptions) -> str:
    """What is selected in the view, explained."""
    return explain_text(scene_for(state, options, 80, 24), EXPLAINED)
