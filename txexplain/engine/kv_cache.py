"""The KV cache: what earlier tokens leave behind for later ones, so that nothing is computed twice. Here it keeps the queries too."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from txexplain.engine.ops import Array
from txexplain.engine.trace import GROWING, SPARE, Parts

ROOM = 64  # rows kept free behind a prompt's


class KVCache:
    """The queries, keys and values of every block, a row a token, in buffers with room for more tokens.

    Rows are only ever appended, so a Trace that views the first T of them never changes. One forward pass at a time
    owns the free rows behind the last; who comes second, or branches off earlier, gets a copy.
    """

    def __init__(self, n_layer: int, n_head: int, width: int, capacity: int) -> None:
        self.buffers: list[Array] = [np.empty((capacity, width), dtype=np.float32) for _ in range(n_layer)]  # [capacity, 3·d] each
        self.n_head = n_head
        self.capacity = capacity
        self.filled = 0
        self.lock = threading.Lock()

    def rows(self, layer: int, first: int, end: int) -> Array:
        """Some tokens' rows as they lie in the buffer. Shapes: -> [end − first, 3·d], a view."""
        return self.buffers[layer][first:end]

    def heads(self, layer: int, total: int) -> tuple[Array, Array, Array]:
        """The q, k and v of the first T tokens. Shapes: -> [T, H, dh] each, views."""
        rows = self.buffers[layer][:total].reshape(total, 3, self.n_head, -1)  # [T, 3, H, dh]
        return rows[:, 0], rows[:, 1], rows[:, 2]

    def named(self, total: int) -> dict[str, Parts]:
        """The q, k and v of the first T tokens of every block, as a Trace has them."""
        rows = [self.heads(layer, total) for layer in range(len(self.buffers))]
        return {f"blocks.{layer}{name}": (array,) for layer, qkv in enumerate(rows) for name, array in zip(GROWING, qkv, strict=True)}

    def claim(self, start: int, n: int, limit: int) -> NewRows:
        """The next n rows behind the first `start`: of these buffers, or of a copy with room up to `limit` rows.

        Buffers that are much too large for so few rows aren't kept either.
        """
        total = start + n
        most = min(limit, SPARE * total + ROOM)
        with self.lock:
            if total <= self.capacity <= most and (start == self.filled or n == 0):
                self.filled = max(self.filled, total)
                return NewRows(self, start, n)
        copy = KVCache(len(self.buffers), self.n_head, self.buffers[0].shape[1], most)
        for new, old in zip(copy.buffers, self.buffers, strict=True):
            new[:start] = old[:start]
        copy.filled = start + n
        return NewRows(copy, start, n)


@dataclass(frozen=True)
class NewRows:
    """The rows of a KVCache that one forward pass writes, behind those that are there."""

    cache: KVCache
    start: int  # tokens that were run before
    n: int  # new ones

    def room(self, layer: int) -> Array:
        """Where the new tokens' queries, keys and values go. Shapes: -> [n, 3·d], a view."""
        return self.cache.rows(layer, self.start, self.start + self.n)

    def heads(self, layer: int) -> tuple[Array, Array, Array]:
        """The q, k and v of all T tokens. Shapes: -> [T, H, dh] each, views."""
        return self.cache.heads(layer, self.start + self.n)

    def release(self) -> None:
        """Give the rows back: the forward pass that claimed them was stopped."""
        with self.cache.lock:
            if self.cache.filled == self.start + self.n:
                self.cache.filled = self.start
