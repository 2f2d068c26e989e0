"""What keeps the reader's terminal usable when the app doesn't end by `q`: a signal, an error of its own, sudden death.

Free of Textual and of NumPy: the guardian is forked before anything large is loaded.
"""

from __future__ import annotations

import _thread
import os
import platform
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from txexplain import __version__
from txexplain.errors import reason
from txexplain.files import make_folder, own_folder, write_whole
from txexplain.text import clean
from txexplain.ui.terminal.asking import CLEAR, LEAVE, TITLE_BACK

try:
    import termios
except ModuleNotFoundError:  # Windows: its console restores itself
    termios = None  # type: ignore[assignment]

# Those of the signals that end a program which this system has.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK") if hasattr(signal, name))
LONGEST = 4000  # characters of a command line that the last words repeat
PATIENCE = 3.0  # seconds that an orderly end may take after a signal, or after the key
LATER = 1.0  # seconds after which the guardian ends what couldn't even end itself
PIECES = 30
# Everything that the app may have switched on, off: modes of the screen, the pointer, pasting and the keyboard; colours;
# the picture, where there is no second screen to leave it on; the cursor and the window's name back.
RESET = (
    "\x1b[?2026l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[?2031l\x1b[?2048l\x1b[<u"
    f"\x1b[?7h{CLEAR}{LEAVE}\x1b[?25h{TITLE_BACK}"
)
SUDDEN = "txexplain was ended by the system. If a model's file was changed while it was open, start it again with the whole file.\r\n"
HUNG = "txexplain was asked to end, didn't answer, and was ended.\r\n"
# What the guardian is told, beside the numbers of signals.
GOODBYE, ASKED = 0xFF, 0xFE  # an end in order; the reader asked for the end, and nothing answers


class Guardian:
    """Restores the terminal if this process dies without saying goodbye, and ends it if it doesn't follow a signal.

    No handler in Python can answer SIGBUS (a mapped file was cut short), SIGSEGV, SIGKILL or a lack of memory; nor any signal while
    a library computes for long. The guardian sleeps on a pipe until this process is gone, in a session of its own, so that neither a
    hang-up nor ctrl+z reaches it; the system itself writes there which signal came. Where processes aren't forked (Windows) there is none.
    """

    def __init__(self) -> None:
        self.pipe: int | None = None
        self.child = 0
        if termios is None or not hasattr(os, "fork"):
            return
        try:
            tty = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
            saved = termios.tcgetattr(tty)
        except (OSError, termios.error):
            return  # no terminal, nothing to restore
        ours, self.pipe = os.pipe()
        guarded = os.getpid()
        self.child = os.fork()
        if self.child == 0:
            os.close(self.pipe)
            watch(ours, tty, saved, guarded)
        os.close(ours)
        os.close(tty)
        os.set_blocking(self.pipe, False)
        with suppress(ValueError):  # not the main thread
            signal.set_wakeup_fd(self.pipe, warn_on_full_buffer=False)

    def tell(self, what: int) -> None:
        if self.pipe is not None:
            with suppress(OSError):
                os.write(self.pipe, bytes([what]))

    def goodbye(self) -> None:
        """This process ends in order."""
        if self.pipe is None:
            return
        with suppress(ValueError):
            signal.set_wakeup_fd(-1)
        self.tell(GOODBYE)
        os.close(self.pipe)
        self.pipe = None
        with suppress(ChildProcessError):
            os.waitpid(self.child, 0)


def watch(pipe: int, tty: int, saved: list[object], guarded: int) -> None:
    """The guardian's whole life."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTSTP, *ENDING):
            signal.signal(number, signal.SIG_IGN)
        words, end = SUDDEN, None
        while True:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([pipe], [], [], left)[0]:
                end = None
                if os.getppid() == guarded:
                    os.kill(guarded, signal.SIGKILL)
            elif not (told := os.read(pipe, 1024)):
                break
            elif GOODBYE in told:
                return
            elif {ASKED, *ENDING} & {*told}:
                words, end = HUNG, time.monotonic() + PATIENCE + LATER
        termios.tcsetattr(tty, termios.TCSANOW, saved)  # type: ignore[arg-type]
        os.write(tty, (RESET + words).encode())
    except OSError:
        pass  # the terminal is gone too
    finally:
        os._exit(0)


GUARDIAN: list[Guardian] = []  # this process's, once it has one


def guard() -> Callable[[], None]:
    """Have a guardian; returns how to say goodbye to it."""
    GUARDIAN[:] = [Guardian()]
    return GUARDIAN[0].goodbye


def on_end(ask: Callable[[int], None]) -> None:
    """Have the signals that end a program ask for an orderly end, and end it soon whatever it does then. Neither needs an event loop."""

    def asked(number: int, frame: object) -> None:
        # A thread that is started so takes no lock that the main thread, which was interrupted anywhere, may hold.
        _thread.start_new_thread(last_resort, (number,))
        ask(number)

    for number in ENDING:
        with suppress(ValueError, OSError):  # not in the main thread, or not on this system
            signal.signal(number, asked)


def unless(answered: threading.Event) -> None:
    """End this process, which the reader asked to end, unless it answers soon."""
    for _ in range(PIECES):  # in pieces: while the process was stopped, nobody could answer
        if answered.wait(PATIENCE / PIECES):
            return
    for guardian in GUARDIAN:
        guardian.tell(ASKED)
    os._exit(1)


def can_stop() -> bool:
    """Whether a shell can bring this process back after a stop: one that leads the session and gave this its own group."""
    return hasattr(os, "getsid") and os.getpgrp() != os.getsid(0)


def last_resort(number: int) -> None:
    """End now, after a signal that an orderly end didn't follow; the guardian does the rest."""
    time.sleep(PATIENCE)
    os._exit(128 + number)


def crash_report(error: BaseException, command: str) -> str:
    """Keep an unexpected error's details in a file; returns what the reader is told: what happened, the view's command, where they are."""
    kind = clean(f"{type(error).__name__}: {error}".strip().rstrip(":"))[:200]
    lines = (
        f"txexplain {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {clean(command)}", f"arguments: {sys.argv[1:]!r}", "", "".join(traceback.format_exception(error)),
    )  # fmt: skip
    text = "\n".join(map(clean, "\n".join(lines).splitlines())) + "\n"
    path = Path("~/.local/state/txexplain")
    try:
        path = own_folder("XDG_STATE_HOME", "~/.local/state")
        make_folder(path)
        path = path / f"{time.strftime('crash-%Y%m%d-%H%M%S')}-{os.urandom(3).hex()}.log"  # a name that nobody foresees
        write_whole(path, text.encode("utf-8", "backslashreplace"), private=True)  # a prompt is nobody else's business
        kept = f"Details: {path}"
    except OSError as failed:
        kept = f"Details can't be kept in {path}: {reason(failed)}"
    view = (
        f"The same view: {clean(command)}" if len(command) <= LONGEST else "The same view: a command line too long to show, in the details."
    )
    return f"txexplain stopped over an error of its own: {kind}.\n{view}\n{clean(kept)}"
