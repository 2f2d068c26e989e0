"""Safetensors files as named, read-only arrays: mapped, not read, and every claim of the header checked first.

The format: 8 bytes with the header's length, a JSON header {name: {dtype, shape, data_offsets}}, then the numbers.
The library copies tensors and can't give BF16 to NumPy, so the header is read here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.config import GPT2Config, reason
from txexplain.engine.errors import CheckpointError, ExplainError

Floats = NDArray[np.float32]

LONGEST_HEADER = 100_000_000  # bytes; the format's own bound
DTYPES: dict[str, str] = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
FLOAT_DTYPES = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class Entry:
    """One tensor of a header: its stored dtype, its shape, and where its bytes lie behind the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Checkpoint:
    """A GPT-2's config and weights: float32, read-only, under GPT-2's names without the `transformer.` prefix."""

    config: GPT2Config
    tensors: Mapping[str, Floats]
    folder: Path
    files: tuple[Path, ...]
    dtype: str  # as stored: F32, F16 or BF16; the first where they differ


def read_safetensors(
    path: Path, *, what: str = "checkpoint", error: type[ExplainError] = CheckpointError
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors of a file and its metadata strings.

    F32 and integers are read-only views of one memory map; F16 and BF16 are widened to float32, a copy.
    Raises `error` with one sentence that names the file, and the tensor where there is one.
    """
    data, entries, metadata = open_safetensors(path, what, error)
    return {entry.name: tensor(data, entry) for entry in entries}, metadata


def open_safetensors(path: Path, what: str, error: type[ExplainError]) -> tuple[NDArray[np.uint8], list[Entry], dict[str, str]]:
    """Map a file and check its header: the bytes behind the header, the entries in the order of their bytes, the metadata."""
    try:
        if path.is_dir():
            raise error(f"{path} is a folder, but a {what} is a .safetensors file.")
        size = path.stat().st_size
        if size < 8:
            raise error(f"{path} has {size} bytes, too few for a safetensors file; fetch it again.")
        mapped = np.memmap(path, dtype=np.uint8, mode="r")
    except OSError as problem:
        raise error(f"{path} can't be read: {reason(problem)}.") from None
    raw: NDArray[np.uint8] = np.asarray(mapped)
    length = int.from_bytes(raw[:8].tobytes(), "little")
    if length > min(len(raw) - 8, LONGEST_HEADER):
        raise error(f"{path} says that its header has {length} bytes, but the file ends before that: it is cut short or isn't a safetensors file.")
    header = parse_header(raw[8 : 8 + length].tobytes(), path, error)
    data = raw[8 + length :]
    metadata = read_metadata(header.pop("__metadata__", {}), path, error)
    entries = sorted((read_entry(name, fields, path, error) for name, fields in header.items()), key=lambda e: (e.start, e.end))
    require_exact_cover(entries, len(data), path, error)
    return data, entries, metadata


def parse_header(text: bytes, path: Path, error: type[ExplainError]) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise ValueError("a name stands twice")
        return fields

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as problem:
        twice = "a name stands twice" in str(problem)
        why = "names a tensor twice" if twice else "isn't valid JSON"
        raise error(f"{path}: the safetensors header {why}; fetch the file again.") from None
    if not isinstance(header, dict):
        raise error(f"{path}: the safetensors header isn't a JSON object; fetch the file again.")
    return header


def read_metadata(metadata: Any, path: Path, error: type[ExplainError]) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise error(f"{path}: the header's __metadata__ must map strings to strings.")
    return metadata


def read_entry(name: str, fields: Any, path: Path, error: type[ExplainError]) -> Entry:
    """One tensor's claims, checked against each other."""

    def wrong(what: str) -> ExplainError:
        return error(f"{path}: the header's entry for {shown(name)} {what}.")

    if not isinstance(fields, dict) or fields.keys() != {"dtype", "shape", "data_offsets"}:
        raise wrong("must have a dtype, a shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise wrong(f"has the dtype {shown(dtype)}, which isn't one that txexplain reads ({', '.join(DTYPES)})")
    if not is_sizes(shape) or not is_sizes(offsets) or len(offsets) != 2 or len(shape) > 32:
        raise wrong("has a shape or offsets that aren't lists of whole numbers")
    size = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if offsets[1] - offsets[0] != size:
        raise wrong(f"claims {offsets[1] - offsets[0]} bytes, but {dtype} {shape} takes {size}")
    return Entry(name, dtype, tuple(shape), offsets[0], offsets[1])


def is_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 48 for value in values)


def shown(value: object) -> str:
    """A name from a file, short and on one line."""
    text = ascii(value)
    return text if len(text) <= 80 else text[:77] + "…"


def require_exact_cover(entries: list[Entry], size: int, path: Path, error: type[ExplainError]) -> None:
    """The tensors must lie one behind the other, from the header to the end of the file."""
    at = 0
    for entry in entries:
        if entry.end > size:
            raise error(f"{path} is cut short: {shown(entry.name)} should end at byte {entry.end} of the data, which has {size}; fetch the file again.")
        if entry.start != at:
            raise error(f"{path}: {shown(entry.name)} overlaps another tensor or leaves a gap before it; fetch the file again.")
        at = entry.end
    if at != size:
        raise error(f"{path} has {size - at} bytes behind its last tensor; fetch the file again.")


def tensor(data: NDArray[np.uint8], entry: Entry) -> NDArray[Any]:
    """One tensor as a read-only array; a copy only where its place in the file isn't aligned, or where it must be widened."""
    dtype = np.dtype(DTYPES[entry.dtype])
    raw = data[entry.start : entry.end]
    if raw.ctypes.data % dtype.itemsize:
        raw = raw.copy()
    array: NDArray[Any] = raw.view(dtype).reshape(entry.shape)
    if entry.dtype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif entry.dtype == "F16":
        array = array.astype(np.float32)
    array.flags.writeable = False
    return array


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a folder with config.json and safetensors (one file, or shards with an index), or such a file itself.

    Raises CheckpointError: one sentence that names the file, and the tensor where there is one.
    """
    folder = path if path.is_dir() else path.parent
    config = GPT2Config.from_file(folder / "config.json")
    files = [path] if not path.is_dir() else weight_files(folder)
    stored: dict[str, tuple[NDArray[np.uint8], Entry, Path]] = {}
    for file in files:
        data, entries, _ = open_safetensors(file, "checkpoint", CheckpointError)
        for entry in entries:
            name = entry.name.removeprefix("transformer.")
            if name in stored:
                raise CheckpointError(f"{file}: the weight {shown(name)} is there twice.")
            stored[name] = (data, entry, file)
    tensors: dict[str, Floats] = {}
    for name, shape in weight_shapes(config).items():
        if name not in stored:
            raise CheckpointError(f"{files[0]} lacks the weight {name}; it isn't a whole GPT-2 checkpoint.")
        data, entry, file = stored[name]
        if entry.dtype not in FLOAT_DTYPES:
            raise CheckpointError(f"{file}: {name} is stored as {entry.dtype}; txexplain reads weights in {', '.join(FLOAT_DTYPES)}.")
        if entry.shape != shape:
            raise CheckpointError(f"{file}: {name} has the shape {list(entry.shape)}, but config.json asks for {list(shape)}.")
        tensors[name] = tensor(data, entry)
    return Checkpoint(config, tensors, folder, tuple(files), stored["wte.weight"][1].dtype)


def weight_shapes(config: GPT2Config) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight of a GPT-2. A linear layer's weight is [inputs, outputs]."""
    d, m = config.n_embd, config.n_inner
    block: dict[str, tuple[int, ...]] = {
        "ln_1.weight": (d,), "ln_1.bias": (d,),
        "attn.c_attn.weight": (d, 3 * d), "attn.c_attn.bias": (3 * d,),
        "attn.c_proj.weight": (d, d), "attn.c_proj.bias": (d,),
        "ln_2.weight": (d,), "ln_2.bias": (d,),
        "mlp.c_fc.weight": (d, m), "mlp.c_fc.bias": (m,),
        "mlp.c_proj.weight": (m, d), "mlp.c_proj.bias": (d,),
    }  # fmt: skip
    shapes = {"wte.weight": (config.vocab_size, d), "wpe.weight": (config.n_positions, d), "ln_f.weight": (d,), "ln_f.bias": (d,)}
    shapes |= {f"h.{layer}.{name}": shape for layer in range(config.n_layer) for name, shape in block.items()}
    # A tied model's file may still hold lm_head.weight; the model uses wte then, as transformers does.
    return shapes if config.tie_word_embeddings else shapes | {"lm_head.weight": (config.vocab_size, d)}


def weight_files(folder: Path) -> list[Path]:
    """The files that hold a folder's weights."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.exists():
        return [single]
    if index.exists():
        return shards(index)
    others = sorted(folder.glob("*.safetensors"))
    if len(others) == 1:
        return others
    pickles = [name for name in ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.ckpt.index") if (folder / name).exists()]
    if pickles:
        raise CheckpointError(
            f"{folder} holds its weights as {pickles[0]}, which can run code when opened; "
            "save it as safetensors with transformers (save_pretrained) and open that."
        )
    raise CheckpointError(f"{folder} has no model.safetensors and no index of shards; give a folder that holds a GPT-2 checkpoint.")


def shards(index: Path) -> list[Path]:
    """The shard files that an index names, each once, all in the index's own folder."""
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError
    except OSError as problem:
        raise CheckpointError(f"{index} can't be read: {reason(problem)}.") from None
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise CheckpointError(f"{index} isn't an index of shards (a JSON object with a weight_map); fetch it again.") from None
    for name in names:
        if not re.fullmatch(r"[\w.-]+\.safetensors", name):
            raise CheckpointError(f"{index} names the shard {shown(name)}, which isn't a .safetensors file in its own folder.")
        if not (index.parent / name).exists():
            raise CheckpointError(f"{index} names the shard {name}, which isn't there; fetch the checkpoint again.")
    return [index.parent / name for name in names]
