"""A GPT-2 as it lies on the disk: a config, and weights in safetensors files, each checked against the other."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.engine import instead
from txexplain.engine.config import GPT2Config, as_generated, read_json
from txexplain.engine.memory import free_memory
from txexplain.engine.safetensors import FLOAT_DTYPES, Source, Stored, map_safetensors
from txexplain.engine.steps import sizes, weight_letters
from txexplain.errors import CheckpointError, ExplainError, reason
from txexplain.files import is_there, megabytes
from txexplain.text import shown

Floats = NDArray[np.float32]

COMPILED, PARALLEL = re.compile(r"(?<![^.])_orig_mod\."), re.compile(r"^(?:module\.)+")
BODY = ("h.", "wte.", "wpe.", "ln_f.", "lm_head.")  # how the names of a language model's tensors begin
OTHER_HEADS = ("score.", "classifier.", "qa_outputs.")  # those in whose place a language model has its output
MOST_NAMED = 3
NORM_BIAS = re.compile(r"(?:^|\.)ln_\w\.bias$")


@dataclass(frozen=True)
class Layout:
    """A GPT-2 as its config and its files' headers tell it; no number of it was read."""

    config: GPT2Config
    stored: Mapping[str, Stored]  # under GPT-2's names, without the `transformer.` prefix
    folder: Path
    files: tuple[Path, ...]
    identity: str  # another one once a file was written to
    zeros: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # the biases of a model that was trained without, by their shapes
    notes: tuple[str, ...] = ()  # what is there and isn't shown, in sentences

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
    notes: tuple[str, ...] = ()  # what is there and isn't shown, in sentences
    identity: str = ""  # of its files, as a Layout's
    opened: tuple[Callable[[Path], Checkpoint], Path] | None = None  # how, and from where; None for what came from memory

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: where the weights lie, so that both map the same; of what came from memory the weights themselves."""
        if self.opened is not None:
            return opened_again, (*self.opened, self.identity)
        return from_memory, (self.config, dict(self.tensors), self.dtype, self.notes)


@dataclass(frozen=True)
class Found:
    """The tensors of a checkpoint's files."""

    stored: Mapping[str, Stored]  # by plain_name
    again: tuple[tuple[str, Stored], ...] = ()  # those whose name was there already
    identity: str = ""


def open_checkpoint(path: Path, widened: Callable[[Layout], Mapping[str, Floats]] | None = None) -> Checkpoint:
    """Open a GPT-2: a folder with config.json and model.safetensors or shards with their index, or one of these files beside its config.

    Every weight's presence, dtype and shape is checked against the config; its numbers are not looked at.
    `widened` makes the weights that aren't float32 as they are stored; by default in memory of this process alone.
    Raises CheckpointError: one sentence that names the file, and the tensor where it is about one.
    """
    layout = read_layout(path)
    return replace(checkpoint_of(layout, widened), opened=(open_checkpoint, path.absolute()))


def checkpoint_of(layout: Layout, widened: Callable[[Layout], Mapping[str, Floats]] | None = None) -> Checkpoint:
    """The weights of a layout, as open_checkpoint gives them. Raises CheckpointError."""
    copies = (widened or widened_here)(layout) if layout.unready else {}
    tensors: dict[str, Floats] = {name: copies[name] if name in copies else stored.array() for name, stored in layout.stored.items()}
    for name, shape in layout.zeros.items():
        tensors[name] = np.zeros(shape, dtype=np.float32)
        tensors[name].flags.writeable = False
    return Checkpoint(layout.config, MappingProxyType(tensors), layout.folder, layout.files, layout.dtype, layout.notes, layout.identity)


def opened_again(open_one: Callable[[Path], Checkpoint], path: Path, identity: str) -> Checkpoint:
    """A checkpoint that another process had open. Raises CheckpointError where its files aren't the same any more."""
    checkpoint = open_one(path)
    if checkpoint.identity != identity:
        raise CheckpointError(f"The checkpoint {path} changed since it was opened elsewhere; open it there again.")
    return checkpoint


def from_memory(config: GPT2Config, tensors: Mapping[str, Floats], dtype: str, notes: tuple[str, ...]) -> Checkpoint:
    """A checkpoint of arrays, which nobody may write to from now on."""
    for array in tensors.values():
        array.flags.writeable = False
    return Checkpoint(config, MappingProxyType(dict(tensors)), Path(), (), dtype, notes)


def read_layout(path: Path) -> Layout:
    """What open_checkpoint opens, by its config and headers alone. Raises CheckpointError."""
    folder, files, weight_map, source = find_files(path)
    config = GPT2Config.from_file(folder / "config.json")
    layout = fitted(config, gather(files), source, weight_map)
    beside = ("The adapter that lies beside the model isn't part of what is shown.",) if is_there(folder / instead.ADAPTER) else ()
    config, asked = as_generated(layout.config, folder)
    return replace(layout, config=config, folder=folder, files=files, notes=layout.notes + beside + asked)


def fitted(config: GPT2Config, found: Found, source: Source, weight_map: Mapping[str, Path] | None = None) -> Layout:
    """Tensors as the GPT-2 of a config; `source` is to blame for what is lacking. Raises CheckpointError."""
    stored = found.stored
    if "lm_head.weight" not in stored and any(name.startswith(OTHER_HEADS) for name in stored):
        config = replace(config, tie_word_embeddings=True)  # as the notes say: it has no output of a language model
    shapes = weight_shapes(config, with_head="lm_head.weight" in stored or not config.tie_word_embeddings)
    zeros = {name: shapes.pop(name) for name in without_biases(shapes, stored)}
    for name, shape in shapes.items():
        if name not in stored:
            raise lacking(name, stored, source, weight_map or {})
        require_fit(stored[name], name, shape)
    for name, other in found.again:
        if name in shapes and not other.equals(stored[name]):
            raise other.source.refusal(f"holds {shown(name)} with other numbers than {stored[name].source.path}; remove one of the two")
    require_no_more_blocks(stored, config)
    if config.tie_word_embeddings and "lm_head.weight" in shapes:
        # As transformers 5 does: a head of its own is used, whatever the config says; an equal one is only a copy of wte.
        if stored["lm_head.weight"].equals(stored["wte.weight"]):
            del shapes["lm_head.weight"]
        else:
            config = replace(config, tie_word_embeddings=False)
    weights = {name: stored[name] for name in shapes}
    return Layout(config, weights, Path(), (), found.identity, zeros, notes_on(stored, config))


def without_biases(shapes: Iterable[str], stored: Mapping[str, Stored]) -> list[str]:
    """The biases of which a model has none: all of its LayerNorms', all of its linear layers', or both (nanoGPT's bias=False).

    A model that lacks some of them only is a damaged one.
    """
    biases = [name for name in shapes if name.endswith(".bias")]
    kinds = [[name for name in biases if bool(NORM_BIAS.search(name)) == of_norms] for of_norms in (True, False)]
    return [name for kind in kinds if not any(name in stored for name in kind) for name in kind]


def notes_on(stored: Mapping[str, Stored], config: GPT2Config) -> tuple[str, ...]:
    """What a reader is told about the tensors of a checkpoint that opens."""
    heads = sorted(name for name in stored if not name.startswith(BODY))
    if not heads:
        return ()
    names = ", ".join(shown(name) for name in heads[:MOST_NAMED]) + (", …" if len(heads) > MOST_NAMED else "")
    output = "the token embedding" if config.tie_word_embeddings else "lm_head"
    return (f"Its other head ({names}) isn't shown: what is shown is the body, with {output} as its output.",)


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
    source = Source(path, "checkpoint", CheckpointError)
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
        single, index = (path / instead.WEIGHTS, path / instead.WEIGHTS_INDEX) if is_folder else (path, path)
        has_index = index.exists() and instead.INDEX.fullmatch(index.name) is not None
        has_single = single.exists() and (is_folder or not has_index)
    except (OSError, ValueError) as problem:
        raise source.refusal(f"can't be read: {reason(problem)}") from None
    if not is_folder and not has_index and (what := instead.of_a_file(path)):
        raise source.refusal(what)
    if has_single:
        return single.parent, (single,), {}, Source(single, "checkpoint", CheckpointError)
    if has_index:
        weight_map = read_index(index)
        return index.parent, tuple(dict.fromkeys(weight_map.values())), weight_map, Source(index, "checkpoint", CheckpointError)
    raise source.refusal(instead.of_a_folder(path))


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
            raise CheckpointError(f"{index} names the shard {shown(name)}, which isn't there; fetch it too.")
    return {tensor: index.parent / name for tensor, name in sorted(weight_map.items(), key=lambda item: item[1])}


def gather(files: Iterable[Path]) -> Found:
    """The tensors of all files by their plain names, and the files' identity. An index only names files: those say what they hold."""
    identities: list[str] = []

    def tensors() -> Iterator[Stored]:
        for file in files:
            source = Source(file, "checkpoint", CheckpointError)
            mapped = map_safetensors(source)
            identities.append(mapped.identity)
            yield from (Stored(entry, mapped.data, source) for entry in mapped.entries)

    found = by_plain_name(tensors())
    return replace(found, identity="\n".join(identities))


def by_plain_name(tensors: Iterable[Stored]) -> Found:
    stored: dict[str, Stored] = {}
    again = []
    for each in tensors:
        name = plain_name(each.entry.name)
        if name in stored:
            again.append((name, each))
        else:
            stored[name] = each
    return Found(stored, tuple(again))


def plain_name(name: str) -> str:
    """GPT-2's name of a tensor: without what torch.compile (`_orig_mod.`) and training on several devices (`module.`) put before names."""
    return PARALLEL.sub("", COMPILED.sub("", name)).removeprefix("transformer.")


def weight_shapes(config: GPT2Config, *, with_head: bool) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight of a GPT-2."""
    return {name: sizes(letters, config) for name, letters in weight_letters(config.n_layer, with_head=with_head).items()}


def lacking(name: str, stored: Mapping[str, Stored], source: Source, weight_map: Mapping[str, Path]) -> ExplainError:
    """Why a weight isn't there, as far as the tensors that are there tell."""
    if what := instead.of_other_names(stored, remedy_for(source)):
        return source.refusal(what)
    file = next((file for tensor, file in weight_map.items() if plain_name(tensor) == name), None)
    if file is not None:
        said = f"lacks the tensor {name}, which the index says it holds; fetch it again"
        return Source(file, "checkpoint", CheckpointError).refusal(said)
    if name == "lm_head.weight":
        remedy = '"tie_word_embeddings": true in its config.json shows its body with the token embedding as its output'
        return source.refusal(f"lacks the tensor {name}, the output that its config says is its own; where it never had one, {remedy}")
    return source.refusal(f"lacks the tensor {name}, which its config asks for; it isn't a whole GPT-2")


def remedy_for(source: Source) -> str:
    """What helps where tensors have other names or lie across."""
    return instead.converted(source.path) if source.what == "checkpoint" else "give them GPT-2's names, and linear layers as .T"


def require_fit(stored: Stored, name: str, shape: tuple[int, ...]) -> None:
    """Raise CheckpointError unless a weight has a dtype that can be read and the shape that the config asks for."""
    entry, source = stored.entry, stored.source
    if entry.dtype not in FLOAT_DTYPES:
        raise source.refusal(
            f"stores {name} as {entry.dtype}; weights are read in {', '.join(FLOAT_DTYPES)}: it is quantized, so dequantize it "
            "(transformers: model.dequantize()), save that and open it"
        )
    if entry.shape == shape:
        return
    said = f"stores {name} in the shape {shown(list(entry.shape))}, but its config asks for {list(shape)}"
    if entry.shape == shape[::-1] and name.startswith("h."):
        raise source.refusal(f"{said}: it is transposed, for GPT-2 stores [inputs, outputs]; {remedy_for(source)}")
    raise source.refusal(said)


def require_no_more_blocks(stored: Mapping[str, Stored], config: GPT2Config) -> None:
    """Raise CheckpointError where the files hold blocks that the config doesn't know of: half a model must not pass for one."""
    for name, tensor in stored.items():
        block = re.match(r"h\.(\d{1,9})\.", name)
        if block and int(block[1]) >= config.n_layer:
            raise tensor.source.refusal(
                f"holds {shown(name)}, but its config.json says n_layer = {config.n_layer}; one of the two is another model's"
            )
