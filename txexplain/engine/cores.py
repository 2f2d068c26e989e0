"""How many threads a matrix product gets: one for each core that no other program is using.

Two programs that both keep every core busy don't each get half: a product waits for all of its threads, and each wait
lasts until the system takes the core from the other program's. Measured on 2 cores, GPT-2 124M, 32 tokens: 68 ms alone;
two at once 316 ms with two threads each, 108 ms with one each (`python -m tests.bench --only crowd`).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

EVERY = 0.05  # seconds between two looks at who else is busy: a look takes 0.2 ms
FIXED = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # who sets one of these has chosen
PROC = Path("/proc")


class Cores:
    """The cores of this machine, for matrix products."""

    def __init__(self) -> None:
        self.looked = -EVERY
        self.library: Any = None  # NumPy's BLAS, once it was looked for
        self.most = 1  # threads
        self.shares = not any(name in os.environ for name in FIXED)

    def share(self) -> None:
        """Between two products: leave those cores to other programs that they use. Nothing happens where that can't be seen."""
        now = time.monotonic()
        if not self.shares or now - self.looked < EVERY:
            return
        self.looked = now
        if self.library is None:
            self.library = blas()
            self.most = self.library.num_threads if self.library is not None else 1
        others = busy_others() if self.most > 1 else None
        if others is None:
            self.shares = False
        else:
            self.library.set_num_threads(max(1, min(self.most, (os.cpu_count() or 1) - others)))

    def keep(self) -> None:
        """From now on leave the number of threads as it is: the same numbers to the last bit, whoever else is busy."""
        self.shares = False


def blas() -> Any:
    """The library that NumPy's matrix products run in; None where none is known."""
    from threadpoolctl import ThreadpoolController

    return next((each for each in ThreadpoolController().lib_controllers if each.user_api == "blas"), None)


def busy_others() -> int | None:
    """How many threads of other programs run or wait for a core now; None where the system doesn't say (it isn't Linux)."""
    try:
        running = int((PROC / "loadavg").read_text("ascii").split()[3].partition("/")[0])  # proc(5)
        own = sum(is_running(task) for task in (PROC / "self" / "task").iterdir())
    except (OSError, ValueError, IndexError):
        return None
    return max(0, running - own)


def is_running(task: Path) -> bool:
    """Whether one of this program's own threads runs or wants to."""
    try:
        return (task / "stat").read_bytes().rpartition(b") ")[2].startswith(b"R")  # proc(5); a name may hold anything
    except OSError:  # it has just ended
        return False


CORES = Cores()
