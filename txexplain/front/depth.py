"""How many colours a terminal shows and which theme suits it: by its name, the environment, and its own answers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from txexplain.viz.palette import contrast

Ground = tuple[int, int, int]  # red, green, blue: 0 … 255
SYSTEMS = {"truecolor": "truecolor", "256": "256", "standard": "16"}  # what TEXTUAL_COLOR_SYSTEM may ask for
# Terminals under a name of their own that have shown 24-bit colour for years. Over SSH the name is all that is left of them.
TRUE = {
    "alacritty", "contour", "foot", "ghostty", "iterm2", "kitty", "konsole", "mintty", "mlterm", "ms-terminal", "rio", "st", "vte",
    "wezterm", "xterm-ghostty", "xterm-kitty",
}  # fmt: skip
SOME = {"gnome", "putty", "tmux", "xterm"}  # 256 at the least, whatever follows the name
DIRECT = re.compile(r"-(?:direct\d*|truecolor)$")
FEW = re.compile(r"-(?:mono|m|old|8color|16color|88color|color|vt\d+|r\d+|x?hp|sco|sun|nic)\b")  # an xterm that says it has fewer
NONE = re.compile(r"(?:vt\d.*|dumb|unknown|)")


def depth_of(environ: Mapping[str, str], answered: str | None = None) -> str:
    """How many colours the terminal shows: "truecolor", "256", "16" or "none".

    answered: the depth that the terminal itself confirmed when it was asked, else None. The reader's word counts first, then what
    the environment promises, then the terminal's answer, then its name.
    """
    if environ.get("NO_COLOR"):
        return "none"
    if (system := SYSTEMS.get(environ.get("TEXTUAL_COLOR_SYSTEM", "").lower())) is not None:
        return system
    term = environ.get("TERM", "").lower()
    if term.startswith("screen"):  # tmux under screen's name, or screen: it hands on COLORTERM but takes 24-bit colours for attributes
        if not environ.get("TMUX"):
            return by_name(term)
        term = "tmux"
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    return "truecolor" if answered == "truecolor" else by_name(term, windows=environ.get("OS") == "Windows_NT")


def by_name(term: str, *, windows: bool = False) -> str:
    """The depth that a value of TERM stands for. Windows sets none, and its consoles show 24-bit colour."""
    if DIRECT.search(term) or (windows and not term):
        return "truecolor"
    if FEW.search(term):
        return "none" if term.endswith(("-mono", "-m")) else "16"
    if term in TRUE or term.partition("-")[0] in TRUE:
        return "truecolor"
    if "256" in term or term.partition("-")[0] in SOME:
        return "256"
    return "none" if NONE.fullmatch(term) else "16"


def theme_of(ground: Ground | None, environ: Mapping[str, str]) -> str:
    """The theme, "dark" or "light", for a terminal's ground: the one that it answered with, else the one that COLORFGBG names."""
    if ground is not None:
        rgb = ground[0] << 16 | ground[1] << 8 | ground[2]
        return "light" if contrast(rgb, 0x000000) > contrast(rgb, 0xFFFFFF) else "dark"
    last = environ.get("COLORFGBG", "").rpartition(";")[2]  # "ink;ground", or "ink;something;ground"
    return "light" if last.isdecimal() and int(last) in (7, *range(9, 16)) else "dark"
