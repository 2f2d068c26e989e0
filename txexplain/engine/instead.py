"""What lies where a GPT-2 was looked for, and what can be done with it: half a sentence for each refusal, which has looked first."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from txexplain.bounded import load_json
from txexplain.files import is_there, read_whole
from txexplain.shell import quoted
from txexplain.text import shown

if TYPE_CHECKING:
    from txexplain.engine.safetensors import Stored

ADAPTER, WEIGHTS, WEIGHTS_INDEX = "adapter_config.json", "model.safetensors", "model.safetensors.index.json"
MOST_NAMES = 10_000  # of a folder: so many are looked at
LONGEST_FILE = 1_000_000  # bytes of an adapter's config
PICKLE = re.compile(rb"PK\x03\x04|\x80[\x02-\x05]")
PICKLED = re.compile(r"pytorch_model.*\.bin(\.index\.json)?")
PICKLED_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
NO_WEIGHTS = re.compile(r"(training_args|optimizer|scheduler|rng_state|scaler)\b.*")  # what a trainer leaves beside them
TENSORFLOW = re.compile(r".*ckpt.*\.(index|meta|data-\d+-of-\d+)|tf_model.*\.h5")
SHARD = re.compile(r".*-\d{5}-of-\d{5}\.safetensors")
INDEX = re.compile(r".+\.safetensors\.index(\.\w+)?\.json")  # of another precision, too, as model.safetensors.index.fp16.json
OTHER_KINDS = {
    ".gguf": ("a GGUF file of llama.cpp", "open the model that it was made from"),
    ".msgpack": ("a model of Flax", "transformers 4 opens it with from_flax=True; save it with save_pretrained and open that"),
    ".onnx": ("an ONNX graph", "open the model that it was exported from"),
    ".npz": ("a file of NumPy's", "give its arrays to txexplain.load_model, with a config, from Python"),
}
LORA = re.compile(r"\blora_(A|B|embedding_A|embedding_B|magnitude_vector)\b")
QUANTIZED = re.compile(r"\b(qweight|qzeros|SCB|weight_scale|weight_format|absmax|quant_map)\b")
WTE = re.compile(r"(.+\.)wte\.weight")
TF_REMEDY = (
    "transformers 4 converts it (convert_gpt2_original_tf_checkpoint_to_pytorch, or from_tf=True for an .h5) and saves it with "
    "save_pretrained; OpenAI's own models are gpt2, gpt2-medium, gpt2-large and gpt2-xl here"
)


def of_a_folder(path: Path) -> str:
    """What a folder without a model holds."""
    names = listed(path)
    if ADAPTER in names:
        return f"holds {adapter(path)}"
    others = [name for name in names if name.endswith(".safetensors")]
    if others:
        return other_safetensors(path, names, others)
    for name in names:
        if kind := kind_of(path / name):
            return f"has its weights only in {shown(name)}, {': '.join(kind)}"
    if inside := list(models_in(path, names)):
        return f"has no model.safetensors, but its folder {shown(inside[-1].name)} has: name {inside[-1]}"
    return "has no model.safetensors and no model.safetensors.index.json; name a folder that holds a GPT-2"


def of_a_file(path: Path) -> str | None:
    """What a file is that isn't safetensors; None where neither its name nor its first bytes tell."""
    if is_there(path.parent / ADAPTER) and path.name.startswith("adapter_"):
        return f"belongs to {adapter(path.parent)}"
    if path.name == "config.json":
        return f"is a config: name its folder, {path.parent}"
    kind = kind_of(path)
    return f"is {': '.join(kind)}" if kind else None


def of_other_names(stored: Mapping[str, Stored], remedy: str) -> str | None:
    """What a file's tensors are, where they aren't called as GPT-2's."""
    if any(LORA.search(name) for name in stored):
        return "holds an adapter that wasn't put into its model (lora_A): do that with peft's merge_and_unload(), and save the result"
    if any(QUANTIZED.search(name) for name in stored):
        return "holds quantized weights: dequantize them (transformers: model.dequantize()), save that and open it"
    if before := next((match[1] for name in stored if (match := WTE.fullmatch(name))), None):
        return f"holds a GPT-2 whose names begin with {shown(before)}: {remedy}"
    if not any(name.startswith("h.") for name in stored):
        return f"has no tensor of GPT-2's names (but {shown(next(iter(stored), 'none at all'))}): it is another model's"
    return None


def converted(path: Path) -> str:
    """The command that makes a checkpoint of what can't be opened as it is."""
    path = path.parent if path.name in (WEIGHTS, WEIGHTS_INDEX) else path
    return f"`txexplain convert {quoted(str(path))} FOLDER` makes a folder that opens"


def adapter(path: Path) -> str:
    """A folder's adapter, of what it is one, and what to do."""
    base = None
    with suppress(OSError, ValueError, RecursionError, AttributeError):
        base = load_json(read_whole(path / ADAPTER, LONGEST_FILE), 10_000).get("base_model_name_or_path")
    of = f" of {shown(base)}" if isinstance(base, str) and base else ""
    return f"a PEFT adapter{of}, which changes another model: {converted(path)}"


def other_safetensors(path: Path, names: Iterable[str], others: list[str]) -> str:
    """A folder whose weights are called otherwise."""
    index = next((name for name in names if INDEX.fullmatch(name)), None)
    if index is not None:
        return f"has no model.safetensors, but {shown(index)}: name that file itself, {path / index}"
    if SHARD.fullmatch(others[0]):
        return f"has shards as {shown(others[0])}, but no model.safetensors.index.json, which says how many there are; fetch that too"
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return f"has no model.safetensors, but {shown(others[0])}{more}: name that file itself, {path / others[0]}"


def pickles(path: Path) -> list[Path]:
    """The pickles that a file is, or that a folder holds: all of those in shards, as transformers wrote them, else the one with weights."""
    names = listed(path) if path.is_dir() else [path.name]
    home = path if path.is_dir() else path.parent
    if WEIGHTS in names or WEIGHTS_INDEX in names:
        return []
    shards = [home / name for name in names if PICKLED.fullmatch(name) and name.endswith(".bin")]
    others = [home / name for name in names if not NO_WEIGHTS.fullmatch(name) and PICKLE.match(first_bytes(home / name))]
    return shards or [each for each in others if each.suffix in PICKLED_SUFFIXES][:1]


def kind_of(path: Path) -> tuple[str, str] | None:
    """What kind of weights a file holds that can't be opened, and what to do with it."""
    name = path.name
    if NO_WEIGHTS.fullmatch(name):
        return None
    if TENSORFLOW.fullmatch(name):
        return "a part of a model of TensorFlow", TF_REMEDY
    if PICKLED.fullmatch(name):
        return "a pickle, which can run code when it is opened", converted(path.parent)
    if path.suffix in PICKLED_SUFFIXES and PICKLE.match(first_bytes(path)):
        return "a pickle, which can run code when it is opened", converted(path)
    return OTHER_KINDS.get(path.suffix)


def models_in(path: Path, names: Iterable[str]) -> Iterator[Path]:
    """The folders inside that hold a model, of a trainer's checkpoints the newest last; of a repository in the hub's cache its commits."""
    folders = [path / name for name in names]
    folders += [folder / name for folder in folders if folder.name == "snapshots" for name in listed(folder)]
    for folder in sorted(folders, key=lambda each: ([int(n) for n in re.findall(r"\d{1,9}", each.name)][-1:], each.name)):
        if any(is_there(folder / name) for name in (WEIGHTS, WEIGHTS_INDEX)):
            yield folder


def listed(path: Path) -> list[str]:
    """The names in a folder, sorted; none where the system won't say."""
    found: list[str] = []
    with suppress(OSError, ValueError), os.scandir(path) as entries:
        found += [entry.name for _, entry in zip(range(MOST_NAMES), entries, strict=False)]
    return sorted(found)


def first_bytes(path: Path) -> bytes:
    with suppress(OSError):
        if path.is_file():  # to open a pipe would wait for its writer
            with path.open("rb") as file:
                return file.read(8)
    return b""
