"""What each thing of a run does to A − B: heads and MLPs set to their mean, edges of attention and tokens cut."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from txexplain.explorer.places.direct import PART, part_bounds
from txexplain.explorer.places.place import Bound, Dims, Location, token_by
from txexplain.explorer.places.whole import LookedUp

BY_TOKEN = ("edges", "rows")  # faces whose cursor is the selected token


class Effects(LookedUp):
    """Heads and MLPs as a table, or sorted; the last token's edges; the tokens. What is selected, Enter switches off.
    And the map of patches: the stream before each block, row by row, from another run.

    `select` is a head or an MLP; faces without such leave it as it is.
    """

    __slots__ = ()
    kind = "effects"
    stem = word = "effects"
    brackets = "effects[L4H3]"
    faces = ("parts", "sorted", *BY_TOKEN, "patch")

    def text(self, at: Location) -> str:
        return self.word + (f":{at.face}" if at.face else "") + (f"[{at.select}]" if at.select else "")

    def select(self, at: Location, inside: str) -> Location | None:
        return replace(at, select=inside) if may_select(inside) else None

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        yield from part_bounds(at, dims)

    def part(self, at: Location) -> str | None:
        part = selected(at)
        return f"L{part['block']}.{part['half'] or 'attn'}"

    def change(self, at: Location, dims: Dims) -> str:
        """What is selected, by its name among the effects."""
        if at.face in BY_TOKEN:
            token = at.token_index(dims.n_tokens)
            return f"[{dims.n_tokens - 1 if at.face == 'edges' else '*'},{token}]"
        if at.face == "patch":
            return f"L{selected(at)['block']}.resid@{at.token_index(dims.n_tokens)}"
        if at.select is None and at.face == "sorted" and dims.order:
            return part_names(dims.n_layer, dims.n_head)[dims.order[0]]
        return selected(at)[0]

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        """Along the table or the list; from token to token where these are listed."""
        if at.face in BY_TOKEN:
            return token_by(at, dy, dims) if dy else at
        if at.face == "patch":
            return token_by(at, dy, dims) if dy else self.step_block(at, dx, dims)
        names = part_names(dims.n_layer, dims.n_head)
        here = names.index(self.change(at, dims))
        if at.face == "sorted":
            order = dims.order or tuple(range(len(names)))
            there = order[max(0, min(order.index(here) + dy, len(order) - 1))]
        else:
            block, column = divmod(here, dims.n_head + 1)
            block, column = max(0, min(block + dy, dims.n_layer - 1)), max(0, min(column + dx, dims.n_head))
            there = block * (dims.n_head + 1) + column
        return replace(at, select=names[there])

    def step_block(self, at: Location, step: int, dims: Dims) -> Location:
        if at.face in BY_TOKEN:
            return at
        name = at.select or "L0H0" if at.face == "patch" else self.change(at, dims)
        block = int(name[1:].partition("H")[0].partition(".")[0])
        return replace(at, select=name.replace(f"L{block}", f"L{max(0, min(block + step, dims.n_layer - 1))}"))


def selected(at: Location) -> re.Match[str]:
    """The head or MLP that is selected; where none is, the first head."""
    part = PART.fullmatch(at.select or "L0H0")
    assert part is not None
    return part


def may_select(name: str) -> bool:
    """Whether a name is a head's or an MLP's."""
    part = PART.fullmatch(name)
    return part is not None and part["half"] != "bias"


def part_names(n_layer: int, n_head: int) -> list[str]:
    """All heads and MLPs, block by block: L0H0, …, L0.mlp, L1H0, …"""
    return [name for n in range(n_layer) for name in (*(f"L{n}H{head}" for head in range(n_head)), f"L{n}.mlp")]
