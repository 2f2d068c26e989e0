"""From a state and a result to what is drawn: the same for the app and for `render`. Free of Textual."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from txexplain.engine.derive import Lens
from txexplain.engine.sampling import Distribution, settle
from txexplain.engine.surprisal import Surprise, surprisal
from txexplain.explorer.location import Dims, Level, Location, clamp
from txexplain.explorer.state import ExplorerState
from txexplain.ui.options import UiOptions
from txexplain.viz.palette import DEPTHS, THEMES, Palette
from txexplain.viz.scene import Display, Scene
from txexplain.viz.screen import ROOMY
from txexplain.viz.views.attn import heads_columns


class Recorded:
    """How a trace file without its model shows tokens: by its own list where it has one, else by id."""

    def __init__(self, ids: Sequence[int], tokens: Sequence[str]) -> None:
        self.texts = dict(zip(ids, tokens, strict=True))

    def display(self, token_id: int, *, ascii: bool = False) -> str:
        return self.texts.get(token_id, f"#{token_id}")


def palette_of(options: UiOptions) -> Palette:
    """The palette that the options and the terminal ask for."""
    depth = options.color if options.color in DEPTHS else terminal_depth()
    theme = options.theme if options.theme in THEMES else "dark"
    return Palette(theme, depth, options.ascii)


def terminal_depth() -> str:
    """How many colours this terminal shows, by what the environment says."""
    if os.environ.get("NO_COLOR"):
        return "none"
    term = os.environ.get("TERM", "")
    if os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit") or term.endswith(("-direct", "-truecolor")):
        return "truecolor"
    if "256" in term or term in ("xterm-kitty", "alacritty", "foot", "wezterm"):
        return "256"
    return "none" if term in ("vt100", "vt220", "dumb", "") else "16"


def distribution_of(lens: Lens | None, state: ExplorerState) -> Distribution | None:
    """The next token's distribution of a result at the state's setting."""
    if lens is None or "logits" not in lens.trace:
        return None
    return settle(lens.ranking, **state.sampling)


def roomy(width: int, height: int) -> bool:
    """Whether the surprisal strip is open unless the reader says otherwise."""
    return width >= ROOMY[0] and height >= ROOMY[1]


def surprisal_of(lens: Lens) -> tuple[Surprise | None, ...] | None:
    """Each token's surprisal, where there is a model to ask."""
    if lens.model is None or "ln_final.normalized" not in lens.trace:
        return None
    return surprisal(lens.trace, lens.model.unembedding)


def order_of(lens: Lens, place: Location) -> tuple[int, ...] | None:
    """The neurons in the order in which a place lists them; None where it lists none."""
    if place.level is not Level.MLP:
        return None
    with suppress(KeyError):
        place = clamp(place, sizes(lens))
        return lens.neuron_order(place.block, place.token_index(lens.trace.n_tokens), place.face or "post")
    return None


def dims_of(lens: Lens, width: int = 80, place: Location | None = None) -> Dims:
    """The sizes that bound Locations for a result, on a stage of a width, with what a place lists in its order."""
    dims = sizes(lens, width)
    return dims if place is None else replace(dims, order=order_of(lens, place))


def sizes(lens: Lens, width: int = 80) -> Dims:
    """The sizes of a result's model and prompt."""
    config = lens.config
    return Dims(
        config.n_layer,
        config.n_head,
        config.n_inner,
        lens.trace.n_tokens,
        heads_columns(config.n_head, width),
        lens.trace.model or "this trace",
        config.n_embd,
    )


def scene_of(state: ExplorerState, palette: Palette, size: tuple[int, int], lens: Lens | None, **more: Any) -> Scene:
    """The Scene of a whole screen."""
    display: Display | None = None
    if lens is not None:
        tokens = lens.trace.tokens
        display = lens.model.tokenizer if lens.model is not None else Recorded(lens.trace.ids, tokens) if tokens else None
    return Scene(state, palette, *size, lens=lens, display=display, model_name=state.model, **more)
