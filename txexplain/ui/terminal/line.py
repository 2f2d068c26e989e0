"""How fast the line to the terminal is, by the terminal's own answers, and so how much may be on its way there.

A write that returns tells nothing: the kernel, sshd and TCP keep tens of kilobytes, and on a slow line keys would wait behind them for
as long as these take. So after some output the terminal is asked whether it is well (DSR 5), which it answers once it has read that far.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

QUESTION, ANSWER = "\x1b[5n", "\x1b[0n"
EVERY = 2048  # bytes after which the terminal is asked
FIRST = 4096  # bytes that may be on their way while nobody knows how fast the line is
MOST = 65_536  # and on the fastest
AHEAD = 0.3  # seconds that what is on its way may take
SHORT = 512  # bytes that take no time worth counting: what they take is the way there and back
QUICKEST = 0.001  # seconds; less can't be told from nothing
LOST = 1.0  # seconds after which an answer isn't waited for; longer each time
DEAF = 3  # questions in a row without an answer, after which a terminal counts as one that doesn't answer
GROWTH = 4  # times the speed that is believed at once


class Asked(NamedTuple):
    """A question that is out: what was sent until then, when, and how much was sent right before it."""

    sent: int
    when: float
    size: int


class Line:
    """What is known of a line. Until the terminal has answered once, nothing is held back. Answers come from another thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.lock = threading.Lock()
        self.answers = False  # whether the terminal is known to answer
        self.speed: float | None = None  # bytes a second
        self.latency = LOST / 2  # seconds there and back, at most
        self.sent = self.taken = self.counted = 0  # bytes: sent, known to have arrived, sent when the terminal was last asked
        self.burst = 0  # bytes of the present update
        self.out: deque[Asked] = deque()
        self.quiet = threading.Event()  # that no question is out
        self.quiet.set()
        self.last = 0.0  # when the last answer came
        self.late = 0  # answers that may still come to questions that were given up
        self.silent = 0  # how often in a row one was

    def room(self) -> int | None:
        """How many bytes may be sent now; None: as many as there are."""
        if not self.answers:
            return None
        ahead = FIRST if self.speed is None else min(max(int(self.speed * AHEAD), EVERY), MOST)
        return max(0, ahead - (self.sent - self.taken))

    def wrote(self, size: int) -> None:
        """So much was sent."""
        self.sent += size
        self.burst += size

    def due(self, *, waits: bool) -> bool:
        """Whether the terminal is to be asked, between two updates; `waits`: whether there is more to send."""
        if self.answers and (self.sent - self.counted >= EVERY or (waits and not self.out)):
            return True
        self.burst = 0
        return False

    def ask(self) -> None:
        """A question goes out."""
        with self.lock:
            self.out.append(Asked(self.sent, self.clock(), self.burst))
            self.quiet.clear()
        self.counted, self.burst = self.sent, 0

    def answered(self) -> None:
        """An answer came."""
        with self.lock:
            now = self.clock()
            self.answers, self.silent = True, 0
            if self.late:
                self.late -= 1
            elif self.out:
                self.took(now, self.out.popleft())
                self.last = now
            if not self.out:
                self.quiet.set()

    def took(self, now: float, asked: Asked) -> None:
        """What was sent before a question has arrived: how fast?"""
        self.taken = asked.sent
        if asked.size < SHORT:
            self.latency = min(self.latency, now - asked.when)
        elif asked.size >= EVERY:
            speed = asked.size / max(now - max(asked.when + self.latency, self.last), QUICKEST)
            if self.speed is None or now - asked.when > LOST:
                self.speed = speed
            else:  # a single measure may be wrong
                self.speed = min(max(speed, self.speed / 2), self.speed * GROWTH)

    def patience(self) -> float:
        """Seconds that an answer is waited for."""
        return LOST * 2.0**self.silent

    def give_up(self) -> None:
        """No answer came for that long: go on without."""
        with self.lock:
            self.silent += 1
            self.late += len(self.out)
            self.out.clear()
            self.quiet.set()
            self.taken = self.sent
            if self.silent >= DEAF:
                self.answers, self.late = False, 0
