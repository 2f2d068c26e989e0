"""The app where no terminal is: in a browser, as textual-serve starts it. The test is the server."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

from tests.covering import few
from tests.e2e.terminal import PATIENCE, UNKNOWN

SERVED = {
    "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver", "TEXTUAL_COLOR_SYSTEM": "truecolor", "COLUMNS": "100", "ROWS": "30",
    "TEXTUAL_ANIMATIONS": "none",
}  # fmt: skip


class Page:
    """What a browser would show of a program, and the way to press keys there."""

    def __init__(self, home: Path, *arguments: str) -> None:
        given = {key: value for key, value in os.environ.items() if key not in ("TERM", "COLORTERM", "NO_COLOR")}
        self.program = subprocess.Popen(
            [sys.executable, "-m", "txexplain", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=given | SERVED | {"XDG_STATE_HOME": str(home)}, start_new_session=True,
        )  # fmt: skip
        self.came, self.drawn, self.begun = b"", b"", False
        self.screen = pyte.Screen(100, 30)
        self.stream = pyte.ByteStream(self.screen)

    def packet(self, kind: bytes, payload: bytes) -> None:
        assert self.program.stdin is not None
        self.program.stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
        self.program.stdin.flush()

    def read(self) -> bool:
        """Take what comes; whether more may."""
        assert self.program.stdout is not None
        if not select.select([self.program.stdout], [], [], 0.05)[0]:
            return True
        data = os.read(self.program.stdout.fileno(), 65536)
        self.came += data
        if not self.begun and b"__GANGLION__\n" in self.came:
            self.begun = True
            self.came = self.came.partition(b"__GANGLION__\n")[2]
        while self.begun and len(self.came) >= 5 and len(self.came) >= 5 + (size := int.from_bytes(self.came[1:5], "big")):
            kind, payload, self.came = self.came[:1], self.came[5 : 5 + size], self.came[5 + size :]
            if kind == b"D":
                self.drawn += payload
                for sequence in UNKNOWN:
                    payload = payload.replace(sequence, b"")
                self.stream.feed(payload)
        return bool(data)

    def until(self, so: Callable[[str], bool]) -> str:
        end = time.monotonic() + PATIENCE
        while not so(text := "\n".join(self.screen.display)):
            assert self.read(), self.program.communicate()
            assert time.monotonic() < end, text
        return text


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Callable[..., Page]]:
    made: list[Page] = []

    def start(*arguments: str) -> Page:
        made.append(Page(tmp_path, *arguments))
        return made[-1]

    yield start
    for each in made:
        each.program.kill()
        each.program.communicate()


def test_the_app_in_a_browser(page: Callable[..., Page]) -> None:
    """Keys act, answers of the browser's terminal don't, and closing the page ends the app."""
    served = page("Once upon a time")
    served.until(lambda text: "bits" in text and "zoom" in text)
    assert b"48;2;" in served.drawn
    assert b"\x1b]11;?" not in served.drawn
    served.packet(b"D", b"\x1b[?1;2c\x1b]11;rgb:ffff/ffff/ffff\x1b\\]")
    served.until(lambda text: "T 1.10" in text)
    served.packet(b"M", json.dumps({"type": "quit"}).encode())
    served.program.communicate(timeout=PATIENCE)
    assert served.program.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    few(
        [
            (("--at", "L99", "Once upon a time"), "txexplain: L99: there is no block 99; storyteller has blocks L0 to L5."),
            (("--file", "-"), "txexplain: Under TEXTUAL_DRIVER standard input brings the keys; give the prompt as --file PATH."),
        ],
        lambda arguments, _: "L99" in arguments,
    ),
)  # fmt: skip
def test_what_can_t_be_shown_is_said_on_the_page(page: Callable[..., Page], arguments: tuple[str, ...], sentence: str) -> None:
    served = page(*arguments)
    served.until(lambda text: sentence in " ".join(text.split()))
    served.packet(b"D", b"x")
    _, said = served.program.communicate(timeout=PATIENCE)
    assert (served.program.returncode, said.decode().strip()) == (2, sentence)


def test_a_server_that_is_gone_leaves_no_app_behind(page: Callable[..., Page]) -> None:
    served = page("Once upon a time")
    served.until(lambda text: "bits" in text and "zoom" in text)
    assert served.program.stdin is not None
    served.program.stdin.close()
    served.program.stdin = None
    served.program.communicate(timeout=PATIENCE)
    assert served.program.returncode == 0


@pytest.mark.parametrize("command", few(["Once upon a time", "predict"], lambda command: command != "predict"))
def test_where_no_keys_can_come_from_a_sentence_says_so(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "txexplain", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        env=os.environ | SERVED | {"XDG_STATE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert ("Under TEXTUAL_DRIVER standard input brings the keys, and this one can't" in done.stderr) == (command != "predict")
    assert list(tmp_path.iterdir()) == []


def test_a_driver_that_there_isn_t() -> None:
    program = [sys.executable, "-m", "txexplain", "Once upon a time"]
    done = subprocess.run(
        program, env=os.environ | {"TEXTUAL_DRIVER": "no.such:Thing"}, input="", capture_output=True, text=True, timeout=60
    )
    said = "txexplain: TEXTUAL_DRIVER is none of Textual's drivers: No module named 'no'. Take it out of the environment.\n"
    assert (done.returncode, done.stderr) == (2, said)
