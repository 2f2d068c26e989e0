"""Help: the keys by group, and what the present view shows."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from txexplain.explorer.places import PLACES
from txexplain.front.actions import ACTIONS, Action, key_name
from txexplain.ui.over import OverScreen
from txexplain.viz.palette import Palette

PROMPT = (
    "While the prompt is edited, letters are text: only Enter, Escape and Tab leave it, ctrl+j starts a new line. "
    "A dotted line ({drawn}) stands before each token that was drawn or chosen here."
)


WIDE, KEYS = 70, 23  # cells of a line; of its keys


class HelpScreen(OverScreen[None]):
    """A page over the screen; any of its keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter,f1,backspace", "dismiss", "close", show=False)]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen VerticalScroll { width: 76; max-width: 96%; height: auto; max-height: 92%; padding: 1 2; background: $panel; }
    HelpScreen Static { width: 1fr; height: auto; }
    """

    def __init__(self, kind: str, tones: Palette, actions: Sequence[Action] = ACTIONS) -> None:
        super().__init__()
        self.kind, self.tones, self.actions = kind, tones, actions

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self.page(min(WIDE, self.app.size.width * 96 // 100 - 6)), markup=False)

    def on_mount(self) -> None:
        if self.tones.ascii:
            self.query_one(VerticalScroll).styles.scrollbar_size_vertical = 0  # Textual draws it with blocks
        self.query_one(VerticalScroll).focus()

    def page(self, width: int = WIDE) -> Text:
        """What the view shows, and its keys, each with its sentence beside it."""
        text = Text()
        text.append(PLACES[self.kind].about + "\n")
        group = ""
        for action in self.actions:
            if not action.keys or (action.places and self.kind not in action.places):
                continue
            if action.group != group:
                group = action.group
                text.append(f"\n{group}\n", "bold")
            keys = " ".join(key_name(key, ascii=self.tones.ascii) for key in action.keys)
            text.append(f"  {keys:<20} ", "bold")
            text.append(f"\n{' ' * KEYS}".join(textwrap.wrap(action.help, max(20, width - KEYS))) + "\n")
        text.append(f"\n{PROMPT.format(drawn=self.tones.glyphs.drawn)}\n", "dim")
        return text
