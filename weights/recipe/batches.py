"""What a training run is and what its steps are fed with, without PyTorch: the plan, the windows of tokens, the sampled softmax's tokens.

A step's batch hangs on nothing but the plan's seed and the step's number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.uint16]
Ids = NDArray[np.int64]

VOCABULARY = 50257
LINE_ENDS = (50256, 198, 628)  # <|endoftext|>, "\n", "\n\n": a window begins after one of these
MIX = "tales=34,general=26,teaching=34,passages=3,random=3"
LAST_MIX = "tales=38,general=31,teaching=28,passages=1.5,random=1.5"


def mix(text: str) -> dict[str, float]:
    """`tales=3,general=2` as a dictionary."""
    pairs = [part.split("=") for part in text.split(",")]
    return {name: float(share) for name, share in pairs}


@dataclass(frozen=True)
class Plan:
    """What a run is. A share belongs to a file of tokens by its name, or to `passages` or `random`: see `row`."""

    mix: Mapping[str, float]
    last_mix: Mapping[str, float]  # from where the decay begins
    seed: int = 0
    rows: int = 16  # windows that go through the model at once
    accumulate: int = 1  # so many times, before a step is taken
    tokens: float | None = None  # the run's length is one or the other; with neither it has no end of its own
    hours: float | None = None
    warmup: int = 100  # steps
    decay: float = 0.3  # the share of the run in which the rate falls to nothing
    softmax: str = "sampled"
    full: float = 0.25  # the last share of the decay, with the full softmax
    muon_rate: float = 0.012
    table_rate: float = 1.5e-3
    small_rate: float = 1e-3
    frequent: int = 6144
    n_random: int = 1024
    clip: float = 1.0
    precision: str = "bf16"  # of the products; weights and sums are fp32
    attention: str = "plain"  # on a CPU the faster one
    chunk: int = 256  # rows of logits at once

    @property
    def files(self) -> list[str]:
        """The names of its files of tokens."""
        return [name for name in {**self.mix, **self.last_mix} if name not in ("passages", "random")]

    def mix_at(self, decay: Decay | None) -> Mapping[str, float]:
        return self.last_mix if decay else self.mix

    def rate(self, step: int, decay: Decay | None) -> float:
        """What the rates are multiplied with: warm-up, stable, decay."""
        return min(1.0, (step + 1) / self.warmup, decay.left(step) if decay else 1.0)

    def is_full(self, step: int, decay: Decay | None) -> bool:
        return self.softmax == "full" or (decay is not None and decay.left(step) <= self.full)

    def begins_decay(self, steps: int, seconds: float, length: int) -> Decay | None:
        """The decay, where it is due: of a run of so many tokens exactly, of one of so many hours by the steps that it has come to."""
        if self.tokens is not None:
            steps_in_all = math.ceil(self.tokens / (self.rows * self.accumulate * length))
            due, last = steps >= min(round(steps_in_all * (1 - self.decay)), steps_in_all - 1), steps_in_all
        elif self.hours is not None:
            due, last = seconds >= 3600 * self.hours * (1 - self.decay), round(steps / (1 - self.decay))
        else:
            return None
        return Decay(steps, max(last, steps + 1)) if due else None


@dataclass(frozen=True)
class Decay:
    """The end of a run: the steps in which the rate falls to nothing."""

    first: int
    last: int  # none is taken from here on

    def left(self, step: int) -> float:
        return (self.last - step) / (self.last - self.first)


# The windows.


@dataclass(frozen=True)
class Texts:
    """The training tokens by name, with the places where a window may begin."""

    tokens: Mapping[str, Tokens]
    starts: Mapping[str, Ids]
    common: Ids  # every token that the texts have, the most frequent first

    @staticmethod
    def load(folder: Path, names: Iterable[str], length: int) -> Texts:
        tokens = {name: np.load(folder / f"{name}.train.npy") for name in names}
        n_seen = np.count_nonzero(sum(np.bincount(t, minlength=VOCABULARY) for t in tokens.values()))
        common = by_frequency(tokens, dict.fromkeys(tokens, 1.0))[:n_seen]
        return Texts(tokens, {name: line_starts(t, length) for name, t in tokens.items()}, common)


def line_starts(tokens: Tokens, length: int) -> Ids:
    """The places after a line's end from where `length` tokens follow."""
    return np.flatnonzero(np.isin(tokens[:-length], LINE_ENDS)) + 1


def by_frequency(tokens: Mapping[str, Tokens], mix: Mapping[str, float]) -> Ids:
    """Every id, the most frequent in the mixture first."""
    counts = sum(mix.get(name, 0.0) * np.bincount(t, minlength=VOCABULARY) / len(t) for name, t in tokens.items())
    return np.argsort(-np.asarray(counts), kind="stable")


def row(texts: Texts, kind: str, length: int, rng: np.random.Generator) -> Ids:
    """One window of tokens. Two kinds aren't files, and are there for induction heads: `passages` of real text that come twice or
    more often, and `random` tokens that do, the thousand most frequent or any."""
    if kind == "random":
        return repeated(rng.choice(texts.common[: rng.choice([1000, len(texts.common)])], length), length, rng)
    name = kind if kind != "passages" else str(rng.choice(sorted(texts.tokens)))
    start = rng.choice(texts.starts[name])
    window = texts.tokens[name][start : start + length].astype(np.int64)
    return repeated(window, length, rng) if kind == "passages" else window


def repeated(window: Ids, length: int, rng: np.random.Generator) -> Ids:
    """Some tokens of their own, then a passage of 4 to 100 again and again."""
    period, before = round(4 * 25 ** rng.random()), int(rng.integers(0, 40))
    return np.concatenate([window[:before], np.resize(window[before : before + period], length - before)])


def batch(texts: Texts, plan: Plan, mix: Mapping[str, float], step: int, length: int) -> Ids:
    """A step's windows, by nothing but the plan's seed and the step. Shapes: -> [rows × accumulate, length]."""
    n = plan.rows * plan.accumulate
    rng = np.random.default_rng([plan.seed, step])
    shares = np.array(list(mix.values()))
    # Shares of the batch, not chances: the fractions are evened out by one random offset.
    edges = np.cumsum(shares / shares.sum())
    places = (np.arange(n) + rng.random()) / n
    kinds = [list(mix)[min(i, len(mix) - 1)] for i in np.searchsorted(edges, places)]
    windows = np.stack([row(texts, kind, length, rng) for kind in kinds])
    return windows[np.arange(n).reshape(plan.rows, plan.accumulate).T.ravel()]  # each part of a step has its share of every kind


# The tokens of a sampled softmax.


@dataclass(frozen=True)
class Candidates:
    """The tokens that a step's softmax is over; `count` says how many tokens each stands for."""

    ids: Ids  # [S]
    count: NDArray[np.float32]  # [S]

    def places(self, tokens: Ids, vocabulary: int) -> Ids:
        """Where each token stands among the candidates. Shapes: any, the same back."""
        place = np.full(vocabulary, -1)
        place[self.ids] = np.arange(len(self.ids))
        return place[tokens]


def candidates(own: Ids, frequent: Ids, n_random: int, vocabulary: int, rng: np.random.Generator) -> Candidates:
    """The frequent tokens, the batch's own, and n_random of the others by chance, each of which stands for as many as there are a draw.

    The sum of exponentials over these is right on average (importance sampling), so the loss is that of the full softmax but for a
    little noise.
    """
    sure = np.zeros(vocabulary, dtype=bool)
    sure[frequent] = True
    sure[own] = True
    rest = np.flatnonzero(~sure)
    drawn = rng.choice(rest, min(n_random, len(rest)), replace=False, shuffle=False)
    ids = np.concatenate([np.flatnonzero(sure), drawn])
    count = np.ones(len(ids), dtype=np.float32)
    count[len(ids) - len(drawn) :] = len(rest) / max(1, len(drawn))
    return Candidates(ids, count)


def everything(vocabulary: int) -> Candidates:
    """The full softmax: every token, each for itself."""
    return Candidates(np.arange(vocabulary), np.ones(vocabulary, dtype=np.float32))
