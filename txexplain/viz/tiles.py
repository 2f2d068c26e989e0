"""Cells in pixels: on a canvas each is a character that no text may have, and that stands for the pixels of the cell."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from txexplain.viz.canvas import Canvas, overlap
from txexplain.viz.pixels import STEPS, CellSize, edged

FIRST = 0xF0000  # a plane for private use: no text from outside keeps such a character (canvas.graphemes, terminal.visible)
MOST, ROOM = 1 << 14, 1 << 24  # tiles that are kept at most, and the bytes of their pixels
TILE = re.compile(f"[{chr(FIRST)}-\U0010ffff]")
Block = NDArray[np.int32]  # a cell's pixels as 0xRRGGBB [h, w]


def is_tile(text: str) -> bool:
    """Whether what stands in a cell is a tile."""
    return text >= chr(FIRST)


class Tiles:
    """The tiles of a terminal with cells of a size; equal ones are one."""

    def __init__(self, cell: CellSize, steps: int = STEPS) -> None:
        self.cell, self.steps = cell, steps
        self.chars: dict[bytes, str] = {}
        self.blocks: dict[str, Block] = {}
        self.most = min(MOST, ROOM // (4 * cell[0] * cell[1]))
        self.age = 0  # how often they began anew: a tile of an earlier age stands for nothing

    def place(self, canvas: Canvas) -> Canvas:
        """A canvas with tiles where its pictures have edges and nothing lies above them, and that is all that it is good for."""
        made = [(placed, *edged(placed.picture, canvas.palette, self.cell, placed.faded, self.steps)) for placed in canvas.pictures]
        count = sum(len(blocks) for _, _, blocks in made)
        if not 0 < count <= self.most:
            return canvas
        if len(self.chars) + count > self.most:
            self.chars.clear()
            self.blocks.clear()
            self.age += 1
        found = Canvas(canvas.width, canvas.height, canvas.palette)
        found.blit(canvas, 0, 0)
        for placed, where, blocks in made:
            mine, bare = canvas.seen(placed)[::2]
            theirs = overlap(canvas, placed.x, placed.y, placed.picture.width, placed.picture.height)[1]
            number = np.cumsum(where).reshape(where.shape) - 1  # of each cell's pixels
            rows, columns = np.nonzero(where[theirs] & bare)
            for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
                block = blocks[number[theirs][y, x]]
                at = (y + mine[0].start, x + mine[1].start)
                flat = bool((block == block[0, 0]).all())
                found.chars[at] = " " if flat else self.char(block)
                found.fg[at], found.bg[at] = canvas.ink("text"), block[0, 0] if flat else canvas.ink("background")
        return found

    def char(self, block: Block) -> str:
        """The character that stands for a cell's pixels."""
        key = block.tobytes()
        if key not in self.chars:
            char = self.chars[key] = chr(FIRST + len(self.chars))
            self.blocks[char] = np.frombuffer(key, dtype=np.int32).reshape(block.shape)
        return self.chars[key]
