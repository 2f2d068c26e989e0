"""The house: the warmed parent, and the guests that are in it, seen from the process that talks with browsers."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from txexplain.engine.memory import free_memory
from txexplain.errors import ExplainError
from txexplain.serve.follow import Ballot, is_place, together
from txexplain.serve.wire import Lines, Message, Outbox, receive_with, send_with
from txexplain.text import clean

try:
    import fcntl
    import termios
except ModuleNotFoundError:  # Windows, which the command sends away
    fcntl = termios = None  # type: ignore[assignment]

CLOSED = "The class has ended on the lecturer's machine."
PIECE = 1 << 16  # bytes
PATIENCE = 60.0  # seconds that the model may take to open
MOST_KEYS = 500_000  # bytes that wait for one guest's app
ROOM = 200_000_000  # bytes of memory without which nobody is let in: what the bundled model's longest prompt takes, and some
SMALLEST, LARGEST = (20, 6), (400, 120)  # of a page's screen, in cells
# For a page that was loaded anew: what the app switched on in the terminal that is gone.
MODES = "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1003h\x1b[?1015h\x1b[?1006h\x1b[?2004h"
KEPT = (
    "PATH",
    "LD_LIBRARY_PATH",
    "SYSTEMROOT",
    "XDG_CACHE_HOME",
    "HF_HOME",
    "HOME",
    "VIRTUAL_ENV",
    "OPENBLAS_CORETYPE",
)  # what opening needs


class HouseError(ExplainError):
    """The house can't be opened."""


@dataclass(eq=False)
class Guest:
    """One session. `key` brings a page that is loaded anew back to it."""

    number: int
    address: str
    screen: int  # our end of its terminal
    channel: socket.socket
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    seen: float = field(default_factory=monotonic)  # when a key came last, or the page left
    shown: bool = False  # whether a page shows it
    watching: asyncio.Task[None] | None = None  # what ends it once nobody uses it
    give_up: Callable[[], None] = lambda: None  # have the page that shows it leave: the same reader came back in another
    why: str = ""  # it ended, where that isn't the guest's own doing
    show: Callable[[bytes], None] = lambda data: None
    hear: Callable[[Message], None] = lambda message: None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    lines: Lines = field(default_factory=Lines)
    keys: bytearray = field(default_factory=bytearray)  # on their way to its app
    pressing: asyncio.Task[None] | None = None  # what brings them there, where it takes none now

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.channel, asyncio.get_running_loop())

    def resize(self, columns: int, rows: int) -> None:
        columns, rows = clamped(columns, rows)
        fcntl.ioctl(self.screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def tell(self, message: Message) -> None:
        self.outbox.put(message)


def clamped(columns: int, rows: int) -> tuple[int, int]:
    """A screen's size, within reason."""
    return tuple(min(max(size, least), most) for size, least, most in zip((columns, rows), SMALLEST, LARGEST, strict=True))  # type: ignore[return-value]


class House:
    """The warmed parent's keeper. All its methods are for the event loop's thread."""

    def __init__(self, model: str, lesson: str | None) -> None:
        self.asked = {"model": model, "lesson": lesson}
        self.guests: dict[int, Guest] = {}
        self.place: Message | None = None  # where the lecturer is, if one leads
        self.ballot = Ballot()
        self.others: dict[str, list[Message]] = {}  # what the guests of other houses answered that follow this one's lecturer
        self.followers: set[asyncio.Event] = set()  # which are told that the lecturer moved
        self.report: Callable[[Message], None] = lambda message: None  # to the lecturer
        self.number = 0
        self.failed = asyncio.Event()  # the parent is gone: no more guests
        self.loop = asyncio.get_running_loop()

    async def open(self) -> None:
        """Start the parent and wait until it is warm. Raises HouseError with its sentence."""
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}
        self.parent = subprocess.Popen(
            [sys.executable, "-P", "-m", "txexplain.serve.zygote", str(theirs.fileno())],
            pass_fds=[theirs.fileno()], env=environment | one, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        send_with(self.channel, self.asked, [])
        try:
            answer, _ = await asyncio.wait_for(self.loop.run_in_executor(None, receive_with, self.channel, 0), PATIENCE)
        except (EOFError, TimeoutError):
            self.parent.kill()
            raise HouseError("The model's process ended before it was ready.") from None
        if "failed" in answer:
            raise HouseError(answer["failed"])
        self.channel.setblocking(False)
        self.loop.add_reader(self.channel, self.told)

    def told(self) -> None:
        """Take what the parent says."""
        try:
            message, _ = receive_with(self.channel, 0)
        except BlockingIOError:
            return
        except (EOFError, OSError):
            self.loop.remove_reader(self.channel)
            self.failed.set()
            for guest in [*self.guests.values()]:
                self.forget(guest)
            return
        if (ended := self.guests.get(message["ended"])) is not None:
            self.forget(ended)

    def admit(self, address: str, query: str, theme: str, size: tuple[int, int], cell: tuple[int, int] | None = None) -> Guest:
        """A new guest. Raises HouseError where the parent is gone, OSError where the system has no more terminals."""
        if self.failed.is_set():
            raise HouseError(CLOSED)
        if (free := free_memory()) is not None and free < ROOM:
            raise HouseError("The lecturer's machine has no memory left for another guest. Try again when somebody has left.")
        screen, theirs = os.openpty()
        channel, other = socket.socketpair()
        try:
            self.number += 1
            guest = Guest(self.number, address, screen, channel)
            guest.resize(*size)
            send_with(self.channel, {"guest": self.number, "query": query, "theme": theme, "cell": cell}, [theirs, other.fileno()])
        except OSError:
            os.close(screen)
            channel.close()
            raise
        finally:
            os.close(theirs)
            other.close()
        os.set_blocking(screen, False)
        channel.setblocking(False)
        self.guests[self.number] = guest
        self.loop.add_reader(screen, self.painted, guest)
        self.loop.add_reader(channel, self.said, guest)
        if self.place is not None:
            guest.tell({"lead": self.place})
        return guest

    def painted(self, guest: Guest) -> None:
        """Pass on what the guest's app draws; while no page shows it, nobody needs it."""
        try:
            data = os.read(guest.screen, PIECE)
        except BlockingIOError:
            return
        except OSError:  # its process is gone: EIO
            data = b""
        if data:
            guest.show(data)
        else:
            self.loop.remove_reader(guest.screen)

    def said(self, guest: Guest) -> None:
        """Pass on what the guest's app says beside its picture."""
        try:
            data = guest.channel.recv(PIECE)
            messages = list(guest.lines.feed(data)) if data else []
        except BlockingIOError:
            return
        except (OSError, ValueError):
            data, messages = b"", []
        for message in messages:
            if "answer" in message:
                self.answered(guest, message["answer"])
            elif "crash" in message:
                sys.stderr.write(clean(f"Guest {guest.number} crashed.\n{message['crash']}"))
            else:
                guest.hear(message)
        if not data:
            self.loop.remove_reader(guest.channel)

    def lead(self, message: Message) -> None:
        """Tell where the lecturer is to all that are here, and to whoever comes later."""
        if not is_place(message):
            return
        self.place = message
        for guest in self.guests.values():
            guest.tell({"lead": message})
        for moved in self.followers:
            moved.set()

    def answered(self, guest: Guest, told: object) -> None:
        """Count a guest's answer to a question: the lesson's name, the page, the answer."""
        match told:
            case [str() as lesson, int() as page, int() as answer]:
                self.ballot.put(guest.number, lesson, page, answer)
                self.count()

    def told_by(self, other: str, counts: list[Message]) -> None:
        """Take what the guests of another house answered so far."""
        self.others[other] = counts
        self.count()

    def count(self) -> None:
        """Report all that was answered."""
        self.report({"all": together([self.ballot.to_dict(), *self.others.values()])})

    def pause(self, guest: Guest, paused: bool) -> None:
        """Let the guest's app wait while its page is slow; the terminal and the channel hold what it draws and says."""
        if guest.over.is_set():
            return
        for handle, take in ((guest.screen, self.painted), (guest.channel, self.said)):
            if paused:
                self.loop.remove_reader(handle)
            else:
                self.loop.add_reader(handle, take, guest)

    def press(self, guest: Guest, data: bytes) -> bool:
        """Keys for the guest's app, which takes them as fast as it can; False where it takes none for so long that they become too many."""
        guest.keys += data
        if guest.pressing is None and not self.pressed(guest):
            guest.pressing = asyncio.create_task(self.keep_pressing(guest))
        return len(guest.keys) <= MOST_KEYS

    async def keep_pressing(self, guest: Guest) -> None:
        while not self.pressed(guest):
            await asyncio.sleep(0.02)
        guest.pressing = None

    def pressed(self, guest: Guest) -> bool:
        """Whether all of the guest's keys are at its app, which may take some of them now."""
        try:
            while guest.keys and not guest.over.is_set():
                del guest.keys[: os.write(guest.screen, guest.keys)]
        except BlockingIOError:
            return False
        except OSError:
            guest.keys.clear()
        return True

    def dismiss(self, guest: Guest) -> None:
        """End a guest's process: its channel and terminal close, and it follows."""
        self.forget(guest)

    def forget(self, guest: Guest) -> None:
        if self.guests.pop(guest.number, None) is None:
            return
        self.loop.remove_reader(guest.screen)
        self.loop.remove_reader(guest.channel)
        guest.outbox.close()
        rest = b""
        with suppress(OSError):
            rest = os.read(guest.screen, PIECE)
        if rest:
            guest.show(rest)
        os.close(guest.screen)
        guest.channel.close()
        guest.over.set()

    def close(self) -> None:
        """The end of the class: the parent and all guests end."""
        for guest in [*self.guests.values()]:
            self.forget(guest)
        self.channel.close()
        with suppress(ProcessLookupError):
            os.killpg(self.parent.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.parent.wait(3)
            return
        self.parent.kill()
        self.parent.wait()
