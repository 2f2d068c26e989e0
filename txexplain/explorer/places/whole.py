"""Places that belong to no block: the whole model, its output, and the selected token's residual stream."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, NamedTuple

from txexplain.explorer.places.place import NUMBER, PLACES, Bound, Dims, Location, Memory, Place, block_bound, token_by

ENDS = ("embed", "final", "output")  # the columns of the model that aren't blocks


class Whole(Place):
    """A place that is named by its word alone, with a word in brackets for what is selected."""

    __slots__ = ()

    def text(self, at: Location) -> str:
        return self.word + (f"[{at.select}]" if at.select else "")


class Model(Whole):
    """The whole model: a column is selected, an end or a block."""

    __slots__ = ()
    kind = "model"
    caption = "Tokens pass the blocks from left to right; bands show what came from where."
    about = (
        "The whole model: rows are tokens, columns are blocks. Ribbons show what reached the selected token, traced back from the last "
        "block, the widest of them; numbers on the rows, which part of it each token held there; the bars below, how much attention (A) "
        "and MLP (M) added to its residual stream."
    )
    stem = word = "model"
    flows = True
    brackets = "model[L3] or model[output]"

    def select(self, at: Location, inside: str) -> Location | None:
        if inside in ENDS or re.fullmatch(rf"L{NUMBER}", inside):
            return replace(at, select=None if inside == "L0" else inside)
        return None

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        if at.select and at.select not in ENDS:
            yield block_bound(column_block(at), dims, "select", block_name)

    def remember(self, memory: Memory, at: Location) -> Memory:
        return memory if at.select in ENDS else replace(memory, block=column_block(at), atlas=False)

    def enter(self, at: Location, memory: Memory, dims: Dims) -> Location:
        if at.select in ENDS:
            return PLACES[at.select].arrive(Location(at.select, token=at.token), memory, dims)
        return Location("block", block=column_block(at), select=memory.tile, token=at.token)

    def out(self, at: Location, memory: Memory) -> Location:
        return at

    def part(self, at: Location) -> str | None:
        return None if at.select in ENDS else f"{at.select or 'L0'}.attn"

    def subject(self, at: Location) -> str:
        return at.select or "L0"

    def change(self, at: Location, dims: Dims) -> str:
        """The selected token, which later ones then can't look at."""
        return f"[*,{at.token_index(dims.n_tokens)}]"

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        if not dx:
            return super().move(at, dx, dy, dims)
        return replace(at, select=column_name(column_position(at, dims) + dx, dims.n_layer))

    def step_block(self, at: Location, step: int, dims: Dims) -> Location:
        """The selected column moves, to a block."""
        return replace(at, select=block_name(max(0, min(column_position(at, dims) + step, dims.n_layer - 1))))


class End(Place):
    """A column of the model that is no block, as a page of its own."""

    __slots__ = ()

    def out(self, at: Location, memory: Memory) -> Location:
        return Location(select=self.word, token=at.chosen)


class Output(Whole, End):
    """From logits to probabilities. The arrows are the candidates' there."""

    __slots__ = ()
    kind = "output"
    caption = "From scores to shares, step by step, for the likeliest next tokens."
    about = "Every stage from logit to probability, for the likeliest tokens."
    stem = word = "output"
    has_candidates = True
    takes = "take"

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        return at


class Key(NamedTuple):
    """The key that leads to a place: an action of the place's name."""

    key: str
    label: str
    help: str
    group: str = "Move"
    footer: str = ""


class LookedUp(Whole):
    """A place that a key of its own leads to, and back from: a look at the run that stands wherever the reader goes in the model."""

    __slots__ = ()
    key: ClassVar[Key]
    tries: ClassVar[str] = ""  # what it needs the model for, where a recorded run isn't enough

    @abstractmethod
    def seen_from(self, at: Location, dims: Dims) -> Location:
        """The place as it opens where the reader was at another."""

    def remember(self, memory: Memory, at: Location) -> Memory:
        return memory

    def out(self, at: Location, memory: Memory) -> Location:
        """To where it was looked up."""
        if memory.before is None:
            return Location(token=at.chosen)
        return memory.before if memory.before.query is not None else replace(memory.before, token=at.chosen)


class Residual(LookedUp):
    """The selected token's residual stream: a part of it is selected."""

    __slots__ = ()
    kind = "residual"
    caption = "This token's numbers as a sum: what each part of the model added."
    about = "The selected token's residual stream: every part that was added to it, from the embedding to the last block."
    stem = word = "residual"
    brackets = "residual[L3.attn]"
    key = Key("d", "residual stream", "The selected token's residual stream through the model; again to return", footer="residual")

    def seen_from(self, at: Location, dims: Dims) -> Location:
        """With the part selected that the place belongs to."""
        return Location("residual", select=PLACES[at.kind].part(at), token=at.chosen)

    def select(self, at: Location, inside: str) -> Location | None:
        if inside == "pos" or re.fullmatch(rf"L{NUMBER}\.(?:attn|mlp)", inside):
            return replace(at, select=inside)
        return at if inside == "embed" else None

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        if at.select and at.select != "pos":
            block, half = block_and_half(at.select)
            yield block_bound(block, dims, "select", lambda near: f"L{near}.{half}")

    def change(self, at: Location, dims: Dims) -> str:
        return f"{at.select or 'embed'}@{at.token_index(dims.n_tokens)}"

    def enter(self, at: Location, memory: Memory, dims: Dims) -> Location:
        if at.select in (None, "pos"):
            return Location("embed", token=at.token)
        assert at.select is not None
        block, half = block_and_half(at.select)
        return Location("proj" if half == "attn" else "mlp", block=block, token=at.token)

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        """Up and down go along the parts, the sides from token to token."""
        if dy:
            return replace(at, select=part_name(part_position(at.select) + dy, dims.n_layer))
        return token_by(at, dx, dims) if dx else at

    def step_block(self, at: Location, step: int, dims: Dims) -> Location:
        return replace(at, select=part_name(part_position(at.select) + 2 * step, dims.n_layer))


def column_block(at: Location) -> int:
    """The block of the model's selected column; 0 where it is an end."""
    return 0 if at.select is None or at.select in ENDS else int(at.select[1:])


def block_name(block: int) -> str | None:
    """The column of a block: None is the first, which is selected where nothing else is."""
    return f"L{block}" if block else None


def column_position(at: Location, dims: Dims) -> int:
    """Where the model's selected column stands: −1 embed, 0… the blocks, then final and output."""
    return {"embed": -1, "final": dims.n_layer, "output": dims.n_layer + 1}.get(at.select or "", column_block(at))


def column_name(position: int, n_layer: int) -> str | None:
    """The column of the model view at a position."""
    if position < 0:
        return "embed"
    if position >= n_layer:
        return "final" if position == n_layer else "output"
    return block_name(position)


def block_and_half(part: str) -> tuple[int, str]:
    """The block and the half of a part of the residual stream like L3.attn."""
    block, _, half = part.partition(".")
    return int(block[1:]), half


def part_position(part: str | None) -> int:
    """Where a part of the residual stream stands: embed, pos, then L0.attn, L0.mlp, L1.attn …"""
    if part in (None, "pos"):
        return int(part == "pos")
    assert part is not None
    block, half = block_and_half(part)
    return 2 + 2 * block + (half == "mlp")


def part_name(position: int, n_layer: int) -> str | None:
    """A part of the residual stream by where it stands; None is embed, the first."""
    position = max(0, min(position, 1 + 2 * n_layer))
    if position < 2:
        return "pos" if position else None
    return f"L{position // 2 - 1}.{'mlp' if position % 2 else 'attn'}"
