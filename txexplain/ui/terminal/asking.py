"""How a terminal is asked what it is, named, and left as it was. Free of Textual: it is asked while that is being loaded."""

from __future__ import annotations

import os
import re
import select
import struct
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from txexplain.front.depth import Ground, depth_of
from txexplain.front.medium import AUTO, PIXELS, Answers, medium_of
from txexplain.front.options import UiOptions
from txexplain.viz.palette import THEMES

try:
    import fcntl
    import termios
except ModuleNotFoundError:  # Windows
    termios = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from textual.driver import Driver

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"
CLEAR = "\x1b[0m\x1b[2J\x1b[H"  # for terminals without a second screen, where the picture would stay
KEEP_TITLE, TITLE_BACK = "\x1b[22;0t", "\x1b[23;0t"
LONGEST = 60  # characters of a window's title
# Terminals that print what they don't know, answer late or have no window; and what runs in them.
SIMPLE = re.compile(r"screen|linux|vt\d|cons|wsvt|sun|eterm|dumb|unknown|\Z")

# A 24-bit ground is set, asked for, and taken back. What a terminal prints of it is taken away.
ASK_DEPTH = "\x1b[48:2::1:2:3m\x1bP$qm\x1b\\\x1b[0m"
ASK_GROUND = "\x1b]11;?\x1b\\"
ASK_CELL = "\x1b[16t"  # how many pixels a cell has
ASK_KITTY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"  # whether it would show a pixel by kitty's protocol
ASK_KIND = "\r\x1b[K\x1b[c"  # every terminal answers this one, and in order: when it does, no other answer comes
DEPTH = re.compile(rb"\x1bP1\$r[^\x1b]*48[:;]2[:;]+1[:;]2[:;]3m")
GROUND = re.compile(rb"\x1b\]11;rgba?:([\da-fA-F]{1,4})/([\da-fA-F]{1,4})/([\da-fA-F]{1,4})")
KIND = re.compile(rb"\x1b\[\?([\d;]*)c")
CELL = re.compile(rb"\x1b\[6;(\d{1,3});(\d{1,3})t")  # height, width
KITTY = re.compile(rb"\x1b_Gi=31;OK")
NEAR, FAR = 0.15, 1.0  # seconds from the question on that the answers may take: here, and over SSH


def questions(options: UiOptions, environ: Mapping[str, str]) -> str:
    """What to ask the terminal: only what neither the reader nor the environment has settled; "" where it had better not be asked."""
    term = environ.get("TERM", "").lower()
    if SIMPLE.match(term) or environ.get("STY") or environ.get("TEXTUAL_DRIVER"):
        return ""
    asked = ""
    best = depth_of(environ, "truecolor") if options.color == "auto" else options.color
    if options.color == "auto" and best != depth_of(environ) and not environ.get("TMUX"):
        asked += ASK_DEPTH
    if options.theme not in THEMES and best != "none":
        asked += ASK_GROUND
    if wants_pixels(options, environ) and best == "truecolor":
        asked += ASK_CELL + ("" if environ.get("TMUX") or options.picture == "sixel" else ASK_KITTY)
    return asked and asked + ASK_KIND


def wants_pixels(options: UiOptions, environ: Mapping[str, str]) -> bool:
    """Whether pictures may be pixels, if the terminal can show them."""
    picture = options.picture or AUTO
    return not options.ascii and (picture in PIXELS or (picture == AUTO and not over_ssh(environ) and not environ.get("TMUX")))


def over_ssh(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this runs on a machine far away, where each frame is a wait."""
    return bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))


class Asking:
    """A terminal that is asked. Until it is closed, it echoes nothing and hands on each key at once, as under the app."""

    def __init__(self, questions: str, seconds: float, keyboard: int, screen: int) -> None:
        self.questions, self.seconds, self.keyboard, self.screen = questions, seconds, keyboard, screen
        self.before: list[Any] | None = termios.tcgetattr(keyboard)
        self.came, self.answered, self.until = b"", False, 0.0

    def begin(self) -> None:
        """Ask, without waiting for answers."""
        now = termios.tcgetattr(self.keyboard)
        now[0] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
        now[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
        now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self.keyboard, termios.TCSANOW, now)
        self.until = time.monotonic() + self.seconds
        os.write(self.screen, self.questions.encode())

    def read(self) -> None:
        """Take what came, and wait for the rest of the answers as long as they may take."""
        while not self.answered and select.select([self.keyboard], [], [], max(0.0, self.until - time.monotonic()))[0]:
            data = os.read(self.keyboard, 4096)
            if not data:
                break
            self.came += data
            self.answered = KIND.search(self.came) is not None

    def told(self, options: UiOptions) -> UiOptions:
        """The options with what the terminal answered."""
        self.read()
        depth = "truecolor" if DEPTH.search(self.came) else None
        options = replace(options, answered=depth, ground=ground_of(self.came))
        if not wants_pixels(options, os.environ):
            return options
        kind = KIND.search(self.came)
        sixel = kind is not None and b"4" in kind[1].split(b";")[1:]
        answers = Answers(KITTY.search(self.came) is not None, sixel, cell_in(self.came) or cell_of(self.screen))
        return replace(options, medium=medium_of(options.picture or AUTO, answers, os.environ, far=over_ssh()))

    def take(self) -> str:
        """What came, once: the answers, which the app's keyboard drops, and between them keys that were typed ahead."""
        came, self.came = self.came, b""
        return came.decode(errors="replace")

    def close(self) -> None:
        """Give the terminal back as it was."""
        if self.before is not None:
            termios.tcsetattr(self.keyboard, termios.TCSANOW, self.before)
            self.before = None


def asking_of(options: UiOptions) -> Asking | None:
    """The terminal, to be asked what isn't known of it; None where nothing is asked."""
    asked = questions(options, os.environ)
    if not asked or termios is None:
        return None
    try:
        keyboard, screen = sys.__stdin__.fileno(), sys.__stderr__.fileno()  # type: ignore[union-attr]
        if not (os.isatty(keyboard) and os.isatty(screen)) or os.tcgetpgrp(keyboard) != os.getpgrp():  # in the background, it isn't ours
            return None
        return Asking(asked, FAR if over_ssh() else NEAR, keyboard, screen)
    except (OSError, termios.error):
        return None


def ground_of(came: bytes) -> Ground | None:
    """The colour behind the terminal's text, as it answered: each part has one to four hexadecimal digits."""
    found = GROUND.search(came)
    if found is None:
        return None
    red, green, blue = (round(255 * int(part, 16) / (16 ** len(part) - 1)) for part in found.groups())
    return red, green, blue


def cell_in(came: bytes) -> tuple[int, int] | None:
    """How many pixels a cell is wide and high, as the terminal answered."""
    found = CELL.search(came)
    return None if found is None else (int(found[2]), int(found[1]))


def cell_of(screen: int) -> tuple[int, int] | None:
    """The same as the system knows it."""
    try:
        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(screen, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return None
    return (width // columns, height // rows) if rows and columns and width and height else None


def has_title(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is one in a window with a title, which it keeps and gives back."""
    return bool(environ.get("TMUX")) or not SIMPLE.match(environ.get("TERM", "").lower())


def courteous(driver: type[Driver]) -> type[Driver]:
    """A driver of Textual's that names the window, and leaves the screen empty and the name as it was."""
    titled = has_title(os.environ)

    class Courteous(driver):  # type: ignore[misc, valid-type]
        named = ""

        def entitle(self, text: str) -> None:
            """Name the terminal's window."""
            text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
            if titled and text != self.named:
                self.named = text
                super().write(f"\x1b]0;{text}\x07")

        def write(self, data: str) -> None:
            if ENTER in data:
                again = f"\x1b]0;{self.named}\x07" if self.named else ""  # back from ctrl+z
                data = data.replace(ENTER, (KEEP_TITLE + again if titled else "") + ENTER)
            if LEAVE in data:
                data = data.replace(LEAVE, CLEAR + LEAVE + (TITLE_BACK if titled else ""))
            super().write(data)

    return Courteous
