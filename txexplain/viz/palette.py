"""The colour language, once: roles and their colours in each theme, and the glyphs of each kind of terminal.

Query blue, key red, value green, attention violet, MLP indigo, residual grey, the drawn token magenta: the colours of
Transformer Explainer, so that its readers feel at home. Roles differ in lightness and carry a letter too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

DEPTHS = ("truecolor", "256", "16", "none")

THEMES: dict[str, dict[str, int]] = {
    "dark": {
        "background": 0x101117, "panel": 0x181A22, "text": 0xE3E4EA, "muted": 0xA5A7B5, "faint": 0x858899, "rule": 0x343744,
        "cursor": 0x2E2A42, "accent": 0xB49BFF, "query": 0x80B3FF, "key": 0xFFA39C, "value": 0x95E2B1,
        "attention": 0xA78AFD, "mlp": 0x888EE3, "residual": 0xA1A7B5, "drawn": 0xFFABE1, "positive": 0xFFB36B, "negative": 0x6FC3E8,
        "warning": 0xF2C65A,
    },
    "light": {
        "background": 0xFBFAF7, "panel": 0xF2F0EA, "text": 0x23242B, "muted": 0x5C5F6C, "faint": 0x666975, "rule": 0xD3D1CA,
        "cursor": 0xE6DFFB, "accent": 0x5F3DC4, "query": 0x1358BE, "key": 0xB42C2C, "value": 0x11733F,
        "attention": 0x5D2FC6, "mlp": 0x333FB8, "residual": 0x545966, "drawn": 0xA20E72, "positive": 0x9C4E0A, "negative": 0x0E6890,
        "warning": 0x845C00,
    },
    "contrast": {
        "background": 0x000000, "panel": 0x000000, "text": 0xFFFFFF, "muted": 0xE0E0E0, "faint": 0xB8B8B8, "rule": 0x808080,
        "cursor": 0x4C3900, "accent": 0xFFD75F, "query": 0xAAD2FF, "key": 0xFFCDC8, "value": 0xC2F9D5,
        "attention": 0xC4B2F2, "mlp": 0xA8ACEB, "residual": 0xE2E2E2, "drawn": 0xFBADE2, "positive": 0xFFC58A, "negative": 0x9BE0FF,
        "warning": 0xFFE08A,
    },
}  # fmt: skip

# In 16 colours a role is a colour of the terminal's own palette; backgrounds and text are the terminal's.
ANSI: dict[str, int] = {
    "background": -1, "panel": -1, "text": -1, "muted": -1, "faint": 8, "rule": 8, "cursor": 4, "accent": 13, "query": 12, "key": 9,
    "value": 10, "attention": 13, "mlp": 12, "residual": 7, "drawn": 13, "positive": 11, "negative": 14, "warning": 11,
}  # fmt: skip

LETTERS = {"query": "Q", "key": "K", "value": "V", "attention": "A", "mlp": "M", "residual": "R", "drawn": "*"}


@dataclass(frozen=True)
class Glyphs:
    """The characters that pictures are made of."""

    bars: str  # eighths of a cell, from empty to full
    rises: str  # eighths of a cell's height
    shades: str  # five levels
    horizontal: str
    vertical: str
    corners: str  # ┌┐└┘
    tees: str  # ├┤┬┴┼
    upper: str  # half block, or "" where there is none
    arrow: str
    up: str
    down: str
    dot: str
    masked: str
    knob: str
    ellipsis: str
    crumb: str
    plus: str
    minus: str
    times: str
    infinity: str
    marker: str
    here: str
    drawn: str  # stands before a token that was drawn or chosen, where `vertical` stands before one of the prompt


UNICODE = Glyphs(
    " ▏▎▍▌▋▊▉█", " ▁▂▃▄▅▆▇█", " ░▒▓█", "─", "│", "┌┐└┘", "├┤┬┴┼", "▀", "→", "▲", "▼", "·", "·", "●", "…", "›", "⊕", "−", "×", "∞", "▸", "◂",
    "┊",
)  # fmt: skip
ASCII = Glyphs(
    " #", " .:-=+*#", " .:*#", "-", "|", "++++", "+++++", "", ">", "^", "v", ".", "x", "O", "~", ">", "+", "-", "x", "inf", ">", "<", "!",
)  # fmt: skip


@dataclass(frozen=True)
class Palette:
    """A theme at a colour depth ("truecolor", "256", "16" or "none"), with Unicode or ASCII glyphs."""

    theme: str = "dark"
    depth: str = "truecolor"
    ascii: bool = False

    @cached_property
    def glyphs(self) -> Glyphs:
        return ASCII if self.ascii else UNICODE

    @property
    def pixels(self) -> bool:
        """Whether pictures may be made of coloured half blocks."""
        return self.depth in ("truecolor", "256") and not self.ascii

    def rgb(self, role: str) -> int:
        """A role's colour as 0xRRGGBB. Raises KeyError for a role that isn't one."""
        return THEMES[self.theme][role]

    def triple(self, role: str) -> tuple[int, int, int]:
        return split(self.rgb(role))

    def mix(self, a: str | int, b: str | int, t: float) -> int:
        """The colour a fraction t of the way from a to b."""
        return blend(self.rgb(a) if isinstance(a, str) else a, self.rgb(b) if isinstance(b, str) else b, t)


def split(rgb: int) -> tuple[int, int, int]:
    return rgb >> 16, rgb >> 8 & 255, rgb & 255


def blend(a: int, b: int, t: float) -> int:
    pairs = zip(split(a), split(b), strict=True)
    red, green, blue = (round(x + (y - x) * t) for x, y in pairs)
    return red << 16 | green << 8 | blue


def luminance(rgb: int) -> float:
    """Relative luminance, 0…1 (WCAG 2.1)."""

    def linear(c: int) -> float:
        s = c / 255
        return s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(c) for c in split(rgb))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: int, b: int) -> float:
    """The contrast ratio of two colours, 1…21 (WCAG 2.1)."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)
