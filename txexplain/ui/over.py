"""What lies over the screen for a while. Of two keys that both close it the first counts: the second would close what lies below."""

from __future__ import annotations

from typing import Any, TypeVar

from rich.control import Control
from textual import on
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette
from textual.geometry import Offset
from textual.message import Message
from textual.notifications import Notification
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static, TextArea, _toast

Answer = TypeVar("Answer")
LEAST = 0.01  # seconds that a sentence stays at the least


class OverScreen(ModalScreen[Answer]):
    """A list, a page or a field."""

    def on_mount(self) -> None:
        self.call_after_refresh(self.point)

    def point(self) -> None:
        """Put the terminal's cursor where one types, or else where one reads first."""
        if self.is_current and not point_at_field(self.focused):
            point_at(self.query(Static).first())

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_current else AwaitComplete()


def point_at(widget: Widget, row: int = 0) -> None:
    """Put the terminal's cursor at the beginning of a widget's row."""
    move_cursor(widget.app, widget.content_region.offset + Offset(0, row))


def point_at_field(widget: Widget | None) -> bool:
    """Put the terminal's cursor where one types in a widget, if one does."""
    if not isinstance(widget, Input | TextArea):
        return False
    move_cursor(widget.app, widget.cursor_screen_offset)
    return True


def move_cursor(app: App[Any], to: Offset) -> None:
    """Put the terminal's cursor somewhere, and tell the terminal, though nothing else changes."""
    app.cursor_position = to
    if app._driver is not None and not app.is_headless:
        app._driver.write(Control.move_to(*app.cursor_position).segment.text)
        app._driver.flush()


class CommandsScreen(CommandPalette):
    """The palette of commands, which runs the one that was picked once. The terminal's cursor goes with the list's."""

    def on_mount(self) -> None:
        self.call_after_refresh(self.point)

    def point(self) -> None:
        if self.is_current:
            point_at_field(self.focused)

    def point_at_row(self) -> None:
        listed = self.query_one(CommandList)
        if self.is_current and listed.highlighted is not None:
            point_at(listed, listed._index_to_line[listed.highlighted] - listed.scroll_offset.y)

    def dismiss(self, result: None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_current else AwaitComplete()

    def _action_command_list(self, action: str) -> None:
        """A list that has no place on the screen yet has no pages, where Textual would look for one."""
        if self.query_one(CommandList).scrollable_content_region:
            super()._action_command_list(action)
            self.call_after_refresh(self.point_at_row)

    def _action_cursor_down(self) -> None:
        super()._action_cursor_down()
        self.call_after_refresh(self.point_at_row)

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def pick_once(self, event: Message) -> None:
        if not self.is_current:
            event.prevent_default()


class BriefToast(_toast.Toast):
    """A sentence that pops up. One whose time runs out while it is put together goes at once: with none left, Textual waits for ever."""

    def __init__(self, notification: Notification) -> None:
        super().__init__(notification)
        self._timeout = max(self._timeout, LEAST)


_toast.Toast = BriefToast  # type: ignore[misc]  # the rack makes those that its module names
