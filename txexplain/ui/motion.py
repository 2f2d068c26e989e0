"""A frame that grows from what was entered, or shrinks to what was left, once the new level stands there whole."""

from __future__ import annotations

from textual.app import App

from txexplain.explorer.location import Location, breadcrumb
from txexplain.ui.terminal.asking import over_ssh
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.canvas import Canvas
from txexplain.viz.zoom import box_of, frames

FRAME = 0.03  # seconds between the frames


class Motion:
    """The frames that are still to come on an app's stage."""

    def __init__(self, app: App[None]) -> None:
        self.app = app
        self.coming: list[Canvas] = []

    def begin(self, before: Canvas | None, old: Location, new: Location) -> None:
        """Go from one place to another; before: what the stage showed there."""
        stage = self.app.query_one("#stage", Picture)
        after = stage.canvas
        still = self.app.animation_level == "none" or over_ssh()
        if still or before is None or after is None or (before.width, before.height) != (after.width, after.height):
            return
        grow = len(breadcrumb(new)) > len(breadcrumb(old))
        box = box_of(before, old) if grow else box_of(after, new)
        if box is None or after is before:
            return
        coming = self.coming = frames(after, box, grow=grow)
        shown = after

        def show_next() -> None:
            nonlocal shown
            if stage.canvas is not shown:
                coming.clear()  # something else is to be seen
            if coming:
                shown = coming.pop(0)
                stage.show(shown)
            if coming:
                self.app.set_timer(FRAME, show_next)

        self.app.set_timer(FRAME, show_next)
