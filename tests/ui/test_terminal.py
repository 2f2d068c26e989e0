"""A terminal is asked only what nobody has settled; what it answers, when and whether, never costs a key. Here the test is the terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import threading
from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from textual.drivers.headless_driver import HeadlessDriver

from txexplain.front.options import UiOptions
from txexplain.ui.terminal import asking
from txexplain.ui.terminal.asking import ASK_CELL, ASK_DEPTH, ASK_GROUND, ASK_KIND, ASK_KITTY, Asking, ground_of, questions

WHITE, DARK = b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\", b"\x1b]11;rgb:1e1e/1e1e/2e2e\x07"
TRUE, INDEXED, REFUSED = b"\x1bP1$r48:2::1:2:3m\x1b\\", b"\x1bP1$r48:5:16m\x1b\\", b"\x1bP0$r\x1b\\"
KIND = b"\x1b[?64;1;2c"
XTERM = {"TERM": "xterm-256color"}
PIXELS = ASK_CELL + ASK_KITTY


@pytest.mark.parametrize(
    ("environ", "options", "asked"),
    [
        (XTERM, UiOptions(), ASK_DEPTH + ASK_GROUND + PIXELS + ASK_KIND),
        (XTERM, UiOptions(theme="auto"), ASK_DEPTH + ASK_GROUND + PIXELS + ASK_KIND),
        (XTERM, UiOptions(theme="dark"), ASK_DEPTH + PIXELS + ASK_KIND),
        (XTERM, UiOptions(theme="dark", picture="glyphs"), ASK_DEPTH + ASK_KIND),
        (XTERM, UiOptions(theme="dark", picture="sixel"), ASK_DEPTH + ASK_CELL + ASK_KIND),
        (XTERM, UiOptions(theme="dark", ascii=True), ASK_DEPTH + ASK_KIND),
        (XTERM | {"SSH_TTY": "/dev/pts/1"}, UiOptions(theme="dark"), ASK_DEPTH + ASK_KIND),
        (XTERM | {"SSH_TTY": "/dev/pts/1"}, UiOptions(theme="dark", picture="kitty"), ASK_DEPTH + PIXELS + ASK_KIND),
        (XTERM, UiOptions(color="256"), ASK_GROUND + ASK_KIND),
        (XTERM, UiOptions(color="256", theme="light"), ""),
        (XTERM | {"COLORTERM": "truecolor"}, UiOptions(), ASK_GROUND + PIXELS + ASK_KIND),
        (XTERM | {"COLORTERM": "truecolor"}, UiOptions(theme="dark"), PIXELS + ASK_KIND),
        (XTERM | {"COLORTERM": "truecolor"}, UiOptions(theme="dark", picture="glyphs"), ""),
        (XTERM | {"NO_COLOR": "1"}, UiOptions(), ""),
        (XTERM, UiOptions(color="none"), ""),
        ({"TERM": "xterm-kitty"}, UiOptions(), ASK_GROUND + PIXELS + ASK_KIND),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/tmux"}, UiOptions(), ASK_GROUND + ASK_KIND),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/tmux"}, UiOptions(picture="sixel"), ASK_GROUND + ASK_CELL + ASK_KIND),
        (XTERM | {"STY": "1.pts"}, UiOptions(), ""),
        (XTERM | {"TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver"}, UiOptions(), ""),
        *(({"TERM": term}, UiOptions(picture=picture), "") for picture in (None, "kitty", "sixel")
          for term in ("screen", "screen-256color", "linux", "linux-16color", "vt100", "vt220", "dumb", "")),
        ({}, UiOptions(), ""),
    ],
)  # fmt: skip
def test_only_what_is_open_is_asked_and_only_where_that_does_no_harm(environ: Mapping[str, str], options: UiOptions, asked: str) -> None:
    assert questions(options, environ) == asked


@pytest.mark.parametrize(
    ("answer", "ground"),
    [
        (WHITE, (255, 255, 255)), (DARK, (30, 30, 46)), (b"\x1b]11;rgb:f/8/0\x07", (255, 136, 0)),
        (b"\x1b]11;rgba:ffff/0000/8080/ffff\x1b\\", (255, 0, 128)), (b"\x1b]11;rgb:ff/ff\x07", None), (b"", None),
        (b"\x1b]10;rgb:ffff/ffff/ffff\x07", None), (b"\x1b]11;?\x07", None),
    ],
)  # fmt: skip
def test_a_ground_is_read(answer: bytes, ground: tuple[int, int, int] | None) -> None:
    assert ground_of(answer) == ground


@pytest.fixture
def line() -> Iterator[tuple[int, int]]:
    """A terminal's two ends: the test's, and the app's."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def waiting(fd: int) -> int:
    """How many bytes can be read."""
    return int(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"    "))[0])


def answered(line: tuple[int, int], *pieces: bytes, seconds: float = 30.0) -> tuple[UiOptions, str]:
    """What the app knows once a terminal has sent these pieces, and what is left for its keyboard."""
    ours, theirs = line
    before = termios.tcgetattr(theirs)
    asking = Asking(ASK_DEPTH + ASK_GROUND + ASK_KIND, seconds, theirs, theirs)
    try:
        asking.begin()
        assert os.read(ours, 1000).decode() == ASK_DEPTH + ASK_GROUND + ASK_KIND
        sent = threading.Thread(target=lambda: [os.write(ours, piece) for piece in pieces])
        sent.start()
        while not seconds and waiting(theirs) < len(b"".join(pieces)):  # all of it is there before the time is up
            sent.join(0.01)
        told = asking.told(UiOptions())
        sent.join()
    finally:
        asking.close()
    assert termios.tcgetattr(theirs) == before
    return told, asking.take()


@pytest.mark.parametrize(
    ("answers", "depth", "ground"),
    [
        (TRUE + WHITE, "truecolor", (255, 255, 255)), (b"\x1bP1$r0;48:2:1:2:3m\x1b\\" + DARK, "truecolor", (30, 30, 46)),
        (b"\x1bP1$r48;2;1;2;3m\x1b\\", "truecolor", None), (REFUSED + WHITE, None, (255, 255, 255)), (INDEXED + DARK, None, (30, 30, 46)),
        (b"", None, None), (b"\x1b_what\x1b\\$qm\x00\xff\x1b[12;5R\x1b]11;rgb:zz/", None, None),
    ],
)  # fmt: skip
def test_answers_at_once_and_byte_by_byte(
    line: tuple[int, int], answers: bytes, depth: str | None, ground: tuple[int, int, int] | None
) -> None:
    """Keys typed meanwhile are left for the app, with what its keyboard drops."""
    for stream in (b"]" + answers + b"\x1b[A" + KIND, answers + b"]\r" + KIND):
        for pieces in ((stream,), tuple(bytes([byte]) for byte in stream)):
            told, left = answered(line, *pieces)
            assert (told.answered, told.ground) == (depth, ground)
            assert left == stream.decode(errors="replace")


def test_without_an_answer_the_time_is_up_and_what_was_typed_is_there(line: tuple[int, int]) -> None:
    assert answered(line, seconds=0.0) == (UiOptions(), "")
    assert answered(line, b"]\r", seconds=0.0) == (UiOptions(), "]\r")
    assert answered(line, TRUE, WHITE[:9], seconds=0.0) == (UiOptions(answered="truecolor"), (TRUE + WHITE[:9]).decode())


def test_it_is_asked_only_on_a_terminal_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written where keys come from a pipe, where the picture goes into one, nor in the background."""

    def no(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(asking, "Asking", no)
    monkeypatch.setenv("TERM", "xterm-256color")
    for keyboard, screen in product((True, False), repeat=2):
        monkeypatch.setattr(os, "isatty", lambda fd, found=(keyboard, screen): found[0] if fd == 0 else found[1])
        monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp() + 1)
        assert asking.asking_of(UiOptions()) is None


class Screen(HeadlessDriver):
    """A driver that keeps what is written."""

    def __init__(self) -> None:
        self.written = ""

    def write(self, data: str) -> None:
        self.written += data


@pytest.mark.parametrize("term", ["xterm", "linux", "screen"])
def test_the_window_has_a_name_while_the_app_has_it(monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    """And the screen is empty when it is left."""
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("TMUX", raising=False)
    named = term == "xterm"
    driver = asking.courteous(Screen)()  # type: ignore[call-arg]
    driver.write("\x1b[?1049h")
    for text in ("one", "one", "x" * 100):
        driver.entitle(text)  # type: ignore[attr-defined]
    driver.write("\x1b[?1049l")
    driver.write("\x1b[?1049h")  # fg after ctrl+z
    keep, back = ("\x1b[22;0t", "\x1b[23;0t") if named else ("", "")
    one, long = ("\x1b]0;one\x07", f"\x1b]0;{'x' * 59}…\x07") if named else ("", "")
    left = "\x1b[0m\x1b[2J\x1b[H\x1b[?1049l"
    assert driver.written == f"{keep}\x1b[?1049h{one}{long}{left}{back}{keep}{long}\x1b[?1049h"  # type: ignore[attr-defined]
