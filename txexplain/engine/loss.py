"""How well a model foretells a text of any length: each token's surprisal, the mean loss, perplexity, bits per byte.

A text longer than the window is read in several, each begun a stride after the one before; of each only the tokens are scored that no
earlier window held. So a token after the first window has at least window − stride tokens before it. A smaller stride gives it more, and
takes as many times longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from txexplain.engine.interventions import Intervention, Set
from txexplain.engine.model import GPT2
from txexplain.engine.surprisal import Surprise, surprisal
from txexplain.errors import InterventionError, PromptError


@dataclass(frozen=True)
class Loss:
    """A text's tokens with their Surprises: None for one that nothing stood before, and which isn't scored."""

    ids: tuple[int, ...]
    tokens: tuple[Surprise | None, ...]
    n_bytes: int | None  # of the tokens that are scored; None where the tokenizer knows no bytes
    bits: float = field(init=False)  # of them all together
    scored: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bits", math.fsum(each.bits for each in self.tokens if each is not None))
        object.__setattr__(self, "scored", sum(each is not None for each in self.tokens))

    @property
    def mean(self) -> float | None:
        """The mean of −ln p, as training minimises it, in nats a token; None where nothing is scored."""
        return self.bits * math.log(2) / self.scored if self.scored else None

    @property
    def perplexity(self) -> float | None:
        """e^mean: among how many equally likely tokens the model chose, on the average."""
        return None if self.mean is None else math.exp(self.mean) if self.mean < 700 else math.inf

    @property
    def bits_per_byte(self) -> float | None:
        """Comparable between models of different tokens, as the loss isn't."""
        return self.bits / self.n_bytes if self.n_bytes else None


def loss(
    model: GPT2,
    ids: Sequence[int],
    *,
    window: int | None = None,
    stride: int | None = None,
    interventions: Sequence[Intervention] = (),
) -> Loss:
    """A text's loss, in runs that are changed alike.

    Raises PromptError for a window or stride that can't be, InterventionError for what can't be changed in each of several windows, and
    as forward() does.
    """
    found = tuple(surprises(model, ids, *spans(model, window, stride), interventions))
    return Loss(tuple(ids), found, bytes_of(model.tokenizer.token_bytes(i) for i, each in zip(ids, found, strict=True) if each is not None))


def bytes_of(tokens: Iterable[bytes]) -> int | None:
    """How long tokens are together; None where one's bytes aren't known."""
    lengths = list(map(len, tokens))
    return sum(lengths) if all(lengths) else None


def spans(model: GPT2, window: int | None = None, stride: int | None = None) -> tuple[int, int]:
    """The window and the stride that are asked for; else the model's context, and half the window. Raises PromptError."""
    context = model.config.n_positions
    window = context if window is None else window
    if not 1 <= window <= context:
        raise PromptError(f"A window of {window} tokens can't be: {model.name} reads 1 to {context}.")
    stride = max(1, window // 2) if stride is None else stride
    if not 1 <= stride <= window:
        raise PromptError(f"A stride of {stride} tokens can't be: it goes from 1 to the window's {window}.")
    return window, stride


def windows(n_tokens: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Where each window starts and ends, and the first token in it that no earlier one held."""
    end = 0
    for start in range(0, n_tokens, stride):
        first, end = end, min(start + window, n_tokens)
        yield start, end, first
        if end == n_tokens:
            return


def surprises(
    model: GPT2, ids: Sequence[int], window: int, stride: int, interventions: Sequence[Intervention] = ()
) -> Iterator[Surprise | None]:
    """Each token's, as the windows are read. Raises as loss() does."""
    if len(ids) > window and not all(isinstance(each, Set) and each.rows is None and not each.each for each in interventions):
        raise InterventionError(
            f"A text of more than {window} tokens is read in windows, and each has the same rows: change all rows alike."
        )
    for start, end, first in windows(len(ids), window, stride):
        trace = model.forward(ids[start:end], interventions=interventions)
        held = trace.ids[: first - start]
        yield from surprisal(trace, model.unembedding, (held, [None] * len(held)))[first - start :]
