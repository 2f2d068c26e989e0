"""Effects: how the answer changes where one thing of a run is changed. Each is exact: all that follows is computed again.

effect = M(with) − M(without), where M is logit(answer) − logit(against) at the last row: below 0, the thing was needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.attribution import token_id
from txexplain.engine.gpt2 import unembed
from txexplain.engine.model import GPT2
from txexplain.engine.ops import Array, softmax
from txexplain.engine.plans import Cell, Plan, Stop, Try, plan
from txexplain.engine.reference import Reference
from txexplain.engine.run import Stopped
from txexplain.engine.sampling import highest
from txexplain.engine.together import Change, Together
from txexplain.engine.trace import Trace
from txexplain.errors import InterventionError, NonFinite

Doubles = NDArray[np.float64]
AT_ONCE = 1 << 20  # numbers of the largest activation of all runs that are computed together
FEW = 64  # rows that cost about as much as fewer
WASTE = 1.25  # times the rows needed: so many at most are run so that runs can be computed together
LEAST_DIFFERENCE = 0.5  # between two runs' M: what part of less than that is restored says nothing


@dataclass(frozen=True, eq=False)
class Effects:
    """What a sweep found, a number a cell: NaN where it isn't computed yet, or where there is nothing to change.

    Exactly 0 where nothing can change: rows before the first that differs, or that the last row doesn't see.
    """

    of: str  # "heads", "edges L5H1", …
    to: str  # what the parts are set to, in a word
    axes: tuple[str, ...]  # what the cells are numbered by: ("block", "head"), ("query", "key"), …
    answer: int
    against: int | None  # None: M is the answer's logit alone
    without: float  # M of the run itself
    other: float | None  # M of the run that is patched from
    change: Doubles  # M(with) − M(without)
    probability: Doubles | None  # the same of the answer's probability, where that was asked for
    done: int  # cells computed, of
    total: int

    @property
    def restored(self) -> Doubles | None:
        """Which part of the difference between both runs a patch makes; None where they hardly differ, or nothing is patched."""
        if self.other is None or abs(self.other - self.without) < LEAST_DIFFERENCE:
            return None
        return self.change / (self.other - self.without) + 0.0  # no −0

    def strongest(self, n: int) -> list[Cell]:
        """The n cells of largest effect either way, those that change nothing left out."""
        size = np.nan_to_num(np.abs(self.change)).reshape(-1)
        return [tuple(int(i) for i in np.unravel_index(each, self.change.shape)) for each in highest(size, n) if size[each] > 0]


def effects(
    model: GPT2,
    trace: Trace,
    of: str,
    *,
    to: str | float | Reference | None = None,
    donor: Trace | None = None,
    answer: int | str | None = None,
    against: int | str | None = None,
    only: Iterable[int] | None = None,
    probability: bool = False,
    should_stop: Stop = None,
) -> Effects:
    """How the answer of a run changes where one thing is changed, for each of many things.

    of: "heads" [L, H], "mlps" [L], "attns" [L] or "neurons L5" [m], set to `to` in all rows;
        "edges" [T, T], query by key, and "rows" [T], which no later row then sees, cut everywhere; "edges L5", "edges L5H1" in a block or
        a head, "edges [13]" of one query [keys].
        With a donor, another run: "resid" (the stream before a block), "mlps" or "attns" [L, T], patched in one row;
        "heads" or "z", "q", "k", "v", "pattern" [L, H], patched in all rows.
    to: "mean" (the usual; over a text that is shipped, or a Reference), "zero" or a number; of edges and rows "cut", or "raw" (see Cut).
    answer, against: tokens by id or text; by default the two likeliest, and where only an answer is named, its logit alone.
    only: so many of the cells, by their number in the flat array. probability: also the change of the answer's probability.
    should_stop: asked before each block; once it says True, what is computed by then is returned.

    The trace's own interventions stay in force. The cells are exact to rounding: each equals a forward pass with that one
    intervention more. Source: Wang et al. 2022 (ablation by means), Meng et al. 2022 (patching).
    Raises InterventionError, PromptError, TokenizerError, NonFinite; ValueError for a trace of another model.
    """
    planned = plan(model, trace, of, to=to, donor=donor, only=only, should_stop=should_stop)
    told = sweep(model, trace, planned, donor=donor, answer=answer, against=against, probability=probability, should_stop=should_stop)
    return deque(told, maxlen=1).pop()


def sweep(
    model: GPT2,
    trace: Trace,
    planned: Plan,
    *,
    donor: Trace | None = None,
    answer: int | str | None = None,
    against: int | str | None = None,
    probability: bool = False,
    should_stop: Stop = None,
) -> Iterator[Effects]:
    """The effects of a plan as they come: first none, then more with each batch, last blocks first. See effects for the rest."""
    if trace.origin is not model:
        raise ValueError("effects need a trace that this same model made with forward")
    a, b = contrast(model, trace, answer, against)
    u = model.unembedding[a].astype(np.float64) - (0.0 if b is None else model.unembedding[b])  # [d]
    own = trace["ln_final.normalized"][-1:]  # [1, d]
    without, likely = float((own @ u)[0]), float(share(model, own, a)[0]) if probability else 0.0
    other = None if donor is None else float(donor.last_logits[a]) - (0.0 if b is None else float(donor.last_logits[b]))
    change = np.zeros(planned.shape)
    for cell in np.ndindex(*planned.shape):
        if planned.empty(cell):
            change[cell] = np.nan
    for each in planned.tries:
        change[each.cell] = np.nan
    likelier = change.copy() if probability else None
    done, total = 0, len(planned.tries)

    def so_far() -> Effects:
        told = None if likelier is None else likelier.copy()
        return Effects(planned.of, planned.to, planned.axes, a, b, without, other, change.copy(), told, done, total)

    yield so_far()
    for tries in batches(model, trace.n_tokens, planned.tries):
        try:
            finals = tried(model, trace, planned, tries, should_stop)  # [B, d]
        except Stopped:
            return
        at = tuple(np.array([each.cell for each in tries]).T)
        change[at] = finals @ u - without
        if likelier is not None:
            likelier[at] = share(model, finals, a) - likely
        done += len(tries)
        yield so_far()


def tried(model: GPT2, trace: Trace, planned: Plan, tries: tuple[Try, ...], should_stop: Stop) -> Array:
    """The last LayerNorm's result of the last row, of a run for each try. Shapes: -> [B, d]. Raises Stopped, NonFinite."""
    put = planned.change(each.cell for each in tries)
    changes: dict[str, Change] = {planned.site: put} if planned.everywhere else {}
    if planned.site == "attn.attn_scores":
        changes["attn.pattern"] = nothing_left
    together = Together(model, trace, len(tries), tries[-1].first, changes, should_stop)
    with np.errstate(over="ignore", invalid="ignore"):
        finals = together.finals(tries[0].layer, planned.site, put)
    if not np.isfinite(finals).all():
        raise NonFinite(f"{model.name} computed a number that isn't finite where {planned.place(tries[0].cell)} or another was changed.")
    return finals


def nothing_left(pattern: Array, first: int) -> None:
    """Rows of which every edge was cut hold no shares: softmax has made NaN of them. Shapes: [B, H, n, T]."""
    pattern[np.isnan(pattern)] = 0


def batches(model: GPT2, n_tokens: int, tries: Iterable[Try]) -> Iterator[tuple[Try, ...]]:
    """Tries that are computed together: of one block, so many as fit, and from nearly the same row on."""
    c = model.config
    batch: list[Try] = []
    rows = 0  # that would be run one by one
    for each in tries:
        n = n_tokens - each.first  # a batch's rows, since the first of them has the most
        size = max(n * c.n_inner, n * c.n_head * n_tokens, 3 * n_tokens * c.n_embd)  # of mlp.post, a pattern, and all rows' q, k and v
        runs = len(batch) + 1
        if batch and (batch[0].layer != each.layer or runs * size > AT_ONCE or runs * n > max(FEW, WASTE * (rows + n))):
            yield tuple(batch)
            batch, rows = [], 0
        batch.append(each)
        rows += n
    if batch:
        yield tuple(batch)


def contrast(model: GPT2, trace: Trace, answer: int | str | None, against: int | str | None) -> tuple[int, int | None]:
    """The ids of the two tokens that are compared. Raises PromptError, TokenizerError, InterventionError for two that are one."""
    best = highest(trace.last_logits, 2)
    if answer is None and against is None:
        return best[0], best[1] if len(best) > 1 else None
    a = best[0] if answer is None else token_id(model, answer)
    b = None if against is None else token_id(model, against)
    if a == b:
        raise InterventionError(f"The answer is compared with itself: both are token {a}; name another one.")
    return a, b


def share(model: GPT2, finals: Array, token: int) -> Doubles:
    """A token's probability at temperature 1, from the last LayerNorm's results. Shapes: [B, d] -> [B]."""
    found = np.empty(len(finals))
    for start in range(0, len(finals), FEW):
        logits = unembed(finals[start : start + FEW], model.unembedding)  # [n, V]
        found[start : start + FEW] = softmax(logits)[:, token]
    return found
