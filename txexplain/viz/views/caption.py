"""Below the stage: what the view shows, in one plain sentence, and what its colours stand for."""

from __future__ import annotations

from txexplain.explorer.location import place_of
from txexplain.text import cell_width, wrapped
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.words.colours import LEGENDS

APART = 3  # cells between a sentence and the legend behind it


def caption_rows(scene: Scene, width: int) -> tuple[list[str], bool]:
    """The sentence in rows of a width, and whether the legend has room behind it."""
    rows = wrapped(place_of(scene.location).captioned(scene.location), width - 2)
    return rows, cell_width(rows[-1]) + APART + legend_width(scene) <= width - 2


def legend_width(scene: Scene) -> int:
    return sum(cell_width(word) + 4 for _, word in LEGENDS.get(scene.location.kind, ()))


def paint_caption(scene: Scene) -> Canvas:
    """The sentence, and the legend behind it or in a row of its own, where there is one."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    rows, behind = caption_rows(scene, scene.width)
    for y, row in enumerate(rows[: scene.height]):
        canvas.put(1, y, row, "text")
    if behind or scene.height > len(rows):
        put_legend(canvas, 1 + (cell_width(rows[-1]) + APART if behind else 0), len(rows) - behind, LEGENDS.get(scene.location.kind, ()))
    return canvas


def put_legend(canvas: Canvas, x: int, y: int, legend: tuple[tuple[str, str], ...]) -> None:
    """Colours with what they stand for; where there are no colours, they would say nothing."""
    for role, word in legend if canvas.palette.depth != "none" else ():
        x += canvas.put(x, y, swatch(canvas.palette), role) + 1
        x += canvas.put(x, y, word, "muted") + 2


def swatch(palette: Palette) -> str:
    """One cell full of a colour."""
    return palette.glyphs.bars[-1]
