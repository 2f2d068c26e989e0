"""A vector times a matrix, for the selected token: one element of the result as its dot product, or the matrix itself."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from txexplain.errors import NotRecorded
from txexplain.explorer import choice
from txexplain.explorer.location import Location
from txexplain.facts.linear import PROJ, QKV, DotFacts, LinearFacts, dot, head_lengths, linear
from txexplain.facts.vector import VectorFacts, vector
from txexplain.text import cell_width
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import exact, fit, number
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.ramps import CALM, Ramp, pool, span
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, first_of, mark, nth
from txexplain.viz.views.chrome import fitting, title
from txexplain.viz.views.head import window
from txexplain.viz.views.strips import MARGIN, NAME, WIDEST, Vector, cell_of, largest, one_strip, paint_strips, peaks, strip_cells

PARTS = (("q", "query"), ("k", "key"), ("v", "value"))
TERMS = 4  # largest terms that are written out
CELL, LABEL = 8, 7  # of the matrix
HEAD, HIGHEST = 5, 3  # cells of a head's name before its vectors, and rows of these
ENTRY = 12  # cells of a head's name and number


def map_of(scene: Scene) -> LinearFacts:
    """The page's product, for the selected token."""
    scene.result.weights()  # without them nothing else counts
    return linear(scene.result, scene.location.block, made(scene), scene.token)


def dot_of(scene: Scene, element: int) -> DotFacts:
    """One element of it."""
    return dot(scene.result, scene.location.block, made(scene), scene.token, element)


def made(scene: Scene) -> str:
    return QKV if scene.location.kind == "qkv" else PROJ


def meaning(scene: Scene, element: int) -> str:
    """What an output element is: of which part and head."""
    if scene.location.kind == "proj":
        return f"element {element} of attn_out"
    part, rest = divmod(element, scene.config.n_embd)
    head, place = divmod(rest, scene.config.head_dim)
    return f"element {element} = {'QKV'[part]} of H{head}, {place}"


def role_of(scene: Scene, element: int) -> str:
    return PARTS[element // scene.config.n_embd][1] if scene.location.kind == "qkv" else "attention"


@PICTURES.of("qkv", "proj")
def paint_linear(scene: Scene) -> Canvas:
    """The page in its present face."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place = scene.location
    what = "x W_QKV + b" if place.kind == "qkv" else "z W_O + b"
    title(canvas, scene, f"{place.kind} {scene.palette.glyphs.dot} {what}", f"token {scene.token} {scene.label(scene.token).strip()}")
    if scene.result.model is None:
        paint_recorded(canvas, scene)
        return canvas
    product = map_of(scene)
    element = choice.element(scene.result, place)
    if place.face == "matrix":
        paint_matrix(canvas, scene, product, element)
    else:
        paint_product(canvas, scene, product, element)
    return canvas


def paint_recorded(canvas: Canvas, scene: Scene) -> None:
    """What a trace has of the page without its model: the input and the result. Raises NotRecorded where it has neither."""
    prefix = f"blocks.{scene.location.block}."
    if scene.location.kind == "qkv":
        names = [("x", "residual", "ln1.normalized"), *((part, role, f"attn.{part}") for part, role in PARTS)]
    else:
        names = [("z", "attention", "attn.z"), ("attn_out", "attention", "attn_out")]
    there = [(name, role, prefix + tensor) for name, role, tensor in names if prefix + tensor in scene.trace]
    if not there:
        raise NotRecorded(prefix + names[-1][2])
    vectors = [Vector(name, role, vector(scene.result, tensor, scene.token), tensor) for name, role, tensor in there]
    element = scene.location.element
    place = replace(scene.location, element=None if element is None else element % scene.config.n_embd, source=None)
    y = paint_strips(canvas, scene, vectors, 1, scene.height - 3, place)
    lacking = [tensor for _, _, tensor in names if prefix + tensor not in scene.trace]
    text = f"not recorded: the weights and biases{''.join(f', {prefix}{tensor}' for tensor in lacking)}"
    canvas.put(1, min(y + 1, scene.height - 1), text, "muted", width=scene.width - 2)


def paint_product(canvas: Canvas, scene: Scene, product: LinearFacts, element: int) -> None:
    """Input, column of weights, their products; the largest of these in numbers; the output with its cursor."""
    place, times = scene.location, scene.palette.glyphs.times
    ascii, role = scene.palette.ascii, role_of(scene, element)
    sum_ = dot_of(scene, element)
    canvas.put(1, 1, meaning(scene, element), role, attrs=BOLD)
    names = ("x", "LayerNorm's result") if place.kind == "qkv" else ("z", "the heads' results, side by side")
    vectors = [
        Vector(names[0], "residual" if place.kind == "qkv" else "attention", sum_.x, names[1]),
        Vector("weights", "text", sum_.weights, f"column {element} of {'W_QKV' if place.kind == 'qkv' else 'W_O'}"),
        Vector(f"{names[0]} {times} w", role, sum_.terms, "their products, element by element"),
    ]
    low = scene.height < 24
    under = replace(place, element=place.source)
    headed = place.kind == "qkv" and scene.height >= 17 + scene.config.n_head
    split = headed or place.kind == "proj"
    below = 7 + (scene.config.n_head if split else 0)  # rows of the sum, the outputs and the heads' parts
    height = 4 if low else max(10, min(25, scene.height - 3 - below))
    y = paint_strips(canvas, scene, vectors, 2, height, under, lambda n: replace(place, source=n, element=element))
    y += int(not low)
    canvas.put(1, y, largest_terms(sum_, times, scene.width - 2, ascii), "muted")
    x = 1 + canvas.put(1, y + 1, f"= {number(sum_.total, ascii=ascii)} + bias {signed(sum_.bias, ascii)} = ", "text")
    canvas.put(x, y + 1, exact(sum_.result, short=scene.lecture), role, attrs=BOLD)
    y += 2 + int(not low)
    if headed and scene.height > y + scene.config.n_head:
        heads(canvas, scene, product, y)
        return
    y = outputs(canvas, scene, product, y)
    if place.kind == "proj":
        shares(canvas, scene, product, y + int(not low))


def largest_terms(sum_: DotFacts, times: str, room: int, ascii: bool) -> str:
    """A dot product's largest terms, as many as fit, and what the others make together."""
    order = sum_.terms.order[:TERMS].tolist()
    for n in range(len(order), -1, -1):
        shown = [f"{signed(sum_.x[i], ascii)}{times}{signed(sum_.weights[i], ascii)}" for i in order[:n]]
        rest = sum_.total - sum(sum_.terms[i] for i in order[:n])
        text = " + ".join([*shown, f"{signed(rest, ascii)} from the other {len(sum_.terms) - n}"])
        if cell_width(text) <= room:
            break
    return text


def signed(value: float, ascii: bool) -> str:
    """A number in brackets where a minus would follow a sign."""
    text = number(value, ascii=ascii)
    return f"({text})" if text[0] in "-−" else text


def element_at(place: Location, before: int, n: int) -> Location:
    """The page of the n-th element of a part of the result, `before` elements in."""
    return replace(place, source=None, element=before + n)


def outputs(canvas: Canvas, scene: Scene, product: LinearFacts, y: int) -> int:
    """The result as strips of d elements, the cursor's part with its number."""
    place, d = scene.location, scene.config.n_embd
    cells, each = strip_cells(scene.width, d)
    parts = PARTS if place.kind == "qkv" else (("attn_out", "attention"),)
    for number_, (name, role) in enumerate(parts):
        inside = None if place.element is None or place.element // d != number_ else place.element % d
        part = VectorFacts(product.result.values[number_ * d : (number_ + 1) * d])
        under = replace(place, element=inside, source=None)
        leads = partial(element_at, place, number_ * d)
        one_strip(canvas, scene, Vector(name, role, part), y, (d, cells, each), under, named=True, to=leads)
        if inside is not None:
            at = MARGIN + NAME + cell_of(inside, d, cells) * each
            canvas.put(at, y, scene.palette.glyphs.up, "text", attrs=BOLD)
        y += 1
    return y


def shares(canvas: Canvas, scene: Scene, product: LinearFacts, y: int) -> None:
    """Each head's part of the result by its length, the bias's, and the whole's."""
    place, ascii, config = scene.location, scene.palette.ascii, scene.config
    lengths = head_lengths(scene.result, place.block, scene.token)
    bias, whole = (number(each.length, ascii=ascii) for each in (product.bias, product.result))
    parts = "norms of the heads' parts"
    fitting(canvas, y, f"{parts}; bias {bias}; their sum, attn_out, {whole}", f"{parts}; bias {bias}; attn_out {whole}")
    y += 1
    if scene.height - y >= config.n_head:
        largest, calm = max(lengths) or 1.0, scene.palette.mix("background", "attention", CALM)
        for head, length in enumerate(lengths):
            canvas.put(1, y + head, f"H{head}", "attention", width=4)
            canvas.put(5, y + head, number(length, ascii=ascii), "text", width=9, align="right")
            canvas.put(16, y + head, bar(length / largest, scene.width - 18, scene.palette), calm)
            canvas.target(1, y + head, scene.width - 2, 1, Location("head", block=place.block, head=head, token=place.token))
        return
    across = max(1, (scene.width - 2) // ENTRY)
    for head, length in enumerate(lengths):
        row, column = divmod(head, across)
        if y + row < scene.height:
            at = 1 + column * ENTRY
            used = canvas.put(at, y + row, f"H{head} ", "attention")
            canvas.put(at + used, y + row, number(length, ascii=ascii), "text")
            canvas.target(at, y + row, ENTRY - 1, 1, Location("head", block=place.block, head=head, token=place.token))


def heads(canvas: Canvas, scene: Scene, product: LinearFacts, y: int) -> None:
    """The result as every head's own query, key and value, each part on one scale, the element under the cursor marked."""
    place, (d, dh, n_head) = scene.location, (scene.config.n_embd, scene.config.head_dim, scene.config.n_head)
    room, ascii = (scene.width - 2 - HEAD) // 3, scene.palette.ascii
    cells = min(dh, room - 2)
    each, tall = max(1, min((room - 2) // cells, WIDEST)), max(1, min(HIGHEST, (scene.height - y - 2) // n_head))
    canvas.put(1, y, "head", "muted")
    for head in range(n_head):
        canvas.put(1, y + 1 + head * tall, f"H{head}", "text")
        canvas.target(1, y + 1 + head * tall, HEAD - 1, tall, Location("head", block=place.block, head=head, token=place.token))
    for part, (name, role) in enumerate((("query", "query"), ("key", "key"), ("value", "value"))):
        x, values = 1 + HEAD + part * room, product.result.values[part * d : (part + 1) * d].reshape(n_head, dh)
        low, high = span(values)
        end = x + canvas.put(x, y, name, role, attrs=BOLD)
        canvas.put(end + 2, y, f"{number(low, ascii=ascii)} to {number(high, ascii=ascii)}", "faint", width=max(0, x + room - end - 3))
        shown, pooled = pool(values, cells)  # [H, cells]
        strong = largest(shown.ravel()).reshape(shown.shape)
        ramp = Ramp("diverging", role, scene.palette)
        levels = ramp.quantise(shown, low, high)
        ramp.cells(canvas, (x, y + 1), (each, tall), levels, strong)
        of = [[part * d + head * dh + at for at in peaks(values[head], cells)] for head in range(n_head)]
        size = (each * cells, n_head * tall)
        canvas.board(x, y + 1, *size, (x, y + 1), (each, tall), lambda row, cell, of=of: element_at(place, 0, of[row][cell]))  # type: ignore[misc]
        if place.element is not None and place.element // d == part:
            head, inside = divmod(place.element % d, dh)
            cell = cell_of(inside, dh, cells)
            canvas.put(x + cell * each, y + 1 + head * tall, scene.palette.glyphs.knob, ramp.ink(int(levels[head, cell])), attrs=BOLD)
    if pooled and y + 1 + n_head * tall < scene.height:
        canvas.put(1 + HEAD, y + 1 + n_head * tall, pooled, "faint", width=scene.width - 2 - HEAD)


def paint_matrix(canvas: Canvas, scene: Scene, product: LinearFacts, element: int) -> None:
    """The weights around the cursor: rows are inputs, columns outputs; both with their own numbers."""
    place, ascii, times = scene.location, scene.palette.ascii, scene.palette.glyphs.times
    sum_ = dot_of(scene, element)
    source = choice.source(place, sum_)
    a, b = product.weight.shape
    rows = window(source, a, max(1, scene.height - 5))
    columns = window(element, b, max(1, (scene.width - 2 * LABEL - 2) // CELL))
    low, high = scene.result.last("span", (place.kind, place.block), lambda: span(product.weight))
    ramp = Ramp("diverging", role_of(scene, element), scene.palette)
    left = 2 * LABEL
    canvas.put(1, 1, "input", "muted", width=LABEL)
    for n, j in enumerate(columns):
        lit = j == element
        canvas.put(
            left + n * CELL, 1, str(j), role_of(scene, j), "cursor" if lit else None, BOLD if lit else 0, width=CELL - 1, align="right"
        )
    shown = product.weight[rows.start : rows.stop, columns.start : columns.stop].astype(np.float64)
    levels = ramp.quantise(shown, low, high)
    for row, i in enumerate(rows):
        y, lit = 2 + row, i == source
        canvas.put(1, y, str(i), "text" if lit else "muted", "cursor" if lit else None, BOLD if lit else 0, width=LABEL - 2, align="right")
        canvas.put(LABEL, y, fit(product.x[i], LABEL - 1), "residual", width=LABEL - 1, align="right")
        for n, j in enumerate(columns):
            x, level = left + n * CELL, int(levels[row, n])
            ramp.cell(canvas, x, y, CELL, level)
            canvas.put(x + 1, y, fit(float(shown[row, n]), CELL - 2), ramp.ink(level), width=CELL - 2, align="right")
            if (i, j) == (source, element):
                canvas.put(x, y, "[", "accent", attrs=BOLD)
                canvas.put(x + CELL - 1, y, "]", "accent", attrs=BOLD)
            canvas.target(x, y, CELL, 1, replace(place, source=i, element=j))
    y = scene.height - 3
    scale = f"{number(low, ascii=ascii)} to {number(high, ascii=ascii)}"
    part = f"rows {rows[0]}-{rows[-1]}, columns {columns[0]}-{columns[-1]}"
    fitting(canvas, y, f"{a}{times}{b} weights, {scale}; {part}", f"{part} of {a}{times}{b} weights", part)
    x = 1 + canvas.put(1, y + 1, f"W[{source},{element}] = ", "muted")
    x += canvas.put(x, y + 1, exact(sum_.weights[source], short=scene.lecture), "text", attrs=BOLD)
    canvas.put(
        x,
        y + 1,
        f"   input {signed(sum_.x[source], ascii)} {times} weight = {number(sum_.terms[source], ascii=ascii)}",
        "muted",
        width=scene.width - x - 1,
    )
    result = exact(sum_.result, short=scene.lecture)
    canvas.put(1, y + 2, f"{meaning(scene, element)}: {result}", role_of(scene, element), width=scene.width - 2)


@TABLES.of("qkv", "proj")
def linear_table(scene: Scene) -> Table:
    map_of(scene)  # says what is missing
    element = choice.element(scene.result, scene.location)
    dot = dot_of(scene, element)
    source = choice.source(scene.location, dot)
    heading = f"{meaning(scene, element)}: {number(dot.total)} + bias {exact(dot.bias)} = {exact(dot.result)}. Its largest terms:"
    rows: list[Row] = [("", "input", "x", "weight", "x × weight")]
    for i in first_of(dot.terms.order.tolist(), source):
        rows.append((mark(i == source), nth(i), exact(dot.x[i]), exact(dot.weights[i]), number(dot.terms[i])))
    return heading, rows
