"""How surprised the model was by each token of a text, given what came before it: −log2 of the probability that it gave it.

Always at temperature 1 and over the whole vocabulary: this is about what the model knows, not about how it is sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from txexplain.engine.cores import CORES
from txexplain.engine.ops import Array
from txexplain.engine.trace import Trace, shared_length
from txexplain.errors import NotRecorded

CHUNK = 16  # rows of logits at a time: 3 MB each for GPT-2's vocabulary


@dataclass(frozen=True)
class Surprise:
    """One token, as the tokens before it foretold it."""

    bits: float  # −log2 of its probability
    probability: float
    rank: int  # from 0, by descending logit, ties by lower id
    expected: int  # the likeliest token in its place
    expected_probability: float


def surprises(logits: Array, ids: Sequence[int]) -> list[Surprise]:
    """What each row of logits thought of the token that came. Shapes: logits [n, V], ids [n] -> n Surprises."""
    found = []
    for row, token in zip(logits, ids, strict=True):  # row [V]
        best = int(row.argmax())
        shifted = row.astype(np.float64) - float(row[best])  # [V], ≤ 0
        total = float(np.log(np.exp(shifted).sum()))
        log_p = float(shifted[token]) - total
        rank = int(np.count_nonzero(row > row[token]) + np.count_nonzero(row[:token] == row[token]))
        found.append(Surprise(max(0.0, -log_p / float(np.log(2))), float(np.exp(log_p)), rank, best, float(np.exp(-total))))
    return found


def surprisal(
    trace: Trace, unembedding: Array | None, earlier: tuple[Sequence[int], Sequence[Surprise | None]] = ((), ()), limit: int | None = None
) -> tuple[Surprise | None, ...]:
    """Each token's Surprise; None for the first, before which there is nothing to go by.

    earlier: the ids and the Surprises of another text; those of the beginning that both share are taken over.
    limit: compute so many more at most; the answer is then that of the text's beginning, and may be handed in as earlier.
    Without an unembedding, by the trace's own logits of every position. Raises NotRecorded where the trace lacks what is needed.
    """
    ids = trace.ids
    kept = list(earlier[1][: shared_length(ids, earlier[0])]) or [None]
    recorded = trace["logits" if unembedding is None else "ln_final.normalized"]  # [T, V] or [T, d]; row t foretells token t + 1
    if recorded.ndim != 2:
        raise NotRecorded("logits of every position")
    last = len(ids) - 1 if limit is None else min(len(ids) - 1, len(kept) - 1 + limit)
    for start in range(len(kept) - 1, last, CHUNK):
        end = min(start + CHUNK, last)
        CORES.share()
        logits = recorded[start:end] if unembedding is None else recorded[start:end] @ unembedding.T  # [n, d] @ [d, V] -> [n, V]
        kept += surprises(logits, ids[start + 1 : end + 1])
    return tuple(kept)
