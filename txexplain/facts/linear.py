"""A token's vector times a matrix, and one element of the result as the sum that it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.derive import Result, head_parts
from txexplain.engine.steps import STEPS
from txexplain.facts.by_hand import require_formula
from txexplain.facts.once import fact
from txexplain.facts.vector import VectorFacts, qkv, vector

# A block's linear layers, each by the step of the block that it makes.
MADE_BY = {step.name: step for step in STEPS if step.name in ("attn.q", "attn_out", "mlp.pre", "mlp_out")}
QKV, PROJ, FC, OUT = MADE_BY


@dataclass(frozen=True, eq=False)
class LinearFacts:
    """One token through one matrix: x @ weight + bias. Shapes: x [a], weight [a, b], bias [b], result [b], as recorded."""

    x: VectorFacts
    weight: NDArray[np.float32]
    bias: VectorFacts
    result: VectorFacts


@fact(8)
def linear(result: Result, layer: int, made: str, token: int) -> LinearFacts:
    """A linear layer by what it makes: QKV (q, k and v of all heads, side by side), PROJ, FC or OUT. Raises NotRecorded."""
    step = MADE_BY[made]
    x = vector(result, f"blocks.{layer}.{step.reads[0]}", token)
    weight, bias = (result.weights().blocks[layer][name] for name in step.weights)
    whole = qkv(result, layer, token) if made == QKV else vector(result, f"blocks.{layer}.{made}", token)
    return LinearFacts(x, weight, VectorFacts(bias), whole)


@dataclass(frozen=True, eq=False)
class DotFacts:
    """One element of the result: Σ x × weight + bias. Shapes: x, weights, terms [a]."""

    x: VectorFacts
    weights: VectorFacts  # the element's column of the matrix
    terms: VectorFacts  # x × weight, element by element
    total: float  # the terms' sum
    bias: float
    result: float  # as recorded

    def heads(self, n_head: int) -> VectorFacts:
        """What each head gives to the sum, where x is the heads' results side by side. Shapes: -> [H]."""
        return VectorFacts(self.terms.values.reshape(n_head, -1).sum(axis=1))

    @cached_property
    def largest(self) -> int:
        """The input of the largest term."""
        return self.terms.largest


@fact(16)
def dot(result: Result, layer: int, made: str, token: int, element: int) -> DotFacts:
    """One element of what a linear layer makes of a token: of a changed input too. Raises NotRecorded, and ChangedByHand for a result."""
    whole = linear(result, layer, made, token)
    head = None
    if made == QKV:
        part, inside = divmod(element, result.config.n_embd)
        made, head = f"attn.{'qkv'[part]}", inside // result.config.head_dim
    require_formula(result, f"blocks.{layer}.{made}", head=head, row=token)
    column = whole.weight[:, element]  # [a]
    terms = whole.x.values.astype(np.float64) * column  # [a]
    return DotFacts(whole.x, VectorFacts(column), VectorFacts(terms), float(terms.sum()), whole.bias[element], whole.result[element])


@fact(4)
def head_lengths(result: Result, layer: int, token: int) -> tuple[float, ...]:
    """How long the vectors are that a block's heads add to a token: of changed z too. Raises NotRecorded, ChangedByHand for attn_out."""
    require_formula(result, f"blocks.{layer}.attn_out", row=token)
    return tuple(np.linalg.norm(head_parts(result.weights(), result.trace, layer, token).astype(np.float64), axis=-1).tolist())
