"""What a run is fed with. No PyTorch here: these are tried wherever the tests run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from weights.recipe.batches import LINE_ENDS, Decay, Plan, Texts, batch, candidates, line_starts, row


@pytest.fixture(scope="module")
def texts() -> Texts:
    return made_texts()


def made_texts() -> Texts:
    """Two sets of random tokens in lines of 30."""
    rng = np.random.default_rng(0)
    tokens = {name: rng.integers(1000, 3000, 6000).astype(np.uint16) for name in ("tales", "teaching")}
    for stream in tokens.values():
        stream[::30] = 198
    return Texts(tokens, {name: line_starts(t, 17) for name, t in tokens.items()}, np.arange(200))


def test_drawn_tokens_stand_for_all_the_others() -> None:
    targets = np.array([7, 7, 90, 300])
    among = candidates(targets, np.arange(50), 60, 1000, np.random.default_rng(0))
    assert {7, 90, 300} <= set(among.ids.tolist())
    assert len(set(among.ids.tolist())) == len(among.ids) == 50 + 2 + 60
    assert among.count.sum() == pytest.approx(1000)
    assert (among.ids[among.places(targets, 1000)] == targets).all()
    assert sorted(candidates(targets, np.arange(50), 10**6, 1000, np.random.default_rng(0)).ids.tolist()) == list(range(1000))


def test_a_batch_hangs_on_seed_and_step_alone_and_keeps_the_shares(texts: Texts) -> None:
    plan = Plan(mix={"tales": 3, "teaching": 1}, last_mix={}, rows=8, accumulate=2)
    first = batch(texts, plan, plan.mix, 5, 17)
    assert (first == batch(texts, plan, plan.mix, 5, 17)).all()
    assert not (first == batch(texts, plan, plan.mix, 6, 17)).all()
    begins = {name: {tuple(t[s : s + 17]) for s in texts.starts[name]} for name, t in texts.tokens.items()}
    assert [sum(tuple(row) in begins[name] for row in first.tolist()) for name in ("tales", "teaching")] == [12, 4]
    assert sum(tuple(row) in begins["teaching"] for row in first[:8].tolist()) == 2  # each part of a step has its share
    assert all(texts.tokens["tales"][s - 1] in LINE_ENDS for s in texts.starts["tales"])


@pytest.mark.parametrize("kind", ["passages", "random"])
def test_repeated_rows_repeat(texts: Texts, kind: str) -> None:
    for seed in range(20):
        found = row(
            Texts(texts.tokens, {n: s[s < 3000] for n, s in texts.starts.items()}, texts.common), kind, 257, np.random.default_rng(seed)
        )
        assert len(found) == 257
        assert any((found[50:-period] == found[50 + period :]).all() for period in range(4, 101))


def test_random_rows_are_of_frequent_tokens_and_of_any(texts: Texts) -> None:
    many = replace(texts, common=np.arange(3000))
    most = [row(many, "random", 257, np.random.default_rng(seed)).max() for seed in range(20)]
    assert 3 < sum(m < 1000 for m in most) < 17


def test_warm_up_stable_decay() -> None:
    plan = Plan(mix={"tales": 1}, last_mix={"teaching": 1}, warmup=10, full=0.25)
    end = Decay(60, 100)
    assert [plan.rate(step, None) for step in (0, 4, 9, 50)] == [0.1, 0.5, 1.0, 1.0]
    assert [plan.rate(step, end) for step in (60, 80, 90, 100)] == pytest.approx([1.0, 0.5, 0.25, 0.0])
    assert [plan.mix_at(decay) for decay in (None, end)] == [plan.mix, plan.last_mix]
    assert [plan.is_full(step, end) for step in (60, 89, 90, 99)] == [False, False, True, True]
    assert [replace(plan, softmax=kind).is_full(5, None) for kind in ("sampled", "full")] == [False, True]


def test_when_the_decay_begins() -> None:
    """Of a run by tokens so that they come out, of one by hours from the speed so far; without either, never."""
    plan = Plan(mix={"tales": 1}, last_mix={"tales": 1}, rows=2, accumulate=2, decay=0.4)
    by_tokens = replace(plan, tokens=6400)  # steps of 2 × 2 × 16
    assert by_tokens.begins_decay(59, 1e9, 16) is None
    assert by_tokens.begins_decay(60, 0.0, 16) == Decay(60, 100)
    assert replace(by_tokens, decay=1e-6).begins_decay(99, 0.0, 16) == Decay(99, 100)
    by_hours = replace(plan, hours=1.0)
    assert by_hours.begins_decay(999, 2159.0, 16) is None
    assert by_hours.begins_decay(60, 2161.0, 16) == Decay(60, 100)
    assert plan.begins_decay(10**9, 1e9, 16) is None
