"""python -m tests.bench.held [FOLDER]: `[` and `]` 30 times a second while GPT-2 124M computes.

A random model of that size (made for the run where no folder is given) reads a prompt of 900 tokens; its first word is edited,
and while the whole pass runs the temperature is moved by 30 keys a second. What comes to the terminal is read by an emulated one:
no key may be lost, and bars of the old text must be called old.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyte

from tests.bench import terminal
from tests.bench.__main__ import write_random_model
from tests.bench.terminal import Session
from txexplain.explorer.state import STOPS

SIZE = (120, 36)
ROUNDS, KEYS = 4, 30


def shown(screen: pyte.Screen, pattern: str) -> str:
    found = re.search(pattern, "\n".join(screen.display))
    return found[1] if found else ""


def main(folder: str) -> None:
    terminal.QUIET = 0.02  # less than the time between two keys
    prompt = " ".join(f"word{i % 7} and" for i in range(300))
    session = Session(["--model", folder, prompt], SIZE)
    screen = pyte.Screen(*SIZE)
    stream = pyte.ByteStream(screen)
    session.read(until=b"prompt", quiet=4.0)
    latencies: list[float] = []
    stale = current = fed = 0
    for round_ in range(ROUNDS):
        session.key("/")
        for _ in range(60):
            session.key("\x1b[A")  # up to the first line
        session.key("\x01")
        session.key("x")
        session.key("\r")
        key, step = ("]", 1) if round_ % 2 == 0 else ("[", -1)
        stream.feed(session.output[fed:])
        fed = len(session.output)
        before = float(shown(screen, r"T (\d+\.\d+) "))
        for press in range(KEYS):
            due = time.perf_counter() + 1 / 30
            ms, _ = session.key(key)
            latencies.append(ms)
            stream.feed(session.output[fed:])
            fed = len(session.output)
            text = "\n".join(screen.display)
            computing = "computing" in screen.display[0]
            stale += computing
            current += not computing
            assert not computing or "old" in text, "old bars that aren't called old"
            time.sleep(max(0.0, due - time.perf_counter()))
            wanted = STOPS[max(0, min(STOPS.index(before) + step * (press + 1), len(STOPS) - 1))]
        session.read(quiet=3.0)
        stream.feed(session.output[fed:])
        fed = len(session.output)
        after = float(shown(screen, r"T (\d+\.\d+) "))
        assert after == wanted, f"{KEYS} keys from {before} ended at {after}, not {wanted}"
    session.close()
    latencies.sort()
    p95 = latencies[int(0.95 * len(latencies))]
    times = f"p50 {statistics.median(latencies):.0f} ms, p95 {p95:.0f} ms"
    print(f"{ROUNDS * KEYS} keys, none lost; {stale} shown while computing, {current} after; {times}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as name:
            write_random_model(Path(name))
            main(name)
