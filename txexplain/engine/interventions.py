"""What may be changed in a run: an activation set to something else, an edge of attention cut. All that follows goes on from there.

Several act in the order in which the forward pass makes what they change, and at one activation in the order in which they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from txexplain.engine.config import GPT2Config
from txexplain.engine.ops import Array
from txexplain.engine.steps import activation_letters
from txexplain.engine.trace import EMPTY_CELL, GROWING, SQUARE, canonical
from txexplain.errors import InterventionError
from txexplain.text import shown

UNREAD = (".scale", "logits")  # nothing that follows reads these: setting one would change nothing but itself
Indices = int | Iterable[int] | None


@dataclass(frozen=True)
class Edit:
    """A change of one activation as it is stored: `change` is given the activation and the number of its first row, and returns another."""

    name: str
    change: Callable[[Array, int], Array]

    def __call__(self, array: Array, start: int) -> Array:
        return self.change(array, start)


@dataclass(frozen=True)
class Set:
    """An activation, or a part of it, set to `value`.

    name: an activation under TransformerLens's name without `hook_`, as "blocks.3.attn.z".
    value: a number; a vector, the same for each row; or, with `each`, an array whose row t is for row t.
    rows: positions, by default all, those of tokens that are appended later too; of attn_scores and pattern the queries.
    head: one or several, of q, k, v, z, attn_scores and pattern.
    index: elements of the last axis, as neurons of mlp.post; keys of pattern, of which each query has those up to itself.
    origin: what the value is, for those who read of it: "mean" over the reference text, "from" another run, or "".
    Raises InterventionError for a value that isn't finite, or for names and parts that no activation has.
    """

    name: str
    value: Any = field(repr=False)  # given as anything that NumPy takes for an array, kept as one
    rows: Any = field(default=None, kw_only=True)  # given as a number or several, kept as a tuple; so are the next two
    head: Any = field(default=None, kw_only=True)
    index: Any = field(default=None, kw_only=True)
    each: bool = field(default=False, kw_only=True)
    origin: str = field(default="", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        value = np.array(self.value, dtype=np.float32)
        value.flags.writeable = False
        if not np.isfinite(value).all():
            raise InterventionError(f"{self.name} can't be set to a number that isn't finite.")
        if self.each and not value.ndim:
            raise InterventionError(f"{self.name}: with each, give an array with a row for each row, not a number.")
        object.__setattr__(self, "value", value)
        for part in ("rows", "head", "index"):
            object.__setattr__(self, part, indices(f"{self.name}, {part}", getattr(self, part)))

    @property
    def key(self) -> tuple[object, ...]:
        return canonical(self.name), self.rows, self.head, self.index, self.each, self.value.shape, self.value.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Set) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @property
    def first(self) -> int:
        """The first row that it may change."""
        return 0 if self.rows is None else min(self.rows, default=0)

    def edits(self, config: GPT2Config) -> list[Edit]:
        """What it comes to in this model. Raises InterventionError where the model lacks what it names."""
        letters = activation_letters(config.n_layer).get(self.name)
        if letters is None or self.name.endswith(UNREAD):
            raise InterventionError(f"{shown(self.name)} can't be set: it is none of this model's activations that others are made from.")
        if self.head is not None and "H" not in letters:
            raise InterventionError(f"{self.name} has no heads.")
        require_below(f"{self.name}, head", self.head, config.n_head)
        if self.index is not None and letters[-1] != "T":
            require_below(f"{self.name}, index", self.index, {"d": config.n_embd, "m": config.n_inner, "dh": config.head_dim}[letters[-1]])
        return [Edit(canonical(self.name), self.changed)]

    def changed(self, array: Array, start: int) -> Array:
        """The activation with its part set. Shapes: as given -> the same."""
        new = array.copy()
        by_row = new.transpose(1, 0, 2) if self.name.endswith(SQUARE) else new  # [n, H, T], or as it is: a row a token first
        first = 0 if self.name.endswith(GROWING) else start  # q, k and v come with the earlier tokens' rows
        for row, part in enumerate(by_row, first):  # part [d], [m], [H, dh] or [H, T]
            if (self.rows is None or row in self.rows) and not (self.each and row >= len(self.value)):
                seen = part[:, : row + 1] if self.name.endswith(SQUARE) else part  # a query knows nothing of later keys
                self.fill(seen, self.value[row] if self.each else self.value)
        return new

    def fill(self, row: Array, value: Array) -> None:
        """Set what is meant of one row, in place. Shapes: row [d], [m], [H, dh] or [H, keys]; value what can be broadcast to the part."""
        whole = row if row.ndim == 2 else row[None]  # [H, …], or one of one
        heads = list(range(len(whole)) if self.head is None else self.head)
        index = list(range(whole.shape[1]) if self.index is None else self.index)
        there = [n for n, each in enumerate(index) if each < whole.shape[1]]  # of a pattern the keys that its query sees
        if value.ndim and self.index is None and self.name.endswith(SQUARE):
            lacking = whole.shape[1] - value.shape[-1]  # keys that came after the value was made
            value = value[..., : whole.shape[1]]  # or that lie behind the query
            empty = EMPTY_CELL[self.name[self.name.rindex(".") :]]
            value = np.concatenate([value, np.full((*value.shape[:-1], max(lacking, 0)), empty, dtype=np.float32)], axis=-1)
        try:
            part = np.broadcast_to(value, (len(heads), len(index)))[:, there]
            whole[np.ix_(heads, [index[n] for n in there])] = part
        except (ValueError, IndexError):
            shape = [len(index)] if len(heads) == 1 else [len(heads), len(index)]
            raise InterventionError(f"{self.name} can't be set to a value of shape {list(value.shape)}: its part is {shape}.") from None


@dataclass(frozen=True)
class Cut:
    """Edges of attention cut, query by key, in one block: in one head, several, or all.

    The other keys share what the edge had, as after the causal mask; a query with nothing left gets nothing (zeros).
    With `raw` its share is lost: the head's result changes by exactly share × value.
    Raises InterventionError for an edge into the future.
    """

    block: int
    head: Any = field(default=None, kw_only=True)  # given as a number or several, kept as a tuple
    edges: Any = field(kw_only=True)  # pairs of query and key
    raw: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        edges = tuple(dict.fromkeys((int(query), int(key)) for query, key in self.edges))
        for query, key in edges:
            if not 0 <= key <= query:
                raise InterventionError(f"L{self.block}[{query},{key}] can't be cut: a query sees itself and what came before.")
        if not edges:
            raise InterventionError(f"L{self.block}: no edge is named that is to be cut; give pairs of query and key.")
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "head", indices(f"L{self.block}, head", self.head))

    @property
    def first(self) -> int:
        """The first row that it may change."""
        return min(self.rows)

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows of the grids that it changes."""
        return tuple(dict.fromkeys(query for query, _ in self.edges))

    def edits(self, config: GPT2Config) -> list[Edit]:
        """What it comes to in this model. Raises InterventionError where the model lacks the block or the head."""
        require_below("block", (self.block,), config.n_layer)
        require_below(f"L{self.block}, head", self.head, config.n_head)
        scores, pattern = (f"blocks.{self.block}.attn.{name}" for name in ("attn_scores", "pattern"))
        if self.raw:
            return [Edit(pattern, lambda array, start: self.put(array, start, 0.0))]
        return [Edit(scores, lambda array, start: self.put(array, start, -np.inf)), Edit(pattern, nothing_left)]

    def put(self, array: Array, start: int, value: float) -> Array:
        """The grids with the edges' cells set. Shapes: [H, n, T] -> [H, n, T]."""
        new = array.copy()
        heads = np.array(range(len(new)) if self.head is None else self.head)[:, None]  # [heads, 1]
        queries, keys = np.array(self.edges).T  # [edges] each
        here = (start <= queries) & (queries < start + new.shape[1])
        new[heads, queries[here] - start, keys[here]] = value
        return new


def nothing_left(pattern: Array, start: int) -> Array:
    """Rows of which every edge was cut hold no shares: softmax has made NaN of them. Shapes: [H, n, T] -> [H, n, T]."""
    return np.where(np.isnan(pattern), np.float32(0), pattern)


Intervention = Set | Cut


def indices(what: str, given: Indices) -> tuple[int, ...] | None:
    """One number or several, as several. Raises InterventionError for one below 0."""
    if given is None:
        return None
    found = tuple(dict.fromkeys(int(i) for i in ((given,) if isinstance(given, int | np.integer) else given)))
    if any(i < 0 for i in found):
        raise InterventionError(f"{what} {min(found)}: numbers go from 0 on.")
    return found


def require_below(what: str, given: Iterable[int] | None, end: int) -> None:
    """Raise InterventionError where a number is beyond what the model has."""
    for i in given or ():
        if not 0 <= i < end:
            raise InterventionError(f"There is no {what} {i} in this model: they go from 0 to {end - 1}.")
