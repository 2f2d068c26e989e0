"""A block's heads side by side, as thumbnails of their real patterns."""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

import numpy as np

from txexplain.engine.derive import Doubles, Result
from txexplain.facts.head import row as row_of
from txexplain.facts.vector import VectorFacts
from txexplain.text import cell_width, clip
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import number
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.ramps import Ramp, pool2d
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, mark, named
from txexplain.viz.views.chrome import fitting, title

THUMB_WIDTH = 18  # the narrowest cell of a block's grid of heads, its margin included
MARGIN = 2
KEYS = 5  # strongest keys named below a thumbnail
SHARE = 7  # cells that a share takes there
BARRED = 28  # cells from which on shares are bars too


def heads_columns(n_head: int, width: int) -> int:
    """How many heads of a block stand side by side on a stage of this width: about as many down as across, in full rows if can be."""
    most = max(1, (width - 2) // THUMB_WIDTH)
    full = [c for c in range(2, most + 1) if n_head % c == 0 and c * c <= 2 * n_head]
    if full and 2 * full[-1] >= min(most, isqrt(2 * n_head)):
        return full[-1]
    rows = -(-n_head // most)
    return -(-n_head // rows)


@PICTURES.of("attn")
def paint_attn(scene: Scene) -> Canvas:
    """One block's heads. Softmax patterns, queries downwards, keys to the right."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, config = scene.location, scene.config
    columns = heads_columns(config.n_head, scene.width)
    rows = -(-config.n_head // columns)
    across, down = (scene.width - 2) // columns, max(3, (scene.height - 2) // rows)
    visible = max(1, (scene.height - 2) // down)
    first = max(0, min(place.head // columns - visible + 1, rows - visible)) if rows > visible else 0
    widest = max(cell_width(scene.label(i).strip()) for i in range(scene.n_tokens))
    pooled = ""
    for head in range(config.n_head):
        row, column = divmod(head, columns)
        if not first <= row < first + visible:
            continue
        x, y = 1 + column * across, 1 + (row - first) * down
        lit = head == place.head
        target = replace(place, head=head)
        canvas.target(x, y, across - 1, down, target)
        used = canvas.put(x, y, f"L{place.block}H{head}", "accent" if lit else "text", "cursor" if lit else None, BOLD if lit else 0)
        room = (across - MARGIN, down - (2 if down > 5 else 1))
        factor = thumbnail(canvas, scene, head, x, y + 1, *room)
        if factor > 1:
            pooled = f"cells: largest of {factor}{scene.palette.glyphs.times}{factor} shares"
        shares = row_of(scene.result, place.block, head, scene.token)
        if across >= THUMB_WIDTH:
            share = number(shares.largest, ascii=scene.palette.ascii)
            canvas.put(x + across - 2 - len(share), y, share, "muted")
            free = across - MARGIN - used - len(share) - 2
            canvas.put(x + used + 1, y, scene.label(shares.strongest).strip(), "key", width=free, align="right")
            below = y + 2 + thumbnail_rows(-(-scene.n_tokens // factor), *room, scene)
            strongest_keys(canvas, scene, shares.values, x, below, across - MARGIN, y + down - 1 - below, widest)
    part = f"rows {first + 1}-{first + visible} of {rows}" if rows > visible else ""
    name = f"L{place.block}.attn {scene.palette.glyphs.dot} {config.n_head} heads"
    title(canvas, scene, name, ", ".join(note for note in (part, pooled) if note))
    chosen = clip(scene.label(scene.token).strip(), 12)
    note = f"by each name the strongest key of {chosen} ({scene.token})"
    fitting(canvas, scene.height - 1, f"queries down, keys right; {note}", note)
    return canvas


def strongest_keys(canvas: Canvas, scene: Scene, shares: VectorFacts, x: int, y: int, width: int, rows: int, widest: int) -> None:
    """Below a thumbnail, where rows are to spare: the keys that the selected token takes most from, with their shares."""
    keys = shares.order[: min(rows, KEYS)].tolist()
    if rows < 2:
        return
    name = min(widest, width - SHARE - 1) if width < BARRED else min(widest, width - SHARE - 8)
    for line, key in enumerate(keys):
        share = number(shares[key], ascii=scene.palette.ascii)
        canvas.put(x, y + line, scene.label(key).strip() or scene.label(key), "key", width=name)
        canvas.put(x + width - SHARE, y + line, share, "muted", width=SHARE, align="right")
        if width >= BARRED:
            canvas.put(x + name + 1, y + line, bar(shares[key], width - name - SHARE - 2, scene.palette), "attention")


def thumbnail_cell(m: int, width: int, height: int, scene: Scene) -> int:
    """How many cells wide (and pixels high) each of a pattern's m rows and columns is."""
    return max(1, min(width // m, 2 * height // m if scene.palette.pixels else 3))


def thumbnail_rows(m: int, width: int, height: int, scene: Scene) -> int:
    """How many rows a thumbnail of m rows and columns takes."""
    return -(-m * thumbnail_cell(m, width, height, scene) // 2) if scene.palette.pixels else min(m, height)


def small_patterns(result: Result, layer: int, rows: int, columns: int) -> tuple[list[Doubles], int]:
    """A block's patterns in at most rows × columns, and how many of its own each cell's row and column stand for; kept while shown."""

    def find() -> tuple[list[Doubles], int]:
        pattern = result.trace[f"blocks.{layer}.attn.pattern"]  # [H, T, T]
        pooled = [pool2d(shares.astype(np.float64), rows, columns) for shares in pattern]
        return [small for small, _ in pooled], pooled[0][1]

    return result.last("small patterns", (layer, rows, columns), find)


def thumbnail(canvas: Canvas, scene: Scene, head: int, x: int, y: int, width: int, height: int) -> int:
    """A head's pattern in a small rectangle; returns how many rows and columns one cell stands for."""
    palette = scene.palette
    ramp = Ramp("sequential", "attention", palette)
    pixel_rows = 2 * height if palette.pixels else height
    patterns, factor = small_patterns(scene.result, scene.location.block, pixel_rows, width)
    small = patterns[head]  # [m, m]
    m = small.shape[0]
    cell = thumbnail_cell(m, width, height, scene)
    levels = ramp.quantise(small, 0.0, float(small.max()) or 1.0)
    levels[np.triu_indices(m, 1)] = -1
    chosen = scene.token // factor
    if palette.pixels:
        ground = np.array(palette.triple("background"))
        table = np.array([[c >> 16, c >> 8 & 255, c & 255] for c in (ramp.colour(level) for level in range(ramp.levels))])
        image = np.where((levels >= 0)[..., None], table[np.maximum(levels, 0)], ground)  # [m, m, 3]
        image = np.repeat(np.repeat(image, cell, axis=1), cell, axis=0)
        if len(image) % 2:
            image = np.concatenate([image, np.broadcast_to(ground, (1, *image.shape[1:]))])
        canvas.pixels(x, y, image.astype(np.uint8))
        if m * cell < width:
            canvas.put(x + m * cell, y + chosen * cell // 2, palette.glyphs.here, "accent")
        return factor
    for i in range(min(m, height)):
        for j in range(i + 1):
            ramp.cell(canvas, x + j * cell, y + i, cell, int(levels[i, j]))
        if i == chosen:
            canvas.put(x + min(m * cell, width - 1), y + i, palette.glyphs.here, "accent")
    return factor


@TABLES.of("attn")
def heads_table(scene: Scene) -> Table:
    layer = scene.location.block
    rows: list[Row] = [("", "head", "strongest key", "share")]
    for head in range(scene.config.n_head):
        each = row_of(scene.result, layer, head, scene.token)
        lit = mark(head == scene.location.head)
        rows.append((lit, f"L{layer}H{head}", named(scene, each.strongest), number(each.largest)))
    return "Where each head looks most from the selected token:", rows
