"""However the app ends, the terminal is as it was: signals, errors of its own, sudden death, a stop and its return."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyte
import pytest
from safetensors.numpy import load_file, save_file

from txexplain.models import weights_dir
from txexplain.ui.rescue import RESET

PATIENCE = 40.0
SIZE = (80, 24)
OFF = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?1006l", b"\x1b[?2004l", b"\x1b[<u")


class Terminal:
    """The app on a terminal of its own, read until something is so."""

    def __init__(self, home: Path, *arguments: str, code: str = "", term: str = "xterm-256color", color: str = "truecolor") -> None:
        program = ["-c", f"{code}\nfrom txexplain.cli import main\nmain()"] if code else ["-m", "txexplain"]
        env = os.environ | {"TERM": term, "COLORTERM": color, "XDG_STATE_HOME": str(home), "TEXTUAL_ANIMATIONS": "none"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job would pass on that it is ignored
            os.execvpe(sys.executable, [sys.executable, *program, *arguments], env)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        self.before = termios.tcgetattr(self.fd)
        self.output = b""
        self.screen = pyte.Screen(*SIZE)
        self.stream = pyte.ByteStream(self.screen)
        self.status: int | None = None
        self.until(lambda: "⏎ zoom" in self.text() and "bits" in self.text())
        while self.read(0.3):  # the last of the first screen
            pass

    def text(self) -> str:
        """What stands on the screen; a half block may be drawn as its other half turned over, so it counts as blank."""
        return "\n".join(self.screen.display).replace("▄", " ").replace("▀", " ")

    def read(self, seconds: float) -> bool:
        """Take what comes within a time; whether anything did."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # nobody holds the other end any more
            return False
        self.output += data
        # pyte knows neither synchronised output nor the kitty keyboard.
        self.stream.feed(data.replace(b"\x1b[<u", b"").replace(b"\x1b[>1u", b"").replace(b"\x1b[?2026$p", b""))
        return bool(data)

    def until(self, so: Callable[[], Any]) -> None:
        end = time.monotonic() + PATIENCE
        while not so():
            assert time.monotonic() < end, self.text()
            self.read(0.05)

    def ended(self) -> bool:
        if self.status is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if done else None
        return self.status is not None

    def is_restored(self) -> bool:
        """Whether the line discipline and all modes are as before the app."""
        return termios.tcgetattr(self.fd)[:4] == self.before[:4] and all(sign in self.output for sign in OFF)

    def close(self) -> None:
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def start(*arguments: str, **more: str) -> Terminal:
        made.append(Terminal(tmp_path, *arguments, **more))
        return made[-1]

    yield start
    for terminal in made:
        terminal.close()


TERMS = [("xterm-256color", 256), ("xterm", 16), ("screen-256color", 256), ("tmux-256color", 256), ("linux", 16), ("vt100", 16)]


@pytest.mark.parametrize(("term", "colours"), TERMS)
def test_every_terminal_gets_its_own_colours_and_back_its_modes(terminals: Callable[..., Terminal], term: str, colours: int) -> None:
    """Without COLORTERM, as over SSH: no 24-bit colour, and 256 only where the name promises them."""
    terminal = terminals("Once upon a time", term=term, color="")
    os.write(terminal.fd, b"]\r")
    terminal.until(lambda: "T 1.10" in terminal.text() and "L0 · block" in terminal.text())
    assert b"38;2;" not in terminal.output
    assert b"48;2;" not in terminal.output
    assert (b"38;5;" in terminal.output) == (colours == 256)
    os.write(terminal.fd, b"q")
    terminal.until(terminal.ended)
    terminal.until(terminal.is_restored)
    assert terminal.status == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131), (signal.SIGINT, 0)])
def test_a_signal_ends_it_in_order(terminals: Callable[..., Terminal], number: int, code: int) -> None:
    terminal = terminals("Once upon a time")
    os.kill(terminal.pid, number)
    terminal.until(terminal.ended)
    terminal.until(terminal.is_restored)
    assert terminal.status == code
    assert b"Traceback" not in terminal.output
    assert b"was ended by the system" not in terminal.output


def test_a_signal_while_the_model_computes(terminals: Callable[..., Terminal]) -> None:
    """The pass is held for ever; the end comes all the same."""
    held = (
        "import threading\nfrom txexplain.engine.model import GPT2\nplain, n = GPT2.forward, []\n"
        "def forward(self, ids, **options):\n    n.append(1)\n    threading.Event().wait() if len(n) > 1 else None\n"
        "    return plain(self, ids, **options)\nGPT2.forward = forward"
    )
    terminal = terminals("Once upon a time", code=held)
    os.write(terminal.fd, b" ")
    terminal.until(lambda: "computing" in terminal.text())
    os.kill(terminal.pid, signal.SIGTERM)
    terminal.until(terminal.ended)
    terminal.until(terminal.is_restored)
    assert terminal.status == 143


def test_after_sudden_death_the_guardian_restores_the_terminal(terminals: Callable[..., Terminal]) -> None:
    terminal = terminals("Once upon a time")
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.until(terminal.ended)
    assert terminal.status == -signal.SIGKILL
    terminal.until(lambda: RESET.encode() in terminal.output and b"was ended by the system" in terminal.output)
    assert terminal.is_restored()


def test_a_checkpoint_cut_short_under_the_app_leaves_one_sentence(terminals: Callable[..., Terminal], tmp_path: Path) -> None:
    """SIGBUS, which no Python handler can answer."""
    folder = tmp_path / "model"
    folder.mkdir()
    source = weights_dir() / "storyteller"
    save_file(
        {name: tensor.astype(np.float32) for name, tensor in load_file(source / "model.safetensors").items()}, folder / "model.safetensors"
    )
    shutil.copy(source / "config.json", folder)
    terminal = terminals("--model", str(folder), "Once upon a time")
    os.truncate(folder / "model.safetensors", 4096)
    os.write(terminal.fd, b" ")
    terminal.until(terminal.ended)
    terminal.until(lambda: b"was ended by the system" in terminal.output)
    assert terminal.status == -signal.SIGBUS
    assert terminal.is_restored()
    assert terminal.output.count(b"was ended by the system") == 1


BREAK = """
import txexplain.ui.app as app
from txexplain.engine.model import GPT2
def broken(self, *rest, **more):
    raise ZeroDivisionError('[red]over[/] \\x1b[31m nothing')
"""
PLACES = {
    "action": "app.ExplorerApp.do_atlas = broken",
    "draw": "plain, n = app.draw_pane, []\napp.draw_pane = lambda *a: plain(*a) if str(a[1].location) == 'L3' else broken(0)",
    "worker": "plain, n = GPT2.forward, []\nGPT2.forward = lambda *a, **o: n.append(1) or (plain if len(n) < 2 else broken)(*a, **o)",
}


@pytest.mark.parametrize("place", PLACES)
def test_an_error_of_its_own_is_three_lines_and_a_log(terminals: Callable[..., Terminal], tmp_path: Path, place: str) -> None:
    code = BREAK + PLACES[place]
    terminal = terminals("Once upon a time", "--at", "L3", code=code)
    os.write(terminal.fd, b" " if place == "worker" else b"a")
    terminal.until(terminal.ended)
    terminal.until(terminal.is_restored)
    assert terminal.status == 1
    (log,) = (tmp_path / "txexplain").iterdir()
    terminal.until(lambda: log.name.encode() in terminal.output.replace(b"\r\n", b""))
    said = terminal.output[terminal.output.rindex(b"\x1b[?1049l") :].decode()
    assert "stopped over an error of its own: ZeroDivisionError: [red]over[/]" in said
    assert "The same view: txexplain" in said
    assert "--at" in said
    assert "Traceback" not in said
    assert "\x1b[31m" not in said
    assert "Traceback" in log.read_text()
    assert "\x1b" not in log.read_text()


def test_a_stop_and_its_return(terminals: Callable[..., Terminal]) -> None:
    """While it is stopped the terminal is the shell's; after that every cell is painted again."""
    terminal = terminals("Once upon a time")
    shown = terminal.text()
    start = len(terminal.output)
    os.kill(terminal.pid, signal.SIGTSTP)
    terminal.until(lambda: os.waitpid(terminal.pid, os.WNOHANG | os.WUNTRACED)[0])
    terminal.until(lambda: b"\x1b[?1049l" in terminal.output[start:])
    assert termios.tcgetattr(terminal.fd)[:4] == terminal.before[:4]
    terminal.screen.reset()
    start = len(terminal.output)
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.until(lambda: b"\x1b[?1049h" in terminal.output[start:] and terminal.text() == shown)
    os.write(terminal.fd, b"q")
    terminal.until(terminal.ended)
    terminal.until(terminal.is_restored)
    assert terminal.status == 0


def test_a_terminal_that_goes_away_leaves_no_process(terminals: Callable[..., Terminal], tmp_path: Path) -> None:
    """As an SSH connection that drops: app and guardian end."""
    mark = str(tmp_path / "gone")
    terminal = terminals("--prompt", mark)
    os.close(terminal.fd)
    end = time.monotonic() + PATIENCE

    def alive() -> list[str]:
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if (
                    entry.name.isdigit()
                    and mark.encode() in (entry / "cmdline").read_bytes()
                    and "Z" not in (entry / "stat").read_text().split(")")[1][:3]
                ):
                    found.append(entry.name)
            except OSError:
                continue
        return found

    while alive():
        assert time.monotonic() < end, alive()
        time.sleep(0.05)
    terminal.fd = os.open(os.devnull, os.O_RDONLY)
