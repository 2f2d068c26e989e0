"""GPT-2 on one page: from token ids to the next token's logits.

Exactly what Hugging Face's GPT2LMHeadModel computes (Radford et al. 2019). A line that stores into `a` makes one activation, under
TransformerLens's name, and the lines after it read it from there: what stands in `a` is what the model went on with.

Shapes: n new tokens, the last of T; d = n_embd, H heads, dh = d / H, m = n_inner, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from txexplain.engine.config import GPT2Config
from txexplain.engine.ops import (
    ACTIVATIONS,
    Array,
    attention_scale,
    attention_scores,
    layer_norm,
    linear,
    merge_heads,
    softmax,
    weighted_values,
)

Weights = Mapping[str, Array]


class Activations(Protocol):
    """Where a run's activations are stored by name and read from: a dictionary will do."""

    def __setitem__(self, name: str, array: Array, /) -> None: ...
    def __getitem__(self, name: str, /) -> Array: ...


class Run(Activations, Protocol):
    """The activations of all blocks; inside a block their names are short."""

    def block(self, layer: int) -> Activations: ...  # where those of the next block are stored


class Cache(Protocol):
    """The queries, keys and values of the tokens that were run before; the new ones' are written behind them."""

    start: int  # how many tokens were run before

    def room(self, layer: int) -> Array: ...  # [n, 3·d], for the new tokens' rows
    def heads(self, layer: int) -> tuple[Array, Array, Array]: ...  # [T, H, dh] each


def gpt2(a: Run, ids: Sequence[int], w: Weights, blocks: Sequence[Weights], config: GPT2Config, cache: Cache) -> Array:
    """The whole model up to the unembedding. Shapes: ids [n] -> [n, d]."""
    a["embed"] = w["wte.weight"][list(ids)]  # [n, d]
    a["pos_embed"] = w["wpe.weight"][cache.start : cache.start + len(ids)]  # [n, d]
    x = a["embed"] + a["pos_embed"]  # [n, d]
    for layer in range(config.n_layer):
        x = block(a.block(layer), x, blocks[layer], config, layer, cache)  # [n, d]
    a["ln_final.normalized"], a["ln_final.scale"] = layer_norm(
        x, w["ln_f.weight"], w["ln_f.bias"], config.layer_norm_epsilon
    )  # [n, d], [n, 1]
    return a["ln_final.normalized"]  # [n, d]


def block(a: Activations, x: Array, w: Weights, config: GPT2Config, layer: int, cache: Cache) -> Array:
    """One block: attention reads from other tokens, the MLP thinks about each; both add to the residual stream.

    Shapes: x [n, d] -> [n, d].
    """
    eps, scale, activation = config.layer_norm_epsilon, attention_scale(config, layer), ACTIVATIONS[config.activation_function]
    a["resid_pre"] = x  # [n, d]
    a["ln1.normalized"], a["ln1.scale"] = layer_norm(a["resid_pre"], w["ln_1.weight"], w["ln_1.bias"], eps)  # [n, d], [n, 1]
    linear(a["ln1.normalized"], w["attn.c_attn.weight"], w["attn.c_attn.bias"], out=cache.room(layer))  # [n, 3·d]
    a["attn.q"], a["attn.k"], a["attn.v"] = cache.heads(layer)  # [T, H, dh] each
    a["attn.attn_scores"] = attention_scores(a["attn.q"][cache.start :], a["attn.k"], scale)  # [H, n, T]
    a["attn.pattern"] = softmax(a["attn.attn_scores"])  # [H, n, T]
    a["attn.z"] = weighted_values(a["attn.pattern"], a["attn.v"])  # [n, H, dh]
    a["attn_out"] = linear(merge_heads(a["attn.z"]), w["attn.c_proj.weight"], w["attn.c_proj.bias"])  # [n, d]
    a["resid_mid"] = a["resid_pre"] + a["attn_out"]  # [n, d]
    a["ln2.normalized"], a["ln2.scale"] = layer_norm(a["resid_mid"], w["ln_2.weight"], w["ln_2.bias"], eps)  # [n, d], [n, 1]
    a["mlp.pre"] = linear(a["ln2.normalized"], w["mlp.c_fc.weight"], w["mlp.c_fc.bias"])  # [n, m]
    a["mlp.post"] = activation(a["mlp.pre"])  # [n, m]
    a["mlp_out"] = linear(a["mlp.post"], w["mlp.c_proj.weight"], w["mlp.c_proj.bias"])  # [n, d]
    a["resid_post"] = a["resid_mid"] + a["mlp_out"]  # [n, d]
    return a["resid_post"]


def unembed(normalized: Array, unembedding: Array) -> Array:
    """The logits: how well each token of the vocabulary would fit next.

    Shapes: normalized [d] of one token or [n, d], unembedding [V, d] -> [V] or [n, V].
    """
    return normalized @ unembedding.T  # [d] @ [d, V] -> [V]
