"""What a view asks for that the trace doesn't hold itself: computed from the trace's activations and the weights, here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.config import GPT2Config
from txexplain.engine.ops import Array, attention_scale, attention_scores, softmax
from txexplain.engine.trace import Trace, guess_config, known_sizes

if TYPE_CHECKING:
    from txexplain.engine.model import GPT2

Doubles = NDArray[np.float64]
STAGE_NEEDS = {"qk": "qk", "scaled": "qk", "masked": ("attn_scores",), "softmax": ("pattern",), "values": ("pattern", "v")}


def raw_scores(trace: Trace, layer: int, head: int) -> Array:
    """q · k of one head, neither scaled nor masked. Shapes: -> [T, T], rows are queries."""
    q, k = trace[f"blocks.{layer}.attn.q"][:, head], trace[f"blocks.{layer}.attn.k"][:, head]  # [T, dh]
    return q @ k.T  # [T, T]


def scaled_scores(trace: Trace, layer: int, head: int, scale: float) -> Array:
    """q · k × scale, not yet masked. Shapes: -> [T, T]."""
    return raw_scores(trace, layer, head) * np.float32(scale)  # [T, T]


def value_norms(trace: Trace, layer: int, head: int) -> Array:
    """How long each token's value vector is. Shapes: -> [T]."""
    return np.linalg.norm(trace[f"blocks.{layer}.attn.v"][:, head], axis=-1).astype(np.float32)  # [T]


def weighted_value_norms(trace: Trace, layer: int, head: int) -> Array:
    """‖pattern × v‖: how much each key's value adds to each query's mix. Shapes: -> [T, T]."""
    return trace[f"blocks.{layer}.attn.pattern"][head] * value_norms(trace, layer, head)  # [T, T]


def output_weight(model: GPT2, layer: int, head: int) -> Array:
    """One head's rows of W_O. Shapes: -> [dh, d]."""
    dh = model.config.head_dim
    return model.blocks[layer]["attn.c_proj.weight"][head * dh : (head + 1) * dh]  # [dh, d]


def head_result(model: GPT2, trace: Trace, layer: int, head: int) -> Array:
    """What one head adds to each token's residual stream; the heads' sum plus W_O's bias is attn_out. Shapes: -> [T, d]."""
    return trace[f"blocks.{layer}.attn.z"][:, head] @ output_weight(model, layer, head)  # [T, d]


def moved_vector(model: GPT2, trace: Trace, layer: int, head: int, query: int, key: int) -> Array:
    """What this head carries from one key token to one query token: share × v through W_O. Shapes: -> [d]."""
    share = trace[f"blocks.{layer}.attn.pattern"][head, query, key]
    return share * trace[f"blocks.{layer}.attn.v"][key, head] @ output_weight(model, layer, head)  # [d]


def logit_effect(model: GPT2, vector: Array) -> Array:
    """What a vector in the residual stream would add to each logit, read straight through the unembedding. Shapes: [d] -> [V].

    A linear reading: it skips the final LayerNorm's scale and every block between ("direct logit attribution", Elhage et al. 2021).
    """
    return vector @ model.unembedding.T  # [V]


def norm_shares(model: GPT2, trace: Trace, layer: int) -> Doubles:
    """How much of each token's vector after attention came from each token. Shapes: -> [T, T], rows sum to 1.

    Share of j in i: n_ij / Σ_k n_ik with n_ij = ‖Σ_h pattern_h[i,j] · v_h[j] · W_O,h‖ for j ≠ i, and
    n_ii = ‖resid_pre[i] + Σ_h pattern_h[i,i] · v_h[i] · W_O,h‖ (Kobayashi et al. 2021). LayerNorm and MLP aren't traced.
    """
    pattern = trace[f"blocks.{layer}.attn.pattern"].astype(np.float64)  # [H, T, T]
    v = trace[f"blocks.{layer}.attn.v"]  # [T, H, dh]
    n_head = v.shape[1]
    through = np.stack([v[:, h] @ output_weight(model, layer, h) for h in range(n_head)], axis=1).astype(np.float64)  # [T, H, d]
    # ‖Σ_h a_h u_h‖² = Σ_hg a_h a_g (u_h · u_g): T² sums over heads, without T² vectors of length d.
    gram = through @ through.transpose(0, 2, 1)  # [T, H, H]
    weights = pattern.transpose(2, 1, 0)  # [T keys, T queries, H]
    norms = np.sqrt(np.maximum(((weights @ gram) * weights).sum(axis=-1), 0.0)).T  # [T queries, T keys]
    own = np.einsum("hii->ih", pattern)  # [T, H]
    stayed = trace[f"blocks.{layer}.resid_pre"] + np.einsum("ih,ihd->id", own, through)  # [T, d]
    np.fill_diagonal(norms, np.linalg.norm(stayed, axis=-1))
    return normalised_rows(norms)


def rollout_shares(trace: Trace, layer: int) -> Doubles:
    """Attention rollout's share of each token in each: ½ mean over heads of the pattern + ½ identity. Shapes: -> [T, T].

    Source: Abnar & Zuidema 2020.
    """
    mean = trace[f"blocks.{layer}.attn.pattern"].astype(np.float64).mean(axis=0)  # [T, T]
    return normalised_rows(0.5 * mean + 0.5 * np.eye(mean.shape[0]))


def normalised_rows(weights: Doubles) -> Doubles:
    """Each row divided by its sum; a row of zeros, where nothing moves, stays with its own token. Shapes: [T, T] -> [T, T]."""
    total = weights.sum(axis=-1, keepdims=True)  # [T, 1]
    return np.where(total > 0, weights / np.where(total > 0, total, 1.0), np.eye(weights.shape[0]))


def change_norms(trace: Trace, layer: int) -> tuple[Array, Array]:
    """How long the vectors are that attention and MLP add to each token, ‖attn_out‖ and ‖mlp_out‖. Shapes: -> [T], [T]."""
    attn, mlp = trace[f"blocks.{layer}.attn_out"], trace[f"blocks.{layer}.mlp_out"]
    return np.linalg.norm(attn, axis=-1), np.linalg.norm(mlp, axis=-1)


def masked(scores: Array) -> Array:
    """Scores with −inf where the key comes after the query. Shapes: [H, T, T] -> [H, T, T]."""
    return np.where(np.tri(scores.shape[-1], dtype=bool), scores, np.float32(-np.inf)).astype(np.float32)  # [H, T, T]


def completed(trace: Trace, config: GPT2Config) -> Trace:
    """A trace file's run with what follows exactly from what it recorded: scores from queries and keys, shares from scores."""
    lazy: dict[str, Callable[[], Array]] = {}
    for layer in range(config.n_layer):
        scores, pattern, q, k = (f"blocks.{layer}.attn.{name}" for name in ("attn_scores", "pattern", "q", "k"))
        if scores in trace:
            lazy[pattern] = partial(lambda name: softmax(masked(trace[name])), scores)
        elif q in trace and k in trace and trace.config is not None:  # without a config nobody knows the scale
            scale = attention_scale(config, layer)
            lazy[scores] = make = partial(lambda q, k, scale: masked(attention_scores(trace[q], trace[k], scale)), q, k, scale)
            lazy[pattern] = partial(lambda make: softmax(make()), make)
    return trace.completed(lazy)


class Lens:
    """One trace, seen with the weights that made it (None for a trace file opened alone): what views look through.

    Everything is computed when it is first asked for. Methods that need the weights raise KeyError without them,
    as those do whose activations weren't recorded.
    """

    def __init__(self, trace: Trace, model: GPT2 | None) -> None:
        self.model = model
        config = model.config if model else trace.config
        self.known: frozenset[str] | None = None  # the sizes that are known; None: all of them
        if config is None:
            tensors = {name: trace[name] for name in trace.names}
            config = guess_config("This trace", tensors, trace.n_tokens)
            self.known = frozenset(known_sizes(tensors))
        self.config: GPT2Config = config
        self.trace = trace if model is not None else completed(trace, config)

    def has(self, *names: str) -> bool:
        """Whether all of these activations were recorded."""
        return all(name in self.trace for name in names)

    @property
    def head_dim(self) -> int | None:
        """dh, or None where a trace's tensors don't tell it."""
        return self.config.head_dim if self.known is None or "n_embd" in self.known else None

    def has_stage(self, layer: int, stage: str) -> bool:
        """Whether stage() can answer."""
        return self.has(*(f"blocks.{layer}.attn.{name}" for name in STAGE_NEEDS[stage]))

    def stage(self, layer: int, head: int, stage: str) -> Array:
        """One head's grid at a stage: "qk", "scaled", "masked", "softmax", or "values" (‖share × v‖). Shapes: -> [T, T]."""
        if stage == "qk":
            return raw_scores(self.trace, layer, head)
        if stage == "scaled":
            return scaled_scores(self.trace, layer, head, attention_scale(self.config, layer))
        if stage == "masked":
            return self.trace[f"blocks.{layer}.attn.attn_scores"][head]
        if stage == "softmax":
            return self.trace[f"blocks.{layer}.attn.pattern"][head]
        if stage == "values":
            return weighted_value_norms(self.trace, layer, head)
        raise ValueError(f"no stage {stage!r}")

    def weights(self) -> GPT2:
        if self.model is None:
            raise KeyError("weights")
        return self.model

    @cached_property
    def changes(self) -> list[tuple[Array, Array]]:
        """For each block ‖attn_out‖ and ‖mlp_out‖. Shapes: L × ([T], [T])."""
        return [change_norms(self.trace, layer) for layer in range(self.config.n_layer)]

    @cached_property
    def norm_flow(self) -> list[Doubles]:
        """norm_shares of every block. Shapes: L × [T, T]."""
        return [norm_shares(self.weights(), self.trace, layer) for layer in range(self.config.n_layer)]

    @cached_property
    def rollout_flow(self) -> list[Doubles]:
        """rollout_shares of every block. Shapes: L × [T, T]."""
        return [rollout_shares(self.trace, layer) for layer in range(self.config.n_layer)]

    def flow_lacks(self, mode: str) -> str:
        """What the ribbons of a mode would need and this trace doesn't have, in words; "" where they can be traced."""
        if mode == "norms" and self.model is None:
            return "the model's weights"
        needs = ("attn.pattern", "attn.v", "resid_pre") if mode == "norms" else ("attn.pattern",)
        for layer in range(self.config.n_layer):
            for name in needs:
                if f"blocks.{layer}.{name}" not in self.trace:
                    return f"blocks.{layer}.{name}"
        return ""

    def flow(self, mode: str) -> list[Doubles]:
        """The shares that the ribbons show: mode "norms" or "rollout". Shapes: L × [T, T]."""
        return self.norm_flow if mode == "norms" else self.rollout_flow
