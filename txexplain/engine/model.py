"""GPT-2: from token ids to logits, every step recorded.

Exactly what Hugging Face's GPT2LMHeadModel computes (Radford et al. 2019), written to be read:
`transformer_block` is the model's heart, and each of its lines makes one activation of the trace.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np

from txexplain.engine.checkpoint import Checkpoint
from txexplain.engine.config import GPT2Config
from txexplain.engine.cores import CORES
from txexplain.engine.errors import NonFinite, PromptError
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
from txexplain.engine.tokenizer import Tokenizer
from txexplain.engine.trace import GROWING, LARGEST_NUMBER, SPARE, Parts, Trace, canonical, followed

Weights = Mapping[str, Array]
# What is not finite in a block shows in one of these, or in q, k and v; softmax, a scale of infinity or the activation hide it from others.
TELLING = ("resid_post", "ln1.scale", "ln2.scale", "mlp.pre")
ROOM = 64  # rows kept free behind a prompt's q, k and v
COUNTED = 8  # contexts: a prompt longer than that is not counted to its end


def transformer_block(x: Array, w: Weights, config: GPT2Config, layer: int, past: QKV, start: int) -> dict[str, Array]:
    """One block: attention reads from other tokens, the MLP thinks about each; both add to the residual stream.

    x [n, d] are the last n of T tokens; `past` holds the q, k and v of the `start` tokens before them.
    Returns the block's activations by name; the next block reads `resid_post` [n, d].
    """
    eps, scale, activation = config.layer_norm_epsilon, attention_scale(config, layer), ACTIVATIONS[config.activation_function]
    a: dict[str, Array] = {}
    a["resid_pre"] = x  # [n, d]
    a["ln1.normalized"], a["ln1.scale"] = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"], eps)  # [n, d], [n, 1]
    new = past.room(layer, start, len(x))  # [n, 3·d]
    linear(a["ln1.normalized"], w["attn.c_attn.weight"], w["attn.c_attn.bias"], out=new)  # [n, 3·d]
    a["attn.q"], a["attn.k"], a["attn.v"] = past.heads(layer, start + len(x), config.n_head)  # [T, H, dh] each
    a["attn.attn_scores"] = attention_scores(a["attn.q"][start:], a["attn.k"], scale)  # [H, n, T]
    a["attn.pattern"] = softmax(a["attn.attn_scores"])  # [H, n, T]
    a["attn.z"] = weighted_values(a["attn.pattern"], a["attn.v"])  # [n, H, dh]
    a["attn_out"] = linear(merge_heads(a["attn.z"]), w["attn.c_proj.weight"], w["attn.c_proj.bias"])  # [n, d]
    a["resid_mid"] = x + a["attn_out"]  # [n, d]
    a["ln2.normalized"], a["ln2.scale"] = layer_norm(a["resid_mid"], w["ln_2.weight"], w["ln_2.bias"], eps)  # [n, d], [n, 1]
    a["mlp.pre"] = linear(a["ln2.normalized"], w["mlp.c_fc.weight"], w["mlp.c_fc.bias"])  # [n, m]
    a["mlp.post"] = activation(a["mlp.pre"])  # [n, m]
    a["mlp_out"] = linear(a["mlp.post"], w["mlp.c_proj.weight"], w["mlp.c_proj.bias"])  # [n, d]
    a["resid_post"] = a["resid_mid"] + a["mlp_out"]  # [n, d]
    return a


class QKV:
    """The queries, keys and values of every block, a row a token, in buffers with room for more tokens.

    Rows are only ever appended, so a Trace that views the first T of them never changes. One forward pass at a time
    owns the free rows behind the last; who comes second, or branches off earlier, gets a copy.
    """

    def __init__(self, n_layer: int, width: int, capacity: int) -> None:
        self.buffers: list[Array] = [np.empty((capacity, width), dtype=np.float32) for _ in range(n_layer)]  # [capacity, 3·d] each
        self.capacity = capacity
        self.filled = 0
        self.lock = threading.Lock()

    def room(self, layer: int, start: int, n: int) -> Array:
        """The n rows behind the first `start`, to be written. Shapes: -> [n, 3·d], a view."""
        return self.buffers[layer][start : start + n]

    def heads(self, layer: int, total: int, n_head: int) -> tuple[Array, Array, Array]:
        """The q, k and v of the first T tokens. Shapes: -> [T, H, dh] each, views."""
        rows = self.buffers[layer][:total].reshape(total, 3, n_head, -1)  # [T, 3, H, dh]
        return rows[:, 0], rows[:, 1], rows[:, 2]

    def named(self, total: int, n_head: int) -> dict[str, Parts]:
        """The q, k and v of the first T tokens of every block, as a Trace has them."""
        rows = [self.heads(layer, total, n_head) for layer in range(len(self.buffers))]
        return {f"blocks.{layer}{name}": (array,) for layer, qkv in enumerate(rows) for name, array in zip(GROWING, qkv, strict=True)}

    def claim(self, start: int, n: int, limit: int) -> QKV:
        """Buffers whose first `start` rows are these and whose next n are free: these, or a copy with room up to `limit` rows.

        Buffers that are much too large for so few rows aren't kept either.
        """
        total = start + n
        most = min(limit, SPARE * total + ROOM)
        with self.lock:
            if total <= self.capacity <= most and (start == self.filled or n == 0):
                self.filled = max(self.filled, total)
                return self
        copy = QKV(len(self.buffers), self.buffers[0].shape[1], most)
        for new, old in zip(copy.buffers, self.buffers, strict=True):
            new[:start] = old[:start]
        copy.filled = start + n
        return copy

    def release(self, start: int, n: int) -> None:
        """Give back the n rows after `start`: the forward pass that claimed them was stopped."""
        with self.lock:
            if self.filled == start + n:
                self.filled = start


class GPT2:
    """A GPT-2 checkpoint with its tokenizer, ready to run.

    `weights` are the checkpoint's own read-only arrays under GPT-2's names, without the `transformer.` prefix.
    """

    def __init__(self, checkpoint: Checkpoint, tokenizer: Tokenizer, name: str) -> None:
        self.config = checkpoint.config
        self.tokenizer = tokenizer
        self.name = name
        self.checkpoint = checkpoint
        self.weights: Weights = {key: np.asarray(array) for key, array in checkpoint.tensors.items()}
        self.blocks = [block_weights(self.weights, layer) for layer in range(self.config.n_layer)]
        self.unembedding = self.weights.get("lm_head.weight", self.weights["wte.weight"])  # [V, d]

    def __repr__(self) -> str:
        return f"GPT2({self.name}, {self.config.n_layer} blocks × {self.config.n_head} heads, d {self.config.n_embd})"

    @cached_property
    def row_lengths(self) -> Array:
        """The length of each token's row of wte. Shapes: -> [V]."""
        wte = self.weights["wte.weight"]  # [V, d]
        return np.sqrt(np.vecdot(wte, wte))  # [V]

    def prompt_ids(self, text: str) -> list[int]:
        """The ids of a prompt; an empty one is GPT-2's own start token. Raises TokenizerError, and PromptError for a text that is
        far too long, of which only the beginning is read."""
        context = self.config.n_positions
        ids = self.tokenizer.encode(text, limit=COUNTED * context)
        if len(ids) > COUNTED * context:
            raise PromptError(f"The prompt has more than {len(ids) - 1} tokens, but {self.name} reads at most {context}; shorten it.")
        return ids or [self.config.bos_token_id]

    def forward(
        self,
        ids: Sequence[int],
        *,
        all_logits: bool = False,
        prefix: Trace | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Trace | None:
        """Run the model on T token ids and keep every activation.

        all_logits: logits [T, V] of every position instead of the last one's [V].
        prefix: an earlier Trace of this model; the rows of its shared beginning are reused, with the same result to rounding.
        should_stop: looked at before each block; once it says True, the run ends and the answer is None.
        Raises PromptError for ids that this model can't take, NonFinite for an activation that isn't finite, or far beyond any GPT-2's.
        """
        ids = self.checked(ids)
        shared = self.shared(prefix, ids)
        n = len(ids) - shared
        width, limit = 3 * self.config.n_embd, self.config.n_positions
        if shared and prefix is not None:
            qkv = prefix.qkv.claim(shared, n, limit)
            kept = prefix.rows(shared) if n else prefix.rows(shared) | qkv.named(shared, self.config.n_head)
        else:
            qkv = QKV(self.config.n_layer, width, min(limit, n + ROOM)).claim(0, n, limit)
            kept = {}
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                new = self.run(ids, shared, qkv, should_stop) if n else {}
            except MemoryError:
                qkv.release(shared, n)
                raise PromptError(f"The system has too little memory for {len(ids)} tokens of {self.name}; shorten the prompt.") from None
            if new is None:
                qkv.release(shared, n)
                return None
            parts = append_parts(kept, new)
            normalized = parts["ln_final.normalized"][-1] if not all_logits else np.concatenate(parts["ln_final.normalized"])
            logits = normalized[-1] @ self.unembedding.T if not all_logits else normalized @ self.unembedding.T  # [V] or [T, V]
            last = {name: array for name, array in new.items() if name.startswith("ln_final")}
            require_sound(last | {"logits": logits}, shared, self.name)
        parts["logits"] = (logits,)
        tokens = tuple(self.tokenizer.display(i) for i in ids)
        prompt = self.tokenizer.decode(ids)
        return Trace(ids, parts, config=self.config, model=self.name, prompt=prompt, tokens=tokens, origin=self, qkv=qkv)

    def run(self, ids: Sequence[int], start: int, qkv: QKV, should_stop: Callable[[], bool] | None) -> dict[str, Array] | None:
        """The activations of the tokens from `start` on, by name, without the logits; None where stopped."""
        new: dict[str, Array] = {}
        new["embed"] = self.weights["wte.weight"][list(ids[start:])]  # [n, d]
        new["pos_embed"] = self.weights["wpe.weight"][start : len(ids)]  # [n, d]
        require_sound(new, start, self.name)
        x = new["embed"] + new["pos_embed"]  # [n, d]
        for layer, w in enumerate(self.blocks):
            if should_stop is not None and should_stop():
                return None
            CORES.share()
            a = transformer_block(x, w, self.config, layer, qkv, start)
            block = {canonical(f"blocks.{layer}.{name}"): array for name, array in a.items()}
            if not is_sound(a, qkv.room(layer, start, len(x))):
                require_sound(block, start, self.name)
            new |= block
            x = a["resid_post"]  # [n, d]
        gain, bias = self.weights["ln_f.weight"], self.weights["ln_f.bias"]
        new["ln_final.normalized"], new["ln_final.scale"] = layer_norm(x, gain, bias, self.config.layer_norm_epsilon)  # [n, d], [n, 1]
        return new

    def checked(self, ids: Sequence[int]) -> list[int]:
        """The ids as plain ints. Raises PromptError where there are none, too many, or one outside the vocabulary."""
        ids = [int(i) for i in ids]
        vocabulary, context = self.config.vocab_size, self.config.n_positions
        if not ids:
            raise PromptError("There are no token ids to run the model on; give at least one.")
        if len(ids) > context:
            raise PromptError(
                f"The prompt has {len(ids)} tokens, but {self.name} reads at most {context}; shorten it by {len(ids) - context}."
            )
        for i in ids:
            if not 0 <= i < vocabulary:
                raise PromptError(f"Token id {i} is not in the vocabulary of {self.name}; its ids go from 0 to {vocabulary - 1}.")
        return ids

    def shared(self, prefix: Trace | None, ids: Sequence[int]) -> int:
        """How many tokens at the beginning an earlier trace has in common with ids."""
        if prefix is None:
            return 0
        if prefix.origin is not self:
            raise ValueError("prefix must be a trace that this same model made with forward")
        return next((n for n, (a, b) in enumerate(zip(prefix.ids, ids, strict=False)) if a != b), min(len(prefix.ids), len(ids)))


def block_weights(weights: Weights, layer: int) -> Weights:
    """One block's weights, by their names inside the block."""
    prefix = f"h.{layer}."
    return {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}


def append_parts(kept: Mapping[str, Parts], new: Mapping[str, Array]) -> dict[str, Parts]:
    """The parts of a longer trace."""
    parts = dict(kept)
    for name, array in new.items():
        parts[name] = (array,) if name.endswith(GROWING) else followed(name, kept.get(name, ()), array)
    return parts


def require_sound(new: Mapping[str, Array], start: int, model: str) -> None:
    """Raise NonFinite, naming the first activation with NaN or infinity where it must not be, or else with a number far too large."""
    rows = {name: array[start:] if name.endswith(GROWING) else array for name, array in new.items()}
    rows = {name: array for name, array in rows.items() if not is_bounded(array)}
    for name, array in rows.items():
        if all_finite(name, array):
            continue
        token = int(np.argwhere(~np.isfinite(array))[0][0]) if array.ndim == 2 else None
        place = "" if token is None else f" at token {token + (0 if name == 'logits' else start)}"
        raise NonFinite(f"{model} computed a number that isn't finite in {name}{place}: the weights are damaged or overflow float32.")
    for name, array in rows.items():
        largest = float(np.abs(array, where=np.isfinite(array), out=np.zeros_like(array)).max(initial=0))
        if largest > LARGEST_NUMBER:
            raise NonFinite(f"{model} computed a number of size {largest:.2g} in {name}: beyond {LARGEST_NUMBER:g} weights are damaged.")


def is_sound(a: Mapping[str, Array], qkv: Array) -> bool:
    """Whether all that a block computed is finite and not too large, by the few of its activations that tell, and its new q, k and v.

    No score can overflow where those are bounded, since |q · k| ≤ (|q|² + |k|²) / 2.
    """
    return all(is_bounded(array) for array in (*(a[name] for name in TELLING), qkv))


def is_bounded(array: Array) -> bool:
    """Whether the sum of squares is: then so is each number."""
    return bool(np.vdot(array, array) <= LARGEST_NUMBER**2)


def all_finite(name: str, array: Array) -> bool:
    """Whether every number of an activation is finite; scores are −inf above the diagonal only."""
    if name.endswith("attn.attn_scores"):
        # A finite row maximum and sum of shares is all that softmax asks for; −inf below the diagonal would hide there.
        n_head, n, _ = array.shape
        return math.isfinite(array.max()) and np.count_nonzero(array == -np.inf) == n_head * n * (n - 1) // 2
    return bool(np.isfinite(array).all())
