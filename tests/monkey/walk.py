"""A walk: life after life of an app, what was seen on the way, and of a fault the shortest way back to it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import numpy as np
from textual.pilot import Pilot

from tests.monkey.promises import anyhow, at_rest
from tests.monkey.steps import SETTLED, Step, computes, do, next_step, settled
from tests.monkey.world import Start, World, a_start
from txexplain.explorer.location import FACES, STAGES, Location
from txexplain.explorer.places import KINDS
from txexplain.front.actions import ACTIONS
from txexplain.front.config import read_config
from txexplain.ui.app import ExplorerApp
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.screen import paint_pane

GROWN = 5.0  # seconds that the frame of a zoom may take on a busy machine
HUNG = 45  # seconds that one step may keep the app busy: a hang is a fault, too, with the way to it
PATIENCE = 30.0  # seconds until an app that doesn't settle is a fault
LIVES = {"trace": (60, 500)}  # how many steps an app lives, at the least and at the most, unless it is quit
LIFE = (200, 1500)
GIVE_UP = 0.05  # how often a life ends where there is no result: without a tokenizer, nothing that is typed brings one back
SCREENS = ("ExamplesScreen", "ExplainScreen", "FindScreen", "HelpScreen", "JumpScreen", "LessonsScreen", "ModelsScreen", "CommandsScreen")
LONG = 20_000  # steps in which every view, screen and action must have been reached
SAMPLE = 50  # steps between two looks at the memory
GROWTH = 48.0  # megabytes that the last fifth of a walk may lie above the second
WAIT = ["settle"]


class Watched(ExplorerApp):
    """An app that counts what it was asked to do."""

    CSS_PATH = inspect.getfile(ExplorerApp).removesuffix("app.py") + "app.tcss"

    def __init__(self, start: Start, world: World, seen: Seen) -> None:
        super().__init__(start.state, start.options, lambda progress: world.opened(start.state), start.reads)
        self.seen = seen
        self.list_models = lambda: world.entries(start.kind)  # type: ignore[method-assign]
        self.open_model = world.open_model
        self.animation_level = "full" if start.animated else "none"

    def perform(self, name: str, shown: str = "") -> None:
        self.seen.actions[name] += 1
        super().perform(name, shown)


@dataclass
class Seen:
    """What a walk has come by."""

    views: Counter[str] = field(default_factory=Counter)
    screens: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    looks: Counter[str] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)

    def lacks(self) -> list[str]:
        """The views, screens and actions that were never come by."""
        views = {view_of(Location(kind)) for kind in KINDS} | {f"head:{stage}" for stage in STAGES}
        views |= {f"{kind}:{face}" for kind, faces in FACES.items() for face in faces[1:]}
        actions = {action.id for action in ACTIONS if action.id != "palette"}  # which is a screen
        return sorted(views - set(self.views)) + sorted(set(SCREENS) - set(self.screens)) + sorted(actions - set(self.actions))

    def growth(self) -> float:
        """How many megabytes the last fifth of the walk lies above the second."""
        fifth = len(self.memory) // 5
        return float(np.median(self.memory[-fifth:]) - np.median(self.memory[fifth : 2 * fifth])) if fifth else 0.0

    def report(self) -> str:
        lines = [
            f"{name}: " + ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
            for name, counts in (
                ("views", self.views), ("screens", self.screens), ("actions", self.actions), ("steps", self.steps), ("looks", self.looks),
            )
        ]  # fmt: skip
        if self.memory:
            lines.append(f"memory: {min(self.memory):.0f} to {max(self.memory):.0f} MB, grown by {self.growth():.1f} MB")
        return "\n".join(lines)


def view_of(place: Location) -> str:
    return place.kind + (f":{place.stage}" if place.kind == "head" else f":{place.face}" if place.face else "")


def megabytes() -> float:
    """The memory that this process holds now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:  # not Linux
        return 0.0


# One life


class Fault(Exception):
    """A promise was broken: how, and the way to it."""

    def __init__(self, error: BaseException, start: Start, steps: list[Step]) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.error, self.start, self.steps = error, start, steps
        self.add_note(f"python -m tests.monkey --replay '{self.replay}'")

    @property
    def head(self) -> tuple[str, str]:
        """What two faults that are one have in common."""
        text = re.sub(r"[\d'\"\[\](),.]+", "", str(self.error))
        return type(self.error).__name__, " ".join(text.split()[:6])

    @property
    def replay(self) -> str:
        return json.dumps({"start": self.start.to_dict(), "steps": self.steps}).replace("'", "\\u0027")  # whole in a shell's quotes


Choose = Callable[[ExplorerApp], "Step | None"]  # the next step, or None at the end


def live(start: Start, world: World, seen: Seen, choose: Choose, rng: np.random.Generator, *, all_of_it: bool = False) -> Start | None:
    """One app from its start until there are no more steps, or until it is quit: then, how it would begin again. Raises Fault."""
    taken: list[Step] = []
    left: list[Start] = []
    chosen = seen.actions["theme"]

    async def go() -> None:
        app = Watched(start, world, seen)
        async with app.run_test(size=start.size, notifications=start.toasts) as pilot:
            await look(app, pilot, WAIT)
            while not app._exit and (step := choose(app)) is not None:
                taken.append(step)
                seen.steps["key" if isinstance(step, str) else step[0]] += 1
                with no_longer_than(HUNG):
                    if step != WAIT:
                        await do(app, pilot, step)
                    await look(app, pilot, step)
            if app._exit:
                left.append(start.again(app.state, tuple(app.size), app.tones.theme))
                assert app.return_code in (0, None), "quitting ended with an error"
                assert seen.actions["theme"] == chosen or read_config().theme == app.tones.theme, "the theme isn't remembered"
            else:
                await look(app, pilot, WAIT)

    async def look(app: Watched, pilot: Pilot[None], step: Step) -> None:
        """Look at the promises after a step."""
        if app._exception is not None:
            raise app._exception
        if step == WAIT and not app._exit:
            await settled(app, pilot, PATIENCE)
        if app._exit or app._exception is not None:
            return
        pictures()
        seen.screens[
            type(app.screen).__name__
            if len(app.screen_stack) > 1
            else f"{app.session.pane} {app.session.reader.side or app.session.side}".strip()
        ] += 1
        if step == WAIT:
            await still(app, pilot)
            seen.looks[at_rest(app, world, rng, all_of_it=all_of_it)] += 1
            seen.views[view_of(app.state.location)] += 1
        else:
            anyhow(app, world)
            seen.looks["under way"] += 1

    try:
        asyncio.run(go())
    except Exception as error:
        raise Fault(error, start, taken) from error
    return left[0] if left else None


async def still(app: Watched, pilot: Pilot[None]) -> None:
    """Until every pane lies in its place and a frame that grows has become the view, between two generated tokens, too."""
    end = time.monotonic() + GROWN
    while True:
        if app.session.reader.asked.clock:  # a stopwatch begins a second
            app.began = time.monotonic()
            app.paint()
        await pilot.pause(0)
        if (laid_out(app) and (app.animation_level == "none" or grown(app)) and not computes(app)) or time.monotonic() > end:
            return
        await asyncio.sleep(0.005)


def laid_out(app: Watched) -> bool:
    """Textual lays out what has changed a moment later; under a list, only once that is closed. A film isn't waited for."""
    app.motion.takes("out")
    regions = {name: app.query_one(f"#{name}", Picture).region for name in app.layout_of(*app.size)}
    return len(app.screen_stack) > 1 or all(
        (rect.x, rect.y, rect.width, rect.height) == tuple(regions[name]) for name, rect in app.layout_of(*app.size).items()
    )


def grown(app: Watched) -> bool:
    rect, shown = app.layout_of(*app.size).get("stage"), app.query_one("#stage", Picture).canvas
    return not app.motion.coming and (
        rect is None or (shown is not None and not paint_pane("stage", app.scene(*app.size), rect).diff(shown))
    )


@contextlib.contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """Stop with TimeoutError where it takes longer, even if nothing else gets a turn."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"the app hangs, for {seconds} s now")

    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def pictures() -> None:
    """What was saved is a picture, and goes."""
    for path in Path().glob("*.svg"):
        assert ElementTree.parse(path).getroot().tag.endswith("svg"), path
        path.unlink()


# A walk


def walk(world: World, kind: str, count: int, seed: int, *, tell: Callable[[str], object] | None = None) -> Seen:
    """Take a number of steps, life after life. Raises Fault, and AssertionError where the memory grows or a long walk misses something."""
    rng, looking = np.random.default_rng(seed), np.random.default_rng(seed)
    seen, done, begun = Seen(), 0, time.monotonic()
    start: Start | None = None

    with surroundings(world):
        while done < count:
            last = min(count, done + int(rng.integers(*LIVES.get(kind, LIFE))))
            start = start or a_start(rng, kind, world)
            waits = False

            def choose(app: ExplorerApp, last: int = last) -> Step | None:
                nonlocal done, waits
                waits = not waits and rng.random() < SETTLED
                if waits:
                    return WAIT
                if done >= last or (app.result is None and not app.running and rng.random() < GIVE_UP):
                    return None
                done += 1
                if done % SAMPLE == 0:
                    seen.memory.append(megabytes())
                if tell is not None and done % 500 == 0:
                    tell(f"{done} steps, {time.monotonic() - begun:.0f} s, {megabytes():.0f} MB, {app.state.location}")
                return next_step(app, world, rng)

            start = live(start, world, seen, choose, looking)
    if count >= LONG:
        assert not seen.lacks(), f"the monkey never came by {', '.join(seen.lacks())}\n{seen.report()}"
        assert seen.growth() < GROWTH, f"the memory grows\n{seen.report()}"
    return seen


@contextlib.contextmanager
def surroundings(world: World) -> Iterator[None]:
    """A folder of its own for what is saved, remembered and recorded."""
    before = {name: os.environ.get(name) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    with TemporaryDirectory(prefix="monkey-") as folder, contextlib.chdir(folder):
        for name in before:
            os.environ[name] = str(Path(folder) / name)
        try:
            world.record()
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def replay(world: World, start: Start, steps: list[Step]) -> Seen:
    """Take given steps, and look at everything after each. Raises Fault."""
    seen, rest = Seen(), iter(steps)
    with surroundings(world):
        live(start, world, seen, lambda _: next(rest, None), np.random.default_rng(0), all_of_it=True)
    return seen


def shortened(world: World, fault: Fault, seconds: float) -> Fault:
    """The same fault by fewer steps: pieces are left out, large ones first, as long as it stays and there is time."""
    end = time.monotonic() + seconds
    best = fault

    def same(steps: list[Step], start: Start) -> bool:
        nonlocal best
        try:
            replay(world, start, steps)
        except Fault as found:
            if found.head == fault.head:
                best = found
                return True
        return False

    for _ in range(2):  # what depends on time may need a second try
        if same(fault.steps, fault.start):
            break
    else:
        return fault
    size = max(1, len(best.steps) // 2)
    while time.monotonic() < end:
        at, shorter = 0, False
        while at < len(best.steps) and time.monotonic() < end:
            if same(best.steps[:at] + best.steps[at + size :], best.start):
                shorter = True
            else:
                at += size
        if size == 1 and not shorter:
            break
        size = max(1, size // 2)
    for name, value in asdict(Start(best.start.kind)).items():
        if time.monotonic() < end and getattr(best.start, name) != value:
            same(best.steps, replace(best.start, **{name: value}))
    return best


def told(fault: Fault, seed: int) -> str:
    """What a fault says: what broke, where, and how to see it again."""
    return "\n".join([f"seed {seed}, {len(fault.steps)} steps: {fault}", *fault.__notes__])


def parsed(text: str) -> tuple[Start, list[Step]]:
    """A start and steps from what `told` wrote, or from a file of it."""
    document: dict[str, Any] = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    return Start.of(document["start"]), document["steps"]
