"""A class, served for real: the server as a process, and guests that speak the page's protocol, their screens emulated."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pyte

HEAVY = 1_000_000


class Class:
    """A server that runs, and its link."""

    def __init__(self, process: subprocess.Popen[str], link: str) -> None:
        self.process, self.link = process, link
        self.origin = link.split("?")[0].rstrip("/")
        self.code = link.partition("?c=")[2]

    def forks(self) -> list[int]:
        """The process ids of the warmed parent (first) and of the guests."""
        parent = children(self.process.pid)
        assert len(parent) == 1, parent
        return [*parent, *children(parent[0])]


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def served(*flags: str, handles: Sequence[int] = ()) -> Iterator[Class]:
    """`txexplain serve` on a free port of this machine."""
    command = [sys.executable, "-m", "txexplain", "serve", "--port", "0", *flags]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, pass_fds=handles
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip().startswith("http://"):
                yield Class(process, line.strip())
                break
        else:
            raise AssertionError("no link was told")
    finally:
        with_all = process.pid
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(with_all, signal.SIGKILL)
            raise


class Page:
    """A guest's page without a browser: what it was sent, on an emulated screen."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, size: tuple[int, int]) -> None:
        self.socket = socket
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.told: dict[str, Any] = {}
        self.count = 0  # bytes
        self.images = 0  # as iTerm2 is sent them
        self.closed = asyncio.Event()
        self.changed = asyncio.Event()

    async def read(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.count += len(message.data)
                self.images += message.data.count(b"\x1b]1337;File=")
                self.stream.feed(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                self.told |= json.loads(message.data)
            self.changed.set()
        self.closed.set()
        self.changed.set()

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    async def until(self, holds: Callable[[], Any], seconds: float = 60.0) -> None:
        """Wait until something holds of what came."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await self.changed.wait()
                    self.changed.clear()
        except TimeoutError:
            raise AssertionError(f"never came; told {self.told}; the screen:\n{self.text}") from None

    async def shows(self, words: str) -> None:
        await self.until(lambda: words in self.text)

    async def press(self, keys: str) -> None:
        await self.socket.send_bytes(keys.encode())


@asynccontextmanager
async def page(
    room: Class, query: str = "", *, size: tuple[int, int] = (100, 30), key: str = "", origin: str | None = None, hello: Any = None
) -> AsyncIterator[Page]:
    """A guest who opens the link, to the moment in which the page leaves."""
    async with aiohttp.ClientSession() as session:
        address = f"{room.origin}/ws" + (f"?c={room.code}" if room.code else "")
        async with session.ws_connect(address, origin=room.origin if origin is None else origin, max_msg_size=0) as socket:
            await socket.send_str(json.dumps(hello or {"size": size, "key": key, "query": query, "theme": "dark"}, ensure_ascii=False))
            found = Page(socket, size)
            reading = asyncio.create_task(found.read())
            try:
                yield found
            finally:
                reading.cancel()
