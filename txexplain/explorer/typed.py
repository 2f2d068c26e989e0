"""A prompt of given ids whose text is edited: ids stay what they are, and only what is typed is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from txexplain.errors import TokenizerError

if TYPE_CHECKING:
    from txexplain.engine.tokenizer import Tokenizer


def retyped(tokenizer: Tokenizer, ids: Sequence[int], typed: Sequence[bool], text: str) -> tuple[tuple[int, ...], tuple[bool, ...]] | None:
    """The ids of an edited text, and which of them were typed.

    typed: the same of the ids before. Given ones stay wherever their characters did; typed ones are read again together with what was
    typed beside them. None where a text doesn't tell its ids apart, as a tokenizer may that changes what it reads.
    """
    groups = tokenizer.groups(ids)
    if groups is None:
        return None
    before = "".join(part for _, part in groups)
    start = alike(before, text)
    stop = min(alike(before[::-1], text[::-1]), len(text) - start, len(before) - start)
    given = [not all(typed[i] for i in places) for places, _ in groups]
    first, head = unchanged(groups, given, start)
    last, tail = unchanged(groups[::-1], given[::-1], stop)
    last = min(last, len(groups) - first)
    tail = sum(len(part) for _, part in groups[len(groups) - last :])
    middle = text[head : len(text) - tail]
    try:
        new = tokenizer.encode(middle, bare=True) if middle else []
    except TokenizerError:
        return None
    kept = [[i for places, _ in part for i in places] for part in (groups[:first], groups[len(groups) - last :])]
    found = (*(ids[i] for i in kept[0]), *new, *(ids[i] for i in kept[1]))
    marks = (*(typed[i] for i in kept[0]), *(True for _ in new), *(typed[i] for i in kept[1]))
    again = tokenizer.groups(found)
    return (found, marks) if again is not None and "".join(part for _, part in again) == text else None


def unchanged(groups: Sequence[tuple[Sequence[int], str]], given: Sequence[bool], room: int) -> tuple[int, int]:
    """How many groups at one end stay, and their characters: those that lie within so many, up to the last given one."""
    count = length = at = 0
    for number, (_, part) in enumerate(groups, 1):
        at += len(part)
        if at > room:
            break
        if given[number - 1]:
            count, length = number, at
    return count, length


def alike(a: str, b: str) -> int:
    """How many characters two texts have in common at their beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
