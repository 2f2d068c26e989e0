"""Pictures in pixels: their edges lie where the shapes' own functions say, and cells that aren't computed have one colour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.viz.test_shapes import layers, picture_of
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import THEMES, Palette, blend, split
from txexplain.viz.pixels import STEPS, edged, pixels
from txexplain.viz.raster import cells, samples
from txexplain.viz.shapes import Field, Picture, Ribbon, rectangle
from txexplain.viz.tiles import Tiles, is_tile

PALETTE = Palette()
FINER = 8  # points of a pixel, each way, that the reference looks at


def whole(picture: Picture, cell: tuple[int, int], faded: float = 0.0) -> np.ndarray:
    """All of a picture's pixels. Shapes: -> [h, w] of 0xRRGGBB."""
    h, w = picture.height, picture.width
    blocks = pixels(picture, PALETTE, cell, np.ones((h, w), dtype=bool), faded)
    return blocks.reshape(h, w, cell[1], cell[0]).swapaxes(1, 2).reshape(h * cell[1], w * cell[0])


def inside(shape: Field | Ribbon, size: tuple[int, int], cell: tuple[int, int]) -> np.ndarray:
    """How much of each pixel is in a shape, by looking at many points of it. Shapes: -> [h, w] of 0 … 1."""
    across, down = cell[0] * FINER, cell[1] * FINER
    x, y = (np.arange(size[0] * across) + 0.5) / across, (np.arange(size[1] * down) + 0.5) / down
    tops, bottoms = shape.edges(np.clip(x, shape.x0, shape.x1))
    held = (y[:, None] >= tops) & (y[:, None] < bottoms) & (x >= shape.x0) & (x < shape.x1)
    return held.reshape(size[1] * cell[1], FINER, size[0] * cell[0], FINER).mean(axis=(1, 3))


@pytest.mark.parametrize("cell", [(8, 16), (9, 18), (5, 11)])
@given(
    st.one_of(
        st.builds(Ribbon, st.just(0), st.just(6), st.floats(0.5, 4.5), st.floats(0.5, 4.5), st.floats(0.1, 2), st.just(1.0)),
        st.builds(Field, st.just(1), st.just(5), st.just((0.5, 1.5)), st.tuples(st.floats(0, 3), st.floats(3, 5)), st.just(1.0)),
    )
)
@examples(20)
def test_each_pixel_has_as_much_of_a_shape_as_lies_in_it(cell: tuple[int, int], shape: Field | Ribbon) -> None:
    shown = whole(picture_of([("attention", [shape])]), cell)
    ground, ink = (np.array(split(PALETTE.rgb(role)), dtype=float) for role in ("background", "attention"))
    part = ((np.stack([shown >> 16, shown >> 8 & 255, shown & 255], axis=-1) - ground) / (ink - ground)).mean(axis=-1)
    off = np.abs(part - inside(shape, (6, 5), cell))
    assert off.mean() < 0.02
    assert off.max() < 0.5 / STEPS + 0.2  # its two edges run straight through a pixel, and are as long on their way as they are steep


@given(layers)
@examples(40)
def test_only_cells_that_are_computed_have_more_than_one_colour_and_the_others_are_as_in_glyphs(parts: list[object]) -> None:
    picture, cell = picture_of(parts), (7, 13)  # type: ignore[arg-type]
    where, blocks = edged(picture, PALETTE, cell)
    every = pixels(picture, PALETTE, cell, np.ones_like(where)).reshape(5, 6, 13, 7)
    assert (blocks == every[where]).all()
    rest = every[~where].reshape(-1, 7 * 13)
    assert (rest == rest[:, :1]).all()
    ground = samples(picture, PALETTE)[4::8, 4::8][~where][:, None]
    for shift in (16, 8, 0):
        assert (np.abs((rest >> shift & 255) - (ground >> shift & 255)) <= 1).all()


def test_shapes_of_a_layer_show_the_strongest_and_layers_lie_over_one_another() -> None:
    picture = picture_of(
        [("residual", [rectangle(0, 0, 4, 1, 0.2), rectangle(2, 0, 4, 1, 0.6)]), ("attention", [rectangle(3, 0, 1, 1, 0.5)])]
    )
    row = whole(picture, (8, 16))[0, ::8].tolist()
    weak, strong = (blend(PALETTE.rgb("background"), PALETTE.rgb("residual"), part) for part in (0.2, 0.6))
    assert row == [weak, weak, strong, blend(strong, PALETTE.rgb("attention"), 0.5), strong, strong]
    assert whole(picture, (8, 16), faded=1.0)[0, ::8].tolist() == [PALETTE.rgb("background")] * 6


@pytest.mark.parametrize("theme", THEMES)
def test_a_layer_turns_from_one_role_to_another_between_cells(theme: str) -> None:
    picture, palette = Picture(12, 1), Palette(theme)
    picture.add("query", rectangle(0, 0, 12, 1), into="value")
    shown = pixels(picture, palette, (4, 8), np.ones((1, 12), dtype=bool))
    assert (shown == shown[:, :1, :1]).all()
    colours = shown[:, 0, 0].tolist()
    assert colours == cells(picture, palette)[2][0].tolist()


def test_a_canvas_has_tiles_where_a_picture_has_edges_and_nothing_above_it() -> None:
    picture = picture_of([("attention", [Ribbon(0, 6, 0.5, 4.5, 1.0, 0.9)])])
    canvas, tiles = Canvas(8, 7, PALETTE), Tiles((8, 16))
    canvas.show(1, 1, picture)
    canvas.put(3, 3, "ab")
    placed = tiles.place(canvas)
    where, blocks = edged(picture, PALETTE, (8, 16))
    for y in range(7):
        for x in range(8):
            inside = 0 <= y - 1 < 5 and 0 <= x - 1 < 6
            if inside and where[y - 1, x - 1] and canvas.chars[y, x] not in "ab":
                block = blocks[int(where[: y - 1].sum() + where[y - 1, : x - 1].sum())]
                if is_tile(placed.chars[y, x]):
                    assert (tiles.blocks[placed.chars[y, x]] == block).all()
                else:
                    assert placed.chars[y, x] == " "
                    assert (block == placed.bg[y, x]).all()
            else:
                assert placed.chars[y, x] == canvas.chars[y, x]
                assert placed.bg[y, x] == canvas.bg[y, x]
    assert tiles.place(canvas).text() == placed.text()
    assert len(tiles.blocks) == len({char for char in placed.chars.ravel() if is_tile(char)})


def test_where_no_more_tiles_are_left_they_begin_anew() -> None:
    tiles = Tiles((8, 16))
    tiles.most = 40
    for step in range(20):
        canvas = Canvas(6, 5, PALETTE)
        canvas.show(0, 0, picture_of([("attention", [Ribbon(0, 6, 0.5, 1 + step / 8, 1.0, 0.9)])]))
        placed = tiles.place(canvas)
        used = {char for char in placed.chars.ravel() if is_tile(char)}
        assert used
        assert used <= tiles.blocks.keys()
        assert len(tiles.blocks) <= 40
    assert tiles.age > 0
    tiles.most = 3
    assert tiles.place(canvas) is canvas
