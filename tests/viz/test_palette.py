from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from txexplain.viz.palette import ANSI, ASCII, INDEXED, THEMES, UNICODE, Palette, contrast, luminance, nearest_256, split
from txexplain.viz.ramps import Ramp

GROUNDS = ("background", "panel")
NOT_TEXT = ("background", "panel", "rule", "cursor")
TEXTS = sorted(set(THEMES["dark"]) - set(NOT_TEXT))
LANGUAGE = ("query", "key", "value", "attention", "mlp", "residual", "drawn")  # the colour language

# Roles that lie on or beside one another in a picture: the groups of a block, ribbons on the stream, lines that meet a grid or "out".
NEIGHBOURS = (
    ("query", "key"), ("key", "value"), ("query", "value"), ("attention", "mlp"), ("attention", "residual"), ("mlp", "residual"),
    ("query", "attention"), ("key", "attention"), ("value", "attention"), ("residual", "query"), ("residual", "key"), ("residual", "value"),
    ("query", "mlp"), ("drawn", "text"), ("drawn", "attention"), ("drawn", "residual"), ("positive", "negative"),
)  # fmt: skip
# How linear RGB looks to who lacks a kind of cone altogether (Machado, Oliveira and Fernandes 2009, severity 1).
SIGHT = {
    "all cones": np.eye(3),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]),
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
}
XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]])  # of sRGB, D65


def channel(value: int) -> float:
    part = value / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def wcag(a: int, b: int) -> float:
    """The contrast ratio by WCAG 2.1's definition, computed apart from the palette's."""
    one, two = (sum(w * channel(c >> shift & 255) for w, shift in ((0.2126, 16), (0.7152, 8), (0.0722, 0))) for c in (a, b))
    return (max(one, two) + 0.05) / (min(one, two) + 0.05)


def lab(rgb: int, sight: str) -> np.ndarray:
    """A colour in CIELAB as an eye sees it."""
    linear = np.array([channel(each) for each in split(rgb)])
    x = XYZ @ np.clip(SIGHT[sight] @ linear, 0, 1) / XYZ.sum(axis=1)
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


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


def test_colours_as_the_eye_sees_them() -> None:
    assert lab(0xFFFFFF, "all cones") == pytest.approx([100, 0, 0], abs=0.01)
    assert lab(0xFF0000, "all cones") == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert all(lab(0x808080, sight) == pytest.approx(lab(0x808080, "all cones"), abs=0.1) for sight in SIGHT)


@pytest.mark.parametrize("depth", ["truecolor", "256"])
@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", THEMES)
def test_roles_that_meet_are_told_apart_by_any_eye(theme: str, sight: str, depth: str) -> None:
    tones = Palette(theme, depth)
    seen = {role: lab(tones.rgb(role), sight) for role in {role for pair in NEIGHBOURS for role in pair}}
    apart = {pair: round(float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])), 1) for pair in NEIGHBOURS}
    assert not {pair: distance for pair, distance in apart.items() if distance < 20}


def test_the_theme_of_contrast_has_more_of_it_than_the_dark_one() -> None:
    dark, high = THEMES["dark"], THEMES["contrast"]
    for role in [*TEXTS, "rule"]:
        assert wcag(high[role], high["background"]) > 1.1 * wcag(dark[role], dark["background"]), role


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("role", ["text", "muted", "accent", "query", "key", "attention"])
def test_what_stands_under_the_cursor_can_be_read(theme: str, role: str) -> None:
    roles = THEMES[theme]
    assert wcag(roles[role], roles["cursor"]) >= (4.5 if role == "text" else 3.0)


def test_themes_have_the_same_roles() -> None:
    assert all(set(roles) == set(ANSI[theme]) == set(INDEXED[theme]) for theme, roles in THEMES.items())


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
