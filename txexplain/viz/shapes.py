"""What pictures are made of, before it is known what they are shown on: fields, ribbons and rows of cells, in layers.

All places and sizes are in cells, from a picture's top left corner; a strength is how much of what lies below a shape hides, 0 … 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Edges = tuple[Doubles, Doubles]  # where a shape begins and ends, downwards, at each of some columns
ASPECT = 2.0  # a cell's height over its width


def smootherstep(u: Doubles) -> Doubles:
    """From 0 to 1 with flat ends (Perlin 2002)."""
    return u * u * u * (u * (u * 6 - 15) + 10)


def smootherstep_slope(u: Doubles) -> Doubles:
    """The derivative of smootherstep."""
    return 30 * u * u * (u - 1) * (u - 1)


@dataclass(frozen=True)
class Field:
    """What lies between two edges that each run smoothly from one height to another; a rectangle where they stay."""

    x0: float
    x1: float
    left: tuple[float, float]  # top and bottom
    right: tuple[float, float]
    strength: float

    def edges(self, x: Doubles) -> Edges:
        """Its top and bottom at some columns. Shapes: x [n] -> [n] each."""
        part = smootherstep((x - self.x0) / (self.x1 - self.x0))
        top, bottom = (a + (b - a) * part for a, b in zip(self.left, self.right, strict=True))
        return top, bottom


@dataclass(frozen=True)
class Ribbon:
    """A band from one height to another, which looks as thick everywhere: where it is steep it takes more of a column."""

    x0: float
    x1: float
    y0: float
    y1: float
    thickness: float
    strength: float

    def edges(self, x: Doubles) -> Edges:
        """Its top and bottom at some columns. Shapes: x [n] -> [n] each."""
        u, width = (x - self.x0) / (self.x1 - self.x0), self.x1 - self.x0
        middle = self.y0 + (self.y1 - self.y0) * smootherstep(u)
        slope = ASPECT * (self.y1 - self.y0) * smootherstep_slope(u) / width
        half = self.thickness / 2 * np.sqrt(1 + slope * slope)
        low, high = min(self.y0, self.y1) - self.thickness / 2, max(self.y0, self.y1) + self.thickness / 2
        return np.maximum(middle - half, low), np.minimum(middle + half, high)


def rectangle(x: float, y: float, width: float, height: float, strength: float = 1.0) -> Field:
    return Field(x, x + width, (y, y + height), (y, y + height), strength)


@dataclass(frozen=True)
class Layer:
    """Shapes of one role; where they overlap, the strongest shows. `into`: the role that they turn to towards their right ends."""

    role: str
    shapes: Sequence[Field | Ribbon]
    into: str = ""


@dataclass
class Picture:
    """Layers, the lowest first, over the background."""

    width: int
    height: int
    layers: list[Layer] = field(default_factory=list)

    def add(self, role: str, *shapes: Field | Ribbon, into: str = "") -> None:
        if shapes:
            self.layers.append(Layer(role, shapes, into))
