"""The lecturer's own screen: the app in this terminal, which others follow."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from txexplain.explorer.lesson import Page
from txexplain.explorer.reading import Reads
from txexplain.explorer.state import ExplorerState
from txexplain.files import write_whole
from txexplain.front.options import UiOptions
from txexplain.serve.address import query_of
from txexplain.serve.follow import ANSWERS
from txexplain.serve.run import ServeError
from txexplain.serve.wire import Lines, Message, packed
from txexplain.ui.app import ExplorerApp
from txexplain.ui.over import OverScreen
from txexplain.viz.bars import bar
from txexplain.viz.live import filled
from txexplain.viz.numbers import percent
from txexplain.viz.palette import Palette

CELLS = 30  # of a whole bar


class Served:
    """The server, which runs beside this terminal's app."""

    def __init__(self, flags: Sequence[str]) -> None:
        self.channel, theirs = socket.socketpair()
        with theirs:
            # -P: of the folder that the lecturer stands in, which a class may share, no file is taken for a part of the program.
            command = [sys.executable, "-P", "-m", "txexplain", "serve", *flags, "--leader", str(theirs.fileno())]
            self.process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                start_new_session=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().strip()
        if not self.link:
            assert self.process.stderr is not None
            raise ServeError(self.process.stderr.read().removeprefix("txexplain: ").strip() or "The server ended before it served.")
        threading.Thread(target=self.pass_over, name="txexplain server's errors", daemon=True).start()

    def pass_over(self) -> None:
        """Take what the server says of guests that crashed: this terminal shows the app, and a full pipe would hold the class up."""
        assert self.process.stderr is not None
        with suppress(OSError, ValueError):
            while self.process.stderr.read(1 << 12):
                pass

    def close(self) -> None:
        self.channel.close()
        self.process.terminate()
        self.process.wait(10)


class AnswersScreen(OverScreen[None]):
    """The answers to a question as bars, the right one marked."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,V,q,backspace", "dismiss", "close", show=False)]
    DEFAULT_CSS = """
    AnswersScreen { align: center middle; }
    AnswersScreen VerticalScroll { width: 76; max-width: 96%; height: auto; max-height: 92%; padding: 1 2; background: $panel; }
    """

    def __init__(self, question: str, rows: Sequence[tuple[str, int, bool]], tones: Palette) -> None:
        super().__init__()
        self.question, self.rows, self.tones = question, rows, tones

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self.picture(), markup=False)

    def picture(self) -> Text:
        """The question, and for each answer how many gave it."""
        total = sum(count for _, count, _ in self.rows)
        text = Text(f"{self.question}\n", "bold")
        for number, (answer, count, right) in enumerate(self.rows, 1):
            share = count / total if total else 0.0
            text.append(f"\n{number} {answer}" + ("  (right)" if right else "") + "\n", "bold" if right else "")
            text.append(f"  {bar(share, CELLS, self.tones):<{CELLS}} {count} of {total}, {percent(share, ascii=self.tones.ascii)}\n")
        return text


class LeaderApp(ExplorerApp):
    """The app, whose place and page are told to the class."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding(",".join(ANSWERS.keys), "do('answers')", ANSWERS.label, show=False)]

    def __init__(
        self, channel: socket.socket, record: Path | None, state: ExplorerState, options: UiOptions, load: Any, reads: Reads | None
    ) -> None:
        super().__init__(state, options, load, reads)
        self.kept_in = record
        self.actions = (*self.actions, ANSWERS)
        self.deeds |= {"answers": self.show_answers}
        self.channel = channel
        self.led: dict[str, Any] = {}
        self.counts: dict[tuple[str, int], dict[int, int]] = {}

    def on_mount(self) -> None:
        super().on_mount()
        threading.Thread(target=self.hear, name="txexplain class", daemon=True).start()

    def hear(self) -> None:
        """What the class answers, as it comes; the server's end is told."""
        lines = Lines()
        with suppress(OSError, ValueError, RuntimeError):
            while data := self.channel.recv(1 << 16):
                for message in lines.feed(data):
                    self.call_from_thread(self.counted, message)
            self.call_from_thread(self.say, "The server has ended: nobody follows any more.")

    def counted(self, message: Message) -> None:
        if self.kept_in is not None:
            keep(message["all"], self.kept_in)
        self.counts = {(each["lesson"], each["page"]): {int(n): count for n, count in each["answers"].items()} for each in message["all"]}
        if isinstance(self.screen, AnswersScreen) and (page := self.question()) is not None:
            self.screen.rows = self.rows(page)
            self.screen.query_one(Static).update(self.screen.picture())

    def paint(self, width: int = 0, height: int = 0) -> None:
        super().paint(width, height)
        reader = self.session.reader
        open_ = bool(reader.side) and reader.lesson is not None
        lesson = reader.lesson.name if open_ and reader.lesson is not None else ""
        now: dict[str, Any] = {"at": query_of(self.state), "lesson": lesson, "page": reader.number if open_ else 0}
        if now != self.led:
            self.led = now
            with suppress(OSError):
                self.channel.sendall(packed(now))

    def question(self) -> Page | None:
        """The open page with its live values, where it asks something."""
        reading = self.session.reader.reading
        if not self.session.reader.side or reading is None or not reading.page.question:
            return None
        return filled(reading.page, self.scene(*self.size), reading.lesson.name)

    def rows(self, page: Page) -> list[tuple[str, int, bool]]:
        counts = self.counts.get((self.led["lesson"], page.number), {})
        return [(answer, counts.get(n, 0), n == page.answer) for n, answer in enumerate(page.answers, 1)]

    def show_answers(self) -> None:
        page = self.question()
        if page is None:
            self.say("This page asks nothing: V shows what the class answered to a lesson's question.")
        else:
            self.push_screen(AnswersScreen(page.question, self.rows(page), self.tones))


def keep(answers: Sequence[Message], path: Path) -> None:
    """Write what the class answered, without names."""
    write_whole(path, (json.dumps({"schema": "txexplain-class/1", "answers": answers}, indent=1) + "\n").encode())
