"""Every setting of a terminal: what the app writes there is what that terminal can show."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.terminal import Terminal

COLOUR = (b"\x1b[38;", b"\x1b[48;", b"38;5;", b"48;5;", b"38;2;", b"48;2;")
POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("term", ["xterm-256color", "linux", "vt100"])
@pytest.mark.parametrize("colorterm", ["", "truecolor"])
@pytest.mark.parametrize(("env", "flags"), [({"NO_COLOR": "1"}, ()), ({"NO_COLOR": "1", **POSIX}, ()), (POSIX, ()), ({}, ("--ascii",))])
def test_a_terminal_is_sent_what_it_can_show(
    terminals: Callable[..., Terminal], term: str, colorterm: str, env: dict[str, str], flags: tuple[str, ...]
) -> None:
    """Without colours none is set; a locale without Unicode, and --ascii, get nothing but ASCII, whatever the prompt holds."""
    if (term, colorterm) != ("xterm-256color", "truecolor") and (env, flags) != ({"NO_COLOR": "1", **POSIX}, ()):
        pytest.skip("the settings act apart from each other: all of them are tried on one terminal, one on all")
    terminal = terminals("Once upon", *flags, term=term, color=colorterm, env=env)
    terminal.send("\r")
    terminal.until(lambda: "L0 . block" in terminal.text() or "L0 · block" in terminal.text())
    if "NO_COLOR" in env:
        assert not [sign for sign in COLOUR if sign in terminal.output]
    if "LC_ALL" in env or flags:
        assert terminal.output.isascii()
    terminal.leave()
