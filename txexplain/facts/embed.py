"""A token among its like: the rows of wte that point most nearly the same way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from txexplain.engine.derive import Result, cosines
from txexplain.engine.sampling import highest
from txexplain.facts.once import fact
from txexplain.facts.vector import VectorFacts

MOST = 512  # tokens of a list: more than a screen has rows


@dataclass(frozen=True)
class Near:
    """A token and its cosine with another's row of wte: product ÷ (the row's own length × the other's)."""

    id: int
    product: float
    length: float
    cosine: float


@dataclass(frozen=True)
class NearestFacts:
    """A token's row of wte by its length, and the tokens nearest to it by cosine, itself left out, the nearest first."""

    length: float
    tokens: tuple[Near, ...]


@fact(4)
def nearest(result: Result, token_id: int) -> NearestFacts:
    """Found among all in the model's own precision, then measured in float64. Raises NotRecorded."""
    wte, values = result.weights().weights["wte.weight"], cosines(result.weights(), token_id)  # [V, d], [V]
    own = VectorFacts(wte[token_id])
    found = []
    for other in highest(values, MOST + 1):
        if other != token_id:
            row = VectorFacts(wte[other])
            product = float(own.values.astype(np.float64) @ row.values)
            found.append(Near(other, product, row.length, product / max(own.length * row.length, 1e-30)))
    return NearestFacts(own.length, tuple(sorted(found[:MOST], key=lambda near: -near.cosine)))
