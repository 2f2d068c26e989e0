"""Bracketed paste, as it comes from a terminal: in pieces, with anything in it, and never as keys."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser

from txexplain.ui.keyboard import BEGIN, END, Answer, TerminalParser

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
    assert parsed(TerminalParser(), [piece for piece in pieces if piece]) == wanted + parsed(plain, [after] if after else [])


@pytest.mark.parametrize(
    "text", ["\x1b[31m" + "q" * 40, "\x1b]0;title\x07" + "x" * 40, "\x1b[48;24;80;1;1t", "\x1b[I", "\x1b", "a\rq\r", "\x00"]
)
def test_a_sequence_in_it_is_text(text: str) -> None:
    """Textual alone would press the letters, or take the terminal for resized."""
    assert parsed(TerminalParser(), [BEGIN + text + END, "q"]) == [("paste", text), ("q", None)]


def test_ten_megabytes_are_read_in_pieces_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No letter of it goes through the parser of keys."""
    seen = 0

    def counted(self: XTermParser, data: str) -> list[events.Event]:
        nonlocal seen
        seen += len(data)
        return []

    monkeypatch.setattr(XTermParser, "feed", counted)
    text = BEGIN + "line of words\r" * 730_000 + END
    found = parsed(TerminalParser(), [text[i : i + 4096] for i in range(0, len(text), 4096)])
    assert seen == 0
    assert found == [("paste", text[len(BEGIN) : -len(END)])]


def test_escape_is_still_a_key() -> None:
    parser = TerminalParser()
    assert parsed(parser, ["\x1b"]) == []
    end = time.monotonic() + 10
    found: list[str] = []
    while not found:
        assert time.monotonic() < end
        found = [event.key for event in parser.tick() if isinstance(event, events.Key)]
    assert found == ["escape"]
    assert parsed(parser, [BEGIN + "x" + END]) == [("paste", "x")]


# What terminals answer: DA1, DA2, DA3, XTVERSION, grounds, palettes, DECRQSS, XTGETTCAP, kitty's pictures and keyboard, titles, sizes,
# modes, cursors, states, the clipboard.
ANSWERS = [
    "\x1b[?64;1;2;6;9;15;16;17;18;21;22;28c", "\x1b[?6c", "\x1b[>41;379;0c", "\x1b[=0;1c", "\x1bP!|7E7E5459\x1b\\", "\x1bP>|XTerm(379)\x1b\\",
    "\x1b]11;rgb:ffff/ffff/ffff\x1b\\", "\x1b]10;rgba:0000/0000/0000/ffff\x07", "\x1b]4;1;rgb:c0c0/0000/0000\x07", "\x1bP1$r48:2::1:2:3m\x1b\\",
    "\x1bP0$r\x1b\\", "\x1bP1+r524742=38\x1b\\", "\x1b_Gi=31;OK\x1b\\", "\x1b[?0u", "\x1b[?31u", "\x1b]lmy shell\x1b\\", "\x1b]L~/été\x1b\\",
    "\x1b[8;24;80t", "\x1b[4;480;640t", "\x1b[6;16;8t", "\x1b[1t", "\x1b[?1;2$y", "\x1b[4;2$y", "\x1b[12;5R", "\x1b[1;1R", "\x1b[?12;5;1R",
    "\x1b[0n", "\x1b[?10n", "\x1b[?997;1n", "\x1b[2;1;1;120;120;1;0x", "\x1b]52;c;aGVsbG8gd29ybGQ=\x07", "\x1b^words\x1b\\", "\x1bXwords\x1b\\",
    "\x1b[>4;2m", "\x1b[?1;0;256S", "\x1b[3;1&w",
]  # fmt: skip
PRESSED = {
    "q": "q", "\r": "enter", "\x1b[A": "up", "\x1bOB": "down", "\x1b[1;5C": "ctrl+right", "\x1b[3$": "shift+delete", "\x1b[[A": "f1",
    "\x1bOR": "f3", "\x1b[R": "f3", "\x1b[1;2R": "shift+f3", "\x1b[c": "shift+right", "\x1b[15~": "f5", "\x1b[97u": "a", "\x1b[27u": "escape",
    "\x1b[<0;3;4M": "MouseDown", "\x1b[<64;3;4M": "MouseScrollUp", "\x1b[I": "AppFocus", "é": "é",
    "\x1b[48;24;80;0;0t": "Resize", "\x1b[?2026;2$y": "TerminalSupportsSynchronizedOutput",
}  # fmt: skip


def made(parser: TerminalParser, pieces: Iterable[str]) -> list[str]:
    """What came out: keys by their names, answers as they are, all else by its kind."""
    found = []
    for piece in pieces:
        for event in parser.feed(piece):
            found.append(event.text if isinstance(event, Answer | events.Paste) else getattr(event, "key", type(event).__name__))
    return found


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_no_key_wherever_it_is_cut(answer: str) -> None:
    parser = TerminalParser()
    assert made(parser, [answer, "q"]) == [answer, "q"]
    assert made(parser, [*answer, "q"]) == [answer, "q"]
    for cut in range(1, len(answer)):
        assert made(parser, [answer[:cut], answer[cut:], "q"]) == [answer, "q"]


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([*ANSWERS, *PRESSED, BEGIN + "\x1b]11;q\x07" + END]), max_size=8), st.lists(st.integers(0, 200), max_size=8)
)
def test_between_answers_keys_clicks_and_pastes_come_through(units: list[str], cuts: list[int]) -> None:
    stream = "".join(units)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    wanted = [PRESSED.get(unit, unit.removeprefix(BEGIN).removesuffix(END)) for unit in units]
    assert made(TerminalParser(), [stream[a:b] for a, b in pairwise(edges) if b > a]) == wanted
