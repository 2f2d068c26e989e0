"""The connection of one question to a hub: where it leads, and its end where the answer never begins, or drips."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Event, Thread
from time import monotonic
from typing import Any

PERIOD = 30.0  # seconds after which it is looked at how much has come
LEAST = 30_000  # bytes that come in each: 60 kB a minute
LONGEST = 120.0  # seconds that a few lines may take


class Line:
    """What is known of a question that is asked, and what ends it.

    The HTTP library waits for each byte anew: a `100 Continue` without end, or a byte in nine seconds, would hold it for ever. So a thread
    looks at the connection from beside it, and cuts it.
    """

    def __init__(self, reached: Callable[[str], object], longest: float = inf) -> None:
        """reached: told each address that a connection leads to before anything is asked of it. longest: seconds for the whole answer."""
        self.reached, self.longest = reached, longest
        self.asked = ""  # the host that is asked
        self.host = ""  # the one that is connected to; a proxy is another
        self.socket: socket.socket | None = None
        self.response: Any = None
        self.why = ""  # it was cut
        self.over = Event()

    def heard(self, event: str, told: dict[str, Any]) -> None:
        """What the HTTP library says on the way (its extension `trace`)."""
        if event.endswith("connect_tcp.started"):
            self.host = told["host"]
        elif event.endswith("connect_tcp.complete"):
            made = told["return_value"].get_extra_info("socket")
            direct = self.host.strip("[]").lower() == self.asked.strip("[]").lower()
            if self.socket is None:
                Thread(target=self.watch, name="txexplain line", daemon=True).start()
            else:
                self.socket.close()
            self.socket = made.dup()  # which TLS doesn't take over
            self.reached(made.getpeername()[0] if direct else self.asked)

    def watch(self) -> None:
        began, before, had = monotonic(), monotonic(), 0
        while not self.over.wait(min(PERIOD, self.longest)):
            now, has = monotonic(), 0 if self.response is None else self.response.num_bytes_downloaded
            stopped = now - before > 2 * PERIOD  # the whole program was, as Ctrl-Z does
            if has - had < LEAST and not stopped:
                self.cut(f"it sends less than {LEAST // 500} kB a minute")
                return
            if now - began > self.longest:
                self.cut(f"it sends a few lines for more than {self.longest / 60:.0f} minutes")
                return
            before, had = now, has

    def cut(self, why: str) -> None:
        self.why = why
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.over.set()
        if self.socket is not None:
            self.socket.close()


def is_near(host: str) -> bool:
    """Whether an address lies on this machine or in a private network; of names only those that mean this machine are known."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            found = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, 0x7f000001
        except OSError:
            return host.lower().rstrip(".").rpartition(".")[2] == "localhost"
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return not (mapped or found).is_global
