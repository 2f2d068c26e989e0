"""What a place shows in numbers where the reader has selected nothing in it: one rule for stage, explanation and description."""

from __future__ import annotations

from dataclasses import replace

from txexplain.engine.derive import Lens
from txexplain.engine.measures import sorted_heads
from txexplain.engine.sampling import Distribution, settle
from txexplain.errors import NotRecorded
from txexplain.explorer.contrast import contrast
from txexplain.explorer.history import Moment
from txexplain.explorer.location import Dims, Location, clamp, place_of
from txexplain.explorer.places.effects import part_names
from txexplain.explorer.places.vectors import Linear, Vector
from txexplain.explorer.state import ExplorerState
from txexplain.facts.direct import direct, listed
from txexplain.facts.effects import EffectsFacts, Question, finish, known
from txexplain.facts.head import row
from txexplain.facts.heads import ranked
from txexplain.facts.lens import readings
from txexplain.facts.linear import PROJ, QKV, DotFacts, dot
from txexplain.facts.mlp import neurons
from txexplain.facts.vector import qkv, vector

# The vector of which a place, or a tile of a block, shows an element; a LayerNorm's is its input.
RESULTS = {
    "resid_pre": "resid_pre", "ln1": "resid_pre", "proj": "attn_out", "add1": "resid_mid", "ln2": "resid_mid", "out": "mlp_out",
    "add2": "resid_post",
}  # fmt: skip
SWIFT = 10_000_000  # products that are made within a few milliseconds
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
    if place.kind == "block":
        return place.select or "attn"
    if place.kind == "model":
        return place.select or "L0"
    return place.kind


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
    made, token = QKV if place.kind == "qkv" else PROJ, place.token_index(lens.trace.n_tokens)
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


def is_measured(lens: Lens, place: Location, pair: tuple[int, int] | None) -> bool:
    """Whether what a place shows is there, or so little work that a key press can wait for it. pair: the two tokens looked at."""
    if place.kind == "heads":
        return lens.measured
    if place.kind != "lens" or lens.model is None or pair is None:
        return True
    config = lens.config
    products = lens.trace.n_tokens * config.vocab_size * config.n_embd * (config.n_layer + 1)
    return products <= SWIFT or readings(lens, *pair).done


SWEPT = {None: ("mlps", "heads"), "sorted": ("mlps", "heads"), "rows": ("rows",)}  # what a sweep tries for a face of the effects


def effects_asked(lens: Lens | None, state: ExplorerState, held: Moment | None = None) -> Question | None:
    """What a sweep has to answer at the present place; None where there is nothing to, or nobody who could."""
    if state.location.kind != "effects" or lens is None or lens.model is None or lens.trace.origin is not lens.model:
        return None
    pair, face = contrast(state, lens), state.location.face
    if pair is None:
        return None
    if face == "patch":
        other = patched_from(lens, state, held)
        return None if other is None else Question(("resid",), *pair, other)
    return Question(SWEPT.get(face, (f"edges [{lens.trace.n_tokens - 1}]",)), *pair)


def patched_from(lens: Lens, state: ExplorerState, held: Moment | None = None) -> tuple[int, ...] | None:
    """The ids of the run that patches are taken of: the one held, unless that is changed itself, or the one that the state names."""
    if held is not None and not held.run.interventions:
        return held.ids
    if state.other_ids is not None or state.other is None:
        return state.other_ids
    text, model = state.other, lens.weights()
    return lens.last("other", text, lambda: tuple(model.prompt_ids(text)))


def effects_of(lens: Lens | None, state: ExplorerState, held: Moment | None = None) -> EffectsFacts | None:
    """What was found by now of what the present place asks."""
    asked = effects_asked(lens, state, held)
    return None if lens is None or asked is None else known(lens).get(asked)


def finish_effects(lens: Lens, state: ExplorerState) -> None:
    """Find out now all that the present place asks. Raises NonFinite, NotRecorded."""
    if (asked := effects_asked(lens, state)) is not None:
        finish(lens, asked)


def sorted_effects(facts: EffectsFacts | None, n_layer: int, n_head: int) -> tuple[int, ...]:
    """The heads and MLPs by size of effect, the largest first; those that aren't computed yet come last."""
    names = part_names(n_layer, n_head)
    if facts is None:
        return tuple(range(len(names)))
    number_of = {name: n for n, name in enumerate(names)}
    return tuple(number_of[facts.names[n]] for n in facts.order)


def order(lens: Lens, place: Location, pair: tuple[int, int] | None = None, effects: EffectsFacts | None = None) -> tuple[int, ...] | None:
    """The heads (block × n_head + head), the neurons, or the parts of the difference of a pair of tokens, as a place lists them.

    None: as the model does, or nobody knows: they weren't recorded, aren't measured yet, or this model has no such block.
    """
    token = place.token_index(lens.trace.n_tokens)
    if place.kind == "heads" and place.face is not None and lens.measured:
        return sorted_heads(lens.measures, place.face, lens.trace.n_tokens, place.least) if ranked(lens, place.face) else ()
    if place.kind == "effects" and place.face == "sorted":
        return sorted_effects(effects, lens.config.n_layer, lens.config.n_head)
    try:
        if place.kind == "direct" and pair is not None:
            return listed(direct(lens, token, *pair), place.face)
        if place.kind == "mlp" and place.block < lens.config.n_layer:  # the place may be of the model before
            return neurons(lens, place.block, token, place.face or "post").order
    except NotRecorded:
        pass
    return None


def dims_of(
    lens: Lens,
    place: Location | None = None,
    columns: int = 1,
    pair: tuple[int, int] | None = None,
    effects: EffectsFacts | None = None,
) -> Dims:
    """The sizes that bound Locations for a result, how a place lists what it shows, and what it marks there.

    columns: how many heads the stage shows side by side. pair: the two tokens whose difference is looked at.
    """
    dims = replace(Dims.of(lens.config, lens.trace.n_tokens, lens.trace.model or "this trace"), columns=columns)
    if place is None:
        return dims
    listing = order(lens, place, pair, effects)
    place = clamp(place, dims)  # it may be of the model before
    element, source = marked(lens, place)
    key = strongest(lens, place) if place.kind in ("head", "product") else None
    return replace(dims, order=listing, element=element, source=source, key=key)


def distribution_of(lens: Lens | None, state: ExplorerState) -> Distribution | None:
    """The next token's distribution of a result at the state's setting."""
    if lens is None or "logits" not in lens.trace:
        return None
    return settle(lens.ranking, **state.sampling)
