from __future__ import annotations

from itertools import combinations, pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import DEPTHS, THEMES, Palette, colour_256, contrast, luminance, nearest_256
from txexplain.viz.ramps import MASKED, Ramp, pool, pool2d, span

ROLES = ("query", "key", "value", "attention", "mlp", "residual")
TEXT = ("text", "muted", "faint", "accent", *ROLES, "drawn", "positive", "negative", "warning")
palettes = [Palette(theme, depth, ascii) for theme, depth, ascii in product(THEMES, DEPTHS, (False, True))]
ramps = [Ramp(kind, "attention", palette) for kind, palette in product(("sequential", "diverging"), palettes)]
numbers = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6))


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read(theme: str) -> None:
    colours = THEMES[theme]
    low = {(role, ground) for role in TEXT for ground in ("background", "panel") if contrast(colours[role], colours[ground]) < 4.5}
    low |= {(role, "cursor") for role in TEXT if role != "faint" and contrast(colours[role], colours["cursor"]) < 4.5}
    assert not low


@pytest.mark.parametrize("theme", THEMES)
def test_roles_differ_in_lightness(theme: str) -> None:
    colours = THEMES[theme]
    assert all(contrast(colours[a], colours[b]) >= 1.05 for a, b in combinations((*ROLES, "drawn"), 2))


def test_themes_name_the_same_roles() -> None:
    assert len({frozenset(roles) for roles in THEMES.values()}) == 1


@pytest.mark.parametrize(("role", "theme", "depth"), list(product(ROLES, THEMES, ("truecolor", "256"))))
def test_a_scale_moves_away_from_the_background_one_way_in_colours_that_differ(role: str, theme: str, depth: str) -> None:
    palette = Palette(theme, depth)
    ground = luminance(palette.rgb("background"))
    for kind in ("sequential", "diverging"):
        ramp = Ramp(kind, role, palette)
        assert len(ramp.colours) == ramp.levels
        shown = [nearest_256(colour) for colour in ramp.colours] if depth == "256" else ramp.colours
        assert len(set(shown)) == ramp.levels
        middle = 0 if kind == "sequential" else ramp.levels // 2
        for side in (ramp.colours[middle:], ramp.colours[middle::-1]):
            away = [abs(luminance(colour) - ground) for colour in side]
            assert all(a < b for a, b in pairwise(away))


@pytest.mark.parametrize("ramp", ramps, ids=str)
def test_levels_are_in_the_order_of_the_values(ramp: Ramp) -> None:
    values = np.linspace(-3, 5, 300)
    levels = ramp.quantise(values, -3, 5)
    assert (np.diff(levels) >= 0).all()
    assert levels[-1] == ramp.levels - 1
    if ramp.kind == "sequential":
        assert set(levels) == set(range(ramp.levels))
    else:
        assert ramp.quantise([0.0], -3, 5)[0] == ramp.levels // 2
        assert ramp.quantise([-5.0], -3, 5)[0] == 0
    assert (ramp.quantise([np.nan, -np.inf, np.inf], -3, 5) == MASKED).all()
    assert (ramp.quantise([2.0, 2.0], 2.0, 2.0) >= 0).all()


@pytest.mark.parametrize("ramp", ramps, ids=str)
def test_every_level_looks_different_and_masked_looks_like_none(ramp: Ramp) -> None:
    def look(level: int) -> tuple[str, int, int]:
        canvas = Canvas(2, 1, ramp.palette)
        ramp.cell(canvas, 0, 0, 2, level)
        fg = int(canvas.fg[0, 0]) if canvas.text()[0].strip() else 0
        return canvas.text()[0], fg, int(canvas.bg[0, 0])

    looks = [look(level) for level in [MASKED, *range(ramp.levels)]]
    assert len(set(looks)) == ramp.levels + 1
    if not ramp.coloured:
        assert len({text for text, _, _ in looks}) == ramp.levels + 1


@pytest.mark.parametrize("ramp", ramps, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (3, 2)])
def test_cells_all_at_once_are_the_cells_one_by_one(ramp: Ramp, size: tuple[int, int]) -> None:
    levels = np.random.default_rng(5).integers(MASKED, ramp.levels, (4, 6))
    once, each = Canvas(24, 12, ramp.palette), Canvas(24, 12, ramp.palette)
    for canvas in (once, each):
        canvas.fill(0, 0, 24, 12, "x", "text", "cursor")  # something may stand there already
    ramp.cells(once, (2, 1), size, levels)
    for row, column in np.ndindex(*levels.shape):
        for line in range(size[1]):
            ramp.cell(each, 2 + column * size[0], 1 + row * size[1] + line, size[0], int(levels[row, column]))
    assert once.text() == each.text()
    assert (once.bg == each.bg).all()
    inked = once.chars != " "
    assert (once.fg == each.fg)[inked].all()


@pytest.mark.parametrize(("theme", "depth"), list(product(THEMES, ("truecolor", "256"))))
def test_numbers_can_be_read_on_every_level(theme: str, depth: str) -> None:
    """In the colours that the terminal gets: with 256 of them both the ink and the level are the nearest of those."""
    palette = Palette(theme, depth)
    for role, kind in product(ROLES, ("sequential", "diverging")):
        ramp = Ramp(kind, role, palette)
        for level in range(ramp.levels):
            pair = (ramp.ink(level), ramp.colour(level))
            seen = [colour_256(nearest_256(colour)) for colour in pair] if depth == "256" else pair
            assert contrast(*seen) >= 4.5, (role, kind, level)


@given(numbers, st.integers(1, 70))
def test_a_pooled_vector_keeps_the_largest_and_says_so(values: np.ndarray, cells: int) -> None:
    pooled, words = pool(values, cells)
    assert len(pooled) == min(len(values), cells)
    assert np.abs(pooled).max() == np.abs(values).max()
    if words:
        assert len(values) > cells
        edges = [len(values) * i // cells for i in range(cells + 1)]
        for shown, a, b in zip(pooled, edges, edges[1:], strict=False):
            assert shown in values[a:b]
            assert abs(shown) == np.abs(values[a:b]).max()
        assert words.startswith(f"{cells} cells, each the largest of")
    else:
        assert (pooled == values).all()


@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 20))
def test_a_pooled_grid_keeps_the_largest(n: int, rows: int, columns: int) -> None:
    grid = np.arange(n * n, dtype=np.float64).reshape(n, n)
    pooled, factor = pool2d(grid, rows, columns)
    assert pooled.shape[0] <= min(rows, columns) or factor == 1
    for i, j in np.ndindex(pooled.shape):
        assert pooled[i, j] == grid[i * factor : (i + 1) * factor, j * factor : (j + 1) * factor].max()


def test_a_span_is_of_what_is_finite() -> None:
    assert span([3.0, -np.inf, -1.0, np.nan]) == (-1.0, 3.0)
    assert span([np.nan]) == (0.0, 0.0)
