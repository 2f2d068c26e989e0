"""The app on a terminal that tells what it is: at once, in pieces, too late, or that types meanwhile."""

from __future__ import annotations

import re
import termios
from collections.abc import Callable

import pytest

from tests.covering import few
from tests.e2e.terminal import ASKED, Terminal
from tests.ui.screen import PixelScreen
from txexplain.viz.palette import Palette

TRUE, WHITE, KIND = b"\x1bP1$r48:2::1:2:3m\x1b\\", b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\", b"\x1b[?64;1;2c"
LOCAL = {"SSH_CONNECTION": None, "SSH_TTY": None, "TMUX": None, "STY": None, "COLORFGBG": None}
PATIENT = "import txexplain.ui.terminal.asking as asking\nasking.NEAR = 30.0"  # where this machine is busy, the terminal's answers are late


def ground(theme: str) -> bytes:
    """What sets a theme's ground in 24-bit colours."""
    rgb = Palette(theme, "truecolor").rgb("background")
    return f"48;2;{rgb >> 16};{rgb >> 8 & 255};{rgb & 255}".encode()


@pytest.mark.parametrize("pieces", few(["whole", "a byte each"], lambda pieces: pieces == "whole"))
def test_the_first_picture_has_the_terminal_s_colours(new_terminal: Callable[..., Terminal], pieces: str) -> None:
    """And what is typed before and after the answers is typed into the app."""
    answer = TRUE + WHITE + KIND
    answers = (b"]", *([answer] if pieces == "whole" else (bytes([byte]) for byte in answer)), b"]]")
    terminal = new_terminal("Once upon a time", color="", env=LOCAL, answers=answers, code=PATIENT).shown()
    terminal.until(lambda: "T 1.30" in terminal.text())
    assert ground("light") in terminal.output
    assert ground("dark") not in terminal.output
    assert terminal.output.index(b"\x1b]11;?") < terminal.output.index(b"\x1b[?1049h")
    terminal.leave()


def test_answers_that_come_too_late_change_nothing(new_terminal: Callable[..., Terminal]) -> None:
    """Nor do any that nobody asked for; the app goes on as the name of the terminal says. The window's name is fit for a window."""
    terminal = new_terminal("Once \x1b]0;other\x07 upon a time", color="", env=LOCAL).shown()
    assert re.findall(rb"\x1b\]0;[^\x07]*\x07", terminal.output) == [
        "\x1b]0;txexplain storyteller: Once ␛]0;other␇ upon a time\x07".encode()
    ]
    shown = terminal.text()
    for answer in (TRUE, WHITE, KIND, b"\x1bP>|XTerm(379)\x1b\\", b"\x1b_Gi=31;OK\x1b\\", b"\x1b[?2026;9$y", b"\x1b[0n", b"\xff"):
        terminal.send(answer)
    terminal.send("]")
    terminal.until(lambda: "T 1.10" in terminal.text())
    terminal.send("[")
    terminal.until(lambda: "T 1.00" in terminal.text())
    terminal.shown()
    assert terminal.text() == shown
    assert b"48;2;" not in terminal.output
    terminal.leave()


def test_ctrl_c_while_it_waits_ends_it_with_the_terminal_as_it_was(new_terminal: Callable[..., Terminal]) -> None:
    """It isn't the system that ended it."""
    held = (
        "import threading\nfrom txexplain.ui.terminal.asking import Asking\nplain = Asking.begin\n"
        "def begin(self):\n    plain(self)\n    threading.Event().wait()\nAsking.begin = begin"
    )
    terminal = new_terminal("Once upon a time", color="", env=LOCAL, code=held)
    terminal.until(lambda: ASKED in terminal.output)
    terminal.send("\x03")
    terminal.until(terminal.ended)
    terminal.read(0)
    assert terminal.status == 130
    assert termios.tcgetattr(terminal.fd)[:4] == terminal.before[:4]
    assert b"ended by the system" not in terminal.output


def test_a_terminal_that_shows_pixels_is_sent_them_and_none_stays(new_terminal: Callable[..., Terminal]) -> None:
    """Kitty's protocol, without a flag: also at another size of the letters, of which the terminal is asked when its own is another."""
    answers = (b"\x1b_Gi=31;OK\x1b\\\x1b[6;18;9t" + WHITE + KIND,)
    terminal = new_terminal("Once upon a time", env=LOCAL, answers=answers, code=PATIENT)
    terminal.until(lambda: b"\x1b_Ga=T" in terminal.output)
    terminal.shown()
    size = terminal.screen.columns, terminal.screen.lines
    images = PixelScreen(size, (9, 18))
    images.feed(terminal.output.decode())
    assert images.above
    terminal.output = b""
    terminal.send("?")
    terminal.until(lambda: b"a=d,d=I" in terminal.output)
    terminal.send("\x1b")
    terminal.until(lambda: b"\x1b_Ga=T" in terminal.output)
    terminal.output = b""
    terminal.resize(size[0] - 10, size[1])
    terminal.until(lambda: b"\x1b[16t" in terminal.output)
    terminal.shown()
    terminal.output = b""
    terminal.send(b"\x1b[6;36;18t")
    terminal.until(lambda: b"\x1b_Ga=T" in terminal.output)
    images = PixelScreen(size, (18, 36))
    terminal.shown()
    images.feed(terminal.output.decode())  # each image has as many pixels as its cells
    assert images.above
    terminal.send("q")
    terminal.until(terminal.ended)
    terminal.until(terminal.is_restored)
    images.feed(terminal.output.decode().split("\x1b[2J")[0])
    assert not images.above
