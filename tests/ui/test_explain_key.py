"""i: beside the stage where there is room, over it where there isn't; it follows the reader."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.covering import few
from tests.ui.harness import drive, pane_text, press, screen_text, until
from tests.ui.paper import on_paper
from txexplain.engine.model import GPT2
from txexplain.explorer.lesson import shipped_lessons
from txexplain.explorer.location import parse
from txexplain.explorer.reading import Reads
from txexplain.explorer.state import ExplorerState
from txexplain.front.options import UiOptions
from txexplain.ui.app import ExplorerApp
from txexplain.ui.explain import ExplainScreen
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.screen import paint_screen
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
            assert screen_text(app)[1:-1] == paint_screen(replace(app.scene(*app.size), cost="")).text()[1:-1], keys
        await press(app, hand, "i")
        assert app.session.side == ""
        assert app.query_one("#panel").region.height == stage.height + app.query_one("#caption").region.height
        assert not any("Explain" in row for row in screen_text(app))
        assert len(before) == len(screen_text(app))

    on_paper(test, storyteller, at("L3H5:softmax[4,2]"), size=size)


def test_pages_and_the_wheel_scroll_the_explanation_and_nothing_else(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, hand: Hand) -> None:
        state = app.state
        await press(app, hand, "pagedown", "i")
        assert app.session.scroll == 0
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
        assert app.session.scroll > 0
        await press(app, hand, "escape")
        assert app.session.scroll == 0

    drive(test, storyteller, at("L3H5:softmax[4,2]"))


@pytest.mark.parametrize("options", few([UiOptions(color="truecolor"), UiOptions(color="none", ascii=True)], lambda options: options.ascii))
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
        assert app.session.side == ""
        assert screen_text(app) == before

    drive(test, storyteller, at("L3H5[4,2]"), size=(80, 24), options=options)


def test_the_page_over_the_screen_scrolls_to_its_end(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, hand: Hand) -> None:
        await hand.press("i")
        await hand.press("end")
        await until(hand, lambda: any("temperature: " in row for row in screen_text(app)), "the end of the page")
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
        assert screen_text(app)[1:] == paint_screen(app.scene(80, 24)).text()[1:]
        await hand.resize_terminal(120, 36)
        await until(hand, shown, "room again")

    on_paper(test, storyteller, at("L2"))


def test_while_there_is_no_result_it_says_why(storyteller: GPT2) -> None:
    def broken() -> GPT2:
        raise OSError("The model is on the moon.")

    async def test(app: ExplorerApp, hand: Hand) -> None:
        await until(hand, lambda: "moon" in app.session.message, "the sentence")
        await hand.press("i")
        assert any("moon" in row for row in pane_text(app, "side"))

    on_paper(test, None, load=broken, wait=False)


def test_the_scene_of_the_pane_reads_no_clock(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, hand: Hand) -> None:
        drawn: list[Any] = []
        await press(app, hand, "i")
        show = app.query_one("#side", Picture).show
        app.query_one("#side", Picture).show = lambda canvas: (drawn.append(canvas), show(canvas))[1]  # type: ignore[method-assign]
        await press(app, hand, "right_square_bracket", "s")  # nothing that this place's explanation depends on
        assert drawn == []
        await press(app, hand, "down")
        assert len(drawn) == 1

    drive(test, storyteller, at("L3H5:softmax[3,2]"))


@pytest.mark.parametrize("size", few([((80, 24),), ((120, 36),)], lambda size: size == (120, 36)))
def test_i_explains_the_pane_that_the_keys_go_to(storyteller: GPT2, size: tuple[int, int]) -> None:
    wide = size[0] >= 100

    def shown(app: ExplorerApp) -> str:
        rows = pane_text(app, "side") if wide else screen_text(app)
        return " ".join(" ".join(rows).replace("│", " ").split())

    async def test(app: ExplorerApp, hand: Hand) -> None:
        assert app.session.distribution is not None
        await press(app, hand, "i")
        assert "L0: a block" in shown(app)
        if not wide:
            await press(app, hand, "i")
        await press(app, hand, "tab", *([] if wide else ["i"]))
        assert "The panel: what may come next" in shown(app)
        for row in explained(app, app.query_one("#side", Picture).size.width - 3 if wide else 70)[: 12 if wide else 99]:
            assert any(row in line for line in screen_text(app)), row
        if not wide:
            await press(app, hand, "i")
        await press(app, hand, "tab", "f12" if not wide else "end")
        assert app.session.pane == "prompt"
        assert "The prompt" in shown(app)
        assert "An example. Many words fit." in shown(app)  # the hint can be read again
        if not wide:
            await press(app, hand, "f12")
        assert app.session.pane == "prompt"
        assert app.session.prompt_text() == "Once upon a time there was a"  # nothing was typed
        await press(app, hand, "!", "escape", *([] if wide else ["slash", "f12"]))
        await until(hand, lambda: "An example" not in shown(app), "another text is none of the examples")

    drive(test, storyteller, size=size)


def test_an_explanation_beside_the_stage_follows_what_its_pane_shows(storyteller: GPT2) -> None:
    """A key that changes a figure of the panel changes it there, and the explanation that is clicked stays what it is."""

    async def test(app: ExplorerApp, hand: Hand) -> None:
        await press(app, hand, "i", "tab", "pagedown")
        assert app.session.scroll > 0
        for key in ("down", "]", "s", "r", "space", "u"):
            await press(app, hand, key)
            assert screen_text(app)[1:-1] == paint_screen(replace(app.scene(*app.size), cost="")).text()[1:-1], key
        assert app.session.scroll > 0
        await hand.click("#side", offset=(5, 3))
        assert app.session.pane == "side"
        assert app.session.about == "panel"
        assert app.session.scroll > 0
        await press(app, hand, "escape")
        assert (app.session.about, app.session.scroll) == ("stage", 0)

    drive(test, storyteller)


def test_in_a_lesson_i_explains_its_page_once_the_keys_go_there(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, hand: Hand) -> None:
        for keys, title in ((["i"], "L0: a block"), (["tab", "i"], "The panel"), (["tab", "i"], "The lesson: What a Transformer does")):
            await press(app, hand, *keys)
            assert isinstance(app.screen, ExplainScreen)
            assert any(title in row for row in screen_text(app))
            await press(app, hand, "escape")

    drive(test, storyteller, size=(80, 24), reads=Reads(shipped_lessons()[0]))


def test_a_hint_belongs_to_the_text_not_to_what_the_prompt_was(storyteller: GPT2) -> None:
    ids = tuple(storyteller.prompt_ids("The cat"))

    async def test(app: ExplorerApp, hand: Hand) -> None:
        scene = replace(app.scene(*app.size), about="prompt")
        assert app.state.prompt == "Once upon a time there was a"
        assert "An example" not in " ".join(row.text for row in rows_of(scene, 70))

    on_paper(test, storyteller, ExplorerState(ids=ids))
