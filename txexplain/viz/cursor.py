"""Where the terminal's cursor stands: at what is selected, so that screen readers, braille lines and magnifiers can follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from txexplain.viz.canvas import Canvas


@dataclass(frozen=True)
class Mark:
    """A run of cells on the cursor's ground, and what stands there: a picture may have several, as a row's name and a column's."""

    x: int
    y: int
    text: str


def marks(canvas: Canvas) -> tuple[Mark, ...]:
    """A picture's marks, from the top; of a row its first."""
    found = []
    marked = canvas.bg == canvas.ink("cursor")
    for y in np.flatnonzero(marked.any(axis=1)).tolist():
        x = int(marked[y].argmax())
        rest = marked[y, x:]
        end = x + (int(rest.argmin()) if not rest.all() else len(rest))
        found.append(Mark(x, y, "".join(canvas.chars[y, x:end])))
    return tuple(found)


def followed(now: Sequence[Mark], before: Sequence[Mark], at: Mark | None) -> Mark | None:
    """The mark that a key has moved: the longest of those that weren't there before. Where none has, it stays, or is the longest of all."""
    new = [mark for mark in now if mark not in before]
    if not new and at in now:
        return at
    return max(new or now, key=lambda mark: len(mark.text), default=None)


def place(canvas: Canvas, mark: Mark | None) -> tuple[int, int]:
    """The cursor's cell: a mark's first sign, else that of the picture's first row, which says what it shows."""
    x, y, text = (mark.x, mark.y, mark.text) if mark is not None else (0, 0, canvas.text()[0] if canvas.height else "")
    rule = f" {canvas.palette.glyphs.horizontal}"
    return (x + len(text) - len(text.lstrip(rule))) % max(canvas.width, 1) if text.strip(rule) else x, y
