"""One head's grid: queries at the left, keys above, at each stage from q·k to the weighted values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from txexplain.explorer import choice
from txexplain.explorer.location import STAGES, Location
from txexplain.facts.head import Grid, grid, has_stage
from txexplain.facts.head import row as row_of
from txexplain.text import cell_width
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, Canvas, graphemes
from txexplain.viz.numbers import exact, fit, number
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.ramps import Ramp, span
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, mark, named, quoted
from txexplain.viz.views.chrome import title

NAMES = {"qk": "q·k", "scaled": "q·k × scale", "masked": "scaled, masked", "softmax": "softmax", "values": "share × ‖v‖"}
TABS = {"qk": "q·k", "scaled": "scaled", "masked": "masked", "softmax": "softmax", "values": "× ‖v‖"}
SIGNED = ("qk", "scaled", "masked")
BEFORE_MASK = ("qk", "scaled")
GAP = 3  # cells between grids that stand side by side
WIDE, WIDEST = 7, 16  # a cell's width: as a rule at most, and where the keys' tokens need it
NARROWEST = 14  # cells that a grid's name needs
TALL = 20  # rows of a stage that has room for three grids and their labels
FIGURE = 9  # cells that a number takes in the table of the cursor's row
FOOT = 2  # the readout's rows
LEAST_RAMP = 4  # cells of a legend's ramp
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # every how many columns a position is written


@dataclass(frozen=True)
class Axis:
    """How the keys' tokens are written above their columns, whole: "along" the row, "staggered" in two, "down", or as "numbers"."""

    kind: str
    rows: int


@dataclass(frozen=True)
class Plan:
    """Where the grids stand: which stages, the tokens in view, a cell's size, and the first cell's place."""

    stages: tuple[str, ...]
    rows: range
    columns: range
    cell: int
    tall: int
    left: int
    axis: Axis
    top: int

    @property
    def stride(self) -> int:
        """From one grid's first cell to the next one's."""
        return max(self.cell * len(self.columns), NARROWEST) + GAP

    @property
    def end(self) -> int:
        """The row below the grids."""
        return self.top + len(self.rows) * self.tall


def ramp_of(scene: Scene, stage: str) -> Ramp:
    """The colour scale of a stage: signed scores diverge around 0, shares and lengths rise from nothing."""
    if stage in SIGNED:
        return Ramp("diverging", "attention", scene.palette)
    return Ramp("sequential", "attention" if stage == "softmax" else "value", scene.palette)


def bounds(stage: str, values: Grid) -> tuple[float, float]:
    """The ends of a stage's colour scale, from its own data; shares start at 0."""
    low, high = span(values)
    return (low, high) if stage in SIGNED else (0.0, high)


def word(scene: Scene, position: int) -> str:
    """A token without the space before it, which a label has no use for."""
    return scene.label(position).strip() or scene.label(position)


def axis_of(words: list[str], cell: int, height: int) -> Axis:
    """The way to write the keys' tokens that leaves the grid most room and cuts none of them."""
    widths = sorted(map(cell_width, words))
    if widths[-1] < cell:
        return Axis("along", 1)
    # In the last column a long word moves to the left, towards the one before it in the same row.
    if cell >= 3 and widths[-1] < 2 * cell and sum(widths[-2:]) <= 3 * cell:
        return Axis("staggered", 2)
    if height < TALL:
        return Axis("numbers", 1)
    most, longest = height // 4, [len(graphemes(text)) for text in words]
    return Axis("down", min(most, max(size if size <= most else (size + 1) // 2 for size in longest)))


def plan_of(scene: Scene) -> Plan:
    """Three stages side by side where their cells can be two wide; else the present one, its rows and columns moving with the cursor."""
    n, stage = scene.n_tokens, scene.location.stage
    query, key = choice.cursor(scene.result, scene.location)
    words = [word(scene, i) for i in range(n)]
    widest = max(cell_width(text) for text in words)
    name = min(max(16, scene.width // 6), widest)
    room = scene.width - name - 4
    most = max(WIDE, min(widest + 1, WIDEST))
    three = ("qk", "scaled" if stage == "scaled" else "masked", "values" if stage == "values" else "softmax")
    side_by_side = tuple(
        each for each in three if each == stage or has_stage(scene.result, scene.location.block, scene.location.head, each)
    )
    cell = (room - (len(side_by_side) - 1) * GAP) // (len(side_by_side) * n)
    stages = side_by_side if cell >= 2 and room >= 60 and scene.height >= TALL else (stage,)
    cell = max(2, min(cell if len(stages) > 1 else room // n, most))
    axis = axis_of(words, cell, scene.height)
    left = name + 2
    if axis.kind == "numbers":
        left += len(str(n - 1)) + 1
    top = 2 + axis.rows
    # Below the grids: their scales where there are several, an empty row where it can be spared, the readout.
    down = scene.height - top - FOOT - int(len(stages) > 1) - int(scene.height >= TALL)
    rows = window(query, n, max(1, down))
    tall = max(1, min(down // n, (cell + 1) // 2)) if len(rows) == n else 1
    columns = window(key, n, max(1, (scene.width - left - 2 - GAP * (len(stages) - 1)) // (cell * len(stages))))
    return Plan(stages, rows, columns, cell, tall, left, axis, top)


def window(cursor: int, size: int, room: int) -> range:
    """The rows or columns in view: as many as fit, with the cursor among them and some of what follows."""
    if size <= room:
        return range(size)
    first = max(0, min(cursor - (room * 2) // 3, size - room))
    return range(first, first + room)


@PICTURES.of("head")
def paint_head(scene: Scene) -> Canvas:
    """The grid, or three of them where there is room; the cursor's row in numbers; and its cell in words."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, glyphs, n = scene.location, scene.palette.glyphs, scene.n_tokens
    query, key = choice.cursor(scene.result, place)
    p = plan_of(scene)
    query_labels(canvas, scene, p)
    for number_, stage in enumerate(p.stages):
        x = p.left + number_ * p.stride
        values = grid(scene.result, place.block, place.head, stage)
        if len(p.stages) > 1:
            present = stage == place.stage
            canvas.put(x, 1, NAMES[stage], "accent" if present else "muted", attrs=BOLD if present else 0)
            canvas.target(x, 1, p.stride - GAP, 1, replace(place, stage=stage))
            legend(canvas, scene, stage, values, x, p.end, p.stride - GAP)
        else:
            tabs(canvas, scene, values)
        key_labels(canvas, scene, p, x)
        paint_grid(canvas, scene, values, stage, (x, p.top), p.rows, p.columns, (p.cell, p.tall))
        if number_:
            canvas.put(x - 2, p.top + (len(p.rows) * p.tall - 1) // 2, glyphs.arrow, "faint")
    row_in_numbers(canvas, scene, p.end + int(len(p.stages) > 1) + 1)
    part = len(p.rows) < n or len(p.columns) < n
    note = f"dh {scene.result.head_dim}" if scene.result.head_dim else ""
    if part:
        note = f"queries {p.rows[0]}-{p.rows[-1]}, keys {p.columns[0]}-{p.columns[-1]} of {n}"
    title(canvas, scene, f"L{place.block}H{place.head} {glyphs.dot} {NAMES[place.stage]}", note)
    readout(canvas, scene, scene.hover or replace(place, query=query, key=key), scene.height - FOOT)
    return canvas


def tabs(canvas: Canvas, scene: Scene, values: Grid) -> None:
    """The head's stages in their order, and at the right the scale of the one that is shown."""
    place, x = scene.location, 1
    for stage in STAGES:
        if x > 1:
            x += canvas.put(x, 1, f" {scene.palette.glyphs.crumb} ", "faint")
        present = stage == place.stage
        size = canvas.put(x, 1, TABS[stage], "accent" if present else "muted", attrs=BOLD if present else 0)
        canvas.target(x, 1, size, 1, replace(place, stage=stage))
        x += size
    legend(canvas, scene, place.stage, values, x + 3, 1, scene.width - x - 4, right=True)


def query_labels(canvas: Canvas, scene: Scene, p: Plan) -> None:
    """The queries' tokens, each beside the middle of its row; with positions where the keys have only those."""
    place = scene.location
    query, key = choice.cursor(scene.result, place)
    digits = len(str(scene.n_tokens - 1)) + 1 if p.axis.kind == "numbers" else 0
    for row, i in enumerate(p.rows):
        y, lit = p.top + row * p.tall, i == query
        look = ("query", "cursor" if lit else None, BOLD if lit else 0)
        canvas.put(1, y + (p.tall - 1) // 2, word(scene, i), *look, width=p.left - 2 - digits, align="right")
        if digits:
            canvas.put(p.left - 1 - digits, y + (p.tall - 1) // 2, str(i), *look, width=digits, align="right")
        canvas.target(1, y, p.left - 2, p.tall, replace(place, kind="head", query=i, key=key, token=None))


def key_labels(canvas: Canvas, scene: Scene, p: Plan, x: int) -> None:
    """The keys' tokens above the columns in view."""
    key = choice.cursor(scene.result, scene.location)[1]
    if p.axis.kind == "numbers":
        key_numbers(canvas, scene, p, x, key)
        return
    if p.axis.kind == "down":
        key_columns(canvas, scene, p, x, key)
        return
    for column, j in enumerate(p.columns):
        at, text, lit = x + column * p.cell, word(scene, j), j == key
        look = ("key", "cursor" if lit else None, BOLD if lit else 0)
        if p.axis.kind == "along":
            canvas.put(at, 2, text, *look, width=p.cell, align="center")
        else:
            canvas.put(min(at, x + p.stride - 1 - cell_width(text)), 2 + column % 2, text, *look)


def key_columns(canvas: Canvas, scene: Scene, p: Plan, x: int, key: int) -> None:
    """The keys' tokens downwards, a row of their characters at a time."""
    words = [downwards(word(scene, j), p.axis.rows) or downwards(str(j), p.axis.rows) for j in p.columns]
    words = [[""] * (p.axis.rows - len(lines)) + lines for lines in words]  # they stand on the grid
    before, lit = (p.cell - 1) // 2, p.columns.index(key)
    for y, parts in enumerate(zip(*words, strict=True), 2):
        canvas.put(x, y, "".join(" " * before + part + " " * (p.cell - before - cell_width(part)) for part in parts), "key")
        canvas.put(x + lit * p.cell + before, y, parts[lit], "key", "cursor", BOLD)


def downwards(text: str, rows: int) -> list[str]:
    """A word in at most so many rows, a character each or, where it is longer, two; empty where that isn't enough."""
    chars = graphemes(text)
    if len(chars) <= rows:
        return [char for char, _ in chars]
    if any(size > 1 for _, size in chars) or len(chars) > 2 * rows:
        return []
    return ["".join(char for char, _ in chars[i : i + 2]) for i in range(0, len(chars), 2)]


def key_numbers(canvas: Canvas, scene: Scene, p: Plan, x: int, key: int) -> None:
    """The keys' positions, as on the axis of a plot, and the cursor's token in full."""
    end = x + len(p.columns) * p.cell
    text = f"{key} {word(scene, key)}"
    room = canvas.width if 2 * end - x > canvas.width else end  # where no other grid has its place at the right
    start = max(x, min(x + (key - p.columns[0]) * p.cell, room - cell_width(text)))
    taken = range(start - 1, start + canvas.put(start, 2, text, "key", "cursor", BOLD, width=min(cell_width(text), room - start)) + 1)
    every = next(step for step in STEPS if step * p.cell > len(str(p.columns[-1])))
    for column, j in enumerate(p.columns):
        at, figure = x + column * p.cell, str(j)
        if j % every == 0 and not set(range(at, at + len(figure))) & set(taken) and at + len(figure) <= end:
            canvas.put(at, 2, figure, "key")


def row_in_numbers(canvas: Canvas, scene: Scene, y: int) -> None:
    """Below the grids, where there is room: what the cursor's query gets from each key, or from those with the largest shares."""
    place, palette = scene.location, scene.palette
    query = choice.cursor(scene.result, place)[0]
    room = scene.height - FOOT - 1 - y - 1
    if room < min(3, query + 1) or not all(
        has_stage(scene.result, place.block, place.head, stage) for stage in ("qk", "softmax", "values")
    ):
        return
    stages = ("qk", "scaled", "softmax", "values")
    rows = {stage: row_of(scene.result, place.block, place.head, query, stage).values for stage in stages}
    keys = list(range(query + 1))
    if len(keys) > room:
        keys = sorted(rows["softmax"].order[:room].tolist())
    every = min(2, max(1, room // len(keys)))
    digits = len(str(keys[-1]))
    name = digits + 2 + max(cell_width(word(scene, key)) for key in keys)
    first = 1 + max(name, len(str(query)) + 8) + 2
    shares = first + 2 * (FIGURE + 2)
    values = min(scene.width - 1 - cell_width(NAMES["values"]), shares + FIGURE + 42)
    for x, stage in zip((first, first + FIGURE + 2, shares), ("qk", "scaled", "softmax"), strict=True):
        canvas.put(x, y, TABS[stage], "muted", width=FIGURE, align="right")
    canvas.put(values, y, NAMES["values"], "muted")
    canvas.put(1, y, f"row of Q{query}", "query")
    note = f"the {len(keys)} largest of {query + 1}" if len(keys) <= query else "bars: 0 to 1"
    if cell_width(note) < values - shares - FIGURE - 1:
        canvas.put(shares + FIGURE + 1, y, note, "faint")
    for line, key in enumerate(keys):
        at, lit = y + 1 + line * every, key == choice.cursor(scene.result, place)[1]
        canvas.put(1, at, f"K{key:<{digits}} {word(scene, key)}", "key", "cursor" if lit else None, BOLD if lit else 0, width=name)
        figures = {stage: number(each[key], ascii=palette.ascii) for stage, each in rows.items()}
        canvas.put(first, at, "  ".join(figures[stage].rjust(FIGURE) for stage in ("qk", "scaled", "softmax")), "text")
        canvas.put(shares + FIGURE + 1, at, bar(rows["softmax"][key], values - shares - FIGURE - 3, palette), "attention")
        canvas.put(values, at, figures["values"], "text", width=cell_width(NAMES["values"]), align="right")


def paint_grid(
    canvas: Canvas, scene: Scene, values: Grid, stage: str, corner: tuple[int, int], rows: range, columns: range, size: tuple[int, int]
) -> None:
    """The cells in view, each `size` (width, height); masked ones look masked, and the cursor's is marked."""
    place, (cell, tall) = scene.location, size
    ramp = ramp_of(scene, stage)
    shown = values[rows.start : rows.stop, columns.start : columns.stop].astype(np.float64)
    future = np.arange(columns.start, columns.stop)[None, :] > np.arange(rows.start, rows.stop)[:, None]
    if stage not in BEFORE_MASK:
        shown = np.where(future, -np.inf, shown)
    if stage in SIGNED:
        levels = np.array([within_row(ramp, values[i, : i + 1], row) for i, row in zip(rows, shown, strict=True)])
    else:
        levels = ramp.quantise(shown, *bounds(stage, values))
    query, key = choice.cursor(scene.result, scene.location)
    # Before the mask, what it will hide is quiet; of scores, whose colours go both ways, so is all but the cursor's row.
    strong = ~future & (np.array([i == query for i in rows])[:, None] | (stage not in SIGNED))
    ramp.cells(canvas, corner, size, levels, strong)

    def ink(row: int, column: int) -> int:
        return ramp.ink(int(levels[row, column])) if strong[row, column] else canvas.ink("text")

    if cell >= 5:
        for row, column in np.argwhere(levels >= 0).tolist():
            figure = fit(float(shown[row, column]), cell - 2)
            x, y = corner[0] + column * cell + 1, corner[1] + row * tall + (tall - 1) // 2
            canvas.put(x, y, figure, ink(row, column), width=cell - 2, align="right")
    if query in rows and key in columns:
        row, column = query - rows.start, key - columns.start
        cursor_mark(canvas, (corner[0] + column * cell, corner[1] + row * tall), size, ink(row, column))
    canvas.board(
        *corner, cell * len(columns), tall * len(rows), corner, size,
        lambda row, column: replace(place, kind="head", stage=stage, query=rows[row], key=columns[column], token=None),
    )  # fmt: skip


def within_row(ramp: Ramp, seen: Grid, shown: Grid) -> NDArray[np.int64]:
    """A row's levels around the mean of what its query may look at: softmax sees nothing but the differences in a row."""
    finite = seen[np.isfinite(seen)].astype(np.float64)
    mean = float(finite.mean()) if len(finite) else 0.0
    reach = float(np.abs(finite - mean).max(initial=0.0)) or 1.0
    return ramp.quantise(np.where(np.isfinite(shown), shown - mean, shown), -reach, reach)


def cursor_mark(canvas: Canvas, corner: tuple[int, int], size: tuple[int, int], ink: int) -> None:
    """What tells the cursor's cell without colour: brackets, or the corners of a frame where the cell is higher than a row."""
    (x, y), (cell, tall), glyphs = corner, size, canvas.palette.glyphs
    if tall == 1 or canvas.palette.ascii:
        marks = {y + line: "[]" for line in range(tall)}
    else:
        marks = {y: glyphs.corners[:2], y + tall - 1: glyphs.corners[2:]}
    for line, pair in marks.items():
        canvas.put(x, line, pair[0], ink, attrs=BOLD)
        canvas.put(x + cell - 1, line, pair[1], ink, attrs=BOLD)


def legend(canvas: Canvas, scene: Scene, stage: str, values: Grid, x: int, y: int, width: int, *, right: bool = False) -> None:
    """A grid's scale, at the left or the right of its place: the data's own least and greatest; of scores, which are told apart within
    their row, what the colours mean.
    """
    low, high = bounds(stage, values)
    ends = tuple(number(v, ascii=scene.palette.ascii) for v in (low, high))
    if stage in SIGNED:
        low, high = -1.0, 1.0
        meant = (f"{ends[0]} to {ends[1]}; below", "above its row's mean"), ("below", "above its row's mean"), ("below", "above")
        ends = next((words for words in meant if sum(map(len, words)) + 2 + LEAST_RAMP <= width), meant[-1])
    room = min(width - sum(map(len, ends)) - 2, 16)
    room = room if room >= LEAST_RAMP else 0  # too short for a ramp: its ends alone
    if right:
        x += max(0, width - room - sum(map(len, ends)) - 2)
    ramp = ramp_of(scene, stage)
    x += canvas.put(x, y, ends[0], "muted") + 1
    ramp.cells(canvas, (x, y), (1, 1), ramp.quantise(np.linspace(low, high, room), low, high)[None])
    canvas.put(x + room + int(room > 0), y, ends[1], "muted")


def readout(canvas: Canvas, scene: Scene, place: Location, y: int) -> None:
    """A cell in words: both tokens, the exact number at its stage, and what its row adds up to."""
    glyphs, layer, head, stage = scene.palette.glyphs, place.block, place.head, place.stage
    query, key = choice.cursor(scene.result, place)
    x = 1
    for role, letter, i in (("query", "Q", query), ("key", "K", key)):
        text = scene.label(i).strip() or scene.label(i)
        x += canvas.put(x, y, f"{letter}{i} ", role, attrs=BOLD)
        x += canvas.put(x, y, text, role, width=min(16, cell_width(text))) + 1
        if letter == "Q":
            x += canvas.put(x, y, f"{glyphs.arrow} ", "faint")
    values, numbers = grid(scene.result, layer, head, stage), row_of(scene.result, layer, head, query, stage)
    if key > query and stage not in BEFORE_MASK:
        x += canvas.put(x, y, "masked: the key comes after the query", "warning")
    else:
        x += canvas.put(x, y, f"{NAMES[stage]} = ", "muted")
        x += canvas.put(x, y, exact(float(values[query, key]), short=scene.lecture), "text", attrs=BOLD)
    text = f"row {query}: sum {number(numbers.total)}, strongest key {numbers.strongest} {scene.label(numbers.strongest).strip()}"
    if stage in SIGNED and (scale := scene.result.scale(layer)) is not None:
        text += f", scale {number(scale)}"
    canvas.put(1, y + 1, text, "muted", width=scene.width - 2)


@TABLES.of("head")
def head_table(scene: Scene) -> Table:
    place = scene.location
    query, key = choice.cursor(scene.result, place)
    values = grid(scene.result, place.block, place.head, place.stage)[query].tolist()
    rows: list[Row] = [("", "key", NAMES[place.stage])]
    for j, value in enumerate(values):
        masked = j > query and place.stage not in BEFORE_MASK
        rows.append((mark(j == key), named(scene, j), "masked" if masked else exact(value)))
    return f"Row of query {query} {quoted(scene, query)}:", rows
