"""Every place looks as it did: text for all, colours for each theme. After a change that is meant: python tests/golden/make_views.py."""

from __future__ import annotations

import difflib
import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
MAKE: dict[str, Any] = runpy.run_path(str(GOLDEN / "make_views.py"))
VIEWS: Path = MAKE["VIEWS"]
LAST_FIGURES = re.compile(r"\d+\.\d{4,}(?:e[−-]?\d+)?")


def steady(row: str) -> str:
    """A row without the last figures of exact numbers, in which two machines' sums may differ."""
    return LAST_FIGURES.sub(lambda match: f"{float(match[0].replace('−', '-')):.3g}", row).rstrip()


def difference(old: list[str], new: list[str], name: str) -> str:
    return "\n".join(difflib.unified_diff(old, new, f"{name} (golden)", f"{name} (drawn)", lineterm="", n=1))


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[str]]:
    texts: Callable[[], dict[str, list[str]]] = MAKE["texts"]
    return texts()


def test_each_golden_has_its_view(drawn: dict[str, list[str]]) -> None:
    assert {path.stem for path in VIEWS.glob("*.txt")} == set(drawn)
    assert {MAKE["parse"](at).level for at in MAKE["PLACES"].values()} == set(MAKE["parse"]("model").level.__class__)


@pytest.mark.parametrize("name", sorted(path.stem for path in VIEWS.glob("*.txt")))
def test_a_place_says_what_it_said(name: str, drawn: dict[str, list[str]]) -> None:
    old = [steady(row) for row in (VIEWS / f"{name}.txt").read_text(encoding="utf-8").split("\n")[:-1]]
    new = [steady(row) for row in drawn[name]]
    assert old == new, difference(old, new, name)


@pytest.fixture(scope="module")
def looks() -> dict[str, list[str]]:
    styles: Callable[[], dict[str, list[str]]] = MAKE["styles"]
    return styles()


@pytest.mark.parametrize("name", MAKE["LOOKS"])
def test_a_place_has_the_colours_that_it_had(name: str, looks: dict[str, list[str]]) -> None:
    old = json.loads((VIEWS / "styles.json").read_text(encoding="utf-8"))[name]
    assert old == looks[name], difference(old, looks[name], name)
