"""What a run's record keeps alive: after any edits about what a run afresh would."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.engine.checkpoint import weight_shapes
from txexplain.engine.model import GPT2
from txexplain.engine.trace import CHUNK, SPARE, Trace, activation_names, held

LONGEST = 160  # tokens, more than the rows that are kept free


@pytest.fixture(scope="module")
def long(tiny: GPT2) -> GPT2:
    """The tiny model's shape with random weights and room for more tokens."""
    config = dataclasses.replace(tiny.config, n_positions=LONGEST, n_embd=6, n_inner=8, n_layer=2, n_head=3)
    rng = np.random.default_rng(0)
    shapes = weight_shapes(config, with_head=False)
    tensors = {name: (rng.standard_normal(shape) * 0.3).astype(np.float32) for name, shape in shapes.items()}
    for array in tensors.values():
        array.flags.writeable = False
    return GPT2(dataclasses.replace(tiny.checkpoint, config=config, tensors=tensors), tiny.tokenizer, "long")


def kept_bytes(trace: Trace) -> int:
    """The memory that goes when the trace goes: every array behind it once, but the weights."""
    arrays = {id(whole): whole for parts in trace._parts.values() for whole in map(held, parts)}
    arrays |= {id(buffer): buffer for buffer in trace.kv_cache.buffers}
    return sum(whole.nbytes for whole in arrays.values() if whole.flags.writeable)


def run(model: GPT2, ids: list[int], prefix: Trace | None = None) -> Trace:
    trace = model.forward(ids, prefix=prefix)
    assert trace is not None
    return trace


edits = st.lists(
    st.tuples(
        st.floats(0, 1),  # where in the prompt
        st.sampled_from(["change", "change", "cut", "append", "paste"]),
        st.sampled_from([(), ("attn.pattern", "resid_post"), ("mlp.post", "attn.q", "attn.attn_scores")]),  # what is looked at whole
    ),
    min_size=1,
    max_size=14,
)


def edited(ids: list[int], where: float, what: str, serial: int) -> list[int]:
    at = int(where * (len(ids) - 1))
    match what:
        case "change":
            return [*ids[:at], (ids[at] + 1 + serial) % 60, *ids[at + 1 :]]
        case "cut":
            return ids[: at + 1]
        case "append":
            return [*ids, serial % 60][:LONGEST]
        case _:
            return [*ids[:at], *[serial % 60] * 40, *ids[at:]][:LONGEST]


@examples(60)
@given(st.integers(1, LONGEST), edits)
def test_after_any_edits_a_trace_keeps_about_what_a_run_afresh_does(
    long: GPT2, n: int, steps: list[tuple[float, str, tuple[str, ...]]]
) -> None:
    ids = [i * 7 % 60 for i in range(n)]
    trace = run(long, ids)
    for serial, (where, what, seen) in enumerate(steps):
        ids = edited(ids, where, what, serial)
        trace = run(long, ids, trace)
        for name in seen:
            trace[f"blocks.{serial % 2}.{name}"]
        assert kept_bytes(trace) <= SPARE * kept_bytes(run(long, ids))
    fresh = run(long, ids)
    for name in activation_names(2):
        np.testing.assert_allclose(trace[name], fresh[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_an_edit_that_walks_to_the_right_keeps_no_earlier_run(long: GPT2) -> None:
    ids = [5] * LONGEST
    trace = run(long, ids)
    fresh = kept_bytes(trace)
    for at in range(4, LONGEST, 8):
        ids[at] = 9
        trace = run(long, ids, trace)
        assert kept_bytes(trace) <= SPARE * fresh


def test_tokens_that_come_one_at_a_time_are_kept_in_few_arrays(long: GPT2) -> None:
    trace = run(long, [5])
    copied: set[int] = set()
    for n in range(2, LONGEST + 1):
        longer = run(long, [5] * n, trace)
        for name, parts in longer._parts.items():
            if name.endswith(("resid_post", "attn.pattern")):
                axis = 1 if name.endswith("pattern") else 0
                assert len(parts) <= CHUNK + n // CHUNK
                assert sum(part.shape[axis] for part in parts) == n
                old = trace._parts[name]
                same = sum(part.shape[axis] for part, other in zip(parts, old, strict=False) if part is other)
                copied.add(n - 1 - same)
        trace = longer
    assert copied == {0, CHUNK - 1}, "one more token copies none of the past, or the few rows of one chunk"
    fresh = run(long, [5] * LONGEST)
    for name in activation_names(2):
        np.testing.assert_allclose(trace[name], fresh[name], rtol=1e-4, atol=1e-5, err_msg=name)
