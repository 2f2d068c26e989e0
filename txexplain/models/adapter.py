"""A LoRA adapter as PEFT writes it, put into the model that it changes: W + scale × B A, and the parts that were trained whole.

Source: Hu et al. 2021; PEFT's LoraConfig and merge_and_unload, whose numbers these are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from txexplain.engine import instead
from txexplain.engine.checkpoint import Found, find_files, gather, plain_name
from txexplain.engine.config import read_json
from txexplain.engine.safetensors import FLOAT_DTYPES, Entry, Stored, as_array
from txexplain.errors import CheckpointError
from txexplain.models import resolve
from txexplain.text import shown

if TYPE_CHECKING:
    from txexplain.models.convert import Given, Parts

Floats = NDArray[np.float32]

NAME = re.compile(r"(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B)(?:\.default)?(?:\.weight)?")
# What may be said in an adapter's config without a change of the formula; all else must be off.
PLAIN = {
    "peft_type", "task_type", "base_model_name_or_path", "revision", "r", "lora_alpha", "lora_dropout", "fan_in_fan_out", "bias",
    "use_rslora", "modules_to_save", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "rank_pattern",
    "alpha_pattern", "inference_mode", "auto_mapping", "loftq_config", "eva_config", "corda_config", "lora_ga_config", "megatron_config",
    "megatron_core", "qalora_group_size", "runtime_config", "peft_version", "init_lora_weights",
}  # fmt: skip
BEGINNINGS = (True, False, "gaussian", "eva", "orthogonal")  # of training, that left the base as it was
BY_PEFT = "put it into its base with peft's merge_and_unload(), save that with save_pretrained, and open it"


def weights(folder: Path) -> list[Path]:
    """The file of an adapter's weights. Raises CheckpointError."""
    for name in ("adapter_model.safetensors", "adapter_model.bin"):
        if (folder / name).is_file():
            return [folder / name]
    raise CheckpointError(f"{folder} has an {instead.ADAPTER}, but no adapter_model.safetensors; fetch it too.")


def merged(folder: Path, tensors: Sequence[Given], base: str | None) -> Parts:
    """The base's parts with the adapter in them. Raises CheckpointError for an adapter of another kind; ModelNotFound."""
    from txexplain.models.convert import Parts, fields_of, given

    config = read_json(folder / instead.ADAPTER, "an adapter needs it beside its weights")
    require_plain(config, folder)
    home, files, _, _ = find_files(resolve(base or named(config, folder), may_fetch=False))
    found = gather(files)
    fields = fields_of(home / "config.json")
    changed = changes(tensors, config, found, folder)
    if "wte.weight" in changed:
        fields["vocab_size"] = len(changed["wte.weight"])
    if changed.keys() & {"wte.weight", "lm_head.weight"}:
        # The base's own output stays as it was where an adapter changes the embedding alone: they are no longer one matrix.
        head = changed.get("lm_head.weight", numbers(found.stored.get("lm_head.weight", found.stored["wte.weight"])))
        if len(head) == fields.get("vocab_size", len(head)):
            changed["lm_head.weight"] = head
            fields["tie_word_embeddings"] = False
    kept = [each for each in given(found) if each.name not in changed]
    return Parts([*kept, *(as_given(name, array) for name, array in changed.items())], fields, [folder, home])


def require_plain(config: Any, folder: Path) -> None:
    """Raise CheckpointError for an adapter that isn't plain LoRA."""
    fields = config if isinstance(config, dict) else {}
    kind = fields.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(f"{folder} holds an adapter of the kind {shown(kind, 40)}, of which only LORA is known here; {BY_PEFT}.")
    other = next((name for name, value in fields.items() if value and name not in PLAIN), None)
    if fields.get("init_lora_weights", True) not in BEGINNINGS:
        other = "init_lora_weights"
    patterns = [*(fields.get("rank_pattern") or {}), *(fields.get("alpha_pattern") or {})]
    if not all(re.fullmatch(r"\^?[\w.]+", pattern) for pattern in patterns):
        other = "alpha_pattern"
    if other is not None:
        raise CheckpointError(f"{folder} holds an adapter that isn't plain LoRA ({shown(other, 40)}); {BY_PEFT}.")


def named(config: Mapping[str, Any], folder: Path) -> str:
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise CheckpointError(f"{folder}/{instead.ADAPTER} doesn't name the model that it changes; give it with --base.")
    return base


def changes(tensors: Sequence[Given], config: Mapping[str, Any], found: Found, folder: Path) -> dict[str, Floats]:
    """The weights that the adapter makes, by their names in the base. Raises CheckpointError."""
    pairs: dict[str, dict[str, Floats]] = {}
    whole: dict[str, Floats] = {}
    for each in tensors:
        name = each.name.removeprefix("base_model.model.").replace(".base_layer.", ".").replace(".modules_to_save.", ".")
        if match := NAME.fullmatch(name):
            pairs.setdefault(match["module"], {})[match["part"][-1]] = floats(each)
        else:
            whole[plain_name(name)] = floats(each)
    for module, pair in pairs.items():
        weight = plain_name(f"{module}.weight")
        own = weight if weight in found.stored or weight != "lm_head.weight" else "wte.weight"
        if pair.keys() != {"A", "B"} or own not in found.stored:
            raise CheckpointError(f"{folder} changes {shown(weight)}, which its base doesn't have, or in one half only; {BY_PEFT}.")
        start = whole[weight] if weight in whole else numbers(found.stored[own])
        whole[weight] = added(start, pair, scale(module, config), weight, folder)
    return whole


def added(start: Floats, pair: Mapping[str, Floats], scale: Callable[[int], float], weight: str, folder: Path) -> Floats:
    """A weight with what was learned: W + scale × B A, turned where GPT-2 keeps W as [inputs, outputs]. Raises CheckpointError."""
    a, b = pair["A"], pair["B"]  # [rank, inputs], [outputs, rank]
    outputs_first = weight == "lm_head.weight"
    wanted = start.shape if outputs_first else start.shape[::-1]
    if a.ndim != 2 or b.ndim != 2 or not len(a) or len(a) != b.shape[1] or (len(b), a.shape[1]) != wanted:
        raise CheckpointError(
            f"{folder} changes {weight} by {list(b.shape)} times {list(a.shape)}, but in its base it is {list(start.shape)}; "
            "name the right base with --base."
        )
    made = np.float32(scale(len(a))) * (b @ a)  # [outputs, inputs]
    return start + (made if outputs_first else made.T)


def scale(module: str, config: Mapping[str, Any]) -> Callable[[int], float]:
    """By how much a module's change counts, for a rank. Raises CheckpointError."""
    patterns = config.get("alpha_pattern") or {}
    key = next((each for each in patterns if re.match(rf"(.*\.)?({each})$", module)), None)
    alpha = config.get("lora_alpha", 8) if key is None else patterns[key]
    if not isinstance(alpha, int | float):
        raise CheckpointError(f"The adapter's lora_alpha must be a number, but is {shown(alpha, 40)}.")
    return lambda rank: alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def floats(given: Given) -> Floats:
    """A tensor's numbers in float32. Raises CheckpointError for a dtype that holds none."""
    if given.dtype not in FLOAT_DTYPES:
        raise CheckpointError(f"The adapter stores {shown(given.name)} as {given.dtype}; weights are read in {', '.join(FLOAT_DTYPES)}.")
    data = np.frombuffer(given.read(), dtype=np.uint8)
    return as_array(data, Entry(given.name, given.dtype, given.shape, 0, len(data))).astype(np.float32)


def numbers(stored: Stored) -> Floats:
    return np.concatenate(list(stored.chunks())).reshape(stored.entry.shape)


def as_given(name: str, array: Floats) -> Given:
    from txexplain.models.convert import Given

    return Given(name, "F32", array.shape, array.astype("<f4").tobytes)
