"""The prompt's tokens: how surprising they were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from txexplain.engine.derive import Result
from txexplain.engine.surprisal import Surprise, surprises
from txexplain.facts.once import fact

LARGEST_POWER = 1024.0  # 2^1024 is no float


@dataclass(frozen=True)
class MeanFacts:
    """How surprising a text's tokens were on average, as far as they are known."""

    counted: int
    bits: float
    perplexity: float  # 2^bits; infinite where no float holds that


def mean_surprisal(known: Sequence[Surprise | None]) -> MeanFacts | None:
    """None where no token's is known."""
    bits = [each.bits for each in known if each is not None]
    if not bits:
        return None
    mean = sum(bits) / len(bits)
    return MeanFacts(len(bits), mean, 2.0**mean if mean < LARGEST_POWER else math.inf)


@fact(256)
def surprise(result: Result, token: int) -> Surprise:
    """How surprising a token of the prompt was; not of the first, before which is nothing. Raises NotRecorded."""
    logits = result.trace["ln_final.normalized"][token - 1 : token] @ result.weights().unembedding.T  # [1, d] @ [d, V] -> [1, V]
    return surprises(logits, result.trace.ids[token : token + 1])[0]
