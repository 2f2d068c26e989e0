"""What a pane keeps out of its lines' way to the terminal, and what it may not."""

from __future__ import annotations

import numpy as np
import pytest
from rich.terminal_theme import SVG_EXPORT_THEME
from textual.color import Color
from textual.filter import ANSIToTruecolor
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget

from tests.covering import few
from tests.ui.harness import ONCE, drive, press
from txexplain.engine.model import GPT2
from txexplain.explorer.state import ExplorerState
from txexplain.front.options import UiOptions
from txexplain.ui.app import ExplorerApp
from txexplain.ui.inks import Inks
from txexplain.ui.terminal.base import ONLY_TEXT
from txexplain.ui.terminal.visible import OnlyText
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.canvas import DIM


@pytest.mark.parametrize("theme", few(["dark", "light"], lambda theme: theme == "light"))
def test_true_colours_need_no_translation(storyteller: GPT2, theme: str) -> None:
    """Leaving out Textual's filter for the terminal's own colours changes nothing, also where a result is old."""
    filter = ANSIToTruecolor(SVG_EXPORT_THEME)

    async def look(app: ExplorerApp, pilot: Pilot[None]) -> None:
        for keys in (["enter"], ["enter"], ["enter"], ["a"], ["f"], ["question_mark"], ["escape"]):
            await press(app, pilot, *keys)
            for picture in app.screen_stack[0].query(Picture):
                canvas = picture.canvas
                if not picture.display or canvas is None:
                    continue
                canvas.fade(0.5)
                assert not (canvas.attrs & DIM).any()
                assert np.all(canvas.fg >= 0)
                for line in canvas.lines(range(canvas.height)):
                    assert filter.apply(line, Color(7, 8, 9)) == line

    drive(look, storyteller, ExplorerState(prompt=ONCE), options=UiOptions(color="truecolor", theme=theme))


@pytest.mark.parametrize("colour", ["truecolor", "256", "16", "none"])
def test_every_other_filter_stays(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch, colour: str) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def look(app: ExplorerApp, pilot: Pilot[None]) -> None:
        filters, whole = app.query_one("#stage", Picture).get_line_filters(), app.get_line_filters()
        assert any(isinstance(each, OnlyText) for each in filters)
        assert ONLY_TEXT in whole
        assert len(whole) >= 2
        assert any(isinstance(each, ANSIToTruecolor) for each in whole) is (colour in ("truecolor", "256"))
        assert any(isinstance(each, Inks) for each in whole) is (colour != "truecolor")
        turning = (ANSIToTruecolor, Inks, OnlyText)
        assert [each for each in whole if each not in filters] == [each for each in whole if isinstance(each, turning)]

    drive(look, storyteller, ExplorerState(prompt=ONCE), options=UiOptions(color=colour))


@pytest.mark.parametrize(
    ("colour", "filtered"),
    few([("truecolor", False), ("truecolor", True), ("16", False), ("none", False)], lambda colour, filtered: filtered or colour == "16"),
)
def test_rows_are_what_textual_itself_would_make_of_them(
    storyteller: GPT2, monkeypatch: pytest.MonkeyPatch, colour: str, filtered: bool
) -> None:
    """The way past Textual's styles, which a picture has none of, changes nothing: whole, cut, filtered, and after changes."""
    if filtered:
        monkeypatch.setenv("NO_COLOR", "1")

    async def look(app: ExplorerApp, pilot: Pilot[None]) -> None:
        for keys in ([], ["enter"], ["enter", "enter"], ["down", "right"], ["right_square_bracket"], ["escape"]):
            await press(app, pilot, *keys)
            for picture in app.query(Picture):
                width, height = picture.size
                if not picture.display or picture.canvas is None:
                    continue
                assert (picture.canvas.width, picture.canvas.height) == (width, height)
                for crop in (Region(0, 0, width, height), Region(3, height // 2, width - 5, height - height // 2)):
                    own = [list(strip) for strip in picture.render_lines(crop)]
                    picture._styles_cache.clear()
                    assert own == [list(strip) for strip in Widget.render_lines(picture, crop)]
                    assert any("".join(segment.text for segment in row).strip() for row in own) or crop.height < height

    drive(look, storyteller, ExplorerState(prompt=ONCE), options=UiOptions(color=colour))
