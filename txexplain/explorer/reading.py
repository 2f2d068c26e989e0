"""A lesson being read: what the command line says of it, how far it is read, what was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from txexplain.engine.derive import Result
from txexplain.engine.sampling import Distribution
from txexplain.errors import LessonError
from txexplain.explorer.lesson import Lesson, Page, beside
from txexplain.explorer.location import Location
from txexplain.text import shown

PACE = 1.0  # seconds between two keys of a script, unless the lecturer wants another pace


@dataclass(frozen=True)
class Bookmark:
    """How far a lesson is read."""

    page: int = 1
    given: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))  # page -> answer, both from 1


@dataclass(frozen=True)
class Reads:
    """What the command line says of lessons."""

    lesson: Lesson | None = None
    page: int = 1
    lecture: bool = False
    pace: float = PACE
    clock: bool = False
    record: Path | None = None
    model: str = "storyteller"  # what the reader named, for pages that name none
    fetch: bool = False  # whether what a page names may be fetched without a question
    keeps: bool = False  # whether it is kept how far one reads
    bookmarks: Mapping[Lesson, Bookmark] = field(default_factory=lambda: MappingProxyType({}))  # what was kept before
    last: Lesson | None = None  # the lesson that was read last
    target: float = 0.0  # minutes that a lecture is to take; 0: what its pages say
    welcome: bool = False  # whether the first screen says what this is, and where one begins


@dataclass(frozen=True)
class Reading:
    """The lesson that is open, and how far the reader is with its page.

    `page` has its live values still in braces; `result` and `distribution` are of the page's own run, None while it isn't there;
    `place` is where the page looks.
    """

    lesson: Lesson
    page: Page
    result: Result | None = None
    distribution: Distribution | None = None
    place: Location | None = None
    cursor: int = 1  # the answer that the cursor is on, from 1; once one is given, the one whose reason is read
    given: int = 0  # the answer that was given, from 1; 0: none yet
    scroll: int = 0
    summary: str = ""  # how the reader did, on the last page
    answers: Mapping[int, int] = field(default_factory=dict)  # all that were given in the lesson: page -> answer
    ending: str = ""  # that this is the last page, and what follows
    hands: tuple[int, ...] = ()  # in a lecture, how many raised a hand for each answer
    clock: str = ""  # a stopwatch, where the lecturer wants one
    pressed: str = ""  # the keys pressed last, in a lecture

    def highlighted(self, pane: str) -> tuple[object, ...]:
        """What a pane's marks depend on."""
        return (self.page.highlight, self.place, self.result) if pane in ("prompt", "stage", "panel") else ()


def page_of(lesson: Lesson, number: int) -> Page:
    """A page by its number, from 1. Raises LessonError."""
    if not 1 <= number <= len(lesson.pages):
        raise LessonError(f"{shown(lesson.name)} has no page {number}; its pages go from 1 to {len(lesson.pages)}.")
    return lesson.pages[number - 1]


def ending(lesson: Lesson, page: Page, on: str = "n", lessons: str = "t") -> str:
    """What the last page says below its text: that the lesson ends, and how one goes on; on, lessons: the keys for that."""
    if page.number < len(lesson.pages):
        return ""
    following = beside(lesson, 1)
    if following is not None:
        return f"**The end of this lesson.** `{on}` opens the next: *{following.title}*."
    return f"**The end of this lesson.** `{lessons}` lists the lessons, and closes this one."


def score(lesson: Lesson, given: Mapping[int, int]) -> tuple[int, int]:
    """How many questions were answered right, of how many; given: page → answer, both from 1."""
    asked = [page for page in lesson.pages if page.question]
    return sum(given.get(page.number) == page.answer for page in asked), len(asked)


def record(lesson: Lesson, given: Mapping[int, int]) -> dict[str, Any]:
    """What is written of a reader's answers: no name, no time, nothing but the answers."""
    answers = [
        {"page": page.number, "question": page.question, "answer": given[page.number], "right": given[page.number] == page.answer}
        for page in lesson.pages
        if page.question and page.number in given
    ]
    right, asked = score(lesson, given)
    return {"format": "txexplain-answers/1", "lesson": lesson.name, "questions": asked, "right": right, "answers": answers}
