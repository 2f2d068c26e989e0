"""What mends Textual beside its keyboard (keyboard.py) and its output (wire.py, visible.py): the one place for its private parts.

Written for Textual 8.2. tests/ui/test_fixes.py shows for each what that version does without it: where one of those tests fails with a
newer version, the repair may be needed no more.
"""

from __future__ import annotations

import sys
from typing import Any

from rich.color import ColorSystem
from rich.control import Control
from rich.text import Text
from textual.app import App
from textual.command import CommandList, CommandPalette
from textual.driver import Driver
from textual.geometry import Offset
from textual.message import Message
from textual.notifications import Notification
from textual.timer import Timer
from textual.widgets import _toast

COLOR_SYSTEMS = {"truecolor": ColorSystem.TRUECOLOR, "256": ColorSystem.EIGHT_BIT, "16": ColorSystem.STANDARD}
LEAST = 0.01  # seconds that a sentence stays at the least


class MendedApp(App[None]):
    """Textual's app, mended."""

    def last_words(self, error: BaseException) -> str:
        """What is said where the app ends over an error of its own."""
        return str(error)

    def _fatal_error(self) -> None:
        """Textual prints pages of a traceback, with all variables."""
        if not self._exit_renderables:
            error = self._exception or sys.exception() or RuntimeError("unknown")
            self.error_console.soft_wrap = True  # a command in it is there to be copied
            self._exit_renderables.append(Text(self.last_words(error)))
        self._close_messages_no_wait()

    def _set_pointer_shape(self, shape: str) -> None:
        """The pointer stays as it is: many terminals take Textual's request for an error."""

    def set_timer(self, *args: Any, **options: Any) -> Timer:
        """Let no tick be skipped: Textual skips one that is overdue, and so a timer that ticks once might never tick."""
        timer = super().set_timer(*args, **options)
        timer._skip = False
        return timer

    async def _on_message(self, message: Message) -> None:
        await self.handle(message)

    async def handle(self, message: Message) -> None:
        """Any message, on its way to its handlers."""
        await super()._on_message(message)

    def colour_at(self, depth: str) -> None:
        """Rich goes by TERM and COLORTERM alone: over SSH it would make 16 colours of the 24-bit ones that the reader asked for."""
        self.console._color_system = COLOR_SYSTEMS.get(depth, self.console._color_system)

    @property
    def driver(self) -> Driver | None:
        """What writes to the terminal, while there is one."""
        return self._driver

    @property
    def ending(self) -> bool:
        """Whether the app was told to end."""
        return self._exit


def move_cursor(app: App[Any], to: Offset) -> None:
    """Put the terminal's cursor somewhere, and tell the terminal, though nothing else changes: Textual does so with the next change."""
    app.cursor_position = to
    if app._driver is not None and not app.is_headless:
        app._driver.write(Control.move_to(*app.cursor_position).segment.text)
        app._driver.flush()


class SteadyPalette(CommandPalette):
    """Textual's palette of commands, which tells where its list's cursor goes."""

    def pointed(self, listed: CommandList, row: int) -> None:
        """The list's cursor stands in a row of what is seen of it."""

    def point_at_row(self) -> None:
        listed = self.query_one(CommandList)
        if self.is_current and listed.highlighted is not None:
            self.pointed(listed, listed._index_to_line[listed.highlighted] - listed.scroll_offset.y)

    def _action_command_list(self, action: str) -> None:
        """A list that has no place on the screen yet has no pages, where Textual would look for one."""
        if self.query_one(CommandList).scrollable_content_region:
            super()._action_command_list(action)
            self.call_after_refresh(self.point_at_row)

    def _action_cursor_down(self) -> None:
        super()._action_cursor_down()
        self.call_after_refresh(self.point_at_row)


class BriefToast(_toast.Toast):
    """A sentence that pops up. It has a moment at the least: one whose time is over when it is mounted, Textual would never take away."""

    def __init__(self, notification: Notification) -> None:
        super().__init__(notification)
        self._timeout = max(self._timeout, LEAST)


_toast.Toast = BriefToast  # type: ignore[misc]  # the rack makes those that its module names
