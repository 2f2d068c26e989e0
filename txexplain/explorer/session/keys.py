"""What each key, click and answer does: a function each, and the table of the actions that the session knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from txexplain.errors import LessonError, LocationError
from txexplain.explorer.choice import dims_of, patched_from
from txexplain.explorer.contrast import token_text
from txexplain.explorer.jump import NUMBERED
from txexplain.explorer.lesson import shipped_lessons
from txexplain.explorer.location import PLACES, Location, place_of
from txexplain.explorer.places.heads import Head, WithCursor
from txexplain.explorer.places.whole import LookedUp
from txexplain.explorer.session import lessons, models
from txexplain.explorer.session.answers import (
    FOCUS,
    change,
    choose,
    draw,
    focus,
    generate,
    hold,
    pace,
    pane_beside,
    recorded_run,
    step_back,
    undo,
)
from txexplain.explorer.session.events import (
    Began,
    Clicked,
    Digit,
    Do,
    Effect,
    Found,
    Hovered,
    Jumped,
    Key,
    Resized,
    Say,
    Scroll,
    Scrolled,
    Show,
    Wheel,
)
from txexplain.explorer.session.value import Outcome, Session, Step
from txexplain.explorer.state import ExplorerState

AHEAD = 32  # steps that are kept until there is a run
CANDIDATES = 50  # how far down the list of candidates the cursor goes
NOTHING = "Nothing is selected here that can be {}: go to a head, an MLP, a neuron, a token, or a cell of a grid."
HOLD_FIRST = "A patch is taken from a run that is held: b holds this one, / edits the prompt, and P patches what is selected."
ARROWS = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}


def key(session: Session, event: Key) -> Outcome:
    """An action was asked for by a key of the reader's, or by a script. What the session doesn't know is the screen's."""
    if session.blank and event.action != "quit":
        return replace(session, blank=False), ()
    if event.shown:
        session = lessons.pressed(session, event.shown)
    if event.action in ARROWS:
        return move(session, event.action, event.columns)
    does = KEYS.get(event.action)
    if does is not None and session.welcome:
        session = replace(session, welcome=False)
        if event.action == "lessons":
            return lessons.begin(session, shipped_lessons()[0])
    return does(session) if does is not None else (session, (Do(event.action),))


# Moving


def moved(session: Session, step: Step, columns: int = 1) -> Outcome:
    """A step that needs to know the model's and the prompt's sizes."""
    if session.result is None:
        return replace(session, ahead=(*session.ahead, step)[:AHEAD]), ()
    return change(session, step(session.state, session.dims(columns)))


def move(session: Session, direction: str, columns: int = 1) -> Outcome:
    """An arrow: in the side pane along what stands there, among the candidates, or on the stage."""
    dx, dy = ARROWS[direction]
    if session.pane == "side" and dy:
        return lessons.move(session, dy) if session.reader.side else page(session, dy)
    if on_candidates(session) and session.distribution is not None:
        last = min(CANDIDATES, len(session.distribution.order)) - 1
        return replace(session, candidate=max(0, min(session.candidate + dy, last))), ()
    return moved(session, lambda state, dims: state.move(dx, dy, dims), columns)


def on_candidates(session: Session) -> bool:
    return session.pane == "panel" or place_of(session.state.location).has_candidates


def enter(session: Session) -> Outcome:
    """Into what is selected: an answer, a candidate, a place."""
    if session.pane == "side":
        reading = session.reader.reading
        return lessons.answer(session, reading.cursor) if session.reader.asks and reading is not None else (session, ())
    if on_candidates(session) and session.distribution is not None:
        return choose(session, session.candidate)
    place = session.state.location
    does = KEYS.get(place_of(place).does(place))
    if does is not None:
        return does(session)
    return moved(session, ExplorerState.enter)


def out(session: Session) -> Outcome:
    return focus(session, "stage") if session.pane in ("panel", "side") else moved(session, ExplorerState.out)


def stage(session: Session) -> Outcome:
    """The next stage or face; a newly sorted atlas begins at its first head."""
    state = session.state.next_stage()
    place = state.location
    if session.result is not None:
        state = state.step_to(place_of(place).first(place, dims_of(session.result, place)))
    return change(session, state)


def strongest(session: Session) -> Outcome:
    """The key that the row's query attends to most."""
    place, result = session.state.location, session.result
    name = f"blocks.{place.block}.attn.pattern"
    if result is None or not isinstance(place_of(place), WithCursor) or name not in result.trace:
        return session, ()
    query = place.token_index(result.trace.n_tokens)
    key = int(result.trace[name][place.head, query, : query + 1].argmax())
    return moved(session, lambda state, dims: state.go(replace(place, query=query, key=key, token=None), dims))


def atlas(session: Session) -> Outcome:
    """All heads, at the one that was looked at last."""
    memory, token = session.state.memory, session.state.location.token
    place = Location("heads", block=memory.block, head=memory.head, token=token)
    return moved(session, lambda state, dims: state.go(place, dims))


def look_up(session: Session, kind: str, tries: str) -> Outcome:
    """To a place that is looked up from any other; from there, back."""
    if tries and (said := recorded_run(session, tries)):
        return session, said
    return moved(session, lambda state, dims: state.look(kind, dims))


def switch(session: Session) -> Outcome:
    """What is selected is switched off, another way, and on again."""
    if session.result is None:
        return session, ()
    if said := recorded_run(session, "switching a part off"):
        return session, said
    if not (what := selected_part(session)):
        return session, (Say(NOTHING.format("switched off")),)
    return change(session, session.state.switch(what, means=session.model is not None and not session.model.tokenizer.has_no_text))


def patch(session: Session) -> Outcome:
    """What is selected is taken from the run that is held."""
    if session.result is None:
        return session, ()
    if said := recorded_run(session, "patching"):
        return session, said
    if (other := patched_from(session.result, session.state, session.held)) is None:
        return session, (Say(HOLD_FIRST),)
    if not (what := selected_part(session)):
        return session, (Say(NOTHING.format("patched")),)
    if "[" in what and ".mlp" not in what:
        return session, (Say("An edge can't be patched: select a head, an MLP, a neuron or a part of the residual stream."),)
    return change(session, session.state.patch(what, other))


def selected_part(session: Session) -> str:
    """What is selected, as changes name it; "" where that is nothing which can be changed."""
    place = session.state.location
    return place_of(place).change(place, session.dims())


def contrast(session: Session) -> Outcome:
    """The candidate under the cursor is A; once it is, it is B; and then the likeliest two are, as usual."""
    if session.result is None or session.distribution is None or session.result.config.vocab_size < 2:
        return session, ()
    token = int(session.distribution.order[session.candidate])
    return change(session, session.state.contrasted(token_text(token, None if session.model is None else session.model.tokenizer)))


def adjust(session: Session, step: int) -> Outcome:
    """A larger or smaller k or p."""
    return (session, ()) if session.result is None else change(session, session.state.adjust(step, session.result.config.vocab_size))


# What is asked over the screen


def jump(session: Session, digit: str = "") -> Outcome:
    """Ask where to: by a number where numbers name places, else by a Location."""
    place = session.state.location
    if session.result is None or (digit and (place.kind not in NUMBERED or session.pane != "stage")):
        return session, ()
    return replace(session, generating=False), (Show("jump", digit),)  # the prompt must not move on under what is typed


def digit(session: Session, event: Digit) -> Outcome:
    """A digit answers a lesson's question, or has its reason said again; on any other page it begins a number that names a place."""
    if session.reader.has_question:
        return lessons.answer(session, int(event.digit))
    return jump(lessons.pressed(session, event.digit), event.digit)


def fault(session: Session, text: str) -> str:
    """What is wrong with a place that was typed; "" where it can be gone to."""
    if session.result is None:  # another model came meanwhile
        return "There is nothing to go to yet; wait for the model's answer."
    try:
        if lesson_typed(session, text) is None:
            session.state.jump(text, session.dims())
    except (LocationError, LessonError) as error:
        return str(error)
    return ""


def lesson_typed(session: Session, text: str) -> lessons.Named | None:
    return lessons.named(session, text) if session.state.trace is None else None


def jumped(session: Session, event: Jumped) -> Outcome:
    """To the place, or the lesson's page, that was typed."""
    if fault(session, event.text):
        return session, ()
    if (found := lesson_typed(session, event.text)) is not None:
        return lessons.begin(session, *found)
    session, effects = focus(session, "stage")
    session, more = moved(session, lambda state, dims: state.jump(event.text, dims))
    return session, (*effects, *more)


def find(session: Session) -> Outcome:
    """Put the candidates' cursor on a token that the reader names."""
    if session.distribution is None or session.result is None:
        return session, ()
    return replace(session, generating=False, back=0), (Show("find"),)  # what is found belongs to the present distribution


def found(session: Session, event: Found) -> Outcome:
    """The token that was named, if its distribution still is the present one."""
    if session.distribution is None or session.distribution.logits is not event.logits:
        return session, ()
    session = replace(session, candidate=event.rank)
    return (session, ()) if place_of(session.state.location).has_candidates else focus(session, "panel")


def examples(session: Session) -> Outcome:
    """Begin again with a prompt that shows something."""
    return session, recorded_run(session, "another prompt") or (Show("examples"),)


def began(session: Session, event: Began) -> Outcome:
    """An example was picked."""
    session = replace(session, generating=False, queued=0)
    session, effects = change(session, session.state.with_prompt(event.prompt))
    return session, (*effects, Say(event.look))


def list_lessons(session: Session) -> Outcome:
    if session.state.trace is not None:
        return session, (Say("This is a recorded trace: a lesson needs the model."),)
    return session, (Show("lessons"),)


# Panes


def surprisal(session: Session) -> Outcome:
    """Open or shut the surprisal strip."""
    if not session.can_surprise() and (said := recorded_run(session, "surprisal without the logits of every position")):
        return session, said
    return replace(session, strip=not session.strip_open), ()


def explain(session: Session) -> Outcome:
    """Explain what is selected: beside the stage from now on, or once over a screen without room for that."""
    if not session.reader.side and session.room[1]:
        return replace(session, side="" if session.side == "explain" else "explain", scroll=0), ()
    return session, () if session.result is None else (Show("explain"),)


def page(session: Session, pages: int) -> Outcome:
    """Scroll the side pane."""
    if session.reader.side:
        return lessons.scroll(session, pages)
    return session, () if session.result is None or not session.side else (Scroll(pages=pages),)


def scrolled(session: Session, event: Scrolled) -> Outcome:
    """So far the side pane goes."""
    if session.reader.side:
        return lessons.with_reading(session, scroll=event.row), ()
    return replace(session, scroll=event.row), ()


def resized(session: Session, event: Resized) -> Outcome:
    return replace(session, room=(event.strip, event.side)), ()


def fill(session: Session) -> Outcome:
    """The pane of the keys fills the screen, or no longer does."""
    return replace(session, fills=not session.fills), ()


def cover(session: Session) -> Outcome:
    """What is covered is uncovered; where nothing is, the pane of the keys is covered."""
    return replace(session, covered=frozenset() if session.covered else frozenset((session.pane,))), ()


# The mouse


def hovered(session: Session, event: Hovered) -> Outcome:
    """The pointer is over something: of a head's grid, a cell is told more of."""
    target = event.target
    cell = isinstance(target, Location) and target.key is not None and isinstance(place_of(session.state.location), Head)
    return replace(session, hover=target if cell and isinstance(target, Location) else None), ()


def wheel(session: Session, event: Wheel) -> Outcome:
    if event.pane == "side":
        return page(session, 1 if event.direction == "down" else -1)
    return move(session, event.direction, event.columns)


def clicked(session: Session, event: Clicked) -> Outcome:
    """A click selects; a click on what is selected zooms in, or edits the prompt."""
    pane, target = event.pane, event.target
    effects: tuple[Effect, ...] = ()
    selects = pane == "prompt" and isinstance(target, tuple) and target != ("token", selected(session))
    if pane in FOCUS and pane != session.pane and not selects:
        session, effects = focus(session, pane)
    session, more = hit(session, pane, target)
    return session, (*effects, *more)


def hit(session: Session, pane: str, target: object) -> Outcome:
    """What was clicked is done or gone to."""
    match target:
        case Location():
            if pane == "stage" and str(target) == str(session.state.location):
                return enter(session)
            return moved(session, lambda state, dims: state.go(target, dims))
        case ("token", int(position)):
            return moved(session, lambda state, dims: state.select_token(position, dims))
        case ("candidate", int(rank)):
            if rank == session.candidate and session.pane == "panel":
                return choose(session, rank)
            return replace(session, candidate=rank), ()
        case ("answer", int(number)):
            return lessons.answer(session, number)
        case ("temperature", float(value)):
            return change(session, session.state.at_temperature(value))
    return session, ()


def selected(session: Session) -> int | None:
    """The selected token's position."""
    return None if session.result is None else session.state.location.token_index(session.result.trace.n_tokens)


# The table


def by(step: Callable[[ExplorerState], ExplorerState]) -> Callable[[Session], Outcome]:
    """A key that is a step of the state."""
    return lambda session: change(session, step(session.state))


def by_dims(step: Step) -> Callable[[Session], Outcome]:
    """One that needs the sizes."""
    return lambda session: moved(session, step)


def in_lesson(does: Callable[[Session], Outcome]) -> Callable[[Session], Outcome]:
    """One that means something while a lesson is open."""
    return lambda session: does(session) if session.reader.side else (session, ())


KEYS: dict[str, Callable[[Session], Outcome]] = {
    "enter": enter,
    "out": out,
    "next_pane": lambda session: focus(session, pane_beside(session, 1)),
    "previous_pane": lambda session: focus(session, pane_beside(session, -1)),
    "prompt": lambda session: focus(session, "prompt"),
    "block_back": by_dims(lambda state, dims: state.step_block(-1, dims)),
    "block_on": by_dims(lambda state, dims: state.step_block(1, dims)),
    "head_back": by_dims(lambda state, dims: state.step_head(-1, dims)),
    "head_on": by_dims(lambda state, dims: state.step_head(1, dims)),
    "stage": stage,
    "least": by(ExplorerState.next_least),
    "strongest": strongest,
    "atlas": atlas,
    "jump": jump,
    "flow": by(ExplorerState.toggle_flow),
    "switch": switch,
    "patch": patch,
    "unedit": by(ExplorerState.unedited),
    "contrast": contrast,
    "cooler": by(ExplorerState.cooler),
    "warmer": by(ExplorerState.warmer),
    "cooler_unit": by(ExplorerState.cooler_unit),
    "warmer_unit": by(ExplorerState.warmer_unit),
    "reset_temperature": by(ExplorerState.reset_temperature),
    "mode": by(ExplorerState.cycle_mode),
    "less": lambda session: adjust(session, -1),
    "more": lambda session: adjust(session, 1),
    "reseed": by(ExplorerState.reseed),
    "draw": draw,
    "generate": generate,
    "pace": pace,
    "undo": undo,
    "hold": hold,
    "older": lambda session: step_back(session, 1),
    "newer": lambda session: step_back(session, -1),
    "find": find,
    "examples": examples,
    "surprisal": surprisal,
    "explain": explain,
    "page_up": lambda session: page(session, -1),
    "page_down": lambda session: page(session, 1),
    "specials": models.specials,
    "models": lambda session: (session, (Show("models"),)),
    "lessons": list_lessons,
    "lesson_on": in_lesson(lambda session: lessons.turn(session, 1)),
    "lesson_back": in_lesson(lambda session: lessons.turn(session, -1)),
    "lesson_view": in_lesson(lessons.back),
    "pages": in_lesson(lessons.pages),
    "hands": in_lesson(lessons.hands),
    "fill": fill,
    "cover": cover,
    "blank": lambda session: (replace(session, blank=True), ()),
}
KEYS |= {kind: partial(look_up, kind=kind, tries=place.tries) for kind, place in PLACES.items() if isinstance(place, LookedUp)}
