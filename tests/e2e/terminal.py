"""The app on a terminal of its own, as the system gives it one: what it writes is read until something is so."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyte

PATIENCE = 40.0
SIZE = (80, 24)
OFF = (b"\x1b[0m\x1b[2J\x1b[H\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?1006l", b"\x1b[?2004l", b"\x1b[<u")
# What pyte takes for text.
UNKNOWN = (b"\x1b[<u", b"\x1b[>1u", b"\x1b[>25u", b"\x1b[?2026$p", b"\x1b[?2048$p", b"\x1b[48:2::1:2:3m", b"\x1bP$qm\x1b\\")
ASKED = b"\x1b[c"  # what kind of terminal this is


TURNED = str.maketrans("▄▀▜▟▙▛▐▞", "  ▖▘▝▗▌▚")


class Terminal:
    """One pseudo-terminal, the program on it, and what stands on its screen."""

    def __init__(
        self,
        home: Path,
        *arguments: str | bytes,
        code: str = "",
        term: str = "xterm-256color",
        color: str = "truecolor",
        size: tuple[int, int] = SIZE,
        env: Mapping[str, str | None] | None = None,
        program: Sequence[str] = (),
        answers: Sequence[bytes] = (),
    ) -> None:
        own = ["-c", f"{code}\nfrom txexplain.cli import main\nmain()"] if code else ["-m", "txexplain"]
        words = [*(program or [sys.executable, *own]), *arguments]
        given = os.environ | {"TERM": term, "COLORTERM": color, "XDG_STATE_HOME": str(home), "TEXTUAL_ANIMATIONS": "none"} | dict(env or {})
        settled = {key: value for key, value in given.items() if value is not None}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job would pass on that it is ignored
            os.execvpe(words[0], words, settled)
        self.output = b""
        self.answers = [*answers]  # what is sent once the program asks, a piece each
        self.resize(*size)
        self.before = termios.tcgetattr(self.fd)
        self.status: int | None = None

    def resize(self, width: int, height: int) -> None:
        """Another size, of which the program is told; the emulated screen begins anew."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.ByteStream(self.screen)

    def text(self) -> str:
        """What stands on the screen. A block may be drawn as what is left of it, ink and ground turned about: both count as one."""
        return "\n".join(self.screen.display).translate(TURNED)

    def send(self, keys: str | bytes) -> None:
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            data = data[os.write(self.fd, data[:1024]) :]
            if data:
                self.read(0)  # else both sides might wait for room

    def read(self, seconds: float) -> bool:
        """Take what comes within a time; whether anything did."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # nobody holds the other end any more
            return False
        self.output += data
        while self.answers and ASKED in self.output:
            os.write(self.fd, self.answers.pop(0))
        for sequence in UNKNOWN:
            data = data.replace(sequence, b"")
        self.stream.feed(data)
        return bool(data)

    def until(self, so: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE
        while not so():
            assert time.monotonic() < end, self.text()
            self.read(0.05)

    def shown(self) -> Terminal:
        """Once the app's first screen stands there whole."""
        self.until(lambda: any(sign in self.text() for sign in ("⏎ zoom", "enter zoom")) and "bits" in self.text())
        while self.read(0.3):  # the last of it
            pass
        return self

    def ended(self) -> bool:
        if self.status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if done else None
        return self.status is not None

    def is_restored(self) -> bool:
        """Whether the line discipline, all modes and the window's name are as before the app, and nothing of the picture stays."""
        named = self.output.count(b"\x1b[22;0t") > self.output.count(b"\x1b[23;0t")
        return not named and termios.tcgetattr(self.fd)[:4] == self.before[:4] and all(sign in self.output for sign in OFF)

    def leave(self) -> None:
        """q ends it, and leaves the terminal as it was."""
        self.send("q")
        self.until(self.ended)
        self.until(self.is_restored)
        assert self.status == 0

    def close(self) -> None:
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
