"""A folder that opens, made of what is rightly refused: a pickle, an adapter and its base, other names, transposed matrices.

Tensors go through one at a time, in the order in which they can be read. A pickle is read by a process of its own, see unpickle.py.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from txexplain.bounded import load_json
from txexplain.engine import instead
from txexplain.engine.checkpoint import Found, find_files, fitted, gather, plain_name
from txexplain.engine.config import MOST_VALUES, GPT2Config, read_json
from txexplain.engine.memory import free_memory
from txexplain.engine.safetensors import DTYPES, Entry, Source, Stored, header_length, header_of, parse_header, require_exact_cover
from txexplain.engine.steps import WEIGHTS
from txexplain.errors import CheckpointError
from txexplain.files import make_folder, megabytes, read_whole, write_whole
from txexplain.models.cache import OPEN, TOKENIZER, VOCABULARY
from txexplain.text import shown

MATRICES = tuple(f".{name}" for name, letters in WEIGHTS.items() if len(letters) == 2)  # a block's, [inputs, outputs]
BUFFER = re.compile(r"h\.\d+\.attn\.(masked_)?bias")  # the causal mask, which some versions keep
BEFORE = re.compile(r"(.*?)(?:transformer\.)?wte\.weight")
NANOGPT = {"block_size": "n_positions"} | {name: name for name in ("vocab_size", "n_embd", "n_layer", "n_head")}
ENDLESS = 1 << 62  # bytes: how long a pipe may be
LARGEST = 100_000_000  # bytes of a tokenizer's file
LONGEST_REASON = 300
MOST_NAMED = 5
NO_TOKENIZER = "No tokenizer lies beside it: where its tokens are GPT-2's, open it with --tokenizer gpt2."


@dataclass(frozen=True)
class Given:
    """A tensor on its way: its name as it was found, how it is stored, and its bytes, once, when their turn comes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Parts:
    """What a checkpoint is made of."""

    tensors: Sequence[Given]
    config: dict[str, Any]
    beside: Sequence[Path]  # the folders that may hold its tokenizer, the first one that does counts
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Converted:
    """What was written: how many tensors and bytes, and what is to be said about it."""

    tensors: int
    bytes: int
    notes: tuple[str, ...]


def convert(path: Path, folder: Path, *, base: str | None = None, python: str = sys.executable) -> Converted:
    """Write config.json, model.safetensors and the tokenizer's files of what lies at `path` into a new folder.

    base: the model that an adapter changes, where its own word for it isn't right here. python: one that has PyTorch, for pickles.
    Raises CheckpointError, ModelNotFound for a base that isn't here, OSError where the folder can't be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder} is there already, and isn't an empty folder; name another one.")
    with opened(path, base, python) as parts:
        return write(parts, folder, Source(path, "checkpoint", CheckpointError))


@contextmanager
def opened(path: Path, base: str | None, python: str) -> Iterator[Parts]:
    """What lies at a path. Raises CheckpointError, ModelNotFound."""
    home = path if path.is_dir() else path.parent
    pickles = instead.pickles(path)
    if (home / instead.ADAPTER).is_file() and not (home / instead.WEIGHTS).exists():
        from txexplain.models.adapter import merged, weights

        with tensors_of(weights(home), python) as (tensors, _):
            yield merged(home, tensors, base)
    elif pickles:
        with tensors_of(pickles, python) as (tensors, sizes):
            config, notes = config_of(home, sizes, pickles[0])
            yield Parts(tensors, config, [home], notes)
    else:
        folder, files, _, _ = find_files(path)
        yield Parts(given(gather(files)), fields_of(folder / "config.json"), [folder])


def given(found: Found) -> list[Given]:
    """The tensors of safetensors files."""

    def reader(stored: Stored) -> Callable[[], bytes]:
        return lambda: stored.data[stored.entry.start : stored.entry.end].tobytes()

    return [Given(name, each.entry.dtype, each.entry.shape, reader(each)) for name, each in found.stored.items()]


def fields_of(config: Path) -> dict[str, Any]:
    """A config's fields as they are. Raises CheckpointError."""
    fields = read_json(config, "a checkpoint needs its config.json beside its weights")
    GPT2Config.from_dict(fields, source=str(config))
    return dict(fields)


def config_of(home: Path, sizes: Mapping[str, Any], pickle: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The config beside a pickle, or the one that nanoGPT's sizes make, and what is to be said about that. Raises CheckpointError."""
    if (home / "config.json").exists() or not NANOGPT.keys() <= sizes.keys():
        if not (home / "config.json").exists():
            raise CheckpointError(
                f"{pickle} doesn't tell its model's sizes; put a config.json beside it (n_layer, n_head, n_embd, n_positions, vocab_size)."
            )
        return fields_of(home / "config.json"), ()
    fields = {ours: sizes[theirs] for theirs, ours in NANOGPT.items()}
    end = GPT2Config.bos_token_id if isinstance(sizes["vocab_size"], int) and sizes["vocab_size"] > GPT2Config.bos_token_id else None
    fields |= {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "bos_token_id": end, "eos_token_id": end}
    note = (
        "Its activation is written as gelu, nanoGPT's nn.GELU(); where the model was trained with new_gelu, write gelu_new in config.json."
    )
    return fields | {"activation_function": "gelu"}, (note,)


# Pickles


@contextmanager
def tensors_of(files: Sequence[Path], python: str) -> Iterator[tuple[list[Given], dict[str, Any]]]:
    """The tensors of files, and the sizes that a trainer kept beside them. Raises CheckpointError."""
    if files[0].suffix == ".safetensors":
        yield given(gather(files)), {}
        return
    program = Path(__file__).with_name("unpickle.py")
    command = [python, "-I", str(program), *(str(file.absolute()) for file in files)]
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise CheckpointError(
            f"The Python {shown(python)} can't be run: {error.strerror}; name one that has PyTorch with --python."
        ) from None
    try:
        yield received(child, files[0], python)
    finally:
        child.kill()
        child.communicate()


def received(child: subprocess.Popen[bytes], file: Path, python: str) -> tuple[list[Given], dict[str, Any]]:
    """The tensors that the other process sends, checked as a file's. Raises CheckpointError."""
    assert child.stdout is not None
    pipe, source = child.stdout, Source(file, "checkpoint", CheckpointError)
    start = pipe.read(8)
    if len(start) < 8:
        raise unread(child, file, python)
    text = exactly(pipe, header_length(start, ENDLESS, source), source)
    entries, metadata = parse_header(text, source)
    require_exact_cover(entries, max((entry.end for entry in entries), default=0), source)
    try:
        sizes = load_json(metadata.get("sizes", "{}").encode(), MOST_VALUES)
    except (ValueError, RecursionError):
        sizes = {}

    def reader(entry: Entry) -> Callable[[], bytes]:
        return lambda: exactly(pipe, entry.end - entry.start, source)

    return [Given(entry.name, entry.dtype, entry.shape, reader(entry)) for entry in entries], sizes if isinstance(sizes, dict) else {}


def exactly(pipe: IO[bytes], size: int, source: Source) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise source.refusal("ended while it was read; try again")
    return data


def unread(child: subprocess.Popen[bytes], file: Path, python: str) -> CheckpointError:
    """Why a pickle couldn't be read."""
    _, said = child.communicate()
    why = shown(" ".join(said.decode("utf-8", "replace").split()), LONGEST_REASON)
    if child.returncode == 4:
        return CheckpointError(
            f"{file} can't be read as weights alone ({why}); where it was made, save the weights alone with "
            "torch.save(model.state_dict(), ...), and convert that."
        )
    if child.returncode == 3:
        return CheckpointError(
            f"{file} is a pickle, which PyTorch alone reads, and of {python}: {why}; `pip install torch` there, or name another Python "
            "with --python."
        )
    return CheckpointError(f"{file} can't be read: the process that tried ended with {child.returncode}; it may lack memory.")


# Writing


@dataclass(frozen=True)
class Placed:
    """A tensor with the name that it is written under, and whether it is transposed."""

    given: Given
    name: str
    turned: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return self.given.shape[::-1] if self.turned else self.given.shape

    def data(self) -> bytes:
        raw = self.given.read()
        if not self.turned:
            return raw
        return np.frombuffer(raw, DTYPES[self.given.dtype]).reshape(self.given.shape).T.tobytes()


def write(parts: Parts, folder: Path, source: Source) -> Converted:
    """Write a checkpoint. Raises CheckpointError where its parts don't fit each other, before anything is written; OSError."""
    placed = place(parts.tensors, source)
    kept = required(placed, parts.config, source)
    listed = [(full_name(each.name), each.given.dtype, each.shape) for each in placed if each.name in kept]

    def pieces() -> Iterator[bytes]:
        yield header_of(listed, {"format": "pt"})
        for each in placed:
            data = each.data()  # of what is left out too: a pipe brings one after the other
            if each.name in kept:
                yield data

    require_room(placed, kept, folder, source)
    make_folder(folder, OPEN)
    write_whole(folder / instead.WEIGHTS, pieces())
    write_whole(folder / "config.json", (json.dumps(parts.config, indent=2) + "\n").encode("ascii"))
    notes = parts.notes if copy_tokenizer(parts.beside, folder) else (*parts.notes, NO_TOKENIZER)
    if left := sorted(each.name for each in placed if each.name not in kept and not BUFFER.fullmatch(each.name)):
        notes = (*notes, f"Left out, since no GPT-2 language model has it: {', '.join(shown(name, 40) for name in left[:MOST_NAMED])}.")
    return Converted(len(listed), (folder / instead.WEIGHTS).stat().st_size, notes)


def require_room(placed: Sequence[Placed], kept: set[str], folder: Path, source: Source) -> None:
    """Raise CheckpointError where a tensor doesn't fit into memory, or all of them onto the disk: files may claim more than they hold."""
    sizes = {each.name: math.prod(each.shape) * np.dtype(DTYPES[each.given.dtype]).itemsize for each in placed}
    largest = 2 * max(sizes.values(), default=0)  # as it was read, and as it is written
    if (free := free_memory()) is not None and largest > free:
        raise source.refusal(f"holds a tensor that takes {megabytes(largest)} of memory on its way, and {megabytes(free)} are free")
    total = sum(size for name, size in sizes.items() if name in kept)
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if total > (left := shutil.disk_usage(there).free):
        raise source.refusal(f"makes a file of {megabytes(total)}, and the disk has {megabytes(left)} left")


def full_name(name: str) -> str:
    """A weight's name as transformers writes it."""
    return name if name.startswith("lm_head.") else f"transformer.{name}"


def place(tensors: Sequence[Given], source: Source) -> list[Placed]:
    """GPT-2's names, without what a wrapper put before them, and its shapes. Raises CheckpointError for two of one name."""
    named = {plain_name(each.name): each for each in tensors}
    before = next((match[1] for name in named if (match := BEFORE.fullmatch(name))), "")
    named = {plain_name(name.removeprefix(before)): each for name, each in named.items()}
    if len(named) < len(tensors):
        raise source.refusal("holds two tensors of one name, once a wrapper's part is taken off; remove one of the two")
    first = named.get("h.0.attn.c_attn.weight")  # [d, 3·d], and 3·d is not d
    turned = first is not None and len(first.shape) == 2 and first.shape[0] == 3 * first.shape[1]
    return [Placed(each, name, turned and name.endswith(MATRICES)) for name, each in named.items()]


def required(placed: Sequence[Placed], config: dict[str, Any], source: Source) -> set[str]:
    """The names of a GPT-2's weights, each of which is there and fits. Raises CheckpointError."""
    nothing = np.empty(0, dtype=np.uint8)
    stored = {each.name: Stored(Entry(each.name, each.given.dtype, each.shape, 0, 0), nothing, source) for each in placed}
    sizes = GPT2Config.from_dict(config, source=str(source.path))
    return set(fitted(replace(sizes, tie_word_embeddings="lm_head.weight" not in stored), Found(stored), source).stored)


def copy_tokenizer(beside: Sequence[Path], folder: Path) -> bool:
    """Copy a tokenizer's files; whether there are any."""
    for home in beside:
        if any((home / name).is_file() for name in VOCABULARY):
            for name in TOKENIZER:
                if (home / name).is_file():
                    write_whole(folder / name, read_whole(home / name, LARGEST))
            return True
    return False
