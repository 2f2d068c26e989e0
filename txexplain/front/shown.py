"""From a session to what is drawn: what stands on the screen at a size. Free of Textual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from txexplain.explorer.choice import work
from txexplain.explorer.reading import Reading, ending
from txexplain.explorer.session.value import Session
from txexplain.front.actions import Action, Doing, footer, key_name
from txexplain.front.scenes import scene_of
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene


def scene_for(session: Session, palette: Palette, size: tuple[int, int], actions: Sequence[Action], clock: str = "") -> Scene:
    """The whole screen of a session. clock: a stopwatch, where the lecturer wants one."""
    past, result, state = session.past, session.result, session.state
    drawn = session.last_draw
    return scene_of(
        state if past is None else past.seen_from(state),
        palette,
        size,
        result,
        distribution=session.distribution if past is None else past.distribution,
        held=session.held,
        back=session.back,
        stale=session.running and result is not None,
        faded=session.running and session.late and result is not None,
        message=session.message,
        cost=session.cost if session.arrival is None else session.arrival.words,
        keys=footer(doing(session), ascii=palette.ascii, actions=actions),
        reading=reading_of(session, palette, actions, clock),
        lecture=session.reader.asked.lecture,
        surprisal=session.surprisal(),
        draw=drawn,
        drawn_from=session.drawn_from if drawn is not None else None,
        pane=session.pane,
        candidate=session.candidate,
        ribbons=tuple(result.flow(state.flow)) if result is not None and result.traced(state.flow) else None,
        measured=result is None or work(result, state, session.held) is None,
        hover=session.hover,
        side=session.beside,
        filling=session.filling,
        covered=session.covered,
        blank=session.blank,
        begins=(key_of("lessons", palette, actions), key_of("help", palette, actions)),
        scroll=session.scroll,
        about="lesson" if session.pane == "side" and session.reader.side else session.about,
    )


def doing(session: Session) -> Doing:
    """What the reader is at, for the footer."""
    state, page = session.state, session.reader.reading if session.reader.side else None
    return Doing(
        state.location.kind,
        session.pane,
        page is not None,
        0 if page is None else len(page.page.answers),
        page is not None and bool(page.given),
        session.generating,
        state.trace is not None,
        state.mode in ("top-k", "top-p"),
        bool(state.edits),
    )


def reading_of(session: Session, palette: Palette, actions: Sequence[Action], clock: str) -> Reading | None:
    """The page that is open, with what the reader's keys are called."""
    reader, reading = session.reader, session.reader.reading
    if not reader.side or reading is None:
        return None
    end = ending(reading.lesson, reading.page, *(key_of(action, palette, actions) for action in ("lesson_on", "lessons")))
    pressed = " ".join(key_name(key, ascii=palette.ascii) for key in reader.pressed) if reader.asked.lecture else ""
    return replace(reading, ending=end, clock=clock, pressed=pressed)


def key_of(action: str, palette: Palette, actions: Sequence[Action]) -> str:
    """An action's key, as it is written for people; "" where it has none."""
    found = next((known for known in actions if known.id == action), None)
    return key_name(found.keys[0], ascii=palette.ascii) if found is not None and found.keys else ""
