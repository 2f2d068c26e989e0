"""What lies over the screen for a while. Of two keys that both close it the first counts: the second would close what lies below."""

from __future__ import annotations

from typing import TypeVar

from textual import on
from textual.await_complete import AwaitComplete
from textual.command import CommandList, CommandPalette
from textual.message import Message
from textual.notifications import Notification
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, _toast

Answer = TypeVar("Answer")
LEAST = 0.01  # seconds that a sentence stays at the least


class OverScreen(ModalScreen[Answer]):
    """A list, a page or a field."""

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_current else AwaitComplete()


class CommandsScreen(CommandPalette):
    """The palette of commands, which runs the one that was picked once."""

    def dismiss(self, result: None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_current else AwaitComplete()

    def _action_command_list(self, action: str) -> None:
        """A list that has no place on the screen yet has no pages, where Textual would look for one."""
        if self.query_one(CommandList).scrollable_content_region:
            super()._action_command_list(action)

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
