"""Reading lessons in the app: which page is open, what was answered, the reader's own view meanwhile, and a lecture's keys at a pace."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from textual.timer import Timer

from txexplain.errors import ExplainError, LocationError, reason
from txexplain.explorer.history import Moment
from txexplain.explorer.lesson import Lesson, Page, beside, shipped_lessons, state_of
from txexplain.explorer.location import Location, parse
from txexplain.explorer.state import ExplorerState, ModelAsked
from txexplain.files import write_whole
from txexplain.front.actions import key_name
from txexplain.front.lecture import NotPlayed, steps
from txexplain.front.lessons import Reads, ending, page_of, read, record, score
from txexplain.viz.scene import Reading
from txexplain.viz.views.lesson import overflow

if TYPE_CHECKING:
    from txexplain.ui.app import ExplorerApp

SHOWN_KEYS = 8  # how many of the keys pressed last a lecture shows


@dataclass(frozen=True)
class Own:
    """What the reader had before a lesson came: it stands there again once the lesson is left."""

    state: ExplorerState
    text: str  # the prompt in words, for another model
    history: tuple[Moment, ...]
    held: Moment | None


@dataclass
class Bookmark:
    """How far a lesson is read."""

    page: int = 1
    given: dict[int, int] = field(default_factory=dict)  # page -> answer, both from 1


class Reader:
    """The lesson that is open in an app, or was."""

    def __init__(self, app: ExplorerApp, asked: Reads) -> None:
        self.app = app
        self.asked = asked
        self.lesson = asked.lesson
        self.number = asked.page
        self.open = asked.lesson is not None
        self.bookmarks: dict[Lesson, Bookmark] = {}
        self.reading: Reading | None = None
        self.own: Own | None = None  # while a lesson is open
        self.awaited: tuple[ExplorerState, ExplorerState] | None = None  # what is shown until the own run is there, and then
        self.arriving = False  # the page's run isn't there yet
        self.home: ModelAsked | None = None  # the reader's own model, while a page's is there
        self.pinned = ""  # the model that a page brought
        self.wanted: tuple[object, ...] = ()  # what that run was asked
        self.waiting: list[tuple[str, str, str]] = []  # a script's keys: what, with what, as it is shown
        self.timer: Timer | None = None
        self.pressed: list[str] = []
        self.began = monotonic()
        if self.lesson is not None and (first := page_of(self.lesson, self.number).model) not in (None, asked.model):
            self.home, self.pinned = (asked.model, None, None, None), first or ""

    @property
    def side(self) -> str:
        return "lesson" if self.open and self.reading is not None else ""

    @property
    def bookmark(self) -> Bookmark:
        assert self.lesson is not None
        return self.bookmarks.setdefault(self.lesson, Bookmark())

    @property
    def given(self) -> dict[int, int]:
        """The answers given in this lesson: page -> answer, both from 1."""
        return {} if self.lesson is None else self.bookmark.given

    # Pages

    def show(self, number: int) -> None:
        """Turn to a page: the screen goes where it points."""
        if self.lesson is None:
            return
        if self.own is None:
            self.put_aside()
        page = self.open_at(self.lesson, number)
        state = state_of(page, self.app.state.read_by(self.model_of(page)))
        self.arriving, self.wanted = True, state.asked
        if self.turn_to(state):
            self.arrived()
        self.app.place()

    def open_at(self, lesson: Lesson, number: int) -> Page:
        """Put a page on the screen, without its run."""
        page = page_of(lesson, max(1, min(number, len(lesson.pages))))
        self.number, self.open = page.number, True
        self.bookmark.page = page.number
        self.awaited = None
        self.stop()
        answered = self.given.get(page.number, 0)
        self.reading = Reading(
            lesson, page, cursor=answered or 1, given=answered, summary=self.summary(page.number), answers=dict(self.given),
            ending=ending(lesson, page, *(self.key(action) for action in ("lesson_on", "lessons"))),
        )  # fmt: skip
        return page

    def turn_to(self, state: ExplorerState) -> bool:
        """Show another state, whatever is going on; whether its run is on the screen already."""
        app = self.app
        app.generating, app.queued, app.hover = False, 0, None
        if app.pane == "prompt":
            app.focus_pane("stage")
        if state.reader != app.state.reader:
            app.use_model(state)
            return False
        if state.asked != app.state.asked:
            app.change(state)
            return False
        if app.current():
            app.adopt(state)
            return True
        app.change(state)
        if not app.running:
            app.run_model()
        return False

    def turn(self, step: int) -> None:
        """A page further or back: past the lesson's last page the next lesson begins, before its first the one before ends.

        Where nothing follows the page stays as it is.
        """
        if self.lesson is None:
            return
        number = self.number + step
        if 1 <= number <= len(self.lesson.pages):
            self.show(number)
        elif (other := beside(self.lesson, step)) is not None:
            self.begin(other, 1 if step > 0 else len(other.pages))
        elif self.reading is not None:
            self.scroll(step * overflow(self.app.side_scene()))  # its beginning or its end is in view

    def key(self, action: str) -> str:
        """An action's key, as it is written for people."""
        found = next((known for known in self.app.actions if known.id == action), None)
        return key_name(found.keys[0], ascii=self.app.tones.ascii) if found is not None and found.keys else ""

    # The reader's own view

    def put_aside(self) -> None:
        """Keep what the reader has, for the time after the lesson, which begins with a history of its own."""
        app = self.app
        self.own = Own(app.state, app.prompt_text(), app.history, app.held)
        app.history, app.held, app.back = (), None, 0

    def leave(self) -> None:
        """Close the lesson: prompt, setting, place and history are the reader's own again. A model picked meanwhile stays."""
        app, own, self.open = self.app, self.own, False
        self.stop()
        self.arriving = False
        if app.pane == "side":
            app.focus_pane("stage")
        if own is not None:
            here = app.state.reader
            by_page = self.home is not None and here[0] == self.pinned
            reader = self.home if self.home is not None and by_page else here
            state = own.state
            if reader != state.reader:
                state = state.with_prompt(own.text).read_by(reader)
            self.own, self.home, self.pinned = None, None, ""
            app.history, app.held, app.back = own.history, own.held, 0
            # What is still shown is the page's run, which may lack the own place: one goes there once its own run is there.
            meanwhile = state if app.lens is None else state.fit(app.dims())
            self.awaited = (meanwhile, state)
            if self.turn_to(meanwhile):
                self.returned()
        app.place()

    def returned(self) -> None:
        """The own prompt's run is there: look where the reader looked before the lesson, unless a key has led elsewhere since."""
        app, awaited, self.awaited = self.app, self.awaited, None
        if awaited is None or app.lens is None:
            return
        meanwhile, own = awaited
        if (app.state.asked, app.state.location) == (own.asked, meanwhile.fit(app.dims()).location):
            app.state = replace(app.state, location=own.location, memory=own.memory).fit(app.dims())
            app.draw()

    def model_of(self, page: Page) -> ModelAsked:
        """The model that a page names, with its own tokenizer; where it names none, the reader's own, also after another page's."""
        here = self.app.state.reader
        if page.model is None:
            return self.home if self.home is not None and here != self.home and here[0] == self.pinned else here
        if page.model == here[0]:
            return here
        if here[0] != self.pinned:
            self.home = here
        self.pinned = page.model
        return page.model, None, None, None

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
        self.returned()
        if not self.arriving or self.reading is None or app.lens is None:
            return
        self.arriving = False
        if app.state.asked != self.wanted or self.reading.page.model not in (None, app.state.model):
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
        """The page's run failed; the screen says why, beside the page."""
        self.arriving = False
        self.stop()
        if self.open and self.reading is None and self.lesson is not None:
            self.open_at(self.lesson, self.number)
            self.app.place()

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """All that can be opened: those that come with txexplain, and before them one of the reader's own."""
        own = tuple(dict.fromkeys(each for each in (self.asked.lesson, self.lesson) if each is not None))
        return (*(each for each in own if each not in shipped_lessons()), *shipped_lessons())

    def named(self, text: str) -> tuple[Lesson, int] | None:
        """A lesson by its name, with a page's number after it or where it was left; None where the text names none, or a place.

        Raises LessonError for a page that it lacks.
        """
        with suppress(LocationError):
            parse(text)
            return None
        words = text.split()
        number = words.pop() if len(words) > 1 and re.fullmatch("[0-9]{1,4}", words[-1]) else ""
        name = " ".join(words).casefold()
        found = next((each for each in self.lessons if each.name.casefold() == name), None)
        if found is None:
            return None
        return found, page_of(found, int(number)).number if number else self.page_in(found)

    def page_in(self, lesson: Lesson) -> int:
        """Where a lesson was left."""
        return self.bookmarks.get(lesson, Bookmark()).page

    def begin(self, lesson: Lesson, page: int | None = None) -> None:
        """Open a lesson, at a page or where it was left."""
        if self.asked.record is not None and lesson != self.asked.lesson and lesson != self.lesson and self.asked.lesson is not None:
            self.app.say(f"Answers are kept of {self.asked.lesson.title} alone, in {self.asked.record}.")
        self.lesson = lesson
        self.show(self.page_in(lesson) if page is None else page)

    # Questions

    def has_question(self) -> bool:
        """Whether the page on screen has a question, answered or not."""
        return bool(self.side) and self.reading is not None and bool(self.reading.page.question)

    def asks(self) -> bool:
        """Whether the page has a question that isn't answered."""
        return self.has_question() and self.reading is not None and not self.reading.given

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
        """Give an answer, which stands; after that, read what is to be said of any."""
        if not self.has_question() or self.reading is None or self.lesson is None or not 1 <= number <= len(self.reading.page.answers):
            return
        first = not self.reading.given
        if first:
            self.given[self.number] = number
            self.reading = replace(self.reading, given=number, summary=self.summary(self.number), answers=dict(self.given))
        self.reading = replace(self.reading, cursor=number)
        self.reading = replace(self.reading, scroll=overflow(self.app.side_scene()))  # so that the reason is in view
        self.app.draw()
        if first and self.asked.record is not None and self.lesson == self.asked.lesson:
            self.keep(self.asked.record)

    def keep(self, path: Path) -> None:
        """Write the answers given so far, whole or not at all."""
        assert self.lesson is not None
        try:
            write_whole(path, (json.dumps(record(self.lesson, self.given), indent=1) + "\n").encode("utf-8"))
        except OSError as error:
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
            if not (text == "enter" and app.pane == "side"):  # an answer is the reader's own, and may be recorded
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
