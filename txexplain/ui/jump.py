"""The field in which a place is typed."""

from __future__ import annotations

from collections.abc import Callable

from txexplain.ui.ask import AskScreen, Stage
from txexplain.viz.palette import Palette


class JumpScreen(AskScreen):
    """Enter goes where the text says."""

    def __init__(self, tones: Palette, asked: str, fault: Callable[[str], str], stage: Stage, first: str = "") -> None:
        super().__init__(tones, "go to", f"{asked}, or a lesson, as in attention 3   ⏎ go   esc back", fault, stage, first)
