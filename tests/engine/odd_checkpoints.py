"""Folders as other programs and people leave them, made from one small GPT-2; transformers read each for tests/golden/checkpoints.npz."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

BASE = Path(__file__).parents[1] / "golden" / "parity" / "default"
IDS = (1, 22, 3, 44, 5)
Arrays = dict[str, np.ndarray]
Make = Callable[[Path], None]

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def base() -> tuple[Arrays, dict[str, Any]]:
    return load_file(BASE / "model.safetensors"), json.loads((BASE / "config.json").read_text("utf-8"))


def write(folder: Path, tensors: Arrays, config: dict[str, Any], name: str = "model.safetensors") -> None:
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    save_file({key: np.ascontiguousarray(array) for key, array in tensors.items()}, folder / name, {"format": "pt"})


def with_config(without: tuple[str, ...] = (), **fields: Any) -> Make:
    def make(folder: Path) -> None:
        tensors, config = base()
        write(folder, tensors, {key: value for key, value in config.items() if key not in without} | fields)

    return make


def with_tensors(change: Callable[[Arrays], Arrays], **fields: Any) -> Make:
    def make(folder: Path) -> None:
        tensors, config = base()
        write(folder, change(tensors), config | fields)

    return make


def renamed(rename: Callable[[str], str]) -> Make:
    return with_tensors(lambda tensors: {rename(name): array for name, array in tensors.items()})


def in_shards(
    lie: Callable[[dict[str, str]], dict[str, str]],
    names: tuple[str, str] = SHARDS,
    index: str = "model.safetensors.index.json",
    **more: str,
) -> Make:
    """Two shards, and an index of which not all need be true. more: a tensor that the second one holds again."""

    def make(folder: Path) -> None:
        tensors, config = base()
        keys = sorted(tensors)
        parts = {names[0]: keys[::2], names[1]: keys[1::2] + list(more.values())}
        for file, part in parts.items():
            write(folder, {key: tensors[key] for key in part}, config, file)
        weight_map = lie({key: names[n % 2] for n, key in enumerate(keys)})
        (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}), "utf-8")

    return make


def other_shard(weight_map: dict[str, str]) -> dict[str, str]:
    return {key: SHARDS[file == SHARDS[0]] for key, file in weight_map.items()}


def without(of_norms: bool, of_linear: bool) -> Callable[[Arrays], Arrays]:
    """Without the biases of LayerNorms, of linear layers, or both."""

    def keep(name: str) -> bool:
        return not name.endswith(".bias") or not (of_norms if ".ln_" in name else of_linear)

    return lambda tensors: {name: array for name, array in tensors.items() if keep(name)}


def louder(tensors: Arrays) -> Arrays:
    """Numbers beyond 10 reach the activation."""
    return {name: array * 20 if "mlp.c_fc" in name else array for name, array in tensors.items()}


def plus(**arrays: np.ndarray) -> Callable[[Arrays], Arrays]:
    return lambda tensors: tensors | {name.replace("__", "."): array for name, array in arrays.items()}


def halves(tensors: Arrays) -> Arrays:
    return {name: array.astype(np.float16 if "attn" in name else np.float64) for name, array in tensors.items()}


ALIASES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "max_position_embeddings": 16}
SIZES = ("n_embd", "n_layer", "n_head", "n_positions")
ODD: dict[str, Make] = {
    **{name: with_config(activation_function=name) for name in ("gelu_fast", "gelu_accurate", "gelu_python_tanh", "gelu_python")},
    **{name: with_tensors(louder, activation_function=name) for name in ("gelu_10", "quick_gelu")},
    "sizes by their other names": with_config(SIZES, **ALIASES),
    "two sizes by their other names": with_config(("n_layer", "n_head"), num_hidden_layers=2, num_attention_heads=3),
    "both names, and they differ": with_config(n_embd=48, hidden_size=24),
    "the index lists a tied head": in_shards(lambda found: found | {"lm_head.weight": SHARDS[0]}),
    "the index names the other shard": in_shards(other_shard),
    "the index lists a third": in_shards(lambda found: dict(list(found.items())[::3])),
    "the index leaves the prefix out": in_shards(lambda found: {key.removeprefix("transformer."): file for key, file in found.items()}),
    "the index lists what nobody holds": in_shards(lambda found: found | {"transformer.h.0.attn.bias": SHARDS[0], "x": SHARDS[1]}),
    "shards of other names": in_shards(dict, ("a.safetensors", "b.safetensors")),
    "a tensor in both shards": in_shards(dict, again="transformer.h.0.attn.c_attn.bias"),
    "float64": with_tensors(lambda tensors: {name: array.astype(np.float64) for name, array in tensors.items()}),
    "float64 and half": with_tensors(halves),
    "no biases": with_tensors(without(True, True)),
    "no biases of LayerNorms": with_tensors(without(True, False)),
    "no biases of linear layers": with_tensors(without(False, True)),
    "classifies texts": with_tensors(plus(score__weight=np.ones((2, 24), np.float32)), architectures=["GPT2ForSequenceClassification"]),
    "classifies tokens": with_tensors(
        plus(classifier__weight=np.ones((2, 24), np.float32), classifier__bias=np.ones(2, np.float32)),
        architectures=["GPT2ForTokenClassification"],
    ),
    "answers questions": with_tensors(
        plus(qa_outputs__weight=np.ones((2, 24), np.float32), qa_outputs__bias=np.ones(2, np.float32)),
        architectures=["GPT2ForQuestionAnswering"],
    ),
}
# transformers runs random weights where names have a prefix: it is asked for the folder without, which must be the same model.
PREFIXED: dict[str, Make] = {
    "compiled": renamed(lambda name: f"_orig_mod.{name}"),
    "on several devices": renamed(lambda name: f"module.{name}"),
    "both": renamed(lambda name: f"module._orig_mod.{name}"),
    "both, the other way": renamed(lambda name: f"_orig_mod.module.{name}"),
    "blocks compiled": renamed(lambda name: name.replace(".attn.", "._orig_mod.attn.").replace(".mlp.", "._orig_mod.mlp.")),
    "the body compiled": renamed(lambda name: name.replace("transformer.", "transformer._orig_mod.")),
}
HEADS = {"classifies texts": ["score.weight"], "classifies tokens": ["classifier"], "answers questions": ["qa_outputs"]}
