"""What a recorded run's ids mean, where its file tells it."""

from __future__ import annotations

from txexplain.engine.derive import Result
from txexplain.engine.tokenizer import GPT2_VOCABULARY, Tokenizer
from txexplain.text import visible


def vocabulary_of(result: Result) -> Tokenizer | None:
    """GPT-2's own vocabulary, where it has each token that the file lists under the same id."""
    tokens = result.trace.tokens
    if not tokens or result.config.vocab_size != GPT2_VOCABULARY:
        return None
    gpt2 = Tokenizer.gpt2()
    return gpt2 if all(gpt2.display(i) == visible(text) for i, text in zip(result.trace.ids, tokens, strict=False)) else None
