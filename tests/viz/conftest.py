"""The two results that views are drawn from."""

from __future__ import annotations

import pytest

from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2

TINY_IDS = (5, 17, 42, 3, 17, 60, 28)
SENTENCE = "Once upon a time there was a little girl who lived in the big forest with her cat, and 日本 é"


@pytest.fixture(scope="session")
def tiny_result(tiny: GPT2) -> Result:
    trace = tiny.forward(list(TINY_IDS))
    assert trace is not None
    return Result(trace, tiny)


@pytest.fixture(scope="session")
def story_result(storyteller: GPT2) -> Result:
    trace = storyteller.forward(storyteller.prompt_ids(SENTENCE))
    assert trace is not None
    return Result(trace, storyteller)


@pytest.fixture(scope="session", params=["tiny", "story"])
def result(request: pytest.FixtureRequest) -> Result:
    """Every reading is done in both models: seven tokens in 2 blocks of 3 heads, and a long prompt in 6 blocks of 8."""
    return request.getfixturevalue(f"{request.param}_result")


PROMPTS = {
    "short": "Once upon a time there was a",
    "long": "Once upon a time there was a little girl named Lily. She loved to play outside in the park with her brown dog. "
    'One day, she saw a big red ball under the tree and said, "Look',
    "full": "Encyclopaedias, dinosaurs and chrysanthemums, extraordinarily interesting: 日本, é and ünïcode! " * 8,
}


@pytest.fixture(scope="session", params=PROMPTS)
def wordy(request: pytest.FixtureRequest, storyteller: GPT2) -> Result:
    """The bundled model with a short prompt, one of some 40 tokens, and one of more than 200."""
    trace = storyteller.forward(storyteller.tokenizer.encode(PROMPTS[request.param])[:250])
    assert trace is not None
    return Result(trace, storyteller)
