"""How numbers are written: one format for activations, one for probabilities, one for shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

MINUS, INFINITY = "−", "∞"
LARGEST_PLAIN, SMALLEST_PLAIN = 1e5, 1e-3


class Figure(str):
    """A number as it is written, and `value`, what was written so: a document gives that."""

    value: Any

    @classmethod
    def of(cls, text: str, value: Any) -> Figure:
        figure = cls(text)
        figure.value = value
        return figure


def several(count: int, what: str) -> str:
    """A count with its noun: 1 page, 2 pages."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def number(x: float, *, ascii: bool = False, sign: bool = False) -> str:
    """A number to 3 significant figures, with a true minus: 0.0123, −4.56, 1230, 1.2e−12.

    `sign` writes a plus too.
    """
    if math.isnan(x):
        return "NaN"
    mark = "-" if x < 0 else "+" if sign and x != 0 else ""
    text = mark + ("inf" if math.isinf(x) else magnitude(abs(x)))
    return Figure.of(text if ascii else text.replace("-", MINUS).replace("inf", INFINITY), x)


def magnitude(x: float) -> str:
    """A number ≥ 0 to 3 significant figures; plain where that is short, else with an exponent."""
    if x == 0:
        return "0"
    mantissa, exponent = f"{x:.2e}".split("e")
    power = int(exponent)
    if SMALLEST_PLAIN <= float(f"{x:.2e}") < LARGEST_PLAIN:
        return f"{float(mantissa + 'e' + exponent):.{max(0, 2 - power)}f}"
    return f"{mantissa}e{power}"


def fit(x: float, cells: int) -> str:
    """A number in as many figures, three at most, as fit into some cells: 0.0523 as .0523, .052 or .05; empty where none do."""
    for figures in (3, 2, 1):
        text = number(x) if figures == 3 else f"{x:.{figures}g}".replace("-", MINUS)
        text = text.replace("0", "", 1) if text.startswith(("0.", MINUS + "0.")) else text
        if len(text) <= cells:
            return text
    return ""


def exact(x: float, *, short: bool = False) -> str:
    """Every figure that a float32 has: what reads back as the same float32; short: three, for who sits far away."""
    import numpy as np

    if short:
        return number(x)

    return Figure.of(str(np.float32(x)).replace("-", MINUS).replace("inf", INFINITY), float(x))


def percent(p: float, *, ascii: bool = False) -> str:
    """A probability in at most 7 cells, right at every size: 54.7%, 0.312%, 3.1e−7%; only 1 is 100%, only 0 is 0%."""
    return Figure.of(hundredths(p, ascii=ascii), p)


def hundredths(p: float, *, ascii: bool) -> str:
    if p <= 0:
        return "0%"
    if p >= 1:
        return "100%"
    x = 100 * p
    if x >= 99.95:
        text = f"{x:.2f}" if x < 99.995 else ">99.99"
    elif x >= 9.995:
        text = f"{x:.1f}"
    elif x >= 0.9995:
        text = f"{x:.2f}"
    elif x >= 0.000995:
        figures = 3 if x >= 0.009995 else 2
        power = int(f"{x:.{figures - 1}e}".partition("e")[2])  # after rounding, which may make one more
        text = f"{x:.{figures - 1 - power}f}"
    else:
        text = f"{x:.1e}" if x >= 9.95e-10 else f"{x:.0e}"
        text = text.replace("e-0", "e-")
    return (text if ascii else text.replace("-", MINUS)) + "%"


def points(change: float, *, ascii: bool = False) -> str:
    """A change of a probability in points, with its sign: +27.3%, −0.0312%."""
    sign = "+" if change > 0 else "-" if ascii else MINUS
    size = percent(abs(change), ascii=ascii) if abs(change) < 1 else f"{100 * abs(change):.0f}%"  # to first order it may pass 100
    return (sign if change else "") + size


def whole_percent(p: float) -> str:
    """A share in at most 4 cells: 79%, <1%; only 1 is 100%, only 0 is 0%."""
    x = min(round(100 * p), 99) if p < 1 else 100
    return "<1%" if x == 0 and p > 0 else f"{x}%"


def tenths(x: float) -> str:
    """A number to one place after the point, where there is room for no more: 2.0."""
    return f"{x:.1f}"


def measure(name: str, value: float, *, ascii: bool = False) -> str:
    """One measure of what a head does: a share, or for entropy bits; "none" where the prompt gives no occasion."""
    if math.isnan(value):
        return Figure.of("none", value)
    return Figure.of(f"{number(value, ascii=ascii)} bits" if name == "entropy" else percent(value, ascii=ascii), value)


def shape(sizes: Sequence[int], *, ascii: bool = False) -> str:
    """A shape: 7×256."""
    return ("x" if ascii else "×").join(str(size) for size in sizes)


def count(n: int) -> str:
    """A whole number with its thousands apart: 50,257."""
    return f"{n:,}"
