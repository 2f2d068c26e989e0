"""A block as one picture, left to right: residual stream, Q, K and V, attention, the two adds, in bands of the roles' colours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.derive import Doubles
from txexplain.engine.ops import Array
from txexplain.explorer.location import Level
from txexplain.facts.head import mean_pattern
from txexplain.text import cell_width
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.flow import bands, on_ladders
from txexplain.viz.ramps import MASKED, Ramp, pool
from txexplain.viz.scene import Scene
from txexplain.viz.views.head import window

LABEL = 12
BRIGHT, DIM = 1.1, 0.2  # how dense a band's colour lies: the selected token's, the others'
SHADES, HUE = 10, 48  # steps of strength, and of each channel of a colour
QUIET = 0.5  # how strong the strips of the other tokens are
HAIR = 0.9  # the pixels of a band that stands for one token
LEAST = 0.01  # a share below this has no band
WHOLE = 3.0  # the pixels of all values that reach one token
HEADINGS = {"qkv": (("Q ", "query"), ("K ", "key"), ("V", "value"))}


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
    """Where everything stands: the tokens in view, the columns, and each row's cell."""

    tokens: range
    columns: dict[str, Column]
    rows: dict[str, list[int]]  # for "token", "q", "k", "v" and "grid": the first row of each token in view
    each: int  # rows a token
    height: int


def in_view(scene: Scene, height: int) -> range:
    """The tokens that there is room for, the selected one among them."""
    return window(scene.token, scene.n_tokens, max(1, (height - 2) // 3))


def plan(scene: Scene, height: int) -> Plan:
    """Lay the picture out in a stage, `height` rows of it from row 2 on."""
    tokens = in_view(scene, height)
    n = len(tokens)
    each = max(1, min(2, (height - 2) // (3 * n)))
    left = min(LABEL, max(cell_width(scene.label(i)) for i in tokens)) + 3
    fixed = {"x": 4, "qkv": 7, "grid": 2 * n * each, "out": 4, "mid": 4, "mlp": 5, "post": 4}
    room = scene.width - left - 2 - sum(fixed.values())
    if room < 24:
        room += fixed["grid"] - n
        fixed["grid"] = n
    gaps = [round(room * part / 24) for part in (6, 5, 6, 2, 2.5, 2.5)]
    names = {"x": "x", "qkv": "QKV", "grid": "softmax", "out": "out", "mid": "x+A", "mlp": "MLP", "post": "x+M"}
    tiles = {"x": "resid_pre", "qkv": "qkv", "grid": "attn", "out": "proj", "mid": "add1", "mlp": "fc", "post": "add2"}
    roles = {"x": "residual", "qkv": "query", "grid": "attention", "out": "attention", "mid": "residual", "mlp": "mlp", "post": "residual"}
    columns, x = {}, left
    for key, gap in zip(fixed, [*gaps, 0], strict=True):
        columns[key] = Column(names[key], tiles[key], roles[key], x, fixed[key])
        x += fixed[key] + gap
    whole = 3 * n * each + 2
    top = 2 + max(0, (height - whole) // 2)
    groups = {kind: [top + g * (n * each + 1) + i * each for i in range(n)] for g, kind in enumerate("qkv")}
    spread = [top + int((i + 0.5) * whole / n) - each // 2 for i in range(n)]
    return Plan(tokens, columns, {"token": spread, **groups, "grid": [top + n * each // 2 + i * each for i in range(n)]}, each, height)


def draw_bands(canvas: Canvas, scene: Scene, height: int, chosen: str) -> None:
    """The picture in rows 1 to height + 1; `chosen` is the column of the selected tile."""
    place, layer = scene.location, scene.location.block
    p = plan(scene, height)
    pattern = mean_pattern(scene.result, layer)  # [T, T]
    canvas.pixels(0, 2, picture(scene, p, pattern, canvas.width))
    for key, column in p.columns.items():
        lit = key == chosen
        x = column.x
        for part, role in HEADINGS.get(key, ((column.name, column.role),)):
            x += canvas.put(x, 1, part, "accent" if lit else role, "cursor" if lit else None, BOLD)
        target = replace(place, level=Level.BLOCK, select=None if column.tile == "attn" else column.tile)
        canvas.target(column.x - 1, 1, column.width + 2, height + 1, target)
    prefix = f"blocks.{layer}."
    strips = {"x": "resid_pre", "out": "attn_out", "mid": "resid_mid", "mlp": "mlp.post", "post": "resid_post"}
    for i, token in enumerate(p.tokens):
        lit = token == scene.token
        y = p.rows["token"][i]
        canvas.put(
            1,
            y + (p.each - 1) // 2,
            scene.label(token),
            "text" if lit else "muted",
            "cursor" if lit else None,
            BOLD if lit else 0,
            width=p.columns["x"].x - 3,
            align="right",
        )
        canvas.target(0, y, p.columns["x"].x - 1, p.each, ("token", token))
    for key, name in strips.items():
        magnitude_strips(canvas, scene, scene.trace[prefix + name], p.columns[key], p.columns[key].role, p, "token")
    qkv = p.columns["qkv"]
    narrow = replace(qkv, x=qkv.x + 2, width=qkv.width - 2)
    for letter, role in (("q", "query"), ("k", "key"), ("v", "value")):
        canvas.put(qkv.x, p.rows[letter][len(p.tokens) // 2], letter.upper(), role, attrs=BOLD)
        magnitude_strips(canvas, scene, scene.trace[f"{prefix}attn.{letter}"], narrow, role, p, letter)
    mean_grid(canvas, scene, p, pattern)
    for key in ("mid", "post"):
        for y in p.rows["token"]:
            canvas.put(p.columns[key].x - 1, y + (p.each - 1) // 2, scene.palette.glyphs.plus, "muted")


def magnitude_strips(canvas: Canvas, scene: Scene, values: Array, column: Column, role: str, p: Plan, rows: str) -> None:
    """Each token's vector in a column: each cell as strong as the largest number that it stands for, of all tokens' largest."""
    ramp = Ramp("sequential", role, scene.palette, coarse=True)
    sizes = np.abs(values.reshape(len(values), -1))  # [T, n]
    pooled, _ = pool(sizes[p.tokens.start : p.tokens.stop], column.width)  # [t, w]
    levels = np.maximum(ramp.quantise(pooled, 0.0, float(sizes.max())), 1)  # [t, w]
    strong, weak = np.array(ramp.colours), np.array(quiet(ramp))
    for token, y, level in zip(p.tokens, p.rows[rows], levels, strict=True):
        colours = (strong if token == scene.token else weak)[level]
        canvas.fill(column.x, y, len(level), p.each)
        canvas.paint(column.x, y, np.broadcast_to(colours, (p.each, len(level))))


@lru_cache(maxsize=32)
def quiet(ramp: Ramp) -> list[int]:
    """A scale's colours, half way back to the background."""
    return [ramp.palette.faded(colour, 1 - QUIET) for colour in ramp.colours]


def mean_grid(canvas: Canvas, scene: Scene, p: Plan, pattern: Doubles) -> None:
    """The mean over heads of the softmax patterns."""
    column = p.columns["grid"]
    cell = column.width // len(p.tokens)
    ramp = Ramp("sequential", "attention", scene.palette)
    levels = ramp.quantise(pattern[np.ix_(p.tokens, p.tokens)], 0.0, float(pattern.max()))
    levels[np.triu_indices(len(levels), 1)] = MASKED
    ramp.cells(canvas, (column.x, p.rows["grid"][0]), (cell, p.each), levels)


def picture(scene: Scene, p: Plan, pattern: Doubles, width: int) -> NDArray[np.uint8]:
    """The bands between the columns; V's are as thick as the share of attention that each value gets. Two pixels a cell."""
    height = 2 * p.height
    roles = ("residual", "query", "key", "value", "attention", "mlp")
    ink = {role: np.zeros((height, width)) for role in roles}
    c = p.columns

    def middle(row: int) -> float:
        return 2.0 * (row - 2) + p.each

    def flow(role: str, x0: int, x1: int, y0: list[float], y1: list[float], thick: list[float], density: list[float]) -> None:
        """Bands over one stretch of columns."""
        ribbons = np.array([y0, y1, thick, density])  # [4, n]
        ink[role][:, x0:x1] += bands(x1 - x0, height, *ribbons[:, ribbons[2] > 0])

    lit = [BRIGHT if token == scene.token else DIM for token in p.tokens]
    token_y = [middle(row) for row in p.rows["token"]]
    hair = [HAIR * p.each] * len(lit)
    for letter, role in (("q", "query"), ("k", "key"), ("v", "value")):
        flow(role, c["x"].end, c["qkv"].x, token_y, [middle(row) for row in p.rows[letter]], hair, lit)
    flow("query", c["qkv"].end, c["grid"].x, [middle(row) for row in p.rows["q"]], [middle(row) for row in p.rows["grid"]], hair, lit)
    cell, foot = c["grid"].width // len(p.tokens), middle(p.rows["grid"][-1]) + p.each + 1
    for j, row in enumerate(p.rows["k"]):
        under = c["grid"].x + j * cell + 1
        flow("key", c["qkv"].end, under, [middle(row)], [foot], [HAIR * p.each], [lit[j]])
    shares = pattern[np.ix_(p.tokens, p.tokens)]  # [t, t]
    thick = np.where(shares > LEAST, WHOLE * p.each * shares, 0.0).ravel().tolist()
    sources = [middle(row) for row in p.rows["v"]] * len(lit)
    flow("value", c["qkv"].end, c["out"].x, sources, np.repeat(token_y, len(lit)).tolist(), thick, np.repeat(lit, len(lit)).tolist())
    for left, right, role in (("out", "mid", "attention"), ("mid", "mlp", "mlp"), ("mlp", "post", "mlp")):
        flow(role, c[left].end, c[right].x, token_y, token_y, [1.6 * p.each] * len(lit), lit)
    for x0, x1 in ((c["x"].end, c["mid"].x - 1), (c["mid"].end, c["post"].x - 1)):
        flow("residual", x0, x1, token_y, token_y, hair, [density * 0.3 for density in lit])
    total = sum(ink.values(), np.zeros((height, width)))  # [2h, w]
    if scene.palette.depth == "256":
        return on_ladders(scene.palette, roles, np.argmax([ink[role] for role in roles], axis=0), -np.expm1(-total))
    paint = sum((density[..., None] * np.array(scene.palette.triple(role)) for role, density in ink.items()), np.zeros(3))  # [2h, w, 3]
    ground = np.array(scene.palette.triple("background"))
    # In few colours: runs of equal cells cost little on the wire, and the eye keeps no more apart.
    colour = np.rint(paint / np.maximum(total, 1e-12)[..., None] / HUE) * HUE
    shade = np.rint(-np.expm1(-total) * SHADES) / SHADES
    return np.rint(np.clip(ground + (colour - ground) * shade[..., None], 0, 255)).astype(np.uint8)
