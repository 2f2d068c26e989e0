"""The zoom's frames: few, of one size, and the true picture last."""

from __future__ import annotations

from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.zoom import FRAMES, box_of, frames


def picture() -> Canvas:
    canvas = Canvas(40, 12, Palette())
    canvas.put(3, 4, "here", "text")
    canvas.target(3, 4, 4, 1, "a")
    canvas.target(3, 6, 8, 2, "a")
    return canvas


def test_a_target_is_found_with_all_that_answers_for_it() -> None:
    assert box_of(picture(), "a") == (3, 4, 8, 4)
    assert box_of(picture(), "b") is None


def test_at_most_three_frames_the_last_the_picture_itself() -> None:
    canvas = picture()
    for grow in (True, False):
        shown = frames(canvas, (3, 4, 8, 4), grow=grow)
        assert len(shown) <= FRAMES == 3
        assert shown[-1] is canvas
        assert all((frame.width, frame.height) == (40, 12) for frame in shown)


def test_the_rectangle_grows_inwards_and_shrinks_outwards() -> None:
    canvas = picture()

    def top(frame: Canvas) -> int:
        return next(y for y, line in enumerate(frame.text()) if "┌" in line)

    grown = [top(frame) for frame in frames(canvas, (10, 8, 6, 3), grow=True)[:-1]]
    shrunk = [top(frame) for frame in frames(canvas, (10, 8, 6, 3), grow=False)[:-1]]
    assert grown == shrunk[::-1] == sorted(grown, reverse=True)
    assert grown[0] != grown[1]
