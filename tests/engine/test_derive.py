"""Derived stages against the definitions, written the slow way."""

from __future__ import annotations

import numpy as np
import pytest

from txexplain.engine import derive
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace
from txexplain.facts import head as in_head
from txexplain.facts import mlp, product, residual

IDS = [7, 3, 3, 60, 0, 12, 41]


@pytest.fixture(scope="module")
def trace(tiny: GPT2) -> Trace:
    trace = tiny.forward(IDS)
    assert trace is not None
    return trace


def test_scores_are_raw_then_scaled_then_masked(tiny: GPT2, trace: Trace) -> None:
    for layer in range(2):
        for head in range(3):
            raw = derive.raw_scores(trace, layer, head)
            q, k = trace[f"blocks.{layer}.attn.q"], trace[f"blocks.{layer}.attn.k"]
            assert raw[5, 2] == pytest.approx(sum(float(a) * float(b) for a, b in zip(q[5, head], k[2, head], strict=True)), rel=1e-4)
            low = np.tril_indices(7)
            masked = trace[f"blocks.{layer}.attn.attn_scores"][head]
            np.testing.assert_allclose(
                in_head.grid(derive.Lens(trace, tiny), layer, head, "scaled")[low], masked[low], rtol=1e-5, atol=1e-5
            )


def test_the_heads_and_the_bias_add_up_to_attn_out(tiny: GPT2, trace: Trace) -> None:
    for layer in range(2):
        total = np.stack([derive.head_parts(tiny, trace, layer, token).sum(axis=0) for token in range(7)])
        total += tiny.blocks[layer]["attn.c_proj.bias"]
        np.testing.assert_allclose(total, trace[f"blocks.{layer}.attn_out"], rtol=1e-4, atol=1e-4)


def test_what_a_head_moves_adds_up_over_keys(tiny: GPT2, trace: Trace) -> None:
    moved = sum(derive.moved_vector(tiny, trace, 1, 2, 6, key) for key in range(7))
    np.testing.assert_allclose(moved, derive.head_parts(tiny, trace, 1, 6)[2], rtol=1e-4, atol=1e-5)


def test_weighted_values_have_the_length_they_say(trace: Trace) -> None:
    vector = trace["blocks.0.attn.pattern"][1, 4, 2] * trace["blocks.0.attn.v"][2, 1]
    assert derive.weighted_value_norms(trace, 0, 1)[4, 2] == pytest.approx(float(np.linalg.norm(vector)), rel=1e-5)


def test_norm_shares_follow_their_definition(tiny: GPT2, trace: Trace) -> None:
    for layer in range(2):
        pattern, v, x = (trace[f"blocks.{layer}.{name}"] for name in ("attn.pattern", "attn.v", "resid_pre"))
        n = np.zeros((7, 7))
        for i in range(7):
            for j in range(7):
                moved = sum(pattern[h, i, j] * v[j, h] @ derive.output_weight(tiny, layer, h) for h in range(3))
                n[i, j] = np.linalg.norm(moved + x[i] if i == j else moved)
        have = derive.norm_shares(tiny, trace, layer)
        np.testing.assert_allclose(have, n / n.sum(-1, keepdims=True), atol=1e-6)
        assert (have[np.triu_indices(7, 1)] == 0).all()


def test_rollout_is_half_attention_half_identity(trace: Trace) -> None:
    have = derive.rollout_shares(trace, 1)
    np.testing.assert_allclose(have, 0.5 * trace["blocks.1.attn.pattern"].mean(0) + 0.5 * np.eye(7), atol=1e-6)
    np.testing.assert_allclose(have.sum(-1), 1)


def test_the_logit_effect_of_the_whole_stream_is_the_logits(tiny: GPT2, trace: Trace) -> None:
    np.testing.assert_allclose(derive.logit_effect(tiny, trace["ln_final.normalized"][-1]), trace["logits"], rtol=1e-5)


def test_a_product_is_read_as_the_vector_that_it_moves(tiny: GPT2, trace: Trace) -> None:
    """Every query that looks at a key, also at one whose value was read before, and the future, where nothing moves."""
    lens = derive.Lens(trace, tiny)
    for query, key in ((6, 2), (4, 2), (6, 6), (1, 5), (6, 2)):
        moved, reading = product.moved(lens, 1, 2, query, key).values, product.moved_reading(lens, 1, 2, query, key)
        np.testing.assert_array_equal(moved, derive.moved_vector(tiny, trace, 1, 2, query, key))
        effect = derive.logit_effect(tiny, moved)  # [V]
        for side, sign in ((reading.raises, -1), (reading.lowers, 1)):
            strongest = np.sort(sign * effect)[: derive.MOST_MOVED] * sign
            np.testing.assert_allclose([change for _, change in side], strongest, rtol=1e-4, atol=1e-7)
            np.testing.assert_allclose([effect[i] for i, _ in side], strongest, rtol=1e-4, atol=1e-7)


def test_a_neuron_is_read_by_its_own_row(tiny: GPT2, trace: Trace) -> None:
    lens = derive.Lens(trace, tiny)
    for layer, neuron in ((0, 5), (1, 5), (0, 6), (0, 5)):
        effect = derive.logit_effect(tiny, tiny.blocks[layer]["mlp.c_proj.weight"][neuron])  # [V]
        raises, lowers = mlp.written(lens, layer, neuron)
        assert [i for i, _ in raises] == np.argsort(-effect, kind="stable")[: derive.MOST_MOVED].tolist()
        assert [i for i, _ in lowers] == np.argsort(effect, kind="stable")[: derive.MOST_MOVED].tolist()
        assert [change for _, change in (*raises, *lowers)] == [float(effect[i]) for i, _ in (*raises, *lowers)]


def test_changes_are_the_lengths_of_what_was_added(tiny: GPT2, trace: Trace) -> None:
    attn, mlp = residual.changes(derive.Lens(trace, tiny), 3)[1]
    x, mid, post = (trace[f"blocks.1.resid_{name}"][3] for name in ("pre", "mid", "post"))
    assert attn == pytest.approx(float(np.linalg.norm(mid - x)), rel=1e-4)
    assert mlp == pytest.approx(float(np.linalg.norm(post - mid)), rel=1e-4)
