"""How terminals are sent pixels: kitty's protocol, sixel, and iTerm2's.

Each takes the tiles of some rows (a band) as one image or several. Text stays text: a cell is either a tile or text, so that no image
has to lie below letters (kitty 0.26 shifts the colours of all grounds as soon as one does).
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from txexplain.viz.palette import split
from txexplain.viz.pixels import STEPS, CellSize
from txexplain.viz.tiles import Tiles

BAND = 4  # rows that may share an image
NEAR = 3  # columns between two cells that share one
OUTSIDE = -1  # where nothing is drawn
CHUNK = 4096  # characters of an image that kitty takes at once
FIRST_ID = 0x74786500  # of kitty's images; a number that other programs hardly have
COLOURS = 255  # of an image, beside none
Spot = tuple[int, int]  # a row and a column on the screen
Shown = Mapping[Spot, str | int]  # what cells show that have no letters: a tile, or one colour


class Image(NamedTuple):
    """Colours as 0xRRGGBB, and for each pixel the number of its own, or OUTSIDE [h, w]."""

    colours: list[int]
    numbers: NDArray[np.int16]


class Medium:
    """A way to show tiles on a terminal."""

    steps = STEPS  # of an edge

    def __init__(self, cell: CellSize) -> None:
        self.tiles = Tiles(cell, self.steps)
        self.kind = (type(self), cell)

    def show(self, band: int, shown: Shown, changed: AbstractSet[Spot]) -> str:
        """What shows a band's tiles; `changed`: where the terminal doesn't show them yet, or still shows others."""
        raise NotImplementedError

    def forget(self) -> str:
        """What takes all away that was shown, where text alone doesn't."""
        return ""

    def image(self, shown: Shown) -> tuple[Spot, Image]:
        """The rectangle around some cells: its first one, and its pixels."""
        ys, xs = (np.array(side) for side in zip(*shown, strict=True))
        size = (self.tiles.cell[1], self.tiles.cell[0])
        blocks = [self.tiles.blocks[what] if isinstance(what, str) else np.full(size, what, dtype=np.int32) for what in shown.values()]
        colours, numbers = few(np.stack(blocks))
        corner = int(ys.min()), int(xs.min())
        ys, xs = ys - corner[0], xs - corner[1]
        found = np.full((ys.max() + 1, size[0], xs.max() + 1, size[1]), OUTSIDE, dtype=np.int16)
        found[ys, :, xs] = numbers
        return corner, Image(colours, found.reshape(len(found) * size[0], -1))

    def cells(self, image: Image) -> tuple[int, int]:
        """An image's columns and rows."""
        return image.numbers.shape[1] // self.tiles.cell[0], image.numbers.shape[0] // self.tiles.cell[1]


class Kitty(Medium):
    """Each band is an image of its own, which takes the place of the one before; nothing else takes one away."""

    def __init__(self, cell: CellSize) -> None:
        super().__init__(cell)
        self.bands: set[int] = set()  # those that show something

    def show(self, band: int, shown: Shown, changed: AbstractSet[Spot]) -> str:
        tiles = {spot: what for spot, what in shown.items() if isinstance(what, str)}
        if not tiles:
            gone = delete(band) if band in self.bands else ""
            self.bands.discard(band)
            return gone
        self.bands.add(band)
        corner, image = self.image(tiles)
        columns, rows = self.cells(image)
        data = base64.b64encode(png(image)).decode("ascii")
        said = f"a=T,f=100,i={FIRST_ID + band},c={columns},r={rows},C=1,q=2,"
        parts = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
        more = [f"\x1b_G{said if i == 0 else ''}m={int(i < len(parts) - 1)};{part}\x1b\\" for i, part in enumerate(parts)]
        return go_to(corner) + "".join(more)

    def forget(self) -> str:
        gone = "".join(map(delete, sorted(self.bands)))
        self.bands.clear()
        return gone


def delete(band: int) -> str:
    """Take a band's image away, and what the terminal keeps of it."""
    return f"\x1b_Ga=d,d=I,i={FIRST_ID + band},q=2\x1b\\"


def go_to(spot: Spot) -> str:
    return f"\x1b[{spot[0] + 1};{spot[1] + 1}H"


class InCells(Medium):
    """Images lie in cells, as letters do, and take each other's places: only those that changed are sent, and none covers a letter."""

    def show(self, band: int, shown: Shown, changed: AbstractSet[Spot]) -> str:
        said = []
        for part in parts(shown, {spot for spot in changed if isinstance(shown.get(spot), str)}):
            corner, image = self.image({spot: shown[spot] for spot in part})
            said.append(go_to(corner) + self.encoded(image))
        return "".join(said)

    def encoded(self, image: Image) -> str:
        """An image that fills its cells, from the cursor on."""
        raise NotImplementedError


class Sixel(InCells):
    """As DEC's VT340, and many since. Each colour is a line of its own, so that edges have fewer."""

    steps = 2

    def encoded(self, image: Image) -> str:
        return sixel(image)


class ITerm(InCells):
    """As iTerm2."""

    def encoded(self, image: Image) -> str:
        (columns, rows), data = self.cells(image), png(image)
        size = f"size={len(data)};width={columns};height={rows};preserveAspectRatio=0;inline=1;doNotMoveCursor=1"
        return f"\x1b]1337;File={size}:{base64.b64encode(data).decode('ascii')}\x07"


MEDIA: dict[str, type[Medium]] = {"kitty": Kitty, "sixel": Sixel, "iterm": ITerm}


def parts(shown: Shown, wanted: AbstractSet[Spot]) -> list[list[Spot]]:
    """Rectangles without letters around all cells that are wanted, those that are near together in one."""
    found: list[list[Spot]] = []
    for y, x in sorted(wanted, key=lambda spot: (spot[1], spot[0])):
        if found and x - found[-1][-1][1] <= NEAR:
            wider = around([*found[-1], (y, x)])
            if all(spot in shown for spot in wider):
                found[-1] = wider
                continue
        if not any((y, x) in part for part in found):
            found.append([(y, x)])
    return found


def around(spots: Sequence[Spot]) -> list[Spot]:
    """All cells of the rectangle around some, the one at the lower right last."""
    ys, xs = zip(*spots, strict=True)
    return [(y, x) for y in range(min(ys), max(ys) + 1) for x in range(min(xs), max(xs) + 1)]


def few(blocks: NDArray[np.int32]) -> tuple[list[int], NDArray[np.int64]]:
    """The colours of some pixels and, for each, the number of its own; the lowest bits go while there are too many."""
    colours, numbers = np.unique(blocks, return_inverse=True)
    bits = 0
    while len(colours) > COLOURS:
        bits += 1
        colours, numbers = np.unique(blocks & (0xFF >> bits << bits) * 0x010101, return_inverse=True)
    return colours.tolist(), numbers.reshape(blocks.shape)


def png(image: Image) -> bytes:
    """An image as PNG, see-through where nothing is drawn (ISO/IEC 15948)."""
    height, width = image.numbers.shape
    lines = np.zeros((height, width + 1), dtype=np.uint8)  # each after the number of its filter, 0: none
    lines[:, 1:] = image.numbers + 1
    table = b"".join(colour.to_bytes(3, "big") for colour in (0, *image.colours))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    pieces = ((b"IHDR", header), (b"PLTE", table), (b"tRNS", b"\0"), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(piece(name, data) for name, data in pieces)


def piece(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def sixel(image: Image) -> str:
    """An image as sixels: six rows a line, a colour at a time; where nothing is drawn all stays as it is (DEC STD 070)."""
    height, width = image.numbers.shape
    shares = [";".join(str(round(part / 255 * 100)) for part in split(colour)) for colour in image.colours]
    out = [f'\x1bP0;1;0q"1;1;{width};{height}', *(f"#{ink};2;{share}" for ink, share in enumerate(shares))]
    for top in range(0, height, 6):
        part = image.numbers[top : top + 6]  # [≤ 6, w]
        weights = 1 << np.arange(len(part))[:, None]
        inks = [ink for ink in np.unique(part).tolist() if ink != OUTSIDE]
        out.append("$".join(f"#{ink}{packed(((part == ink) * weights).sum(axis=0))}" for ink in inks) + "-")
    return "".join(out).rstrip("-") + "\x1b\\"


def packed(line: NDArray[np.int64]) -> str:
    """A line of sixels, runs of equal ones as their number and one; blank ones at its end are left out."""
    last = int(np.flatnonzero(line)[-1]) + 1
    starts = np.flatnonzero(np.diff(line[:last], prepend=-1))
    counts = np.diff(starts, append=last)
    return "".join(
        f"!{count}{chr(63 + six)}" if count > 3 else chr(63 + six) * count
        for six, count in zip(line[starts].tolist(), counts.tolist(), strict=True)
    )
