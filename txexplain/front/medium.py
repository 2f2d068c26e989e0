"""What pictures are shown by: the terminal's cells, or its pixels where it said that it has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

AUTO, GLYPHS = "auto", "glyphs"
PIXELS = ("kitty", "sixel", "iterm")  # protocols
PICTURES = (AUTO, GLYPHS, *PIXELS)
USUAL = (10, 20)  # pixels of a cell, for those protocols that stretch an image to its cells
LEAST, MOST = (3, 5), (200, 400)  # a cell is no smaller and no larger than that


@dataclass(frozen=True)
class Answers:
    """What a terminal said of its pixels: whether it takes kitty's protocol, whether sixels; how wide and high a cell is."""

    kitty: bool = False
    sixel: bool = False
    cell: tuple[int, int] | None = None


def iterm(environ: Mapping[str, str]) -> bool:
    """Whether this is iTerm2, which nothing but its name tells."""
    return environ.get("TERM_PROGRAM") == "iTerm.app" or environ.get("LC_TERMINAL") == "iTerm2"


def believed(cell: tuple[int, int] | None) -> tuple[int, int] | None:
    """A cell's size as it was told, if there are such cells."""
    return cell if cell and all(low <= side <= high for low, side, high in zip(LEAST, cell, MOST, strict=True)) else None


def medium_of(picture: str, answers: Answers, environ: Mapping[str, str], *, far: bool) -> tuple[str, tuple[int, int]] | None:
    """The protocol and the size of a cell; None for cells. far: whether pixels come over SSH, where only the reader can want them."""
    cell = believed(answers.cell)
    through = bool(environ.get("TMUX"))
    able = {"kitty": answers.kitty and not through, "sixel": answers.sixel, "iterm": iterm(environ) and not through}
    if picture == AUTO and environ.get("TERM") == "mlterm":  # whose cells have few colours at a time, other than its images
        return None
    if picture == AUTO:
        found = next((name for name in PIXELS if able[name]), None)
        return (found, cell) if found and cell and not far and not through else None
    if picture in PIXELS and able[picture]:
        return (picture, cell) if cell else (picture, USUAL) if picture != "sixel" else None
    return None
