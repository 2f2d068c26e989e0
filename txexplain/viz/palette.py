"""The colour language, once: roles and their colours in each theme, and the glyphs of each kind of terminal.

Query blue, key red, value green, attention violet, MLP indigo, residual grey, the drawn token magenta: the colours of
Transformer Explainer, so that its readers feel at home. Roles that meet in a picture differ for who can't tell red from green too, and
carry a letter. One accent, for what has the focus or is selected; bars of probability are grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

DEPTHS = ("truecolor", "256", "16", "none")
BLOCKS = ("edge", "half")  # what pictures are made of: eighths and quadrants too, whose edges are nearest, or half blocks alone
AUTO = "auto"  # the theme that suits the terminal's ground

THEMES: dict[str, dict[str, int]] = {
    "dark": {
        "background": 0x101117, "panel": 0x181A22, "text": 0xE3E4EA, "muted": 0xA5A7B5, "faint": 0x858899, "rule": 0x343744,
        "cursor": 0x282440, "accent": 0xB49BFF, "bar": 0x8F919C, "query": 0xB1C8F2, "key": 0xFA8977, "value": 0xA6E7C5,
        "attention": 0xB474FC, "mlp": 0x8489CA, "residual": 0x9AA2A9, "drawn": 0xF59BEC, "positive": 0xFFB36B, "negative": 0x6FC3E8,
        "warning": 0xF2C65A,
    },
    "light": {
        "background": 0xFBFAF7, "panel": 0xF2F0EA, "text": 0x23242B, "muted": 0x565965, "faint": 0x696C78, "rule": 0xD3D1CA,
        "cursor": 0xEBE5FC, "accent": 0x5F3DC4, "bar": 0x6A6B74, "query": 0x3259B0, "key": 0x9A1208, "value": 0x2A7650,
        "attention": 0x5C34DE, "mlp": 0x2C239B, "residual": 0x3F4144, "drawn": 0xB010A0, "positive": 0x9C4E0A, "negative": 0x0E6890,
        "warning": 0x845C00,
    },
    "contrast": {
        "background": 0x000000, "panel": 0x000000, "text": 0xFFFFFF, "muted": 0xE0E0E0, "faint": 0xB8B8B8, "rule": 0x808080,
        "cursor": 0x352800, "accent": 0xFFD75F, "bar": 0xD0D0D0, "query": 0xBAD1F5, "key": 0xFCB0B0, "value": 0x4AFF92,
        "attention": 0xC899FF, "mlp": 0x8C90BF, "residual": 0xECF2F4, "drawn": 0xE6A7DA, "positive": 0xFFC58A, "negative": 0x9BE0FF,
        "warning": 0xFFE08A,
    },
}  # fmt: skip

# With 256 colours a role is one of those, picked by hand: the nearest of a mixed colour would often be of another hue.
INDEXED: dict[str, dict[str, int]] = {
    "dark": {
        "background": 233, "panel": 234, "text": 254, "muted": 248, "faint": 245, "rule": 237, "cursor": 17, "accent": 141, "bar": 246,
        "query": 153, "key": 209, "value": 158, "attention": 135, "mlp": 104, "residual": 248, "drawn": 219, "positive": 215,
        "negative": 117, "warning": 221,
    },
    "light": {
        "background": 231, "panel": 255, "text": 234, "muted": 239, "faint": 241, "rule": 252, "cursor": 189, "accent": 55, "bar": 241,
        "query": 25, "key": 88, "value": 23, "attention": 56, "mlp": 17, "residual": 235, "drawn": 126, "positive": 94, "negative": 24,
        "warning": 58,
    },
    "contrast": {
        "background": 16, "panel": 16, "text": 231, "muted": 254, "faint": 250, "rule": 244, "cursor": 18, "accent": 221, "bar": 252,
        "query": 153, "key": 174, "value": 84, "attention": 141, "mlp": 103, "residual": 255, "drawn": 182, "positive": 215,
        "negative": 117, "warning": 222,
    },
}  # fmt: skip
# And its strengths are a ladder of them, from barely more than the background to the role at its strongest; lightness moves one way.
LADDERS: dict[str, dict[str, tuple[int, ...]]] = {
    "dark": {
        "residual": (235, 237, 239, 241, 243, 245, 248), "attention": (54, 55, 97, 98, 135, 141),
        "query": (17, 18, 25, 32, 68, 111, 153), "key": (52, 88, 95, 131, 174, 209), "value": (22, 29, 65, 72, 115, 158),
        "mlp": (17, 18, 60, 61, 62, 103, 104), "drawn": (53, 89, 132, 169, 175, 212, 219),
        "accent": (54, 55, 97, 98, 140, 141), "positive": (52, 94, 172, 215), "negative": (17, 24, 74, 117),
    },
    "light": {
        "residual": (255, 253, 250, 247, 244, 240, 235), "attention": (189, 147, 141, 99, 98, 56),
        "query": (189, 153, 111, 68, 32, 26, 25), "key": (224, 217, 210, 203, 167, 124, 88), "value": (195, 152, 116, 80, 73, 30, 23),
        "mlp": (189, 147, 105, 63, 62, 19, 17), "drawn": (225, 218, 212, 206, 169, 163, 126), "accent": (189, 147, 141, 99, 98, 55),
        "positive": (230, 223, 215, 130), "negative": (195, 117, 74, 31),
    },
    "contrast": {
        "residual": (235, 238, 241, 244, 247, 250, 255), "attention": (54, 55, 97, 98, 135, 141),
        "query": (18, 25, 32, 68, 75, 111, 153), "key": (52, 88, 95, 131, 167, 174), "value": (22, 28, 29, 71, 78, 84),
        "mlp": (17, 18, 60, 61, 62, 103), "drawn": (53, 89, 132, 139, 175, 182), "accent": (58, 94, 136, 178, 221),
        "positive": (52, 94, 172, 215), "negative": (17, 24, 74, 117),
    },
}  # fmt: skip

# In 16 colours a role is a colour of the terminal's own palette; backgrounds and text are the terminal's. On a dark ground its bright
# half can be read, on a light one its dark half. What must be read is never 8, which some palettes have as their background.
DARK_ANSI: dict[str, int] = {
    "background": -1, "panel": -1, "text": -1, "muted": -1, "faint": 7, "rule": 8, "cursor": 4, "accent": 13, "bar": 7, "query": 12,
    "key": 9, "value": 10, "attention": 13, "mlp": 12, "residual": 7, "drawn": 13, "positive": 11, "negative": 14, "warning": 11,
}  # fmt: skip
LIGHT_ANSI = DARK_ANSI | {
    "faint": -1, "accent": 5, "bar": -1, "query": 4, "key": 1, "value": 2, "attention": 5, "mlp": 4, "residual": -1, "drawn": 5,
    "positive": 1, "negative": 4, "warning": 1,
}  # fmt: skip
ANSI = {"dark": DARK_ANSI, "light": LIGHT_ANSI, "contrast": DARK_ANSI}
ON_CURSOR = 15  # all ink on the cursor's ground in 16 colours

LIFT = {"contrast": 1.6}  # of the strengths of shapes, in a theme that wants more


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
# A font of the Linux console has 256 characters: lines, whole blocks and two shades, but no parts of blocks.
CONSOLE = Glyphs(
    " █", " ·░▒█", " ·░▒█", "─", "│", "┌┐└┘", "├┤┬┴┼", "", "→", "▲", "▼", "·", "·", "●", "~", "›", "⊕", "-", "×", "inf", "▸", "◂", "!",
)  # fmt: skip


@dataclass(frozen=True)
class Palette:
    """A theme at a colour depth ("truecolor", "256", "16" or "none"), with Unicode or ASCII glyphs.

    console: for the Linux console, which has letters and lines beyond ASCII; all else is said as in ASCII.
    """

    theme: str = "dark"
    depth: str = "truecolor"
    ascii: bool = False
    console: bool = False
    blocks: str = "edge"  # one of BLOCKS

    @cached_property
    def glyphs(self) -> Glyphs:
        return CONSOLE if self.console else ASCII if self.ascii else UNICODE

    @property
    def lines(self) -> bool:
        """Whether there are lines to draw with, and the corners between them."""
        return self.console or not self.ascii

    @property
    def pixels(self) -> bool:
        """Whether pictures may be made of coloured half blocks."""
        return self.depth in ("truecolor", "256") and not self.ascii

    def rgb(self, role: str) -> int:
        """A role's colour as 0xRRGGBB. Raises KeyError for a role that isn't one."""
        return colour_256(INDEXED[self.theme][role]) if self.depth == "256" else THEMES[self.theme][role]

    def triple(self, role: str) -> tuple[int, int, int]:
        return split(self.rgb(role))

    def mix(self, a: str, b: str, t: float) -> int:
        """The colour a fraction t of the way from one role to another, where there are so many. With 256 it is a step of the second
        one's ladder where the way begins at the background, else one of the two; with 16 a role that is there."""
        if self.depth == "truecolor":
            return blend(self.rgb(a), self.rgb(b), t)
        if a == "background" and self.depth == "256":
            return self.ladder(b)[round(t * (len(self.ladder(b)) - 1))]
        if a == "background":
            return self.rgb(b if t > 0.5 else "rule")
        return self.rgb(b if t >= 0.5 else a)

    def lifted(self, strength: float) -> float:
        """How strong a shape is in this theme."""
        return min(1.0, LIFT.get(self.theme, 1.0) * strength)

    def ladder(self, role: str) -> list[int]:
        """The strengths that a role has with 256 colours, from the background on; one without a ladder of its own is grey."""
        steps = LADDERS[self.theme].get(role, LADDERS[self.theme]["residual"])
        return [self.rgb("background"), *map(colour_256, steps)]

    def step(self, role: str, strength: float) -> int:
        """With 256 colours: how a shape of a strength looks; the least is a step above the background."""
        ladder = self.ladder(role)
        return ladder[1 + round(strength * (len(ladder) - 2))]

    def faded(self, rgb: int, amount: float) -> int:
        """A colour moved towards the background; with 256 of them, down its own ladder."""
        if self.depth == "256":
            for role in LADDERS[self.theme]:
                ladder = self.ladder(role)
                if rgb in ladder:
                    return ladder[round(ladder.index(rgb) * (1 - amount))]
            return colour_256(nearest_256(blend(rgb, self.rgb("background"), amount)))
        return blend(rgb, self.rgb("background"), amount)


LEVELS_256 = (0, 95, 135, 175, 215, 255)


@lru_cache(maxsize=16384)
def nearest_256(rgb: int) -> int:
    """The nearest colour of the 6×6×6 cube or the 24 greys, by squared distance."""
    channels = split(rgb)
    steps = [min(range(6), key=lambda i, c=c: abs(LEVELS_256[i] - c)) for c in channels]  # type: ignore[misc]
    grey = max(0, min(23, round((sum(channels) / 3 - 8) / 10)))
    cube_error = sum((LEVELS_256[s] - c) ** 2 for s, c in zip(steps, channels, strict=True))
    grey_error = sum((8 + 10 * grey - c) ** 2 for c in channels)
    return 232 + grey if grey_error < cube_error else 16 + 36 * steps[0] + 6 * steps[1] + steps[2]


def colour_256(index: int) -> int:
    """The 0xRRGGBB of one of the 256 colours from 16 on."""
    if index >= 232:
        return (8 + 10 * (index - 232)) * 0x010101
    red, green, blue = (LEVELS_256[(index - 16) // step % 6] for step in (36, 6, 1))
    return red << 16 | green << 8 | blue


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
