"""Files that people and programs write: read whole or not at all, and written so. The only place that writes any; how sizes are said.

A folder may be shared with people who aren't friends. So a file is written under a fresh name that nobody can have planted, and takes
its place by one step: whatever stands there is replaced, never written into. Nothing is written through a link that another user made.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

LINKS = 40  # followed at most on the way to a file, as Linux does
PART = ".part"  # how the name of a file ends that isn't whole yet


def read_whole(path: Path, largest: int) -> bytes:
    """What a regular file of at most `largest` bytes holds.

    Raises OSError also for a folder, for a pipe or device, which might never end, and for a larger file; ValueError for a path that
    can't be one.
    """
    status = path.stat()
    require_regular(status, path)
    if status.st_size > largest:
        raise OSError(errno.EFBIG, f"It has {status.st_size} bytes, more than {largest}", str(path))
    with path.open("rb") as file:
        return file.read(status.st_size)


def require_regular(status: os.stat_result, path: Path) -> None:
    """Raises OSError for a folder, a pipe, a device."""
    if not stat.S_ISREG(status.st_mode):
        number, why = (errno.EISDIR, os.strerror(errno.EISDIR)) if stat.S_ISDIR(status.st_mode) else (errno.EINVAL, "Not a regular file")
        raise OSError(number, why, str(path))


def is_there(path: Path) -> bool:
    """Whether something has that name: a file, or a link that leads nowhere, which is then refused and not passed over."""
    return os.path.lexists(path)


def followed(path: Path) -> Path:
    """Where a path leads, without links; the file itself need not be there. Raises OSError for a link that another user made."""
    path = path.absolute()
    at, rest, links = Path(path.anchor), list(reversed(path.parts[1:])), 0
    while rest:
        part = rest.pop()
        here = at.parent if part == ".." else at / part
        try:
            status = here.lstat()
        except FileNotFoundError:  # said when it is written
            at = here
            continue
        if not stat.S_ISLNK(status.st_mode):
            at = here
            continue
        if not ours(status):
            raise PermissionError(errno.EPERM, "A link of another user leads there; name the file itself", str(here))
        links += 1
        if links > LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        led = at / here.readlink()
        at, rest = Path(led.anchor), rest + list(reversed(led.parts[1:]))
    return at


def ours(status: os.stat_result) -> bool:
    """Whether the user, or the system, owns something. Windows has no such numbers, and makes links for administrators alone."""
    return not hasattr(os, "geteuid") or status.st_uid in (os.geteuid(), 0)


# A name that nothing has yet, be it a link that leads nowhere.
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def write_whole(path: Path, data: bytes | Iterable[bytes | memoryview], *, private: bool = False, lasting: bool = False) -> None:
    """Write a file whole or not at all; what fails, or is interrupted, leaves nothing.

    A file that is replaced hands on its permissions; a new one has those that the user's umask gives.
    private: the program's own file, for the user's eyes alone; a link in its place is replaced, not followed.
    lasting: its bytes are on the disk before it has its name, so that after a power cut it isn't there in part.
    Raises OSError, also where something else than a file has that name.
    """
    target = followed(path.parent) / path.name if private else followed(path)
    old = None
    with suppress(FileNotFoundError):
        old = target.lstat()
        if private and stat.S_ISLNK(old.st_mode):
            old = None
        else:
            require_regular(old, target)
    part = target.parent / f".{os.urandom(8).hex()}{PART}"
    try:
        with os.fdopen(os.open(part, NEW, 0o600 if private else first_mode(old)), "wb") as file:
            if old is not None and not private:
                hand_on(file.fileno(), old)
            for piece in [data] if isinstance(data, bytes) else data:
                file.write(piece)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        part.replace(target)
    except FileExistsError:  # the part is another's
        raise
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def first_mode(old: os.stat_result | None) -> int:
    """With which permissions a file begins that is to replace another; the umask takes some away. None: there is no other.

    Another user's file counts for what it forbids alone: who opened it to all may have planted it.
    """
    if old is None or not hasattr(os, "geteuid"):
        return 0o666
    return 0o600 if old.st_uid == os.geteuid() else 0o666 & old.st_mode


def hand_on(handle: int, old: os.stat_result) -> None:
    """Give an open file the permissions of the one that it replaces, and their group; where that can't be, the group may what all may."""
    if not hasattr(os, "fchmod"):
        return
    new = os.fstat(handle)
    mode = old.st_mode & 0o777 & (0o777 if old.st_uid == os.geteuid() else new.st_mode)
    if old.st_gid != new.st_gid:
        try:
            os.fchown(handle, -1, old.st_gid)
        except OSError:
            mode = mode & ~0o070 | (mode & 0o007) << 3
    if mode != new.st_mode & 0o777:
        with suppress(OSError):  # a disk that knows no permissions
            os.fchmod(handle, mode)


def own_folder(variable: str, usual: str) -> Path:
    """Where the program keeps its own, by a variable of XDG's, or where that is usually. Raises OSError where the user has no home."""
    told = os.environ.get(variable, "")
    try:
        return (Path(told) if Path(told).is_absolute() else Path(usual).expanduser()) / "txexplain"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "This user has no home", usual) from None


def make_folder(path: Path, mode: int = 0o700) -> None:
    """Make a folder of the program's own where it isn't there, for the user's eyes alone unless the mode says more. Raises OSError."""
    followed(path).mkdir(parents=True, exist_ok=True, mode=mode)


def open_kept(path: Path, mode: int = 0o600) -> int:
    """A descriptor of a file, no link, that stays under its name: to be locked, or to be gone on with. Raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), mode)


def put_link(path: Path, leads_to: str) -> None:
    """Make a link in place of whatever file stands there. Raises OSError, as where the disk knows no links."""
    part = path.with_name(f".{os.urandom(8).hex()}{PART}")
    part.symlink_to(leads_to)
    try:
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def put_file(file: Path, path: Path) -> None:
    """Give a whole file another name, in place of whatever file has it. Raises OSError."""
    file.replace(path)


def megabytes(size: int) -> str:
    """A file's or a memory's size, as it is said to people."""
    return f"{size / 1e6:,.1f} MB" if size < 10_000_000 else f"{size / 1e6:,.0f} MB"
