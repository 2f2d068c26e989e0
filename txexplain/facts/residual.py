"""A token's residual stream through the whole model, part by part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.attribution import Direct
from txexplain.engine.derive import Reading, Result
from txexplain.facts.direct import direct
from txexplain.facts.once import fact
from txexplain.facts.reading import read
from txexplain.facts.vector import VectorFacts, vector


@dataclass(frozen=True)
class Part:
    """Where a part of the stream and the stream around it are recorded, by their activations' names."""

    name: str  # "embed", "pos", "L3.attn", "L3.mlp"
    adds: str
    before: str | None  # the stream that it is added to; None for the first
    after: str


def part_of(name: str) -> Part:
    """A part by its name."""
    if name == "embed":
        return Part(name, "embed", None, "embed")
    if name == "pos":
        return Part(name, "pos_embed", "embed", "blocks.0.resid_pre")
    block, _, half = name.partition(".")
    prefix = f"blocks.{block[1:]}."
    adds, before, after = ("attn_out", "resid_pre", "resid_mid") if half == "attn" else ("mlp_out", "resid_mid", "resid_post")
    return Part(name, prefix + adds, prefix + before, prefix + after)


def part_names(n_layer: int) -> list[str]:
    """Every part of the stream, in the order in which they are added."""
    return ["embed", "pos", *(f"L{layer}.{half}" for layer in range(n_layer) for half in ("attn", "mlp"))]


@fact(64)
def turn(result: Result, name: str, token: int) -> float:
    """The cosine of a part with the stream that it is added to. Raises NotRecorded."""
    part = part_of(name)
    assert part.before is not None
    was, adds = vector(result, part.before, token), vector(result, part.adds, token)
    return float(was.values.astype(np.float64) @ adds.values) / max(was.length * adds.length, 1e-30)


@dataclass(frozen=True, eq=False)
class PartFacts:
    """One thing that was added to a token's residual stream."""

    name: str
    adds: VectorFacts  # [d]
    after: VectorFacts  # [d], the stream once it was added
    cosine: float  # of the stream after it with the final one
    gives: float | None  # what it gives to the difference of two logits, read straight to the end; None where it isn't read


@dataclass(frozen=True)
class ResidualFacts:
    """A token's stream; `direct` is its reading for two tokens, None where it is read for none."""

    parts: tuple[PartFacts, ...]
    direct: Direct | None


@fact(8)
def residual(result: Result, token: int, contrast: tuple[int, int] | None = None) -> ResidualFacts:
    """A token's residual stream, read for the difference of two tokens' logits where they are named. Raises NotRecorded.

    Each part and the stream after it are the run's own, changed or not.
    """
    final = vector(result, f"blocks.{result.config.n_layer - 1}.resid_post", token)
    named = [(name, vector(result, part_of(name).adds, token)) for name in part_names(result.config.n_layer)]
    read = None if contrast is None or result.model is None else direct(result, token, *contrast).direct
    gives: list[float | None] = [None] * len(named)
    if read is not None:
        attn = read.head.sum(axis=1) + read.attn_bias  # [L]
        gives = [read.embed, read.pos, *(float(each) for pair in zip(attn, read.mlp, strict=True) for each in pair)]
    stream: NDArray[np.float64] = np.zeros(len(final))
    parts = []
    for (name, adds), gave in zip(named, gives, strict=True):
        stream = stream + adds.values  # [d]
        at = part_of(name).after
        after = vector(result, at, token) if at in result.trace else VectorFacts(stream)
        cosine = float(after.values.astype(np.float64) @ final.values / ((after.length * final.length) or 1.0))
        parts.append(PartFacts(name, adds, after, cosine, gave))
    return ResidualFacts(tuple(parts), read)


@fact(32)
def raised(result: Result, name: str, token: int) -> Reading:
    """The tokens that a part of a token's stream makes likelier and less likely, straight to the end.

    Raises NotRecorded, and ChangedByHand where the stream doesn't carry it to the end.
    """
    block = name.partition(".")[0]
    layer = int(block[1:]) if block[1:].isdigit() else 0
    return read(result, vector(result, part_of(name).adds, token).values, layer, token)


@fact(4)
def changes(result: Result, token: int) -> tuple[tuple[float, float], ...]:
    """How long the vectors are that attention and MLP add to a token, ‖attn_out‖ and ‖mlp_out‖, block by block. Raises NotRecorded."""
    blocks = (f"blocks.{layer}" for layer in range(result.config.n_layer))
    return tuple((vector(result, f"{block}.attn_out", token).length, vector(result, f"{block}.mlp_out", token).length) for block in blocks)
