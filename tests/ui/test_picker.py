"""Another model from inside the app: the list, the download, and the present model meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.covering import few
from tests.ui.harness import ONCE, drive, fresh, pane_text, press, said, screen_text, settled, until
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace
from txexplain.errors import ModelNotFound
from txexplain.explorer.location import parse
from txexplain.explorer.session import events
from txexplain.explorer.state import ExplorerState, from_flags
from txexplain.models import load_model
from txexplain.models.hub import Progress, Stopped
from txexplain.models.report import Entry
from txexplain.ui.app import ExplorerApp
from txexplain.ui.models import ModelsScreen

App, Hand = ExplorerApp, Pilot[None]
SMALL = Path(__file__).parents[1] / "golden" / "saved" / "one"  # 2 blocks of 2 heads, a vocabulary of 300
LIST = [
    Entry("storyteller", "bundled", 17_670_400, 35_348_208, "/weights/storyteller"),
    Entry("owner/small", "to download", 12_000, 52_224_000, None),
    Entry("gpt2-xl", "to download", 1_557_611_200, 6_430_000_000, None),
]


class Gate:
    """A download that goes on when the test says so."""

    def __init__(self, answer: Callable[[], GPT2]) -> None:
        self.answer = answer
        self.tell: Progress = lambda *_: None
        self.opened, self.begun = threading.Event(), threading.Event()
        self.stopped = False
        self.names: list[str] = []

    def __call__(self, name: str, progress: Progress) -> GPT2:
        self.names.append(name)
        self.tell = progress
        self.begun.set()
        try:
            for _ in range(2000):  # ten seconds of waiting, and no test hangs
                if self.opened.wait(0.005):
                    break
                progress(*self.at)
        except Stopped:
            self.stopped = True
            raise
        return self.answer()

    at = (0, 0)


@pytest.fixture
def gate() -> Gate:
    return Gate(lambda: load_model(SMALL))


def prepared(app: App, gate: Gate) -> None:
    app.list_models = lambda: LIST  # type: ignore[method-assign]
    app.open_model = gate


async def listed(app: App, hand: Hand) -> ModelsScreen:
    await hand.press("m")
    await until(hand, lambda: isinstance(app.screen, ModelsScreen) and app.screen.models is not None, "the list of models")
    assert isinstance(app.screen, ModelsScreen)
    return app.screen


async def choose_second(app: App, hand: Hand) -> None:
    await listed(app, hand)
    await hand.press("down", "enter")


async def closed(app: App, hand: Hand) -> None:
    """The list is left; a worker that waits at a gate is no reason to wait."""
    await hand.press("escape")
    await until(hand, lambda: len(app.screen_stack) == 1, "the list is left")


@pytest.mark.parametrize("size", few([((80, 24),), ((120, 36),), ((60, 16),)], lambda size: size == (60, 16)))
def test_the_list_says_size_and_state(storyteller: GPT2, gate: Gate, size: tuple[int, int]) -> None:
    async def test(app: App, hand: Hand) -> None:
        prepared(app, gate)
        screen = await listed(app, hand)
        text = screen_text(app)
        for name, *words in (
            ("storyteller", "17,670,400", "35 MB", "bundled"), ("owner/small", "12,000", "52 MB", "to download"),
            ("gpt2-xl", "1,557,611,200", "6,430 MB", "to download"),
        ):  # fmt: skip
            (line,) = (line for line in text if name in line and words[1] in line)
            assert all(word in line for word in words), line
        assert screen.at == 0
        await closed(app, hand)
        assert (app.state.model, gate.names) == ("storyteller", [])

    drive(test, storyteller, size=size)


def test_the_present_model_stays_until_the_other_is_there(storyteller: GPT2, gate: Gate) -> None:
    async def test(app: App, hand: Hand) -> None:
        prepared(app, gate)
        await choose_second(app, hand)
        assert len(app.screen_stack) == 1
        gate.at = (26_000_000, 52_000_000)
        await until(hand, lambda: "owner/small 50%" in screen_text(app)[0], "the progress in the header")
        await hand.press("left_square_bracket", "space")
        await until(hand, lambda: app.result is not None and app.result.trace.n_tokens == 8 and not app.running, "a drawn token")
        assert app.state.model == "storyteller"
        assert app.state.temperature == 0.9
        await listed(app, hand)
        lines = screen_text(app)
        row = next(i for i, line in enumerate(lines) if "owner/small" in line and "52 MB" in line)
        assert "fetched 50%" in lines[row]
        assert "█" * 12 in lines[row + 1]
        assert "█" * 13 not in lines[row + 1]
        gate.at = (39_000_000, 52_000_000)
        await until(hand, lambda: "fetched 75%" in "\n".join(screen_text(app)), "the list follows")
        prompt = app.model.tokenizer.decode(app.result.trace.ids) if app.model and app.result else ""
        gate.opened.set()
        await until(hand, lambda: app.state.model == "owner/small", "the other model")
        await settled(app, hand)
        assert len(app.screen_stack) == 1, "the list has nothing more to say"
        assert app.result is not None
        assert app.result.config.n_embd == 16
        assert app.result.trace.prompt == prompt, "the text, in the other's tokens"
        assert app.state.temperature == 0.9
        assert "owner/small · 2 blocks × 2 heads" in screen_text(app)[0]
        assert app.editor.tokenizer is app.result.model.tokenizer if app.result.model else False

    drive(test, storyteller)


def test_the_place_is_kept_where_it_exists(storyteller: GPT2, gate: Gate) -> None:
    gate.opened.set()

    async def test(app: App, hand: Hand) -> None:
        prepared(app, gate)
        await choose_second(app, hand)
        await until(hand, lambda: app.state.model == "owner/small", "the other model")
        await settled(app, hand)
        assert str(app.state.location) == "L1H1:qk[2,1]"
        assert app.state.prompt == ONCE
        assert app.state.arguments()[:2] == ["--model", "owner/small"]

    drive(test, storyteller, ExplorerState(location=parse("L1H5:qk[2,1]")))


def test_enter_on_a_download_stops_it(storyteller: GPT2, gate: Gate) -> None:
    gate.at = (1, 100)

    async def test(app: App, hand: Hand) -> None:
        prepared(app, gate)
        await choose_second(app, hand)
        await until(hand, lambda: app.session.arrival is not None and app.session.arrival.total == 100, "the download runs")
        await choose_second(app, hand)
        await until(hand, lambda: gate.stopped, "the download ends")
        await settled(app, hand)
        assert (app.session.arrival, app.state.model, said(app)) == (None, "storyteller", [])
        assert "owner/small" not in screen_text(app)[0]
        gate.opened.set()
        await choose_second(app, hand)
        await until(hand, lambda: app.state.model == "owner/small", "it can be begun again")

    drive(test, storyteller)


def test_another_choice_stops_the_first_and_leaving_the_app_stops_all(storyteller: GPT2) -> None:
    gates = [Gate(lambda: load_model(SMALL)) for _ in range(2)]
    waiting = iter(gates)

    async def test(app: App, hand: Hand) -> None:
        prepared(app, gates[0])
        app.open_model = lambda name, progress: next(waiting)(name, progress)
        await choose_second(app, hand)
        await until(hand, gates[0].begun.is_set, "the first download")
        await listed(app, hand)
        await hand.press("down", "down", "enter")
        await until(hand, lambda: gates[1].begun.is_set() and gates[0].stopped, "the second instead")
        assert app.session.arrival is not None
        assert app.session.arrival.name == "gpt2-xl"

    drive(test, storyteller)
    assert gates[1].stopped, "nobody waits for it any more"


def test_a_failure_is_a_sentence_and_changes_nothing(storyteller: GPT2, gate: Gate) -> None:
    def refuse() -> GPT2:
        raise ModelNotFound("The disk is full: owner/small can't be saved; make room.")

    gate.answer = refuse
    gate.opened.set()

    async def test(app: App, hand: Hand) -> None:
        prepared(app, gate)
        before = app.state
        await choose_second(app, hand)
        await until(hand, lambda: bool(said(app)), "the sentence")
        assert said(app) == ["The disk is full: owner/small can't be saved; make room."]
        assert (app.state, app.session.arrival) == (before, None)
        await press(app, hand, "space")
        assert app.result is not None
        assert app.result.trace.n_tokens == 8

    drive(test, storyteller)


def test_the_same_tokens_stay_the_same_ids(storyteller: GPT2, gate: Gate) -> None:
    gate.answer = lambda: load_model("storyteller")
    gate.opened.set()

    async def test(app: App, hand: Hand) -> None:
        prepared(app, gate)
        await press(app, hand, "space", "space")
        ids = app.state.ids
        await choose_second(app, hand)
        await until(hand, lambda: app.state.model == "owner/small", "the other model")
        await settled(app, hand)
        assert ids is not None
        assert app.state.ids == ids
        await press(app, hand, "u")
        assert app.state.ids == ids[:-1]

    drive(test, storyteller)


def test_a_recorded_run_goes_on_with_a_model(storyteller: GPT2, gate: Gate, tmp_path: Path) -> None:
    fresh(storyteller, ONCE).save(tmp_path / "t")
    gate.opened.set()

    async def test(app: App, hand: Hand) -> None:
        prepared(app, gate)
        await choose_second(app, hand)
        await until(hand, lambda: app.state.model == "owner/small", "the model")
        await settled(app, hand)
        assert app.state.trace is None
        assert app.result is not None
        assert app.result.trace.prompt == ONCE
        await press(app, hand, "space")
        assert app.result.model is not None

    drive(test, None, from_flags(trace=str(tmp_path / "t")), load=lambda: Result(Trace.load(tmp_path / "t"), None))  # type: ignore[arg-type, return-value]


def test_a_model_that_cannot_read_the_prompt_says_so(storyteller: GPT2, gate: Gate) -> None:
    gate.opened.set()

    async def test(app: App, hand: Hand) -> None:
        prepared(app, gate)
        await choose_second(app, hand)
        await until(hand, lambda: "reads at most 64" in app.session.message, "the sentence")
        for pane in ("stage", "panel"):
            assert "".join(app.session.message.split()) in "".join("".join(pane_text(app, pane)).replace("│", "").split()), "all of it"
        assert "ms" not in screen_text(app)[0]

    drive(test, storyteller, from_flags(prompt=ONCE + " cat" * 100))


def test_the_first_model_tells_its_download(storyteller: GPT2) -> None:
    go = threading.Event()

    def load() -> GPT2:
        assert go.wait(30)
        return storyteller

    async def test(app: App, hand: Hand) -> None:
        app.work.jobs["load"].tell(events.Progress("load", 120_000_000, 548_000_000))
        await until(hand, lambda: "Fetching storyteller: 120 of 548 MB, 21%" in "\n".join(screen_text(app)), "the progress")
        go.set()
        await settled(app, hand)
        assert "Fetching" not in "\n".join(screen_text(app))

    drive(test, None, load=load, wait=False)


@pytest.mark.parametrize("works", [True, False])
def test_another_model_can_be_chosen_while_the_first_is_on_its_way(storyteller: GPT2, gate: Gate, works: bool) -> None:
    go = threading.Event()

    def load() -> GPT2:
        assert go.wait(30)
        return storyteller

    def refuse() -> GPT2:
        raise ModelNotFound("There is no such model.")

    if not works:
        gate.answer = refuse
    gate.opened.set()

    async def test(app: App, hand: Hand) -> None:
        prepared(app, gate)
        await choose_second(app, hand)
        if works:
            await until(hand, lambda: app.result is not None and not app.running, "the second model's answer")
        else:
            await until(hand, lambda: "There is no such model." in "\n".join(screen_text(app)), "the sentence")
        go.set()
        await until(hand, lambda: not app.work.threads, "the first one's load ends")
        assert (app.state.model, app.model is None) == (("owner/small", False) if works else ("storyteller", True))
        assert app.model is not storyteller

    drive(test, None, load=load, wait=False)
