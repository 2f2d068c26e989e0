"""What heads are told apart by: measured on one prompt, for every head, from its softmax pattern alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.ops import Array
from txexplain.engine.trace import Trace

Doubles = NDArray[np.float64]
AT_ONCE = 1 << 21  # shares that are measured in one go


@dataclass(frozen=True)
class HeadMeasures:
    """One number a head, [L, H] each; NaN where the prompt gives no occasion or the pattern wasn't recorded.

    Means over the queries that have a choice: all but the first token. Shares are of a row's attention, entropy is in bits.
    """

    self: Doubles  # share to the query's own token
    previous: Doubles  # share to the token before
    first: Doubles  # share to the first token, where idle attention rests ("attention sink", Xiao et al. 2023)
    induction: Doubles  # share to what followed an earlier copy of the query's token (Olsson et al. 2022)
    entropy: Doubles  # how spread a row is: 0 bits for one key, log2(n) for n equal ones

    def of(self, name: str) -> Doubles:
        """A measure by its name. Shapes: -> [L, H]. Raises KeyError."""
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)


def sorted_heads(measures: HeadMeasures, name: str, n_tokens: int, least: int = 0) -> tuple[int, ...]:
    """Heads (block × H + head) by a measure, greatest first, NaN last, equal ones in the model's order.

    least: only those of so many percent; entropy's are of log2(n_tokens), the most there can be.
    """
    values = measures.of(name).reshape(-1)  # [L × H]
    whole = np.log2(max(n_tokens, 2)) if name == "entropy" else 1.0
    order = np.argsort(-values, kind="stable")
    return tuple(order[values[order] / whole >= least / 100].tolist() if least else order.tolist())


def head_measures(trace: Trace, n_layer: int, n_head: int) -> HeadMeasures:
    """Every head's measures on a trace's own prompt. Shapes: -> [L, H] each."""
    rows = {name: np.full((n_layer, n_head), np.nan) for name in HeadMeasures.__dataclass_fields__}
    after: NDArray[np.bool_] | None = None
    step = max(1, AT_ONCE // trace.n_tokens**2)
    for layer in range(n_layer):
        name = f"blocks.{layer}.attn.pattern"
        if name not in trace:
            continue
        after = after_copies(trace.ids) if after is None else after  # [T, T]
        for first in range(0, n_head, step):  # some heads at a time: in float64 a block's grids would be many
            heads = slice(first, first + step)
            for measure, values in block_measures(trace[name][heads], after).items():
                rows[measure][layer, heads] = values  # [H]
    return HeadMeasures(**rows)


def block_measures(pattern: Array, after: NDArray[np.bool_]) -> dict[str, Doubles]:
    """One block's measures. Shapes: pattern [H, T, T], after [T, T] -> [H] each."""
    shares = pattern[:, 1:].astype(np.float64)  # [H, T - 1, T], without the first query
    n_head, n, _ = shares.shape
    if n == 0:
        return {name: np.full(n_head, np.nan) for name in HeadMeasures.__dataclass_fields__}
    query = np.arange(n)
    repeats = after[1:].any(axis=1)  # [T - 1], the queries whose token came before
    bits = -(shares * np.log2(shares, out=np.zeros_like(shares), where=shares > 0)).sum(axis=-1)  # [H, T - 1]
    to_after = (shares * after[1:]).sum(axis=-1)[:, repeats]  # [H, repeats]
    return {
        "self": shares[:, query, query + 1].mean(axis=-1),  # [H]
        "previous": shares[:, query, query].mean(axis=-1),  # [H]
        "first": shares[:, :, 0].mean(axis=-1),  # [H]
        "induction": to_after.mean(axis=-1) if repeats.any() else np.full(n_head, np.nan),  # [H]
        "entropy": bits.mean(axis=-1),  # [H]
    }


def after_copies(ids: Sequence[int]) -> NDArray[np.bool_]:
    """Whether key j follows an earlier copy of query i's token: ids[j − 1] = ids[i] with j ≤ i. Shapes: -> [T, T]."""
    tokens = np.asarray(ids)
    copies = np.zeros((len(tokens), len(tokens)), dtype=bool)
    copies[:, 1:] = tokens[:, None] == tokens[None, :-1]
    return np.tril(copies)
