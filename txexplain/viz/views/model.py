"""The whole model: a row a token, a column a block, and ribbons for what reached the selected token."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from txexplain.engine.derive import Lens
from txexplain.explorer.location import Level, Location
from txexplain.facts.residual import changes as changes_of
from txexplain.text import cell_width, clip
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.flow import LINE_FROM, Doubles, Ribbons, draw_lines, draw_ribbons, ribbons_of, trace_back
from txexplain.viz.numbers import fit, percent
from txexplain.viz.scene import Scene
from txexplain.viz.views.chrome import fitting, part_of, title
from txexplain.viz.views.head import window

LEAST_COLUMN = 5  # cells; columns narrow to this before one is left out
LEAST_LABEL = 10  # and the tokens' labels to this
LAST = 5  # cells that the last column needs at least, for its name
OUT = 5  # the likeliest next tokens that are named in the last column
TALLEST, THICKEST = 6, 2.5  # a token's rows at most; the pixels of a whole column, for each row
MODES = {"norms": "shares of norms; LayerNorm and MLP not traced", "rollout": "attention rollout: half attention, half staying"}
TRACED: WeakKeyDictionary[Lens, tuple[tuple[str, int], tuple[list[Doubles], list[Ribbons]]]] = WeakKeyDictionary()


def columns_of(scene: Scene) -> list[tuple[str, Location]]:
    """The view's columns: the embedding, every block, the final LayerNorm, the output."""
    token = scene.location.token
    blocks = [(f"L{b}", f"L{b}" if b else None) for b in range(scene.config.n_layer)]
    names: list[tuple[str, str | None]] = [("embed", "embed"), *blocks, ("final", "final"), ("out", "output")]
    return [(name, Location(Level.MODEL, select=select, token=token)) for name, select in names]


def draw_model(scene: Scene) -> Canvas:
    """Tokens, blocks, ribbons; below, how much attention and MLP changed the selected token's stream in each block."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, n = scene.location, scene.n_tokens
    columns = columns_of(scene)
    chosen = next(i for i, (_, at) in enumerate(columns) if at.select == place.select)
    gaps = len(columns) - 1
    labels = min(max(16, scene.width // 6), max(cell_width(scene.label(i)) for i in range(n)))
    left = min(labels, max(LEAST_LABEL, scene.width - 4 - LAST - gaps * LEAST_COLUMN)) + 3
    bars = scene.height >= 12
    bottom = scene.height - (5 if bars else 1)
    height = bottom - 2
    tokens = window(scene.token, n, max(1, height))
    each = max(1.0, min(TALLEST, height / len(tokens)))
    top = 2 + (height - each * len(tokens)) / 2
    rows = {token: int(top + (i + 0.5) * each - 0.5) for i, token in enumerate(tokens)}
    wide = scene.width - left - 1
    likeliest = next_words(scene)
    last = min(max([LAST, len(after(n - 1)), *map(cell_width, likeliest)]), max(wide // 6, LAST))
    last = max(LAST, min(last, wide - gaps * LEAST_COLUMN))
    shown = in_view(None if place.select is None else chosen, len(columns), (wide - last) // LEAST_COLUMN + 1)
    across = (wide - last) / (len(shown) - 1)
    title(canvas, scene, "Model", hidden(columns, shown, tokens, n))
    for i, c in enumerate(shown):
        name, at = columns[c]
        lit = c == chosen
        x = left + int(i * across)
        tight = cell_width(name) >= int(across)  # such a name begins a cell before its column, so that the next doesn't touch it
        canvas.put(x - tight, 1, name, "accent" if lit else "muted", "cursor" if lit else None, BOLD if lit else 0)
        canvas.target(x, 1, int(across), height + 1, at)
    edges(canvas, scene, columns, shown, chosen, left)
    ribbons(canvas, scene, left, rows, each, shown, across, last, height)
    if shown.stop == len(columns):
        out_column(canvas, scene, likeliest, left + int((len(shown) - 1) * across), rows, bottom)
    for token, y in rows.items():
        lit = token == scene.token
        look = ("text" if lit else "muted", "cursor" if lit else None, BOLD if lit else 0)
        canvas.put(1, y, scene.label(token), *look, width=left - 3, align="right")
        canvas.target(0, y, left, 1, ("token", token))
    if bars:
        changes(canvas, scene, columns, left, bottom, shown, across)
    legend = f"to {clip(scene.label(scene.token).strip(), 12)} ({scene.token}): {MODES[scene.state.flow]}"
    fitting(canvas, scene.height - 1, f"ribbons {legend}", legend, MODES[scene.state.flow])
    return canvas


def in_view(chosen: int | None, count: int, room: int) -> range:
    """The columns in view: the last ones, whose end the picture tells; a column that the reader chose is always among them."""
    room = max(2, min(room, count))
    first = count - room if chosen is None else min(count - room, chosen)
    return range(first, first + room)


def edges(canvas: Canvas, scene: Scene, columns: list[tuple[str, Location]], shown: range, chosen: int, left: int) -> None:
    """Arrows where columns lie beyond an edge; the selected column's name stands at the left one where it is among those."""
    glyphs = scene.palette.glyphs
    if shown.start:
        x = left - 3
        canvas.put(x, 1, glyphs.here, "muted")
        if chosen < shown.start:
            name, at = columns[chosen]
            x -= cell_width(name)
            canvas.put(x, 1, name, "accent", "cursor", BOLD)
            canvas.target(x, 1, cell_width(name) + 1, 1, at)
    if shown.stop < len(columns):
        canvas.put(canvas.width - 1, 1, glyphs.marker, "muted")


def hidden(columns: list[tuple[str, Location]], shown: range, tokens: range, n: int) -> str:
    """What lies outside the view."""
    parts = []
    if len(shown) < len(columns):
        parts.append(f"{columns[shown[0]][0]} to {columns[shown[-1]][0]}")
    if len(tokens) < n:
        parts.append(part_of(tokens, n))
    return ", ".join(parts)


def traced(scene: Scene) -> tuple[list[Doubles], list[Ribbons]]:
    """The Sankey of the selected token, kept while it is the one that is shown of a result."""
    assert scene.ribbons is not None
    question = (scene.state.flow, scene.token)
    kept = TRACED.get(scene.result)
    if kept is None or kept[0] != question:
        columns = trace_back(scene.ribbons, scene.token)
        between = [ribbons_of(share, after) for share, after in zip(scene.ribbons, columns[1:], strict=True)]
        kept = TRACED[scene.result] = (question, (columns, between))
    return kept[1]


def next_words(scene: Scene) -> list[str]:
    """The likeliest next tokens, best first: the order of the logits, which no temperature changes."""
    order = scene.ranking.order[:OUT].tolist() if scene.ranking is not None else []
    return [scene.id_label(token).strip() or scene.id_label(token) for token in order]


def out_column(canvas: Canvas, scene: Scene, words: list[str], x: int, rows: dict[int, int], bottom: int) -> None:
    """What comes out behind the prompt's last token, around that token's row."""
    if not words:
        return
    last = scene.n_tokens - 1
    words = words[: bottom - 2]
    y = max(2, min(rows.get(last, bottom) - len(words) // 2, bottom - len(words)))
    canvas.put(x - 2, y, scene.palette.glyphs.arrow, "muted")
    for line, text in enumerate(words):
        canvas.put(x, y + line, text, "muted" if line else "text", attrs=0 if line else BOLD, width=min(cell_width(text), canvas.width - x))
    if scene.token != last and y > 2:
        canvas.put(x, y - 1, after(last), "faint", width=min(len(after(last)), canvas.width - x))


def after(position: int) -> str:
    """Says whose next token is meant, where another is selected."""
    return f"after {position}"


def ribbons(
    canvas: Canvas, scene: Scene, x: int, rows: dict[int, int], each: float, shown: range, across: float, last: int, height: int
) -> None:
    """The Sankey picture between the columns; where pixels can't be had, lines with the shares as numbers."""
    if scene.ribbons is None:
        lacking = scene.result.flow_lacks(scene.state.flow)
        note = f"ribbons: not recorded: {lacking}" if lacking else "tracing the flow " + scene.palette.glyphs.ellipsis
        canvas.put(x, 2 + height // 2, note, "muted", width=canvas.width - x - 1)
        if lacking and scene.state.flow == "norms" and not scene.result.flow_lacks("rollout"):
            canvas.put(x, 3 + height // 2, "w shows attention rollout instead", "muted", width=canvas.width - x - 1)
        return
    columns, between = traced(scene)
    layers = scene.config.n_layer
    # Column b of the Sankey stands where block b begins; the last, behind the last block, where the final LayerNorm does.
    first = shown.start
    column_x = [int((b + 1 - first) * across) for b in range(layers + 1)]
    width = min(int(across * (len(shown) - 1)) + last, canvas.width - x)
    if not scene.palette.pixels:
        from_top = {token: y - 2 for token, y in rows.items()}
        draw_lines(canvas, x, 2, (width, height), between, from_top, column_x)
        share_numbers(canvas, scene, columns, x, rows, column_x, width)
        return
    middle = np.full(scene.n_tokens, -3.0)
    middle[max(rows) :] = 2 * height + 3.0
    for token, y in rows.items():
        middle[token] = 2 * (y - 2) + 1
    palette = scene.palette
    thickest = THICKEST * each if each > 1 else 4.0
    image = draw_ribbons((width, height), columns, between, middle, column_x, thickest, palette)
    canvas.pixels(x, 2, image)


def share_numbers(
    canvas: Canvas, scene: Scene, columns: list[Doubles], x: int, rows: dict[int, int], column_x: list[int], width: int
) -> None:
    """Each token's part of what reaches the selected one, at each column, as a number on its line."""
    room = min(np.diff(column_x))
    for column, at in zip(columns, column_x, strict=True):
        for token, row in rows.items():
            if column[token] >= LINE_FROM and 0 <= at < width:
                share = percent(float(column[token]), ascii=scene.palette.ascii)
                canvas.put(x + at, row, share if len(share) < room else f"{column[token]:.0%}", "text")


def changes(canvas: Canvas, scene: Scene, columns: list[tuple[str, Location]], x: int, y: int, shown: range, across: float) -> None:
    """‖attn_out‖ and ‖mlp_out‖ of each block for the selected token, as bars with their numbers."""
    lens = scene.result
    names = [f"blocks.{b}.{what}" for b in range(scene.config.n_layer) for what in ("attn_out", "mlp_out")]
    if not lens.has(*names):
        canvas.put(1, y, "changes: not recorded", "muted")
        return
    made = changes_of(lens, scene.token)
    largest = max(map(max, made)) or 1.0
    for row, (letter, name, role, side) in enumerate((("A", "attention", "attention", 0), ("M", "MLP", "mlp", 1))):
        if shown.start == 0:
            room = x + int(across) - 2
            canvas.put(1, y + 2 * row, letter, role, attrs=BOLD)
            canvas.put(3, y + 2 * row, name if room >= cell_width(name) + 2 else name[:4], role)
            canvas.put(3, y + 2 * row + 1, "norm added" if room >= 12 else "norm", "muted")
        else:
            canvas.put(x - 2, y + 2 * row, letter, role, attrs=BOLD)
        for i, c in enumerate(shown):
            if not 1 <= c <= scene.config.n_layer:
                continue
            value = made[c - 1][side]
            canvas.put(x + int(i * across), y + 2 * row, bar(value / largest, int(across) - 1, scene.palette), role)
            canvas.put(x + int(i * across), y + 2 * row + 1, fit(value, int(across) - 1), "muted")
