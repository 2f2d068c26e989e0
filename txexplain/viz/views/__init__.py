"""The pictures, one file a kind of place and one a pane around it. Each is a function from a Scene to a Canvas."""

from __future__ import annotations

from collections.abc import Callable

from txexplain.errors import ChangedByHand, NotRecorded
from txexplain.explorer.places.by_place import load_all
from txexplain.viz.canvas import Canvas
from txexplain.viz.places import PICTURES
from txexplain.viz.scene import Scene
from txexplain.viz.views.caption import draw_caption
from txexplain.viz.views.chrome import OLD, draw_footer, draw_header, draw_small, paragraph, title
from txexplain.viz.views.edits import draw_edits
from txexplain.viz.views.explain import draw_explain
from txexplain.viz.views.lesson import draw_lesson
from txexplain.viz.views.panel import draw_panel
from txexplain.viz.views.surprisal import draw_prompt_pane
from txexplain.viz.views.welcome import draw_welcome

load_all(__name__, __path__)

SIDES: dict[str, Callable[[Scene], Canvas]] = {"explain": draw_explain, "lesson": draw_lesson, "welcome": draw_welcome}


def draw_side(scene: Scene) -> Canvas:
    """What stands beside the stage with the panel."""
    return SIDES[scene.side](scene)


def draw_stage(scene: Scene) -> Canvas:
    """The stage: the view of the present place, or what stands in its way."""
    if scene.shown is None:
        canvas = Canvas(scene.width, scene.height, scene.palette)
        title(canvas, scene, scene.location.kind)
        paragraph(canvas, 2, min(2, scene.height - 1), scene.message or "…", scene.width - 4)
        return canvas
    try:
        canvas = PICTURES[scene.location.kind](scene)
    except NotRecorded as missing:
        canvas = Canvas(scene.width, scene.height, scene.palette)
        title(canvas, scene, str(scene.location))
        if isinstance(missing, ChangedByHand):
            said = f"{missing.name} was changed by hand, so that its formula, which this view shows, doesn't hold here."
            paragraph(canvas, 2, 2, said, scene.width - 4)
        else:
            canvas.put(2, 2, f"Not recorded: this trace has no {missing.what}, which this view shows.", "muted", width=scene.width - 4)
    if scene.faded:
        canvas.fade(OLD)
    if scene.message:
        canvas.put(1, scene.height - 1, scene.message, "warning", "panel", width=scene.width - 2)
    return canvas


PANES: dict[str, Callable[[Scene], Canvas]] = {
    "header": draw_header,
    "edits": draw_edits,
    "prompt": draw_prompt_pane,
    "stage": draw_stage,
    "caption": draw_caption,
    "side": draw_side,
    "panel": draw_panel,
    "footer": draw_footer,
    "small": draw_small,
}
