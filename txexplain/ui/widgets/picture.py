"""A pane that shows a Canvas and repaints only the cells that changed."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.filter import ANSIToTruecolor, LineFilter
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from txexplain.ui.inks import Inks
from txexplain.ui.terminal.visible import OnlyText
from txexplain.viz.canvas import Canvas
from txexplain.viz.tiles import Tiles

WITH_TILES = OnlyText(tiles=True)


class Picture(Widget):
    """Shows the last Canvas given to `show`; mouse events come back as messages with the hit target under the pointer."""

    DEFAULT_CSS = "Picture { width: 1fr; height: 1fr; }"
    FOCUS_ON_CLICK = False  # which pane has the keys the app decides, once a click is a click and no drag

    class Pointed(Message):
        """The pointer is over another target, was clicked, or the wheel was turned."""

        def __init__(self, picture: Picture, target: object, kind: str, x: int, y: int) -> None:
            super().__init__()
            self.picture, self.target, self.kind, self.x, self.y = picture, target, kind, x, y

        @property
        def control(self) -> Picture:
            return self.picture

    def __init__(self, *, id: str, can_focus: bool = False) -> None:
        super().__init__(id=id)
        self.can_focus = can_focus
        self.canvas: Canvas | None = None
        self.sent: Canvas | None = None  # as the terminal is to be sent it, where that is shown pixels: with tiles
        self.tiled: tuple[Tiles, int] | None = None  # those, and their age
        self.rows: list[Strip | None] = []
        self.over: object = None

    def show(self, canvas: Canvas) -> None:
        """Make this the picture; what stays the same isn't painted again."""
        old, before, self.canvas = self.sent, self.tiled, canvas
        sent = self.place(canvas)
        if old is None or self.tiled != before or (old.width, old.height) != (canvas.width, canvas.height):
            self.rows = [None] * canvas.height
            self.refresh()
            if self.tiled and before and self.tiled[0] is before[0]:
                self.app.repaint()  # type: ignore[attr-defined]  # they began anew, and what the terminal shows has lost its tiles
            return
        spans = sent.diff(old)
        for _, y, _ in spans:
            self.rows[y] = None
        if spans:  # each to its row's end: the wire drops what it knows in less time than Textual takes to cut a strip
            self.refresh(*(Region(x, y, canvas.width - x, 1) for x, y, _ in spans))

    def tiles(self) -> tuple[Tiles, int] | None:
        """The tiles of the terminal, and their age; None where it isn't shown pixels, as under a dialog, which dims what is below it.

        A zoom's last frame may come when the app ends, and no screen is there any more.
        """
        screens = self.app.screen_stack
        medium = getattr(self.app, "medium", None) if screens and screens[-1] is self.screen else None
        return medium and (medium.tiles, medium.tiles.age)

    def place(self, canvas: Canvas) -> Canvas:
        """The canvas with the tiles that its pictures have now."""
        tiles = self.tiles()
        self.sent = canvas if tiles is None else tiles[0].place(canvas)
        self.tiled = self.tiles()
        return self.sent

    def render_line(self, y: int) -> Strip:
        if self.canvas is None or y >= self.canvas.height:
            return Strip.blank(self.size.width, self.rich_style)
        return self.strips([y])[0]

    def render_lines(self, crop: Region) -> list[Strip]:
        """The canvas's rows as they are: nothing of Textual's styles applies to a picture."""
        if self.canvas is None or (self.canvas.width, self.canvas.height) != tuple(self.size):
            return super().render_lines(crop)
        strips, ground = self.strips(crop.line_range), self.background_colors[1]
        for each in self.get_line_filters():
            strips = [strip.apply_filter(each, ground) for strip in strips]
        return strips if crop.column_span == (0, self.canvas.width) else [strip.crop(*crop.column_span) for strip in strips]

    def strips(self, rows: Sequence[int]) -> list[Strip]:
        """Rows of the canvas; those that stayed as they were since they were asked for are the same strips."""
        assert self.canvas is not None
        sent = self.sent
        if sent is None or self.tiled != self.tiles():
            sent, self.rows = self.place(self.canvas), [None] * self.canvas.height
        missing = [y for y in rows if self.rows[y] is None]
        for y, segments in zip(missing, sent.lines(missing), strict=True):
            self.rows[y] = Strip(segments, self.canvas.width)
        return [strip for y in rows if (strip := self.rows[y]) is not None]

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What the app's lines go through, but for what turns colours into others: a canvas has those that it wants, and tiles."""
        found = [each for each in self.app.get_line_filters() if not isinstance(each, (ANSIToTruecolor, Inks, OnlyText))]
        return [*found, WITH_TILES]

    def pointed(self, event: events.MouseEvent, kind: str) -> None:
        target = self.canvas.hit(event.x, event.y) if self.canvas is not None else None
        self.post_message(self.Pointed(self, target, kind, event.x, event.y))

    def on_click(self, event: events.Click) -> None:
        self.pointed(event, "click")

    def on_mouse_move(self, event: events.MouseMove) -> None:
        target = self.canvas.hit(event.x, event.y) if self.canvas is not None else None
        if target != self.over:
            self.over = target
            self.pointed(event, "hover")

    def on_leave(self, event: events.Leave) -> None:
        if self.over is not None:
            self.over = None
            self.post_message(self.Pointed(self, None, "hover", -1, -1))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.pointed(event, "down")

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.pointed(event, "up")
