"""Attention's places: a block's heads, all heads, one head's grid, and one query times one key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from txexplain.engine.measures import sorted_heads
from txexplain.errors import LocationError
from txexplain.explorer.places.place import (
    IN_BLOCK,
    NUMBER,
    PAIR,
    STAGES,
    Bound,
    Dims,
    InBlock,
    Location,
    Memory,
    Parts,
    Shown,
    Work,
    clipped,
    numbers_in,
    page_stem,
    shown,
)
from txexplain.explorer.places.whole import block_name
from txexplain.facts.heads import measuring, ranked

MEASURES = ("self", "previous", "first", "induction", "entropy")  # what heads are told apart by
LEASTS = (0, 10, 25, 50)  # the least percentage of a measure that a head of the atlas must have to be shown

CAPTIONS = {
    "qk": "One head: how well each earlier token's key fits each token's query.",
    "scaled": "The same scores, divided by one number so that they spread less.",
    "masked": "What comes later is covered: a token looks at itself and back.",
    "values": "What moves: each share times the length of what the token hands over.",
}  # of a head's stages but the usual one


class WithHead(InBlock):
    """A place with a head, its own or the selected one."""

    __slots__ = ()

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        yield from super().indices(at, dims)
        yield Bound("head", "head", at.head, dims.n_head, f"{dims.model} has heads H0 to H{dims.n_head - 1} in each block")

    def remember(self, memory: Memory, at: Location) -> Memory:
        return replace(super().remember(memory, at), head=at.head)

    def thing(self, at: Location) -> str:
        return f"L{at.block}H{at.head}"

    def step_head(self, at: Location, step: int, dims: Dims) -> Location:
        return replace(at, head=(at.head + step) % dims.n_head)


class Heads(WithHead):
    """Many heads, one selected, which Enter leads to: at the stage last seen, with the cursor that it was left with at this token."""

    __slots__ = ()

    def change(self, at: Location, dims: Dims) -> str:
        return f"L{at.block}H{at.head}"

    def enter(self, at: Location, memory: Memory, dims: Dims) -> Location:
        inside = Location("head", block=at.block, head=at.head, stage=memory.stage, token=at.token)
        if memory.cursor is None or memory.cursor[0] != at.token_index(dims.n_tokens):
            return inside
        query, key = memory.cursor
        return replace(inside, query=query, key=min(key, dims.n_tokens - 1), token=None)


class Attn(Heads):
    """The heads of a block."""

    __slots__ = ()
    kind = "attn"
    caption = "The heads of this block: each picture shows which token looks at which."
    about = "The block's heads. Each picture is a head's real softmax pattern: queries down, keys to the right."
    word = "attn"
    stem = page_stem(word)
    brackets = "L5.attn[1]"
    tiles = ("attn",)

    def text(self, at: Location) -> str:
        return f"L{at.block}.attn" + (f"[{at.head}]" if at.head else "")

    def select(self, at: Location, inside: str) -> Location | None:
        head = numbers_in(inside)
        return None if head is None else replace(at, head=head[0])

    def remember(self, memory: Memory, at: Location) -> Memory:
        return replace(super().remember(memory, at), atlas=False)

    def arrive(self, at: Location, memory: Memory, dims: Dims) -> Location:
        """With the head selected that was last visited."""
        return replace(at, head=min(memory.head, dims.n_head - 1))

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        head = at.head + dx + dy * dims.columns
        return replace(at, head=head) if 0 <= head < dims.n_head else at


class Atlas(Heads):
    """The heads of all blocks, perhaps sorted by a measure, and only those that have enough of it."""

    __slots__ = ()
    kind = "heads"
    caption = "All heads of all blocks: who looks at whom, and what each head does."
    about = (
        "Every head of every block, each with its real softmax pattern, and what it does on this prompt: its share to the token itself, "
        "the one before, the first, and the one after an earlier copy (induction), and its entropy; means over all queries but the first."
    )
    stem = word = "heads"
    brackets = "heads[5.7]"
    faces = ("order", *MEASURES)
    asks = "a block and a head, as in 5.7"
    numbered = True

    def text(self, at: Location) -> str:
        face = f":{at.face}" if at.face else ""
        least = f".{at.least}" if at.least else ""
        return "heads" + face + least + (f"[{at.block}.{at.head}]" if (at.block, at.head) != (0, 0) else "")

    def may_demand(self, face: str, least: int) -> bool:
        return face in MEASURES and least <= 100

    def select(self, at: Location, inside: str) -> Location | None:
        cell = numbers_in(inside, rf"L?{NUMBER}[.H]{NUMBER}")
        return None if cell is None else replace(at, block=cell[0], head=cell[1])

    def remember(self, memory: Memory, at: Location) -> Memory:
        return replace(super().remember(memory, at), sorted=at.face, least=at.least, atlas=True)

    def out(self, at: Location, memory: Memory) -> Location:
        return Location(select=block_name(at.block), token=at.chosen)

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        """To the neighbour on screen: in the order in which the measures sort the heads, where these are known."""
        if dims.order is None:
            return replace(at, head=max(0, at.head + dx), block=max(0, at.block + dy))
        here = at.block * dims.n_head + at.head
        there = dims.order.index(here) + dx + dy * dims.columns if here in dims.order else 0
        if not 0 <= there < len(dims.order):
            return at
        block, head = divmod(dims.order[there], dims.n_head)
        return replace(at, block=block, head=head)

    def order(self, at: Location, run: Shown) -> tuple[int, ...] | None:
        """Those that a measure finds, where the heads are measured."""
        result = run.result
        if at.face is None or not result.measured:
            return None
        return sorted_heads(result.measures, at.face, result.trace.n_tokens, at.least) if ranked(result, at.face) else ()

    def work(self, at: Location, run: Shown) -> Work | None:
        return None if run.result.measured else Work("measures", partial(measuring, run.result))

    def first(self, at: Location, dims: Dims) -> Location:
        """The first of those that are sorted."""
        if at.face is None or not dims.order:
            return at
        block, head = divmod(dims.order[0], dims.n_head)
        return replace(at, block=block, head=head)

    def next_least(self, at: Location) -> Location:
        return at if at.face is None else replace(at, least=next((each for each in LEASTS if each > at.least), 0))

    def number(self, at: Location, numbers: Sequence[int]) -> Location | None:
        return replace(at, block=numbers[0], head=numbers[1]) if len(numbers) == 2 else None

    def typed(self, at: Location, there: Location) -> Location:
        """A head alone is the head as selected here."""
        if there == Location("head", block=there.block, head=there.head):
            return replace(at, block=there.block, head=there.head)
        return there


class WithCursor(WithHead):
    """A place of one head with a cursor on a query and a key. The query is the selected token."""

    __slots__ = ()

    def own_head(self, at: Location) -> int:
        return at.head

    def remember(self, memory: Memory, at: Location) -> Memory:
        cursor = None if at.query is None or at.key is None else (at.query, at.key)
        return replace(super().remember(memory, at), cursor=cursor)

    def change(self, at: Location, dims: Dims) -> str:
        query, key = at.cursor(dims.n_tokens, dims.key)
        return f"L{at.block}H{at.head}[{query},{key}]" if key <= query else ""

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        query, key = at.cursor(dims.n_tokens, dims.key)
        query, key = (max(0, min(i, dims.n_tokens - 1)) for i in (query + dy, key + dx))
        return replace(at, query=query, key=key, token=None)

    def with_token(self, at: Location, token: int, dims: Dims) -> Location:
        return replace(at, token=token, query=None) if at.key is None else replace(at, query=token, token=None)


class Head(WithCursor):
    """One head's grid at one of its stages; with a query and a key in brackets and no stage, the text is a product's."""

    __slots__ = ()
    kind = "head"
    caption = "One head: a row for each token, with its share of every earlier token."
    about = "One head: each row is a query token, each column a key token that it may look at."
    stem = rf"{IN_BLOCK}H(?P<head>{NUMBER})"

    def captioned(self, at: Location) -> str:
        return CAPTIONS.get(at.stage, self.caption)

    def text(self, at: Location) -> str:
        cursor = f"[{at.query},{at.key}]" if at.query is not None else ""
        stage = f":{at.stage}" if cursor or at.stage != "softmax" else ""
        return f"L{at.block}H{at.head}{stage}{cursor}"

    def read(self, text: str, parts: Parts) -> Location:
        stage = parts.face
        if parts.least is not None:
            raise LocationError(f"{shown(text)}: only the atlas has a least percentage, as in heads:induction.25.")
        if stage is not None and stage not in STAGES:
            raise LocationError(f"{shown(text)}: a head has no stage {clipped(stage)}; its stages are {', '.join(STAGES)}.")
        at = Location("head", block=parts.block, head=parts.head, stage=stage or "softmax", token=parts.token)
        if parts.inside is None:
            return at
        cursor = numbers_in(parts.inside, PAIR)
        if cursor is None:
            raise LocationError(f"{shown(text)}: the brackets of a head hold a query and a key, as in L5H1[7,3].")
        query, key = cursor
        if parts.token not in (None, query):
            raise LocationError(f"{shown(text)}: the query, {query}, is the selected token already; leave @{parts.token} out.")
        return replace(at, kind="head" if stage else "product", query=query, key=key, token=None)

    def remember(self, memory: Memory, at: Location) -> Memory:
        return replace(super().remember(memory, at), stage=at.stage)

    def enter(self, at: Location, memory: Memory, dims: Dims) -> Location:
        query, key = at.cursor(dims.n_tokens, dims.key)
        return Location("product", block=at.block, head=at.head, query=query, key=key)

    def out(self, at: Location, memory: Memory) -> Location:
        """To where it was entered from: the atlas as it was sorted, or its block's heads."""
        here = Location("attn", block=at.block, head=at.head, token=at.chosen)
        return replace(here, kind="heads", face=memory.sorted, least=memory.least) if memory.atlas else here

    def next_face(self, at: Location, step: int) -> Location:
        """The head's next stage."""
        return replace(at, stage=STAGES[(STAGES.index(at.stage) + step) % len(STAGES)])


class Product(WithCursor):
    """One query times one key."""

    __slots__ = ()
    kind = "product"
    caption = "Why this score? The query times the key, number by number."
    about = "One query times one key, element by element, the score that it makes, and what this share of attention moves."
    named = True

    def text(self, at: Location) -> str:
        return f"L{at.block}H{at.head}[{at.query},{at.key}]"

    def out(self, at: Location, memory: Memory) -> Location:
        return replace(at, kind="head", stage=memory.stage)
