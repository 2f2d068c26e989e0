"""The pictures, one file a level of the stage and one a pane around it. Each is a function from a Scene to a Canvas."""

from __future__ import annotations

from collections.abc import Callable

from txexplain.explorer.location import Level
from txexplain.viz.canvas import Canvas
from txexplain.viz.scene import Scene
from txexplain.viz.views.attn import draw_attn, draw_heads
from txexplain.viz.views.block import draw_block
from txexplain.viz.views.chrome import OLD, draw_footer, draw_header, draw_small, title
from txexplain.viz.views.head import draw_head
from txexplain.viz.views.lesson import draw_lesson
from txexplain.viz.views.model import draw_model
from txexplain.viz.views.output import draw_output
from txexplain.viz.views.panel import draw_panel
from txexplain.viz.views.product import draw_product
from txexplain.viz.views.surprisal import draw_prompt_pane
from txexplain.viz.views.tensors import draw_tensors

LEVELS: dict[Level, Callable[[Scene], Canvas]] = {
    Level.MODEL: draw_model,
    Level.BLOCK: draw_block,
    Level.ATTN: draw_attn,
    Level.HEADS: draw_heads,
    Level.HEAD: draw_head,
    Level.PRODUCT: draw_product,
    Level.OUTPUT: draw_output,
}


SIDES: dict[str, Callable[[Scene], Canvas]] = {"lesson": draw_lesson}


def draw_side(scene: Scene) -> Canvas:
    """What stands beside the stage."""
    return SIDES[scene.side](scene)


def draw_stage(scene: Scene) -> Canvas:
    """The stage: the view of the present level, or what stands in its way."""
    if scene.lens is None:
        canvas = Canvas(scene.width, scene.height, scene.palette)
        title(canvas, scene, scene.location.level.name.lower())
        canvas.put(2, min(2, scene.height - 1), scene.message or "…", "muted", width=scene.width - 4)
        return canvas
    draw = LEVELS.get(scene.location.level, draw_tensors)
    try:
        canvas = draw(scene)
    except KeyError as missing:
        canvas = Canvas(scene.width, scene.height, scene.palette)
        title(canvas, scene, str(scene.location))
        canvas.put(2, 2, f"Not recorded: this trace has no {missing.args[0]}, which this view shows.", "muted", width=scene.width - 4)
    if scene.stale:
        canvas.fade(OLD)
    if scene.message:
        canvas.put(1, scene.height - 1, scene.message, "warning", "panel", width=scene.width - 2)
    return canvas


PANES: dict[str, Callable[[Scene], Canvas]] = {
    "header": draw_header,
    "prompt": draw_prompt_pane,
    "stage": draw_stage,
    "side": draw_side,
    "panel": draw_panel,
    "footer": draw_footer,
    "small": draw_small,
}

__all__ = ["LEVELS", "PANES", "draw_stage"]
