"""An MLP's neurons for one token: their order, how each fits, fires and writes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.derive import Reading, Result
from txexplain.facts.by_hand import require_formula
from txexplain.facts.once import fact
from txexplain.facts.reading import read
from txexplain.facts.vector import VectorFacts, vector


@fact(64)
def reach(result: Result, layer: int) -> NDArray[np.float64]:
    """How long each neuron's row of the MLP's second matrix is: what it writes when its activation is 1. Shapes: -> [m]."""
    rows = result.weights().blocks[layer]["mlp.c_proj.weight"]  # [m, d]
    lengths: NDArray[np.float64] = np.sqrt(np.vecdot(rows, rows, dtype=np.float64))  # [m]
    return lengths


@fact(8)
def adds(result: Result, layer: int, token: int) -> VectorFacts:
    """How long a vector each neuron adds to a token: ‖post × row of W_proj‖, of a changed post too. Shapes: -> [m].

    Raises NotRecorded, and ChangedByHand where mlp_out isn't these vectors' sum.
    """
    require_formula(result, f"blocks.{layer}.mlp_out", row=token)
    return VectorFacts(np.abs(vector(result, f"blocks.{layer}.mlp.post", token).values) * reach(result, layer))


@dataclass(frozen=True, eq=False)
class SortedFacts:
    """A block's neurons for one token, sorted by one of their numbers."""

    by: VectorFacts  # [m], what they are sorted by
    order: tuple[int, ...]  # by descending number, ties by lower index


@fact(4)
def neurons(result: Result, layer: int, token: int, by: str) -> SortedFacts:
    """The neurons by "post", "pre", or "added", ‖post × row of W_proj‖. Raises NotRecorded."""
    numbers = adds(result, layer, token) if by == "added" else vector(result, f"blocks.{layer}.mlp.{by}", token)
    return SortedFacts(numbers, tuple(np.argsort(-numbers.values, kind="stable").tolist()))


@fact(8)
def firing(result: Result, layer: int, token: int) -> int:
    """How many neurons are above 0 after the activation. Raises NotRecorded."""
    return int((vector(result, f"blocks.{layer}.mlp.post", token).values > 0).sum())


@fact(8)
def everywhere(result: Result, layer: int, neuron: int) -> VectorFacts:
    """A neuron after its activation, at every token. Shapes: -> [T]. Raises NotRecorded."""
    return VectorFacts(result.trace[f"blocks.{layer}.mlp.post"][:, neuron])


@fact(64)
def written(result: Result, layer: int, neuron: int, token: int) -> Reading:
    """The tokens that what a neuron writes at a token makes likelier and less likely: post × its row of W_proj.

    Raises NotRecorded, and ChangedByHand where mlp_out isn't the neurons' sum or the stream doesn't carry it to the end.
    """
    require_formula(result, f"blocks.{layer}.mlp_out", row=token)
    post = vector(result, f"blocks.{layer}.mlp.post", token).values[neuron]
    return read(result, post * result.weights().blocks[layer]["mlp.c_proj.weight"][neuron], layer, token)


def inside(activation: str, x: float) -> float | None:
    """The number on the way through an activation that its formula names: tanh's argument, Φ(x), a power of e; None where it names none."""
    match activation:
        case "gelu_new":
            return math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        case "gelu" | "gelu_10":
            return 0.5 * (1 + math.erf(x / math.sqrt(2)))
        case "silu":
            return math.exp(min(-x, 700.0))
        case "quick_gelu":
            return math.exp(min(-1.702 * x, 700.0))
    return None
