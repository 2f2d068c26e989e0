"""What a trace costs in memory, and that nothing is computed before it is asked for. Bytes and counts, no clock."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pytest

from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace


def shares(trace: Trace) -> tuple[int, int]:
    """A trace's bytes: those of the grids, and all the others. Arrays that share memory count once."""
    grids = rows = 0
    seen: set[int] = set()
    for name in trace.names:
        array = trace[name]
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        if array.ndim == 3 and array.shape[1] == array.shape[2] == trace.n_tokens and "attn." in name:
            grids += array.nbytes
        elif id(array) not in seen:
            seen.add(id(array))
            rows += array.nbytes
    return grids, rows


@pytest.mark.parametrize("n", [1, 32, 100, 256])
def test_a_trace_is_as_large_as_the_formula_says(storyteller: GPT2, n: int) -> None:
    """8·L·H·T² bytes for scores and pattern; what is kept a token is d and m times a few, as 0.7 MB for GPT-2 124M."""
    c = storyteller.config
    trace = storyteller.forward([464] * n)
    assert trace is not None
    grids, rows = shares(trace)
    assert grids == 8 * c.n_layer * c.n_head * n * n
    assert rows <= row(c.n_layer, c.n_embd, c.n_inner) * n + 4 * c.vocab_size


def row(n_layer: int, d: int, m: int) -> int:
    """Bytes of a token in float32: 10 vectors of d a block (a block's end is the next one's beginning), 2 of m, and around them 4 of d."""
    return 4 * (n_layer * (10 * d + 2 * m + 2) + 4 * d + 1)


def test_that_is_what_gpt2_may_cost() -> None:
    assert row(12, 768, 3072) <= 0.7e6


def test_another_token_adds_a_row_and_copies_no_past(storyteller: GPT2) -> None:
    """A prefix's rows are the same memory in the trace that goes on from it."""
    first = storyteller.forward([464] * 20)
    assert first is not None
    second = storyteller.forward([464] * 21, prefix=first)
    assert second is not None
    shared = [name for name in first.names if name.startswith("blocks.") and name.endswith((".q", ".k", ".v"))]
    assert len(shared) == 3 * storyteller.config.n_layer
    assert all(np.shares_memory(first[name], second[name]) for name in shared)


def test_a_result_computes_nothing_before_a_view_asks(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = storyteller.forward([464, 262, 464])
    assert trace is not None
    result = Result(trace, storyteller)
    lazy = {name for name, value in vars(Result).items() if isinstance(value, cached_property)}
    assert lazy
    assert not lazy & set(vars(result))
    assert len(result.facts) == 0
    arrays = [value for value in vars(result).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) == 0
