"""What keeps the reader's terminal usable when the app doesn't end by `q`: a signal, an error of its own, sudden death.

Free of Textual and of NumPy: the guardian is forked before anything large is loaded.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from txexplain import __version__
from txexplain.engine.errors import clean, reason
from txexplain.ui.terminal import CLEAR, LEAVE, TITLE_BACK

try:
    import termios
except ModuleNotFoundError:  # Windows: its console restores itself
    termios = None  # type: ignore[assignment]

# Those of the signals that end a program which this system has.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGBREAK") if hasattr(signal, name))
LONGEST = 4000  # characters of a command line that the last words repeat
PATIENCE = 3.0  # seconds that an orderly end may take after a signal
# Everything that the app may have switched on, off: modes of the screen, the pointer, pasting and the keyboard; colours;
# the picture, where there is no second screen to leave it on; the cursor and the window's name back.
RESET = (
    "\x1b[?2026l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1004l\x1b[?2004l\x1b[?2031l\x1b[?2048l\x1b[<u"
    f"\x1b[?7h{CLEAR}{LEAVE}\x1b[?25h{TITLE_BACK}"
)
SUDDEN = "txexplain was ended by the system. If a model's file was changed while it was open, start it again with the whole file.\r\n"


def guard() -> Callable[[], None]:
    """Fork a guardian that restores the terminal if this process dies without saying goodbye; returns how to say it.

    No handler in Python can answer SIGBUS (a mapped file was cut short), SIGSEGV, SIGKILL or a lack of memory. The guardian sleeps on a
    pipe until this process is gone, in a session of its own, so that neither a hang-up nor ctrl+z reaches it. Where processes
    aren't forked (Windows) there is none.
    """
    if termios is None or not hasattr(os, "fork"):
        return lambda: None
    try:
        tty = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        saved = termios.tcgetattr(tty)
    except (OSError, termios.error):
        return lambda: None  # no terminal, nothing to restore
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        watch(ours, theirs, tty, saved)
    os.close(ours)
    os.close(tty)

    def goodbye() -> None:
        with suppress(OSError):
            os.write(theirs, b".")
        os.close(theirs)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)

    return goodbye


def watch(ours: int, theirs: int, tty: int, saved: list[object]) -> None:
    """The guardian's whole life."""
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTSTP, *ENDING):
            signal.signal(number, signal.SIG_IGN)
        os.close(theirs)
        if not os.read(ours, 1):
            termios.tcsetattr(tty, termios.TCSANOW, saved)  # type: ignore[arg-type]
            os.write(tty, (RESET + SUDDEN).encode())
    except OSError:
        pass  # the terminal is gone too
    finally:
        os._exit(0)


def can_stop() -> bool:
    """Whether a shell can bring this process back after a stop: one that leads the session and gave this its own group."""
    return hasattr(os, "getsid") and os.getpgrp() != os.getsid(0)


def last_resort(number: int) -> None:
    """End now, after a signal that an orderly end didn't follow; the guardian does the rest."""
    time.sleep(PATIENCE)
    os._exit(128 + number)


def state_path() -> Path:
    """Where logs of crashes go."""
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path("~/.local/state").expanduser()) / "txexplain"


def crash_report(error: BaseException, command: str) -> str:
    """Keep an unexpected error's details in a file; returns what the reader is told: what happened, the view's command, where they are."""
    kind = clean(f"{type(error).__name__}: {error}".strip().rstrip(":"))[:200]
    lines = (
        f"txexplain {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {clean(command)}", f"arguments: {sys.argv[1:]!r}", "", "".join(traceback.format_exception(error)),
    )  # fmt: skip
    path = state_path() / time.strftime("crash-%Y%m%d-%H%M%S.log")
    text = "\n".join(map(clean, "\n".join(lines).splitlines())) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(path, "w", encoding="utf-8", errors="backslashreplace", opener=private) as log:  # a prompt is nobody else's business
            log.write(text)
        kept = f"Details: {path}"
    except OSError as failed:
        kept = f"Details can't be kept in {path}: {reason(failed)}"
    view = (
        f"The same view: {clean(command)}" if len(command) <= LONGEST else "The same view: a command line too long to show, in the details."
    )
    return f"txexplain stopped over an error of its own: {kind}.\n{view}\n{clean(kept)}"


def private(path: str, flags: int) -> int:
    """Open a file that only its owner may read."""
    return os.open(path, flags, 0o600)
