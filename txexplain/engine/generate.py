"""Generation: token after token, each drawn with the number of the position that it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

from txexplain.engine.interventions import Intervention
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import Distribution, Draw, uniform
from txexplain.engine.trace import Trace


class Settings(Protocol):
    """At which temperature and with which filter is drawn."""

    def distribution(self, trace: Trace) -> Distribution: ...


@dataclass(frozen=True)
class BothWays:
    """One position of a text drawn without and with interventions, by the same uniform number; None where that text has ended."""

    without: Draw | None
    within: Draw | None


def draw_tokens(
    model: GPT2,
    ids: Sequence[int],
    settings: Settings,
    seed: int,
    count: int,
    interventions: Sequence[Intervention] = (),
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[Draw]:
    """Up to count tokens, each drawn with the number of the position that it takes; ends after end of text or with the context,
    and once `should_stop`, which is asked before each block, says True."""
    text, trace = list(ids), None
    while count > 0 and len(text) < model.config.n_positions:
        trace = model.stoppable_forward(text, interventions=interventions, prefix=trace, should_stop=should_stop)
        if trace is None:
            return
        drawn = settings.distribution(trace).draw(uniform(seed, len(text)))
        yield drawn
        if drawn.id in model.config.eos_token_ids:
            return
        text.append(drawn.id)
        count -= 1


def side_by_side(
    model: GPT2,
    ids: Sequence[int],
    settings: Settings,
    seed: int,
    count: int,
    interventions: Sequence[Intervention],
    should_stop: Callable[[], bool] | None = None,
) -> Iterator[BothWays]:
    """The same text drawn without and with interventions, position by position. Chance is the same in both, so that they differ by
    what the interventions cause alone: first at the token that they change, and then by all that follows from it."""
    ways = (draw_tokens(model, ids, settings, seed, count, changes, should_stop) for changes in ((), interventions))
    return (BothWays(*pair) for pair in zip_longest(*ways))
