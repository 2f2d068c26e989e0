"""What shows a place, found by the place's name: registered where it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

F = TypeVar("F")


class ByPlace(dict[str, F]):
    """A function a kind of place."""

    def of(self, *kinds: str) -> Callable[[F], F]:
        """Let a function be the one for these kinds."""

        def put(function: F) -> F:
            self.update(dict.fromkeys(kinds, function))
            return function

        return put


def load_all(package: str, path: Iterable[str]) -> None:
    """Import every module of a package, so that what is registered in one is found."""
    for module in iter_modules(path):
        import_module(f"{package}.{module.name}")
