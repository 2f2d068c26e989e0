"""Where a few typed characters lead: a head, an element or a neuron by its number, or any Location."""

from __future__ import annotations

import re
from dataclasses import replace

from txexplain.errors import LocationError
from txexplain.explorer.location import PLACES, Dims, Location, check, nearest, parse, place_of
from txexplain.text import shown

NUMBERED = {kind for kind, place in PLACES.items() if place.numbered}  # where a number alone names a place
NUMBERS = re.compile(r"[0-9]{1,7}(?:\s*[.,\s]\s*[0-9]{1,7})*")


def asked(at: Location) -> str:
    """What may be typed at a place, for the field's hint: examples that the smallest of GPT-2's models has, and the bundled one."""
    here = place_of(at).asks
    return f"{here}, any place, as in L5H7" if here else "any place, as in L5H7 or output"


def jump(text: str, at: Location, dims: Dims) -> Location:
    """The Location that was typed at a place. In the atlas a head alone is the head as selected there.

    Raises LocationError with one sentence that names what there is.
    """
    typed = " ".join(text.split())
    if not typed:
        raise LocationError(f"Give {asked(at)}.")
    found = place_of(at).typed(at, numbered(typed, at) if NUMBERS.fullmatch(typed) else parse_near(typed))
    if found.chosen is None:
        found = replace(found, token=at.chosen)
    check(found, dims)
    return found


def numbered(typed: str, at: Location) -> Location:
    """What one number, or two, mean here."""
    there = place_of(at).number(at, [int(part) for part in re.findall(r"[0-9]+", typed)])
    if there is not None:
        return there
    if at.kind not in NUMBERED:
        return parse_near(typed)
    raise LocationError(f"{shown(repr(typed))} is no place here; give {place_of(at).asks}.")


def parse_near(typed: str) -> Location:
    """A Location, or the one that a slip of the fingers meant. Raises LocationError."""
    meant = nearest(typed)
    return parse(typed) if meant is None else meant
