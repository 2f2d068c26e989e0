"""A text's loss in windows against transformers', and against single runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import txexplain
from txexplain.engine.loss import loss, windows
from txexplain.engine.model import GPT2
from txexplain.engine.surprisal import Surprise, surprisal
from txexplain.errors import InterventionError, PromptError
from txexplain.models import load_model

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = json.loads((GOLDEN / "loss.json").read_text("utf-8"))["cases"]
TEXT = "The little fox lost her red ball. She looked everywhere for it, under the naïve tree and behind the blue wall. "


def nats(each: Surprise | None) -> float | None:
    return None if each is None else each.bits * math.log(2)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['model']} {len(case['ids'])} {case['window']} {case['stride']}")
def test_windows_score_each_token_as_transformers_does(case: dict[str, Any]) -> None:
    model = load_model(str(GOLDEN / "parity" / case["model"]))
    found = loss(model, case["ids"], window=case["window"], stride=case["stride"])
    assert [nats(each) for each in found.tokens] == [None if each is None else pytest.approx(each, abs=2e-5) for each in case["nats"]]
    assert found.mean == pytest.approx(case["mean"], abs=1e-5)
    assert found.perplexity == pytest.approx(math.exp(case["mean"]), rel=1e-5)
    assert found.scored == sum(each is not None for each in case["nats"])


def test_left_to_itself_a_window_is_the_context_and_half_of_it_the_stride() -> None:
    case = CASES[0]
    assert (case["window"], case["stride"]) == (16, 8)
    model = load_model(str(GOLDEN / "parity" / case["model"]))
    assert model.config.n_positions == 16
    assert loss(model, case["ids"]) == loss(model, case["ids"], window=16, stride=8)


@given(st.integers(1, 200), st.integers(1, 40), st.data())
def test_each_token_is_scored_once_with_enough_before_it(n: int, window: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, window))
    found = list(windows(n, window, stride))
    assert [token for _, end, first in found for token in range(first, end)] == list(range(n))
    for start, end, first in found:
        assert 0 <= start <= first < end <= min(n, start + window)
        assert start == 0 or first - start >= window - stride
    assert found[-1][1] == n


def test_a_short_text_is_one_run(storyteller: GPT2) -> None:
    ids = storyteller.tokenizer.encode(TEXT)
    found = loss(storyteller, ids)
    assert found.tokens == surprisal(storyteller.forward(ids), storyteller.unembedding)
    assert found.n_bytes == len(TEXT.encode()) - len(storyteller.tokenizer.token_bytes(ids[0]))
    bits = [each.bits for each in found.tokens if each is not None]
    assert found.bits == pytest.approx(sum(bits))
    assert found.bits_per_byte == pytest.approx(sum(bits) / found.n_bytes)
    assert found.perplexity == pytest.approx(2 ** (sum(bits) / len(bits)))


def test_a_long_text_s_tokens_are_those_of_the_run_that_reaches_them(storyteller: GPT2) -> None:
    ids = storyteller.tokenizer.encode(TEXT * 5)
    assert len(ids) > 64 + 2 * 25
    found = loss(storyteller, ids, window=64, stride=25).tokens
    for token, start in ((1, 0), (63, 0), (64, 25), (88, 25), (89, 50)):
        alone = surprisal(storyteller.forward(ids[start : token + 1]), storyteller.unembedding)[-1]
        each = found[token]
        assert each is not None
        assert alone is not None
        assert each.bits == pytest.approx(alone.bits, abs=1e-3)
    assert all(found[1:])


def test_where_there_is_nothing_to_score_nothing_is_said(storyteller: GPT2) -> None:
    for ids in ([], [7]):
        found = loss(storyteller, ids)
        assert (found.scored, found.bits, found.mean, found.perplexity, found.bits_per_byte) == (0, 0.0, None, None, None)
    by_id = loss(load_model(str(GOLDEN / "parity" / "default")), [1, 2, 3])
    assert by_id.scored == 2
    assert by_id.bits_per_byte is None, "no tokenizer, no bytes"


@pytest.mark.parametrize(("window", "stride"), [(0, None), (257, None), (None, 0), (None, 257), (10, 11)])
def test_windows_that_cannot_be_are_refused(storyteller: GPT2, window: int | None, stride: int | None) -> None:
    with pytest.raises(PromptError, match=str(next(each for each in (stride, window) if each is not None))):
        loss(storyteller, [1, 2], window=window, stride=stride)


def test_each_window_is_changed_alike(storyteller: GPT2) -> None:
    ids = storyteller.tokenizer.encode(TEXT * 3)
    off = txexplain.Set("blocks.2.mlp_out", 0)
    found = loss(storyteller, ids, window=40, stride=15, interventions=[off]).tokens
    plain = loss(storyteller, ids, window=40, stride=15).tokens
    for token, start in ((30, 0), (45, 15)):
        alone = surprisal(storyteller.forward(ids[start : token + 1], interventions=[off]), storyteller.unembedding)[-1]
        each = found[token]
        assert each is not None
        assert alone is not None
        assert each.bits == pytest.approx(alone.bits, abs=1e-3)
    assert sum(one != other for one, other in zip(found, plain, strict=True)) > len(ids) // 2, "and not as in a run without"
    for fixed in (txexplain.Cut(0, edges=[(3, 1)]), txexplain.Set("embed", 0, rows=2)):
        assert loss(storyteller, ids, interventions=[fixed]).scored == len(ids) - 1
        with pytest.raises(InterventionError, match="256 tokens"):
            loss(storyteller, ids * 6, interventions=[fixed])


def test_it_is_one_of_the_package_s_names(storyteller: GPT2) -> None:
    assert txexplain.loss(storyteller, [1, 2]).scored == 1
