"""Reading a lesson in the app: which page is open, what was answered, and a lecture's keys, pressed at a pace."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from textual.timer import Timer

from txexplain.engine.errors import ExplainError, reason
from txexplain.explorer.lesson import Lesson, Page, load, shipped, state_of
from txexplain.explorer.location import Location
from txexplain.ui.actions import key_name
from txexplain.ui.lecture import PACE, NotPlayed, steps
from txexplain.ui.lessons import page_of, read, record, score
from txexplain.viz.scene import Reading
from txexplain.viz.views.lesson import overflow

if TYPE_CHECKING:
    from txexplain.ui.app import ExplorerApp

SHOWN_KEYS = 8  # how many of the keys pressed last a lecture shows


@dataclass(frozen=True)
class Reads:
    """What the command line says of lessons."""

    lesson: Lesson | None = None
    page: int = 1
    lecture: bool = False
    pace: float = PACE  # seconds between a script's keys
    clock: bool = False
    record: Path | None = None


class Reader:
    """The lesson that is open in an app."""

    def __init__(self, app: ExplorerApp, asked: Reads) -> None:
        self.app = app
        self.asked = asked
        self.lesson = asked.lesson
        self.number = asked.page
        self.open = asked.lesson is not None
        self.reading: Reading | None = None
        self.arriving = False  # the page's run isn't there yet
        self.home: tuple[str, str | None] | None = None  # the reader's own model, while a page's is there
        self.pinned = ""  # the model that a page brought
        self.wanted: tuple[str, tuple[int, ...] | None] = ("", None)  # the prompt of that run
        self.given: dict[int, int] = {}  # page -> answer, both from 1
        self.waiting: list[tuple[str, str, str]] = []  # a script's keys: what, with what, as it is shown
        self.timer: Timer | None = None
        self.pressed: list[str] = []
        self.began = monotonic()

    @property
    def side(self) -> str:
        return "lesson" if self.open and self.reading is not None else ""

    # Pages

    def show(self, number: int) -> None:
        """Turn to a page: the screen goes where it points."""
        if self.lesson is None:
            return
        page = page_of(self.lesson, max(1, min(number, len(self.lesson.pages))))
        self.number, self.open = page.number, True
        self.stop()
        answered = self.given.get(page.number, 0)
        self.reading = Reading(self.lesson, page, cursor=answered or 1, given=answered, summary=self.summary(page.number))
        app = self.app
        app.generating, app.queued, app.hover = False, 0, None
        model, revision = self.model_of(page)
        state = state_of(page, replace(app.state, model=model, revision=revision))
        same = (state.model, state.prompt, state.ids) == (app.state.model, app.state.prompt, app.state.ids)
        self.arriving, self.wanted = True, (state.prompt, state.ids)
        if app.pane == "prompt":
            app.focus_pane("stage")
        if state.model != app.state.model:
            app.use_model(state)
        elif same and app.current():
            app.adopt(state)
            self.arrived()
        else:
            app.change(state)
            if same and not app.running:
                app.run_model()
        app.place()

    def model_of(self, page: Page) -> tuple[str, str | None]:
        """The model that a page names, with its revision; where it names none, the reader's own, also after another page's."""
        here = self.app.state.model, self.app.state.revision
        if page.model is None:
            return self.home if self.home is not None and here != self.home and here[0] == self.pinned else here
        if page.model == here[0]:
            return here
        if here[0] != self.pinned:
            self.home = here
        self.pinned = page.model
        return page.model, None

    def back(self) -> None:
        """The screen goes back to the page's view."""
        if self.reading is not None:
            answers = self.reading.cursor, self.reading.scroll
            self.show(self.number)
            self.reading = replace(self.reading, cursor=answers[0], scroll=answers[1])
            self.app.draw()

    def arrived(self) -> None:
        """The page's run is there: look where it points, and press its keys if this is a lecture."""
        app = self.app
        if not self.arriving or self.reading is None or app.lens is None:
            return
        self.arriving = False
        if (app.state.prompt, app.state.ids) != self.wanted or self.reading.page.model not in (None, app.state.model):
            return  # the reader has gone on to another prompt or model
        try:
            state, reading = read(self.reading.lesson, self.reading.page, app.state, app.lens, app.tones)
        except ExplainError as error:
            app.say(str(error))
            self.reading = replace(self.reading, lens=app.lens, distribution=app.distribution, place=Location())
        else:
            app.adopt(state)
            self.reading = replace(self.reading, lens=reading.lens, distribution=reading.distribution, place=reading.place)
        app.draw()
        if self.asked.lecture:
            self.play()

    def lost(self) -> None:
        """The page's run failed; the screen says why."""
        self.arriving = False
        self.stop()

    def toggle(self) -> None:
        """Leave the lesson, or return to the same page."""
        if self.lesson is None:
            self.app.choose_lesson([load(str(path)) for path in shipped()])
        elif self.open:
            self.open = False
            self.stop()
            if self.app.pane == "side":
                self.app.focus_pane("stage")
            self.app.place()
        else:
            self.show(self.number)

    def begin(self, lesson: Lesson) -> None:
        self.lesson, self.given = lesson, {}
        self.show(1)

    # Questions

    def asks(self) -> bool:
        """Whether the page has a question that isn't answered."""
        return bool(self.side) and self.reading is not None and bool(self.reading.page.question) and not self.reading.given

    def move(self, step: int) -> None:
        """Up and down in the pane: among the answers, or along a page that is longer than its pane."""
        assert self.reading is not None
        if self.asks():
            cursor = max(1, min(self.reading.cursor + step, len(self.reading.page.answers)))
            self.reading = replace(self.reading, cursor=cursor)
            self.app.draw()
        else:
            self.scroll(step)

    def scroll(self, step: int) -> None:
        """Along a page that is longer than its pane."""
        if self.reading is not None and self.side:
            rest = overflow(self.app.side_scene())
            self.reading = replace(self.reading, scroll=max(0, min(self.reading.scroll + step, rest)))
            self.app.draw()

    def answer(self, number: int) -> None:
        """Give an answer; it stands."""
        if not self.asks() or self.reading is None or self.lesson is None or not 1 <= number <= len(self.reading.page.answers):
            return
        self.given[self.number] = number
        self.reading = replace(self.reading, given=number, cursor=number, summary=self.summary(self.number))
        self.reading = replace(self.reading, scroll=overflow(self.app.side_scene()))  # so that the reason is in view
        self.app.draw()
        if self.asked.record is not None:
            self.keep(self.asked.record)

    def keep(self, path: Path) -> None:
        """Write the answers given so far, whole or not at all."""
        assert self.lesson is not None
        part = path.with_name(f".{path.name}.part")
        try:
            part.write_text(json.dumps(record(self.lesson, self.given), indent=1) + "\n", encoding="utf-8")
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            self.app.say(f"The answers can't be written to {path}: {reason(error)}.")

    def summary(self, number: int) -> str:
        """On the last page, how the reader did."""
        if self.lesson is None or number != len(self.lesson.pages) or not self.given:
            return ""
        right, asked = score(self.lesson, self.given)
        return f"**{right} of {asked} questions right**, {asked - len(self.given)} not answered."

    # A lecture

    def play(self) -> None:
        """Begin to press the page's keys."""
        assert self.reading is not None
        keys = self.reading.page.keys
        try:
            self.waiting = [(what, text, shown) for (what, text), shown in zip(steps(keys), keys, strict=True)]
        except NotPlayed as wrong:
            self.app.say(f"This page's keys can't be pressed: {wrong.args[0]}.")
        self.pause()

    def pause(self) -> None:
        if self.waiting:
            self.timer = self.app.set_timer(self.asked.pace, self.press)

    def press(self) -> None:
        """One key of the script, once the one before has had its whole effect."""
        app = self.app
        if not self.waiting or app.running or app.queued or self.arriving:
            self.pause()
            return
        what, text, shown = self.waiting.pop(0)
        self.note(shown)
        if what == "do":
            app.perform(text)
        elif what == "leave":
            app.focus_pane("stage")
        elif text == "backspace":
            app.editor.action_delete_left()
        else:
            app.editor.insert(text)
        app.draw()
        self.pause()

    def stop(self) -> None:
        """The lecturer takes over, or the page is left: the script presses no more."""
        self.waiting = []
        if self.timer is not None:
            self.timer.stop()
            self.timer = None

    def pressed_action(self, action: str) -> None:
        """A key that the reader pressed."""
        if self.asked.lecture:
            if self.waiting:
                self.stop()
            self.note(next((known.keys[0] for known in self.app.actions if known.id == action and known.keys), action))
            self.app.draw()

    def note(self, key: str) -> None:
        """Show a key as pressed."""
        self.pressed = [*self.pressed, key_name(key, ascii=self.app.tones.ascii)][-SHOWN_KEYS:]

    def scene(self) -> Reading | None:
        """What the panes are drawn from."""
        if not self.side or self.reading is None:
            return None
        clock = ""
        if self.asked.clock:
            seconds = int(monotonic() - self.began)
            clock = f"{seconds // 60}:{seconds % 60:02}"
        return replace(self.reading, clock=clock, pressed=" ".join(self.pressed) if self.asked.lecture else "")
