"""Where one is: a Location, its grammar, and the way in and out.

    model  embed  L5  L5.ln1  L5.qkv  L5.attn  L5.proj  L5.ln2  L5.mlp  heads  final  output
    L5H1 (= L5H1:softmax)  L5H1:qk  L5H1:scaled  L5H1:masked  L5H1:values
    L5H1:softmax[7,3]   the grid with its cursor at query 7, key 3
    L5H1[7,3]           the product
    L5.mlp[417]         a neuron
    residual            the selected token's residual stream, part by part
    direct              what each part of it gives to the difference of two tokens' logits
    effects             by how much that difference changes where a head, an MLP, an edge or a token is switched off

Brackets name what is selected in a view: model[L3], model[output], L5[qkv], L5.attn[1], heads[5.7], residual[L3.attn],
an element of a vector in embed[17], L5.ln1[17], final[17], L5.qkv[300], and a weight in L5.qkv:matrix[17,300].
A word after a colon names a page's other face: embed:nearest, L5.qkv:matrix, L5.mlp:post[417] (the list with the neuron
selected), heads:induction[5.7] (sorted by a measure), heads:induction.25 (those where it is 25% or more).
Any of them may end in @4, the selected token (default: the last). A cursor's query is the selected token already.
"""

from __future__ import annotations

import re
from contextlib import suppress
from difflib import get_close_matches

from txexplain.engine.steps import TILES
from txexplain.errors import LocationError
from txexplain.explorer.places import PLACES
from txexplain.explorer.places.heads import LEASTS, MEASURES
from txexplain.explorer.places.place import STAGES, TAIL, Dims, Location, Memory, Parts, Place, shown
from txexplain.explorer.places.whole import ENDS

__all__ = [
    "ENDS", "FACES", "LEASTS", "MEASURES", "PLACES", "STAGES", "TILES", "Dims", "Location", "Memory", "breadcrumb", "check",
    "clamp", "nearest", "parse", "place_of", "remembered", "zoom_in", "zoom_out",
]  # fmt: skip

FACES = {kind: place.faces for kind, place in PLACES.items() if place.faces}
GRAMMARS = [(re.compile(place.stem + TAIL), place) for place in PLACES.values() if place.stem]
WORDS = sorted({*STAGES, *TILES, *(word for place in PLACES.values() for word in (place.word, *place.faces) if word)})
FORM = "a place like model, L5, L5.attn, L5H1:softmax[7,3], L5H1[7,3], L5.mlp[417] or output, and @4 for token 4"


def place_of(at: Location) -> Place:
    """The class that knows the place."""
    return PLACES[at.kind]


def parse(text: str) -> Location:
    """A Location from its text. Raises LocationError with one sentence."""
    found = taken_apart(text.strip())
    if found is None:
        meant = nearest(text)
        raise LocationError(f"{shown(text)} isn't a Location{f', but {meant} is' if meant else ''}; give {FORM}.")
    place, parts = found
    return place.read(text, parts)


def taken_apart(text: str) -> tuple[Place, Parts] | None:
    """A text that has a Location's form: the place that reads it, and its parts."""
    for grammar, place in GRAMMARS:
        if match := grammar.fullmatch(text):
            part = match.groupdict()
            least, token = (None if part[name] is None else int(part[name]) for name in ("least", "token"))
            return place, Parts(int(part.get("block", 0)), int(part.get("head", 0)), part["face"], least, part["inside"], token)
    return None


def nearest(text: str) -> Location | None:
    """The Location that a slip of the fingers may have meant: in another case, with a dot before H, with a word misspelt."""
    squeezed = "".join(text.split()).lower()
    if len(squeezed) > 40:
        return None
    fixed = re.sub(r"(?<![a-z])l(?=[0-9])", "L", squeezed)
    fixed = re.sub(r"\.?h(?=[0-9])", "H", fixed)
    fixed = re.sub(r"^([0-9]+)\.([0-9]+)", r"L\1H\2", fixed)  # the atlas's way to write a head
    fixed = re.sub(r"(?<=[LH])0+(?=[0-9])", "", fixed)
    fixed = fixed.replace("attention", "attn")  # by its letters alone it is nearer to "pattern"
    fixed = re.sub(r"[a-z_]+[0-9]?", lambda word: next(iter(get_close_matches(word[0], WORDS, 1)), word[0]), fixed)
    if taken_apart(fixed) is None:
        return None
    with suppress(LocationError):
        return parse(fixed)
    return None


def check(at: Location, dims: Dims) -> None:
    """Raise LocationError where the model or the prompt lacks the place."""
    place_of(at).check(at, dims)


def clamp(at: Location, dims: Dims) -> Location:
    """The nearest place that exists."""
    return place_of(at).clamp(at, dims)


def remembered(memory: Memory, at: Location) -> Memory:
    """The memory after having been at a place."""
    return place_of(at).remember(memory, at)


def zoom_in(at: Location, memory: Memory, dims: Dims) -> Location:
    """Into what is selected; a place that has no inside is its own."""
    return place_of(at).enter(at, memory, dims)


def zoom_out(at: Location, memory: Memory) -> Location:
    """To what holds this place, with this place selected there."""
    return place_of(at).out(at, memory)


def breadcrumb(at: Location) -> tuple[tuple[str, Location], ...]:
    """The way to a place from the model: each step's label and Location, the place itself last."""
    steps = [at]
    while steps[-1].kind != "model":
        steps.append(zoom_out(steps[-1], Memory()))
    return tuple((place_of(step).label(step), step) for step in reversed(steps))
