"""A vector in a few numbers: how long it is, between which ends, and which of its elements counts most."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.derive import Result
from txexplain.facts.once import fact

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VectorFacts:
    """A vector and what is told of it; each number is found when it is first asked for.

    What was recorded is true of a changed run too.
    """

    values: NDArray[Any]  # [n]

    @cached_property
    def least(self) -> float:
        return float(self.values.min())

    @cached_property
    def greatest(self) -> float:
        return float(self.values.max())

    @cached_property
    def mean(self) -> float:
        return float(self.values.mean(dtype=np.float64))

    @cached_property
    def variance(self) -> float:
        return float(self.values.var(dtype=np.float64))

    @cached_property
    def length(self) -> float:
        return float(np.linalg.norm(self.values.astype(np.float64)))

    @cached_property
    def largest(self) -> int:
        """The element of greatest size."""
        return int(np.abs(self.values).argmax())

    @cached_property
    def farthest(self) -> int:
        """The element that lies farthest from the mean."""
        return int(np.abs(self.values - self.mean).argmax())

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """The elements by descending size, ties by lower index. Shapes: -> [n]."""
        return np.argsort(-np.abs(self.values), kind="stable")

    def __getitem__(self, element: int) -> float:
        return float(self.values[element])

    def __len__(self) -> int:
        return len(self.values)


@fact(512)
def vector(result: Result, name: str, token: int) -> VectorFacts:
    """One token's row of an activation; a row of heads as one vector. Raises NotRecorded."""
    return VectorFacts(result.trace[name][token].reshape(-1))


@fact(8)
def qkv(result: Result, layer: int, token: int) -> VectorFacts:
    """A token's query, key and value of all heads, side by side: [3·d]. Raises NotRecorded."""
    return VectorFacts(np.concatenate([vector(result, f"blocks.{layer}.attn.{part}", token).values for part in "qkv"]))
