"""From a lesson's page to a state and a run: the same for the app, for `render` and for `lessons check`. Free of Textual."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from txexplain.bounded import load_json
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.errors import ExplainError, LessonError, reason
from txexplain.explorer.choice import dims_of, distribution_of
from txexplain.explorer.lesson import ANSWERS, LARGEST, Lesson, Page, state_of
from txexplain.explorer.reading import Reading, ending
from txexplain.explorer.runs import required_run
from txexplain.explorer.state import ExplorerState
from txexplain.files import read_whole
from txexplain.front.lecture import check_keys
from txexplain.front.scenes import scene_of
from txexplain.text import shown
from txexplain.viz.canvas import Canvas
from txexplain.viz.live import filled, place, require_true
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.viz.screen import layout
from txexplain.viz.views import PANES
from txexplain.viz.views.lesson import marked_hits


def where(lesson: Lesson, page: Page) -> str:
    return f"{lesson.file or shown(lesson.name)}, page {page.number}"


def read(lesson: Lesson, page: Page, state: ExplorerState, result: Result, palette: Palette) -> tuple[ExplorerState, Reading]:
    """Where a page looks and what it says, once its run is there. Raises LessonError where the model or the prompt lacks something."""
    distribution = distribution_of(result, state)
    scene = scene_of(state, palette, (80, 24), result, distribution=distribution)
    dims = replace(dims_of(result), model=state.model)
    found = place(page, scene, dims, where(lesson, page))
    asked = state_of(page, state)  # the reader may have chosen another setting since
    own = distribution if asked.sampling == state.sampling else distribution_of(result, asked)
    return state.go(found, dims), Reading(lesson, page, result, own, found, ending=ending(lesson, page))


def may_fetch(page: Page, asked: str) -> bool:
    """Whether a page's model may be fetched without a word: where the reader named it. A lesson is a file that others write."""
    return page.model in (None, asked)


def prompt_ids(page: Page, model: GPT2) -> list[int]:
    """A page's tokens. Raises LessonError where the model can't read them."""
    return model.checked(list(page.ids)) if page.ids is not None else model.prompt_ids(page.prompt or "")


def check_lesson(lesson: Lesson, name: str, load: Callable[[str], GPT2], palette: Palette) -> None:
    """Run every page with its model, and compute everything that it says and points at. Raises LessonError."""
    models: dict[str, GPT2] = {}
    runs: dict[Any, Result] = {}  # the last one: the next page often has the same
    for page in lesson.pages:
        check_keys(where(lesson, page), page.keys)
        wanted = page.model or name
        try:
            model = models.get(wanted) or models.setdefault(wanted, load(wanted))
            state = state_of(page, ExplorerState(model=wanted))
            key = (wanted, state.asked)
            if key not in runs:
                runs = {}
                runs = {key: required_run(state, model)}
            scene = check_page(lesson, page, wanted, runs[key], palette)
            require_true(page, scene, where(lesson, page))
        except LessonError:
            raise
        except ExplainError as error:
            raise LessonError(f"{where(lesson, page)}: {error}") from None


def check_page(lesson: Lesson, page: Page, name: str, result: Result, palette: Palette) -> Scene:
    """Everything about a page that any model's run must have; its screen. Raises LessonError."""
    state, reading = read(lesson, page, state_of(page, ExplorerState(model=name)), result, palette)
    scene = scene_of(
        state,
        palette,
        (120, 36),
        result,
        distribution=reading.distribution,
        side="lesson",
        reading=reading,
        ribbons=None if result.flow_lacks("norms") else tuple(result.flow("norms")),
    )
    filled(page, scene, where(lesson, page))
    if page.highlight is not None and not any(marked_hits(picture, pane, scene) for pane, picture in pictures(scene)):
        sentence = "nothing of that name is on the page's screen; name what can be clicked there, or a pane."
        raise LessonError(f"{where(lesson, page)}, highlight: {shown(page.highlight)}: {sentence}")
    return scene


def pictures(scene: Scene) -> Iterable[tuple[str, Canvas]]:
    """The panes that a page may point at."""
    for pane, rect in layout(scene.width, scene.height, scene.side).items():
        if pane in ("prompt", "stage", "panel"):
            yield pane, PANES[pane](replace(scene, width=rect.width, height=rect.height))


# Answers

MOST_VALUES = 100_000  # of a file of answers: some for each page
LONGEST_NAME = 255  # characters: a lesson's name is its file's


def report(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """For each lesson and question, what a class answered. Raises LessonError for a file that isn't a record of answers."""
    counts: dict[tuple[str, int, str], Counter[int]] = {}
    right: dict[tuple[str, int, str], int] = {}
    for path in paths:
        for lesson, answer in answers_in(path):
            question = (lesson, answer["page"], answer["question"])
            counts.setdefault(question, Counter())[answer["answer"]] += 1
            right[question] = right.get(question, 0) + bool(answer["right"])
    return [
        {
            "lesson": lesson, "page": page, "question": text, "answered": counts[lesson, page, text].total(),
            "right": right[lesson, page, text], "answers": dict(sorted(counts[lesson, page, text].items())),
        }
        for lesson, page, text in sorted(counts)
    ]  # fmt: skip


def answers_in(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """One file's answers, each with its lesson's name. Raises LessonError."""
    try:
        document = load_json(read_whole(path, LARGEST), MOST_VALUES)
        if document["format"] != "txexplain-answers/1":
            raise ValueError("its format is another")
        found = [(document["lesson"], answer) for answer in document["answers"]]
        for lesson, answer in found:
            kinds = [type(each) for each in (lesson, answer["page"], answer["question"], answer["answer"], answer["right"])]
            if kinds != [str, int, str, int, bool]:
                raise ValueError("an answer has another form")
            if len(lesson) > LONGEST_NAME or not 1 <= answer["page"] <= LARGEST or not 1 <= answer["answer"] <= ANSWERS:
                raise ValueError("no lesson has such a name, page or answer")
    except OSError as error:
        raise LessonError(f"{shown(str(path))} can't be read: {reason(error)}.") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LessonError(f"{shown(str(path))} isn't a file that --record wrote; give those that a class handed in.") from None
    return found
