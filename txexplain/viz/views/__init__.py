"""The pictures, one file a kind of place and one a pane around it. Each is a function from a Scene to a Canvas."""

from __future__ import annotations

from collections.abc import Callable

from txexplain.errors import ChangedByHand, NotRecorded
from txexplain.viz.canvas import Canvas
from txexplain.viz.scene import Scene
from txexplain.viz.views.atlas import draw_heads
from txexplain.viz.views.attn import draw_attn
from txexplain.viz.views.block import draw_block
from txexplain.viz.views.chrome import OLD, draw_footer, draw_header, draw_small, paragraph, title
from txexplain.viz.views.direct import draw_direct
from txexplain.viz.views.edits import draw_edits
from txexplain.viz.views.effects import draw_effects
from txexplain.viz.views.embed import draw_embed
from txexplain.viz.views.explain import draw_explain
from txexplain.viz.views.head import draw_head
from txexplain.viz.views.lens import draw_lens
from txexplain.viz.views.lesson import draw_lesson
from txexplain.viz.views.linear import draw_linear
from txexplain.viz.views.mlp import draw_mlp, draw_neuron
from txexplain.viz.views.model import draw_model
from txexplain.viz.views.norms import draw_norm
from txexplain.viz.views.output import draw_output
from txexplain.viz.views.panel import draw_panel
from txexplain.viz.views.product import draw_product
from txexplain.viz.views.residual import draw_residual
from txexplain.viz.views.surprisal import draw_prompt_pane
from txexplain.viz.views.welcome import draw_welcome

LEVELS: dict[str, Callable[[Scene], Canvas]] = {
    "model": draw_model,
    "block": draw_block,
    "attn": draw_attn,
    "heads": draw_heads,
    "head": draw_head,
    "product": draw_product,
    "output": draw_output,
    "embed": draw_embed,
    "ln1": draw_norm,
    "ln2": draw_norm,
    "final": draw_norm,
    "residual": draw_residual,
    "direct": draw_direct,
    "lens": draw_lens,
    "effects": draw_effects,
    "qkv": draw_linear,
    "proj": draw_linear,
    "mlp": draw_mlp,
    "neuron": draw_neuron,
}


SIDES: dict[str, Callable[[Scene], Canvas]] = {"explain": draw_explain, "lesson": draw_lesson, "welcome": draw_welcome}


def draw_side(scene: Scene) -> Canvas:
    """What stands beside the stage with the panel."""
    return SIDES[scene.side](scene)


def draw_stage(scene: Scene) -> Canvas:
    """The stage: the view of the present place, or what stands in its way."""
    if scene.lens is None:
        canvas = Canvas(scene.width, scene.height, scene.palette)
        title(canvas, scene, scene.location.kind.lower())
        paragraph(canvas, 2, min(2, scene.height - 1), scene.message or "…", scene.width - 4)
        return canvas
    draw = LEVELS[scene.location.kind]
    try:
        canvas = draw(scene)
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
    "side": draw_side,
    "panel": draw_panel,
    "footer": draw_footer,
    "small": draw_small,
}

__all__ = ["LEVELS", "PANES", "draw_stage"]
