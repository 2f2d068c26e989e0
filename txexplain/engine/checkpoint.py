"""Safetensors files as named, read-only arrays: mapped, not read, and every claim of the header checked first.

The format: 8 bytes with the header's length, a JSON header {name: {dtype, shape, data_offsets}}, then the numbers.
The library copies tensors and can't give BF16 to NumPy, so the header is read here.
Source: https://huggingface.co/docs/safetensors (format) and its Rust reader, whose checks these are, and a few more.
"""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.bounded import TooMuch, load_json
from txexplain.engine.config import GPT2Config, read_json
from txexplain.engine.memory import free_memory
from txexplain.engine.steps import sizes, weight_letters
from txexplain.errors import CheckpointError, ExplainError, reason
from txexplain.files import megabytes
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
FLOAT_DTYPES = ("F32", "F16", "BF16")
AT_ONCE = 1 << 22  # numbers that are widened or compared in one go
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.ckpt.index")
NO_PICKLES = "which can run code when it is opened; save it as safetensors (transformers: save_pretrained) and open that"


@dataclass(frozen=True)
class Source:
    """A file, and how an error says so."""

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
    file: Path

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
            yield as_array(self.data, part)
        let_go(self.data)


@dataclass(frozen=True)
class Layout:
    """A GPT-2 as its config and its files' headers tell it; no number of it was read."""

    config: GPT2Config
    stored: Mapping[str, Stored]  # under GPT-2's names, without the `transformer.` prefix
    folder: Path
    files: tuple[Path, ...]
    identity: str  # another one once a file was written to

    @property
    def dtype(self) -> str:
        return ", ".join(sorted({stored.entry.dtype for stored in self.stored.values()}))

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers each weight has."""
        return {name: stored.size for name, stored in self.stored.items()}

    @property
    def unready(self) -> dict[str, Stored]:
        """The weights that must be copied to be float32."""
        return {name: stored for name, stored in self.stored.items() if not stored.is_ready}

    @property
    def copied_bytes(self) -> int:
        """What those take."""
        return sum(4 * stored.size for stored in self.unready.values())


@dataclass(frozen=True)
class Checkpoint:
    """A GPT-2's config and weights: float32, read-only, under GPT-2's names without the `transformer.` prefix."""

    config: GPT2Config
    tensors: Mapping[str, Floats]
    folder: Path
    files: tuple[Path, ...]
    dtype: str  # as stored: "F16", or "F16, F32" where they differ


def read_safetensors(
    path: Path, *, what: str = "checkpoint", error: type[ExplainError] = CheckpointError
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors of a file in the order of their bytes, and its metadata strings.

    Each tensor is a read-only view of one memory map; F16 and BF16 are widened to float32, a copy.
    `what` says in an error what the file is. Raises `error`: one sentence that names the file, and the tensor where it is about one.
    """
    source = Source(path, what, error)
    mapped = map_safetensors(source)
    stored = [Stored(entry, mapped.data, path) for entry in mapped.entries]
    copied = sum(4 * each.size for each in stored if each.entry.dtype in FLOAT_DTYPES and not each.is_ready)
    if (free := free_memory()) is not None and copied > free:
        raise source.refusal(f"must be copied to float32, which takes {megabytes(copied)} of memory, and {megabytes(free)} are free")
    return {entry.name: as_array(mapped.data, entry) for entry in mapped.entries}, mapped.metadata


def map_safetensors(source: Source, opener: Callable[[str, int], int] | None = None) -> Mapped:
    """Map a file and check its header. `opener` opens it, as open()'s does."""
    try:
        kind = source.path.stat().st_mode
        if not stat.S_ISREG(kind):  # to open a pipe would wait for its writer
            raise source.refusal(f"is a {'folder' if stat.S_ISDIR(kind) else 'device or pipe'}, not a .safetensors file")
        with open(source.path, "rb", opener=opener) as file:
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
            raise source.refusal(f"is a PyTorch pickle, {NO_PICKLES}")
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
    try:
        text.decode("utf-8")  # JSON may be UTF-16 elsewhere, here not
        header = load_json(text, MOST_VALUES, object_pairs_hook=unique, parse_int=natural, parse_constant=no_constant)
    except TooMuch:
        raise source.refusal(f"has a header of more than {MOST_VALUES:,} values, which no GPT-2 needs; fetch it again") from None
    except (ValueError, RecursionError) as problem:
        why = str(problem) if isinstance(problem, HeaderError) else "isn't valid JSON"
        raise source.refusal(f"has a header that {why}; fetch it again") from None
    if not isinstance(header, dict):
        raise source.refusal("has a header that isn't a JSON object; fetch it again")
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
        raise wrong(f"has the dtype {shown(dtype, 20)}, which isn't one that txexplain reads: {', '.join(DTYPES)}")
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


def open_checkpoint(path: Path, widened: Callable[[Layout], Mapping[str, Floats]] | None = None) -> Checkpoint:
    """Open a GPT-2: a folder with config.json and model.safetensors or shards with their index, or a .safetensors file beside its config.

    Every weight's presence, dtype and shape is checked against the config; its numbers are not looked at.
    `widened` makes the weights that aren't float32 as they are stored; by default in memory of this process alone.
    Raises CheckpointError: one sentence that names the file, and the tensor where it is about one.
    """
    layout = read_layout(path)
    copies = (widened or widened_here)(layout) if layout.unready else {}
    tensors: dict[str, Floats] = {name: copies[name] if name in copies else stored.array() for name, stored in layout.stored.items()}
    return Checkpoint(layout.config, MappingProxyType(tensors), layout.folder, layout.files, layout.dtype)


def read_layout(path: Path) -> Layout:
    """What open_checkpoint opens, by its config and headers alone. Raises CheckpointError."""
    folder, files, weight_map, source = find_files(path)
    config = GPT2Config.from_file(folder / "config.json")
    stored, identity = gather(files, weight_map)
    shapes = weight_shapes(config, with_head="lm_head.weight" in stored or not config.tie_word_embeddings)
    for name, shape in shapes.items():
        if name not in stored:
            raise source.refusal(f"lacks the tensor {name}, which its config.json asks for; it isn't a whole GPT-2")
        require_fit(stored[name], name, shape)
    require_no_more_blocks(stored, config)
    if config.tie_word_embeddings and "lm_head.weight" in shapes:
        # As transformers 5 does: a head of its own is used, whatever the config says; an equal one is only a copy of wte.
        if all(np.array_equal(a, b) for a, b in zip(stored["lm_head.weight"].chunks(), stored["wte.weight"].chunks(), strict=True)):
            del shapes["lm_head.weight"]
        else:
            config = replace(config, tie_word_embeddings=False)
    return Layout(config, {name: stored[name] for name in shapes}, folder, files, identity)


def widened_here(layout: Layout, otherwise: str = "") -> dict[str, Floats]:
    """The weights that aren't float32 as they are stored, in memory of this process alone.

    `otherwise`: why nothing better could be done. Raises CheckpointError where there isn't so much memory.
    """
    free = free_memory()
    if free is not None and layout.copied_bytes > free:
        raise no_memory(layout, f"{megabytes(free)} are free", otherwise)
    found: dict[str, Floats] = {}
    try:
        for name, stored in layout.unready.items():
            found[name] = whole = np.empty(stored.entry.shape, dtype=np.float32)
            flat, at = whole.reshape(-1), 0
            for chunk in stored.chunks():
                flat[at : at + len(chunk)] = chunk
                at += len(chunk)
            whole.flags.writeable = False
    except MemoryError:
        raise no_memory(layout, "the system doesn't give that", otherwise) from None
    return found


def no_memory(layout: Layout, lack: str, otherwise: str) -> CheckpointError:
    why = f" (and {otherwise})" if otherwise else ""
    return CheckpointError(
        f"The checkpoint {layout.folder} stores its weights as {layout.dtype}: in float32 they take {megabytes(layout.copied_bytes)} of "
        f"memory, and {lack}{why}; close other programs, or open a smaller model."
    )


def find_files(path: Path) -> tuple[Path, tuple[Path, ...], dict[str, Path], Source]:
    """Where a checkpoint's parts are: its folder, its weight files, the tensors' files as an index says, the file to blame for a lack."""
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
        single = path / "model.safetensors" if is_folder else path
        index = path / "model.safetensors.index.json"
        has_single = single.exists()
        has_index = is_folder and index.exists()
        pickle = next((name for name in PICKLES if is_folder and (path / name).exists()), None)
    except (OSError, ValueError) as problem:
        raise Source(path, "checkpoint", CheckpointError).refusal(f"can't be read: {reason(problem)}") from None
    if has_single:
        return single.parent, (single,), {}, Source(single, "checkpoint", CheckpointError)
    if has_index:
        weight_map = read_index(index)
        return path, tuple(dict.fromkeys(weight_map.values())), weight_map, Source(index, "checkpoint", CheckpointError)
    source = Source(path, "checkpoint", CheckpointError)
    if pickle:
        raise source.refusal(f"has its weights only in {pickle}, a pickle, {NO_PICKLES}")
    raise source.refusal("has no model.safetensors and no model.safetensors.index.json; name a folder that holds a GPT-2")


def read_index(index: Path) -> dict[str, Path]:
    """Each tensor's file, from the index of a checkpoint in shards; every file lies in the index's own folder."""
    content = read_json(index, "it says which shard holds which tensor")
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not weight_map or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{index} has no weight_map that says which shard holds which tensor; fetch it again.")
    for name in sorted(set(weight_map.values())):
        if not re.fullmatch(r"[\w.-]+\.safetensors", name):
            raise CheckpointError(f"{index} names the shard {shown(name)}, which isn't a .safetensors file in the same folder.")
        if not os.path.exists(index.parent / name):  # noqa: PTH110 - Path.exists raises for a link to too long a name
            raise CheckpointError(f"{index} names the shard {name}, which isn't there; fetch it too.")
    return {tensor: index.parent / name for tensor, name in sorted(weight_map.items(), key=lambda item: item[1])}


def gather(files: Iterable[Path], weight_map: Mapping[str, Path]) -> tuple[dict[str, Stored], str]:
    """The tensors of all files, by their names without `transformer.`, and the files' identity."""
    stored: dict[str, Stored] = {}
    identities: list[str] = []
    for file in files:
        source = Source(file, "checkpoint", CheckpointError)
        mapped = map_safetensors(source)
        identities.append(mapped.identity)
        for entry in mapped.entries:
            name = entry.name.removeprefix("transformer.")
            if name in stored:
                raise source.refusal(f"holds the tensor {shown(name)}, which is there already, in {stored[name].file.name}")
            stored[name] = Stored(entry, mapped.data, file)
    for tensor, file in weight_map.items():
        found = stored.get(tensor.removeprefix("transformer."))
        if found is None or found.file != file:
            raise Source(file, "checkpoint", CheckpointError).refusal(f"lacks the tensor {shown(tensor)}, which the index says it holds")
    return stored, "\n".join(identities)


def weight_shapes(config: GPT2Config, *, with_head: bool) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight of a GPT-2."""
    return {name: sizes(letters, config) for name, letters in weight_letters(config.n_layer, with_head=with_head).items()}


def require_fit(stored: Stored, name: str, shape: tuple[int, ...]) -> None:
    """Raise CheckpointError unless a weight has a dtype that can be read and the shape that the config asks for."""
    source = Source(stored.file, "checkpoint", CheckpointError)
    if stored.entry.dtype not in FLOAT_DTYPES:
        raise source.refusal(f"stores {name} as {stored.entry.dtype}; txexplain reads weights in {', '.join(FLOAT_DTYPES)}")
    if stored.entry.shape != shape:
        raise source.refusal(f"stores {name} in the shape {shown(list(stored.entry.shape))}, but its config.json asks for {list(shape)}")


def require_no_more_blocks(stored: Mapping[str, Stored], config: GPT2Config) -> None:
    """Raise CheckpointError where the files hold blocks that the config doesn't know of: half a model must not pass for one."""
    for name, tensor in stored.items():
        block = re.match(r"h\.(\d{1,9})\.", name)
        if block and int(block[1]) >= config.n_layer:
            source = Source(tensor.file, "checkpoint", CheckpointError)
            raise source.refusal(
                f"holds {shown(name)}, but its config.json says n_layer = {config.n_layer}; one of the two is another model's"
            )
