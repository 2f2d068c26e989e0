"""From a state and a result to what is drawn: the same for the app and for `render`. Free of Textual."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from txexplain.engine.derive import Lens
from txexplain.engine.sampling import Distribution, settle
from txexplain.engine.surprisal import Surprise, surprisal
from txexplain.errors import NotRecorded
from txexplain.explorer import choice
from txexplain.explorer.contrast import contrast
from txexplain.explorer.history import Moment
from txexplain.explorer.location import Dims, Level, Location, clamp
from txexplain.explorer.state import ExplorerState
from txexplain.facts.direct import direct
from txexplain.facts.effects import EffectsFacts, Question, finish, known
from txexplain.facts.lens import readings
from txexplain.facts.mlp import neurons
from txexplain.front.depth import depth_of, theme_of
from txexplain.front.names import names_of
from txexplain.front.options import UiOptions
from txexplain.viz.palette import DEPTHS, THEMES, Palette
from txexplain.viz.scene import Scene
from txexplain.viz.screen import ROOMY
from txexplain.viz.views.atlas import atlas_of
from txexplain.viz.views.attn import heads_columns
from txexplain.viz.views.direct import order_of
from txexplain.viz.views.effects import order_of as effects_order

SWIFT = 10_000_000  # products that are made within a few milliseconds


def palette_of(options: UiOptions) -> Palette:
    """The palette that the options and the terminal ask for."""
    depth = options.color if options.color in DEPTHS else depth_of(os.environ, options.answered)
    theme = options.theme if options.theme in THEMES else theme_of(options.ground, os.environ)
    console = not options.ascii and os.environ.get("TERM") == "linux"
    return Palette(theme, depth, options.ascii or console, console)


def distribution_of(lens: Lens | None, state: ExplorerState) -> Distribution | None:
    """The next token's distribution of a result at the state's setting."""
    if lens is None or "logits" not in lens.trace:
        return None
    return settle(lens.ranking, **state.sampling)


def roomy(width: int, height: int) -> bool:
    """Whether the surprisal strip is open unless the reader says otherwise."""
    return width >= ROOMY[0] and height >= ROOMY[1]


def surprisal_of(lens: Lens) -> tuple[Surprise | None, ...] | None:
    """Each token's surprisal, where every position's logits were recorded or can be computed."""
    try:
        return surprisal(lens.trace, None if lens.model is None else lens.model.unembedding)
    except NotRecorded:
        return None


def neurons_of(lens: Lens, place: Location) -> tuple[int, ...] | None:
    """The neurons in the order in which an MLP's page lists them; None where they weren't recorded, or this model has no such block."""
    if place.block >= lens.config.n_layer:  # the place may be of the model before
        return None
    try:
        return neurons(lens, place.block, place.token_index(lens.trace.n_tokens), place.face or "post").order
    except NotRecorded:
        return None


def is_measured(lens: Lens, place: Location, pair: tuple[int, int] | None) -> bool:
    """Whether what a place shows is there, or so little work that a key press can wait for it."""
    if place.level is Level.HEADS:
        return lens.measured
    if place.level is not Level.LENS or lens.model is None or pair is None:
        return True
    config = lens.config
    products = lens.trace.n_tokens * config.vocab_size * config.n_embd * (config.n_layer + 1)
    return products <= SWIFT or readings(lens, *pair).done


def parts_listed(lens: Lens, place: Location, pair: tuple[int, int] | None) -> tuple[int, ...] | None:
    """The parts of the difference in the order in which their view lists them; None where they aren't known."""
    try:
        return None if pair is None else order_of(direct(lens, place.token_index(lens.trace.n_tokens), *pair), place.face)
    except NotRecorded:
        return None


SWEPT = {None: ("mlps", "heads"), "sorted": ("mlps", "heads"), "rows": ("rows",)}  # what a sweep tries for a face of the effects


def effects_asked(lens: Lens | None, state: ExplorerState) -> Question | None:
    """What a sweep has to answer at the present place; None where there is nothing to, or nobody who could."""
    if state.location.level is not Level.EFFECTS or lens is None or lens.model is None or lens.trace.origin is not lens.model:
        return None
    pair = contrast(state, lens)
    return None if pair is None else Question(SWEPT.get(state.location.face, (f"edges [{lens.trace.n_tokens - 1}]",)), *pair)


def effects_of(lens: Lens | None, state: ExplorerState) -> EffectsFacts | None:
    """What was found by now of what the present place asks."""
    asked = effects_asked(lens, state)
    return None if lens is None or asked is None else known(lens).get(asked)


def finish_effects(lens: Lens, state: ExplorerState) -> None:
    """Find out now all that the present place asks. Raises NonFinite, NotRecorded."""
    if (asked := effects_asked(lens, state)) is not None:
        finish(lens, asked)


def dims_of(
    lens: Lens,
    size: tuple[int, int] = (80, 14),
    palette: Palette | None = None,
    place: Location | None = None,
    pair: tuple[int, int] | None = None,
    effects: EffectsFacts | None = None,
) -> Dims:
    """The sizes that bound Locations for a result, how a stage of a size lists what a place shows, and what it marks there."""
    config = lens.config
    columns, order = heads_columns(config.n_head, size[0]), None
    if place is not None and place.level is Level.HEADS and lens.measured:
        order, columns = atlas_of(lens, palette or Palette(), place, *size)
    if place is not None and place.level is Level.MLP:
        order = neurons_of(lens, place)
    if place is not None and place.level is Level.DIRECT:
        order = parts_listed(lens, place, pair)
    if place is not None and place.level is Level.EFFECTS and place.face == "sorted":
        order = effects_order(effects, config.n_layer, config.n_head)
    dims = replace(Dims.of(config, lens.trace.n_tokens, lens.trace.model or "this trace"), columns=columns, order=order)
    if place is None:
        return dims
    place = clamp(place, dims)  # it may be of the model before
    element, source = choice.marked(lens, place)
    key = choice.strongest(lens, place) if place.level in (Level.HEAD, Level.PRODUCT) else None
    return replace(dims, element=element, source=source, key=key)


def scene_of(state: ExplorerState, palette: Palette, size: tuple[int, int], lens: Lens | None, **more: Any) -> Scene:
    """The Scene of a whole screen. A changed run has the one without the changes beside it, unless something else is held."""
    if lens is None:
        return Scene(state, palette, *size, model_name=name_of(state, lens), **more)
    more["held"] = more.get("held") or plain_moment(lens, state)
    return Scene(
        state, palette, *size, lens=lens, display=names_of(lens), model_name=name_of(state, lens), contrast=contrast(state, lens),
        effects=effects_of(lens, state), **more,
    )  # fmt: skip


def plain_moment(lens: Lens, state: ExplorerState) -> Moment | None:
    """What a changed run's prompt gives without the changes, at the same setting; None where nothing was changed."""
    plain = lens.plain
    if plain is None:
        return None

    def find() -> Moment | None:
        distribution = distribution_of(plain, state)
        return None if distribution is None else Moment.of(state, plain.trace.run, distribution)

    return plain.last("moment", (state.temperature, state.mode, state.k, state.p), find)


def name_of(state: ExplorerState, lens: Lens | None) -> str:
    """What the model shown is called: a trace names the one that it was recorded from."""
    if state.trace is None:
        return state.model
    return f"trace of {lens.trace.model}" if lens is not None and lens.trace.model else "trace"
