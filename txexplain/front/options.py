"""How the reader wants the screen to look; free of Textual, so that the commands can make one at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class UiOptions:
    """theme: a theme's name, or None for the one that suits the terminal. color: auto, truecolor, 256, 16 or none. keys: the
    reader's own, by action. glyphs: what pictures are made of, edge, half or ascii; None where it isn't said. cursor: whether the
    terminal's cursor, which stands at what is selected, is seen. answered, ground: the depth and the ground colour (0 … 255 each)
    that the terminal told when it was asked. picture: what pictures are shown by, one of medium.PICTURES; None where it isn't said.
    medium: the protocol that the terminal then has, with a cell's pixels; None for cells.
    """

    theme: str | None = None
    ascii: bool = False
    color: str = "auto"
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cursor: bool = False
    glyphs: str | None = None
    answered: str | None = None
    ground: tuple[int, int, int] | None = None
    picture: str | None = None
    medium: tuple[str, tuple[int, int]] | None = None
