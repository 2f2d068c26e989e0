"""The one background channel for everything that takes long: by key, in chunks, stopped at once, telling how far it is.

A job is a function that runs in a thread of its own; what it returns is told to the app. It computes in chunks, for each of which it
waits for its turn, so that no other waits for more than one; where it was stopped, it ends there. Of each key only the newest job
counts: it stops the one before, and what a stopped job still says isn't heard.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from time import monotonic
from typing import Any

from textual.message import Message

from txexplain.errors import ExplainError, sentence_of
from txexplain.explorer.session.events import Failed
from txexplain.models.hub import Stopped

M_ARENA_MAX = -8  # malloc.h
LINGER = 1.0  # seconds that the end waits for jobs that were told to stop


class Heard(Message):
    """What a job says; `over`: it is the last that it says."""

    def __init__(self, job: Job, what: object, *, over: bool = False) -> None:
        super().__init__()
        self.job, self.what, self.over = job, what, over


class Job:
    """What is done under a key, and who is told of it."""

    def __init__(self, key: str, work: Work, told: Callable[[Any], object]) -> None:
        self.key, self.work, self.told = key, work, told
        self.stopped = False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Compute one chunk while nobody else computes. Raises Stopped where nobody waits for it any more."""
        with self.work.turns:
            if self.stopped:
                raise Stopped
            yield

    def tell(self, what: object) -> None:
        """Say something before it is done: how far it is."""
        self.work.post(Heard(self, what))


Does = Callable[[Job], object]


class Work:
    """The jobs of an app. But for what a job does, all of it happens in the app's own thread."""

    def __init__(self, post: Callable[[Heard], object]) -> None:
        self.post = post
        self.turns: AbstractContextManager[Any] = Turns()
        self.jobs: dict[str, Job] = {}  # those that count
        self.threads: set[threading.Thread] = set()
        one_heap()

    def start(self, key: str, does: Does, told: Callable[[Any], object]) -> None:
        """Do something in the background, in place of what is done under this key; told: of what it returns, or that it Failed."""
        self.stop(key)
        job = self.jobs[key] = Job(key, self, told)
        self.spawn(job, does)

    def spawn(self, job: Job, does: Does) -> None:
        """A thread for each job, so that none waits for another: a forward pass not for downloads that hang, say."""

        def run() -> None:
            try:
                self.run(job, does)
            finally:
                self.threads.discard(thread)

        thread = threading.Thread(target=run, name="txexplain worker", daemon=True)
        self.threads.add(thread)
        thread.start()

    def run(self, job: Job, does: Does) -> None:
        """Do a job, in its thread, and tell what came of it."""
        what: object
        try:
            what = does(job)
        except Stopped:
            return
        except (ExplainError, OSError, MemoryError) as error:
            what = Failed(job.key, sentence_of(error), error.with_traceback(None))  # whose frames would keep what the job was given
        except Exception as error:
            what = error
        if not job.stopped:
            self.post(Heard(job, what, over=True))

    def hear(self, message: Heard) -> None:
        """Tell what a job says to whom it is for, unless nobody listens any more. Raises what a job didn't expect."""
        job = message.job
        if job.stopped:
            return
        if message.over:
            del self.jobs[job.key]
        if isinstance(message.what, Exception):
            raise message.what
        job.told(message.what)

    def stop(self, *keys: str) -> None:
        """What is done under these keys ends soon, and isn't heard again."""
        for key in keys:
            if (job := self.jobs.pop(key, None)) is not None:
                job.stopped = True

    def end(self) -> None:
        """Nobody waits for anything any more."""
        self.stop(*self.jobs)

    def join(self) -> None:
        """Wait for the threads, though not for long: one that hangs in the network ends with the process."""
        end = monotonic() + LINGER
        for thread in list(self.threads):
            thread.join(max(0.0, end - monotonic()))


def one_heap() -> None:
    """Let all threads take their memory from one heap. glibc gives each its own, and every heap keeps what the longest run in it took."""
    with suppress(OSError, AttributeError, TypeError):  # another C library has no such setting, and Windows no library without a name
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


class Turns:
    """A lock that is given to those who wait in the order in which they came.

    Whoever takes a threading.Lock again and again, as work in small pieces does, leaves others no chance to take it between.
    """

    def __init__(self) -> None:
        self.guard = threading.Lock()
        self.waiting: deque[threading.Event] = deque()  # the first has the turn

    def __enter__(self) -> None:
        turn = threading.Event()
        with self.guard:
            self.waiting.append(turn)
            if self.waiting[0] is turn:
                turn.set()
        turn.wait()

    def __exit__(self, *_: object) -> None:
        with self.guard:
            self.waiting.popleft()
            if self.waiting:
                self.waiting[0].set()
