"""The app in a pseudo-terminal: how long a key takes until it is painted, and how many bytes come for it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import termios
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

PIXELS = b"\x1b_Gi=31;OK\x1b\\\x1b[6;18;9t\x1b[?62;4c"  # a terminal that takes kitty's protocol and sixels, with cells of 9×18
QUIET = 0.15  # seconds without a byte after which a key's painting is over


class Session:
    """One app on its own terminal."""

    def __init__(self, arguments: list[str], size: tuple[int, int], answers: bytes = b"", **more: str) -> None:
        """answers: what the terminal says of itself. more: of the environment."""
        self.started = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "TEXTUAL_ANIMATIONS": "none"} | more
            env.pop("NO_COLOR", None)
            os.execvpe(sys.executable, [sys.executable, "-m", "txexplain", *arguments], env)
        columns, rows = size
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.output, self.answers = b"", answers
        self.first = 0.0  # when the first byte of the last read came

    def read(self, until: bytes | None = None, patience: float = 60.0, quiet: float = QUIET) -> tuple[float, int]:
        """Read until a text came or nothing comes any more; the time of the last byte, and how many there were."""
        end = time.perf_counter() + patience
        last, count = time.perf_counter(), 0
        while time.perf_counter() < end:
            ready, _, _ = select.select([self.fd], [], [], quiet if until is None else 1.0)
            if not ready:
                if until is None:
                    break
                continue
            data = os.read(self.fd, 65536)
            last = time.perf_counter()
            self.first = self.first if count else last
            count += len(data)
            self.output += data
            if self.answers and b"\x1b[c" in self.output:
                os.write(self.fd, self.answers)
                self.answers = b""
            if until is not None and until in self.output:
                until = None
        return last, count

    def key(self, keys: str) -> tuple[float, int]:
        """Milliseconds from a key until its last byte, and its bytes."""
        start = time.perf_counter()
        os.write(self.fd, keys.encode())
        last, count = self.read()
        return 1000 * (last - start) if count else 0.0, count

    def anonymous(self) -> int:
        """Bytes that are this process's own: Anonymous of smaps_rollup."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text("ascii")
        line = next(line for line in text.splitlines() if line.startswith("Anonymous:"))
        return 1024 * int(line.split()[1])

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def quantiles(name: str, values: Sequence[float]) -> dict[str, float]:
    ranked = sorted(values)
    return {f"{name}_p50".strip("_"): statistics.median(ranked), f"{name}_p95".strip("_"): ranked[int(0.95 * (len(ranked) - 1))]}


def keys(size: tuple[int, int], arguments: list[str]) -> list[dict[str, Any]]:
    """Of each kind of key on a terminal of a size: when its first byte comes back, when its last, and how many there are."""
    session = Session(arguments, size)
    rows: list[dict[str, Any]] = []
    try:
        first, _ = session.read(until=b"quit" if size[0] >= 200 else b"prompt")
        session.read(quiet=2.0)
        rows.append({"what": f"first full frame, {size[0]}x{size[1]}", "ms": 1000 * (first - session.started)})

        def measure(what: str, cycle: list[str], times: int) -> None:
            for key in cycle:  # once unmeasured; a cycle ends where it began
                session.key(key)
            taken, seen = [], []
            for key in cycle * times:
                start = time.perf_counter()
                ms, count = session.key(key)
                taken.append((ms, 1000 * (session.first - start)) if count else None)
                seen.append(count)
            whole, echo = zip(*filter(None, taken), strict=True)
            row = {"what": f"{what}, {size[0]}x{size[1]}", "bytes": max(seen), "keys": len(seen)}
            rows.append(row | quantiles("first", echo) | quantiles("", whole))

        arrows = ["\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B"]
        measure("temperature", ["]", "["], 20)
        measure("draw, model view", [" "], 10)
        measure("zoom in and out", ["\r"] * 4 + ["\x7f"] * 4, 3)  # a lone Escape waits ESCDELAY
        for _ in range(3):
            session.key("\r")
        measure("cursor in a head's grid", arrows, 6)
        measure("draw, head view", [" "], 10)
        session.key("\r")
        measure("cursor at one product", arrows, 6)
        session.key("/")
        measure("typing", list(" little girl"), 1)
    finally:
        session.close()
    return rows


def pictures(size: tuple[int, int], prompt: str) -> list[dict[str, Any]]:
    """Of a cursor's move in a picture, on terminals of a size that show it in each of the ways: as in `keys`."""
    rows: list[dict[str, Any]] = []
    for medium, place in product(("glyphs", "kitty", "sixel", "iterm"), ("model", "L3")):
        session = Session([prompt, "--at", place, "--picture", medium], size, PIXELS, TERM_PROGRAM="iTerm.app")
        try:
            session.read(until=b"bits")
            session.read(quiet=2.0)
            there_and_back = ["\x1b[A"] * 4 + ["\x1b[B"] * 4
            for key in there_and_back:  # once unmeasured
                session.key(key)
            ms, count = zip(*(session.key(key) for key in there_and_back * 3), strict=True)
            row = {"what": f"cursor in the picture, {place}, {medium}, {size[0]}x{size[1]}", "bytes": max(count), "keys": len(ms)}
            rows.append(row | quantiles("", ms))
        finally:
            session.close()
    return rows


def memory(folder: str, tiny: str, sessions: tuple[int, ...] = (1, 4, 16)) -> list[dict[str, Any]]:
    """What each more session of a model costs, its prompt 32 tokens long, beside an idle app's: one with a model of next to no weights."""
    prompt = "one two three four five six seven eight " * 4
    rows: list[dict[str, Any]] = []
    idle = 0
    for what, arguments in (("bundled", ["Hi"]), ("tiny", ["--model", tiny, "Hi"])):
        base = Session(arguments, (120, 36))
        base.read(until=b"draw", quiet=3.0)
        idle = base.anonymous()
        base.close()
        rows.append({"what": f"memory of its own, {what} model", "bytes": idle})
    running: list[Session] = []
    try:
        for n in sessions:
            while len(running) < n:
                running.append(Session(["--model", folder, prompt.strip()], (120, 36)))
            for session in running:
                session.read(quiet=5.0)
            own = [session.anonymous() for session in running]
            rows.append({"what": f"beyond the last, 124M, each of {n}", "bytes": int(statistics.median(own)) - idle})
    finally:
        for session in running:
            session.close()
    return rows


def crowd(sessions: tuple[int, ...] = (1, 4, 16), rate: float = 15.0, keys: int = 60) -> list[dict[str, Any]]:
    """How long a key takes until the first byte of its painting, where so many sessions are typed into, each so many keys a second."""
    rows: list[dict[str, Any]] = []
    running: list[Session] = []
    try:
        for n in sessions:
            while len(running) < n:
                running.append(Session(["Once upon a time"], (80, 24)))
            for session in running:
                session.read(until=b"prompt", quiet=2.0)
                session.key("/")
            times = typed_at_once(running, rate, keys)
            for session in running:
                session.key("\r")
                assert os.waitpid(session.pid, os.WNOHANG) == (0, 0), "a session died"
            p95 = times[int(0.95 * (len(times) - 1))]
            rows.append({"what": f"typing in {n} at once", "p50": statistics.median(times), "p95": p95, "keys": len(times)})
    finally:
        for session in running:
            session.close()
    return rows


def typed_at_once(running: list[Session], rate: float, keys: int) -> list[float]:
    """Milliseconds from each key to the next byte of its session, in order of size; letters and backspaces by turns."""
    start = time.perf_counter()
    due = {session.fd: start + number / rate / len(running) for number, session in enumerate(running)}  # each at its own moment
    left = dict.fromkeys(due, keys)
    waiting: dict[int, list[float]] = {fd: [] for fd in due}
    times: list[float] = []
    while any(left.values()) or any(waiting.values()):
        now = time.perf_counter()
        assert now < start + keys / rate + 60, f"{sum(map(len, waiting.values()))} keys were never painted"
        for fd in due:
            if left[fd] and due[fd] <= now:
                os.write(fd, b"a" if left[fd] % 2 else b"\x7f")
                waiting[fd].append(now)
                left[fd] -= 1
                due[fd] += 1 / rate
        soonest = min((due[fd] for fd in due if left[fd]), default=now + 1.0)
        for fd in select.select(list(due), [], [], max(0.0, min(1.0, soonest - time.perf_counter())))[0]:
            os.read(fd, 65536)
            times += [1000 * (time.perf_counter() - begun) for begun in waiting[fd]]
            waiting[fd].clear()
    return sorted(times)
