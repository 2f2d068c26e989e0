"""One head's grid: queries at the left, keys above, at each stage from q·k to the weighted values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from txexplain.engine.derive import Doubles
from txexplain.engine.ops import Array, attention_scale
from txexplain.engine.tokenizer import cell_width
from txexplain.explorer.location import Level, Location
from txexplain.viz.canvas import BOLD, Canvas, graphemes
from txexplain.viz.numbers import exact, fit, number
from txexplain.viz.ramps import Ramp, span
from txexplain.viz.scene import Scene
from txexplain.viz.views.chrome import title

NAMES = {"qk": "q·k", "scaled": "q·k × scale", "masked": "scaled, masked", "softmax": "softmax", "values": "share × ‖v‖"}
SIGNED = ("qk", "scaled", "masked")
BEFORE_MASK = ("qk", "scaled")
GAP = 3  # cells between grids that stand side by side
WIDEST_CELL, LABEL = 7, 12
RULER = 2  # rows of a ruler of positions
TALL = 20  # rows of a stage that has room for three grids and their labels


def ramp_of(scene: Scene, stage: str) -> Ramp:
    """The colour scale of a stage: signed scores diverge around 0, shares and lengths rise from nothing."""
    if stage in SIGNED:
        return Ramp("diverging", "attention", scene.palette)
    return Ramp("sequential", "attention" if stage == "softmax" else "value", scene.palette)


def bounds(stage: str, values: Array | Doubles) -> tuple[float, float]:
    """The ends of a stage's colour scale, from its own data; shares start at 0."""
    low, high = span(values)
    return (low, high) if stage in SIGNED else (0.0, high)


def stages_shown(scene: Scene, room: int) -> tuple[tuple[str, ...], int]:
    """The stages that stand side by side and the width of their cells; in a narrow stage the present one alone."""
    stage = scene.location.stage
    three = ("qk", "scaled" if stage == "scaled" else "masked", "values" if stage == "values" else "softmax")
    shown = tuple(each for each in three if each == stage or scene.result.has_stage(scene.location.block, each))
    n = scene.n_tokens
    cell = (room - (len(shown) - 1) * GAP) // (len(shown) * n)
    if cell >= 2 and room >= 60 and scene.height >= TALL:
        return shown, min(cell, WIDEST_CELL)
    return (stage,), max(2, min(room // n, WIDEST_CELL))


def window(cursor: int, size: int, room: int) -> range:
    """The rows or columns in view: as many as fit, with the cursor among them and some of what follows."""
    if size <= room:
        return range(size)
    first = max(0, min(cursor - (room * 2) // 3, size - room))
    return range(first, first + room)


def draw_head(scene: Scene) -> Canvas:
    """The grid, or three of them where there is room, with the cursor's numbers in words below."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, glyphs = scene.location, scene.palette.glyphs
    layer, head, n = place.block, place.head, scene.n_tokens
    query, key = place.cursor(n)
    labels = [scene.label(i) for i in range(n)]
    left = min(LABEL, max(cell_width(text) for text in labels)) + 2
    stages, cell = stages_shown(scene, scene.width - left - 2)
    longest = max(cell_width(text.strip()) for text in labels)
    room = min(scene.height // 3, 10)  # rows that labels written downwards may take
    heads = 1 if cell >= WIDEST_CELL else min(longest, room) if longest <= 3 or scene.height >= TALL else RULER
    top = 2 + heads
    below = 3 if scene.height < 20 else 4
    rows = window(query, n, max(1, scene.height - top - below))
    tall = 2 if len(rows) == n and 2 * n <= scene.height - top - below else 1
    columns = window(key, n, max(1, (scene.width - left - 2 - GAP * (len(stages) - 1)) // (cell * len(stages))))
    for row, i in enumerate(rows):
        lit = i == query
        canvas.put(1, top + row * tall, labels[i], "query", "cursor" if lit else None, BOLD if lit else 0, width=left - 2, align="right")
        canvas.target(1, top + row * tall, left - 2, tall, replace(place, level=Level.HEAD, query=i, key=key, token=None))
    for number_, stage in enumerate(stages):
        x = left + number_ * (cell * len(columns) + GAP)
        present = stage == place.stage
        width = cell * len(columns)
        canvas.put(x, 1, NAMES[stage], "accent" if present else "muted", attrs=BOLD if present else 0, width=max(width, 8))
        canvas.target(x, 1, width, 1, replace(place, stage=stage))
        under = columns.index(key) if key in columns else -1
        if heads == RULER and cell < WIDEST_CELL and longest > RULER:
            ruler(canvas, scene, columns, labels, x, 2, cell, under)
        else:
            key_labels(canvas, scene, [labels[j] for j in columns], x, 2, cell, heads, under)
        values = scene.result.stage(layer, head, stage)
        grid(canvas, scene, values, stage, (x, top), rows, columns, (cell, tall))
        legend(canvas, scene, stage, values, x, top + len(rows) * tall, width)
        if number_ and width:
            canvas.put(x - 2, top + (len(rows) * tall - 1) // 2, glyphs.arrow, "faint")
    part = len(rows) < n or len(columns) < n
    note = f"dh {scene.result.head_dim}" if scene.result.head_dim else ""
    if part:
        note = f"queries {rows[0]}-{rows[-1]}, keys {columns[0]}-{columns[-1]} of {n}"
    title(canvas, scene, f"L{layer}H{head} {glyphs.dot} {NAMES[place.stage]}", note)
    readout(canvas, scene, scene.hover or replace(place, query=query, key=key), scene.height - 2)
    return canvas


def key_labels(canvas: Canvas, scene: Scene, labels: list[str], x: int, y: int, cell: int, rows: int, lit: int) -> None:
    """The keys' tokens above their columns: along the row where cells are wide, else downwards."""
    for column, text in enumerate(labels):
        at, attrs = x + column * cell, BOLD if column == lit else 0
        ground = "cursor" if column == lit else None
        if rows == 1 and cell >= WIDEST_CELL:
            canvas.put(at, y, text.strip() or text, "key", ground, attrs, width=cell - 1)
            continue
        letters = graphemes(text.strip() or text)
        if len(letters) > rows:
            letters = [*letters[: rows - 1], (scene.palette.glyphs.ellipsis, 1)] if rows > 1 else letters[:1]
        for row in range(rows):
            index = row - (rows - len(letters))
            char, size = letters[index] if index >= 0 else (" ", 1)
            canvas.put(at, y + row, char if size < cell or cell == size else "~", "key", ground, attrs)


def ruler(canvas: Canvas, scene: Scene, columns: range, labels: list[str], x: int, y: int, cell: int, lit: int) -> None:
    """Where labels have no room: the keys' positions, and the name of the one under the cursor beside its column."""
    every = -(-(len(str(columns[-1])) + 2) // cell)
    for column, j in enumerate(columns):
        if j % every == 0 and (column + every <= len(columns) or j == columns[-1]):
            canvas.put(x + column * cell, y, str(j), "key")
    if lit >= 0:
        name = labels[columns[lit]].strip() or labels[columns[lit]]
        width, at = cell_width(name), x + lit * cell
        canvas.put(at, y + 1, scene.palette.glyphs.down, "accent", attrs=BOLD)
        start = at + 2 if at + 2 + width < scene.width else at - 1 - width
        canvas.put(max(x, start), y + 1, name, "key", attrs=BOLD, width=min(width, len(columns) * cell + 12))


def grid(
    canvas: Canvas, scene: Scene, values: Array, stage: str, corner: tuple[int, int], rows: range, columns: range, size: tuple[int, int]
) -> None:
    """The cells in view, each `size` (width, height); masked ones look masked, and the cursor's is marked."""
    place, query_key = scene.location, scene.location.cursor(scene.n_tokens)
    cell, tall = size
    ramp = ramp_of(scene, stage)
    low, high = bounds(stage, values)
    shown = values[rows.start : rows.stop, columns.start : columns.stop].astype(np.float64)
    if stage not in BEFORE_MASK:
        future = np.arange(columns.start, columns.stop)[None, :] > np.arange(rows.start, rows.stop)[:, None]
        shown = np.where(future, -np.inf, shown)
    levels = ramp.quantise(shown, low, high)
    for row, i in enumerate(rows):
        for column, j in enumerate(columns):
            x, y, level = corner[0] + column * cell, corner[1] + row * tall, int(levels[row, column])
            for line in range(tall):
                ramp.cell(canvas, x, y + line, cell, level)
            if cell >= 5 and level >= 0:
                canvas.put(x + 1, y, fit(float(shown[row, column]), cell - 2), ramp.ink(level), width=cell - 2, align="right")
            if (i, j) == query_key:
                cursor_mark(canvas, scene, x, y, cell)
            canvas.target(x, y, cell, tall, replace(place, level=Level.HEAD, stage=stage, query=i, key=j, token=None))


def cursor_mark(canvas: Canvas, scene: Scene, x: int, y: int, cell: int) -> None:
    """What tells the cursor's cell without colour: brackets in its corners."""
    canvas.put(x, y, "[", "accent", attrs=BOLD)
    canvas.put(x + cell - 1, y, "]", "accent", attrs=BOLD)


def legend(canvas: Canvas, scene: Scene, stage: str, values: Array, x: int, y: int, width: int) -> None:
    """The scale under a grid: the data's own least and greatest, and the ramp between them."""
    low, high = bounds(stage, values)
    left, right = (number(v, ascii=scene.palette.ascii) for v in (low, high))
    room = width - cell_width(left) - cell_width(right) - 2
    ramp = ramp_of(scene, stage)
    x += canvas.put(x, y, left, "muted") + 1
    if room >= 4:
        steps = np.linspace(low, high, min(room, 16))
        for step, level in enumerate(ramp.quantise(steps, low, high)):
            ramp.cell(canvas, x + step, y, 1, int(level))
        x += len(steps) + 1
    canvas.put(x, y, right, "muted")


def readout(canvas: Canvas, scene: Scene, place: Location, y: int) -> None:
    """A cell in words: both tokens, the exact number at its stage, and what its row adds up to."""
    glyphs, layer, head, stage = scene.palette.glyphs, place.block, place.head, place.stage
    query, key = place.cursor(scene.n_tokens)
    x = 1
    for role, letter, i in (("query", "Q", query), ("key", "K", key)):
        text = scene.label(i).strip() or scene.label(i)
        x += canvas.put(x, y, f"{letter}{i} ", role, attrs=BOLD)
        x += canvas.put(x, y, text, role, width=min(16, cell_width(text))) + 1
        if letter == "Q":
            x += canvas.put(x, y, f"{glyphs.arrow} ", "faint")
    values = scene.result.stage(layer, head, stage)
    if key > query and stage not in BEFORE_MASK:
        x += canvas.put(x, y, "masked: the key comes after the query", "warning")
    else:
        x += canvas.put(x, y, f"{NAMES[stage]} = ", "muted")
        x += canvas.put(x, y, exact(values[query, key]), "text", attrs=BOLD)
    row = values[query, : query + 1]
    strongest = int(np.argmax(row))
    text = f"row {query}: sum {number(float(row.sum()))}, strongest key {strongest} {scene.label(strongest).strip()}"
    if stage in SIGNED and scene.result.head_dim:
        text += f", scale {number(attention_scale(scene.config, layer))}"
    canvas.put(1, y + 1, text, "muted", width=scene.width - 2)
