"""Files that people and programs write: read whole or not at all, and written so. The only place that writes any; how sizes are said.

A folder may be shared with people who aren't friends. So a file is written under a fresh name that nobody can have planted, and takes
its place by one step: whatever stands there is replaced, never written into. Nothing is written through a link that another user made.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

LINKS = 40  # followed at most on the way to a file, as Linux does
PART = ".part"  # how the name of a file ends that isn't whole yet


def read_whole(path: Path, largest: int) -> bytes:
    """What a regular file of at most `largest` bytes holds.

    Raises OSError also for a folder, for a pipe or device, which might never end, and for a larger file; ValueError for a path that
    can't be one.
    """
    require_regular(path.stat(), path)
    with open(path, "rb", opener=only_regular) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise OSError(errno.EFBIG, f"It has {size} bytes, more than {largest}", str(path))
        return file.read(size)


def only_regular(path: str, flags: int) -> int:
    """An opener, as open() takes one, of nothing but regular files: a pipe that took a file's place meanwhile would wait for its writer."""
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))
    try:
        require_regular(os.fstat(handle), Path(path))
    except OSError:
        os.close(handle)
        raise
    return handle


def require_regular(status: os.stat_result, path: Path) -> None:
    """Raises OSError for a folder, a pipe, a device."""
    if not stat.S_ISREG(status.st_mode):
        number, why = (errno.EISDIR, os.strerror(errno.EISDIR)) if stat.S_ISDIR(status.st_mode) else (errno.EINVAL, "Not a regular file")
        raise OSError(number, why, str(path))


def is_there(path: Path) -> bool:
    """Whether something has that name: a file, or a link that leads nowhere, which is then refused and not passed over."""
    return os.path.lexists(path)


# Where a path leads

# Folders are held open on the way, where the system can do so without reading them (Linux): nobody can put a link in the place of one
# that was looked at.
HELD = hasattr(os, "O_PATH") and {os.open, os.stat, os.readlink, os.mkdir, os.unlink, os.rename, os.symlink} <= os.supports_dir_fd


class Place(NamedTuple):
    """A name in a folder, as the system's calls take them; where no folder is held open, the name is the whole path."""

    name: str
    folder: int | None
    path: Path  # without links

    def beside(self, name: str) -> Place:
        """Another name in the same folder."""
        path = self.path.with_name(name)
        return Place(name if HELD else str(path), self.folder, path)

    def lstat(self) -> os.stat_result:
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)

    def open(self, flags: int, mode: int = 0o777) -> int:
        return os.open(self.name, flags, mode, dir_fd=self.folder)

    def unlink(self) -> None:
        os.unlink(self.name, dir_fd=self.folder)

    def replace(self, target: Place) -> None:
        """Take the place of whatever file has the target's name."""
        os.replace(self.name, target.name, src_dir_fd=self.folder, dst_dir_fd=target.folder)


@contextmanager
def reached(path: Path, *, link: bool = True, make: bool = False) -> Iterator[Place]:
    """Where a path leads; what has the last name need not be there. link: a link of that name is followed. make: lacking folders are made.

    Raises OSError for a link that another user made, and for a folder that isn't there.
    """
    path = path.absolute()
    at, rest, links = Path(path.anchor), list(reversed(path.parts[1:])), 0
    here = Place(str(at), None, at)
    with ExitStack() as held:

        def hold(place: Place) -> int | None:
            if not HELD:
                return None
            handle = place.open(os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
            held.callback(os.close, handle)
            return handle

        try:
            folder = hold(here)
            while rest:
                part = rest.pop()
                here = Place(part if HELD else str(at / part), folder, at.parent if part == ".." else at / part)
                try:
                    led = link_of(here) if rest or link else None
                except FileNotFoundError:
                    if not rest:
                        break
                    if not make:
                        raise
                    with suppress(FileExistsError):  # another made it meanwhile
                        os.mkdir(here.name, dir_fd=folder)
                    led = None
                if led is not None:
                    links += 1
                    if links > LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
                    led = at / led
                    at, rest = Path(led.anchor), rest + list(reversed(led.parts[1:]))
                    here = Place(str(at), None, at)
                    folder = hold(here)
                elif rest:
                    folder, at = hold(here), here.path
            yield here
        except OSError as error:
            if isinstance(error.filename, str) and not Path(error.filename).is_absolute():  # a name in a folder that is held
                error.filename = str(here.path)
            raise


def link_of(place: Place) -> Path | None:
    """Where a link leads; None for what is none. Raises OSError for a link that another user made, and where nothing is."""
    handle = place.open(os.O_PATH | os.O_NOFOLLOW) if HELD else None  # the link itself, so that what is looked at is what is read
    try:
        status = place.lstat() if handle is None else os.fstat(handle)
        if not stat.S_ISLNK(status.st_mode):
            return None
        if not ours(status):
            raise PermissionError(errno.EPERM, "A link of another user leads there; name the file itself", str(place.path))
        return Path(os.readlink(place.name if handle is None else "", dir_fd=handle))
    finally:
        if handle is not None:
            os.close(handle)


def followed(path: Path) -> Path:
    """Where a path leads, without links; the file itself need not be there, its folder must. Raises OSError as reached() does."""
    with reached(path) as place:
        return place.path


def ours(status: os.stat_result) -> bool:
    """Whether the user, or the system, owns something. Windows has no such numbers, and makes links for administrators alone."""
    return not hasattr(os, "geteuid") or status.st_uid in (os.geteuid(), 0)


# Writing

# A name that nothing has yet, be it a link that leads nowhere.
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def write_whole(path: Path, data: bytes | Iterable[bytes | memoryview], *, private: bool = False, lasting: bool = False) -> None:
    """Write a file whole or not at all; what fails, or is interrupted, leaves nothing.

    A file that is replaced hands on its permissions; a new one has those that the user's umask gives.
    private: the program's own file, for the user's eyes alone; a link in its place is replaced, not followed.
    lasting: its bytes are on the disk before it has its name, so that after a power cut it isn't there in part.
    Raises OSError, also where something else than a file has that name.
    """
    with reached(path, link=not private) as target:
        old = None
        with suppress(FileNotFoundError):
            old = target.lstat()
            if private and stat.S_ISLNK(old.st_mode):
                old = None
            else:
                require_regular(old, target.path)
        part = target.beside(fresh_name())
        try:
            with os.fdopen(part.open(NEW, 0o600 if private else first_mode(old)), "wb") as file:
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


def fresh_name() -> str:
    """A name that nobody foresees, of a file that isn't whole yet."""
    return f".{os.urandom(8).hex()}{PART}"


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
    with reached(path, make=True) as place:
        try:
            os.mkdir(place.name, mode, dir_fd=place.folder)
        except FileExistsError:
            if not stat.S_ISDIR(place.lstat().st_mode):
                raise


def open_kept(path: Path, mode: int = 0o600) -> int:
    """A descriptor of a file, no link, that stays under its name: to be locked, or to be gone on with. Raises OSError."""
    with reached(path, link=False) as place:
        return place.open(os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), mode)


def put_link(path: Path, leads_to: str) -> None:
    """Make a link in place of whatever file stands there. Raises OSError, as where the disk knows no links."""
    with reached(path, link=False) as place:
        part = place.beside(fresh_name())
        os.symlink(leads_to, part.name, dir_fd=part.folder)
        try:
            part.replace(place)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def put_file(file: Path, path: Path) -> None:
    """Give a whole file another name, in place of whatever file has it. Raises OSError."""
    with reached(file, link=False) as whole, reached(path, link=False) as place:
        whole.replace(place)


def tell_system(path: Path, value: str) -> None:
    """Set what the system keeps of this process, in /proc, which is on no disk. Raises OSError."""
    path.write_text(value, encoding="ascii")


def megabytes(size: int) -> str:
    """A file's or a memory's size, as it is said to people."""
    return f"{size / 1e6:,.1f} MB" if size < 10_000_000 else f"{size / 1e6:,.0f} MB"
