"""The atlas and the jump field, by keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.covering import few
from tests.ui.harness import drive, expected_text, fresh, pane_text, press, said, screen_text, until
from tests.ui.paper import on_paper
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.explorer.lesson import shipped_lessons
from txexplain.explorer.location import parse
from txexplain.explorer.reading import Reads
from txexplain.explorer.state import ExplorerState
from txexplain.ui.app import ExplorerApp
from txexplain.ui.jump import JumpScreen

App, Hand = ExplorerApp, Pilot[None]
TEXT = "Once upon a time there was a cat. Once upon a time"


def at(place: str, text: str = TEXT) -> ExplorerState:
    return ExplorerState(prompt=text, location=parse(place))


def place(app: App) -> str:
    return str(app.state.location)


def order(model: GPT2, name: str, least: float = 0) -> list[str]:
    values = Result(fresh(model, TEXT), model).measures.of(name)
    heads = [(-values[i, j], i, j) for i in range(6) for j in range(8) if values[i, j] >= least]
    return [f"{i}.{j}" for _, i, j in sorted(heads)]


def field(app: App) -> str:
    return app.screen.query_one(Input).value


def test_v_sorts_c_cuts_and_arrows_go_along(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "v", "v")
        by = order(storyteller, "previous")
        assert place(app) == f"heads:previous[{by[0]}]", "a sorted atlas begins at its first head"
        assert screen_text(app) == expected_text(app, storyteller, (120, 36))
        columns = app.columns()
        assert columns > 1
        await press(app, hand, "down", "down", "right", "up", "left", "right")
        assert place(app) == f"heads:previous[{by[columns + 1]}]"
        await press(app, hand, "c", "c")
        assert app.state.location.least == 25
        reach = order(storyteller, "previous", 0.25)
        assert 0 < len(reach) < 48
        assert any(f"{len(reach)} of 48" in line for line in pane_text(app, "stage"))
        assert app.session.dims().order == tuple(8 * int(each[0]) + int(each[2]) for each in reach)
        await press(app, hand, "c")
        shown = order(storyteller, "previous", 0.5)
        await press(app, hand, "right")  # from a head that may be cut to the first that isn't, or on
        head = f"{app.state.location.block}.{app.state.location.head}"
        assert head in shown
        assert screen_text(app) == expected_text(app, storyteller, (120, 36))
        await press(app, hand, "enter")
        assert place(app) == "L{}H{}".format(*head.split("."))
        await press(app, hand, "escape")
        assert place(app) == f"heads:previous.50[{head}]"
        await press(app, hand, "c", "v", "v", "v", "v")
        assert app.state.location.face is None

    on_paper(test, storyteller, at("heads"))


def test_a_measure_without_occasion_says_so(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        assert any("no token comes twice in this prompt" in line for line in pane_text(app, "stage"))
        await press(app, hand, "down", "c")
        assert place(app) == "heads:induction.10[2.3]"

    on_paper(test, storyteller, at("heads:induction[2.3]", "Once upon a time"), size=(80, 24))


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
def test_a_digit_opens_the_field_and_enter_opens_the_head(storyteller: GPT2, size: tuple[int, int]) -> None:
    async def test(app: App, hand: Hand) -> None:
        before = screen_text(app)
        await hand.press("5")
        assert isinstance(app.screen, JumpScreen)
        await hand.press("full_stop", "0")
        assert field(app) == "5.0"
        lines = screen_text(app)
        row = next(y for y, line in enumerate(lines) if "go to 5.0" in " ".join(line.split()))
        assert lines[: row - 1] == before[: row - 1]
        assert lines[-1] == before[-1]
        assert "5.7" in lines[row + 1]
        await hand.press("enter")
        await hand.pause()
        assert place(app) == "L5H0@3"
        assert app.state.temperature == 1.5
        await press(app, hand, "escape")
        assert place(app) == "heads:first[5.0]@3"
        shut = screen_text(app)
        await hand.press("1", "escape")
        await hand.pause()
        assert place(app) == "heads:first[5.0]@3"
        assert screen_text(app) == shut

    drive(test, storyteller, replace(at("heads:first@3"), temperature=1.5), size=size)


def test_the_field_lies_on_the_stage_beside_or_above_a_lesson(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        for size in ((80, 24), (120, 36), (90, 40)):
            await hand.resize_terminal(*size)
            await hand.pause()
            lesson = pane_text(app, "side")
            await press(app, hand, "J")
            await hand.pause()
            assert pane_text(app, "side") == lesson, size
            stage = app.query_one("#stage").region
            assert any("go to" in line for line in pane_text(app, "stage")[stage.height - 3 :]), size
            await press(app, hand, "escape")

    drive(test, storyteller, size=(80, 24), reads=Reads(shipped_lessons()[1]))


def test_what_is_not_there_is_said_and_the_text_stays(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await hand.press("9", "full_stop", "1", "enter")
        await hand.pause()
        assert isinstance(app.screen, JumpScreen)
        assert field(app) == "9.1"
        assert any("storyteller has blocks L0 to L5." in line for line in screen_text(app))
        for _ in range(3):
            await hand.press("backspace")
        await hand.press("2", "space", "3", "enter")
        await hand.pause()
        assert place(app) == "L2H3"

    drive(test, storyteller, at("heads"), size=(80, 24))


@pytest.mark.parametrize(
    ("start", "keys", "end"),
    few(
        [
            ("embed@2", "300", "embed[255]@2"),
            ("embed@2", "30", "embed[30]@2"),
            ("L2.qkv", "17,300", "L2.qkv[17,300]"),
            ("L2.mlp", "417", "L2.mlp:post[417]"),
            ("L2.mlp[3]", "40", "L2.mlp[40]"),
            ("heads", "JL0H3", "L0H3"),
            ("model@4", "J0.3", "L0H3@4"),
            ("L1H2", "Joutput", "output"),
        ],
        lambda start, *_: start in ("L2.qkv", "L2.mlp[3]", "model@4"),
    ),
)
def test_numbers_and_places_lead_where_they_say(storyteller: GPT2, start: str, keys: str, end: str) -> None:
    names = {",": "comma", ".": "full_stop"}

    async def test(app: App, hand: Hand) -> None:
        await hand.press(*(names.get(key, key) for key in keys), "enter")
        await hand.pause()
        if "300" in keys and start.startswith("embed"):
            assert any("the vector's elements go from 0 to 255." in line for line in screen_text(app))
            assert place(app) == start
        else:
            assert place(app) == end

    drive(test, storyteller, at(start))


def test_digits_do_nothing_where_numbers_name_nothing_and_0_is_the_temperature(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "7", "right_square_bracket")
        assert len(app.screen_stack) == 1
        assert app.state.temperature == 1.1
        await press(app, hand, "a", "0")
        assert app.state.temperature == 1.0
        assert len(app.screen_stack) == 1
        await press(app, hand, "tab", "5")  # the candidates have the focus
        assert len(app.screen_stack) == 1

    drive(test, storyteller, at("L1H2"))


def test_a_long_measurement_is_waited_for_off_the_keys_path(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("txexplain.engine.derive.SWIFT", 0)

    async def test(app: App, hand: Hand) -> None:
        assert app.result is not None
        assert "measures" not in app.result.__dict__
        with app.work.turns:
            await hand.press("a", "v")
            await until(hand, lambda: place(app) == "heads:self", "the sorted atlas")
            assert any("Measuring all 48 heads" in line for line in pane_text(app, "stage"))
            assert app.session.dims().order is None
        await until(hand, lambda: app.result is not None and app.result.measured, "the measures")
        await until(hand, lambda: not any("Measuring" in line for line in pane_text(app, "stage")), "the sorted heads")
        assert screen_text(app) == expected_text(app, storyteller, (120, 36))
        assert not said(app)

    drive(test, storyteller, at("model"))
