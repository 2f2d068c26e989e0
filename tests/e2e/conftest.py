"""Terminals that are gone when their test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.terminal import Terminal


@pytest.fixture
def new_terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """A terminal whose program has just begun."""
    made: list[Terminal] = []

    def start(*arguments: str | bytes, **more: Any) -> Terminal:
        made.append(Terminal(tmp_path, *arguments, **more))
        return made[-1]

    yield start
    for terminal in made:
        terminal.close()


@pytest.fixture
def terminals(new_terminal: Callable[..., Terminal]) -> Callable[..., Terminal]:
    """A terminal that shows the app."""
    return lambda *arguments, **more: new_terminal(*arguments, **more).shown()
