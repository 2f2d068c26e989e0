"""Texts drawn token by token: by the number of each position, whoever else is drawn beside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import txexplain
from txexplain import Cut, Distribution, Set, Trace
from txexplain.engine.generate import draw_tokens, side_by_side
from txexplain.engine.model import GPT2


@dataclass(frozen=True)
class At:
    temperature: float = 1.0

    def distribution(self, trace: Trace) -> Distribution:
        return txexplain.distribution(trace["logits"], self.temperature)


CHANGES = st.sampled_from(
    [
        (),
        (Set("blocks.0.attn.z", 0, head=1),),
        (Set("blocks.1.mlp_out", np.linspace(-2, 2, 24)), Cut(0, edges=[(3, 1)])),
        (Set("embed", 1, rows=1),),
    ]
)
IDS = st.lists(st.integers(1, 60), min_size=4, max_size=6)


@given(IDS, CHANGES, st.integers(0, 9), st.sampled_from([0.0, 1.0, 2.0]))
def test_both_texts_are_drawn_with_the_same_numbers(
    tiny: GPT2, ids: list[int], changes: tuple[Set | Cut, ...], seed: int, temperature: float
) -> None:
    pairs = list(side_by_side(tiny, ids, At(temperature), seed, 5, changes))
    for way, interventions in (("without", ()), ("within", changes)):
        text = list(ids)
        for draw in filter(None, (getattr(pair, way) for pair in pairs)):
            trace = tiny.forward(text, interventions=interventions)
            number = txexplain.uniform(seed, len(text))
            assert draw.uniform == number
            assert draw.id == txexplain.draw(At(temperature).distribution(trace), number)
            text.append(draw.id)
        assert len(text) == len(ids) + 5 or text[-1] in tiny.config.eos_token_ids
    if not changes:
        assert all(pair.without == pair.within for pair in pairs)
    for pair in pairs:
        if pair.without is not None and pair.within is not None:
            assert pair.without.uniform == pair.within.uniform


def test_a_text_that_has_ended_leaves_the_other_alone(tiny: GPT2) -> None:
    """The end of text is id 0: with its logit out of reach in one of both, that one goes on."""
    ids, end = [3, 9, 27], tiny.config.eos_token_ids[0]
    push = tiny.unembedding[end] * 40
    pairs = list(side_by_side(tiny, ids, At(), 1, 6, (Set("ln_final.normalized", push),)))
    assert pairs[0].within is not None
    assert pairs[0].within.id == end
    assert [pair.within for pair in pairs[1:]] == [None] * (len(pairs) - 1)
    assert len(pairs) > 1
    assert all(pair.without is not None for pair in pairs)


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_nobody_waits_any_more(tiny: GPT2, asked: int) -> None:
    """Two blocks a token."""
    answers = iter([False] * 2 * asked + [True])
    assert len(list(draw_tokens(tiny, [3, 9], At(), 1, 6, should_stop=lambda: next(answers)))) == asked
