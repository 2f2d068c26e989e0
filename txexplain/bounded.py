"""JSON and TOML of strangers, read within bounds: a value takes many times the memory of its text, and a number may have no end."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

# One string of a JSON text, or what looks like one and never ends: so that none is looked for twice.
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)', re.DOTALL)


LARGEST_WHOLE = 1 << 63  # of TOML, which has numbers of 64 bits


class TooMuch(ValueError):
    """A text holds more than anybody needs."""


def load_json(data: bytes, most: int, **hooks: Any) -> Any:
    """What a JSON text holds: at most so many values, which are counted before one is made. hooks: as json.loads has them.

    Raises ValueError, TooMuch, RecursionError.
    """
    if count_values(data) > most and (found := count_values(STRING.sub(b"", data))) > most:
        raise TooMuch(f"It holds {found:,} values, more than {most:,}")
    return json.loads(data, **hooks)


def load_toml(text: str) -> dict[str, Any]:
    """What a TOML text holds. Raises ValueError, TooMuch for a whole number that TOML doesn't have, RecursionError."""
    long = TooMuch("it holds a whole number of more than 64 bits")
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # thousands of digits, which Python doesn't read
        raise long from None
    values: list[Any] = [told]
    while values:
        value = values.pop()
        values += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if isinstance(value, int) and not -LARGEST_WHOLE <= value < LARGEST_WHOLE:  # hexadecimal ones, which it does
            raise long
    return told


def count_values(data: bytes) -> int:
    """How many values a JSON text has, if none of its strings looks like one; else no fewer."""
    return sum(map(data.count, (b",", b"[", b"{")))
