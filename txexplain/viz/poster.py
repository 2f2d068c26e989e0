"""One large picture of a run, as SVG: tokens, embedding, the flow through the blocks, every head, and the next token's bars.

Nothing in it comes from elsewhere: no fonts, no addresses. Every mark is a number of the trace.
"""

from __future__ import annotations

from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from txexplain.errors import NotRecorded
from txexplain.facts.residual import changes as changes_of
from txexplain.text import cell_width, clip
from txexplain.viz.flow import INK, THINNEST, ribbons_of, trace_back
from txexplain.viz.numbers import count, number, percent
from txexplain.viz.ramps import Ramp
from txexplain.viz.scene import Scene
from txexplain.viz.svg import FONTS, colour, escaped

WIDTH, HEIGHT = 1684, 1190  # a sheet of A paper, lying
MARGIN = 60
TOP, FLOW = 190, 480  # where the flow begins, and how high it is
LABELS, STRIP = 150, 130  # the widths of the tokens' names and of the embedding
BARS = 300  # the width of the output
HEADS_TOP, HEADS = 790, 310  # where the heads begin, and how high they may be
CANDIDATES = 12
ELEMENTS = 64  # of the embedding at most
LARGEST_GRID = 96  # tokens; a longer pattern shows the largest share of each square of cells
CELL = 0.6  # a character's width, in font sizes


def poster(scene: Scene) -> str:
    """The whole picture. Needs the model's weights, for the flow; raises NotRecorded where something wasn't recorded."""
    palette, config = scene.palette, scene.config
    left = MARGIN + LABELS + STRIP + 40
    right = WIDTH - MARGIN - BARS - 50
    block = (right - left) / config.n_layer
    xs = [left + n * block for n in range(config.n_layer + 1)]
    band = FLOW / scene.n_tokens
    rows: NDArray[np.float64] = TOP + band * (np.arange(scene.n_tokens, dtype=np.float64) + 0.5)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
        f'<rect width="100%" height="100%" fill="{colour(palette.rgb("background"))}"/>',
        f'<g font-family="{escape(FONTS)}" xml:space="preserve">',
        *heading(scene),
        *names(scene, rows, band, xs),
        *embedding(scene, rows, band),
        *ribbons(scene, rows, band, xs),
        *changes(scene, xs, block),
        *heads(scene, xs, block),
        *output(scene),
        *legend(scene),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def text(x: float, y: float, words: str, size: float, fill: int, *, anchor: str = "start", bold: bool = False) -> str:
    """A line of text; its length is given, so that any font takes the same room."""
    length = cell_width(words) * size * CELL
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" text-anchor="{anchor}" fill="{colour(fill)}"{weight}'
        f' textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs">{escaped(words)}</text>'
    )


def rect(x: float, y: float, width: float, height: float, fill: int) -> str:
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{colour(fill)}"/>'


def heading(scene: Scene) -> list[str]:
    palette, config = scene.palette, scene.config
    size = 34.0
    prompt = "".join(scene.label(i) for i in range(scene.n_tokens)).strip()
    sizes = f"{scene.model_name} · {config.n_layer} blocks × {config.n_head} heads · d {config.n_embd} · {scene.n_tokens} tokens"
    return [
        text(MARGIN, 92, clip(prompt, int((WIDTH - 2 * MARGIN) / size / CELL), "…"), size, palette.rgb("text"), bold=True),
        text(MARGIN, 128, sizes, 18, palette.rgb("muted")),
    ]


def names(scene: Scene, rows: NDArray[np.float64], band: float, xs: list[float]) -> list[str]:
    """The tokens beside their rows, as many as there is room for, and the columns' names above them."""
    palette = scene.palette
    size = max(9.0, min(22.0, band * 0.7))
    step = max(1, int(np.ceil(size / band)))
    room = int(LABELS / size / CELL)
    shown = [i for i in range(scene.n_tokens) if (scene.n_tokens - 1 - i) % step == 0]
    found = [
        text(MARGIN + LABELS, float(rows[i]) + size / 3, clip(scene.label(i).strip() or scene.label(i), room, "…"), size,
             palette.rgb("accent" if i == scene.token else "text"), anchor="end", bold=i == scene.token)
        for i in shown
    ]  # fmt: skip
    found.append(text(MARGIN + LABELS + 20, TOP - 14, "embedding", 15, palette.rgb("muted")))
    step = max(1, round(30 / (xs[1] - xs[0])))
    for n in range(0, scene.config.n_layer, step):
        found.append(text((xs[n] + xs[n + 1]) / 2, TOP - 14, f"L{n}", 15, palette.rgb("muted"), anchor="middle"))
    return found


def embedding(scene: Scene, rows: NDArray[np.float64], band: float) -> list[str]:
    """The first elements of what enters block 0: token plus position."""
    values = scene.trace["blocks.0.resid_pre"][:, :ELEMENTS]
    ramp = Ramp("diverging", "positive", scene.palette)
    reach = float(np.abs(values).max())
    levels = ramp.quantise(values, -reach, reach)
    each, height = STRIP / values.shape[1], max(band * 0.6, 1.0)
    return grid(levels, ramp, MARGIN + LABELS + 20, rows - height / 2, each, height)


def grid(levels: NDArray[np.int64], ramp: Ramp, x: float, ys: NDArray[np.float64], width: float, height: float) -> list[str]:
    """Rows of cells in a ramp's colours; runs of one level are one rectangle, what lies at the background isn't drawn."""
    found = []
    for row, y in zip(levels, ys, strict=True):
        edges = [0, *(np.flatnonzero(np.diff(row)) + 1).tolist(), len(row)]
        for a, b in pairwise(edges):
            if row[a] > 0 or ramp.kind == "diverging":
                found.append(rect(x + a * width, float(y), (b - a) * width, height, ramp.colours[int(row[a])]))
    return found


def ribbons(scene: Scene, rows: NDArray[np.float64], band: float, xs: list[float]) -> list[str]:
    """What reached the selected token, traced back block by block."""
    shares = scene.result.flow(scene.state.flow)
    columns = trace_back(shares, scene.token)
    whole = min(band * 2.2, 110.0)
    found = []
    for n, share in enumerate(shares):
        flow = ribbons_of(share, columns[n + 1])
        y0, y1 = rows[flow.source] + flow.leaving * whole, rows[flow.target] + flow.entering * whole
        for k in range(len(flow.share)):
            role = "residual" if flow.source[k] == flow.target[k] else "attention"
            half, fill = float(flow.share[k]) * whole / 2, scene.palette.rgb(role)
            found.append(ribbon(xs[n], float(y0[k]), xs[n + 1], float(y1[k]), half, fill, 1 - float(np.exp(-INK[role]))))
    for x, column in zip(xs, columns, strict=True):
        for token in np.flatnonzero(column >= THINNEST).tolist():
            half = float(column[token]) * whole / 2
            found.append(rect(x - 1.5, float(rows[token]) - half, 3, 2 * half, scene.palette.rgb("residual")))
    return found


def ribbon(x0: float, y0: float, x1: float, y1: float, half: float, fill: int, opacity: float) -> str:
    """One band between two columns, flat at its ends."""
    middle = (x0 + x1) / 2
    path = (
        f"M{x0:.1f} {y0 - half:.2f}C{middle:.1f} {y0 - half:.2f} {middle:.1f} {y1 - half:.2f} {x1:.1f} {y1 - half:.2f}"
        f"V{y1 + half:.2f}C{middle:.1f} {y1 + half:.2f} {middle:.1f} {y0 + half:.2f} {x0:.1f} {y0 + half:.2f}Z"
    )
    return f'<path d="{path}" fill="{colour(fill)}" fill-opacity="{opacity:.2f}"/>'


def changes(scene: Scene, xs: list[float], block: float) -> list[str]:
    """How long the vectors are that attention and MLP added to the selected token, below each block."""
    norms = changes_of(scene.result, scene.token)
    largest = max(max(pair) for pair in norms) or 1.0
    y, found = TOP + FLOW + 24, []
    for role, letter, offset in (("attention", "attention adds", 0), ("mlp", "MLP adds", 26)):
        label = text(xs[0] - 12, y + offset + 12, letter, 15, scene.palette.rgb("muted"), anchor="end")
        found.append(label)
        for n, pair in enumerate(norms):
            width = pair[offset > 0] / largest * (block - 14)
            found.append(rect(xs[n] + 4, y + offset, max(width, 0.5), 14, scene.palette.rgb(role)))
            if block >= 60:
                words = number(pair[offset > 0])
                inside = width > len(words) * 11 * CELL + 10
                x, fill = (xs[n] + 8, "background") if inside else (xs[n] + 8 + width, "muted")
                found.append(text(x, y + offset + 11.5, words, 11, scene.palette.rgb(fill)))
    return found


def heads(scene: Scene, xs: list[float], block: float) -> list[str]:
    """Every head's softmax pattern, queries down and keys to the right, block by block."""
    config, ramp = scene.config, Ramp("sequential", "attention", scene.palette)
    side = next(
        size for size in np.arange(block - 8, 1, -0.5) if max(1, int((block - 8) // size)) * int(HEADS // size) >= config.n_head
    )  # fmt: skip
    across = max(1, int((block - 8) // side))
    found = [text(xs[0] - 12, HEADS_TOP + 16, "heads", 15, scene.palette.rgb("muted"), anchor="end")]
    for n in range(config.n_layer):
        pattern = scene.trace[f"blocks.{n}.attn.pattern"]  # [H, T, T]
        for head in range(config.n_head):
            shares = pooled(pattern[head])
            x, y = xs[n] + 4 + head % across * side, HEADS_TOP + head // across * side
            cell = (side - 5) / len(shares)
            found.append(rect(x, y, side - 5, side - 5, scene.palette.rgb("panel")))
            found += grid(ramp.quantise(shares, 0.0, 1.0), ramp, x, y + cell * np.arange(len(shares)), cell, cell)
    return found


def pooled(pattern: NDArray[np.float32]) -> NDArray[np.float32]:
    """A pattern of at most LARGEST_GRID rows: of a longer one the largest share in each square of cells. Shapes: [T, T] -> [n, n]."""
    each = -(-len(pattern) // LARGEST_GRID)
    if each == 1:
        return pattern
    size = -(-len(pattern) // each) * each
    padded = np.zeros((size, size), dtype=np.float32)
    padded[: len(pattern), : len(pattern)] = pattern
    return padded.reshape(size // each, each, size // each, each).max(axis=(1, 3))


def output(scene: Scene) -> list[str]:
    """The likeliest next tokens: their names, bars and shares."""
    distribution, palette = scene.distribution, scene.palette
    if distribution is None:
        raise NotRecorded("logits")
    x, each = WIDTH - MARGIN - BARS, FLOW / CANDIDATES
    largest = float(distribution.probability.max())
    found = [text(x, TOP - 14, f"next token · T {scene.state.temperature:g}", 15, palette.rgb("muted"))]
    for n, token in enumerate(distribution.order[:CANDIDATES].tolist()):
        y = TOP + n * each
        share = float(distribution.probability[token])
        found.append(
            text(x, y + each * 0.62, clip(scene.id_label(token).strip() or scene.id_label(token), 10, "…"), 18, palette.rgb("text"))
        )
        found.append(rect(x + 118, y + each * 0.2, max(share / largest * (BARS - 200), 0.5), each * 0.6, palette.rgb("bar")))
        found.append(text(x + BARS, y + each * 0.62, percent(share), 16, palette.rgb("muted"), anchor="end"))
    rest = 1 - float(distribution.probability[distribution.order[:CANDIDATES]].sum())
    others = f"{count(len(distribution.order) - CANDIDATES)} others: {percent(max(rest, 0.0))}"
    return [*found, text(x, TOP + FLOW + 36, others, 15, palette.rgb("muted"))]


def legend(scene: Scene) -> list[str]:
    how = "shares of norms" if scene.state.flow == "norms" else "attention rollout"
    name = scene.label(scene.token).strip()
    shown = min(ELEMENTS, scene.config.n_embd)
    lines = (
        f"Bands: where the vector of “{clip(name, 16, '…')}” came from, traced back block by block; {how}, LayerNorm and MLP not traced. "
        f"Embedding: token plus position, elements 0 to {shown - 1} of {scene.config.n_embd}.",
        "Bars below: the length of what attention and MLP added to it. Heads: softmax shares, queries down, keys to the right. "
        "Every mark is a number of this run. Made with txexplain.",
    )
    return [text(MARGIN, HEIGHT - 52 + 22 * n, line, 13, scene.palette.rgb("faint")) for n, line in enumerate(lines)]
