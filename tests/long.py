"""Hours of generation, one step after the other without a pause: the context fills up many times, and `u` takes all of it back.

    python -m tests.long --steps 28800   # two hours of four tokens a second

After each round the numbers on the first screen are what they were, bit for bit, and what the process holds has not grown by a
twentieth in the second half of the rounds: the memory of its own (Anonymous of smaps_rollup), and how many objects Python looks after.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from textual.pilot import Pilot

from tests.ui.harness import become
from txexplain.engine.cores import CORES
from txexplain.engine.model import GPT2
from txexplain.explorer.session import answers
from txexplain.explorer.state import ExplorerState
from txexplain.front.options import UiOptions
from txexplain.models import load_model
from txexplain.ui.app import ExplorerApp
from txexplain.ui.widgets.picture import Picture

PROMPT = "Once upon a time there was a"
WARM = 3  # rounds until everything that is kept once is kept
FLAT = 1.05
SMAPS = Path("/proc/self/smaps_rollup")
PATIENCE = 600.0  # seconds until a condition that never comes true is a fault


@asynccontextmanager
async def started(model: GPT2, state: ExplorerState, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[ExplorerApp, Pilot[Any]]]:
    """The app on its first whole screen, generating as fast as it can once it is asked to."""
    app = ExplorerApp(state, UiOptions(color="truecolor"), lambda progress: model)
    async with app.run_test(size=size, notifications=False) as pilot:
        app.session = replace(app.session, pace=0.001)
        await until(pilot, lambda: at_rest(app), "the first screen")
        yield app, pilot


async def until(pilot: Pilot[Any], condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        await pilot.pause(0.001)


def at_rest(app: ExplorerApp) -> bool:
    return app.result is not None and not app.running and not app.session.generating and not app.work.jobs


def length(app: ExplorerApp) -> int:
    assert app.result is not None
    return app.result.trace.n_tokens


async def to_the_end(app: ExplorerApp, pilot: Pilot[Any], most: int = 1 << 30) -> int:
    """Generate until the context is full or there are so many tokens, over any end of a text; how many were generated."""
    assert app.result is not None
    first, room = length(app), min(most, app.result.config.n_positions)
    while length(app) < room:
        await pilot.press("g")
        await until(pilot, lambda: at_rest(app) or length(app) >= room, "a pause in the text, or enough of it")
        if app.session.generating:
            await pilot.press("g")
            await until(pilot, lambda: at_rest(app), "a pause")
    return length(app) - first


async def to_the_start(app: ExplorerApp, pilot: Pilot[Any], tokens: int) -> None:
    for _ in range(tokens):
        app.action_do("undo")
        await pilot.pause(0.0)
    await until(pilot, lambda: at_rest(app), "the first screen again")


def numbers(app: ExplorerApp) -> dict[str, bytes]:
    """Every number that the first screen is drawn from, and what its panes say."""
    assert app.result is not None
    assert app.session.distribution is not None
    found = {name: np.ascontiguousarray(app.result.trace[name]).tobytes() for name in app.result.trace.names}
    found["probability"] = app.session.distribution.probability.tobytes()
    found |= {f"ribbons {number}": np.asarray(shares).tobytes() for number, shares in enumerate(app.result.flow(app.state.flow))}
    for pane in ("prompt", "stage", "panel"):
        canvas = app.query_one(f"#{pane}", Picture).canvas
        assert canvas is not None
        found[pane] = "\n".join(canvas.text()).encode()
    return found


def own_bytes() -> int:
    """Anonymous of this process: what it shares with nobody."""
    lines = SMAPS.read_text("ascii").splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("Anonymous:")).split()[1])


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


async def walk(
    model: GPT2,
    steps: int,
    measures: dict[str, Callable[[], int]],
    prompt: str = PROMPT,
    tell: Callable[[str], None] = lambda _: None,
    *,
    at_least: int = 2 * WARM,
    seeds: int = 1_000_000,
) -> None:
    """Rounds to the end and back until so many tokens were generated, by so many seeds in turn. Raises AssertionError."""
    async with started(model, ExplorerState(prompt=prompt)) as (app, pilot):
        first = numbers(app)
        done, seen = 0, []
        while done < steps or len(seen) < at_least:
            tokens = await to_the_end(app, pilot)
            await to_the_start(app, pilot, tokens)
            done += tokens
            become(app, (answers.adopt(app.session, replace(app.state, seed=0)), ()))
            for name, value in numbers(app).items():
                assert value == first[name], f"after {done} tokens and back, {name} isn't what it was"
            seen.append({name: measure() for name, measure in measures.items()})
            tell(f"{done} tokens, {len(seen)} times to the end and back: {seen[-1]}")
            become(app, (answers.adopt(app.session, replace(app.state, seed=len(seen) % seeds)), ()))
        for name in measures:
            filled = max(WARM, len(seen) // 2)  # caches of bounded size fill ever more slowly
            warm, last = seen[filled - 1][name], seen[-1][name]
            assert last <= FLAT * warm, f"{name} grew from {warm} to {last} in {len(seen) - filled} rounds"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.long", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=28_800, help="tokens to generate (default: 28800, two hours of four a second)")
    parser.add_argument("--model", default="storyteller")
    args = parser.parse_args()
    CORES.keep()  # the first screen comes back bit for bit

    def tell(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    begun = time.monotonic()
    asyncio.run(walk(load_model(args.model), args.steps, {"bytes of its own": own_bytes, "objects": objects}, tell=tell))
    tell(f"no fault in {args.steps} steps, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
