"""The terminal's cursor stands at what is selected: what a screen reader reads, a braille line shows, and a magnifier follows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyte
import pytest
from textual.command import CommandList, SearchIcon
from textual.pilot import Pilot
from textual.widgets import Input

from tests.covering import few
from tests.ui.harness import COLOURS, press, until
from tests.ui.recorder import Recorded, record
from txexplain.engine.model import GPT2
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.config import Config, ConfigError, read_config
from txexplain.ui.choose import ChooseScreen
from txexplain.viz.palette import Palette

SIZE = (120, 36)
FOX = "The little fox lost her red ball. She looked everywhere for her red"


class Seen:
    """The terminal of an app, and what stands at its cursor."""

    def __init__(self, app: Recorded) -> None:
        self.app, self.read = app, 0
        self.screen = pyte.Screen(*SIZE)
        self.stream = pyte.Stream(self.screen)

    def at(self) -> tuple[int, int, str]:
        """The cursor's row and column, and the row's text from there on."""
        self.stream.feed("".join(self.app.written[self.read :]))
        self.read = len(self.app.written)
        y, x = self.screen.cursor.y, self.screen.cursor.x
        return y, x, self.screen.display[y][x:]


async def at(app: Recorded, pilot: Pilot[None], seen: Seen, *keys: str) -> tuple[int, int, str]:
    await press(app, pilot, *keys)
    await pilot.pause()
    return seen.at()


@pytest.mark.parametrize("options", few([COLOURS, replace(COLOURS, color="none", ascii=True)], lambda options: options == COLOURS))
def test_the_cursor_follows_the_selection(storyteller: GPT2, options: object) -> None:
    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        app.animation_level = "none"
        await pilot.pause()
        seen = Seen(app)
        y, x, text = await at(app, pilot, seen)
        assert text.startswith("red "), "the selected token"
        up_y, _, text = await at(app, pilot, seen, "up", "up")
        assert up_y < y
        assert text.startswith("for ")
        _, _, text = await at(app, pilot, seen, "right", "right")
        assert text.startswith("L2 "), "the column's name"
        assert (await at(app, pilot, seen, "down"))[2].startswith("her ")

        top, _, text = await at(app, pilot, seen, "tab")
        assert text.startswith("ball "), "the first candidate"
        y, _, text = await at(app, pilot, seen, "down", "down")
        assert y == top + 2
        assert text.startswith("drum ")
        assert (await at(app, pilot, seen, "escape"))[2].startswith("her "), "back on the stage"

        first, _, text = await at(app, pilot, seen, "e")
        listed = app.screen
        assert isinstance(listed, ChooseScreen)
        assert text.startswith(listed.entries[listed.at].line[:10]), "the example that is lit"
        y, _, text = await at(app, pilot, seen, "down")
        assert y == first + listed.tall
        assert text.startswith(listed.entries[listed.at].line[:10])
        assert (await at(app, pilot, seen, "escape"))[2].startswith("her ")
        assert (await at(app, pilot, seen, "question_mark"))[2].startswith("The whole model")
        assert (await at(app, pilot, seen, "escape"))[2].startswith("her ")

        y, x, _ = await at(app, pilot, seen, "slash")
        assert (y, x) == tuple(reversed(app.editor.cursor_screen_offset)), "where one types"
        await at(app, pilot, seen, "escape")

    record(test, storyteller, ExplorerState(prompt=FOX), size=SIZE, options=options)  # type: ignore[arg-type]


def test_the_cursor_stands_where_one_types_and_follows_a_list(storyteller: GPT2) -> None:
    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        app.animation_level = "none"
        await pilot.pause()
        seen = Seen(app)
        for key in ("o", "J", "ctrl+p"):
            await at(app, pilot, seen, key)
            if key == "ctrl+p":
                await until(pilot, lambda: app.screen.query_one(CommandList).highlighted is not None, "the commands")
            y, x, _ = await at(app, pilot, seen)
            assert (x, y) == tuple(app.screen.query_one(Input).cursor_screen_offset), key
            if key != "ctrl+p":
                assert (await at(app, pilot, seen, "a"))[1] == x + 1
                await at(app, pilot, seen, "escape")

        assert app.screen.query_one(SearchIcon).region.area == 0, "a sign that few fonts have"
        for row in ("all heads", "all on"):
            assert (await at(app, pilot, seen, "down"))[2].lstrip().startswith(row)
        await at(app, pilot, seen, "escape")

    record(test, storyteller, ExplorerState(prompt=FOX), size=SIZE)


PLACES = {  # where one looks -> keys, and how the row at the cursor begins after each
    "L3": [("", "red "), ("up", "her "), ("left", "query")],
    "L3.attn": [("", "L3H0"), ("right", "L3H1")],
    "L3H2": [("right", "K12 her"), ("left", "K11 for")],
    "L3.mlp": [("down", "")],
    "residual": [("down", "pos"), ("down", "L0.attn")],
    "heads": [("right", "")],
    "output": [("down", "2 ")],
    "embed": [("", "embed")],
}


@pytest.mark.parametrize("place", few(PLACES, lambda place: place in ("L3", "L3H2", "output")))
def test_the_cursor_on_each_level(storyteller: GPT2, place: str) -> None:
    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        app.animation_level = "none"
        await pilot.pause()
        seen = Seen(app)
        for key, begins in PLACES[place]:
            y, x, text = await at(app, pilot, seen, *([key] if key else []))
            stage = app.query_one("#stage").region
            assert stage.contains(x, y), (key, x, y)
            assert text.startswith(begins), (key, text)
            assert text.strip(), "there is something to read"

    record(test, storyteller, ExplorerState(prompt=FOX, location=parse(place)), size=SIZE)


@pytest.mark.parametrize("cursor", [False, True])
def test_the_cursor_is_hidden_unless_the_reader_wants_it(storyteller: GPT2, cursor: bool) -> None:
    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        await pilot.pause()

    sent = record(test, storyteller, ExplorerState(prompt="Once"), size=(60, 16), options=replace(COLOURS, cursor=cursor))
    assert ("\x1b[?25h" in sent) == cursor


def test_the_config_may_ask_for_the_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "txexplain" / "config.toml"
    file.parent.mkdir()
    file.write_text("cursor = true\n")
    assert read_config() == Config(cursor=True)
    file.write_text("cursor = 1\n")
    with pytest.raises(ConfigError, match="true or false"):
        read_config()


def test_marks_are_the_roles_whatever_the_colours() -> None:
    from txexplain.viz.canvas import Canvas
    from txexplain.viz.cursor import Mark, followed, marks, place

    for palette in (Palette(), Palette("light", "16"), Palette("contrast", "none", ascii=True)):
        canvas = Canvas(12, 3, palette)
        canvas.put(2, 0, "L3", bg="cursor")
        canvas.put(0, 2, "   her", bg="cursor")
        found = marks(canvas)
        assert found == (Mark(2, 0, "L3"), Mark(0, 2, "   her"))
        assert followed(found, (), None) == found[1], "the longest at first"
        assert followed(found, (Mark(0, 1, "   cat"), found[0]), None) == found[1], "a row was moved to"
        assert followed(found, (Mark(6, 0, "L4"), found[1]), found[1]) == found[0], "a column was"
        assert followed(found, found, found[0]) == found[0]
        assert place(canvas, found[1]) == (3, 2)
        assert followed((), found, found[0]) is None
