"""How far lessons are read, kept from one start to the next; and the first screen of who has read none."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.explorer.test_session import LESSON, World
from txexplain.engine.model import GPT2
from txexplain.explorer.lesson import shipped_lessons
from txexplain.explorer.reading import Bookmark, Reads
from txexplain.explorer.session import events as e
from txexplain.front.actions import ACTIONS
from txexplain.front.progress import Progress, progress_path, read_progress, write_progress
from txexplain.front.shown import scene_for
from txexplain.viz.palette import Palette
from txexplain.viz.screen import paint_screen

FIRST, SECOND = shipped_lessons()[:2]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_what_is_kept_is_read_again() -> None:
    assert read_progress() == Progress()
    marks = {FIRST: Bookmark(3, {3: 2}), SECOND: Bookmark(5, {})}
    write_progress(marks, SECOND)
    assert read_progress() == Progress(marks, SECOND)
    assert progress_path().stat().st_mode & 0o077 == 0  # for the reader's own eyes


def test_two_sessions_keep_what_each_has_read() -> None:
    write_progress({FIRST: Bookmark(3)}, FIRST)
    write_progress({SECOND: Bookmark(2)}, SECOND)
    assert {lesson.name: mark.page for lesson, mark in read_progress().bookmarks.items()} == {FIRST.name: 3, SECOND.name: 2}


def test_a_lesson_of_ones_own_is_not_kept() -> None:
    write_progress({LESSON: Bookmark(2)}, LESSON)
    assert not progress_path().exists()


def test_whatever_stands_in_the_file_the_rest_is_read() -> None:
    write_progress({FIRST: Bookmark(3, {3: 2})}, FIRST)
    whole = progress_path().read_bytes()
    chance = random.Random(0)
    for _ in range(200):
        spoiled = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            spoiled[chance.randrange(len(spoiled))] = chance.choice(b'{}[]",:0129axn\xff')
        progress_path().write_bytes(spoiled[: chance.randrange(len(spoiled) + 1)])
        for lesson, mark in read_progress().bookmarks.items():
            assert 1 <= mark.page <= len(lesson.pages)
            assert all(1 <= answer <= len(lesson.pages[page - 1].answers) for page, answer in mark.given.items())


@pytest.mark.parametrize(
    ("told", "page", "given"),
    [
        ({"page": 99, "answers": {"3": 9, "1": 1, "x": 1, "3.0": 1}}, 1, {}),
        ({"page": True, "answers": []}, 1, {}),
        ([], 1, {}),
        ({"page": 4, "answers": {"3": 1, "99": 1}}, 4, {3: 1}),
    ],
)
def test_what_a_lesson_lacks_is_left_out(told: object, page: int, given: dict[int, int]) -> None:
    progress_path().parent.mkdir(parents=True)
    progress_path().write_text(json.dumps({"schema": "txexplain-progress/1", "last": 7, "lessons": {FIRST.name: told, "gone": {}}}))
    found = read_progress()
    assert dict(found.bookmarks) == {FIRST: Bookmark(page, given)}
    assert found.last is None


def kept(world: World) -> list[e.KeepPlace]:
    return [effect for effect in world.asked if isinstance(effect, e.KeepPlace)]


def test_pages_and_answers_are_kept_as_one_reads(storyteller: GPT2) -> None:
    world = World(storyteller, reads=Reads(keeps=True, bookmarks={FIRST: Bookmark(2), SECOND: Bookmark(4)}, last=SECOND))
    world.settle()
    assert kept(world) == []
    world.happen(e.LessonPicked(0))
    world.settle()
    assert world.session.reader.number == 2  # where it was left
    world.press("lesson_on")
    world.settle()
    world.happen(e.Digit("2"))
    last = kept(world)[-1]
    assert (dict(last.bookmarks), last.last) == ({FIRST: Bookmark(3, {3: 2})}, FIRST)
    world.press("lesson_back")
    assert kept(world)[-1].bookmarks[FIRST].page == 2  # back where this session began, and yet to be kept


def test_nothing_is_kept_of_a_lecture_or_a_guest(storyteller: GPT2) -> None:
    for reads in (Reads(), Reads(FIRST, lecture=True)):
        world = World(storyteller, reads=reads)
        world.settle()
        world.happen(e.LessonPicked(0))
        world.settle()
        world.press("lesson_on")
        assert kept(world) == []


def screen(world: World, size: tuple[int, int]) -> str:
    return "\n".join(paint_screen(scene_for(world.session, Palette(), size, ACTIONS)).text())


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (100, 30), (120, 36)])
def test_the_first_screen_says_what_this_is_and_one_key_begins(storyteller: GPT2, size: tuple[int, int]) -> None:
    world = World(storyteller, reads=Reads(keeps=True, welcome=True))
    world.settle()
    seen = screen(world, size)
    assert "GPT-2" in seen
    assert "50,257" in seen
    assert "t begins" in seen
    world.press("right", "help")  # what only looks around leaves it there
    assert "t begins" in screen(world, size)
    world.press("lessons")
    session = world.settle()
    assert (session.reader.lesson, session.reader.number, session.reader.open) == (FIRST, 1, True)


def test_another_key_acts_at_once_and_the_welcome_goes(storyteller: GPT2) -> None:
    world = World(storyteller, reads=Reads(welcome=True))
    world.settle()
    session = world.press("enter")
    assert str(session.state.location) != "model"
    assert session.beside == ""
    other = World(storyteller, reads=Reads(welcome=True))
    other.settle()
    assert str(other.press("out").state.location) == "model"
    assert other.session.beside == ""
