"""A lesson's Markdown: which looks its spans have, how its blocks lie in rows, and that no text costs more than its length says."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from txexplain.engine.derive import Result
from txexplain.explorer.lesson import LONGEST_PAGE, parse_lesson
from txexplain.explorer.state import ExplorerState
from txexplain.front.lessons import read
from txexplain.front.scenes import scene_of
from txexplain.text import cell_width
from txexplain.viz import live, markdown
from txexplain.viz.markdown import CODE, LIVE, PLAIN, QUIET, SLANTED, STRONG, Run, inline, laid_out, parsed, wrap
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.viz.screen import paint_screen
from txexplain.viz.views.lesson import overflow

HOSTILE = (
    "[", "![", "`", "*", "**a ", "*a ", "**a*b", "*a [b", "[a](", "[a](b ", "`a``b", "```\n", "- ", "- a\n", "* a\n - b\n", "1) ", "# ",
    "a\n\n", "\\", "\\[", "{{", "<a ", "&", "_a ", "x", "é", "日", "a\u0301", "\u0301",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("a *b* **c** `d`", [("a ", PLAIN), ("b", SLANTED), (" ", PLAIN), ("c", STRONG), (" ", PLAIN), ("d", CODE)]),
        ("**a *b* `c`**", [("a ", STRONG), ("b", SLANTED), (" ", STRONG), ("c", CODE)]),
        ("[a **b**](http://x/é?a=1&b)", [("a ", PLAIN), ("b", STRONG), (" (http://x/é?a=1&b)", QUIET)]),
        ("[a](javascript:x)", [("a", PLAIN), (" (javascript:x)", QUIET)]),  # shown, as every address, and never opened
        ("2 * 3 * 4, a_b_c, <b>x</b>, &amp;", [("2 * 3 * 4, a_b_c, <b>x</b>, &amp;", PLAIN)]),
        (r"\*a\* \x", [(r"*a* \x", PLAIN)]),
        ("![a](b)", [("!", PLAIN), ("a", PLAIN), (" (b)", QUIET)]),
    ],
)
def test_spans_and_their_looks(text: str, runs: list[tuple[str, str]]) -> None:
    assert [(run.text, run.look) for run in inline(text)] == runs


def test_blocks_lie_in_rows_with_an_empty_one_where_the_text_has_one() -> None:
    text = "# A *head*\none\ntwo\n\n\n- a\n- b c\n  d\n2) e\n\nlast\n```\n x  y\n\nz\n```"
    rows = laid_out(text, (), 6)
    assert ["".join(run.text for run in row).replace("\xa0", " ") for row in rows] == [
        "A head", "one", "two", "", "• a", "• b c", "  d", "2) e", "", "last", " x  y", " ", "z",
    ]  # fmt: skip
    assert rows[0] == (Run("A", STRONG), Run(" ", PLAIN), Run("head", SLANTED))


def test_a_line_of_code_has_its_live_values_and_is_cut_at_the_width() -> None:
    text, lives = markdown.marked("```\na {T} b{seed}cd\n```")
    assert [each.name for each in lives] == ["T", "seed"]
    assert laid_out(text, ("0.5", "7"), 9) == ((Run("a ", CODE), Run("0.5", LIVE), Run(" b", CODE), Run("7", LIVE), Run("c", CODE)),)


@pytest.mark.parametrize("text", ["日本" * 9, "a\u0301" * 30, "x" * 31, "日x" * 9])
def test_a_word_that_no_row_can_hold_is_broken_and_nothing_of_it_lost(text: str) -> None:
    for width in (1, 2, 7):
        rows = wrap([Run("ab "), Run(text), Run(text, STRONG)], width)
        assert "".join(run.text for row in rows for run in row).replace(" ", "") == "ab" + 2 * text
        for row in rows:
            assert sum(cell_width(run.text) for run in row) <= width or (width == 1 and len("".join(run.text for run in row)) == 1)


def steps(text: str, width: int) -> int:
    """How many calls of a function a text costs."""
    count: Counter[str] = Counter()

    def called(frame: FrameType, event: str, argument: Any) -> None:
        count[event] += 1

    for kept in (parsed, laid_out):
        kept.cache_clear()
    sys.setprofile(called)
    try:
        laid_out(text, (), width)
    finally:
        sys.setprofile(None)
    return count["call"] + count["c_call"]


@pytest.mark.parametrize("part", HOSTILE)
def test_a_text_costs_what_its_length_says(part: str) -> None:
    steps("a *b*", 36)
    short, long = (steps((part * n)[:n], 36) for n in (400, 1600))
    assert long < 8 * short + 2000, "four times the text"


def lesson_scene(result: Result, body: str, **front: str) -> Scene:
    told = "".join(f"{key} = {value}\n" for key, value in front.items())
    lesson = parse_lesson(f'+++\ntitle = "{{tokens}} tokens"\nprompt = "x"\n{told}+++\n{body}\n')
    state, reading = read(lesson, lesson.pages[0], ExplorerState(), result, Palette())
    return scene_of(state, Palette(), (120, 36), result, distribution=reading.distribution, side="lesson", reading=reading)


def test_what_a_page_says_is_computed_once_for_a_run_and_setting(story_result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock draws the page every second, and each scroll asks how much there is to scroll."""
    done: list[str] = []
    plain = live.computed
    monkeypatch.setattr(live, "computed", lambda value, scene: done.append(str(value)) or plain(value, scene))
    scene = lesson_scene(
        story_result, "{bits 1} {bits 1} {head induction} {entropy}\n\n- {cell induction 3,1}", highlight='"{head induction}"'
    )
    done.clear()
    paint_screen(scene)
    first = Counter(done)
    assert max(first.values()) == 1
    for second in range(3):
        assert scene.reading is not None
        paint_screen(replace(scene, reading=replace(scene.reading, clock=f"0:0{second}", scroll=second)))
        overflow(scene)
    assert Counter(done) == first
    warm = replace(scene, state=replace(scene.state, temperature=0.5))
    paint_screen(warm)
    assert max(Counter(done).values()) == 2, "another setting says other values"


def test_a_page_that_stays_is_laid_out_once(story_result: Result) -> None:
    scene = lesson_scene(story_result, "*a* " * (LONGEST_PAGE // 4 - 10))
    paint_screen(scene)
    before = (parsed.cache_info().misses, laid_out.cache_info().misses)
    for second in range(3):
        assert scene.reading is not None
        paint_screen(replace(scene, reading=replace(scene.reading, clock=f"0:0{second}", scroll=second)))
    assert (parsed.cache_info().misses, laid_out.cache_info().misses) == before
