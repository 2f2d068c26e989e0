"""The last filter before the terminal: it replaces control characters in whatever a widget shows, be it Textual's own or ours."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from txexplain.text import RAW, sign
from txexplain.viz.tiles import TILE


class OnlyText(LineFilter):
    """Takes out of every line what a terminal would act on; such characters have no cell, so that the rest stays in place.

    tiles: whether a tile may pass; elsewhere it is a text that somebody gave.
    """

    def __init__(self, *, tiles: bool = False) -> None:
        super().__init__()
        self.tiles = tiles

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        text = "".join(segment.text for segment in segments)
        if self.passed(text) == text:
            return segments
        return [segment._replace(text=self.passed(segment.text)) for segment in segments]

    def passed(self, text: str) -> str:
        return only_text(text) if self.tiles else TILE.sub(lambda match: sign(match[0]), only_text(text))


def only_text(text: str) -> str:
    """Without the characters that act on a terminal; a lone surrogate, which has a cell, leaves a sign."""
    return RAW.sub(lambda match: sign(match[0]) if match[0] >= "\ud800" else "", text.replace("\t", "").replace("\n", ""))
