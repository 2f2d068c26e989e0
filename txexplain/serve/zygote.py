"""The warmed parent: imports, weights and one forward pass, once; each guest is a fork of it.

It has one thread (a fork copies only the thread that forks) and one thread of BLAS. What it holds is frozen for the garbage collector,
so that a fork doesn't copy pages by looking at them.

    python -m txexplain.serve.zygote HANDLE     what the house starts; HANDLE is its end of a socket pair
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from txexplain.engine.derive import Result
from txexplain.engine.memory import give_back
from txexplain.engine.model import GPT2
from txexplain.errors import ExplainError, sentence_of
from txexplain.explorer.lesson import Lesson, load
from txexplain.explorer.state import ExplorerState
from txexplain.models import load_model
from txexplain.serve.wire import Message, receive_with, send_with


@dataclass(frozen=True)
class Served:
    """What every guest of a house is given."""

    name: str
    model: GPT2
    lesson: Lesson | None


def serve_forks(channel: socket.socket) -> None:
    """Open what is asked for, say so, then fork a guest for each message until the house is gone."""
    from txexplain.serve.guest import Terminal, become

    asked, _ = receive_with(channel, 0)
    try:
        served = opened(asked)
    except (ExplainError, OSError, MemoryError) as error:
        send_with(channel, {"failed": sentence_of(error)}, [])
        return
    os.chdir("/")
    warm(served)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the house decides
    send_with(channel, {"ready": True}, [])
    numbers: dict[int, int] = {}  # a child's process -> the guest's number
    while True:
        ready, _, _ = select.select([channel.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
            for pid, code in gone():
                send_with(channel, {"ended": numbers.pop(pid), "code": code}, [])
        if channel.fileno() in ready:
            try:
                message, handles = receive_with(channel, 2)
            except EOFError:
                return
            try:
                pid = os.fork()
            except OSError:  # the system has no room for another; those that are here stay
                send_with(channel, {"ended": message["guest"], "code": 1}, [])
                close(handles)
                continue
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                close([channel.fileno(), woken, wake])
                become(served, message, Terminal(*handles))
            numbers[pid] = message["guest"]
            close(handles)


def close(handles: Iterable[int]) -> None:
    for handle in handles:
        os.close(handle)


def opened(asked: Message) -> Served:
    """The model and the lesson that a house serves. Nothing is fetched: the lecturer does that before."""
    lesson = load(asked["lesson"]) if asked["lesson"] else None
    return Served(asked["model"], load_model(asked["model"], may_fetch=False), lesson)


def warm(served: Served) -> None:
    """Do once what each guest would do first: import the app, run the example, trace its ribbons."""
    import textual.drivers.linux_driver  # noqa: F401

    import txexplain.ui.app  # noqa: F401

    state = ExplorerState()
    result = Result(served.model.forward(served.model.prompt_ids(state.prompt)), served.model)
    result.flow(state.flow)
    del result
    give_back()
    gc.collect()
    gc.freeze()


def gone() -> list[tuple[int, int]]:
    """The children that ended, and how."""
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    serve_forks(socket.socket(fileno=int(sys.argv[1])))
