"""Real terminals in windows that nobody sees (Xvfb): what stands on their screens, pixel by pixel, where they are installed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.windows import FOX, WINDOWS, Window, app, between, there
from txexplain.engine.model import GPT2

pytestmark = pytest.mark.long


@pytest.fixture
def new_window(tmp_path: Path) -> Iterator[Callable[..., Window]]:
    windows: list[Window] = []

    def begin(words: Sequence[str]) -> Window:
        windows.append(Window(tmp_path, words))
        return windows[-1]

    yield begin
    for window in windows:
        window.close()


@pytest.mark.parametrize("medium", WINDOWS)
def test_pictures_are_seen_in_pixels_and_gone_with_the_app(storyteller: GPT2, new_window: Callable[..., Window], medium: str) -> None:
    """By the terminal's own answer, without a flag. A dialog hides them, and after the app the window has one colour, but for a cursor."""
    program, words, off = WINDOWS[medium]
    for needed in (program, "Xvfb", "import", "xdotool"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} isn't installed")
    colours = between("model", "dark")
    assert len(colours) >= 10
    window = new_window([program, *words, *app(FOX, "--theme", "dark")])
    window.until(lambda seen: there(seen, colours, off) >= 0.8 * len(colours))
    window.press("question")
    window.until(lambda seen: there(seen, colours, off) < 0.5 * len(colours))
    window.press("Escape")
    window.until(lambda seen: there(seen, colours, off) >= 0.8 * len(colours))
    window.press("I")
    window.until(lambda seen: there(seen, colours, off) < 0.5 * len(colours))
    window.press("I")
    window.until(lambda seen: there(seen, colours, off) >= 0.8 * len(colours))
    window.press("q")
    window.until(lambda seen: len(np.unique(seen)) <= 8)
