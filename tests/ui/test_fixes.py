"""What mends Textual, and what Textual does without: where one of these fails with a newer version, a repair may go."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import textual
from rich.console import Console
from rich.text import Text
from textual import timer as timers
from textual.app import App
from textual.command import CommandList, CommandPalette
from textual.geometry import Offset
from textual.notifications import Notification
from textual.timer import Timer
from textual.widgets import _toast

from txexplain.ui.terminal.fixes import BriefToast, MendedApp, SteadyPalette, move_cursor

WRITTEN_FOR = "8.2"
UI = Path(__file__).parents[2] / "txexplain" / "ui"


class Screen:
    """A driver that keeps what is written."""

    is_headless = is_inline = False

    def __init__(self) -> None:
        self.wrote: list[str] = []

    def write(self, data: str) -> None:
        self.wrote.append(data)

    def flush(self) -> None:
        pass


def with_screen(app: App[Any]) -> Screen:
    screen = Screen()
    app._driver = screen  # type: ignore[assignment]
    return screen


def test_the_repairs_are_for_this_version_of_textual() -> None:
    assert textual.__version__.startswith(f"{WRITTEN_FOR}."), "look at each repair in ui/terminal, and at the tests below"


def test_private_parts_of_textual_are_named_in_one_folder() -> None:
    named = {path.name for path in UI.rglob("*.py") if "from textual._" in path.read_text("utf-8") or "_toast" in path.read_text("utf-8")}
    assert named == {"keyboard.py", "fixes.py"}
    for name in ("_driver", "_skip", "_exit_renderables", "_close_messages_no_wait", "_color_system", "_fatal_error", "_index_to_line"):
        assert {path.name for path in UI.rglob("*.py") if re.search(rf"[. ]{name}\b", path.read_text("utf-8"))} == {"fixes.py"}, name


def rings(make: Callable[[App[None]], Timer], app: App[None], monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a timer of a second rings that gets its turn five seconds late."""
    rung: list[int] = []

    async def tick(self: Timer, *, next_timer: float, count: int) -> None:
        rung.append(count)

    clock = iter([0.0, *[5.0] * 10])
    monkeypatch.setattr(Timer, "_tick", tick)
    monkeypatch.setattr(timers._time, "get_time", lambda: next(clock))

    async def run() -> None:
        timer = make(app)
        timer._active.set()
        await timer._run()

    asyncio.run(run())
    return len(rung)


def test_a_late_timer_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timer, "_start", lambda self: None)

    def once(app: App[None]) -> Timer:
        return app.set_timer(1.0, lambda: None)

    assert rings(once, App(), monkeypatch) == 0, "Textual's never rings"
    assert rings(once, MendedApp(), monkeypatch) == 1


def test_the_pointer_s_shape_is_left_alone() -> None:
    for app, asks in ((App[None](), True), (MendedApp(), False)):
        screen = with_screen(app)
        app._set_pointer_shape("pointer")
        assert bool(screen.wrote) == asks


def test_an_error_ends_in_words() -> None:
    class Told(MendedApp):
        def last_words(self, error: BaseException) -> str:
            return f"It was {error}."

    ended: dict[str, list[str]] = {}
    for app in (App[None](), Told()):
        with_screen(app)
        app._close_messages_no_wait = lambda: None  # type: ignore[method-assign]
        try:
            raise ValueError("too much")
        except ValueError as error:
            app._exception = error
            app._fatal_error()
            app._fatal_error()
        ended[type(app).__name__] = [each.plain if isinstance(each, Text) else type(each).__name__ for each in app._exit_renderables]
    assert ended == {"App": ["Segments", "Segments"], "Told": ["It was too much."]}


def test_the_colours_are_those_that_were_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    app = MendedApp()
    for name in ("COLORTERM", "NO_COLOR", "TEXTUAL_COLOR_SYSTEM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    app.console = Console(force_terminal=True)
    assert app.console.color_system == "standard", "as over SSH, which drops COLORTERM"
    for depth, found in (("truecolor", "truecolor"), ("256", "256"), ("16", "standard"), ("none", "standard")):
        app.colour_at(depth)
        assert app.console.color_system == found


def test_a_cursor_that_moved_is_told_at_once() -> None:
    app = MendedApp()
    screen = with_screen(app)
    app.cursor_position = Offset(3, 4)
    assert screen.wrote == [], "Textual tells with the next change"
    move_cursor(app, Offset(5, 6))
    assert screen.wrote == ["\x1b[7;6H"]


def test_a_toast_that_is_late_goes_at_once() -> None:
    late = Notification("late", timeout=-1.0)
    (plain,) = BriefToast.__bases__
    assert plain(late)._timeout < 0, "with no time left, Textual's waits for ever"
    assert BriefToast(late)._timeout > 0
    assert _toast.Toast is BriefToast


@pytest.mark.parametrize(("palette", "asked"), [(CommandPalette, 1), (SteadyPalette, 0)])
def test_a_list_without_a_place_is_asked_for_no_page(palette: type[CommandPalette], asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no lines yet, among which Textual would look for one."""
    pages: list[CommandList] = []
    monkeypatch.setattr(CommandList, "action_page_down", lambda self: pages.append(self))

    async def walk() -> None:
        app = MendedApp()
        async with app.run_test() as hand:
            app.push_screen(shown := palette())
            await hand.pause()
            listed = shown.query_one(CommandList)
            listed.display = False
            await hand.pause()
            assert not listed.scrollable_content_region
            shown._action_command_list("page_down")

    asyncio.run(walk())
    assert len(pages) == asked
