"""Many runs at once that differ from one run in one thing each: what follows from that thing, computed for all of them together.

Rows of the B runs lie side by side, all of row t before those of row t + 1. So B runs of n rows are n·B rows to a linear layer, and to
attention one run with B·H heads: the formulas are those of ops.py, and the lines those of gpt2.py. Weights are read once for all runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from txexplain.engine.cores import CORES
from txexplain.engine.gpt2 import Weights
from txexplain.engine.interventions import Edit
from txexplain.engine.model import GPT2
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
from txexplain.engine.run import Stopped, by_name
from txexplain.engine.trace import GROWING, PER_HEAD, SQUARE, Trace, canonical

# What a block makes, in this order; qkv is q, k and v of the rows that are run, side by side.
ORDER = ("resid_pre", "ln1.normalized", "qkv", "attn.q", "attn.k", "attn.v", "attn.attn_scores", "attn.pattern", "attn.z", "attn_out",
         "resid_mid", "ln2.normalized", "mlp.pre", "mlp.post", "mlp_out", "resid_post")  # fmt: skip
ATTENDS = ORDER.index("attn.attn_scores")
# What has to be there to go on from an activation that was changed, besides that activation itself.
BESIDE = {
    "resid_pre": (),
    "attn.q": ("resid_pre", "attn.k", "attn.v"), "attn.k": ("resid_pre", "attn.q", "attn.v"), "attn.v": ("resid_pre", "attn.q", "attn.k"),
    "attn.attn_scores": ("resid_pre", "attn.v"), "attn.pattern": ("resid_pre", "attn.v"), "attn.z": ("resid_pre",),
    "attn_out": ("resid_pre",), "mlp.post": ("resid_mid",), "mlp_out": ("resid_mid",),
}  # fmt: skip
# What an activation is changed by, in place: given each run's part of it, as a run alone has it, and the number of the first row there.
Change = Callable[[Array, int], None]


@dataclass(frozen=True)
class Together:
    """B runs that are as `trace` up to row `first`; `changes` says in which activations each is changed, in every block that is run.

    Shapes: n rows from `first` on, the last of T; B runs. What interventions changed in the trace they change in each of the runs too.
    """

    model: GPT2
    trace: Trace
    size: int  # B
    first: int
    changes: Mapping[str, Change] = field(default_factory=dict)  # by the activation's name inside a block
    should_stop: Callable[[], bool] | None = None  # asked before each block

    @cached_property
    def edits(self) -> dict[str, list[Edit]]:
        """What the trace's own interventions come to."""
        return by_name(edit for each in self.trace.interventions for edit in each.edits(self.model.config))

    def finals(self, layer: int, name: str, change: Change) -> Array:
        """What the last LayerNorm makes of the last row where the activation `name` of a block is changed. Raises Stopped.

        Shapes: -> [B, d].
        """
        c, w = self.model.config, self.model.weights
        at = {beside: self.repeated(layer, beside) for beside in (*BESIDE[name], name)}
        change(self.parts(name, at[name]), self.first)
        x = self.block(at, layer)  # [n·B, d]
        for later in range(layer + 1, c.n_layer):
            x = self.block({"resid_pre": x}, later)
        normalized, _ = layer_norm(x, w["ln_f.weight"], w["ln_f.bias"], c.layer_norm_epsilon)  # [B, d], the last block made no other row
        return self.edited("ln_final.normalized", normalized, self.trace.n_tokens - 1)

    def block(self, a: dict[str, Array], layer: int) -> Array:
        """A block from the last of the activations on that are there. Shapes: -> [n·B, d]; of the last block [B, d], the last row."""
        if self.should_stop is not None and self.should_stop():
            raise Stopped
        CORES.share()
        first, w = self.first, self.model.blocks[layer]
        for number in range(1 + max(map(ORDER.index, a)), len(ORDER)):
            if number == ATTENDS and layer == self.model.config.n_layer - 1:  # all rows' keys and values are there: one query will do
                first, a["resid_pre"] = self.trace.n_tokens - 1, a["resid_pre"][-self.size :]  # [B, d]
            name = ORDER[number]
            a[name] = self.edited(f"blocks.{layer}.{name}", self.made(name, a, w, layer, first), first)
            if name in self.changes:
                self.changes[name](self.parts(name, a[name]), first)
        return a["resid_post"]

    def made(self, name: str, a: Mapping[str, Array], w: Weights, layer: int, first: int) -> Array:
        """An activation of a block from those before it. Shapes: as in gpt2.block, with n·B rows, or B·H heads."""
        c = self.model.config
        match name:
            case "ln1.normalized":
                return layer_norm(a["resid_pre"], w["ln_1.weight"], w["ln_1.bias"], c.layer_norm_epsilon)[0]  # [n·B, d]
            case "qkv":
                return linear(a["ln1.normalized"], w["attn.c_attn.weight"], w["attn.c_attn.bias"])  # [n·B, 3·d]
            case "attn.q" | "attn.k" | "attn.v":
                return self.with_earlier(f"blocks.{layer}.{name}", a["qkv"][:, c.n_embd * "qkv".index(name[-1]) :][:, : c.n_embd])
            case "attn.attn_scores":
                return attention_scores(a["attn.q"][first:], a["attn.k"], attention_scale(c, layer))  # [B·H, n, T]
            case "attn.pattern":
                return softmax(a["attn.attn_scores"])  # [B·H, n, T]
            case "attn.z":
                return weighted_values(a["attn.pattern"], a["attn.v"])  # [n, B·H, dh]
            case "attn_out":
                z = merge_heads(a["attn.z"]).reshape(-1, c.n_embd)  # [n·B, d]
                return linear(z, w["attn.c_proj.weight"], w["attn.c_proj.bias"])  # [n·B, d]
            case "resid_mid":
                return a["resid_pre"] + a["attn_out"]  # [n·B, d]
            case "ln2.normalized":
                return layer_norm(a["resid_mid"], w["ln_2.weight"], w["ln_2.bias"], c.layer_norm_epsilon)[0]  # [n·B, d]
            case "mlp.pre":
                return linear(a["ln2.normalized"], w["mlp.c_fc.weight"], w["mlp.c_fc.bias"])  # [n·B, m]
            case "mlp.post":
                return ACTIVATIONS[c.activation_function](a["mlp.pre"])  # [n·B, m]
            case "mlp_out":
                return linear(a["mlp.post"], w["mlp.c_proj.weight"], w["mlp.c_proj.bias"])  # [n·B, d]
            case _:
                return a["resid_mid"] + a["mlp_out"]  # [n·B, d]

    def with_earlier(self, name: str, rows: Array) -> Array:
        """Queries, keys or values of the rows that are run, behind the trace's own. Shapes: [n·B, d] -> [T, B·H, dh]."""
        c, total = self.model.config, self.trace.n_tokens
        whole = np.empty((total, self.size, c.n_head, c.head_dim), dtype=np.float32)  # [T, B, H, dh]
        whole[: self.first] = self.trace[name][: self.first, None]
        whole[self.first :] = rows.reshape(total - self.first, self.size, c.n_head, c.head_dim)
        return whole.reshape(total, -1, c.head_dim)  # [T, B·H, dh]

    def repeated(self, layer: int, name: str) -> Array:
        """An activation of the trace, once for each of the runs. Shapes: -> [n·B, …], [n, B·H, dh], [T, B·H, dh] or [B·H, n, T]."""
        own = self.trace[f"blocks.{layer}.{name}"]
        if name.endswith(SQUARE):
            return np.tile(own[:, self.first :], (self.size, 1, 1))  # [B·H, n, T]
        if name.endswith(PER_HEAD):
            return np.tile(own if f".{name}".endswith(GROWING) else own[self.first :], (1, self.size, 1))  # [n or T, B·H, dh]
        return np.repeat(own[self.first :], self.size, axis=0)  # [n·B, …]

    def parts(self, name: str, array: Array) -> Array:
        """Each run's part of an activation, as a run alone has it; a view. Shapes: -> [B, n, …], [B, n or T, H, dh] or [B, H, n, T]."""
        if name.endswith(SQUARE):
            return array.reshape(self.size, -1, *array.shape[1:])
        wide = array.shape[1:] if not name.endswith(PER_HEAD) else (self.model.config.n_head, array.shape[2])
        return array.reshape(-1, self.size, *wide).swapaxes(0, 1)

    def edited(self, name: str, array: Array, first: int) -> Array:
        """An activation as the trace's own interventions change it in each of the runs."""
        for edit in self.edits.get(canonical(name), ()):
            for part in self.parts(name, array):
                new = self.first if name.endswith(GROWING) else 0  # earlier tokens' q, k and v are the trace's already
                part[new:] = edit(part, first)[new:]
        return array
