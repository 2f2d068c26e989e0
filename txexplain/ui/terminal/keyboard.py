"""What comes from the terminal: keys are keys, what is pasted is text, and what the terminal answers or reports by itself is neither.

Textual alone reads a paste letter by letter, takes escape sequences in it for keys, and presses the letters of an answer that it doesn't
know; and it hands keys from queue to queue, so that of several that come at once, as over a slow line, the second acts on what the first
is about to leave.
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from codecs import getincrementaldecoder
from collections.abc import Generator, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from textual import constants
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._keyboard_protocol import FUNCTIONAL_KEYS
from textual._time import get_time
from textual._xterm_parser import XTermParser
from textual.app import App, ScreenStackError
from textual.driver import Driver
from textual.drivers._writer_thread import WriterThread
from textual.events import InputEvent, Key, Paste
from textual.keys import Keys
from textual.message import Message
from textual.message_pump import MessagePump
from textual.widgets import Input, TextArea

from txexplain.ui.terminal.rescue import unless

BEGIN, END = "\x1b[200~", "\x1b[201~"
CONTROL = r"\x00-\x1f\x7f"
# How a string of the terminal begins, and how it goes on. With other letters, Alt+] and its like are keys.
STRING = rf"\x1b(?:\][\dlL]|P[ -?]|[_X^][ -~])[^{CONTROL}]*"
ODD = "|".join(re.escape(key) for key in ANSI_SEQUENCES_KEYS if key.startswith("\x1b[[") or (len(key) > 1 and key.endswith("$")))
UNITS = re.compile(
    r"(?P<text>[^\x1b]+)"
    rf"|(?P<answer>{STRING}(?:\x07|\x1b\\))"
    rf"|(?P<keys>{ODD}|\x1bO[\d;]*[@-~])"
    rf"|(?P<broken>{STRING}(?=[{CONTROL}])(?!\x1b\Z)|\x1b\[(?!\[)[0-?]*[ -/]*(?<!\[)(?=[^ -~])|\x1b\[M[^{CONTROL}]{{0,2}}(?=[{CONTROL}]))"
    rf"|(?P<click>\x1b\[M[^{CONTROL}]{{3}})"  # as the oldest terminals report it, unasked
    r"|(?P<sequence>\x1b\[(?![\[M])[0-?]*[ -/]*[@-~])"
    rf"|(?P<begun>\x1b(?:\[(?:[0-?]*[ -/]*|\[|M[^{CONTROL}]{{0,2}})|O[\d;]*|[\]PX^_])?\Z|{STRING}\x1b?\Z)"
    r"|(?P<escape>\x1b(?=\x1b))"
    r"|(?P<alt>\x1b.)",
    re.DOTALL,
)
# Sequences that are no keys: reports of the terminal's kind, state, modes, size and cursor. F3 may look like a cursor in the first row.
REPORT = re.compile(r"\x1b\[(?:<.*[^Mm]|[=>?].+|[0-?]*[ -/]+.|[\d;:]*[cntxy]|(?!1;[2-8]R)\d+;\d+R)")
FOR_TEXTUAL = re.compile(r"\x1b\[(?:\?(?:2026|2048);\d\$y|48(?:;\d{1,5}(?::\d*)*){4}t)")  # those that it asks for
NUMBERED = re.compile(r"\x1b\[(\d*)[\d:;]*([~A-FHPQRS])")
# What can only be an answer, even if a pause parted it.
LATE = re.compile(rf"{STRING}(?:\x07|\x1b\\)|\x1b\[(?:[<-?]|(?=\d))[\d;:]*(?:[ -/]+[@-~]|[cmnRStuxy])")
PATIENCE = 2.0  # seconds that the rest of a sequence may take
SURELY = ("ctrl+c", "ctrl+q")  # what one presses where nothing helps
TYPED = 8  # characters that nobody types at once
KEPT, LONGEST = 1024, 1_000_000  # characters of a string that are kept, and that it may have


class Answer(Message):
    """What the terminal says of itself, asked or not."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Alt(Message):
    """Alt and a key, as one `key`; or Escape and then the key, which is `plain`: typed in haste, they are the same bytes."""

    def __init__(self, key: Key, plain: Key) -> None:
        super().__init__()
        self.key, self.plain = key, plain


class TerminalParser(XTermParser):
    """Cuts the input into keys, pastes and reports. Textual's parser is given what it knows, whole."""

    def __init__(self, debug: bool = False, ahead: str = "") -> None:
        super().__init__(debug)
        self.ahead = ahead  # what came before there was a parser
        self.pasted: list[str] | None = None  # what came so far
        self.tail = ""  # the end of what came, where the mark that ends it may have begun
        self.begun = ""  # a sequence without its end
        self.length = 0  # and how long it is, of which only the beginning is kept
        self.until = 0.0  # when its rest isn't waited for any longer
        self.lapsed = ""  # a sequence whose rest didn't come in time: it may come now

    def feed(self, data: str) -> Iterable[Message]:
        if not data:
            yield from self.lapse()
            yield from super().feed(data)
            return
        data, self.ahead = self.ahead + data, ""
        if self.lapsed:
            late = LATE.match(self.lapsed + data)
            data = data[late.end() - len(self.lapsed) :] if late else data
            self.lapsed = ""
            if late:
                yield Answer(late[0])
        while data:
            data = yield from self.unit(data) if self.pasted is None else self.paste(data)

    def unit(self, data: str) -> Generator[Message, None, str]:
        """Take the first of what comes; returns the rest."""
        before, data = self.begun, self.begun + data
        self.begun = ""
        found = UNITS.match(data)
        assert found is not None  # any character is a text or an alt
        kind, unit = found.lastgroup, found[0]
        if kind == "begun":
            self.wait(unit, before)
        elif unit == BEGIN:
            self.pasted = []
        elif kind == "answer" or (kind == "sequence" and REPORT.fullmatch(unit) and not known(unit)):
            yield Answer(unit)
        elif kind == "escape":
            yield Key("escape", "\x1b")
        elif kind == "alt" or (unit.startswith("\x1bO") and len(unit) == 3 and not known(unit)):
            yield from self.alt(unit[1])
            return data[2:]
        elif kind in ("text", "keys", "sequence"):
            yield from self.ordinary(unit)
        return data[found.end() :]

    def wait(self, begun: str, before: str) -> None:
        """Keep a sequence without its end: for a moment where its rest may be keys, else longer, but not for as long as somebody types."""
        added = len(begun) - len(before)
        self.length = self.length + added if before else len(begun)
        if len(begun) < 3 or begun.startswith("\x1bO") or begun == "\x1b[[":
            self.until = get_time() + constants.ESCAPE_DELAY
        elif len(before) < 3 or added > TYPED:
            self.until = get_time() + PATIENCE
        if len(begun) > KEPT:  # what a string begins and ends with is enough to know its end by
            begun = begun[:KEPT] + begun[-1]
        self.begun = begun if self.length < LONGEST else ""

    def tick(self) -> Iterable[Message]:
        if self.ahead:
            ahead, self.ahead = self.ahead, ""
            yield from self.feed(ahead)
        if self.begun and get_time() >= self.until:
            yield from self.lapse()

    def lapse(self) -> Iterable[Message]:
        """The rest doesn't come: what may have been keys is keys, anything else nothing."""
        self.lapsed, self.begun = self.begun, ""
        if self.lapsed == "\x1b":
            yield Key("escape", "\x1b")
        elif len(self.lapsed) == 2 or self.lapsed == "\x1b[[":
            yield from self.alt(self.lapsed[1])
            yield from self.ordinary(self.lapsed[2:])

    def alt(self, char: str) -> Iterable[Message]:
        plain = list(self._sequence_to_key_events(char))
        for key in plain[:1]:
            (named,) = list(self._sequence_to_key_events("\x1b" + char)) or self._sequence_to_key_events(char, alt=True)
            yield Alt(Key(f"alt+{key.key}", None) if named.key == key.key else named, key)

    def ordinary(self, unit: str) -> Iterable[Message]:
        """What Textual makes of something whole: of what it doesn't know, nothing."""
        if len(unit) > 1 and unit in ANSI_SEQUENCES_KEYS:
            yield from (key for key in self._sequence_to_key_events(unit) if key.key != Keys.Ignore)
            return
        if (numbered := NUMBERED.fullmatch(unit)) and (numbered[1] or "1") + numbered[2] not in FUNCTIONAL_KEYS:
            return  # Textual would press the letter with that number
        try:
            yield from super().feed(unit) if unit else ()
        except (ValueError, ArithmeticError):  # a key's number that is no character's, a click on a screen of no pixels
            self.restart()
        if self._timeout_time is not None:  # it waits for more
            self.restart()

    def paste(self, data: str) -> Generator[Message, None, str]:
        """Take what is pasted up to its end; returns the rest."""
        assert self.pasted is not None
        together = self.tail + data
        before, found, after = together.partition(END)
        end = len(before) - (0 if found else beginning(before, END))
        self.pasted.append(before[:end])
        self.tail = "" if found else together[end:]
        if found:
            yield Paste("".join(self.pasted))
            self.pasted = None
        return after

    def restart(self) -> None:
        """Forget a sequence that is half read."""
        self._gen = self.parse(self._tokens.append)
        self._awaiting = next(self._gen)
        self._timeout_time = None


def known(unit: str) -> bool:
    """Whether Textual has a key or a use for a sequence."""
    return unit in ANSI_SEQUENCES_KEYS or FOR_TEXTUAL.fullmatch(unit) is not None


def beginning(text: str, mark: str) -> int:
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
                for event in self.meant(await self.waiting.get()):
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

    def meant(self, event: Message) -> tuple[Message, ...]:
        """What the reader did: where nothing is bound to Alt and a key, they pressed Escape and then the key."""
        if not isinstance(event, Alt):
            return (event,)
        bound = event.key.key in self.app.screen.active_bindings
        return (event.key,) if bound else (Key("escape", "\x1b"), event.plain)

    def ends(self, key: Key) -> bool:
        """Whether a key asks for the end; a letter doesn't where one types."""
        try:
            typed = key.is_printable and isinstance(self.app.focused, Input | TextArea)
        except ScreenStackError:
            return False  # it is about to end
        return not typed and (key.key in SURELY or key.key in getattr(self.app, "ending_keys", ()))

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


class Writer(WriterThread):
    """What writes to the terminal. Once that is gone, what is still written goes nowhere, and nobody waits for it."""

    gone = False

    def run(self) -> None:
        try:
            super().run()
        except OSError:
            self.gone = True
            while self._queue.get() is not None:
                pass


def with_keyboard(driver: type[Driver]) -> type[Driver]:
    """A driver that reads so, and fills its app's inbox."""
    module: Any = sys.modules[driver.__module__]

    class Keyboard(driver):  # type: ignore[misc, valid-type]
        def start_application_mode(self) -> None:
            ahead = []
            if (asking := getattr(self._app, "asking", None)) is not None:
                asking.close()
                ahead.append(asking.take())
            if hasattr(module, "XTermParser"):  # the driver makes the parser and the decoder that its module names
                module.XTermParser = lambda debug=False: TerminalParser(debug, ahead.pop() if ahead else "")
                module.getincrementaldecoder = lambda encoding: partial(getincrementaldecoder(encoding), errors="replace")
            if hasattr(module, "WriterThread"):
                module.WriterThread = Writer
            super().start_application_mode()

        def send_message(self, message: Message) -> None:
            inbox = getattr(self._app, "inbox", None)
            if isinstance(message, Answer):
                self._loop.call_soon_threadsafe(self.answered, message.text)
            elif isinstance(inbox, Inbox) and isinstance(message, InputEvent | Paste | Alt):
                if isinstance(message, Key) and inbox.ends(message):
                    self.insist()
                self._loop.call_soon_threadsafe(inbox.put, message)
            else:
                super().send_message(message.key if isinstance(message, Alt) else message)

        def run_input_thread(self) -> None:
            """A browser's keys come through a pipe: once that ends, nobody is there."""
            super().run_input_thread()
            if self.is_web:
                with suppress(RuntimeError):  # the loop has ended already
                    self._loop.call_soon_threadsafe(self._app.exit)

        def insist(self) -> None:
            """The key that ends the app ends it also where the loop that answers keys is stuck."""
            answered = threading.Event()
            self._loop.call_soon_threadsafe(answered.set)
            threading.Thread(target=unless, args=(answered,), daemon=True).start()

        def answered(self, text: str) -> None:
            """The terminal answered, in the sequence `text`, or reported something unasked. Called in the app's loop."""

    return Keyboard
