"""What lies over the screen for a while. Of two keys that both close it the first counts: the second would close what lies below."""

from __future__ import annotations

from typing import TypeVar

from textual import on
from textual.await_complete import AwaitComplete
from textual.command import CommandList
from textual.geometry import Offset
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static, TextArea

from txexplain.ui.terminal.fixes import SteadyPalette, move_cursor

Answer = TypeVar("Answer")


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


class CommandsScreen(SteadyPalette):
    """The palette of commands, which runs the one that was picked once. The terminal's cursor goes with the list's."""

    def on_mount(self) -> None:
        self.call_after_refresh(self.point)

    def point(self) -> None:
        if self.is_current:
            point_at_field(self.focused)

    def pointed(self, listed: CommandList, row: int) -> None:
        point_at(listed, row)

    def dismiss(self, result: None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_current else AwaitComplete()

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def pick_once(self, event: Message) -> None:
        if not self.is_current:
            event.prevent_default()
