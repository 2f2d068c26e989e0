"""What every token's stream would say next, block by block, if it were read before it is done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from txexplain.explorer.places.place import NUMBER, Bound, Dims, Location, Memory, Shown, Work, block_bound, token_by
from txexplain.explorer.places.whole import Key, LookedUp
from txexplain.facts.lens import read, readings

SWIFT = 10_000_000  # products that are made within a few milliseconds


class Lens(LookedUp):
    """Tokens by streams: what enters the first block, and what leaves each; one stream of one token is selected."""

    __slots__ = ()
    kind = "lens"
    caption = "What the model would say next if it had to answer after each block."
    about = (
        "The logit lens: what each token's stream would say next if it were read after each block, with its own mean and spread: a "
        "reading, not a cause."
    )
    stem = word = "lens"
    brackets = "lens[L4]"
    faces = ("top", "rank", "difference", "bits")
    key = Key("L", "logit lens", "What each token's stream would say next, block by block; again to return")

    def seen_from(self, at: Location, dims: Dims) -> Location:
        """At what leaves the last block."""
        return Location("lens", select=f"L{dims.n_layer - 1}", token=at.chosen)

    def text(self, at: Location) -> str:
        return self.word + (f":{at.face}" if at.face else "") + (f"[{at.select}]" if at.select else "")

    def select(self, at: Location, inside: str) -> Location | None:
        return replace(at, select=None if inside == "embed" else inside) if re.fullmatch(rf"embed|L{NUMBER}", inside) else None

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        if at.select:
            yield block_bound(column(at) - 1, dims, "select", lambda near: f"L{near}")

    def enter(self, at: Location, memory: Memory, dims: Dims) -> Location:
        """Into the stream: its parts, the last one that it holds selected."""
        return Location("residual", select=f"{at.select}.mlp" if at.select else None, token=at.token)

    def change(self, at: Location, dims: Dims) -> str:
        """What enters the block after the stream, or what leaves the last."""
        row = at.token_index(dims.n_tokens)
        return f"L{column(at)}.resid@{row}" if column(at) < dims.n_layer else f"L{dims.n_layer - 1}.mlp@{row}"

    def work(self, at: Location, run: Shown) -> Work | None:
        """Each stream takes a product with the vocabulary."""
        result, config = run.result, run.result.config
        products = result.trace.n_tokens * config.vocab_size * config.n_embd * (config.n_layer + 1)
        if result.model is None or run.pair is None or products <= SWIFT or readings(result, *run.pair).done:
            return None
        return Work(run.pair, partial(read, result, *run.pair))

    def found(self, at: Location, run: Shown) -> int | None:
        """How many streams are read."""
        return None if run.result.model is None or run.pair is None else len(readings(run.result, *run.pair).streams)

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        return token_by(at, dy, dims) if dy else self.step_block(at, dx, dims)

    def step_block(self, at: Location, step: int, dims: Dims) -> Location:
        there = max(0, min(column(at) + step, dims.n_layer))
        return replace(at, select=f"L{there - 1}" if there else None)


def column(at: Location) -> int:
    """Which stream is selected: 0 is what enters the first block, then what leaves each."""
    return int(at.select[1:]) + 1 if at.select else 0
