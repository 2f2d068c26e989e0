"""Where one is: a Location, its grammar, and the way in and out.

    model  embed  L5  L5.ln1  L5.qkv  L5.attn  L5.proj  L5.ln2  L5.mlp  heads  final  output
    L5H1 (= L5H1:softmax)  L5H1:qk  L5H1:scaled  L5H1:masked  L5H1:values
    L5H1:softmax[7,3]   the grid with its cursor at query 7, key 3
    L5H1[7,3]           the product
    L5.mlp[417]         a neuron
    residual            the selected token's residual stream, part by part

Brackets name what is selected in a view: model[L3], model[output], L5[qkv], L5.attn[1], heads[5.11], residual[L3.attn],
an element of a vector in embed[17], L5.ln1[17], final[17], L5.qkv[300], and a weight in L5.qkv:matrix[17,300].
A word after a colon names a page's other face: embed:nearest, L5.qkv:matrix, L5.mlp:post[417] (the list with the neuron
selected), heads:induction[5.11] (sorted by a measure), heads:induction.25 (those where it is 25% or more).
Any of them may end in @4, the selected token (default: the last). A cursor's query is the selected token already.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum

from txexplain.engine.errors import LocationError
from txexplain.engine.steps import TILES


class Level(Enum):
    """The kinds of view."""

    MODEL = "model"
    EMBED = "embed"
    BLOCK = "block"
    LN1 = "ln1"
    QKV = "qkv"
    ATTN = "attn"
    PROJ = "proj"
    LN2 = "ln2"
    MLP = "mlp"
    NEURON = "neuron"
    HEADS = "heads"
    HEAD = "head"
    PRODUCT = "product"
    FINAL = "final"
    OUTPUT = "output"
    RESIDUAL = "residual"


STAGES = ("qk", "scaled", "masked", "softmax", "values")
TILE_PAGES = {
    "ln1": Level.LN1, "qkv": Level.QKV, "attn": Level.ATTN, "proj": Level.PROJ, "ln2": Level.LN2,
    "fc": Level.MLP, "act": Level.MLP, "out": Level.MLP,
}  # fmt: skip
LATER_TILES = TILES[TILES.index("ln2") :]
PAGE_TILES = {Level.LN1: "ln1", Level.QKV: "qkv", Level.ATTN: "attn", Level.PROJ: "proj", Level.LN2: "ln2", Level.MLP: "fc"}
PLACES = {
    "model": Level.MODEL, "embed": Level.EMBED, "heads": Level.HEADS, "final": Level.FINAL, "output": Level.OUTPUT,
    "residual": Level.RESIDUAL,
}  # fmt: skip
ENDS = ("embed", "final", "output")  # the columns of the model that aren't blocks
WITH_BLOCK = {Level.BLOCK, *PAGE_TILES, Level.NEURON, Level.HEAD, Level.PRODUCT, Level.HEADS}
WITH_HEAD = {Level.ATTN, Level.HEADS, Level.HEAD, Level.PRODUCT}
WITH_CURSOR = {Level.HEAD, Level.PRODUCT}
VECTORS = {Level.EMBED, Level.LN1, Level.LN2, Level.FINAL}  # pages of vectors of length d with a cursor on one element
PRODUCTS = {Level.QKV, Level.PROJ}  # pages of a vector times a matrix, with a cursor on an output, and perhaps an input
MEASURES = ("self", "previous", "first", "induction", "entropy")  # what heads are told apart by
# A page's faces, the usual one first; it goes without saying.
FACES: dict[Level, tuple[str, ...]] = {
    Level.EMBED: ("sum", "nearest"),
    Level.QKV: ("strips", "matrix"),
    Level.PROJ: ("strips", "matrix"),
    Level.MLP: ("post", "pre", "added"),  # what the neurons are sorted by
    Level.HEADS: ("order", *MEASURES),
}
LEASTS = (0, 10, 25, 50)  # the least percentage of a measure that a head of the atlas must have to be shown
WORDS = tuple(
    dict.fromkeys((*PLACES, *(level.value for level in PAGE_TILES), *STAGES, *TILES, *(face for faces in FACES.values() for face in faces)))
)
FORM = "a place like model, L5, L5.attn, L5H1:softmax[7,3], L5H1[7,3], L5.mlp[417] or output, and @4 for token 4"


@dataclass(frozen=True)
class Dims:
    """The sizes that bound a Location: the model's, and the prompt's. `columns`: of the grid of heads on screen."""

    n_layer: int
    n_head: int
    n_inner: int
    n_tokens: int
    columns: int = 1
    model: str = "this model"
    n_embd: int = 1
    order: tuple[int, ...] | None = None  # the neurons, or the heads (block × n_head + head), as the present view lists them


@dataclass(frozen=True)
class Location:
    """A place in the model. Fields that a level doesn't use hold their defaults.

    `select` is the column selected in the model view ("L3", "embed", …; None: block 0), the tile selected in a block
    (None: attn) or the part selected in the residual stream (None: embed). `token` None is the last. At a head or product
    with a cursor, `query` is the selected token. `element` is one of a vector's, of a product's output; `source` of its input.
    `face` is which of a page's faces is shown (None: the usual), `least` a percentage that heads of the atlas must reach.
    """

    level: Level = Level.MODEL
    block: int = 0
    head: int = 0
    stage: str = "softmax"
    query: int | None = None
    key: int | None = None
    neuron: int | None = None
    select: str | None = None
    token: int | None = None
    element: int | None = None
    source: int | None = None
    face: str | None = None
    least: int = 0

    def __post_init__(self) -> None:
        if self.face is not None and self.face == FACES.get(self.level, ("",))[0]:
            object.__setattr__(self, "face", None)  # a place has one Location, however it was named

    def __str__(self) -> str:
        return text_of(self)

    def token_index(self, n_tokens: int) -> int:
        """The selected token's position among n_tokens."""
        chosen = self.query if self.query is not None else self.token
        return max(0, n_tokens - 1 if chosen is None else min(chosen, n_tokens - 1))

    def cursor(self, n_tokens: int) -> tuple[int, int]:
        """The query and key under a head's cursor; without one, the selected token on both."""
        query = self.token_index(n_tokens)
        return query, query if self.key is None else max(0, min(self.key, n_tokens - 1))


def text_of(place: Location) -> str:
    """The canonical text of a Location: parse(text_of(x)) == x."""
    end = "" if place.token is None else f"@{place.token}"
    face = f":{place.face}" if place.face else ""
    text: str
    match place.level:
        case Level.MODEL | Level.OUTPUT | Level.RESIDUAL:
            text = place.level.value + (f"[{place.select}]" if place.select else "")
        case Level.HEADS:
            face += f".{place.least}" if place.least else ""
            text = "heads" + face + (f"[{place.block}.{place.head}]" if (place.block, place.head) != (0, 0) else "")
        case Level.MLP:
            neuron = f"[{place.neuron}]" if place.neuron is not None else ""
            text = f"L{place.block}.mlp" + (face or (":post" if neuron else "")) + neuron
        case Level.BLOCK:
            text = f"L{place.block}" + (f"[{place.select}]" if place.select else "")
        case Level.ATTN:
            text = f"L{place.block}.attn" + (f"[{place.head}]" if place.head else "")
        case Level.NEURON:
            text = f"L{place.block}.mlp[{place.neuron}]"
        case Level.HEAD:
            cursor = f"[{place.query},{place.key}]" if place.query is not None else ""
            stage = f":{place.stage}" if cursor or place.stage != "softmax" else ""
            text = f"L{place.block}H{place.head}{stage}{cursor}"
        case Level.PRODUCT:
            text = f"L{place.block}H{place.head}[{place.query},{place.key}]"
        case _:
            block = "" if place.level in (Level.EMBED, Level.FINAL) else f"L{place.block}."
            indices = ",".join(str(i) for i in (place.source, place.element) if i is not None)
            text = f"{block}{place.level.value}{face}" + (f"[{indices}]" if indices else "")
    return text + end


NUMBER = r"(?:0|[1-9][0-9]{0,6})"
GRAMMAR = re.compile(
    rf"(?:(?P<place>{'|'.join(PLACES)})|L(?P<block>{NUMBER})(?:H(?P<head>{NUMBER})|\.(?P<page>ln1|qkv|attn|proj|ln2|mlp))?)"
    rf"(?::(?P<stage>[a-z]+)(?:\.(?P<least>{NUMBER}))?)?(?:\[(?P<inside>[\w.,]+)\])?(?:@(?P<token>{NUMBER}))?"
)


def parse(text: str) -> Location:
    """A Location from its text. Raises LocationError with one sentence."""
    match = GRAMMAR.fullmatch(text.strip())
    if match is None:
        meant = nearest(text)
        raise LocationError(f"{shown(text)} isn't a Location{f', but {meant} is' if meant else ''}; give {FORM}.")
    part = match.groupdict()
    token = None if part["token"] is None else int(part["token"])
    place = Location(block=int(part["block"] or 0), head=int(part["head"] or 0), token=token)
    if part["head"] is not None:
        if part["least"] is not None:
            raise LocationError(f"{shown(text)}: only the atlas has a least percentage, as in heads:induction.25.")
        return parse_head(text, place, part["stage"], part["inside"])
    name = part["place"] or part["page"] or "block"
    return parse_page(text, faced(text, place, name, part["stage"], part["least"]), name, part["inside"])


def level_named(name: str) -> Level:
    return PLACES.get(name) or (Level.BLOCK if name == "block" else Level(name))


def faced(text: str, place: Location, name: str, face: str | None, least: str | None) -> Location:
    """The place with the page's face that a colon names."""
    faces = FACES.get(level_named(name), ())
    if face is None:
        return place
    if face not in faces:
        if face in STAGES and not faces:
            raise LocationError(f"{shown(text)}: only a head has stages, as in L5H1:{face}.")
        raise LocationError(
            f"{shown(text)}: that view has no face {clipped(face)}" + (f"; it has {', '.join(faces)}." if faces else " or any other.")
        )
    if least is not None:
        if name != "heads" or face not in MEASURES or int(least) > 100:
            raise LocationError(f"{shown(text)}: only a measure of the atlas has a least percentage, as in heads:induction.25.")
        place = replace(place, least=int(least))
    return replace(place, face=face)


def parse_head(text: str, place: Location, stage: str | None, inside: str | None) -> Location:
    if stage is not None and stage not in STAGES:
        raise LocationError(f"{shown(text)}: a head has no stage {clipped(stage)}; its stages are {', '.join(STAGES)}.")
    if inside is None:
        return replace(place, level=Level.HEAD, stage=stage or "softmax")
    cursor = re.fullmatch(rf"({NUMBER}),({NUMBER})", inside)
    if cursor is None:
        raise LocationError(f"{shown(text)}: the brackets of a head hold a query and a key, as in L5H1[7,3].")
    query, key = int(cursor[1]), int(cursor[2])
    if place.token not in (None, query):
        raise LocationError(f"{shown(text)}: the query, {query}, is the selected token already; leave @{place.token} out.")
    place = replace(place, query=query, key=key, token=None)
    return replace(place, level=Level.HEAD, stage=stage) if stage else replace(place, level=Level.PRODUCT)


def parse_page(text: str, place: Location, name: str, inside: str | None) -> Location:
    level = level_named(name)
    listed = place.face is not None  # an MLP's list with a neuron selected; without a face it is the neuron's page
    if place.face == FACES.get(level, ("",))[0]:
        place = replace(place, face=None)
    if inside is None:
        return replace(place, level=level)
    if name == "model" and (inside in ENDS or re.fullmatch(rf"L{NUMBER}", inside)):
        return replace(place, level=Level.MODEL, select=None if inside == "L0" else inside)
    if name == "heads" and (cell := re.fullmatch(rf"L?({NUMBER})[.H]({NUMBER})", inside)):
        return replace(place, level=Level.HEADS, block=int(cell[1]), head=int(cell[2]))
    if name == "block" and inside in TILES:
        return replace(place, level=Level.BLOCK, select=None if inside == "attn" else inside)
    if name == "attn" and re.fullmatch(NUMBER, inside):
        return replace(place, level=Level.ATTN, head=int(inside))
    if name == "mlp" and re.fullmatch(NUMBER, inside):
        return replace(place, level=Level.MLP if listed else Level.NEURON, neuron=int(inside))
    if name == "residual" and (inside == "pos" or re.fullmatch(rf"L{NUMBER}\.(?:attn|mlp)", inside)):
        return replace(place, level=level, select=inside)
    if name == "residual" and inside == "embed":
        return replace(place, level=level)
    if level in VECTORS | PRODUCTS and re.fullmatch(NUMBER, inside):
        return replace(place, level=level, element=int(inside))
    if level in PRODUCTS and (cell := re.fullmatch(rf"({NUMBER}),({NUMBER})", inside)):
        return replace(place, level=level, source=int(cell[1]), element=int(cell[2]))
    examples = {
        "model": "model[L3] or model[output]",
        "heads": "heads[5.11]",
        "block": f"L5[{'] L5['.join(TILES)}]",
        "attn": "L5.attn[1]",
        "mlp": "L5.mlp[417]",
        "residual": "residual[L3.attn]",
        "embed": "embed[17]",
        "final": "final[17]",
        "ln1": "L5.ln1[17]",
        "ln2": "L5.ln2[17]",
        "qkv": "L5.qkv[300] or L5.qkv[17,300]",
        "proj": "L5.proj[30] or L5.proj[17,30]",
    }
    raise LocationError(
        f"{shown(text)}: [{clipped(inside)}] names nothing in that view" + (f"; give {examples[name]}." if name in examples else ".")
    )


def nearest(text: str) -> Location | None:
    """The Location that a slip of the fingers may have meant: in another case, with a dot before H, with a word misspelt."""
    squeezed = "".join(text.split()).lower()
    if len(squeezed) > 40:
        return None
    fixed = re.sub(r"(?<![a-z])l(?=[0-9])", "L", squeezed)
    fixed = re.sub(r"\.?h(?=[0-9])", "H", fixed)
    fixed = re.sub(r"^([0-9]+)\.([0-9]+)", r"L\1H\2", fixed)  # the atlas's way to write a head
    fixed = re.sub(r"(?<=[LH])0+(?=[0-9])", "", fixed)
    fixed = re.sub(r"[a-z_]+[0-9]?", lambda word: next(iter(get_close_matches(word[0], WORDS, 1)), word[0]), fixed)
    if GRAMMAR.fullmatch(fixed) is None:
        return None
    with suppress(LocationError):
        return parse(fixed)
    return None


def shown(text: str) -> str:
    """What was typed, short and on one line."""
    return f"'{clipped(text)}'"


def clipped(text: str) -> str:
    """What was typed, short and in ASCII."""
    plain = ascii(text)[1:-1]
    return plain if len(plain) <= 58 else plain[:56] + "…"


def check(place: Location, dims: Dims) -> None:
    """Raise LocationError where the model or the prompt lacks the place."""
    blocks = [place.block] if place.level in WITH_BLOCK else []
    if place.level is Level.MODEL and place.select and place.select not in ENDS:
        blocks = [int(place.select[1:])]
    if place.level is Level.RESIDUAL and place.select and place.select != "pos":
        blocks = [part_block(place.select)]
    width = output_width(place.level, dims)
    lacks = [
        ("block", blocks, dims.n_layer, f"{dims.model} has blocks L0 to L{dims.n_layer - 1}"),
        (
            "head",
            [place.head] if place.level in WITH_HEAD else [],
            dims.n_head,
            f"{dims.model} has heads H0 to H{dims.n_head - 1} in each block",
        ),
        ("neuron", [place.neuron or 0], dims.n_inner, f"each block of {dims.model} has neurons 0 to {dims.n_inner - 1}"),
        ("element", [place.element or 0], width, f"the vector's elements go from 0 to {width - 1}"),
        ("input", [place.source or 0], dims.n_embd, f"the inputs go from 0 to {dims.n_embd - 1}"),
        (
            "token",
            [i for i in (place.token, place.query, place.key) if i is not None],
            dims.n_tokens,
            f"the prompt's tokens go from 0 to {dims.n_tokens - 1}",
        ),
    ]
    for what, wanted, size, has in lacks:
        for index in wanted:
            if index >= size:
                raise LocationError(f"{place}: there is no {what} {index}; {has}.")


def part_block(part: str) -> int:
    """The block of a part of the residual stream like L3.attn."""
    return int(part[1:].partition(".")[0])


def output_width(level: Level, dims: Dims) -> int:
    """The length of the vector whose elements a page's cursor moves over."""
    return 3 * dims.n_embd if level is Level.QKV else dims.n_embd


def clamp(place: Location, dims: Dims) -> Location:
    """The nearest place that exists."""

    def near(index: int, size: int) -> int:
        return max(0, min(index, size - 1))

    def token(index: int | None) -> int | None:
        return None if index is None else near(index, dims.n_tokens)

    select = place.select
    if place.level is Level.MODEL and select and select not in ENDS:
        block = near(int(select[1:]), dims.n_layer)
        select = f"L{block}" if block else None
    if place.level is Level.RESIDUAL and select and select != "pos":
        select = f"L{near(part_block(select), dims.n_layer)}.{select.partition('.')[2]}"
    return replace(
        place,
        block=near(place.block, dims.n_layer) if place.level in WITH_BLOCK else 0,
        head=near(place.head, dims.n_head) if place.level in WITH_HEAD else 0,
        neuron=None if place.neuron is None else near(place.neuron, dims.n_inner),
        element=None if place.element is None else near(place.element, output_width(place.level, dims)),
        source=None if place.source is None else near(place.source, dims.n_embd),
        token=token(place.token), query=token(place.query), key=token(place.key), select=select,
    )  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """What a zoom would forget: the block, head, stage, tile and neuron last visited, and whether a head was entered from the atlas.

    `cursor` is the query and key that a head was left with; it returns with a head only while that query is the selected token.
    `page` is the page of vectors or neurons last seen, whose cursor and face return with it; `listed` is how an MLP's neurons were
    sorted, `sorted` and `least` how the atlas was; `before` is where the residual stream was looked up from.
    """

    block: int = 0
    head: int = 0
    stage: str = "softmax"
    tile: str | None = None
    neuron: int = 0
    atlas: bool = False
    cursor: tuple[int, int] | None = None
    page: Location | None = None
    listed: str | None = None
    sorted: str | None = None
    least: int = 0
    before: Location | None = None


def remembered(memory: Memory, place: Location) -> Memory:
    """The memory after having been at a place."""
    if place.level is Level.MODEL:
        column = place.select or "L0"
        return memory if column in ENDS else replace(memory, block=int(column[1:]), atlas=False)
    if place.level in WITH_BLOCK:
        memory = replace(memory, block=place.block)
    if place.level in WITH_HEAD:
        memory = replace(memory, head=place.head)
    if place.level is Level.HEAD:
        memory = replace(memory, stage=place.stage)
    if place.level in WITH_CURSOR:
        memory = replace(memory, cursor=None if place.query is None or place.key is None else (place.query, place.key))
    if place.level is Level.BLOCK:
        memory = replace(memory, tile=place.select)
    if place.neuron is not None:
        memory = replace(memory, neuron=place.neuron)
    if place.level in VECTORS | PRODUCTS | {Level.MLP}:
        memory = replace(memory, page=place)
    if place.level is Level.MLP:
        memory = replace(memory, listed=place.face)
    if place.level is Level.HEADS:
        memory = replace(memory, sorted=place.face, least=place.least)
    if place.level is not Level.RESIDUAL:
        memory = replace(memory, before=None)
    if place.level is Level.HEADS or place.level in (Level.ATTN, Level.BLOCK):
        memory = replace(memory, atlas=place.level is Level.HEADS)
    return memory


def zoom_in(place: Location, memory: Memory, dims: Dims) -> Location:
    """Into what is selected; a place that has no inside is its own."""
    at = Location(token=place.token)
    match place.level:
        case Level.MODEL:
            column = place.select or "L0"
            if column in ENDS:
                return seen_before(replace(at, level=PLACES[column]), memory, dims)
            return replace(at, level=Level.BLOCK, block=int(column[1:]), select=memory.tile)
        case Level.BLOCK:
            page = TILE_PAGES.get(place.select or "attn")
            if page is None:
                return place
            head = memory.head if page is Level.ATTN else 0
            return seen_before(replace(at, level=page, block=place.block, head=min(head, dims.n_head - 1)), memory, dims)
        case Level.ATTN | Level.HEADS:
            inside = replace(at, level=Level.HEAD, block=place.block, head=place.head, stage=memory.stage)
            if memory.cursor is None or memory.cursor[0] != place.token_index(dims.n_tokens):
                return inside
            query, key = memory.cursor
            return replace(inside, query=query, key=min(key, dims.n_tokens - 1), token=None)
        case Level.HEAD:
            query, key = place.cursor(dims.n_tokens)
            return replace(at, level=Level.PRODUCT, block=place.block, head=place.head, query=query, key=key, token=None)
        case Level.MLP:
            first = dims.order[0] if dims.order else min(memory.neuron, dims.n_inner - 1)
            return replace(at, level=Level.NEURON, block=place.block, neuron=first if place.neuron is None else place.neuron)
        case Level.RESIDUAL:
            if place.select in (None, "pos"):
                return replace(at, level=Level.EMBED)
            _, _, half = place.select.partition(".")
            return replace(at, level=Level.PROJ if half == "attn" else Level.MLP, block=part_block(place.select))
    return place


def seen_before(place: Location, memory: Memory, dims: Dims) -> Location:
    """A page as it was last seen, where the last page was of its kind."""
    page = memory.page
    if page is None or page.level is not place.level:
        return place
    return clamp(replace(place, face=page.face, element=page.element, source=page.source, neuron=page.neuron), dims)


def residual_of(place: Location) -> Location:
    """The selected token's residual stream, with the part selected that the place belongs to."""
    token = place.query if place.query is not None else place.token
    at = Location(Level.RESIDUAL, token=token)
    if place.level in (Level.LN2, Level.MLP, Level.NEURON) or (place.level is Level.BLOCK and place.select in LATER_TILES):
        return replace(at, select=f"L{place.block}.mlp")
    if place.level in WITH_BLOCK:
        return replace(at, select=f"L{place.block}.attn")
    if place.level is Level.MODEL and place.select not in ENDS:
        return replace(at, select=f"{place.select or 'L0'}.attn")
    return at


def zoom_out(place: Location, memory: Memory) -> Location:
    """To what holds this place, with this place selected there."""
    token = place.query if place.query is not None else place.token
    at = Location(token=token)
    match place.level:
        case Level.MODEL:
            return place
        case Level.EMBED | Level.FINAL | Level.OUTPUT:
            return replace(at, select=place.level.value)
        case Level.RESIDUAL:
            return at if memory.before is None else replace(memory.before, token=token) if memory.before.query is None else memory.before
        case Level.HEADS:
            return replace(at, select=f"L{place.block}" if place.block else None)
        case Level.BLOCK:
            return replace(at, select=f"L{place.block}" if place.block else None)
        case Level.HEAD:
            here = replace(at, block=place.block, head=place.head)
            if memory.atlas:
                return replace(here, level=Level.HEADS, face=memory.sorted, least=memory.least)
            return replace(here, level=Level.ATTN)
        case Level.PRODUCT:
            return replace(place, level=Level.HEAD, stage=memory.stage)
        case Level.NEURON:
            return replace(at, level=Level.MLP, block=place.block, neuron=place.neuron, face=memory.listed)
    tile = PAGE_TILES[place.level]
    if memory.tile is not None and TILE_PAGES.get(memory.tile) is place.level:
        tile = memory.tile  # three tiles share the MLP's page
    return replace(at, level=Level.BLOCK, block=place.block, select=None if tile == "attn" else tile)


def breadcrumb(place: Location) -> tuple[tuple[str, Location], ...]:
    """The way to a place from the model: each step's label and Location, the place itself last."""
    memory = remembered(Memory(), replace(place, level=Level.HEAD)) if place.level is Level.PRODUCT else Memory()
    steps = [place]
    while steps[-1].level is not Level.MODEL:
        steps.append(zoom_out(steps[-1], memory))
    labels = [label(step) for step in steps]
    return tuple(zip(reversed(labels), reversed(steps), strict=True))


def label(place: Location) -> str:
    """A step's short name: its text without what is selected in it, but for a product and a neuron, which that makes."""
    if place.level in (Level.PRODUCT, Level.NEURON):
        return text_of(replace(place, token=None))
    return text_of(
        replace(
            place, token=None, select=None, query=None, key=None, neuron=None, element=None, source=None, face=None, least=0,
            head=place.head if place.level is Level.HEAD else 0,
        )
    ).split("[")[0]  # fmt: skip
