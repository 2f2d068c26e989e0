"""The figures of the model card: counted rightly, and those of the file that is shipped."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txexplain.engine.model import GPT2
from weights.recipe import evaluate
from weights.recipe.evaluate import END_OF_TEXT, documents, likeliest, log_probabilities, markdown, sample, skill, text, windows
from weights.recipe.teaching import Probe

WEIGHTS = Path(__file__).parents[2] / "weights"


@given(st.integers(0, 900), st.sampled_from([(256, 128), (256, 1), (16, 8), (16, 0)]))
def test_every_token_with_enough_before_it_counts_once(n: int, shape: tuple[int, int]) -> None:
    length, context = shape
    counted = []
    for ids, first in windows(np.arange(n), length, context):
        assert len(ids) <= length
        assert first >= max(context, 1) or ids[0] == 0
        counted += ids[first:].tolist()
    assert counted == list(range(max(context, 1), n))


def test_documents_are_cut_at_the_end_of_text() -> None:
    stream = np.array([END_OF_TEXT, 1, 2, 3, END_OF_TEXT, 4, 5, END_OF_TEXT], dtype=np.uint16)
    assert [d.tolist() for d in documents(stream)] == [[1, 2, 3], [4, 5]]


def test_a_texts_figures_are_those_of_its_probabilities(storyteller: GPT2) -> None:
    """Beside a plain sum over the app's own distribution, token by token."""
    ids = storyteller.tokenizer.encode("Once upon a time there was a little girl who lived in a house near the sea.")
    stream = np.array([END_OF_TEXT, *ids, END_OF_TEXT], dtype=np.uint16)
    found = text(storyteller, "tales", stream, 10, 4)
    nats, right = 0.0, 0
    for at in range(4, len(ids)):
        logits = storyteller.forward(ids[:at])["logits"].astype(np.float64)
        nats += math.log(np.exp(logits - logits[ids[at]]).sum())
        right += int(logits.argmax()) == ids[at]
    n = len(ids) - 4
    assert found.tokens == n
    assert found.loss == pytest.approx(nats / n, rel=1e-4)
    assert found.perplexity == pytest.approx(math.exp(nats / n), rel=1e-3)
    assert found.top1 == right / n
    said = storyteller.tokenizer.decode(ids[4:]).encode()
    assert found.bits_per_byte == pytest.approx(nats / math.log(2) / len(said), rel=1e-4)


def test_log_probabilities_sum_to_one(tiny: GPT2) -> None:
    logs = log_probabilities(tiny, [3, 1, 4, 1, 5], 2)
    assert logs.shape == (3, tiny.config.vocab_size)
    assert np.exp(logs).sum(axis=1) == pytest.approx(1.0)
    trace = tiny.forward([3, 1, 4, 1, 5], all_logits=True)
    assert logs.argmax(axis=1).tolist() == trace["logits"][1:4].argmax(axis=1).tolist()


def test_a_skill_is_right_where_the_right_word_is_likelier(storyteller: GPT2) -> None:
    """The model's own first and second choices, once this way round and twice the other."""
    (first, _), (second, _) = likeliest(storyteller, "Once upon a time there was a", 2)
    ask = [Probe("x", "Once upon a time there was a", *words) for words in ((first, second), (second, first), (second, first))]
    found = skill(storyteller, "x", ask)
    assert found.questions == 3
    assert found.accuracy == found.top1 == found.whole == pytest.approx(1 / 3)
    assert found.difference < 0


def test_a_word_of_many_tokens_is_right_where_each_of_them_is(storyteller: GPT2) -> None:
    """The model's own choice, token by token; then one whose second token is another; one that begins as the wrong one isn't asked."""
    prompt, ids = "The prince and the princess lived", storyteller.prompt_ids("The prince and the princess lived")
    for _ in range(3):
        ids.append(int(storyteller.forward(ids)["logits"].argmax()))
    answer = storyteller.tokenizer.decode(ids[-3:])
    ask = [
        Probe("x", prompt, answer, " the"),
        Probe("x", prompt, storyteller.tokenizer.decode([ids[-3]]) + " kings", " the"),
        Probe("x", prompt, answer, answer + "s"),
    ]
    found = skill(storyteller, "x", ask)
    assert (found.questions, found.top1, found.whole) == (2, 1.0, 0.5)


def test_heads_of_another_make_score_nothing(tiny: GPT2) -> None:
    """Scores are attention's shares, and a model with random weights has no such heads."""
    found = evaluate.heads(tiny, np.arange(40), sequences=2, length=8)
    for scores in (found.induction, found.previous):
        assert list(scores.values()) == sorted(scores.values(), reverse=True)
        assert all(0 <= score < 0.6 for score in scores.values())
    assert found.first_copy == pytest.approx(math.log(tiny.config.vocab_size), abs=1.5)


def test_a_sample_is_the_same_each_time(storyteller: GPT2) -> None:
    prompt = "Once upon a time"
    assert sample(storyteller, prompt, tokens=8) == sample(storyteller, prompt, tokens=8)
    assert sample(storyteller, prompt, tokens=8).startswith(prompt)


def test_the_card_is_about_the_file_that_is_shipped(storyteller: GPT2) -> None:
    """Its hash, and figures that are quick to measure again."""
    card = (WEIGHTS / "README.md").read_text(encoding="utf-8")
    assert hashlib.sha256((WEIGHTS / "storyteller" / "model.safetensors").read_bytes()).hexdigest() in card
    for prompt in evaluate.PROMPTS:
        words = ", ".join(f"`{t}` {p:.1%}" for t, p in likeliest(storyteller, prompt))
        assert f"| {prompt} | {words} |" in card, f"{prompt}: run weights/recipe/evaluate.py and put its figures into the card"


def test_a_report_is_printed_whole() -> None:
    r = evaluate.Report(
        sha256="abc",
        texts=[evaluate.Text("tales", 1000, 4.2, 66.7, 1.5, 0.25)],
        skills=[evaluate.Skill("giving", 90, 0.9, 2.5, 0.8, 0.7)],
        heads=evaluate.Heads({"L1H0": 0.9}, {"L0H1": 0.8}, 9.0, 1.0),
        unseen_mass=6e-4,
        next_tokens={"Once": [(" upon", 0.5)]},
        samples={"Once": "Once upon\na time"},
    )
    shown = markdown(r)
    for part in (
        "`abc`",
        "| tales | 1,000 | 4.200 | 66.7 | 1.500 | 25.0% |",
        "| giving | 90 | 90% | +2.5 | 80% | 70% |",
        "L1H0 0.90",
        "L0H1 0.80",
    ):
        assert part in shown
    assert "9.00 nats a token, said again 1.00" in shown
    assert "6.0e-04" in shown
    assert "> Once upon\n> a time" in shown
    assert json.loads(json.dumps(asdict(r)))["texts"][0]["name"] == "tales"
