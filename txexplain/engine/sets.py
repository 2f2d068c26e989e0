"""Effects over many prompts: one prompt isn't the task."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from txexplain.engine.attribution import Doubles, token_id
from txexplain.engine.effects import sweep
from txexplain.engine.interventions import Intervention
from txexplain.engine.model import GPT2
from txexplain.engine.plans import PATCHED, Stop, plan
from txexplain.engine.reference import Reference
from txexplain.engine.sampling import highest
from txexplain.errors import InterventionError, PromptError
from txexplain.text import shown

COLUMNS = ("prompt", "other", "answer", "against")
OTHER = "other"  # what parts are set to: what they are in the run of the example's other prompt
MOST_EXAMPLES = 10_000


@dataclass(frozen=True)
class Example:
    """A prompt with the token that is right after it and the one that this is compared with, which is right after the other prompt."""

    prompt: str
    other: str  # "" where there is none
    answer: str
    against: str


@dataclass(frozen=True, eq=False)
class OverExamples:
    """Effects of the same things on each of N examples. Right is an answer whose logit is above the other one's."""

    of: str
    to: str
    axes: tuple[str, ...]
    without: Doubles  # [N], M of each run
    change: Doubles  # [N, *cells], NaN where there is nothing to change
    total: int  # examples; N of them are done

    @property
    def mean(self) -> Doubles:
        """Of the change over the examples. Shapes: -> [*cells]."""
        return self.change.mean(axis=0)

    @property
    def spread(self) -> Doubles:
        """The standard deviation of the change over the examples, NaN for a single one. Shapes: -> [*cells]."""
        n = len(self.change)
        return self.change.std(axis=0, ddof=1) if n > 1 else np.full(self.change.shape[1:], np.nan)

    @property
    def right_before(self) -> float:
        """The share of the examples that are right as they are."""
        return float((self.without > 0).mean())

    @property
    def right_after(self) -> Doubles:
        """The share that are right with each thing changed. Shapes: -> [*cells]."""
        after = self.without.reshape(-1, *(1 for _ in self.change.shape[1:])) + self.change  # [N, *cells]
        return np.where(np.isnan(self.change), np.nan, after > 0).mean(axis=0)


@dataclass(frozen=True, eq=False)
class Answers:
    """What N examples answer without and with interventions."""

    without: Doubles  # [N], M = logit(answer) − logit(against)
    within: Doubles  # [N], the same with the interventions
    top_before: Doubles  # [N], 1 where the answer is the likeliest token of all, else 0
    top_after: Doubles  # [N]

    @property
    def change(self) -> Doubles:
        return self.within - self.without

    @property
    def right_before(self) -> float:
        return float((self.without > 0).mean())

    @property
    def right_after(self) -> float:
        return float((self.within > 0).mean())


def read_examples(text: str, where: str) -> tuple[Example, ...]:
    """Examples from a table: a line each, of prompt, other, answer and against, with tabs between. `where` names it in an error.

    A first line with just these words, empty lines and lines that begin with # are passed over; spaces count: " Tom" is a token.
    Raises PromptError.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = tuple(line.split("\t"))
        if not line.strip() or line.startswith("#") or cells == COLUMNS:
            continue
        if len(cells) != len(COLUMNS) or not (cells[0] and cells[2] and cells[3]):
            parts = "a prompt, another one or nothing, the answer and what it is compared with"
            raise PromptError(f"{where}, line {number}, isn't an example: give {parts}, with a tab between each two.")
        found.append(Example(*cells))
    if not 0 < len(found) <= MOST_EXAMPLES:
        raise PromptError(f"{where} holds {len(found):,} examples; give 1 to {MOST_EXAMPLES:,}, a line each.")
    return tuple(found)


def effects_over(
    model: GPT2, examples: Sequence[Example], of: str, *, to: str | float | Reference | None = None, should_stop: Stop = None
) -> Iterator[OverExamples]:
    """effects(…) on each of the examples, as they come: told after each one; those that `should_stop` cut short aren't counted.

    of, to: as for effects; to "other" patches from the run of each example's other prompt.
    Raises InterventionError, also where the grid isn't the same for all, as edges of prompts of several lengths; PromptError,
    TokenizerError, NonFinite.
    """
    patched = to == OTHER or of in PATCHED
    without: list[float] = []
    change: list[Doubles] = []
    for example in examples:
        trace, donor = model.forward(model.prompt_ids(example.prompt)), None
        if patched:
            if not example.other:
                raise InterventionError(f"There is no other prompt to patch from beside {shown(example.prompt)}; give one.")
            donor = model.forward(model.prompt_ids(example.other))
        planned = plan(model, trace, of, to=None if patched else to, donor=donor, should_stop=should_stop)
        if change and planned.shape != change[0].shape:
            raise InterventionError(
                f"{of} are numbered by tokens, and {shown(example.prompt)} has {trace.n_tokens}: give prompts of one length."
            )
        told = sweep(model, trace, planned, donor=donor, answer=example.answer, against=example.against, should_stop=should_stop)
        found = deque(told, maxlen=1).pop()
        if found.done < found.total:
            return
        without.append(found.without)
        change.append(found.change)
        yield OverExamples(of, found.to, found.axes, np.array(without), np.array(change), len(examples))


def answers(model: GPT2, examples: Sequence[Example], interventions: Sequence[Intervention], should_stop: Stop = None) -> Answers | None:
    """What the examples answer without and with interventions; None once `should_stop`, asked before each block, says True.

    Raises InterventionError, PromptError, TokenizerError, NonFinite.
    """
    rows = []
    for example in examples:
        ids, a, b = model.prompt_ids(example.prompt), token_id(model, example.answer), token_id(model, example.against)
        row: list[float] = []
        for changes in ((), interventions):
            trace = model.stoppable_forward(ids, interventions=changes, should_stop=should_stop)
            if trace is None:
                return None
            logits = trace.last_logits
            row += [float(logits[a]) - float(logits[b]), float(highest(logits, 1)[0] == a)]
        rows.append(row)
    table = np.array(rows).reshape(-1, 4)
    return Answers(table[:, 0], table[:, 2], table[:, 1], table[:, 3])
