"""A field over the stage's last rows in which one line is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, Static

from txexplain.ui.over import OverScreen
from txexplain.viz.canvas import plain
from txexplain.viz.palette import Palette
from txexplain.viz.screen import Rect

Stage = Callable[[], Rect | None]


class AskScreen(OverScreen[str | None]):
    """Enter takes the text, or says what is wrong with it and keeps it; Escape leaves. `stage` tells where the stage is."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss", "close", show=False)]
    DEFAULT_CSS = """
    AskScreen { background: transparent; }
    AskScreen Vertical, AskScreen Static, AskScreen Input { background: $panel; color: $foreground; }
    AskScreen Vertical { height: auto; padding: 0 1; }
    AskScreen Horizontal { height: 1; }
    AskScreen #label { width: auto; text-style: bold; }
    AskScreen Input { border: none; height: 1; padding: 0; width: 1fr; }
    AskScreen #said { width: 1fr; height: auto; }
    """

    def __init__(self, tones: Palette, label: str, hint: str, fault: Callable[[str], str], stage: Stage, first: str = "") -> None:
        super().__init__()
        self.tones, self.label, self.hint, self.fault, self.stage, self.first = tones, label, hint, fault, stage, first

    def compose(self) -> ComposeResult:
        with Vertical():
            with Horizontal():
                yield Static(f"{self.label} ", markup=False, id="label")
                yield Input(self.first, compact=True, select_on_focus=False)
            yield Static("", markup=False, id="said")

    def on_mount(self) -> None:
        field = self.query_one(Input)
        field.focus()
        field.cursor_position = len(self.first)
        self.say(self.hint, "dim")

    def on_resize(self) -> None:
        self.settle()

    def say(self, text: str, style: str = "") -> None:
        self.query_one("#said", Static).update(Text(plain(text, self.tones), style))
        self.call_after_refresh(self.settle)

    def settle(self) -> None:
        """At the stage's bottom, as tall as what it says."""
        rect = self.stage()
        if rect is not None:
            bar = self.query_one(Vertical)
            bar.styles.width = rect.width
            bar.styles.offset = (rect.x, rect.y + rect.height - max(2, bar.outer_size.height))
            self.call_after_refresh(self.point)

    def on_input_submitted(self) -> None:
        text = self.query_one(Input).value
        sentence = self.fault(text)
        if sentence:
            self.say(sentence)
        else:
            self.dismiss(text)
