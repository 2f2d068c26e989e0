"""What the commands print and write: JSON, tables, files."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from txexplain.errors import reason
from txexplain.files import followed, write_whole
from txexplain.text import clean
from txexplain.viz.tables import GAP, aligned

LONGEST_LINE = 1 << 20  # cells of a table's row


def print_json(document: Any) -> None:
    """One strict JSON document in ASCII, so that no terminal, pipe or locale can be hurt by a token; what isn't finite is null."""
    sys.stdout.write(json.dumps(strict(document), allow_nan=False) + "\n")


def strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Rows of text under heads; the column without a head holds bars. No colour where the output is no terminal."""
    console = Console(highlight=False, width=LONGEST_LINE)  # never cut: a terminal wraps long lines
    for n, row in enumerate(aligned([heads, *([clean(cell) for cell in row] for row in rows)], right)):
        looks = ["dim" if n == 0 else "" if head else "magenta" for head in heads]
        line = Text(GAP).join(Text(cell, look) for cell, look in zip(row, looks, strict=True))
        line.rstrip()
        console.print(line, soft_wrap=True)


def writable(path: Path) -> Path:
    """Where a file is really to be written, looked at before any work is done. Raises UsageError."""
    try:
        path = followed(path)
    except OSError as error:
        raise click.UsageError(f"{path} can't be written: {reason(error).lower()}.") from None
    if not path.parent.is_dir():
        raise click.UsageError(f"There is no folder {path.parent} to write {path.name} to.")
    if path.exists() and not path.is_file():
        raise click.UsageError(f"{path} is not a file that can be replaced; name another one.")
    return path


def write_picture(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises UsageError."""
    try:
        write_whole(path, text.encode("utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} can't be written: {reason(error).lower()}.") from None
