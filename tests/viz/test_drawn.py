"""Which of the prompt's tokens were drawn shows without any colour."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.viz.reading import scene_at
from txexplain.engine.derive import Result
from txexplain.engine.surprisal import Surprise, surprisal
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.views.surprisal import paint_prompt_pane

SIZES = {"one row": (120, 3), "several rows": (40, 8), "many rows": (30, 4)}


@pytest.fixture(scope="module")
def known(story_result: Result) -> tuple[Surprise | None, ...]:
    return surprisal(story_result.trace, story_result.weights().unembedding)


def pane(
    result: Result, drawn: int, size: tuple[int, int], strip: tuple[Surprise | None, ...] | None, *, ascii: bool, token: int
) -> Canvas:
    ids = result.trace.ids
    appended = ("drawn",) * drawn
    scene = scene_at(result, f"model@{token}", size, Palette("dark", "none", ascii=ascii), ids=ids, appended=appended)
    return paint_prompt_pane(replace(scene, surprisal=strip))


@pytest.mark.parametrize("ascii", [False, True], ids=["unicode", "ascii"])
@pytest.mark.parametrize("strip", [False, True], ids=["no strip", "strip"])
@pytest.mark.parametrize("size", SIZES)
def test_a_mark_stands_before_each_drawn_token_and_before_no_other(
    story_result: Result, known: tuple[Surprise | None, ...], size: str, strip: bool, ascii: bool
) -> None:
    n, mark, seen = story_result.trace.n_tokens, "!" if ascii else "┊", set[bool]()
    for drawn in (0, 1, 9, n):
        for token in (0, n - 5, n - 1):
            canvas = pane(story_result, drawn, SIZES[size], known if strip else None, ascii=ascii, token=token)
            drawn_ones = sum(isinstance(hit.target, tuple) and hit.target[1] >= n - drawn for hit in canvas.hits)
            for hit in canvas.hits:
                note = canvas.text()[hit.y].find(" rows ")
                if not isinstance(hit.target, tuple) or 0 <= note < hit.x + 1:
                    continue  # it covers the mark, or the token too
                before = {canvas.chars[hit.y, hit.x - 1], canvas.chars[hit.y, hit.x]}
                assert (mark in before) == (hit.target[1] >= n - drawn), (hit, drawn)
                seen.add(mark in before)
            assert sum(row.count(mark) for row in canvas.text()) <= drawn_ones, "the mark means nothing else"
    assert seen == {True, False}


def test_the_strip_between_tokens_covers_no_mark(story_result: Result, known: tuple[Surprise | None, ...]) -> None:
    """There each token's height stands in place of the line behind it."""
    n = story_result.trace.n_tokens
    plain, marked = (pane(story_result, drawn, SIZES["many rows"], known, ascii=False, token=n - 1).text() for drawn in (0, n))
    assert plain != marked
    assert sum(row.count("┊") for row in marked) >= 3
    assert any(" rows " in row for row in plain), "nor the note of what is hidden"
