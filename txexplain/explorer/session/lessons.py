"""Reading lessons: which page is open, what was answered, the reader's own view meanwhile, and a lecture's keys at a pace."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from txexplain.errors import LocationError
from txexplain.explorer.lesson import SHOWN, Lesson, Page, beside, shipped_lessons, state_of
from txexplain.explorer.location import Location, parse
from txexplain.explorer.reading import Bookmark, Reading, page_of, record, score
from txexplain.explorer.session.answers import adopt, arrived, caught_up, change, focus, go_on, run, use_model
from txexplain.explorer.session.events import (
    Effect,
    Keep,
    KeepPlace,
    Later,
    Led,
    LessonPicked,
    PageRead,
    Press,
    Raised,
    Ran,
    Read,
    Say,
    Scroll,
    Show,
    Tell,
    Type,
)
from txexplain.explorer.session.value import Outcome, Own, Session
from txexplain.explorer.state import ExplorerState, ModelAsked

SHOWN_KEYS = 8  # how many of the keys pressed last a lecture shows
END = 1 << 30  # a row that no page has: its last
Named = tuple[Lesson, int]  # and a page's number


def with_reader(session: Session, **changes: Any) -> Session:
    return replace(session, reader=replace(session.reader, **changes))


def with_reading(session: Session, **changes: Any) -> Session:
    assert session.reader.reading is not None
    return with_reader(session, reading=replace(session.reader.reading, **changes))


def with_bookmark(session: Session, lesson: Lesson, **changes: Any) -> Session:
    bookmarks = session.reader.bookmarks
    return with_reader(session, bookmarks=MappingProxyType({**bookmarks, lesson: replace(bookmarks.get(lesson, Bookmark()), **changes)}))


# Pages


def begin(session: Session, lesson: Lesson, page: int | None = None) -> Outcome:
    """Open a lesson, at a page or where it was left."""
    asked = session.reader.asked
    said: tuple[Effect, ...] = ()
    if asked.record is not None and asked.lesson is not None and lesson not in (asked.lesson, session.reader.lesson):
        said = (Say(f"Answers are kept of {asked.lesson.title} alone, in {asked.record}."),)
    session = with_reader(session, lesson=lesson)
    session, effects = show(session, session.reader.page_in(lesson) if page is None else page)
    return session, (*said, *effects)


def show(session: Session, number: int) -> Outcome:
    """Turn to a page: the screen goes where it points."""
    lesson = session.reader.lesson
    if lesson is None:
        return session, ()
    if session.reader.own is None:
        session = put_aside(session)
    before = session.reader.reading.page if session.reader.side and session.reader.reading is not None else None
    session, page = open_at(session, lesson, number)
    session, reader = model_of(session, page)
    state = state_of(page, session.state.read_by(reader))
    session = with_reader(session, arriving=True, wanted=state)
    session, effects = turn_to(session, state)
    session, more = staged(session, page, before)
    return session, (*effects, *more)


def staged(session: Session, page: Page, before: Page | None) -> Outcome:
    """What of a page is covered at first, and what fills the screen; what the reader let fill it goes on doing so."""
    session = replace(session, covered=frozenset(SHOWN[name] for name in page.cover), blank=False)
    if not page.fill and (before is None or not before.fill):
        return session, ()
    return focus(replace(session, fills=bool(page.fill)), SHOWN.get(page.fill, "stage"))


def open_at(session: Session, lesson: Lesson, number: int) -> tuple[Session, Page]:
    """Put a page into the side pane, without its run."""
    page = page_of(lesson, max(1, min(number, len(lesson.pages))))
    session = with_bookmark(session, lesson, page=page.number)
    given = session.reader.given
    answered = given.get(page.number, 0)
    hands = session.reader.hands.get((lesson.name, page.number), ())
    reading = Reading(lesson, page, cursor=answered or 1, given=answered, summary=summary(session, page.number), answers=given, hands=hands)
    return with_reader(session, number=page.number, open=True, awaited=None, waiting=(), reading=reading), page


def turn_to(session: Session, state: ExplorerState) -> Outcome:
    """Show another state, whatever is going on; where its run is on the screen already, it is looked at."""
    effects: tuple[Effect, ...] = ()
    session = replace(session, generating=False, queued=0, hover=None)
    if session.pane == "prompt":
        session, effects = focus(session, "stage")
    old = session.state
    if state.reader != old.reader:
        session, more = use_model(session, state)
    elif state.asked != old.asked:
        session, more = change(session, state)
    elif session.current:
        session, more = run_is_there(adopt(session, state))
    else:
        session, more = change(session, state)
        if not session.running:
            session, again = run(session)
            more = (*more, *again)
    return session, (*effects, *more)


def turn(session: Session, step: int) -> Outcome:
    """A page further or back: past the lesson's last page the next lesson begins, before its first the one before ends.

    Where nothing follows the page stays as it is.
    """
    reader = session.reader
    if reader.lesson is None:
        return session, ()
    number = reader.number + step
    if 1 <= number <= len(reader.lesson.pages):
        return show(session, number)
    if (other := beside(reader.lesson, step)) is not None:
        return begin(session, other, 1 if step > 0 else len(other.pages))
    return session, (Scroll(END if step > 0 else 0),) if reader.side else ()  # its beginning or its end is in view


def back(session: Session) -> Outcome:
    """The screen goes back to the page's view."""
    reading = session.reader.reading
    if reading is None:
        return session, ()
    session, effects = show(session, session.reader.number)
    return with_reading(session, cursor=reading.cursor, scroll=reading.scroll), effects


def run_is_there(session: Session) -> Outcome:
    """The page's run is there: see where it looks; or the reader's own again."""
    session = returned(session)
    reader, result = session.reader, session.result
    if not reader.arriving or reader.reading is None or reader.wanted is None or result is None:
        return session, ()
    session = with_reader(session, arriving=False)
    if session.state.asked != reader.wanted.with_last_row(result.trace.n_tokens).asked or reader.reading.page.model not in (
        None,
        session.state.model,
    ):
        return session, ()  # the reader has gone on to another prompt or model
    return session, (Read(),)


def page_read(session: Session, event: PageRead) -> Outcome:
    """Look where the page points, and begin to press its keys if this is a lecture."""
    said: tuple[Effect, ...] = ()
    if event.state is not None and event.reading is not None:
        session = adopt(session, event.state)
        found = event.reading
        session = with_reading(session, result=found.result, distribution=found.distribution, place=found.place)
    else:
        said = (Say(event.fault),)
        session = with_reading(session, result=session.result, distribution=session.distribution, place=Location())
    if session.reader.asked.lecture:
        if event.script_fault:
            said = (*said, Say(f"This page's keys can't be pressed: {event.script_fault}."))
        session = with_reader(session, waiting=event.keys)
        said = (*said, *pause(session))
    session, effects = go_on(session)
    return session, (*said, *effects)


def ran(session: Session, event: Ran) -> Outcome:
    """The run that was asked for is there: the page is read first, and what was asked for meanwhile follows."""
    session, moves = caught_up(arrived(session, event))
    session, effects = run_is_there(session)
    if not effects:
        session, effects = go_on(session)
    return session, (*moves, *effects)


def nothing_there(session: Session) -> Session:
    """The page's run failed; the screen says why, beside the page."""
    session = with_reader(session, arriving=False, waiting=())
    reader = session.reader
    if reader.open and reader.reading is None and reader.lesson is not None:
        session, _ = open_at(session, reader.lesson, reader.number)
    return session


# Models, and the reader's own view


def model_of(session: Session, page: Page) -> tuple[Session, ModelAsked]:
    """The model that a page names, with its own tokenizer; where it names none, the reader's own, also after another page's."""
    here, home, pinned = session.state.reader, session.reader.home, session.reader.pinned
    if page.model is None:
        return session, home if home is not None and here != home and here[0] == pinned else here
    if page.model == here[0]:
        return session, here
    return with_reader(session, home=home if here[0] == pinned else here, pinned=page.model), (page.model, None, None, None)


def led(session: Session, event: Led) -> Outcome:
    """Show what a lecturer shows who is followed."""
    effects: tuple[Effect, ...] = ()
    reader = session.reader
    if event.lesson is None and reader.open:
        session, effects = leave(session)
    elif event.lesson is not None and (reader.lesson, reader.number, reader.open) != (event.lesson, event.page, True):
        session, effects = begin(session, event.lesson, event.page)
    if event.state is None:
        return session, effects
    session, more = turn_to(session, event.state)
    return session, (*effects, *more)


def put_aside(session: Session) -> Session:
    """Keep what the reader has, for the time after the lesson, which begins with a history of its own."""
    own = Own(session.state, session.prompt_text(), session.history, session.held)
    return with_reader(replace(session, history=(), held=None, back=0), own=own)


def leave(session: Session) -> Outcome:
    """Close the lesson: prompt, setting, place and history are the reader's own again. A model picked meanwhile stays."""
    reader = session.reader
    own, home = reader.own, reader.home
    session = with_reader(session, open=False, waiting=(), arriving=False)
    effects: tuple[Effect, ...] = ()
    if session.pane == "side":
        session, effects = focus(session, "stage")
    if own is None:
        return session, effects
    here = session.state.reader
    wanted = home if home is not None and here[0] == reader.pinned else here
    state = own.state
    if wanted != state.reader:
        state = state.with_prompt(own.text).read_by(wanted)
    session = replace(session, history=own.history, held=own.held, back=0)
    # What is still shown is the page's run, which may lack the own place: one goes there once its own run is there.
    meanwhile = state if session.result is None else state.fit(session.dims())
    session = with_reader(session, own=None, home=None, pinned="", awaited=(meanwhile, state))
    session, more = turn_to(session, meanwhile)
    return session, (*effects, *more)


def returned(session: Session) -> Session:
    """The own prompt's run is there: look where the reader looked before the lesson, unless a key has led elsewhere since."""
    awaited, session = session.reader.awaited, with_reader(session, awaited=None)
    if awaited is None or session.result is None:
        return session
    meanwhile, own = awaited
    state, dims = session.state, session.dims()
    if (state.asked, state.location) != (own.asked, meanwhile.fit(dims).location):
        return session
    session = replace(session, state=replace(state, location=own.location, memory=own.memory))
    return replace(session, state=session.state.fit(session.dims()))


def kept(before: Session, after: Session) -> tuple[Effect, ...]:
    """How far one reads, where that is to be kept: of the lesson that is read, and of those that this session has read on in."""
    reader = after.reader
    if not reader.asked.keeps or reader.lesson is None or reader.bookmarks is before.reader.bookmarks:
        return ()
    old, read = reader.asked.bookmarks, reader.lesson
    ours = {lesson: mark for lesson, mark in reader.bookmarks.items() if lesson == read or mark != old.get(lesson)}
    return (KeepPlace(MappingProxyType(ours), read),)


# The list


def lessons_of(session: Session) -> tuple[Lesson, ...]:
    """All that can be opened: those that come with txexplain, and before them one of the reader's own."""
    reader = session.reader
    own = tuple(dict.fromkeys(each for each in (reader.asked.lesson, reader.lesson) if each is not None))
    return (*(each for each in own if each not in shipped_lessons()), *shipped_lessons())


def lesson_picked(session: Session, event: LessonPicked) -> Outcome:
    """A lesson of the list, or that it is to be closed."""
    lessons = lessons_of(session)
    if event.number < len(lessons):
        return begin(session, lessons[event.number])
    return leave(session) if session.reader.open else (session, ())


def named(session: Session, text: str) -> Named | None:
    """A lesson by its name, with a page's number after it or where it was left; None where the text names none, or a place.

    Raises LessonError for a page that it lacks.
    """
    with suppress(LocationError):
        parse(text)
        return None
    words = text.split()
    number = words.pop() if len(words) > 1 and re.fullmatch("[0-9]{1,4}", words[-1]) else ""
    name = " ".join(words).casefold()
    found = next((each for each in lessons_of(session) if each.name.casefold() == name), None)
    if found is None:
        return None
    return found, page_of(found, int(number)).number if number else session.reader.page_in(found)


# Questions


def move(session: Session, step: int) -> Outcome:
    """Up and down in the pane: among the answers, or along a page that is longer than its pane."""
    reading = session.reader.reading
    assert reading is not None
    if session.reader.asks:
        return with_reading(session, cursor=max(1, min(reading.cursor + step, len(reading.page.answers)))), ()
    return scroll(session, step)


def scroll(session: Session, step: int) -> Outcome:
    """Along a page that is longer than its pane."""
    reading = session.reader.reading
    return session, () if reading is None or not session.reader.side else (Scroll(reading.scroll + step),)


def answer(session: Session, number: int) -> Outcome:
    """Give an answer, which stands; after that, read what is to be said of any."""
    reader, reading = session.reader, session.reader.reading
    if not reader.has_question or reading is None or reader.lesson is None or not 1 <= number <= len(reading.page.answers):
        return session, ()
    end = Scroll(END)  # so that the reason is in view
    if reading.given:
        return with_reading(session, cursor=number), (end,)
    given = MappingProxyType({**reader.given, reader.number: number})
    session = with_bookmark(session, reader.lesson, given=given)
    session = with_reading(session, cursor=number, given=number, answers=given, summary=summary(session, reader.number))
    path = reader.asked.record
    if path is None or reader.lesson != reader.asked.lesson:
        return session, (end,)
    return session, (end, Keep(path, record(reader.lesson, given)))


def summary(session: Session, number: int) -> str:
    """On the last page, how the reader did."""
    lesson, given = session.reader.lesson, session.reader.given
    if lesson is None or number != len(lesson.pages) or not given:
        return ""
    right, asked = score(lesson, given)
    return f"**{right} of {asked} questions right**, {asked - len(given)} not answered."


# A lecture


def told(before: Session, after: Session) -> tuple[Effect, ...]:
    """In a lecture, which page is open now."""
    old, new = before.reader, after.reader
    if not new.asked.lecture or new.lesson is None or new.reading is None:
        return ()
    same = (old.lesson, old.number) == (new.lesson, new.number) and old.reading is not None
    return () if same else (Tell(new.lesson, new.number),)


def hands(session: Session) -> Outcome:
    """Ask how many raised a hand for each answer."""
    if not session.reader.asked.lecture:
        return session, (Say("Hands are counted in a lecture: start with --lecture."),)
    return (session, (Show("hands"),)) if session.reader.has_question else (session, (Say("This page asks nothing."),))


def hands_fault(session: Session, text: str) -> str:
    """What is wrong with counts that were typed; "" where nothing is."""
    reading, words = session.reader.reading, text.replace(",", " ").split()
    if reading is None or not all(re.fullmatch("[0-9]{1,5}", word) for word in words):
        return "Type a number for each answer, with spaces between: 12 25 3."
    wanted = len(reading.page.answers)
    return "" if len(words) in (0, wanted) else f"This question has {wanted} answers, and {len(words)} numbers were typed."


def raised(session: Session, event: Raised) -> Outcome:
    """The hands that were counted; without any, the question is as if nobody had been asked."""
    reader, reading = session.reader, session.reader.reading
    if not reader.has_question or reading is None or reader.lesson is None:
        return session, ()
    session = with_reader(session, hands=MappingProxyType({**reader.hands, (reader.lesson.name, reader.number): event.counts}))
    if event.counts:
        return with_reading(session, hands=event.counts), (Scroll(END),)
    given = MappingProxyType({page: answer for page, answer in reader.given.items() if page != reader.number})
    session = with_bookmark(session, reader.lesson, given=given)
    return with_reading(session, hands=(), given=0, cursor=1, answers=given, summary=summary(session, reader.number)), ()


def pages(session: Session) -> Outcome:
    """All pages of the open lesson, to go to one."""
    return session, (Show("pages"),)


def pause(session: Session) -> tuple[Effect, ...]:
    """The time between two of a script's keys."""
    return (Later("script", session.reader.asked.pace),) if session.reader.waiting else ()


def press(session: Session) -> Outcome:
    """One key of the script, once the one before has had its whole effect."""
    reader = session.reader
    if not reader.waiting or session.running or session.queued or reader.arriving:
        return session, pause(session)
    (what, text, shown), *rest = reader.waiting
    session = note(with_reader(session, waiting=tuple(rest)), shown)
    later = pause(session)
    if what == "type":
        return session, (Type(text), *later)
    if what == "leave":
        session, effects = focus(session, "stage")
        return session, (*effects, *later)
    if text == "enter" and session.pane == "side":  # an answer is the reader's own, and may be recorded
        return session, later
    return session, (*later, Press(text))


def pressed(session: Session, shown: str) -> Session:
    """A key that the reader pressed: the lecturer takes over from the script."""
    return note(with_reader(session, waiting=()), shown) if session.reader.asked.lecture else session


def note(session: Session, key: str) -> Session:
    """Show a key as pressed."""
    return with_reader(session, pressed=(*session.reader.pressed, key)[-SHOWN_KEYS:])
