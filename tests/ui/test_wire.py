"""A thrifty wire shows on a terminal what the whole output would: two emulated terminals are compared cell by cell."""

from __future__ import annotations

import re

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.ui.wire import BEGIN, END, Wire

WIDTH, HEIGHT = 12, 4
calm = examples(300)
PLAIN = pyte.screens.Char(" ")

colours = st.sampled_from(
    ["38;2;1;2;3", "48;2;1;2;3", "38;2;9;8;7", "48;2;9;8;7", "31", "41", "92", "103", "39", "49", "38;5;7", "48;5;200"]
)
styles = st.lists(st.one_of(colours, st.sampled_from(["0", "1", "3", "4", "7", "9"])), min_size=1, max_size=3).map(";".join)
texts = st.text(alphabet="ab  ▀▄█·", min_size=1, max_size=WIDTH)


@st.composite
def segments(draw: st.DrawFn) -> str:
    """What Textual writes: a move, styled text that stays on its line, a reset."""
    y, x = draw(st.integers(1, HEIGHT)), draw(st.integers(1, WIDTH))
    out = f"\x1b[{y};{x}H"
    room = WIDTH - x + 1
    for _ in range(draw(st.integers(1, 4))):
        text = draw(texts)[:room]
        room -= len(text)
        out += f"\x1b[{draw(styles)}m{text}\x1b[0m"
    return out + draw(st.sampled_from(["", "\n"] if y < HEIGHT else [""])) + f"\x1b[{draw(st.integers(1, HEIGHT))};1H"


unknown = st.sampled_from(
    ["\x1b[2J", "\x1b[?1049h\x1b[H\x1b[2J", "\x1b[1;1H\x1b[38;2;5;5;5mx\x1b[J\x1b[m", "\x1b]0;title\x07", "\x1b[31;1m\x1b[2J"]
)
writes = st.lists(st.one_of(segments(), segments(), segments(), unknown, st.just(BEGIN), st.just(END)), max_size=12)


def look(char: pyte.screens.Char) -> tuple[object, ...]:
    """What one sees of a cell."""
    fg, bg = char.fg, char.bg
    text = char.data
    if char.reverse:
        fg, bg = bg if bg != "default" else "ground", fg if fg != "default" else "ink"
    lines = (char.underscore, char.strikethrough)
    if text == "▄" and fg != "default" and bg != "default":
        text, fg, bg = "▀", bg, fg
    if text == " " and not any(lines):
        return (" ", bg)
    return (text, fg, bg, char.bold, char.italics, *lines)


def shown(stream: list[str]) -> tuple[list[list[tuple[object, ...]]], tuple[int, int]]:
    screen = pyte.Screen(WIDTH, HEIGHT)
    feed = pyte.Stream(screen)
    for part in stream:
        feed.feed(part)
    return [[look(screen.buffer[y][x]) for x in range(WIDTH)] for y in range(HEIGHT)], (screen.cursor.y, min(screen.cursor.x, WIDTH - 1))


def new_wire() -> Wire:
    wire = Wire()
    wire.resize(WIDTH, HEIGHT)
    return wire


@calm
@given(writes)
def test_what_is_shown_is_what_was_written(parts: list[str]) -> None:
    parts = ["\x1b[H\x1b[2J", *parts]
    wire = new_wire()
    assert shown([wire.shrink(part) for part in parts]) == shown(parts)


@calm
@given(st.lists(segments(), max_size=8))
def test_what_is_shown_already_is_not_sent_again(parts: list[str]) -> None:
    wire = new_wire()
    for part in parts:
        wire.shrink(part)
        assert re.fullmatch(r"(\x1b\[[0-9;]*H)?", wire.shrink(part))


@calm
@given(st.lists(segments(), min_size=1, max_size=8))
def test_less_is_sent(parts: list[str]) -> None:
    wire = new_wire()
    for part in parts:
        assert len(wire.shrink(part)) <= len(part) + len("\x1b[m\x1b[4;12H")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ab\u4e2dcd", "\u4e2dxcd"),
        ("abcd", "a\u4e2dd"),
        ("a\u4e2dd", "abcd"),
        ("e\u0301x", "ex"),
        ("\U0001f600\U0001f600", "a\U0001f600b"),
    ],
)
def test_rows_with_wide_or_combined_characters_come_out_right(first: str, second: str) -> None:
    parts = [f"\x1b[H\x1b[2J\x1b[2;1H{first}", f"\x1b[2;1H{second}", "\x1b[2;2Hz"]
    wire = new_wire()
    assert shown([wire.shrink(part) for part in parts]) == shown(parts)


@pytest.mark.parametrize(
    "written",
    [
        ["\x1b[1;1H\x1b[44m  \x1b[0m", "\x1b[1;1H\x1b[45m \x1b[0m"],  # a blank on another ground
        ["\x1b[1;1H\x1b[4m  \x1b[0m", "\x1b[1;1H  "],  # one that was underlined
        ["\x1b[1;1H\x1b[31m  \x1b[0m", "\x1b[1;1H\x1b[32;4m \x1b[0m"],
        ["\x1b[1;1H\x1b[31mab\x1b[0m", "\x1b[1;1H\x1b[32mab\x1b[0m", "\x1b[1;1H\x1b[32;1mab\x1b[0m", "\x1b[1;1H\x1b[32mab\x1b[0m"],
        ["\x1b[1;1H\x1b[38;2;1;1;1;48;2;2;2;2m▀\x1b[38;2;2;2;2;48;2;1;1;1m▀\x1b[0m"],
        ["\x1b[1;1H\x1b[31mx", "\x1b[2;1Hy\x1b[0m"],  # a look that lasts from one write to the next
        ["\x1b[31m\x1b[2J", "\x1b[1;1H\x1b[1mx\x1b[0m", "\x1b[2;1Hy"],  # one that was left by what isn't understood
        ["\x1b[4;12Hx", "\x1b[1;1Hy"],  # the last cell of all
    ],
)
def test_each_part_of_a_look_counts(written: list[str]) -> None:
    wire = new_wire()
    parts = ["\x1b[H\x1b[2J", *written]
    assert shown([wire.shrink(part) for part in parts]) == shown(parts)


def test_half_of_a_wide_character_is_not_taken_for_known() -> None:
    wire = new_wire()
    wire.shrink("\x1b[1;1H\u4e2d")
    wire.shrink("\x1b[1;2Hz")  # a terminal blanks the left half now
    assert "\u4e2d" in wire.shrink("\x1b[1;1H\u4e2d")


def test_a_ground_is_turned_into_an_ink_where_that_is_shorter() -> None:
    wire = new_wire()
    turned = wire.shrink("\x1b[1;1H\x1b[38;2;1;1;1;48;2;2;2;2m▀\x1b[0;38;2;2;2;2;48;2;1;1;1m▀\x1b[0m")
    assert turned == "\x1b[1;1H\x1b[38;2;1;1;1;48;2;2;2;2m▀▄\x1b[m"


def test_an_empty_update_is_no_update() -> None:
    wire = new_wire()
    assert wire.shrink(BEGIN) + wire.shrink("\x1b[1;1Hab") + wire.shrink(END) == f"{BEGIN}\x1b[1;1Hab\x1b[1;3H{END}".replace(
        "\x1b[1;3H", ""
    )
    assert wire.shrink(BEGIN) + wire.shrink("\x1b[1;1Hab") + wire.shrink(END) == ""


def test_after_forgetting_all_is_sent_again() -> None:
    wire = new_wire()
    wire.shrink("\x1b[1;1Hab")
    wire.forget()
    assert "ab" in wire.shrink("\x1b[1;1Hab")
    wire.resize(WIDTH, HEIGHT)
    assert "ab" in wire.shrink("\x1b[1;1Hab")


def test_what_is_not_understood_is_soon_forgotten() -> None:
    wire = new_wire()
    wire.shrink("\x1b[?1049h\x1b]0;title\x07")
    wire.shrink("\x1b[1;1H\x1b[31mab\x1b[0m")
    assert "ab" not in wire.shrink("\x1b[1;1H\x1b[31mab\x1b[0m")
    wire.shrink("\x1b[58;5;3m")  # a colour of underlines, say
    assert wire.shrink("\x1b[1;1Hab") == "\x1b[1;1Hab"
    wire.shrink("\x1b[0m")
    wire.shrink("\x1b[1;1Hab")
    assert "ab" not in wire.shrink("\x1b[1;1Hab")
