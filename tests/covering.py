"""Few combinations for many: every two values meet in one of them; the rest is `long`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import combinations, product
from typing import Any

import pytest

Pair = tuple[tuple[int, int], tuple[int, int]]  # (list, value), (list, value)


def pairs(case: Sequence[int]) -> set[Pair]:
    return set(combinations(enumerate(case), 2))


def covering(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Cases, one index a list, in which each two indices of two lists meet; each case is the one with the most new pairs."""
    left, whole = list(product(*map(range, sizes))), list[tuple[int, ...]]()
    wanted = set().union(*map(pairs, left))
    while wanted:
        best = max(left, key=lambda case: len(pairs(case) & wanted))
        whole.append(best)
        left.remove(best)
        wanted -= pairs(best)
    return whole


def covered(*lists: Collection[Any]) -> list[Any]:
    """All combinations for `parametrize`, those that a covering can do without marked as `long`."""
    values = [list(one) for one in lists]
    quick = set(covering([len(one) for one in values]))
    cases = product(*(range(len(one)) for one in values))
    return [some([one[i] for one, i in zip(values, case, strict=True)], case in quick) for case in cases]


def in_turn(*lists: Collection[Any]) -> list[Any]:
    """All combinations for `parametrize`; those are quick in which every value comes up once at least, the lists side by side."""
    values = [list(one) for one in lists]
    quick = {tuple(turn % len(one) for one in values) for turn in range(max(map(len, values)))}
    cases = product(*(range(len(one)) for one in values))
    return [some([one[i] for one, i in zip(values, case, strict=True)], case in quick) for case in cases]


def few(cases: Iterable[Any], quick: Callable[..., bool]) -> list[Any]:
    """All cases for `parametrize`, of which only those are quick of which that is true."""
    several = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [some(case, quick(*case)) for case in several]


def some(values: Sequence[Any], quick: bool) -> Any:
    return pytest.param(*values, marks=[] if quick else pytest.mark.long)
