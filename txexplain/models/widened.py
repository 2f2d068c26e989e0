"""Weights that aren't stored as float32, widened once: a file in the user's cache that all sessions map and so share.

The file is a plain safetensors file of float32. It appears whole or not at all, is used only where it belongs to the user and nobody else
may write to it, and only for the very files that it was made from: their path, sizes, times and headers. Where it can't be made, the
weights are widened in memory of the process alone, as they would be without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.checkpoint import Checkpoint, Layout, open_checkpoint, widened_here
from txexplain.engine.safetensors import Mapped, Source, Stored, header_of, map_safetensors
from txexplain.errors import CheckpointError, reason
from txexplain.files import PART, followed, make_folder, megabytes, open_kept, own_folder, write_whole
from txexplain.text import shown

Floats = NDArray[np.float32]

FORMAT = "txexplain-widened/1"
MOST = 8 << 30  # bytes of all copies together; those that were used longest ago go first
LEAST = 4 << 20  # bytes from which a copy is worth a file
DISK = 1 << 30  # bytes of the disk that a copy leaves free
SETTLED = 2_000_000_000  # nanoseconds: within so short a time a file can change again and keep its times
PATIENCE = 60.0  # seconds to wait for another session that makes the same copy
ABANDONED = 3600.0  # seconds after which a half-made copy is nobody's any more


class Unshared(Exception):
    """Why weights can't be shared, as half a sentence."""


@dataclass(frozen=True)
class Copy:
    """One file of the cache."""

    path: Path
    bytes: int
    used: float
    of: str  # the folder of the model that it was made from, as the file says; "" where it can't be read


def open_shared(path: Path) -> Checkpoint:
    """Open a checkpoint; what must be widened is shared with other sessions where that can be. Raises CheckpointError."""
    return replace(open_checkpoint(path, widened), opened=(open_shared, path.absolute()))


def widened(layout: Layout) -> Mapping[str, Floats]:
    """The weights that aren't float32 as they are stored, from the cache, or in memory of this process alone. Raises CheckpointError."""
    try:
        return shared(layout)
    except Unshared as why:
        return widened_here(layout, str(why))


def shared(layout: Layout) -> Mapping[str, Floats]:
    """The copy's weights, mapped; it is made first where it isn't there. Raises Unshared."""
    size = layout.copied_bytes
    if size < LEAST:
        raise Unshared("so few are kept in memory alone")
    path = place_of(layout)
    found = matching(path, layout)
    if found is None:
        if size > MOST:
            raise Unshared(f"the cache keeps at most {megabytes(MOST)}")
        if not is_settled(layout):
            raise Unshared("its files are being written")
        try:
            require_own_folder(path.parent)
            with alone(path.parent):
                found = matching(path, layout)  # another session may have made it meanwhile
                if found is None:
                    make_room(path.parent, size)
                    write(path, layout)
                    found = matching(path, layout)
        except OSError as error:
            raise Unshared(f"a shared copy can't be kept in {path.parent}: {reason(error)}") from None
    if found is None:
        raise Unshared(f"a shared copy in {path.parent} can't be read")
    return found


def cache_folder() -> Path:
    """Where the copies are. Raises Unshared where the user has no home."""
    try:
        return own_folder("XDG_CACHE_HOME", "~/.cache") / "weights"
    except FileNotFoundError:
        raise Unshared("this user has no home") from None


def place_of(layout: Layout) -> Path:
    """The copy's file: one for each place that a model is opened from, so that another model there takes the old one's place."""
    where = "\n".join(str(file.resolve()) for file in layout.files)
    return cache_folder() / f"{hashlib.sha256(os.fsencode(where)).hexdigest()[:32]}.safetensors"


def source_of(layout: Layout) -> str:
    """What a copy was made from, as one word."""
    told = json.dumps([FORMAT, layout.identity, sorted(layout.unready)])
    return hashlib.sha256(told.encode("ascii")).hexdigest()


def is_settled(layout: Layout) -> bool:
    """Whether the files' times tell the next change from the last."""
    latest = max(max(status.st_mtime_ns, status.st_ctime_ns) for status in map(os.stat, layout.files))
    return time.time_ns() - latest > SETTLED


def opened(path: Path) -> Mapped:
    """A file of the cache, checked. Raises CheckpointError."""
    return map_safetensors(Source(path, "cached copy", CheckpointError), own_file)


def own_file(path: str, flags: int) -> int:
    """Open a file that is the user's own, and that nobody else may write to; no link. Raises OSError."""
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))
    try:
        require_own(os.fstat(handle), path)
    except OSError:
        os.close(handle)
        raise
    return handle


def require_own(status: os.stat_result, path: str | Path) -> None:
    if hasattr(os, "geteuid") and (status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise PermissionError(1, "it belongs to somebody else, or others may write to it", str(path))


def require_own_folder(folder: Path) -> None:
    """Make the folder where it isn't there. Raises OSError where it isn't the user's own."""
    make_folder(folder)
    require_own(folder.stat(), folder)


def matching(path: Path, layout: Layout) -> Mapping[str, Floats] | None:
    """The copy's weights where it is there and was made from these files; else None."""
    if not os.path.lexists(path):
        return None
    try:
        mapped = opened(path)
    except CheckpointError:
        return None
    shapes = {name: stored.entry.shape for name, stored in layout.unready.items()}
    source = Source(path, "cached copy", CheckpointError)
    tensors = {entry.name: Stored(entry, mapped.data, source) for entry in mapped.entries}
    whole = shapes == {name: tensor.entry.shape for name, tensor in tensors.items()} and all(each.is_ready for each in tensors.values())
    if not whole or mapped.metadata.get("source") != source_of(layout):
        return None
    with suppress(OSError):
        os.utime(path)  # it was used
    return {name: tensor.array() for name, tensor in tensors.items()}


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While no other session makes a copy. Raises Unshared where one takes too long, OSError."""
    try:
        import fcntl
    except ImportError:  # not here; two may then make the same copy, and the last one stays
        yield
        return
    handle = open_kept(folder / ".lock")
    try:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Unshared(f"another session has been writing to {folder} for long") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def copies(folder: Path) -> list[Copy]:
    """The files of the cache, those first that were used longest ago."""
    found = []
    for path in folder.glob("*.safetensors"):
        with suppress(OSError):  # gone meanwhile
            status = path.lstat()
            found.append(Copy(path, status.st_size, status.st_mtime, name_in(path)))
    return sorted(found, key=lambda copy: copy.used)


def name_in(path: Path) -> str:
    """Which model a copy is of, as it says itself."""
    try:
        return opened(path).metadata.get("of", "")
    except CheckpointError:
        return ""


def make_room(folder: Path, size: int) -> None:
    """Let go of old copies, until one more of a size keeps the bound, and of what was never finished. Raises OSError for a full disk."""
    for part in folder.glob(f".*{PART}"):
        with suppress(OSError):
            if time.time() - part.lstat().st_mtime > ABANDONED:
                part.unlink()
    found = copies(folder)
    while found and size + sum(copy.bytes for copy in found) > MOST:
        found.pop(0).path.unlink(missing_ok=True)
    if shutil.disk_usage(folder).free < size + DISK:
        raise OSError(28, f"the disk has less than {megabytes(size + DISK)} free", str(folder))


def write(path: Path, layout: Layout) -> None:
    """Make the copy, a few numbers at a time. Raises OSError."""
    write_whole(path, pieces_of(layout), private=True, lasting=True)


def pieces_of(layout: Layout) -> Iterator[bytes | memoryview]:
    """The copy's bytes in their order."""
    metadata = {"format": FORMAT, "source": source_of(layout), "of": shown(str(layout.folder), 300)}
    yield header_of(((name, "F32", stored.entry.shape) for name, stored in layout.unready.items()), metadata)
    for stored in layout.unready.values():
        for chunk in stored.chunks():
            yield np.ascontiguousarray(chunk, dtype="<f4").data


def require_equal(layout: Layout) -> int | None:
    """How many bytes a model's copy has, each of its numbers compared with the weights'; None where there is no copy.

    Raises CheckpointError for another number; the copy is then taken away.
    """
    try:
        path = place_of(layout)
        found = matching(path, layout) if layout.unready else None
    except Unshared:
        return None
    if found is None:
        return None
    for name, stored in layout.unready.items():
        flat, at = found[name].reshape(-1), 0
        for chunk in stored.chunks():
            if chunk.tobytes() != flat[at : at + len(chunk)].tobytes():
                path.unlink(missing_ok=True)
                raise CheckpointError(f"The copy {path} held other numbers than the weights; it is taken away, and made again when needed.")
            at += len(chunk)
    return layout.copied_bytes


def listed() -> tuple[Path, list[Copy]]:
    """The cache's folder and what is in it. Raises CheckpointError where the user has no home, and where a link of another leads there."""
    try:
        folder = cache_folder()
        with suppress(FileNotFoundError):  # no folder, no copies
            folder = followed(folder)
    except Unshared as why:
        raise CheckpointError(f"There are no shared copies of weights: {why}.") from None
    except OSError as error:
        raise CheckpointError(f"The shared copies of weights can't be looked at in {folder}: {reason(error)}.") from None
    return folder, copies(folder)


def clear(found: Iterable[Copy]) -> None:
    """Take copies away; sessions that have one open keep it until they end. Raises CheckpointError."""
    for copy in found:
        try:
            copy.path.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(f"The shared copy {copy.path} can't be removed: {reason(error)}.") from None
