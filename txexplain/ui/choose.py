"""Lists over the screen that one thing is picked from: the examples, and a search among all tokens."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from txexplain.engine.sampling import Distribution
from txexplain.explorer.examples import Example
from txexplain.explorer.lesson import Lesson
from txexplain.explorer.search import find_tokens
from txexplain.explorer.session.events import Failed
from txexplain.front.actions import key_of
from txexplain.text import clip
from txexplain.ui.over import OverScreen, point_at, point_at_field
from txexplain.ui.work import Work
from txexplain.viz.canvas import plain
from txexplain.viz.numbers import count, percent
from txexplain.viz.palette import Palette

WIDTH = 76
MOST = 2  # lines below the entry under the cursor, where what stands there isn't cut


@dataclass(frozen=True)
class Entry:
    """One thing to pick: its line, what stands at the line's right, a line below in a quieter tone, and what it stands for."""

    line: str
    right: str
    below: str
    value: int


class Rows(Static):
    """The lines of the list; a click picks."""

    class Picked(Message):
        def __init__(self, line: int) -> None:
            super().__init__()
            self.line = line

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Picked(event.y))

    def on_resize(self) -> None:
        if isinstance(self.screen, ChooseScreen):  # what is centred is elsewhere now
            self.screen.call_after_refresh(self.screen.point)


class ChooseScreen(OverScreen[int | None]):
    """Up and down move, Enter picks, Escape leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "close", show=False),
        Binding("up", "step(-1)", "up", show=False),
        Binding("down", "step(1)", "down", show=False),
        Binding("pageup", "step(-8)", "up", show=False),
        Binding("pagedown", "step(8)", "down", show=False),
        Binding("enter", "pick", "pick", show=False),
    ]
    DEFAULT_CSS = """
    ChooseScreen { align: center middle; }
    ChooseScreen Vertical { width: 80; max-width: 96%; height: auto; max-height: 92%; padding: 1 2; background: $panel; }
    ChooseScreen Static { width: 1fr; height: auto; }
    ChooseScreen Input { border: none; height: 1; padding: 0; margin: 1 0 0 0; background: $panel; }
    """
    heading = ""
    hint = ""

    def __init__(self, tones: Palette) -> None:
        super().__init__()
        self.tones = tones
        self.entries: Sequence[Entry] = ()
        self.at = 0
        self.entry_of: list[int] = []  # which entry each line belongs to

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(self.heading, markup=False, id="heading")
            yield from self.field()
            yield Rows("", markup=False, id="rows")
            yield Static(self.hint, markup=False, id="hint")

    def field(self) -> ComposeResult:
        yield from ()

    def on_mount(self) -> None:
        for name, role in (("heading", "bold"), ("hint", "dim")):
            said = self.heading if name == "heading" else self.hint
            self.query_one(f"#{name}", Static).update(Text(self.said(said), role))
        self.show()

    def on_resize(self) -> None:
        self.show()

    def said(self, text: str) -> str:
        return plain(text, self.tones)

    @property
    def tall(self) -> int:
        """The lines that an entry takes."""
        return 2 if self.app.size.height >= 24 and any(entry.below for entry in self.entries) else 1

    @property
    def window(self) -> range:
        """The entries that fit, the one under the cursor among them."""
        fits = max(1, (self.app.size.height - 10) // self.tall)
        first = max(0, min(self.at - fits + 1, len(self.entries) - fits))
        return range(first, min(first + fits, len(self.entries)))

    def show(self) -> None:
        """Write the list."""
        width = max(20, min(WIDTH, int(self.app.size.width * 0.96) - 4))
        text = Text(no_wrap=True)
        self.entry_of = []
        for number in self.window:
            entry = self.entries[number]
            lit = "reverse" if number == self.at else ""
            left = clip(self.said(entry.line), width - len(entry.right) - 1, self.tones.glyphs.ellipsis)
            row = Text(left, lit)
            row.pad_right(max(0, width - row.cell_len - len(entry.right)))
            text.append(row)
            text.append(entry.right + "\n", lit)
            below = self.said(entry.below)
            whole = textwrap.wrap(below, width - 2) if number == self.at else []
            short = [clip(below, width - 2, self.tones.glyphs.ellipsis)] if self.tall == 2 else []
            lines = whole if 0 < len(whole) <= MOST else short or whole[:MOST]
            for line in lines:
                text.append(f"  {line}\n", "dim")
            self.entry_of += [number] * (1 + len(lines))
        self.query_one(Rows).update(text if self.entries else Text(self.said(self.nothing()) + "\n", "dim"))

    def nothing(self) -> str:
        return ""

    def fill(self, entries: Sequence[Entry]) -> None:
        self.entries, self.at = entries, 0
        self.show()

    def action_step(self, step: int) -> None:
        self.at = max(0, min(self.at + step, len(self.entries) - 1))
        self.show()
        self.call_after_refresh(self.point_at_row)

    def point(self) -> None:
        if not self.is_current or not point_at_field(self.focused):
            self.point_at_row()

    def point_at_row(self) -> None:
        """The terminal's cursor follows the list's."""
        if self.is_current:
            point_at(self.query_one(Rows), (self.at - self.window.start) * self.tall if self.entries else 0)

    def action_pick(self) -> None:
        if self.entries:
            self.dismiss(self.entries[self.at].value)

    def on_rows_picked(self, message: Rows.Picked) -> None:
        if message.line < len(self.entry_of):
            number = self.entry_of[message.line]
            self.dismiss(self.entries[number].value)


class ExamplesScreen(ChooseScreen):
    """Prompts that show something, each with what to look for; the answer is the example's number."""

    heading = "Examples"
    hint = "↑ ↓ move   ⏎ take this prompt   esc back"

    def __init__(self, tones: Palette, examples: Sequence[Example], prompt: str) -> None:
        """prompt: the present one, which the cursor stands on if it is an example."""
        super().__init__(tones)
        self.at = next((i for i, example in enumerate(examples) if example.prompt == prompt), 0)
        self.entries = [Entry(example.prompt.replace("\n", " ⏎ "), "", example.look, i) for i, example in enumerate(examples)]


class LessonsScreen(ChooseScreen):
    """The lessons; the answer is the lesson's number, or the number after the last for closing the one that is open."""

    heading = "Lessons"

    def __init__(self, tones: Palette, lessons: Sequence[Lesson], pages: Sequence[int], at: int, *, closes: bool, key: str) -> None:
        """pages: where each was left, 0 for one that wasn't opened; at: the one under the cursor; key: what brought the list."""
        super().__init__(tones)
        again = "close the lesson" if closes else "go on with this one" if any(pages) else "open"
        self.hint = "↑ ↓ move   ⏎ open   " + (f"{key} {again}   " if key else "") + "esc back"
        self.entries = [
            Entry(lesson.title, read_so_far(page, len(lesson.pages)), ", ".join(page.title for page in lesson.pages), i)
            for i, (lesson, page) in enumerate(zip(lessons, pages, strict=True))
        ]
        if closes:
            self.entries.append(Entry("Close the lesson", "", "your own prompt, settings and place come back", len(lessons)))
        self.at, self.closes, self.key = at, closes, key

    def on_key(self, event: events.Key) -> None:
        """The key that brought the list closes the lesson, or goes on with the one that was read last."""
        if event.key == key_of(self.key):
            event.stop()
            self.dismiss(self.entries[-1 if self.closes else self.at].value)


class PagesScreen(ChooseScreen):
    """The pages of a lesson; the answer is the page's number."""

    hint = "↑ ↓ move   ⏎ go there   esc back"

    def __init__(self, tones: Palette, lesson: Lesson, at: int) -> None:
        super().__init__(tones)
        self.heading = lesson.title
        self.entries = [
            Entry(f"{page.number:>2}  {page.title}", f"{page.minutes:g} min" if page.minutes else "", "", page.number)
            for page in lesson.pages
        ]
        self.at = at - 1


def read_so_far(page: int, pages: int) -> str:
    """How far a lesson is read."""
    return f"page {page} of {pages}" if page else f"{pages} pages"


class FindScreen(ChooseScreen):
    """Any token of the vocabulary, by its text; the answer is its rank."""

    heading = "Find a token"
    hint = "type part of a token   ↑ ↓ move   ⏎ go there   esc back"

    def __init__(self, tones: Palette, work: Work, distribution: Distribution, label: Callable[[int], str]) -> None:
        super().__init__(tones)
        self.work, self.distribution, self.label = work, distribution, label
        self.texts: list[str] | None = None
        self.order = distribution.order.tolist()

    def on_unmount(self) -> None:
        """A screen that was left is part of a cycle of references, which stays until the garbage collector runs: keep no vocabulary."""
        self.work.stop("spell")
        self.texts, self.order, self.entries = None, [], []

    def field(self) -> ComposeResult:
        yield Input(placeholder="", id="find", compact=True)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Input).focus()
        # Fifty thousand labels take longer than a key may.
        self.work.start("spell", lambda job: [self.label(token) for token in range(len(self.order))], self.spelled)

    def spelled(self, texts: list[str] | Failed) -> None:
        """How every token looks is known."""
        if isinstance(texts, Failed):
            self.app.notify(texts.sentence, markup=False)
            return
        self.texts = texts
        self.look()

    def on_input_changed(self) -> None:
        self.look()

    def on_input_submitted(self) -> None:
        self.action_pick()

    def nothing(self) -> str:
        if self.texts is None:
            return "reading the vocabulary …"
        return "no token looks like this" if self.query_one(Input).value else f"{count(len(self.order))} tokens"

    def look(self) -> None:
        """List what matches the field, likeliest first."""
        if self.texts is None:
            return
        entries = []
        for token in find_tokens(self.texts, self.query_one(Input).value, self.order):
            rank = self.distribution.rank_of(token)
            share = percent(float(self.distribution.full_probability[token]), ascii=self.tones.ascii)
            entries.append(Entry(f"{self.texts[token]}", f"rank {count(rank + 1)}  {share:>8}", "", rank))
        self.fill(entries)
