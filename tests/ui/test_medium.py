"""Which terminals are shown pixels, and that nothing of them is left behind."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from textual.pilot import Pilot

from tests.ui.harness import press
from tests.ui.recorder import Recorded, record
from tests.ui.screen import PixelScreen
from tests.ui.test_media import CELL, FOX, check
from tests.ui.test_terminal import answered, line
from txexplain.engine.model import GPT2
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.medium import USUAL, Answers, medium_of
from txexplain.front.options import UiOptions
from txexplain.ui.deeds import NO_PIXELS
from txexplain.ui.terminal.media import Kitty
from txexplain.ui.terminal.visible import OnlyText
from txexplain.ui.terminal.wire import thrifty
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.tiles import FIRST

__all__ = ["line"]
KITTY, SIXEL, NEITHER = Answers(True, False, CELL), Answers(False, True, CELL), Answers(False, False, CELL)
ITERM = {"TERM_PROGRAM": "iTerm.app"}
TMUX = {"TMUX": "/tmp/tmux-0/default,1,0"}


@pytest.mark.parametrize(
    ("picture", "answers", "environ", "far", "found"),
    [
        ("auto", KITTY, {}, False, ("kitty", CELL)),
        ("auto", SIXEL, {}, False, ("sixel", CELL)),
        ("auto", NEITHER, {"LC_TERMINAL": "iTerm2"}, False, ("iterm", CELL)),
        ("auto", NEITHER, {}, False, None),
        ("auto", SIXEL, {"TERM": "mlterm"}, False, None),
        ("sixel", SIXEL, {"TERM": "mlterm"}, False, ("sixel", CELL)),
        ("auto", KITTY, {}, True, None),  # over SSH only by the reader's word
        ("auto", Answers(True, True, None), {}, False, None),  # nobody knows how large a cell is
        ("auto", Answers(True, True, (0, 18)), {}, False, None),
        ("auto", Answers(True, True, CELL), TMUX, False, None),
        ("glyphs", KITTY, ITERM, False, None),
        ("kitty", KITTY, {}, True, ("kitty", CELL)),
        ("kitty", Answers(True), {}, False, ("kitty", USUAL)),
        ("kitty", SIXEL, {}, False, None),
        ("kitty", KITTY, TMUX, False, None),
        ("sixel", SIXEL, TMUX, False, ("sixel", CELL)),  # a tmux that says so itself
        ("sixel", Answers(sixel=True), {}, False, None),  # sixels aren't stretched
        ("sixel", KITTY, {}, False, None),
        ("iterm", Answers(), ITERM, True, ("iterm", USUAL)),
        ("iterm", NEITHER, {}, False, None),
    ],
)
def test_a_terminal_is_shown_pixels_where_it_can_and_the_reader_may_want_them(
    picture: str, answers: Answers, environ: Mapping[str, str], far: bool, found: object
) -> None:
    assert medium_of(picture, answers, environ, far=far) == found


@pytest.mark.parametrize(
    ("answers", "medium"),
    [
        (b"\x1b_Gi=31;OK\x1b\\\x1b[6;18;9t\x1b[?62;c", ("kitty", (9, 18))),
        (b"\x1b_Gi=31;ENOTSUPPORTED:no\x1b\\\x1b[6;20;10t\x1b[?62;4;6c", ("sixel", (10, 20))),
        (b"\x1b[6;20;10t\x1b[?64;14;42c", None),
        (b"\x1b_Gi=31;OK\x1b\\\x1b[?62;4c", None),
    ],
)
def test_what_a_terminal_answered(line: tuple[int, int], monkeypatch: pytest.MonkeyPatch, answers: bytes, medium: object) -> None:
    for name in ("SSH_CONNECTION", "SSH_TTY", "TMUX", "TERM_PROGRAM", "LC_TERMINAL"):
        monkeypatch.delenv(name, raising=False)
    assert answered(line, answers)[0].medium == medium


@pytest.mark.parametrize(("answer", "shown"), [("\x1b[6;24;12t", [(12, 24)]), ("\x1b[6;0;0t", []), ("\x1b[6;999;999t", [])])
def test_letters_of_another_size_are_believed_if_there_are_such(answer: str, shown: list[tuple[int, int]]) -> None:
    """Whoever types in a class is asked, too: of cells without pixels came a division by zero."""
    asked: list[tuple[int, int]] = []

    class Quiet:
        def __init__(self) -> None:
            self._app = SimpleNamespace(medium=Kitty(CELL), show_by=lambda medium: asked.append(medium.kind[1]))

        def answered(self, text: str) -> None:
            pass

    thrifty(Quiet)().answered(answer)  # type: ignore[arg-type, call-arg, attr-defined]
    assert asked == shown


def test_dialogs_keys_and_zooms_leave_nothing_behind_and_text_from_outside_is_no_tile(storyteller: GPT2) -> None:
    screen = PixelScreen((120, 40), CELL)

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        medium = app.medium
        assert isinstance(medium, Kitty)
        seen = 0

        async def after(*keys: str) -> bool:
            nonlocal seen
            await press(app, pilot, *keys)
            await pilot.pause()
            screen.feed("".join(app.written[seen:]))
            seen = len(app.written)
            stage = app.query_one("#stage", Picture)
            placed, rect = stage.sent, app.placed["stage"]
            if len(app.screen_stack) == 1 and placed is not None and app.medium is not None:
                part = PixelScreen((placed.width, placed.height), CELL)
                top, left = rect.y * CELL[1], rect.x * CELL[0]
                part.image = screen.shown()[top : top + placed.height * CELL[1], left : left + placed.width * CELL[0]]
                part.letters = screen.letters[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
                check(part, placed, app.medium)
            return bool(screen.above)

        assert await after("up")
        assert not await after("question_mark")  # what lies below is dimmed, in cells
        assert await after("escape")
        assert await after("enter")  # a block
        assert not await after("enter", "enter")  # a view without a picture
        assert await after("escape", "escape", "escape")
        assert not await after("I")
        assert await after("I")
        app.repaint()
        assert await after("down")
        app.driver.disable_input()  # type: ignore[union-attr]
        screen.feed("".join(app.written[seen:]))
        assert not screen.above
        assert OnlyText().passed(f"a{chr(FIRST)}b") == "a\ufffdb"

    options = UiOptions(color="truecolor", theme="dark", medium=("kitty", CELL))
    record(test, storyteller, ExplorerState(prompt=FOX, location=parse("model[L3]")), size=(120, 40), options=options)


def test_a_wish_that_the_terminal_cannot_fulfil_is_answered_in_a_sentence(storyteller: GPT2) -> None:
    said: list[str] = []

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        said.extend(each.message for each in app._notifications)
        assert app.medium is None

    record(test, storyteller, ExplorerState(prompt=FOX), options=UiOptions(color="truecolor", picture="sixel"))
    assert said == [NO_PIXELS]
