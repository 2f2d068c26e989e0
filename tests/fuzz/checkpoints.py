"""Checkpoints: `load_model` of a folder or file, its weights beside the safetensors library's, its logits beside a plain GPT-2's."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import safetensors

from tests.fuzz.cases import Case, Item, content
from tests.fuzz.harness import Wrong
from tests.fuzz.mutate import Tensor, mutated_bytes, mutated_folder, mutated_json_bytes, mutated_safetensors, packed
from txexplain.engine.config import GPT2Config
from txexplain.engine.model import GPT2
from txexplain.errors import NonFinite
from txexplain.models import load_model

CONFIG: dict[str, Any] = {
    "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 7, "n_positions": 5, "n_embd": 4, "n_layer": 1, "n_head": 2,
    "n_inner": 6, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05, "scale_attn_weights": True, "bos_token_id": 6, "eos_token_id": 6,
}  # fmt: skip
CONFIG_WORDS = (
    *CONFIG, "n_ctx", "tie_word_embeddings", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "add_cross_attention", "GPT2Model",
    "GPT2DoubleHeadsModel", "GPT2ForTokenClassification", "LlamaForCausalLM", "hidden_size", "num_hidden_layers", "num_attention_heads",
    "max_position_embeddings", "gelu_fast", "gelu_10", "gelu", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh", "quick_gelu", None, True, False, 1, 2, 4, 12,
    1e-5, 1e-12, 0.5, 1.0,
)  # fmt: skip
DEFAULTS: dict[str, Any] = {
    "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12, "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5, "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "reorder_and_upcast_attn": False,
}  # fmt: skip
INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
OTHERS = (
    INDEX,
    SHARDS[0],
    "pytorch_model.bin",
    "model.ckpt.index",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "model.safetensors",
)


def shapes(vocabulary: int = 7, context: int = 5, d: int = 4, layers: int = 1, m: int = 6) -> dict[str, tuple[int, ...]]:
    """What a GPT-2 is made of, written out."""
    block = {
        "ln_1.weight": (d,), "ln_1.bias": (d,), "attn.c_attn.weight": (d, 3 * d), "attn.c_attn.bias": (3 * d,),
        "attn.c_proj.weight": (d, d), "attn.c_proj.bias": (d,), "ln_2.weight": (d,), "ln_2.bias": (d,),
        "mlp.c_fc.weight": (d, m), "mlp.c_fc.bias": (m,), "mlp.c_proj.weight": (m, d), "mlp.c_proj.bias": (d,),
    }  # fmt: skip
    ends = {"wte.weight": (vocabulary, d), "wpe.weight": (context, d), "ln_f.weight": (d,), "ln_f.bias": (d,)}
    return ends | {f"h.{layer}.{name}": shape for layer in range(layers) for name, shape in block.items()}


def encoded(array: np.ndarray, dtype: str) -> bytes:
    if dtype == "BF16":
        return (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return array.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def tensors(dtype: str = "F32", prefix: str = "", head: bool = False) -> list[Tensor]:
    rng = np.random.default_rng(0)
    wanted = shapes() | ({"lm_head.weight": (7, 4)} if head else {})
    found = [(name, shape, rng.standard_normal(shape)) for name, shape in wanted.items()]
    return [
        Tensor(("" if name.startswith("lm_head") else prefix) + name, dtype, list(shape), encoded(a, dtype)) for name, shape, a in found
    ]


def bases() -> list[Case]:
    config = json.dumps(CONFIG).encode()
    found = []
    for dtype, prefix, head in (("F32", "", False), ("F16", "transformer.", False), ("BF16", "transformer.", True)):
        found.append(Case({"config.json": config, "model.safetensors": packed(tensors(dtype, prefix, head), {"format": "pt"})}))
    parts = tensors()
    files: dict[str, Item] = {"config.json": config}
    for shard, part in zip(SHARDS, (parts[::2], parts[1::2]), strict=True):
        files[shard] = packed(part)
    weight_map = {t.name: shard for shard, part in zip(SHARDS, (parts[::2], parts[1::2]), strict=True) for t in part}
    found.append(Case(files | {INDEX: json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}).encode()}))
    found.append(Case({"config.json": config, "own.safetensors": packed(tensors())}, {"path": "own.safetensors"}))
    return found


OTHER_NAMES = {
    "n_embd": "hidden_size",
    "n_layer": "num_hidden_layers",
    "n_head": "num_attention_heads",
    "n_positions": "max_position_embeddings",
}
NAMES = (
    *shapes(),
    "_orig_mod.wte.weight",
    "module.transformer.ln_f.bias",
    "lm_head.weight",
    "transformer.wte.weight",
    "h.1.ln_1.weight",
    "h.0.attn.bias",
    "h.0.attn.masked_bias",
    "h.00.ln_1.weight",
    "h.٠.x",
    "h.999999999999.x",
)


class Checkpoints:
    name = "checkpoints"

    def __init__(self) -> None:
        self.bases = bases()

    def make(self, rng: Random) -> Case:
        case = rng.choice(self.bases)
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
            case = self.mutated(rng, case)
        return Case(case.files, case.options | {"replaced": True}) if rng.random() < 0.02 else case

    def mutated(self, rng: Random, case: Case) -> Case:
        if rng.random() < 0.12:
            return mutated_folder(rng, case, OTHERS)
        name = rng.choice(tuple(case.files))
        data = case.files[name]
        if not isinstance(data, bytes):
            return case
        if name.endswith(".safetensors"):
            data = mutated_bytes(rng, data) if rng.random() < 0.15 else mutated_safetensors(rng, data, NAMES)
        elif name == INDEX:
            data = mutated_json_bytes(
                rng, data, (*SHARDS, *NAMES, "x" * 300 + ".safetensors", "..safetensors", "a/b.safetensors", "own.safetensors")
            )
        elif name.endswith(".json") and rng.random() < 0.8:
            data = mutated_json_bytes(rng, data, CONFIG_WORDS)
        else:
            data = mutated_bytes(rng, data)
        return case.with_file(name, data)

    def open(self, folder: Path, case: Case) -> None:
        path = folder / case.options.get("path", "")
        model = load_model(str(path))
        stored = library_weights(path)
        require_weights(model, stored)
        require_fields(model.config, json.loads((folder / "config.json").read_bytes()))
        if case.options.get("replaced"):
            for file in folder.glob("*.safetensors"):
                (folder / "new").write_bytes(bytes(file.stat().st_size))
                (folder / "new").replace(file)
            require_weights(model, stored)
        require_logits(model)

    def also(self, folder: Path, case: Case) -> bool:
        try:
            return bool(library_weights(folder / case.options.get("path", "")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, Wrong):
            return False


def library_weights(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """The tensors of a checkpoint as the library reads them, by GPT-2's names."""
    if path.is_file():
        files = [path]
    elif (path / "model.safetensors").exists():
        files = [path / "model.safetensors"]
    else:
        files = [path / name for name in sorted(set(json.loads(content(path / INDEX))["weight_map"].values()))]
    found = {}
    for file in files:
        try:
            for name, entry in safetensors.deserialize(content(file)):
                plain = re.sub(r"^(module\.)*(transformer\.)?", "", re.sub(r"(^|(?<=\.))_orig_mod\.", "", name))
                found.setdefault(plain, (entry["dtype"], tuple(entry["shape"]), bytes(entry["data"])))
        except safetensors.SafetensorError as error:
            raise Wrong(f"opened, but the library says of {file.name}: {error}") from None
    return found


def decoded(dtype: str, shape: tuple[int, ...], data: bytes) -> np.ndarray:
    if dtype == "BF16":
        return np.frombuffer(b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2)), "<f4").reshape(shape)
    return np.frombuffer(data, {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
                                "U16": "<u2", "U32": "<u4", "U64": "<u8", "BOOL": "?"}[dtype]).reshape(shape)  # fmt: skip


def same(mine: np.ndarray, dtype: str, shape: tuple[int, ...], data: bytes) -> bool:
    theirs = decoded(dtype, shape, data)
    if dtype in ("F16", "F64"):
        with np.errstate(over="ignore"):
            theirs = theirs.astype(np.float32)
    return mine.shape == theirs.shape and mine.dtype == theirs.dtype and mine.tobytes() == theirs.tobytes()


def require_weights(model: GPT2, stored: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    c = model.config
    wanted = set(shapes(c.vocab_size, c.n_positions, c.n_embd, c.n_layer, c.n_inner))
    have = set(model.weights)
    if have - {"lm_head.weight"} != wanted:
        raise Wrong(f"other weights than a GPT-2's: {sorted(have ^ wanted)[:5]}")
    biases = [{name for name in wanted if name.endswith(".bias") and ("ln_" in name) == norms} for norms in (True, False)]
    absent = {name for kind in biases if not kind & stored.keys() for name in kind}
    for name, array in model.weights.items():
        if (array.any() or array.dtype != np.float32) if name in absent else not same(array, *stored[name]):
            raise Wrong(f"{name} differs from the library's")
        if array.flags.writeable:
            raise Wrong(f"{name} can be written")
    head = stored.get("lm_head.weight", stored["wte.weight"])
    if not same(model.unembedding, *head) and not np.array_equal(model.unembedding, decoded(*head).astype(np.float32)):
        raise Wrong("the unembedding isn't the file's")


def require_fields(config: GPT2Config, fields: dict[str, Any]) -> None:
    """A config says what its JSON says."""
    for name, default in DEFAULTS.items():
        wanted = fields.get(name, fields.get("n_ctx", default) if name == "n_positions" else default)
        wanted = fields.get(OTHER_NAMES.get(name, ""), wanted)
        have = getattr(config, name)
        if have != wanted or (type(have) is not type(wanted) and type(have) is not float):
            raise Wrong(f"{name} is {have!r}, in the file {wanted!r}")
    inner = fields.get("n_inner")
    if config.n_inner != (4 * config.n_embd if inner is None else inner):
        raise Wrong(f"n_inner is {config.n_inner}")


def require_logits(model: GPT2) -> None:
    """The logits are finite and a plain GPT-2's; or the run says what isn't finite."""
    c = model.config
    ids = [c.vocab_size - 1, 0, c.vocab_size // 2][: c.n_positions]
    try:
        trace = model.forward(ids)
    except NonFinite as error:
        if all(np.abs(w).max(initial=0) < 1e3 for w in model.weights.values()) and c.layer_norm_epsilon > 1e-8:
            raise Wrong(f"weights of a usual size, but: {error}") from None
        raise
    assert trace is not None
    logits = trace["logits"]
    if not np.isfinite(logits).all() or logits.shape != (c.vocab_size,):
        raise Wrong(f"logits {logits}")
    if any(np.abs(w).max(initial=0) > 50 for w in model.weights.values()) or c.layer_norm_epsilon < 1e-6:
        return  # float32 itself is no longer exact enough to compare
    plain = plain_logits(model, ids)
    if not np.allclose(logits, plain, rtol=1e-3, atol=1e-3 * (1 + np.abs(plain).max())):
        raise Wrong(f"logits {logits}, by a plain GPT-2 {plain}")


def plain_logits(model: GPT2, ids: list[int]) -> np.ndarray:
    """GPT-2 in float64 as the paper and transformers' code say it, one head at a time. Shapes: T ids -> [V]."""
    c = model.config
    w = {name: np.asarray(array, np.float64) for name, array in model.weights.items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + c.layer_norm_epsilon) * w[name + ".weight"] + w[name + ".bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[name + ".weight"] + w[name + ".bias"]

    def activation(x: np.ndarray) -> np.ndarray:
        match c.activation_function:
            case "relu":
                return np.maximum(x, 0)
            case "silu" | "swish":
                return x / (1 + np.exp(-np.clip(x, -700, 700)))
            case "tanh":
                return np.tanh(x)
            case "gelu" | "gelu_10":
                exact = 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
                return exact if c.activation_function == "gelu" else np.clip(exact, -10, 10)
            case "quick_gelu":
                return x / (1 + np.exp(-np.clip(1.702 * x, -700, 700)))
            case _:
                return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    x = w["wte.weight"][ids] + w["wpe.weight"][: len(ids)]
    dh, n = c.n_embd // c.n_head, len(ids)
    for layer in range(c.n_layer):
        h = f"h.{layer}."
        q, k, v = np.split(linear(norm(x, h + "ln_1"), h + "attn.c_attn"), 3, -1)
        scale = (1 / math.sqrt(dh) if c.scale_attn_weights else 1.0) / (layer + 1 if c.scale_attn_by_inverse_layer_idx else 1)
        mixed = []
        for i in range(c.n_head):
            part = slice(i * dh, (i + 1) * dh)
            scores = np.where(np.tril(np.ones((n, n))) > 0, q[:, part] @ k[:, part].T * scale, -np.inf)
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            mixed.append(shares / shares.sum(-1, keepdims=True) @ v[:, part])
        x = x + linear(np.hstack(mixed), h + "attn.c_proj")
        x = x + linear(activation(linear(norm(x, h + "ln_2"), h + "mlp.c_fc")), h + "mlp.c_proj")
    return norm(x, "ln_f")[-1] @ w.get("lm_head.weight", w["wte.weight"]).T
