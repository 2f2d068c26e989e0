"""One query times one key, element by element, and the vector that the share of attention moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from txexplain.engine.derive import Reading, Result, moved_vector
from txexplain.facts.by_hand import require_formula
from txexplain.facts.once import fact
from txexplain.facts.reading import read
from txexplain.facts.vector import VectorFacts


@dataclass(frozen=True, eq=False)
class PairFacts:
    """Σ q × k. Shapes: [dh] each."""

    q: VectorFacts
    k: VectorFacts
    terms: VectorFacts  # q × k, element by element
    running: VectorFacts  # their sum up to each element


@fact(4)
def pairs(result: Result, layer: int, head: int, query: int, key: int) -> PairFacts:
    """Raises NotRecorded."""
    q, k = result.trace[f"blocks.{layer}.attn.q"][query, head], result.trace[f"blocks.{layer}.attn.k"][key, head]  # [dh]
    terms = q.astype(np.float64) * k  # [dh]
    return PairFacts(*map(VectorFacts, (q, k, terms, np.cumsum(terms))))


def require_carried(result: Result, layer: int, head: int, query: int) -> None:
    """Raise ChangedByHand where a head's shares and values don't tell what it adds to a token."""
    require_formula(result, f"blocks.{layer}.attn.z", head=head, row=query)
    require_formula(result, f"blocks.{layer}.attn_out", row=query)


@fact(4)
def moved(result: Result, layer: int, head: int, query: int, key: int) -> VectorFacts:
    """What a head carries from one token to another: share × v through W_O. Shapes: -> [d].

    It is carried only where z is the mix of the values and attn_out what W_O makes of that: ChangedByHand else. Raises NotRecorded.
    """
    require_carried(result, layer, head, query)
    return VectorFacts(moved_vector(result.weights(), result.trace, layer, head, query, key))


@fact(4)
def moved_reading(result: Result, layer: int, head: int, query: int, key: int) -> Reading:
    """The tokens that what is moved makes likelier and less likely, on the direct way to the end.

    Raises NotRecorded, and ChangedByHand as `moved` does or where the stream doesn't carry it there.
    """
    return read(result, moved(result, layer, head, query, key).values, layer, query)
