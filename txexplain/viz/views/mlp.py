"""The MLP for the selected token: its neurons by what they do, the activation's curve, and one neuron's own page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.ops import ACTIVATIONS
from txexplain.errors import ChangedByHand
from txexplain.explorer import choice
from txexplain.facts import mlp
from txexplain.facts.by_hand import recomputable
from txexplain.facts.linear import FC, dot
from txexplain.facts.vector import VectorFacts, vector
from txexplain.text import cell_width, clip
from txexplain.viz.bars import braille
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import count, exact, number
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.ramps import CALM
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, first_of, mark, named, nth
from txexplain.viz.views.chrome import balance, put_moved, title
from txexplain.viz.views.linear import largest_terms, signed
from txexplain.viz.views.strips import Vector, paint_strips

SORTED = {"post": "after the activation", "pre": "before the activation", "added": "what they add"}
CURVE = 26  # cells of the curve's picture
FIGURE = 10
ROOMY = 21  # rows of a stage that has room for what may be left out


@PICTURES.of("mlp")
def paint_mlp(scene: Scene) -> Canvas:
    """The neurons, sorted; all of them as a strip above; the curve beside them where there is room."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, result, ascii = scene.location, scene.result, scene.palette.ascii
    by = place.face or "post"
    pre, post = (vector(result, f"blocks.{place.block}.mlp.{part}", scene.token) for part in ("pre", "post"))  # [m]
    listed = mlp.neurons(result, place.block, scene.token, by)
    order = listed.order
    here = choice.neuron(result, place)
    title(
        canvas,
        scene,
        f"L{place.block}.mlp {scene.palette.glyphs.dot} {count(len(pre))} neurons by {by}",
        f"token {scene.token} {scene.label(scene.token).strip()}",
    )
    strip, top = Vector("post", "mlp", post, "activation(pre)"), 2 if scene.height < 20 else 3
    y = paint_strips(canvas, scene, [strip], 1, top, replace(place, element=None), lambda n: replace(place, face=by, neuron=n))
    note = f"{count(mlp.firing(result, place.block, scene.token))} above 0; by {SORTED[by]}, largest first"
    more = "; v sorts otherwise"
    canvas.put(1, y, note + more if cell_width(note + more) < scene.width - 1 else note, "muted", width=scene.width - 2)
    y += 1 + int(scene.height >= ROOMY)
    curve_wide = scene.width >= 76
    width = scene.width - (CURVE + 2 if curve_wide else 0)
    told = result.model is not None and recomputable(result, f"blocks.{place.block}.mlp_out", row=scene.token)
    adds = mlp.adds(result, place.block, scene.token) if told else None
    bar_at = 1 + 8 + (3 if adds is not None else 2) * FIGURE + 1
    for x, text in ((1, "neuron"), (9, "pre"), (9 + FIGURE, "post"), (9 + 2 * FIGURE, "adds" if adds is not None else "")):
        canvas.put(x, y, text, "faint", width=8 if x == 1 else FIGURE - 1, align="left" if x == 1 else "right")
    ends = (listed.by.least, listed.by.greatest)
    rows, calm = scene.height - y - 1, scene.palette.mix("background", "mlp", CALM)
    at = order.index(here)
    first = max(0, min(at - rows // 2, len(order) - rows))
    for row, neuron in enumerate(order[first : first + rows]):
        line, lit = y + 1 + row, neuron == here
        if lit:
            canvas.fill(0, line, width, 1, bg="cursor")
        canvas.put(1, line, str(neuron), "mlp", attrs=BOLD if lit else 0)
        figures = [pre[neuron], post[neuron], *([] if adds is None else [adds[neuron]])]
        for column, value in enumerate(figures):
            canvas.put(9 + column * FIGURE, line, number(value, ascii=ascii), "text", width=FIGURE - 1, align="right")
        balance(canvas, listed.by[neuron], ends, (bar_at, line), max(3, width - bar_at - 1), calm)
        canvas.target(0, line, width, 1, replace(place, face=by, neuron=neuron))
    if curve_wide:
        curve(canvas, scene, pre, (pre[here], post[here]), (width + 1, y), (CURVE, min(scene.height - y, 12)))
    return canvas


def curve(
    canvas: Canvas, scene: Scene, pre: VectorFacts, point: tuple[float, float], corner: tuple[int, int], size: tuple[int, int]
) -> None:
    """The activation over the range of the data, with one neuron's point on it; nothing where it isn't known."""
    (x0, y0), (width, height) = corner, size
    name = scene.result.activation
    if name is None:
        return
    activation = ACTIVATIONS[name]
    low, high = min(pre.least, -1.0), max(pre.greatest, 1.0)
    inputs = np.linspace(low, high, width, dtype=np.float32)
    outputs = activation(inputs).astype(np.float64)
    at, after = point  # off the curve where it was changed by hand
    bottom, top = min(float(outputs.min()), 0.0, after), max(float(outputs.max()), after) or 1.0
    rows = height - 2

    def row_of(value: float) -> int:
        return y0 + 1 + round((top - value) / ((top - bottom) or 1.0) * (rows - 1))

    canvas.put(x0, y0, name, "muted", width=width)
    canvas.hline(x0, row_of(0.0), width)
    zero = round((0 - low) / (high - low) * (width - 1))
    for row in range(y0 + 1, y0 + 1 + rows):
        canvas.put(x0 + zero, row, scene.palette.glyphs.vertical, "rule")
    if scene.palette.ascii:
        for column, value in enumerate(outputs.tolist()):
            canvas.put(x0 + column, row_of(value), scene.palette.glyphs.dot, "mlp", attrs=BOLD)
    else:
        fine = activation(np.linspace(low, high, 2 * width, dtype=np.float32)).astype(np.float64)
        for row, text in enumerate(braille(line_of((top - fine) / ((top - bottom) or 1.0), 4 * rows)), start=y0 + 1):
            for column in (i for i, char in enumerate(text) if char != " "):
                canvas.put(x0 + column, row, text[column], "mlp", attrs=BOLD)
    canvas.put(x0 + round((at - low) / (high - low) * (width - 1)), row_of(after), scene.palette.glyphs.knob, "accent", attrs=BOLD)
    left, right = (number(value, ascii=scene.palette.ascii) for value in (low, high))
    canvas.put(x0, y0 + height - 1, left, "faint")
    canvas.put(x0 + width - cell_width(right), y0 + height - 1, right, "faint")


def line_of(parts: NDArray[np.float64], height: int) -> NDArray[np.bool_]:
    """A line through points, a column each, without gaps. Shapes: parts [w], 0 at the top, 1 at the bottom -> [height, w]."""
    at = np.rint(parts * (height - 1)).astype(int)
    before = np.r_[at[0], at[:-1]]
    rows = np.arange(height)[:, None]
    near = np.where(at > before, before + 1, np.where(at < before, before - 1, at))  # from beside where the column before ends
    return np.asarray((rows >= np.minimum(near, at)) & (rows <= np.maximum(near, at)))


@PICTURES.of("neuron")
def paint_neuron(scene: Scene) -> Canvas:
    """One neuron: how its input came about, the point on the curve, what it writes, and where in the prompt it fires."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, result, ascii = scene.location, scene.result, scene.palette.ascii
    neuron = place.neuron or 0
    pre, post = (vector(result, f"blocks.{place.block}.mlp.{part}", scene.token)[neuron] + 0.0 for part in ("pre", "post"))  # no −0
    note = f"token {scene.token} {scene.label(scene.token).strip()}"
    title(canvas, scene, f"L{place.block}.mlp[{neuron}] {scene.palette.glyphs.dot} a neuron", note)
    curve_wide = scene.width >= 76
    width = scene.width - (CURVE + 3 if curve_wide else 0)
    y = 1
    steps = ("mlp.pre", "mlp.post", "mlp_out")
    by_hand = [step for step in steps if not recomputable(result, f"blocks.{place.block}.{step}", row=scene.token)]
    if by_hand:
        canvas.put(1, y, f"changed by hand: {', '.join(by_hand)}", "muted", width=width)
        y += 1
    if result.model is not None and "mlp.pre" not in by_hand:
        fit = dot(result, place.block, FC, scene.token, neuron)
        worked = f"{number(fit.total, ascii=ascii)} + {signed(fit.bias, ascii)} = {exact(pre, short=scene.lecture)}"
        canvas.put(1, y, f"x {scene.palette.glyphs.dot} w + b = {worked}", "text", width=width)
        y += 1
        if scene.height >= ROOMY:
            terms = largest_terms(fit, scene.palette.glyphs.times, width - 15, ascii)
            canvas.put(1 + canvas.put(1, y, "largest terms ", "faint"), y, terms, "muted")
            y += 1
    made = "post" if "mlp.post" in by_hand else f"{result.activation or 'activation'}({number(pre, ascii=ascii)})"
    x_at = 1 + canvas.put(1, y, f"{made} = ", "muted")
    canvas.put(x_at, y, exact(post, short=scene.lecture), "mlp", attrs=BOLD)
    y += 1
    if result.model is not None and "mlp_out" not in by_hand:
        adds = number(mlp.adds(result, place.block, scene.token)[neuron], ascii=ascii)
        canvas.put(
            1, y, f"writes {number(post, ascii=ascii)} {scene.palette.glyphs.times} its row of W_proj: norm {adds}", "text", width=width
        )
        y += 1
        try:
            reading = mlp.written(result, place.block, neuron, scene.token)
        except ChangedByHand as changed:
            canvas.put(1, y, f"raises, lowers: not told: {changed.name} was changed by hand", "muted", width=width)
        else:
            up, down = scene.palette.glyphs.up, scene.palette.glyphs.down
            for mark, role, tokens in ((up, "positive", reading.raises), (down, "negative", reading.lowers)):
                put_moved(canvas, scene, tokens, 2 + canvas.put(1, y, mark, role), y, width)
                y += 1
            canvas.put(1, y, "points of probability, straight to the end", "faint", width=width)
    elif result.model is None:
        canvas.put(1, y, "reads and writes: not recorded, those are weights", "muted", width=width)
    y = max(y + 1 + int(scene.height >= ROOMY), 7 if curve_wide else 0)
    if curve_wide:
        own = VectorFacts(scene.trace[f"blocks.{place.block}.mlp.pre"][:, neuron])  # [T]
        curve(canvas, scene, own, (pre, post), (width + 1, 1), (CURVE, max(5, min(y - 1, 12))))
    fires(canvas, scene, neuron, y)
    return canvas


def fires(canvas: Canvas, scene: Scene, neuron: int, y: int) -> None:
    """The neuron at every token: bars to the right of 0 where it fires, to the left where it is negative; the selected token marked."""
    place, ascii = scene.location, scene.palette.ascii
    values = mlp.everywhere(scene.result, place.block, neuron)  # [T]
    fires = "where it fires in the prompt" if values.greatest > 0 else "it fires at no token of the prompt"
    x = 1 + canvas.put(1, y, fires, "muted")
    if values.least < 0:
        canvas.put(x, y, "; left of the line: below 0", "faint", width=scene.width - x - 1)
    rows = scene.height - y - 1
    first = max(0, min(scene.token - rows // 2, len(values) - rows))
    ends = (values.least, values.greatest)
    label, figure, calm = 16, 10, scene.palette.mix("background", "mlp", CALM)
    for row, token in enumerate(range(first, min(first + rows, len(values)))):
        line, lit = y + 1 + row, token == scene.token
        if lit:
            canvas.fill(0, line, scene.width, 1, bg="cursor")
        canvas.put(
            1,
            line,
            clip(f"{token} {scene.label(token).strip()}", label - 1, scene.palette.glyphs.ellipsis),
            "text",
            attrs=BOLD if lit else 0,
        )
        value = values[token]
        canvas.put(1 + label, line, number(value, ascii=ascii), "text", width=figure - 1, align="right")
        balance(canvas, value, ends, (1 + label + figure, line), scene.width - label - figure - 3, calm)
        canvas.target(0, line, scene.width, 1, ("token", token))


@TABLES.of("mlp", "neuron")
def mlp_table(scene: Scene) -> Table:
    place = scene.location
    by = place.face or "post"
    pre, post = (vector(scene.result, f"blocks.{place.block}.mlp.{part}", scene.token) for part in ("pre", "post"))
    if place.kind == "neuron":
        neuron = place.neuron or 0
        everywhere = mlp.everywhere(scene.result, place.block, neuron)
        rows: list[Row] = [("token", "post")]
        rows += [(named(scene, i), exact(everywhere[i])) for i in range(len(everywhere))]
        return f"Neuron {neuron}: pre {exact(pre[neuron])}, post {exact(post[neuron])}. Where it fires:", rows
    here = choice.neuron(scene.result, place)
    rows = [("", "neuron", "pre", "post")]
    for neuron in first_of(mlp.neurons(scene.result, place.block, scene.token, by).order, here):
        rows.append((mark(neuron == here), nth(neuron), exact(pre[neuron]), exact(post[neuron])))
    return f"Its first neurons by {by}, for the selected token:", rows
