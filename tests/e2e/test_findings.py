"""What the bundled model's answers hang on, found by one command each: signs and sizes, and heads found by what they do.

The five findings of the review of causes. Where the weights are others, these may be: then the model card and the lesson change, too.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from txexplain.cli import cli
from txexplain.engine.model import GPT2

HOUSES, HOUSE = "The houses near the keys", "The house near the keys"
LISTS = "Ben Oslo seven, drum Ruth rain, cup Leo nine. Again: Ben Oslo seven, drum Ruth rain, cup Leo"
GIVING, SWAPPED = (f"When {one} and {other} went to the park, Tom gave a ball to" for one, other in (("Tom", "Anna"), ("Anna", "Tom")))
PLURAL, SINGULAR = (" have", " are", " were"), (" has", " is", " was")


def next_tokens(*args: str) -> dict[str, float]:
    done = CliRunner().invoke(cli, ["predict", *args, "--top", "40", "--json"], env={"TXEXPLAIN_MODEL": ""})
    assert (done.exit_code, done.stderr) == (0, ""), done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return {each["text"]: each["probability"] for each in document["next"]}


def plural(*args: str) -> float:
    """The share of verbs for many, of those for one and many."""
    found = next_tokens(*args)
    many, one = (sum(found.get(word, 0.0) for word in words) for words in (PLURAL, SINGULAR))
    return many / (many + one)


def looking_at(model: GPT2, text: str, key: int) -> list[str]:
    """The heads whose last token looks at a key most, the first of them first."""
    trace = model.forward(model.prompt_ids(text))
    shares = {
        f"L{layer}H{head}": float(trace[f"blocks.{layer}.attn.pattern"][head, -1, key])
        for layer in range(model.config.n_layer)
        for head in range(model.config.n_head)
    }
    return sorted(shares, key=lambda name: -shares[name])


def test_one_head_at_its_mean_takes_the_number_of_the_subject(storyteller: GPT2) -> None:
    """Found by whether its own z, patched from the sentence of one house, makes one of many."""
    assert plural(HOUSES) > 0.95
    moved = {head: plural(HOUSES, "--patch", head, "--from", HOUSE) for head in looking_at(storyteller, HOUSES, 1)[:6]}
    head = min(moved, key=lambda each: moved[each])
    assert moved[head] < 0.3
    assert plural(HOUSES, "--ablate", head) < 0.4


def test_a_cut_edge_takes_what_a_list_was_copied_by() -> None:
    assert next_tokens(LISTS)[" nine"] > 0.5
    assert next_tokens(LISTS, "--cut", "L0-3[10,9]").get(" nine", 0.0) < 0.01


@pytest.mark.long
def test_what_is_switched_off_helps_in_one_order_and_hurts_in_the_other(storyteller: GPT2) -> None:
    """A head that looks at the first of two names, whichever it is."""
    plain, swapped = next_tokens(GIVING)[" Anna"], next_tokens(SWAPPED)[" Anna"]
    first = [head for head in looking_at(storyteller, GIVING, 1)[:12] if head in looking_at(storyteller, SWAPPED, 1)[:12]]
    found = {head: (next_tokens(GIVING, "--ablate", head)[" Anna"], next_tokens(SWAPPED, "--ablate", head)[" Anna"]) for head in first[:5]}
    assert any(one > plain + 0.1 and other < swapped - 0.1 for one, other in found.values()), (plain, swapped, found)


def test_a_patched_stream_is_another_country() -> None:
    other = next_tokens("The capital of Norway is", "--patch", "L3.resid@3", "--from", "The capital of France is")
    assert max(other, key=lambda word: other[word]) == " Paris"


def test_memory_and_agreement_are_apart() -> None:
    """Six heads are the memory of a text; with them off, the subject's number is what it was."""
    six = [flag for head in ("L4H0", "L4H6", "L5H0", "L5H1", "L5H5", "L5H6") for flag in ("--ablate", f"{head}=zero")]
    assert next_tokens(LISTS, *six).get(" nine", 0.0) < 0.1
    assert plural(HOUSES, *six) == pytest.approx(plural(HOUSES), abs=0.1)
