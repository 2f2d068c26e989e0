"""The prompt's tokens: how surprising they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from txexplain.engine.derive import Lens
from txexplain.engine.surprisal import Surprise, surprises
from txexplain.facts.once import fact


@dataclass(frozen=True)
class MeanFacts:
    """How surprising a text's tokens were on average, as far as they are known."""

    counted: int
    bits: float
    perplexity: float  # 2^bits


def mean_surprisal(known: Sequence[Surprise | None]) -> MeanFacts | None:
    """None where no token's is known."""
    bits = [each.bits for each in known if each is not None]
    return MeanFacts(len(bits), sum(bits) / len(bits), 2.0 ** (sum(bits) / len(bits))) if bits else None


@fact(256)
def surprise(lens: Lens, token: int) -> Surprise:
    """How surprising a token of the prompt was; not of the first, before which is nothing. Raises NotRecorded."""
    logits = lens.trace["ln_final.normalized"][token - 1 : token] @ lens.weights().unembedding.T  # [1, d] @ [d, V] -> [1, V]
    return surprises(logits, lens.trace.ids[token : token + 1])[0]
