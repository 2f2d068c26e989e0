"""What may be typed into the jump field, and where it leads."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txexplain.errors import LocationError
from txexplain.explorer.jump import asked, jump
from txexplain.explorer.location import Dims, parse
from txexplain.explorer.state import ExplorerState

DIMS = Dims(12, 12, 3072, 7, model="gpt2", n_embd=768)


@pytest.mark.parametrize(
    ("here", "text", "there"),
    [
        ("heads", "5.11", "heads[5.11]"),
        ("heads[1.1]", "5 11", "heads[5.11]"),
        ("heads[1.1]", " 5, 11 ", "heads[5.11]"),
        ("heads:previous.25[1.1]@3", "05.011", "heads:previous.25[5.11]@3"),
        ("heads", "L5H11", "heads[5.11]"),
        ("heads@2", "l5h11", "heads[5.11]@2"),
        ("heads[5.11]", "0.0", "heads"),
        ("heads", "L5H11:qk", "L5H11:qk"),
        ("heads", "L3.mlp", "L3.mlp"),
        ("embed@2", "300", "embed[300]@2"),
        ("embed:nearest", "0", "embed:nearest[0]"),
        ("L5.ln1[3]", "767", "L5.ln1[767]"),
        ("final", "17", "final[17]"),
        ("L5.qkv", "2303", "L5.qkv[2303]"),
        ("L5.qkv:matrix[3,4]", "17,300", "L5.qkv:matrix[17,300]"),
        ("L5.qkv:matrix[3,4]", "300", "L5.qkv:matrix[3,300]"),
        ("L5.proj[4]", "17 30", "L5.proj[17,30]"),
        ("L5.mlp@1", "417", "L5.mlp:post[417]@1"),
        ("L5.mlp:pre[3]", "417", "L5.mlp:pre[417]"),
        ("L5.mlp[3]", "417", "L5.mlp[417]"),
        ("model", "L5H1", "L5H1"),
        ("model@4", "5.11", "L5H11@4"),
        ("L2H3:softmax[4,1]", "output", "output@4"),
        ("L2H3[4,1]", "L1H2[5,3]", "L1H2[5,3]"),
        ("model", "L5.atn@2", "L5.attn@2"),
    ],
)
def test_what_is_typed_leads_there(here: str, text: str, there: str) -> None:
    assert str(jump(text, parse(here), DIMS)) == there


@pytest.mark.parametrize(
    ("here", "text", "sentence"),
    [
        ("heads", "12.3", "there is no block 12; gpt2 has blocks L0 to L11."),
        ("heads", "3.12", "there is no head 12; gpt2 has heads H0 to H11 in each block."),
        ("heads", "5", "'5' is no place here; give a block and a head, as in 5.7."),
        ("heads", "5.", "isn't a Location"),
        ("heads", "", "Give a block and a head, as in 5.7, any place"),
        ("embed", "768", "the vector's elements go from 0 to 767."),
        ("embed", "1,2", "'1,2' is no place here; give an element, as in 17."),
        ("L5.qkv", "2304", "go from 0 to 2303."),
        ("L5.qkv", "768,1", "the inputs go from 0 to 767."),
        ("L5.qkv", "1,2,3", "give an output, as in 300, or an input and an output, as in 17,300."),
        ("L5.mlp", "3072", "each block of gpt2 has neurons 0 to 3071."),
        ("L5.mlp", "1 2", "give a neuron, as in 417."),
        ("model", "7", "isn't a Location"),
        ("model", "L1H2@9", "the prompt's tokens go from 0 to 6."),
    ],
)
def test_what_is_impossible_is_answered_with_what_there_is(here: str, text: str, sentence: str) -> None:
    with pytest.raises(LocationError) as error:
        jump(text, parse(here), DIMS)
    assert sentence in str(error.value)
    assert str(error.value).endswith(".")
    assert asked(parse(here))


@given(st.integers(0, 14), st.integers(0, 14), st.sampled_from([".", " ", ",", " . ", ", "]))
def test_every_head_and_no_other_can_be_jumped_to(block: int, head: int, between: str) -> None:
    start = ExplorerState(location=parse("heads:first[2.2]@3"))
    text = f"{block}{between}{head}"
    if block >= 12 or head >= 12:
        with pytest.raises(LocationError):
            start.jump(text, DIMS)
        return
    there = start.jump(text, DIMS)
    assert str(there.location) == f"L{block}H{head}@3"
    back = there.out(DIMS).location
    assert (back.face, back.block, back.head, back.token) == ("first", block, head, 3)


@given(st.text(max_size=20))
def test_no_text_breaks_it(text: str) -> None:
    for here in ("heads", "embed", "L5.qkv", "L5.mlp", "model"):
        with suppress(LocationError):
            place = jump(text, parse(here), DIMS)
            assert parse(str(place)) == place


def test_the_field_gives_examples_that_the_bundled_model_has() -> None:
    storyteller = Dims(6, 8, 1024, 7, model="storyteller", n_embd=256)
    for at in ("model", "heads", "L5", "L5.qkv", "L5.proj", "L5.ln1", "L5.mlp", "L5.mlp[3]", "L5H1", "output"):
        examples = re.findall(r"as in (\S+?)(?:,?\s|,?$)", asked(parse(at)))
        assert examples
        for example in examples:
            assert jump(example, parse(at), storyteller)
