"""The two tokens between which a run decides: whose logits' difference is looked at, A − B."""

from __future__ import annotations

from txexplain.engine.derive import Result
from txexplain.engine.tokenizer import Tokenizer
from txexplain.errors import ExplainError, PromptError
from txexplain.explorer.state import ExplorerState
from txexplain.text import shown


def contrast(state: ExplorerState, result: Result) -> tuple[int, int] | None:
    """A and B by id: what the state names, else the likeliest two after the prompt, in the run without changes, which they outlast.

    None where the run has no logits, or the vocabulary but one token.
    """
    run = result if result.plain is None else result.plain
    if "logits" not in run.trace or result.config.vocab_size < 2:
        return None
    a, b = (None if text is None else token_of(text, result) for text in (state.answer, state.against))
    likeliest = (int(token) for token in run.ranking.order[:3])
    free = (token for token in likeliest if token not in (a, b))
    a = next(free) if a is None else a
    return a, next(free) if b is None or b == a else b


def token_of(text: str, result: Result) -> int | None:
    """A token as a state names it, by its text or as #464; None where this run's vocabulary has none such."""
    try:
        return read_token(text, result.config.vocab_size, None if result.model is None else result.model.tokenizer)
    except ExplainError:
        return None


def read_token(text: str, vocabulary: int, tokenizer: Tokenizer | None) -> int:
    """A token by its text, perhaps with a space before it, or as #464. Raises PromptError, TokenizerError."""
    if text.startswith("#") and text[1:].isascii() and text[1:].isdigit() and len(text) < 9:
        if (found := int(text[1:])) < vocabulary:
            return found
        raise PromptError(f"There is no token {text}: this vocabulary goes from #0 to #{vocabulary - 1}.")
    ids = [] if tokenizer is None else tokenizer.candidates(text)
    if len(ids) != 1:
        why = f"is {len(ids)} tokens" if ids else "is no token"
        raise PromptError(f"{shown(text)} {why} here; give one, perhaps with a space before it, or its number as #464.")
    return ids[0]


def token_text(token: int, tokenizer: Tokenizer | None) -> str:
    """How a state names a token: by its text where that is enough, else by its number."""
    if tokenizer is not None:
        text = tokenizer.token_bytes(token).decode("utf-8", "replace") or f"#{token}"
        try:
            if not text.startswith("#") and text.isprintable() and tokenizer.candidates(text) == [token]:
                return text
        except ExplainError:
            pass
    return f"#{token}"
