"""What a run's answer hangs on: the difference of two tokens taken apart (direct), and what becomes of it where something is changed
(effects, scan)."""

from __future__ import annotations

import csv
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from txexplain.cli.asked import Changes, Given, Source, read_prompt
from txexplain.cli.output import print_json, print_table
from txexplain.cli.streams import unicode_out
from txexplain.engine.attribution import direct as taken_apart
from txexplain.engine.attribution import row_of
from txexplain.engine.effects import contrast, sweep
from txexplain.engine.model import GPT2
from txexplain.engine.plans import MEAN, PATCHED, Plan, plan
from txexplain.engine.scan import scan as scanned
from txexplain.engine.sets import OTHER, Example, effects_over, read_examples
from txexplain.engine.trace import Trace
from txexplain.explorer.contrast import read_token
from txexplain.front.documents import token_fields
from txexplain.text import clean
from txexplain.viz.numbers import number, percent, points, several


@dataclass(frozen=True)
class Pair:
    """The two tokens whose logits are compared, as they were named: by text, or as #464."""

    answer: str | None
    against: str | None

    def ids(self, given: Given) -> tuple[int, int | None]:
        """By default the likeliest two. Raises PromptError, TokenizerError, InterventionError."""
        model = given.reads
        a, b = (
            None if text is None else read_token(text, model.config.vocab_size, model.tokenizer) for text in (self.answer, self.against)
        )
        return contrast(model, given.result.trace, a, b)


@dataclass(frozen=True)
class Instead:
    """What parts are set to: a word or a number, or what they are in another prompt's run."""

    to: str | float | None
    other: str | None

    @classmethod
    def of(cls, to: str | None, other: str | None) -> Instead:
        """Raises UsageError where both are named."""
        if to is not None and other is not None:
            raise click.UsageError("--to and --from both say what parts are set to: give one of them.")
        try:
            return cls(None if to is None else float(to), other)
        except ValueError:
            return cls(to, other)

    def donor(self, model: GPT2) -> Trace | None:
        return None if self.other is None else model.forward(model.prompt_ids(self.other))


def direct(source: Source, changes: Changes, pair: Pair, token: int | None, as_json: bool) -> None:
    given = source.given(changes)
    a, b = pair.ids(given)
    trace = given.result.trace
    row = row_of(trace, token)
    found = taken_apart(given.reads, trace, a, b, row)
    if as_json:
        parts = {"embed": found.embed, "pos": found.pos, "heads": found.head.tolist(), "attn_bias": found.attn_bias.tolist()}
        parts |= {"mlp": found.mlp.tolist(), "always": found.always, "changed": found.changed}
        print_json("direct", about(given, a, b) | {"token": row, "total": found.total, **parts})
        return
    ascii = not unicode_out()

    def cells(values: Sequence[float]) -> list[str]:
        return [number(value, ascii=ascii, sign=True) for value in values]

    click.echo(clean(f"{named(given, a, b, ascii)} at token {row}: {cells([found.total])[0]}, the sum of what each part adds directly."))
    heads = [f"H{head}" for head in range(found.head.shape[1])]
    blocks = zip(found.head.tolist(), found.attn_bias.tolist(), found.mlp.tolist(), strict=True)
    rows = [(f"L{layer}", *cells([*head, bias, mlp])) for layer, (head, bias, mlp) in enumerate(blocks)]
    print_table(("block", *heads, "bias", "MLP"), rows, right=range(1, len(heads) + 3))
    others = {"embedding": found.embed, "position": found.pos, "always (LayerNorm's bias)": found.always, "changed": found.changed}
    shown = {name: value for name, value in others.items() if name != "changed" or trace.interventions}
    click.echo(", ".join(f"{name} {cells([value])[0]}" for name, value in shown.items()))


def effects(
    source: Source, changes: Changes, pair: Pair, instead: Instead, of: str, examples: str | None, top: int, as_json: bool, as_csv: bool
) -> None:
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms of the same numbers: give one of them.")
    table = one_run(source.given(changes), pair, instead, of) if examples is None else many_runs(source, pair, instead, of, examples)
    if as_json:
        print_json("effects", table.document)
    elif as_csv:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow((*table.planned.axes, *table.columns))
        lines.writerows((*cell, *(float(values[cell]) for values in table.columns.values())) for cell in table.cells())
    else:
        click.echo(clean(table.heading))
        strongest = sorted(table.cells(), key=lambda cell: -abs(table.columns[table.by][cell]))[:top]
        rows = [(table.planned.place(cell), *(table.told(name, cell) for name in table.columns)) for cell in strongest]
        print_table(("place", *(name.replace("_", " ") for name in table.columns)), rows, right=range(1, 1 + len(table.columns)))


@dataclass(frozen=True)
class Table:
    """A number a cell in each column; `by` names the one that cells are ranked by."""

    planned: Plan
    heading: str
    document: dict[str, Any]
    columns: dict[str, NDArray[np.float64]]
    by: str

    def cells(self) -> list[tuple[int, ...]]:
        """Those that something was changed in."""
        values = self.columns[self.by]
        return [cell for cell in np.ndindex(*values.shape) if not np.isnan(values[cell])]

    def told(self, name: str, cell: tuple[int, ...]) -> str:
        value, ascii = float(self.columns[name][cell]), not unicode_out()
        if np.isnan(value):
            return "none"
        if name == "right_after":
            return percent(value, ascii=ascii)
        if name == "probability":
            return points(value, ascii=ascii)
        return number(value, ascii=ascii, sign=name in ("change", "mean"))


def one_run(given: Given, pair: Pair, instead: Instead, of: str) -> Table:
    model, trace, donor = given.reads, given.result.trace, instead.donor(given.reads)
    a, b = pair.ids(given)
    planned = plan(model, trace, of, to=instead.to, donor=donor)
    told = sweep(model, trace, planned, donor=donor, answer=a, against=b, probability=True)
    found = deque(told, maxlen=1).pop()
    assert found.probability is not None
    columns = {"change": found.change, "probability": found.probability}
    if found.restored is not None:
        columns["restored"] = found.restored
    document = about(given, a, b) | {"of": of, "to": found.to, "axes": list(found.axes), "without": found.without, "other": found.other}
    whole = {name: columns[name].tolist() if name in columns else None for name in ("change", "probability", "restored")}
    ascii = not unicode_out()
    heading = f"{named(given, a, b, ascii)}: {number(found.without, ascii=ascii)}. How it changes with {of}, each alone: {found.to}."
    return Table(planned, heading, document | whole, columns, "change")


def many_runs(source: Source, pair: Pair, instead: Instead, of: str, path: str) -> Table:
    """The same over a file of examples. Raises UsageError for what the file brings itself."""
    if pair != Pair(None, None) or instead.other is not None or source.text is not None or source.ids is not None:
        raise click.UsageError("--prompts brings prompts, answers and other prompts: give none of these with it; --to other patches.")
    examples = read_examples(read_prompt(path), path)
    model = source.load()
    *_, found = effects_over(model, examples, of, to=instead.to)
    planned = plan_of(model, examples[0], of, instead)
    columns = {"mean": found.mean, "spread": found.spread, "right_after": found.right_after}
    document = {"model": model.name, "examples": len(examples), "of": of, "to": found.to, "axes": list(found.axes)}
    document |= {"without": found.without.tolist(), "right_before": found.right_before}
    ascii = not unicode_out()
    heading = (
        f"{several(len(examples), 'example')}, {percent(found.right_before, ascii=ascii)} right. "
        f"How their differences change with {of}, each alone: {found.to}."
    )
    return Table(planned, heading, document | {name: values.tolist() for name, values in columns.items()}, columns, "mean")


def plan_of(model: GPT2, example: Example, of: str, instead: Instead) -> Plan:
    """How the cells of an example are called."""
    patched = instead.to == OTHER or of in PATCHED
    donor = model.forward(model.prompt_ids(example.other)) if patched else None
    return plan(model, model.forward(model.prompt_ids(example.prompt)), of, to=None if patched else instead.to, donor=donor)


def scan(source: Source, changes: Changes, pair: Pair, instead: Instead, top: int, as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms of the same numbers: give one of them.")
    given = source.given(changes)
    a, b = pair.ids(given)
    to, donor = MEAN if instead.to is None else instead.to, instead.donor(given.reads)
    found = deque(scanned(given.reads, given.result.trace, to=to, donor=donor, answer=a, against=b, n=top), maxlen=1).pop()
    columns = ("of", "place", "to", "change", "probability")
    rows = [{name: getattr(each, name) for name in columns} for each in found.findings]
    if as_json:
        print_json("scan", about(given, a, b) | {"without": found.without, "tried": list(found.tried), "findings": rows})
    elif as_csv:
        lines = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)
    else:
        ascii = not unicode_out()
        click.echo(clean(f"{named(given, a, b, ascii)}: {number(found.without, ascii=ascii)}. What changes it most:"))
        figures = [
            (each.place, each.of, each.to, number(each.change, ascii=ascii, sign=True), points(each.probability, ascii=ascii))
            for each in found.findings
        ]
        print_table(("place", "kind", "set to", "change", "probability"), figures, right=(3, 4))


def about(given: Given, a: int, b: int | None) -> dict[str, Any]:
    """What was asked about: the prompt, and the two tokens that are compared."""
    names = given.names
    return {
        "model": given.name,
        "prompt": given.prompt,
        "tokens": [token_fields(names, i) for i in given.ids],
        "answer": token_fields(names, a),
        "against": None if b is None else token_fields(names, b),
    }


def named(given: Given, a: int, b: int | None, ascii: bool) -> str:
    """The difference: Anna − Tom."""
    first, *other = (given.names.display(i, ascii=ascii).strip() or "space" for i in (a, b) if i is not None)
    return f"{first} {'-' if ascii else '−'} {other[0]}" if other else f"{first}'s logit"
