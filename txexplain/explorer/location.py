"""Where one is: a Location, its grammar, and the way in and out.

    model  embed  L5  L5.ln1  L5.qkv  L5.attn  L5.proj  L5.ln2  L5.mlp  heads  final  output
    L5H1 (= L5H1:softmax)  L5H1:qk  L5H1:scaled  L5H1:masked  L5H1:values
    L5H1:softmax[7,3]   the grid with its cursor at query 7, key 3
    L5H1[7,3]           the product
    L5.mlp[417]         a neuron

Brackets name what is selected in a view: model[L3], model[output], L5[qkv], L5.attn[1], heads[5.11].
Any of them may end in @4, the selected token (default: the last). A cursor's query is the selected token already.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import Enum

from txexplain.engine.errors import LocationError


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


STAGES = ("qk", "scaled", "masked", "softmax", "values")
TILES = ("resid_pre", "ln1", "qkv", "attn", "proj", "add1", "ln2", "fc", "act", "out", "add2")
TILE_PAGES = {
    "ln1": Level.LN1, "qkv": Level.QKV, "attn": Level.ATTN, "proj": Level.PROJ, "ln2": Level.LN2,
    "fc": Level.MLP, "act": Level.MLP, "out": Level.MLP,
}  # fmt: skip
PAGE_TILES = {Level.LN1: "ln1", Level.QKV: "qkv", Level.ATTN: "attn", Level.PROJ: "proj", Level.LN2: "ln2", Level.MLP: "fc"}
PLACES = {"model": Level.MODEL, "embed": Level.EMBED, "heads": Level.HEADS, "final": Level.FINAL, "output": Level.OUTPUT}
ENDS = ("embed", "final", "output")  # the columns of the model that aren't blocks
WITH_BLOCK = {Level.BLOCK, *PAGE_TILES, Level.NEURON, Level.HEAD, Level.PRODUCT, Level.HEADS}
WITH_HEAD = {Level.ATTN, Level.HEADS, Level.HEAD, Level.PRODUCT}
WITH_CURSOR = {Level.HEAD, Level.PRODUCT}
WORDS = tuple(dict.fromkeys((*PLACES, *(level.value for level in PAGE_TILES), *STAGES, *TILES)))
FORM = "a place like model, L5, L5.attn, L5H1:softmax[7,3], L5H1[7,3], L5.mlp[417] or output, and @4 for token 4"


@dataclass(frozen=True)
class Dims:
    """The sizes that bound a Location: the model's, and the prompt's. `columns`: of the grid of a block's heads on screen."""

    n_layer: int
    n_head: int
    n_inner: int
    n_tokens: int
    columns: int = 1
    model: str = "this model"


@dataclass(frozen=True)
class Location:
    """A place in the model. Fields that a level doesn't use hold their defaults.

    `select` is the column selected in the model view ("L3", "embed", …; None: block 0) or the tile selected in a block
    (None: attn). `token` None is the last. At a head or product with a cursor, `query` is the selected token.
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
    text: str
    match place.level:
        case Level.MODEL | Level.EMBED | Level.FINAL | Level.OUTPUT:
            text = place.level.value + (f"[{place.select}]" if place.select else "")
        case Level.HEADS:
            text = "heads" + (f"[{place.block}.{place.head}]" if (place.block, place.head) != (0, 0) else "")
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
            text = f"L{place.block}.{place.level.value}"
    return text + end


NUMBER = r"(?:0|[1-9][0-9]{0,6})"
GRAMMAR = re.compile(
    rf"(?:(?P<place>model|embed|heads|final|output)|L(?P<block>{NUMBER})(?:H(?P<head>{NUMBER})|\.(?P<page>ln1|qkv|attn|proj|ln2|mlp))?)"
    rf"(?::(?P<stage>{'|'.join(STAGES)}))?(?:\[(?P<inside>[\w.,]+)\])?(?:@(?P<token>{NUMBER}))?"
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
        return parse_head(text, place, part["stage"], part["inside"])
    if part["stage"]:
        raise LocationError(f"{shown(text)}: only a head has stages, as in L5H1:{part['stage']}.")
    return parse_page(text, place, part["place"] or part["page"] or "block", part["inside"])


def parse_head(text: str, place: Location, stage: str | None, inside: str | None) -> Location:
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
    if inside is None:
        level = PLACES.get(name) or (Level.BLOCK if name == "block" else Level(name))
        return replace(place, level=level)
    if name == "model" and (inside in ENDS or re.fullmatch(rf"L{NUMBER}", inside)):
        return replace(place, level=Level.MODEL, select=None if inside == "L0" else inside)
    if name == "heads" and (cell := re.fullmatch(rf"({NUMBER})\.({NUMBER})", inside)):
        return replace(place, level=Level.HEADS, block=int(cell[1]), head=int(cell[2]))
    if name == "block" and inside in TILES:
        return replace(place, level=Level.BLOCK, select=None if inside == "attn" else inside)
    if name == "attn" and re.fullmatch(NUMBER, inside):
        return replace(place, level=Level.ATTN, head=int(inside))
    if name == "mlp" and re.fullmatch(NUMBER, inside):
        return replace(place, level=Level.NEURON, neuron=int(inside))
    examples = {
        "model": "model[L3] or model[output]",
        "heads": "heads[5.11]",
        "block": f"L5[{'] L5['.join(TILES)}]",
        "attn": "L5.attn[1]",
        "mlp": "L5.mlp[417]",
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
    lacks = [
        ("block", blocks, dims.n_layer, f"{dims.model} has blocks L0 to L{dims.n_layer - 1}"),
        (
            "head",
            [place.head] if place.level in WITH_HEAD else [],
            dims.n_head,
            f"{dims.model} has heads H0 to H{dims.n_head - 1} in each block",
        ),
        ("neuron", [place.neuron or 0], dims.n_inner, f"each block of {dims.model} has neurons 0 to {dims.n_inner - 1}"),
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
    return replace(
        place,
        block=near(place.block, dims.n_layer) if place.level in WITH_BLOCK else 0,
        head=near(place.head, dims.n_head) if place.level in WITH_HEAD else 0,
        neuron=None if place.neuron is None else near(place.neuron, dims.n_inner),
        token=token(place.token), query=token(place.query), key=token(place.key), select=select,
    )  # fmt: skip


@dataclass(frozen=True)
class Memory:
    """What a zoom would forget: the block, head, stage, tile and neuron last visited, and whether a head was entered from the atlas.

    `cursor` is the query and key that a head was left with; it returns with a head only while that query is the selected token.
    """

    block: int = 0
    head: int = 0
    stage: str = "softmax"
    tile: str | None = None
    neuron: int = 0
    atlas: bool = False
    cursor: tuple[int, int] | None = None


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
                return replace(at, level=PLACES[column])
            return replace(at, level=Level.BLOCK, block=int(column[1:]), select=memory.tile)
        case Level.BLOCK:
            page = TILE_PAGES.get(place.select or "attn")
            if page is None:
                return place
            head = memory.head if page is Level.ATTN else 0
            return replace(at, level=page, block=place.block, head=min(head, dims.n_head - 1))
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
            return replace(at, level=Level.NEURON, block=place.block, neuron=min(memory.neuron, dims.n_inner - 1))
    return place


def zoom_out(place: Location, memory: Memory) -> Location:
    """To what holds this place, with this place selected there."""
    token = place.query if place.query is not None else place.token
    at = Location(token=token)
    match place.level:
        case Level.MODEL:
            return place
        case Level.EMBED | Level.FINAL | Level.OUTPUT:
            return replace(at, select=place.level.value)
        case Level.HEADS:
            return replace(at, select=f"L{place.block}" if place.block else None)
        case Level.BLOCK:
            return replace(at, select=f"L{place.block}" if place.block else None)
        case Level.HEAD:
            level = Level.HEADS if memory.atlas else Level.ATTN
            return replace(at, level=level, block=place.block, head=place.head)
        case Level.PRODUCT:
            return replace(place, level=Level.HEAD, stage=memory.stage)
        case Level.NEURON:
            return replace(at, level=Level.MLP, block=place.block)
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
        replace(place, token=None, select=None, query=None, key=None, head=place.head if place.level is Level.HEAD else 0)
    ).split("[")[0]
