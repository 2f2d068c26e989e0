"""What is selected, explained over a screen that has no room for it beside the stage."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from txexplain.ui.over import OverScreen
from txexplain.viz.canvas import plain, rich_style
from txexplain.viz.scene import Scene
from txexplain.viz.views.explain import FAR, rows_of, with_words

WIDEST, AROUND = 78, 6  # cells of the window, and of what stands around its text: padding and the scroll bar


class ExplainScreen(OverScreen[None]):
    """A page over the screen; any of its keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,i,f12,q,enter,backspace", "dismiss", "close", show=False)]
    DEFAULT_CSS = """
    ExplainScreen { align: center middle; }
    ExplainScreen VerticalScroll { height: auto; max-height: 96%; padding: 0 2; background: $panel; }
    ExplainScreen Static { width: 1fr; height: auto; }
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.scene = scene

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(markup=False)

    def on_mount(self) -> None:
        tones, pane = self.scene.palette, self.query_one(VerticalScroll)
        if tones.ascii:
            pane.styles.scrollbar_size_vertical = 0  # Textual draws it with blocks
        self.fit(self.app.size.width)
        pane.focus()

    def on_unmount(self) -> None:
        """A screen that was left is part of a cycle of references, which stays until the garbage collector runs: keep no run."""
        self.scene = replace(self.scene, shown=None)

    def on_resize(self, event: events.Resize) -> None:
        self.fit(event.size.width)

    def fit(self, width: int) -> None:
        """Write the page for a screen of a width."""
        wide = min(WIDEST, width - 4)
        self.query_one(VerticalScroll).styles.width = wide
        self.query_one(Static).update(self.page(wide - AROUND))

    def page(self, width: int) -> Text:
        tones, text = self.scene.palette, Text()
        for row in with_words(self.scene, rows_of(self.scene, width, FAR), width):
            style = rich_style(tones.rgb(row.ink), tones.rgb("cursor" if row.lit else "panel"), row.attrs, tones.depth, tones.theme)
            text.append(plain(row.text, tones), style)
            text.append("\n")
        return text
