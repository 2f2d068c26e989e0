"""The atlas: every head of every block as a thumbnail of its real pattern, in the model's order or sorted by what heads do here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from textwrap import wrap
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.config import GPT2Config
from txexplain.engine.derive import Result
from txexplain.engine.measures import HeadMeasures, sorted_heads
from txexplain.errors import NotRecorded
from txexplain.explorer import choice
from txexplain.explorer.location import MEASURES, Location
from txexplain.explorer.places.place import Shown
from txexplain.facts.heads import ranked
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import measure, number, percent, tenths, whole_percent
from txexplain.viz.palette import Palette
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.ramps import MASKED, Ramp
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, mark
from txexplain.viz.views.chrome import title

LEFT = 5  # cells for the blocks' names
NARROWEST, WIDEST = 6, 16  # cells of a thumbnail, its margin included
TALLEST = 9
ROOM = 20  # rows of the stage from which on there is one for a sentence about the picture
TAG_BESIDE, TAG_BELOW = 5, 8  # cells that a tag needs
TELLING = 0.25  # a share under it says less of a head than its entropy does
SHORT = {"self": "self", "previous": "prev", "first": "1st", "induction": "ind", "entropy": ""}
MEANT = {
    "self": "share to the token itself",
    "previous": "share to the token before",
    "first": "share to the first token",
    "induction": "share to the token after an earlier copy of this one",
    "entropy": "how spread a row is: 0 bits for one key",
}
NO_COPY = "no token comes twice in this prompt"
EMPTY = -2  # a pixel of no thumbnail


@dataclass(frozen=True)
class Grid:
    """Where thumbnails stand: `columns` in a row, each `across` × `down` cells from (x, y) on, and how many rows and columns are in view.

    A thumbnail has m × m shares, each `scale` pixels (where there are none: cells) wide.
    """

    x: int
    y: int
    columns: int
    across: int
    down: int
    rows_seen: int
    columns_seen: int
    m: int
    scale: int
    tag: str = ""  # where a thumbnail's measure stands: "beside" it, "below" it, or nowhere


def picture(palette: Palette, n_tokens: int, rows: int, width: int, *, gap: int = 1) -> tuple[int, int]:
    """How many shares a side a thumbnail has room for, and how wide each is. `gap`: pixels (or cells) left empty under it."""
    if palette.pixels:
        side = max(1, min(2 * rows - gap, width))
        m = min(n_tokens, side)
        return m, side // m
    m = max(1, min(n_tokens, rows - gap if rows > 2 else rows, width))
    return m, max(1, min(2, width // m))


def model_grid(palette: Palette, config: GPT2Config, n_tokens: int, width: int, height: int) -> Grid:
    """A row a block, a column a head."""
    body = max(1, height - 3 - (height >= ROOM))
    across = max(NARROWEST, min(WIDEST, (width - LEFT - 1) // config.n_head))
    down = min(body, max(3 if palette.pixels else 5, min(TALLEST, body // config.n_layer)))
    tag, (m, scale) = "", picture(palette, n_tokens, down, across - 1)
    beside = picture(palette, n_tokens, down, across - 1 - TAG_BESIDE)
    if down >= 2 and across - 1 > TAG_BESIDE and beside[0] * beside[1] >= m * scale:
        tag, (m, scale) = "beside", beside
    elif down >= 4 and across > TAG_BELOW:
        tag, (m, scale) = "below", picture(palette, n_tokens, down - 1, across - 1, gap=0)
    seen = min(config.n_layer, body // down), min(config.n_head, max(1, (width - LEFT - 1) // across))
    return Grid(LEFT, 2, config.n_head, across, down, *seen, m, scale, tag)


def sorted_grid(palette: Palette, config: GPT2Config, n_tokens: int, n: int, width: int, height: int) -> Grid:
    """n heads in reading order, each with its name and measure beside it; as large as all of them can be shown, if they can."""
    text = max(len(f"L{config.n_layer - 1}H{config.n_head - 1}"), 7)
    y = 1 + (height >= ROOM)
    body = max(1, height - 1 - y)
    for rows in (8, 7, 6, 5, 4, 3) if palette.pixels else (8, 7, 6, 5):
        down = min(rows, body)
        m, scale = picture(palette, n_tokens, down, 2 * down)
        cell = m * scale + 1 + text + 2
        columns = max(1, (width - 2) // cell)
        if columns * (body // down) >= n:
            break
    return Grid(2, y, columns, min((width - 2) // columns, cell + 4), down, body // down, columns, m, scale, "beside")


def listed_heads(scene: Scene) -> tuple[int, ...]:
    """The heads (block × n_head + head) that the present face lists, in its order."""
    place, config = scene.location, scene.config
    if place.face is None:
        return tuple(range(config.n_layer * config.n_head))
    return sorted_heads(scene.result.measures, place.face, scene.n_tokens, place.least)


def atlas_columns(result: Result, palette: Palette, place: Location, width: int, height: int) -> int:
    """How many heads stand in a row of the atlas: what arrows up and down go by."""
    if place.face is None:
        return result.config.n_head
    return sorted_grid(palette, result.config, result.trace.n_tokens, len(choice.order(place, Shown(result)) or ()), width, height).columns


POOLED: WeakKeyDictionary[Result, dict[tuple[int, int], NDArray[np.float32] | None]] = WeakKeyDictionary()


def pooled(result: Result, layer: int, m: int) -> NDArray[np.float32] | None:
    """One block's patterns, each in m × m cells that show the largest share of those they stand for; None where it wasn't recorded.

    Kept as long as the result lives: a cursor that moves asks for the same again. Shapes: -> [H, m, m].
    """
    kept = POOLED.setdefault(result, {})
    if (layer, m) not in kept:
        name = f"blocks.{layer}.attn.pattern"
        starts = np.arange(m) * result.trace.n_tokens // m  # [m], as ramps.pool divides
        shares = result.trace.get(name)  # [H, T, T]
        kept[layer, m] = None if shares is None else np.maximum.reduceat(np.maximum.reduceat(shares, starts, axis=1), starts, axis=2)
    return kept[layer, m]


@PICTURES.of("heads")
def paint_heads(scene: Scene) -> Canvas:
    """All heads. Softmax patterns, queries downwards, keys to the right."""
    config = scene.config
    names = [f"blocks.{layer}.attn.pattern" for layer in range(config.n_layer)]
    if not any(name in scene.trace for name in names):
        raise NotRecorded(names[0])
    canvas = Canvas(scene.width, scene.height, scene.palette)
    if scene.location.face is None:
        in_order(canvas, scene)
    elif scene.measured:
        sorted_by(canvas, scene)
    else:
        title(canvas, scene, titled(scene))
        canvas.put(2, 2, f"Measuring all {config.n_layer * config.n_head} heads{scene.palette.glyphs.ellipsis}", "muted")
    if scene.measured:
        readout(canvas, scene)
    return canvas


def titled(scene: Scene) -> str:
    place = scene.location
    cut = scene.measured and place.least and place.block * scene.config.n_head + place.head not in listed_heads(scene)
    by = f", by {place.face}{' in bits' * (place.face == 'entropy')}" if place.face else ""
    of = f" of log2({scene.n_tokens})" if place.face == "entropy" else ""
    return f"heads {scene.palette.glyphs.dot} L{place.block}H{place.head}{' (cut)' if cut else ''}{by}" + (
        f", {place.least}%{of} or more" if place.least else ""
    )


def in_order(canvas: Canvas, scene: Scene) -> None:
    """A row a block, and the part of them that the selected head is in."""
    place, config = scene.location, scene.config
    grid = model_grid(scene.palette, config, scene.n_tokens, scene.width, scene.height)
    top = max(0, min(place.block - grid.rows_seen // 2, config.n_layer - grid.rows_seen))
    first = max(0, min(place.head - grid.columns_seen // 2, config.n_head - grid.columns_seen))
    heads = range(first, first + grid.columns_seen)
    layers = range(top, top + grid.rows_seen)
    shown = [
        (layer, head, grid.x + column * grid.across, grid.y + row * grid.down)
        for row, layer in enumerate(layers)
        for column, head in enumerate(heads)
    ]
    thumbnails(canvas, scene, grid, shown)
    for head, x in zip(heads, range(grid.x, scene.width, grid.across), strict=False):
        canvas.put(x, 1, f"H{head}", "accent" if head == place.head else "muted", attrs=BOLD if head == place.head else 0)
    for layer, y in zip(layers, range(grid.y, scene.height, grid.down), strict=False):
        canvas.put(1, y, f"L{layer}", "accent" if layer == place.block else "muted", attrs=BOLD if layer == place.block else 0)
        if pattern_name(layer) not in scene.trace and grid.across < len("not recorded") + 2:
            canvas.put(grid.x, y, "not recorded", "muted", width=scene.width - grid.x)
    tags = grid.tag and scene.measured
    for layer, head, x, y in shown:
        if tags and pattern_name(layer) in scene.trace:
            tag(canvas, scene, grid, layer, head, x, y)
    whole = len(shown) == config.n_layer * config.n_head
    title(canvas, scene, titled(scene), "" if whole else f"L{top}-L{layers[-1]}, H{first}-H{heads[-1]} in view")
    if grid.y + grid.rows_seen * grid.down <= scene.height - 2:
        more = f"; by each its largest share, or entropy if under {TELLING:.0%}" if tags else ""
        note(canvas, scene, scene.height - 2, "queries down, keys right" + more)


def pattern_name(layer: int) -> str:
    return f"blocks.{layer}.attn.pattern"


def sorted_by(canvas: Canvas, scene: Scene) -> None:
    """The heads in reading order from the one with most of a measure to that with least."""
    place, config = scene.location, scene.config
    order = listed_heads(scene)
    values = scene.result.measures.of(place.face or "").reshape(-1)  # [L × H]
    if not order or not ranked(scene.result, place.face or ""):
        title(canvas, scene, titled(scene))
        said = [
            (nothing(scene), "text"),
            (f"{(place.face or '').capitalize()}: {MEANT[place.face or '']}.", "muted"),
            ("v sorts by the next measure" + ("; c shows all heads again" if place.least else ""), "muted"),
        ]
        lines = [(line, ink) for text, ink in said for line in wrap(text, scene.width - 4)]
        for y, (line, ink) in enumerate(lines[: scene.height - 2], 1):
            canvas.put(2, y, line, ink)
        return
    grid = sorted_grid(scene.palette, config, scene.n_tokens, len(order), scene.width, scene.height)
    here = place.block * config.n_head + place.head
    row = order.index(here) // grid.columns if here in order else 0
    rows = -(-len(order) // grid.columns)
    top = max(0, min(row - grid.rows_seen // 2, rows - grid.rows_seen))
    start, stop = top * grid.columns, min(len(order), (top + grid.rows_seen) * grid.columns)
    shown = []
    for i, each in enumerate(order[start:stop]):
        down, across = divmod(i, grid.columns)
        shown.append((*divmod(each, config.n_head), grid.x + across * grid.across, grid.y + down * grid.down))
    thumbnails(canvas, scene, grid, shown)
    for layer, head, x, y in shown:
        named(canvas, scene, grid, layer, head, x, y, float(values[layer * config.n_head + head]))
    total = len(values)
    seen = f"{start + 1}-{stop} of {len(order)} in view" if stop - start < len(order) else f"{len(order)} of {total}" if place.least else ""
    title(canvas, scene, titled(scene), seen)
    if scene.height >= ROOM:
        note(canvas, scene, 1, f"{MEANT[place.face or '']}, the mean over all queries but the first, greatest first")


def nothing(scene: Scene) -> str:
    """Why a sorted face has no heads to show."""
    place, n = scene.location, scene.n_tokens
    order = ranked(scene.result, place.face or "")
    if not order:
        why = "the prompt has one token" if n == 1 else NO_COPY
        return f"Nothing to sort by {place.face}: {why}."
    layer, head = divmod(order[0], scene.config.n_head)
    ascii = scene.palette.ascii
    most = f"the most is {figures(scene.result.measures, layer, head, ascii=ascii)[place.face or '']}, L{layer}H{head}'s"
    if place.face == "entropy":
        bits = number(place.least / 100 * math.log2(n), ascii=ascii)
        return f"No head's entropy reaches {place.least}% of log2({n}), which is {bits} bits; {most}."
    return f"No head's {place.face} reaches {place.least}%; {most}."


def note(canvas: Canvas, scene: Scene, y: int, text: str) -> None:
    """A quiet sentence, without its later parts where they don't fit."""
    while len(text) > scene.width - 3 and (cut := max(text.rfind(";"), text.rfind(","))) > 0:
        text = text[:cut]
    canvas.put(1, y, text, "muted", width=scene.width - 2)


def thumbnails(canvas: Canvas, scene: Scene, grid: Grid, shown: list[tuple[int, int, int, int]]) -> None:
    """All patterns in view at once, each with its mark and target: (block, head, x, y)."""
    place, palette = scene.location, scene.palette
    ramp = Ramp("sequential", "attention", palette, coarse=True)
    m, scale = grid.m, grid.scale
    side = m * scale
    over = np.triu_indices(m, 1)
    image = np.full((2 * scene.height, scene.width), EMPTY)
    blocks: dict[int, NDArray[np.int64] | None] = {}
    for layer, head, x, y in shown:
        if layer not in blocks:
            shares = pooled(scene.result, layer, m)
            levels = None if shares is None else ramp.quantise(shares, 0.0, 1.0)  # [H, m, m]
            if levels is not None:
                levels[:, over[0], over[1]] = MASKED
            blocks[layer] = levels
        block = blocks[layer]
        if block is not None and palette.pixels:
            image[2 * y : 2 * y + side, x : x + side] = np.repeat(np.repeat(block[head], scale, axis=0), scale, axis=1)
        elif block is not None:
            for i in range(m):
                canvas.put(x, y + i, "".join(ramp.glyph(level) * scale for level in block[head, i, : i + 1].tolist()), "attention")
    if palette.pixels and shown:
        inks = [palette.rgb("background"), palette.rgb("panel"), *ramp.colours]
        table = np.array([[c >> 16, c >> 8 & 255, c & 255] for c in inks], dtype=np.uint8)
        canvas.pixels(0, grid.y, table[image[2 * grid.y : 2 * (scene.height - 1)] - EMPTY])
    for layer, head, x, y in shown:
        if blocks[layer] is None:
            canvas.put(x, y, "none" if grid.across < 14 else "not recorded", "muted")
        if (layer, head) == (place.block, place.head):
            canvas.put(x - 1, y, palette.glyphs.marker, "accent", attrs=BOLD)
        canvas.target(x, y, grid.across - 1, grid.down, replace(place, block=layer, head=head))


def tag(canvas: Canvas, scene: Scene, grid: Grid, layer: int, head: int, x: int, y: int) -> None:
    """What tells most of a head: its largest share, or how spread it is where no share is large."""
    name, value = most_telling(scene.result.measures, layer, head)
    if not name:
        return
    first, second = (tenths(value), "bits") if name == "entropy" else (SHORT[name], whole_percent(value))
    ink = "text" if (layer, head) == (scene.location.block, scene.location.head) else "muted"
    if grid.tag == "beside":
        side = grid.m * grid.scale + 1
        canvas.put(x + side, y, first, ink)
        canvas.put(x + side, y + 1, second, ink)
    else:
        text = f"{first} {second}"
        canvas.put(x, y + grid.down - 1, text if len(text) < grid.across else first + second, ink)


def most_telling(measures: HeadMeasures, layer: int, head: int) -> tuple[str, float]:
    """A head's largest share by name, or "entropy" where none reaches TELLING; "" where nothing could be measured."""
    shares = [(float(measures.of(name)[layer, head]), name) for name in MEASURES if name != "entropy"]
    value, name = max(((share, name) for share, name in shares if not math.isnan(share)), key=lambda each: each[0], default=(0.0, ""))
    if name and value < TELLING:
        return "entropy", float(measures.entropy[layer, head])
    return name, value


def named(canvas: Canvas, scene: Scene, grid: Grid, layer: int, head: int, x: int, y: int, value: float) -> None:
    """A head's name and measure, at the right of its picture."""
    lit = (layer, head) == (scene.location.block, scene.location.head)
    x += grid.m * grid.scale + 1
    canvas.put(x, y, f"L{layer}H{head}", "accent" if lit else "text", "cursor" if lit else None, BOLD if lit else 0)
    if math.isnan(value):
        canvas.put(x, y + 1, "none", "muted")
    elif scene.location.face == "entropy":
        canvas.put(x, y + 1, number(value, ascii=scene.palette.ascii), "muted")
    else:
        canvas.put(x, y + 1, percent(value, ascii=scene.palette.ascii), "muted")


def figures(measures: HeadMeasures, layer: int, head: int, *, ascii: bool = False) -> dict[str, str]:
    """A head's five measures as text; "none" where the prompt gives no occasion."""
    return {name: measure(name, float(measures.of(name)[layer, head]), ascii=ascii) for name in MEASURES}


def measured(scene: Scene, name: str) -> float:
    """A measure of the selected head."""
    return float(scene.result.measures.of(name)[scene.location.block, scene.location.head])


def readout(canvas: Canvas, scene: Scene) -> None:
    """The selected head's five measures, in the bottom row."""
    place, y = scene.location, scene.height - 1
    name = f"L{place.block}H{place.head}"
    if f"blocks.{place.block}.attn.pattern" not in scene.trace:
        canvas.put(1, y, f"{name}: its pattern was not recorded", "muted", width=scene.width - 2)
        return
    if scene.n_tokens == 1:
        canvas.put(1, y, f"{name}: nothing to measure, the prompt has one token", "muted", width=scene.width - 2)
        return
    told = figures(scene.result.measures, place.block, place.head, ascii=scene.palette.ascii)
    long = {each: each for each in MEASURES}
    copies = {**told, "induction": f"none, {NO_COPY}"} if told["induction"] == "none" else told
    medium = long | {"previous": SHORT["previous"]}
    brief = {each: told[each] if each == "entropy" or told[each] == "none" else whole_percent(measured(scene, each)) for each in MEASURES}
    for words, texts, between in (
        (long, copies, "  "),
        (long, told, "  "),
        (medium, told, "  "),
        (SHORT, told, "  "),
        (SHORT, told, " "),
        (SHORT, brief, " "),
    ):
        parts = [(words[each], texts[each], each) for each in MEASURES]
        if len(name) + sum(len(between) + len(f"{word} {text}".strip()) for word, text, _ in parts) <= scene.width - 2:
            break
    x = 1 + canvas.put(1, y, name, "accent", attrs=BOLD)
    for word, text, each in parts:
        x += len(between)
        lit = each == place.face
        if word:
            x += canvas.put(x, y, f"{word} ", "text" if lit else "muted")
        x += canvas.put(x, y, text, "accent" if lit else "text", attrs=BOLD if lit else 0)


@TABLES.of("heads")
def atlas_table(scene: Scene) -> Table:
    place, result = scene.location, scene.result
    if not any(f"blocks.{layer}.attn.pattern" in scene.trace for layer in range(scene.config.n_layer)):
        raise NotRecorded("blocks.0.attn.pattern")
    order = listed_heads(scene)
    rows: list[Row] = [("", "head", *MEASURES)]
    for each in order:
        layer, head = divmod(each, scene.config.n_head)
        lit = mark((layer, head) == (place.block, place.head))
        if f"blocks.{layer}.attn.pattern" not in scene.trace:
            rows.append((lit, f"L{layer}H{head}", "not recorded", *[""] * (len(MEASURES) - 1)))
            continue
        rows.append((lit, f"L{layer}H{head}", *figures(result.measures, layer, head).values()))
    if place.face is None:
        return "All heads, in the model's order:", rows
    if not order or not ranked(result, place.face):
        return nothing(scene), rows
    return f"Heads by {place.face}, greatest first" + (f", those of {place.least}% or more:" if place.least else ":"), rows
