"""Short walks of the monkey; the long ones are `python -m tests.monkey`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from txexplain.engine.model import GPT2
from txexplain.explorer.state import ExplorerState

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests import monkey


@pytest.mark.parametrize("seed", [11, 12])
def test_a_short_walk(storyteller: GPT2, seed: int) -> None:
    assert len(monkey.walk(storyteller, None, 60, seed)) == 60


def test_a_short_walk_in_another_model(tiny: GPT2) -> None:
    monkey.walk(tiny, None, 80, 13, ExplorerState(model="tiny", ids=(5, 17, 42, 3)))


def test_a_fault_says_how_to_see_it_again(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("txexplain.ui.app.ExplorerApp.do_atlas", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError) as raised:
        monkey.walk(storyteller, ["d", "a", "d"], 3, 0)
    assert any('replay: ["d", "a"]' in note for note in raised.value.__notes__)


def test_what_monkeys_found(tiny: GPT2) -> None:
    """A prompt edited in a model without a tokenizer ended the app."""
    monkey.walk(
        tiny, ["slash", ["type", "Once"], "enter", "slash", "a", "escape", "d"], 7, 0, ExplorerState(model="tiny", ids=(5, 17, 42, 3))
    )


def test_tab_from_a_pane_that_tab_does_not_visit(storyteller: GPT2) -> None:
    """A click on the explanation, or a lesson that was left, and then Tab: it ended the app."""
    for keys in (["i"], ["t", "enter", "size", "t"]):
        steps: list[monkey.Step] = [["size", 120, 40] if key == "size" else key for key in keys]
        clicks = [["click", 100, row] for row in (8, 20, 34)]
        monkey.walk(storyteller, [*steps, *(step for click in clicks for step in (click, "tab", click, "shift+tab"))], 20, 0)
