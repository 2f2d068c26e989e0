"""The whole screen: where each pane lies at a size, and all of them as one Canvas (what `render` writes and the app shows)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from txexplain.explorer.location import place_of
from txexplain.text import cell_width
from txexplain.viz.canvas import Canvas
from txexplain.viz.scene import Scene
from txexplain.viz.views import PANES
from txexplain.viz.views.caption import caption_rows
from txexplain.viz.views.chrome import computing, paint_covered
from txexplain.viz.views.lesson import mark
from txexplain.viz.views.panel import ABOVE, LOWEST
from txexplain.viz.views.surprisal import rows_needed
from txexplain.words.colours import LEGENDS

SMALLEST = (60, 16)
NARROW = 100
ULTRA = 160
LEAST_STAGE = 14  # rows that the stage keeps where something stands below it
LEAST_PANEL, LEAST_SIDE = 9, 6  # rows that the panel keeps where something stands below it, and that this needs
PANEL_SHARE = 0.4  # of their common height
ROOMY = (100, 30)  # from here on the surprisal strip is open unless the reader shuts it


@dataclass(frozen=True)
class Rect:
    """A pane's place, in cells."""

    x: int
    y: int
    width: int
    height: int


def layout(
    width: int, height: int, side: str = "", *, lecture: bool = False, changed: bool = False, prompt: int | None = None,
    output: bool = False,
) -> dict[str, Rect]:  # fmt: skip
    """Each pane's place. Under 60×16 there is only a sentence that names the size needed.

    side: "explain" stands below the panel where there is room for it, and the stage keeps its size. "lesson" and "welcome" stand above the
    panel; in a narrow screen under the stage, and of the panel one row is left.
    lecture: no header, and more room for the bars; in a narrow screen they stand in place of an output's table. changed: a line
    under the header says what is changed in the run. prompt: the rows that it needs, of which it gets some; where that isn't
    known, all that it may have. output: the stage lists what the panel would, and has its width; of the panel three rows are
    left.
    """
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return {"small": Rect(0, 0, width, height)}
    most = 2 if height < 30 else 3 if height < 50 else 4
    prompt = most if prompt is None else max(1, min(prompt, most))
    top = 1 - lecture + changed
    panes = {"prompt": Rect(0, top, width, prompt), "footer": Rect(0, height - 1, width, 1)}
    if not lecture:
        panes["header"] = Rect(0, 0, width, 1)
    if changed:
        panes["edits"] = Rect(0, top - 1, width, 1)
    top += prompt
    rest = height - 1 - top
    if width < NARROW:
        if side in ABOVE:
            lesson = max(5, min(9 + (height - 24) // 2, 16))
            stage = rest - lesson - 1
            if lecture and output:  # the bars, larger, in place of the table
                return panes | {"panel": Rect(0, top, width, stage + 1), "side": Rect(0, top + stage + 1, width, lesson)}
            return panes | {
                "stage": Rect(0, top, width, stage),
                "side": Rect(0, top + stage, width, lesson),
                "panel": Rect(0, top + stage + lesson, width, 1),
            }
        panel = max(5, min(6 + (height - 24) // 3, 12))
        return panes | {"stage": Rect(0, top, width, rest - panel), "panel": Rect(0, top + rest - panel, width, panel)}
    if output and not side and not lecture:
        return panes | {"stage": Rect(0, top, width, rest - LOWEST), "panel": Rect(0, top + rest - LOWEST, width, LOWEST)}
    panel = 40 if width < ULTRA else 52
    if side == "explain" and rest >= LEAST_PANEL + LEAST_SIDE:
        above = max(LEAST_PANEL, round(PANEL_SHARE * rest))
        return panes | {
            "stage": Rect(0, top, width - panel, rest),
            "panel": Rect(width - panel, top, panel, above),
            "side": Rect(width - panel, top + above, panel, rest - above),
        }
    if side in ABOVE:
        below = max(7, min(rest * 2 // 5 if lecture else rest // 3, 24))
        return panes | {
            "stage": Rect(0, top, width - panel, rest),
            "side": Rect(width - panel, top, panel, rest - below),
            "panel": Rect(width - panel, top + rest - below, panel, below),
        }
    return panes | {"stage": Rect(0, top, width - panel, rest), "panel": Rect(width - panel, top, panel, rest)}


def layout_of(scene: Scene) -> dict[str, Rect]:
    """Each pane's place for what a scene shows."""
    needed = None if scene.pane == "prompt" else rows_needed(scene)  # where one types, nothing moves
    output = place_of(scene.location).has_candidates
    panes = layout(scene.width, scene.height, scene.side, lecture=scene.lecture, changed=scene.changed, prompt=needed, output=output)
    if "small" in panes:
        return panes
    if scene.blank:
        return {"blank": Rect(0, 0, scene.width, scene.height)}
    if scene.filling in panes or scene.filling == "stage":
        return filled(panes, scene)
    return panes if scene.side in ABOVE or "stage" not in panes else panes | captioned(panes["stage"], scene)


def filled(panes: dict[str, Rect], scene: Scene) -> dict[str, Rect]:
    """One pane as large as the screen but for the footer and, where it isn't a lesson's text, the prompt."""
    prompt = replace(panes["prompt"], y=0)
    top = 0 if scene.filling == "side" else prompt.height
    whole = Rect(0, top, scene.width, scene.height - 1 - top)
    return {scene.filling: whole, "footer": panes["footer"]} | ({"prompt": prompt} if top else {})


def captioned(stage: Rect, scene: Scene) -> dict[str, Rect]:
    """The stage with its caption below it, as far as that leaves it room enough."""
    rows, behind = caption_rows(scene, stage.width)
    for height in (len(rows) + (not behind and scene.location.kind in LEGENDS), len(rows)):
        if stage.height - height >= LEAST_STAGE:
            above = replace(stage, height=stage.height - height)
            return {"stage": above, "caption": Rect(stage.x, stage.y + above.height, stage.width, height)}
    return {}


def paint_pane(name: str, scene: Scene, rect: Rect) -> Canvas:
    """One pane's picture, as large as its place, with what the lesson's page points at marked."""
    own, covered = replace(scene, width=rect.width, height=rect.height), hidden(name, scene)
    canvas = paint_covered(own) if covered else PANES[name](own)
    if scene.reading is not None and not covered:
        mark(canvas, name, scene)
    if scene.stale and name == scene.filling:  # no header is there to say so
        text = f" {computing(scene)} "
        canvas.put(rect.width - cell_width(text), 0, text, "warning")
    return canvas


def hidden(name: str, scene: Scene) -> bool:
    """Whether a pane is covered: with the panel also a stage that lists what it does."""
    return name in scene.covered or (name == "stage" and "panel" in scene.covered and place_of(scene.location).has_candidates)


def inputs(name: str, scene: Scene, rect: Rect) -> tuple[Any, ...]:
    """What a pane's picture depends on: while these stay the same, so does the picture."""
    state, place = scene.state, scene.location
    shared = (
        rect, scene.palette, scene.shown, scene.stale, scene.faded, scene.lecture, scene.contrast, scene.found, scene.measured,
        scene.reading and scene.reading.highlighted(name), scene.covered,
    )  # fmt: skip
    sampling = (scene.distribution, state.temperature, state.mode, state.k, state.p, scene.candidate, scene.held, scene.back)
    page = place_of(place)
    ribbons = (state.flow, scene.ribbons is None) if page.flows else ()  # they come after the frame
    match name:
        case "header":
            return (*shared, place, scene.model_name, scene.cost)
        case "edits":
            return (*shared, state.edits)
        case "prompt":
            return (*shared, scene.pane, place, state.prompt, state.appended, scene.surprisal)
        case "stage":
            own = sampling if page.has_candidates else ()
            return (*shared, scene.pane, place, scene.message, scene.hover, *ribbons, *own)
        case "caption":
            return (rect, scene.palette, place.kind, place.stage)
        case "panel":
            return (*shared, scene.pane, *sampling, scene.draw, scene.drawn_from, state.seed, scene.message, page.has_candidates)
        case "side":
            if scene.side == "welcome":
                return (*shared, scene.side, scene.begins, scene.message)
            if scene.side == "lesson":
                return (*shared, scene.pane, scene.side, scene.reading, scene.distribution, state.sampling, state.seed, scene.message)
            output = page.subject(place) == "output"
            read = (scene.side, scene.scroll, scene.about, scene.message)
            if scene.about == "panel":
                return (*shared, *read, *sampling, scene.draw, state.seed)
            if scene.about == "prompt":
                return (*shared, *read, place, state.prompt, state.appended, scene.surprisal)
            return (*shared, *read, place, *ribbons, *(sampling if output else ()))
        case "footer":
            return (rect, scene.palette, scene.keys, scene.lecture, scene.reading and scene.reading.pressed)
    return (rect, scene.palette)


def paint_screen(scene: Scene) -> Canvas:
    """Every pane of the screen in one Canvas of the scene's size."""
    whole = Canvas(scene.width, scene.height, scene.palette)
    for name, rect in layout_of(scene).items():
        whole.blit(paint_pane(name, scene, rect), rect.x, rect.y)
    return whole
