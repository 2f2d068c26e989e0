"""How much memory there is, and how the C library keeps what was freed, which decides what a forward pass costs."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h


@cache
def keep_freed_memory() -> None:
    """Ask glibc to reuse the memory of freed arrays instead of returning each to the system; elsewhere, nothing happens.

    Otherwise every large array is made of pages that the system must clear first: a fifth of a forward pass of 128 tokens
    through GPT-2 124M. At most 256 MiB of freed memory stay at the end of the heap.
    """
    with suppress(OSError, AttributeError, TypeError):  # no such function, no such library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, 32 << 20)
        mallopt(M_TRIM_THRESHOLD, 256 << 20)
        mallopt(M_TOP_PAD, 16 << 20)


def give_back() -> None:
    """Return to the system what was freed, where the C library is glibc: it keeps gaps, and up to 256 MiB at the end of the heap.

    Takes some milliseconds for each 100 MB, and the next run needs them again: for the time after long runs, and not for between them.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def free_memory() -> int | None:
    """How many bytes this process could still take; None where the system doesn't say."""
    return min(limits(), default=None)


def limits() -> Iterator[int]:
    """What each of the bounds on this process leaves: the machine's memory, its control groups' and its own."""
    with suppress(OSError, ValueError, KeyError):
        lines = (PROC / "meminfo").read_text("ascii").splitlines()  # proc(5): a name, a colon, KiB
        said = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        yield 1024 * (said["MemAvailable"] + said["SwapFree"])
    with suppress(OSError, ValueError, IndexError):
        group = (PROC / "self" / "cgroup").read_text("utf-8").partition("0::/")[2].splitlines()[0]
        for folder in (GROUPS / group, *(GROUPS / group).parents):
            if GROUPS in (folder, *folder.parents):
                yield from group_limit(folder)
    with suppress(ImportError, OSError, ValueError):
        import resource

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            yield max(0, most - int((PROC / "self" / "statm").read_text("ascii").split()[0]) * resource.getpagesize())


def group_limit(folder: Path) -> Iterator[int]:
    """What a control group has left; what it holds of files goes when it must."""
    with suppress(OSError, ValueError):
        most = int((folder / "memory.max").read_text("ascii"))  # "max" where it has no bound
        kept = dict(line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines())
        yield max(0, most - int((folder / "memory.current").read_text("ascii")) + int(kept["active_file"]) + int(kept["inactive_file"]))
