"""What comes from the keyboard: what is pasted is text, and each key has had its whole effect when the next one comes.

Textual alone reads a paste letter by letter and takes escape sequences in it for keys; and it hands keys from queue to queue, so that
of several that come at once, as over a slow line, the second acts on what the first is about to leave.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

from textual._xterm_parser import XTermParser
from textual.app import App, ScreenStackError
from textual.driver import Driver
from textual.events import InputEvent, Key, Paste
from textual.message import Message
from textual.message_pump import MessagePump

BEGIN, END = "\x1b[200~", "\x1b[201~"


class PasteParser(XTermParser):
    """Takes what stands between the marks of a bracketed paste out of the input; the rest goes the usual way."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self.pasted: list[str] | None = None  # what came so far
        self.tail = ""  # the end of what came, where a mark may have begun

    def feed(self, data: str) -> Iterable[Message]:
        if not data:
            yield from super().feed(data)
        while data:
            mark = BEGIN if self.pasted is None else END
            together = self.tail + data
            before, found, after = together.partition(mark)
            if self.pasted is None:
                if found and len(before) < len(self.tail):
                    self.restart()  # the mark's beginning was taken for a key's
                elif before := before[len(self.tail) :]:
                    yield from super().feed(before)
                self.pasted = [] if found else None
            else:
                end = len(before) - (0 if found else begun(before, mark))
                self.pasted.append(before[:end])
                if found:
                    yield Paste("".join(self.pasted))
                    self.pasted = None
            self.tail = "" if found else together[len(together) - begun(together, mark) :]
            data = after

    def restart(self) -> None:
        """Forget a sequence that is half read."""
        self._gen = self.parse(self._tokens.append)
        self._awaiting = next(self._gen)
        self._timeout_time = None


def begun(text: str, mark: str) -> int:
    """How many characters of a mark a text ends with."""
    return next((n for n in range(len(mark) - 1, 0, -1) if text.endswith(mark[:n])), 0)


class Inbox:
    """Hands an app what comes in, in order: after a key or a paste nothing until that went its whole way."""

    def __init__(self, app: App[Any]) -> None:
        self.app = app
        self.waiting: asyncio.Queue[Message] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None
        self.under_way = 0  # how much came in that hasn't gone its whole way

    def put(self, event: Message) -> None:
        self.under_way += 1
        self.waiting.put_nowait(event)
        if self.task is None:
            self.task = asyncio.create_task(self.deliver())

    def close(self) -> None:
        if self.task is not None:
            self.task.cancel()

    async def deliver(self) -> None:
        try:
            while True:
                event = await self.waiting.get()
                way = self.way()
                await self.app._post_message(event)
                if isinstance(event, Key | Paste):
                    await passed(*way)
                    await passed(*self.way()[-2:])  # a screen that it opened, and the field that then has the focus
                self.under_way -= 1
        except ScreenStackError:
            return  # the app is about to end
        except Exception as error:
            self.app._handle_exception(error)

    def way(self) -> tuple[MessagePump, ...]:
        """The queues through which a key goes: to what has the focus, and from there back up to the app, which knows the actions."""
        screen = self.app.screen
        return self.app, self.app.focused or screen, screen, self.app


async def passed(*way: MessagePump) -> None:
    """Until each in turn has done what waits in its queue by now, or is gone."""
    for pump in way:
        reached = asyncio.Event()
        if pump.call_later(reached.set):
            waiting = asyncio.ensure_future(reached.wait())
            life = [] if pump._task is None else [pump._task]  # the app's own ends with this one
            await asyncio.wait([waiting, *life], return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()


def with_keyboard(driver: type[Driver]) -> type[Driver]:
    """A driver that reads what is pasted so, and fills its app's inbox."""
    module = sys.modules[driver.__module__]
    if getattr(module, "XTermParser", None) is XTermParser:  # the driver makes the parser that its module names
        module.XTermParser = PasteParser  # type: ignore[attr-defined]

    class Keyboard(driver):  # type: ignore[misc, valid-type]
        def send_message(self, message: Message) -> None:
            inbox = getattr(self._app, "inbox", None)
            if isinstance(inbox, Inbox) and isinstance(message, InputEvent | Paste):
                self._loop.call_soon_threadsafe(inbox.put, message)
            else:
                super().send_message(message)

    return Keyboard
