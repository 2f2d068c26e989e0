"""The accent line: what is changed in the run that all panes show, and what that did to the two tokens that it is looked at for."""

from __future__ import annotations

import math

from txexplain.explorer.edits import told, told_of_run
from txexplain.text import cell_width
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import number
from txexplain.viz.scene import Scene
from txexplain.viz.views.chrome import computing, contrast_name


def paint_edits(scene: Scene) -> Canvas:
    """One row: the changes, as many as fit, and A − B before and with them."""
    canvas = Canvas(scene.width, 1, scene.palette)
    canvas.fill(0, 0, scene.width, 1, bg="panel")
    dot = f" {scene.palette.glyphs.dot} "
    did = "" if "panel" in scene.covered else effect_text(scene)
    room = scene.width - 2 - (cell_width(dot + did) if did else 0)
    x = 1 + canvas.put(1, 0, changes_text(scene, room), "accent", attrs=BOLD)
    if did:
        canvas.put(x, 0, dot + did, "warning" if scene.stale else "text", width=scene.width - x)
    return canvas


def changes_text(scene: Scene, room: float = math.inf) -> str:
    """The changes in a few words each; where there is no room for all, how many more there are."""
    recorded = () if scene.shown is None else scene.shown.trace.interventions
    each = [told(change) for change in scene.state.edits] or told_of_run(recorded)
    for shown in range(len(each), 0, -1):
        more = f" and {len(each) - shown} more" if shown < len(each) else ""
        text = ", ".join(each[:shown]) + more
        if cell_width(text) <= room:
            return text
    return f"{len(each)} changes"


def effect_text(scene: Scene) -> str:
    """A − B of the run without the changes and with them, as logits; nothing where it isn't known."""
    if scene.stale:
        return computing(scene)
    if scene.shown is None or scene.shown.plain is None or scene.contrast is None or "logits" not in scene.trace:
        return ""
    a, b = scene.contrast
    before, after = (
        number(float(run.trace.last_logits[a]) - float(run.trace.last_logits[b]), sign=True, ascii=scene.palette.ascii)
        for run in (scene.shown.plain, scene.shown)
    )
    return f"{contrast_name(scene)} {before} {scene.palette.glyphs.arrow} {after}"
