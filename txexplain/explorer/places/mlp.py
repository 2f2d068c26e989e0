"""The MLP's places: its neurons as a list, and one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from txexplain.explorer.places.place import Bound, Dims, InBlock, Location, Memory, Parts, Shown, numbers_in, page_stem, token_by
from txexplain.facts.mlp import neurons


class Neurons(InBlock):
    """A place with a neuron."""

    __slots__ = ()
    half = "mlp"
    asks = "a neuron, as in 417"
    numbered = True

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        yield from super().indices(at, dims)
        if at.neuron is not None:
            yield Bound("neuron", "neuron", at.neuron, dims.n_inner, f"each block of {dims.model} has neurons 0 to {dims.n_inner - 1}")

    def remember(self, memory: Memory, at: Location) -> Memory:
        memory = super().remember(memory, at)
        return memory if at.neuron is None else replace(memory, neuron=at.neuron)

    def change(self, at: Location, dims: Dims) -> str:
        return f"L{at.block}.mlp" + ("" if at.neuron is None else f"[{at.neuron}]")

    def number(self, at: Location, numbers: Sequence[int]) -> Location | None:
        return replace(at, neuron=numbers[0]) if len(numbers) == 1 else None


class Mlp(Neurons):
    """The neurons of a block as a list, sorted by what the face says; one may be selected."""

    __slots__ = ()
    kind = "mlp"
    caption = "Which neurons fire for this token, and which tokens each makes likelier."
    about = "The MLP: up to n_inner neurons, an activation, and back down to the residual stream."
    word = "mlp"
    stem = page_stem(word)
    brackets = "L5.mlp[417]"
    faces = ("post", "pre", "added")
    tiles = ("fc", "act", "out")

    def text(self, at: Location) -> str:
        neuron = f"[{at.neuron}]" if at.neuron is not None else ""
        face = f":{at.face}" if at.face else ":post" if neuron else ""
        return f"L{at.block}.mlp{face}{neuron}"

    def read(self, text: str, parts: Parts) -> Location:
        """Without a face, a neuron in brackets is that neuron's own page."""
        at = super().read(text, parts)
        return at if at.neuron is None or parts.face is not None else replace(at, kind="neuron")

    def select(self, at: Location, inside: str) -> Location | None:
        neuron = numbers_in(inside)
        return None if neuron is None else replace(at, neuron=neuron[0])

    def remember(self, memory: Memory, at: Location) -> Memory:
        return replace(super().remember(memory, at), page=at, listed=at.face)

    def enter(self, at: Location, memory: Memory, dims: Dims) -> Location:
        first = dims.order[0] if dims.order else min(memory.neuron, dims.n_inner - 1)
        return Location("neuron", block=at.block, neuron=first if at.neuron is None else at.neuron, token=at.token)

    def order(self, at: Location, run: Shown) -> tuple[int, ...] | None:
        if at.block >= run.result.config.n_layer:  # the place may be of the model before
            return None
        return neurons(run.result, at.block, at.token_index(run.result.trace.n_tokens), at.face or "post").order

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        """Up and down go along the list, the sides from token to token."""
        if dx or not dims.order:
            return token_by(at, dx or dy, dims)
        there = (dims.order.index(at.neuron) if at.neuron in dims.order else 0) + dy
        return replace(at, neuron=dims.order[max(0, min(there, len(dims.order) - 1))])


class Neuron(Neurons):
    """One neuron."""

    __slots__ = ()
    kind = "neuron"
    caption = "One neuron: how strongly it fires, and what it then writes."
    about = "One neuron of the MLP, before and after its activation."
    named = True

    def text(self, at: Location) -> str:
        return f"L{at.block}.mlp[{at.neuron}]"

    def out(self, at: Location, memory: Memory) -> Location:
        return Location("mlp", block=at.block, neuron=at.neuron, face=memory.listed, token=at.chosen)

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        return replace(at, neuron=max(0, (at.neuron or 0) + dx)) if dx else super().move(at, dx, dy, dims)
