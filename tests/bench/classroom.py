"""python -m tests.bench.classroom [GUESTS …]: what a class costs this machine: memory, the first frame, a key while all type.

The guests are web sockets of this process, which draws nothing of what they are sent; each presses a key every few seconds, as people do.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp

from tests.serve.room import Class, served

PAUSE = 2.0  # seconds between a guest's keys, on average
SECONDS = 30.0  # that each kind of key is pressed for
TICK = os.sysconf("SC_CLK_TCK")
LETTERS = "and then the little fox went home "


class Guest:
    """A page that counts."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        self.start, self.first, self.seen = time.perf_counter(), 0.0, b""
        self.pressed, self.waits = 0.0, []  # type: float, list[float]
        self.shown = asyncio.Event()

    async def read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                continue
            now = time.perf_counter()
            if not self.first:
                self.seen += message.data
                if b"tok" in self.seen and b"bits" in self.seen:  # the header's and the panel's: the run is there
                    self.first, self.seen = now - self.start, b""
                    self.shown.set()
            elif self.pressed:
                self.waits.append(now - self.pressed)
                self.pressed = 0.0

    async def type(self, socket: aiohttp.ClientWebSocketResponse, keys: str, end: float) -> None:
        count = 0
        while time.perf_counter() < end:
            await asyncio.sleep(PAUSE * self.random.uniform(0.5, 1.5))
            if not self.pressed:  # who waits for an answer presses nothing
                self.pressed = time.perf_counter()
                await socket.send_bytes(keys[count % len(keys)].encode())
                count += 1


async def visit(room: Class, count: int) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        guests, sockets = [], []
        for number in range(count):
            guest = Guest(number)
            socket = await stack.enter_async_context(session.ws_connect(f"{room.origin}/ws", origin=room.origin, max_msg_size=0))
            await socket.send_str(json.dumps({"size": (120, 36), "key": "", "query": "", "theme": "dark"}))
            task = asyncio.create_task(guest.read(socket))
            stack.callback(task.cancel)
            guests.append(guest)
            sockets.append(socket)
        await asyncio.gather(*(guest.shown.wait() for guest in guests))
        await asyncio.sleep(3.0)  # what comes after the frame
        parent, *forks = room.forks()
        found: dict[str, Any] = {
            "guests": count,
            "MB each": statistics.median(megabytes(pid) for pid in forks),
            "MB of the parent": megabytes(parent),
            "first frame ms": quantiles([guest.first for guest in guests]),
            "start CPU ms": 1000 * statistics.median(cpu(pid) for pid in forks),
        }
        for name, before, keys in (("temperature", "", "]["), ("letter", "/", LETTERS)):
            for socket in sockets if before else ():
                await socket.send_bytes(before.encode())
            await asyncio.sleep(1.0)
            for guest in guests:
                guest.waits.clear()
                guest.pressed = 0.0
            used, end = sum(map(cpu, forks)), time.perf_counter() + SECONDS
            await asyncio.gather(*(guest.type(socket, keys, end) for guest, socket in zip(guests, sockets, strict=True)))
            await asyncio.sleep(2.0)
            waits = [wait for guest in guests for wait in guest.waits]
            found[f"{name} ms"] = quantiles(waits)
            found[f"{name} CPU ms"] = 1000 * (sum(map(cpu, forks)) - used) / len(waits)
        return found


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {"median": 1000 * statistics.median(ordered), "p95": 1000 * ordered[int(0.95 * (len(ordered) - 1))], "count": len(ordered)}


def cpu(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def megabytes(pid: int) -> float:
    """What a process has for itself."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(found) for found in re.findall(r"^Private_Dirty:\s+(\d+)", text, re.MULTILINE)) / 1024


def main(counts: Sequence[int]) -> None:
    for count in counts:
        with served("--sessions", str(count), "--per-address", str(count)) as room:
            found = asyncio.run(visit(room, count))
        print(json.dumps(found, default=float, indent=None))


if __name__ == "__main__":
    main([int(each) for each in sys.argv[1:]] or [1, 30, 100])
