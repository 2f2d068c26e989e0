"""What heads are sorted by: one head's number on this prompt, and one query's part in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.derive import Result
from txexplain.facts.once import fact


def measuring(result: Result, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Measure every head, in one step."""
    result.measures  # noqa: B018
    yield


@fact(8)
def ranked(result: Result, name: str) -> tuple[int, ...]:
    """The heads (block × H + head) by a measure, greatest first; those of which the prompt doesn't tell it are left out."""
    values = result.measures.of(name).reshape(-1)  # [L × H]
    return tuple(each for each in np.argsort(-values, kind="stable").tolist() if not np.isnan(values[each]))


@dataclass(frozen=True)
class MeasureFacts:
    """A head's measure: total ÷ counted = mean. NaN where this prompt doesn't tell it; `own` is None for a query not counted."""

    mean: float
    counted: int  # queries
    total: float
    own: float | None


@fact(16)
def measure(result: Result, layer: int, head: int, name: str, query: int) -> MeasureFacts:
    """A head by a measure, and one query's own contribution to it. Raises NotRecorded."""
    pattern = result.trace[f"blocks.{layer}.attn.pattern"]  # [H, T, T]
    mean = float(result.measures.of(name)[layer, head])
    after = result.copies  # [T, T]
    rows = np.arange(1, result.trace.n_tokens)
    counted = rows[after[1:].any(axis=1)] if name == "induction" else rows
    own = None
    if query in counted and not math.isnan(mean):
        own = contribution(name, pattern[head, query].astype(np.float64), query, after[query])
    return MeasureFacts(mean, len(counted), mean * len(counted), own)


def contribution(name: str, row: NDArray[np.float64], query: int, after: NDArray[np.bool_]) -> float:
    """One query's own contribution to a measure. Shapes: row [T], after [T]."""
    if name == "entropy":
        shares = row[row > 0]
        return -float((shares * np.log2(shares)).sum())
    if name == "induction":
        return float(row[after].sum())
    return float(row[{"self": query, "previous": query - 1, "first": 0}[name]])
