"""What a view asks for that the trace doesn't hold itself: computed from the trace's activations and the weights, here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.config import GPT2Config
from txexplain.engine.errors import NotRecorded
from txexplain.engine.measures import HeadMeasures, after_copies, head_measures
from txexplain.engine.ops import ACTIVATIONS, Array, attention_scale, attention_scores, softmax
from txexplain.engine.sampling import Ranking, highest
from txexplain.engine.surprisal import Surprise, surprises
from txexplain.engine.trace import Trace, guess_config, known_sizes

if TYPE_CHECKING:
    from txexplain.engine.model import GPT2

Doubles = NDArray[np.float64]
Question = TypeVar("Question")
Answer = TypeVar("Answer")
STAGE_NEEDS = {"qk": "qk", "scaled": "qk", "masked": ("attn_scores",), "softmax": ("pattern",), "values": ("pattern", "v")}
SAMPLE = 64  # tokens that tell the scale and the activation
MOST_MOVED = 5  # tokens that a reading names on either side
FITS = 1e-3  # of the largest number: how far recorded numbers may lie from what explains them
SWIFT = 200_000  # shares that are measured within a few milliseconds


def raw_scores(trace: Trace, layer: int, head: int) -> Array:
    """q · k of one head, neither scaled nor masked. Shapes: -> [T, T], rows are queries."""
    q, k = trace[f"blocks.{layer}.attn.q"][:, head], trace[f"blocks.{layer}.attn.k"][:, head]  # [T, dh]
    return q @ k.T  # [T, T]


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
    """The tokens whose logits a vector raises and lowers most, the most moved first: (id, change of the logit)."""

    raises: tuple[tuple[int, float], ...]
    lowers: tuple[tuple[int, float], ...]

    def times(self, factor: float) -> Reading:
        """The reading of the vector times a factor that isn't negative."""
        raises, lowers = (tuple((id, change * factor) for id, change in side) for side in self)
        return Reading(raises, lowers)


def reading(model: GPT2, vector: Array) -> Reading:
    """What a vector in the residual stream does to the logits, in a few tokens. Shapes: [d] -> MOST_MOVED each."""
    effect = logit_effect(model, vector)  # [V]
    raises, lowers = (tuple((i, float(effect[i])) for i in highest(values, MOST_MOVED)) for values in (effect, -effect))
    return Reading(raises, lowers)


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


@dataclass(frozen=True)
class NormSteps:
    """A LayerNorm of one token, step by step: [d] each but the numbers. gain and bias are None where the weights aren't there."""

    x: Array
    mean: float
    centred: Array  # x − mean
    variance: float
    scale: float  # √(variance + ε), as recorded
    divided: Array  # centred ÷ scale
    gain: Array | None
    bias: Array | None
    normalized: Array  # divided × gain + bias, as recorded


def norm_steps(trace: Trace, model: GPT2 | None, config: GPT2Config, norm: str, token: int) -> NormSteps:
    """One token's way through a LayerNorm: norm is "blocks.L.ln1", "blocks.L.ln2" or "ln_final". Raises NotRecorded."""
    weights = model.weights if model is not None else {}
    if norm == "ln_final":
        source, prefix = f"blocks.{config.n_layer - 1}.resid_post", "ln_f"
    else:
        _, layer, which = norm.split(".")
        source, prefix = f"blocks.{layer}.resid_{'pre' if which == 'ln1' else 'mid'}", f"h.{layer}.ln_{which[-1]}"
    x = trace[source][token]  # [d]
    scale = float(trace[f"{norm}.scale"][token, 0])
    mean = x.mean()
    centred = x - mean  # [d]
    return NormSteps(
        x=x,
        mean=float(mean),
        centred=centred,
        variance=float(np.mean(centred * centred)),
        scale=scale,
        divided=centred / np.float32(scale),  # [d]
        gain=weights.get(f"{prefix}.weight"),
        bias=weights.get(f"{prefix}.bias"),
        normalized=trace[f"{norm}.normalized"][token],
    )


def cosines(model: GPT2, token_id: int) -> Array:
    """The cosine of a token's row of wte with every row. Shapes: -> [V]; 0 for a row of zeros."""
    wte, lengths = model.weights["wte.weight"], model.row_lengths  # [V, d], [V]
    return wte @ wte[token_id] / np.maximum(lengths * lengths[token_id], np.float32(1e-30))  # [V]


@dataclass(frozen=True)
class LinearMap:
    """One token through one matrix: output = x @ weight + bias. Shapes: x [a], weight [a, b], bias [b], output [b]."""

    x: Array
    weight: Array
    bias: Array
    output: Array


def largest(vector: NDArray[np.floating[Any]]) -> int:
    """The element of greatest size. Shapes: vector [n]."""
    return int(np.abs(vector).argmax())


def terms(x: Array, weight: Array) -> Doubles:
    """What a dot product adds up, element by element, in float64. Shapes: x [a], weight [a] -> [a]."""
    return x.astype(np.float64) * weight  # [a]


def qkv_row(trace: Trace, layer: int, token: int) -> Array:
    """A token's query, key and value of all heads, side by side. Shapes: -> [3·d]. Raises NotRecorded."""
    return np.concatenate([trace[f"blocks.{layer}.attn.{part}"][token].reshape(-1) for part in "qkv"])  # [3·d]


def proj_row(trace: Trace, layer: int, token: int) -> Array:
    """What attention adds to a token. Shapes: -> [d]. Raises NotRecorded."""
    return trace[f"blocks.{layer}.attn_out"][token]  # [d]


def qkv_map(model: GPT2, trace: Trace, layer: int, token: int) -> LinearMap:
    """The one product that makes a token's query, key and value of all heads, side by side: [d] -> [3·d]. Raises NotRecorded."""
    w = model.blocks[layer]
    x = trace[f"blocks.{layer}.ln1.normalized"][token]  # [d]
    return LinearMap(x, w["attn.c_attn.weight"], w["attn.c_attn.bias"], qkv_row(trace, layer, token))


def proj_map(model: GPT2, trace: Trace, layer: int, token: int) -> LinearMap:
    """The heads' results side by side through W_O: [H·dh] -> [d]. Raises NotRecorded."""
    w, z = model.blocks[layer], trace[f"blocks.{layer}.attn.z"][token].reshape(-1)  # [H·dh]
    return LinearMap(z, w["attn.c_proj.weight"], w["attn.c_proj.bias"], proj_row(trace, layer, token))


def neuron_reach(model: GPT2, layer: int) -> Array:
    """How long each neuron's row of the MLP's second matrix is: what it writes when its activation is 1. Shapes: -> [m]."""
    rows = model.blocks[layer]["mlp.c_proj.weight"]  # [m, d]
    return np.sqrt(np.vecdot(rows, rows))  # [m]


@dataclass(frozen=True)
class ResidualPart:
    """One thing that was added to a token's residual stream."""

    name: str  # "embed", "pos", "L3.attn", "L3.mlp"
    vector: Array  # [d]
    after: Array  # [d], the stream once it was added
    cosine: float  # of the stream after it with the final one
    logit: float | None  # what it gives to one token's logit, read linearly; None without the weights


def residual_parts(trace: Trace, model: GPT2 | None, n_layer: int, token: int, of: int | None = None) -> list[ResidualPart]:
    """A token's residual stream, part by part. Raises NotRecorded for what wasn't recorded.

    logit: the part through the final LayerNorm with its scale held fast, times the unembedding's row of the token `of`: the
    parts' sum, plus `logit_bias`, is that logit ("direct logit attribution", Elhage et al. 2021).
    """
    vectors = [("embed", trace["embed"][token]), ("pos", trace["pos_embed"][token])]
    for layer in range(n_layer):
        vectors.append((f"L{layer}.attn", trace[f"blocks.{layer}.attn_out"][token]))
        vectors.append((f"L{layer}.mlp", trace[f"blocks.{layer}.mlp_out"][token]))
    final = trace[f"blocks.{n_layer - 1}.resid_post"][token].astype(np.float64)  # [d]
    direction: Doubles | None = None
    if model is not None and of is not None:
        scale = float(trace["ln_final.scale"][token, 0])
        direction = model.weights["ln_f.weight"] * model.unembedding[of].astype(np.float64) / scale  # [d]
        direction = direction - direction.mean()  # LayerNorm takes the mean off: x · (g − mean(g)) = (x − mean(x)) · g
    after = np.zeros_like(final)
    parts = []
    for name, vector in vectors:
        after = after + vector  # [d]
        cosine = float(after @ final / ((np.linalg.norm(after) * np.linalg.norm(final)) or 1.0))
        logit = None if direction is None else float(vector @ direction)
        parts.append(ResidualPart(name, vector, after.astype(np.float32), cosine, logit))
    return parts


def logit_bias(model: GPT2, of: int) -> float:
    """What the final LayerNorm's bias gives to one token's logit, whatever the prompt."""
    return float(model.weights["ln_f.bias"].astype(np.float64) @ model.unembedding[of])


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


class Last(Generic[Question, Answer]):
    """The answer to the last question, kept until another is asked. Several threads may ask: each gets the answer to its own."""

    def __init__(self) -> None:
        self._kept: tuple[Question, Answer] | None = None

    def answer(self, question: Question, find: Callable[[], Answer]) -> Answer:
        kept = self._kept  # read once: another thread may put its own in the place
        if kept is None or kept[0] != question:
            self._kept = kept = question, find()
        return kept[1]


class Lens:
    """One trace, seen with the weights that made it (None for a trace file opened alone): what views look through.

    Everything is computed when it is first asked for. Several threads may ask at once; at worst two compute the same.
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
        self._stages: dict[str, Last[tuple[int, int], Array]] = {stage: Last() for stage in STAGE_NEEDS}
        self._lasts: dict[str, Last[Any, Any]] = {}
        self._readings: dict[tuple[str | int, ...], Reading] = {}
        self._surprises: dict[int, Surprise] = {}
        self._reach: dict[int, Array] = {}
        self._neurons: Last[tuple[int, int, str], tuple[int, ...]] = Last()
        self._residual: dict[tuple[int, int | None], list[ResidualPart]] = {}
        self._cosines: Last[int, Array] = Last()
        self.trace = trace if model is not None else completed(trace, config)

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

    def has_stage(self, layer: int, stage: str) -> bool:
        """Whether stage() can answer."""
        has = self.has(*(f"blocks.{layer}.attn.{name}" for name in STAGE_NEEDS[stage]))
        return has and (stage != "scaled" or self.scale(layer) is not None)

    def stage(self, layer: int, head: int, stage: str) -> Array:
        """One head's grid at a stage: "qk", "scaled", "masked", "softmax", or "values" (‖share × v‖). Shapes: -> [T, T]."""
        if stage in ("qk", "scaled"):
            return self.unmasked(layer, head, stage)
        if stage == "masked":
            return self.trace[f"blocks.{layer}.attn.attn_scores"][head]
        if stage == "softmax":
            return self.trace[f"blocks.{layer}.attn.pattern"][head]
        if stage == "values":
            return self._stages[stage].answer((layer, head), lambda: weighted_value_norms(self.trace, layer, head))
        raise ValueError(f"no stage {stage!r}")

    def weights(self) -> GPT2:
        if self.model is None:
            raise NotRecorded("weights")
        return self.model

    def last(self, name: str, question: Question, find: Callable[[], Answer]) -> Answer:
        """What a view computes from this run under a name of its own, kept until it asks another question under that name."""
        return self._lasts.setdefault(name, Last()).answer(question, find)

    @cached_property
    def changes(self) -> list[tuple[Array, Array]]:
        """For each block ‖attn_out‖ and ‖mlp_out‖. Shapes: L × ([T], [T])."""
        return [change_norms(self.trace, layer) for layer in range(self.config.n_layer)]

    def residual(self, token: int, of: int | None) -> list[ResidualPart]:
        """residual_parts of this result, computed once for each token and reading. Raises NotRecorded."""
        if (token, of) not in self._residual:
            self._residual[token, of] = residual_parts(self.trace, self.model, self.config.n_layer, token, of)
        return self._residual[token, of]

    def unmasked(self, layer: int, head: int, stage: str) -> Array:
        """A head's grid before the mask, kept while it is looked at. Shapes: -> [T, T]. Raises NotRecorded."""
        raw = self._stages["qk"].answer((layer, head), lambda: raw_scores(self.trace, layer, head))  # [T, T]
        if stage == "qk":
            return raw
        scale = self.scale(layer)
        if scale is None:
            raise NotRecorded(f"blocks.{layer}.attn.attn_scores")  # which would tell it
        return self._stages["scaled"].answer((layer, head), lambda: raw * np.float32(scale))  # [T, T]

    def moved(self, layer: int, head: int, query: int, key: int) -> tuple[Array, Reading]:
        """What one product moves, and its reading. Shapes: -> [d], and MOST_MOVED tokens each. Raises NotRecorded.

        A key's value is read once: whichever query looks at it, only the share is another.
        """
        model = self.weights()
        vector = moved_vector(model, self.trace, layer, head, query, key)  # [d]
        if ("value", layer, head, key) not in self._readings:
            whole = self.trace[f"blocks.{layer}.attn.v"][key, head] @ output_weight(model, layer, head)  # [d], as if the share were 1
            self._readings["value", layer, head, key] = reading(model, whole)
        share = float(self.trace[f"blocks.{layer}.attn.pattern"][head, query, key])
        return vector, self._readings["value", layer, head, key].times(share)

    def written(self, layer: int, neuron: int) -> Reading:
        """The reading of a neuron's row of W_proj. Raises NotRecorded."""
        if ("neuron", layer, neuron) not in self._readings:
            model = self.weights()
            self._readings["neuron", layer, neuron] = reading(model, model.blocks[layer]["mlp.c_proj.weight"][neuron])
        return self._readings["neuron", layer, neuron]

    def reach(self, layer: int) -> Array:
        """neuron_reach, computed once a block. Shapes: -> [m]. Raises NotRecorded."""
        if layer not in self._reach:
            self._reach[layer] = neuron_reach(self.weights(), layer)
        return self._reach[layer]

    def neurons(self, layer: int, token: int, by: str) -> Array:
        """What neurons are sorted by: "post", "pre", or "added", ‖post × row of W_proj‖. Shapes: -> [m]. Raises NotRecorded."""
        if by == "added":
            return np.abs(self.trace[f"blocks.{layer}.mlp.post"][token]) * self.reach(layer)  # [m]
        return self.trace[f"blocks.{layer}.mlp.{by}"][token]  # [m]

    def neuron_order(self, layer: int, token: int, by: str) -> tuple[int, ...]:
        """The neurons by descending number, ties by lower index: sorted once a question. Raises NotRecorded."""

        def ordered() -> tuple[int, ...]:
            return tuple(np.argsort(-self.neurons(layer, token, by), kind="stable").tolist())

        return self._neurons.answer((layer, token, by), ordered)

    def nearest(self, token_id: int, n: int) -> list[tuple[int, float]]:
        """The n tokens whose rows of wte are nearest to a token's by cosine, itself left out: (id, cosine). Raises NotRecorded."""
        values = self._cosines.answer(token_id, lambda: cosines(self.weights(), token_id))  # [V]
        return [(i, float(values[i])) for i in highest(values, n + 1) if i != token_id][:n]

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

    def mean_pattern(self, layer: int) -> Doubles:
        """The mean over a block's heads of their patterns, kept while it is looked at. Shapes: -> [T, T]. Raises NotRecorded."""
        pattern = self.trace[f"blocks.{layer}.attn.pattern"]  # [H, T, T]
        return self.last("mean pattern", layer, lambda: pattern.mean(axis=0).astype(np.float64))

    def head_norms(self, layer: int, token: int) -> Array:
        """How long the vectors are that a block's heads add to a token. Shapes: -> [H]. Raises NotRecorded."""

        def find() -> Array:
            return np.linalg.norm(head_parts(self.weights(), self.trace, layer, token), axis=-1)

        return self.last("head norms", (layer, token), find)

    def surprise(self, token: int) -> Surprise:
        """How surprising a token of the prompt was; not of the first, before which is nothing. Raises NotRecorded."""
        if token not in self._surprises:
            logits = self.trace["ln_final.normalized"][token - 1 : token] @ self.weights().unembedding.T  # [1, d] @ [d, V] -> [1, V]
            self._surprises[token] = surprises(logits, self.trace.ids[token : token + 1])[0]
        return self._surprises[token]

    @property
    def measured(self) -> bool:
        """Whether `measures` is there, or so little work that a key press can wait for it."""
        config = self.config
        return "measures" in self.__dict__ or config.n_layer * config.n_head * self.trace.n_tokens**2 <= SWIFT

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
