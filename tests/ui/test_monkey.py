"""Short walks of the monkey; the long ones are `python -m tests.monkey`."""

from __future__ import annotations

from dataclasses import replace
from pkgutil import resolve_name
from typing import Any

import pytest

from tests.covering import few
from tests.monkey.walk import Fault, Seen, replay, shortened, told, walk
from tests.monkey.world import KINDS, Start, World
from txexplain.explorer.session.keys import KEYS


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def taken(world: World, *steps: object, **start: object) -> Seen:
    """Steps that led to a fault once, taken again."""
    return replay(world, Start.of(start), list(steps))


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_short_walk(world: World, kind: str) -> None:
    seen = walk(world, kind, 100, 11)
    assert sum(seen.steps.values()) >= 100
    assert seen.looks["compared"] + seen.looks["small"] > 10  # it may be a screen too small for anything, from its start to its end
    assert len(seen.views) > 3


@pytest.mark.long
def test_a_fault_says_the_shortest_way_to_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KEYS, "atlas", lambda session: 1 / 0)
    with pytest.raises(Fault) as raised:
        taken(world, "d", ["settle"], ["move", 50, 15], "a", "d", size=[100, 30])
    fault = shortened(world, raised.value, 120)
    assert fault.steps == ["a"]
    assert told(fault, 7).splitlines() == [
        "seed 7, 1 steps: ZeroDivisionError: division by zero",
        """python -m tests.monkey --replay '{"start": {"kind": "storyteller"}, "steps": ["a"]}'""",
    ]


def hotter(plain: Any) -> Any:
    return lambda result, state: plain(result, replace(state, temperature=state.temperature + 0.1))


def one_row_too_many(plain: Any) -> Any:
    return lambda self, prefix, ids, *edits: 0 if prefix is None else min(plain(self, prefix, ids, *edits) + 1, len(prefix.ids), len(ids))


def above(plain: Any) -> Any:
    return lambda self, rows: plain(self, [max(y - 1, 0) for y in rows])


@pytest.mark.long
@pytest.mark.parametrize(("what", "wrong", "steps", "said"), [
    ("txexplain.explorer.session.answers.distribution_of", hotter, ["comma"], "panel isn't what a fresh run shows|candidate . is said to have"),
    ("txexplain.ui.app.inputs", lambda _: lambda name, scene, rect: (name, scene.shown is None), ["a"], "the header says|a fresh run shows"),
    ("txexplain.viz.views.chrome.breadcrumb", lambda plain: lambda place: plain(place)[:-1], ["enter"], "the header says"),
    ("txexplain.ui.widgets.picture.Picture.strips", above, ["a"], "the screen says"),
    ("txexplain.engine.model.GPT2.shared", one_row_too_many, ["slash", "backspace", ["text", "my"], "enter"], "from a fresh run"),
])  # fmt: skip
def test_what_is_wrong_is_seen(
    world: World, monkeypatch: pytest.MonkeyPatch, what: str, wrong: Any, steps: list[object], said: str
) -> None:
    """The monkey looks at what the screen says, not only at what the app believes."""
    owner, _, name = what.rpartition(".")
    taken(world, *steps)
    monkeypatch.setattr(what, wrong(getattr(resolve_name(owner), name)))
    with pytest.raises(Fault, match=said):
        taken(world, *steps)


@pytest.mark.long
def test_a_hang_is_a_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.monkey.walk.HUNG", 1)
    monkeypatch.setitem(KEYS, "atlas", lambda session: [0 for _ in iter(int, 1)])
    with pytest.raises(Fault, match="the app hangs") as raised:
        taken(world, "d", "a", "d")
    assert raised.value.steps == ["d", "a"]


@pytest.mark.long
def test_a_theme_that_is_not_remembered_is_a_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    taken(world, "T", "q")
    monkeypatch.setattr("txexplain.ui.deeds.remember_theme", lambda name: None)
    with pytest.raises(Fault, match="the theme isn't remembered"):
        taken(world, "T", "q")


# What monkeys found


def test_a_prompt_edited_without_a_tokenizer(world: World) -> None:
    taken(
        world, "slash", ["text", "Once"], "enter", "slash", "a", "escape", "d", kind="tiny", flags={"model": "tiny", "ids": [5, 17, 42, 3]}
    )


@pytest.mark.parametrize("keys", few([["i"], ["t", "enter", ["size", 120, 40], "t"]], lambda keys: keys == ["i"]))
def test_tab_from_a_pane_that_tab_does_not_visit(world: World, keys: list[object]) -> None:
    """A click on the explanation, or a lesson that was left, and then Tab: it ended the app."""
    clicks = [["click", 100, row] for row in (8, 20, 34)]
    taken(world, *keys, *(step for click in clicks for step in (click, "tab", click, "shift+tab")))


@pytest.mark.parametrize(
    ("opening", "closing"),
    few(
        [
            (["J", ["text", "L1"]], ["keys", "enter", "enter"]),
            (["e"], ["double", 40, 18]),
            (["t"], ["double", 40, 18]),
            (["m", ["settle"]], ["double", 40, 17]),
            (["ctrl+p", ["settle"]], ["double", 40, 12]),
            (["ctrl+p", ["settle"], ["text", "all heads"], ["settle"]], ["keys", "enter", "enter"]),
        ],
        lambda opening, _: opening[0] in "Je",
    ),
)
def test_what_lies_over_the_screen_is_closed_once(world: World, opening: list[object], closing: list[object]) -> None:
    """Two quick keys or clicks closed the screen below, too, which ended the app; the command of the palette ran twice."""
    seen = taken(world, *opening, closing, ["settle"])
    assert seen.screens["stage"] + seen.screens["stage lesson"] >= 1
    assert seen.actions["atlas"] <= 1


def test_keys_after_the_one_that_quits(world: World) -> None:
    """A page that was opened while the app ended was never composed, and ended it with an error."""
    assert taken(world, ["keys", "q", "i"], size=[80, 24]).actions == {"quit": 1}


def test_taking_back_an_edit_that_brought_the_scroll_bar(world: World) -> None:
    text = "".join(f"{line}\n" for line in range(9))
    taken(world, "slash", ["paste", text], "ctrl+z", "ctrl+y", "ctrl+z", ["settle"], size=[80, 24])


def test_a_page_that_the_model_cannot_show_scrolls(world: World) -> None:
    """A live value that another model lacks is a sentence in the page's place; page down ended the app over it."""


@pytest.mark.parametrize("key", few(["ctrl+x", "ctrl+c"], lambda key: key == "ctrl+x"))
def test_half_a_character_is_cut_and_copied(world: World, key: str) -> None:
    """The clipboard takes UTF-8, which half a character isn't: the app ended over it."""
    taken(world, "slash", ["paste", "a\ud800b"], "ctrl+a", "shift+up", "shift+left", key, "ctrl+v")


def test_the_last_line_is_cut(world: World) -> None:
    """Textual cuts a line with the break behind it, which the last line has not: the app ended over it."""
    taken(world, "slash", "ctrl+x", ["settle"])


def test_a_neuron_pointed_at_in_the_usual_list(world: World) -> None:
    """The list's name went without saying by keys but not by the pointer: one place was two Locations."""
    taken(world, ["jump", "L1.mlp:post[78]@1"], ["middle", 51, 12], kind="trace")


def test_the_past_in_the_row_that_a_lesson_leaves(world: World) -> None:
    """What is past stood over the likeliest token's share."""
    taken(world, ["settle"], "right_square_bracket", ["settle"], "left_parenthesis", kind="lessons", lesson=0, size=[72, 18])


def test_down_an_explanation_that_was_clicked(world: World) -> None:
    """The keys took it for a lesson's page, and the app ended."""
    taken(world, "i", ["click", 80, 23], "j", "k", kind="tiny")


def test_a_drag_over_the_stage_while_the_prompt_is_edited(world: World) -> None:
    """The stage took the keys, and the field stayed with a text that they changed."""
    taken(world, ["keys", "shift+tab", "w"], ["drag", 0, 8, 3, 12], ["text", " Hz1z,<,"], size=[72, 18])
