"""Safetensors files as named, read-only arrays: mapped, not read, and every claim of the header checked first. And how they are written.

The format: 8 bytes with the header's length, a JSON header {name: {dtype, shape, data_offsets}}, then the numbers.
The library copies tensors, can't give BF16 to NumPy, and writes metadata in another order each time, so the header is read and made here.
Source: https://huggingface.co/docs/safetensors (format) and its Rust reader, whose checks these are, and a few more.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.bounded import TooMuch, load_json
from txexplain.engine.memory import free_memory
from txexplain.errors import CheckpointError, ExplainError, reason
from txexplain.files import megabytes, only_regular
from txexplain.text import shown

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

LONGEST_HEADER = 20_000_000  # bytes: some 100 for each tensor of the deepest model are 2 MB, a long trace's prompt and tokens some more
LONGEST_OF_FORMAT = 100_000_000
MOST_VALUES = 500_000  # of a header: ten for each tensor
DTYPES: dict[str, str] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
FLOAT_DTYPES = ("F64", "F32", "F16", "BF16")
AT_ONCE = 1 << 22  # numbers that are brought to float32 or compared in one go
ALIGNED = 64  # bytes: where the numbers of a file that is written here begin
NO_ARCHIVES = (
    "is a pickle, or an archive of arrays (.pt, .npz), and neither is opened; in the Python that reads it, "
    'safetensors.numpy.save_file({"ids": ids, "blocks.0.attn.pattern": pattern, …}, "trace.safetensors") writes what is'
)
NO_PICKLES = "which can run code when it is opened; save it as safetensors (transformers: save_pretrained) and open that"


@dataclass(frozen=True)
class Source:
    """A file, or something else that tensors come from, and how an error says so."""

    path: Path
    what: str
    error: type[ExplainError]

    def refusal(self, sentence: str) -> ExplainError:
        return self.error(f"The {self.what} {self.path} {sentence}.")


@dataclass(frozen=True)
class Entry:
    """One tensor as a header describes it: its stored dtype, its shape, and its bytes' place behind the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Mapped:
    """A file in memory, its header read and checked."""

    data: Bytes  # behind the header
    entries: list[Entry]  # in the order of their bytes
    metadata: dict[str, str]
    identity: str  # another one once the file was written to: its size, its times, a digest of its header


@dataclass(frozen=True)
class Stored:
    """One tensor of a mapped file."""

    entry: Entry
    data: Bytes
    source: Source

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.entry.shape)

    @property
    def is_ready(self) -> bool:
        """Whether the file's own bytes are its numbers in float32, so that nothing is copied."""
        return self.entry.dtype == "F32" and (self.data.ctypes.data + self.entry.start) % 4 == 0

    def array(self) -> NDArray[Any]:
        return as_array(self.data, self.entry)

    def chunks(self) -> Iterator[Floats]:
        """Its numbers in float32, in order, a few at a time. What was read of the file doesn't stay with this process."""
        size = np.dtype(DTYPES[self.entry.dtype]).itemsize
        for start in range(self.entry.start, self.entry.end, AT_ONCE * size):
            end = min(start + AT_ONCE * size, self.entry.end)
            part = Entry(self.entry.name, self.entry.dtype, ((end - start) // size,), start, end)
            with np.errstate(over="ignore"):  # of float64: what no float32 holds becomes infinite, which a run or `verify` names
                yield as_array(self.data, part).astype(np.float32, copy=False)
        let_go(self.data)

    def equals(self, other: Stored) -> bool:
        """Whether both hold the same numbers."""
        if self.entry.shape != other.entry.shape:
            return False
        return all(np.array_equal(a, b) for a, b in zip(self.chunks(), other.chunks(), strict=True))


def read_safetensors(
    path: Path, *, what: str = "checkpoint", error: type[ExplainError] = CheckpointError
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors of a file in the order of their bytes, and its metadata strings.

    Each tensor is a read-only view of one memory map; F16 and BF16 are widened to float32, a copy.
    `what` says in an error what the file is. Raises `error`: one sentence that names the file, and the tensor where it is about one.
    """
    source = Source(path, what, error)
    mapped = map_safetensors(source)
    stored = [Stored(entry, mapped.data, source) for entry in mapped.entries]
    require_memory_for(stored, source)
    return {entry.name: as_array(mapped.data, entry) for entry in mapped.entries}, mapped.metadata


def require_memory_for(stored: Iterable[Stored], source: Source) -> None:
    """Raise the source's error where there isn't so much memory as tensors take that aren't float32 as they are stored."""
    copied = sum(4 * each.size for each in stored if each.entry.dtype in FLOAT_DTYPES and not each.is_ready)
    if (free := free_memory()) is not None and copied > free:
        raise source.refusal(f"must be copied to float32, which takes {megabytes(copied)} of memory, and {megabytes(free)} are free")


def map_safetensors(source: Source, opener: Callable[[str, int], int] | None = None) -> Mapped:
    """Map a file and check its header. `opener` opens it, as open()'s does; by default nothing but a regular file."""
    try:
        kind = source.path.stat().st_mode
        if not stat.S_ISREG(kind):  # to open a pipe would wait for its writer
            raise source.refusal(f"is a {'folder' if stat.S_ISDIR(kind) else 'device or pipe'}, not a .safetensors file")
        with open(source.path, "rb", opener=opener or only_regular) as file:
            status = os.fstat(file.fileno())
            start = file.read(8)
            length = header_length(start, status.st_size, source)
            text = file.read(length)
            if len(text) < length:
                raise source.refusal("became shorter while it was read; open it again")
            mapped: Bytes = np.asarray(np.memmap(file, dtype=np.uint8, mode="r"))
    except (OSError, ValueError) as problem:
        raise source.refusal(f"can't be read: {reason(problem)}") from None
    data = mapped[8 + length :]
    entries, metadata = parse_header(text, source)
    require_exact_cover(entries, len(data), source)
    identity = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {hashlib.sha256(text).hexdigest()}"
    return Mapped(data, entries, metadata, identity)


def header_length(start: bytes, size: int, source: Source) -> int:
    """How many bytes the header has, from the file's first eight."""
    if len(start) < 8:
        raise source.refusal(f"has {size} bytes, too few for a safetensors file; fetch it again")
    length = int.from_bytes(start, "little")
    if length > LONGEST_HEADER:
        if re.match(rb"PK\x03\x04|\x80[\x02-\x05]", start):
            raise source.refusal(NO_ARCHIVES if source.what == "trace" else f"is a PyTorch pickle, {NO_PICKLES}")
        if start == b"version ":
            raise source.refusal("is only Git LFS's pointer to a file; fetch the file itself with `git lfs pull`")
        if length <= min(LONGEST_OF_FORMAT, size - 8):
            raise source.refusal(f"has a header of {megabytes(length)}; txexplain reads at most {megabytes(LONGEST_HEADER)} of one")
        raise source.refusal("isn't a safetensors file: its first 8 bytes, the length of its header, are out of bounds")
    if length > size - 8:
        raise source.refusal(f"says that its header has {length} bytes, but ends before that: it is cut short; fetch it again")
    return length


def parse_header(text: bytes, source: Source) -> tuple[list[Entry], dict[str, str]]:
    """The entries of a header by their bytes' place, and its metadata."""
    if not text.startswith(b"{"):  # as the format says; Python's JSON would take a byte order mark before it
        raise source.refusal("has a header that isn't a JSON object; fetch it again")
    try:
        text.decode("utf-8")  # JSON may be UTF-16 elsewhere, here not
        header = load_json(text, MOST_VALUES, object_pairs_hook=unique, parse_int=natural, parse_constant=no_constant)
    except TooMuch:
        raise source.refusal(f"has a header of more than {MOST_VALUES:,} values, which no GPT-2 needs; fetch it again") from None
    except (ValueError, RecursionError) as problem:
        why = str(problem) if isinstance(problem, HeaderError) else "isn't valid JSON"
        raise source.refusal(f"has a header that {why}; fetch it again") from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise source.refusal("has a header whose __metadata__ doesn't map strings to strings; fetch it again")
    entries = [read_entry(name, fields, source) for name, fields in header.items()]
    return sorted(entries, key=lambda entry: (entry.start, entry.end)), metadata


class HeaderError(ValueError):
    """What is wrong with a header that is valid JSON to Python."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise HeaderError(f"says {shown(name)} twice")
        for text in (name, value):
            if isinstance(text, str):
                text.encode()  # a lone surrogate, which JSON's \\u can spell, is no text
        fields[name] = value
    return fields


def natural(digits: str) -> int:
    if digits.startswith("-"):
        raise HeaderError(f"holds the negative number {shown(digits, 20)}")
    return int(digits)


def no_constant(name: str) -> None:
    raise HeaderError(f"holds {name}")


def read_entry(name: str, fields: Any, source: Source) -> Entry:
    """One tensor's claims, checked against each other."""

    def wrong(sentence: str) -> ExplainError:
        return source.refusal(f"has a header whose entry for {shown(name)} {sentence}")

    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise wrong("isn't a dtype, a shape and data_offsets; fetch it again")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        readable = ", ".join(FLOAT_DTYPES)
        raise wrong(f"has the dtype {shown(dtype, 20)}; weights are read in {readable}: save it as one of these (PyTorch: model.float())")
    if not is_sizes(shape) or len(shape) > 32 or not is_sizes(offsets) or len(offsets) != 2:
        raise wrong("has a shape or data_offsets that aren't lists of sizes; fetch it again")
    itemsize = np.dtype(DTYPES[dtype]).itemsize
    if math.prod(size for size in shape if size) * itemsize >= 1 << 63:  # NumPy's bound, for an empty array too
        raise wrong("has a shape that is too large; fetch it again")
    start, end = offsets
    if end - start != math.prod(shape) * itemsize:
        raise wrong(f"gives it {end - start} bytes, but {dtype} {shown(shape, 40)} takes {math.prod(shape) * itemsize}; fetch it again")
    return Entry(name, dtype, tuple(shape), start, end)


def is_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 63 for value in values)


def require_exact_cover(entries: Iterable[Entry], size: int, source: Source) -> None:
    """The tensors must lie one behind the other, from the header to the end of the file."""
    at = 0
    for entry in entries:
        if entry.start != at:
            how = "overlaps the tensor before it" if entry.start < at else "leaves a gap before it"
            raise source.refusal(f"has a header in which {shown(entry.name)} {how}; fetch it again")
        if entry.end > size:
            raise source.refusal(
                f"is cut short: {shown(entry.name)} should end at byte {entry.end} of the data, which has {size}; fetch it again"
            )
        at = entry.end
    if at != size:
        raise source.refusal(f"has {size - at} bytes behind its last tensor; fetch it again")


def as_array(data: Bytes, entry: Entry) -> NDArray[Any]:
    """One tensor as a read-only array; a copy only where its place isn't aligned, or where it must be widened."""
    raw = data[entry.start : entry.end]
    dtype = np.dtype(DTYPES[entry.dtype])
    if raw.ctypes.data % dtype.itemsize:
        raw = raw.copy()
    array: NDArray[Any] = raw.view(dtype)
    if entry.dtype == "BF16":
        array = np.left_shift(array, 16, dtype=np.uint32).view(np.float32)  # the upper half of a float32
    elif entry.dtype == "F16":
        array = array.astype(np.float32)
    array = array.reshape(entry.shape)
    array.flags.writeable = False
    return array


def let_go(data: NDArray[Any]) -> None:
    """Tell the system that this process doesn't need the pages of a mapped file now; they come back when they are looked at."""
    while isinstance(data, np.ndarray) and not isinstance(data, np.memmap):
        data = data.base  # type: ignore[assignment]
    with suppress(AttributeError, OSError, ValueError):  # not mapped, or a system without that
        data._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


def header_of(tensors: Iterable[tuple[str, str, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """What a file begins with: its header's length and the header, for tensors (name, dtype, shape) in the order of their bytes.

    The same tensors and metadata give the same bytes.
    """
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    at = 0
    for name, dtype, shape in tensors:
        end = at + math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode("ascii")
    text += b" " * (-(8 + len(text)) % ALIGNED)
    return len(text).to_bytes(8, "little") + text
