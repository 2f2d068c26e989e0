"""A block as one picture, left to right: the stream, query, key and value, attention, the two adds.

Translucent fields show what is made of what; of all lines only the selected token's are drawn, a value's as thick as its share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from txexplain.engine.derive import Doubles
from txexplain.engine.ops import Array
from txexplain.facts.head import mean_pattern
from txexplain.text import cell_width
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.ramps import DEEPEST, Ramp, pool
from txexplain.viz.scene import Scene
from txexplain.viz.shapes import Field, Picture, Ribbon, rectangle
from txexplain.viz.views.head import window

LABEL, TALLEST = 12, 4  # cells of a token's label at most, and its rows
GROUPS = (("query", "attn.q"), ("key", "attn.k"), ("value", "attn.v"))
STRIPS = {"x": "resid_pre", "out": "attn_out", "mid": "resid_mid", "mlp": "mlp.post", "post": "resid_post"}
QUIET = 0.45  # how strong the strips of the other tokens are
FIELD, INTO_GRID = 0.1, 0.16  # how strong fields are
LINE, BRIGHT = 0.7, 0.85  # cells and strength of the selected token's lines
LEAST, WHOLE, HAIR = 0.01, 1.6, 0.45  # a share below this has no line; cells of a line for all values; of the thinnest
VALUES = ((0.15, 0.95), (0.05, 0.6), (0.0, 0.35))  # the strengths of a value's line, by the share from which on
RAIL = (0.07, 0.3)  # how strong a token's way behind attention is: the others', the selected one's
PARTS = (0.28, 0.17, 0.3, 0.12, 0.0, 0.06, 0.07)  # of the room between columns


@dataclass(frozen=True)
class Column:
    """One stage of the picture: its heading, the tile that it opens, where it stands and how wide it is."""

    name: str
    tile: str
    role: str
    x: int
    width: int

    @property
    def end(self) -> int:
        return self.x + self.width


@dataclass(frozen=True)
class Plan:
    """Where everything stands, in cells from the picture's corner; rows of groups may be half a cell high."""

    tokens: range
    columns: dict[str, Column]
    rows: tuple[int, ...]  # of each token in view
    tops: tuple[int, int, int]  # of the groups of queries, keys and values
    each: float  # the height of a token in a group
    grid: int  # the grid's first row
    cell: int  # the width of its cells

    def middles(self, group: int) -> list[float]:
        """The middle of each token in a group."""
        return [self.tops[group] + (i + 0.5) * self.each for i in range(len(self.tokens))]

    @property
    def span(self) -> tuple[float, float]:
        """From the first token's row to the last one's."""
        return self.rows[0], self.rows[-1] + 1

    def sides(self, group: int) -> tuple[float, float]:
        return self.tops[group], self.tops[group] + len(self.tokens) * self.each


def in_view(scene: Scene, height: int) -> range:
    """The tokens that there is room for, half a row each in three groups with their names; the selected one among them."""
    return window(scene.token, scene.n_tokens, max(1, min((2 * (height - 3)) // 3, height - 2)))


def plan(scene: Scene, height: int) -> Plan:
    """Lay the picture out in a stage, `height` rows of it from row 2 on."""
    tokens = in_view(scene, height)
    n = len(tokens)
    each = 1.0 if 3 * n + 3 <= height else 0.5
    group = int(np.ceil(n * each))
    gap = min((height - 3 * group - 3) // 3, 2) if height >= 3 * group + 3 else 0
    top = max(0, (height - 3 * (group + gap + 1)) // 2)
    first, second, third = (top + (i + 1) * (gap + 1) + i * group for i in range(3))
    pitch = max(1, min(TALLEST, height // n))
    rows = tuple((height - n * pitch) // 2 + i * pitch + (pitch - 1) // 2 for i in range(n))
    left = min(LABEL, max(cell_width(scene.label(i)) for i in tokens)) + 3
    widths = {"x": 2, "qkv": 6, "grid": n, "out": 3, "mid": 2, "mlp": 4, "post": 2}
    cell = 2 if scene.width - left - 2 - sum(widths.values()) - n >= 44 else 1
    widths["grid"] *= cell
    room = scene.width - left - 2 - sum(widths.values())
    gaps = [int(room * part) for part in PARTS[:-1]]
    gaps[4] += 1  # the stream's sum touches nothing
    names = {"x": "x", "qkv": "QKV", "grid": "softmax", "out": "out", "mid": "+", "mlp": "MLP", "post": "+"}
    tiles = {"x": "resid_pre", "qkv": "qkv", "grid": "attn", "out": "proj", "mid": "add1", "mlp": "fc", "post": "add2"}
    roles = {"x": "residual", "qkv": "query", "grid": "attention", "out": "attention", "mid": "residual", "mlp": "mlp", "post": "residual"}
    columns, x = {}, left
    for key, space in zip(widths, [*gaps, 0], strict=True):
        columns[key] = Column(names[key], tiles[key], roles[key], x, widths[key])
        x += widths[key] + space
    grid = max(1, min(second + group // 2 - round(0.62 * n), height - n - 1))
    return Plan(tokens, columns, rows, (first, second, third), each, grid, cell)


def paint_bands(canvas: Canvas, scene: Scene, height: int, chosen: str) -> None:
    """The picture in rows 1 to height + 1; `chosen` is the column of the selected tile."""
    place, layer = scene.location, scene.location.block
    p = plan(scene, height)
    pattern = mean_pattern(scene.result, layer)  # [T, T]
    canvas.show(0, 2, picture(scene, p, pattern, canvas.width, height))
    for key, column in p.columns.items():
        lit = key == chosen
        if key != "qkv":
            canvas.put(column.x, 1, column.name, "accent" if lit else column.role, "cursor" if lit else None, BOLD)
        target = replace(place, kind="block", select=None if column.tile == "attn" else column.tile)
        canvas.target(column.x - 1, 1, column.width + 2, height + 1, target)
    for group, (role, _) in enumerate(GROUPS):
        lit = chosen == "qkv"
        canvas.put(p.columns["qkv"].x, 1 + p.tops[group], role, "accent" if lit else role, "cursor" if lit else None, BOLD)
    for token, row in zip(p.tokens, p.rows, strict=True):
        lit = token == scene.token
        look = ("text" if lit else "muted", "cursor" if lit else None, BOLD if lit else 0)
        canvas.put(1, 2 + row, scene.label(token), *look, width=p.columns["x"].x - 3, align="right")
        canvas.target(0, 2 + row, p.columns["x"].x - 1, 1, ("token", token))
    mean_grid(canvas, scene, p, pattern)


def mean_grid(canvas: Canvas, scene: Scene, p: Plan, pattern: Doubles) -> None:
    """The mean over heads of the softmax patterns, on a ground of its own: queries down, keys to the right."""
    x, y, n = p.columns["grid"].x, 2 + p.grid, len(p.tokens)
    ramp = Ramp("sequential", "attention", scene.palette)
    levels = ramp.quantise(pattern[np.ix_(p.tokens, p.tokens)], 0.0, float(pattern.max()))
    for row in range(n):
        ramp.cells(canvas, (x, y + row), (p.cell, 1), levels[row : row + 1, : row + 1])
    canvas.put(x + n * p.cell, y + p.tokens.index(scene.token), scene.palette.glyphs.here, "accent")
    names = (f"keys {scene.palette.glyphs.arrow}", "keys", "k")
    canvas.put(x, y - 1, next(name for name in names if len(name) <= n * p.cell or name == "k"), "key")


def strengths(values: Array, tokens: range, width: int) -> Doubles:
    """Of each token's vector in a column: how strong each cell is, by the largest number that it stands for, of all tokens' largest.

    Shapes: values [T, …] -> [t, w].
    """
    sizes = np.abs(values.reshape(len(values), -1))  # [T, n]
    pooled, _ = pool(sizes[tokens.start : tokens.stop], width)  # [t, w]
    level = np.maximum(np.rint(5 * pooled / (float(sizes.max()) or 1.0)), 1)  # few steps: runs of equal cells cost little
    return np.asarray(DEEPEST * (level / 5) ** 0.8)


def strips(picture: Picture, role: str, column: Column, strong: Doubles, middles: Sequence[float], height: float, chosen: int) -> None:
    """The tokens' vectors in a column, the selected one's at full strength."""
    each, shapes = column.width / strong.shape[1], []
    for i, middle in enumerate(middles):
        cells = strong[i] if i == chosen else QUIET * strong[i]
        shapes += [rectangle(column.x + k * each, middle - height / 2, each, height, float(s)) for k, s in enumerate(cells)]
    picture.add(role, *shapes)


def picture(scene: Scene, p: Plan, pattern: Doubles, width: int, height: int) -> Picture:
    """Fields, the selected token's lines, and the tokens' vectors."""
    found, c, chosen = Picture(width, height), p.columns, p.tokens.index(scene.token)
    y, bottom = p.rows[chosen] + 0.5, p.grid + len(p.tokens)
    prefix = f"blocks.{scene.location.block}."
    for group, (role, _) in enumerate(GROUPS):
        found.add("residual", Field(c["x"].end, c["qkv"].x, p.span, p.sides(group), FIELD), into=role)
    found.add("query", Field(c["qkv"].end, c["grid"].x, p.sides(0), (p.grid, bottom), INTO_GRID))
    key = (bottom, bottom + 1)
    found.add(
        "key", Field(c["qkv"].end, c["grid"].x, p.sides(1), key, INTO_GRID), rectangle(c["grid"].x, bottom, c["grid"].width, 1, INTO_GRID)
    )
    found.add("value", Field(c["qkv"].end, c["out"].x, p.sides(2), p.span, FIELD), into="attention")
    for left, right, role in (("out", "mid", "attention"), ("mid", "mlp", "mlp"), ("mlp", "post", "mlp")):
        if c[left].end < c[right].x:
            ways = [rectangle(c[left].end, row, c[right].x - c[left].end, 1, RAIL[i == chosen]) for i, row in enumerate(p.rows)]
            found.add(role, *ways)
    for group, (role, _) in enumerate(GROUPS):
        found.add(role, Ribbon(c["x"].end, c["qkv"].x, y, p.middles(group)[chosen], LINE, BRIGHT))
    found.add("query", Ribbon(c["qkv"].end, c["grid"].x, p.middles(0)[chosen], p.grid + chosen + 0.5, LINE, BRIGHT))
    under = (c["grid"].x, bottom + 0.5 - LINE / 2, chosen * p.cell + p.cell / 2, LINE)
    found.add("key", Ribbon(c["qkv"].end, c["grid"].x, p.middles(1)[chosen], bottom + 0.5, LINE, BRIGHT), rectangle(*under, BRIGHT))
    found.add("panel", rectangle(c["grid"].x, p.grid, c["grid"].width, len(p.tokens)))
    shares = pattern[scene.token]  # [T]
    lines = [
        Ribbon(
            c["qkv"].end, c["out"].x, middle, y, max(HAIR, WHOLE * float(shares[j])), next(s for least, s in VALUES if shares[j] >= least)
        )
        for j, middle in zip(p.tokens, p.middles(2), strict=True)
        if shares[j] >= LEAST
    ]
    found.add("value", *lines)
    for group, (role, name) in enumerate(GROUPS):
        strong = strengths(scene.trace[prefix + name], p.tokens, c["qkv"].width)
        strips(found, role, c["qkv"], strong, p.middles(group), p.each, chosen)
    for name, tensor in STRIPS.items():
        strong = strengths(scene.trace[prefix + tensor], p.tokens, c[name].width)
        strips(found, c[name].role, c[name], strong, [row + 0.5 for row in p.rows], 1.0, chosen)
    return found
