"""Derived stages against the definitions, written the slow way."""

from __future__ import annotations

import numpy as np
import pytest

from txexplain.engine import derive
from txexplain.engine.derive import Doubles
from txexplain.engine.interventions import Set
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace
from txexplain.errors import ChangedByHand
from txexplain.facts import head as in_head
from txexplain.facts import lens as read
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
                in_head.grid(derive.Result(trace, tiny), layer, head, "scaled")[low], masked[low], rtol=1e-5, atol=1e-5
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


def by_hand(tiny: GPT2, trace: Trace, stream: Doubles, row: int) -> Doubles:
    """A stream's logits by the last LayerNorm's formula, its scale as it was in the run."""
    w = {name: tiny.weights[f"ln_f.{name}"].astype(np.float64) for name in ("weight", "bias")}
    normalized = (stream - stream.mean()) / float(trace["ln_final.scale"][row, 0]) * w["weight"] + w["bias"]  # [d]
    return normalized @ tiny.unembedding.astype(np.float64).T  # [V]


@pytest.mark.parametrize("row", [6, 2])
def test_effects_on_the_logits_are_those_of_the_stream_with_and_without(tiny: GPT2, trace: Trace, row: int) -> None:
    stream, vector = trace["blocks.1.resid_post"][row].astype(np.float64), trace["blocks.0.mlp_out"][row]
    effect = derive.logit_effect(tiny, trace, vector, row)
    np.testing.assert_allclose(effect, by_hand(tiny, trace, stream, row) - by_hand(tiny, trace, stream - vector, row), atol=1e-5)
    full = np.exp(by_hand(tiny, trace, stream, row))
    np.testing.assert_allclose(derive.probabilities(tiny, trace, row), full / full.sum(), rtol=1e-5)


def moved_to(tiny: GPT2, trace: Trace, vector: Doubles, row: int) -> Doubles:
    """By how much each token's probability moves with a little of a vector in the stream, as all of it: from the difference itself."""
    stream, little = trace["blocks.1.resid_post"][row].astype(np.float64), 1e-4
    with_, without = (np.exp(by_hand(tiny, trace, stream + side * little * vector, row)) for side in (0.5, -0.5))
    return (with_ / with_.sum() - without / without.sum()) / little


def named(reading: derive.Reading, change: Doubles) -> None:
    """The tokens that are moved most either way, in order, with how far."""
    for side, sign in ((reading.raises, 1), (reading.lowers, -1)):
        strongest = -sign * np.sort(-sign * change)[: derive.MOST_MOVED]
        np.testing.assert_allclose([moved for _, moved in side], strongest, rtol=1e-3, atol=1e-8)
        np.testing.assert_allclose([change[i] for i, _ in side], strongest, rtol=1e-3, atol=1e-8)


def test_a_product_is_read_as_the_vector_that_it_moves(tiny: GPT2, trace: Trace) -> None:
    """At the query's own row; from the future nothing moves, and nothing is named."""
    result = derive.Result(trace, tiny)
    for query, key in ((6, 2), (4, 2), (6, 6), (6, 2)):
        moved = product.moved(result, 1, 2, query, key).values
        np.testing.assert_array_equal(moved, derive.moved_vector(tiny, trace, 1, 2, query, key))
        named(product.moved_reading(result, 1, 2, query, key), moved_to(tiny, trace, moved.astype(np.float64), query))
    assert product.moved_reading(result, 1, 2, 1, 5) == ((), ())


def test_a_neuron_is_read_by_what_it_writes_at_the_token(tiny: GPT2, trace: Trace) -> None:
    result = derive.Result(trace, tiny)
    for layer, neuron, token in ((0, 5, 6), (1, 5, 6), (0, 6, 2), (0, 5, 3)):
        row = tiny.blocks[layer]["mlp.c_proj.weight"][neuron].astype(np.float64)
        writes = trace[f"blocks.{layer}.mlp.post"][token, neuron] * row
        named(mlp.written(result, layer, neuron, token), moved_to(tiny, trace, writes, token))


def test_a_word_that_is_never_said_is_not_named(storyteller: GPT2) -> None:
    """However far its logit moves: what is told is how the probabilities move, which sum to 0."""
    trace = storyteller.forward(storyteller.prompt_ids("When Tom and Anna went to the park, Tom gave a ball to"))
    result = derive.Result(trace, storyteller)
    shares = derive.probabilities(storyteller, trace, 13)
    for head in range(8):
        reading = product.moved_reading(result, 5, head, 13, 3)
        for id, points in (*reading.raises, *reading.lowers):
            assert abs(points) <= 30 * shares[id], storyteller.tokenizer.display(id)
        assert sum(points for _, points in (*reading.raises, *reading.lowers)) == pytest.approx(0, abs=0.02)


def test_what_a_set_stream_does_not_carry_is_not_read(tiny: GPT2) -> None:
    result = derive.Result(tiny.forward([1, 2, 3], interventions=[Set("blocks.1.resid_post", 0, rows=2)]), tiny)
    for ask in (lambda: product.moved_reading(result, 0, 1, 2, 1), lambda: mlp.written(result, 1, 3, 2)):
        with pytest.raises(ChangedByHand, match=r"blocks\.1\.resid_post|blocks\.1\.resid_mid"):
            ask()
    assert product.moved_reading(result, 0, 1, 1, 1).raises  # another row does


def test_each_stream_is_read_with_its_own_statistics(tiny: GPT2, trace: Trace) -> None:
    """In float64, from the definition; the last stream's numbers are those of the logits, and entropy is in bits."""
    facts = read.readings(derive.Result(trace, tiny), 5, 9)
    w, unembedding = tiny.weights, tiny.unembedding.astype(np.float64)
    for n, name in enumerate(("blocks.0.resid_pre", "blocks.1.resid_pre", "blocks.1.resid_post")):
        x = trace[name].astype(np.float64)
        own = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + tiny.config.layer_norm_epsilon)
        logits = (own * w["ln_f.weight"] + w["ln_f.bias"]) @ unembedding.T
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        stream = facts.stream(n)
        np.testing.assert_array_equal(stream.top, logits.argmax(1))
        np.testing.assert_allclose(stream.share, shares.max(1), rtol=1e-4)
        np.testing.assert_allclose(stream.difference, logits[:, 5] - logits[:, 9], atol=1e-4)
        np.testing.assert_array_equal(stream.rank, [int(np.where(np.argsort(-row) == 5)[0][0]) for row in logits])
        np.testing.assert_allclose(stream.bits, -(shares * np.log2(shares)).sum(1), rtol=1e-4)
        best = read.best(derive.Result(trace, tiny), n, 3)
        assert [i for i, _ in best] == np.argsort(-logits[3])[:5].tolist()
    assert stream.top[-1] == trace.last_logits.argmax()
    assert facts.done


def test_changes_are_the_lengths_of_what_was_added(tiny: GPT2, trace: Trace) -> None:
    attn, mlp = residual.changes(derive.Result(trace, tiny), 3)[1]
    x, mid, post = (trace[f"blocks.1.resid_{name}"][3] for name in ("pre", "mid", "post"))
    assert attn == pytest.approx(float(np.linalg.norm(mid - x)), rel=1e-4)
    assert mlp == pytest.approx(float(np.linalg.norm(post - mid)), rel=1e-4)
