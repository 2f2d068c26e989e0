"""Makes the reference files that hold our engine to transformers' GPT-2. Needs torch and transformers; not part of the suite.

    python -m tests.golden.make_parity                 # parity/<name>/ (checkpoint + activations.npz) and parity/storyteller.npz
    python -m tests.golden.make_parity --full-size     # compares a random 124M model here and now, writes nothing

Every array is what transformers computed: read off its modules by hooks, the scores off the input of its softmax.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROMPTS = [
    "Once upon a time there was a",
    "The prince and the princess lived",
    "Data visualization empowers users to",
    "\n\nThe cat sat on the",
    "Anna gave the red ball to Tom. Then Tom gave it back to",
]
SMALL = {"vocab_size": 61, "n_positions": 16, "n_embd": 24, "n_layer": 2, "n_head": 3, "bos_token_id": 0, "eos_token_id": 0}
CONFIGS = {
    "default": {},
    "erf": {
        "activation_function": "gelu",
        "n_inner": 40,
        "layer_norm_epsilon": 1e-2,
        "scale_attn_weights": False,
        "tie_word_embeddings": False,
    },
    "relu": {
        "activation_function": "relu",
        "n_head": 1,
        "n_layer": 3,
        "scale_attn_by_inverse_layer_idx": True,
        "reorder_and_upcast_attn": True,
    },
    "silu": {"activation_function": "silu", "n_head": 8, "scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True},
    "tanh": {"activation_function": "tanh", "n_head": 4, "n_layer": 1, "n_inner": 10, "tie_word_embeddings": False},
    "swish": {"activation_function": "swish", "n_head": 24, "reorder_and_upcast_attn": True, "layer_norm_epsilon": 1e-3},
    "pytorch_tanh": {"activation_function": "gelu_pytorch_tanh", "n_head": 2, "n_inner": 7},
}
DTYPES = {"silu": torch.float16, "relu": torch.bfloat16}  # how the file stores them; all else float32
BARE = {"tanh", "relu"}  # saved without the `transformer.` prefix
SHARDED = {"erf"}


def random_model(config: GPT2Config, seed: int, spread: float) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config._attn_implementation = "eager"
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            gain = ("ln_" in name) and name.endswith("weight")
            p.copy_(torch.randn_like(p) * spread + (1.0 if gain else 0.0))
    return model


def activations(model: GPT2LMHeadModel, ids: list[int], *, logits_to_keep: int = 0) -> dict[str, np.ndarray]:
    """Every activation of one forward pass, under our names."""
    got: dict[str, torch.Tensor] = {}
    scores: list[torch.Tensor] = []
    t, config = model.transformer, model.config
    n, heads, dh = len(ids), config.n_head, config.n_embd // config.n_head
    hooks = []

    def keep(module, inside, outside):
        def hook(_, inputs, output) -> None:
            if inside:
                got[inside] = inputs[0]
            if outside:
                outside(output)

        hooks.append(module.register_forward_hook(hook))

    def scale(x: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(x.var(-1, unbiased=False, keepdim=True) + config.layer_norm_epsilon)

    def put(name: str):
        return lambda o: got.__setitem__(name, o[0] if isinstance(o, tuple) else o)

    keep(t.wte, None, put("embed"))
    keep(t.wpe, None, put("pos_embed"))
    for layer, block in enumerate(t.h):
        b = f"blocks.{layer}."

        def qkv(o: torch.Tensor, b: str = b) -> None:
            for part, x in zip("qkv", o.split(config.n_embd, dim=2), strict=True):
                got[f"{b}attn.{part}"] = x.reshape(1, n, heads, dh)

        keep(block, b + "resid_pre", put(b + "resid_post"))
        keep(block.ln_1, b + "resid_pre", put(b + "ln1.normalized"))
        keep(block.attn.c_attn, None, qkv)
        keep(block.attn.c_proj, b + "attn.z", put(b + "attn_out"))
        keep(block.ln_2, b + "resid_mid", put(b + "ln2.normalized"))
        keep(block.mlp.c_fc, None, put(b + "mlp.pre"))
        keep(block.mlp.c_proj, b + "mlp.post", put(b + "mlp_out"))
    keep(t.ln_f, "ln_final.in", put("ln_final.normalized"))
    softmax = torch.nn.functional.softmax

    def watched(x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        scores.append(x.clone())
        return softmax(x, *args, **kwargs)

    torch.nn.functional.softmax = watched
    try:
        with torch.no_grad():
            out = model(torch.tensor([ids]), output_attentions=True, use_cache=False, logits_to_keep=logits_to_keep)
    finally:
        torch.nn.functional.softmax = softmax
        for hook in hooks:
            hook.remove()
    assert len(scores) == config.n_layer, "transformers no longer calls nn.functional.softmax once a block"
    for layer in range(config.n_layer):
        b = f"blocks.{layer}."
        got[b + "attn.pattern"] = out.attentions[layer]
        got[b + "attn.attn_scores"] = scores[layer].masked_fill(scores[layer] < -1e30, -torch.inf).broadcast_to(1, heads, n, n)
        got[b + "attn.z"] = got[b + "attn.z"].reshape(1, n, heads, dh)
        got[b + "ln1.scale"] = scale(got[b + "resid_pre"])
        got[b + "ln2.scale"] = scale(got[b + "resid_mid"])
    got["ln_final.scale"] = scale(got.pop("ln_final.in"))
    got["logits"] = out.logits
    return {name: x[0].detach().float().numpy() if x.dim() > 2 or name == "logits" else x.numpy() for name, x in got.items()}


def save_checkpoint(model: GPT2LMHeadModel, folder: Path, name: str) -> None:
    size = "20KB" if name in SHARDED else "5GB"
    model.save_pretrained(folder, max_shard_size=size)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name in BARE:
        path = folder / "model.safetensors"
        tensors = {key.removeprefix("transformer."): value for key, value in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})


def widened(model: GPT2LMHeadModel, dtype: torch.dtype) -> GPT2LMHeadModel:
    """The model with the numbers that are left after storing it as dtype."""
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(p.to(dtype).float())
    return model


def save_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """np.savez_compressed without the date, so that a second run gives the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in arrays.items():
            with file.open(zipfile.ZipInfo(name + ".npy", (2026, 1, 1, 0, 0, 0)), "w") as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(array))


def tiny_files() -> None:
    for seed, (name, options) in enumerate(CONFIGS.items()):
        config = GPT2Config(**{**SMALL, **options})
        dtype = DTYPES.get(name, torch.float32)
        model = widened(random_model(config, seed, 0.3), dtype)
        folder = HERE / "parity" / name
        folder.mkdir(parents=True, exist_ok=True)
        ids = np.random.default_rng(seed).integers(0, config.vocab_size, 11).tolist()
        arrays = activations(model, ids)
        save_checkpoint(model.to(dtype), folder, name)
        save_npz(folder / "activations.npz", {"ids": np.array(ids), **arrays})
        print(name, sum(a.nbytes for a in arrays.values()) // 1024, "KiB of activations")


def bundled_logits() -> None:
    from txexplain.engine.tokenizer import Tokenizer

    folder = ROOT / "weights" / "storyteller"
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    arrays: dict[str, np.ndarray] = {"sha256": np.array(hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest())}
    for number, prompt in enumerate(PROMPTS):
        ids = Tokenizer.gpt2().encode(prompt)
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1].numpy()
        chosen = np.union1d(np.arange(0, logits.size, 50), np.argsort(-logits)[:100])
        arrays |= {f"ids{number}": np.array(ids), f"chosen{number}": chosen, f"logits{number}": logits[chosen]}
    save_npz(HERE / "parity" / "storyteller.npz", arrays)


def full_size() -> None:
    from txexplain.models import load_model

    model = random_model(GPT2Config(), 0, 0.02)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        ours = load_model(folder)
        for n in (1, 8, 32, 128):
            ids = np.random.default_rng(n).integers(0, 50257, n).tolist()
            want, have = activations(model, ids), ours.forward(ids, all_logits=True)
            assert have is not None
            errors = {}
            for name, array in want.items():
                seen = np.isfinite(array)
                assert np.array_equal(seen, np.isfinite(have[name])), name
                errors[name] = float(np.abs(have[name][seen] - array[seen]).max() / np.abs(array[seen]).max())
            worst = max(errors, key=errors.__getitem__)
            print(json.dumps({"T": n, "tensors": len(want), "worst": worst, "relative": errors[worst], "logits": errors["logits"]}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full-size", action="store_true")
    if parser.parse_args().full_size:
        full_size()
    else:
        tiny_files()
        bundled_logits()
