"""Where a few typed characters lead: a head, an element or a neuron by its number, or any Location."""

from __future__ import annotations

import re
from dataclasses import replace

from txexplain.engine.errors import LocationError, shown
from txexplain.explorer.location import PRODUCTS, VECTORS, Dims, Level, Location, check, nearest, parse

NUMBERED = {Level.HEADS, Level.MLP, Level.NEURON} | VECTORS | PRODUCTS  # where a number alone names a place
NUMBERS = re.compile(r"[0-9]{1,7}(?:\s*[.,\s]\s*[0-9]{1,7})*")


def asked(place: Location) -> str:
    """What may be typed at a place, for the field's hint."""
    match place.level:
        case Level.HEADS:
            return "a block and a head, as in 5.11"
        case Level.MLP | Level.NEURON:
            return "a neuron, as in 417"
        case level if level in PRODUCTS:
            return "an output, as in 300, or an input and an output, as in 17,300"
        case level if level in VECTORS:
            return "an element, as in 17"
    return "a place, as in L5H11"


def jump(text: str, place: Location, dims: Dims) -> Location:
    """The Location that was typed at a place. In the atlas a head alone is the head as selected there.

    Raises LocationError with one sentence that names what there is.
    """
    typed = " ".join(text.split())
    if not typed:
        raise LocationError(f"Give {asked(place)}, or any place like L5H11 or output.")
    found = numbered(typed, place) if NUMBERS.fullmatch(typed) else parse_near(typed)
    if place.level is Level.HEADS and found == Location(Level.HEAD, block=found.block, head=found.head):
        found = replace(place, block=found.block, head=found.head)
    if found.token is None and found.query is None:
        found = replace(found, token=place.query if place.query is not None else place.token)
    check(found, dims)
    return found


def numbered(typed: str, place: Location) -> Location:
    """What one number, or two, mean here."""
    numbers = [int(part) for part in re.findall(r"[0-9]+", typed)]
    if place.level is Level.HEADS and len(numbers) == 2:
        return replace(place, block=numbers[0], head=numbers[1])
    if place.level in (Level.MLP, Level.NEURON) and len(numbers) == 1:
        return replace(place, neuron=numbers[0])
    if place.level in VECTORS | PRODUCTS and len(numbers) == 1:
        return replace(place, element=numbers[0])
    if place.level in PRODUCTS and len(numbers) == 2:
        return replace(place, source=numbers[0], element=numbers[1])
    if place.level not in NUMBERED:
        return parse_near(typed)
    raise LocationError(f"{shown(repr(typed))} is no place here; give {asked(place)}.")


def parse_near(typed: str) -> Location:
    """A Location, or the one that a slip of the fingers meant. Raises LocationError."""
    meant = nearest(typed)
    return parse(typed) if meant is None else meant
