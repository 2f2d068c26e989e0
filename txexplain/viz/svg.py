"""A Canvas as an SVG picture: nothing from elsewhere in it, and block characters drawn as rectangles, so that they leave no gaps."""

from __future__ import annotations

import re
from html import escape

from txexplain.text import clean
from txexplain.viz.canvas import BOLD, DIM, ITALIC, STRIKE, UNDERLINE, Canvas
from txexplain.viz.palette import THEMES

CELL_WIDTH, CELL_HEIGHT, BASELINE, FONT_SIZE = 8.4, 18.0, 13.6, 14.0
FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
# Block characters as (left, top, width, height) in parts of a cell.
BLOCKS: dict[str, tuple[float, float, float, float]] = {"▀": (0, 0, 1, 0.5), "█": (0, 0, 1, 1)}
BLOCKS |= {"▘": (0, 0, 0.5, 0.5), "▝": (0.5, 0, 0.5, 0.5), "▖": (0, 0.5, 0.5, 0.5), "▗": (0.5, 0.5, 0.5, 0.5)}
BLOCKS |= {char: (0, 0, (i + 1) / 8, 1) for i, char in enumerate("▏▎▍▌▋▊▉")}
BLOCKS |= {char: (0, 1 - (i + 1) / 8, 1, (i + 1) / 8) for i, char in enumerate("▁▂▃▄▅▆▇")}


def svg(canvas: Canvas) -> str:
    """The picture as one SVG document; the same canvas gives the same bytes."""
    width, height = canvas.width * CELL_WIDTH, canvas.height * CELL_HEIGHT
    ground = THEMES[canvas.palette.theme]["background"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">',
        f'<rect width="100%" height="100%" fill="{colour(ground)}"/>',
        f'<g shape-rendering="crispEdges">{"".join(rectangles(canvas, ground))}</g>',
        f'<g font-family="{escape(FONTS)}" font-size="{FONT_SIZE:g}" xml:space="preserve">{"".join(texts(canvas))}</g>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Any text as a part of a document: XML has no room for control characters, halves of characters, and two more."""
    return escape(re.sub("[\ufffe\uffff]", "\ufffd", clean(text)))


def colour(rgb: int) -> str:
    return f"#{rgb:06x}"


def rectangle(x: float, y: float, width: float, height: float, rgb: int) -> str:
    sizes = (x * CELL_WIDTH, y * CELL_HEIGHT, width * CELL_WIDTH, height * CELL_HEIGHT)
    x_, y_, w_, h_ = (f"{round(size, 2):g}" for size in sizes)
    return f'<rect x="{x_}" y="{y_}" width="{w_}" height="{h_}" fill="{colour(rgb)}"/>'


def rectangles(canvas: Canvas, ground: int) -> list[str]:
    """Backgrounds, runs of equal ones as one; above them the block characters."""
    parts: list[str] = []
    for y in range(canvas.height):
        start = 0
        row = canvas.bg[y].tolist()
        for x in range(1, canvas.width + 1):
            if x == canvas.width or row[x] != row[start]:
                if row[start] != ground:
                    parts.append(rectangle(start, y, x - start, 1, row[start]))
                start = x
        start = 0
        cells = [(char, int(fg)) if char in BLOCKS else None for char, fg in zip(canvas.chars[y], canvas.fg[y], strict=True)]
        for x in range(1, canvas.width + 1):
            if x == canvas.width or cells[x] != cells[start]:
                cell = cells[start]
                if cell is not None:
                    left, top, width, height = BLOCKS[cell[0]]
                    spans = [(start, x - start)] if width == 1 else [(i, 1) for i in range(start, x)]
                    parts += [rectangle(at + left, y + top, width * count, height, cell[1]) for at, count in spans]
                start = x
    return parts


def texts(canvas: Canvas) -> list[str]:
    """Runs of characters of one look, each stretched to its cells so that any font lines up."""
    parts: list[str] = []
    for y in range(canvas.height):
        x = 0
        while x < canvas.width:
            if canvas.chars[y, x] in ("", " ") or canvas.chars[y, x] in BLOCKS:
                x += 1
                continue
            start, look = x, (int(canvas.fg[y, x]), int(canvas.attrs[y, x]))
            while x < canvas.width and canvas.chars[y, x] not in BLOCKS and (int(canvas.fg[y, x]), int(canvas.attrs[y, x])) == look:
                if canvas.chars[y, x] == " " and (x + 1 == canvas.width or canvas.chars[y, x + 1] == " "):
                    break
                x += 1
            text = "".join(canvas.chars[y, start:x]).rstrip()
            length = (x - start - (len("".join(canvas.chars[y, start:x])) - len(text))) * CELL_WIDTH
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
