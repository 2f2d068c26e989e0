"""Whoever sits there: every action by a key that the keyboard has, every text with contrast, every size with a screen."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from textual.keys import _character_to_key
from textual.pilot import Pilot

from tests.conftest import GOLDEN
from tests.covering import few
from tests.examples import examples
from tests.explorer.test_location import locations
from tests.ui.harness import COLOURS, ONCE, drive, press, screen_text, settled
from tests.viz.test_palette import wcag
from tests.vt import harmful
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.explorer.choice import dims_of, distribution_of
from txexplain.explorer.location import Location, parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import ACTIONS
from txexplain.front.options import UiOptions
from txexplain.front.render import render_screen
from txexplain.front.scenes import palette_of, scene_of
from txexplain.ui.app import ExplorerApp
from txexplain.viz.describe import describe
from txexplain.viz.palette import THEMES
from txexplain.viz.screen import layout, paint_screen

# What each layout types without AltGr and without a dead key, after Debian's xkb-data: tests/golden/make_layouts.py.
LAYOUTS = {name: set(typed) for name, typed in json.loads((GOLDEN / "layouts.json").read_text("utf-8")).items()}
NAMED = {"enter", "escape", "backspace", "up", "down", "left", "right", "tab", "space", "pageup", "pagedown"}


def typed(key: str, layout: str) -> bool:
    """Whether a keyboard types a key without AltGr."""
    key = key.removeprefix("shift+") if key.removeprefix("shift+") in NAMED else key
    if key in NAMED or re.fullmatch(r"f([1-9]|1[0-2])", key):
        return True
    return key in {_character_to_key(char) for char in LAYOUTS[layout]} | {f"ctrl+{char}" for char in LAYOUTS[layout]}


def on_the_console(key: str) -> bool:
    """Whether the Linux console sends a key as itself: an arrow or a function key with Shift is the same without."""
    return not re.fullmatch(r"(shift|ctrl|alt)\+(up|down|left|right|f\d+)", key)


def test_the_layouts_are_those_of_the_countries() -> None:
    assert {"German", "French", "Swedish", "Norwegian", "Danish", "Finnish"} <= set(LAYOUTS)
    assert LAYOUTS["German"].isdisjoint("[]{}@\\|~^`")
    assert LAYOUTS["French"].isdisjoint("[]{}@\\|#^`")
    assert LAYOUTS["US"] >= set("[]{}@\\|~^`")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_action_has_a_key_without_altgr(layout: str) -> None:
    assert [action.id for action in ACTIONS if not any(typed(key, layout) and on_the_console(key) for key in action.keys)] == []
    assert typed("left_square_bracket", layout) == (layout == "US")
    assert not typed("dead_acute", layout)


SIZES = ((60, 16), (80, 24), (99, 30), (100, 16), (120, 36), (160, 16), (60, 120), (400, 120))
PLACES = (
    "model", "embed", "L2", "L2.qkv", "L2.attn", "heads", "L2H3:qk", "L2H3:values", "L2H3[5,3]", "L2.mlp", "L2.mlp[3]", "final", "output",
)  # fmt: skip
LOOKS = (
    UiOptions(color="truecolor"),
    UiOptions("light", color="256"),
    UiOptions("contrast", color="16"),
    UiOptions(ascii=True, color="none"),
)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_size_has_a_screen(storyteller: GPT2, size: tuple[int, int]) -> None:
    result = Result(run(storyteller), storyteller)
    for number, place in enumerate(PLACES):
        look = LOOKS[number % len(LOOKS)]
        canvas = screen(result, place, size, look)
        assert (canvas.width, canvas.height) == size
        if look.ascii:
            assert "".join(canvas.text()).isascii()


SMALL = [((20, 5),), ((59, 16),), ((60, 15),), ((400, 5),), ((20, 120),)]


@pytest.mark.parametrize("size", few(SMALL, lambda size: size in ((59, 16), (400, 5))), ids=str)
def test_a_small_terminal_is_told_the_size_in_one_sentence(storyteller: GPT2, size: tuple[int, int]) -> None:
    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "enter", "right_square_bracket", "slash", "a", "escape", "question_mark", "escape")
        said = " ".join(" ".join(screen_text(app)).split())
        assert said == f"txexplain needs 60×16 cells; this terminal has {size[0]}×{size[1]}."

    drive(test, storyteller, size=size)


@pytest.mark.long
def test_a_storm_of_sizes_ends_in_the_right_screen(storyteller: GPT2) -> None:
    sizes = [(20, 5), (400, 120), (60, 16), (59, 15), (100, 30), (200, 10), (161, 50)] * 2

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        for number, size in enumerate(sizes):
            await pilot.resize_terminal(*size)
            await pilot.press(("enter", "right", "i", "x", "escape", "left", "i")[number % 7])
        await pilot.resize_terminal(80, 24)
        await settled(app, pilot)
        while len(app.screen_stack) > 1:
            app.pop_screen()
        app._notifications.clear()
        await pilot.pause()
        drawn = paint_screen(app.scene(80, 24)).text()
        assert screen_text(app) == drawn

    drive(test, storyteller, size=(120, 36))


def run(model: GPT2):  # type: ignore[no-untyped-def]
    return model.forward(model.prompt_ids(ONCE))


def screen(result: Result, place: str, size: tuple[int, int], look: UiOptions = COLOURS):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    from txexplain.engine.sampling import distribution
    from txexplain.front.actions import Doing, footer

    tones, state = palette_of(look), replace(ExplorerState(prompt=ONCE), location=parse(place))
    keys = footer(Doing(state.location.kind), ascii=tones.ascii)
    more = {"distribution": distribution(result.trace.last_logits), "ribbons": tuple(result.flow("norms")), "keys": keys}
    return paint_screen(scene_of(state, tones, size, result, side="explain", **more))


@pytest.mark.parametrize("theme", few(THEMES, lambda theme: theme == "light"))
def test_every_text_of_every_screen_can_be_read(storyteller: GPT2, theme: str) -> None:
    """The screens that Textual draws: each cell of text as it stands, after all styles; panes too, as the app shows them."""

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        faults: set[tuple[str, str, float]] = set()
        for key in ("question_mark", "e", "o", "m", "t", "J", "ctrl+p", "slash", "y"):
            await pilot.press(key)
            await pilot.pause()
            await settled(app, pilot)
            await pilot.pause(0.05)
            faults |= {(key, *fault) for fault in dim_text(app)}
            await pilot.press("escape")
            await pilot.pause()
        assert not faults, "\n".join(map(str, sorted(faults)))

    drive(test, storyteller, size=(80, 24), options=UiOptions(theme, color="truecolor"))


def dim_text(app: ExplorerApp) -> set[tuple[str, str, float]]:
    """Words whose ink is too near to their ground on what is in front; what lies under a page is meant to recede."""
    found = set()
    rows = app.screen._compositor.render_strips()
    shown = [widget for widget in app.screen.walk_children() if not widget.children and widget.display]
    leaves = [widget.region.intersection(widget.parent.region) for widget in shown]  # type: ignore[union-attr]
    cells = [cell for box in leaves for row in rows[box.y : box.bottom] for cell in row.crop(box.x, box.right)]
    for text, style, _ in cells:
        if style is None or not any(c.isalnum() for c in text) or style.color is None or style.bgcolor is None:
            continue
        if style.color.triplet is None or style.bgcolor.triplet is None:
            continue
        ink, ground = (c[0] << 16 | c[1] << 8 | c[2] for c in (style.color.triplet, style.bgcolor.triplet))
        if style.reverse:
            ink, ground = ground, ink
        if wcag(ink, ground) < 4.5:
            found.add((text.strip()[:30], f"{ink:06x}/{ground:06x}", round(wcag(ink, ground), 2)))
    return found


@pytest.fixture(scope="module")
def once(storyteller: GPT2) -> Result:
    return Result(run(storyteller), storyteller)


@examples(60)
@given(place=locations)
def test_every_place_is_described_in_words(once: Result, place: Location) -> None:
    """The nearest place that the model has: its name, the selected token and no control character."""
    result, tones = once, palette_of(COLOURS)
    state = ExplorerState(prompt=ONCE, location=place).fit(dims_of(result))
    said = describe(
        scene_of(state, tones, (120, 36), result, distribution=distribution_of(result, state), ribbons=tuple(result.flow("norms")))
    )
    assert "Place: " in said
    assert "Selected token: " in said
    assert len(said.split("\n\n")) >= 3
    assert not harmful(said)


@pytest.mark.parametrize("size", [(100, 30), (110, 35), (120, 36), (150, 49)])
def test_a_short_prompt_leaves_no_row_of_its_pane_empty(size: tuple[int, int]) -> None:
    """Where there is room for three rows, the surprisal strip takes two."""
    lines = render_screen(ExplorerState(prompt="The little fox"), COLOURS, *size, "txt").splitlines()
    rect = layout(*size)["prompt"]
    assert all(line.strip(" │") for line in lines[rect.y : rect.y + rect.height])
