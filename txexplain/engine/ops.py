"""GPT-2's operations, one short pure function each.

Shapes stand at the end of lines: T tokens, n new tokens, H heads, dh = d / H, d = n_embd, m = n_inner, V vocabulary.
Arrays are float32. Nothing here changes its arguments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.config import GPT2Config

Array = NDArray[np.float32]


def linear(x: Array, weight: Array, bias: Array, out: Array | None = None) -> Array:
    """x @ weight + bias. GPT-2 stores a weight as [inputs, outputs] (its "Conv1D").

    Shapes: x [n, a], weight [a, b], bias [b] -> [n, b], a new array or `out`.
    """
    y = np.matmul(x, weight, out=out)  # [n, a] @ [a, b] -> [n, b]
    y += bias  # [n, b]
    return y


def layer_norm(x: Array, gain: Array, bias: Array, eps: float) -> tuple[Array, Array]:
    """LayerNorm (Ba et al. 2016): each token's vector, centred, divided by its spread, then stretched and shifted.

    Shapes: x [n, d], gain [d], bias [d] -> normalized [n, d], scale [n, 1], where scale = sqrt(variance + eps).
    """
    centred = x - x.mean(axis=-1, keepdims=True)  # [n, d]
    variance = (centred * centred).mean(axis=-1, keepdims=True)  # [n, 1]
    scale = np.sqrt(variance + eps)  # [n, 1]
    return centred / scale * gain + bias, scale  # [n, d], [n, 1]


def softmax(x: Array) -> Array:
    """exp(x) / sum(exp(x)) along the last axis; the row's maximum is taken off first, so that exp can't overflow.

    Shapes: x [..., T] -> [..., T]; −inf becomes 0.
    """
    e = np.exp(x - x.max(axis=-1, keepdims=True))  # [..., T]
    return e / e.sum(axis=-1, keepdims=True)  # [..., T]


def merge_heads(z: Array) -> Array:
    """Put the heads' pieces side by side again. Shapes: z [n, H, dh] -> [n, H·dh]."""
    return z.reshape(z.shape[0], -1)


def attention_scale(config: GPT2Config, layer: int) -> float:
    """What q · k is multiplied by: 1/√dh by default; some checkpoints also divide by the block's number, from 1."""
    scale = 1.0 / math.sqrt(config.head_dim) if config.scale_attn_weights else 1.0
    return scale / (layer + 1) if config.scale_attn_by_inverse_layer_idx else scale


def attention_scores(q: Array, k: Array, scale: float) -> Array:
    """How well each new token's query fits each token's key: q · k × scale, −inf where the key lies in the future.

    Shapes: q [n, H, dh] of the last n of T tokens, k [T, H, dh] -> [H, n, T].
    Source: Vaswani et al. 2017, section 3.2.1.
    """
    raw = q.transpose(1, 0, 2) @ k.transpose(1, 2, 0)  # [H, n, dh] @ [H, dh, T] -> [H, n, T]
    scaled = raw * scale  # [H, n, T]
    return scaled + causal_mask(len(q), len(k))  # [H, n, T]


def causal_mask(n: int, total: int) -> Array:
    """What is added to scores so that no query sees a later key: 0, or −inf. Shapes: -> [n, T] for the last n of T queries."""
    return np.where(future(n, total), -np.inf, 0).astype(np.float32)  # [n, T]


def future(n: int, total: int) -> NDArray[np.bool_]:
    """True where key j comes after query i. Shapes: -> [n, T] for the last n of T queries."""
    return np.arange(total) > np.arange(total - n, total)[:, None]  # [n, T]


def weighted_values(pattern: Array, v: Array) -> Array:
    """Each head's mix of the values. Shapes: pattern [H, n, T], v [T, H, dh] -> z [n, H, dh]."""
    z = np.empty((pattern.shape[1], *v.shape[1:]), dtype=np.float32)  # [n, H, dh]
    np.matmul(pattern, v.transpose(1, 0, 2), out=z.transpose(1, 0, 2))  # [H, n, T] @ [H, T, dh] -> [H, n, dh]
    return z


def gelu_new(x: Array) -> Array:
    """GELU by tanh, as GPT-2 was trained with (Hendrycks & Gimpel 2016). Shapes: [...] -> [...]."""
    bend = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)  # [...]
    return x / 2 * (1 + np.tanh(bend))  # [...]


def gelu(x: Array) -> Array:
    """GELU by the error function: x × Φ(x). Shapes: [...] -> [...]."""
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))  # [...]


def gelu_10(x: Array) -> Array:
    """GELU, held between −10 and 10. Shapes: [...] -> [...]."""
    return np.clip(gelu(x), -10, 10)


def quick_gelu(x: Array) -> Array:
    """GELU roughly: x × sigmoid(1.702 x). Shapes: [...] -> [...]."""
    return x / (1 + np.exp(-1.702 * x))


def erf(x: Array) -> Array:
    """The error function, to 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26); NumPy has none. Shapes: [...] -> [...]."""
    a = np.abs(x)
    t = 1 / (1 + 0.3275911 * a)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.copysign(1 - poly * np.exp(-a * a), x)


def relu(x: Array) -> Array:
    """max(x, 0). Shapes: [...] -> [...]."""
    return np.maximum(x, 0)


def silu(x: Array) -> Array:
    """x × sigmoid(x), also called swish. Shapes: [...] -> [...]."""
    return x / (1 + np.exp(-x))


def tanh(x: Array) -> Array:
    """The hyperbolic tangent. Shapes: [...] -> [...]."""
    return np.tanh(x)


ACTIVATIONS: dict[str, Callable[[Array], Any]] = {
    "gelu_new": gelu_new,
    "gelu_fast": gelu_new,
    "gelu_accurate": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "gelu_python_tanh": gelu_new,
    "gelu": gelu,
    "gelu_python": gelu,
    "gelu_10": gelu_10,
    "quick_gelu": quick_gelu,
    "relu": relu,
    "silu": silu,
    "swish": silu,
    "tanh": tanh,
}
