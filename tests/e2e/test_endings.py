"""However the app ends, the terminal is as it was: signals, errors of its own, sudden death, a stop and its return."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import sys
import termios
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.covering import few
from tests.e2e.terminal import OFF, PATIENCE, Terminal
from tests.vt import harmful
from txexplain.cli import app
from txexplain.engine.tokenizer import Tokenizer
from txexplain.models import weights_dir
from txexplain.text import clean
from txexplain.ui.terminal.rescue import RESET, crash_report

TERMS = [("xterm-256color", 256), ("xterm", 256), ("screen-256color", 256), ("tmux-256color", 256), ("linux", 16), ("vt100", 16)]


@pytest.mark.parametrize(("term", "colours"), few(TERMS, lambda term, _: term in ("xterm-256color", "linux")))
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


@pytest.mark.parametrize(
    ("term", "colour"),
    few(product(["xterm", "xterm-256color", "alacritty"], ["truecolor", "256", "16"]), lambda *case: case == ("xterm", "truecolor")),
)
def test_the_colours_that_are_asked_for_are_sent(terminals: Callable[..., Terminal], term: str, colour: str) -> None:
    """Whatever the terminal is called: over SSH nobody tells that it has 24-bit colours."""
    terminal = terminals("Once upon a time", "--color", colour, term=term, color="")
    os.write(terminal.fd, b"]\r")
    terminal.until(lambda: "T 1.10" in terminal.text() and "L0 · block" in terminal.text())
    assert (b"38;2;" in terminal.output, b"48;2;" in terminal.output) == (colour == "truecolor", colour == "truecolor")
    assert (b"38;5;" in terminal.output or b"48;5;" in terminal.output) == (colour == "256")


@pytest.mark.parametrize(
    ("number", "code"),
    few(
        [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGQUIT, 131), (signal.SIGINT, 0)],
        lambda number, _: number in (signal.SIGTERM, signal.SIGINT),
    ),
)
def test_a_signal_ends_it_in_order(terminals: Callable[..., Terminal], number: int, code: int) -> None:
    terminal = terminals("Once upon a time")
    os.kill(terminal.pid, number)
    terminal.until(terminal.ended)
    terminal.until(terminal.is_restored)
    assert terminal.status == code
    assert b"Traceback" not in terminal.output
    assert b"was ended by the system" not in terminal.output


ORDERLY = """
import os, time
import txexplain.ui.terminal.rescue as rescue
def late(number):
    time.sleep(20)
    os._exit(99)
rescue.last_resort = late
"""


@pytest.mark.long
def test_a_line_that_is_cut_ends_it_in_order(terminals: Callable[..., Terminal]) -> None:
    """Nobody is there to read what is still written, and nobody waits for that: nothing has to end it by force."""
    terminal = terminals("Once upon a time", code=ORDERLY)
    terminal.send("g")
    terminal.until(lambda: "stop" in terminal.text() or "pause" in terminal.text() or terminal.output.count(b"T 1.00") > 1)
    os.close(terminal.fd)
    _, status = os.waitpid(terminal.pid, 0)
    terminal.status = os.waitstatus_to_exitcode(status)
    terminal.fd = os.open(os.devnull, os.O_RDWR)
    assert terminal.status == 129


def test_a_signal_while_the_model_computes(terminals: Callable[..., Terminal]) -> None:
    """The pass is held for ever; the end comes all the same."""
    held = (
        "import threading\nfrom txexplain.engine.model import GPT2\nplain, n = GPT2.stoppable_forward, []\n"
        "def forward(self, ids, **options):\n    n.append(1)\n    threading.Event().wait() if len(n) > 1 else None\n"
        "    return plain(self, ids, **options)\nGPT2.stoppable_forward = forward"
    )
    terminal = terminals("Once upon a time", code=held)
    os.write(terminal.fd, b" ")
    terminal.until(lambda: "computing" in terminal.text())
    os.kill(terminal.pid, signal.SIGTERM)
    terminal.until(terminal.ended)
    terminal.until(terminal.is_restored)
    assert terminal.status == 143


STUCK = """
import itertools
import txexplain.ui.app as app
import txexplain.ui.terminal.rescue as rescue
rescue.PATIENCE = 0.3
def loop(*_):
    while True: pass
def library(*_):
    sum(itertools.repeat(0))
app.ExplorerApp.perform = """


@pytest.mark.parametrize(
    ("where", "how", "status"),
    few(
        [
            ("loop", signal.SIGTERM, 143),
            ("loop", signal.SIGHUP, 129),
            ("loop", "q", 1),
            ("loop", "\x03", 1),
            ("library", signal.SIGTERM, -signal.SIGKILL),  # no line of Python runs any more, in no thread
        ],
        lambda where, how, _: where == "library" or how == "q",
    ),
)
def test_a_loop_that_is_stuck_ends_all_the_same(terminals: Callable[..., Terminal], where: str, how: int | str, status: int) -> None:
    terminal = terminals("Once upon a time", code=STUCK + where)
    before = ticks(terminal.pid)
    terminal.send("a")
    terminal.until(lambda: ticks(terminal.pid) > before + 30)  # it computes, and nothing else
    if isinstance(how, str):
        terminal.send(how)
    else:
        os.kill(terminal.pid, how)
    terminal.until(terminal.ended)
    terminal.until(lambda: RESET.encode() in terminal.output and b"didn't answer, and was ended" in terminal.output)
    assert terminal.is_restored()
    assert terminal.status == status
    assert b"Traceback" not in terminal.output


def ticks(pid: int) -> int:
    """Processor time of a process's main thread, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/task/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.long
def test_a_letter_that_is_typed_ends_nothing(terminals: Callable[..., Terminal]) -> None:
    terminal = terminals("Once upon a time")
    terminal.send("/ q")
    terminal.until(lambda: "time q" in terminal.text())
    terminal.send("\x1b")
    terminal.shown().leave()


def test_after_sudden_death_the_guardian_restores_the_terminal(terminals: Callable[..., Terminal]) -> None:
    terminal = terminals("Once upon a time")
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.until(terminal.ended)
    assert terminal.status == -signal.SIGKILL
    terminal.until(lambda: RESET.encode() in terminal.output and b"was ended by the system" in terminal.output)
    assert terminal.is_restored()


@pytest.mark.long
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
    "key": ("app.ExplorerApp.perform = broken", "a"),
    "draw": ("plain, n = app.paint_pane, []\napp.paint_pane = lambda *a: plain(*a) if str(a[1].location) == 'L3' else broken(0)", "a"),
    "worker": (
        "plain, n = GPT2.stoppable_forward, []\n"
        "GPT2.stoppable_forward = lambda *a, **o: n.append(1) or (plain if len(n) < 2 else broken)(*a, **o)", " ",
    ),
    "timer": (
        "plain = app.ExplorerApp.happen\n"
        "app.ExplorerApp.happen = lambda self, told: (broken if type(told).__name__ == 'Rang' else plain)(self, told)", "g",
    ),
    "page": ("import txexplain.ui.help as help\nhelp.HelpScreen.compose = broken", "?"),
    "start": ("app.ExplorerApp.compose = broken", ""),
    "mount": ("app.ExplorerApp.place = broken", ""),
}  # fmt: skip


@pytest.mark.parametrize("place", few(PLACES, lambda place: place in ("worker", "start")))
def test_an_error_of_its_own_is_three_lines_and_a_log(new_terminal: Callable[..., Terminal], tmp_path: Path, place: str) -> None:
    """The command line can be copied and leads back to the view; the log is its reader's own."""
    code, key = PLACES[place]
    prompt = "Once upon a time 'there' \x1b[31m was " + "a long way " * 12
    terminal = new_terminal(prompt, "--at", "L3", "--temperature", "0.7", "--top-k", "9", code=BREAK + code)
    if key:
        terminal.shown().send(key)
    terminal.until(terminal.ended)
    terminal.until(terminal.is_restored)
    assert terminal.status == 1
    (log,) = (tmp_path / "txexplain").iterdir()
    terminal.until(lambda: log.name.encode() in terminal.output)
    said = terminal.output[terminal.output.rindex(b"\x1b[?1049l") :].decode()
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)", "", line) for line in said.strip().splitlines()]
    lines = [line for line in lines if line]
    assert len(lines) == 3, lines
    assert lines[0] == "txexplain stopped over an error of its own: ZeroDivisionError: [red]over[/] ␛[31m nothing."
    assert lines[2] == f"Details: {log}"
    assert "Traceback" in log.read_text()
    assert not harmful(log.read_text())
    assert (log.stat().st_mode & 0o777, log.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    command = shlex.split(lines[1].removeprefix("The same view: "))
    assert command[0] == "txexplain"
    with app.make_context("txexplain", command[1:]) as context:
        given = {param.name: context.params[param.name] for param in app.params if param.name in context.params}
    assert (given["at"], given["temperature"], given["top_k"]) == ("heads[3.0]" if place == "draw" else "L3", 0.7, 9)
    if given["ids"]:
        assert Tokenizer.gpt2().decode(given["ids"]).startswith(prompt)
    else:
        assert given["prompt_text"] == clean(prompt)


@pytest.mark.parametrize("command", few(["--file", "predict --file", "predict --prompts"], lambda words: words != "predict --file"))
def test_what_a_pipe_is_waited_for_is_said_and_ctrl_c_ends_it(new_terminal: Callable[..., Terminal], tmp_path: Path, command: str) -> None:
    """A pipe may be meant, and may never end."""
    os.mkfifo(tmp_path / "pipe")
    terminal = new_terminal(*command.split(), str(tmp_path / "pipe"), code="from txexplain.cli import streams\nstreams.PATIENCE = 0")
    terminal.until(lambda: b"reading the prompt from" in terminal.output and b"ctrl+c gives up." in terminal.output)
    assert not terminal.ended()
    terminal.send("\x03")
    terminal.until(terminal.ended)
    assert terminal.status == 130
    assert b"Traceback" not in terminal.output


def test_the_last_words_of_a_long_view_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    said = crash_report(ValueError("x" * 10_000), "txexplain --prompt " + "long " * 100_000)
    assert len(said) < 1000
    (log,) = (tmp_path / "txexplain").iterdir()
    assert "long " * 100_000 in log.read_text() + " "
    monkeypatch.setenv("XDG_STATE_HOME", "/proc")
    assert "Details can't be kept in /proc/txexplain: " in crash_report(ValueError("x"), "txexplain")


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


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash isn't installed here")
@pytest.mark.parametrize("within", few(["the shell", "a script"], lambda within: within == "a script"))
def test_ctrl_z_and_fg_in_a_shell(new_terminal: Callable[..., Terminal], within: str) -> None:
    """The key gives the shell its terminal; bg can't paint over it; fg brings the app back, whole, and once more."""
    terminal = new_terminal("--norc", "--noprofile", "-i", program=["bash"], env={"PS1": "ready$ ", "COLORTERM": ""})
    terminal.until(lambda: "ready$" in terminal.text())
    terminal.send("stty -g\r")
    terminal.until(lambda: re.search(rb"[\r\n]([0-9a-f:]{30,})\r", terminal.output) and terminal.output.endswith(b"ready$ "))
    (before,) = re.findall(rb"[\r\n]([0-9a-f:]{30,})\r", terminal.output)
    command = f"'{sys.executable}' -m txexplain 'Once upon a time'"
    terminal.send((command if within == "the shell" else f'sh -c "{command}; true"') + "\r")
    terminal.shown()
    terminal.send("]")
    terminal.until(lambda: "T 1.10" in terminal.text())
    for turn in range(2):
        start = len(terminal.output)
        terminal.send("\x1a")
        terminal.until(lambda start=start: b"Stopped" in terminal.output[start:] and terminal.output.endswith(b"ready$ "))
        assert all(sign in terminal.output[start:] for sign in OFF)
        assert b"\x1b[?1049l" not in terminal.output[terminal.output.index(b"Stopped", start) :]
        terminal.send("stty -g\r")
        terminal.until(lambda start=start: before + b"\r" in terminal.output[start:] and terminal.output.endswith(b"ready$ "))
        if turn:
            terminal.send("bg\r")
            terminal.until(lambda: terminal.output.endswith(b"ready$ "))
            while terminal.output[start:].count(b"Stopped") < 2:  # it goes to sleep again, once it has seen where it is
                asked = len(terminal.output)
                terminal.send("jobs\r")
                terminal.until(lambda asked=asked: b"txexplain" in terminal.output[asked:] and terminal.output.endswith(b"ready$ "))
        terminal.screen.reset()
        terminal.send("fg\r")
        terminal.until(lambda start=start: b"\x1b[?1049h" in terminal.output[start:] and "T 1.10" in terminal.text())
        terminal.shown()
    terminal.send("q")
    terminal.until(lambda: terminal.output.endswith(b"ready$ "))
    terminal.send("echo code $?\r")
    terminal.until(lambda: b"\rcode 0\r" in terminal.output)


@pytest.mark.long
def test_ctrl_z_without_a_shell_says_so(terminals: Callable[..., Terminal]) -> None:
    """As under ssh -t host txexplain: nobody could bring it back."""
    terminal = terminals("Once upon a time")
    terminal.send("\x1a")
    terminal.until(lambda: "No shell waits here" in terminal.text())
    terminal.leave()


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
