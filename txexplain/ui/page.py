"""A page with one sentence, for whoever looks at a browser instead of a terminal, where what a program prints isn't seen."""

from __future__ import annotations

from rich.text import Text
from textual.app import App, ComposeResult
from textual.events import Key
from textual.widgets import Static


class Page(App[None]):
    """Any key ends it."""

    ENABLE_COMMAND_PALETTE = False

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self.sentence = sentence

    def compose(self) -> ComposeResult:
        yield Static(Text(self.sentence))

    def on_key(self, event: Key) -> None:
        self.exit()
