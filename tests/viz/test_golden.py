"""Every place looks as it did: text for all, colours for each theme. After a change that is meant: python tests/golden/make_views.py."""

from __future__ import annotations

import difflib
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.figures import differences
from txexplain.explorer.places import PLACES

GOLDEN = Path(__file__).parents[1] / "golden"
MAKE: dict[str, Any] = runpy.run_path(str(GOLDEN / "make_views.py"))
VIEWS: Path = MAKE["VIEWS"]


def difference(old: list[str], new: list[str], name: str) -> str:
    return "\n".join(difflib.unified_diff(old, new, f"{name} (golden)", f"{name} (drawn)", lineterm="", n=1))


ALIKE = [("12.34% of 14", "12.35% of 14"), ("p  0.0999 x", "p  0.1 x"), ("−3.14159265", "−3.14159301"), ("1.19e−6", "1.20e−6")]
UNLIKE = [("12.34%", "12.36%"), ("14 tokens", "15 tokens"), ("T 0.1", "T 0.2"), ("2.718", "−2.718"), ("a 1.50", "b 1.50"), ("1.5", "")]


def test_only_last_figures_and_their_room_may_differ() -> None:
    old, new = zip(*ALIKE, strict=True)
    assert differences(list(old), list(new)) == []
    for a, b in UNLIKE:
        assert differences([a], [b]) == [f"-{a}", f"+{b}"]
    assert differences(["a"], ["a", "b"]) != []


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[str]]:
    texts: Callable[[], dict[str, list[str]]] = MAKE["texts"]
    return texts()


def test_each_golden_has_its_view(drawn: dict[str, list[str]]) -> None:
    assert {path.stem for path in VIEWS.glob("*.txt")} == set(drawn)
    assert {MAKE["parse"](at).kind for at in MAKE["PLACES"].values()} == set(PLACES)


@pytest.mark.parametrize("name", sorted(path.stem for path in VIEWS.glob("*.txt")))
def test_a_place_says_what_it_said(name: str, drawn: dict[str, list[str]]) -> None:
    assert differences((VIEWS / f"{name}.txt").read_text(encoding="utf-8").split("\n")[:-1], drawn[name]) == []


@pytest.fixture(scope="module")
def looks() -> dict[str, list[str]]:
    styles: Callable[[], dict[str, list[str]]] = MAKE["styles"]
    return styles()


@pytest.mark.parametrize("name", MAKE["LOOKS"])
def test_a_place_has_the_colours_that_it_had(name: str, looks: dict[str, list[str]]) -> None:
    old = json.loads((VIEWS / "styles.json").read_text(encoding="utf-8"))[name]
    assert old == looks[name], difference(old, looks[name], name)
