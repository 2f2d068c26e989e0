"""Pages of vectors: the embedding, the LayerNorms, and the products of a vector and a matrix, with a cursor on one element."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from txexplain.explorer.places.place import PAIR, Bound, Dims, InBlock, Location, Memory, Place, numbers_in, page_stem
from txexplain.explorer.places.whole import End
from txexplain.facts.linear import PROJ, QKV


class Vector(Place):
    """A page of vectors of length d."""

    __slots__ = ()
    asks = "an element, as in 17"
    numbered = True

    def text(self, at: Location) -> str:
        block = f"L{at.block}." if isinstance(self, InBlock) else ""
        selected = ",".join(str(i) for i in (at.source, at.element) if i is not None)
        return block + self.word + (f":{at.face}" if at.face else "") + (f"[{selected}]" if selected else "")

    def select(self, at: Location, inside: str) -> Location | None:
        element = numbers_in(inside)
        return None if element is None else replace(at, element=element[0])

    def width(self, dims: Dims) -> int:
        """The length of the vector that the cursor moves over."""
        return dims.n_embd

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        yield from super().indices(at, dims)
        width = self.width(dims)
        if at.element is not None:
            yield Bound("element", "element", at.element, width, f"the vector's elements go from 0 to {width - 1}")

    def remember(self, memory: Memory, at: Location) -> Memory:
        return replace(super().remember(memory, at), page=at)

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        """The sides go along the elements, from the marked one where none is selected; up and down from token to token."""
        if not dx:
            return super().move(at, dx, dy, dims)
        marked = dims.element if at.element is None else at.element
        return replace(at, element=0 if marked is None else max(0, min(marked + dx, self.width(dims) - 1)))

    def number(self, at: Location, numbers: Sequence[int]) -> Location | None:
        return replace(at, element=numbers[0]) if len(numbers) == 1 else None


class Embed(Vector, End):
    __slots__ = ()
    kind = "embed"
    caption = "How this token becomes numbers: its own row of a table, plus its place's row."
    about = "Where a token becomes numbers: its row of wte plus its position's row of wpe."
    stem = word = "embed"
    brackets = "embed[17]"
    faces = ("sum", "nearest")

    def change(self, at: Location, dims: Dims) -> str:
        return f"embed@{at.token_index(dims.n_tokens)}"


class Final(Vector, End):
    __slots__ = ()
    kind = "final"
    caption = "The last numbers, brought to one scale before tokens are read from them."
    about = "The final LayerNorm, whose result meets every row of the unembedding."
    stem = word = "final"
    brackets = "final[17]"


class Ln1(Vector, InBlock):
    __slots__ = ()
    kind = "ln1"
    caption = "The token's numbers, brought to one scale before attention reads them."
    about = "The LayerNorm before attention: the token's vector, centred, divided by its spread, stretched and shifted."
    word = "ln1"
    stem = page_stem(word)
    brackets = "L5.ln1[17]"
    tiles = ("ln1",)


class Ln2(Vector, InBlock):
    __slots__ = ()
    kind = "ln2"
    caption = "The token's numbers, brought to one scale before the MLP reads them."
    about = "The LayerNorm before the MLP."
    word = "ln2"
    stem = page_stem(word)
    brackets = "L5.ln2[17]"
    tiles = ("ln2",)
    half = "mlp"


class Linear(Vector, InBlock):
    """A vector times a matrix, with a cursor on an output, and perhaps an input."""

    __slots__ = ()
    faces = ("strips", "matrix")
    makes: ClassVar[str]  # the step of the block
    outputs: ClassVar[int] = 1  # how many times d
    asks = "an output, as in 300, or an input and an output, as in 17,300"

    def width(self, dims: Dims) -> int:
        return self.outputs * dims.n_embd

    def select(self, at: Location, inside: str) -> Location | None:
        cell = numbers_in(inside, PAIR)
        return super().select(at, inside) if cell is None else replace(at, source=cell[0], element=cell[1])

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        yield from super().indices(at, dims)
        if at.source is not None:
            yield Bound("input", "source", at.source, dims.n_embd, f"the inputs go from 0 to {dims.n_embd - 1}")

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        if at.face != "matrix":
            return super().move(at, dx, dy, dims)
        source = dims.source if at.source is None else at.source
        if not dy:  # the row stays, though that of the next column's largest term is another
            return replace(super().move(at, dx, dy, dims), source=source)
        return replace(at, source=max(0, (source or 0) + dy), element=self.here(at, dims))

    def step_head(self, at: Location, step: int, dims: Dims) -> Location:
        """To the first element of the head before or after: a head's elements stand together."""
        wide = max(1, dims.n_embd // dims.n_head)
        return replace(at, element=(self.here(at, dims) // wide * wide + step * wide) % self.width(dims))

    def here(self, at: Location, dims: Dims) -> int:
        """The output that is selected, or that the page marks where none is."""
        return (dims.element if at.element is None else at.element) or 0

    def number(self, at: Location, numbers: Sequence[int]) -> Location | None:
        if len(numbers) == 2:
            return replace(at, source=numbers[0], element=numbers[1])
        return super().number(at, numbers)


class Qkv(Linear):
    __slots__ = ()
    kind = "qkv"
    caption = "What the token looks for, can be found by, and hands over."
    about = "Query, key and value of every head, made from the normalised vector by one matrix."
    word = "qkv"
    stem = page_stem(word)
    brackets = "L5.qkv[300] or L5.qkv[17,300]"
    tiles = ("qkv",)
    outputs = 3
    makes = QKV


class Proj(Linear):
    __slots__ = ()
    kind = "proj"
    caption = "The heads' results, side by side and mixed: what attention adds."
    about = "The heads' results, side by side, through W_O: what attention adds to the residual stream."
    word = "proj"
    stem = page_stem(word)
    brackets = "L5.proj[30] or L5.proj[17,30]"
    asks = "an output, as in 30, or an input and an output, as in 17,30"
    tiles = ("proj",)
    makes = PROJ

    def change(self, at: Location, dims: Dims) -> str:
        return f"L{at.block}.attn"
