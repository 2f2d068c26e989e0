"""What a place shows in numbers where the reader has selected nothing in it: one rule for stage, explanation and description."""

from __future__ import annotations

from txexplain.engine.derive import Lens
from txexplain.errors import NotRecorded
from txexplain.explorer.location import Level, Location, place_of
from txexplain.explorer.places.vectors import Linear, Vector
from txexplain.facts.head import row
from txexplain.facts.linear import PROJ, QKV, DotFacts, dot
from txexplain.facts.mlp import neurons
from txexplain.facts.vector import qkv, vector

# The vector of which a place, or a tile of a block, shows an element; a LayerNorm's is its input.
RESULTS = {
    "resid_pre": "resid_pre", "ln1": "resid_pre", "proj": "attn_out", "add1": "resid_mid", "ln2": "resid_mid", "out": "mlp_out",
    "add2": "resid_post",
}  # fmt: skip
NORMS = ("ln1", "ln2", "final")


def element(lens: Lens, place: Location) -> int:
    """The element under the cursor; without one, that of greatest size in the vector that the place makes.

    At a LayerNorm it is the one that lies farthest from the mean. Raises NotRecorded.
    """
    if place.element is not None:
        return place.element
    token, name = place.token_index(lens.trace.n_tokens), subject(place)
    if name == "qkv":
        return qkv(lens, place.block, token).largest
    if name == "embed":
        tensor = "blocks.0.resid_pre"
    elif name == "final":
        tensor = f"blocks.{lens.config.n_layer - 1}.resid_post"
    elif name in RESULTS:
        tensor = f"blocks.{place.block}.{RESULTS[name]}"
    else:
        return 0
    made = vector(lens, tensor, token)
    return made.farthest if name in NORMS else made.largest


def subject(place: Location) -> str:
    """What is shown: the page's name, or that of the selected tile or column."""
    if place.level is Level.BLOCK:
        return place.select or "attn"
    if place.level is Level.MODEL:
        return place.select or "L0"
    return place.level.value


def source(place: Location, dot: DotFacts) -> int:
    """The input under the cursor of a matrix; without one, that of the largest term."""
    return dot.largest if place.source is None else place.source


def marked(lens: Lens, place: Location) -> tuple[int | None, int | None]:
    """The element and the input that a page of vectors shows; None for what the page or the run has not."""
    if not isinstance(place_of(place), Vector):
        return None, None
    try:
        j = element(lens, place)
    except NotRecorded:
        return None, None
    if not isinstance(place_of(place), Linear) or place.face != "matrix":
        return j, None
    made, token = QKV if place.level is Level.QKV else PROJ, place.token_index(lens.trace.n_tokens)
    try:
        return j, source(place, dot(lens, place.block, made, token, j))
    except NotRecorded:
        return j, None


def neuron(lens: Lens, place: Location) -> int:
    """The neuron selected in an MLP's list; without one, the first of it. Raises NotRecorded."""
    if place.neuron is not None:
        return place.neuron
    return neurons(lens, place.block, place.token_index(lens.trace.n_tokens), place.face or "post").order[0]


def cursor(lens: Lens, place: Location) -> tuple[int, int]:
    """The query and key of a head's grid; where no key is selected, the one that the query attends to most."""
    return place.cursor(lens.trace.n_tokens, strongest(lens, place))


def strongest(lens: Lens, place: Location) -> int | None:
    """The key that a head's selected query attends to most; None where that isn't known."""
    try:
        return row(lens, place.block, place.head, place.token_index(lens.trace.n_tokens), "softmax").strongest
    except NotRecorded:
        return None
