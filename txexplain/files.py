"""Files that people and programs write as text: read whole, or not at all; and how sizes are said."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_whole(path: Path, largest: int) -> bytes:
    """What a regular file of at most `largest` bytes holds.

    Raises OSError also for a folder, for a pipe or device, which might never end, and for a larger file; ValueError for a path that
    can't be one.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        number, why = (errno.EISDIR, os.strerror(errno.EISDIR)) if stat.S_ISDIR(status.st_mode) else (errno.EINVAL, "Not a regular file")
        raise OSError(number, why, str(path))
    if status.st_size > largest:
        raise OSError(errno.EFBIG, f"It has {status.st_size} bytes, more than {largest}", str(path))
    with path.open("rb") as file:
        return file.read(status.st_size)


def is_there(path: Path) -> bool:
    """Whether something has that name: a file, or a link that leads nowhere, which is then refused and not passed over."""
    return os.path.lexists(path)


def megabytes(size: int) -> str:
    """A file's or a memory's size, as it is said to people."""
    return f"{size / 1e6:,.1f} MB" if size < 10_000_000 else f"{size / 1e6:,.0f} MB"
