"""Whether two texts say the same where their numbers were summed in another order, as another processor does."""

from __future__ import annotations

import re

FIGURE = re.compile(r"[−-]?\d+\.\d+(?:e[−-]?\d+)?|[−-]?\d+(?=\s?%)")
NEAR = 1e-3  # of a number; also of 1 % of 1, for what is left where two numbers nearly cancel


def value(figure: str) -> float:
    return float(figure.replace("−", "-"))


def unit(figure: str) -> float:
    """What 1 in a number's last place is worth."""
    digits, _, power = figure.partition("e")
    return 10.0 ** (value(power or "0") - len(digits.partition(".")[2]))


def near(a: str, b: str) -> bool:
    """Equal to a thousandth, or to one in the last place; numbers of a single figure are equal."""
    one = max(unit(a), unit(b)) if max(abs(value(a)), abs(value(b))) >= 10 * min(unit(a), unit(b)) else 0.0
    return abs(value(a) - value(b)) <= 1.001 * max(NEAR * max(abs(value(a)), abs(value(b)), 0.01), one)


def same(old: str, new: str) -> bool:
    """Equal but for the last figures of numbers that aren't counts, and for the room that they take."""
    if old.rstrip() == new.rstrip():
        return True
    words = [" ".join(FIGURE.sub(" # ", row).split()) for row in (old, new)]
    numbers = [FIGURE.findall(row) for row in (old, new)]
    return words[0] == words[1] and all(map(near, *numbers))


def differences(old: list[str], new: list[str]) -> list[str]:
    """The lines that don't say the same, as a difference of files shows them."""
    if len(old) != len(new):
        return [f"{len(old)} lines, now {len(new)}"]
    return [line for a, b in zip(old, new, strict=True) if not same(a, b) for line in (f"-{a}", f"+{b}")]
