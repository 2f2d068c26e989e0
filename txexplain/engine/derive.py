"""What a view asks for that the trace doesn't hold itself: computed from the trace's activations and the weights, here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.config import GPT2Config
from txexplain.engine.kept import Kept
from txexplain.engine.measures import HeadMeasures, after_copies, head_measures
from txexplain.engine.ops import ACTIVATIONS, Array, attention_scale, attention_scores, softmax
from txexplain.engine.sampling import Ranking, highest
from txexplain.engine.trace import Trace, guess_config, known_sizes
from txexplain.errors import NotRecorded

if TYPE_CHECKING:
    from txexplain.engine.model import GPT2

Doubles = NDArray[np.float64]
Answer = TypeVar("Answer")
SAMPLE = 64  # tokens that tell the scale and the activation
MOST_MOVED = 5  # tokens that a reading names on either side
FITS = 1e-3  # of the largest number: how far recorded numbers may lie from what explains them
AT_ONCE = 1 << 23  # numbers in float64 that a block's shares are computed from in one go
FLOWS = ("attn.z", "attn_out", "resid_mid")  # the steps on whose formulas norm_shares rest
SWIFT = 200_000  # the largest L × H × T² whose measures take a few milliseconds, for which a key may wait


def raw_scores(trace: Trace, layer: int, head: int) -> Doubles:
    """q · k of one head, neither scaled nor masked. Shapes: -> [T, T], rows are queries."""
    q, k = (trace[f"blocks.{layer}.attn.{name}"][:, head].astype(np.float64) for name in "qk")  # [T, dh]
    return q @ k.T  # [T, T]


def value_norms(trace: Trace, layer: int, head: int) -> Doubles:
    """How long each token's value vector is. Shapes: -> [T]."""
    return np.linalg.norm(trace[f"blocks.{layer}.attn.v"][:, head].astype(np.float64), axis=-1)  # [T]


def weighted_value_norms(trace: Trace, layer: int, head: int) -> Doubles:
    """‖pattern × v‖: how much each key's value adds to each query's mix. Shapes: -> [T, T]."""
    return trace[f"blocks.{layer}.attn.pattern"][head] * value_norms(trace, layer, head)  # [T, T]


def output_weight(model: GPT2, layer: int, head: int) -> Array:
    """One head's rows of W_O. Shapes: -> [dh, d]."""
    dh = model.config.head_dim
    return model.blocks[layer]["attn.c_proj.weight"][head * dh : (head + 1) * dh]  # [dh, d]


def head_parts(model: GPT2, trace: Trace, layer: int, token: int) -> Array:
    """What each head adds to one token's residual stream. Shapes: -> [H, d]."""
    z = trace[f"blocks.{layer}.attn.z"][token]  # [H, dh]
    weight = model.blocks[layer]["attn.c_proj.weight"].reshape(*z.shape, -1)  # [H, dh, d]
    return (z[:, None] @ weight)[:, 0]  # [H, d]


def moved_vector(model: GPT2, trace: Trace, layer: int, head: int, query: int, key: int) -> Array:
    """What this head carries from one key token to one query token: share × v through W_O. Shapes: -> [d]."""
    share = trace[f"blocks.{layer}.attn.pattern"][head, query, key]
    return share * trace[f"blocks.{layer}.attn.v"][key, head] @ output_weight(model, layer, head)  # [d]


class Reading(NamedTuple):
    """The tokens that a vector makes likelier and less likely, the most moved first: (id, change of its probability)."""

    raises: tuple[tuple[int, float], ...]
    lowers: tuple[tuple[int, float], ...]


def reading(effect: Array, probability: Doubles) -> Reading:
    """What a change of the logits does to the probabilities, to first order, in a few tokens. Shapes: [V], [V] -> MOST_MOVED each.

    dp_t = p_t · (e_t − Σ p·e): a token that is never said isn't named, however much its logit moves.
    """
    change = probability * (effect - probability @ effect)  # [V]
    raises, lowers = (tuple((i, float(change[i])) for i in highest(values, MOST_MOVED) if values[i] > 0) for values in (change, -change))
    return Reading(raises, lowers)


def logit_effect(model: GPT2, trace: Trace, vector: Array, row: int) -> Array:
    """What a vector in a row's residual stream adds to that row's logits on the direct way to the end. Shapes: [d] -> [V].

    Through the final LayerNorm, centred and with gain, its scale held as it was in the run: the effects of all that was added
    to the stream make, with the LayerNorm's bias, the logits ("direct logit attribution", Elhage et al. 2021).
    """
    centred = (vector - vector.mean()) * (model.weights["ln_f.weight"] / trace["ln_final.scale"][row, 0])  # [d]
    return centred @ model.unembedding.T  # [V]


def probabilities(model: GPT2, trace: Trace, row: int) -> Doubles:
    """The shares of all tokens after a row, at temperature 1. Shapes: -> [V]."""
    logits = trace["ln_final.normalized"][row] @ model.unembedding.T  # [V]
    return softmax(logits).astype(np.float64)  # [V]


def norm_shares(model: GPT2, trace: Trace, layer: int) -> Doubles:
    """How much of each token's vector after attention came from each token. Shapes: -> [T, T], rows sum to 1.

    Share of j in i: n_ij / Σ_k n_ik with n_ij = ‖Σ_h pattern_h[i,j] · v_h[j] · W_O,h‖ for j ≠ i, and
    n_ii = ‖resid_pre[i] + Σ_h pattern_h[i,i] · v_h[i] · W_O,h‖ (Kobayashi et al. 2021). LayerNorm and MLP aren't traced.
    """
    pattern, v = trace[f"blocks.{layer}.attn.pattern"], trace[f"blocks.{layer}.attn.v"]  # [H, T, T], [T, H, dh]
    n_head, n_tokens = pattern.shape[:2]
    norms = np.empty((n_tokens, n_tokens))  # [T queries, T keys]
    # Some keys at a time: each takes H·(T + H + d) numbers in float64.
    step = max(1, AT_ONCE // (n_head * (n_tokens + n_head + model.config.n_embd)))
    for first in range(0, n_tokens, step):
        keys = np.arange(first, min(first + step, n_tokens))  # [k]
        through = np.stack([v[keys, h] @ output_weight(model, layer, h) for h in range(n_head)], axis=1).astype(np.float64)  # [k, H, d]
        # ‖Σ_h a_h u_h‖² = Σ_hg a_h a_g (u_h · u_g): sums over heads for each query, without a vector of length d for each.
        gram = through @ through.transpose(0, 2, 1)  # [k, H, H]
        weights = pattern[:, :, keys].transpose(2, 1, 0).astype(np.float64)  # [k, T queries, H]
        norms[:, keys] = np.sqrt(np.maximum(((weights @ gram) * weights).sum(axis=-1), 0.0)).T  # [T queries, k]
        own = pattern[:, keys, keys].T.astype(np.float64)  # [k, H]
        stayed = trace[f"blocks.{layer}.resid_pre"][keys] + np.einsum("ih,ihd->id", own, through)  # [k, d]
        norms[keys, keys] = np.linalg.norm(stayed, axis=-1)
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


def cosines(model: GPT2, token_id: int) -> Array:
    """The cosine of a token's row of wte with every row. Shapes: -> [V]; 0 for a row of zeros."""
    wte, lengths = model.weights["wte.weight"], model.row_lengths  # [V, d], [V]
    return wte @ wte[token_id] / np.maximum(lengths * lengths[token_id], np.float32(1e-30))  # [V]


def masked(scores: Array) -> Array:
    """Scores with −inf where the key comes after the query. Shapes: [H, T, T] -> [H, T, T]."""
    return np.where(np.tri(scores.shape[-1], dtype=bool), scores, np.float32(-np.inf)).astype(np.float32)  # [H, T, T]


def completed(trace: Trace, config: GPT2Config) -> Trace:
    """A trace file's run with what follows exactly from what it recorded: scores from queries and keys, shares from scores.

    What was changed by hand follows from nothing, nor do shares from scores that it lacks and that were changed.
    """
    lazy: dict[str, Callable[[], Array]] = {}
    for layer in range(config.n_layer):
        scores, pattern, q, k = (f"blocks.{layer}.attn.{name}" for name in ("attn_scores", "pattern", "q", "k"))
        if trace.changed(pattern) or (trace.changed(scores) and scores not in trace):
            continue
        if scores in trace:
            lazy[pattern] = partial(lambda name: softmax(masked(trace[name])), scores)
        elif q in trace and k in trace and trace.config is not None:  # without a config nobody knows the scale
            scale = attention_scale(config, layer)
            lazy[scores] = make = partial(lambda q, k, scale: masked(attention_scores(trace[q], trace[k], scale)), q, k, scale)
            lazy[pattern] = partial(lambda make: softmax(make()), make)
    return trace.completed(lazy)


def recorded_scale(trace: Trace, layer: int) -> float | None:
    """What q · k was multiplied by, told by the scores of a trace without its config; None where no one number explains them."""
    if not all(f"blocks.{layer}.attn.{name}" in trace for name in ("q", "k", "attn_scores")):
        return None
    q, k = (trace[f"blocks.{layer}.attn.{name}"][:SAMPLE].transpose(1, 0, 2) for name in "qk")  # [H, n, dh]
    n = q.shape[1]
    seen = np.tri(n, dtype=bool)  # [n, n]
    raw = (q @ k.transpose(0, 2, 1))[:, seen]  # [H, seen]
    scores = trace[f"blocks.{layer}.attn.attn_scores"][:, :n, :n][:, seen]  # [H, seen]
    at = np.abs(raw).argmax()
    if raw.flat[at] == 0:
        return None
    scale = float(scores.flat[at] / raw.flat[at])
    return scale if fits(raw * np.float32(scale), scores) else None


def recorded_activation(trace: Trace, n_layer: int) -> str | None:
    """The activation that made post of pre in a trace without its config: the one that fits best; None where none does."""
    for layer in range(n_layer):
        if all(f"blocks.{layer}.mlp.{name}" in trace for name in ("pre", "post")):
            pre, post = (trace[f"blocks.{layer}.mlp.{name}"][:SAMPLE] for name in ("pre", "post"))  # [n, m]
            best = min(ACTIVATIONS, key=lambda name: float(np.abs(ACTIVATIONS[name](pre) - post).max()))
            return best if fits(ACTIVATIONS[best](pre), post) else None
    return None


def fits(made: Array, recorded: Array) -> bool:
    """Whether recorded numbers are these, to the precision of the run that made them."""
    return bool(np.abs(made - recorded).max() <= FITS * np.abs(recorded).max())


class Result:
    """What a run of the model gave: its trace, the weights that made it (None for a trace file opened alone), and what follows from them.

    Everything else is computed when it is first asked for. Several threads may ask at once; at worst two compute the same.
    Methods that need the weights raise NotRecorded without them, as those do whose activations weren't recorded.
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
        self._scales: dict[int, float | None] = {}
        self.facts = Kept()  # what was computed of this run, each with its own question
        self.trace = trace if model is not None else completed(trace, config)
        self.plain: Result | None = None  # the same prompt's run without changes, where this one was changed
        self.donor: Trace | None = None  # the run that values were taken of

    def has(self, *names: str) -> bool:
        """Whether all of these activations were recorded."""
        return all(name in self.trace for name in names)

    @property
    def head_dim(self) -> int | None:
        """dh, or None where a trace's tensors don't tell it."""
        return self.config.head_dim if self.known is None or "n_embd" in self.known else None

    def scale(self, layer: int) -> float | None:
        """What q · k is multiplied by; None where a trace tells it neither in its config nor by its scores."""
        if self.known is None:
            return attention_scale(self.config, layer)
        if layer not in self._scales:
            self._scales[layer] = recorded_scale(self.trace, layer)
        return self._scales[layer]

    @cached_property
    def activation(self) -> str | None:
        """The activation's name in a config; None where a trace tells it neither in its config nor by its neurons."""
        return self.config.activation_function if self.known is None else recorded_activation(self.trace, self.config.n_layer)

    @property
    def epsilon(self) -> float | None:
        """What a LayerNorm adds to the variance; None where a trace has no config."""
        return self.config.layer_norm_epsilon if self.known is None else None

    def weights(self) -> GPT2:
        if self.model is None:
            raise NotRecorded("weights")
        return self.model

    def last(self, name: str, question: Hashable, find: Callable[[], Answer]) -> Answer:
        """What a view computes from this run under a name of its own, kept until it asks another question under that name."""
        return self.facts.answer(name, question, find)

    @cached_property
    def ranking(self) -> Ranking:
        """The vocabulary sorted by the last position's logits: once, whatever the temperature. Raises NotRecorded, NonFinite."""
        return Ranking.of(self.trace.last_logits)

    @cached_property
    def measures(self) -> HeadMeasures:
        """What every head does on this prompt. Shapes: [L, H] each."""
        return head_measures(self.trace, self.config.n_layer, self.config.n_head)

    @cached_property
    def copies(self) -> NDArray[np.bool_]:
        """measures.after_copies of the prompt. Shapes: -> [T, T]."""
        return after_copies(self.trace.ids)

    @property
    def measured(self) -> bool:
        """Whether `measures` is there, or so little work that a key press can wait for it."""
        config = self.config
        return "measures" in self.__dict__ or config.n_layer * config.n_head * self.trace.n_tokens**2 <= SWIFT

    @cached_property
    def norm_flow(self) -> list[Doubles]:
        """norm_shares of every block. Shapes: L × [T, T].

        They hold as long as each head's result is its mix of the values, and what the heads add is added. Raises NotRecorded.
        """
        if lacking := self.flow_lacks("norms"):
            raise NotRecorded(lacking)
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
            for name in FLOWS if mode == "norms" else ():
                if self.trace.changed(f"blocks.{layer}.{name}"):
                    return f"blocks.{layer}.{name} was changed by hand"
        return ""

    def traced(self, mode: str) -> bool:
        """Whether a mode's shares are there."""
        return ("norm_flow" if mode == "norms" else "rollout_flow") in self.__dict__

    def flow(self, mode: str) -> list[Doubles]:
        """The shares that the ribbons show: mode "norms" or "rollout". Shapes: L × [T, T]."""
        return self.norm_flow if mode == "norms" else self.rollout_flow
