"""A case: a small folder of files, some of which may be no files at all; how it is written to disk and to the corpus."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What may lie where a file is expected.
KINDS = ("link", "folder", "pipe", "locked")


@dataclass(frozen=True)
class Odd:
    """Something in a file's place: a "link" to `content`, a "folder", a "pipe", or a file of `content` that is "locked" (mode 0)."""

    kind: str
    content: bytes = b""


Item = bytes | Odd


@dataclass(frozen=True)
class Case:
    """The files of one execution by their names, and what else it needs (the place to look at, a size, …)."""

    files: dict[str, Item]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return str(self.options.get("folder", "case"))

    @property
    def locked(self) -> bool:
        return any(isinstance(item, Odd) and item.kind == "locked" for item in self.files.values())

    def with_file(self, name: str, item: Item | None) -> Case:
        files = {key: value for key, value in self.files.items() if key != name or item is not None}
        return Case(files | ({} if item is None else {name: item}), self.options)

    def write(self, root: Path) -> Path:
        """The case's folder, written anew: no file is ever written over, for somebody may have it mapped."""
        folder = root / self.folder
        clear(root)
        folder.mkdir()
        for name, item in self.files.items():
            put(folder / name, item)
        return folder


def put(path: Path, item: Item) -> None:
    if isinstance(item, bytes):
        path.write_bytes(item)
    elif item.kind == "link":
        path.symlink_to(os.fsdecode(item.content))
    elif item.kind == "folder":
        path.mkdir()
    elif item.kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(item.content)
        path.chmod(0)


def clear(root: Path) -> None:
    for entry in os.scandir(root):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink()


def to_json(case: Case) -> dict[str, Any]:
    """A case as JSON: text as text, bytes packed."""
    return {"options": case.options, "files": {name: item_to_json(item) for name, item in case.files.items()}}


def item_to_json(item: Item) -> Any:
    if isinstance(item, Odd):
        return {item.kind: item_to_json(item.content)}
    try:
        text = item.decode()
    except UnicodeDecodeError:
        text = None
    packed = base64.b85encode(zlib.compress(item, 9)).decode()
    return text if text is not None and len(json.dumps(text)) <= len(packed) + 20 else {"packed": packed}


def from_json(fields: dict[str, Any]) -> Case:
    return Case({name: item_from_json(item) for name, item in fields["files"].items()}, fields["options"])


def item_from_json(item: Any) -> Item:
    if isinstance(item, str):
        return item.encode()
    ((kind, content),) = item.items()
    if kind == "packed":
        return zlib.decompress(base64.b85decode(content))
    inside = item_from_json(content)
    assert isinstance(inside, bytes)
    return Odd(kind, inside)


def root_reads_all() -> bool:
    """Whether this process may read a file of mode 0."""
    return os.geteuid() == 0


def content(path: Path) -> bytes:
    """What a regular file holds; a pipe isn't waited for. Raises OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is no file")
    return path.read_bytes()
