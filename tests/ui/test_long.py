"""Memory over many generated tokens, in short; two hours of them are `python -m tests.long`."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests import long
from tests.covering import few
from tests.races import SAVED
from tests.ui.harness import become
from txexplain.engine import derive
from txexplain.engine.derive import Result
from txexplain.engine.memory import give_back
from txexplain.engine.model import GPT2
from txexplain.explorer.session import answers, models
from txexplain.explorer.state import ExplorerState
from txexplain.front.options import UiOptions
from txexplain.models import load_model
from txexplain.ui import app as app_module
from txexplain.ui.app import ExplorerApp


@pytest.fixture
def no_garbage() -> Iterator[None]:
    """Python doesn't look for garbage: what is in no cycle goes without."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


# The atlas and the strip, the side pane and what lies over the screen are looked at and left: none may keep its run.
WALKS = {
    (80, 24): ["space"] * 5 + ["u"] * 5 + ["a", "v", "escape", "w", "space", "i", "escape", "space"],
    (120, 40): ["a", "escape", "space", "x", "space", "i", "i", "space", "o", "escape", "space", "e", "escape", "space"],
}


@pytest.mark.usefixtures("no_garbage")
@pytest.mark.parametrize("size", few([(size,) for size in WALKS], lambda size: size == (80, 24)))
def test_a_result_goes_as_soon_as_the_next_is_there(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.setattr(derive, "SWIFT", 0)  # the atlas is measured in a thread, as on a long prompt

    async def go() -> list[weakref.ref[Result]]:
        shown = []
        async with long.started(storyteller, ExplorerState(prompt=long.PROMPT), size) as (app, pilot):
            for key in WALKS[size]:
                assert app.result is not None
                shown.append(weakref.ref(app.result))
                await pilot.press(key)
                await long.until(pilot, lambda: long.at_rest(app), f"the result of {key}")
                assert all(ref() in (None, app.result) for ref in shown), f"an earlier result is kept after {key}"
        return shown

    assert asyncio.run(go())


@pytest.mark.usefixtures("no_garbage")
def test_a_model_goes_as_soon_as_another_is_open(storyteller: GPT2) -> None:
    present = [load_model(SAVED)]
    earlier = weakref.ref(present[0])

    async def go() -> None:
        app = ExplorerApp(ExplorerState(prompt="red blue"), UiOptions(color="truecolor"), lambda progress: present.pop())
        async with app.run_test(size=(120, 40), notifications=False) as pilot:
            for key in ("space", "a", "escape", "o", "escape", "i"):
                await long.until(pilot, lambda: long.at_rest(app), f"rest before {key}")
                await pilot.press(key)
            await long.until(pilot, lambda: long.at_rest(app), "rest")
            app.open_model = lambda name, progress: storyteller
            become(app, models.fetch(app.session, "storyteller"))
            await long.until(pilot, lambda: app.model is storyteller and long.at_rest(app), "the other model")
            assert earlier() is None

    asyncio.run(go())


@pytest.mark.long
def test_generating_to_the_end_and_back_takes_no_more_memory_each_time() -> None:
    model = load_model(SAVED)  # room for 64 tokens
    tracemalloc.start()
    try:
        asyncio.run(long.walk(model, 1, {"traced bytes": traced, "objects": long.objects}, prompt="red blue " * 7, at_least=6, seeds=1))
    finally:
        tracemalloc.stop()


@pytest.mark.long
@pytest.mark.skipif(not long.SMAPS.exists(), reason="only Linux says how much memory is a process's own")
def test_after_ten_minutes_of_generating_and_undoing_no_memory_of_note_is_gone(storyteller: GPT2) -> None:
    """In short: rounds of some ninety tokens by ever new seeds, and back by undoing, without the pauses between."""

    async def go() -> list[int]:
        async with long.started(storyteller, ExplorerState(prompt=long.PROMPT), (120, 40)) as (app, pilot):
            give_back()
            seen = [long.own_bytes()]
            for seed in range(4):
                become(app, (answers.adopt(app.session, replace(app.state, seed=seed)), ()))
                await long.to_the_end(app, pilot, 102)
                await long.to_the_start(app, pilot, 120)
                give_back()  # as the app does where it is left alone for a while
                seen.append(long.own_bytes())
            return seen

    start, first, *later = asyncio.run(go())
    said = f"MB before and after each round: {[size >> 20 for size in (start, first, *later)]}"
    assert max(later) - first <= 20 << 20, said
    assert max(later) - start <= 40 << 20, said  # 52 where nothing is given back


def test_freed_memory_is_given_back_beside_the_keys_once_nothing_happens(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(app_module, "give_back", lambda: given.append(threading.current_thread().name))
    monkeypatch.setattr(app_module, "REST", 0.01)

    async def go() -> None:
        async with long.started(storyteller, ExplorerState(prompt=long.PROMPT)) as (app, pilot):
            for key in ("space", "u"):
                await long.until(pilot, lambda: long.at_rest(app) and bool(given), "memory given back")
                given.clear()
                await pilot.press(key)
                await long.until(pilot, lambda: bool(given), f"memory given back after {key}")
            assert set(given) == {"txexplain tidy"}

    asyncio.run(go())


HEAPS = """
import ctypes, sys, threading
from txexplain.ui.work import Work
work = Work(print) if sys.argv[1] == "app" else None
together = threading.Barrier(4)
def work():
    kept = [bytearray(4000) for _ in range(100)]
    together.wait()
running = [threading.Thread(target=work) for _ in range(4)]
[each.start() for each in running]
[each.join() for each in running]
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="only glibc gives each thread a heap of its own, and says so")
def test_all_threads_take_memory_from_one_heap() -> None:
    """Each had its own, which kept what its longest run took: 1 GB after 25 times a full context."""
    heaps = {}
    for how in ("app", "plain"):
        done = subprocess.run([sys.executable, "-c", HEAPS, how], capture_output=True, text=True, check=True, timeout=60)
        heaps[how] = done.stderr.count("Arena ")
    assert heaps["app"] == 1
    assert heaps["plain"] > 1
