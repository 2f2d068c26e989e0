"""Pictures in SVG: the shapes' own outlines in their roles' colours, text as text, and what lies above a picture above it."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.viz.reading import scene_at
from txexplain.engine.derive import Result
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import THEMES, Palette
from txexplain.viz.screen import paint_screen
from txexplain.viz.shapes import Field, Picture, Ribbon, rectangle
from txexplain.viz.svg import CELL_HEIGHT, CELL_WIDTH, colour, outline, svg
from txexplain.viz.views.model import MOST

SVG = "{http://www.w3.org/2000/svg}"
heights = st.floats(0, 6)
bent = st.one_of(
    st.builds(Ribbon, st.integers(0, 3), st.integers(7, 30), heights, heights, st.floats(0.3, 3), st.just(0.5)),
    st.builds(Field, st.integers(0, 3), st.integers(7, 30), st.tuples(heights, heights), st.tuples(heights, heights), st.just(0.5)),
)


def curve(pieces: str, x: np.ndarray) -> np.ndarray:
    """The height of a way of cubic pieces at some places, by de Casteljau's construction."""
    numbers = np.array([float(n) for n in re.findall(r"-?[\d.]+(?:e-?\d+)?", pieces)]).reshape(-1, 2)
    dense = []
    for first in range(0, len(numbers) - 1, 3):
        points, t = numbers[first : first + 4], np.linspace(0, 1, 200)[:, None, None]
        step = np.broadcast_to(points, (200, 4, 2))
        while step.shape[1] > 1:
            step = step[:, :-1] + (step[:, 1:] - step[:, :-1]) * t
        dense.append(step[:, 0])
    way = np.concatenate(dense)
    order = np.argsort(way[:, 0], kind="stable")
    return np.interp(x, way[order, 0], way[order, 1])


@given(bent)
@examples(40)
def test_an_outline_follows_a_shapes_edges(shape: Field | Ribbon) -> None:
    found = re.fullmatch(r"M([^L]*)L([^L]*)Z", outline(shape))
    if found is None:
        assert isinstance(shape, Field)
        assert shape.left == shape.right  # a rectangle
        return
    there, back = found.groups()
    x = np.linspace(shape.x0, shape.x1, 60)
    for pieces, edge in zip((there, back), shape.edges(x), strict=True):
        assert np.abs(curve(pieces, x) - edge).max() < (0.05 if isinstance(shape, Field) else 0.15)


@pytest.mark.parametrize("theme", THEMES)
def test_shapes_are_paths_and_what_is_above_them_is_seen(theme: str) -> None:
    palette = Palette(theme)
    picture = Picture(10, 6)
    picture.add("panel", rectangle(0, 0, 10, 2))
    picture.add("attention", Ribbon(0, 10, 1.0, 5.0, 1.0, 0.4), rectangle(2, 2, 3, 1, 0.25))
    picture.add("query", Field(0, 10, (3, 4), (1, 5), 0.1), into="key")
    canvas = Canvas(20, 10, palette)
    canvas.show(4, 3, picture)
    canvas.put(5, 4, "over")
    canvas.put(5, 5, "lit", bg="cursor")
    root = ElementTree.fromstring(svg(canvas))
    (drawing,) = root.findall(f"{SVG}svg")
    assert [float(drawing.attrib[side]) for side in ("x", "y")] == pytest.approx([4 * CELL_WIDTH, 3 * CELL_HEIGHT])
    fills = [(each.attrib["fill"], each.attrib.get("fill-opacity")) for each in drawing.iter(f"{SVG}path")]
    attention = colour(palette.rgb("attention"))
    veils = [f"{palette.lifted(strength):.3g}" for strength in (0.25, 0.4, 0.1)]
    (turn,) = drawing.iter(f"{SVG}linearGradient")
    assert fills == [
        (colour(palette.rgb("panel")), None),
        (attention, veils[0]),
        (attention, veils[1]),
        (f"url(#{turn.get('id')})", veils[2]),
    ]
    assert [stop.attrib["stop-color"] for stop in turn] == [colour(palette.rgb(role)) for role in ("query", "key")]
    texts = {each.text for each in root.iter(f"{SVG}text")}
    assert texts == {"over", "lit"}
    rects = [each for each in root.iter(f"{SVG}rect") if each.attrib["width"] != "100%"]
    assert [each.attrib["fill"] for each in rects] == [colour(palette.rgb("cursor"))], "no cell of the picture is a rectangle"


def test_of_256_colours_shapes_have_steps_and_no_veils() -> None:
    palette, picture = Palette(depth="256"), Picture(10, 6)
    picture.add("attention", Ribbon(0, 10, 1.0, 5.0, 1.0, 0.4))
    canvas = Canvas(10, 6, palette)
    canvas.show(0, 0, picture)
    (path,) = ElementTree.fromstring(svg(canvas)).iter(f"{SVG}path")
    assert path.attrib["fill"] == colour(palette.step("attention", 0.4))
    assert "fill-opacity" not in path.attrib


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("at", ["model", "L3"])
def test_a_whole_screen_has_ribbons_as_curves_and_every_word_as_text(story_result: Result, at: str, theme: str) -> None:
    scene = scene_at(story_result, at, (120, 36), Palette(theme))
    canvas = paint_screen(scene)
    root = ElementTree.fromstring(svg(canvas))
    roles = {"model": {"attention"}, "L3": {"query", "key", "value"}}[at]
    curves = [each for each in root.iter(f"{SVG}path") if "C" in each.attrib["d"]]
    assert {colour(scene.palette.rgb(role)) for role in roles} <= {each.attrib["fill"] for each in curves}
    if at == "model":
        assert 0 < sum(each.attrib["d"].count("M") for each in curves) <= MOST
    words = " ".join(each.text or "" for each in root.iter(f"{SVG}text"))
    shown = {word for row in canvas.text() for word in re.findall(r"[A-Za-z]{3,}", row)}
    assert {word for word in shown if word not in words} == set()


def test_a_faded_picture_is_faded_in_its_shapes_too() -> None:
    palette, picture = Palette(), Picture(10, 6)
    picture.add("attention", rectangle(1, 1, 5, 3, 0.5))
    canvas = Canvas(10, 6, palette)
    canvas.show(0, 0, picture)
    canvas.fade(0.5)
    root = ElementTree.fromstring(svg(canvas))
    (path,) = root.iter(f"{SVG}path")
    assert path.attrib["fill"] == colour(palette.faded(palette.rgb("attention"), 0.5))
    assert len(list(root.iter(f"{SVG}rect"))) == 1, "no cell covers it"
