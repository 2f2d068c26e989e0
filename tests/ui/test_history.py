"""Stepping back through what was shown, and holding one distribution beside another."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from tests.examples import examples
from tests.ui.harness import ONCE, fresh, pane_text, press, until
from tests.ui.paper import on_paper
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution, movers
from txexplain.engine.trace import Run
from txexplain.explorer.history import KEPT, KEPT_BYTES, Moment, recorded
from txexplain.explorer.state import ExplorerState
from txexplain.ui.app import ExplorerApp
from txexplain.viz.numbers import percent

App, Hand = ExplorerApp, Pilot[None]
calm = examples(100)


@calm
@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0.1, 5), st.integers(1, 9))
def test_the_largest_movers_are_those_of_a_plain_search(seed: int, n: int, temperature: float, k: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = distribution(rng.normal(size=9) * 3, temperature), distribution(rng.normal(size=9) * 3, top_k=k)
    found = movers(before, after, n)
    changes = sorted(((abs(after.probability[i] - before.probability[i]), -i) for i in range(9)), reverse=True)
    assert [i for i, _, _ in found] == [-i for size, i in changes[:n] if size > 0]
    for i, a, b in found:
        assert (a, b) == (before.probability[i], after.probability[i])
    assert movers(before, before, n) == []


def test_two_vocabularies_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same vocabulary"):
        movers(distribution([1.0, 2.0]), distribution([1.0, 2.0, 3.0]), 3)


@calm
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.5, 1.0]), st.sampled_from(["full", "top-k"]), st.integers(1, 3)), max_size=90)
)
def test_each_text_and_setting_is_kept_once_the_last_last(shown: list[tuple[int, float, str, int]]) -> None:
    dist = distribution([1.0, 2.0, 3.0])
    history: tuple[Moment, ...] = ()
    for text, temperature, mode, k in shown:
        moment = Moment(dist.logits, Run(None, (text,)), temperature, mode, k, 0.9)
        history = recorded(history, moment)
        assert history[-1] is moment
        keys = [each.key for each in history]
        assert len(set(keys)) == len(keys) <= KEPT
    many: tuple[Moment, ...] = ()
    for i in range(KEPT + 7):
        many = recorded(many, Moment(dist.logits, Run(None, (i,)), 1.0, "full", 5, 0.9))
    assert [each.ids for each in many] == [(i,) for i in range(7, KEPT + 7)]


@pytest.mark.parametrize(("vocabulary", "runs"), [(50_257, 25), (1_000_000, 4), (3_000_000, 1)])
def test_what_the_past_keeps_has_a_bound_in_bytes(vocabulary: int, runs: int) -> None:
    """A moment keeps logits and ids alone, settings of one run the same ones; of a larger vocabulary fewer runs are kept."""
    many: tuple[Moment, ...] = ()
    for i in range(60):
        logits, ids = np.zeros(vocabulary, dtype=np.float32), (i,)
        for temperature in (1.0, 2.0):
            many = recorded(many, Moment(logits, Run(None, ids), temperature, "full", 5, 0.9))
        assert sum({id(moment.logits): moment.logits.nbytes for moment in many}.values()) <= KEPT_BYTES
    assert [moment.ids for moment in many] == [(i,) for i in range(60 - runs, 60) for _ in range(2)]


def test_a_moment_keeps_nothing_of_its_run(storyteller: GPT2) -> None:
    trace = fresh(storyteller, ONCE)
    moment = Moment.of(ExplorerState(), trace.run, distribution(trace.last_logits))
    assert moment.logits.base is None
    assert moment.logits.nbytes == 4 * storyteller.config.vocab_size
    assert not np.shares_memory(moment.logits, trace["logits"])


def test_earlier_distributions_come_back_and_are_called_past(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "left_square_bracket", "left_square_bracket", "s")
        assert [(m.temperature, m.mode) for m in app.session.history] == [(1.0, "full"), (0.9, "full"), (0.8, "full"), (0.8, "top-k")]
        present = pane_text(app, "panel")
        await press(app, hand, "left_parenthesis", "left_parenthesis")
        text = pane_text(app, "panel")
        assert "2 back: T 0.90 full" in "\n".join(text)
        want = distribution(fresh(storyteller, ONCE).last_logits, 0.9)
        row = next(line for line in text if f"{storyteller.tokenizer.display(int(want.order[0]))} " in line)
        assert row.split()[-1] == percent(float(want.probability[want.order[0]]))
        assert (app.state.temperature, app.state.mode) == (0.8, "top-k"), "looking back changes no setting"
        await press(app, hand, *["left_parenthesis"] * 9)
        assert "3 back: T 1.00 full" in "\n".join(pane_text(app, "panel"))
        await press(app, hand, *["right_parenthesis"] * 9)
        assert pane_text(app, "panel") == present

    on_paper(test, storyteller)


@pytest.mark.parametrize("key", ["right_square_bracket", "space", "s"])
def test_what_changes_the_present_shows_it(storyteller: GPT2, key: str) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "left_square_bracket", "left_parenthesis")
        assert app.session.back == 1
        await press(app, hand, key)
        assert app.session.back == 0
        assert " back: " not in "\n".join(pane_text(app, "panel"))

    on_paper(test, storyteller)


def test_enter_on_a_past_candidate_appends_nothing(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "left_square_bracket", "left_parenthesis", "tab", "enter")
        assert app.state.appended == ()
        assert app.session.back == 0
        await press(app, hand, "enter")
        assert len(app.state.appended) == 1

    on_paper(test, storyteller)


def test_two_stand_side_by_side_with_what_moved_most(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "b", "right_curly_bracket")
        logits = fresh(storyteller, ONCE).last_logits
        cold, hot = distribution(logits, 1.0), distribution(logits, 2.0)
        text = pane_text(app, "panel")
        top = int(cold.order[0])
        row = next(line for line in text if f"{storyteller.tokenizer.display(top)} " in line)
        assert row.split()[-2:] == [percent(float(hot.probability[top])), percent(float(cold.probability[top]))]
        assert any("held: T 1.00 full" in line for line in text)
        told = [m for line in text if (m := re.search(r"[▲▼] (\S+) +(\S+) → (\S+)", line))]
        want = movers(cold, hot, len(told))
        assert len(told) >= 4
        for found, (i, before, after) in zip(told, want, strict=True):
            assert found.groups() == (storyteller.tokenizer.display(i).strip(), percent(before), percent(after))
        await press(app, hand, "space")
        assert any("text of 7 up to a" in line for line in pane_text(app, "panel"))
        await press(app, hand, "b")
        assert not any("held" in line for line in pane_text(app, "panel"))

    on_paper(test, storyteller, ExplorerState())


def test_in_a_narrow_screen_the_last_row_tells_what_moved(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "b")
        assert "held T 1.00 full" in pane_text(app, "panel")[-1]
        await press(app, hand, "right_curly_bracket")
        assert re.search(r"held T 1\.00 full  ▼ \S+ \S+% → \S+%", pane_text(app, "panel")[-1])

    on_paper(test, storyteller, size=(80, 24))


def test_the_pace_of_generation_goes_around(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        paces = [app.session.pace]
        for _ in range(3):
            await press(app, hand, "G")
            paces.append(app.session.pace)
        assert paces == [0.25, 1.0, 0.05, 0.25]
        app.session = replace(app.session, pace=0.001)
        await hand.press("g")
        await until(hand, lambda: len(app.state.appended) >= 3, "three tokens")
        await press(app, hand, "g")

    on_paper(test, storyteller)
