"""The tokenizer against transformers' ids, and the token display against rich's measure of a cell."""

from __future__ import annotations

import json
import random
import socket
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.examples import examples
from txexplain.engine import tokenizer as module
from txexplain.engine.tokenizer import END_OF_TEXT, Tokenizer, gpt2_with
from txexplain.engine.vocabulary import open_folder
from txexplain.errors import TokenizerError
from txexplain.text import cell_width, clip, display_bytes

GOLDEN = Path(__file__).parents[1] / "golden"
# Text with the pattern's corners: runs of spaces, apostrophes, changes of class, and characters that are in no version of Unicode.
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n'sdr1!é漢\u0301\u0378\u3000\x1c"), max_size=60)


def cases(path: Path) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(path.read_text())
    assert len(loaded) > 30
    return loaded


@pytest.fixture(scope="module")
def gpt2() -> Tokenizer:
    return Tokenizer.gpt2()


# Text to ids.


def test_gpt2_gives_the_ids_that_transformers_gives(gpt2: Tokenizer) -> None:
    for case in cases(GOLDEN / "tokenizer.json"):
        assert gpt2.encode(case["text"]) == case["ids"], case["text"]
        assert gpt2.decode(case["ids"]) == case["text"]


def test_known_ids(gpt2: Tokenizer) -> None:
    assert gpt2.encode("Hello world") == [15496, 995]
    assert gpt2.n_vocab == 50257
    assert gpt2.token_bytes(50256) == END_OF_TEXT.encode()
    assert gpt2.decode([50256]) == gpt2.display(50256) == END_OF_TEXT


def test_typed_end_of_text_is_ordinary(gpt2: Tokenizer) -> None:
    assert 50256 not in gpt2.encode(END_OF_TEXT)
    assert gpt2.encode(END_OF_TEXT) == gpt2.encode("<|") + gpt2.encode("endoftext") + gpt2.encode("|>")


def test_every_token_comes_back(gpt2: Tokenizer) -> None:
    for id in range(50256):
        text = gpt2.token_bytes(id).decode("utf-8", "replace")
        assert gpt2.decode([id]) == text
        assert "\ufffd" in text or gpt2.encode(text) == [id]
    assert len({gpt2.token_bytes(id) for id in range(50257)}) == 50257


@given(TEXT)
def test_text_comes_back(text: str) -> None:
    gpt2 = Tokenizer.gpt2()
    assert gpt2.decode(gpt2.encode(text)) == text


@given(st.text(max_size=20), st.sampled_from(["\udce9", "\ud800", "\udfff"]))
def test_a_lone_surrogate_becomes_a_replacement_character(text: str, lone: str) -> None:
    gpt2 = Tokenizer.gpt2()
    assert gpt2.decode(gpt2.encode("x" + lone + "y")) == "x\ufffdy"
    assert gpt2.decode(gpt2.encode("\ud83d\ude00")) == "😀"
    assert lone not in gpt2.decode(gpt2.encode(text + lone))


def test_ids_that_are_no_tokens_are_shown_as_numbers(gpt2: Tokenizer) -> None:
    assert gpt2.decode([15496, 50300]) == "Hello#50300"
    assert gpt2.display(50300) == "#50300"
    assert gpt2.token_bytes(50300) == b""
    assert gpt2.merges(50300) == []


def test_bytes_that_are_no_utf8_are_replaced(gpt2: Tokenizer) -> None:
    ids = gpt2.encode("漢")
    assert len(ids) > 1
    assert gpt2.decode(ids[:1]).endswith("\ufffd")


def test_nothing_opens_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    module._gpt2.cache_clear()
    assert Tokenizer.gpt2().encode("Hello world") == [15496, 995]
    assert open_folder(GOLDEN / "tokenizer" / "json", 901).encode("Hello world")


# Long texts.


@examples(200)
@given(TEXT, st.integers(1, 12))
@example("x \n\ny", 4)
@example("x  y", 3)
@example("\n\n\n\n\n\nx", 3)
@example("'s 's\n's", 1)
@example("\u0378" * 30, 3)
def test_a_text_cut_into_chunks_has_the_same_ids(text: str, chunk: int) -> None:
    gpt2 = Tokenizer.gpt2()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        assert gpt2.encode(text) == gpt2._library.encode_ordinary(text)


@examples(200)
@given(TEXT, st.integers(1, 12), st.integers(0, 20))
def test_a_limit_gives_the_beginning_of_the_ids(text: str, chunk: int, limit: int) -> None:
    gpt2 = Tokenizer.gpt2()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        assert gpt2.encode(text, limit=limit) == gpt2._library.encode_ordinary(text)[: limit + 1]


WORDS = {
    "one letter": "a" * 60_000,
    "dashes": "-" * 40_000,
    "no repetition": "".join(random.Random(0).choices("abcdeilnorst", k=60_000)),
    "spaces": " " * 60_000 + "x",
    "newlines": "x" + "\n" * 60_000 + "x",
    "ideographs": "".join(map(chr, random.Random(0).choices(range(0x4E00, 0x9FA5), k=20_000))),
    "a word after a space": " " + "ab" * 30_000,
    "an apostrophe": "'re" + "d" * 30_000,
    "digits": "31415926535" * 3_000,
}


@pytest.mark.parametrize("text", WORDS.values(), ids=WORDS.keys())
def test_an_endless_word_is_read_only_as_far_as_needed(gpt2: Tokenizer, text: str) -> None:
    whole = gpt2.encode(text)
    for limit in (0, 10, 500, len(whole) - 1, len(whole)):
        assert gpt2.encode(text, limit=limit) == whole[: limit + 1]


@examples(100)
@given(st.text("ab-t ", min_size=1, max_size=80).filter(str.strip), st.text("ab-t ", max_size=40))
def test_the_certain_start_of_a_word_stays_whatever_follows(word: str, rest: str) -> None:
    gpt2 = Tokenizer.gpt2()
    piece, longer = word.encode(), (word + rest).encode()
    certain = gpt2._common_start(piece)
    if longer not in gpt2._ranks:  # the library looks a whole piece up; here it stands for the beginning of a longer one
        assert gpt2._library._encode_single_piece(longer)[: len(certain)] == certain


def test_a_limit_spares_the_rest_of_a_long_text(gpt2: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    guarded = gpt2._guarded

    def count(encode: Callable[[Any], list[int]], piece: str | bytes) -> list[int]:
        nonlocal read
        read += len(piece)
        return guarded(encode, piece)

    monkeypatch.setattr(gpt2, "_guarded", count)
    for text in ("Once upon a time. " * 500_000, "a" * 10_000_000, " " * 10_000_000 + "x"):
        read = 0
        assert len(gpt2.encode(text, limit=256)) == 257
        assert read < 200_000


def test_a_run_of_spaces_before_a_word_does_not_overflow_the_library(gpt2: Tokenizer, capfd: pytest.CaptureFixture[str]) -> None:
    assert gpt2.encode(" " * 1_000_000 + "x") == [220] * 999_999 + [2124]
    assert capfd.readouterr().err == ""


def test_a_panic_in_the_library_is_one_clear_error(gpt2: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    class Broken:
        def encode_ordinary(self, text: str) -> list[int]:
            raise PanicException("called `Result::unwrap()` on an `Err` value")

    class Interrupted:
        def encode_ordinary(self, text: str) -> list[int]:
            raise KeyboardInterrupt

    monkeypatch.setitem(gpt2.__dict__, "_library", Broken())
    with pytest.raises(TokenizerError, match="failed on this text"):
        gpt2.encode("Hello")
    monkeypatch.setitem(gpt2.__dict__, "_library", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        gpt2.encode("Hello")


# Merges.


def test_merges_of_a_token(gpt2: Tokenizer) -> None:
    (id,) = gpt2.encode(" upon")
    assert gpt2.merges(id) == [[b" ", b"u", b"p", b"o", b"n"], [b" ", b"u", b"p", b"on"], [b" u", b"p", b"on"], [b" up", b"on"], [b" upon"]]
    assert gpt2.merges(50256) == [[END_OF_TEXT.encode()]]


def test_merges_build_every_token_one_pair_at_a_time(gpt2: Tokenizer) -> None:
    for id in range(0, 50256, 7):
        steps = gpt2.merges(id)
        token = gpt2.token_bytes(id)
        assert steps[0] == [bytes([b]) for b in token]
        assert steps[-1] == [token]
        for before, after in pairwise(steps):
            i = next(i for i, piece in enumerate(after) if piece != before[i])
            assert before == [*after[:i], before[i], before[i + 1], *after[i + 1 :]]
            assert after[i] == before[i] + before[i + 1]


# GPT-2's own in a model that adds tokens.


def test_typed_tokens_are_found_longest_first_and_are_text_when_plain() -> None:
    with_users = gpt2_with("name", 50300, {50257: "<|user|>", 50258: "<|user|>!"}, {"<|user|>": 50257, "<|user|>!": 50258})
    hello = Tokenizer.gpt2().encode("Hello")
    assert with_users.encode("<|user|>Hello<|user|>!<|user|>") == [50257, *hello, 50258, 50257]
    assert with_users.encode("<|user|>Hello<|user|>!", limit=1) == [50257, *hello]
    assert with_users.plain().encode("<|user|>Hello") == Tokenizer.gpt2().encode("<|user|>Hello")
    assert with_users.plain().display(50258) == with_users.display(50258) == "<|user|>!"
    assert with_users.plain().plain() is not with_users
    assert with_users.n_vocab == 50300


def test_damaged_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ranks_path", lambda: tmp_path / "gpt2.tiktoken")
    make = module._gpt2.__wrapped__
    with pytest.raises(TokenizerError, match="can't be read"):
        make()
    (tmp_path / "gpt2.tiktoken").write_bytes(b"IQ== 0\n")
    with pytest.raises(TokenizerError, match="damaged"):
        make()


# How a token is shown.

SHOWN = {
    " upon": (" upon", " upon"),
    " ": ("␣", "\\x20"),
    "   ": ("␣␣␣", "\\x20" * 3),
    " " * 16: ("␣×16", "\\x20*16"),
    "a ": ("a␣", "a\\x20"),
    "  a": ("␣␣a", "\\x20\\x20a"),
    " \n": ("␣↵", "\\x20\\n"),
    "\n\n\t\r": ("↵↵⇥␍", "\\n\\n\\t\\r"),
    "\x1b[31m\x00\x7f": ("␛[31m␀␡", "\\x1b[31m\\x00\\x7f"),
    "\x9b\u202e\u200b\u2028\u00a0\ue000\u0378": (
        "⟨U+009B⟩⟨U+202E⟩⟨U+200B⟩⟨U+2028⟩⍽⟨U+E000⟩⟨U+0378⟩",
        "\\u009b\\u202e\\u200b\\u2028\\u00a0\\ue000\\u0378",
    ),
    "漢é": ("漢é", "\\u6f22\\u00e9"),
    "e\u0301": ("e\u0301", "e\\u0301"),
    "\u0301x": ("◌\u0301x", "\\u0301x"),
    "\n\u0301\u0302": ("↵◌\u0301\u0302", "\\n\\u0301\\u0302"),
    "e" + "\u0301" * 5: ("e\u0301\u0301\u0301⟨U+0301⟩⟨U+0301⟩", "e" + "\\u0301" * 5),
    "👩\u200d👧": ("👩⟨U+200D⟩👧", "\\U0001f469\\u200d\\U0001f467"),
    "❤\ufe0f": ("❤⟨U+FE0F⟩", "\\u2764\\ufe0f"),
    "🇩🇪": ("⟨U+1F1E9⟩⟨U+1F1EA⟩", "\\U0001f1e9\\U0001f1ea"),
    "↵": ("⟨U+21B5⟩", "\\u21b5"),
    "": ("", ""),
}


@pytest.mark.parametrize(("text", "shown"), SHOWN.items())
def test_display(text: str, shown: tuple[str, str]) -> None:
    assert (display_bytes(text.encode()), display_bytes(text.encode(), ascii=True)) == shown


def test_display_of_invalid_bytes() -> None:
    assert display_bytes(b" \xe2\x80") == " ⟨E2 80⟩"
    assert display_bytes(b"a\xff\xfe\n\xc3") == "a⟨FF FE⟩↵⟨C3⟩"
    assert display_bytes(b"\xe2\x80", ascii=True) == "<E2 80>"
    assert display_bytes("\ud800".encode("utf-8", "surrogatepass")) == "⟨ED A0 80⟩"


def check_shown(shown: str) -> None:
    bad = [c for c in shown if c != " " and (unicodedata.category(c)[0] in "CZ" or unicodedata.category(c) in ("Mc", "Me"))]
    assert not bad, (shown, bad)
    assert cell_width(shown) == cell_len(shown), shown
    assert shown == "" or unicodedata.category(shown[0]) != "Mn"


def test_every_token_of_gpt2_is_shown(gpt2: Tokenizer) -> None:
    ambiguous: dict[str, int] = {}
    for id in range(50257):
        shown, plain = gpt2.display(id), gpt2.display(id, ascii=True)
        check_shown(shown)
        assert shown.strip(" ")
        assert plain.strip(" ")
        assert plain.isascii()
        assert plain.isprintable()
        assert ambiguous.setdefault(shown, id) == id


@given(st.binary(max_size=30))
def test_any_bytes_are_shown(token: bytes) -> None:
    shown, plain = display_bytes(token), display_bytes(token, ascii=True)
    check_shown(shown)
    assert bool(shown) == bool(plain) == bool(token)
    assert plain.isascii()
    assert plain == "" or plain.isprintable()


def test_any_character_is_shown() -> None:
    for code in [*range(0x20000), *range(0x20000, 0x110000, 251), *range(0xE0000, 0xE0200)]:
        if not 0xD800 <= code < 0xE000:
            shown = display_bytes.__wrapped__(chr(code).encode())
            assert shown
            check_shown(shown)


@given(TEXT, st.integers(-1, 20), st.sampled_from(["…", "", "..."]))
def test_clip(text: str, cells: int, ellipsis: str) -> None:
    shown = display_bytes(text.encode())
    cut = clip(shown, cells, ellipsis)
    assert cell_len(cut) <= max(0, cells)
    if cell_len(shown) <= max(0, cells):
        assert cut == shown
        return
    kept = cut.removesuffix(ellipsis) if cell_len(ellipsis) <= cells else cut
    assert shown.startswith(kept)
    following = shown[len(kept)]
    assert unicodedata.category(following) != "Mn" or cells <= 0  # a base keeps its marks
    spare = max(0, cells) - cell_len(cut)
    assert spare < 2  # nothing more fits than half a wide character
    assert spare == 0 or cell_len(following) > spare


def test_clip_keeps_marks_and_never_halves_a_wide_character() -> None:
    assert clip("e\u0301e\u0301e\u0301", 2) == "e\u0301…"
    assert clip("漢字漢字", 4) == "漢…"
    assert clip("abc", 3) == "abc"
    assert clip("abc", 0) == ""
    assert clip("abc", 2, "...") == "ab"
