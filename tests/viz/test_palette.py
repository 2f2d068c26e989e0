from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from txexplain.viz.palette import ANSI, ASCII, INDEXED, LETTERS, THEMES, UNICODE, Palette, contrast, luminance, nearest_256
from txexplain.viz.ramps import Ramp

GROUNDS = ("background", "panel")
NOT_TEXT = ("background", "panel", "rule", "cursor")
TEXTS = sorted(set(THEMES["dark"]) - set(NOT_TEXT))
LANGUAGE = ("query", "key", "value", "attention", "mlp", "residual", "drawn")  # the colour language


def channel(value: int) -> float:
    part = value / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def wcag(a: int, b: int) -> float:
    """The contrast ratio by WCAG 2.1's definition, computed apart from the palette's."""
    one, two = (sum(w * channel(c >> shift & 255) for w, shift in ((0.2126, 16), (0.7152, 8), (0.0722, 0))) for c in (a, b))
    return (max(one, two) + 0.05) / (min(one, two) + 0.05)


def test_contrast_is_wcags() -> None:
    assert contrast(0x000000, 0xFFFFFF) == pytest.approx(21)
    assert contrast(0x777777, 0xFFFFFF) == pytest.approx(4.478, abs=0.001)
    for roles in THEMES.values():
        for a, b in combinations(roles.values(), 2):
            assert contrast(a, b) == pytest.approx(wcag(a, b))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", GROUNDS)
def test_every_text_can_be_read(theme: str, ground: str) -> None:
    roles = THEMES[theme]
    ratios = {role: round(wcag(roles[role], roles[ground]), 2) for role in TEXTS}
    assert not {role: ratio for role, ratio in ratios.items() if ratio < 4.5}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("role", ["text", "muted", "accent", "query", "key", "attention"])
def test_what_stands_under_the_cursor_can_be_read(theme: str, role: str) -> None:
    roles = THEMES[theme]
    assert wcag(roles[role], roles["cursor"]) >= (4.5 if role == "text" else 3.0)


def test_themes_have_the_same_roles() -> None:
    assert all(set(roles) == set(ANSI[theme]) == set(INDEXED[theme]) for theme, roles in THEMES.items())
    assert set(LETTERS) == set(LANGUAGE)
    assert len(set(LETTERS.values())) == len(LETTERS)


@pytest.mark.parametrize("theme", THEMES)
def test_roles_differ(theme: str) -> None:
    colours = [THEMES[theme][role] for role in LANGUAGE]
    assert len(set(colours)) == len(colours)
    lights = sorted(luminance(colour) for colour in colours)
    assert all(b - a > 1e-4 for a, b in pairwise(lights))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("depth", ["truecolor", "256"])
@pytest.mark.parametrize("role", ["attention", "value", "query", "key", "mlp", "residual"])
def test_a_sequential_scale_moves_one_way_from_the_background(theme: str, depth: str, role: str) -> None:
    ramp = Ramp("sequential", role, Palette(theme, depth))
    lights = [luminance(colour) for colour in ramp.colours]
    if theme == "light":
        lights = [-light for light in lights]
    assert len(lights) == ramp.levels
    assert all(b > a for a, b in pairwise(lights))
    assert ramp.colours[0] == Palette(theme, depth).rgb("background")
    if depth == "256":
        assert ramp.levels >= 7
        assert len({nearest_256(colour) for colour in ramp.colours}) == ramp.levels


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("depth", ["truecolor", "256"])
def test_a_diverging_scale_moves_both_ways_from_the_background(theme: str, depth: str) -> None:
    ramp = Ramp("diverging", "attention", Palette(theme, depth))
    lights = [luminance(colour) * (-1 if theme == "light" else 1) for colour in ramp.colours]
    middle = ramp.levels // 2
    assert ramp.levels == len(lights) == 2 * middle + 1
    assert all(b < a for a, b in pairwise(lights[: middle + 1]))
    assert all(b > a for a, b in pairwise(lights[middle:]))
    if depth == "256":
        assert len({nearest_256(colour) for colour in ramp.colours}) == ramp.levels


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", ["sequential", "diverging"])
@pytest.mark.parametrize("role", ["attention", "value"])
def test_a_number_on_a_level_can_be_read(theme: str, kind: str, role: str) -> None:
    ramp = Ramp(kind, role, Palette(theme))
    assert min(wcag(ramp.ink(level), ramp.colour(level)) for level in range(ramp.levels)) >= 3.8


def test_glyphs() -> None:
    for name, value in vars(ASCII).items():
        assert value.isascii(), name
        assert len(value) == len(getattr(UNICODE, name)) or name in ("bars", "rises", "shades", "upper", "infinity"), name
    assert len(UNICODE.bars) == len(UNICODE.rises) == 9
