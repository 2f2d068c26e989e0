"""Shapes in cells: where they lie, how thick they look, and that each cell shows them as well as its characters can."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette, blend
from txexplain.viz.raster import FINE, cells, samples, strokes
from txexplain.viz.shapes import ASPECT, Field, Picture, Ribbon, rectangle
from txexplain.viz.svg import BLOCKS

ROLES = ("residual", "attention", "query", "panel")
eighths = st.integers(0, 40).map(lambda n: n / 8)
rectangles = st.builds(rectangle, eighths, eighths, eighths, eighths, st.sampled_from([0.1, 0.5, 1.0]))
ribbons = st.builds(
    Ribbon, st.integers(0, 3), st.integers(4, 6), st.floats(0, 5), st.floats(0, 5), st.floats(0.3, 3), st.sampled_from([0.35, 0.9])
)
layers = st.lists(st.tuples(st.sampled_from(ROLES), st.lists(st.one_of(rectangles, ribbons), min_size=1, max_size=3)), max_size=3)


def picture_of(parts: list[tuple[str, list[Field | Ribbon]]], size: tuple[int, int] = (6, 5)) -> Picture:
    picture = Picture(*size)
    for role, shapes in parts:
        picture.add(role, *shapes)
    return picture


def shown(canvas: Canvas) -> np.ndarray:
    """A canvas as samples, each block drawn where the SVG pictures draw it. Shapes: -> [8h, 8w]."""
    across, down = FINE
    image = canvas.bg.astype(np.int64).repeat(down, axis=0).repeat(across, axis=1)
    for y, x in np.argwhere(np.isin(canvas.chars, list(BLOCKS))).tolist():
        left, top, width, height = BLOCKS[canvas.chars[y, x]]
        rows = slice(y * down + round(top * down), y * down + round((top + height) * down))
        image[rows, x * across + round(left * across) : x * across + round((left + width) * across)] = canvas.fg[y, x]
    return image


def drawn(picture: Picture, palette: Palette) -> np.ndarray:
    canvas = Canvas(picture.width, picture.height, palette)
    canvas.show(0, 0, picture)
    return shown(canvas)


def error(a: np.ndarray, b: np.ndarray) -> float:
    channels = [(a >> shift & 255) - (b >> shift & 255) for shift in (16, 8, 0)]
    return float(sum((c.astype(float) ** 2).sum() for c in channels))


@pytest.mark.parametrize("corner", list(product((0.0, 0.5), repeat=2)))
@pytest.mark.parametrize("glyphs", ["edge", "half"])
def test_what_halves_and_quarters_can_show_is_shown_as_it_is(corner: tuple[float, float], glyphs: str) -> None:
    palette = Palette(blocks=glyphs)
    picture = picture_of([("attention", [rectangle(1 + corner[0], 1 + corner[1], 2, 2.5)])])
    same = drawn(picture, palette) == samples(picture, palette)
    assert same.all() == (glyphs == "edge" or corner[0] == 0)


@pytest.mark.parametrize("eighth", range(9))
def test_edges_lie_to_an_eighth_of_a_cell(eighth: int) -> None:
    for shape in (rectangle(0, 2 - eighth / 8, 6, 3), rectangle(0, 0, 2 + eighth / 8, 5)):
        picture = picture_of([("query", [shape])])
        assert (drawn(picture, Palette()) == samples(picture, Palette())).all()


@given(layers)
@examples(60)
def test_every_colour_of_a_cell_is_one_of_its_pictures_and_finer_blocks_are_no_worse(parts: list[tuple[str, list[Field | Ribbon]]]) -> None:
    picture = picture_of(parts)
    exact = samples(picture, Palette())
    found = {glyphs: drawn(picture, Palette(blocks=glyphs)) for glyphs in ("half", "edge")}
    down, across = FINE[1], FINE[0]
    for y, x in product(range(5), range(6)):
        cell = (slice(y * down, (y + 1) * down), slice(x * across, (x + 1) * across))
        for image in found.values():
            assert set(np.unique(image[cell])) <= set(np.unique(exact[cell]))
    flat = cells(picture, Palette())[2].repeat(down, axis=0).repeat(across, axis=1)
    assert error(found["edge"], exact) <= error(flat, exact) + 1
    assert error(found["edge"], exact) <= 1.25 * error(found["half"], exact) + 1  # the colours that are there aren't the means


def test_where_shapes_of_a_layer_overlap_the_stronger_shows_and_layers_lie_over_one_another() -> None:
    palette = Palette()
    picture = picture_of(
        [("residual", [rectangle(0, 0, 4, 1, 0.2), rectangle(2, 0, 4, 1, 0.6)]), ("attention", [rectangle(3, 0, 1, 1, 0.5)])]
    )
    row = samples(picture, palette)[0, ::8].tolist()
    weak, strong = (blend(palette.rgb("background"), palette.rgb("residual"), part) for part in (0.2, 0.6))
    assert row == [weak, weak, strong, blend(strong, palette.rgb("attention"), 0.5), strong, strong]


@given(st.floats(0, 5), st.floats(0, 5), st.floats(0.3, 2))
def test_a_ribbon_goes_from_its_source_to_its_target_and_is_as_thick_all_along(y0: float, y1: float, thickness: float) -> None:
    ribbon = Ribbon(0, 40, y0, y1, thickness, 1.0)
    x = np.linspace(0, 40, 401)
    top, bottom = ribbon.edges(x)
    middle = (top + bottom) / 2
    assert middle[0] == pytest.approx(y0)
    assert middle[-1] == pytest.approx(y1)
    slope = np.gradient(middle, x) * ASPECT
    across = (bottom - top) / np.sqrt(1 + slope * slope)  # at right angles to its way, in cell heights
    assert across[1:-1] == pytest.approx(thickness, rel=0.02)


def test_a_steep_ribbon_stays_between_its_ends() -> None:
    top, bottom = Ribbon(0, 2, 1.0, 14.0, 1.4, 1.0).edges(np.linspace(0, 2, 50))
    assert top.min() >= 1.0 - 0.7
    assert bottom.max() <= 14.0 + 0.7


def test_a_field_turns_from_one_role_to_another() -> None:
    picture = Picture(12, 1)
    picture.add("query", Field(0, 12, (0, 1), (0, 1), 1.0), into="key")
    palette = Palette()
    row = samples(picture, palette)[0]
    steps = row[np.r_[True, row[1:] != row[:-1]]].tolist()
    assert len(steps) == len(set(steps)) >= 4
    red = [colour >> 16 for colour in steps]
    assert red == sorted(red)
    assert palette.rgb("query") >> 16 < red[0] < red[-1] < palette.rgb("key") >> 16
    few = np.unique(samples(picture, Palette(depth="256"))).tolist()
    assert few == sorted({Palette(depth="256").step(role, 1.0) for role in ("query", "key")})


def test_what_lies_outside_a_picture_is_cut() -> None:
    part, whole = Picture(4, 3), Picture(10, 9)
    shapes = [Ribbon(-3, 7, -2.0, 6.0, 1.0, 0.5), rectangle(-2, -2, 20, 20, 0.1)]
    part.add("attention", *shapes)
    whole.add("attention", *[Ribbon(0, 10, 1.0, 9.0, 1.0, 0.5), rectangle(0, 0, 20, 20, 0.1)])
    assert (samples(part, Palette()) == samples(whole, Palette())[24:48, 24:56]).all()


def test_the_theme_of_contrast_lifts_what_is_weak() -> None:
    picture = picture_of([("residual", [rectangle(0, 0, 6, 5, 0.2)])])
    palette = Palette("contrast")
    assert int(samples(picture, palette)[0, 0]) == blend(palette.rgb("background"), palette.rgb("residual"), 0.32)


@given(ribbons)
@examples(30)
def test_where_colours_are_few_a_ribbon_is_dots_where_it_lies(ribbon: Ribbon) -> None:
    picture = picture_of([("attention", [ribbon])])
    chars, roles = strokes(picture)
    codes = np.array([[ord(char) - 0x2800 if char != " " else 0 for char in row] for row in chars])
    x = (np.arange(12) + 0.5) / 2
    top, bottom = ribbon.edges(np.clip(x, ribbon.x0, ribbon.x1))
    for column, row in product(range(12), range(20)):
        bit = ((1, 2, 4, 64), (8, 16, 32, 128))[column % 2][row % 4]
        shown, y = bool(codes[row // 4, column // 2] & bit), (row + 0.5) / 4
        inside = ribbon.x0 <= x[column] < ribbon.x1 and top[column] <= y < bottom[column]
        assert shown >= inside
        if shown and not inside:  # the thinnest has a dot in each column all the same
            assert top[column] - 1e-9 <= y <= top[column] + 0.25 + 1e-9
        assert roles[row // 4, column // 2] == ("attention" if codes[row // 4, column // 2] else "")


def test_where_colours_are_few_bands_are_lines_as_heavy_as_they_are_strong_and_small_ones_shades() -> None:
    bands = [rectangle(0, row, 6, 1, strength) for row, strength in enumerate((0.6, 0.35, 0.2, 0.1))]
    chars, roles = strokes(
        picture_of([("panel", [rectangle(0, 0, 6, 5)]), ("residual", bands), ("query", [rectangle(1, 4.5, 1, 0.5, 0.8)])])
    )
    assert ["".join(row) for row in chars] == ["═" * 6, "━" * 6, "─" * 6, " " * 6, " █    "]
    assert set(np.unique(roles).tolist()) == {"", "residual", "query"}
