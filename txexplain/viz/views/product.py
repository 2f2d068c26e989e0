"""One query·key product, element by element, and what it moves into the query token's residual stream."""

from __future__ import annotations

from txexplain.errors import ChangedByHand
from txexplain.explorer import choice
from txexplain.facts.by_hand import recomputable
from txexplain.facts.head import row, score
from txexplain.facts.product import PairFacts, moved, moved_reading, pairs
from txexplain.facts.vector import VectorFacts, vector
from txexplain.text import cell_width
from txexplain.viz.bars import sparkline
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import Figure, exact, number, points
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.ramps import Ramp, pool
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, quoted
from txexplain.viz.views.chrome import balance, fitting, put_moved, title
from txexplain.viz.views.strips import largest

LABEL = 9
AIRY = 14  # rows from which on empty ones part the picture's steps
LEAST_SIDE, MOST_SIDE = 8, 24  # cells of a bar to either side of its line


@PICTURES.of("product")
def paint_product(scene: Scene) -> Canvas:
    """q, k, q × k with its running sum; the score, its softmax row, and the vector that it moves."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, glyphs = scene.location, scene.palette.glyphs
    layer, head = place.block, place.head
    query, key = choice.cursor(scene.result, place)
    found = pairs(scene.result, layer, head, query, key)  # [dh]
    title(canvas, scene, f"L{layer}H{head}[{query},{key}] {glyphs.dot} one product", f"dh {len(found.q)}")
    x = 1 + canvas.put(1, 1, f"Q{query} {scene.label(query).strip()}", "query", attrs=BOLD, width=None)
    x += canvas.put(x, 1, f" {glyphs.dot} ", "muted")
    canvas.put(x, 1, f"K{key} {scene.label(key).strip()}", "key", attrs=BOLD)
    roomy = scene.height >= 26
    y = 2
    for name, role, each in (("q", "query", found.q), ("k", "key", found.k), (f"q {glyphs.times} k", "attention", found.terms)):
        y = vector_row(canvas, scene, name, role, each, y)
        y += int(roomy)
    pooled, _ = pool(found.running.values, room(scene))
    low, high = min(found.running.least, 0.0), max(found.running.greatest, 0.0)
    cells = sparkline([value - low for value in pooled], scene.palette, (high - low) or 1.0)
    wide = max(1, min(4, room(scene) // len(pooled)))
    canvas.put(1, y, "running", "muted", width=LABEL)
    canvas.put(1 + LABEL, y, "".join(cell * wide for cell in cells), "attention")
    canvas.put(scene.width - 19, y, f"{number(low)} to {number(high)}", "muted", width=18, align="right")
    air = int(scene.height >= AIRY)
    y += 1 + air
    y = score_lines(canvas, scene, query, key, y)
    if key > query:
        short = "masked: the key comes after the query, nothing moves"
        fitting(canvas, y, "masked: the key comes after the query, so the share is 0 and nothing moves.", short, ink="warning")
        return canvas
    y = moved_lines(canvas, scene, query, key, y + air)
    if roomy:
        element_table(canvas, scene, found, y + 1)
    return canvas


def room(scene: Scene) -> int:
    """The cells that a strip may take."""
    return scene.width - LABEL - 22


def vector_row(canvas: Canvas, scene: Scene, name: str, role: str, each: VectorFacts, y: int) -> int:
    """One vector as a strip, with its range."""
    canvas.put(1, y, name, role, attrs=BOLD, width=LABEL)
    ramp = Ramp("diverging", role, scene.palette)
    pooled, _ = pool(each.values, room(scene))
    cells = max(1, min(4, room(scene) // len(pooled)))
    levels = ramp.quantise(pooled, each.least, each.greatest)
    ramp.cells(canvas, (1 + LABEL, y), (cells, 1), levels[None], largest(pooled)[None])
    canvas.put(scene.width - 19, y, f"{number(each.least)} to {number(each.greatest)}", "muted", width=18, align="right")
    return y + 1


def score_lines(canvas: Canvas, scene: Scene, query: int, key: int, y: int) -> int:
    """Sum, scaled score, and the softmax row that it sits in."""
    place, glyphs = scene.location, scene.palette.glyphs
    found = score(scene.result, place.block, place.head, query, key)
    x = 1 + canvas.put(1, y, "score", "attention", attrs=BOLD, width=LABEL)
    if found.scale is None or found.scaled is None:
        canvas.put(x, y, f"sum {number(found.raw)} {glyphs.times} scale: not recorded", "text")
    else:
        x += canvas.put(x, y, f"sum {number(found.raw)} {glyphs.times} {number(found.scale)} = ", "text")
        x += canvas.put(x, y, exact(found.scaled, short=scene.lecture), "text", attrs=BOLD)
        by_hand = next((text for text in ("; the scores were changed by hand", "; changed by hand") if x + len(text) < scene.width), "")
        canvas.put(x, y, "" if found.holds else by_hand or "; set", "warning")
    shares = row(scene.result, place.block, place.head, query)
    values = shares.values.values  # [keys]
    share = shares.values[key] if key <= query else 0.0
    y += 1
    canvas.put(1, y, "softmax", "attention", attrs=BOLD, width=LABEL)
    ramp = Ramp("sequential", "attention", scene.palette)
    fits = min(len(values), max(1, room(scene) // 2))
    first = max(0, min(key - fits // 2, len(values) - fits))
    each = max(1, min(4, room(scene) // fits))
    ramp.cells(canvas, (1 + LABEL, y), (each, 1), ramp.quantise(values[first : first + fits], 0.0, shares.largest)[None])
    if key <= query:
        at = 1 + LABEL + (key - first) * each
        canvas.put(at, y, "[", "accent", attrs=BOLD)
        canvas.put(at + each - 1, y, "]", "accent", attrs=BOLD)
    strongest, after = shares.strongest, 2 + LABEL + fits * each
    told = f"strongest K{strongest} {scene.label(strongest).strip()} {number(shares.largest)}"
    if after + cell_width(told) < scene.width - 20:
        canvas.put(after, y, told, "muted")
    holds = recomputable(scene.result, f"blocks.{place.block}.attn.pattern", head=place.head, row=query)
    said = f"share {number(share)}" if holds else f"changed: {number(share)}"
    canvas.put(scene.width - 19, y, said, "text" if holds else "warning", attrs=BOLD, width=18, align="right")
    return y + 1


def moved_lines(canvas: Canvas, scene: Scene, query: int, key: int, y: int) -> int:
    """The vector that this product moves, and the tokens that it makes likelier and less likely on the direct way."""
    place = scene.location
    if scene.result.model is None:
        canvas.put(1, y, "moves: not recorded: it takes the weights W_O", "muted", width=scene.width - 2)
        return y + 1
    try:
        length = moved(scene.result, place.block, place.head, query, key).length
    except ChangedByHand as changed:
        fitting(canvas, y, f"moves: not told: {changed.name} was changed by hand", "moves: changed by hand")
        return y + 1
    stream = vector(scene.result, f"blocks.{place.block}.resid_pre", query).length
    x = 1 + canvas.put(1, y, "moves", "value", attrs=BOLD, width=LABEL)
    x += canvas.put(x, y, "‖share × v W_O‖ = " if not scene.palette.ascii else "|share x v W_O| = ", "text")
    x += canvas.put(x, y, exact(length, short=scene.lecture), "text", attrs=BOLD)
    size, room = number(stream, ascii=scene.palette.ascii), scene.width - x - 1
    into = next((text for text in (f" into a stream of norm {size}", f" into norm {size}") if len(text) <= room), "")
    canvas.put(x, y, into, "muted")
    y += 1
    try:
        reading = moved_reading(scene.result, place.block, place.head, query, key)
    except ChangedByHand as changed:
        fitting(canvas, y, f"raises, lowers: not told: {changed.name} was changed by hand", "raises, lowers: changed by hand")
        return y + 1
    for name, role, tokens in (("raises", "positive", reading.raises), ("lowers", "negative", reading.lowers)):
        canvas.put(1, y, name, role, attrs=BOLD, width=LABEL)
        put_moved(canvas, scene, tokens, 1 + LABEL, y, scene.width)
        y += 1
    way = "straight through the last LayerNorm as it scaled here"
    fitting(canvas, y, f"in points of probability, to first order: {way}; what later blocks make of it is left out",
            f"points of probability, {way}", "points of probability, straight to the end", ink="faint")  # fmt: skip
    return y + 1


def element_table(canvas: Canvas, scene: Scene, found: PairFacts, y: int) -> None:
    """The elements as numbers, in order, in as many columns as fit."""
    size = len(found.q)
    digits = max(2, len(str(size - 1)))
    head = f"{'i':>{digits}} {'q':>8} {'k':>8} {'q×k' if not scene.palette.ascii else 'qk':>8} {'sum':>8}"
    across = len(head) + 2
    columns, rows = max(1, (scene.width + 1) // across), max(0, scene.height - y - 2)
    if columns * rows >= size:
        columns = -(-size // max(1, rows))
        rows = -(-size // columns)
    bars = (scene.width - 1 - columns * across) // columns if columns * rows >= size else 0
    side = min(bars // 2 - 2, MOST_SIDE)
    largest = abs(found.terms[found.terms.largest])
    shown = min(size, columns * rows)
    for column in range(-(-shown // rows) if rows else 0):
        x = 1 + column * (across + bars)
        elements = range(column * rows, min(shown, (column + 1) * rows))
        canvas.put(x, y, head, "muted")
        for i in elements:
            figures = (f"{number(each[i], ascii=scene.palette.ascii):>8}" for each in (found.q, found.k, found.terms, found.running))
            canvas.put(x, y + 1 + i - elements.start, " ".join((f"{i:>{digits}}", *figures)), "text")
        canvas.style(x, y + 1, digits, len(elements), "muted")
        for n, role in enumerate(("query", "key", "attention")):
            canvas.style(x + digits + 1 + 9 * n, y + 1, 8, len(elements), role)
        if side >= LEAST_SIDE:
            canvas.put(x + len(head) + 2 + side, y, "q×k", "muted")
            for i in elements:
                at = (x + len(head) + 3, y + 1 + i - elements.start)
                balance(canvas, found.terms[i], (-largest, largest), at, 2 * side + 1, "positive")
    if size > columns * rows > 0:
        canvas.put(1, scene.height - 1, f"elements 0 to {columns * rows - 1} of {size}", "faint")


@TABLES.of("product")
def product_table(scene: Scene) -> Table:
    place = scene.location
    query, key = choice.cursor(scene.result, place)
    result, cell = scene.result, (place.block, place.head, query, key)
    found = score(result, *cell)
    heading = f"Query {query} {quoted(scene, query)}, key {key} {quoted(scene, key)}:"
    rows: list[Row] = [("what", "number"), ("q·k", exact(found.raw))]
    rows.append(("scale", "not recorded" if found.scale is None else number(found.scale)))
    if found.scaled is not None:
        told = exact(found.scaled) + ("" if found.holds else ", but the scores were changed by hand")
        rows.append(("score", Figure.of(told, found.scaled)))
    if key > query:
        return heading, [*rows, ("share", "masked: the key comes after the query")]
    rows.append(("share", exact(row(result, place.block, place.head, query).values[key])))
    if result.model is None:
        return heading, [*rows, ("norm moved", "not recorded: it takes the weights W_O")]
    told = "norm moved"
    try:
        rows.append((told, exact(moved(result, *cell).length)))
        told = "makes likelier"
        reading = moved_reading(result, *cell)
    except ChangedByHand as changed:
        return heading, [*rows, (told, f"not told: {changed.name} was changed by hand")]
    for name, tokens in ((told, reading.raises), ("less likely", reading.lowers)):
        text = ", ".join(f"'{scene.id_label(i)}' {points(change)}" for i, change in tokens) or "nothing"
        rows.append((name, Figure.of(text, [{"id": i, "change": change} for i, change in tokens])))
    return heading, rows
