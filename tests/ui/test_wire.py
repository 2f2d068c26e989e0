"""A thrifty wire shows on a terminal what the whole output would: two emulated terminals are compared cell by cell."""

from __future__ import annotations

import re
from itertools import pairwise
from random import Random

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.ui.terminal.wire import BEGIN, END, Wire

WIDTH, HEIGHT = 12, 4
calm = examples(300)
PLAIN = pyte.screens.Char(" ")

colours = st.sampled_from(
    ["38;2;1;2;3", "48;2;1;2;3", "38;2;9;8;7", "48;2;9;8;7", "31", "41", "92", "103", "39", "49", "38;5;7", "48;5;200"]
)
styles = st.lists(st.one_of(colours, st.sampled_from(["0", "1", "3", "4", "7", "9"])), min_size=1, max_size=3).map(";".join)
WAYS = dict(zip("▄▐▟▙▜▛▞", "▀▌▘▝▖▗▚", strict=True))  # each block that is another with its colours turned
texts = st.text(alphabet="ab  ▀▄▌▐▘▟▗▛▞█·", min_size=1, max_size=WIDTH)


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
    if text in WAYS and fg != "default" and bg != "default":
        text, fg, bg = WAYS[text], bg, fg
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
@given(st.lists(st.tuples(st.one_of(segments(), segments(), segments(), unknown), st.sampled_from([None, 0, 1, 20, 60])), max_size=10))
def test_what_waited_is_shown_in_the_end(parts: list[tuple[str, int | None]]) -> None:
    """However little room there was at each write, the terminal shows what all of them would have made it show."""
    wire = new_wire()
    sent = [wire.shrink("\x1b[H\x1b[2J"), *(wire.shrink(part, room) for part, room in parts), wire.flush(1), wire.flush()]
    assert shown(sent) == shown(["\x1b[H\x1b[2J", *(part for part, _ in parts)])
    assert wire.flush() == ""
    assert not wire.wanted


@calm
@given(st.lists(segments(), max_size=6), st.randoms(use_true_random=False))
def test_a_write_may_end_anywhere(parts: list[str], random: Random) -> None:
    """On Windows Textual cuts a frame into pieces, sequences too."""
    whole = "".join(parts)
    cuts = sorted(random.sample(range(len(whole) + 1), min(4, len(whole) + 1)))
    pieces = [whole[a:b] for a, b in pairwise([0, *cuts, len(whole)])]
    wire = new_wire()
    sent = [wire.shrink("\x1b[H\x1b[2J"), *map(wire.shrink, pieces)]
    assert shown(sent) == shown(["\x1b[H\x1b[2J", whole])
    assert re.fullmatch(r"(\x1b\[[0-9;]*H)?", wire.shrink(whole)), "and each piece was understood"


# All that Textual 8.2 can write besides frames, by its drivers, its app and its strips, and what the app adds.
QUIET = [
    "\x1b]22;pointer\x07", "\x1b]22;default\x1b\\", "\x1b]52;c;dHhleHBsYWlu\x07", "\x1b]52;c;eA==\x1b\\", "\x1b]0;title\x07", "\x1b]2;title\x1b\\",
    "\x1b[22;0t", "\x1b[23;0t", "\x1b[2 q", "\x1b[?25h", "\x1b[?25l", "\x07", "\x1b[?7l", "\x1b[?7h", "\x1b[?1000h", "\x1b[?1003h", "\x1b[?1015h",
    "\x1b[?1006h", "\x1b[?1016h", "\x1b[?1004h", "\x1b[?2004h", "\x1b[?2048h", "\x1b[?2048$p", "\x1b[?2026$p", "\x1b[>25u", "\x1b[>1u", "\x1b[<u",
    "\x1b[5n", "\x1b[6n", "\x1b[c", "\x1b[>q", "\x1b]11;?\x1b\\", "\x1bP$qm\x1b\\", "\x1b[16t",
]  # fmt: skip


@pytest.mark.parametrize("sequence", QUIET, ids=repr)
def test_what_changes_no_cell_passes_and_nothing_is_forgotten(sequence: str) -> None:
    wire = new_wire()
    wire.shrink("\x1b[1;1H\x1b[31mab\x1b[0m")
    assert wire.shrink(sequence) == sequence
    assert wire.shrink(sequence, 0) == sequence, "however little room there is"
    assert "ab" not in wire.shrink("\x1b[1;1H\x1b[31mab\x1b[0m")


def test_a_string_in_two_writes_is_one() -> None:
    wire = new_wire()
    wire.shrink("\x1b[1;1Hab")
    for pieces in (("\x1b]52;c;dHhl", "eHBsYWlu\x07"), ("\x1b]22;pointer\x1b", "\\"), ("\x1b", "]22;default\x07")):
        assert [wire.shrink(piece) for piece in pieces] == ["", "".join(pieces)]
    assert "ab" not in wire.shrink("\x1b[1;1Hab")


def test_where_a_text_leads_to_shows_in_no_cell() -> None:
    wire = new_wire()
    linked = "\x1b[1;1H\x1b]8;id=1;https://example.org\x1b\\\x1b[31mab\x1b[0m\x1b]8;;\x1b\\"
    assert wire.shrink(linked) == "\x1b[1;1H\x1b[31mab\x1b[m"
    assert "ab" not in wire.shrink(linked)


def test_rows_take_turns_and_the_newest_wins() -> None:
    """With room for one row at a time each comes once, though the first is written again and again, and none in an old version."""
    wire, rows = new_wire(), []
    for turn in range(HEIGHT):
        frame = "".join(f"\x1b[{y + 1};1H{turn}{y}" for y in range(HEIGHT))
        sent = wire.shrink(frame, 1)
        rows += re.findall(r"\x1b\[(\d+)(?:;\d+)?H(\d)", sent)
    assert [int(y) - 1 for y, _ in rows][:HEIGHT] == list(range(HEIGHT))
    assert [int(turn) for _, turn in rows] == list(range(HEIGHT))


def test_what_waits_goes_out_in_one_update_of_its_own() -> None:
    wire = new_wire()
    assert [wire.shrink(part, 0) for part in (BEGIN, "\x1b[1;1Hab", END)] == ["", "", ""]
    assert wire.flush() == f"{BEGIN}\x1b[1;1Hab{END}"
    assert wire.flush() == ""


def test_of_a_screen_that_is_cleared_nothing_waits() -> None:
    wire = new_wire()
    wire.shrink("\x1b[1;1Hab", 0)
    assert re.fullmatch(r"(\x1b\[[0-9;]*H)?\x1b\[\?1049l", wire.shrink("\x1b[?1049l"))
    assert wire.flush() == ""


def test_a_screen_that_is_cleared_leaves_the_cursor_where_it_was_to_be() -> None:
    parts = ["\x1b[H\x1b[2J", "\x1b[4;1H\x1b[31ma\x1b[0m\x1b[2;1H", "\x1b[2J"]
    wire = new_wire()
    assert shown([wire.shrink(part, room) for part, room in zip(parts, (None, 0, None), strict=True)]) == shown(parts)


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
