"""What a run's parts say of its result: the logit difference taken apart, and the stream read before it is done.

Readings, not causes: they follow the direct way to the logits alone, and leave out what acts through later blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.gpt2 import unembed
from txexplain.engine.model import GPT2
from txexplain.engine.ops import Array, layer_norm
from txexplain.engine.trace import Trace
from txexplain.errors import PromptError

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Direct:
    """logit(a) − logit(b) at one row as a sum over what was added to that row's stream; logit(a) alone where there is no b.

    Every part is read through the last LayerNorm with the scale that it had in this run, centred as it was.
    """

    head: Doubles  # [L, H], each head's z through its rows of W_O
    attn_bias: Doubles  # [L], the bias of W_O
    mlp: Doubles  # [L]
    embed: float
    pos: float
    always: float  # the last LayerNorm's bias: the same in every run
    changed: float  # what interventions put into the stream, or took out; else 0 but for rounding

    @property
    def total(self) -> float:
        """The sum of all parts: the difference itself."""
        return float(self.head.sum() + self.attn_bias.sum() + self.mlp.sum()) + self.embed + self.pos + self.always + self.changed


def direct(model: GPT2, trace: Trace, a: int | str, b: int | str | None = None, at: int | None = None) -> Direct:
    """Direct logit attribution of the token `a` against `b` at row `at`, by default the last. Tokens by id, or as the text of one token.

    Source: Elhage et al. 2021, "logit attribution"; with the LayerNorm's scale frozen, as TransformerLens's logit_attrs.
    Raises PromptError for a token or a row that isn't there, NotRecorded for a trace that lacks what is read.
    """
    t, w, c = row_of(trace, at), model.weights, model.config
    u = difference(model, a, b)  # [d]
    gain, scale = w["ln_f.weight"].astype(np.float64), float(trace["ln_final.scale"][t, 0])
    direction = direction_of(model, trace, u, t)  # [d]

    def row(name: str) -> Doubles:
        return trace[name][t].astype(np.float64)

    head = np.empty((c.n_layer, c.n_head))  # [L, H]
    bias, mlp = np.empty(c.n_layer), np.empty(c.n_layer)  # [L] each
    stream = row("embed") + row("pos_embed")  # [d]
    changed = 0.0
    for layer, weights in enumerate(model.blocks):
        prefix = f"blocks.{layer}."
        out = (weights["attn.c_proj.weight"] @ direction).reshape(c.n_head, c.head_dim)  # [H, dh]
        head[layer] = (row(prefix + "attn.z") * out).sum(axis=1)  # [H]
        bias[layer] = weights["attn.c_proj.bias"] @ direction
        mlp[layer] = row(prefix + "mlp_out") @ direction
        before, attn, mid, after = (row(prefix + name) for name in ("resid_pre", "attn_out", "resid_mid", "resid_post"))
        # Where an intervention set one of these, it isn't the sum of its parts, and the rest counts as what was changed.
        changed += float((before - stream) @ direction) + float(attn @ direction - head[layer].sum() - bias[layer])
        changed += float((mid - before - attn) @ direction) + float((after - mid - row(prefix + "mlp_out")) @ direction)
        stream = after
    normalized = (stream - stream.mean()) / scale * gain + w["ln_f.bias"]  # [d]
    changed += float((row("ln_final.normalized") - normalized) @ u)
    embed, pos = float(row("embed") @ direction), float(row("pos_embed") @ direction)
    return Direct(head, bias, mlp, embed, pos, float(w["ln_f.bias"] @ u), changed)


def difference(model: GPT2, a: int | str, b: int | str | None) -> Doubles:
    """The unembedding's row of `a` less that of `b`, if there is one. Shapes: -> [d]. Raises PromptError."""
    u: Doubles = model.unembedding[token_id(model, a)].astype(np.float64)  # [d]
    return u if b is None else u - model.unembedding[token_id(model, b)]  # [d]


def direction_of(model: GPT2, trace: Trace, u: Doubles, t: int) -> Doubles:
    """What a vector in a row's stream adds to the difference `u` is its product with this. Shapes: u [d] -> [d]."""
    gain = model.weights["ln_f.weight"].astype(np.float64)  # [d]
    direction: Doubles = (gain * u - (gain * u).mean()) / float(trace["ln_final.scale"][t, 0])  # [d]
    return direction


def direct_by_key(
    model: GPT2, trace: Trace, layer: int, head: int, a: int | str, b: int | str | None = None, at: int | None = None
) -> Doubles:
    """A head's part of `direct`, by the keys that it looked at: share × value through W_O. Shapes: -> [at + 1]."""
    t, dh = row_of(trace, at), model.config.head_dim
    out = model.blocks[layer]["attn.c_proj.weight"][head * dh : (head + 1) * dh]  # [dh, d]
    reads = out @ direction_of(model, trace, difference(model, a, b), t)  # [dh]
    by_key: Doubles = trace[f"blocks.{layer}.attn.pattern"][head, t, : t + 1] * (trace[f"blocks.{layer}.attn.v"][: t + 1, head] @ reads)
    return by_key


def direct_by_neuron(model: GPT2, trace: Trace, layer: int, a: int | str, b: int | str | None = None, at: int | None = None) -> Doubles:
    """An MLP's part of `direct`, by its neurons; the rest of it is its bias. Shapes: -> [m]."""
    t = row_of(trace, at)
    reads = model.blocks[layer]["mlp.c_proj.weight"] @ direction_of(model, trace, difference(model, a, b), t)  # [m]
    by_neuron: Doubles = trace[f"blocks.{layer}.mlp.post"][t] * reads
    return by_neuron


def lens(model: GPT2, trace: Trace) -> Array:
    """The logit lens (nostalgebraist 2020): the stream read by the last LayerNorm and the unembedding before it is done.

    Each row with its own mean and variance, as the last one has. A reading, not a cause. Shapes: -> [2·L + 1, T, V], float32:
    resid_pre and resid_mid of each block, then the last resid_post, which gives the logits. Raises NotRecorded.
    """
    c = model.config
    names = [f"blocks.{layer}.{part}" for layer in range(c.n_layer) for part in ("resid_pre", "resid_mid")]
    read = np.empty((len(names) + 1, trace.n_tokens, len(model.unembedding)), dtype=np.float32)  # [2·L + 1, T, V]
    for row, name in enumerate([*names, f"blocks.{c.n_layer - 1}.resid_post"]):
        read[row] = read_stream(model, trace[name])  # [T, V]
    return read


def read_stream(model: GPT2, x: Array) -> Array:
    """Vectors of the stream through the last LayerNorm and the unembedding, as the last ones are. Shapes: [n, d] -> [n, V]."""
    w = model.weights
    normalized, _ = layer_norm(x, w["ln_f.weight"], w["ln_f.bias"], model.config.layer_norm_epsilon)  # [n, d]
    return unembed(normalized, model.unembedding)  # [n, V]


def row_of(trace: Trace, at: int | None) -> int:
    """A row by its position, by default the last. Raises PromptError."""
    t = trace.n_tokens - 1 if at is None else at
    if not 0 <= t < trace.n_tokens:
        raise PromptError(f"There is no row {at}: this run has {trace.n_tokens} tokens, from 0 on.")
    return t


def token_id(model: GPT2, token: int | str) -> int:
    """A token by its id, or by its text, which must be one token. Raises PromptError, TokenizerError."""
    if isinstance(token, str):
        ids = model.tokenizer.candidates(token)
        if len(ids) != 1:
            raise PromptError(f"{token!r} is {len(ids)} tokens to {model.name}; give one token, perhaps with a space before it, or an id.")
        return ids[0]
    return model.checked([token])[0]
