"""The app as its reader meets it: keys and the mouse go in, and what the screen then says is true."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any
from unittest import mock
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from textual import events
from textual._xterm_parser import XTermParser
from textual.command import CommandList, CommandPalette
from textual.notifications import Notification
from textual.pilot import Pilot
from textual.widgets import Input, _toast

from tests.covering import few, in_turn
from tests.ui.harness import (
    ONCE,
    SlowForward,
    draws,
    drive,
    expected_text,
    fresh,
    pane_text,
    press,
    said,
    screen_text,
    settled,
    until,
    where,
    write,
)
from tests.ui.paper import on_paper
from tests.viz.reading import to_fraction
from txexplain.cli import cli
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution
from txexplain.errors import ExplainError
from txexplain.explorer.location import STAGES, parse
from txexplain.explorer.session.events import Forward, Progress
from txexplain.explorer.session.keys import KEYS as DOES
from txexplain.explorer.session.value import Arrival
from txexplain.explorer.state import STOPS, ExplorerState
from txexplain.front.actions import ACTIONS, GLYPHS
from txexplain.front.options import UiOptions
from txexplain.ui.app import ExplorerApp
from txexplain.ui.deeds import DEEDS
from txexplain.ui.help import HelpScreen
from txexplain.ui.jobs import forward as forward_job
from txexplain.ui.terminal.fixes import BriefToast
from txexplain.ui.widgets.picture import Picture
from txexplain.ui.work import Heard, Job
from txexplain.viz.canvas import Canvas
from txexplain.viz.numbers import percent
from txexplain.viz.palette import Palette
from txexplain.viz.screen import paint_pane, paint_screen
from txexplain.viz.svg import svg
from txexplain.viz.views.panel import axis

App, Hand = ExplorerApp, Pilot[None]
MOVES = ("up", "down", "left", "right")
LABEL, NUMBERS, ROOM = (2, 13), 8, 17  # the wide panel's columns at 120×36: token, percentage, bar


def at(text: str) -> ExplorerState:
    return ExplorerState(location=parse(text))


def place(app: App) -> str:
    return str(app.state.location)


def candidates(app: App) -> list[tuple[str, float, str]]:
    """The panel's rows as they stand on the screen: token, the fraction of a full bar, percentage."""
    rows = []
    for line in pane_text(app, "panel")[5:-3]:
        if "%" not in line or " others" in line:
            break  # below the list: how the distribution changes with the temperature
        token, bar, figure = line[slice(*LABEL)], line[14 : 14 + ROOM], line[-1 - NUMBERS : -1]
        rows.append((token.rstrip(), to_fraction(bar, ROOM, Palette("dark", "truecolor", False)), figure.strip()))
    return rows


def check_panel(app: App, model: GPT2, prompt: Any, **sampling: Any) -> None:
    """The panel's figures and bars are those of a fresh run."""
    dist = distribution(fresh(model, prompt).last_logits, **sampling)
    rows = candidates(app)
    assert len(rows) >= 3
    end = axis(float(max(dist.probability.max(), dist.full_probability.max())))
    for (token, fraction, figure), id in zip(rows, dist.order.tolist(), strict=False):
        p = float(dist.probability[id])
        shown = model.tokenizer.display(id)
        assert token == shown.rstrip() or (token.endswith("…") and shown.startswith(token[:-1]))
        assert figure in {percent(p * near) for near in (0.99999, 1, 1.00001)}  # the last figure may turn on float32's last bit
        assert fraction * end == pytest.approx(p, abs=1.01 * end / (16 * ROOM)) or (p > 0 and fraction == 1 / (8 * ROOM))


# The first screen


def test_the_first_screen_shows_the_models_own_probabilities(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        assert app.session.distribution is not None
        want = distribution(fresh(storyteller, ONCE).last_logits)
        np.testing.assert_array_equal(app.session.distribution.order[:100], want.order[:100])
        np.testing.assert_allclose(app.session.distribution.probability, want.probability, rtol=1e-5)
        check_panel(app, storyteller, ONCE)

    on_paper(test, storyteller)


@pytest.mark.parametrize(
    ("size", "where_"),
    in_turn(
        [(80, 24), (120, 36), (200, 60)],
        ["model", "L2", "L3.attn[5]", "heads[1.2]", "L3H5:masked[4,2]", "L1H2[5,3]", "L4.mlp", "output", "embed@2"],
    ),
    ids=str,
)
def test_the_screen_is_the_rendered_picture(storyteller: GPT2, size: tuple[int, int], where_: str) -> None:
    async def test(app: App, hand: Hand) -> None:
        assert screen_text(app) == expected_text(app, storyteller, size)
        assert re.search(r"7 tok · \d+ ms", screen_text(app)[0])

    drive(test, storyteller, at(where_), size=size)


def test_the_screen_stays_the_rendered_picture_after_many_keys(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        keys = [
            "enter",
            "down",
            "enter",
            "right",
            "v",
            "v",
            "left_square_bracket",
            "a",
            "down",
            "right",
            "enter",
            "f",
            "s",
            "space",
            "w",
            "escape",
            "escape",
            "escape",
            "u",
            "full_stop",
            "enter",
        ]
        for key in keys:
            await press(app, hand, key)
            want = expected_text(app, storyteller, (120, 36))
            got = screen_text(app)
            if app.session.last_draw is not None:
                want, got = want[:-6], got[:-6]  # how the token was drawn stands there, which a state doesn't know
            assert got == want, key

    drive(test, storyteller)


# Keys


def raw(key: str) -> str:
    """What a terminal sends for a key."""
    special = {"enter": "\r", "escape": "\x1b", "backspace": "\x7f", "tab": "\t", "shift+tab": "\x1b[Z", "space": " "}
    special |= {
        "up": "\x1b[A",
        "down": "\x1b[B",
        "right": "\x1b[C",
        "left": "\x1b[D",
        "shift+left": "\x1b[1;2D",
        "shift+right": "\x1b[1;2C",
    }
    special |= {"pageup": "\x1b[5~", "pagedown": "\x1b[6~"}
    special |= {f"f{n}": f"\x1bO{'PQRS'[n - 1]}" for n in range(1, 5)}
    special |= {f"f{n}": f"\x1b[{code}~" for n, code in zip(range(5, 13), (15, 17, 18, 19, 20, 21, 23, 24), strict=True)}
    if key.startswith("ctrl+"):
        return chr(ord(key[-1]) - ord("a") + 1)
    return special.get(key) or (key if len(key) == 1 else GLYPHS[key])


KEYS = [(action.id, key) for action in ACTIONS for key in action.keys]


@pytest.mark.parametrize(("action", "key"), KEYS)
def test_a_terminal_can_send_every_key(action: str, key: str) -> None:
    parser = XTermParser()
    sent = [*parser.feed(raw(key)), *parser.feed("")]
    assert [event.key for event in sent if isinstance(event, events.Key)] == [key]


def test_no_key_means_two_things_and_each_action_has_one() -> None:
    keys = [key for _, key in KEYS]
    assert len(keys) == len(set(keys))
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)
    assert all(action.keys and action.label and action.help for action in ACTIONS)
    for action in ACTIONS:
        assert action.id == "palette" or action.id in MOVES or action.id in {*DOES, *DEEDS}, action.id


def test_every_key_fires_its_action(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    fired: list[str] = []
    monkeypatch.setattr(ExplorerApp, "action_do", lambda app, name: fired.append(name))
    monkeypatch.setattr(ExplorerApp, "action_digit", lambda app, digit: fired.append("jump"))

    async def test(app: App, hand: Hand) -> None:
        for action, key in KEYS:
            if action != "palette":
                fired.clear()
                await hand.press(key)
                assert fired == [action], key
        await hand.press("ctrl+p")
        assert isinstance(app.screen, CommandPalette)

    drive(test, storyteller)


def test_the_palette_knows_every_action(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        commands = {command.title: command.callback for command in app.get_system_commands(app.screen)}
        assert set(commands) == {action.label for action in ACTIONS if action.id != "palette"}
        commands["warmer"]()
        assert app.state.temperature == 1.1

    drive(test, storyteller)


# The way in and out


def test_four_times_enter_reaches_the_product_and_escape_the_start(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        start, seen = app.state, [app.state.location.kind]
        for _ in range(4):
            await press(app, hand, "enter")
            seen.append(app.state.location.kind)
        assert seen == ["model", "block", "attn", "head", "product"]
        key = int(fresh(storyteller, ONCE)["blocks.0.attn.pattern"][0, 6].argmax())  # the row's strongest
        assert place(app) == f"L0H0[6,{key}]"
        score = fresh(storyteller, ONCE)["blocks.0.attn.attn_scores"][0, 6, key]
        assert any(str(score).replace("-", "−") in line for line in pane_text(app, "stage"))
        await press(app, hand, *["escape"] * 4)
        assert app.state == start
        await press(app, hand, "escape")
        assert app.state == start
        await press(app, hand, "full_stop", "full_stop", "enter", "backspace")
        assert place(app) == "model[L2]"

    on_paper(test, storyteller)


def test_keys_move_in_a_head(storyteller: GPT2) -> None:
    pattern = fresh(storyteller, ONCE)["blocks.3.attn.pattern"]

    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "up", "left", "left")
        assert place(app) == "L3H5:softmax[4,2]"
        assert any(str(pattern[5, 4, 2]) in line for line in pane_text(app, "stage"))
        await press(app, hand, "j", "k", "l", "h", "down", "right")
        assert place(app) == "L3H5:softmax[5,3]"
        await press(app, hand, "f")
        assert place(app) == f"L3H5:softmax[5,{pattern[5, 5, :6].argmax()}]"
        await press(app, hand, "greater_than_sign")
        assert app.state.location.head == 6
        assert any(str(pattern[6, 5, app.state.location.key or 0]) in line for line in pane_text(app, "stage"))
        await press(app, hand, "less_than_sign", "less_than_sign")
        assert app.state.location.head == 4
        await press(app, hand, "comma")
        assert (app.state.location.block, app.state.location.head) == (2, 4)
        await press(app, hand, "full_stop", "full_stop")
        assert app.state.location.block == 4
        stages = []
        for _ in range(5):
            await press(app, hand, "v")
            stages.append(app.state.location.stage)
        assert stages == [STAGES[(STAGES.index("softmax") + i) % 5] for i in range(1, 6)]
        await press(app, hand, "a")
        assert place(app) == "heads[4.4]"

    on_paper(test, storyteller, at("L3H5:softmax[5,4]"))


def test_a_masked_cell_says_so(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        assert any("masked: the key comes after the query" in line for line in pane_text(app, "stage"))
        raw_score = fresh(storyteller, ONCE)["blocks.0.attn.attn_scores"]
        assert np.isneginf(raw_score[1, 2, 5])
        await press(app, hand, "v", "v")
        assert place(app) == "L0H1:qk[2,5]"
        assert not any("masked: the key" in line for line in pane_text(app, "stage"))

    on_paper(test, storyteller, at("L0H1:softmax[2,5]"))


def test_w_changes_what_the_ribbons_show(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        before = screen_text(app)
        assert any("shares of norms; LayerNorm and MLP not traced" in line for line in before)
        await press(app, hand, "w")
        assert app.state.flow == "rollout"
        assert any("rollout" in line for line in screen_text(app))
        assert screen_text(app) == expected_text(app, storyteller, (120, 36))
        await press(app, hand, "w")
        assert screen_text(app) == before

    on_paper(test, storyteller)


# Temperature and sampling


def test_temperature_keys_repaint_true_bars(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        for key, want in (
            ("left_square_bracket", 0.9),
            ("right_square_bracket", 1.0),
            ("right_square_bracket", 1.1),
            ("shift+right", 1.2),
            ("shift+left", 1.1),
            ("right_curly_bracket", 2.1),
            ("left_curly_bracket", 1.1),
            ("0", 1.0),
            ("f7", 2.0),
            ("right_square_bracket", 2.5),
        ):
            await press(app, hand, key)
            assert app.state.temperature == want, key
            assert f"T {want:.2f}" in pane_text(app, "panel")[2]
            check_panel(app, storyteller, ONCE, temperature=want)
        await press(app, hand, *["left_square_bracket"] * (len(STOPS) + 2))
        assert (app.state.temperature, app.state.mode) == (0.0, "greedy")
        assert app.session.distribution is not None
        assert app.session.distribution.kept_count == 1
        assert "100%" in pane_text(app, "panel")[5]

    on_paper(test, storyteller)


def test_no_key_of_sampling_sorts_the_vocabulary_again(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        assert app.session.distribution is not None
        sorted_once = app.session.distribution.ranking
        for key in ("left_square_bracket", "s", "equals_sign", "s", "minus", "right_curly_bracket"):
            await press(app, hand, key)
            assert app.session.distribution.ranking is sorted_once, key
        assert app.session.distribution.mode == "top-p"

    on_paper(test, storyteller)


def test_no_key_of_sampling_runs_the_model(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(app: App, hand: Hand) -> None:
        monkeypatch.setattr(GPT2, "stoppable_forward", None)  # whoever calls it crashes the app
        keys = "left_square_bracket right_curly_bracket s s minus equals_sign s 0 r enter enter enter down left v f a w escape y"
        await press(app, hand, *keys.split())

    on_paper(test, storyteller)


def test_sampling_modes_and_their_setting(storyteller: GPT2) -> None:
    logits = fresh(storyteller, ONCE).last_logits

    def shown(app: App, setting: str, **sampling: Any) -> None:
        want = distribution(logits, **sampling)
        assert setting in pane_text(app, "panel")[2]
        rows = [row for row in pane_text(app, "panel")[5:15] if "others" not in row]
        for line, id in zip(rows, want.order.tolist(), strict=False):
            p, full = float(want.probability[id]), float(want.full_probability[id])
            assert line[-17:-1].split() == [percent(p), percent(full)]

    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "s")
        shown(app, "top-k 5", top_k=5)
        await press(app, hand, "equals_sign", "plus")
        shown(app, "top-k 7", top_k=7)
        await press(app, hand, "minus", "minus", "minus")
        shown(app, "top-k 4", top_k=4)
        await press(app, hand, "s")
        shown(app, "top-p 0.9", top_p=0.9)
        await press(app, hand, "minus", "left_square_bracket")
        shown(app, "top-p 0.85", top_p=0.85, temperature=0.9)
        await press(app, hand, "s")
        assert app.state.mode == "greedy"
        shown(app, "greedy", temperature=0)
        await press(app, hand, "s", "0")
        assert (app.state.mode, app.state.temperature) == ("full", 1.0)
        check_panel(app, storyteller, ONCE)

    on_paper(test, storyteller)


# Drawing tokens


def test_space_draws_by_the_positions_number_and_u_takes_back(storyteller: GPT2) -> None:
    ids = storyteller.prompt_ids(ONCE)
    want = draws(storyteller, ids, 4)

    async def test(app: App, hand: Hand) -> None:
        for n in range(1, 5):
            await press(app, hand, "space")
            assert list(app.state.ids or ()) == ids + want[:n]
            assert app.result is not None
            assert app.result.trace.ids == tuple(ids + want[:n])
            check_panel(app, storyteller, ids + want[:n])
            assert app.session.last_draw is not None
            assert (app.session.last_draw.id, f"u {app.session.last_draw.uniform:.4f}" in pane_text(app, "panel")[-1]) == (
                want[n - 1],
                True,
            )
            assert storyteller.tokenizer.display(want[n - 1]).strip() in "".join(pane_text(app, "prompt"))
        await press(app, hand, "u", "u")
        assert list(app.state.ids or ()) == ids + want[:2]
        check_panel(app, storyteller, ids + want[:2])
        await press(app, hand, "space")
        assert list(app.state.ids or ()) == ids + want[:3]
        await press(app, hand, *["u"] * 5)
        assert list(app.state.ids or ()) == ids
        assert screen_text(app)[1:] == expected_text(app, storyteller, (120, 36))[1:]
        await press(app, hand, *["space"] * 4)
        assert list(app.state.ids or ()) == ids + want

    on_paper(test, storyteller)


def test_a_setting_changes_the_next_draw_and_none_before(storyteller: GPT2) -> None:
    ids = storyteller.prompt_ids(ONCE)
    first = draws(storyteller, ids, 2, seed=5)

    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "space", "space")
        assert list(app.state.ids or ()) == ids + first
        await press(app, hand, "right_curly_bracket", "s")
        assert list(app.state.ids or ()) == ids + first
        await press(app, hand, "space")
        assert list(app.state.ids or ()) == ids + first + draws(storyteller, ids + first, 1, seed=5, temperature=2.0, top_k=5)
        await press(app, hand, "u", "r")
        assert app.state.seed == 6
        await press(app, hand, "space")
        assert list(app.state.ids or ()) == ids + first + draws(storyteller, ids + first, 1, seed=6, temperature=2.0, top_k=5)

    on_paper(test, storyteller, ExplorerState(seed=5))


def test_generate_says_what_the_command_says(storyteller: GPT2) -> None:
    args = ["generate", ONCE, "--tokens", "6", "--seed", "3", "--temperature", "0.8", "--json"]
    want = [token["id"] for token in json.loads(CliRunner().invoke(cli, args).stdout)["tokens"]]
    ids = storyteller.prompt_ids(ONCE)

    async def test(app: App, hand: Hand) -> None:
        app.session = replace(app.session, pace=1e-3)
        await hand.press("g")
        await until(hand, lambda: len(app.state.ids or ()) >= len(ids) + 6, "six tokens")
        await hand.press("g")
        await settled(app, hand)
        assert not app.session.generating
        got = list(app.state.ids or ())[len(ids) :]
        assert got[:6] == want
        assert got == draws(storyteller, ids, len(got), seed=3, temperature=0.8)
        await hand.pause(0.02)
        assert list(app.state.ids or ())[len(ids) :] == got  # paused is paused

    on_paper(test, storyteller, ExplorerState(seed=3, temperature=0.8))


def test_enter_on_a_candidate_appends_that_one(storyteller: GPT2) -> None:
    ids = storyteller.prompt_ids(ONCE)
    order = distribution(fresh(storyteller, ids).last_logits).order.tolist()

    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "tab", "down", "down", "down", "up")
        assert app.session.candidate == 2
        await press(app, hand, "enter")
        assert list(app.state.ids or ()) == [*ids, order[2]]
        assert app.state.appended[-1].how == "chosen"
        assert app.session.candidate == 0
        await press(app, hand, "escape")
        assert (app.session.pane, place(app)) == ("stage", "model")

    on_paper(test, storyteller)


def test_draws_asked_for_while_the_model_runs_all_happen(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = storyteller.prompt_ids(ONCE)
    want = draws(storyteller, ids, 4)
    slow = SlowForward(monkeypatch)
    slow.shut = False

    async def test(app: App, hand: Hand) -> None:
        slow.shut = True
        await hand.press("space", "space", "space", "space")
        assert list(app.state.ids or ()) == [*ids, want[0]]
        assert app.running
        slow.open()
        await settled(app, hand)
        assert list(app.state.ids or ()) == ids + want
        check_panel(app, storyteller, ids + want)

    drive(test, storyteller)


def test_a_full_context_says_so(tiny: GPT2) -> None:
    ids = tuple(range(1, 16))

    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "space")
        assert len(app.state.ids or ()) == 16
        assert not said(app)
        for key in ("space", "g"):
            await press(app, hand, key)
            assert len(app.state.ids or ()) == 16
            assert not app.session.generating
            assert "The context is full" in said(app)[-1]
            assert "16" in said(app)[-1]
        app.clear_notifications()
        await press(app, hand, "tab", "enter")
        assert len(app.state.ids or ()) == 16
        assert "The context is full" in said(app)[-1]

    on_paper(test, tiny, ExplorerState(model="tiny", ids=ids))


# Never wait, never lie


def test_keys_work_while_the_model_runs_and_the_screen_says_it_does(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowForward(monkeypatch)
    slow.shut = False

    async def test(app: App, hand: Hand) -> None:
        assert "computing" not in screen_text(app)[0]
        slow.shut = True
        await hand.press("space")
        assert "computing" in screen_text(app)[0]
        assert any("old: computing" in line for line in pane_text(app, "panel"))
        await hand.press("left_square_bracket", "enter", "enter")
        assert (app.state.temperature, place(app)) == (0.9, "L0.attn")
        assert "T 0.90" in pane_text(app, "panel")[2]
        slow.open()
        await settled(app, hand)
        assert "computing" not in "".join(screen_text(app))
        assert app.state.ids is not None
        check_panel(app, storyteller, app.state.ids, temperature=0.9)

    drive(test, storyteller)


@pytest.mark.parametrize("newest_first", [False, True])
def test_an_old_result_never_replaces_a_newer_one(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch, newest_first: bool) -> None:
    slow = SlowForward(monkeypatch)
    slow.shut = False
    old, new = (storyteller.prompt_ids(text) for text in ("The cat", "The dog"))

    async def test(app: App, hand: Hand) -> None:
        app.work.turns = nullcontext()  # type: ignore[assignment]  # so that the newer run can end first
        slow.shut = True
        await hand.press("slash")
        await write(app, hand, "The cat")
        await until(hand, lambda: tuple(old) in slow.started, "a run for the first text")
        await hand.press("backspace", "backspace", "backspace", *"dog")
        await until(hand, lambda: tuple(new) in slow.started, "a run for the second text")
        first, second = (new, old) if newest_first else (old, new)
        slow.gate(first).set()
        await until(hand, lambda: tuple(first) in slow.ended, "the first answer")
        assert app.result is not None
        if newest_first:
            await until(hand, lambda: not app.running, "the newest answer on the screen")
            assert app.result.trace.ids == tuple(new)
        else:
            assert app.running
            assert app.result.trace.ids == tuple(storyteller.prompt_ids(ONCE))
            assert "computing" in screen_text(app)[0]
        slow.gate(second).set()
        await until(hand, lambda: tuple(second) in slow.ended, "the second answer")
        await settled(app, hand)
        assert app.result.trace.ids == tuple(new)
        assert app.editor.text == "The dog"
        check_panel(app, storyteller, new)
        slow.open()  # runs for what stood there between keys

    drive(test, storyteller)


def test_a_run_that_nobody_waits_for_is_stopped(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[bool] = []
    real = GPT2.stoppable_forward

    def forward(model: GPT2, ids: Any, *, should_stop: Callable[[], bool] | None = None, **options: Any) -> Any:
        assert should_stop is not None
        stopped.append(should_stop())
        return real(model, ids, should_stop=should_stop, **options)

    monkeypatch.setattr(GPT2, "stoppable_forward", forward)

    async def test(app: App, hand: Hand) -> None:
        assert stopped == [False]
        with app.work.turns:  # while it waits for its turn, it is given up
            app.work.start("forward", forward_job(Forward(storyteller, replace(app.state, prompt="Old"), None)), app.happen)
            app.work.stop("forward")
        await until(hand, lambda: not app.work.threads, "the old run's end")
        assert stopped == [False]  # it wasn't even begun
        assert app.result is not None
        assert app.result.trace.prompt == ONCE

    drive(test, storyteller)


def test_a_crash_of_the_engine_is_no_silence(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(app: App, hand: Hand) -> None:
        monkeypatch.setattr(GPT2, "stoppable_forward", lambda *args, **options: 1 / 0)
        await hand.press("space")
        await until(hand, lambda: not app.is_running, "the app's end")

    with pytest.raises(ZeroDivisionError):
        drive(test, storyteller)


def test_a_model_that_cannot_be_loaded_leaves_its_sentence(storyteller: GPT2) -> None:
    def load() -> GPT2:
        raise ExplainError("no/such/model isn't there; --model takes a name.")

    async def test(app: App, hand: Hand) -> None:
        await until(hand, lambda: "isn't there" in app.session.message, "the sentence")
        assert any("no/such/model isn't there; --model takes a name." in line for line in pane_text(app, "stage"))
        for action in ACTIONS:
            if action.id not in ("quit", "screenshot"):
                app.action_do(action.id)
                await hand.pause()
                if len(app.screen_stack) > 1:
                    await hand.press("escape")
        await hand.press("escape", "enter", "slash", "a", "enter")
        await hand.pause()
        assert app.is_running
        assert app.result is None
        assert any("no/such/model isn't there" in line for line in pane_text(app, "stage"))

    drive(test, None, load=load, wait=False)


# The prompt


def test_typing_is_typing_and_the_result_follows(storyteller: GPT2) -> None:
    text = "The q[u]ick wsgvf 0r"

    async def test(app: App, hand: Hand) -> None:
        before = app.state
        await hand.press("slash")
        assert app.session.pane == "prompt"
        assert app.editor.text == ONCE
        await write(app, hand, text)
        await settled(app, hand)
        await until(hand, lambda: app.result is not None and app.result.trace.prompt == text, "the result for the text")
        assert app.state == replace(before, prompt=text)  # no key of it did anything else
        check_panel(app, storyteller, text)
        await hand.press("enter")
        assert (app.session.pane, app.state.prompt, app.editor.display) == ("stage", text, False)
        await settled(app, hand)
        assert screen_text(app) == expected_text(app, storyteller, (120, 36))
        await press(app, hand, "enter")
        assert place(app) == "L0"

    drive(test, storyteller)


@pytest.mark.parametrize(
    ("key", "pane"),
    few([("enter", "stage"), ("escape", "stage"), ("tab", "stage"), ("shift+tab", "panel")], lambda key, _: key in ("escape", "shift+tab")),
)
def test_leaving_the_prompt_keeps_its_text(storyteller: GPT2, key: str, pane: str) -> None:
    async def test(app: App, hand: Hand) -> None:
        await hand.press("f9", "exclamation_mark", "space", "q")
        await hand.press(key)
        await until(hand, lambda: app.result is not None and app.result.trace.prompt == ONCE + "! q", "the result")
        assert app.session.pane == pane
        assert app.focused is not None
        assert app.focused.id == pane
        assert app.state.prompt == ONCE + "! q"
        await press(app, hand, "slash")
        assert app.editor.text == ONCE + "! q"

    drive(test, storyteller)


def test_what_was_drawn_is_text_once_it_is_edited(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "space", "space", "slash")
        assert app.state.ids is not None
        text = storyteller.tokenizer.decode(app.state.ids)
        assert app.editor.text == text
        assert len(app.state.appended) == 2  # looking at it changes nothing
        await press(app, hand, "full_stop")
        assert (app.state.prompt, app.state.ids, app.state.appended) == (text + ".", None, ())
        await until(hand, lambda: app.result is not None and app.result.trace.prompt == text + ".", "the result")

    on_paper(test, storyteller)


def test_the_empty_prompt_is_the_start_token(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await hand.press("slash", "ctrl+u")
        await until(hand, lambda: app.result is not None and app.result.trace.ids == (50256,), "the empty prompt's result")
        check_panel(app, storyteller, "")

    on_paper(test, storyteller)


def test_a_prompt_too_long_is_kept_and_said(storyteller: GPT2) -> None:
    text = "word " * 300

    async def test(app: App, hand: Hand) -> None:
        await hand.press("slash", "ctrl+u")
        app.post_message(events.Paste(text))
        await until(hand, lambda: "reads at most 256" in app.session.message, "the sentence")
        assert any("reads at most 256; shorten it by" in line for line in pane_text(app, "stage"))
        assert app.state.prompt == text
        assert not app.running
        assert "%" not in "".join(pane_text(app, "panel"))  # no figures of another prompt
        await hand.press("enter", "space", "g", "enter")
        await hand.pause()
        assert (app.state.prompt, app.state.ids, app.session.generating) == (text, None, False)
        await hand.press("slash")
        assert app.editor.text == text
        await write(app, hand, "Short again")
        await until(hand, lambda: app.result is not None and app.result.trace.prompt == "Short again", "the result")
        await settled(app, hand)
        assert app.session.message == ""
        check_panel(app, storyteller, "Short again")

    drive(test, storyteller)


def test_tab_goes_round_the_panes(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        seen = []
        for key in ["tab"] * 4 + ["shift+tab"] * 4:
            await press(app, hand, key)
            assert app.focused is not None
            assert app.focused.id == ("editor" if app.session.pane == "prompt" else app.session.pane)
            seen.append(app.session.pane)
        assert seen == ["panel", "prompt", "stage", "panel", "stage", "prompt", "panel", "stage"]

    drive(test, storyteller)


# The mouse


async def click(app: App, hand: Hand, pane: str, target: object) -> None:
    spot = where(app, pane, target)
    await hand.hover(offset=spot)
    await hand.click(offset=spot)
    await settled(app, hand)


def test_a_click_on_a_token_selects_it(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await click(app, hand, "stage", ("token", 2))
        assert place(app) == "model@2"
        await click(app, hand, "prompt", ("token", 4))
        assert (place(app), app.session.pane) == ("model@4", "stage")
        await click(app, hand, "prompt", ("token", 4))
        assert app.session.pane == "prompt"
        await click(app, hand, "stage", ("token", 1))
        assert (place(app), app.session.pane, app.editor.display) == ("model@1", "stage", False)

    on_paper(test, storyteller)


def test_clicks_select_then_zoom(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        cell = parse("L3H5:softmax[4,1]")
        await click(app, hand, "stage", cell)
        assert place(app) == "L3H5:softmax[4,1]"
        await click(app, hand, "stage", cell)
        assert place(app) == "L3H5[4,1]"
        await click(app, hand, "header", parse("L3@4"))
        assert app.state.location.kind == "block"
        await click(app, hand, "header", parse("model[L3]@4"))
        assert app.state.location.kind == "model"
        await click(app, hand, "stage", parse("model[L1]@4"))
        assert place(app) == "model[L1]@4"
        await click(app, hand, "stage", parse("model[L1]@4"))
        assert place(app) == "L1@4"

    drive(test, storyteller, at("L3H5"))


def test_the_pointer_alone_changes_no_place(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await hand.hover(offset=where(app, "stage", parse("L3H5:softmax[4,1]")))
        assert place(app) == "L3H5"

    on_paper(test, storyteller, at("L3H5"))


def test_the_pointer_over_a_cell_reads_that_cells_number_and_leaving_restores_the_cursors(storyteller: GPT2) -> None:
    trace = fresh(storyteller, ONCE)
    grids = {
        "qk": trace["blocks.3.attn.q"][:, 5] @ trace["blocks.3.attn.k"][:, 5].T,
        "masked": trace["blocks.3.attn.attn_scores"][5],
        "softmax": trace["blocks.3.attn.pattern"][5],
    }

    def read(app: App) -> tuple[int, int, float]:
        row = next(line for line in pane_text(app, "stage") if re.match(r" Q\d", line))
        found = re.match(r" Q(\d+) \S+ → K(\d+) \S+ .+ = (\S+)", row)
        assert found, row
        return int(found[1]), int(found[2]), float(found[3].replace("−", "-"))

    async def test(app: App, hand: Hand) -> None:
        first = pane_text(app, "stage")
        assert read(app) == (6, 2, pytest.approx(float(grids["softmax"][6, 2]), rel=1e-5))
        for stage, query, key in (("softmax", 4, 1), ("masked", 5, 3), ("qk", 1, 6), ("softmax", 6, 6)):
            await hand.hover(offset=where(app, "stage", parse(f"L3H5:{stage}[{query},{key}]")))
            await until(hand, lambda query=query, key=key: read(app)[:2] == (query, key), "the cell under the pointer")  # type: ignore[misc]
            assert read(app)[2] == pytest.approx(float(grids[stage][query, key]), rel=1e-4), stage
            assert place(app) == "L3H5:softmax[6,2]"
        await hand.hover("#header")
        await until(hand, lambda: pane_text(app, "stage") == first, "the cursor's own number")

    on_paper(test, storyteller, at("L3H5:softmax[6,2]"))


def test_clicks_in_the_panel(storyteller: GPT2) -> None:
    ids = storyteller.prompt_ids(ONCE)
    order = distribution(fresh(storyteller, ids).last_logits).order.tolist()

    async def test(app: App, hand: Hand) -> None:
        canvas = app.query_one("#panel").canvas  # type: ignore[attr-defined]
        value = [hit.target for hit in canvas.hits if hit.target[0] == "temperature"][3][1]
        await click(app, hand, "panel", ("temperature", value))
        assert app.state.temperature == value != 1.0
        check_panel(app, storyteller, ONCE, temperature=value)
        await click(app, hand, "panel", ("do", "mode"))
        assert app.state.mode == "top-k"
        await click(app, hand, "panel", ("candidate", 3))
        assert (app.session.candidate, app.state.ids) == (3, None)
        await click(app, hand, "panel", ("candidate", 3))
        assert list(app.state.ids or ()) == [*ids, order[3]]

    on_paper(test, storyteller)


def test_the_wheel_moves(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        stage = app.query_one("#stage")
        for event, want in ((events.MouseScrollUp, 5), (events.MouseScrollUp, 4), (events.MouseScrollDown, 5)):
            stage.post_message(event(stage, 5, 5, 0, 0, 0, False, False, False, 5, 5))
            await hand.pause()
            assert app.state.location.token_index(7) == want

    drive(test, storyteller)


# Other screens and sizes


def test_help_opens_over_the_screen_and_closes(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        before = app.state
        for opens, closes in (("question_mark", "escape"), ("f1", "question_mark"), ("question_mark", "q")):
            await hand.press(opens)
            assert isinstance(app.screen, HelpScreen)
            page = app.screen.page(width=500).plain
            for action in ACTIONS:
                assert (action.help in page) == (not action.places or "model" in action.places)
            assert any("Draw one token and append it" in line or "Zoom into" in line for line in screen_text(app))
            await hand.press("right_square_bracket", "space", "tab")  # these sleep here
            assert isinstance(app.screen, HelpScreen)
            assert (app.state, app.session.pane, app.running) == (before, "stage", False)
            if closes == "question_mark":  # the second page comes first: what stands on this screen is explained
                await hand.press(closes)
                assert isinstance(app.screen, HelpScreen)
                page = app.screen.second(width=500).plain
                assert page.index("perplexity:") < page.index("Other words") < page.index("patch:")
                assert any("Words on this screen" in line for line in screen_text(app))
            await hand.press(closes)
            assert not isinstance(app.screen, HelpScreen)
        assert app.is_running
        assert app.state == before
        assert screen_text(app) == expected_text(app, storyteller, (120, 36))

    drive(test, storyteller)


def test_a_screen_too_small_says_what_it_needs(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        words = " ".join(" ".join(screen_text(app)).split())
        assert words == "txexplain needs 60×16 cells; this terminal has 50×12."
        await hand.press("right_square_bracket", "enter")
        for size in ((80, 24), (59, 30), (120, 36), (100, 15), (160, 50)):
            await hand.resize_terminal(*size)
            await settled(app, hand)
            await until(hand, lambda size=size: app.size == size, "the new size")  # type: ignore[misc]
            assert screen_text(app) == expected_text(app, storyteller, size)
        assert (app.state.temperature, place(app)) == (1.1, "L0")

    drive(test, storyteller, size=(50, 12))


@pytest.mark.parametrize("size", [(80, 24), pytest.param((120, 36), marks=pytest.mark.long)])
def test_ascii_is_ascii_everywhere(storyteller: GPT2, size: tuple[int, int]) -> None:
    options = UiOptions(ascii=True, color="none")

    async def test(app: App, hand: Hand) -> None:
        def check(what: str) -> None:
            assert "".join(screen_text(app)).isascii(), (what, {c for c in "".join(screen_text(app)) if not c.isascii()})

        assert screen_text(app) == expected_text(app, storyteller, size, options)
        for key in [
            "enter",
            "enter",
            "enter",
            "v",
            "v",
            "v",
            "v",
            "v",
            "enter",
            "a",
            "escape",
            "escape",
            "escape",
            "s",
            "s",
            "s",
            "s",
            "space",
            "w",
            "y",
        ]:
            check(key)
            await press(app, hand, key)
        check("the toast")
        await hand.press("question_mark")
        check("help")
        await hand.press("escape", "slash", "é", "世")
        await settled(app, hand)
        await hand.press("escape")
        await settled(app, hand)
        check("a prompt with wide characters")

    drive(test, storyteller, ExplorerState(prompt="Les élèves 世界 \u200b\x1b[31m"), size=size, options=options)


def test_no_control_character_of_a_prompt_reaches_the_screen(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        for keys in ((), ("slash",), ("escape", "enter", "enter", "enter")):
            if keys:
                await hand.press(*keys)
            assert not re.search(r"[\x00-\x1f\x7f-\x9f]", "".join(screen_text(app)))

    drive(test, storyteller, ExplorerState(prompt="a\x1b[2Jb\x07c\x9bd\te\x00"))


def test_y_shows_the_command_line_of_this_view(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "right_square_bracket", "enter", "y")
        assert said(app) == ["txexplain --model storyteller --at L0 --temperature 1.1"]
        assert app.clipboard == said(app)[0]

    on_paper(test, storyteller)


def test_y_copies_only_what_every_shell_takes_as_it_is(storyteller: GPT2) -> None:
    """A tab and a new line are keys where they are pasted: ids say the same. For a name nothing does."""

    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "y")
        ids = ",".join(map(str, storyteller.prompt_ids("a\tb\nc")))
        assert app.clipboard == f"txexplain --model storyteller --ids {ids}"
        app.session = replace(app.session, state=replace(app.state, model="bad\nname"))
        for key in ("y", "Y"):
            await hand.press(key)
            assert said(app) == ["This view's command line can't be copied: the model's name holds a character that can't be typed."]
        assert "bad" not in app.clipboard
        app.session = replace(app.session, state=replace(app.state, model="a\\'; touch PWNED !"))
        await hand.press("y")
        assert app.clipboard.startswith(r"txexplain --model 'a'\\\''; touch PWNED '\! --ids ")

    on_paper(test, storyteller, ExplorerState(prompt="a\tb\nc"))


def test_q_leaves_at_once_even_while_the_model_runs(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowForward(monkeypatch)
    slow.shut = False

    async def test(app: App, hand: Hand) -> None:
        slow.shut = True
        await hand.press("space", "q")
        assert app._exit
        slow.open()

    drive(test, storyteller)


def test_f8_asks_for_a_name_and_saves_the_screen_as_a_picture(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = "txexplain-L3H5-softmax-4-1.svg", "txexplain-L3H5-softmax-4-1-2.svg"

    async def test(app: App, hand: Hand) -> None:
        def field() -> Input:
            return app.screen.query_one(Input)

        async def name(text: str) -> None:
            field().value = text
            await hand.press("enter")
            await hand.pause()

        await hand.press("f8")
        assert field().value == first
        await hand.press("escape")
        assert not list(tmp_path.iterdir())
        await press(app, hand, "f8", "enter")
        assert [path.name for path in tmp_path.iterdir()] == [first]
        assert said(app)[0] == f"Saved {tmp_path / first}"
        drawn = (tmp_path / first).read_text()
        assert drawn == svg(paint_screen(app.scene(*app.size)))
        assert "L3H5" in "".join(ElementTree.parse(tmp_path / first).getroot().itertext())
        await hand.press("f8")
        assert field().value == second
        for wrong, why in (
            ("a.png", "written as .svg"), ("", "written as .svg"), ("/proc/a.svg", "can't be saved there"), ("no/a.svg", "can't be saved there"),
            ("~nobody-here/a.svg", "can't be saved there"), ("a\0.svg", "can't be saved there"), ("x" * 300 + ".svg", "can't be saved there"),
        ):  # fmt: skip
            await name(wrong)
            assert why in " ".join(" ".join(screen_text(app)).split()), wrong
            assert field().value == wrong
        assert len(list(tmp_path.iterdir())) == 1
        (tmp_path / first).write_text("mine")
        await name(first)
        assert "is there already" in " ".join(" ".join(screen_text(app)).split())
        assert (tmp_path / first).read_text() == "mine"
        await name(second)
        assert (tmp_path / first).read_text() == "mine"
        assert (tmp_path / second).read_text() == drawn
        await hand.press("f8")
        await name(first)
        await hand.press("enter")
        await hand.pause()
        assert (tmp_path / first).read_text() == drawn
        assert len(list(tmp_path.iterdir())) == 2

    drive(test, storyteller, at("L3H5:softmax[4,1]"))


def test_a_sentence_whose_time_is_over_when_it_would_pop_up(storyteller: GPT2) -> None:
    """Put together a moment too late, it got a timer with less than no time, which never gave the app its turn again."""
    assert _toast.Toast is BriefToast
    assert BriefToast(Notification("late", timeout=-1.0))._timeout > 0

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        app.say("in time")
        await until(hand, lambda: [type(toast) for toast in app.screen.query(_toast.Toast)] == [BriefToast], "what pops up")

    drive(test, storyteller)


def test_news_that_come_when_the_screens_are_gone(storyteller: GPT2) -> None:
    """A download's step told after the end, between the screens' and the app's, ended it with an error."""
    apps: list[ExplorerApp] = []
    pictures: list[Picture] = []

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        app.session = replace(app.session, arrival=Arrival("another"))
        apps.append(app)
        pictures.append(app.query_one("#stage", Picture))

    drive(test, storyteller)
    (app,) = apps
    assert not app.screen_stack
    with app._context():
        assert pictures[0].tiles() is None  # nor has a zoom's last frame a screen then
    app.session = replace(app.session, arrival=Arrival("another"))
    asyncio.run(app._on_message(Heard(Job("arrive", app.work, app.happen), Progress("arrive", 1, 2))))


def test_a_timer_that_is_late_rings(storyteller: GPT2) -> None:
    """Where a thread held Python between a timer's start and its first look at the clock, Textual left out its only ring."""

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        rang: list[bool] = []
        leaps = iter((5, 10, 15))
        clock = SimpleNamespace(get_time=lambda: monotonic() + next(leaps, 15))
        with mock.patch("textual.timer._time", clock):
            app.set_timer(0.01, lambda: rang.append(True))
            await until(hand, lambda: bool(rang), "the ring")

    drive(test, storyteller)


def test_a_zoom_moves_once_and_ends_with_the_view(storyteller: GPT2) -> None:
    """First the whole view, then frames on it, then it again; what is drawn meanwhile ends the motion."""
    shown: list[Canvas] = []
    show = Picture.show

    def watched(picture: Picture, canvas: Canvas) -> None:
        if picture.id == "stage":
            shown.append(canvas)
        show(picture, canvas)

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        app.animation_level = "full"
        for key in ("enter", "escape"):
            shown.clear()
            await hand.press(key)
            await until(hand, lambda: not app.motion.coming, "the view")
            assert [bool(canvas.diff(shown[0])) for canvas in shown] == [False, True, True, False]
        shown.clear()
        await hand.press("enter", "escape", "enter", "c", "down")
        await until(hand, lambda: not app.motion.coming, "the view")
        last = app.query_one("#stage", Picture).canvas
        assert last is not None
        assert not paint_pane("stage", app.scene(*app.size), app.layout_of(*app.size)["stage"]).diff(last)
        await hand.press("escape")
        await until(hand, lambda: not app.motion.coming, "the view")
        await hand.resize_terminal(20, 5)
        await until(hand, lambda: "stage" not in app.layout_of(*app.size), "the sentence")
        shown.clear()
        await hand.press("enter")
        assert place(app).startswith("L2")
        assert not app.motion.coming
        assert not shown

    with mock.patch.object(Picture, "show", watched):
        drive(test, storyteller, at("model[L2]"))


def test_a_page_of_commands_before_the_list_has_its_place(storyteller: GPT2) -> None:
    """Page down at once after ctrl+p ended the app."""

    async def test(app: ExplorerApp, hand: Pilot[None]) -> None:
        await hand.press("ctrl+p")
        await until(hand, lambda: bool(app.screen.query(CommandList)) and bool(app.screen.query_one(CommandList).options), "the commands")
        commands = app.screen.query_one(CommandList)
        await until(hand, lambda: bool(commands.scrollable_content_region), "their place")
        commands.display = False
        await until(hand, lambda: not commands.scrollable_content_region, "no place")
        commands._clear_caches()
        await hand.press("pagedown", "pageup")
        assert app.is_running
        commands.display = True
        await until(hand, lambda: bool(commands.scrollable_content_region), "their place")
        await hand.press("pagedown")
        await until(hand, lambda: bool(commands.highlighted), "the next page")

    drive(test, storyteller)
