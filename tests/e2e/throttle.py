"""A slow line for ssh: `ProxyCommand python throttle.py HOST PORT BYTES_A_SECOND` lets so much through, each way."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable

MOMENT = 0.02  # seconds; what passes in one is passed on at once
BEHIND = 4096  # bytes that may wait in the socket: the rest waits where it was sent from


def pump(read: Callable[[int], bytes], write: Callable[[bytes], object], rate: float) -> None:
    """Pass bytes on until there are no more."""
    while data := read(max(1, int(rate * MOMENT))):
        write(data)
        time.sleep(len(data) / rate)


def main() -> None:
    host, port, rate = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BEHIND)
        line.connect((host, port))

        def back() -> None:
            pump(line.recv, lambda data: os.write(1, data), rate)
            os._exit(0)

        threading.Thread(target=back, daemon=True).start()
        pump(lambda size: os.read(0, size), line.sendall, rate)
        line.shutdown(socket.SHUT_WR)
        threading.Event().wait()


if __name__ == "__main__":
    main()
