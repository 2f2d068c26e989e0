"""The session: what the app does, without a screen.

`step(session, event)` is the whole of it: something happens, a new session comes out, with what is to be done about it (effects). The
app turns keys into events and effects into Textual; a test is a list of events. Nothing here waits, draws or computes for long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from txexplain.explorer.session import answers, events, keys, lessons, models
from txexplain.explorer.session.value import Outcome, Session

EVENTS: dict[type, Callable[[Session, Any], Outcome]] = {
    # the reader's
    events.Key: keys.key,
    events.Digit: keys.digit,
    events.Clicked: keys.clicked,
    events.Hovered: keys.hovered,
    events.Wheel: keys.wheel,
    events.Typed: answers.typed,
    events.Left: answers.left,
    events.Resized: keys.resized,
    # answers to what was asked over the screen
    events.Jumped: keys.jumped,
    events.Found: keys.found,
    events.Began: keys.began,
    events.LessonPicked: lessons.lesson_picked,
    events.Led: lessons.led,
    events.PagePicked: lambda session, event: lessons.show(session, event.number),
    events.Raised: lessons.raised,
    events.ModelPicked: models.picked,
    events.Agreed: models.agreed,
    # news
    events.Opened: models.opened,
    events.Progress: models.progress,
    events.Failed: models.failed,
    events.Ran: lessons.ran,
    events.Further: lambda session, event: (replace(session), ()),  # it is kept with the run: what is shown is another
    events.Computed: answers.computed,
    events.Rang: lambda session, event: TIMERS[event.timer](session),
    # what only the screen can tell
    events.Scrolled: keys.scrolled,
    events.PageRead: lessons.page_read,
}
TIMERS: dict[str, Callable[[Session], Outcome]] = {
    "typed": answers.run,  # after a moment of quiet
    "fade": answers.fade,
    "drawn": answers.drawn,
    "script": lessons.press,
}


def step(session: Session, event: object) -> Outcome:
    """What comes of an event: the session after it, and what is to be done, in this order."""
    after, effects = EVENTS[type(event)](session, event)
    return answers.lacking(session, after, (*effects, *lessons.kept(session, after), *lessons.told(session, after)))
