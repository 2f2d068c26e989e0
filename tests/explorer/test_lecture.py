"""A lecture: what is covered, fills the screen or is blank; hands; the clock; the notes beside. Without a screen."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.explorer.test_session import World
from txexplain.engine.model import GPT2
from txexplain.errors import LessonError
from txexplain.explorer.lesson import Lesson, load, parse_lesson, shipped_lectures
from txexplain.explorer.reading import Reads
from txexplain.explorer.session import events as e
from txexplain.explorer.session.lessons import hands_fault
from txexplain.front.actions import ACTIONS
from txexplain.front.lecture import Now, clock_text, heard, notes, now_path, page_notes, planned, tell
from txexplain.front.shown import scene_for
from txexplain.viz.palette import Palette
from txexplain.viz.screen import layout_of, paint_screen

SIZES = [(60, 18), (80, 24), (120, 36)]
TALK = parse_lesson(
    """# A talk
+++
title = "Which?"
prompt = "Once upon a time there was a"
at = "output"
cover = ["panel"]
minutes = 2
question = "Which word?"
answers = ["duck", "king", "moon"]
answer = 3
why = "see the bars"
+++
Bet.
<!--
note: Ask them.
claim: none
-->
+++
title = "One head"
at = "L3H2"
fill = "stage"
minutes = 6
keys = ["v"]
+++
Look.
+++
title = "The end"
+++
Bye.
""",
    "talk.md",
    "talk",
)


@pytest.fixture
def talk(storyteller: GPT2) -> World:
    world = World(storyteller, reads=Reads(TALK, lecture=True))
    world.settle()
    return world


def screen(world: World, size: tuple[int, int] = (80, 24)) -> str:
    return "\n".join(paint_screen(scene_for(world.session, Palette(), size, ACTIONS)).text())


def panes(world: World, size: tuple[int, int] = (80, 24)) -> set[str]:
    return set(layout_of(scene_for(world.session, Palette(), size, ACTIONS)))


@pytest.mark.parametrize("size", SIZES)
def test_a_covered_panel_gives_nothing_away_until_it_is_uncovered(talk: World, size: tuple[int, int]) -> None:
    assert "covered" in screen(talk, size)
    assert "12.8%" not in screen(talk, size)
    assert "poor" not in screen(talk, size)
    talk.press("cover")
    assert "12.8%" in screen(talk, size)
    assert "poor" in screen(talk, size)


def test_the_pane_of_the_keys_is_covered_and_the_next_page_begins_uncovered(talk: World) -> None:
    talk.press("cover", "next_pane", "cover")
    assert talk.session.covered == {"panel"}
    talk.press("cover", "next_pane", "cover")
    assert "Which word?" not in screen(talk)
    talk.press("lesson_on")
    assert talk.session.covered == frozenset()


@pytest.mark.parametrize("size", SIZES)
def test_one_pane_fills_the_screen_and_goes_back(talk: World, size: tuple[int, int]) -> None:
    before = panes(talk, size)
    talk.press("fill")
    assert panes(talk, size) == {"prompt", "stage", "footer"}
    talk.press("next_pane")
    assert panes(talk, size) == {"prompt", "panel", "footer"}
    talk.press("next_pane")
    assert panes(talk, size) == {"side", "footer"}
    assert "Which word?" in screen(talk, size)
    talk.press("fill")
    assert panes(talk, size) == before


def test_what_fills_the_screen_says_that_it_is_old(talk: World) -> None:
    """The header, which says so else, isn't there."""
    talk.press("fill")
    for _ in ("stage", "panel", "side"):
        assert "computing" not in screen(talk)
        fresh = talk.session
        talk.happen(e.Typed("Two old kings"))
        assert talk.session.running
        assert "computing" in screen(talk)
        talk.session = fresh
        talk.press("next_pane")


def test_a_page_says_what_fills_the_screen_and_the_next_one_has_all(talk: World) -> None:
    talk.press("lesson_on")
    talk.settle()
    assert panes(talk) == {"prompt", "stage", "footer"}
    talk.press("lesson_on")
    talk.settle()
    assert "side" in panes(talk)
    talk.press("fill", "lesson_back", "lesson_back")
    talk.settle()
    assert not talk.session.fills


def test_nothing_is_shown_until_any_key_which_does_nothing_else(talk: World) -> None:
    before = screen(talk)
    talk.press("blank")
    assert screen(talk).split() == []
    talk.press("lesson_on")
    assert (screen(talk), talk.session.reader.number) == (before, 1)


@pytest.mark.parametrize("size", SIZES)
def test_hands_are_bars_beside_the_answers_and_are_taken_back(talk: World, size: tuple[int, int]) -> None:
    talk.press("hands")
    assert talk.shown[-1] == "hands"
    talk.press("next_pane", "next_pane", "fill")
    talk.happen(e.Digit("3"), e.Raised((12, 25, 3)))
    rows = [row for row in screen(talk, size).split("\n") if " of 40" in row]
    assert [row.split()[-3] for row in rows] == ["12", "25", "3"]
    lengths = [row.count("█") for row in rows]
    assert sorted(lengths) == [lengths[2], lengths[0], lengths[1]]
    talk.press("lesson_on", "lesson_back")  # they stay with their page
    talk.settle()
    assert " of 40" in screen(talk, size)
    talk.happen(e.Raised(()))
    assert talk.session.reader.asks
    assert " of 40" not in screen(talk, size)


def test_what_is_typed_for_hands_is_a_number_for_each_answer(talk: World) -> None:
    assert [hands_fault(talk.session, text) for text in ("", "1 2 3", "1, 2, 3")] == ["", "", ""]
    assert "2 numbers" in hands_fault(talk.session, "1 2")
    assert "Type a number" in hands_fault(talk.session, "1 2 x")


def test_hands_are_a_lectures_and_a_page_is_picked_from_all(storyteller: GPT2, talk: World) -> None:
    other = World(storyteller, reads=Reads(TALK))
    other.settle()
    other.press("hands")
    assert (other.shown, other.said[-1]) == ([], "Hands are counted in a lecture: start with --lecture.")
    talk.press("pages")
    assert talk.shown == ["pages"]
    talk.happen(e.PagePicked(3))
    assert talk.session.reader.number == 3
    talk.press("hands")
    assert talk.said[-1] == "This page asks nothing."


def test_the_notes_hear_of_each_page_once(talk: World) -> None:
    talk.press("lesson_on", "right", "lesson_on", "lesson_view")
    assert [effect.page for effect in talk.asked if isinstance(effect, e.Tell)] == [1, 2, 3]


def test_the_clock_tells_the_plan_and_by_how_much_one_is_late() -> None:
    assert planned(TALK, 1, 0) == (2, 8)
    assert planned(TALK, 2, 16) == (16, 16)
    assert clock_text(65, TALK, 1, 0) == "1:05 of 8:00"
    assert clock_text(150, TALK, 1, 0) == "2:30 of 8:00, 0:30 late"
    assert clock_text(150, TALK, 1, 16) == "2:30 of 16:00"
    plain = replace(TALK, pages=tuple(replace(page, minutes=0.0) for page in TALK.pages))
    assert clock_text(65, plain, 1, 0) == "1:05"
    assert clock_text(65, plain, 1, 3) == "1:05 of 3:00, 0:05 late"


def test_notes_have_what_the_lecturer_needs() -> None:
    first = page_notes(TALK, 1, "1:05 of 8:00")
    assert first == "1/3  Which?   2 min   1:05 of 8:00\n  Ask them.\n  Answer: 3 moon\n  Next: One head\n"
    assert "Keys: v" in page_notes(TALK, 2)
    assert notes(TALK).count("Next:") == 3


def test_where_a_lecture_is_is_heard_whatever_stands_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert heard() is None
    now = Now("talk", 2, 1e9, 45.0)
    tell(now)
    assert heard() == now
    whole, chance = now_path().read_bytes(), random.Random(0)
    for _ in range(200):
        spoiled = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            spoiled[chance.randrange(len(spoiled))] = chance.choice(b'{}[]",:019axn\xff')
        now_path().write_bytes(spoiled[: chance.randrange(len(spoiled) + 1)])
        found = heard()
        assert found is None or found.page >= 1


@pytest.mark.parametrize(
    ("key", "value"), [("cover", '"panel"'), ("cover", '["bars"]'), ("fill", '"prompt"'), ("minutes", "0"), ("minutes", "true")]
)
def test_what_a_page_says_for_a_lecture_is_checked(key: str, value: str) -> None:
    with pytest.raises(LessonError, match=f"x.md, page 1, {key}: it must be"):
        parse_lesson(f"+++\ntitle = 'a'\nprompt = 'b'\n{key} = {value}\n+++\n", "x.md")


def lectures() -> list[Lesson]:
    return [load(str(path)) for path in shipped_lectures()]


@pytest.mark.parametrize("lecture", lectures(), ids=lambda lecture: lecture.name)
def test_a_shipped_script_takes_45_minutes_with_notes_keys_and_questions(lecture: Lesson) -> None:
    assert planned(lecture, len(lecture.pages), 0)[1] == 45
    assert all(page.minutes and page.notes for page in lecture.pages)
    assert sum(bool(page.keys) for page in lecture.pages) >= 4
    assert sum(bool(page.question) for page in lecture.pages) >= 3
    assert any(page.cover for page in lecture.pages)


def test_two_scripts_come_with_it() -> None:
    assert [lecture.name for lecture in lectures()] == ["lecture-attention", "lecture-sampling"]
