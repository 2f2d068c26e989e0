"""What a place shows, explained: two sentences, the formula with this prompt's numbers in it, the shapes, and the engine's own lines.

An Explanation holds numbers and tokens as they are; `viz` writes them. Every number is read from the trace or computed from it
by the engine; where something wasn't recorded, the explanation says so and goes no further.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from txexplain import words
from txexplain.engine.derive import Result
from txexplain.engine.steps import activation_letters, sizes
from txexplain.errors import NotRecorded
from txexplain.explorer.location import Location
from txexplain.explorer.places.by_place import load_all
from txexplain.explorer.source import Source, source_of
from txexplain.words.attention import attention, projection, qkv
from txexplain.words.neurons import activating, fitting, writing
from txexplain.words.panes import PANES, output
from txexplain.words.stream import added, block, embedding, entering, layer_norm
from txexplain.words.told import TOPICS, Explanation, Line, Look, Made, Shape, Topic


def explain(look: Look) -> Explanation:
    """The explanation of any Location."""
    topic = topic_of(look)
    lines: list[Line] = []
    missing = ""
    try:
        lines.extend(topic.worked)
    except NotRecorded as error:
        missing = error.what
    shapes = [shape_of(look.result, name) for name in topic.names]
    shapes += [Shape(name, letters, sizes(letters, look.result.config), None) for name, letters in topic.weights]
    return Explanation(topic.title, topic.sentences, topic.formula, tuple(lines), missing, tuple(shapes), sources_of(topic.made))


def sources_of(made: Sequence[Made]) -> tuple[Source, ...]:
    """The sources, where this installation has them."""
    try:
        return tuple(source_of(function, target) for function, target in made)
    except OSError:
        return ()


def topic_of(look: Look) -> Topic:
    """What is selected, and so what there is to explain."""
    return PANES[look.pane](look) if look.pane in PANES else TOPICS[look.place.kind](look)


@TOPICS.of("model")
def column(look: Look) -> Topic:
    """A column of the model."""
    select = look.place.select or "L0"
    if select in ENDS:
        return ENDS[select](look)
    return block(Look(Location("block", block=int(select[1:]), token=look.place.token), look.result, ribbons=look.ribbons))


@TOPICS.of("block")
def tile(look: Look) -> Topic:
    """A step of a block."""
    return TILES[look.place.select or "attn"](look)


def shape_of(result: Result, name: str) -> Shape:
    """A trace's tensor with its shape: as recorded, or as it would be."""
    recorded = name in result.trace
    if name == "logits":
        own = result.trace[name].shape if recorded else (result.config.vocab_size,)
        return Shape(name, ("T", "V")[-len(own) :], own, recorded)
    letters = activation_letters(result.config.n_layer)[name]
    own = result.trace[name].shape if recorded else sizes(letters, result.config, result.trace.n_tokens)
    return Shape(name, letters, own, recorded)


load_all(words.__name__, words.__path__)

TILES: dict[str, Callable[[Look], Topic]] = {
    "resid_pre": entering,
    "ln1": partial(layer_norm, which="ln1"),
    "qkv": qkv,
    "attn": attention,
    "proj": projection,
    "add1": partial(added, what="attention", source="resid_pre", addend="attn_out", result="resid_mid"),
    "ln2": partial(layer_norm, which="ln2"),
    "fc": fitting,
    "act": activating,
    "out": writing,
    "add2": partial(added, what="the MLP", source="resid_mid", addend="mlp_out", result="resid_post"),
}
ENDS: dict[str, Callable[[Look], Topic]] = {"embed": embedding, "final": partial(layer_norm, which="final"), "output": output}
TOPICS.update(ln1=TILES["ln1"], ln2=TILES["ln2"], final=ENDS["final"])  # which are pages of their own, too
