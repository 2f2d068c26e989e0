"""What fills the place of effects: one sweep at a time, of the run on screen, until a key changes that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from txexplain.engine.derive import Lens
from txexplain.facts.effects import EffectsFacts, Question, keep, known
from txexplain.front.scenes import effects_asked
from txexplain.ui import jobs
from txexplain.ui.work import Failed

if TYPE_CHECKING:
    from txexplain.ui.app import ExplorerApp


class Sweeper:
    """Begins, hears and ends the app's sweeps."""

    def __init__(self, app: ExplorerApp) -> None:
        self.app = app
        self.asked: Question | None = None  # what was begun for the run on screen

    def look(self) -> None:
        """Begin what the place on screen lacks, and end what nobody looks at any more."""
        lens = None if self.app.running else self.app.lens
        asked = effects_asked(lens, self.app.state)
        if lens is None or asked is None:
            self.stop()
        elif asked != self.asked:
            self.stop()
            self.asked = asked
            found = known(lens).get(asked)
            if found is None or not found.complete:
                self.app.work.start("effects", jobs.effects(lens, asked), partial(self.heard, lens, asked))

    def stop(self) -> None:
        """The sweep that runs ends at its next batch, and isn't heard again."""
        self.asked = None
        self.app.work.stop("effects")

    def heard(self, lens: Lens, asked: Question, what: EffectsFacts | Failed) -> None:
        """A sweep has come further, or can't go on."""
        if isinstance(what, Failed):
            self.app.say(what.sentence)
            return
        keep(lens, asked, what)
        self.app.draw()
