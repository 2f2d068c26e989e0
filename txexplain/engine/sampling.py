"""Logits to probabilities to a drawn token, with every stage kept for display.

Everything is computed over the whole vocabulary in float64. The order of the tokens doesn't depend on the temperature,
so it is found once for a set of logits and shared by every Distribution made from them.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from txexplain.engine.kept import Kept
from txexplain.errors import NonFinite

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
A = TypeVar("A", bound=NDArray[Any])
Mode = Literal["full", "top-k", "top-p", "greedy"]

ROUNDING = 4 * float(np.finfo(np.float64).eps)  # two sums that differ by less are the same sum


@dataclass(frozen=True, eq=False)
class Ranking:
    """What depends on the logits alone: the tokens by descending logit, ties by lower id."""

    logits: NDArray[Any]  # [V], float32 as the model gives them
    order: Ints  # [V], rank -> id

    @classmethod
    def of(cls, logits: ArrayLike) -> Ranking:
        """Sort [V] logits. Raises NonFinite for NaN or +inf, or where no token has a finite logit; ValueError for another shape."""
        values = np.array(logits)
        if values.ndim != 1 or values.size == 0:
            raise ValueError(f"The logits of one position are needed, a list [V]; these have the shape {list(values.shape)}.")
        if values.dtype.kind != "f":
            values = values.astype(np.float64)
        wrong = np.flatnonzero(np.isnan(values) | np.isposinf(values))
        if wrong.size:
            raise NonFinite(f"The logit of token {wrong[0]} is {values[wrong[0]]}, so there are no probabilities: the weights are damaged.")
        if np.isneginf(values).all():
            raise NonFinite("Every logit is -inf, so that no token is possible: the weights are damaged.")
        order = np.argsort(-values, kind="stable").astype(np.int64)  # stable: equal logits stay in the order of their ids
        return cls(read_only(values), read_only(order))

    @cached_property
    def rank(self) -> Ints:
        """[V], id -> rank."""
        rank = np.empty_like(self.order)
        rank[self.order] = np.arange(len(self.order))
        return read_only(rank)

    @cached_property
    def below_top(self) -> Floats:
        """[V] by rank: how far each logit lies below the largest one, ≤ 0."""
        ranked = self.logits[self.order].astype(np.float64)
        return read_only(ranked - ranked[0])


@dataclass(frozen=True)
class Draw:
    """How a token was drawn: the uniform number, and the token's interval on the cumulative bar that the number fell in."""

    id: int
    uniform: float
    rank: int  # from 0
    probability: float  # after the filter
    full_probability: float
    low: float  # the interval [low, high) on the cumulative sum of `probability`
    high: float


@dataclass(frozen=True, eq=False)
class Distribution:
    """The next token's distribution at one setting. Arrays are read-only; [V] by token id but where "by rank" is said.

    In greedy mode (temperature 0) the probability is one-hot; what is said of the whole vocabulary (`scaled`,
    `full_probability`, `cumulative`) is then that of temperature 1.
    """

    ranking: Ranking
    temperature: float
    mode: Mode
    k: int | None
    p: float | None
    kept_count: int
    _weights: Floats  # [V] by rank: exp of the scaled logit less the largest one
    full_by_rank: Floats  # [V] by rank: softmax over the whole vocabulary

    def at(self, temperature: float = 1.0, *, top_k: int | None = None, top_p: float | None = None) -> Distribution:
        """The distribution of the same logits at another setting; the tokens aren't sorted again. Raises ValueError."""
        return settle(self.ranking, temperature, top_k, top_p)

    @property
    def logits(self) -> NDArray[Any]:
        """[V], as given."""
        return self.ranking.logits

    @property
    def order(self) -> Ints:
        """[V], rank -> id: by descending logit, ties by lower id."""
        return self.ranking.order

    @property
    def shown_temperature(self) -> float:
        """The temperature of the whole-vocabulary figures: 1 where the mode is greedy."""
        return self.temperature or 1.0

    @cached_property
    def scaled(self) -> Floats:
        """[V]: logit ÷ temperature."""
        with np.errstate(over="ignore"):
            return read_only(self.logits.astype(np.float64) / self.shown_temperature)

    @cached_property
    def filtered(self) -> Floats:
        """[V]: the scaled logits, −inf where the filter cuts."""
        return read_only(np.where(self.kept, self.scaled, -np.inf))

    @cached_property
    def exp(self) -> Floats:
        """[V]: exp of the filtered logits less the largest one, which keeps them in 0…1."""
        return self._by_id(self._weights[: self.kept_count])

    @cached_property
    def exp_total(self) -> float:
        """The sum of `exp`."""
        return float(self._weights[: self.kept_count].sum())

    @cached_property
    def facts(self) -> Kept:
        """What was computed of it."""
        return Kept()

    @cached_property
    def full_probability(self) -> Floats:
        """[V]: softmax over the whole vocabulary, before the filter."""
        return self._by_id(self.full_by_rank)

    @cached_property
    def cumulative(self) -> Floats:
        """[V] by rank: the running sum of `full_probability` along `order`."""
        return read_only(np.minimum(np.cumsum(self.full_by_rank), 1.0))

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """[V]: whether the token may be drawn."""
        kept = np.zeros(len(self.order), dtype=np.bool_)
        kept[self.order[: self.kept_count]] = True
        kept.flags.writeable = False
        return kept

    @cached_property
    def probability(self) -> Floats:
        """[V]: softmax after the filter: what is drawn from."""
        return self._by_id(self._kept_ranked)

    @cached_property
    def drawing_bar(self) -> Floats:
        """[kept_count] by rank: the running sum of `probability`, which a draw inverts; it ends at exactly 1."""
        sums = np.cumsum(self._kept_ranked)
        return read_only(sums / sums[-1])

    @cached_property
    def entropy_bits(self) -> float:
        """Shannon's entropy of `probability`, in bits."""
        share = self._kept_ranked[self._kept_ranked > 0]
        return max(0.0, -float(np.sum(share * np.log2(share))))  # no `@`: a product would wake BLAS's threads for a key press

    @property
    def perplexity(self) -> float:
        """2 to the entropy: among how many equally likely tokens the choice would be as open."""
        return float(2.0**self.entropy_bits)

    def rank_of(self, id: int) -> int:
        """The token's place by descending logit, from 0."""
        return int(self.ranking.rank[id])

    def draw(self, u: float) -> Draw:
        """The token whose interval holds u in [0, 1), and how it came about. Raises ValueError for another u."""
        if not 0 <= u < 1:
            raise ValueError(f"A draw needs a number from 0 to below 1, not {u}.")
        bar = self.drawing_bar
        rank = int(np.searchsorted(bar, u, side="right"))  # the first token whose end lies above u: never one without a share
        low = float(bar[rank - 1]) if rank else 0.0
        return Draw(int(self.order[rank]), u, rank, float(self._kept_ranked[rank]), float(self.full_by_rank[rank]), low, float(bar[rank]))

    @cached_property
    def _kept_ranked(self) -> Floats:
        kept = self._weights[: self.kept_count]
        return read_only(kept / kept.sum())

    def _by_id(self, ranked: Floats) -> Floats:
        """Put [n] numbers by rank at their ids, 0 elsewhere: -> [V]."""
        by_id = np.zeros(len(self.order))
        by_id[self.order[: len(ranked)]] = ranked
        return read_only(by_id)


def distribution(logits: ArrayLike, temperature: float = 1.0, *, top_k: int | None = None, top_p: float | None = None) -> Distribution:
    """The next token's distribution from its logits [V]; temperature 0 is greedy.

    top_k keeps exactly that many tokens (Fan et al. 2018); top_p keeps the nucleus, the fewest tokens whose probabilities
    reach p together (Holtzman et al. 2020). A logit of −inf is allowed and has probability 0.
    Raises ValueError for settings out of range or both filters at once, NonFinite for NaN or +inf.
    """
    return settle(Ranking.of(logits), temperature, top_k, top_p)


def check_settings(temperature: float, top_k: int | None = None, top_p: float | None = None) -> None:
    """Raises ValueError, with one sentence for the reader, where the settings have no meaning."""
    if not (math.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"The temperature must be a number from 0 (greedy) up, not {temperature}.")
    if top_k is not None and top_p is not None:
        raise ValueError("Top-k and top-p are two ways to cut the same list: give one of them.")
    if top_k is not None and operator.index(top_k) < 1:
        raise ValueError(f"Top-k must keep at least 1 token, not {top_k}.")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"Top-p must be above 0 and at most 1, not {top_p}.")


def settle(ranking: Ranking, temperature: float, top_k: int | None, top_p: float | None) -> Distribution:
    """The distribution of sorted logits at one setting. Raises ValueError."""
    check_settings(temperature, top_k, top_p)
    with np.errstate(over="ignore", under="ignore"):  # at a tiny temperature all but the top tokens are rightly at −inf
        weights = np.exp(ranking.below_top / (temperature or 1.0))  # [V] by rank; the shift comes first: logit ÷ T could overflow
    ranked = weights / weights.sum()
    mode: Mode
    if temperature == 0:
        mode, count = "greedy", 1
    elif top_k is not None:
        mode, count = "top-k", min(operator.index(top_k), len(ranked))
    elif top_p is not None:
        mode, count = "top-p", nucleus_size(ranked, top_p)
    else:
        mode, count = "full", len(ranked)
    k = operator.index(top_k) if mode == "top-k" and top_k is not None else None
    p = float(top_p) if mode == "top-p" and top_p is not None else None
    return Distribution(ranking, float(temperature), mode, k, p, count, read_only(weights), read_only(ranked))


def movers(before: Distribution, after: Distribution, n: int) -> list[tuple[int, float, float]]:
    """The n tokens whose probability changed most, by size, ties by lower id: (id, probability before, after).

    Those whose probability is the same aren't among them. Raises ValueError for vocabularies of different sizes.
    """
    if len(before.order) != len(after.order):
        raise ValueError("Two distributions are compared token by token: they need the same vocabulary.")
    change = np.abs(after.probability - before.probability)  # [V]
    return [(i, float(before.probability[i]), float(after.probability[i])) for i in highest(change, n) if change[i] > 0]


def highest(values: NDArray[Any], n: int) -> list[int]:
    """The indices of the n largest numbers, the largest first, ties by lower index. Shapes: [V] -> at most n.

    Only what reaches the n-th largest is sorted: sorting GPT-2's vocabulary takes fifty times as long.
    """
    least = np.partition(values, -min(n, len(values)))[-min(n, len(values))]
    found = np.flatnonzero(values >= least)
    return found[np.argsort(-values[found], kind="stable")][:n].tolist()


def nucleus_size(ranked: Floats, p: float) -> int:
    """How many of the most probable tokens reach p together, the one that crosses it included. Shapes: [V] by rank -> count."""
    if p == 1:
        return len(ranked)
    # A token is cut when it and all behind it weigh no more than 1 − p; summed from the small end, which rounds least.
    tail = np.cumsum(ranked[::-1])[::-1]  # [V]
    return max(1, int(np.count_nonzero(tail > 1 - p + ROUNDING)))


def uniform(seed: int, position: int) -> float:
    """The number in [0, 1) that decides the token at a position: a pure function, so that drawing again repeats. Raises ValueError."""
    if seed < 0:
        raise ValueError(f"The seed must be a whole number from 0 up, not {seed}.")
    return float(np.random.default_rng([seed, position]).random())


def draw(dist: Distribution, u: float) -> int:
    """The id that u in [0, 1) falls on, over the tokens by descending logit, ties by lower id. Raises ValueError."""
    return dist.draw(u).id


def read_only(array: A) -> A:
    array.flags.writeable = False
    return array
