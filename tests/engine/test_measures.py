"""What heads are told apart by, against patterns whose measures are known and a plain count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.engine.measures import HeadMeasures, after_copies, block_measures, head_measures
from txexplain.engine.trace import Trace
from txexplain.explorer.location import MEASURES

IDS = [5, 7, 9, 5, 7, 5]
calm = examples(50)


def attending(key_of: dict[int, int], n: int = len(IDS)) -> np.ndarray:
    """A head that gives all of each query's attention to one key."""
    pattern = np.zeros((1, n, n), dtype=np.float32)
    for query in range(n):
        pattern[0, query, key_of.get(query, 0)] = 1
    return pattern


def test_the_names_are_those_of_the_atlas() -> None:
    assert tuple(HeadMeasures.__dataclass_fields__) == MEASURES


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("self", attending({i: i for i in range(6)})),
        ("previous", attending({i: i - 1 for i in range(1, 6)})),
        ("first", attending({})),
        ("induction", attending({3: 1, 4: 2, 5: 4})),
    ],
)
def test_a_pure_head_has_all_of_its_measure(name: str, pattern: np.ndarray) -> None:
    measures = block_measures(pattern, after_copies(IDS))
    assert measures[name][0] == 1
    assert measures["entropy"][0] == 0
    others = {"self", "previous", "first", "induction"} - {name}
    assert all(measures[other][0] < 1 for other in others)


def test_equal_shares_have_the_entropy_of_their_number() -> None:
    pattern = np.tril(np.ones((1, 6, 6), dtype=np.float32))
    pattern /= pattern.sum(axis=-1, keepdims=True)
    expected = sum(math.log2(n) for n in range(2, 7)) / 5
    assert block_measures(pattern, after_copies(IDS))["entropy"][0] == pytest.approx(expected, rel=1e-6)


@calm
@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(0, 99))
def test_every_measure_equals_a_count_by_hand(ids: list[int], seed: int) -> None:
    n = len(ids)
    raw = np.tril(np.random.default_rng(seed).random((2, n, n)) + 0.01)
    pattern = (raw / raw.sum(axis=-1, keepdims=True)).astype(np.float32)
    got = head_measures(Trace(ids, {"blocks.1.attn.pattern": (pattern,)}), 2, 2)
    for head in range(2):
        row = [[float(x) for x in each] for each in pattern[head]]
        queries = range(1, n)
        copies = {q: [j + 1 for j in range(q) if ids[j] == ids[q]] for q in queries}
        told = {
            "self": [row[q][q] for q in queries],
            "previous": [row[q][q - 1] for q in queries],
            "first": [row[q][0] for q in queries],
            "induction": [sum(row[q][k] for k in keys) for q, keys in copies.items() if keys],
            "entropy": [-sum(x * math.log2(x) for x in row[q] if x) for q in queries],
        }
        for name, values in told.items():
            expected = sum(values) / len(values) if values else math.nan
            assert got.of(name)[1, head] == pytest.approx(expected, rel=1e-5, nan_ok=True), name
    assert all(np.isnan(got.of(name)[0]).all() for name in MEASURES)  # block 0 wasn't recorded
