"""Where a token's vector came from, block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CameFacts:
    """What a block left of a token's vector, and the token that most of the rest came from."""

    stayed: float
    other: int
    came: float


def came(shares: NDArray[np.float64], token: int) -> CameFacts:
    """Of a block's ribbons, those that enter one token, which isn't the first. Shapes: shares [T, T]."""
    row = shares[token]  # [T]
    other = int(np.argmax(np.where(np.arange(len(row)) == token, -1.0, row)))
    return CameFacts(float(row[token]), other, float(row[other]))


@dataclass(frozen=True)
class HeldFacts:
    """Which tokens held what reaches another one: those of at least a share, the most first, and what all others held together."""

    tokens: tuple[int, ...]
    others: float


def held(column: NDArray[np.float64], least: float) -> HeldFacts:
    """Of a column of the flow. Shapes: column [T], with the sum 1."""
    tokens = tuple(token for token in by_size(column) if column[token] >= least)
    return HeldFacts(tokens, float(column[column < least].sum()))


def by_size(shares: NDArray[np.float64]) -> list[int]:
    """Where the shares are, the largest first, ties by what comes first. Shapes: shares [n]."""
    return np.argsort(-shares, kind="stable").tolist()
