"""Two runs side by side: how far apart are what they say next, their streams and where their heads look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.trace import Trace

Doubles = NDArray[np.float64]


def total_variation(one: Doubles, other: Doubles) -> float:
    """The share of probability that is elsewhere in the other: 0 where both are the same, 1 at the most. Shapes: [V] each."""
    return float(np.abs(one - other).sum() / 2)


def streams_apart(one: Trace, other: Trace) -> Doubles | None:
    """How far the streams before each block, and after the last, lie apart, row by row: ‖x − y‖ ÷ the larger norm.

    Of the rows that both have; exactly 0 for those that nothing tells apart.
    Shapes: -> [L + 1, rows]; None for models of other sizes. Raises NotRecorded.
    """
    if one.config is None or other.config is None or (one.config.n_layer, one.config.n_embd) != (other.config.n_layer, other.config.n_embd):
        return None
    last = one.config.n_layer - 1
    names, rows = (
        [*(f"blocks.{layer}.resid_pre" for layer in range(last + 1)), f"blocks.{last}.resid_post"],
        min(one.n_tokens, other.n_tokens),
    )
    apart, same = np.zeros((len(names), rows)), one.run.shared(other.run)
    for n, name in enumerate(names):
        x, y = (run[name][same:rows].astype(np.float64) for run in (one, other))  # [rows, d] each
        larger = np.maximum(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
        apart[n, same:] = np.linalg.norm(x - y, axis=1) / np.where(larger > 0, larger, 1.0)
    return apart


def patterns_apart(one: Trace, other: Trace) -> Doubles | None:
    """How much of each head's attention goes elsewhere in the other run: the total variation of a row, on average over the rows.

    Shapes: -> [L, H]; None for runs of other lengths, and for models of other sizes. Raises NotRecorded.
    """
    if one.config is None or other.config is None or one.n_tokens != other.n_tokens:
        return None
    if (one.config.n_layer, one.config.n_head) != (other.config.n_layer, other.config.n_head):
        return None
    names = [f"blocks.{layer}.attn.pattern" for layer in range(one.config.n_layer)]
    return np.array([np.abs(one[name].astype(np.float64) - other[name]).sum(axis=2).mean(axis=1) / 2 for name in names])
