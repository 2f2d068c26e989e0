"""A lecture: its script's keys, checked before and played at a pace; its clock; its notes in a second terminal. Free of Textual."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from txexplain.bounded import load_json
from txexplain.errors import LessonError
from txexplain.explorer.lesson import Lesson
from txexplain.files import make_folder, own_folder, read_whole, write_whole
from txexplain.front.actions import ACTIONS
from txexplain.text import shown

SCHEMA = "txexplain-lecture/1"
LARGEST, MOST = 10_000, 100  # bytes and values of the file by which a lecture tells where it is
LEAVES = ("enter", "escape")
NAMES = {
    "[": "left_square_bracket", "]": "right_square_bracket", "{": "left_curly_bracket", "}": "right_curly_bracket", ",": "comma",
    ".": "full_stop", "<": "less_than_sign", ">": "greater_than_sign", "/": "slash", "?": "question_mark", "-": "minus",
    "=": "equals_sign", "+": "plus", " ": "space",
}  # fmt: skip
BY_KEY = {key: action for action in ACTIONS for key in action.keys}


class NotPlayed(Exception):
    """Half a sentence: why a script can't press a key."""


def steps(keys: Sequence[str]) -> list[tuple[str, str]]:
    """What each key does: ("do", action) on the screen, ("type", text) in the prompt, ("leave", "") out of it.

    Raises NotPlayed for a key that a script can't press.
    """
    found: list[tuple[str, str]] = []
    typing = False
    for number, key in enumerate(keys):
        if typing:
            if key in LEAVES:
                found.append(("leave", ""))
                typing = False
            elif key in ("space", "backspace") or len(key) == 1:
                found.append(("type", " " if key == "space" else key))
            else:
                raise NotPlayed(f"{shown(key)} can't be pressed while the prompt is edited; type letters, and leave with enter")
            continue
        action = BY_KEY.get(NAMES.get(key, key))
        if action is None:
            raise NotPlayed(f"{shown(key)} is no key of the app")
        if not action.script:  # a script is data
            raise NotPlayed(f"{shown(key)} isn't pressed by a script, which writes, copies, opens and ends nothing; leave it out")
        if action.id == "lesson_on" and number != len(keys) - 1:
            raise NotPlayed(f"{shown(key)} turns the page, so that it must be the last key")
        typing = action.id == "prompt"
        found.append(("do", action.id))
    return found


def check_keys(where: str, keys: Sequence[str]) -> None:
    """Raise LessonError for keys that a script can't press."""
    try:
        steps(keys)
    except NotPlayed as wrong:
        raise LessonError(f"{where}, keys: {wrong.args[0]}.") from None


# The clock


def planned(lesson: Lesson, number: int, target: float) -> tuple[float, float]:
    """The minutes that a lecture may take to the end of a page, and in all: as its pages say, stretched to the target where one is given.

    Where no page says any, all take alike of the target; without either, 0 and 0.
    """
    each = [page.minutes for page in lesson.pages]
    if not any(each):
        each = [target / len(each)] * len(each)
    whole = sum(each)
    stretch = target / whole if target and whole else 1.0
    return stretch * sum(each[:number]), stretch * whole


def clock_text(seconds: int, lesson: Lesson, number: int, target: float) -> str:
    """A stopwatch: the time, the whole time, and by how much one is late with this page."""
    by_now, whole = planned(lesson, number, target)
    told = minutes(seconds) + (f" of {minutes(round(60 * whole))}" if whole else "")
    late = seconds - round(60 * by_now)
    return f"{told}, {minutes(late)} late" if whole and late > 0 else told


def minutes(seconds: int) -> str:
    return f"{seconds // 60}:{seconds % 60:02}"


# Notes, in a second terminal


@dataclass(frozen=True)
class Now:
    """Where a lecture is: the lesson's name, its page, when the clock began (seconds of the epoch; 0: not yet), the minutes aimed at."""

    lesson: str
    page: int
    began: float = 0.0
    target: float = 0.0


def now_path() -> Path:
    """The file by which a lecture tells where it is. Raises FileNotFoundError where the user has no home."""
    return own_folder("XDG_STATE_HOME", "~/.local/state") / "lecture.json"


def tell(now: Now) -> None:
    """Raises OSError."""
    path = now_path()
    make_folder(path.parent)
    write_whole(path, (json.dumps({"schema": SCHEMA} | asdict(now)) + "\n").encode(), private=True)


def heard() -> Now | None:
    """Where the last lecture is, or was left; None where none told, or what is there makes no sense."""
    try:
        told = load_json(read_whole(now_path(), LARGEST), MOST)
        now = Now(**{name: told[name] for name in ("lesson", "page", "began", "target")})
        times = all(isinstance(each, int | float) for each in (now.began, now.target))
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return now if times and isinstance(now.lesson, str) and type(now.page) is int and now.page >= 1 else None


def notes(lesson: Lesson) -> str:
    """All notes of a lesson, page by page."""
    return "\n".join(page_notes(lesson, page.number) for page in lesson.pages)


def page_notes(lesson: Lesson, number: int, clock: str = "") -> str:
    """One page's notes, with its keys and what follows it."""
    page = lesson.pages[min(number, len(lesson.pages)) - 1]
    head = f"{page.number}/{len(lesson.pages)}  {page.title}"
    head += f"   {page.minutes:g} min" if page.minutes else ""
    rows = [head + (f"   {clock}" if clock else ""), *(f"  {note}" for note in page.notes)]
    rows += [f"  Keys: {' '.join(page.keys)}"] if page.keys else []
    rows += [f"  Answer: {page.answer} {page.answers[page.answer - 1]}"] if page.question else []
    following = lesson.pages[page.number].title if page.number < len(lesson.pages) else "the end"
    return "\n".join((*rows, f"  Next: {following}", ""))
