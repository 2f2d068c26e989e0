"""Two runs beside each other: two prompts, two models on one prompt, or one run without and with what is changed in it."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from typing import Any

import click
import numpy as np

from txexplain.cli.asked import Changes, Given, Source
from txexplain.cli.causes import Pair, about, named
from txexplain.cli.output import print_json, print_table
from txexplain.cli.streams import unicode_out
from txexplain.engine.compare import patterns_apart, streams_apart, total_variation
from txexplain.engine.sampling import distribution, movers
from txexplain.engine.trace import shared_length
from txexplain.errors import InterventionError
from txexplain.front.documents import token_fields
from txexplain.text import clean
from txexplain.viz.numbers import number, percent, points


def compare(
    source: Source, changes: Changes, pair: Pair, other: str | None, model_beside: str | None, top: int, as_json: bool, as_csv: bool
) -> None:
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms of the same numbers: give one of them.")
    here = source.given(changes)
    there = beside(source, changes, here, other, model_beside)
    a, b = pair.ids(here)
    one, two = (distribution(given.result.trace.last_logits) for given in (here, there))
    p, q = one.full_probability.astype(np.float64), two.full_probability.astype(np.float64)
    if len(p) != len(q):
        raise InterventionError(
            f"{there.name} has another vocabulary, of {len(q):,} tokens and not {len(p):,}: no token is the same in both."
        )
    moved = movers(two, one, len(p) if as_csv else top)  # most changed first: token, there, here
    apart = [difference(given, a, b) for given in (here, there)]
    if as_csv:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow(("id", "text", "here", "other", "change"))
        lines.writerows((token, token_fields(here.names, token)["text"], now, was, now - was) for token, was, now in moved)
    elif as_json:
        print_json("compare", documented(here, there, a, b, apart, total_variation(p, q), moved))
    else:
        ascii = not unicode_out()
        said = [number(each, ascii=ascii, sign=True) for each in apart]
        elsewhere = percent(total_variation(p, q), ascii=ascii)
        click.echo(
            clean(f"{named(here, a, b, ascii)}: {said[0]} here, {said[1]} in the other run; {elsewhere} of the probability is elsewhere.")
        )
        rows = [
            (here.names.display(token, ascii=ascii), percent(now, ascii=ascii), percent(was, ascii=ascii), points(now - was, ascii=ascii))
            for token, was, now in moved
        ]
        print_table(("token", "here", "other", "change"), rows, right=(1, 2, 3))


def beside(source: Source, changes: Changes, here: Given, other: str | None, model: str | None) -> Given:
    """The other run: another prompt's or another model's, with the same changes; or the same one's without them. Raises UsageError."""
    if other is not None and model is not None:
        raise click.UsageError("--from names another prompt and --with another model: give one of them.")
    if other is not None:
        return Given(here.reads, other, None, changes)
    if model is not None:
        loaded = replace(source, model=model, revision=None, tokenizer=None, specials=None).load()
        return Given(loaded, None, tuple(here.ids), changes)
    if not changes.edits:
        raise click.UsageError("There is nothing to compare with: give --from TEXT, --with MODEL, or what is changed, as --ablate L5H1.")
    return Given(here.reads, here.text, here.given_ids)


def difference(given: Given, a: int, b: int | None) -> float:
    """A − B at a run's last token."""
    logits = given.result.trace.last_logits
    return float(logits[a]) - (0.0 if b is None else float(logits[b]))


def documented(
    here: Given, there: Given, a: int, b: int | None, apart: list[float], variation: float, moved: list[tuple[int, float, float]]
) -> dict[str, Any]:
    """Both runs, and how far apart they are; what can't be compared is null."""
    one, two = here.result.trace, there.result.trace
    streams, patterns = streams_apart(one, two), patterns_apart(one, two)
    return about(here, a, b) | {
        "changes": [text for _, text in here.changes.edits],
        "other": {
            "model": there.name,
            "prompt": there.prompt,
            "tokens": [token_fields(there.names, i) for i in there.ids],
            "changes": [text for _, text in there.changes.edits],
        },
        "difference": dict(zip(("here", "other"), apart, strict=True)),
        "total_variation": variation,
        "same_rows": shared_length(one.ids, two.ids),
        "streams": None if streams is None else streams.tolist(),
        "patterns": None if patterns is None else patterns.tolist(),
        "next": [token_fields(here.names, token) | {"here": now, "other": was, "change": now - was} for token, was, now in moved],
    }
