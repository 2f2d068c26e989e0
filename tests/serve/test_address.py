"""A view as the end of a link, and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txexplain.explorer.location import parse
from txexplain.explorer.state import FLOWS, MODES, ExplorerState
from txexplain.serve.address import LONGEST, AddressError, query_of, state_of

PLACES = ("model", "embed@2", "L5", "L5.qkv", "heads", "L5H1:qk[2,5]", "L5H1[7,3]", "L5.mlp[417]", "final", "output")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(
    prompt=TEXTS, ids=st.none() | st.lists(st.integers(0, 50256), min_size=1, max_size=9), at=st.sampled_from(PLACES),
    mode=st.sampled_from(MODES[:3]), temperature=st.integers(1, 99), k=st.integers(1, 99), p=st.integers(1, 99),
    seed=st.integers(0, 2**40), flow=st.sampled_from(FLOWS),
)  # fmt: skip
def test_a_link_brings_back_the_view(prompt, ids, at, mode, temperature, k, p, seed, flow) -> None:
    state = ExplorerState(
        prompt=prompt, ids=None if ids is None else tuple(ids), location=parse(at), temperature=temperature / 10,
        mode=mode, k=k, p=p / 100, seed=seed, flow=flow,
    )  # fmt: skip
    back = state_of(query_of(state), state.model)
    assert back.command_line() == state.command_line()


def test_greedy_is_a_link_too() -> None:
    state = ExplorerState().at_temperature(0)
    assert state_of(query_of(state), "storyteller").mode == "greedy"


def test_a_link_decides_no_model_and_no_file() -> None:
    state = replace(ExplorerState(model="gpt2", revision="main"), trace="/etc/passwd")
    assert query_of(state) == ""
    asked = state_of("model=gpt2&trace=/etc/passwd&revision=x&file=/etc/passwd&utm_source=mail", "storyteller")
    assert (asked.model, asked.trace, asked.revision, asked.prompt) == ("storyteller", None, None, ExplorerState().prompt)


@pytest.mark.parametrize(
    "query",
    ["temperature=nan", "temperature=-1", "temperature=hot", "top-k=0", "top-p=2", "top-k=3&top-p=0.5", "seed=1e9", "ids=1,x",
     "seed=-1", "seed=" + "9" * 4000,
     "at=nowhere", "flow=x", "prompt=" + "a" * LONGEST],
)  # fmt: skip
def test_what_a_link_cannot_say_is_a_sentence(query: str) -> None:
    with pytest.raises(AddressError) as told:
        state_of(query, "storyteller")
    assert str(told.value).endswith((".", "?"))
    assert "\n" not in str(told.value)


def test_a_long_prompt_has_no_link() -> None:
    assert query_of(ExplorerState(prompt="a" * LONGEST)) == ""
