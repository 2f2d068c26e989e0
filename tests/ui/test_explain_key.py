"""i: beside the stage where there is room, over it where there isn't; it follows the reader."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.ui.harness import drive, pane_text, press, screen_text, until
from txexplain.engine.model import GPT2
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.ui.app import ExplorerApp
from txexplain.ui.explain import ExplainScreen
from txexplain.ui.options import UiOptions
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.screen import draw_screen
from txexplain.viz.views.explain import rows_of

Hand = Pilot[None]


def at(place: str) -> ExplorerState:
    return ExplorerState(location=parse(place))


def explained(app: ExplorerApp, width: int) -> list[str]:
    """What the explanation of the present place says, its rows up to the first source."""
    rows = [row.text.rstrip() for row in rows_of(app.scene(*app.size), width, 1)]
    return rows[: rows.index("")]


@pytest.mark.parametrize("size", [(100, 24), (160, 40)])
def test_i_opens_beside_the_stage_follows_and_closes(storyteller: GPT2, size: tuple[int, int]) -> None:
    async def test(app: ExplorerApp, hand: Hand) -> None:
        before, state, stage = screen_text(app), app.state, app.query_one("#stage").region
        await press(app, hand, "i")
        assert app.state == state
        assert app.query_one("#stage").region == stage
        for keys in ([], ["down"], ["right"], ["v"], ["enter"], ["escape", "escape"], ["full_stop"], ["space"]):
            await press(app, hand, *keys)
            side = app.query_one("#side", Picture)
            rows = [row[2:].rstrip() for row in pane_text(app, "side")[1:]]
            want = explained(app, side.size.width - 3)[: len(rows) - 1]
            assert rows[: len(want)] == want, keys
            assert screen_text(app)[1:-1] == draw_screen(replace(app.scene(*app.size), cost="")).text()[1:-1], keys
        await press(app, hand, "i")
        assert app.side == ""
        assert app.query_one("#panel").region.height == stage.height
        assert not any("Explain" in row for row in screen_text(app))
        assert len(before) == len(screen_text(app))

    drive(test, storyteller, at("L3H5:softmax[4,2]"), size=size)


def test_pages_and_the_wheel_scroll_the_explanation_and_nothing_else(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, hand: Hand) -> None:
        state = app.state
        await press(app, hand, "pagedown", "i")
        assert app.scroll == 0
        first = pane_text(app, "side")
        await press(app, hand, "pagedown")
        second = pane_text(app, "side")
        assert second != first
        assert any("PgUp" in row for row in second)
        side = app.query_one("#side").region
        await press(app, hand, "pageup")
        assert pane_text(app, "side") == first
        app.query_one("#side", Picture).post_message(Picture.Pointed(app.query_one("#side", Picture), None, "down", 3, 3))
        await until(hand, lambda: pane_text(app, "side") == second, "the wheel scrolls")
        assert app.query_one("#side").region == side
        assert app.state == state
        await press(app, hand, "right")  # the same kind of place: the page stays
        assert app.scroll > 0
        await press(app, hand, "escape")
        assert app.scroll == 0

    drive(test, storyteller, at("L3H5:softmax[4,2]"))


@pytest.mark.parametrize("options", [UiOptions(color="truecolor"), UiOptions(color="none", ascii=True)])
def test_in_narrow_it_opens_over_the_screen(storyteller: GPT2, options: UiOptions) -> None:
    async def test(app: ExplorerApp, hand: Hand) -> None:
        before, state = screen_text(app), app.state
        for closes in ("i", "escape"):
            await hand.press("i")
            assert isinstance(app.screen, ExplainScreen)
            await hand.pause()
            shown = screen_text(app)
            for line in explained(app, 70):
                assert sum(line in row for row in shown) == 1, line
            await hand.press("right_square_bracket", "space", "a")
            await hand.press(closes)
            assert not isinstance(app.screen, ExplainScreen)
        assert app.state == state
        assert app.side == ""
        assert screen_text(app) == before

    drive(test, storyteller, at("L3H5[4,2]"), size=(80, 24), options=options)


def test_the_page_over_the_screen_scrolls_to_its_end(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, hand: Hand) -> None:
        await hand.press("i")
        await hand.press("end")
        await until(hand, lambda: any("moved_vector" in row for row in screen_text(app)), "the end of the page")
        await hand.resize_terminal(60, 16)
        await hand.pause()
        assert isinstance(app.screen, ExplainScreen)
        assert all(len(row.rstrip()) <= 50 for row in app.screen.page(50).plain.split("\n"))

    drive(test, storyteller, at("L3H5[4,2]"), size=(80, 24))


def test_a_smaller_screen_hides_it_and_a_larger_brings_it_back(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, hand: Hand) -> None:
        def shown() -> bool:
            return bool(app.query_one("#side").display)

        await press(app, hand, "i")
        assert shown()
        await hand.resize_terminal(80, 24)
        await until(hand, lambda: not shown(), "no room")
        assert screen_text(app)[1:] == draw_screen(app.scene(80, 24)).text()[1:]
        await hand.resize_terminal(120, 36)
        await until(hand, shown, "room again")

    drive(test, storyteller, at("L2"))


def test_while_there_is_no_result_it_says_why(storyteller: GPT2) -> None:
    def broken() -> GPT2:
        raise OSError("The model is on the moon.")

    async def test(app: ExplorerApp, hand: Hand) -> None:
        await until(hand, lambda: "moon" in app.message, "the sentence")
        await hand.press("i")
        assert any("moon" in row for row in pane_text(app, "side"))

    drive(test, None, load=broken, wait=False)


def test_the_scene_of_the_pane_reads_no_clock(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, hand: Hand) -> None:
        drawn: list[Any] = []
        await press(app, hand, "i")
        show = app.query_one("#side", Picture).show
        app.query_one("#side", Picture).show = lambda canvas: (drawn.append(canvas), show(canvas))[1]  # type: ignore[method-assign]
        await press(app, hand, "right_square_bracket", "s", "x")  # nothing that this place's explanation depends on
        assert drawn == []
        await press(app, hand, "down")
        assert len(drawn) == 1

    drive(test, storyteller, at("L3H5:softmax[3,2]"))
