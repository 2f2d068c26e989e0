"""A LayerNorm of the selected token: what is subtracted, what it is divided by, how it is stretched and shifted."""

from __future__ import annotations

from txexplain.explorer import choice
from txexplain.explorer.location import Location
from txexplain.facts.norm import NormFacts, norm
from txexplain.text import wrapped
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import exact, number
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Table, vector_rows
from txexplain.viz.views.chrome import title
from txexplain.viz.views.strips import Vector, paint_strips

BEFORE = {"ln1": "the block's input", "ln2": "the stream after attention", "final": "the last block's output"}


def norm_name(place: Location) -> str:
    """The name of the LayerNorm's activations."""
    return "ln_final" if place.kind == "final" else f"blocks.{place.block}.{place.kind}"


SPARED = ("bias", "gain", "mean", "scale")  # the steps that a low stage leaves out, the first first


def steps_of(scene: Scene) -> NormFacts:
    """The selected token's way through the page's LayerNorm."""
    return norm(scene.result, norm_name(scene.location), scene.token)


@PICTURES.of("ln1", "ln2", "final")
def paint_norm(scene: Scene) -> Canvas:
    """The steps as strips under one cursor, the numbers that all elements share above, one element's arithmetic below."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, glyphs, ascii = scene.location, scene.palette.glyphs, scene.palette.ascii
    name = norm_name(place)
    title(canvas, scene, f"{name} {glyphs.dot} LayerNorm", f"token {scene.token} {scene.label(scene.token).strip()}")
    steps = steps_of(scene)
    mean, variance, scale = (number(value, ascii=ascii) for value in (steps.x.mean, steps.x.variance, steps.scale))
    minus, times = glyphs.minus, glyphs.times
    root = "sqrt" if ascii else "√"
    eps = "eps" if ascii else "ε"
    x = 1 + canvas.put(1, 1, f"mean {mean}", "text", attrs=BOLD)
    x += canvas.put(x, 1, f"   variance {variance}   scale {root}(variance + {eps}) = ", "muted")
    canvas.put(x, 1, scale, "text", attrs=BOLD)
    vectors = [
        Vector("x", "residual", steps.x, BEFORE[place.kind]),
        Vector(f"x {minus} mean", "residual", steps.centred, f"x {minus} {mean}"),
        Vector(f"{'/' if ascii else '÷'} scale", "residual", steps.divided, f"(x {minus} mean) {'/' if ascii else '÷'} {scale}"),
    ]
    if steps.gain is not None and steps.bias is not None:
        vectors += [
            Vector("gain", "muted", steps.gain, "learned, the same for every token"),
            Vector("bias", "muted", steps.bias, "learned, the same for every token"),
        ]
    vectors.append(Vector("result", "text", steps.result, f"divided {times} gain + bias"))
    lines = [arithmetic(scene, steps), comparison(scene, steps)]
    if steps.gain is None:
        lines.append("gain and bias: not recorded, they are the model's weights")
    notes = [[(row, "muted" if number_ else "text") for row in wrapped(line, scene.width - 2)] for number_, line in enumerate(lines)]
    for step in SPARED:  # a low stage has room for the arithmetic and the steps that it names last
        if len(vectors) + 1 + len(notes[0]) > scene.height - 2:
            vectors = [vector for vector in vectors if not vector.name.endswith(step)]
    rows = notes[0]
    for note_ in notes[1:]:
        rows = rows + note_ if len(vectors) + 1 + len(rows) + len(note_) <= scene.height - 2 else rows
    y = paint_strips(canvas, scene, vectors, 2, scene.height - 3 - len(rows), place)
    y = min(y + int(scene.height > 20), scene.height - len(rows))
    for line, (text, ink) in enumerate(rows):
        canvas.put(1, y + line, text, ink, width=scene.width - 2)
    return canvas


def arithmetic(scene: Scene, steps: NormFacts) -> str:
    """One element in numbers: the one under the cursor, or the one that lies farthest from the mean."""
    ascii, glyphs = scene.palette.ascii, scene.palette.glyphs
    element = scene.location.element
    at = choice.element(scene.result, scene.location)

    def n(value: float) -> str:
        text = number(value, ascii=ascii)
        return f"({text})" if text[0] in "-−" else text

    divide = "/" if ascii else "÷"
    which = f"element {at}" if element is not None else f"element {at} (farthest)"
    text = f"{which}: ({number(steps.x[at], ascii=ascii)} {glyphs.minus} {n(steps.x.mean)}) {divide} {n(steps.scale)}"
    result = number(steps.result[at], ascii=ascii)
    if steps.gain is None or steps.bias is None:
        return f"{text} = {number(steps.divided[at], ascii=ascii)}; {result} after gain and bias"
    return f"{text} {glyphs.times} {n(steps.gain[at])} + {n(steps.bias[at])} = {result}"


def comparison(scene: Scene, steps: NormFacts) -> str:
    """What a LayerNorm is for, in this token's numbers."""
    ascii = scene.palette.ascii
    before, between, after = (number(each.length, ascii=ascii) for each in (steps.x, steps.divided, steps.result))
    root = "sqrt(d)" if ascii else "√d"
    return f"norms: {before} before; {between} divided, {root} for any token; {after} after gain and bias"


@TABLES.of("ln1", "ln2", "final")
def norm_table(scene: Scene) -> Table:
    steps = steps_of(scene)
    heading = (
        f"mean {exact(steps.x.mean)}, variance {number(steps.x.variance)}, scale {exact(steps.scale)}. Each step, for the selected token:"
    )
    vectors = {"x": steps.x, "x - mean": steps.centred, "divided": steps.divided, "gain": steps.gain, "bias": steps.bias}
    return heading, vector_rows(vectors | {"result": steps.result}, choice.element(scene.result, scene.location))
