"""The cells that every picture is made of: a character, two colours and attributes each, and what lies under the pointer.

A view fills a Canvas and forgets it; the app compares it with the one before and sends only the cells that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from txexplain.viz.palette import ANSI, ON_CURSOR, THEMES, Palette, nearest_256, split
from txexplain.viz.raster import cells, strokes
from txexplain.viz.shapes import Picture

BOLD, DIM, ITALIC, UNDERLINE, STRIKE, REVERSE = 1, 2, 4, 8, 16, 32
NO_COLOUR = -1
AS_IT_IS = -2  # a colour that changes nothing
WIDE_TAIL = ""  # the second cell of a wide character
# How our own signs are written where only ASCII may be; tokens come as ASCII already.
PLAIN = str.maketrans(
    {
        "−": "-", "×": "x", "÷": "/", "√": "sqrt ", "·": ".", "Σ": "sum ", "‖": "|", "∞": "inf", "…": "~", "→": ">", "›": ">",
        "₁": "1", "₂": "2", "³": "^3", "Φ": "Phi", "ε": "eps", "⏎": "enter", "⌫": "bksp", "↑": "up", "↓": "down", "←": "left",
        "“": '"', "”": '"', "✓": "+", "✗": "x", "•": "-",
    }
)  # fmt: skip
# The same for the Linux console, whose fonts have these and the letters of Western Europe; its signs for blanks are other programs' own.
ON_CONSOLE = "−×÷·→›³↑↓←“”‘’•✗│─┌┐└┘├┤┬┴┼═║╔╗╚╝╠╣╦╩╬━┃┏┓┗┛┣┫┳┻╋╵╷╴╶╹╻╸╺░▒█▲▼▸◂●⊕–—ŒœŠšŽžŸ€"
CONSOLE_PLAIN = {code: text for code, text in PLAIN.items() if chr(code) not in ON_CONSOLE} | str.maketrans(
    {"␣": "·", "↵": "¶", "⇥": "»", "⍽": "°", "⟨": "‹", "⟩": "›", "┊": "!"}
)
GROUNDS = ("background", "panel", "cursor")  # roles that lie behind text
Ink = str | int  # a role, or 0xRRGGBB
Area = tuple[slice, slice]  # rows and columns


@dataclass(frozen=True)
class Hit:
    """A rectangle that answers to the pointer."""

    x: int
    y: int
    width: int
    height: int
    target: object


@dataclass(frozen=True)
class Board:
    """A grid of equal cells that answer to the pointer. A large one has thousands: a cell's target is made when it is asked for."""

    x: int
    y: int
    width: int
    height: int
    corner: tuple[int, int]  # of the first cell, which a cut may have left outside
    size: tuple[int, int]  # of a cell
    target: Callable[[int, int], object]  # of a row and a column

    def at(self, x: int, y: int) -> object:
        return self.target((y - self.corner[1]) // self.size[1], (x - self.corner[0]) // self.size[0])

    def hits(self) -> Iterator[Hit]:
        """Each cell by itself, cut as the grid is."""
        (left, top), (cell, tall) = self.corner, self.size
        for row in range((self.y - top) // tall, -(-(self.y + self.height - top) // tall)):
            for column in range((self.x - left) // cell, -(-(self.x + self.width - left) // cell)):
                x0, y0 = max(self.x, left + column * cell), max(self.y, top + row * tall)
                x1 = min(self.x + self.width, left + (column + 1) * cell)
                y1 = min(self.y + self.height, top + (row + 1) * tall)
                yield Hit(x0, y0, x1 - x0, y1 - y0, self.target(row, column))


@dataclass(frozen=True, eq=False)
class Placed:
    """A picture's shapes where they stand on a canvas, for what can show more than cells, and the cells that stand for them.

    A cell of the canvas that still has the picture's ground lets it be seen, with or without text above it.
    """

    x: int
    y: int
    picture: Picture
    chars: NDArray[Any]  # [height, width], as the others
    ink: NDArray[Any]
    ground: NDArray[Any]
    faded: float = 0.0  # how far all its colours are moved towards the background


class Canvas:
    """width × height cells, all background at first."""

    def __init__(self, width: int, height: int, palette: Palette) -> None:
        self.width, self.height, self.palette = width, height, palette
        self.chars: NDArray[Any] = np.full((height, width), " ", dtype=object)
        self.fg: NDArray[np.int32] = np.full((height, width), self.ink("text"), dtype=np.int32)
        self.bg: NDArray[np.int32] = np.full((height, width), self.ink("background"), dtype=np.int32)
        self.attrs: NDArray[np.uint8] = np.zeros((height, width), dtype=np.uint8)
        self.areas: list[Hit | Board] = []  # what answers to the pointer; later ones lie above
        self.pictures: list[Placed] = []  # what was drawn as shapes
        self.any_wide = False  # whether there are characters that could be cut in two

    def ink(self, ink: Ink) -> int:
        """A role or colour as the canvas keeps it: 0xRRGGBB."""
        return self.palette.rgb(ink) if isinstance(ink, str) else ink

    # Painting

    def put(
        self, x: int, y: int, text: str, fg: Ink | None = None, bg: Ink | None = None, attrs: int = 0,
        *, width: int | None = None, align: str = "left",
    ) -> int:  # fmt: skip
        """Write text at a cell, cut to `width` and to the canvas; a wide character is never cut in half.

        bg None keeps the background that is there. Returns the number of cells written, padding included.
        """
        chars, wide = laid(plain(text, self.palette), width, align, self.palette.glyphs.ellipsis)
        end = x + len(chars)
        a, b = max(x, 0), min(end, self.width)
        if a < b and 0 <= y < self.height:
            self.chars[y, a:b] = chars[a - x : b - x]
            self.fg[y, a:b] = self.ink("text" if fg is None else fg)
            self.attrs[y, a:b] = attrs
            if bg is not None:
                self.bg[y, a:b] = self.ink(bg)
            self.any_wide |= wide
            self.mend((slice(y, y + 1), slice(a, b)))
        return len(chars)

    def fill(self, x: int, y: int, width: int, height: int, char: str = " ", fg: Ink | None = None, bg: Ink | None = None) -> None:
        """Fill a rectangle with a one-cell character."""
        rows, columns = overlap(self, x, y, width, height)[0]
        self.chars[rows, columns] = char
        self.attrs[rows, columns] = 0
        self.mend((rows, columns))
        if fg is not None:
            self.fg[rows, columns] = self.ink(fg)
        if bg is not None:
            self.bg[rows, columns] = self.ink(bg)

    def style(
        self, x: int, y: int, width: int, height: int, fg: Ink | None = None, bg: Ink | None = None, attrs: int | None = None
    ) -> None:
        """Change how a rectangle looks, not what it says. `attrs` are added."""
        rows, columns = overlap(self, x, y, width, height)[0]
        if fg is not None:
            self.fg[rows, columns] = self.ink(fg)
        if bg is not None:
            self.bg[rows, columns] = self.ink(bg)
        if attrs is not None:
            self.attrs[rows, columns] |= attrs

    def hline(self, x: int, y: int, width: int, fg: Ink = "rule", char: str | None = None) -> None:
        self.put(x, y, (char or self.palette.glyphs.horizontal) * max(width, 0), fg)

    def vline(self, x: int, y: int, height: int, fg: Ink = "rule", char: str | None = None) -> None:
        self.fill(x, y, 1, height, char or self.palette.glyphs.vertical, fg)

    def pixels(self, x: int, y: int, rgb: NDArray[np.uint8]) -> None:
        """Paint [2h, w, 3] pixels, two a cell, cut to the canvas. A picture in few colours makes long runs of equal cells."""
        wide = rgb.astype(np.int32)
        colours = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]  # [2h, w]
        mine, theirs = overlap(self, x, y, rgb.shape[1], rgb.shape[0] // 2)
        top, bottom = colours[0::2][theirs], colours[1::2][theirs]  # [h, w]
        same = top == bottom
        self.fg[mine] = np.where(same, self.fg[mine], top)
        self.bg[mine] = bottom
        self.attrs[mine] = 0
        self.chars[mine] = np.where(same, " ", self.palette.glyphs.upper or "#")
        self.mend(mine)

    def show(self, x: int, y: int, picture: Picture) -> None:
        """Show a picture's shapes in cells, cut to the canvas; where there are few colours, in lines, dots and shades."""
        mine, theirs = overlap(self, x, y, picture.width, picture.height)
        if not self.palette.pixels:
            chars, roles = strokes(picture)
            inks = {role: self.ink(role) for role in np.unique(roles[roles != ""]).tolist()}
            self.chars[mine] = chars[theirs]
            self.fg[mine] = np.array([[inks.get(role, 0) for role in row] for row in roles[theirs].tolist()]).reshape(self.fg[mine].shape)
            self.attrs[mine] = 0
            self.mend(mine)
            return
        chars, ink, ground = cells(picture, self.palette)
        self.chars[mine], self.bg[mine] = chars[theirs], ground[theirs]
        self.fg[mine] = np.where(chars[theirs] == " ", self.fg[mine], ink[theirs])
        self.attrs[mine] = 0
        self.mend(mine)
        self.pictures.append(Placed(x, y, picture, chars, ink, ground))

    def paint(self, x: int, y: int, colours: NDArray[np.integer[Any]]) -> None:
        """Give a block of cells these background colours. Shapes: colours [h, w] of 0xRRGGBB, or AS_IT_IS."""
        mine, theirs = overlap(self, x, y, colours.shape[1], colours.shape[0])
        self.bg[mine] = np.where(colours[theirs] == AS_IT_IS, self.bg[mine], colours[theirs])

    def blit(self, other: Canvas, x: int, y: int) -> None:
        """Copy another canvas with its hits, cut to this one."""
        mine, theirs = overlap(self, x, y, other.width, other.height)
        for plane, source in ((self.chars, other.chars), (self.fg, other.fg), (self.bg, other.bg), (self.attrs, other.attrs)):
            plane[mine] = source[theirs]
        self.any_wide |= other.any_wide
        self.mend(mine)
        self.pictures += [replace(each, x=each.x + x, y=each.y + y) for each in other.pictures]
        for area in other.areas:
            box = (area.x + x, area.y + y, area.width, area.height)
            if isinstance(area, Board):
                self.board(*box, (area.corner[0] + x, area.corner[1] + y), area.size, area.target)
            else:
                self.target(*box, area.target)

    def curtain(self, x: int, top: int, end: int) -> None:
        """Hide what lies from a column on in some rows, pictures too."""
        self.fill(x, top, self.width - x, end - top, bg="background")
        kept = []
        for each in self.pictures:
            width = (
                max(0, min(each.picture.width, x - each.x)) if each.y < end and each.y + each.picture.height > top else each.picture.width
            )
            if width:
                cut = replace(each.picture, width=width)
                kept.append(replace(each, picture=cut, chars=each.chars[:, :width], ink=each.ink[:, :width], ground=each.ground[:, :width]))
        self.pictures = kept

    def mend(self, area: Area) -> None:
        """Blank what is left of the wide characters that an area's left or right edge cuts in two."""
        if not self.any_wide:
            return
        rows, columns = area
        for edge in (columns.start, columns.stop):
            for y in range(rows.start, rows.stop):
                tail = edge < self.width and self.chars[y, edge] == WIDE_TAIL
                head = edge > 0 and cell_len(self.chars[y, edge - 1]) == 2
                if tail and not head:
                    self.chars[y, edge] = " "
                elif head and not tail:
                    self.chars[y, edge - 1] = " "

    def fade(self, amount: float) -> None:
        """Move every colour towards the background: how a result that is out of date looks."""

        def faded(plane: NDArray[Any]) -> NDArray[Any]:
            colours, where = np.unique(plane, return_inverse=True)
            return np.array([self.palette.faded(colour, amount) for colour in colours.tolist()])[where].reshape(plane.shape)

        self.fg[:], self.bg[:] = faded(self.fg), faded(self.bg)
        self.pictures = [
            replace(each, ink=faded(each.ink), ground=faded(each.ground), faded=1 - (1 - each.faded) * (1 - amount))
            for each in self.pictures
        ]
        self.attrs |= DIM if self.palette.depth in ("16", "none") else 0

    # The pointer

    def target(self, x: int, y: int, width: int, height: int, target: object) -> None:
        """Let a rectangle, cut to the canvas, answer to the pointer; a later one lies above."""
        rows, columns = overlap(self, x, y, width, height)[0]
        if rows.start < rows.stop and columns.start < columns.stop:
            self.areas.append(Hit(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start, target))

    def board(
        self, x: int, y: int, width: int, height: int, corner: tuple[int, int], size: tuple[int, int], target: Callable[[int, int], object]
    ) -> None:
        """Let each cell of a grid answer to the pointer; the rectangle is the part of it that is seen."""
        rows, columns = overlap(self, x, y, width, height)[0]
        if rows.start < rows.stop and columns.start < columns.stop:
            seen = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
            self.areas.append(Board(*seen, corner, size, target))

    def hit(self, x: int, y: int) -> object:
        """The topmost target at a cell, or None."""
        for area in reversed(self.areas):
            if area.x <= x < area.x + area.width and area.y <= y < area.y + area.height:
                return area.at(x, y) if isinstance(area, Board) else area.target
        return None

    @property
    def hits(self) -> list[Hit]:
        """All that answers to the pointer, each cell of a grid by itself; not what only covers it."""
        found = [hit for area in self.areas for hit in (area.hits() if isinstance(area, Board) else (area,))]
        return [hit for hit in found if hit.target is not None]

    # Reading

    def seen(self, placed: Placed) -> tuple[Area, NDArray[np.bool_], NDArray[np.bool_]]:
        """Where on the canvas a picture lies, in which of these cells it is seen, and which of them have nothing above it."""
        mine, theirs = overlap(self, placed.x, placed.y, placed.picture.width, placed.picture.height)
        seen = self.bg[mine] == placed.ground[theirs]
        blank = placed.chars[theirs] == " "
        return mine, seen, seen & (self.chars[mine] == placed.chars[theirs]) & (blank | (self.fg[mine] == placed.ink[theirs]))

    def text(self) -> list[str]:
        """The plain text, a line a row; each as wide as the canvas."""
        return ["".join(row) for row in self.chars]

    def lines(self, rows: Sequence[int]) -> list[list[Segment]]:
        """Rows as runs of equal style."""
        if not (rows and self.width):
            return [[] for _ in rows]
        chars, bg, fg, attrs = self.chars[rows], self.bg[rows], self.fg[rows], self.attrs[rows]  # [n, w] each
        # The colour of an empty cell's character can't be seen, and mustn't cut a run, unless a line or reversal shows it.
        shown = (chars != " ") | (attrs & (UNDERLINE | STRIKE | REVERSE) != 0)
        last = np.maximum.accumulate(np.where(shown, np.arange(self.width), -1), axis=1)
        first = np.where(shown.any(axis=1), fg[np.arange(len(fg)), shown.argmax(axis=1)], self.ink("text"))  # [n]
        ink = np.where(last >= 0, np.take_along_axis(fg, np.maximum(last, 0), axis=1), first[:, None])
        begins = np.ones(chars.shape, dtype=bool)
        begins[:, 1:] = (bg[:, 1:] != bg[:, :-1]) | (attrs[:, 1:] != attrs[:, :-1]) | (ink[:, 1:] != ink[:, :-1])
        looks = zip(ink[begins].tolist(), bg[begins].tolist(), attrs[begins].tolist(), strict=True)
        starts = np.nonzero(begins)[1].tolist()
        cells: list[list[str]] = chars.tolist()
        found: list[list[Segment]] = []
        for start, end, look in zip(starts, [*starts[1:], 0], looks, strict=True):
            if start == 0:
                found.append([])
            text = cells[len(found) - 1][start : end or self.width]  # a run that ends where the next row begins ends its own
            found[-1].append(Segment("".join(text), rich_style(*look, self.palette.depth, self.palette.theme)))
        return found

    def diff(self, old: Canvas) -> list[tuple[int, int, int]]:
        """The cells that differ from a canvas of the same size, as (x, y, width) runs: a row's are one, from its first to its last."""
        alike = self.chars == old.chars
        changed = ~alike | (self.bg != old.bg) | (self.attrs != old.attrs)
        blank = alike & (self.chars == " ") & (self.attrs & (UNDERLINE | STRIKE | REVERSE) == 0)
        changed |= (self.fg != old.fg) & ~blank
        firsts, ends = changed.argmax(axis=1), self.width - changed[:, ::-1].argmax(axis=1)
        spans: list[tuple[int, int, int]] = []
        for y in np.flatnonzero(changed.any(axis=1)).tolist():
            first, end = int(firsts[y]), int(ends[y])
            # A run mustn't start or end inside a wide character.
            first -= int(self.chars[y, first] == WIDE_TAIL or old.chars[y, first] == WIDE_TAIL)
            end += int(end < self.width and WIDE_TAIL in (self.chars[y, end], old.chars[y, end]))
            spans.append((first, y, end - first))
        return spans


def overlap(canvas: Canvas, x: int, y: int, width: int, height: int) -> tuple[Area, Area]:
    """A rectangle's part that lies on a canvas: in the canvas's rows and columns, and in the rectangle's own."""
    x0, y0 = min(max(x, 0), canvas.width), min(max(y, 0), canvas.height)
    x1, y1 = min(max(x + width, x0), canvas.width), min(max(y + height, y0), canvas.height)
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))


@lru_cache(maxsize=4096)
def plain_ascii(text: str) -> str:
    """Text for a terminal without Unicode: our own signs spelt in ASCII, anything else a `?`."""
    return text if text.isascii() else text.translate(PLAIN).encode("ascii", "replace").decode("ascii")


def plain(text: str, palette: Palette) -> str:
    """Text as the palette's terminal can show it."""
    return text if not palette.ascii or text.isascii() else on_console(text) if palette.console else plain_ascii(text)


@lru_cache(maxsize=4096)
def on_console(text: str) -> str:
    """Text for the Linux console: our own signs in words where its fonts lack them, anything else that they lack a `?`."""
    return "".join(c if c.isascii() or has_console(c) else "?" for c in text.translate(CONSOLE_PLAIN))


def has_console(char: str) -> bool:
    """Whether every font of the Linux console for Western Europe has a character."""
    return char.isprintable() and (char < "\u0100" or char in ON_CONSOLE)


@lru_cache(maxsize=4096)
def graphemes(text: str) -> list[tuple[str, int]]:
    """Text as (what stands in a cell, its width 1 or 2): combining marks stay with their base; control characters become `?`."""
    cells: list[tuple[str, int]] = []
    for char in text:
        size = cell_len(char)
        if char in "\ufe0e\ufe0f":
            continue  # asks for a narrow or wide picture of the character before: terminals don't agree how wide
        if not char.isprintable():
            cells.append(("?", 1))
        elif size == 0:
            if cells:
                base, width = cells[-1]
                cells[-1] = (base + char, width)
        else:
            cells.append((char, size))
    return cells


@lru_cache(maxsize=4096)  # several screens' texts; generated ones come ever new, and take a kilobyte each
def laid(text: str, width: int | None, align: str, ellipsis: str) -> tuple[list[str], bool]:
    """What stands in each cell that a text takes, cut or padded to a width where one is given, and whether any takes two.

    A wide character's second cell has WIDE_TAIL. The list is the cache's own: read it, don't change it.
    """
    cells = graphemes(text)
    if width is not None:
        cells = clipped(cells, width, ellipsis)
        spare = width - sum(size for _, size in cells)
        left = {"left": 0, "right": spare, "center": spare // 2}[align]
        cells = [(" ", 1)] * left + cells + [(" ", 1)] * (spare - left)
    return [each for char, size in cells for each in ((char, WIDE_TAIL) if size == 2 else (char,))], any(size == 2 for _, size in cells)


def clipped(cells: list[tuple[str, int]], width: int, ellipsis: str) -> list[tuple[str, int]]:
    """The cells that fit into a width; an ellipsis tells what was cut."""
    if sum(size for _, size in cells) <= width:
        return list(cells)
    kept: list[tuple[str, int]] = []
    used = 0
    for char, size in cells:
        if used + size > width - 1:
            break
        kept.append((char, size))
        used += size
    return [*kept, (ellipsis, 1)] if width > 0 else []


@lru_cache(maxsize=4096)
def nearest_role(rgb: int, theme: str, ground: bool) -> int:
    """The terminal's own colour, 0…15, for a role's colour or one mixed from roles; −1 is the terminal's default.

    As a background only a role's own colour shows: mixed ones are pictures, and where there are 16 colours pictures are glyphs.
    """
    roles = THEMES[theme]
    inks = [role for role in roles if ground or role not in GROUNDS]

    def distance(role: str) -> float:
        off = [a - b for a, b in zip(split(roles[role]), split(rgb), strict=True)]
        lightness = sum(off) / 3
        return lightness**2 + 2 * sum((d - lightness) ** 2 for d in off)  # a wrong tint counts for more than a wrong lightness

    role = min(inks, key=distance)
    return ANSI[theme][role] if not ground or roles[role] == rgb else -1


@lru_cache(maxsize=16384)
def rich_style(fg: int, bg: int, attrs: int, depth: str, theme: str) -> Style:
    """The style of a cell at a colour depth."""
    colour, ground = terminal_colour(fg, depth, theme), terminal_colour(bg, depth, theme, ground=True)
    if ground is not None and depth == "16":
        colour = Color.from_ansi(ON_CURSOR)
    return Style(
        color=colour, bgcolor=ground, bold=bool(attrs & BOLD) or None, dim=bool(attrs & DIM) or None, italic=bool(attrs & ITALIC) or None,
        underline=bool(attrs & UNDERLINE) or None, strike=bool(attrs & STRIKE) or None, reverse=bool(attrs & REVERSE) or None,
    )  # fmt: skip


def terminal_colour(rgb: int, depth: str, theme: str, *, ground: bool = False) -> Color | None:
    """A colour as the terminal can show it; None is the terminal's own."""
    if rgb == NO_COLOUR or depth == "none":
        return None
    if depth == "16":
        number = nearest_role(rgb, theme, ground)
        return None if number < 0 else Color.from_ansi(number)
    if depth == "256":
        return Color.from_ansi(nearest_256(rgb))
    return Color.from_rgb(*split(rgb))
