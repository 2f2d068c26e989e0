"""The app in a real terminal multiplexer: what stands on the screen is what `predict` says, and keys alone reach every level."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pexpect
import pyte
import pytest

pytestmark = [pytest.mark.long, pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux isn't installed here")]

PROMPT = "Once upon a time there was a"
PATIENCE = 40.0  # seconds until a screen that never comes fails its test


class Terminal:
    """A tmux session of its own, with a shell that the app runs in."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        self.socket = str(folder / "tmux")
        self("-f", "/dev/null", "new-session", "-d", "-x", str(width), "-y", str(height), f"env PS1='ready$ ' XDG_STATE_HOME='{folder}' sh")

    def __call__(self, *words: str) -> str:
        command = ["tmux", "-S", self.socket, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "TMUX": ""}).stdout

    def screen(self) -> str:
        return self("capture-pane", "-p")

    def until(self, seen: Callable[[str], object], what: str) -> str:
        """The first screen of which something is true."""
        end = time.monotonic() + PATIENCE
        while not seen(screen := self.screen()):
            assert time.monotonic() < end, f"never on screen: {what}\n{screen}"
        return screen

    def keys(self, *keys: str) -> None:
        self("send-keys", *keys)


@pytest.fixture(params=[(80, 24), (120, 36)], ids=["80x24", "120x36"])
def terminal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, *request.param)
    yield terminal
    terminal("kill-server")


def start(terminal: Terminal, *arguments: str) -> str:
    command = " ".join(f"'{word}'" for word in (sys.executable, "-m", "txexplain", *arguments, PROMPT))
    terminal("send-keys", "-l", command)
    terminal.keys("Enter")
    return terminal.until(lambda s: len(percentages(s)) >= 3 and " ms" in s, "the first result")


def percentages(screen: str) -> dict[str, str]:
    """The candidates' tokens and figures in the next-token panel."""
    rows = re.findall(r"(?:^|│)\s+([a-z]+)\s+[█▏▎▍▌▋▊▉]+\s+(\S+%)", screen, re.MULTILINE)
    return dict(rows)


def predicted(*arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", "txexplain", "predict", PROMPT, "--json", *arguments], check=True, capture_output=True)
    return {row["text"].strip(): row["probability"] for row in json.loads(done.stdout)["next"]}


def test_the_screen_shows_what_predict_says_and_follows_the_temperature(terminal: Terminal) -> None:
    shown, want = percentages(start(terminal)), predicted()
    assert len(shown) >= 3
    for token, figure in list(shown.items())[:4]:
        assert float(figure[:-1]) == pytest.approx(100 * want[token], rel=6e-3)
    terminal.keys("]", "]")
    screen = terminal.until(lambda s: "T 1.20" in s, "temperature 1.2")
    hot = predicted("--temperature", "1.2")
    for token, figure in list(percentages(screen).items())[:4]:
        assert float(figure[:-1]) == pytest.approx(100 * hot[token], rel=6e-3)


def test_keys_alone_reach_every_level_and_come_back(terminal: Terminal) -> None:
    start(terminal, "--at", "model[L3]")
    for place in ("L3 ", "L3.attn ", "L3H0 ", "L3H0[6,6] "):
        terminal.keys("Enter")
        terminal.until(lambda s, place=place: place in s.splitlines()[0], place)
    terminal.keys("Left", "Left")
    terminal.until(lambda s: "L3H0[6,4]" in s.splitlines()[0], "another product")
    for place in ("L3H0 ", "L3.attn ", "L3 ", "model "):
        terminal.keys("Escape")
        terminal.until(lambda s, place=place: f" {place}" in s.splitlines()[0] and "›" not in s.splitlines()[0].split(place)[1], place)
    terminal.keys("a")
    terminal.until(lambda s: "heads" in s.splitlines()[0].split("›")[-1], "the atlas")
    terminal.keys("Escape", "Right", "Right", "Right", "Right")
    terminal.keys("Enter")
    terminal.until(lambda s: "output" in s.splitlines()[0] or "final" in s.splitlines()[0], "the model's end")


def test_leaving_gives_the_shell_its_screen_back(terminal: Terminal) -> None:
    start(terminal)
    terminal.keys("q")
    screen = terminal.until(lambda s: s.rstrip().endswith("ready$"), "the prompt of the shell")
    assert "Next token" not in screen
    terminal("send-keys", "-l", "echo st''ill here")
    terminal.keys("Enter")
    terminal.until(lambda s: "still here" in s, "an echo")


def test_a_first_place_that_is_not_there_is_an_error_of_the_command_line(terminal: Terminal) -> None:
    command = f"'{sys.executable}' -m txexplain --at L9 '{PROMPT}'; echo code $?"
    terminal("send-keys", "-l", command)
    terminal.keys("Enter")
    screen = terminal.until(lambda s: re.search(r"^code \d", s, re.MULTILINE), "the exit code")
    assert "code 2" in screen
    assert "has blocks L0 to L5" in " ".join(screen.split())


TALK = Path(__file__).with_name("talk.md")


def test_a_lecture_of_ten_pages_plays_itself_to_its_end_without_the_mouse(terminal: Terminal) -> None:
    terminal("send-keys", "-l", f"'{sys.executable}' -m txexplain --lesson '{TALK}' --lecture --pace 0.02")
    terminal.keys("Enter")
    screen = terminal.until(lambda s: "That was the talk, at T 0.6." in s, "the last page after its key")
    assert "T 0.60" in screen
    assert screen.rstrip().splitlines()[-1].endswith(" u n ]")  # the keys pressed last
    assert "10/10" not in screen
    assert terminal("display-message", "-p", "#{mouse_any_flag}").strip() == "0"
    terminal.keys("p")
    terminal.until(lambda s: "About draw." in s, "the lecturer's own key")


def test_a_lesson_by_keys_alone(terminal: Terminal) -> None:
    start(terminal)
    terminal.keys("t")
    terminal.until(lambda s: "Attention in depth" in s, "the list of lessons")
    terminal.keys("Enter")
    terminal.until(lambda s: "1/11" in s and "50,257" in s, "the first page")
    terminal.keys("n", "n")
    terminal.until(lambda s: "How many tokens?" in s and "3/11" in s, "the third page")
    terminal.keys("2")
    terminal.until(lambda s: "✓2" in s, "the answer")
    terminal.keys("t", "t")
    terminal.until(lambda s: "3/11" not in s, "the screen without the lesson")
    assert terminal("display-message", "-p", "#{mouse_any_flag}").strip() == "1"
    terminal.keys("t", "Enter")
    terminal.until(lambda s: "✓2" in s and "3/11" in s, "the same page")


def test_detached_and_attached_again_the_screen_is_whole(terminal: Terminal) -> None:
    """A client comes, goes, and comes back in another size to what has changed meanwhile."""
    start(terminal)
    for columns, rows, temperature in ((80, 25, "T 1.00"), (120, 37, "T 1.10")):
        client = pexpect.spawn(
            "tmux", ["-S", terminal.socket, "attach"], dimensions=(rows, columns), env={**os.environ, "TMUX": "", "TERM": "xterm-256color"}
        )
        screen = pyte.Screen(columns, rows)
        stream = pyte.ByteStream(screen)
        end = time.monotonic() + PATIENCE
        while True:
            with suppress(pexpect.TIMEOUT):
                stream.feed(client.read_nonblocking(65536, 0.2))
            shown = "\n".join(screen.display[: rows - 1])  # the last row is tmux's own
            if temperature in shown and len(percentages(shown)) >= 3 and shown.split() == terminal.screen().split():
                break
            assert time.monotonic() < end, shown
        client.send("\x02d")
        client.expect(pexpect.EOF)
        terminal.keys("]")
    terminal.until(lambda s: "T 1.20" in s, "a key while nobody is attached")
