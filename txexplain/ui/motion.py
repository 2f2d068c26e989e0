"""What moves on the stage: a frame that grows from what was entered, or shrinks to what was left; and films, which a key shows."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import App
from textual.timer import Timer

from txexplain.explorer.location import Location, breadcrumb
from txexplain.ui.terminal.asking import over_ssh
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.canvas import Canvas
from txexplain.viz.film import Film
from txexplain.viz.zoom import box_of, frames

FRAME = 0.03  # seconds between the frames of a zoom


class Motion:
    """The frames that are still to come on an app's stage; redraw: what puts the stage's own picture back."""

    def __init__(self, app: App[None], redraw: Callable[[], None]) -> None:
        self.app, self.redraw = app, redraw
        self.coming: list[Canvas] = []
        self.film: Film | None = None
        self.at = 0
        self.shown: Canvas | None = None  # the film's frame that is to be seen
        self.timer: Timer | None = None  # None while a film pauses

    @property
    def still(self) -> bool:
        """Whether nothing moves by itself: the reader wants it so, or the line is a long one."""
        return self.app.animation_level == "none" or over_ssh()

    def begin(self, before: Canvas | None, old: Location, new: Location) -> None:
        """Go from one place to another; before: what the stage showed there."""
        stage = self.app.query_one("#stage", Picture)
        after = stage.canvas
        if self.still or before is None or after is None or (before.width, before.height) != (after.width, after.height):
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

    # Films

    def play(self, film: Film) -> None:
        """Show a film from its beginning; where nothing moves by itself, its first frame, and the others by steps."""
        self.film = film
        self.coming.clear()
        self.show(0)
        if not self.still:
            self.run()

    def run(self) -> None:
        """Go on by itself, from the beginning once the end is there."""
        assert self.film is not None
        if self.at == self.film.frames - 1:
            self.show(0)
        self.timer = self.app.set_interval(self.film.seconds, self.tick)

    def tick(self) -> None:
        if self.playing and self.film is not None:
            self.show(self.at + 1)
            if self.at == self.film.frames - 1:
                self.pause()

    @property
    def playing(self) -> bool:
        """Whether a film is on the stage; it isn't any more once something else is to be seen there."""
        if self.film is not None and self.app.query_one("#stage", Picture).canvas is not self.shown:
            self.pause()
            self.film = self.shown = None
        return self.film is not None

    def show(self, at: int) -> None:
        """One frame; before the first and after the last there is none."""
        assert self.film is not None
        self.at = max(0, min(at, self.film.frames - 1))
        self.shown = self.film.frame(self.at)
        self.app.query_one("#stage", Picture).show(self.shown)

    def pause(self) -> None:
        if self.timer is not None:
            self.timer.stop()
            self.timer = None

    def takes(self, action: str) -> bool:
        """Whether an action is one for the film: a step on or back, a pause, the end. Any other ends it, and is done."""
        if not self.playing:
            return False
        running = self.timer is not None
        self.pause()
        match action:
            case "block_on" | "block_back":
                self.show(self.at + (1 if action == "block_on" else -1))
            case "play":
                if not running:
                    self.run()
            case _:
                self.film = self.shown = None
                self.redraw()
                return action == "out"
        return True
