"""Pickles and adapters as nanoGPT, transformers and PEFT write them, and their logits: tests/golden/convert.

    python -m tests.golden.make_convert        (from the repository; torch 2.13, transformers 5.24, peft 0.21)

`*.stream` is what txexplain/models/unpickle.py says of the pickle of that name, by a Python with torch.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn import functional
from transformers import GPT2LMHeadModel

from tests.engine.odd_checkpoints import BASE, IDS
from tests.golden.make_parity import save_npz

HERE = Path(__file__).parent / "convert"
UNPICKLE = Path(__file__).parents[2] / "txexplain" / "models" / "unpickle.py"
SIZES = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 12, "vocab_size": 47, "dropout": 0.0}


class Norm(nn.Module):
    def __init__(self, d: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))
        self.bias = nn.Parameter(torch.zeros(d)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, 1e-5)


class Attention(nn.Module):
    def __init__(self, d: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = nn.Linear(d, 3 * d, bias=bias), nn.Linear(d, d, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, d = x.shape
        q, k, v = (part.view(n, self.heads, d // self.heads).transpose(0, 1) for part in self.c_attn(x).split(d, dim=1))
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(0, 1).reshape(n, d))


class Mlp(nn.Module):
    def __init__(self, d: int, bias: bool) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(d, 4 * d, bias=bias), nn.Linear(4 * d, d, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c_proj(nn.GELU()(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, d: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ln_2, self.mlp = Norm(d, bias), Attention(d, heads, bias), Norm(d, bias), Mlp(d, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class NanoGPT(nn.Module):
    """nanoGPT's layout: nn.Linear's orientation, exact GELU, a tied head that state_dict lists twice."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        d, vocabulary = SIZES["n_embd"], SIZES["vocab_size"]
        blocks = nn.ModuleList(Block(d, SIZES["n_head"], bias) for _ in range(SIZES["n_layer"]))
        wte, wpe = nn.Embedding(vocabulary, d), nn.Embedding(SIZES["block_size"], d)
        self.transformer = nn.ModuleDict({"wte": wte, "wpe": wpe, "h": blocks, "ln_f": Norm(d, bias)})
        self.lm_head = nn.Linear(d, vocabulary, bias=False)
        self.lm_head.weight = wte.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        t = self.transformer
        x = t["wte"](ids) + t["wpe"](torch.arange(len(ids)))
        for block in t["h"]:
            x = block(x)
        return self.lm_head(t["ln_f"](x)[-1])


def stirred(model: Any) -> Any:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def stream(pickle: Path) -> None:
    done = subprocess.run([sys.executable, "-I", str(UNPICKLE), str(pickle)], capture_output=True, check=True)
    pickle.with_suffix(".stream").write_bytes(done.stdout)


def adapter(name: str, **options: Any) -> np.ndarray:
    model = get_peft_model(GPT2LMHeadModel.from_pretrained(BASE), LoraConfig(base_model_name_or_path="base", **options))
    stirred(model).save_pretrained(HERE / name)
    (HERE / name / "README.md").unlink()
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0, -1].numpy()


def main() -> None:
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    found: dict[str, np.ndarray] = {}
    for name, bias, prefix in (("ckpt", False, "_orig_mod."), ("biased", True, "")):
        torch.manual_seed(7)
        model = stirred(NanoGPT(bias))
        state = {prefix + key: value for key, value in model.state_dict().items()}
        kept = {"model": state, "optimizer": {"state": {}, "param_groups": []}, "model_args": SIZES | {"bias": bias}, "iter_num": 5,
                "best_val_loss": torch.tensor(1.5), "config": {"dataset": "tales", "batch_size": 4}}  # fmt: skip
        torch.save(kept, HERE / f"{name}.pt")
        stream(HERE / f"{name}.pt")
        with torch.no_grad():
            found[name] = model(torch.tensor(IDS)).numpy()
    torch.save(GPT2LMHeadModel.from_pretrained(BASE).to(torch.bfloat16).state_dict(), HERE / "pytorch_model.bin")
    stream(HERE / "pytorch_model.bin")
    (HERE / "pytorch_model.bin").unlink()
    with torch.no_grad():
        halved = GPT2LMHeadModel.from_pretrained(BASE).to(torch.bfloat16).float().eval()
        found["pytorch_model"] = halved(torch.tensor([IDS])).logits[0, -1].numpy()
    torch.manual_seed(7)
    found["plain"] = adapter("plain", target_modules=["c_attn"], r=2, lora_alpha=16, fan_in_fan_out=True)
    patterns = {"rank_pattern": {"attn.c_proj": 3}, "alpha_pattern": {"c_attn": 32, "h.1.mlp.c_proj": 1}}
    found["patterns"] = adapter("patterns", target_modules=["c_attn", "c_proj", "c_fc"], r=2, **patterns)
    found["more"] = adapter("more", target_modules=["c_attn"], r=2, use_rslora=True, bias="all", modules_to_save=["ln_f"])
    found["ends"] = adapter("ends", target_modules=["wte", "c_attn", "lm_head"], r=1)
    found["embedding"] = adapter("embedding", target_modules=["c_attn"], r=1, modules_to_save=["wte"])
    adapter("dora", target_modules=["c_attn"], r=1, use_dora=True)
    adapter("pissa", target_modules=["c_attn"], r=1, init_lora_weights="pissa")
    for name in ("dora", "pissa"):
        (HERE / name / "adapter_model.safetensors").unlink()
    save_npz(HERE / "logits.npz", found)
    print(json.dumps({name: array.shape for name, array in found.items()}))


if __name__ == "__main__":
    main()
