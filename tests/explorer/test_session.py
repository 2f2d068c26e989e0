"""The session by itself: what happens is a list of events, what is asked for a list of effects; no screen, no thread, no clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution, uniform
from txexplain.engine.surprisal import surprisal
from txexplain.errors import ModelNotFound
from txexplain.explorer.lesson import parse_lesson
from txexplain.explorer.location import parse
from txexplain.explorer.reading import Reads
from txexplain.explorer.runs import run
from txexplain.explorer.session import EVENTS, step
from txexplain.explorer.session import events as e
from txexplain.explorer.session.keys import ARROWS, KEYS
from txexplain.explorer.session.value import Session, begun
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import ACTIONS
from txexplain.models import load_model

LESSON = parse_lesson(
    "+++\ntitle = 'a'\nprompt = 'Once upon a time'\n+++\ntext\n+++\ntitle = 'b'\nquestion = 'Which?'\nanswers = ['x', 'y']\nanswer = 2\n"
    "why = 'so'\n+++\n",
    "short",
)


SAVED = Path(__file__).parents[1] / "golden" / "saved" / "one"  # 2 blocks of 2 heads, room for 64 tokens


@pytest.fixture(scope="module")
def one() -> GPT2:
    return load_model(SAVED)


class World:
    """A session with what the app has: jobs by key, of which the newest counts, and timers by name. Nothing happens by itself."""

    def __init__(self, model: GPT2, state: ExplorerState | None = None, reads: Reads | None = None) -> None:
        self.model = model
        self.session = begun(state or ExplorerState(), reads or Reads())
        self.jobs: dict[str, Any] = {"load": e.Load("load", "storyteller")}
        self.timers: dict[str, float] = {}
        self.said: list[str] = []
        self.shown: list[str] = []
        self.asked: list[Any] = []  # effects, in their order

    def happen(self, *events: object) -> Session:
        """Each event in turn, with what it asks for noted."""
        for event in events:
            self.session, effects = step(self.session, event)
            for effect in effects:
                self.note(effect)
        return self.session

    def note(self, effect: Any) -> None:
        self.asked.append(effect)
        match effect:
            case e.Forward():
                self.jobs["forward"] = effect
            case e.Compute():
                self.jobs[effect.what] = effect
            case e.Load():
                self.jobs[effect.key] = effect
            case e.Stop():
                for key in effect.keys:
                    self.jobs.pop(key, None)
            case e.Later():
                self.timers[effect.timer] = effect.seconds
            case e.Say():
                self.said.append(effect.sentence)
            case e.Show():
                self.shown.append(effect.name)
            case e.Read():
                self.happen(e.PageRead(fault="not here"))

    def press(self, *actions: str) -> Session:
        return self.happen(*map(e.Key, actions))

    def finish(self, key: str) -> Session:
        """A job is done."""
        job = self.jobs.pop(key)
        if isinstance(job, e.Load):
            return self.happen(e.Opened(key, self.model))
        if isinstance(job, e.Forward):
            result = run(job.state, job.model, job.prefix)
            assert result is not None
            return self.happen(e.Ran(result, 0.001))
        known = surprisal(job.result.trace, self.model.unembedding) if key == "surprisal" else None
        if key in ("norms", "rollout"):
            job.result.flow(key)
        for _ in () if job.work is None else job.work.steps(lambda: False):
            pass
        return self.happen(e.Computed(key, known))

    def ring(self, timer: str) -> Session:
        del self.timers[timer]
        return self.happen(e.Rang(timer))

    def settle(self) -> Session:
        """All that is on its way comes."""
        while self.jobs or "typed" in self.timers:
            if self.jobs:
                self.finish(next(iter(self.jobs)))
            else:
                self.ring("typed")
        return self.session


@pytest.fixture
def world(storyteller: GPT2) -> World:
    """A first screen."""
    world = World(storyteller)
    world.settle()
    world.asked.clear()
    return world


def test_every_event_has_its_function_and_every_action_of_the_session_is_one_of_the_registry() -> None:
    classes = {each for each in vars(e).values() if isinstance(each, type) and each.__module__ == e.__name__}
    effects = set(e.Effect.__args__)
    assert set(EVENTS) == classes - effects
    ids = {action.id for action in ACTIONS}
    assert set(KEYS) <= ids
    assert set(ARROWS) <= ids


def test_a_start_loads_runs_and_says_so_meanwhile(storyteller: GPT2) -> None:
    world = World(storyteller)
    assert (world.session.result, world.session.message) == (None, "Loading storyteller …")
    world.happen(e.Progress("load", 120_000_000, 548_000_000))
    assert world.session.message == "Fetching storyteller: 120 of 548 MB, 21%"
    session = world.finish("load")
    assert (session.running, session.message) == (True, "")
    session = world.finish("forward")
    assert (session.running, session.current) == (False, True)
    assert session.result is not None
    assert session.result.trace.ids == tuple(storyteller.prompt_ids(session.state.prompt))


def test_keys_pressed_before_there_is_a_run_act_once_it_is_there(storyteller: GPT2) -> None:
    early, late = World(storyteller), World(storyteller)
    keys = ("atlas", "right", "enter", "hotter")
    early.press(*keys[:2])
    early.finish("load")
    early.press(*keys[2:])
    assert early.session.result is None
    assert early.settle().ahead == ()
    late.settle()
    late.press(*keys)
    assert early.session.state == late.session.state
    assert str(early.session.state.location) == "L0H1"


def test_keys_pressed_for_a_run_that_never_came_are_forgotten(storyteller: GPT2) -> None:
    world = World(storyteller)
    world.press("atlas", *["right"] * 100)
    assert len(world.session.ahead) < 100
    world.happen(e.Failed("load", "No such model.", None))
    world.happen(e.ModelPicked("other"))
    world.settle()
    assert world.session.result is not None
    assert world.session.state.location.kind == "model"


def test_a_key_that_the_session_does_not_know_is_the_screens(world: World) -> None:
    session = world.session
    assert world.press("help") is session
    assert world.asked == [e.Do("help")]


def test_a_draw_is_by_the_uniform_number_of_its_place(world: World, storyteller: GPT2) -> None:
    before = world.session
    assert before.result is not None
    ids = before.result.trace.ids
    wanted = distribution(before.result.trace.last_logits).draw(uniform(0, len(ids))).id
    session = world.press("draw")
    assert session.state.ids == (*ids, wanted)
    assert session.running
    assert session.last_draw is not None
    assert session.drawn_from is before.distribution
    world.settle()
    undone = world.press("undo")
    assert undone.state.ids == ids
    assert undone.last_draw is None


def test_draws_asked_for_during_a_run_follow_it(world: World) -> None:
    session = world.press("draw", "draw", "draw")
    assert (session.queued, len(session.state.appended)) == (2, 1)
    session = world.finish("forward")
    assert (session.queued, len(session.state.appended), session.running) == (1, 2, True)
    session = world.settle()
    assert (session.queued, len(session.state.appended), session.running) == (0, 3, False)


def test_generating_goes_on_after_a_pause_until_a_key_stops_it(world: World) -> None:
    world.press("generate")
    world.finish("forward")
    assert world.timers["drawn"] == world.session.pace
    world.ring("drawn")
    world.finish("forward")
    session = world.press("generate")
    assert not session.generating
    count = len(session.state.appended)
    assert count == 2
    assert len(world.ring("drawn").state.appended) == count  # the pause that was under way rings for nobody


def test_typing_stops_the_run_at_once_and_runs_the_newest_text_after_a_pause(world: World, storyteller: GPT2) -> None:
    world.press("draw")
    session = world.happen(e.Typed("The"), e.Typed("The cat"))
    assert "forward" not in world.jobs
    assert session.running
    world.ring("typed")
    session = world.finish("forward")
    assert session.result is not None
    assert session.result.trace.ids == tuple(storyteller.prompt_ids("The cat"))


def test_what_is_old_fades_only_where_it_stays_so(world: World) -> None:
    world.press("draw")
    world.finish("forward")
    assert not world.ring("fade").late
    world.press("draw")
    session = world.ring("fade")
    assert (session.running, session.late) == (True, True)


def test_a_full_context_says_so_and_stops(world: World, storyteller: GPT2) -> None:
    ids = tuple(storyteller.prompt_ids("a " * 300))[: storyteller.config.n_positions]
    world.session = replace(world.session, state=world.session.state.with_ids(ids), generating=True)
    world.jobs["forward"] = e.Forward(storyteller, world.session.state, None)
    world.finish("forward")
    session = world.ring("drawn")
    assert not session.generating
    assert "The context is full" in world.said[-1]


def test_what_takes_long_is_asked_for_once_and_never_of_a_run_that_is_gone(world: World) -> None:
    world.happen(e.Resized(strip=True, side=True))
    assert set(world.jobs) == {"surprisal"}
    world.happen(e.Resized(strip=False, side=True), e.Resized(strip=True, side=True))
    assert [each.what for each in world.asked if isinstance(each, e.Compute)] == ["surprisal"]
    old = world.session.result
    world.press("draw")
    world.finish("forward")
    assert {each.result for each in world.jobs.values()} == {world.session.result}
    assert old is not world.session.result
    session = world.settle()
    known = session.surprisal()
    assert known is not None
    assert session.result is not None
    assert len(known) == session.result.trace.n_tokens


def test_ribbons_of_the_other_mode_are_asked_for_by_its_key(world: World) -> None:
    world.press("flow")
    assert set(world.jobs) == {"rollout"}
    world.press("flow", "flow")
    assert [each.what for each in world.asked if isinstance(each, e.Compute)] == ["rollout"]


def test_a_setting_is_remembered_and_stepped_back_to(world: World) -> None:
    world.press("warmer", "warmer")
    session = world.press("older")
    assert session.past is not None
    assert session.past.temperature == pytest.approx(1.1)
    session = world.press("draw")
    assert session.back == 0
    assert session.state.temperature == pytest.approx(1.2)


def test_a_change_is_another_run_of_the_same_text(world: World) -> None:
    plain = world.session.result
    assert plain is not None
    world.happen(e.Clicked("stage", parse("L2H3")))
    session = world.press("switch")
    assert session.running
    session = world.finish("forward")
    assert session.result is not None
    assert session.result.trace.ids == plain.trace.ids
    assert session.result.trace.run != plain.trace.run
    assert session.changed
    assert len(session.history) == 2
    session = world.press("unedit")
    session = world.finish("forward")
    assert session.result is not None
    assert session.result.trace.run == plain.trace.run


def test_another_model_takes_the_prompt_with_it(world: World) -> None:
    session = world.happen(e.ModelPicked("another"))
    assert session.arrival is not None
    assert session.result is not None  # the present one stays until then
    world.happen(e.Progress("arrive", 1, 2))
    assert world.session.arrival is not None
    assert world.session.arrival.words == "another 50%"
    session = world.finish("arrive")
    assert (session.state.model, session.result, session.history, session.arrival) == ("another", None, (), None)
    assert world.settle().result is not None


def test_a_model_that_cannot_be_opened_leaves_the_present_one(world: World) -> None:
    world.happen(e.ModelPicked("another"))
    result = world.session.result
    session = world.happen(e.Failed("arrive", "There is none.", ModelNotFound("There is none.")))
    assert (session.result, session.arrival, world.said) == (result, None, ["There is none."])
    world.happen(e.ModelPicked("another"))
    session = world.happen(e.ModelPicked("another"))  # again: the one on its way is stopped
    assert session.arrival is None
    assert "arrive" not in world.jobs


def test_a_prompt_that_cannot_be_run_says_why(world: World) -> None:
    world.happen(e.Typed("x"))
    world.ring("typed")
    session = world.happen(e.Failed("forward", "Too long."))
    assert (session.result, session.running, session.message) == (None, False, "Too long.")
    assert world.press("draw", "enter", "generate", "atlas").state.ids is None  # there is nothing to go on from


def test_the_prompt_is_left_for_the_pane_beside(world: World) -> None:
    assert world.press("prompt").pane == "prompt"
    assert world.asked[-1] == e.Focus("prompt", world.session.state.prompt)
    assert world.happen(e.Left(0)).pane == "stage"
    world.press("prompt")
    assert world.happen(e.Left(1)).pane == "stage"
    assert world.press("next_pane").pane == "panel"


def test_a_jump_is_checked_before_it_is_made(world: World) -> None:
    world.press("jump")
    assert world.shown == ["jump"]
    session = world.happen(e.Jumped("L2H3"))
    assert str(session.state.location) == "L2H3"
    assert world.happen(e.Jumped("L99")) is session


def test_an_arrow_in_the_atlas_goes_by_what_stands_in_a_row(world: World) -> None:
    world.press("atlas", "stage")
    world.settle()
    order = world.session.dims().order
    assert order is not None
    session = world.happen(e.Key("down", columns=5))
    place, n_head = session.state.location, world.model.config.n_head
    assert place.kind == "heads"
    assert place.block * n_head + place.head == order[5]


def test_a_page_turns_and_an_answer_stands(storyteller: GPT2) -> None:
    world = World(storyteller, reads=Reads(LESSON))
    session = world.settle()
    assert session.state.prompt == "Once upon a time"
    session = world.press("lesson_on")
    assert session.reader.number == 2
    session = world.happen(e.Digit("1"), e.Digit("2"))
    assert dict(session.reader.given) == {2: 1}
    assert session.reader.reading is not None
    assert session.reader.reading.cursor == 2  # what is to be said of the other one
    assert "0 of 1 questions right" in session.reader.reading.summary


def test_a_page_that_changes_its_run_is_read_and_its_changes_go_with_it(storyteller: GPT2) -> None:
    """Also where it names the last token, whose number is known once the prompt is read; the reader's own changes come back."""
    front = 'title = "Off"\nmodel = "storyteller"\nprompt = "The keys"\ndo = ["L4H3", "[last,0]"]\npair = [" are"]\n'
    lesson = parse_lesson(f"+++\n{front}+++\nA − B.\n")
    world = World(storyteller, ExplorerState().switch("L0H1"), Reads(lesson))
    session = world.settle()
    assert [str(each) for each in session.state.edits] == ["L4H3", "[1,0]"]
    assert session.state.answer == " are"
    assert world.said == ["not here"], "the page was read"
    assert session.result is not None
    assert session.result.plain is not None
    world.happen(e.LessonPicked(99))
    session = world.settle()
    assert [str(each) for each in session.state.edits] == ["L0H1"]


def test_a_lesson_that_is_left_gives_back_what_was_there(world: World) -> None:
    world.press("draw")
    world.settle()
    own = world.press("warmer")
    world.press("lessons")
    world.happen(e.LessonPicked(0))
    inside = world.settle()
    assert inside.reader.side == "lesson"
    assert inside.state.prompt != own.state.prompt or inside.state.ids is None
    world.happen(e.LessonPicked(99))
    session = world.settle()
    assert session.reader.side == ""
    assert (session.state, session.held) == (own.state, own.held)
    assert [each.key for each in session.history] == [each.key for each in own.history]


def test_a_script_waits_for_the_model(storyteller: GPT2) -> None:
    world = World(storyteller, reads=Reads(LESSON, lecture=True, pace=0.5))
    world.settle()
    keys = (("do", "draw", "space"), ("do", "warmer", "]"))
    world.happen(e.PageRead(fault="", keys=keys))
    world.ring("script")
    assert world.asked[-1] == e.Press("draw")
    world.press("draw")
    for _ in range(3):  # while the model runs, no key is pressed
        assert len(world.ring("script").reader.waiting) == 1
    world.settle()
    world.ring("script")
    assert world.asked[-1] == e.Press("warmer")
    assert world.session.reader.pressed == ("space", "]")


def test_a_key_of_the_lecturers_ends_the_script(storyteller: GPT2) -> None:
    world = World(storyteller, reads=Reads(LESSON, lecture=True))
    world.settle()
    world.happen(e.PageRead(fault="", keys=(("do", "draw", "space"),)))
    session = world.happen(e.Key("warmer", shown="]"))
    assert (session.reader.waiting, session.reader.pressed) == ((), ("]",))
    assert world.ring("script") is session


def test_a_lack_of_memory_leaves_the_session_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: Any) -> Any:
        raise MemoryError

    before = world.session
    monkeypatch.setitem(KEYS, "atlas", lacking)
    with pytest.raises(MemoryError):
        world.press("atlas")
    assert world.session is before


# Orders: what tests/races.py walks with real threads, as lists of events


def things(world: World) -> list[Callable[[], object]]:
    """What can happen next without the reader."""
    jobs = [lambda key=key: world.finish(key) for key in world.jobs]
    return [*jobs, *(lambda timer=timer: world.ring(timer) for timer in world.timers)]


def truthful(world: World) -> None:
    """What is shown as current is what a fresh run says; what is shown as old is really on its way."""
    session = world.session
    if session.running and session.model is not None:
        assert "forward" in world.jobs or "typed" in world.timers, "it waits for a result that nobody computes"
    if session.result is None:
        assert session.message or session.running, "nothing is shown, and nobody says why"
        return
    assert session.result.model is session.model
    state = session.state
    wanted = tuple(state.ids if state.ids is not None else world.model.prompt_ids(state.prompt))
    assert session.running or session.result.trace.ids == wanted, "an old result is shown as current"
    assert bool(session.result.trace.interventions) == bool(state.edits) or session.running
    assert {each.result for each in world.jobs.values() if isinstance(each, e.Compute)} <= {session.result}


ORDERS: dict[str, Sequence[object]] = {
    "draws, undone": (e.Key("draw"), e.Key("undo"), e.Key("draw")),
    "typing over a draw": (e.Key("draw"), e.Typed("The cat"), e.Key("draw")),
    "a change during a run": (e.Key("draw"), e.Clicked("stage", parse("L1H1")), e.Key("switch"), e.Key("unedit")),
    "another model during a run": (e.Key("draw"), e.ModelPicked("two"), e.Key("draw")),
    "a lesson during a run": (e.Key("draw"), e.LessonPicked(0), e.LessonPicked(99)),
    "the other ribbons": (e.Key("flow"), e.Key("draw"), e.Key("flow")),
}


@pytest.mark.parametrize("script", ORDERS.values(), ids=ORDERS)
def test_every_order_of_a_script_and_what_comes_of_it(one: GPT2, script: Sequence[object]) -> None:
    """At each step either the next thing of the script happens or something that is on its way, by every choice there is."""
    walked = 0
    for choices in itertools.product(range(3), repeat=3):
        world = World(one, ExplorerState(model="one", prompt="red blue"))
        world.settle()
        rest, picks = list(script), list(choices)
        while rest or (picks and things(world)):
            possible = things(world)
            pick = picks.pop(0) if picks else 0
            if rest and (pick == 0 or not possible):
                world.happen(rest.pop(0))
            elif possible:
                possible[(pick - 1) % len(possible)]()
            truthful(world)
        world.settle()
        truthful(world)
        assert not world.session.running
        walked += 1
    assert walked == 27
