"""Over SSH on a line of 9,600 bytes a second: what a reader waits for is counted in the bytes that come, not on a clock."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pexpect
import pytest

from tests.e2e.test_ssh import SSHD, Far, server  # noqa: F401

RATE = 9600
PROMPT = "The little fox lost her red ball. She looked everywhere for her red"

pytestmark = [pytest.mark.long, pytest.mark.skipif(SSHD is None, reason="openssh-server is not installed")]


def slowly(server: list[str], *arguments: str) -> Far:  # noqa: F811
    """The app at the other end of a slow line, whose terminal answers when it is asked."""
    proxy = f"ProxyCommand={sys.executable} {Path(__file__).with_name('throttle.py')} %h %p {RATE}"
    far = Far([server[0], "-o", proxy, *server[1:]], *arguments)
    far.screen.write_process_input = far.child.send  # type: ignore[method-assign]
    return far


def read_for(far: Far, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        far.read(left)


def quiet(far: Far) -> int:
    """Until nothing more comes; the bytes that came."""
    far.count = 0
    while far.read(1.5):
        pass
    return far.count


def test_draws_and_the_end_on_a_slow_line(server: list[str]) -> None:  # noqa: F811
    far = slowly(server, PROMPT)
    far.until(lambda: "14 tok" in far.text() and "others" in far.text())
    quiet(far)
    far.child.send(" ")
    frame = quiet(far)
    assert frame > RATE, "a draw is more than a second's worth"
    assert "15 tok" in far.text()

    for _ in range(10):
        far.child.send(" ")
        read_for(far, 0.2)
    rest = quiet(far)
    assert "25 tok" in far.text()
    far.child.send(" ")
    later = quiet(far)
    assert rest <= 1.1 * max(frame, later) + 0.7 * RATE, "what was on its way, less than a second's worth, and the last draw's frame"

    for _ in range(10):
        far.child.send(" ")
        read_for(far, 0.1)
    far.count = 0
    far.child.send("q")
    while True:
        try:
            far.count += len(far.child.read_nonblocking(65536, 20))
        except pexpect.EOF:
            break
    assert far.count <= 0.9 * RATE, "q acts within a second, whatever was asked for before"
    far.child.close()
    assert far.child.exitstatus == 0
