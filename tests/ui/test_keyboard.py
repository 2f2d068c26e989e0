"""Bracketed paste, as it comes from a terminal: in pieces, with anything in it, and never as keys."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser

from txexplain.ui.keyboard import BEGIN, END, PasteParser

anything = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\x1b[]20~;qt\r\x00")).filter(lambda text: END not in text)
keys = st.lists(st.sampled_from(["a", "Q", "\r", "\x1b[A", "\x1b[20~", "\x1b[2~", "\x1bOP", "é", "\x1b[I"]), max_size=4).map("".join)


def parsed(parser: XTermParser, pieces: list[str]) -> list[tuple[str, str | None]]:
    """What came out, a key or a paste each."""
    found: list[tuple[str, str | None]] = []
    for piece in pieces:
        for event in parser.feed(piece):
            found.append(("paste", event.text) if isinstance(event, events.Paste) else (getattr(event, "key", type(event).__name__), None))
    return found


@settings(max_examples=400)
@given(st.lists(st.tuples(keys, anything), min_size=1, max_size=3), keys, st.lists(st.integers(0, 200), max_size=8))
def test_what_is_pasted_comes_out_whole_and_no_key_of_it(pastes: list[tuple[str, str]], after: str, cuts: list[int]) -> None:
    """Cut anywhere: keys before, between and after are Textual's own, what is pasted is text."""
    stream = "".join(before + BEGIN + text + END for before, text in pastes) + after
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    wanted: list[tuple[str, str | None]] = []
    plain = XTermParser()
    for before, text in pastes:
        wanted += [*parsed(plain, [before] if before else []), ("paste", text)]
    assert parsed(PasteParser(), [piece for piece in pieces if piece]) == wanted + parsed(plain, [after] if after else [])


@pytest.mark.parametrize(
    "text", ["\x1b[31m" + "q" * 40, "\x1b]0;title\x07" + "x" * 40, "\x1b[48;24;80;1;1t", "\x1b[I", "\x1b", "a\rq\r", "\x00"]
)
def test_a_sequence_in_it_is_text(text: str) -> None:
    """Textual alone would press the letters, or take the terminal for resized."""
    assert parsed(PasteParser(), [BEGIN + text + END, "q"]) == [("paste", text), ("q", None)]


def test_ten_megabytes_are_read_in_pieces_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No letter of it goes through the parser of keys."""
    seen = 0

    def counted(self: XTermParser, data: str) -> list[events.Event]:
        nonlocal seen
        seen += len(data)
        return []

    monkeypatch.setattr(XTermParser, "feed", counted)
    text = BEGIN + "line of words\r" * 730_000 + END
    found = parsed(PasteParser(), [text[i : i + 4096] for i in range(0, len(text), 4096)])
    assert seen == 0
    assert found == [("paste", text[len(BEGIN) : -len(END)])]


def test_escape_is_still_a_key() -> None:
    parser = PasteParser()
    assert parsed(parser, ["\x1b"]) == []
    end = time.monotonic() + 10
    found: list[str] = []
    while not found:
        assert time.monotonic() < end
        found = [event.key for event in parser.tick() if isinstance(event, events.Key)]
    assert found == ["escape"]
    assert parsed(parser, [BEGIN + "x" + END]) == [("paste", "x")]
