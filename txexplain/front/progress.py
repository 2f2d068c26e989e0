"""How far the shipped lessons are read, kept from one start to the next: a file of the reader's own, written while one reads them.

It holds page numbers and answers, no name and no time. Whatever stands in it, the app starts: what makes no sense is as if it weren't
there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from txexplain.bounded import load_json
from txexplain.explorer.lesson import Lesson, shipped_lessons
from txexplain.explorer.reading import Bookmark
from txexplain.files import make_folder, own_folder, read_whole, write_whole

SCHEMA = "txexplain-progress/1"
LARGEST, MOST = 100_000, 10_000  # bytes, values; all pages of the shipped lessons answered take a few hundred


@dataclass(frozen=True)
class Progress:
    """Where each lesson that was begun was left, and the lesson that was read last, if any was."""

    bookmarks: Mapping[Lesson, Bookmark] = field(default_factory=lambda: MappingProxyType({}))
    last: Lesson | None = None


def progress_path() -> Path:
    """Where the file is, or would be. Raises FileNotFoundError where the user has no home."""
    return own_folder("XDG_STATE_HOME", "~/.local/state") / "progress.json"


def read_progress() -> Progress:
    """What the file says that makes sense; nothing where there is none."""
    try:
        told = load_json(read_whole(progress_path(), LARGEST), MOST)
    except (OSError, ValueError, RecursionError):
        return Progress()
    if not isinstance(told, dict) or told.get("schema") != SCHEMA or not isinstance(told.get("lessons"), dict):
        return Progress()
    lessons = {lesson.name: lesson for lesson in shipped_lessons()}
    marks = {lesson: bookmark(lesson, told["lessons"][name]) for name, lesson in lessons.items() if name in told["lessons"]}
    last = told.get("last")
    return Progress(MappingProxyType(marks), lessons.get(last) if isinstance(last, str) else None)


def bookmark(lesson: Lesson, told: object) -> Bookmark:
    """Where a lesson was left, as far as it has such pages and answers."""
    if not isinstance(told, dict):
        return Bookmark()
    page, answers = told.get("page"), told.get("answers")
    pages = {str(each.number): each for each in lesson.pages}
    given = {
        pages[number].number: answer
        for number, answer in (answers.items() if isinstance(answers, dict) else ())
        if number in pages and type(answer) is int and 1 <= answer <= len(pages[number].answers)
    }
    return Bookmark(page if type(page) is int and 1 <= page <= len(lesson.pages) else 1, MappingProxyType(given))


def write_progress(bookmarks: Mapping[Lesson, Bookmark], last: Lesson) -> None:
    """Keep where these lessons are, beside what another session kept of others; lessons of one's own aren't kept. Raises OSError."""
    marks = {lesson: mark for lesson, mark in {**read_progress().bookmarks, **bookmarks}.items() if lesson in shipped_lessons()}
    lessons = {
        lesson.name: {"page": mark.page, "answers": {str(page): answer for page, answer in mark.given.items()}}
        for lesson, mark in marks.items()
    }
    if not lessons:
        return
    told = {"schema": SCHEMA, "last": last.name if last in marks else "", "lessons": lessons}
    path = progress_path()
    make_folder(path.parent)
    write_whole(path, (json.dumps(told, indent=1) + "\n").encode("utf-8"), private=True)
