from __future__ import annotations

import unicodedata
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment

from tests.examples import examples
from txexplain.viz.canvas import BOLD, DIM, REVERSE, STRIKE, UNDERLINE, Canvas
from txexplain.viz.palette import THEMES, Palette, nearest_256
from txexplain.viz.svg import svg

WIDTH, HEIGHT = 17, 4
ODD = "\x00\x07\x1b\t\r\n\x7f\x9b\u200b\u200d\u200e\u202e\u2066\ufe0f\u0301\u20dd\ud800\ufffe\U000e0041"
texts = st.text(st.one_of(st.sampled_from("ab 0−×▀│中あ한🙂ｗ" + ODD), st.characters()), max_size=12)
roles = st.sampled_from(["text", "muted", "query", "accent"])
grounds = st.none() | st.sampled_from(["panel", "cursor", "background"])
attributes = st.sampled_from([0, BOLD, DIM, UNDERLINE, STRIKE, REVERSE, BOLD | UNDERLINE])
columns, lines = st.integers(-6, WIDTH + 3), st.integers(-2, HEIGHT + 1)
palettes = st.builds(Palette, st.sampled_from(list(THEMES)), st.sampled_from(["truecolor", "256", "16", "none"]), st.booleans())
puts = st.tuples(
    st.just("put"),
    columns,
    lines,
    texts,
    roles,
    grounds,
    attributes,
    st.none() | st.integers(0, 12),
    st.sampled_from(["left", "right", "center"]),
)
fills = st.tuples(st.just("fill"), columns, lines, st.integers(0, 9), st.integers(0, 3), grounds)
pictures = st.tuples(st.just("pixels"), columns, lines, st.integers(0, 6), st.integers(0, 2), st.integers(0, 99))
styles = st.tuples(st.just("style"), columns, lines, st.integers(0, 9), st.integers(0, 3), roles, grounds, attributes)
blits = st.tuples(st.just("blit"), columns, lines, texts, texts)
steps = st.lists(st.one_of(puts, puts, fills, pictures, styles, blits), max_size=8)


def drawn(script: list[tuple], palette: Palette) -> Canvas:
    """A canvas on which every step of a script was drawn."""
    canvas = Canvas(WIDTH, HEIGHT, palette)
    for name, x, y, *rest in script:
        if name == "put":
            text, fg, bg, attrs, width, align = rest
            canvas.put(x, y, text, fg, bg, attrs, width=width, align=align)
        elif name == "fill":
            canvas.fill(x, y, rest[0], rest[1], bg=rest[2])
        elif name == "style":
            canvas.style(x, y, rest[0], rest[1], rest[2], rest[3], rest[4])
        elif name == "blit":
            other = Canvas(7, 2, palette)
            other.put(0, 0, rest[0])
            other.put(0, 1, rest[1])
            canvas.blit(other, x, y)
        elif palette.pixels:
            width, height, seed = rest
            canvas.pixels(x, y, np.random.default_rng(seed).integers(0, 3, (2 * height, width, 3)).astype(np.uint8) * 100)
    return canvas


def assert_whole(canvas: Canvas) -> None:
    """Every row fills the canvas exactly, no wide character is cut, and no cell holds what a terminal would obey."""
    for y, row in enumerate(canvas.text()):
        assert cell_len(row) == canvas.width, (y, row)
        for x, cell in enumerate(canvas.chars[y]):
            if cell == "":
                assert x > 0
                assert cell_len(canvas.chars[y, x - 1]) == 2
            else:
                assert cell_len(cell) in (1, 2)
                assert (cell_len(cell) == 2) == (x + 1 < canvas.width and canvas.chars[y, x + 1] == "")
            assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in cell), (y, x, cell)
            assert not canvas.palette.ascii or cell.isascii()


@given(steps, palettes)
def test_whatever_is_drawn_the_rows_stay_whole(script: list[tuple], palette: Palette) -> None:
    assert_whole(drawn(script, palette))


@given(texts, st.integers(0, 12), st.sampled_from(["left", "right", "center"]))
def test_a_width_is_kept(text: str, width: int, align: str) -> None:
    canvas = Canvas(30, 1, Palette())
    canvas.fill(0, 0, 30, 1, "#")
    assert canvas.put(3, 0, text, width=width, align=align) == width
    assert canvas.text()[0].startswith("###")
    assert canvas.text()[0].endswith("#" * (27 - width))
    assert_whole(canvas)


def test_text_is_cut_with_an_ellipsis_and_never_inside_a_character() -> None:
    canvas = Canvas(8, 6, Palette())
    canvas.put(0, 0, "abcdefgh", width=5)
    canvas.put(0, 1, "中中中", width=5)
    canvas.put(7, 2, "中")
    canvas.put(-1, 3, "中x")
    canvas.put(0, 4, "中中中中")
    canvas.put(3, 4, "x")
    canvas.put(0, 5, "ab", width=4, align="right")
    assert canvas.text() == ["abcd…   ", "中中…   ", "        ", " x      ", "中 x中中", "  ab    "]


def test_text_outside_the_canvas_is_dropped() -> None:
    canvas = Canvas(4, 2, Palette())
    for x, y in ((0, -1), (0, 2), (4, 0), (-9, 0)):
        assert canvas.put(x, y, "abcde") == 5
    canvas.fill(-3, -3, 2, 2, "x")
    canvas.fill(9, 9, 2, 2, "x")
    assert canvas.text() == ["    ", "    "]


@pytest.mark.parametrize("hostile", ["\x1b[31mred", "a\rb", "a\tb", "\u202eabc", "\u2066x\u2069", "a\u200db", "\x9b2J", "a\nb"])
def test_nothing_that_a_terminal_obeys_reaches_a_cell(hostile: str) -> None:
    canvas = Canvas(20, 1, Palette())
    canvas.put(0, 0, hostile)
    assert_whole(canvas)
    assert "?" in canvas.text()[0]


def looks(segments: list[Segment]) -> list[tuple[str, object]]:
    return [(char, segment.style) for segment in segments for char in segment.text]


@given(steps, palettes)
def test_a_line_has_each_cells_own_looks(script: list[tuple], palette: Palette) -> None:
    canvas = drawn(script, palette)
    for y, line in zip(range(HEIGHT), canvas.lines(range(HEIGHT)), strict=True):
        cells = [(x, char) for x in range(WIDTH) for char in canvas.chars[y, x]]
        for (x, char), (shown, style) in zip(cells, looks(line), strict=True):
            attrs = int(canvas.attrs[y, x])
            assert shown == char
            assert bool(style.bold) == bool(attrs & BOLD)
            assert bool(style.underline) == bool(attrs & UNDERLINE)
            assert bool(style.reverse) == bool(attrs & REVERSE)
            if palette.depth == "truecolor":
                assert style.bgcolor.triplet.hex == f"#{canvas.bg[y, x]:06x}"
                if char != " " or attrs & (UNDERLINE | STRIKE | REVERSE):
                    assert style.color.triplet.hex == f"#{canvas.fg[y, x]:06x}"
            elif palette.depth == "none":
                assert style.color is None
                assert style.bgcolor is None


def visible(canvas: Canvas) -> list[list[tuple]]:
    """What can be seen of each cell: the colour of an empty cell's character can't."""
    rows = []
    for y in range(canvas.height):
        row = []
        for x in range(canvas.width):
            char, attrs = canvas.chars[y, x], int(canvas.attrs[y, x])
            ink = int(canvas.fg[y, x]) if char != " " or attrs & (UNDERLINE | STRIKE | REVERSE) else None
            row.append((char, ink, int(canvas.bg[y, x]), attrs))
        rows.append(row)
    return rows


@given(steps, steps, palettes)
@examples(120)
def test_sending_only_the_difference_gives_the_new_canvas(before: list[tuple], after: list[tuple], palette: Palette) -> None:
    old, new = drawn(before, palette), drawn(after, palette)
    screen = drawn(before, palette)
    seen: set[tuple[int, int]] = set()
    for x, y, width in new.diff(old):
        assert width > 0
        assert 0 <= x <= x + width <= WIDTH
        cells = {(i, y) for i in range(x, x + width)}
        assert not cells & seen
        seen |= cells
        for canvas in (old, new):  # no span begins or ends inside a wide character
            assert canvas.chars[y, x] != ""
            assert x + width == WIDTH or canvas.chars[y, x + width] != ""
        for plane in ("chars", "fg", "bg", "attrs"):
            getattr(screen, plane)[y, x : x + width] = getattr(new, plane)[y, x : x + width]
    assert visible(screen) == visible(new)
    for y, (a, b) in enumerate(zip(visible(old), visible(new), strict=True)):
        assert all((x, y) in seen for x in range(WIDTH) if a[x] != b[x])
    assert new.diff(new) == []


def test_the_changes_of_a_row_are_sent_as_one_run() -> None:
    old, new = Canvas(40, 2, Palette()), Canvas(40, 2, Palette())
    for x in (3, 8, 30):
        new.put(x, 1, "x")
    assert new.diff(old) == [(3, 1, 28)]


@pytest.mark.parametrize(("before", "after", "lit", "run"), [
    ("a世b", "a界b", (0, 0), (1, 0, 2)),  # the second halves are the same
    ("a世b", "axyb", (0, 0), (1, 0, 2)),
    ("axxb", "a世b", (0, 0), (1, 0, 2)),
    ("a世b", "a世b", (2, 1), (1, 0, 2)),  # only the second half looks otherwise
    ("a世b", "a世b", (1, 1), (1, 0, 2)),
])  # fmt: skip
def test_a_run_has_wide_characters_whole(before: str, after: str, lit: tuple[int, int], run: tuple[int, int, int]) -> None:
    old, new = Canvas(9, 1, Palette()), Canvas(9, 1, Palette())
    old.put(0, 0, before)
    new.put(0, 0, after)
    new.style(lit[0], 0, lit[1], 1, bg="cursor")
    assert new.diff(old) == [run]


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 99), st.integers(-3, 9), st.integers(-2, 4))
def test_pixels_are_two_to_a_cell(width: int, height: int, seed: int, x: int, y: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 2, (2 * height, width, 3)).astype(np.uint8) * 255
    canvas = Canvas(10, 4, Palette())
    canvas.pixels(x, y, rgb)
    values = rgb.astype(int) @ np.array([1 << 16, 1 << 8, 1])
    for row in range(height):
        for column in range(width):
            at, line = x + column, y + row
            if 0 <= at < 10 and 0 <= line < 4:
                char = canvas.chars[line, at]
                assert char in " ▀"
                assert canvas.bg[line, at] == values[2 * row + 1, column]
                assert (canvas.fg if char == "▀" else canvas.bg)[line, at] == values[2 * row, column]


def test_the_topmost_target_answers() -> None:
    inner = Canvas(4, 2, Palette())
    inner.target(0, 0, 2, 1, "inner")
    canvas = Canvas(10, 4, Palette())
    canvas.target(0, 0, 10, 4, "whole")
    canvas.blit(inner, 3, 1)
    canvas.target(4, 1, 1, 1, "above")
    assert [canvas.hit(x, 1) for x in (2, 3, 4, 5)] == ["whole", "inner", "above", "whole"]
    assert canvas.hit(3, 2) == "whole"
    assert canvas.hit(10, 0) is None
    assert canvas.hit(0, -1) is None


@given(steps, st.floats(0, 1))
def test_fading_moves_every_colour_towards_the_background(script: list[tuple], amount: float) -> None:
    canvas, faded = drawn(script, Palette()), drawn(script, Palette())
    faded.fade(amount)
    assert canvas.text() == faded.text()
    ground = THEMES["dark"]["background"]
    for before, after in ((canvas.fg, faded.fg), (canvas.bg, faded.bg)):
        for shift in (16, 8, 0):
            a, b, g = before >> shift & 255, after >> shift & 255, ground >> shift & 255
            assert (np.abs(b - g) <= np.abs(a - g)).all()
            assert (np.abs(b - (a + (g - a) * amount)) <= 1).all()
    plain = drawn(script, Palette(depth="16"))
    plain.fade(amount)
    assert (plain.attrs & DIM).all()


@given(steps, palettes)
@examples(50)
def test_a_picture_is_whole_in_itself(script: list[tuple], palette: Palette) -> None:
    canvas = drawn(script, palette)
    picture = svg(canvas)
    assert picture == svg(drawn(script, palette))
    root = ElementTree.fromstring(picture)
    assert picture.count("http") == 1  # the namespace
    assert not any(word in picture for word in ("url(", "href", "@import", "@font-face", "<image", "<style", "<script"))
    words = "".join(node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text"))
    blocks = " ▀█▏▎▍▌▋▊▉▁▂▃▄▅▆▇"
    want = "".join(c for row in canvas.text() for c in row if c not in blocks)
    assert words.replace(" ", "").replace("\xa0", "") == want.replace("\xa0", "")


@given(st.integers(0, 0xFFFFFF))
def test_the_256_colours_are_the_nearest(rgb: int) -> None:
    cube = [0, 95, 135, 175, 215, 255]
    table = [(r, g, b) for r in cube for g in cube for b in cube] + [(8 + 10 * i,) * 3 for i in range(24)]
    errors = [sum((a - b) ** 2 for a, b in zip(colour, (rgb >> 16, rgb >> 8 & 255, rgb & 255), strict=True)) for colour in table]
    assert errors[nearest_256(rgb) - 16] == min(errors)
