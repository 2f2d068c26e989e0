"""How the reader wants the screen to look; free of Textual, so that the commands can make one at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class UiOptions:
    """theme: a theme's name, or None for the usual one. color: auto, truecolor, 256, 16 or none."""

    theme: str | None = None
    ascii: bool = False
    color: str = "auto"
