"""What lies over the screen for a while: a function for each, by the name under which the session asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from txexplain.explorer.examples import examples_for
from txexplain.explorer.jump import asked
from txexplain.explorer.session.events import Agreed, Began, Found, Jumped, LessonPicked, ModelPicked, PagePicked, Raised
from txexplain.explorer.session.keys import fault
from txexplain.explorer.session.lessons import hands_fault, lessons_of
from txexplain.models.hub import NotHere
from txexplain.ui.ask import AskScreen
from txexplain.ui.choose import ExamplesScreen, FindScreen, LessonsScreen, PagesScreen
from txexplain.ui.explain import ExplainScreen
from txexplain.ui.jump import JumpScreen
from txexplain.ui.models import FetchScreen, ModelsScreen

HANDS = "a number for each answer, as in 12 25 3; nothing takes all answers back   ⏎ done   esc back"

if TYPE_CHECKING:
    from txexplain.ui.app import ExplorerApp


def told(app: ExplorerApp, event: Callable[[Any], object]) -> Callable[[Any], None]:
    """What an answer is told as; nothing where the screen was left without one."""

    def answered(answer: Any) -> None:
        if answer is not None:
            app.happen(event(answer))

    return answered


def jump(app: ExplorerApp, digit: str) -> None:
    """Where to go: a place that is typed."""
    hint = asked(app.session.state.location)
    app.push_screen(JumpScreen(app.tones, hint, lambda text: fault(app.session, text), app.stage_rect, digit or ""), told(app, Jumped))


def find(app: ExplorerApp, _: object) -> None:
    """A token of the vocabulary."""
    distribution = app.session.distribution
    assert distribution is not None
    logits, label = distribution.logits, replace(app.scene(*app.size), shown=None).id_label
    app.push_screen(FindScreen(app.tones, app.work, distribution, label), told(app, lambda rank: Found(rank, logits)))


def examples(app: ExplorerApp, _: object) -> None:
    """A prompt that shows something."""
    found = examples_for(app.session.state.model)
    picked = told(app, lambda number: Began(found[number].prompt, found[number].look))
    app.push_screen(ExamplesScreen(app.tones, found, app.session.state.prompt), picked)


def lessons(app: ExplorerApp, _: object) -> None:
    """A lesson, opened where it was left; or that the open one is closed."""
    reader, found = app.session.reader, lessons_of(app.session)
    last = reader.lesson or reader.asked.last
    at = found.index(last) if last in found else 0
    pages = [reader.page_in(lesson) if lesson in reader.bookmarks else 0 for lesson in found]
    app.push_screen(LessonsScreen(app.tones, found, pages, at, closes=reader.open, key=app.key("lessons")), told(app, LessonPicked))


def pages(app: ExplorerApp, _: object) -> None:
    """A page of the open lesson."""
    reader = app.session.reader
    assert reader.lesson is not None
    app.push_screen(PagesScreen(app.tones, reader.lesson, reader.number), told(app, PagePicked))


def hands(app: ExplorerApp, _: object) -> None:
    """How many raised a hand for each answer."""
    reading = app.session.reader.reading
    assert reading is not None
    screen = AskScreen(app.tones, "hands", HANDS, partial(hands_fault, app.session), app.widest_rect, " ".join(map(str, reading.hands)))
    app.push_screen(screen, told(app, lambda text: Raised(tuple(map(int, text.replace(",", " ").split())))))


def models(app: ExplorerApp, _: object) -> None:
    """A model; the one on its way is stopped by it."""
    state = app.session.state
    screen = ModelsScreen(app.tones, app.work, "" if state.trace else state.model, lambda: app.session.arrival, app.list_models)

    def picked(number: int | None) -> None:
        if number is not None and screen.models is not None:
            app.happen(ModelPicked(screen.models[number].name))

    app.push_screen(screen, picked)


def fetch(app: ExplorerApp, lacking: NotHere) -> None:
    """Whether a model that a lesson's page wants may be fetched."""
    screen = FetchScreen(app.tones, app.work, lacking)
    sentence = f"This page is shown without its model. {lacking}"
    app.push_screen(screen, lambda yes: app.happen(Agreed(lacking.name, bool(yes), screen.bytes, sentence)))


def explain(app: ExplorerApp, _: object) -> None:
    """What is selected, explained."""
    app.push_screen(ExplainScreen(app.scene(*app.size)))


def none(app: ExplorerApp, _: object) -> None:
    """The list of models goes once the one that was picked is there."""
    if isinstance(app.screen, ModelsScreen):
        app.screen.dismiss(None)


DIALOGS: dict[str, Callable[[ExplorerApp, Any], None]] = {
    "jump": jump, "find": find, "examples": examples, "lessons": lessons, "pages": pages, "hands": hands, "models": models, "fetch": fetch,
    "explain": explain, "none": none,
}  # fmt: skip
