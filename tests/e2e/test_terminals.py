"""Every size and setting of a terminal: what the app writes there is what that terminal can show."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable

import pytest

from tests.covering import few
from tests.e2e.terminal import Terminal

COLOUR = (b"\x1b[38;", b"\x1b[48;", b"38;5;", b"48;5;", b"38;2;", b"48;2;")
POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
UNKNOWN = {f"TEXTUAL_{name}": "no such" for name in ("COLOR_SYSTEM", "THEME", "FILTERS", "ANIMATIONS", "PRESS")}  # Textual's own wishes
BOTH = ({"NO_COLOR": "1", **POSIX}, ())
SETTINGS = [({"NO_COLOR": "1", **UNKNOWN}, ()), BOTH, (POSIX, ()), ({}, ("--ascii",))]
# The settings act apart from each other: all of them on one terminal, and one on all.
CASES = [("xterm-256color", "truecolor", *setting) for setting in SETTINGS]
CASES += [(term, color, *BOTH) for term in ("xterm-256color", "linux", "vt100") for color in ("", "truecolor")][:-1]
CASES.remove(("xterm-256color", "truecolor", *BOTH))  # which is one of the settings


@pytest.mark.parametrize(("term", "colorterm", "env", "flags"), few(CASES, lambda *case: case in CASES[:2]))
def test_a_terminal_is_sent_what_it_can_show(
    terminals: Callable[..., Terminal], term: str, colorterm: str, env: dict[str, str], flags: tuple[str, ...]
) -> None:
    """Without colours none is set; a locale without Unicode, and --ascii, get nothing but ASCII, whatever the prompt holds."""
    terminal = terminals("Once upon", *flags, term=term, color=colorterm, env=env)
    terminal.send("\r")
    terminal.until(lambda: "L0 . block" in terminal.text() or "L0 · block" in terminal.text())
    if "NO_COLOR" in env:
        assert not [sign for sign in COLOUR if sign in terminal.output]
    if "LC_ALL" in env or flags:
        assert terminal.output.isascii()
    terminal.leave()


@pytest.mark.parametrize("elsewhere", few(["2>/dev/null", "2>&-"], lambda elsewhere: elsewhere == "2>&-"))
def test_errors_that_go_elsewhere_don_t_take_the_picture_along(terminals: Callable[..., Terminal], elsewhere: str) -> None:
    """Textual draws on standard error."""
    program = ["sh", "-c", f'exec {sys.executable} -m txexplain "$@" {elsewhere}', "sh"]
    terminal = terminals("Once upon", program=program)
    terminal.send("\r")
    terminal.until(lambda: "L0 · block" in terminal.text())
    terminal.leave()


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_sizes_come_in_a_storm(terminals: Callable[..., Terminal], seed: int) -> None:
    """From 20×5 to 400×120, faster than the app can draw and with keys between: at the last size the screen is whole and keys act."""
    terminal = terminals("Once upon a time")
    chance = random.Random(seed)
    for _ in range(40):
        terminal.resize(chance.choice((20, 40, 60, 80, 120, 160, 400)), chance.choice((5, 10, 16, 24, 50, 120)))
        os.kill(terminal.pid, signal.SIGWINCH)
        terminal.send(chance.choice(("]", "\r", "a", "v", "i", "")))
        terminal.read(0.02)
    terminal.resize(20, 5)
    terminal.until(lambda: "60×16" in " ".join(terminal.text().split()))
    terminal.resize(400, 120)
    terminal.send("/\x15Two words\r")
    terminal.until(lambda: "lesson" in terminal.screen.display[-1] and "Two" in terminal.text() and " 2 tok" in terminal.text())
    terminal.send("0]")
    terminal.until(lambda: "T 1.10" in terminal.text())
    terminal.leave()
