"""What a view asks for that the trace doesn't hold itself: computed from the trace's activations and the weights, here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.config import GPT2Config
from txexplain.engine.ops import Array, attention_scale
from txexplain.engine.trace import Trace, guess_config

if TYPE_CHECKING:
    from txexplain.engine.model import GPT2

Doubles = NDArray[np.float64]
STAGE_NEEDS = {"qk": "qk", "scaled": "qk", "masked": ("attn_scores",), "softmax": ("pattern",), "values": ("pattern", "v")}
KEPT = 4  # things that a Lens keeps for its views


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


class Lens:
    """One trace, seen with the weights that made it (None for a trace file opened alone): what views look through.

    Everything is computed when it is first asked for. Methods that need the weights raise KeyError without them,
    as those do whose activations weren't recorded.
    """

    def __init__(self, trace: Trace, model: GPT2 | None) -> None:
        self.trace = trace
        self.model = model
        config = model.config if model else trace.config
        if config is None:
            config = guess_config("This trace", {name: trace[name] for name in trace.names})
        self.config: GPT2Config = config
        self.kept: dict[Hashable, Any] = {}

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """What a view computes from this trace, kept for the next draws: only the last few, which may be large."""
        if key in self.kept:
            return self.kept[key]
        while len(self.kept) >= KEPT:
            del self.kept[next(iter(self.kept))]
        return self.kept.setdefault(key, compute())

    def has(self, *names: str) -> bool:
        """Whether all of these activations were recorded."""
        return all(name in self.trace for name in names)

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

    def flow(self, mode: str) -> list[Doubles]:
        """The shares that the ribbons show: mode "norms" or "rollout". Shapes: L × [T, T]."""
        return self.norm_flow if mode == "norms" else self.rollout_flow
