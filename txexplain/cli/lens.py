"""`txexplain lens`: what every token's stream would say next if it were read before it is done, block by block."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from txexplain.cli.asked import Changes, Given, Source
from txexplain.cli.causes import Pair, about, named
from txexplain.cli.output import print_documents, print_table
from txexplain.cli.streams import unicode_out
from txexplain.engine.attribution import row_of
from txexplain.facts.lens import LensFacts, StreamFacts, readings
from txexplain.front.documents import token_fields
from txexplain.text import clean
from txexplain.viz.numbers import count, number, percent


@dataclass(frozen=True)
class Read:
    """A run's streams, read for a pair of tokens, at one position or at all of them."""

    given: Given
    a: int
    b: int | None
    rows: range
    facts: LensFacts

    @classmethod
    def of(cls, given: Given, pair: Pair, token: int | None) -> Read:
        """Raises PromptError, TokenizerError, InterventionError."""
        a, b = pair.ids(given)
        trace = given.result.trace
        rows = range(trace.n_tokens) if token is None else range(at := row_of(trace, token), at + 1)
        return cls(given, a, b, rows, readings(given.result, a, a if b is None else b))

    def streams(self) -> Iterator[tuple[str, StreamFacts]]:
        """Each by its activation's name, as it is computed."""
        return ((name, self.facts.stream(n)) for n, name in enumerate(self.facts.names))

    def fields(self, stream: StreamFacts, row: int) -> dict[str, Any]:
        """`rank` is from 1; `rank`, `logit` are of the answer, `difference` is its logit less that of the other token."""
        return {
            "top": token_fields(self.given.names, int(stream.top[row])) | {"probability": float(stream.share[row])},
            "rank": int(stream.rank[row]) + 1,
            "logit": float(stream.a[row]),
            "difference": None if self.b is None else float(stream.difference[row]),
            "bits": float(stream.bits[row]),
        }


def lens(source: Source, changes: Changes, pair: Pair, token: int | None, as_json: bool, as_csv: bool) -> None:
    if as_csv and (as_json or source.prompts is not None):
        raise click.UsageError("--json and --csv are two forms of the same numbers: give one of them, and with --prompts --json alone.")
    if as_json or source.prompts is not None:
        print_documents(source, "lens", lambda given: document(Read.of(given, pair, token)), changes)
        return
    given = source.given(changes)
    if as_csv:
        write_rows(Read.of(given, pair, token))
    else:
        print_streams(Read.of(given, pair, given.result.trace.n_tokens - 1 if token is None else token))


def document(read: Read) -> dict[str, Any]:
    streams = ({"stream": name, "at": [{"token": row} | read.fields(stream, row) for row in read.rows]} for name, stream in read.streams())
    return about(read.given, read.a, read.b) | {"streams": streams}


def write_rows(read: Read) -> None:
    """A line for each stream and token."""
    lines, names = csv.writer(sys.stdout, lineterminator="\n"), read.given.names
    lines.writerow(("stream", "position", "id", "token", "top_id", "top_token", "probability", "rank", "logit", "difference", "bits"))
    for name, stream in read.streams():
        for row in read.rows:
            id, told = read.given.ids[row], read.fields(stream, row)
            top = told.pop("top")
            lines.writerow((name, row, id, names.display(id), top["id"], names.display(top["id"]), top["probability"], *told.values()))


def print_streams(read: Read) -> None:
    """A row a stream, at one token."""
    ascii, row = not unicode_out(), read.rows[0]
    answer, names = named(read.given, read.a, read.b, ascii), read.given.names
    at = f"{row} {names.display(read.given.ids[row], ascii=ascii).strip()}"
    click.echo(clean(f"What the stream of token {at} would say next, read before it is done: a reading, not a cause."))

    def cells(label: str, stream: StreamFacts) -> tuple[str, ...]:
        told = (percent(float(stream.share[row]), ascii=ascii), count(int(stream.rank[row]) + 1))
        difference = number(float(stream.a[row] if read.b is None else stream.difference[row]), ascii=ascii, sign=True)
        return label, names.display(int(stream.top[row]), ascii=ascii), *told, difference, number(float(stream.bits[row]), ascii=ascii)

    labels = ["embed", *(f"L{layer}" for layer in range(len(read.facts.names) - 1))]
    rows = (cells(label, stream) for label, (_, stream) in zip(labels, read.streams(), strict=True))
    first = names.display(read.a, ascii=ascii).strip() or "space"
    print_table(("stream", "likeliest", "probability", f"rank of {first}", answer, "bits"), rows, right=(2, 3, 4, 5))
