"""From a state and a result to what is drawn: the same for the app and for `render`. Free of Textual."""

from __future__ import annotations

import os
from typing import Any

from txexplain.engine.derive import Result
from txexplain.engine.surprisal import Surprise, surprisal
from txexplain.errors import NotRecorded
from txexplain.explorer.choice import distribution_of, found
from txexplain.explorer.contrast import contrast
from txexplain.explorer.history import Moment
from txexplain.explorer.location import Location
from txexplain.explorer.state import ExplorerState
from txexplain.front.depth import depth_of, theme_of
from txexplain.front.names import names_of
from txexplain.front.options import UiOptions
from txexplain.viz.palette import BLOCKS, DEPTHS, THEMES, Palette
from txexplain.viz.scene import Scene
from txexplain.viz.screen import ROOMY
from txexplain.viz.views.atlas import atlas_columns
from txexplain.viz.views.attn import heads_columns


def palette_of(options: UiOptions) -> Palette:
    """The palette that the options and the terminal ask for."""
    depth = options.color if options.color in DEPTHS else depth_of(os.environ, options.answered)
    theme = options.theme if options.theme in THEMES else theme_of(options.ground, os.environ)
    console = not options.ascii and os.environ.get("TERM") == "linux"
    return Palette(theme, depth, options.ascii or console, console, options.glyphs if options.glyphs in BLOCKS else BLOCKS[0])


def roomy(width: int, height: int) -> bool:
    """Whether the surprisal strip is open unless the reader says otherwise."""
    return width >= ROOMY[0] and height >= ROOMY[1]


def surprisal_of(result: Result) -> tuple[Surprise | None, ...] | None:
    """Each token's surprisal, where every position's logits were recorded or can be computed."""
    try:
        return surprisal(result.trace, None if result.model is None else result.model.unembedding)
    except NotRecorded:
        return None


def columns_of(result: Result, size: tuple[int, int], palette: Palette, place: Location) -> int:
    """How many heads a stage of a size shows side by side."""
    if place.kind == "heads" and result.measured:
        return atlas_columns(result, palette, place, *size)
    return heads_columns(result.config.n_head, size[0])


def scene_of(state: ExplorerState, palette: Palette, size: tuple[int, int], result: Result | None, **more: Any) -> Scene:
    """The Scene of a whole screen. A changed run has the one without the changes beside it, unless something else is held."""
    if result is None:
        return Scene(state, palette, *size, model_name=name_of(state, result), **more)
    known = found(result, state, more.get("held"))
    more["held"] = more.get("held") or plain_moment(result, state)
    return Scene(
        state, palette, *size, shown=result, display=names_of(result), model_name=name_of(state, result), contrast=contrast(state, result),
        found=known, **more,
    )  # fmt: skip


def plain_moment(result: Result, state: ExplorerState) -> Moment | None:
    """What a changed run's prompt gives without the changes, at the same setting; None where nothing was changed."""
    plain = result.plain
    if plain is None:
        return None

    def find() -> Moment | None:
        distribution = distribution_of(plain, state)
        return None if distribution is None else Moment.of(state.unedited(), plain.trace.run, distribution)

    return plain.last("moment", (state.temperature, state.mode, state.k, state.p), find)


def name_of(state: ExplorerState, result: Result | None) -> str:
    """What the model shown is called: a trace names the one that it was recorded from."""
    if state.trace is None:
        return state.model
    return f"trace of {result.trace.model}" if result is not None and result.trace.model else "trace"
