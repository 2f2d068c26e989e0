"""What every token's stream would say next if it were read before it is done: the logit lens. A reading, not a cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.attribution import read_stream
from txexplain.engine.derive import Doubles, Result
from txexplain.engine.ops import softmax
from txexplain.engine.sampling import highest
from txexplain.facts.once import fact

AT_ONCE = 64  # tokens whose logits are computed in one go: each takes V numbers
BEST = 5


@dataclass(frozen=True, eq=False)
class StreamFacts:
    """One stream of every token, each read with its own mean and variance, as the last one is. Shapes: [T] each."""

    top: NDArray[np.int64]  # the likeliest token by id
    share: Doubles  # and its probability
    rank: NDArray[np.int64]  # of A, from 0
    a: Doubles  # its logit
    difference: Doubles  # logit A − logit B
    bits: Doubles  # the entropy


@dataclass(eq=False)
class LensFacts:
    """All streams, each computed when it is asked for: what enters the first block, and what leaves each."""

    result: Result
    a: int
    b: int
    streams: dict[int, StreamFacts] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The streams by their activations' names."""
        n = self.result.config.n_layer
        return [*(f"blocks.{layer}.resid_pre" for layer in range(n)), f"blocks.{n - 1}.resid_post"]

    @property
    def done(self) -> bool:
        return len(self.streams) == self.result.config.n_layer + 1

    def stream(self, n: int) -> StreamFacts:
        """Raises NotRecorded."""
        if n not in self.streams:
            self.streams[n] = self.read(self.names[n])
        return self.streams[n]

    def read(self, name: str) -> StreamFacts:
        """A stream, some tokens at a time. Raises NotRecorded."""
        model, x = self.result.weights(), self.result.trace[name]  # [T, d]
        parts = []
        for start in range(0, len(x), AT_ONCE):
            logits = read_stream(model, x[start : start + AT_ONCE])  # [n, V]
            shares = softmax(logits)  # [n, V]
            top, own = logits.argmax(axis=1), logits[:, self.a]  # [n] each
            known = np.where(shares > 0, shares, 1.0)  # 0 · log 0 is 0
            rank, bits = (logits > own[:, None]).sum(axis=1), -(shares * np.log2(known)).sum(axis=1)  # [n] each
            parts.append((top, shares.max(axis=1), rank, own, own - logits[:, self.b], bits))
        top, share, rank, a, difference, bits = (np.concatenate(each) for each in zip(*parts, strict=True))
        return StreamFacts(top, share.astype(np.float64), rank, *(each.astype(np.float64) for each in (a, difference, bits)))


@fact(2)
def readings(result: Result, a: int, b: int) -> LensFacts:
    """Every stream, read for A and B. Raises NotRecorded."""
    result.weights()
    return LensFacts(result, a, b)


def read(result: Result, a: int, b: int, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Read every stream, one a step. Raises NotRecorded."""
    facts = readings(result, a, b)
    for n in range(len(facts.names)):
        if should_stop():
            return
        facts.stream(n)
        yield


@fact(64)
def best(result: Result, n: int, token: int) -> tuple[tuple[int, float], ...]:
    """The likeliest five that one stream of a token says, each with its share. Raises NotRecorded."""
    name = LensFacts(result, 0, 0).names[n]
    shares = softmax(read_stream(result.weights(), result.trace[name][token : token + 1]))[0]  # [V]
    return tuple((i, float(shares[i])) for i in highest(shares, BEST))
