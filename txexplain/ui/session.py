"""From a state and a result to what is drawn: the same for the app and for `render`. Free of Textual."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from txexplain.engine.derive import Lens
from txexplain.engine.sampling import Distribution, distribution
from txexplain.engine.surprisal import Surprise, surprisal
from txexplain.explorer.location import Dims, Level, Location
from txexplain.explorer.state import ExplorerState
from txexplain.ui.options import UiOptions
from txexplain.viz.palette import DEPTHS, THEMES, Palette
from txexplain.viz.scene import Display, Scene
from txexplain.viz.screen import ROOMY
from txexplain.viz.views.atlas import atlas_of
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


def distribution_of(lens: Lens | None, state: ExplorerState, last: Distribution | None = None) -> Distribution | None:
    """The next token's distribution of a result at the state's setting; a distribution of the same logits spares the sort."""
    if lens is None or "logits" not in lens.trace:
        return None
    logits = lens.trace.last_logits
    if last is not None and last.logits is logits:
        return last.at(**state.sampling)
    return distribution(logits, **state.sampling)


def roomy(width: int, height: int) -> bool:
    """Whether the surprisal strip is open unless the reader says otherwise."""
    return width >= ROOMY[0] and height >= ROOMY[1]


def surprisal_of(lens: Lens) -> tuple[Surprise | None, ...] | None:
    """Each token's surprisal, where there is a model to ask."""
    if lens.model is None or "ln_final.normalized" not in lens.trace:
        return None
    return surprisal(lens.trace, lens.model.unembedding)


def dims_of(lens: Lens, size: tuple[int, int] = (80, 14), palette: Palette | None = None, place: Location | None = None) -> Dims:
    """The sizes that bound Locations for a result, and how a stage of a size lists what a place shows."""
    config = lens.config
    columns, order = heads_columns(config.n_head, size[0]), None
    if place is not None and place.level is Level.HEADS and lens.measured:
        order, columns = atlas_of(lens, palette or Palette(), place, *size)
    return Dims(
        config.n_layer,
        config.n_head,
        config.n_inner,
        lens.trace.n_tokens,
        columns,
        lens.trace.model or "this trace",
        config.n_embd,
        order,
    )


def scene_of(state: ExplorerState, palette: Palette, size: tuple[int, int], lens: Lens | None, **more: Any) -> Scene:
    """The Scene of a whole screen."""
    display: Display | None = None
    if lens is not None:
        tokens = lens.trace.tokens
        display = lens.model.tokenizer if lens.model is not None else Recorded(lens.trace.ids, tokens) if tokens else None
    return Scene(state, palette, *size, lens=lens, display=display, model_name=state.model, **more)
