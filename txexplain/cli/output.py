"""What the commands print and write: JSON, tables, files."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import click

from txexplain.cli.asked import Changes, Given, Source
from txexplain.cli.streams import shows_colours
from txexplain.errors import ExplainError, PromptError, reason
from txexplain.files import followed, write_whole
from txexplain.text import clean
from txexplain.viz.numbers import several
from txexplain.viz.tables import GAP, aligned

VERSION = 1  # of every document; another one means that a key has another meaning
DIM, BAR_INK, PLAIN = "\x1b[2m", "\x1b[35m", "\x1b[0m"


def print_json(schema: str, document: Mapping[str, Any]) -> None:
    """One strict JSON document on one line, in ASCII, so that no terminal, pipe or locale can be hurt by a token.

    It begins with its `schema`. What isn't finite is null; what an iterator brings is a list, written as it comes.
    """
    start = "{"
    for key, value in {"schema": f"txexplain-{schema}/{VERSION}", **document}.items():
        sys.stdout.write(f"{start}{json.dumps(key)}: ")
        start = ", "
        if isinstance(value, Iterator):
            sys.stdout.write("[")
            sys.stdout.writelines(f"{', ' if n else ''}{json_of(item)}" for n, item in enumerate(value))
            sys.stdout.write("]")
        else:
            sys.stdout.write(json_of(value))
    sys.stdout.write("}\n")


def json_of(value: Any) -> str:
    return json.dumps(strict(value), allow_nan=False)


def strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: strict(item) for key, item in value.items()}
    if isinstance(value, list):
        return [strict(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_documents(source: Source, schema: str, document: Callable[[Given], Mapping[str, Any]], changes: Changes | None = None) -> None:
    """The document of the one prompt; or of each line of a file of prompts, a line each, in which it says why where one can't be read.

    Raises ExplainError for the one prompt, or in the end where some of many failed.
    """
    if source.prompts is None:
        print_json(schema, document(source.given(changes)))
        return
    count = failed = 0
    for given in source.each(changes):
        count += 1
        try:
            found = document(given)
        except ExplainError as error:
            found = {"prompt": given.text, "error": str(error)}
            failed += 1
        print_json(schema, found)
        sys.stdout.flush()  # who reads them one by one waits for each
    if failed:
        raise PromptError(f"{failed} of {several(count, 'prompt')} can't be read by the model; their documents say why.")


def print_table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Rows of text under heads, as they come; never cut: a terminal wraps long lines. The column without a head holds bars."""
    colours = shows_colours()
    cells = ([clean(cell) for cell in row] for row in rows)
    for n, row in enumerate(aligned(chain([heads], cells), right)):
        if colours and n:
            row = [cell if head else f"{BAR_INK}{cell}{PLAIN}" for head, cell in zip(heads, row, strict=True)]
        line = GAP.join(row).rstrip()
        sys.stdout.write(f"{DIM}{line}{PLAIN}\n" if colours and not n else f"{line}\n")


def writable(path: Path) -> Path:
    """Where a file is really to be written, looked at before any work is done. Raises UsageError."""
    try:
        path = followed(path)
    except (FileNotFoundError, NotADirectoryError):
        raise click.UsageError(f"There is no folder {path.parent} to write {path.name} to.") from None
    except OSError as error:
        raise click.UsageError(f"{path} can't be written: {reason(error).lower()}.") from None
    if path.exists() and not path.is_file():
        raise click.UsageError(f"{path} is not a file that can be replaced; name another one.")
    return path


def write_picture(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises UsageError."""
    try:
        write_whole(path, text.encode("utf-8"))
    except OSError as error:
        raise click.UsageError(f"{path} can't be written: {reason(error).lower()}.") from None
