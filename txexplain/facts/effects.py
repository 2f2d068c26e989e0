"""By how much A − B changes where one thing of a run is changed: of many things, as a sweep finds them, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.derive import Result
from txexplain.engine.effects import LEAST_DIFFERENCE, sweep
from txexplain.engine.plans import CUT, MEAN, ZERO, plan
from txexplain.facts.once import fact

KEPT = 8  # answers of one run
ROUNDING = 1e-4  # of a logit: what two ways to compute the same run may differ by


@dataclass(frozen=True)
class Question:
    """What is swept over, and the two tokens whose logits' difference is looked at."""

    of: tuple[str, ...]  # as engine.effects names them: ("mlps", "heads"), …
    a: int
    b: int
    other: tuple[int, ...] | None = None  # the ids of the run that values are taken of; None: parts are set, edges cut


@dataclass(frozen=True, eq=False)
class EffectsFacts:
    """What is found so far: for each thing, A − B with it changed less A − B as it is in this run, to which all else is exact.

    `change` is NaN where nothing is computed yet, and where the other run has no such row. 0 where nothing can change, or no more than
    rounding does.
    """

    names: tuple[str, ...]  # as changes name them: L4H3, L4.mlp, [13,5], [*,5], L4.resid@9
    change: NDArray[np.float64]  # [n]
    to: str  # what each is set to: "mean over tales", "zero", "cut"
    without: float  # A − B as it is
    other: float | None  # A − B of the run that is patched from
    start: int  # the first row that a patch can change
    done: int  # sweeps' tries, of
    total: int

    @cached_property
    def by_name(self) -> dict[str, float]:
        return dict(zip(self.names, self.change.tolist(), strict=True))

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The things by size of effect, the largest first; those that aren't computed yet come last."""
        return tuple(np.argsort(-np.abs(self.change), kind="stable").tolist())

    def restored(self, name: str) -> float | None:
        """Which part of the way to the other run's A − B a patch goes; None where the two hardly differ, or nothing is patched."""
        if self.other is None or abs(self.other - self.without) < LEAST_DIFFERENCE:
            return None
        return self.by_name[name] / (self.other - self.without)

    @property
    def complete(self) -> bool:
        return self.done == self.total


def swept(result: Result, question: Question, should_stop: Callable[[], bool] | None = None) -> Iterator[EffectsFacts]:
    """The answer to a question as it comes, a batch at a time, the last blocks first; the last one is whole, unless it was stopped.

    Parts are set to their mean over the reference text, or to zero where the model can read no text; edges and rows are cut.
    Raises NotRecorded, NonFinite, InterventionError.
    """
    model, trace, donor = result.weights(), result.trace, None
    if question.other is not None:
        donor = model.stoppable_forward(list(question.other), should_stop=should_stop)
        if donor is None:
            return
    to = {"heads": ZERO if model.tokenizer.has_no_text else MEAN}
    to |= {"mlps": to["heads"]}
    plans = [plan(model, trace, of, to=None if donor else to.get(of, CUT), donor=donor, should_stop=should_stop) for of in question.of]
    names = tuple(each.place(cell) for each in plans for cell in np.ndindex(*each.shape))
    change = [np.full(each.shape, np.nan) for each in plans]
    start = 0 if donor is None else trace.run.shared(donor.run)
    done, total = 0, sum(len(each.tries) for each in plans)
    for n, each in enumerate(plans):
        for found in sweep(model, trace, each, donor=donor, answer=question.a, against=question.b, should_stop=should_stop):
            change[n] = np.where(np.abs(found.change) < ROUNDING, 0.0, found.change)
            flat = np.concatenate([part.reshape(-1) for part in change])
            yield EffectsFacts(names, flat, each.to, found.without, found.other, start, done + found.done, total)
        done += len(each.tries)


@fact(1)
def known(result: Result) -> dict[Question, EffectsFacts]:
    """What was found of a run, by what was asked. Whoever sweeps puts it here; it grows in the thread that draws."""
    return {}


def keep(result: Result, question: Question, found: EffectsFacts) -> None:
    """Put down how far the answer to a question is."""
    answers = known(result)
    answers.pop(question, None)
    answers[question] = found
    while len(answers) > KEPT:
        del answers[next(iter(answers))]


def answer(result: Result, question: Question, should_stop: Callable[[], bool]) -> Iterator[None]:
    """Answer a question, a batch a step, and keep what is found so far."""
    for found in swept(result, question, should_stop):
        keep(result, question, found)
        yield
