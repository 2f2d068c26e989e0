"""With 256 and with 16 colours the colours keep their meaning: hand-picked ladders, readable inks, no mixed hues."""

from __future__ import annotations

from colorsys import rgb_to_hsv
from itertools import combinations, pairwise, product

import numpy as np
import pytest

from tests.viz.test_palette import LANGUAGE
from txexplain.engine.derive import Result
from txexplain.explorer.choice import distribution_of
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.scenes import scene_of
from txexplain.viz.canvas import Canvas, nearest_role, rich_style
from txexplain.viz.palette import (
    ANSI,
    INDEXED,
    LADDERS,
    THEMES,
    Palette,
    colour_256,
    contrast,
    luminance,
    nearest_256,
    split,
)  # fmt: skip
from txexplain.viz.ramps import Ramp
from txexplain.viz.raster import samples
from txexplain.viz.screen import paint_screen
from txexplain.viz.shapes import Picture, rectangle

GREYS = ("background", "panel", "text", "muted", "faint", "rule", "residual", "bar")
TURN = 1 / 8  # of the circle of hues: as far as a dark step may lie from its role; blue and violet are as far apart as that
READ = sorted(set(THEMES["dark"]) - {"background", "panel", "rule", "cursor"})
# The colours 0 to 15 as xterm, the Linux console (and VGA) and Tango have them.
PALETTES = {
    "xterm": "000000 cd0000 00cd00 cdcd00 0000ee cd00cd 00cdcd e5e5e5 7f7f7f ff0000 00ff00 ffff00 5c5cff ff00ff 00ffff ffffff",
    "vga": "000000 aa0000 00aa00 aa5500 0000aa aa00aa 00aaaa aaaaaa 555555 ff5555 55ff55 ffff55 5555ff ff55ff 55ffff ffffff",
    "tango": "2e3436 cc0000 4e9a06 c4a000 3465a4 75507b 06989a d3d7cf 555753 ef2929 8ae234 fce94f 729fcf ad7fa8 34e2e2 eeeeec",
}


def hue(rgb: int) -> float:
    return rgb_to_hsv(*(channel / 255 for channel in split(rgb)))[0]


def apart(a: float, b: float) -> float:
    """How far apart two hues are, as a part of the circle."""
    return min(abs(a - b), 1 - abs(a - b))


@pytest.mark.parametrize("theme", THEMES)
def test_a_role_has_its_own_hue_in_256_colours_and_can_be_read(theme: str) -> None:
    tones = Palette(theme, "256")
    for role, wanted in THEMES[theme].items():
        got = tones.rgb(role)
        assert got == colour_256(nearest_256(got))
        if role in GREYS:
            assert len(set(split(got))) == 1, role
        elif role != "cursor":
            assert apart(hue(got), hue(wanted)) < 1 / 12, role
    low = {(role, ground) for role in READ for ground in ("background", "panel") if contrast(tones.rgb(role), tones.rgb(ground)) < 4.5}
    low |= {(role, "cursor") for role in READ if contrast(tones.rgb(role), tones.rgb("cursor")) < (4.5 if role == "text" else 4.0)}
    assert not low
    assert len({tones.rgb(role) for role in LANGUAGE}) == len(LANGUAGE)


@pytest.mark.parametrize("theme", THEMES)
def test_a_ladder_moves_one_way_and_keeps_its_roles_hue(theme: str) -> None:
    tones = Palette(theme, "256")
    for role, steps in LADDERS[theme].items():
        ladder = tones.ladder(role)
        assert len(set(ladder)) == len(steps) + 1
        lights = [luminance(colour) * (-1 if theme == "light" else 1) for colour in ladder]
        assert all(a < b for a, b in pairwise(lights)), role
        for colour in ladder[1:]:
            tinted = len(set(split(colour))) > 1
            assert not tinted if role == "residual" else (not tinted or apart(hue(colour), hue(tones.rgb(role))) <= TURN), (role, colour)
        assert role == "residual" or len(set(split(ladder[2]))) > 1  # a grey, if any, is the faintest


@pytest.mark.parametrize("theme", THEMES)
def test_noise_around_zero_is_quiet_and_its_sign_is_told(theme: str) -> None:
    """The first step of a scale of signed numbers lies near the ground, and is warm or cold as its side is."""
    tones = Palette(theme, "256")
    colours = Ramp("diverging", "attention", tones).colours
    middle, ground = len(colours) // 2, tones.rgb("background")
    assert len(colours) == 9
    for step in (-1, 1):
        assert contrast(colours[middle + step], ground) < 1.5 < contrast(colours[middle + 2 * step], ground) or theme == "light"
        assert contrast(colours[middle + step], ground) < 1.5
    for below, above in zip(colours[:middle][::-1], colours[middle + 1 :], strict=True):
        assert split(below)[2] >= split(below)[0]
        assert split(above)[0] > split(above)[2]


@pytest.mark.parametrize("theme", THEMES)
def test_a_picture_is_made_of_ladders_and_never_of_mixed_colours(theme: str) -> None:
    """Whatever lies over what: a step of the upper shape's ladder, no weaker than what it hides."""
    tones = Palette(theme, "256")
    for below, above in product((0.06, 0.3, 0.6, 1.0), repeat=2):
        picture = Picture(1, 1)
        picture.add("residual", rectangle(0, 0, 1, 1, below))
        picture.add("attention", rectangle(0, 0, 1, 1, above))
        colour = int(samples(picture, tones)[0, 0])
        assert tones.ladder("attention").index(colour) > 0
        alone = [tones.step("attention", tones.lifted(strength)) for strength in (below, above)]
        assert tones.ladder("attention").index(colour) == max(map(tones.ladder("attention").index, alone))


@pytest.mark.parametrize(("theme", "place"), list(product(THEMES, ("model", "L0", "L0H1", "L0.attn", "heads", "output", "L0.qkv"))))
def test_every_ground_is_a_step_of_a_ladder(theme: str, place: str, story_result: Result) -> None:
    tones = Palette(theme, "256")
    own = {tones.rgb("background"), tones.rgb("panel"), tones.rgb("cursor")}
    own |= {colour for role in LADDERS[theme] for colour in tones.ladder(role)}
    inks = own | {tones.rgb(role) for role in INDEXED[theme]} | {0x000000, 0xFFFFFF}
    for faded in (False, True):
        canvas = screen(story_result, tones, place, faded)
        assert {hex(colour) for colour in np.unique(canvas.bg).tolist()} <= set(map(hex, own))
        if not faded:
            assert {hex(colour) for colour in np.unique(canvas.fg).tolist()} <= set(map(hex, inks))


def screen(result: Result, tones: Palette, place: str, faded: bool = False) -> Canvas:
    state = ExplorerState(location=parse(place))
    more = {"distribution": distribution_of(result, state), "ribbons": tuple(result.flow(state.flow)), "faded": faded, "stale": faded}
    return paint_screen(scene_of(state, tones, (120, 36), result, **more))


def sixteen(name: str) -> list[int]:
    return [int(word, 16) for word in PALETTES[name].split()]


@pytest.mark.parametrize(("theme", "name"), list(product(THEMES, PALETTES)))
def test_sixteen_colours_can_be_read_on_the_ground_that_the_theme_is_for(theme: str, name: str) -> None:
    colours, ground = sixteen(name), 0xFFFFFF if theme == "light" else 0x000000
    for role in READ:
        number = ANSI[theme][role]
        assert number != 8, role  # which some palettes have as their background
        assert number not in ((7, *range(9, 16)) if theme == "light" else range(7)), role
        if number >= 0:
            assert contrast(colours[number], ground) >= 2, role  # xterm's own green on white is no stronger
    assert contrast(colours[15], colours[ANSI[theme]["cursor"]]) >= 5


@pytest.mark.parametrize("theme", THEMES)
def test_what_stands_on_a_ground_in_16_colours_is_white(theme: str) -> None:
    tones = Palette(theme, "16")
    for ink, ground in product(THEMES[theme], THEMES[theme]):
        style = rich_style(tones.rgb(ink), tones.rgb(ground), 0, "16", theme)
        if style.bgcolor is not None:
            assert style.color is not None
            assert style.color.number == 15
    assert rich_style(tones.rgb("key"), tones.rgb("cursor"), 0, "16", theme).bgcolor is not None


@pytest.mark.parametrize("theme", THEMES)
def test_roles_keep_apart_in_16_colours_what_their_letters_do_not(theme: str) -> None:
    """Signs, which have no letter, and query, key and value, which lie side by side."""
    for group in (("positive", "negative"), ("query", "key", "value"), ("attention", "residual"), ("drawn", "text")):
        assert all(ANSI[theme][a] != ANSI[theme][b] for a, b in combinations(group, 2))
    assert nearest_role(THEMES[theme]["attention"], theme, False) == ANSI[theme]["attention"]


@pytest.mark.parametrize("theme", THEMES)
def test_a_mixed_colour_is_a_role_of_its_own_two_in_16_colours(theme: str) -> None:
    """A bar of attention is of attention's colour, not of the MLP's, which may be nearer; a faint one is grey."""
    tones = Palette(theme, "16")
    for role, t in product(LANGUAGE, (0.6, 0.75, 0.95)):
        assert nearest_role(tones.mix("background", role, t), theme, False) == ANSI[theme][role]
    assert tones.mix("background", "attention", 0.45) == tones.mix("background", "faint", 0.5) == tones.rgb("rule")
    assert {tones.mix("faint", "positive", t) for t in np.linspace(0, 1, 20)} == {tones.rgb("faint"), tones.rgb("positive")}
