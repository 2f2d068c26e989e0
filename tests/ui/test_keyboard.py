"""Bracketed paste, as it comes from a terminal: in pieces, with anything in it, and never as keys."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.headless_driver import HeadlessDriver
from textual.message import Message
from textual.pilot import Pilot

from tests.examples import examples
from tests.ui.harness import drive, until
from txexplain.engine.model import GPT2
from txexplain.ui.app import ExplorerApp
from txexplain.ui.terminal import keyboard
from txexplain.ui.terminal.keyboard import BEGIN, END, Alt, Answer, TerminalParser

anything = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\x1b[]20~;qt\r\x00")).filter(lambda text: END not in text)
keys = st.lists(st.sampled_from(["a", "Q", "\r", "\x1b[A", "\x1b[20~", "\x1b[2~", "\x1bOP", "é", "\x1b[I"]), max_size=4).map("".join)


def parsed(parser: XTermParser, pieces: list[str]) -> list[tuple[str, str | None]]:
    """What came out, a key or a paste each."""
    found: list[tuple[str, str | None]] = []
    for piece in pieces:
        for event in parser.feed(piece):
            found.append(("paste", event.text) if isinstance(event, events.Paste) else (getattr(event, "key", type(event).__name__), None))
    return found


@examples(400)
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
    "\x1bOR": "f3", "\x1b[R": "f3", "\x1b[1;2R": "shift+f3", "\x1b[c": "shift+right", "\x1b[15~": "f5", "\x1b[97u": "a", "\x1b[27u": "escape", "\x1b[1;3D": "alt+left", "\x1b[;5H": "ctrl+home", "\x1b[3;2~": "shift+delete",
    "\x1b[<0;33;44M": "MouseDown", "\x1b[<64;3;4M": "MouseScrollUp", "\x1b[I": "AppFocus", "é": "é",
    "\x1b[48;24;80;480;640t": "Resize", "\x1b[?2026;2$y": "TerminalSupportsSynchronizedOutput",
}  # fmt: skip


def name_of(event: Message) -> str:
    """A key by its name, all else by its kind."""
    return "alt" if isinstance(event, Alt) else getattr(event, "key", type(event).__name__)


def made(parser: TerminalParser, pieces: Iterable[str]) -> list[str]:
    """What came out: keys by their names, answers as they are, all else by its kind."""
    found = []
    for piece in pieces:
        for event in parser.feed(piece):
            found.append(event.text if isinstance(event, Answer | events.Paste) else name_of(event))
    return found


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_no_key_wherever_it_is_cut(answer: str) -> None:
    parser = TerminalParser()
    assert made(parser, [answer, "q"]) == [answer, "q"]
    assert made(parser, [*answer, "q"]) == [answer, "q"]
    for cut in range(1, len(answer)):
        assert made(parser, [answer[:cut], answer[cut:], "q"]) == [answer, "q"]


@examples(300)
@given(
    st.lists(st.sampled_from([*ANSWERS, *PRESSED, BEGIN + "\x1b]11;q\x07" + END]), max_size=8), st.lists(st.integers(0, 200), max_size=8)
)
def test_between_answers_keys_clicks_and_pastes_come_through(units: list[str], cuts: list[int]) -> None:
    stream = "".join(units)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    wanted = [PRESSED.get(unit, unit.removeprefix(BEGIN).removesuffix(END)) for unit in units]
    assert made(TerminalParser(), [stream[a:b] for a, b in pairwise(edges) if b > a]) == wanted


@pytest.mark.parametrize(
    "bad",
    [
        "\x1b[99999999999;1u",
        "\x1b[97:65u",
        "\x1b[48;0;0;0;0t\x1b[<0;3;4M",
        "\x1b[113~",
        "\x1b[113A",
        "\x1b[27;5;113~",
        "\x1b[5z",
        "\x1b[<M",
    ],
)
def test_what_no_terminal_should_send_does_no_harm(bad: str) -> None:
    """Textual's thread that reads would end over some, and press the letters of others."""
    assert [event for event in made(TerminalParser(), [bad, "q"]) if event != "Resize"] == ["q"]


class Clock:
    """A parser's time, which goes on when it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(keyboard, "get_time", lambda: self.now)

    def after(self, parser: TerminalParser, seconds: float) -> list[str]:
        """What a parser makes of it that nothing comes for a time."""
        self.now += seconds
        return [name_of(event) for event in parser.tick()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_pause_in_an_answer_presses_nothing_but_escape(clock: Clock, answer: str) -> None:
    """Escape, or Alt and a key, can't be told from an answer's first one or two bytes; its rest is dropped all the same."""
    for cut in range(1, len(answer)):
        for pause in (0.05, 0.5, 10.0):
            parser = TerminalParser()
            pressed = [*made(parser, [answer[:cut]]), *clock.after(parser, pause), *made(parser, [answer[cut:]]), *made(parser, ["q"])]
            alone = [] if pause < 0.1 or cut > 2 else ["escape", "alt"][cut - 1 : cut]
            assert [key for key in pressed if key != answer] == [*alone, "q"], (cut, pause)


@pytest.mark.parametrize(
    "begun", ["\x1b]11;rgb:ffff", "\x1bP1$r48", "\x1b_Gi=31", "\x1b[?64;1", "\x1b]11;rgb:ffff\x1b", "\x1b]52;c;" + "QUJD" * 20_000]
)
def test_what_never_ends_holds_keys_up_for_two_seconds_at_most(clock: Clock, begun: str) -> None:
    """Keys with control characters end it at once; others count for its letters, until the time is over."""
    for key, name in (("\r", "enter"), ("\x1b[A", "up"), ("\x03", "ctrl+c"), ("\x1b\x1b", "escape")):
        assert made(TerminalParser(), [begun.removesuffix("\x1b"), key])[:1] == [name]
    parser = TerminalParser()
    assert made(parser, [begun]) == []
    assert clock.after(parser, 2.0) == []
    assert made(parser, ["q"]) == ["q"]
    if "]" in begun and not begun.endswith("\x1b"):
        assert made(parser, [begun]) == []
        for _ in range(20):
            made(parser, ["g"])
            clock.after(parser, 0.1)
        assert made(parser, ["q"]) == ["q"]


def test_a_string_may_be_long_but_not_endless() -> None:
    parser = TerminalParser()
    piece = "QUJD" * 1000
    assert made(parser, ["\x1b]52;c;", *[piece] * 200, "\x1b\\", "q"])[1:] == ["q"]
    assert "1" in made(parser, ["\x1b]52;c;", *["1" * 4000] * 252])
    assert len(parser.begun) < 2000


def test_escape_is_a_key_after_a_tenth_of_a_second(clock: Clock) -> None:
    parser = TerminalParser()
    assert [*made(parser, ["\x1b"]), *clock.after(parser, 0.09)] == []
    assert clock.after(parser, 0.02) == ["escape"]
    assert made(parser, ["q", "\x1b\x1b", "\x1b[A"]) == ["q", "escape", "escape", "up"]
    assert [*made(parser, ["\x1b["]), *clock.after(parser, 0.11)] == ["alt"]
    assert [*made(parser, ["\x1b[["]), *clock.after(parser, 0.11)] == ["alt", "left_square_bracket"]


def test_the_app_takes_answers_for_nothing_and_alt_for_escape(storyteller: GPT2) -> None:
    async def check(app: ExplorerApp, pilot: Pilot[None]) -> None:
        parser, driver = TerminalParser(), keyboard.with_keyboard(HeadlessDriver)(app)
        heard: list[str] = []
        driver.answered = heard.append  # type: ignore[attr-defined]

        async def come(text: str) -> None:
            for event in parser.feed(text):
                driver.process_message(event)
            await pilot.pause()
            await until(pilot, lambda: not app.inbox.under_way, "all that came")

        def now() -> tuple[object, ...]:
            return (
                app.state,
                app.session.pane,
                app.focused,
                app.screen_stack[:],
                app.session.generating,
                app.tones,
                app.session.candidate,
                app.session.result,
                app.editor.text,
            )

        before = now()
        for answer in ANSWERS:
            await come(answer)
            assert (now(), heard) == (before, [answer])
            heard.clear()
        await come("/")
        assert app.focused is app.editor
        before = now()
        await come("".join(ANSWERS))
        assert now() == before
        await come("\x1b\rx\x1bb\x1b[C")
        assert app.editor.text.endswith("\nx"), "Alt and a key that is bound stays itself"
        await come("\x1ba")
        assert app.focused is not app.editor
        assert app.state.location.kind == "heads"
        await come("\x1b\r")
        assert app.state.location.kind == "block"

    drive(check, storyteller)


@examples(300)
@given(st.lists(st.text("\x1b[]OPX^_;:?<>=$ \"'&Mm0159cnRSTtuyqA~\x07\x18\\\x7f\x9b\x9déあ", max_size=6), max_size=12))
def test_after_anything_a_key_is_a_key(pieces: list[str]) -> None:
    """Whatever comes, cut anywhere: nothing breaks, and once it has had its time, Enter is Enter."""
    parser = TerminalParser()
    made(parser, filter(None, pieces))
    if parser.pasted is None:
        parser.until = 0.0
        list(parser.tick())
        assert made(parser, ["q", "\r"])[-1] == "enter"
