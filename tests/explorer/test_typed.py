"""The text of a prompt of given ids is edited: ids stay, what is typed is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.engine.tokenizer import Tokenizer
from txexplain.engine.vocabulary import open_folder
from txexplain.explorer.state import ExplorerState

FOLDERS = Path(__file__).parents[1] / "golden" / "tokenizers"
GPT2 = Tokenizer.gpt2()
ADDED = open_folder(FOLDERS / "added", 400)


def after(ids: list[int], *texts: str, tokenizer: Tokenizer = GPT2) -> ExplorerState:
    """The state after its text was changed to each of these."""
    state = ExplorerState().with_ids(ids)
    for text in texts:
        state = state.with_edited(text, tokenizer)
    return state


def test_a_letter_behind_given_ids_leaves_them_what_they_are() -> None:
    """`<|user|>` with a flag, letters that ordinary text would merge, and a token that no text becomes."""
    user, rapunzel = ADDED.typed["<|user|>"], ADDED.typed["Rapunzel"]
    ids = [user, *ADDED.encode("Hello", bare=True), rapunzel]
    text = ADDED.decode(ids)
    assert after(ids, text + "x", tokenizer=ADDED).ids == (*ids, *ADDED.encode("x"))
    assert after(ids, text + "x", text + "xy", text + "xyz", tokenizer=ADDED).ids == (*ids, *ADDED.encode("xyz"))
    assert after(ids, "the " + text, tokenizer=ADDED).ids == (*ADDED.encode("the "), *ids)


def test_letters_one_by_one_stay_letters() -> None:
    apart = [GPT2.encode(c)[0] for c in "the"]
    assert after(apart, "the!").ids == (*apart, *GPT2.encode("!"))
    assert after(apart, "The").ids == (*GPT2.encode("T"), *apart[1:])
    assert after(apart, "thxe", "thxye").ids == (*apart[:2], *GPT2.encode("xy"), apart[2])
    assert after(apart, "th").ids == tuple(apart[:2])
    assert after(apart, "").ids is None


def test_two_places_are_edited_one_after_the_other() -> None:
    apart = [GPT2.encode(c)[0] for c in "abc"]
    state = after(apart, "Xabc", "XabcY", "XabcYZ", "XWabcYZ")
    assert state.ids == (*GPT2.encode("XW"), *apart, *GPT2.encode("YZ"))
    assert state.prompt == "XWabcYZ"
    assert state.with_edited("new", GPT2).ids is None


def test_a_typed_prompt_with_drawn_tokens_is_a_text() -> None:
    state = ExplorerState(prompt="Once upon").spelled(GPT2.encode("Once upon")).append(257, "drawn")
    edited = state.with_edited("Once upon at", GPT2)
    assert (edited.prompt, edited.ids, edited.appended) == ("Once upon at", None, ())
    given_ids = ExplorerState().with_ids([7454, 2402]).append(257, "drawn")
    assert given_ids.with_edited("Once upon at", GPT2).ids == (7454, 2402, 257, *GPT2.encode("t"))
    assert given_ids.undo().ids == (7454, 2402)


def test_parts_of_a_character_stay_together() -> None:
    ids = GPT2.encode("a漢b")
    assert len(ids) > 3
    assert after(ids, "a漢bc").ids == (*ids, *GPT2.encode("c"))
    assert after(ids, "ab").ids == (ids[0], ids[-1])
    part = [ids[0], ids[1]]  # a character that never ends
    assert after(part, "a\ufffd!").ids == (*part, *GPT2.encode("!"))


def test_without_a_way_from_text_to_ids_what_is_taken_away_is_gone() -> None:
    ids_only = Tokenizer.ids_only("x", 10, texts={1: b"one", 2: b"two"})
    assert after([1, 2, 7], "onetwo", tokenizer=ids_only).ids == (1, 2)
    assert after([1, 2], "onetwo!", tokenizer=ids_only).ids is None  # which then says why


@examples(200)
@given(
    st.lists(st.integers(0, 50255), min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 20), st.text("abé ", max_size=3)), max_size=4),
)
def test_what_is_shown_is_what_is_run(ids: list[int], edits: list[tuple[int, str]]) -> None:
    state, text = ExplorerState().with_ids(ids), GPT2.decode(ids)
    for at, typed in edits:
        text = text[:at] + typed + text[at:]
        state = state.with_edited(text, GPT2)
        shown = state.prompt if state.ids is None else GPT2.decode(state.ids)
        assert shown == text
        assert state.ids is None or len(state.typed) == len(state.ids)


@pytest.mark.parametrize("name", ["metaspace", "llama", "wordpiece", "added"])
def test_other_tokenizers_keep_ids_or_read_the_text_again(name: str) -> None:
    tokenizer = open_folder(FOLDERS / name, 400)
    ids = tokenizer.encode("the cat sat", bare=True)
    text = tokenizer.decode(ids)
    state = after(ids, text + " on", tokenizer=tokenizer)
    assert state.ids is None or (state.ids[: len(ids)] == tuple(ids) and tokenizer.decode(state.ids) == text + " on")
    assert name in ("wordpiece", "llama", "metaspace") or state.ids is not None
