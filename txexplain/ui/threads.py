"""The threads that the app's workers run in, and whose turn it is to compute."""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial, wraps
from time import monotonic
from typing import Any, Concatenate, ParamSpec, TypeVar

from textual.dom import DOMNode
from textual.worker import Worker

Node = TypeVar("Node", bound=DOMNode)
P = ParamSpec("P")

M_ARENA_MAX = -8  # malloc.h
LINGER = 1.0  # seconds that the end waits for workers that were told to stop


def in_thread(
    group: str, *, exclusive: bool = True
) -> Callable[[Callable[Concatenate[Node, P], None]], Callable[Concatenate[Node, P], Worker[None]]]:
    """A method that runs in a thread, as Textual's `work` makes one; what it was given is let go once it is done.

    Textual's Worker keeps that, and is part of a cycle: every result stayed in memory until Python looked for garbage, which
    it seldom does.
    """

    def decorated(method: Callable[Concatenate[Node, P], None]) -> Callable[Concatenate[Node, P], Worker[None]]:
        @wraps(method)
        def start(self: Node, /, *args: P.args, **options: P.kwargs) -> Worker[None]:
            work = [partial(method, self, *args, **options)]
            return self.run_worker(
                lambda: work.pop()(), name=method.__name__, group=group, exclusive=exclusive, thread=True, exit_on_error=False
            )

        return start

    return decorated


def one_heap() -> None:
    """Let all threads take their memory from one heap. glibc gives each its own, and every heap keeps what the longest run in it took."""
    with suppress(OSError, AttributeError, TypeError):  # another C library has no such setting, and Windows no library without a name
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


class Threads(ThreadPoolExecutor):
    """A thread for each piece of work, so that none waits for another: a forward pass not for downloads that hang, say.

    Nor does the app's end wait for long: a thread that hangs in the network ends with the process.
    """

    def __init__(self) -> None:
        super().__init__(1)
        one_heap()
        self.working: set[threading.Thread] = set()

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            try:
                if future.set_running_or_notify_cancel():
                    future.set_result(work(*args, **options))
            except BaseException as error:
                future.set_exception(error)
            finally:
                self.working.discard(thread)

        thread = threading.Thread(target=run, name="txexplain worker", daemon=True)
        self.working.add(thread)
        thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        end = monotonic() + LINGER
        for thread in list(self.working) if wait else ():
            thread.join(max(0.0, end - monotonic()))


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
