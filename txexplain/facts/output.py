"""The next token's candidates: each at every stage from logit to probability."""

from __future__ import annotations

from dataclasses import dataclass

from txexplain.engine.sampling import Distribution
from txexplain.errors import NotRecorded
from txexplain.facts.once import fact


@dataclass(frozen=True)
class CandidateFacts:
    """A token of the vocabulary on its way to its probability."""

    rank: int  # from 0
    id: int
    logit: float
    scaled: float  # logit ÷ temperature
    most: float  # the largest of these
    exp: float  # e^(scaled − most); 0 for what the filter cuts
    total: float  # the sum of all that are kept
    kept: bool
    probability: float  # exp ÷ total
    full: float  # its probability before the filter
    cumulative: float  # and that of all down to it


@fact(128)
def candidate(distribution: Distribution, rank: int) -> CandidateFacts:
    """The candidate of a rank, from 0; the last one where there are fewer."""
    rank = min(rank, len(distribution.order) - 1)
    id, top = int(distribution.order[rank]), int(distribution.order[0])
    return CandidateFacts(
        rank,
        id,
        logit=float(distribution.logits[id]),
        scaled=float(distribution.scaled[id]),
        most=float(distribution.scaled[top]),
        exp=float(distribution.exp[id]),
        total=distribution.exp_total,
        kept=bool(distribution.kept[id]),
        probability=float(distribution.probability[id]),
        full=float(distribution.full_probability[id]),
        cumulative=float(distribution.cumulative[rank]),
    )


def reaching(distribution: Distribution, share: float) -> int:
    """How many of the likeliest tokens have a share together, the one that crosses it included."""
    return int(distribution.cumulative.searchsorted(share)) + 1


def known(distribution: Distribution | None) -> Distribution:
    """The distribution, where there is one. Raises NotRecorded."""
    if distribution is None:
        raise NotRecorded("logits")
    return distribution
