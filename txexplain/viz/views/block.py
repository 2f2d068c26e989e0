"""One block in GPT-2's order: the residual stream runs down the left, attention and MLP branch off it and are added back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from txexplain.engine.steps import SHOWN, Step
from txexplain.facts.head import mean_pattern
from txexplain.facts.vector import vector
from txexplain.text import cell_width
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import number, shape, whole_percent
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.ramps import Ramp, pool
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table
from txexplain.viz.views.bands import in_view, paint_bands
from txexplain.viz.views.chrome import fitting, part_of, title
from txexplain.viz.views.strips import plain_strip

NAME, RAIL, FORMULA, SIZES = 10, 6, 22, 15
PICTURE = (72, 24)  # the least stage that has room for the picture
# The column of the picture that each tile is part of.
COLUMNS = {
    "resid_pre": "x", "ln1": "qkv", "qkv": "qkv", "attn": "grid", "proj": "out", "add1": "mid",
    "ln2": "mlp", "fc": "mlp", "act": "mlp", "out": "mlp", "add2": "post",
}  # fmt: skip


TILES = tuple(SHOWN.values())
# What a tile's rail looks like: the stream enters, a branch leaves it, stands beside it, or is added to it.
KINDS = {"resid_pre": "in", "ln1": "branch", "add1": "add", "ln2": "branch", "add2": "add"}
RAILS = {"in": ("║   ", "║   "), "branch": ("╠═╗ ", "║ ║ "), "side": ("║ ║ ", "║ ║ "), "add": ("⊕═╝ ", "║   ")}
ASCII_RAILS = {"in": ("|   ", "|   "), "branch": ("|-. ", "| | "), "side": ("| | ", "| | "), "add": ("+-' ", "|   ")}
BELOW = 7  # rows of the stage that the picture leaves


@PICTURES.of("block")
def paint_block(scene: Scene) -> Canvas:
    """The block as a picture with the selected step below it; where there is no room for one, every step as a row."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    token = scene.token
    drawn = not scene.palette.ascii and scene.width >= PICTURE[0] and scene.height >= PICTURE[1] and complete(scene)
    what, heads = f"token {token} {scene.label(token).strip()}", f", attention the mean of {scene.config.n_head} heads"
    tokens = in_view(scene, scene.height - BELOW)
    note = f", {part_of(tokens, scene.n_tokens)}" if len(tokens) < scene.n_tokens else ""
    short = f", mean of {scene.config.n_head} heads"
    rights = (what + heads + note, what + short + note, what + note, note[2:]) if drawn else (what,)
    title(canvas, scene, f"L{scene.location.block} {scene.palette.glyphs.dot} block", *rights)
    if drawn:
        chosen = chosen_tile(scene)
        paint_bands(canvas, scene, scene.height - BELOW, COLUMNS[TILES[chosen].tile])
        detail(canvas, scene, TILES[chosen], scene.height - 4)
    else:
        rows_of_tiles(canvas, scene)
    added = [f"blocks.{scene.location.block}.{name}" for name in ("attn_out", "mlp_out")]
    if scene.result.has(*added):
        attn, mlp = (number(vector(scene.result, name, token).length, ascii=scene.palette.ascii) for name in added)
        text, hidden = f"attention {attn}, MLP {mlp} (norms)", elsewhere(scene, tokens) if drawn else 0.0
        others = f"; {whole_percent(hidden)} of its attention is out of view" if hidden else ""
        fitting(canvas, scene.height - 1, f"added to the stream: {text}{others}", text + others, text.replace(" (norms)", "") + others)
    return canvas


def elsewhere(scene: Scene, tokens: range) -> float:
    """The part of the selected token's attention that goes to tokens out of view."""
    shares = mean_pattern(scene.result, scene.location.block)[scene.token]  # [T]
    return float(np.delete(shares, tokens).sum())


def chosen_tile(scene: Scene) -> int:
    return next(i for i, tile in enumerate(TILES) if tile.tile == (scene.location.select or "attn"))


def complete(scene: Scene) -> bool:
    """Whether everything that the picture shows was recorded."""
    names = [tile.name for tile in TILES] + ["attn.k", "attn.v"]
    return scene.result.has(*(f"blocks.{scene.location.block}.{name}" for name in names))


def detail(canvas: Canvas, scene: Scene, tile: Step, y: int) -> None:
    """The selected step: what it computes, its shape, and its tensor for the selected token in full width."""
    sizes = shape(scene.trace[f"blocks.{scene.location.block}.{tile.name}"].shape, ascii=scene.palette.ascii)
    x = 1 + canvas.put(1, y, tile.tile, tile.role, attrs=BOLD)
    x += canvas.put(x, y, f"  {tile.formula}", "text")
    canvas.put(x, y, f"  {'3 of ' if tile.tile == 'qkv' else ''}{sizes}", "muted")
    steps = f"{TILES.index(tile) + 1} of {len(TILES)}"
    canvas.put(scene.width - len(steps) - 1, y, steps, "faint")
    tile_strip(canvas, scene, tile, 1, y + 1, scene.width - 2)
    if tile.name != "attn.pattern":
        row = vector(scene.result, f"blocks.{scene.location.block}.{tile.name}", scene.token)
        _, pooled = pool(row.values, scene.width - 2)
        figures = f"{number(row.least)} to {number(row.greatest)}, norm {number(row.length)}"
        canvas.put(1, y + 2, figures + (f" {scene.palette.glyphs.dot} {pooled}" if pooled else ""), "muted", width=scene.width - 2)
    else:
        text = f"the row of token {scene.token} in each head's pattern; each head's shares add up to 1"
        canvas.put(1, y + 2, text, "muted", width=scene.width - 2)


def rows_of_tiles(canvas: Canvas, scene: Scene) -> None:
    """Every operation as a row: name, formula and its tensor for the selected token."""
    place, chosen = scene.location, chosen_tile(scene)
    each = max(1, min(3, (scene.height - 2) // len(TILES)))
    visible = min(len(TILES), (scene.height - 2) // each)
    first = max(0, min(chosen - visible + 2, len(TILES) - visible))
    for row, tile in enumerate(TILES[first : first + visible]):
        y = 1 + row * each
        tile_row(canvas, scene, tile, y, each, first + row == chosen)
        canvas.target(0, y, scene.width, each, replace(place, kind="block", select=None if tile.tile == "attn" else tile.tile))


def tile_row(canvas: Canvas, scene: Scene, tile: Step, y: int, rows: int, lit: bool) -> None:
    """One tile, in as many rows as there are."""
    palette, name = scene.palette, f"blocks.{scene.location.block}.{tile.name}"
    rails = (RAILS if palette.lines else ASCII_RAILS)[KINDS.get(tile.tile, "side")]
    for i in range(rows):
        canvas.put(1, y + i, rails[min(i, 1)], "residual")
    if lit:
        canvas.fill(RAIL - 1, y, scene.width - RAIL + 1, 1, bg="cursor")
        canvas.put(RAIL - 1, y, palette.glyphs.marker, "accent", attrs=BOLD)
    x = RAIL + canvas.put(RAIL, y, tile.tile, tile.role, attrs=BOLD, width=NAME)
    if name not in scene.trace:
        canvas.put(x, y, "not recorded", "muted")
        return
    sizes = shape(scene.trace[name].shape, ascii=palette.ascii)
    if tile.tile == "qkv":
        sizes = "3 of " + sizes
    if rows == 1:
        x += canvas.put(x, y, tile.formula, "text", width=FORMULA) + 1
        if scene.width >= 76:
            x += canvas.put(x, y, sizes, "muted", width=SIZES) + 1
        tile_strip(canvas, scene, tile, x, y, scene.width - x - 1)
        return
    figure = sizes
    if tile.name != "attn.pattern":
        figure += f"  norm {number(vector(scene.result, name, scene.token).length, ascii=palette.ascii)}"
    right = scene.width - 1 - cell_width(figure)
    canvas.put(x, y, tile.formula, "text", width=max(0, min(34, right - 2 - x)))
    canvas.put(right, y, figure, "muted")
    tile_strip(canvas, scene, tile, RAIL, y + 1, scene.width - RAIL - 1)


def tile_strip(canvas: Canvas, scene: Scene, tile: Step, x: int, y: int, width: int) -> None:
    """The tile's tensor for the selected token."""
    prefix = f"blocks.{scene.location.block}."
    if tile.tile == "qkv":
        each = (width - 8) // 3
        for i, (letter, role) in enumerate((("q", "query"), ("k", "key"), ("v", "value"))):
            at = x + i * (each + 3)
            canvas.put(at, y, letter, role, attrs=BOLD)
            plain_strip(canvas, scene, vector(scene.result, f"{prefix}attn.{letter}", scene.token), role, at + 2, y, each)
        return
    if tile.tile != "attn":
        plain_strip(canvas, scene, vector(scene.result, prefix + tile.name, scene.token), tile.role, x, y, width)
        return
    rows = scene.trace[prefix + "attn.pattern"][:, scene.token, : scene.token + 1]  # [H, T]
    ramp, n_head = Ramp("sequential", "attention", scene.palette), rows.shape[0]
    room = max(1, width // n_head - 1)
    for head in range(n_head):
        row = rows[head]
        factor = -(-len(row) // room)
        padded = np.concatenate([row, np.zeros(-len(row) % factor, dtype=row.dtype)]).reshape(-1, factor).max(axis=1)
        ramp.cells(canvas, (x + head * (room + 1), y), (1, 1), ramp.quantise(padded, 0.0, 1.0)[None])


@TABLES.of("block")
def block_table(scene: Scene) -> Table:
    prefix = f"blocks.{scene.location.block}."
    steps = [(tile.tile, prefix + tile.name) for tile in TILES if tile.name != "attn.pattern"]
    return "Its steps, for the selected token:", tensor_rows(scene, steps)


def tensor_rows(scene: Scene, names: list[tuple[str, str]]) -> list[Row]:
    rows: list[Row] = [("what", "shape", "least", "greatest", "mean", "norm")]
    for shown, name in names:
        if name not in scene.trace:
            rows.append((shown, "not recorded", "", "", "", ""))
            continue
        row = vector(scene.result, name, scene.token)
        rows.append((shown, shape(scene.trace[name].shape), *map(number, (row.least, row.greatest, row.mean, row.length))))
    return rows
