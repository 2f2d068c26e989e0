"""A head: its grid at each stage, one score on its way to a share, and one query's row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.derive import Result, raw_scores, weighted_value_norms
from txexplain.errors import NotRecorded
from txexplain.facts.by_hand import recomputable, require_formula
from txexplain.facts.once import fact
from txexplain.facts.vector import VectorFacts

Doubles = NDArray[np.float64]
Grid = NDArray[np.float64] | NDArray[np.float32]  # [T, T], rows are queries
NEEDS = {"qk": ("q", "k"), "scaled": ("q", "k"), "masked": ("attn_scores",), "softmax": ("pattern",), "values": ("pattern", "v")}


def has_stage(result: Result, layer: int, head: int, stage: str) -> bool:
    """Whether grid() can answer."""
    has = result.has(*(f"blocks.{layer}.attn.{name}" for name in NEEDS[stage]))
    if stage == "values":
        return has and recomputable(result, f"blocks.{layer}.attn.z", head=head)
    return has and (stage != "scaled" or result.scale(layer) is not None)


def grid(result: Result, layer: int, head: int, stage: str) -> Grid:
    """One head's grid at a stage: "qk", "scaled", "masked", "softmax", or "values" (‖share × v‖). Shapes: -> [T, T]. Raises NotRecorded."""
    match stage:
        case "qk":
            return raw(result, layer, head)
        case "scaled":
            return scaled(result, layer, head)
        case "masked":
            return result.trace[f"blocks.{layer}.attn.attn_scores"][head]
        case "softmax":
            return result.trace[f"blocks.{layer}.attn.pattern"][head]
        case "values":
            return weighted(result, layer, head)
    raise ValueError(f"no stage {stage!r}")


@fact(1)
def raw(result: Result, layer: int, head: int) -> Doubles:
    """q · k, neither scaled nor masked: of changed queries and keys too. Shapes: -> [T, T]. Raises NotRecorded."""
    return raw_scores(result.trace, layer, head)


@fact(1)
def scaled(result: Result, layer: int, head: int) -> Doubles:
    """q · k × scale, before the mask. Shapes: -> [T, T]. Raises NotRecorded."""
    products, scale = raw(result, layer, head), result.scale(layer)
    if scale is None:
        raise NotRecorded(f"blocks.{layer}.attn.attn_scores")  # which would tell it
    return products * scale


@fact(1)
def weighted(result: Result, layer: int, head: int) -> Doubles:
    """‖share × v‖: what goes into z, where that is the heads' mix of the values. Shapes: -> [T, T]. Raises NotRecorded, ChangedByHand."""
    require_formula(result, f"blocks.{layer}.attn.z", head=head)
    return weighted_value_norms(result.trace, layer, head)


@dataclass(frozen=True)
class ScoreFacts:
    """One query times one key, before the mask. `scale` and `scaled` are None where a trace tells no scale.

    `holds`: the scores are this, masked; not where they were changed by hand.
    """

    raw: float
    scale: float | None
    scaled: float | None
    holds: bool


@fact(16)
def score(result: Result, layer: int, head: int, query: int, key: int) -> ScoreFacts:
    """Raises NotRecorded."""
    product, scale = float(raw(result, layer, head)[query, key]), result.scale(layer)
    name = f"blocks.{layer}.attn.attn_scores"
    holds = recomputable(result, name, head=head, row=query)
    if holds and key <= query and name in result.trace:  # what the model itself went on with, to the last figure
        times = None if scale is None else float(result.trace[name][head, query, key])
    else:
        times = None if scale is None else float(scaled(result, layer, head)[query, key])
    return ScoreFacts(product, scale, times, holds)


@dataclass(frozen=True)
class ShareFacts:
    """One score, masked, and what softmax makes of it: e^(score − most) ÷ total = share.

    `holds`: the share is this; not where the pattern was changed by hand.
    """

    score: float
    most: float  # the largest score of the row
    total: float  # Σ e^(score − most) over the row
    recorded: float | None  # the share; None where the pattern wasn't recorded
    name: str  # of the pattern
    holds: bool

    @property
    def share(self) -> float:
        """Raises NotRecorded."""
        if self.recorded is None:
            raise NotRecorded(self.name)
        return self.recorded


@fact(16)
def share(result: Result, layer: int, head: int, query: int, key: int) -> ShareFacts:
    """Raises NotRecorded."""
    row = result.trace[f"blocks.{layer}.attn.attn_scores"][head, query].astype(np.float64)  # [T]
    most, name = float(row.max()), f"blocks.{layer}.attn.pattern"
    recorded = float(result.trace[name][head, query, key]) if name in result.trace else None
    return ShareFacts(
        float(row[key]), most, float(np.exp(row - most).sum()), recorded, name, recomputable(result, name, head=head, row=query)
    )


@dataclass(frozen=True)
class ValueFacts:
    """What a query takes of a key's value: share × ‖v‖."""

    share: float
    length: float  # ‖v‖
    taken: float


@fact(16)
def value(result: Result, layer: int, head: int, query: int, key: int) -> ValueFacts:
    """Raises NotRecorded, and ChangedByHand where the head's result isn't its mix of the values."""
    share = float(result.trace[f"blocks.{layer}.attn.pattern"][head, query, key])
    length = VectorFacts(result.trace[f"blocks.{layer}.attn.v"][key, head]).length
    return ValueFacts(share, length, float(weighted(result, layer, head)[query, key]))


@dataclass(frozen=True, eq=False)
class RowFacts:
    """One query's numbers at a stage, of the keys that it may look at."""

    values: VectorFacts  # [query + 1]
    strongest: int  # the key of the largest
    largest: float
    total: float


@fact(64)
def row(result: Result, layer: int, head: int, query: int, stage: str = "softmax") -> RowFacts:
    """Raises NotRecorded."""
    numbers = grid(result, layer, head, stage)[query, : query + 1]  # [keys]
    strongest = int(numbers.argmax())
    return RowFacts(VectorFacts(numbers), strongest, float(numbers[strongest]), float(numbers.sum(dtype=np.float64)))


@fact(4)
def sharpest(result: Result, layer: int, query: int) -> int:
    """The head of a block in which a query gives the largest share. Raises NotRecorded."""
    return int(result.trace[f"blocks.{layer}.attn.pattern"][:, query].max(axis=1).argmax())


@fact(1)
def mean_pattern(result: Result, layer: int) -> Doubles:
    """The mean over a block's heads of their patterns. Shapes: -> [T, T]. Raises NotRecorded."""
    return result.trace[f"blocks.{layer}.attn.pattern"].mean(axis=0).astype(np.float64)


@fact(4)
def sink(result: Result, layer: int) -> float:
    """The mean share that a block's queries after the first give to the first token. Raises NotRecorded."""
    return float(result.trace[f"blocks.{layer}.attn.pattern"][:, 1:, 0].mean(dtype=np.float64))
