"""The first screen's side pane, for who has read no lesson yet."""

from __future__ import annotations

from txexplain.viz.canvas import Canvas
from txexplain.viz.markdown import laid_out
from txexplain.viz.numbers import count
from txexplain.viz.scene import Scene
from txexplain.viz.views.lesson import OPEN, Line, fitted, frame, put_row
from txexplain.words.welcome import HEADING, LONG, SHORT


def paint_welcome(scene: Scene) -> Canvas:
    """What this is, the plan in three parts, and the key that begins."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    x, columns, rows = frame(canvas, scene, HEADING, "")
    if scene.shown is None:
        canvas.put(x, 1, scene.message or OPEN, "muted", width=columns)
        return canvas
    lines = fitted(text_rows(scene, LONG, columns), rows)
    if len(lines) > rows:
        lines = fitted(text_rows(scene, SHORT, columns), rows)
    for y, line in enumerate(lines[:rows], 1):
        put_row(canvas, x, y, line.runs)
    return canvas


def text_rows(scene: Scene, text: str, columns: int) -> list[Line]:
    """A text with this model's sizes, and the reader's keys, in rows."""
    config, (lessons, help) = scene.config, scene.begins
    sizes = {"d": count(config.n_embd), "blocks": count(config.n_layer), "vocabulary": count(config.vocab_size)}
    return [Line(row) for row in laid_out(text.format(**sizes, lessons=lessons, help=help), (), columns)]
