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
