"""Messages between the house's processes: JSON, one a line, over a socket pair; and file descriptors beside them where that is asked."""

from __future__ import annotations

import errno
import json
import os
import socket
from asyncio import AbstractEventLoop
from collections.abc import Iterator, Sequence
from typing import Any

LONGEST = 16_000_000  # bytes of one message: a picture of a large screen takes under one million
LARGEST = 1 << 16  # bytes of one that carries handles

Message = dict[str, Any]


def packed(message: Message) -> bytes:
    return json.dumps(message).encode() + b"\n"


class Lines:
    """Bytes as they come, and the messages that are whole. Raises ValueError for one that is no message, or has no end."""

    def __init__(self) -> None:
        self.rest = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        *whole, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > LONGEST:
            raise ValueError("a message without an end")
        for line in whole:
            if not isinstance(message := json.loads(line), dict):
                raise ValueError("not a message")
            yield message


class Outbox:
    """Messages for a channel whose other end takes them when it can: none waits here, none is sent in part. A message that wasn't begun
    gives way to a newer one of its kind, so that the last one arrives."""

    def __init__(self, channel: socket.socket, loop: AbstractEventLoop) -> None:
        self.channel, self.loop = channel, loop
        self.waiting: dict[str, bytes] = {}  # by their kind, their first key
        self.begun = b""
        self.full = False  # the channel, for now

    def put(self, message: Message) -> None:
        kind = next(iter(message))
        self.waiting.pop(kind, None)
        self.waiting[kind] = packed(message)
        self.send()

    def send(self) -> None:
        """What the channel takes now; the rest when it takes more."""
        try:
            while self.begun or self.waiting:
                self.begun = self.begun or self.waiting.pop(next(iter(self.waiting)))
                self.begun = self.begun[self.channel.send(self.begun) :]
        except BlockingIOError:
            self.full = True
            self.loop.add_writer(self.channel, self.send)
            return
        except OSError:  # nobody is there any more
            self.begun = b""
            self.waiting.clear()
        self.close()

    def close(self) -> None:
        """Wait for the channel no more."""
        if self.full:
            self.full = False
            self.loop.remove_writer(self.channel)


def send_with(channel: socket.socket, message: Message, handles: Sequence[int]) -> None:
    """One message with open files, over a socket that keeps messages apart. Raises OSError for one that is too long to be read whole."""
    data = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if len(data) > LARGEST:
        raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
    socket.send_fds(channel, [data], handles)


def receive_with(channel: socket.socket, most: int) -> tuple[Message, list[int]]:
    """One such message. Raises EOFError where the other end is gone."""
    data, handles, _, _ = socket.recv_fds(channel, LARGEST, most)
    if not data:
        raise EOFError
    return json.loads(data), handles
