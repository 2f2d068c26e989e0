"""GPT-2 as one writes it first, head by head and with everything copied: what the engine is measured beside."""

from __future__ import annotations

from typing import Any

import numpy as np

from txexplain.engine.model import GPT2


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softmax(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def norm(x: Any, gain: Any, bias: Any) -> Any:
    return (x - np.mean(x, axis=-1, keepdims=True)) / np.sqrt(np.var(x, axis=-1, keepdims=True) + 1e-5) * gain + bias


def logits(model: GPT2, ids: list[int]) -> Any:
    """Every position's logits. Shapes: T ids -> [T, V]."""
    weights, n = model.weights, len(ids)
    x = weights["wte.weight"][ids] + weights["wpe.weight"][range(n)]
    mask = (1 - np.tri(n, dtype=x.dtype)) * -1e10
    for w in model.blocks:
        qkv = norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
        heads = [np.split(part, model.config.n_head, axis=-1) for part in np.split(qkv, 3, axis=-1)]
        out = [softmax(q @ k.T / np.sqrt(q.shape[-1]) + mask) @ v for q, k, v in zip(*heads, strict=True)]
        x = x + np.hstack(out) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
        inner = gelu(norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"])
        x = x + inner @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
    return norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ model.unembedding.T
