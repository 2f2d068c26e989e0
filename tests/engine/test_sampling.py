"""Held to brute-force definitions (exact fractions over small vocabularies) and to transformers' processors at real size."""

from __future__ import annotations

import importlib.util
import math
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.engine.sampling import Distribution, distribution, draw, highest, uniform
from txexplain.errors import NonFinite

GOLDEN = Path(__file__).parents[1] / "golden"
TIE = Fraction(1, 10**12)
calm = examples(80)

# Halves, so that ties are common; −inf now and then.
logit = st.integers(-40, 40).map(lambda n: n / 2) | st.floats(-30, 30, width=32) | st.just(-math.inf)
logit_lists = st.lists(logit, min_size=1, max_size=14).filter(lambda xs: max(xs) > -math.inf)
temperatures = st.sampled_from([0.05, 0.3, 0.8, 1.0, 1.7, 10.0])


def ranked_ids(logits: list[float]) -> list[int]:
    """By descending logit, ties by lower id: the definition itself."""
    return sorted(range(len(logits)), key=lambda i: (-float(np.float32(logits[i])), i))


def exact_softmax(logits: list[float], temperature: float) -> list[Fraction]:
    """Softmax whose only rounding is in exp."""
    values = [float(np.float32(x)) for x in logits]
    weights = [Fraction(math.exp((x - max(values)) / temperature)) for x in values]
    return [w / sum(weights) for w in weights]


def f32(logits: list[float]) -> np.ndarray:
    return np.array(logits, dtype=np.float32)


def close(ours: Any, exact: Any) -> None:
    smallest = 4 * float(np.finfo(np.float64).smallest_subnormal)  # below 1e-308 a float64 has fewer figures
    np.testing.assert_allclose(np.asarray(ours), np.array([float(x) for x in exact]), rtol=1e-12, atol=smallest)


@calm
@given(logit_lists, temperatures)
def test_full_distribution_is_softmax_in_logit_order(logits: list[float], temperature: float) -> None:
    dist = distribution(f32(logits), temperature)
    exact = exact_softmax(logits, temperature)
    order = ranked_ids(logits)
    assert dist.mode == "full"
    assert dist.kept_count == len(logits)
    assert dist.kept.all()
    assert dist.order.tolist() == order
    assert [dist.rank_of(i) for i in order] == list(range(len(order)))
    close(dist.full_probability, exact)
    close(dist.probability, exact)
    close(dist.cumulative, [sum(exact[i] for i in order[: r + 1]) for r in range(len(order))])
    close(dist.scaled, [float(np.float32(x)) / temperature for x in logits])


@calm
@given(logit_lists, temperatures, st.integers(1, 16))
def test_top_k_keeps_exactly_k_by_logit_then_id(logits: list[float], temperature: float, k: int) -> None:
    dist = distribution(f32(logits), temperature, top_k=k)
    kept = ranked_ids(logits)[:k]
    check_filtered(dist, logits, kept, exact_softmax(logits, temperature))
    assert (dist.mode, dist.k, dist.p) == ("top-k", k, None)


@calm
@given(logit_lists, temperatures, st.floats(0.01, 1) | st.sampled_from([0.25, 0.5, 0.75, 0.9, 1.0]))
def test_top_p_keeps_the_fewest_tokens_that_reach_p(logits: list[float], temperature: float, p: float) -> None:
    exact, order = exact_softmax(logits, temperature), ranked_ids(logits)
    sums = [sum(exact[i] for i in order[: n + 1]) for n in range(len(order))]
    assume(all(abs(s - Fraction(p)) > TIE for s in sums) or p == 1)
    count = len(order) if p == 1 else next(n for n, s in enumerate(sums, 1) if s >= p)
    dist = distribution(f32(logits), temperature, top_p=p)
    check_filtered(dist, logits, order[:count], exact)
    assert (dist.mode, dist.k, dist.p) == ("top-p", None, p)


def check_filtered(dist: Distribution, logits: list[float], kept: list[int], full: list[Fraction]) -> None:
    assert dist.kept_count == len(kept)
    assert set(np.flatnonzero(dist.kept)) == set(kept)
    mass = sum(full[i] for i in kept)
    close(dist.probability, [full[i] / mass if i in kept else 0 for i in range(len(logits))])
    close(dist.full_probability, full)
    assert dist.probability.sum() == pytest.approx(1, abs=1e-12)
    for i in range(len(logits)):
        assert dist.filtered[i] == (dist.scaled[i] if i in kept else -math.inf)
    close(dist.exp, [full[i] / max(full) if i in kept else 0 for i in range(len(logits))])


@pytest.mark.parametrize(("n", "p", "count"), [(10, 0.9, 9), (10, 0.3, 3), (4, 0.75, 3), (4, 0.5, 2), (100, 0.07, 7), (3, 1.0, 3)])
def test_a_nucleus_that_ends_exactly_at_p_takes_no_token_more(n: int, p: float, count: int) -> None:
    """0.1 summed nine times is 0.8999999999999999 in floats; the reader counts nine tokens."""
    dist = distribution(np.zeros(n, dtype=np.float32), top_p=p)
    assert np.flatnonzero(dist.kept).tolist() == list(range(count))


def test_the_nucleus_is_taken_after_temperature_and_p_of_1_cuts_nothing() -> None:
    logits = f32([3, 2, 1, 0])
    assert [distribution(logits, t, top_p=0.9).kept_count for t in (0.2, 1.0, 5.0)] == [1, 3, 4]
    long = f32([0, -50, -200, -math.inf])  # the sum is 1 in float64 at the first token already
    assert distribution(long, top_p=1).kept_count == 4
    assert distribution(long, top_p=1 - 1e-9).kept_count == 1


@calm
@given(logit_lists)
def test_entropy_rises_and_the_top_share_falls_with_temperature(logits: list[float]) -> None:
    base = distribution(f32(logits))
    dists = [base.at(t) for t in (0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 10.0)]
    for cooler, warmer in pairwise(dists):
        assert warmer.entropy_bits >= cooler.entropy_bits - 1e-9
        assert warmer.probability.max() <= cooler.probability.max() + 1e-12
        assert (warmer.order == cooler.order).all()
    spread = [x for x in logits if x > -math.inf]
    if max(spread) - min(spread) >= 0.5:
        assert dists[-1].entropy_bits > dists[1].entropy_bits


def test_entropy_and_perplexity_of_what_is_drawn_from() -> None:
    eight = distribution(np.zeros(8, dtype=np.float32))
    assert eight.entropy_bits == pytest.approx(3)
    assert eight.perplexity == pytest.approx(8)
    assert eight.at(top_k=2).entropy_bits == pytest.approx(1)
    assert eight.at(0).entropy_bits == 0
    assert eight.at(0).perplexity == 1
    assert distribution(f32([0, math.log(3)])).entropy_bits == pytest.approx(0.25 * 2 + 0.75 * math.log2(4 / 3))


@calm
@given(logit_lists, st.integers(1, 3))
def test_greedy_is_one_hot_and_shows_temperature_one(logits: list[float], k: int) -> None:
    dist = distribution(f32(logits), 0, top_k=k)
    best = ranked_ids(logits)[0]
    assert best == int(np.argmax(f32(logits)))
    assert (dist.mode, dist.k, dist.temperature, dist.kept_count) == ("greedy", None, 0.0, 1)
    assert dist.probability.tolist() == [float(i == best) for i in range(len(logits))]
    assert dist.exp.tolist() == dist.probability.tolist()
    close(dist.full_probability, exact_softmax(logits, 1.0))
    close(dist.scaled, [float(np.float32(x)) for x in logits])
    assert draw(dist, 0.999) == best


@calm
@given(logit_lists)
def test_as_temperature_falls_to_nothing_it_agrees_with_argmax(logits: list[float]) -> None:
    values = f32(logits)
    ties = np.flatnonzero(values == values.max())
    dist = distribution(values, 1e-300)  # any two float32 that differ are far apart now
    np.testing.assert_allclose(dist.probability, np.isin(np.arange(len(values)), ties) / len(ties), rtol=1e-15)
    assert np.isfinite(dist.cumulative).all()
    assert draw(dist, 0.0) == ties[0] == draw(distribution(values, 0), 0.5) == int(np.argmax(values))


def test_logits_of_any_size_at_any_temperature_neither_overflow_nor_warn() -> None:
    logits = f32([3e38, -3e38, 2.9e38, -math.inf])
    for temperature in (1e-300, 0.05, 1.0, 1e300):
        dist = distribution(logits, temperature)
        assert dist.probability.sum() == pytest.approx(1)
        assert not np.isnan(dist.scaled).any()
        assert draw(dist, 0.0) == 0
    assert distribution(f32([1, 0]), 0.05).full_probability[1] == pytest.approx(math.exp(-20), rel=1e-8)


def test_impossible_tokens_have_probability_zero_and_are_never_drawn() -> None:
    dist = distribution(f32([-math.inf, 0, -math.inf, 0]))
    assert dist.probability.tolist() == [0, 0.5, 0, 0.5]
    assert {draw(dist, u) for u in np.linspace(0, 1, 101)[:-1]} == {1, 3}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_named(bad: float) -> None:
    with pytest.raises(NonFinite, match=r"token 2\b"):
        distribution(f32([0, 1, bad, bad]))


def test_logits_without_a_possible_token_or_of_another_shape_are_refused() -> None:
    with pytest.raises(NonFinite, match="no token"):
        distribution(f32([-math.inf, -math.inf]))
    with pytest.raises(ValueError, match=r"\[2, 2\]"):
        distribution(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"\[0\]"):
        distribution([])


@pytest.mark.parametrize(
    ("temperature", "options", "word"),
    [
        (-0.1, {}, "temperature"),
        (math.nan, {}, "temperature"),
        (math.inf, {}, "temperature"),
        (1.0, {"top_k": 0}, "Top-k"),
        (0.0, {"top_k": -3}, "Top-k"),
        (1.0, {"top_p": 0.0}, "Top-p"),
        (1.0, {"top_p": 1.0001}, "Top-p"),
        (1.0, {"top_p": math.nan}, "Top-p"),
        (1.0, {"top_k": 2, "top_p": 0.5}, "one of them"),
    ],
)
def test_settings_without_meaning_are_refused(temperature: float, options: dict[str, Any], word: str) -> None:
    dist = distribution(f32([0, 1]))
    with pytest.raises(ValueError, match=word):
        distribution(f32([0, 1]), temperature, **options)
    with pytest.raises(ValueError, match=word):
        dist.at(temperature, **options)


def test_another_setting_shares_the_sort_and_equals_a_fresh_distribution() -> None:
    logits = np.random.default_rng(5).standard_normal(1000).astype(np.float32)
    first = distribution(logits)
    for temperature, options in ((0.3, {}), (2.0, {"top_k": 7}), (0.9, {"top_p": 0.8}), (0, {})):
        again, fresh = first.at(temperature, **options), distribution(logits, temperature, **options)
        assert again.order is first.order
        assert (again.probability == fresh.probability).all()
        assert (again.cumulative == fresh.cumulative).all()
        assert again.kept_count == fresh.kept_count


def test_nothing_of_a_distribution_can_be_written_to() -> None:
    logits = f32([0, 1, 2])
    dist = distribution(logits, top_k=2)
    logits[0] = 9  # the caller's array stays the caller's
    assert dist.logits.tolist() == [0, 1, 2]
    for name in ("logits", "order", "scaled", "filtered", "exp", "full_probability", "cumulative", "kept", "probability", "drawing_bar"):
        assert not getattr(dist, name).flags.writeable, name


@calm
@given(logit_lists, temperatures, st.none() | st.integers(1, 8))
def test_a_draw_inverts_the_cumulative_sum(logits: list[float], temperature: float, k: int | None) -> None:
    dist = distribution(f32(logits), temperature, top_k=k)
    order = ranked_ids(logits)[:k]
    ends = np.cumsum([dist.probability[i] for i in order])
    ends /= ends[-1]
    starts = [0.0, *ends[:-1]]
    probes = {0.0, math.nextafter(1, 0), 0.5, *(i / 64 for i in range(64))}
    probes |= {near for e in ends for near in (e, math.nextafter(e, 0), math.nextafter(e, 1)) if 0 <= near < 1}
    for u in probes:
        [place] = [n for n, start in enumerate(starts) if start <= u < ends[n]]
        drawn = dist.draw(u)
        assert draw(dist, u) == drawn.id == order[place]
        assert drawn.probability == dist.probability[drawn.id] > 0
        assert drawn.full_probability == dist.full_probability[drawn.id]
        assert (drawn.rank, drawn.uniform) == (dist.rank_of(drawn.id), u)
        assert (drawn.low, drawn.high) == (starts[place], ends[place])
    for drawn in (dist.draw(float(s)) for s in starts if s < 1):
        assert drawn.high - drawn.low == pytest.approx(drawn.probability, abs=1e-15 * len(order) + 1e-15)


def test_a_number_just_below_one_never_falls_on_an_impossible_token() -> None:
    """Seven sevenths sum to less than 1 in floats, and what lies behind has no probability."""
    logits = f32([0.0] * 7 + [-2000.0, -math.inf])
    dist = distribution(logits)
    assert np.cumsum(dist.probability)[-1] < 1
    last = dist.draw(math.nextafter(1, 0))
    assert (last.id, last.high) == (6, 1.0)


@pytest.mark.parametrize("u", [-0.1, 1.0, math.nan])
def test_a_draw_needs_a_number_from_zero_to_one(u: float) -> None:
    with pytest.raises(ValueError, match="0 to below 1"):
        draw(distribution(f32([0, 1])), u)


def test_the_uniform_number_is_the_designs() -> None:
    assert uniform(0, 7) == float(np.random.default_rng([0, 7]).random())
    assert uniform(3, 7) == uniform(3, 7) != uniform(7, 3)
    assert uniform(0, 7) != uniform(0, 8)
    assert isinstance(uniform(0, 0), float)
    with pytest.raises(ValueError, match="seed"):
        uniform(-1, 0)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script that wrote sampling.npz, without its torch: it makes the logits."""
    path = GOLDEN / "make_sampling.py"
    spec = importlib.util.spec_from_file_location("make_sampling", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    stubs = {name: sys.modules.get(name) for name in ("torch", "transformers")}
    sys.modules.update({name: ModuleType(name) for name in stubs if stubs[name] is None})
    try:
        spec.loader.exec_module(module)
    finally:
        for name, before in stubs.items():
            if before is None:
                del sys.modules[name]
    return module


def test_agrees_with_transformers_at_real_size(script: ModuleType) -> None:
    import zlib

    with np.load(GOLDEN / "sampling.npz") as golden:
        row = 0
        for number, name in enumerate(script.SETS):
            logits = script.make_logits(name)
            assert zlib.crc32(logits.tobytes()) == golden["checksums"][number], "this NumPy makes other logits; run make_sampling.py"
            ids, first = script.chosen_ids(logits), distribution(logits)
            for temperature in script.TEMPERATURES:
                for kind, value in script.FILTERS:
                    options = {"full": {}, "top-k": {"top_k": value}, "top-p": {"top_p": value}}[kind]
                    dist = first.at(temperature, **options)
                    where = f"{name}, T={temperature}, {kind} {value}"
                    assert dist.kept_count == np.count_nonzero(dist.kept) == golden["kept"][row], where
                    for ours, theirs in ((dist.probability, "probability"), (dist.full_probability, "full_probability")):
                        np.testing.assert_allclose(ours[ids], golden[theirs][row], rtol=1e-9, atol=0, err_msg=where)
                    row += 1
        assert row == len(golden["kept"])


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=60), st.integers(0, 70))
def test_the_highest_are_those_that_sorting_everything_puts_first(values: list[int], n: int) -> None:
    numbers = np.array(values, dtype=np.float32)  # many ties
    assert highest(numbers, n) == np.argsort(-numbers, kind="stable")[:n].tolist()
