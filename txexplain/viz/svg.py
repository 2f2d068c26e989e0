"""A Canvas as an SVG picture: nothing from elsewhere in it. Pictures are their shapes' own paths, text is text, and the block characters
of bars are rectangles, so that they leave no gaps."""

from __future__ import annotations

import re
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.text import clean
from txexplain.viz.canvas import BOLD, DIM, ITALIC, STRIKE, UNDERLINE, Canvas, Placed
from txexplain.viz.palette import THEMES, Palette
from txexplain.viz.raster import GROUNDS
from txexplain.viz.shapes import Field, Layer, Ribbon

CELL_WIDTH, CELL_HEIGHT, BASELINE, FONT_SIZE = 8.4, 18.0, 13.6, 14.0
FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
# Block characters as (left, top, width, height) in parts of a cell.
BLOCKS: dict[str, tuple[float, float, float, float]] = {"▀": (0, 0, 1, 0.5), "█": (0, 0, 1, 1)}
BLOCKS |= {"▘": (0, 0, 0.5, 0.5), "▝": (0.5, 0, 0.5, 0.5), "▖": (0, 0.5, 0.5, 0.5), "▗": (0.5, 0.5, 0.5, 0.5)}
BLOCKS |= {char: (0, 0, (i + 1) / 8, 1) for i, char in enumerate("▏▎▍▌▋▊▉")}
BLOCKS |= {char: (0, 1 - (i + 1) / 8, 1, (i + 1) / 8) for i, char in enumerate("▁▂▃▄▅▆▇")}
BENDS = 6  # pieces of a curve, each a cubic one
NOTHING = -1  # the ground of a cell that lets what is below it be seen


def svg(canvas: Canvas) -> str:
    """The picture as one SVG document; the same canvas gives the same bytes."""
    width, height = canvas.width * CELL_WIDTH, canvas.height * CELL_HEIGHT
    ground = THEMES[canvas.palette.theme]["background"]
    grounds, chars = np.where(canvas.bg == ground, NOTHING, canvas.bg), canvas.chars.copy()
    for placed in canvas.pictures:
        area, seen, bare = canvas.seen(placed)
        grounds[area] = np.where(seen, NOTHING, canvas.bg[area])
        chars[area] = np.where(bare, " ", chars[area])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">',
        f'<rect width="100%" height="100%" fill="{colour(ground)}"/>',
        *(shapes(placed, canvas.palette) for placed in canvas.pictures),
        f'<g shape-rendering="crispEdges">{"".join(rectangles(canvas, grounds, chars))}</g>',
        f'<g font-family="{escape(FONTS)}" font-size="{FONT_SIZE:g}" xml:space="preserve">{"".join(texts(canvas, chars))}</g>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def shapes(placed: Placed, palette: Palette) -> str:
    """A picture's layers as paths, in its own coordinates, which are cells; what would lie outside it is cut."""
    picture = placed.picture
    box = (placed.x * CELL_WIDTH, placed.y * CELL_HEIGHT, picture.width * CELL_WIDTH, picture.height * CELL_HEIGHT)
    x, y, width, height = (f"{round(size, 2):g}" for size in box)
    parts = [path for layer in picture.layers for path in paths(layer, placed.faded, palette)]
    return (
        f'<svg x="{x}" y="{y}" width="{width}" height="{height}" viewBox="0 0 {picture.width} {picture.height}" preserveAspectRatio="none">'
        f"{''.join(parts)}</svg>"
    )


def paths(layer: Layer, faded: float, palette: Palette) -> list[str]:
    """A layer's shapes, those of one strength as one path, the strongest last."""
    found = []
    for strength in sorted({shape.strength for shape in layer.shapes}):
        fill, more = colour(tint(layer.role, strength, faded, palette)), ""
        if layer.into:
            x0, x1 = min(shape.x0 for shape in layer.shapes), max(shape.x1 for shape in layer.shapes)
            name, ends = f"{layer.role}-{layer.into}-{x0:g}-{x1:g}", (fill, colour(tint(layer.into, strength, faded, palette)))
            fill, more = f"url(#{name})", gradient(name, (x0, x1), ends, mixes=palette.depth != "256")
        alike = [shape for shape in layer.shapes if shape.strength == strength]
        boxes = [shape for shape in alike if isinstance(shape, Field) and shape.left == shape.right]
        curves = [shape for shape in alike if shape not in boxes]
        veil = "" if palette.depth == "256" or layer.role in GROUNDS else f' fill-opacity="{palette.lifted(strength):.3g}"'
        found.append(more)
        if boxes:
            found.append(f'<path d="{"".join(map(outline, boxes))}" fill="{fill}"{veil} shape-rendering="crispEdges"/>')
        if curves:
            found.append(f'<path d="{"".join(map(outline, curves))}" fill="{fill}"{veil}/>')
    return found


def tint(role: str, strength: float, faded: float, palette: Palette) -> int:
    """The colour of a role's shapes, which with 256 colours is no veil, but a step of its ladder."""
    own = palette.step(role, palette.lifted(strength)) if palette.depth == "256" and role not in GROUNDS else palette.rgb(role)
    return palette.faded(own, faded)


def gradient(name: str, between: tuple[float, float], ends: tuple[str, str], *, mixes: bool) -> str:
    """From one colour to another along a picture; where colours don't mix, half and half."""
    at = (0.0, 1.0) if mixes else (0.5, 0.5)
    stops = "".join(f'<stop offset="{offset:g}" stop-color="{fill}"/>' for offset, fill in zip(at, ends, strict=True))
    where = f'gradientUnits="userSpaceOnUse" x1="{between[0]:g}" x2="{between[1]:g}" y1="0" y2="0"'
    return f'<linearGradient id="{name}" {where}>{stops}</linearGradient>'


def outline(shape: Field | Ribbon) -> str:
    """The way around a shape; its edges are pieces of cubic curves with the edges' own points and slopes."""
    if isinstance(shape, Field) and shape.left == shape.right:
        (top, bottom), x0, x1 = shape.left, shape.x0, shape.x1
        return f"M{short(x0, top)}H{round(x1, 2):g}V{round(bottom, 2):g}H{round(x0, 2):g}Z"
    x = np.linspace(shape.x0, shape.x1, BENDS + 1)
    near = (x[1] - x[0]) / 1000
    before, after = np.maximum(x - near, shape.x0), np.minimum(x + near, shape.x1)
    way = []
    for start, here, low, high in zip("ML", shape.edges(x), shape.edges(before), shape.edges(after), strict=True):
        points = np.stack([x, here, (high - low) / (after - before)], axis=1)  # [n, 3] of place, height, slope
        points = points if start == "M" else points[::-1]  # there and back
        way.append(start + short(points[0, 0], points[0, 1]))
        for (x0, y0, m0), (x1, y1, m1) in pairwise(points.tolist()):
            third = (x1 - x0) / 3
            way.append(f"C{short(x0 + third, y0 + third * m0)} {short(x1 - third, y1 - third * m1)} {short(x1, y1)}")
    return "".join(way) + "Z"


def short(x: float, y: float) -> str:
    """A place, to a hundredth of a cell."""
    return f"{round(x, 2):g} {round(y, 2):g}"


def escaped(text: str) -> str:
    """Any text as a part of a document: XML has no room for control characters, halves of characters, and two more."""
    return escape(re.sub("[\ufffe\uffff]", "\ufffd", clean(text)))


def colour(rgb: int) -> str:
    return f"#{rgb:06x}"


def rectangle(x: float, y: float, width: float, height: float, rgb: int) -> str:
    sizes = (x * CELL_WIDTH, y * CELL_HEIGHT, width * CELL_WIDTH, height * CELL_HEIGHT)
    x_, y_, w_, h_ = (f"{round(size, 2):g}" for size in sizes)
    return f'<rect x="{x_}" y="{y_}" width="{w_}" height="{h_}" fill="{colour(rgb)}"/>'


def rectangles(canvas: Canvas, grounds: NDArray[Any], chars: NDArray[Any]) -> list[str]:
    """Backgrounds, runs of equal ones as one; above them the block characters."""
    parts: list[str] = []
    for y in range(canvas.height):
        start = 0
        row = grounds[y].tolist()
        for x in range(1, canvas.width + 1):
            if x == canvas.width or row[x] != row[start]:
                if row[start] != NOTHING:
                    parts.append(rectangle(start, y, x - start, 1, row[start]))
                start = x
        start = 0
        cells = [(char, int(fg)) if char in BLOCKS else None for char, fg in zip(chars[y], canvas.fg[y], strict=True)]
        for x in range(1, canvas.width + 1):
            if x == canvas.width or cells[x] != cells[start]:
                cell = cells[start]
                if cell is not None:
                    left, top, width, height = BLOCKS[cell[0]]
                    spans = [(start, x - start)] if width == 1 else [(i, 1) for i in range(start, x)]
                    parts += [rectangle(at + left, y + top, width * count, height, cell[1]) for at, count in spans]
                start = x
    return parts


def texts(canvas: Canvas, chars: NDArray[Any]) -> list[str]:
    """Runs of characters of one look, each stretched to its cells so that any font lines up."""
    parts: list[str] = []
    for y in range(canvas.height):
        x = 0
        while x < canvas.width:
            if chars[y, x] in ("", " ") or chars[y, x] in BLOCKS:
                x += 1
                continue
            start, look = x, (int(canvas.fg[y, x]), int(canvas.attrs[y, x]))
            while x < canvas.width and chars[y, x] not in BLOCKS and (int(canvas.fg[y, x]), int(canvas.attrs[y, x])) == look:
                if chars[y, x] == " " and (x + 1 == canvas.width or chars[y, x + 1] == " "):
                    break
                x += 1
            text = "".join(chars[y, start:x]).rstrip()
            length = (x - start - (len("".join(chars[y, start:x])) - len(text))) * CELL_WIDTH
            left, base, width = (f"{round(size, 2):g}" for size in (start * CELL_WIDTH, y * CELL_HEIGHT + BASELINE, length))
            at = f'x="{left}" y="{base}" textLength="{width}" lengthAdjust="spacingAndGlyphs"'
            parts.append(f'<text {at} fill="{colour(look[0])}"{attributes(look[1])}>{escaped(text)}</text>')
            if x == start:
                x += 1
    return parts


def attributes(attrs: int) -> str:
    """A run's attributes beyond its colour."""
    lines = [name for bit, name in ((UNDERLINE, "underline"), (STRIKE, "line-through")) if attrs & bit]
    return (
        (' font-weight="bold"' if attrs & BOLD else "")
        + (' font-style="italic"' if attrs & ITALIC else "")
        + (' opacity="0.6"' if attrs & DIM else "")
        + (f' text-decoration="{" ".join(lines)}"' if lines else "")
    )
