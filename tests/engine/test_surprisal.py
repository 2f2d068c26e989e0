"""Surprisal against its definition, and that only what changed is computed again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txexplain.engine import surprisal as module
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution
from txexplain.engine.surprisal import Surprise, surprisal, surprises
from txexplain.engine.trace import Trace
from txexplain.errors import NotRecorded
from txexplain.facts.prompt import mean_surprisal

TEXT = "The invoice for the quantum reactor was in a box, and the little fox lost her red ball. She looked everywhere for it."


def run(model: GPT2, ids: list[int]) -> Trace:
    trace = model.forward(ids, all_logits=True)
    assert trace is not None
    return trace


def test_it_is_the_distributions_own_figures(storyteller: GPT2) -> None:
    """Rank, probability and expectation are those of the distribution that stood at each place, over several chunks."""
    ids = storyteller.prompt_ids(TEXT)
    assert len(ids) > module.CHUNK + 2
    trace = run(storyteller, ids)
    found = surprisal(trace, storyteller.unembedding)
    assert len(found) == len(ids)
    assert found[0] is None
    for position, surprise in enumerate(found[1:], start=1):
        assert surprise is not None
        dist = distribution(trace["logits"][position - 1])
        token = ids[position]
        assert surprise.bits == pytest.approx(-math.log2(dist.full_probability[token]), rel=1e-4)
        assert surprise.probability == pytest.approx(dist.full_probability[token], rel=1e-4)
        assert surprise.expected == dist.order[0]
        assert surprise.expected_probability == pytest.approx(dist.full_probability[dist.order[0]], rel=1e-4)
        assert abs(surprise.rank - dist.rank_of(token)) <= (2 if surprise.rank > 1000 else 0)  # near ties, by the last bit


@given(st.lists(st.floats(-160, 30, width=32), min_size=1, max_size=40), st.data())
def test_one_row_by_definition(logits: list[float], data: st.DataObject) -> None:
    token = data.draw(st.integers(0, len(logits) - 1))
    row = np.array(logits, dtype=np.float32)
    (found,) = surprises(row[None], [token])
    dist = distribution(row)
    assert found.rank == dist.rank_of(token)
    assert found.expected == int(dist.order[0])
    exact = math.log2(sum(math.exp(float(x) - float(row.max())) for x in row)) - (float(row[token]) - float(row.max())) / math.log(2)
    assert found.bits == pytest.approx(max(0.0, exact), rel=1e-9, abs=1e-9)
    assert found.probability == pytest.approx(2.0**-found.bits, rel=1e-9)
    assert (found.rank == 0) == (found.expected == token)


@given(st.integers(0, 12), st.lists(st.integers(0, 60), max_size=3), st.integers(1, 5))
def test_only_the_changed_end_is_computed(tiny: GPT2, shared: int, end: list[int], limit: int) -> None:
    """What both texts begin with is taken over as it is, the rest is computed, chunk by chunk or at once."""
    old = run(tiny, [5, 17, 42, 3, 17, 60, 28, 1, 2, 3, 4, 5])
    ids = [*old.ids[: max(1, shared)], *end]
    new = run(tiny, ids)
    marks = tuple(Surprise(float(i), 0.5, i, i, 0.5) for i in range(old.n_tokens))  # not computed: so that it shows who made them
    whole = surprisal(new, tiny.unembedding, (old.ids, marks))
    fresh = surprisal(new, tiny.unembedding)
    common = next((i for i, (a, b) in enumerate(zip(old.ids, ids, strict=False)) if a != b), min(len(ids), old.n_tokens))
    assert whole[:common] == marks[:common]
    for ours, theirs in zip(whole[common:], fresh[common:], strict=True):
        assert ours is not None
        assert theirs is not None
        assert ours.bits == pytest.approx(theirs.bits, rel=1e-4, abs=1e-5)
    part: tuple[Surprise | None, ...] = ()

    while len(part) < len(ids):
        longer = surprisal(new, tiny.unembedding, (ids[: len(part)], part), limit)
        assert longer[: len(part)] == part
        assert 0 < len(longer) - len(part) <= limit + (not part)
        part = longer
    assert [s and round(s.bits, 3) for s in part] == [s and round(s.bits, 3) for s in fresh]


def test_a_trace_without_its_end_says_so(tiny: GPT2) -> None:
    with pytest.raises(NotRecorded):
        surprisal(Trace([1, 2], {}), tiny.unembedding)


def test_a_mean_that_no_float_holds_as_a_perplexity_is_infinite() -> None:
    assert mean_surprisal([None, Surprise(2000.0, 0.0, 3, 1, 1.0)]).perplexity == math.inf  # type: ignore[union-attr]
    assert mean_surprisal([None, Surprise(3.0, 0.125, 3, 1, 1.0)]).perplexity == 8.0  # type: ignore[union-attr]
