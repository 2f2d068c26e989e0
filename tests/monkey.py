"""A monkey at the keyboard: random keys, clicks, pastes and resizes, with the app's promises looked at after each.

    python -m tests.monkey --steps 20000 --seed 1          # a long walk; a fault prints the steps that lead to it
    python -m tests.monkey --replay '["a", "enter", ["click", 12, 7]]'

After each step: no exception; the breadcrumb, the Location and the state agree; the top probability, and a random number of the run
itself, equal a fresh computation whenever the app calls them current; and memory stays within bounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from textual import events
from textual.pilot import Pilot

from txexplain.engine.errors import ExplainError
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution
from txexplain.explorer.location import breadcrumb
from txexplain.explorer.state import ExplorerState
from txexplain.models import load_model
from txexplain.ui.actions import ACTIONS
from txexplain.ui.app import ExplorerApp
from txexplain.ui.options import UiOptions
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.numbers import percent

GOLDEN = Path(__file__).parent / "golden" / "parity" / "default"
# What ends the walk, writes a file or goes to the network isn't the monkey's to press.
LEFT_OUT = {"quit", "screenshot", "models", "theme", "palette"}
KEYS = [key for action in ACTIONS if action.id not in LEFT_OUT for key in action.keys]
LETTERS = [*"abcxyz .,!?()[]", "é", "日", "🙂", "\t", "\x1b[31m", "[/]", "[red]"]
SIZES = [(80, 24), (120, 36), (60, 16), (200, 60), (40, 10), (100, 30), (20, 5), (161, 41)]
PATIENCE = 60.0
Step = Any  # a key's name, or ["click", x, y], ["paste", text], ["size", w, h], ["type", text]


def step_of(rng: np.random.Generator) -> Step:
    """A random step: mostly keys."""
    kind = rng.random()
    if kind < 0.80:
        return KEYS[int(rng.integers(len(KEYS)))]
    if kind < 0.90:
        return ["click", int(rng.integers(0, 120)), int(rng.integers(0, 36))]
    if kind < 0.94:
        return ["size", *SIZES[int(rng.integers(len(SIZES)))]]
    text = "".join(LETTERS[int(i)] for i in rng.integers(0, len(LETTERS), int(rng.integers(1, 30))))
    return ["paste" if kind < 0.97 else "type", text]


def waits(app: ExplorerApp) -> bool:
    """Whether what was typed is about to be run."""
    return app.typing is not None and app.typing._task is not None and not app.typing._task.done()


async def settled(app: ExplorerApp, pilot: Pilot[None]) -> None:
    end = time.monotonic() + PATIENCE
    while app.running or app.queued or app.generating or waits(app) or any(worker.is_running for worker in app.workers):
        if app.generating:
            await pilot.press("g")
        if time.monotonic() > end:
            raise AssertionError("the app doesn't settle")
        await pilot.pause(0.002)
    await pilot.pause()


async def do(app: ExplorerApp, pilot: Pilot[None], step: Step) -> None:
    if isinstance(step, str):
        await pilot.press(step)
    elif step[0] == "size":
        await pilot.resize_terminal(step[1], step[2])
    elif step[0] == "click":
        if step[1] < app.size.width and step[2] < app.size.height:
            await pilot.click(offset=(step[1], step[2]))
    elif step[0] == "paste":
        app.screen.post_message(events.Paste(step[1]))
        await pilot.pause()
    else:
        app.editor.insert(step[1]) if app.pane == "prompt" else await pilot.press("slash")


def check(app: ExplorerApp, model: GPT2, rng: np.random.Generator) -> None:
    """The promises. Raises AssertionError with what doesn't hold."""
    assert app.is_running, "the app has ended"
    if app._exception is not None:
        raise app._exception
    if app.lens is None or len(app.screen_stack) > 1 or app.model is not model:
        return
    scene = app.scene(*app.size)
    assert scene.location == app.state.location
    wanted = list(app.state.ids) if app.state.ids is not None else ids_of(model, app.state.prompt)
    if wanted is None:
        return
    current = list(app.lens.trace.ids) == wanted
    assert current or scene.stale or app.message or app.running or waits(app), "an old result is shown as current"
    if not current or scene.stale:
        return
    header = app.query_one("#header", Picture)
    if header.display and header.canvas is not None:
        last = list(breadcrumb(app.state.location))[-1]
        assert str(getattr(last, "text", last[0] if isinstance(last, tuple) else last)) in header.canvas.text()[0] or app.size.width < 80
    trace = model.forward(wanted)
    assert trace is not None
    name = trace.names[int(rng.integers(len(trace.names)))]
    mine, fresh = app.lens.trace[name], trace[name]
    assert mine.shape == fresh.shape, name
    same = np.isclose(mine, fresh, rtol=1e-4, atol=1e-4) | (mine == fresh)
    assert same.all(), f"{name} differs from a fresh run"
    if app.back == 0 and app.distribution is not None and scene.distribution is not None:
        best = distribution(trace.last_logits, **app.state.sampling)
        top = float(best.probability[best.order[0]])
        assert abs(float(scene.distribution.probability.max()) - top) < 1e-4, "the top probability isn't a fresh run's"
        panel = app.query_one("#panel", Picture)
        if panel.display and panel.canvas is not None and app.candidate == 0:
            shown = "\n".join(panel.canvas.text())
            near = {percent(top * f, ascii=app.tones.ascii) for f in (0.9999, 0.99999, 1.0, 1.00001, 1.0001)}
            assert any(figure in shown for figure in near) or panel.canvas.height < 6, (sorted(near), shown)


def ids_of(model: GPT2, prompt: str) -> list[int] | None:
    """A prompt's ids; None where the model can't take it."""
    try:
        ids = model.prompt_ids(prompt)
    except ExplainError:
        return None
    return ids if len(ids) <= model.config.n_positions else None


def megabytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def walk(model: GPT2, steps: list[Step] | None, count: int, seed: int, state: ExplorerState | None = None, *, tell: int = 0) -> list[Step]:
    """Walk; returns the steps taken. An AssertionError or an exception of the app carries them as a note."""
    taken: list[Step] = []

    async def go() -> None:
        rng = np.random.default_rng(seed)
        app = ExplorerApp(state or ExplorerState(), UiOptions(color="truecolor"), lambda: model)
        app.animation_level = "none"
        began = megabytes()
        async with app.run_test(size=(120, 36)) as pilot:
            await settled(app, pilot)
            for number in range(count if steps is None else len(steps)):
                taken.append(step_of(rng) if steps is None else steps[number])
                await do(app, pilot, taken[-1])
                if rng.random() < 0.7:
                    await settled(app, pilot)
                check(app, model, rng)
                if number == min(500, count // 4):
                    began = megabytes()
                if tell and number % tell == 0:
                    sys.stdout.write(f"{number} {app.state.location} {app.size.width}x{app.size.height} {megabytes()} MB\n")
            await settled(app, pilot)
        assert count < 2000 or megabytes() - began < 300, f"memory grew from {began} to {megabytes()} MB"

    try:
        asyncio.run(go())
    except BaseException as error:
        error.add_note(f"seed {seed}, step {len(taken)}; replay: {json.dumps(taken)}")
        raise
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="a random model of 2 blocks and 61 tokens instead of the bundled one")
    parser.add_argument("--replay", help="steps as JSON, or a file of them")
    args = parser.parse_args()
    model = load_model(str(GOLDEN) if args.tiny else "storyteller")
    state = ExplorerState(model=str(GOLDEN), ids=(5, 17, 42, 3)) if args.tiny else None
    told = args.replay
    steps = json.loads(told if told.startswith("[") else Path(told).read_text()) if told else None
    walk(model, steps, args.steps, args.seed, state, tell=500)
    sys.stdout.write("no fault\n")


if __name__ == "__main__":
    main()
