"""The distributions that were shown: to step back through, and to hold one beside another."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from txexplain.engine.sampling import Distribution, distribution
from txexplain.engine.trace import Run
from txexplain.explorer.edits import Edits
from txexplain.explorer.state import ExplorerState

KEPT = 50  # moments
KEPT_BYTES = 16 << 20  # of all their logits and ids together; GPT-2's vocabulary has room for all moments
SHOWN = 2  # distributions of moments that a screen shows at once: one past, one held


@dataclass(frozen=True, eq=False)
class Moment:
    """A run, its logits and a setting: the distribution that was shown follows from them, and takes twenty times their memory.

    `edits` are what was changed in the run, as it is written.
    """

    logits: NDArray[Any]
    run: Run
    temperature: float
    mode: str
    k: int
    p: float
    edits: Edits = ()

    @classmethod
    def of(cls, state: ExplorerState, run: Run, distribution: Distribution) -> Moment:
        return cls(distribution.logits, run, state.temperature, state.mode, state.k, state.p, state.edits)

    @property
    def ids(self) -> tuple[int, ...]:
        return self.run.ids

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others: the run, and what of the setting counts in its mode."""
        return self.run, self.temperature, self.mode, self.k if self.mode == "top-k" else self.p if self.mode == "top-p" else None

    @property
    def parts(self) -> dict[int, int]:
        """The bytes of its logits and of its ids, by what tells each from another moment's: settings of one run share both."""
        return {id(self.logits): self.logits.nbytes, id(self.ids): sys.getsizeof(self.ids)}

    @property
    def distribution(self) -> Distribution:
        """What was shown, to the last bit."""
        return shown_at(self)

    def seen_from(self, state: ExplorerState) -> ExplorerState:
        """A state with this moment's setting, for showing it."""
        return replace(state, temperature=self.temperature, mode=self.mode, k=self.k, p=self.p)


@lru_cache(SHOWN)
def shown_at(moment: Moment) -> Distribution:
    return distribution(moment.logits, **moment.seen_from(ExplorerState()).sampling)


def recorded(history: tuple[Moment, ...], moment: Moment) -> tuple[Moment, ...]:
    """The history with a moment as its last; each text and setting is kept once, and the oldest are let go."""
    kept = (*(each for each in history if each.key != moment.key), moment)[-KEPT:]
    while len(kept) > 1 and held_bytes(kept) > KEPT_BYTES:
        kept = kept[1:]
    return kept


def held_bytes(history: tuple[Moment, ...]) -> int:
    """What a history keeps in memory."""
    return sum({key: size for moment in history for key, size in moment.parts.items()}.values())
