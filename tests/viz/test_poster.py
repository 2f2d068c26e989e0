"""The poster: its marks read back are the run's numbers, and nothing in it comes from elsewhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from txexplain.engine.derive import Result
from txexplain.engine.sampling import distribution
from txexplain.explorer.state import ExplorerState
from txexplain.facts.residual import changes
from txexplain.front.scenes import scene_of
from txexplain.viz.numbers import number, percent
from txexplain.viz.palette import THEMES, Palette
from txexplain.viz.poster import HEIGHT, LARGEST_GRID, WIDTH, pooled, poster

SVG = "{http://www.w3.org/2000/svg}"


def drawn(result: Result, theme: str = "light", temperature: float = 1.0) -> ElementTree.Element:
    dist = distribution(result.trace.last_logits, temperature)
    state = ExplorerState(temperature=temperature)
    return ElementTree.fromstring(poster(scene_of(state, Palette(theme), (0, 0), result, distribution=dist)))


def rectangles(root: ElementTree.Element, fill: int) -> list[tuple[float, float, float, float]]:
    found = [r.attrib for r in root.iter(f"{SVG}rect") if r.attrib["fill"] == f"#{fill:06x}" and r.attrib["width"] != "100%"]
    return [(float(r["x"]), float(r["y"]), float(r["width"]), float(r["height"])) for r in found]


def words(root: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SVG}text")]


@pytest.mark.parametrize("theme", THEMES)
def test_the_bars_of_the_output_are_the_shares(result: Result, theme: str) -> None:
    root, dist = drawn(result, theme, 1.3), distribution(result.trace.last_logits, 1.3)
    bars = [r for r in rectangles(root, THEMES[theme]["bar"]) if r[0] > WIDTH - 300 and r[3] > 20]
    shares = dist.probability[dist.order[:12]]
    widths = np.array([bar[2] for bar in bars])
    np.testing.assert_allclose(widths / widths[0], shares / shares[0], atol=0.006)
    for share in shares:
        assert percent(float(share)) in words(root)


def test_the_norms_and_the_heads_are_the_traces(result: Result) -> None:
    root = drawn(result)
    for attn, mlp in changes(result, result.trace.n_tokens - 1):
        assert number(attn) in words(root)
        assert number(mlp) in words(root)
    heads = rectangles(root, THEMES["light"]["panel"])
    assert len(heads) == result.config.n_layer * result.config.n_head
    x, y, side, _ = heads[-1]  # the last head of the last block
    pattern = result.trace[f"blocks.{result.config.n_layer - 1}.attn.pattern"][-1]
    cell = side / len(pattern)
    painted = np.zeros(pattern.shape, dtype=bool)
    for r in root.iter(f"{SVG}rect"):
        left, top, width = (float(r.attrib.get(name, "-1").rstrip("%")) for name in ("x", "y", "width"))
        if (
            x - 0.01 <= left
            and y - 0.01 <= top < y + side - 0.01
            and left + width <= x + side + 0.01
            and r.attrib["height"] == f"{cell:.2f}"
        ):
            row, column, n = round((top - y) / cell), round((left - x) / cell), round(width / cell)
            painted[row, column : column + n] = True
    np.testing.assert_array_equal(painted, pattern >= 1 / 62)  # half a level of 32


def test_what_flows_is_conserved(result: Result) -> None:
    """The nodes of each column have the same height in all."""
    nodes = [r for r in rectangles(drawn(result), THEMES["light"]["residual"]) if r[2] == 3]
    columns: dict[float, float] = {}
    for x, _, _, height in nodes:
        columns[x] = columns.get(x, 0.0) + height
    assert len(columns) == result.config.n_layer + 1
    whole = max(columns.values())
    assert all(height == pytest.approx(whole, rel=0.02) for height in columns.values())


def test_it_needs_nothing_from_elsewhere_and_stays_on_its_sheet(result: Result) -> None:
    root = drawn(result)
    text = ElementTree.tostring(root, encoding="unicode")
    assert not re.search(r"url\(|href|<image|<style|@font|data:|script", text)
    assert text.count("http") == 1  # the name of the format itself
    for r in root.iter(f"{SVG}rect"):
        if r.attrib["width"] != "100%":
            x, y, width, height = (float(r.attrib[name]) for name in ("x", "y", "width", "height"))
            assert x >= 0
            assert y >= 0
            assert x + width <= WIDTH
            assert y + height <= HEIGHT
    for each in root.iter(f"{SVG}text"):
        x, length = float(each.attrib["x"]), float(each.attrib["textLength"])
        start = {"start": x, "end": x - length, "middle": x - length / 2}[each.attrib["text-anchor"]]
        assert start >= 0
        assert start + length <= WIDTH


def test_a_long_pattern_shows_the_largest_of_each_square() -> None:
    pattern = np.random.default_rng(0).random((250, 250), dtype=np.float32)
    small = pooled(pattern)
    assert len(small) <= LARGEST_GRID
    assert small[0, 0] == pattern[:3, :3].max()
    assert small[-1, -1] == pattern[249:, 249:].max()
    assert pooled(pattern[:50, :50]) is not None
    assert (pooled(pattern[:50, :50]) == pattern[:50, :50]).all()
