"""A hundred guests who type: each sees its own, none waits for good, and memory is what the README says."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.serve.room import Page, page, served

pytestmark = pytest.mark.long
GUESTS, KEYS = 100, 6
MOST = 40  # MB of its own that a guest may take


def private_megabytes(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(found) for found in re.findall(r"^Private_Dirty:\s+(\d+)", text, re.MULTILINE)) / 1024


def test_a_hundred_guests_type() -> None:
    async def press(one: Page, number: int) -> None:
        await one.shows("Next token")
        for step in range(1, KEYS + 1):
            await one.press("]")
            stop = f"{1 + step / 10:g}"
            await one.until(lambda stop=stop: f"temperature={stop}" in one.told.get("at", ""), 300)
        assert f"seed={number}" in one.told["at"]

    async def go() -> None:
        async with AsyncExitStack() as stack:
            pages = [await stack.enter_async_context(page(room, f"seed={number}")) for number in range(1, GUESTS + 1)]
            await asyncio.gather(*(press(one, number) for number, one in enumerate(pages, 1)))
            parent, *guests = room.forks()
            assert len(guests) == GUESTS
            sizes = sorted(map(private_megabytes, guests))
            assert sizes[GUESTS // 2] < MOST, sizes
            assert private_megabytes(parent) < 400

    with served("--sessions", str(GUESTS)) as room:
        asyncio.run(go())
