"""Programs that compute at the same time, each forward pass after forward pass: what is left of their speed."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from typing import Any

from txexplain.engine.cores import FIXED

SECONDS = 4.0
TOKENS = 32
PROGRAM = """
import sys, time
from txexplain.models import load_model
model = load_model(sys.argv[1])
ids = list(range(100, 100 + int(sys.argv[2])))
for _ in range(3):
    model.forward(ids)
print("ready", flush=True)
input()
end, taken = time.perf_counter() + float(sys.argv[3]), []
while (start := time.perf_counter()) < end:
    model.forward(ids)
    taken.append(time.perf_counter() - start)
print(*taken)
"""


def passes(folder: str, programs: int, env: dict[str, str]) -> list[float]:
    """Milliseconds of every pass, all programs' together."""
    own = {name: value for name, value in os.environ.items() if name not in FIXED} | env
    command = [sys.executable, "-c", PROGRAM, folder, str(TOKENS), str(SECONDS)]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own) for _ in range(programs)]
    for each in running:
        assert each.stdout is not None
        each.stdout.readline()
    for each in running:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    return [1000 * float(taken) for each in running for taken in each.communicate()[0].split()]


def rivals(folder: str) -> list[dict[str, Any]]:
    """1, 2 and 4 programs with GPT-2 124M: as they share the cores, and with a thread for every core each; in turn, A B B A."""
    rows = []
    ways: dict[str, dict[str, str]] = {"": {}, ", all cores each": {FIXED[0]: str(os.cpu_count())}}
    for programs in (1, 2, 4):
        taken: dict[str, list[float]] = {how: [] for how in ways}
        for how in (*ways, *reversed(ways)):
            taken[how] += passes(folder, programs, ways[how])
        for how, times in taken.items():
            what = f"{programs} computing, T = {TOKENS}{how}"
            rows.append({"what": what, "rate": len(times) / SECONDS / 2, "ms": statistics.median(times)})
    return rows
