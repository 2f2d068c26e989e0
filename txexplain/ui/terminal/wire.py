"""What goes to the terminal, made small: only cells that differ from what stands there, and of their style only what differs.

Textual writes whole segments with whole styles; over SSH most of a frame would be repetition. A Wire reads what is to be
written, keeps what the terminal shows, and writes the rest. What it doesn't know passes through, and it forgets what it knew.
On a slow line cells wait until there is room for them, and what waits is always the newest.
"""

from __future__ import annotations

import asyncio
import os
import re
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

from rich.cells import cell_len
from textual.driver import Driver
from textual.message import Message

from txexplain.front.medium import believed
from txexplain.ui.terminal.asking import ASK_CELL, cell_in
from txexplain.ui.terminal.keyboard import Answer
from txexplain.ui.terminal.line import ANSWER, LOST, QUESTION, Line
from txexplain.ui.terminal.media import BAND, Medium
from txexplain.viz.tiles import TILE, is_tile

TEXT = r"[^\x00-\x1f\x7f-\x9f]+"
# A segment as Textual writes it, from its style to the reset, is one match: there are thousands in a frame.
TOKENS = re.compile(
    rf"\x1b\[([0-9;]*)m({TEXT})\x1b\[0m|\x1b\[([0-9;]*)([Hm])|\x1b\[\?2026([hl])|({TEXT})"
    r"|(\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[P_X^][^\x1b]*\x1b\\|\x1b.|.)",
    re.DOTALL,
)
BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[P_X^][^\x1b]*\x1b?)?\Z")  # a sequence that the next write ends
SGR = re.compile(r"\x1b\[([0-9;]*)m")
# What changes no cell: modes of the pointer, the keyboard, pasting, the cursor and wrapping; keyboard protocols; questions; the cursor's
# shape; titles and their stack; the pointer's shape (OSC 22), the clipboard (52), colours of the terminal's own; the bell.
HARMLESS = re.compile(
    r"\x1b\[\?(?:7|12|25|1000|1002|1003|1004|1005|1006|1015|1016|2004|2031|2048)[hl]|\x1b\[[>=]?[0-9;]*u|\x1b\[<[0-9]*u|\x1b\[[0-9;?]*\$p"
    r"|\x1b\[[?>=]?[0-9;]*[cn]|\x1b\[>[0-9]*q|\x1b\[[0-9]* q|\x1b\[(?:1[1-9]|2[0-3])(?:;[0-9]+)*t"
    r"|\x1b\](?:[0-24579]|1[0-9]|22|52|10[45]|11[0-9]|133|777)(?:;[^\x07\x1b]*)?(?:\x07|\x1b\\)|\x1bP[$+]q[^\x1b]*\x1b\\|\x07"
)
LINK = re.compile(r"\x1b\]8;[^\x07\x1b]*(?:\x07|\x1b\\)")  # where a text leads to: no cell shows it, and the app has none
CLEARS = re.compile(r"\x1b\[(?:2J|\?1049[hl])|\x1bc")
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"  # a synchronised update
PAIRS = ("▀▄", "▌▐", "▘▟", "▝▙", "▖▜", "▗▛", "▚▞")  # blocks that are each other with their colours turned
TURNED = {pair[i]: pair[1 - i] for pair in PAIRS for i in (0, 1)}
SEEN_WHEN_BLANK = frozenset("479")  # underline, reverse and strike show on a space
OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "7": "27", "9": "29"}  # what ends an attribute
WEIGHT = frozenset("12")  # bold and dim
UNASKED = ("", "dumb", "unknown", "vt52")  # terminals that know no such question; what others don't know they pass over
NEAR = 3  # cells that cost less to send again than to jump over


class Look(NamedTuple):
    """How a cell looks: SGR parameters of its ink and ground ("" is the terminal's own), and of its attributes."""

    ink: str = ""
    ground: str = ""
    attributes: frozenset[str] = frozenset()


PLAIN = Look()
UNKNOWN = Look("?", "?", frozenset("?"))  # until the next reset


class Cell(NamedTuple):
    """One cell; the right half of a wide character has an empty text."""

    text: str
    look: Look


Row = list[Cell | None]  # None: unknown, or left as it is


@lru_cache(maxsize=8192)
def after(look: Look, parameters: str) -> Look | None:
    """The look that an SGR sequence leads to; None where it says something unknown."""
    ink, ground, attributes = look
    rest = (parameters or "0").split(";")
    while rest:
        code = rest.pop(0).lstrip("0") or "0"
        if code == "0":
            ink, ground, attributes = PLAIN
        elif code in ("38", "48"):
            size = {"5": 2, "2": 4}.get(rest[0] if rest else "")
            if size is None or len(rest) < size:
                return None
            colour, rest = ";".join([code, *rest[:size]]), rest[size:]
            ink, ground = (colour, ground) if code == "38" else (ink, colour)
        elif code in ("1", "2", "3", "4", "7", "9"):
            attributes |= {code}
        elif re.fullmatch("3[0-79]|9[0-7]", code):
            ink = "" if code == "39" else code
        elif re.fullmatch("4[0-79]|10[0-7]", code):
            ground = "" if code == "49" else code
        else:
            return None
    return Look(ink, ground, attributes)


@lru_cache(maxsize=8192)
def change(old: Look, new: Look) -> str:
    """The shortest SGR sequence from one look to another."""
    if old == new:
        return ""
    whole = ";".join(part for part in (*sorted(new.attributes), new.ink, new.ground) if part)
    whole = f"\x1b[0;{whole}m" if whole else "\x1b[m"
    gone, added = old.attributes - new.attributes, new.attributes - old.attributes
    if not gone <= set(OFF):
        return whole
    if gone & WEIGHT:
        added |= new.attributes & WEIGHT  # what ends one ends both
    steps = [*sorted({OFF[code] for code in gone}), *sorted(added)]
    steps += [new.ink or "39"] if new.ink != old.ink else []
    steps += [new.ground or "49"] if new.ground != old.ground else []
    step = f"\x1b[{';'.join(steps)}m"
    return min(step, whole, key=len)


def clusters(text: str) -> tuple[tuple[str, int], ...]:
    """Text as (what stands in a cell, its width): what has no width belongs to what is before it."""
    if text.isascii():
        return tuple((char, 1) for char in text)
    found: list[tuple[str, int]] = []
    for char in text:
        width = cell_len(char)
        if width == 0 and found:
            found[-1] = (found[-1][0] + char, found[-1][1])
        elif width:
            found.append((char, width))
    return tuple(found)


the_cell = lru_cache(maxsize=32768)(Cell)  # interned: two equal cells are mostly one object, which `is` tells at once


class Laid(NamedTuple):
    """Text as it lies in cells."""

    cells: tuple[Cell, ...]
    plain: bool  # whether every character has one cell, and every cell one character


@lru_cache(maxsize=8192)
def in_cells(text: str, look: Look) -> Laid:
    """Text in cells; in none where it isn't known how it looks. All blanks on a ground are one cell: their ink doesn't show."""
    found: list[Cell] = []
    blank = look if look.attributes & SEEN_WHEN_BLANK else Look("", look.ground)
    for char, size in clusters(text) if not look.attributes & UNKNOWN.attributes else ():
        found += [the_cell(char, blank if char == " " else look)] + [the_cell("", look)] * (size - 1)
    return Laid(tuple(found), all(len(cell.text) == 1 for cell in found))


@lru_cache(maxsize=8192)
def styled(text: str, parameters: str) -> Laid:
    """Text in cells, styled by an SGR sequence; in none where that says something unknown."""
    return in_cells(text, after(PLAIN, parameters) or UNKNOWN)


class Wire:
    """What a terminal of a size shows, as far as it is known, what it is to show, and the way to change it."""

    def __init__(self, medium: Medium | None = None) -> None:
        self.medium = medium  # what shows tiles, where there are any
        self.farewell = ""  # what takes images away of which nothing is known any more
        self.touched: dict[int, set[tuple[int, int]]] = {}  # by band: cells that became tiles or text and whose image isn't sent
        self.width = self.height = 0
        self.rows: list[Row] = []
        self.odd: set[int] = set()  # rows that may have wide or joined characters
        self.look = PLAIN
        self.at: tuple[int, int] | None = None  # the cursor's row and column, where they are certain
        self.said = PLAIN  # the look that what was written so far asks for
        self.cursor: tuple[int, int] | None = None  # and where it has the cursor
        self.wanted: dict[int, Row] = {}  # cells that wait until there is room for them
        self.following = 0  # the row whose turn is next
        self.begun = False
        self.open = False  # whether a synchronised update is
        self.syncs = False  # whether the terminal knows such updates
        self.rest = ""  # a sequence without its end

    def resize(self, width: int, height: int) -> None:
        """Another size: nothing is known any more."""
        self.width, self.height = width, height
        self.forget()

    def forget(self) -> None:
        """Nothing is known of what the terminal shows, and what waits isn't wanted."""
        self.rows = [[None] * self.width for _ in range(self.height)]
        self.odd = set()
        self.at = self.cursor = None
        self.wanted, self.touched = {}, {}
        self.farewell += "" if self.medium is None else self.medium.forget()

    def show_by(self, medium: Medium | None) -> None:
        """Tiles are shown another way from now on; all is to be sent again."""
        self.forget()
        self.medium = medium

    def shrink(self, data: str, room: int | None = None) -> str:
        """What to send so that the terminal shows what sending `data` would make it show; of its cells as many rows as begin in `room`
        bytes. The others wait, and newer ones take their places."""
        data = self.rest + data
        last = data.rfind("\x1b")
        begun = BEGUN.search(data, max(data.rfind("\x1b", 0, max(last, 0)), 0)) if last >= 0 else None
        self.rest = begun[0] if begun else ""
        data = data[: len(data) - len(self.rest)]
        out: list[str] = []
        new: dict[int, Row] = {}
        look, at, painted = self.said, self.cursor, False
        for style, segment, parameters, final, mode, text, other in TOKENS.findall(data):
            if segment:
                laid = styled(segment, style) if look is PLAIN else in_cells(segment, after(look, style) or UNKNOWN)
                if not self.fits(at, laid):
                    return self.give_up(data, out if painted else [])
                at, look = self.write(new, at, laid), PLAIN
            elif final == "H":
                row, _, column = parameters.partition(";")
                at = (int(row or 1) - 1, int(column or 1) - 1)
            elif final == "m":
                following = after(look, parameters)
                if following is None:
                    return self.give_up(data, out if painted else [])
                look = following
            elif text:
                laid = in_cells(text, look)
                if not self.fits(at, laid):
                    return self.give_up(data, out if painted else [])
                at = self.write(new, at, laid)
            elif mode:
                painted |= bool(new) and mode == "l"
                out += self.paint(new, room) if mode == "l" else []
                out += self.bracket(mode)
            elif other == "\n":  # Textual ends its lines, and says where the next begins
                at = None
            elif HARMLESS.fullmatch(other):
                out.append(other)
            elif not LINK.fullmatch(other):
                return self.give_up(data, out if painted else [])
        self.said, self.cursor = look, at
        some = self.paint(new, room)
        out += some
        if some or not self.wanted:
            out += self.settle()
        return self.opened(out)

    def flush(self, room: int | None = None) -> str:
        """What to send of what waits, in an update of its own."""
        if not self.wanted or self.open or self.begun:
            return ""
        out = self.paint({}, room)
        out += self.settle() if out or not self.wanted else []
        return f"{BEGIN}{''.join(out)}{END}" if self.syncs and out else "".join(out)

    def settle(self) -> list[str]:
        """Cursor and look as they were left by what was written."""
        out: list[str] = []
        if self.cursor is not None and self.cursor != self.at:
            out.append(f"\x1b[{self.cursor[0] + 1};{self.cursor[1] + 1}H")
            self.at = self.cursor
        if self.said != self.look:
            out.append(change(self.look, self.said))
            self.look = self.said
        return out

    def opened(self, out: list[str]) -> str:
        """Begin the synchronised update that was announced, now that there is something in it."""
        if self.begun and out:
            out.insert(0, BEGIN)
            self.begun, self.open = False, True
        return "".join(out)

    def bracket(self, mode: str) -> list[str]:
        """A synchronised update begins when there is something in it, and ends if it began."""
        if mode == "h":
            self.begun = self.syncs = True
            return []
        if self.begun:
            self.begun = False
            return []
        self.open = False
        return [END]

    def give_up(self, data: str, out: list[str]) -> str:
        """Send what isn't understood as it is, behind what waits; tiles, which no terminal knows, as blanks."""
        if CLEARS.search(data):
            self.wanted.clear()
        out += [*self.paint({}), *self.settle()]
        out.append(TILE.sub(" ", data))
        self.forget()
        self.look = self.said
        for parameters in SGR.findall(data):
            self.look = after(self.look, parameters) or UNKNOWN
        self.said = self.look
        return self.opened(out)

    def fits(self, at: tuple[int, int] | None, laid: Laid) -> TypeGuard[tuple[int, int]]:
        """Whether it is known what is written and where, and there is room for it."""
        return at is not None and 0 <= at[0] < self.height and 0 < len(laid.cells) <= self.width - at[1]

    def write(self, new: dict[int, Row], at: tuple[int, int], laid: Laid) -> tuple[int, int] | None:
        """Put cells into a row's new ones; the cursor after them, None behind the row's last, where terminals differ."""
        y, x = at
        row = new.get(y)
        if row is None:
            row = new[y] = [None] * self.width
        if not laid.plain:
            self.odd.add(y)
        end = x + len(laid.cells)
        row[x:end] = laid.cells
        return (y, end) if end < self.width else None

    def paint(self, new: dict[int, Row], room: int | None = None) -> list[str]:
        """The sequences that bring new cells and those that wait to the terminal, which knows them from then on: row by row, from the one
        whose turn it is, for as long as there is room for a row's beginning."""
        for y, cells in new.items():
            waiting = self.wanted.setdefault(y, cells)
            if waiting is not cells:
                waiting[:] = [old if cell is None else cell for cell, old in zip(cells, waiting, strict=True)]
        new.clear()
        out = [self.farewell] if self.farewell else []
        self.farewell = ""
        rows = sorted(self.wanted)
        if rows and rows[0] < self.following:
            rows.sort(key=lambda y: (y < self.following, y))
        for y in rows:
            if room is not None and room <= 0:
                self.following = y
                return out + self.images()
            said = self.paint_row(y, self.wanted.pop(y))
            said += self.images() if self.touched and (y + 1) % BAND == 0 else []
            room = room - len("".join(said).encode("utf-8", "replace")) if room is not None and said else room
            out += said
        self.following = 0
        return out + self.images()

    def images(self) -> list[str]:
        """What shows the tiles of the rows that were painted."""
        if self.medium is None:
            return []
        out = []
        for band, touched in self.touched.items():
            rows = range(band * BAND, min((band + 1) * BAND, self.height))
            looks = {(y, x): letterless(cell) for y in rows for x, cell in enumerate(self.rows[y])}
            out.append(self.medium.show(band, {spot: look for spot, look in looks.items() if look is not None}, touched))
            self.at = None
        self.touched.clear()
        return [said for said in out if said]

    def paint_row(self, y: int, cells: Row) -> list[str]:
        """The sequences for one row's new cells."""
        out: list[str] = []
        known = self.rows[y]
        pairs = enumerate(zip(cells, known, strict=True))
        wanted = [x for x, (cell, old) in pairs if cell is not old and cell is not None and cell != old]
        if not wanted:
            return out
        if y in self.odd and not self.regular(y, cells):
            wanted = [x for x, cell in enumerate(cells) if cell is not None]
        look, at = self.look, self.at[1] if self.at is not None and self.at[0] == y else -1
        for x in wanted:
            old, cell = known[x], cells[x]
            assert cell is not None
            known[x] = cell
            if is_tile(cell.text) or (old is not None and is_tile(old.text)):
                self.touched.setdefault(y // BAND, set()).add((y, x))
            if cell.text and not is_tile(cell.text):
                if at != x:
                    out.append(self.jump(y, at, x, look, cells))
                said, look, certain = step(look, cell)
                out.append(said)
                at = x + 1 if certain and x + 1 < self.width else -1
        self.look, self.at = look, (y, at) if at >= 0 else None
        return out

    def regular(self, y: int, cells: Row) -> bool:
        """Whether a row has none of the widths that terminals may disagree about; else its new part goes out whole."""
        if any(cell is not None and len(cell.text) != 1 for row in (cells, self.rows[y]) for cell in row):
            return False
        self.odd.discard(y)
        return True

    def jump(self, y: int, at: int, x: int, look: Look, cells: Row) -> str:
        """Bring the cursor to a cell of a row from an earlier one; it isn't known where it stands where that is −1."""
        if not 0 <= at < x:
            return f"\x1b[{y + 1};{x + 1}H"
        gap = [cells[i] or self.rows[y][i] for i in range(at, x)]
        if len(gap) <= NEAR and all(c is not None and c.text.isascii() and step(look, c).said == c.text != "" for c in gap):
            return "".join(c.text for c in gap if c is not None)
        return f"\x1b[{len(gap)}C" if len(gap) > 1 else "\x1b[C"


def letterless(cell: Cell | None) -> str | int | None:
    """What a cell without a letter shows: a tile, or the colour of its ground; None for others."""
    if cell is None or is_tile(cell.text):
        return cell and cell.text
    if cell.text != " " or cell.look.attributes & SEEN_WHEN_BLANK or not cell.look.ground.startswith("48;2;"):
        return None
    red, green, blue = map(int, cell.look.ground.split(";")[2:])
    return red << 16 | green << 8 | blue


def swapped(cell: Cell, look: Look) -> Cell:
    """The cell in the way that is nearest to the present look: a blank in any ink, a block or the one that is it turned."""
    text, new = cell
    if text == " " and not new.attributes & SEEN_WHEN_BLANK and not look.attributes & UNKNOWN.attributes:
        return Cell(text, Look(look.ink, new.ground, look.attributes - SEEN_WHEN_BLANK))
    if text in TURNED and new.ink.startswith("38;") and new.ground.startswith("48;") and new.attributes == look.attributes:
        turned = Look(f"38{new.ground[2:]}", f"48{new.ink[2:]}", new.attributes)
        if len(change(look, turned)) < len(change(look, new)):
            return Cell(TURNED[text], turned)
    return cell


class Step(NamedTuple):
    """What shows a cell, the look from then on, and whether every terminal moves on by one."""

    said: str
    look: Look
    certain: bool


@lru_cache(maxsize=16384)
def step(look: Look, cell: Cell) -> Step:
    """How a cell is shown where the terminal's look is given."""
    text, new = swapped(cell, look)
    return Step(change(look, new) + text, new, text.isascii() or (len(text) == 1 and cell_len(text) == 1))


def thrifty(driver: type[Driver]) -> type[Driver]:
    """A driver of Textual's that writes through a Wire, and no more at once than its line takes."""

    class Thrifty(driver):  # type: ignore[misc, valid-type]
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **more)
            self.wire, self.line = Wire(getattr(self._app, "medium", None)), Line()
            self.timer: asyncio.TimerHandle | None = None
            self.closing = False

        def start_application_mode(self) -> None:
            self.line, self.closing = Line(), False
            super().start_application_mode()
            if getattr(self._app, "shows_cursor", False):
                super().write("\x1b[?25h")
            if getattr(self, "input_tty", False) and os.environ.get("TERM", "") not in UNASKED:
                self.ask()  # whether it answers at all, and how far away it is

        def write(self, data: str) -> None:
            size = self._app.size
            if (self.wire.width, self.wire.height) != tuple(size):
                self.wire.resize(*size)
                if self.wire.medium is not None and not self.closing:
                    super().write(ASK_CELL)  # another size of letters, too, is another size
            self.send(self.wire.shrink(data, None if self.closing else self.line.room()))

        def send(self, less: str) -> None:
            """Send what the wire says, and ask the terminal where that is due."""
            if less:
                super().write(less)
                self.line.wrote(len(less.encode("utf-8", "replace")))
            if not self.closing and not self.wire.open and self.line.due(waits=bool(self.wire.wanted)):
                self.ask()

        def ask(self) -> None:
            super().write(QUESTION)
            self.line.ask()
            self.wait()

        def wait(self) -> None:
            """Go on without an answer that doesn't come."""
            if self.timer is None and self.line.answers and self.line.out:
                self.timer = self._loop.call_later(self.line.patience(), self.overdue)

        def overdue(self) -> None:
            self.timer = None
            self.line.give_up()
            self.go_on()

        def send_message(self, message: Message) -> None:
            if isinstance(message, Answer) and message.text == ANSWER:
                self.line.answered()
                self._loop.call_soon_threadsafe(self.go_on)
            super().send_message(message)

        def answered(self, text: str) -> None:
            super().answered(text)
            cell, medium = believed(cell_in(text.encode())), self.wire.medium
            if cell is not None and medium is not None and not self.closing:
                self._app.show_by(type(medium)(cell))

        def go_on(self) -> None:
            """Send the newest of what waits, as far as there is room for it."""
            self.stop_waiting()
            if not self.closing:
                self.send(self.wire.flush(self.line.room()))
                self.wait()

        def stop_waiting(self) -> None:
            if self.timer is not None:
                self.timer.cancel()
                self.timer = None

        def disable_input(self) -> None:
            """The end, or a pause: what waits isn't wanted any more, and no answer must come when the shell reads."""
            self.closing = True
            self.wire.wanted.clear()
            if self.wire.medium is not None:
                super().write(self.wire.medium.forget())
            self.stop_waiting()
            if self.line.answers and not getattr(getattr(self, "_writer_thread", None), "gone", False):
                self.line.quiet.wait(LOST)
            super().disable_input()

    return Thrifty
