"""Effects: what each thing does to A − B, as the engine's sweep finds it, as Enter does it, and of the run on screen."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from textual.pilot import Pilot

from tests.ui.harness import PATIENCE, become, drive, expected_text, pane_text, press, screen_text, until
from tests.ui.paper import on_paper
from tests.viz.reading import scene_at, shows, stage_at
from txexplain.engine.derive import Result
from txexplain.engine.effects import effects
from txexplain.engine.model import GPT2
from txexplain.explorer.location import Location, parse
from txexplain.explorer.places import place as places
from txexplain.explorer.runs import run
from txexplain.explorer.session import answers
from txexplain.explorer.session.events import Further
from txexplain.explorer.state import ExplorerState
from txexplain.facts.effects import Question, answer, keep, known, swept
from txexplain.models.hub import Stopped
from txexplain.ui import jobs
from txexplain.ui.app import ExplorerApp
from txexplain.ui.work import Does, Heard, Job, Work

GIVING = "When Tom and Anna went to the park, Tom gave a ball to"
SIZE = (120, 40)
LAST = 13
App, Hand = ExplorerApp, Pilot[None]


@pytest.fixture(scope="module")
def giving(storyteller: GPT2) -> Result:
    return Result(storyteller.forward(storyteller.prompt_ids(GIVING)), storyteller)


def of_engine(result: Result, face: str) -> dict[str, float]:
    """What the engine's own sweeps tell, by name."""
    model, trace = result.weights(), result.trace
    if face == "edges":
        change = effects(model, trace, f"edges [{LAST}]").change
        return {f"[{LAST},{key}]": change[key] for key in range(LAST + 1)}
    if face == "rows":
        return {f"[*,{row}]": each for row, each in enumerate(effects(model, trace, "rows").change)}
    heads, mlps = (effects(model, trace, of).change for of in ("heads", "mlps"))
    return {f"L{n}H{h}": heads[n, h] for n, h in np.ndindex(*heads.shape)} | {f"L{n}.mlp": each for n, each in enumerate(mlps)}


def listed(rows: list[str], names: dict[str, float]) -> Iterator[tuple[str, str]]:
    """The rows of a list: a head's or MLP's name, or a token by its place in the names, and its figure."""
    for row in rows:
        if found := re.match(r" (L\d+(?:H\d+|\.mlp)|\d+) .*?([+−]?\d[\d.e−]*)(?= +[│█]|$)", row.rstrip()):
            yield (found[1] if found[1][0] == "L" else list(names)[int(found[1])]), found[2].lstrip("+")


@pytest.mark.parametrize("face", ["sorted", "edges", "rows"])
def test_a_list_shows_the_engines_numbers(giving: Result, face: str) -> None:
    wanted = of_engine(giving, face)
    told = dict(listed(stage_at(giving, f"effects:{face}", (100, 70)).text(), wanted))
    assert set(told) == set(wanted)
    assert all(float(told[name].replace("−", "-")) == pytest.approx(each, abs=0.00501) for name, each in wanted.items())
    if face == "sorted":
        sizes = [abs(wanted[name]) for name in told]
        assert sizes == sorted(sizes, reverse=True)


def test_squares_show_the_engines_numbers_in_their_colours(giving: Result) -> None:
    wanted = of_engine(giving, "")
    canvas = stage_at(giving, "effects", (80, 14))
    squares = {hit.target.select: hit for hit in canvas.hits if hasattr(hit.target, "select")}
    assert set(squares) == set(wanted)
    ground = canvas.palette.rgb("background")
    most = {sign: max((each for each in wanted if sign * wanted[each] > 0), key=lambda name: abs(wanted[name])) for sign in (1, -1)}
    for name, hit in squares.items():
        text = "".join(canvas.chars[hit.y, hit.x : hit.x + hit.width]).strip(" ▸").replace("−", "-")
        assert float(text) == pytest.approx(wanted[name], abs=0.0501), name
        if abs(wanted[name]) > 0.5:
            red, blue = ((int(canvas.bg[hit.y, hit.x + 1]) >> shift & 255) - (ground >> shift & 255) for shift in (16, 0))
            assert (red > blue) == (wanted[name] > 0), name
    assert len({int(canvas.bg[squares[name].y, squares[name].x + 1]) for name in most.values()}) == 2


@pytest.mark.parametrize("place", ["effects[L4H3]", "effects[L2.mlp]", "effects:edges@3", "effects:rows@1", "effects:sorted"])
def test_enter_does_what_the_number_says(storyteller: GPT2, place: str) -> None:
    """On a run that is changed already, too: the number is of that run."""

    async def test(app: App, hand: Hand) -> None:
        assert app.result is not None
        a, b = app.scene(*SIZE).contrast or (0, 0)
        before = app.result
        told = re.search(r"(\S+) (at|cut).*: (\S+) → (\S+), that is", "\n".join(pane_text(app, "stage")))
        assert told is not None
        own = float(before.trace.last_logits[a] - before.trace.last_logits[b])
        assert shows(told[3].lstrip("+"), own)
        await press(app, hand, "enter")
        assert app.result is not before
        assert [str(each) for each in app.state.edits] == ["L1H2=zero", told[1]]
        fresh = run(app.state, storyteller)
        assert fresh is not None
        assert shows(told[4].lstrip("+"), float(fresh.trace.last_logits[a] - fresh.trace.last_logits[b]), 1e-4)
        assert told[4] in pane_text(app, "stage")[0] + pane_text(app, "edits")[0]

    state = ExplorerState(prompt=GIVING, location=parse(place)).switch("L1H2", means=False)
    on_paper(test, storyteller, state, size=SIZE)


def test_a_key_leads_there_with_what_is_selected_and_back(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        for start, there in (
            ("L4H3", "effects[L4H3]"),
            ("L2.mlp", "effects[L2.mlp]"),
            ("model@3", "effects@3"),
            ("direct[L5H1]", "effects[L5H1]"),
        ):
            become(app, answers.change(app.session, replace(app.state, location=parse(start))))
            await press(app, hand, "E")
            assert str(app.state.location) == there
            assert screen_text(app) == expected_text(app, storyteller, SIZE)
            await press(app, hand, "E")
            assert app.state.location == (Location() if start[0] == "d" else parse(start))  # where that was looked up from
        await press(app, hand, "E", "down", "right", "full_stop")
        assert str(app.state.location) == "effects[L2H1]"

    on_paper(test, storyteller, ExplorerState(prompt=GIVING), size=SIZE)


def test_a_sweep_fills_the_screen_and_ends_with_its_run(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is drawn when it comes; a key that changes the run, or leaves the place, ends the sweep."""
    begun: list[tuple[Result, Job]] = []
    gate = threading.Event()

    def stalled(work: places.Work) -> Does:
        assert isinstance(work.steps, partial)
        result, question = work.steps.args

        def does(job: Job) -> None:
            with job.turn():
                keep(result, question, [found for found, _ in zip(swept(result, question), range(3), strict=False)][-1])
                job.tell(Further("place"))
            begun.append((result, job))
            gate.wait(PATIENCE)

        return does

    monkeypatch.setattr(jobs, "step_by_step", stalled)

    async def test(app: App, hand: Hand) -> None:
        first = app.result
        await hand.press("E")
        await until(hand, lambda: "54 computed" in pane_text(app, "stage")[0], "the first numbers")
        text = "\n".join(pane_text(app, "stage"))
        assert "L0H0: not computed yet" in text
        await hand.press("X")
        await until(hand, lambda: len(begun) == 2, "the changed run's sweep")
        assert begun[0][0] is first
        assert begun[0][1].stopped
        assert begun[1][0] is app.result is not first
        await hand.press("E")
        assert begun[1][1].stopped
        gate.set()

    drive(test, storyteller, ExplorerState(prompt=GIVING), size=SIZE)


def test_a_sweep_that_is_stopped_ends_at_its_next_batch(giving: Result) -> None:
    told: list[Heard] = []
    job = Job("place", Work(told.append), lambda what: None)

    def stopping(heard: Heard) -> None:
        told.append(heard)
        job.stopped = len(told) == 3

    job.work.post = stopping
    asked = Question(("mlps", "heads"), 1, 2)
    with pytest.raises(Stopped):
        jobs.step_by_step(places.Work(asked, partial(answer, giving, asked)))(job)
    assert len(told) == 3
    found = known(giving)[asked]
    assert found.done < found.total
    assert np.isnan(found.change).any()


@pytest.mark.parametrize("other", [GIVING.replace(", Tom", ", Anna"), "When Tom and Anna went to the park, Anna gave"])
def test_the_map_of_patches_shows_the_engines_numbers(giving: Result, other: str) -> None:
    model = giving.weights()
    donor = model.forward(model.prompt_ids(other))
    wanted = effects(model, giving.trace, "resid", donor=donor).change  # [L, T]
    canvas = stage_at(giving, "effects:patch", (110, 40), other=other)
    squares = {str(hit.target): hit for hit in canvas.hits}
    assert set(squares) == {f"effects:patch[L{n}H0]@{t}" for n in range(6) for t in range(9, 14)}, "rows before are the same in both"
    for place, hit in squares.items():
        n, t = map(int, re.findall(r"L(\d)H0\]@(\d+)", place)[0])
        text = "".join(canvas.chars[hit.y : hit.y + hit.height, hit.x : hit.x + hit.width - 1].reshape(-1)).strip(" ▸").replace("−", "-")
        if np.isnan(wanted[n, t]):
            assert text == "·", place
        else:
            assert float(text) == pytest.approx(wanted[n, t], abs=0.0501), place


@pytest.mark.parametrize("face", ["mlps", "z", "q", "k", "v", "pattern"])
def test_other_maps_of_patches_show_the_engines_numbers(giving: Result, face: str) -> None:
    model, other = giving.weights(), GIVING.replace(", Tom", ", Anna")
    wanted = effects(model, giving.trace, face, donor=model.forward(model.prompt_ids(other))).change  # [L, T] or [L, H]
    canvas = stage_at(giving, f"effects:{face}", (130, 40), other=other)
    squares = {str(hit.target): hit for hit in canvas.hits}
    rows = [(n, t, f"effects:{face}[L{n}H0]@{t}") for n in range(6) for t in range(9, 14)]
    heads = [(n, h, f"effects:{face}[L{n}H{h}]") for n in range(6) for h in range(8)]
    cells = rows if face == "mlps" else heads
    assert set(squares) == {place for *_, place in cells}
    for n, column, place in cells:
        hit = squares[place]
        text = "".join(canvas.chars[hit.y : hit.y + hit.height, hit.x : hit.x + hit.width - 1].reshape(-1)).strip(" ▸").replace("−", "-")
        assert float(text) == pytest.approx(wanted[n, column], abs=0.0501), place


def test_shares_are_patched_between_runs_of_one_length_alone(giving: Result) -> None:
    text = "\n".join(stage_at(giving, "effects:pattern", (110, 40), other="Once").text())
    assert "there is no other run of as many tokens" in text


def test_enter_patches_from_the_run_that_is_held(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        assert "no other run is there" in "\n".join(pane_text(app, "stage"))
        await press(app, hand, "enter")
        assert app.state.edits == ()
        other = app.result
        await press(app, hand, "b")
        become(app, answers.change(app.session, app.state.with_prompt(GIVING)))
        await until(hand, lambda: app.result is not other and not app.work.jobs, "the prompt's own run")
        await press(app, hand, "up", "up", "up", "up", "right", "right")
        assert str(app.state.location) == "effects:patch[L2H0]@9"
        told = re.search(r"(\S+) patched: (\S+) → (\S+), that is", "\n".join(pane_text(app, "stage")))
        assert told is not None
        assert told[1] == "L2.resid@9"
        await press(app, hand, "enter")
        assert [str(each) for each in app.state.edits] == ["L2.resid@9=from"]
        fresh = run(app.state, storyteller)
        assert fresh is not None
        a, b = app.scene(*SIZE).contrast or (0, 0)
        assert shows(told[3].lstrip("+"), float(fresh.trace.last_logits[a] - fresh.trace.last_logits[b]), 1e-4)

    state = ExplorerState(prompt=GIVING.replace(", Tom", ", Anna"), location=parse("effects:patch"))
    on_paper(test, storyteller, state, size=SIZE)


def test_what_has_no_mean_is_set_to_zero(tiny: GPT2) -> None:
    result = Result(tiny.forward([5, 17, 42, 3]), tiny)
    facts = scene_at(result, "effects", SIZE).found
    assert facts is not None
    if tiny.tokenizer.has_no_text:
        assert facts.to == "zero"
    zero = effects(tiny, result.trace, "heads", to=facts.to.partition(" ")[0]).change
    assert [facts.by_name[f"L{n}H{h}"] for n, h in np.ndindex(*zero.shape)] == pytest.approx(zero.reshape(-1).tolist(), abs=1e-6)
