"""Several sessions on one machine, typed into at once; sixteen of them are timed by `python -m tests.bench --only crowd`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

import pytest

from tests.e2e.terminal import Terminal
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution
from txexplain.viz.numbers import percent

TYPED = (" upon a time there", " there was a little", " day the dog")


@pytest.mark.long
def test_sessions_that_are_typed_into_at_once_each_give_their_own_answer(terminals: Callable[..., Terminal], storyteller: GPT2) -> None:
    crowd = [terminals("Once") for _ in TYPED]
    for terminal in crowd:
        terminal.send("/")
    for keys in zip_longest(*TYPED, fillvalue=""):
        for terminal, key in zip(crowd, keys, strict=True):
            terminal.send(key)
    for terminal, text in zip(crowd, TYPED, strict=True):
        trace = storyteller.forward(storyteller.prompt_ids("Once" + text))
        assert trace is not None
        best = distribution(trace.last_logits)
        top = [(storyteller.tokenizer.display(int(token)).strip(), percent(float(best.probability[token]))) for token in best.order[:3]]
        terminal.until(
            lambda terminal=terminal, top=top: all(
                any(name in line and share in line for line in terminal.text().splitlines()) for name, share in top
            )
        )
        terminal.send("\r")
        terminal.leave()
