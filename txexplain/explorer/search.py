"""Finding tokens of the vocabulary by what they look like."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 200  # matches


def find_tokens(texts: Sequence[str], query: str, order: Sequence[int]) -> list[int]:
    """The ids of the tokens whose text holds the query: equal ones first (but for a space before), then those that begin with it.

    `texts` [V] are by id; among equals the likelier comes first, which `order` (rank -> id) says. Capitals count only where
    the query has any.
    """
    exact = query != query.lower()
    wanted = query if exact else query.lower()
    core = wanted.strip() or wanted
    if not core:
        return []
    classes: tuple[list[int], list[int], list[int]] = ([], [], [])
    for token in order:
        text = texts[token] if exact else texts[token].lower()
        if core not in text or wanted not in text:
            continue
        bare = text.strip() or text
        classes[0 if text == wanted or bare == core else 1 if bare.startswith(core) else 2].append(token)
    return [*classes[0], *classes[1], *classes[2]][:MOST]
