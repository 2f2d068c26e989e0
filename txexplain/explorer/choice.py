"""What a place shows in numbers where the reader has selected nothing in it: one rule for stage, explanation and description."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from txexplain.engine.derive import Result
from txexplain.engine.sampling import Distribution, settle
from txexplain.errors import NotRecorded
from txexplain.explorer.contrast import contrast
from txexplain.explorer.history import Moment
from txexplain.explorer.location import Dims, Location, clamp, place_of
from txexplain.explorer.places.heads import WithCursor
from txexplain.explorer.places.place import Shown, Work
from txexplain.explorer.places.vectors import Linear, Vector
from txexplain.explorer.state import ExplorerState
from txexplain.facts.head import row
from txexplain.facts.linear import DotFacts, dot
from txexplain.facts.mlp import neurons
from txexplain.facts.vector import qkv, vector

# The vector of which a place, or a tile of a block, shows an element; a LayerNorm's is its input.
RESULTS = {
    "resid_pre": "resid_pre", "ln1": "resid_pre", "proj": "attn_out", "add1": "resid_mid", "ln2": "resid_mid", "out": "mlp_out",
    "add2": "resid_post",
}  # fmt: skip
NORMS = ("ln1", "ln2", "final")


def element(result: Result, place: Location) -> int:
    """The element under the cursor; without one, that of greatest size in the vector that the place makes.

    At a LayerNorm it is the one that lies farthest from the mean. Raises NotRecorded.
    """
    if place.element is not None:
        return place.element
    token, name = place.token_index(result.trace.n_tokens), place_of(place).subject(place)
    if name == "qkv":
        return qkv(result, place.block, token).largest
    if name == "embed":
        tensor = "blocks.0.resid_pre"
    elif name == "final":
        tensor = f"blocks.{result.config.n_layer - 1}.resid_post"
    elif name in RESULTS:
        tensor = f"blocks.{place.block}.{RESULTS[name]}"
    else:
        return 0
    made = vector(result, tensor, token)
    return made.farthest if name in NORMS else made.largest


def source(place: Location, dot: DotFacts) -> int:
    """The input under the cursor of a matrix; without one, that of the largest term."""
    return dot.largest if place.source is None else place.source


def marked(result: Result, place: Location) -> tuple[int | None, int | None]:
    """The element and the input that a page of vectors shows; None for what the page or the run has not."""
    page = place_of(place)
    if not isinstance(page, Vector):
        return None, None
    try:
        j = element(result, place)
    except NotRecorded:
        return None, None
    if not isinstance(page, Linear) or place.face != "matrix":
        return j, None
    try:
        return j, source(place, dot(result, place.block, page.makes, place.token_index(result.trace.n_tokens), j))
    except NotRecorded:
        return j, None


def neuron(result: Result, place: Location) -> int:
    """The neuron selected in an MLP's list; without one, the first of it. Raises NotRecorded."""
    if place.neuron is not None:
        return place.neuron
    return neurons(result, place.block, place.token_index(result.trace.n_tokens), place.face or "post").order[0]


def cursor(result: Result, place: Location) -> tuple[int, int]:
    """The query and key of a head's grid; where no key is selected, the one that the query attends to most."""
    return place.cursor(result.trace.n_tokens, strongest(result, place))


def strongest(result: Result, place: Location) -> int | None:
    """The key that a head's selected query attends to most; None where that isn't known."""
    try:
        return row(result, place.block, place.head, place.token_index(result.trace.n_tokens), "softmax").strongest
    except NotRecorded:
        return None


def shown(result: Result, state: ExplorerState, held: Moment | None = None) -> Shown:
    """A run as the present place shows it; held: what is held beside it."""
    able = result.model is not None and result.trace.origin is result.model
    return Shown(result, contrast(state, result), patched_from(result, state, held) if able else None)


def work(result: Result, state: ExplorerState, held: Moment | None = None) -> Work | None:
    """What is still to be computed of what the present place shows, and takes longer than a key press may wait. Raises NotRecorded."""
    return place_of(state.location).work(state.location, shown(result, state, held))


def found(result: Result, state: ExplorerState, held: Moment | None = None) -> Any:
    """What is known by now of it."""
    return place_of(state.location).found(state.location, shown(result, state, held))


def finish(result: Result, state: ExplorerState) -> None:
    """Compute now all that the present place shows. Raises NonFinite, NotRecorded."""
    left = work(result, state)
    for _ in left.steps(lambda: False) if left is not None else ():
        pass


def patched_from(result: Result, state: ExplorerState, held: Moment | None = None) -> tuple[int, ...] | None:
    """The ids of the run that patches are taken of: the one held, unless that is changed itself, or the one that the state names."""
    if held is not None and not held.run.interventions:
        return held.ids
    if state.other_ids is not None or state.other is None:
        return state.other_ids
    text, model = state.other, result.weights()
    return result.last("other", text, lambda: tuple(model.prompt_ids(text)))


def order(place: Location, run: Shown) -> tuple[int, ...] | None:
    """The heads (block × n_head + head), the neurons, or the parts of A − B, as a place lists them.

    None: as the model does, or nobody knows: they weren't recorded, aren't measured yet, or this model has no such block.
    """
    try:
        return place_of(place).order(place, run)
    except NotRecorded:
        return None


def dims_of(
    result: Result,
    place: Location | None = None,
    columns: int = 1,
    run: Shown | None = None,
) -> Dims:
    """The sizes that bound Locations for a result, how a place lists what it shows, and what it marks there.

    columns: how many heads the stage shows side by side. run: the result with what is looked at in it.
    """
    dims = replace(Dims.of(result.config, result.trace.n_tokens, result.trace.model or "this trace"), columns=columns)
    if place is None:
        return dims
    listing = order(place, Shown(result) if run is None else run)
    place = clamp(place, dims)  # it may be of the model before
    element, source = marked(result, place)
    key = strongest(result, place) if isinstance(place_of(place), WithCursor) else None
    return replace(dims, order=listing, element=element, source=source, key=key)


def distribution_of(result: Result | None, state: ExplorerState) -> Distribution | None:
    """The next token's distribution of a result at the state's setting."""
    if result is None or "logits" not in result.trace:
        return None
    return settle(result.ranking, **state.sampling)
