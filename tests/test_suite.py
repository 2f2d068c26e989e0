"""What the suite promises of itself: nothing of the user's home is touched, nothing is dropped, and one place says how much is tried."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from itertools import combinations, product
from pathlib import Path

import pytest

from tests.covering import covered, covering, few, in_turn
from txexplain.front.config import config_path

TESTS = Path(__file__).parent


@pytest.mark.parametrize("name", ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"])
def test_homes_are_temporary_in_processes_too(name: str) -> None:
    for value in (os.environ[name], subprocess.check_output([sys.executable, "-c", f"import os; print(os.environ[{name!r}])"], text=True)):
        assert Path(value.strip()).is_relative_to(tempfile.gettempdir())
    assert config_path().is_relative_to(tempfile.gettempdir())


def test_how_many_examples_is_said_once() -> None:
    """`@settings(max_examples=…)` would hold in the short run, too: `@examples(…)` is a tenth of it there."""
    wrong = [
        str(path) for path in TESTS.rglob("test_*.py") if "settings(max_examples" in path.read_text("utf-8") and path != Path(__file__)
    ]
    assert wrong == []


def test_a_helper_has_one_name() -> None:
    """Imported from its own folder it would be a second module, with second classes."""
    assert not {"harness", "reading", "conftest", "hub_server", "test_location"} & set(sys.modules)


@pytest.mark.parametrize("sizes", [(5, 3, 2), (7, 3, 4, 2), (3, 3), (1, 4, 1)])
def test_every_two_values_meet_in_a_covering(sizes: tuple[int, ...]) -> None:
    found = covering(sizes)
    for (i, a), (j, b) in combinations(enumerate(sizes), 2):
        assert {(case[i], case[j]) for case in found} == set(product(range(a), range(b)))
    assert len(found) == len(set(found)) <= 1.4 * max(a * b for a, b in combinations(sizes, 2))


def test_what_is_not_quick_is_long_and_nothing_is_dropped() -> None:
    lists = ("abcd", "xy", (1, 2, 3))
    for cases in (covered(*lists), in_turn(*lists), few(product(*lists), lambda letter, *_: letter == "a")):
        assert [case.values for case in cases] == list(product(*lists))
        quick = [case.values for case in cases if not case.marks]
        assert all(mark.name == "long" for case in cases for mark in case.marks)
        assert 0 < len(quick) < len(cases)
    quick = [case.values for case in in_turn(*lists) if not case.marks]
    assert [set(column) for column in zip(*quick, strict=True)] == [set(one) for one in lists]


def test_the_top_of_the_repository_holds_what_it_should() -> None:
    """A trial's leavings were committed once; where this is no checkout, there is nothing to look at."""
    listed = subprocess.run(["git", "ls-files"], cwd=TESTS.parent, capture_output=True, text=True, check=False)
    tops = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    allowed = {"pyproject.toml", "README.md", "LICENSE", "txexplain", "weights", "tests", "screenshots"}
    assert {name for name in tops if not name.startswith(".")} <= allowed
