"""`txexplain loss`: how well the model foretells a text, token by token and as a whole."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from txexplain.cli.asked import Changes, Given, Source
from txexplain.cli.output import print_documents, print_table
from txexplain.cli.streams import unicode_out
from txexplain.engine.loss import Loss, bytes_of, spans, surprises
from txexplain.engine.surprisal import Surprise, surprisal
from txexplain.errors import NotRecorded, TraceError
from txexplain.front.documents import token_fields
from txexplain.text import clean
from txexplain.viz.bars import bar
from txexplain.viz.numbers import number, percent, several
from txexplain.viz.palette import Palette

BAR = 20  # cells


@dataclass(frozen=True)
class Windows:
    """How a text longer than the context is read, as it was asked for."""

    window: int | None
    stride: int | None


def loss(source: Source, changes: Changes, windows: Windows, as_json: bool, as_csv: bool) -> None:
    if as_csv and (as_json or source.prompts is not None):
        raise click.UsageError("--json and --csv are two forms of the same numbers: give one of them, and with --prompts --json alone.")
    if as_json or source.prompts is not None:
        print_documents(source, "loss", lambda given: loss_document(given, windows), changes)
        return
    given = source.given(changes)
    reading = Reading(given, windows)
    if as_csv:
        write_rows(given, reading)
    else:
        print_rows(given, reading)


class Reading:
    """A text's tokens with their Surprises, as they come; what they come to, in the end."""

    def __init__(self, given: Given, windows: Windows) -> None:
        self.given = given
        self.span: tuple[int, int] | None = None
        self.source: Iterable[Surprise | None]
        if given.model is None:
            self.ids = list(given.ids)
            self.source = recorded(given)
        else:
            self.ids = given.whole_ids or given.ids  # of an empty text the start token
            self.span = spans(given.model, windows.window, windows.stride)
            begun = replace(given, text=None, given_ids=tuple(self.ids[: self.span[0]]))
            self.source = surprises(given.model, self.ids, *self.span, begun.interventions)
        self.found: list[Surprise | None] = []

    def __iter__(self) -> Iterator[tuple[int, Surprise | None]]:
        for id, each in zip(self.ids, self.source, strict=True):
            self.found.append(each)
            yield id, each

    def total(self) -> Loss:
        """Once all have come."""
        scored = (id for id, each in zip(self.ids, self.found, strict=True) if each is not None)
        return Loss(tuple(self.ids), tuple(self.found), bytes_of(map(self.given.names.token_bytes, scored)))

    def spans_told(self) -> str:
        """How the text was read, where it was longer than a window."""
        if self.span is None or len(self.ids) <= self.span[0]:
            return ""
        window, stride = self.span
        least = (
            f"each token after the first {window} has at least {window - stride} before it" if stride < window else "none reaches another"
        )
        return f"Windows of {window} tokens, stride {stride}: {least}."


def recorded(given: Given) -> Sequence[Surprise | None]:
    try:
        return surprisal(given.result.trace, None)
    except NotRecorded as missing:
        raise TraceError(f"The trace {given.path} has no {missing.what}; record it with --all-logits.") from None


def loss_document(given: Given, windows: Windows) -> dict[str, Any]:
    reading = Reading(given, windows)
    tokens = [token_fields(given.names, id) | surprise_fields(given, each) for id, each in reading]
    total = reading.total()
    window, stride = reading.span or (None, None)
    return {
        "model": given.name,
        "prompt": given.prompt,
        "tokens": tokens,
        "window": window,
        "stride": stride,
        "scored": total.scored,
        "bits": total.bits,
        "loss": total.mean,
        "perplexity": total.perplexity,
        "bytes": total.n_bytes,
        "bits_per_byte": total.bits_per_byte,
    }


def surprise_fields(given: Given, each: Surprise | None) -> dict[str, Any]:
    """`bits` is −log2 of its probability; `expected` the likeliest token in its place. None of all that for a token that isn't scored."""
    if each is None:
        return {"bits": None, "probability": None, "rank": None, "expected": None}
    expected = token_fields(given.names, each.expected) | {"probability": each.expected_probability}
    return {"bits": each.bits, "probability": each.probability, "rank": each.rank + 1, "expected": expected}


def write_rows(given: Given, reading: Reading) -> None:
    lines = csv.writer(sys.stdout, lineterminator="\n")
    lines.writerow(("position", "id", "token", "bits", "probability", "rank", "expected_id", "expected_token", "expected_probability"))
    for position, (id, each) in enumerate(reading):
        told: tuple[Any, ...] = ("",) * 6
        if each is not None:
            expected = (each.expected, given.names.display(each.expected), each.expected_probability)
            told = (each.bits, each.probability, each.rank + 1, *expected)
        lines.writerow((position, id, given.names.display(id), *told))


def print_rows(given: Given, reading: Reading) -> None:
    """A row a token, as they are read; a whole bar is as surprising as a blind guess. Then what they come to."""
    ascii = not unicode_out()
    palette, guess = Palette(ascii=ascii), math.log2(given.config.vocab_size)

    def row(position: int, id: int, each: Surprise | None) -> tuple[str, ...]:
        token = given.names.display(id, ascii=ascii)
        if each is None:
            return str(position), token, "", "", "", "", ""
        expected = f"{given.names.display(each.expected, ascii=ascii)} {percent(each.expected_probability, ascii=ascii)}"
        told = (f"{each.bits:.2f}", percent(each.probability, ascii=ascii), str(each.rank + 1), expected)
        return str(position), token, bar(each.bits / guess, BAR, palette), *told

    rows = (row(position, id, each) for position, (id, each) in enumerate(reading))
    print_table(("at", "token", "", "bits", "probability", "rank", "expected"), rows, right=(0, 3, 4, 5))
    total = reading.total()
    told = [f"{given.name}: {several(total.scored, 'token')} of {len(total.ids)} scored"]
    if total.mean is not None and total.perplexity is not None:
        told += [f"loss {number(total.mean, ascii=ascii)} nats", f"perplexity {number(total.perplexity, ascii=ascii)}"]
    if total.bits_per_byte is not None:
        told.append(f"{number(total.bits_per_byte, ascii=ascii)} bits per byte of {several(total.n_bytes or 0, 'byte')}")
    click.echo(clean(f"\n{', '.join(told)}."))
    if said := reading.spans_told():
        click.echo(said)
