"""What Textual draws itself, as dialogs, fields and pop-ups, is drawn in the theme's own colours; here they become those that there are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

from txexplain.viz.canvas import terminal_colour
from txexplain.viz.palette import ON_CURSOR, Palette

MARKS = ("cursor", "text", "accent")  # grounds that mark a row or a letter; where the terminal can't have them, they are reverse video
LEFT = Style(color=RichColor.default(), bgcolor=RichColor.default())  # the terminal's own


@dataclass(frozen=True)
class Inks(LineFilter):
    """Gives each cell colours of the palette's depth, as a canvas has them; what has such already stays."""

    tones: Palette
    enabled: bool = True

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [segment if segment.style is None else segment._replace(style=in_depth(segment.style, self.tones)) for segment in segments]


@lru_cache(maxsize=2048)
def in_depth(style: Style, tones: Palette) -> Style:
    """A style of 24-bit colours as the palette's depth has it."""
    ink, ground = rgb_of(style.color), rgb_of(style.bgcolor)
    if ink is None and ground is None:
        return style
    if tones.depth in ("16", "none") and ground is not None and marks(ground, tones):
        return style + LEFT + Style(reverse=True)
    behind = None if ground is None else terminal_colour(ground, tones.depth, tones.theme, ground=True)
    before = style.color if ink is None else terminal_colour(ink, tones.depth, tones.theme)
    if behind is not None and before is None:  # a ground alone would meet an ink of the terminal's, which may be the same
        before = terminal_colour(tones.rgb("text"), tones.depth, tones.theme)
    if behind is not None and tones.depth == "16":
        before = RichColor.from_ansi(ON_CURSOR)
    return style + Style(color=before or RichColor.default(), bgcolor=behind or RichColor.default())


def rgb_of(colour: RichColor | None) -> int | None:
    """A 24-bit colour as 0xRRGGBB; None for any other."""
    return None if colour is None or colour.triplet is None else colour.triplet[0] << 16 | colour.triplet[1] << 8 | colour.triplet[2]


def marks(ground: int, tones: Palette) -> bool:
    """Whether a ground marks something that would not be seen without it."""
    return any(ground == tones.rgb(role) for role in MARKS if role != "cursor" or tones.depth == "none")


def theme_of(tones: Palette) -> Theme:
    """The palette for what Textual draws itself: lists, fields, pop-ups."""
    colours = {
        role: f"#{tones.rgb(role):06x}"
        for role in ("background", "panel", "text", "muted", "rule", "cursor", "accent", "value", "warning", "negative")
    }
    return Theme(
        name=f"txexplain-{tones.theme}-{tones.depth}", primary=colours["accent"], accent=colours["accent"], warning=colours["warning"],
        secondary=colours["negative"], success=colours["value"], error=colours["warning"],
        foreground=colours["text"], background=colours["background"], surface=colours["panel"], panel=colours["panel"],
        dark=tones.theme != "light",
        variables={
            "text-muted": colours["muted"], "text-disabled": colours["muted"], "border": colours["rule"],
            "block-cursor-blurred-foreground": colours["text"], "block-cursor-blurred-background": colours["cursor"],
            "block-cursor-foreground": colours["text"], "block-cursor-background": colours["cursor"],
            "input-cursor-background": colours["text"], "input-cursor-foreground": colours["background"],
            "input-selection-background": colours["cursor"], "scrollbar": colours["muted"], "scrollbar-hover": colours["muted"],
            "scrollbar-active": colours["accent"], "scrollbar-background": colours["panel"], "scrollbar-background-hover": colours["panel"],
            "scrollbar-background-active": colours["panel"], "scrollbar-corner-color": colours["panel"],
        },
    )  # fmt: skip
