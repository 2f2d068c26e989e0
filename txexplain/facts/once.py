"""How a fact is computed once: kept with the run that it is of."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from txexplain.engine.kept import Kept
from txexplain.errors import NotRecorded


class HasFacts(Protocol):
    """A run, or a distribution: what facts are of."""

    @property
    def facts(self) -> Kept: ...


P = ParamSpec("P")
R = TypeVar("R")
Of = TypeVar("Of", bound=HasFacts)
T = TypeVar("T")


def fact(most: int) -> Callable[[Callable[Concatenate[Of, P], R]], Callable[Concatenate[Of, P], R]]:
    """Let a function of a run and plain indices be computed once: its last `most` records are kept with the run."""

    def once(make: Callable[Concatenate[Of, P], R]) -> Callable[Concatenate[Of, P], R]:
        @wraps(make)
        def asked(of: Of, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return of.facts.answer(make, (*args, *kwargs.items()), lambda: make(of, *args, **kwargs), most)

        return asked

    return once


def wanted(value: T | None, name: str) -> T:
    """What a record may lack. Raises NotRecorded, with the name of what wasn't recorded, where it does."""
    if value is None:
        raise NotRecorded(name)
    return value
