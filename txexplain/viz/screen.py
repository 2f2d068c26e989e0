"""The whole screen: where each pane lies at a size, and all of them as one Canvas (what `render` writes and the app shows)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from txexplain.explorer.location import Level
from txexplain.viz.canvas import Canvas
from txexplain.viz.scene import Scene
from txexplain.viz.views import PANES

SMALLEST = (60, 16)
NARROW = 100
ULTRA = 160
LEAST_PANEL, LEAST_SIDE = 9, 6  # rows that the panel keeps where something stands below it, and that this needs
PANEL_SHARE = 0.4  # of their common height
ROOMY = (120, 36)  # from here on the surprisal strip is open unless the reader shuts it


@dataclass(frozen=True)
class Rect:
    """A pane's place, in cells."""

    x: int
    y: int
    width: int
    height: int


def layout(width: int, height: int, side: str = "") -> dict[str, Rect]:
    """Each pane's place. Under 60×16 there is only a sentence that names the size needed.

    side: what stands below the panel where there is room for it; the stage keeps its size.
    """
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return {"small": Rect(0, 0, width, height)}
    prompt = 2 if height < 30 else 3 if height < 50 else 4
    panes = {"header": Rect(0, 0, width, 1), "prompt": Rect(0, 1, width, prompt), "footer": Rect(0, height - 1, width, 1)}
    top, rest = 1 + prompt, height - 2 - prompt
    if width < NARROW:
        panel = max(5, min(6 + (height - 24) // 3, 12))
        return panes | {"stage": Rect(0, top, width, rest - panel), "panel": Rect(0, top + rest - panel, width, panel)}
    panel = 40 if width < ULTRA else 52
    if side and rest >= LEAST_PANEL + LEAST_SIDE:
        above = max(LEAST_PANEL, round(PANEL_SHARE * rest))
        return panes | {
            "stage": Rect(0, top, width - panel, rest),
            "panel": Rect(width - panel, top, panel, above),
            "side": Rect(width - panel, top + above, panel, rest - above),
        }
    return panes | {"stage": Rect(0, top, width - panel, rest), "panel": Rect(width - panel, top, panel, rest)}


def draw_pane(name: str, scene: Scene, rect: Rect) -> Canvas:
    """One pane's picture, as large as its place."""
    return PANES[name](replace(scene, width=rect.width, height=rect.height))


def inputs(name: str, scene: Scene, rect: Rect) -> tuple[Any, ...]:
    """What a pane's picture depends on: while these stay the same, so does the picture."""
    state, place = scene.state, scene.location
    shared = (rect, scene.palette, scene.lens, scene.stale, scene.faded)
    sampling = (scene.distribution, state.temperature, state.mode, state.k, state.p, scene.candidate)
    match name:
        case "header":
            return (*shared, place, scene.model_name, scene.cost)
        case "prompt":
            return (*shared, scene.pane, place, state.prompt, state.appended, scene.surprisal)
        case "stage":
            ribbons = (state.flow, scene.ribbons is None) if place.level is Level.MODEL else ()
            own = sampling if place.level is Level.OUTPUT else ()
            heads = (scene.measured,) if place.level is Level.HEADS else ()
            return (*shared, scene.pane, place, scene.message, scene.hover, *ribbons, *own, *heads)
        case "panel":
            return (*shared, scene.pane, *sampling, scene.draw, scene.drawn_from, state.seed, scene.message)
        case "side":
            output = place.level is Level.OUTPUT or (place.level is Level.MODEL and place.select == "output")
            ribbons = (state.flow, scene.ribbons is None) if place.level is Level.MODEL else ()
            read = (scene.side, scene.scroll, place, scene.message)
            return (*shared, *read, *ribbons, *sampling) if output else (*shared, *read, *ribbons)
        case "footer":
            return (rect, scene.palette, scene.keys)
    return (rect, scene.palette)


def draw_screen(scene: Scene) -> Canvas:
    """Every pane of the screen in one Canvas of the scene's size."""
    whole = Canvas(scene.width, scene.height, scene.palette)
    for name, rect in layout(scene.width, scene.height, scene.side).items():
        whole.blit(draw_pane(name, scene, rect), rect.x, rect.y)
    return whole
