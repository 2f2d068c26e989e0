"""A block: its steps as tiles, one of them selected."""

from __future__ import annotations

from dataclasses import replace

from txexplain.engine.steps import TILES
from txexplain.explorer.places.place import IN_BLOCK, PLACES, Dims, InBlock, Location, Memory
from txexplain.explorer.places.whole import block_name

LATER_TILES = TILES[TILES.index("ln2") :]


class Block(InBlock):
    __slots__ = ()
    kind = "block"
    caption = "One block: tokens take over from earlier ones, then each works alone."
    about = "One block in its order: attention and MLP branch off the residual stream and are added back to it."
    stem = IN_BLOCK
    brackets = f"L5[{'] L5['.join(TILES)}]"

    def text(self, at: Location) -> str:
        return f"L{at.block}" + (f"[{at.select}]" if at.select else "")

    def select(self, at: Location, inside: str) -> Location | None:
        return with_tile(at, inside) if inside in TILES else None

    def remember(self, memory: Memory, at: Location) -> Memory:
        return replace(super().remember(memory, at), tile=at.select, atlas=False)

    def enter(self, at: Location, memory: Memory, dims: Dims) -> Location:
        for page in PLACES.values():
            if (at.select or "attn") in page.tiles:
                return page.arrive(Location(page.kind, block=at.block, token=at.token), memory, dims)
        return at

    def out(self, at: Location, memory: Memory) -> Location:
        return Location(select=block_name(at.block), token=at.chosen)

    def part(self, at: Location) -> str:
        return f"L{at.block}.{'mlp' if at.select in LATER_TILES else 'attn'}"

    def subject(self, at: Location) -> str:
        return at.select or "attn"

    def change(self, at: Location, dims: Dims) -> str:
        return self.part(at)

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        if not dx:
            return super().move(at, dx, dy, dims)
        return with_tile(at, TILES[max(0, min(TILES.index(at.select or "attn") + dx, len(TILES) - 1))])


def with_tile(at: Location, tile: str) -> Location:
    """The block with a tile selected: attn is what is selected where nothing else is."""
    return replace(at, select=None if tile == "attn" else tile)
