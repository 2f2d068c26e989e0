"""The whole model: a row a token, a column a block, and ribbons for what reached the selected token."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from txexplain.engine.derive import Result
from txexplain.explorer.location import Location
from txexplain.facts.residual import changes as changes_of
from txexplain.text import cell_width, clip
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.flow import LINE_FROM, Doubles, Ribbons, paint_lines, ribbons_of, trace_back
from txexplain.viz.numbers import fit, number, percent, whole_percent
from txexplain.viz.palette import contrast
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.ramps import READABLE
from txexplain.viz.scene import Scene
from txexplain.viz.shapes import Picture, Ribbon, rectangle
from txexplain.viz.tables import Row, Table
from txexplain.viz.views.chrome import fitting, part_of, title
from txexplain.viz.views.head import window

LEAST_COLUMN = 5  # cells; columns narrow to this before one is left out
LEAST_LABEL = 10  # and the tokens' labels to this
FINAL, LEAST_WORD, WORD = 7, 5, 14  # cells of the last LayerNorm's column; of the last one, for the next token
TALLEST = 5  # a token's rows at most
MOST, LEAST = 24, 0.012  # ribbons that are shown, and the share from which on
THICKEST, THINNEST = (
    (2.0, 4.0),
    0.4,
)  # cells that all of the selected token would take, by the row and at most; cells of the thinnest ribbon
STAYS = ((0.3, 0.56), (0.12, 0.36), (0.04, 0.22), (0.01, 0.13), (0.0, 0.06))  # the strengths of bands, by the share from which on
MOVES = ((0.1, 0.95), (0.05, 0.7), (0.02, 0.5), (0.0, 0.35))  # of ribbons
HOLDS = ((0.15, 0.8), (0.05, 0.5), (0.02, 0.3))  # of the cell where a column begins, in which a token holds a share
NUMBERED, CHIP = 0.05, 3  # the share from which on a token's is written there, and the cells that it takes
NAMED, LEAST_NAMED = 5, 3  # moves that are told in words, where there are rows to spare
MODES = {"norms": "shares of norms; LayerNorm and MLP not traced", "rollout": "attention rollout: half attention, half staying"}
TRACED: WeakKeyDictionary[Result, tuple[tuple[str, int], tuple[list[Doubles], list[Ribbons]]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Rows:
    """Where the tokens stand: those in view, the row of each, the rows that each has, and those of what lies outside."""

    of: dict[int, int]
    pitch: int
    above: int | None
    below: int | None

    @property
    def tokens(self) -> range:
        return range(min(self.of), max(self.of) + 1)


@dataclass(frozen=True)
class Columns:
    """Where the columns stand: those in view, and the first cell of each and of what lies behind the last."""

    shown: range
    x: tuple[int, ...]

    def at(self, column: int) -> int:
        """A column's first cell; one outside begins where the view ends on its side."""
        return self.x[min(max(column - self.shown.start, 0), len(self.x) - 1)]


@dataclass(frozen=True)
class Move:
    """What moves to a token from another in one block, or from all of those above the view (source −1)."""

    share: float
    block: int
    source: int
    target: int


def columns_of(scene: Scene) -> list[tuple[str, Location]]:
    """The view's columns: the embedding, every block, the final LayerNorm, the output."""
    token = scene.location.token
    blocks = [(f"L{b}", f"L{b}" if b else None) for b in range(scene.config.n_layer)]
    names: list[tuple[str, str | None]] = [("embed", "embed"), *blocks, ("final", "final"), ("out", "output")]
    return [(name, Location("model", select=select, token=token)) for name, select in names]


def rows_of(token: int, n: int, height: int) -> Rows:
    """Equal whole rows for all tokens; where there are too many, those around the selected one, and a row for what lies beyond."""
    if n <= height:
        pitch = min(TALLEST, height // n)
        return Rows({i: 2 + i * pitch + (pitch - 1) // 2 for i in range(n)}, pitch, None, None)
    for spared in (1, 2):
        tokens = window(token, n, max(1, height - spared))
        above, below = tokens.start > 0, tokens.stop < n
        if above + below <= spared:
            break
    room = height >= 1 + above + below
    top = 2 + (above and room)
    of = {i: top + row for row, i in enumerate(tokens)}
    return Rows(of, 1, 2 if above and room else None, top + len(tokens) if below and room else None)


def in_view(chosen: int | None, count: int, room: int) -> range:
    """The columns in view: the last ones, whose end the picture tells; a column that the reader chose is always among them."""
    room = max(2, min(room, count))
    first = count - room if chosen is None else min(count - room, chosen)
    return range(first, first + room)


def columns_in(left: int, width: int, count: int, chosen: int | None, word: int) -> Columns:
    """The columns in a width; where there is room, the last two take no more than they need."""
    last = max(LEAST_WORD, min(word, WORD, width - (count - 1) * LEAST_COLUMN))
    shown = in_view(chosen, count, (width - last) // LEAST_COLUMN + 1)
    across = [(width - last) / (len(shown) - 1)] * (len(shown) - 1)
    if len(shown) == count and across[0] > FINAL:
        across = [(width - last - FINAL) / (count - 2)] * (count - 2) + [FINAL]
    across.append(last)
    return Columns(shown, tuple(left + int(x) for x in np.cumsum([0.0, *across])))


@PICTURES.of("model")
def paint_model(scene: Scene) -> Canvas:
    """Tokens, blocks, ribbons; below, how much attention and MLP changed the selected token's stream in each block."""
    return laid_out(scene)[0]


def laid_out(scene: Scene) -> tuple[Canvas, Columns, tuple[int, int]]:
    """The view, where its columns stand, and the rows behind the picture and behind the bars under it."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, n = scene.location, scene.n_tokens
    columns = columns_of(scene)
    chosen = next(i for i, (_, at) in enumerate(columns) if at.select == place.select)
    bars = scene.height >= 12
    notes = 2 if scene.height >= 20 else 1  # what the ribbons are, and how many
    bottom = scene.height - notes - (2 if bars else 0)
    if notes == 2 and (bottom - 1) // n > (bottom - 2) // n:  # one row more, and every token has one more
        notes, bottom = 1, bottom + 1
    rows = rows_of(scene.token, n, max(1, bottom - 2))
    if rows.below is None:
        bottom = min(bottom, 2 + len(rows.of) * rows.pitch + (rows.above is not None))
    beyond = {row: text for row, text in zip((rows.above, rows.below), outside(rows, n, scene), strict=True) if row is not None}
    labels = max(cell_width(text) for text in (*map(scene.label, rows.tokens), *beyond.values()))
    labels = min(max(16, scene.width // 6), labels)
    left = min(labels, max(LEAST_LABEL, scene.width - 4 - LEAST_WORD - FINAL - (len(columns) - 2) * LEAST_COLUMN)) + 3
    words = next_word(scene)
    c = columns_in(left, scene.width - left - 1, len(columns), None if place.select is None else chosen, cell_width(words))
    title(canvas, scene, "Model", hidden(columns, c.shown, rows.tokens, n))
    flow = picture_of(canvas, scene, rows, c, chosen, bottom)
    headings(canvas, scene, columns, c, chosen, bottom)
    edges(canvas, scene, columns, c.shown, chosen, left)
    for token, y in rows.of.items():
        lit = token == scene.token
        look = ("text" if lit else "muted", "cursor" if lit else None, BOLD if lit else 0)
        canvas.put(1, y, scene.label(token), *look, width=left - 3, align="right")
        canvas.target(0, y, left, 1, ("token", token))
    for row, text in beyond.items():
        canvas.put(1, row, text, "faint", width=left - 3, align="right")
    if len(c.shown) == len(columns) and words:
        y = rows.of.get(n - 1, bottom - 1 if rows.below is None else rows.below)
        canvas.put(c.at(len(columns) - 1) - 2, y, scene.palette.glyphs.arrow, "muted")
        canvas.put(
            c.at(len(columns) - 1), y, words, "text", attrs=BOLD, width=min(cell_width(words), canvas.width - c.at(len(columns) - 1))
        )
    end = bottom
    if bars:
        y = min(bottom + 1, scene.height - notes - 2)
        end = y + 2
        changes(canvas, scene, c, left, y)
        largest(canvas, scene, flow or [], left, y + 3, scene.height - notes - 1)
    legend(canvas, scene, flow, notes)
    return canvas, c, (bottom, end)


def outside(rows: Rows, n: int, scene: Scene) -> tuple[str, str]:
    """What is said of the tokens above and below those in view."""
    glyphs = scene.palette.glyphs
    return f"{glyphs.up} {rows.tokens.start} above", f"{glyphs.down} {n - rows.tokens.stop} below"


def headings(canvas: Canvas, scene: Scene, columns: list[tuple[str, Location]], c: Columns, chosen: int, bottom: int) -> None:
    """The columns' names; a click selects one."""
    for column in c.shown:
        name, at = columns[column]
        lit, x, end = column == chosen, c.at(column), c.at(column + 1)
        tight = cell_width(name) >= end - x  # such a name begins a cell before its column, so that the next doesn't touch it
        canvas.put(x - tight, 1, name, "accent" if lit else "muted", "cursor" if lit else None, BOLD if lit else 0)
        canvas.target(x, 1, end - x, bottom - 1, at)


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


def next_word(scene: Scene) -> str:
    """The likeliest next token: the first of the logits, whose order no temperature changes."""
    if scene.ranking is None or "panel" in scene.covered:
        return ""
    token = int(scene.ranking.order[0])
    return scene.id_label(token).strip() or scene.id_label(token)


def widest(between: list[Ribbons], tokens: range) -> list[Move]:
    """The widest ribbons that enter a token in view, the widest first; those that leave tokens above it are one for each."""
    found: dict[tuple[int, int, int], float] = {}
    for b, r in enumerate(between):
        for source, target, share in zip(r.source.tolist(), r.target.tolist(), r.share.tolist(), strict=True):
            if source != target and target in tokens:
                key = (b, target, source if source in tokens else -1)
                found[key] = found.get(key, 0.0) + share
    moves = sorted((Move(share, b, source, target) for (b, target, source), share in found.items()), key=lambda m: -m.share)
    return [move for move in moves[:MOST] if move.share >= LEAST]


def moved(shares: tuple[Doubles, ...], columns: list[Doubles]) -> float:
    """How much moves from token to token in all blocks together, in parts of the selected token."""
    return sum(1 - float(share.diagonal() @ after) for share, after in zip(shares, columns[1:], strict=True))


def level(steps: tuple[tuple[float, float], ...], share: float) -> float:
    """The strength of a share, 0 where it is less than the least."""
    return next((strength for least, strength in steps if share >= least), 0.0)


def picture_of(canvas: Canvas, scene: Scene, rows: Rows, c: Columns, chosen: int, bottom: int) -> list[Move] | None:
    """The Sankey picture between the columns; in ASCII, lines with the shares as numbers. Returns the ribbons shown."""
    height, x = bottom - 2, c.x[0]
    if scene.ribbons is None:
        lacking = scene.result.flow_lacks(scene.state.flow)
        why = "not told" if lacking.endswith("by hand") else "not recorded"
        note = f"ribbons: {why}: {lacking}" if lacking else "tracing the flow " + scene.palette.glyphs.ellipsis
        canvas.put(x, 2 + height // 2, note, "muted", width=canvas.width - x - 1)
        if lacking and scene.state.flow == "norms" and not scene.result.flow_lacks("rollout"):
            canvas.put(x, 3 + height // 2, "w shows attention rollout instead", "muted", width=canvas.width - x - 1)
        return None
    columns, between = traced(scene)
    moves = widest(between, rows.tokens)
    layers = scene.config.n_layer
    # Column b of the Sankey stands where block b begins; the last, behind the last block, where the final LayerNorm does.
    column_x = [c.at(b + 1) - x for b in range(layers + 1)]
    seen = [b for b in range(layers + 1) if b + 1 in c.shown]
    if scene.palette.ascii:
        from_top = {token: y - 2 for token, y in rows.of.items()}
        paint_lines(canvas, x, 2, (c.x[-1] - x, height), between, from_top, column_x)
        for b in seen:
            share_numbers(canvas, scene, columns[b], c, b + 1, rows, lit=b + 1 == chosen)
        return moves
    picture = Picture(c.x[-1] - x, height)
    if chosen in c.shown:
        picture.add("panel", rectangle(c.at(chosen) - x, 0, c.at(chosen + 1) - c.at(chosen), height))
    stays, holds = [], []
    half = 0.25 if rows.pitch == 1 else 0.5
    middle = {token: row - 1 - half for token, row in rows.of.items()}
    for token, y in middle.items():
        kept = [float(columns[0][token]), *(float(columns[b + 1][token] * scene.ribbons[b][token, token]) for b in range(layers))]
        for b, share in enumerate(kept):
            if b in c.shown and c.at(b) < c.at(b + 1):
                stays.append(rectangle(c.at(b) - x, y - half, c.at(b + 1) - c.at(b), 2 * half, level(STAYS, share)))
        for b in seen:
            share = float(columns[b][token])
            if numbered(share, c, b + 1):
                holds.append(rectangle(column_x[b], rows.of[token] - 2, CHIP, 1, level(STAYS, share)))
            elif share >= HOLDS[-1][0]:
                holds.append(rectangle(column_x[b], y - half, 1, 2 * half, level(HOLDS, share)))
    picture.add("residual", *stays, *holds)
    thick = min(THICKEST[0] * rows.pitch, THICKEST[1])
    begins = {(b, token): column_x[b] + (CHIP if numbered(float(columns[b][token]), c, b + 1) else 1) for b in seen for token in middle}
    picture.add("attention", *(ribbon(move, middle, begins, column_x, thick, rows) for move in moves if move.block + 1 in c.shown))
    canvas.show(x, 2, picture)
    for b in seen:
        share_numbers(canvas, scene, columns[b], c, b + 1, rows, lit=b + 1 == chosen)
    return moves


def numbered(share: float, c: Columns, column: int) -> bool:
    """Whether a token's share is written where a column begins: from some size on, where there is room, and it isn't all."""
    return NUMBERED <= share < 1 and c.at(column + 1) - c.at(column) > CHIP + 2


def ribbon(
    move: Move, middle: dict[int, float], begins: dict[tuple[int, int], int], column_x: list[int], thick: float, rows: Rows
) -> Ribbon:
    """One that moves; what comes from above the view comes from the row that stands for it."""
    above = 0.5 if rows.above is not None else -1.0
    x0 = begins.get((move.block, move.source), column_x[move.block])
    thickness, strength = max(THINNEST, move.share * thick), level(MOVES, move.share)
    return Ribbon(x0, column_x[move.block + 1], middle.get(move.source, above), middle[move.target], thickness, strength)


def share_numbers(canvas: Canvas, scene: Scene, held: Doubles, c: Columns, column: int, rows: Rows, *, lit: bool) -> None:
    """Each token's part of what reaches the selected one, where a column begins, as a number on its row."""
    x, room = c.at(column), c.at(column + 1) - c.at(column)
    for token, row in rows.of.items():
        share = float(held[token])
        if not scene.palette.pixels and share >= LINE_FROM:
            text = percent(share, ascii=scene.palette.ascii)
            canvas.put(x, row, text if len(text) < room else f"{share:.0%}", "text")
        elif scene.palette.pixels and numbered(share, c, column):
            inks = ("text", "background") if lit else ("muted", "text", "background")
            ink = next((role for role in inks if contrast(scene.palette.rgb(role), int(canvas.bg[row, x])) >= READABLE), inks[-1])
            canvas.put(x, row, whole_percent(share), ink)


def legend(canvas: Canvas, scene: Scene, moves: list[Move] | None, rows: int) -> None:
    """What the ribbons are, and what those that aren't shown carry."""
    mode, to = MODES[scene.state.flow], f"to {clip(scene.label(scene.token).strip(), 12)} ({scene.token})"
    y = scene.height - 1
    if moves is None or scene.palette.ascii:
        fitting(canvas, y, f"ribbons {to}: {mode}", f"{to}: {mode}", mode)
        return
    assert scene.ribbons is not None
    total = moved(scene.ribbons, traced(scene)[0])
    others = percent(max(0.0, 1 - sum(move.share for move in moves) / total) if total > 0 else 0.0, ascii=scene.palette.ascii)
    count = f"the {len(moves)} widest ribbons {to}"
    if rows == 1:
        fitting(canvas, y, f"{count}; the others carry {others}; {mode}", f"{len(moves)} widest, others {others}; {mode}", mode)
        return
    fitting(canvas, y - 1, f"{count}; the others carry {others} of what moves", f"{count}; the others: {others}")
    fitting(canvas, y, mode, ink="faint")


def largest(canvas: Canvas, scene: Scene, moves: list[Move], left: int, y: int, end: int) -> None:
    """What moved most, in words, where rows are to spare for three of them at least."""
    shown = moves[: max(0, min(NAMED, end - y - 1))]
    if len(shown) < LEAST_NAMED:
        return
    canvas.put(1, y, "what moved most", "muted")
    arrow = scene.palette.glyphs.arrow
    names = [[named(scene, token) for token in (move.source, move.target)] for move in shown]
    widths = [max(cell_width(pair[i]) for pair in names) for i in (0, 1)]
    x = left + widths[0] + widths[1] + 18
    for row, (move, pair) in enumerate(zip(shown, names, strict=True), start=y + 1):
        canvas.put(left - 4, row, f"L{move.block}", "faint", width=3, align="right")
        canvas.put(left, row, f"{pair[0]:>{widths[0]}} {arrow} {pair[1]:<{widths[1]}}", "text")
        canvas.put(x - 12, row, percent(move.share, ascii=scene.palette.ascii), "text", width=7, align="right")
        canvas.put(x - 4, row, bar(move.share / shown[0].share, max(4, min(24, canvas.width - x - 1)), scene.palette), "attention")


def named(scene: Scene, token: int) -> str:
    """A token with its position; −1 stands for those above the view."""
    return "from above" if token < 0 else f"{scene.label(token).strip() or scene.label(token)} ({token})"


def changes(canvas: Canvas, scene: Scene, c: Columns, left: int, y: int) -> None:
    """‖attn_out‖ and ‖mlp_out‖ of each block for the selected token, as bars with their numbers."""
    result = scene.result
    names = [f"blocks.{b}.{what}" for b in range(scene.config.n_layer) for what in ("attn_out", "mlp_out")]
    if not result.has(*names):
        canvas.put(1, y, "changes: not recorded", "muted")
        return
    made = changes_of(result, scene.token)
    largest = max(map(max, made)) or 1.0
    for row, (letter, name, role, side) in enumerate((("A", "attention adds", "attention", 0), ("M", "MLP adds", "mlp", 1))):
        if c.shown.start == 0:
            room = c.at(1) - 4
            canvas.put(1, y + row, letter, role, attrs=BOLD)
            canvas.put(3, y + row, name if room >= cell_width(name) else name.removesuffix(" adds")[: max(room, 4)], "muted")
        else:
            canvas.put(left - 2, y + row, letter, role, attrs=BOLD)
        for b in range(scene.config.n_layer):
            if b + 1 not in c.shown:
                continue
            value, x, room = made[b][side], c.at(b + 1), c.at(b + 2) - c.at(b + 1) - 1
            figure = fit(value, min(5, max(3, room - 1)))
            cells = max(1, room - len(figure) - 1)
            canvas.put(x, y + row, bar(value / largest, cells, scene.palette), role)
            canvas.put(x + room - len(figure), y + row, figure, "muted")


@TABLES.of("model")
def model_table(scene: Scene) -> Table:
    rows: list[Row] = [("block", "attention adds", "MLP adds")]
    for layer, pair in enumerate(changes_of(scene.result, scene.token)):
        rows.append((f"L{layer}", *map(number, pair)))
    return "Norms of what each block adds to the selected token's stream:", rows
