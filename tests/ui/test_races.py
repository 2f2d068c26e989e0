"""Short walks through the orders in which things can happen at once, and those that once went wrong; long ones are `python -m tests.races`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import races

PROMPT = ["start prompt 80x24", "finish load#1", "finish forward#2", "finish norms#3"]
LESSON = ["start lesson 80x24", "finish load#1", "finish forward#2", "finish norms#3"]
FOUND = {
    "after another model was chosen, a page that needs its own waited for ever":
        [*LESSON, "press t", "press m", "finish look#4", "press down", "press down", "press enter", "finish arrive#5",
         "finish forward#6", "finish norms#7", "press t", "press n"],
    "two pages, the first one's model comes last: it went by the other's name":
        [*LESSON, "press n", "open load begin#4", "press n", "press n", "finish load#5", "finish load#4", "finish forward#6"],
    "a page that needs another model, during a run of the present one: the app ended over its result":
        [*LESSON, "press space", "press n", "finish forward#4", "finish load#5"],
    "a model that nobody waits for any more can't be opened: its sentence took the result's place":
        [*LESSON, "press n", "press n", "press n", "press n", "press p", "finish load#7", "finish forward#8", "finish load#6"],
    "the only model on its way is stopped: the screen said that it loads":
        ["start prompt 120x36", "press m", "finish look#2", "press down", "press enter", "press m", "finish look#4", "press down",
         "press enter", "finish load#1"],
    "another model comes while a place is typed: the app ended at enter":
        [*PROMPT, "press m", "finish look#4", "press down", "press enter", "press J", "finish arrive#5", "press enter"],
    "surprisal went on after the end":
        ["start prompt 160x45", "finish load#1", "finish forward#2", "open surprisal begin#4", "open surprisal engine#4", "quit"],
    "ribbons were traced after the end":
        [*PROMPT, "press w", "quit"],
    "the header said opening while a download was at 0%":
        [*PROMPT, "press m", "finish look#4", "press down", "press enter", "open arrive begin#5", "open arrive piece#5"],
    "a recorded run, a step back, and a key that needs the model: the panel stayed in the past":
        ["start recorded 120x36", "finish load#1", "finish norms#2", "press right_square_bracket", "press left_parenthesis",
         "press space"],
    "the stage named an earlier text's next token":
        [*PROMPT, "press space", "finish forward#4", "press left_parenthesis"],
    "a result comes when its prompt is gone: it isn't shown":
        [*PROMPT, "press space", "through forward begin#4", "through forward engine#4", "press u", "open forward post#4"],
    "the explanation beside an atlas that wasn't measured yet measured it, while the key waited":
        ["start prompt 120x36", *PROMPT[1:], "press a", "press v", "press i"],
    "typing where no model could be opened: it waited for ever for a result":
        ["start prompt 80x24", "press m", "finish look#2", "press down", "press down", "press down", "press enter", "finish load#1",
         "finish arrive#3", "press slash", "press a"],
    "a page needs its model, and another is chosen meanwhile: it said the other's numbers":
        ["start lesson 40x10", "press m", "finish look#2", "press enter", "finish arrive#3", "press n", "press m", "finish look#6",
         "press up", "press down", "press down", "press enter"],
}  # fmt: skip


@pytest.fixture(scope="module")
def scene() -> Iterator[races.Scenery]:
    with races.scenery() as scene:
        yield scene


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_short_walk(scene: races.Scenery, seed: int) -> None:
    assert len(races.walk_once(scene, races.chance(seed), 40).done) > 40


@pytest.mark.parametrize("steps", FOUND.values(), ids=FOUND)
def test_what_walks_found(scene: races.Scenery, steps: list[str]) -> None:
    """Each thing done in turn, and all promises looked at after each; then all else happens, and the app ends."""
    races.walk_once(scene, lambda options: 0, steps)


def test_surprisal_is_computed_once_however_often_the_size_changes(scene: races.Scenery) -> None:
    walk = races.walk_once(
        scene, lambda options: 0, ["start prompt 160x45", "finish load#1", "finish forward#2", *["resize 160x45", "resize 120x36"] * 3]
    )
    assert walk.jobs == 4, "a load, a run, its ribbons, its surprisal"
