"""The short motion that ties two levels together: a frame that grows from what was entered, or shrinks to what was left."""

from __future__ import annotations

from txexplain.viz.canvas import Canvas

FRAMES = 3
Box = tuple[int, int, int, int]  # x, y, width, height


def box_of(canvas: Canvas, target: object) -> Box | None:
    """Where a target lies on a canvas: the rectangle around all that answers for it; None where nothing does."""
    found = [hit for hit in canvas.hits if hit.target == target]
    if not found:
        return None
    left, top = min(hit.x for hit in found), min(hit.y for hit in found)
    right, bottom = max(hit.x + hit.width for hit in found), max(hit.y + hit.height for hit in found)
    return left, top, right - left, bottom - top


def frames(canvas: Canvas, box: Box, *, grow: bool) -> list[Canvas]:
    """The frames that follow a full picture: it, with a rectangle between the box and the whole; the picture itself comes last.

    `grow`: from the box outwards, else inwards to it.
    """
    whole = (0, 0, canvas.width, canvas.height)
    steps = [step / FRAMES for step in range(1, FRAMES)]
    parts = steps if grow else steps[::-1]
    return [*(framed(canvas, between(box, whole, part)) for part in parts), canvas]


def between(a: Box, b: Box, part: float) -> Box:
    """A rectangle a part of the way from a to b."""
    x, y, width, height = (round(p + (q - p) * part) for p, q in zip(a, b, strict=True))
    return x, y, width, height


def framed(canvas: Canvas, box: Box) -> Canvas:
    """A copy of a picture with a rectangle's outline on it."""
    copy = Canvas(canvas.width, canvas.height, canvas.palette)
    copy.blit(canvas, 0, 0)
    x, y, width, height = box
    if width >= 2 and height >= 2:
        a, b, c, d = tuple(copy.palette.glyphs.corners)
        line = copy.palette.glyphs.horizontal * (width - 2)
        copy.put(x, y, f"{a}{line}{b}", "accent")
        copy.put(x, y + height - 1, f"{c}{line}{d}", "accent")
        copy.vline(x, y + 1, height - 2, "accent")
        copy.vline(x + width - 1, y + 1, height - 2, "accent")
    return copy
