"""Where a difference of two tokens' logits comes from: what was added to the selected token's stream, part by part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from txexplain.engine.steps import stream_parts
from txexplain.explorer.places.place import NUMBER, PLACES, Bound, Dims, Location, Memory, Shown, block_bound, token_by
from txexplain.explorer.places.whole import Key, LookedUp
from txexplain.facts.direct import direct, listed

PART = re.compile(rf"L(?P<block>{NUMBER})(?:H(?P<head>{NUMBER})|\.(?P<half>bias|mlp))")
OTHERS = ("embed", "pos", "always", "changed")


class Direct(LookedUp):
    """The parts of A − B, the largest first, or in the order in which they are added; one is selected."""

    __slots__ = ()
    kind = "direct"
    caption = "How far each part pushes towards A or towards B, read straight off."
    about = (
        "What each part that was added to the selected token's stream gives to the difference of two tokens' logits, straight to the end:"
        " a reading, not a cause."
    )
    stem = word = "direct"
    brackets = "direct[L4H3]"
    faces = ("size", "order")
    key = Key("D", "direct attribution", "What each part gives to A's logit less B's, on the direct way; again to return")

    def seen_from(self, at: Location, dims: Dims) -> Location:
        """With the part selected that the place belongs to."""
        part = PLACES[at.kind].thing(at)
        return Location("direct", select=None if part is None or part.endswith("attn") else part, token=at.chosen)

    def text(self, at: Location) -> str:
        return self.word + (f":{at.face}" if at.face else "") + (f"[{at.select}]" if at.select else "")

    def select(self, at: Location, inside: str) -> Location | None:
        return replace(at, select=inside) if inside in OTHERS or PART.fullmatch(inside) else None

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        yield from part_bounds(at, dims)

    def enter(self, at: Location, memory: Memory, dims: Dims) -> Location:
        """A head at this token's row, an MLP's neurons, or the page that the part is made on."""
        name = self.here(at, dims)
        part = PART.fullmatch(name)
        if part is None:
            return Location("embed" if name in ("embed", "pos") else "final", token=at.token)
        block = int(part["block"])
        if part["head"] is not None:
            return Location("head", block=block, head=int(part["head"]), token=at.token)
        return Location("mlp" if part["half"] == "mlp" else "proj", block=block, token=at.token)

    def change(self, at: Location, dims: Dims) -> str:
        name = self.here(at, dims)
        row = f"@{at.token_index(dims.n_tokens)}" if name in ("embed", "pos") else ""
        return "" if name in ("always", "changed") or name.endswith("bias") else name + row

    def order(self, at: Location, run: Shown) -> tuple[int, ...] | None:
        return None if run.pair is None else listed(direct(run.result, at.token_index(run.result.trace.n_tokens), *run.pair), at.face)

    def here(self, at: Location, dims: Dims) -> str:
        """The part that is selected; where none is, the first that the view lists."""
        return at.select or stream_parts(dims.n_layer, dims.n_head)[(dims.order or (0,))[0]]

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        """Up and down go along the list, the sides from token to token."""
        if not dy:
            return token_by(at, dx, dims) if dx else at
        names = stream_parts(dims.n_layer, dims.n_head)
        order = dims.order or tuple(range(len(names)))
        here = order.index(names.index(self.here(at, dims))) if names.index(self.here(at, dims)) in order else 0
        return replace(at, select=names[order[max(0, min(here + dy, len(order) - 1))]])


def part_bounds(at: Location, dims: Dims) -> Iterator[Bound]:
    """The block and the head of the part that is selected."""
    part = PART.fullmatch(at.select or "")
    if part is not None:
        block, rest = int(part["block"]), (at.select or "").removeprefix(f"L{part['block']}")
        yield block_bound(block, dims, "select", lambda near: f"L{near}{rest}")
        if part["head"] is not None:
            has = f"{dims.model} has heads H0 to H{dims.n_head - 1} in each block"
            near = min(block, dims.n_layer - 1)
            yield Bound("head", "select", int(part["head"]), dims.n_head, has, lambda head: f"L{near}H{head}")
