"""The registry of places, walked: each has a text, bounds, a way in and out, and all that shows it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, replace

import pytest

from tests.viz.reading import scene_at
from txexplain.cli.asked import Source
from txexplain.cli.start import require_place
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.errors import LocationError
from txexplain.explorer.location import FACES, PLACES, Dims, Location, breadcrumb, check, clamp, parse
from txexplain.explorer.places import KINDS
from txexplain.explorer.places.place import Place
from txexplain.explorer.places.whole import LookedUp
from txexplain.explorer.state import ExplorerState, from_flags
from txexplain.front.actions import Doing, footer
from txexplain.ui.help import HelpScreen
from txexplain.viz.describe import describe
from txexplain.viz.palette import Palette
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.views import paint_header, paint_stage
from txexplain.viz.views.explain import explain_text
from txexplain.words.told import TOPICS

SMALL = Dims(2, 2, 2, 2, columns=2, model="tiny", n_embd=2)
INDICES = {field.name for field in fields(Location) if field.type in ("int", "int | None")} - {"least"}


def subclasses(kind: type[Place]) -> Iterator[type[Place]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def after_a_key(state: ExplorerState) -> Iterator[ExplorerState]:
    """Where each key leads that changes the place."""
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        yield state.move(dx, dy, SMALL)
    yield from (state.out(SMALL), state.next_stage(), state.step_block(1, SMALL), state.step_head(1, SMALL), state.select_token(0, SMALL))


@pytest.fixture(scope="module")
def reached() -> dict[str, set[Location]]:
    """Every place of a small model that keys lead to from those that a word alone names."""
    first = [from_flags(at=place.word) for place in PLACES.values() if place.stem == place.word]
    todo, seen, found = first, {state.location for state in first}, defaultdict[str, set[Location]](set)
    while todo:
        state = todo.pop()
        inside = state.enter(SMALL)
        for after in (inside, *after_a_key(state)):
            if after.location not in seen:
                seen.add(after.location)
                todo.append(after)
        assert len(seen) < 5000, "some number has no bound"
    for place in seen:
        found[place.kind].add(place)
    return found


def test_every_kind_of_place_is_registered_everywhere() -> None:
    named = {place for place in subclasses(Place) if "kind" in vars(place)}
    assert {place.kind: place for place in named} == {kind: type(place) for kind, place in PLACES.items()}
    assert len(named) == len(PLACES)
    for table in (PICTURES, TABLES, TOPICS):
        assert set(table) == set(KINDS)


def test_every_place_is_reached_by_keys(reached: dict[str, set[Location]]) -> None:
    assert set(reached) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_parses_what_it_writes(reached: dict[str, set[Location]], kind: str) -> None:
    for place in reached[kind]:
        for face in FACES.get(kind, (None,)):
            faced = replace(place, face=face)
            assert parse(str(faced)) == faced
        assert breadcrumb(place)[-1] == (PLACES[kind].label(place), place)


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_is_refused_outside_its_bounds(reached: dict[str, set[Location]], kind: str) -> None:
    """Each number that keys change is bounded; one further is refused with a sentence, and its nearest is the last there is."""
    bounded, changed = set(), set()
    for place in reached[kind]:
        check(place, SMALL)
        assert clamp(place, SMALL) == place
        changed |= {name for name in INDICES if getattr(place, name) != getattr(Location(kind), name)}
        for bound in PLACES[kind].bounds(place, SMALL):
            beyond = replace(place, **{bound.field: bound.held(bound.size)})
            with pytest.raises(LocationError, match=rf"^[^ ]+: there is no {bound.what} {bound.size}; [^.]+\.$"):
                check(beyond, SMALL)
            assert clamp(beyond, SMALL) == replace(place, **{bound.field: bound.held(bound.size - 1)})
            bounded.add(bound.field)
    assert changed <= bounded


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_is_entered_and_left(reached: dict[str, set[Location]], kind: str) -> None:
    for place in reached[kind]:
        state = ExplorerState().go(place)
        for left in range(5):
            if state.location.kind == "model":
                break
            outside = state.out(SMALL)
            assert outside.location != state.location
            assert outside.location.token_index(2) == place.token_index(2)
            if left == 0 and kind != "heads" and not isinstance(PLACES[kind], LookedUp):  # keys of their own lead to these
                assert outside.enter(SMALL).location == place
            state = outside
        assert state.location.kind == "model"


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_is_shown_in_every_way(tiny: GPT2, reached: dict[str, set[Location]], kind: str) -> None:
    trace = tiny.forward([5, 17, 42, 3])
    assert trace is not None
    place = min(reached[kind], key=str)
    for face in FACES.get(kind, (None,)):
        scene = scene_at(Result(trace, tiny), str(replace(place, face=face)), (100, 30))
        drawn = paint_stage(scene).text()
        assert len({line.strip() for line in drawn}) > 3
        assert "Not recorded" not in "".join(drawn)
        assert PLACES[kind].label(place) in "".join(paint_header(scene).text())
        assert PLACES[kind].about in describe(scene)
        assert "Not recorded" not in describe(scene)
        assert len(explain_text(scene, 80)) > 100
    assert str(HelpScreen(kind, Palette()).page()).startswith(PLACES[kind].about)
    assert footer(Doing(kind))


def test_the_app_starts_at_the_last_element_of_each_page() -> None:
    """The sizes that a start is held to are the model's, as those are that a key is."""
    source = Source(prompt="Once upon", prompt_text=None, file=None, ids=None, model="storyteller", revision=None, trace=None)
    for at in ("embed[255]", "final[255]", "L5.ln1[255]", "L5.qkv:matrix[255,767]", "L5.proj[255,255]", "L5.mlp[1023]", "L5H7"):
        require_place(source, from_flags(at=at, prompt="Once upon"))
    with pytest.raises(LocationError, match="the vector's elements go from 0 to 255"):
        require_place(source, from_flags(at="embed[256]", prompt="Once upon"))
