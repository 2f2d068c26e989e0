"""From a state and a result to what is drawn: the same for the app and for `render`. Free of Textual."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from txexplain.engine.derive import Lens
from txexplain.engine.sampling import Distribution, settle
from txexplain.engine.surprisal import Surprise, surprisal
from txexplain.engine.tokenizer import GPT2_VOCABULARY, Tokenizer
from txexplain.errors import NotRecorded
from txexplain.explorer import choice
from txexplain.explorer.location import Dims, Level, Location, clamp
from txexplain.explorer.state import ExplorerState
from txexplain.facts.mlp import neurons
from txexplain.front.depth import depth_of, theme_of
from txexplain.front.options import UiOptions
from txexplain.text import visible
from txexplain.viz.canvas import plain_ascii
from txexplain.viz.palette import DEPTHS, THEMES, Palette
from txexplain.viz.scene import Display, Scene
from txexplain.viz.screen import ROOMY
from txexplain.viz.views.atlas import atlas_of
from txexplain.viz.views.attn import heads_columns


class Recorded:
    """How a trace file without its model shows tokens: by its own list where it has one, else by id.

    A file lists the prompt's tokens alone. Where GPT-2's own vocabulary has each of them under the same id, the candidates' names
    are taken from it.
    """

    def __init__(self, ids: Sequence[int], tokens: Sequence[str] | None, vocabulary: int) -> None:
        self.texts = dict(zip(ids, tokens or (), strict=False))
        self.gpt2: Tokenizer | None = None
        if tokens and vocabulary == GPT2_VOCABULARY:
            gpt2 = Tokenizer.gpt2()
            self.gpt2 = gpt2 if all(gpt2.display(i) == visible(text) for i, text in self.texts.items()) else None

    def display(self, token_id: int, *, ascii: bool = False) -> str:
        if self.gpt2 is not None:
            return self.gpt2.display(token_id, ascii=ascii)
        text = self.texts.get(token_id, f"#{token_id}")
        return plain_ascii(text) if ascii else text

    def decode(self, ids: Sequence[int]) -> str:
        return self.gpt2.decode(ids) if self.gpt2 is not None else "".join(map(self.display, ids))


RECORDED: WeakKeyDictionary[Lens, Recorded] = WeakKeyDictionary()  # what each run that is still open calls its tokens


def names_of(lens: Lens) -> Display:
    """How a result's tokens are called."""
    if lens.model is not None:
        return lens.model.tokenizer
    return recorded_names(lens)


def recorded_names(lens: Lens) -> Recorded:
    if lens not in RECORDED:
        RECORDED[lens] = Recorded(lens.trace.ids, lens.trace.tokens, lens.config.vocab_size)
    return RECORDED[lens]


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


def dims_of(lens: Lens, size: tuple[int, int] = (80, 14), palette: Palette | None = None, place: Location | None = None) -> Dims:
    """The sizes that bound Locations for a result, how a stage of a size lists what a place shows, and what it marks there."""
    config = lens.config
    columns, order = heads_columns(config.n_head, size[0]), None
    if place is not None and place.level is Level.HEADS and lens.measured:
        order, columns = atlas_of(lens, palette or Palette(), place, *size)
    if place is not None and place.level is Level.MLP:
        order = neurons_of(lens, place)
    dims = replace(Dims.of(config, lens.trace.n_tokens, lens.trace.model or "this trace"), columns=columns, order=order)
    if place is None:
        return dims
    element, source = choice.marked(lens, clamp(place, dims))  # the place may be of the model before
    return replace(dims, element=element, source=source)


def scene_of(state: ExplorerState, palette: Palette, size: tuple[int, int], lens: Lens | None, **more: Any) -> Scene:
    """The Scene of a whole screen."""
    display = None if lens is None else names_of(lens)
    return Scene(state, palette, *size, lens=lens, display=display, model_name=name_of(state, lens), **more)


def name_of(state: ExplorerState, lens: Lens | None) -> str:
    """What the model shown is called: a trace names the one that it was recorded from."""
    if state.trace is None:
        return state.model
    return f"trace of {lens.trace.model}" if lens is not None and lens.trace.model else "trace"
