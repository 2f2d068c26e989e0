"""The pictures, one file a kind of place and one a pane around it. Each is a function from a Scene to a Canvas."""

from __future__ import annotations

from collections.abc import Callable

from txexplain.errors import ChangedByHand, NotRecorded
from txexplain.explorer.places.by_place import load_all
from txexplain.viz.canvas import Canvas
from txexplain.viz.places import PICTURES
from txexplain.viz.scene import Scene
from txexplain.viz.views.caption import paint_caption
from txexplain.viz.views.chrome import OLD, paint_blank, paint_footer, paint_header, paint_small, paragraph, title
from txexplain.viz.views.edits import paint_edits
from txexplain.viz.views.explain import paint_explain
from txexplain.viz.views.lesson import paint_lesson
from txexplain.viz.views.panel import paint_panel
from txexplain.viz.views.surprisal import paint_prompt_pane
from txexplain.viz.views.welcome import paint_welcome

load_all(__name__, __path__)

SIDES: dict[str, Callable[[Scene], Canvas]] = {"explain": paint_explain, "lesson": paint_lesson, "welcome": paint_welcome}


def paint_side(scene: Scene) -> Canvas:
    """What stands beside the stage with the panel."""
    return SIDES[scene.side](scene)


def paint_stage(scene: Scene) -> Canvas:
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
    "header": paint_header,
    "edits": paint_edits,
    "prompt": paint_prompt_pane,
    "stage": paint_stage,
    "caption": paint_caption,
    "side": paint_side,
    "panel": paint_panel,
    "footer": paint_footer,
    "small": paint_small,
    "blank": paint_blank,
}
