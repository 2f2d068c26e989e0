"""Every order in which things can happen at once: keys, results, downloads, timers and the end, chosen by a seed.

    python -m tests.races --walks 2000 --seed 0     # random walks; a fault prints the seed and what was done, in order
    python -m tests.races --seed 7 --walks 1 --tell # one of them again
    python -m tests.races --orders                  # every order of two requests, their results, another model, and the end

Each worker of the app stops at gates: where it begins, where it waits for the engine, inside of its work, and before it hands over
its result. Timers are held too. At each step either the reader does something, or one gate is opened, or one timer rings; then all
threads run until each is at a gate again. So nothing depends on how fast a machine is, and a seed replays.

After each step: what is shown as current is what a fresh run of the present model on the present prompt gives, be it
probabilities, ribbons, surprisal or measures; what is shown as old or as loading is really on its way; every pane shows the
state. At the end: the app ends while workers are held, they stop once they are let go, no thread is left, and none raised anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from safetensors.numpy import load_file, save_file
from textual import events
from textual.app import App
from textual.geometry import Size
from textual.keys import _character_to_key, _get_unicode_name_from_key
from textual.message_pump import MessagePump

from tests.ui.harness import become
from txexplain.engine import derive
from txexplain.engine.cores import CORES
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution
from txexplain.engine.surprisal import surprisal
from txexplain.engine.trace import Trace
from txexplain.errors import ExplainError, ModelNotFound
from txexplain.explorer.lesson import parse_lesson
from txexplain.explorer.reading import Reads
from txexplain.explorer.session import models
from txexplain.explorer.state import ExplorerState, from_flags
from txexplain.front.options import UiOptions
from txexplain.models import load_model
from txexplain.models.hub import Progress, Stopped
from txexplain.models.report import Entry
from txexplain.ui import app as ui
from txexplain.ui import jobs
from txexplain.ui.app import ExplorerApp
from txexplain.ui.models import ModelsScreen
from txexplain.ui.widgets.picture import Picture
from txexplain.ui.work import Does, Heard, Job, Work
from txexplain.viz.screen import paint_pane

SAVED = Path(__file__).parent / "golden" / "saved" / "one"  # 2 blocks of 2 heads, a vocabulary of 300, room for 64 tokens
TIMERS = ("typed", "fade", "drawn")  # those of the app; Textual's own may ring
NAMES = ("one", "two", "three")  # the same shape and tokens, other numbers
PATIENCE = 60.0  # seconds until a thread that doesn't move is called a deadlock
PROMPT = "red blue red"
SIZES = ((80, 24), (120, 36), (160, 45), (60, 16), (40, 10))
LESSON = parse_lesson(
    """# Races
+++
title = "First"
prompt = "a b a b"
at = "{head induction}:softmax[3,1]"
+++
{head induction} and {top}.
+++
title = "Another model"
model = "two"
prompt = "a b a b"
+++
{top} at {T}.
+++
title = "And its prompt"
prompt = "c d"
at = "output"
question = "Which?"
answers = ["one", "two"]
answer = 2
why = ["well"]
+++
{probability 1}.
+++
title = "A third"
model = "three"
+++
{logit 1}.
+++
title = "One that there isn't"
model = "none"
+++
{T}.
""",
    "races",
)  # fmt: skip
KEYS = {
    # Often, what starts a worker; now and then, everything else.
    "space": 8, "u": 4, "g": 3, "m": 6, "slash": 4, "a": 3, "w": 3, "x": 3, "t": 3, "n": 3, "p": 2, "z": 1, "enter": 5, "escape": 4,
    "right_square_bracket": 2, "left_square_bracket": 1, "s": 2, "r": 1, "left_parenthesis": 2, "right_parenthesis": 1, "b": 1, "i": 1,
    "d": 1, "o": 1, "J": 1, "v": 1, "c": 1, "full_stop": 1, "greater_than_sign": 1, "up": 1, "down": 1, "left": 1, "tab": 1, "1": 1, "f": 1,
}  # fmt: skip


BEGUN = ("start prompt 80x24", "open load post#1", "open forward engine#2", "open forward post#2")
SCRIPTS = (
    (BEGUN, ("press space", "press u", "quit")),
    (BEGUN, ("press space", "fetch two", "quit")),
    (BEGUN, ("press space", "press r", "press space", "press u")),
    (BEGUN, ("fetch two", "fetch three", "press space")),
    (BEGUN, ("press slash", "press a", "press b", "press escape")),
    (("start prompt 80x24",), ("fetch two", "press space", "quit")),
    (("start lesson 80x24", "open load post#1", "open forward engine#2", "open forward post#2"), ("press n", "press n", "press n")),
    (BEGUN, ("press space", "press u", "fetch two", "quit")),
)


class Held:
    """A thread at a gate, or a timer that hasn't rung."""

    def __init__(self, number: int, what: str) -> None:
        self.number, self.what = number, what
        self.go = threading.Event()

    def __repr__(self) -> str:
        return f"{self.what}#{self.number}"


class Timer:
    """What the app takes for a timer of Textual's: it rings when the walk says so."""

    def __init__(self, walk: Walk, number: int, callback: Callable[[], Any], what: str) -> None:
        self.walk, self.number, self.callback, self.what = walk, number, callback, what

    def stop(self) -> None:
        if self in self.walk.timers:
            self.walk.timers.remove(self)

    def __repr__(self) -> str:
        return f"{self.what}#{self.number}"


class Raced(Work):
    """The app's channel: each job begins at a gate. Knows which jobs aren't over, and what they raised."""

    def __init__(self, walk: Walk, post: Callable[[Heard], object]) -> None:
        super().__init__(post)
        self.walk = walk
        self.turns = walk.engine

    def spawn(self, job: Job, does: Does) -> None:
        walk = self.walk
        walk.jobs += 1
        number = walk.jobs
        walk.live[number] = job.key

        def gated(job: Job) -> object:
            walk.gate("begin")
            try:
                return does(job)
            except (ExplainError, Stopped):
                raise
            except BaseException as error:
                walk.raised.append(error)
                raise

        def run() -> None:
            walk.here.number = number
            try:
                self.run(job, gated)
            finally:
                walk.live.pop(number, None)

        threading.Thread(target=run, name=f"race {number}", daemon=True).start()


class Engine:
    """In place of the app's lock: the walk decides who comes next."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        self.walk.gate("engine")
        assert self.lock.acquire(timeout=PATIENCE), "the engine was given to two"

    def __exit__(self, *_: object) -> None:
        self.lock.release()


class Walk:
    """One app, all of whose threads and timers wait for `choose`, which picks one of so many."""

    def __init__(self, models: dict[str, GPT2], choose: Callable[[Sequence[str]], int], *, coarse: bool = False) -> None:
        self.models, self.choose, self.coarse = models, choose, coarse
        self.here = threading.local()
        self.guard = threading.Lock()
        self.held: list[Held] = []
        self.timers: list[Timer] = []
        self.live: dict[int, str] = {}
        self.jobs = self.rung = 0
        self.raised: list[BaseException] = []
        self.engine = Engine(self)
        self.done: list[str] = []  # what was done, in order
        self.through: set[int] = set()  # jobs that stop only where they wait for others, or hand over
        self.leaving = self.free = False
        self.late: dict[int, int] = {}  # gates passed after the end, by job

    # The threads' side

    @property
    def number(self) -> int:
        """The job that this thread does; 0 in the app's own."""
        return getattr(self.here, "number", 0)

    def gate(self, what: str) -> None:
        """Wait until the walk lets this thread go on."""
        number = self.number
        if number == 0 or self.free:
            return
        if self.leaving:
            self.late[number] = self.late.get(number, 0) + 1
        if (self.coarse or number in self.through) and what not in ("engine", "post"):
            return
        if self.coarse and self.live[number] not in ("forward", "load", "arrive"):
            return
        held = Held(number, f"{self.live[number]} {what}")
        with self.guard:
            self.held.append(held)
        assert held.go.wait(2 * PATIENCE), f"{held} was never let go"

    def open(self, held: Held) -> None:
        with self.guard:
            self.held.remove(held)
        held.go.set()

    def give_up(self) -> None:
        """After a fault: no thread waits any more."""
        self.free = True
        for held in list(self.held):
            self.open(held)

    @property
    def busy(self) -> bool:
        """Whether a thread is on its way to its next gate."""
        with self.guard:
            return len(self.live) > len(self.held)

    # What is put into the app's place

    def set_timer(self, app: ExplorerApp, delay: float, callback: Callable[[], Any], **options: Any) -> Any:
        if options.get("name") not in TIMERS:
            return MessagePump.set_timer(app, delay, callback, **options)
        self.rung += 1
        timer = Timer(self, self.rung, callback, options["name"])
        self.timers.append(timer)
        return timer

    def post(self, pump: MessagePump, message: Any) -> bool:
        if self.number:
            self.gate("post")
        return MessagePump.post_message(pump, message)

    def forward(self, model: GPT2, ids: Sequence[int], should_stop: Callable[[], bool] | None = None, **options: Any) -> Trace | None:
        def stop() -> bool:
            self.gate("block")
            return should_stop is not None and should_stop()

        return FORWARD(model, ids, should_stop=stop, **options)

    def opened(self, name: str, progress: Any = None, **_: Any) -> GPT2:
        """The door to every model: a download in three pieces, or a refusal."""
        for piece in range(3):
            self.gate("piece")
            if progress is not None and not self.coarse:
                progress(piece, 2)
        self.gate("whole")
        if name not in self.models:
            raise ModelNotFound(f"There is no model {name}.")
        return self.models[name]

    def listed(self) -> list[Entry]:
        self.gate("list")
        return [Entry(name, "cached", 1, 1, "") for name in (*NAMES, "none")]

    @contextmanager
    def installed(self, app: ExplorerApp) -> Iterator[None]:
        def gated(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **options: Any) -> Any:
                self.gate("inside")
                return function(*args, **options)

            return call

        app.set_timer = partial(self.set_timer, app)  # type: ignore[assignment]
        app.work = Raced(self, lambda message: app.post_message(message))
        app.open_model = self.opened
        app.list_models = self.listed
        app.animation_level = "none"
        with (
            mock.patch.object(GPT2, "stoppable_forward", lambda model, ids, **options: self.forward(model, ids, **options)),
            mock.patch.object(ui, "load_model", self.opened),
            mock.patch.object(jobs, "surprisal", gated(surprisal)),
            mock.patch.object(jobs, "CHUNK", 2),
            mock.patch.object(jobs, "RIBBONS_AT_ONCE", 0),
            mock.patch.object(derive, "SWIFT", 0),
            mock.patch.object(derive, "norm_shares", gated(derive.norm_shares)),
            mock.patch.object(derive, "rollout_shares", gated(derive.rollout_shares)),
            mock.patch.object(derive, "head_measures", gated(derive.head_measures)),
            mock.patch.object(App, "post_message", lambda pump, message: self.post(pump, message)),
        ):
            yield


FORWARD = GPT2.stoppable_forward


async def still(walk: Walk, app: ExplorerApp, pilot: Any) -> None:
    """Until every thread waits at a gate and every message was answered."""
    end = time.monotonic() + PATIENCE
    calm = 0
    while calm < 3:
        assert time.monotonic() < end, f"never still: {walk.live}, held {walk.held}"
        await pilot._wait_for_screen()
        if app._exception is not None:
            raise app._exception
        if walk.busy:
            await asyncio.sleep(0.0005)
        await asyncio.sleep(0)
        calm = 0 if walk.busy or not app._message_queue.empty() else calm + 1


def options_of(walk: Walk) -> dict[str, Callable[[], None]]:
    """What could happen next without the reader: gates to open, timers to ring."""

    def open_it(held: Held, through: bool = False) -> None:
        (walk.through.add if through else walk.through.discard)(held.number)
        walk.open(held)

    def ring(timer: Timer) -> None:
        walk.timers.remove(timer)
        timer.callback()

    found: dict[str, Callable[[], None]] = {}
    for held in sorted(walk.held, key=lambda held: held.number):
        if held.what.endswith("engine") and walk.engine.lock.locked():
            continue
        found[f"open {held}"] = partial(open_it, held)
        if not walk.coarse and not held.what.endswith("post"):
            found[f"through {held}"] = partial(open_it, held, through=True)
    found |= {f"ring {timer}": partial(ring, timer) for timer in walk.timers if not walk.coarse or timer.what in ("typed", "drawn")}
    return found


class Truth:
    """What a fresh run says, by model and ids."""

    def __init__(self, models: dict[str, GPT2]) -> None:
        self.models = models
        self.results: dict[tuple[str, tuple[int, ...]], Result] = {}

    def result(self, name: str, ids: Sequence[int]) -> Result:
        key = name, tuple(ids)
        if key not in self.results:
            trace = FORWARD(self.models[name], list(ids))
            assert trace is not None
            self.results[key] = Result(trace, self.models[name])
        return self.results[key]


def close(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-3, atol=1e-4))


def check(walk: Walk, app: ExplorerApp, truth: Truth) -> None:
    """The promises, at a moment when all is still. Raises AssertionError with what doesn't hold."""
    assert not walk.raised, walk.raised
    state, result, scene = app.state, app.result, app.scene(*app.size)
    doing = set(walk.live.values())
    if app.running and app.model is not None:
        assert "forward" in doing or any(timer.what == "typed" for timer in walk.timers), "it waits for a result that nobody computes"
    if result is None:
        assert app.session.message or app.running, "nothing is shown, and no sentence says why"
        if app.session.message.startswith(("Loading", "Fetching")):
            assert doing & {"load", "arrive"}, f"it says {app.session.message!r}, but nobody loads"
            if app.session.arrival is None:
                assert "load" in doing, f"it says {app.session.message!r}, but only what was given up loads"
        return
    if result.model is not None:
        assert app.model is result.model, "a result of another model"
        assert app.model is walk.models[state.model], f"{app.model.name} goes by the name of {state.model}"
        name, ids = state.model, result.trace.ids
        wanted = tuple(state.ids if state.ids is not None else app.model.prompt_ids(state.prompt))
        assert scene.stale or ids == wanted, "an old result is shown as current"
        assert app.session.prefix is None or app.session.prefix.model is app.model
        fresh = truth.result(name, ids)
        assert close(result.trace.last_logits, fresh.trace.last_logits), "the logits aren't a fresh run's"
        best = distribution(fresh.trace.last_logits, **state.sampling)
        assert app.session.distribution is not None
        assert close(app.session.distribution.probability, best.probability), "the probabilities aren't of this setting"
        assert app.session.back or scene.distribution is app.session.distribution
        if scene.ribbons is not None:
            assert all(close(a, b) for a, b in zip(scene.ribbons, fresh.flow(state.flow), strict=True)), "other ribbons"
        if scene.surprisal is not None:
            known = surprisal(fresh.trace, walk.models[name].unembedding)
            for ours, theirs in zip(scene.surprisal, known, strict=False):
                assert (ours is None) == (theirs is None)
                assert ours is None or theirs is None or close(ours.bits, theirs.bits), "other surprisal"
        if scene.measured and "measures" in result.__dict__:
            for measure, values in vars(fresh.measures).items():
                assert close(getattr(result.measures, measure), values), f"other {measure}"
        for moment in (*app.session.history[-2:], *([app.session.held] if app.session.held is not None else [])):
            assert close(moment.logits, truth.result(name, moment.ids).trace.last_logits), "a moment of another model"
        if app.session.last_draw is not None and state.ids is not None:
            assert state.ids[-1] == app.session.last_draw.id, "a draw of another token"
            assert app.session.drawn_from is not None
            assert close(app.session.drawn_from.logits, truth.result(name, state.ids[:-1]).trace.last_logits), (
                "a draw from other probabilities"
            )
    else:
        assert app.model is None
        assert state.trace is not None, "a recorded run under a model's name"
    if (reading := app.session.reader.reading) is not None and reading.result is not None and (model := reading.result.model) is not None:
        assert reading.page.model is None or walk.models[reading.page.model] is model, "the page's numbers are another model's"
        assert reading.result.trace.ids == tuple(model.prompt_ids(reading.page.prompt or "")), "the page's numbers are another prompt's"
    if any(held.what in ("norms post", "rollout post", "place post", "arrive post") for held in walk.held):
        return  # they are computed, and nobody was told yet
    for pane, rect in app.layout_of(scene.width, scene.height).items():
        canvas = app.screen_stack[0].query_one(f"#{pane}", Picture).canvas
        assert canvas is not None
        assert canvas.text() == paint_pane(pane, scene, rect).text(), f"{pane} doesn't show the state"


async def press(app: ExplorerApp, name: str) -> None:
    assert app._driver is not None
    key = _character_to_key(name) if len(name) == 1 and not name.isalnum() else name
    try:
        character: str | None = unicodedata.lookup(_get_unicode_name_from_key(key))
    except KeyError:
        character = key if len(key) == 1 else None
    event = events.Key(key, character)
    event.set_sender(app)
    app._driver.send_message(event)


def resize(app: ExplorerApp, width: int, height: int) -> None:
    assert app._driver is not None
    app._driver._size = (width, height)
    app._driver.send_message(events.Resize(Size(width, height), Size(width, height)))


def reader_may(app: ExplorerApp) -> list[str]:
    """What the reader may do here, each as often as it is likely."""
    if isinstance(app.screen, ModelsScreen):
        keys = ["down"] * 4 + ["enter"] * 4 + ["escape", "up"]
    elif len(app.screen_stack) > 1:
        keys = ["enter", "escape", "escape", "down", "1", "a"]
    elif app.session.pane == "prompt":
        keys = ["a", "b", "space", "backspace", "a", "enter", "escape", "tab"]
    else:
        keys = [key for key, often in KEYS.items() for _ in range(often)]
    return [*(f"press {key}" for key in keys), *(f"resize {width}x{height}" for width, height in SIZES)][: None if len(keys) > 20 else -5]


async def happen(walk: Walk, app: ExplorerApp, pilot: Any, what: str) -> None:
    """Do one thing by its name, and wait until all is still."""
    walk.done.append(what)
    kind, _, name = what.partition(" ")
    if kind == "press":
        await press(app, name)
    elif kind == "resize":
        resize(app, *map(int, name.split("x")))
    elif kind == "fetch":
        become(app, models.fetch(app.session, name))
    elif kind == "finish":  # in what is written by hand: all that a job has to do
        number = int(name.partition("#")[2])
        while number in walk.live:
            held = next(held for held in walk.held if held.number == number)
            assert held.what.split()[0] == name.partition("#")[0], f"{name} is {held}"
            walk.open(held)
            await still(walk, app, pilot)
    else:
        possible = options_of(walk)
        assert what in possible, f"{what} can't happen, but {list(possible)}"
        possible[what]()
    await still(walk, app, pilot)


async def settle(walk: Walk, app: ExplorerApp, pilot: Any, truth: Truth) -> None:
    """Let everything through, in a chosen order, until nothing is left to do; then something is shown, or a sentence says why not."""
    for _ in range(2000):
        while len(app.screen_stack) > 1:
            await happen(walk, app, pilot, "press escape")
        if app.session.generating:
            await happen(walk, app, pilot, "press u")
        if not (possible := list(options_of(walk))):
            break
        await happen(walk, app, pilot, possible[walk.choose(possible)])
        check(walk, app, truth)
    else:
        raise AssertionError(f"it never comes to rest: {walk.live}")
    assert not walk.live, f"deadlock: {walk.live}, held {walk.held}"
    assert not app.running, "all is quiet, but it waits for a result"
    assert app.session.arrival is None, "all is quiet, but it waits for a model"
    assert app.result is not None or not app.session.message.startswith(("Loading", "Fetching")), (
        f"all is quiet, but it says {app.session.message!r}"
    )


def started(walk: Walk, how: str, trace: Path) -> ExplorerApp:
    """The app with a prompt, with a lesson, or with a recorded run."""

    def load(progress: Progress) -> GPT2 | Result:
        if how == "recorded":
            walk.gate("whole")
            return Result(Trace.load(trace), None)
        return walk.opened("one", progress)

    state = from_flags(model="one", trace=str(trace)) if how == "recorded" else ExplorerState(model="one", prompt=PROMPT)
    return ExplorerApp(state, UiOptions(color="truecolor"), load, Reads(lesson=LESSON) if how == "lesson" else None)


async def mixed(walk: Walk, app: ExplorerApp, pilot: Any, truth: Truth, script: Sequence[str]) -> None:
    """What the reader does, in its order, at any moments between what else happens."""
    rest = list(script)
    while possible := [*rest[:1], *options_of(walk)]:
        check(walk, app, truth)
        at = walk.choose(possible)
        if rest and at == 0 and rest.pop(0) == "quit":
            return
        await happen(walk, app, pilot, possible[at])


async def go(walk: Walk, truth: Truth, trace: Path, steps: int | Sequence[str], script: Sequence[str] = ()) -> None:
    """Start the app, let things happen, so many or these, then what the script says, and end it."""
    begins = [f"start {how} {width}x{height}" for how in ("prompt", "prompt", "lesson", "recorded") for width, height in SIZES]
    begin = begins[walk.choose(begins)] if isinstance(steps, int) else steps[0]
    walk.done.append(begin)
    _, how, size = begin.split()
    width, height = map(int, size.split("x"))
    app = started(walk, how, trace)
    with walk.installed(app):
        try:
            async with app.run_test(size=(width, height), notifications=True) as pilot:
                await still(walk, app, pilot)
                for step in range(steps) if isinstance(steps, int) else steps[1:]:
                    check(walk, app, truth)
                    possible = list(options_of(walk))
                    if not isinstance(step, str):
                        reader = not possible or walk.choose(["threads"] * 3 + ["reader"] * 2) > 2
                        at_once = reader_may(app) if reader else possible
                        step = at_once[walk.choose(at_once)]
                    if step == "quit":
                        break
                    await happen(walk, app, pilot, step)
                else:
                    check(walk, app, truth)
                    await mixed(walk, app, pilot, truth, script)
                    if script[-1:] == ("quit",):
                        pass
                    elif not isinstance(steps, int) or walk.choose(["now", "at rest"]):
                        await settle(walk, app, pilot, truth)
                await leave(walk, app)
            await last(walk, app)
        except BaseException:
            walk.give_up()
            raise


async def leave(walk: Walk, app: ExplorerApp) -> None:
    """End the app by its key, or as a signal does; it doesn't wait for any worker."""
    walk.done.append("quit")
    walk.leaving = True
    if walk.coarse or walk.choose(["key", "signal"]) == 0:
        app.action_do("quit")
    else:
        app.exit(return_code=143)
    assert app._task is not None
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait([app._task])


async def last(walk: Walk, app: ExplorerApp) -> None:
    """Once the app has ended, let the workers go: each ends soon, and does no more of its work."""
    walk.through.clear()
    end = time.monotonic() + PATIENCE
    while walk.live:
        assert time.monotonic() < end, f"deadlock after the end: {walk.live}, held {walk.held}"
        if walk.busy:
            await asyncio.sleep(0.0005)
            continue
        possible = {name: act for name, act in options_of(walk).items() if name.startswith("open")}
        name = list(possible)[0 if walk.coarse else walk.choose(list(possible))]
        walk.done.append(name)
        possible[name]()
        await asyncio.sleep(0)
    slow = {number: gates for number, gates in walk.late.items() if gates > 2}
    assert not slow, f"workers went on after the end: {slow}"
    assert not walk.raised, walk.raised


def walk_once(scene: Scenery, choose: Callable[[Sequence[str]], int], steps: int | Sequence[str], script: Sequence[str] = ()) -> Walk:
    """One walk; no thread is left after it."""
    before = set(threading.enumerate())
    walk = Walk(scene.models, choose, coarse=bool(script))
    try:
        asyncio.run(go(walk, scene.truth, scene.trace, steps, script))
    except BaseException as error:
        error.add_note(f"replay: {json.dumps(walk.done)}")
        raise
    left = {thread for thread in threading.enumerate() if thread not in before}
    assert not left, f"threads are left: {left}"
    return walk


def three_models(folder: Path) -> dict[str, GPT2]:
    """Models of the same shape and tokens, with other numbers."""
    models = {}
    for number, name in enumerate(NAMES):
        here = folder / name
        shutil.copytree(SAVED, here)
        tensors = load_file(SAVED / "model.safetensors")
        rng = np.random.default_rng(number)
        save_file(
            {key: (x + number * 0.3 * rng.standard_normal(x.shape)).astype(np.float32) for key, x in tensors.items()},
            here / "model.safetensors",
            metadata={"format": "pt"},
        )
        models[name] = load_model(here)
    return models


@dataclass(frozen=True)
class Scenery:
    """The models, what they say, and a recorded run."""

    models: dict[str, GPT2]
    truth: Truth
    trace: Path


@contextmanager
def scenery() -> Iterator[Scenery]:
    with tempfile.TemporaryDirectory() as name:
        models = three_models(Path(name))
        recorded = FORWARD(models["one"], models["one"].prompt_ids(PROMPT))
        assert recorded is not None
        recorded.save(Path(name) / "run.safetensors")
        yield Scenery(models, Truth(models), Path(name) / "run.safetensors")


def chance(seed: int) -> Callable[[Sequence[str]], int]:
    """Choices by a seed."""
    rng = np.random.default_rng(seed)
    return lambda options: int(rng.integers(len(options)))


def walks(scene: Scenery, count: int, seed: int, steps: int = 60, *, tell: bool = False) -> int:
    """Random walks; returns how many things were done. What is raised says the seed of its walk."""
    things = 0
    for number in range(seed, seed + count):
        try:
            walk = walk_once(scene, chance(number), steps)
        except BaseException as error:
            error.add_note(f"seed {number}, {steps} steps")
            raise
        things += len(walk.done)
        if tell:
            sys.stdout.write(f"{number}: {json.dumps(walk.done)}\n")
        elif number % 100 == 99:
            sys.stdout.write(f"{number + 1 - seed} walks, {things} things done\n")
            sys.stdout.flush()
    return things


def orders(scene: Scenery, start: Sequence[str], script: Sequence[str], most: int = 1_000_000) -> int:
    """Walk through every order in which a script's things and their results can happen; returns how many there are."""
    path: list[int] = []  # what was chosen at each place
    for number in range(most):
        chosen: list[tuple[int, int]] = []  # and of how many

        def choose(options: Sequence[str], chosen: list[tuple[int, int]] = chosen, path: list[int] = path) -> int:
            at = path[len(chosen)] if len(chosen) < len(path) else 0
            chosen.append((at, len(options)))
            return at

        walk_once(scene, choose, start, script)
        while chosen and chosen[-1][0] == chosen[-1][1] - 1:
            chosen.pop()
        if not chosen:
            return number + 1
        path = [*(at for at, _ in chosen[:-1]), chosen[-1][0] + 1]
    return most


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.races", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--walks", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first walk; each following one has the next")
    parser.add_argument("--steps", type=int, default=60, help="of each walk")
    parser.add_argument("--tell", action="store_true", help="say what is done in each walk")
    parser.add_argument("--orders", action="store_true", help="every order of a few things instead of random walks")
    parser.add_argument("--replay", help="what was done, as a fault prints it")
    args = parser.parse_args()
    CORES.keep()
    with scenery() as scene:
        if args.replay:
            walk_once(scene, chance(args.seed), json.loads(args.replay))
        elif args.orders:
            for start, script in SCRIPTS:
                sys.stdout.write(f"{orders(scene, start, script)} orders of {', '.join(script)}\n")
                sys.stdout.flush()
        else:
            things = walks(scene, args.walks, args.seed, args.steps, tell=args.tell)
            sys.stdout.write(f"{args.walks} walks, {things} things done: ")
    sys.stdout.write("no fault\n")


if __name__ == "__main__":
    main()
