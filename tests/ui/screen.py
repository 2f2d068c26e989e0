"""A terminal that shows pixels: as much of one as tells what a reader sees in each cell.

Kitty's images lie above the text until they are taken away; sixels and iTerm2's images lie in cells, and take each other's places as
letters do (as in mlterm and foot; xterm and others are as strict or less so).
"""

from __future__ import annotations

import base64
import re
import struct
import zlib

import numpy as np

UNITS = re.compile(
    r"\x1b\[(?P<sgr>[0-9;]*)m|\x1b\[(?P<row>\d+);(?P<column>\d+)H|\x1b\[(?P<on>\d*)C|(?P<clear>\x1b\[2J)"
    r"|\x1b_G(?P<kitty>[^\x1b]*)\x1b\\|\x1bP(?P<sixel>[^\x1b]*)\x1b\\|\x1b\]1337;File=(?P<iterm>[^\x07]*)\x07"
    r"|(?P<other>\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)|[\x00-\x1f])|(?P<text>[^\x1b\x00-\x1f])",
    re.DOTALL,
)
NOTHING = -1


class PixelScreen:
    """What was written, as pixels. Colours that weren't set are NOTHING."""

    def __init__(self, size: tuple[int, int], cell: tuple[int, int]) -> None:
        self.size, self.cell = size, cell
        self.letters = np.full((size[1], size[0]), " ", dtype=object)
        self.image = np.full((size[1] * cell[1], size[0] * cell[0]), NOTHING, dtype=np.int64)  # text's grounds, and images in cells
        self.above: dict[int, tuple[int, int, np.ndarray]] = {}  # kitty's
        self.begun: tuple[dict[str, str], str] | None = None  # one that comes in pieces
        self.y = self.x = 0
        self.ground = NOTHING

    def feed(self, written: str) -> None:
        for match in UNITS.finditer(written):
            found = {name: value for name, value in match.groupdict().items() if value is not None}
            if "text" in found:
                assert found["text"] < "\U000f0000"  # no tile is written as a character
                self.letters[self.y, self.x] = found["text"]
                self.block(self.y, self.x)[:] = self.ground
                self.x += 1
            elif "row" in found:
                self.y, self.x = int(found["row"]) - 1, int(found["column"]) - 1
            elif "on" in found:
                self.x += int(found["on"] or 1)
            elif "sgr" in found:
                self.style(found["sgr"])
            elif "clear" in found:
                self.above.clear()
                self.image[:], self.letters[:] = NOTHING, " "
            elif "kitty" in found:
                self.kitty(found["kitty"])
            elif "sixel" in found:
                self.put(unsixel(found["sixel"]))
            elif "iterm" in found:
                said, data = found["iterm"].split(":")
                fields = dict(part.split("=") for part in said.split(";"))
                picture = unpng(base64.b64decode(data))
                assert int(fields["size"]) == len(base64.b64decode(data))
                assert picture.shape == (int(fields["height"]) * self.cell[1], int(fields["width"]) * self.cell[0])
                self.put(picture)

    def style(self, said: str) -> None:
        rest = (said or "0").split(";")
        while rest:
            code = rest.pop(0)
            if code in ("38", "48"):
                assert rest.pop(0) == "2"
                colour = int(rest[0]) << 16 | int(rest[1]) << 8 | int(rest[2])
                self.ground, rest = (colour if code == "48" else self.ground), rest[3:]
            elif code in ("0", "49"):
                self.ground = NOTHING

    def block(self, y: int, x: int) -> np.ndarray:
        across, down = self.cell
        return self.image[y * down : (y + 1) * down, x * across : (x + 1) * across]

    def put(self, picture: np.ndarray) -> None:
        """An image in cells, which are its own from then on, and whole."""
        assert (picture != NOTHING).all()
        rows, columns = picture.shape[0] // self.cell[1], picture.shape[1] // self.cell[0]
        assert picture.shape == (rows * self.cell[1], columns * self.cell[0])
        assert self.y + rows < self.size[1]  # at the last row the screen would scroll
        top, left = self.y * self.cell[1], self.x * self.cell[0]
        self.image[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        self.letters[self.y : self.y + rows, self.x : self.x + columns] = " "

    def kitty(self, said: str) -> None:
        head, _, data = said.partition(";")
        fields = dict(part.split("=") for part in head.split(","))
        assert len(data) <= 4096
        if self.begun is not None:
            assert set(fields) == {"m"}
            fields, data = self.begun[0] | fields, self.begun[1] + data
        self.begun = (fields, data) if fields.get("m") == "1" else None
        if self.begun:
            return
        if fields["a"] == "q":
            return
        assert fields["q"] == "2"  # it mustn't answer
        if fields["a"] == "d":
            assert fields["d"] == "I"
            self.above.pop(int(fields["i"]), None)
            return
        assert (fields["a"], fields["f"], fields["C"]) == ("T", "100", "1")
        picture = unpng(base64.b64decode(data, validate=True))
        assert picture.shape == (int(fields["r"]) * self.cell[1], int(fields["c"]) * self.cell[0])
        self.above[int(fields["i"])] = (self.y, self.x, picture)

    def shown(self) -> np.ndarray:
        """All pixels. Shapes: -> [h, w] of 0xRRGGBB or NOTHING."""
        whole = self.image.copy()
        for y, x, picture in self.above.values():
            top, left = y * self.cell[1], x * self.cell[0]
            part = whole[top : top + picture.shape[0], left : left + picture.shape[1]]
            part[:] = np.where(picture == NOTHING, part, picture)
        return whole


def unpng(data: bytes) -> np.ndarray:
    """An image in PNG with a table of colours, the first see-through. Shapes: -> [h, w] of 0xRRGGBB or NOTHING."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, pieces = 8, {}
    while at < len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        body, (check,) = data[at + 8 : at + 8 + size], struct.unpack(">I", data[at + 8 + size : at + 12 + size])
        assert zlib.crc32(name + body) == check
        pieces[name] = body
        at += 12 + size
    width, height, *how = struct.unpack(">IIBBBBB", pieces[b"IHDR"])
    assert (how, pieces[b"tRNS"]) == ([8, 3, 0, 0, 0], b"\0")
    lines = np.frombuffer(zlib.decompress(pieces[b"IDAT"]), dtype=np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    table = np.frombuffer(pieces[b"PLTE"], dtype=np.uint8).reshape(-1, 3).astype(np.int64) @ (1 << 16, 1 << 8, 1)
    table[0] = NOTHING
    return np.asarray(table[lines[:, 1:]])


def unsixel(said: str) -> np.ndarray:
    """Sixels that begin with their size. Shapes: -> [h, w] of 0xRRGGBB or NOTHING."""
    width, height, body = re.fullmatch(r'0;1;0q"1;1;(\d+);(\d+)(.*)', said).groups()  # type: ignore[union-attr]
    found = np.full((int(height) + 5, int(width)), NOTHING, dtype=np.int64)
    table: dict[int, int] = {}
    y = x = ink = 0
    for match in re.finditer(r"#(\d+);2;(\d+);(\d+);(\d+)|#(\d+)|!(\d+)(.)|([?-~])|(.)", body):
        number, red, green, blue, chosen, count, many, six, sign = match.groups()
        if number is not None:
            shares = (round(int(share) * 255 / 100) for share in (red, green, blue))
            table[int(number)] = sum(share << shift for share, shift in zip(shares, (16, 8, 0), strict=True))
        elif chosen is not None:
            ink = table[int(chosen)]
        elif sign is not None:
            assert sign in "$-"
            x, y = 0, y + 6 * (sign == "-")
        else:
            for bit in range(6):
                if ord(many or six) - 63 >> bit & 1:
                    found[y + bit, x : x + int(count or 1)] = ink
            x += int(count or 1)
    assert (found[int(height) :] == NOTHING).all()
    return found[: int(height)]
