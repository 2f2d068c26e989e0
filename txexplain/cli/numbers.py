"""The figures of a run: predict, generate, tokens, trace, attention, head-stats."""

from __future__ import annotations

import codecs
import csv
import fnmatch
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import click

from txexplain.cli.asked import Changes, Given, Sampling, Source
from txexplain.cli.output import print_documents, print_table, writable
from txexplain.cli.streams import unicode_out
from txexplain.engine import tracefile
from txexplain.engine.generate import draw_tokens
from txexplain.engine.measures import head_measures
from txexplain.engine.model import GPT2
from txexplain.engine.ops import Array
from txexplain.engine.sampling import Distribution, Draw
from txexplain.engine.trace import Trace, activation_names
from txexplain.errors import NotRecorded, TraceError
from txexplain.explorer.location import MEASURES, Dims, Location, check, parse, place_of
from txexplain.explorer.places.heads import Atlas, Head, Heads
from txexplain.facts.head import grid
from txexplain.files import megabytes
from txexplain.front.documents import candidate_fields, sampling_fields, token_fields
from txexplain.front.names import Names
from txexplain.text import clean
from txexplain.viz.bars import bar
from txexplain.viz.numbers import measure, number, percent, several
from txexplain.viz.palette import Palette

BAR = 20  # cells
SEEN = 1 << 16  # tokens whose row is kept: a text says most of its tokens again and again


def predict(source: Source, changes: Changes, sampling: Sampling, top: int, as_json: bool) -> None:
    if as_json or source.prompts is not None:
        print_documents(source, "predict", lambda given: predicted(given, sampling, top), changes)
        return
    given = source.given(changes)
    dist = sampling.distribution(with_logits(given))
    print_candidates(given.name, given.names, dist, dist.order[:top].tolist())


def predicted(given: Given, sampling: Sampling, top: int) -> dict[str, Any]:
    dist = sampling.distribution(with_logits(given))
    return {
        "model": given.name,
        "prompt": given.prompt,
        "tokens": [token_fields(given.names, i) for i in given.ids],
        "temperature": dist.temperature,
        "sampling": sampling_fields(dist),
        "next": [candidate_fields(given.names, dist, i) for i in dist.order[:top].tolist()],
    }


def with_logits(given: Given) -> Trace:
    """The run, which has logits. Raises TraceError."""
    trace = given.result.trace
    if "logits" not in trace:
        raise TraceError(f"The trace {given.path} has no logits, which the probabilities come from; record it with them.")
    return trace


def generate(source: Source, changes: Changes, sampling: Sampling, count: int, seed: int, as_json: bool) -> None:
    if as_json or source.prompts is not None:
        print_documents(source, "generate", lambda given: generated(given, sampling, count, seed), changes)
        return
    given = source.given(changes)
    drawn = stream(given.reads, draw_tokens(given.reads, given.reads.checked(given.ids), sampling, seed, count, given.interventions))
    say_if_full(given.reads, drawn, count)


def generated(given: Given, sampling: Sampling, count: int, seed: int) -> dict[str, Any]:
    model = given.reads
    drawn = list(draw_tokens(model, model.checked(given.ids), sampling, seed, count, given.interventions))
    say_if_full(model, drawn, count)
    tokens = [token_fields(model.tokenizer, d.id) | draw_fields(d) for d in drawn]
    return {"model": model.name, "prompt": given.prompt, "seed": seed, "tokens": tokens}


def say_if_full(model: GPT2, drawn: Sequence[Draw], count: int) -> None:
    if len(drawn) < count and not (drawn and drawn[-1].id in model.config.eos_token_ids):
        click.echo(clean(f"txexplain: {model.name} reads at most {model.config.n_positions} tokens: the text ends here."), err=True)


def tokens(source: Source, as_json: bool) -> None:
    if as_json or source.prompts is not None:
        print_documents(source, "tokens", tokens_document)
        return
    given = source.given()
    tokenizer, ascii = given.reads.tokenizer, not unicode_out()

    @lru_cache(maxsize=SEEN)
    def row(id: int) -> tuple[str, str, str]:
        return str(id), tokenizer.display(id, ascii=ascii), tokenizer.token_bytes(id).hex(" ")

    print_table(("id", "token", "bytes"), map(row, given.every_id()), right=(0,))


def tokens_document(given: Given) -> dict[str, Any]:
    tokenizer = given.reads.tokenizer

    @lru_cache(maxsize=SEEN)
    def fields(id: int) -> dict[str, Any]:
        return token_fields(tokenizer, id) | {"bytes": tokenizer.token_bytes(id).hex()}

    return {"model": given.name, "tokens": map(fields, given.every_id())}


def trace(source: Source, changes: Changes, path: Path, only: tuple[str, ...], all_logits: bool) -> None:
    source.required_text()
    tracefile.require_suffix(path)
    target = writable(path)
    given = source.given(changes)
    names = chosen_names(only, given.reads)
    recorded = given.reads.forward(given.ids, interventions=given.interventions, all_logits=all_logits)
    count = tracefile.save(recorded, target, names)
    told = f"{several(count, 'tensor')} of {several(len(recorded.ids), 'token')}, {megabytes(target.stat().st_size)}"
    click.echo(clean(f"{path}: {told}"))


def chosen_names(only: Sequence[str], model: GPT2) -> list[str]:
    """The tensors that patterns like blocks.5.* name, of those that a run of the model makes. Raises UsageError."""
    names = activation_names(model.config.n_layer)
    called = {name: tracefile.in_file([name]) for name in names}  # a LayerNorm's result has two names
    chosen: set[str] = set()
    for pattern in only:
        plain = tracefile.HOOK.sub("", pattern)
        found = {name for name, all in called.items() if any(fnmatch.fnmatchcase(each, plain) for each in all)}
        if not found:
            raise click.UsageError(
                f"--only {pattern or repr(pattern)}: no tensor has such a name; they are called {names[0]}, blocks.0.attn.pattern, logits."
            )
        chosen |= found
    return [name for name in names if not only or name in chosen]


@dataclass(frozen=True)
class Grids:
    """Which heads' grids are asked for, and at which stage: one head's, or those of all heads of a block or of the model."""

    place: Location
    stage: str

    @classmethod
    def of(cls, at: str, stage: str | None) -> Grids:
        """Raises LocationError, UsageError."""
        place = parse(at)
        if isinstance(place_of(place), Head):
            if stage is not None:
                raise click.UsageError(f"--at {place} names a stage itself: leave --stage out.")
            return cls(place, place.stage)
        if not isinstance(place_of(place), Heads):
            raise click.UsageError(f"--at {place} isn't a head's grid; name a head and a stage, as L5H1:scaled, or L5.attn, or heads.")
        return cls(place, stage or "softmax")

    @property
    def many(self) -> bool:
        return not isinstance(place_of(self.place), Head)

    def heads(self, given: Given) -> list[tuple[int, int]]:
        """Their blocks and heads. Raises LocationError, and TraceError where a block's weren't recorded, before anything is printed."""
        result, place = given.result, self.place
        check(place, Dims.of(result.config, result.trace.n_tokens, result.trace.model or "this trace"))
        if not self.many:
            return [(place.block, place.head)]
        blocks = range(result.config.n_layer) if isinstance(place_of(place), Atlas) else [place.block]
        for block in blocks:
            self.values(given, block, 0)
        return [(block, head) for block in blocks for head in range(result.config.n_head)]

    def values(self, given: Given, block: int, head: int) -> Array:
        """A head's grid [T, T]. Raises TraceError."""
        try:
            return grid(given.result, block, head, self.stage).astype("float32")
        except NotRecorded as missing:
            raise TraceError(f"The trace {given.path} has no {missing.what}, which this takes; record it with that.") from None

    def cells(self, given: Given, block: int, head: int) -> list[list[float | None]]:
        """A list a query, each with float32's own figures a key; None beyond the mask. Raises TraceError."""
        values = self.values(given, block, head)  # [T, T]
        n, after_mask = len(values), self.stage not in ("qk", "scaled")
        return [[None if after_mask and j > i else float(str(values[i, j])) for j in range(n)] for i in range(n)]


def attention(source: Source, changes: Changes, at: str, stage: str | None, as_json: bool, as_csv: bool) -> None:
    if as_csv and (as_json or source.prompts is not None):
        raise click.UsageError("--json and --csv are two forms of the same numbers: give one of them, and with --prompts --json alone.")
    grids = Grids.of(at, stage)
    if as_json or source.prompts is not None:
        print_documents(source, "attention", lambda given: grids_document(given, grids), changes)
        return
    given = source.given(changes)
    if as_csv:
        write_grids(given, grids)
        return
    names = [given.names.display(i, ascii=not unicode_out()) for i in given.ids]
    for n, (block, head) in enumerate(grids.heads(given)):
        if grids.many:
            click.echo(f"{chr(10) if n else ''}L{block}H{head}:{grids.stage}")
        print_grid(grids.cells(given, block, head), names)


def grids_document(given: Given, grids: Grids) -> dict[str, Any]:
    """One head's grid, or a list of heads' grids."""
    heads = grids.heads(given)
    tokens = [token_fields(given.names, i) for i in given.ids]
    document = {"model": given.name, "prompt": given.prompt, "tokens": tokens}
    if not grids.many:
        block, head = heads[0]
        return document | {"block": block, "head": head, "stage": grids.stage, "values": grids.cells(given, block, head)}
    found = ({"block": block, "head": head, "values": grids.cells(given, block, head)} for block, head in heads)
    return document | {"stage": grids.stage, "heads": found}


def write_grids(given: Given, grids: Grids) -> None:
    """A line for each query and key, of each head where there are many."""
    lines = csv.writer(sys.stdout, lineterminator="\n")
    columns = ("query", "key", "query_id", "key_id", "query_token", "key_token", grids.stage)
    lines.writerow((*(("block", "head") if grids.many else ()), *columns))
    ids, names = given.ids, [given.names.display(i) for i in given.ids]
    for block, head in grids.heads(given):
        first = (block, head) if grids.many else ()
        for i, row in enumerate(grids.cells(given, block, head)):
            lines.writerows((*first, i, j, ids[i], ids[j], names[i], names[j], cell) for j, cell in enumerate(row) if cell is not None)


def head_stats(source: Source, changes: Changes, as_json: bool) -> None:
    if as_json or source.prompts is not None:
        print_documents(source, "head-stats", stats_document, changes)
        return
    found, ascii = measured(source.given(changes)), not unicode_out()
    rows = [(head, *(measure(name, value, ascii=ascii) for name, value in values.items())) for head, values in found.items()]
    print_table(("head", *MEASURES), rows, right=range(1, 1 + len(MEASURES)))


def stats_document(given: Given) -> dict[str, Any]:
    tokens = [token_fields(given.names, i) for i in given.ids]
    found = [{"head": head} | values for head, values in measured(given).items()]
    return {"model": given.name, "prompt": given.prompt, "tokens": tokens, "heads": found}


def measured(given: Given) -> dict[str, dict[str, float]]:
    """What every head does, by its name."""
    n_layer, n_head = given.result.config.n_layer, given.result.config.n_head
    measures = head_measures(given.result.trace, n_layer, n_head)
    return {f"L{i}H{j}": {name: float(measures.of(name)[i, j]) for name in MEASURES} for i in range(n_layer) for j in range(n_head)}


# Generation


def stream(model: GPT2, draws: Iterator[Draw]) -> list[Draw]:
    """Print the tokens' text as it comes, in complete characters only: a token may end in the middle of one."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    to_terminal = sys.stdout.isatty()
    drawn, end = [], "\n"

    def show(text: str) -> str:
        if text:
            sys.stdout.write(clean(text) if to_terminal else text)
            sys.stdout.flush()
        return text[-1:] or end

    for d in draws:
        drawn.append(d)
        if d.id not in model.config.eos_token_ids:
            end = show(decoder.decode(model.tokenizer.raw(d.id)))
    end = show(decoder.decode(b"", final=True))
    if end != "\n":
        sys.stdout.write("\n")
    return drawn


# What is printed of them


def draw_fields(draw: Draw) -> dict[str, Any]:
    """Greedy too has its number: it is the position's, though any number would fall on the same token."""
    return {"probability": draw.probability, "full_probability": draw.full_probability, "uniform": draw.uniform}


def print_candidates(name: str, names: Names, dist: Distribution, candidates: Sequence[int]) -> None:
    """The candidates as a table with bars; the bar is the probability after the filter."""
    ascii = not unicode_out()
    palette = Palette(ascii=ascii)
    largest = float(dist.probability.max())
    filtered = dist.mode != "full"
    rows = []
    for rank, id in enumerate(candidates, 1):
        probability = float(dist.probability[id])
        shares = [percent(probability, ascii=ascii) if dist.kept[id] else "cut"]
        if filtered:
            shares.append(percent(float(dist.full_probability[id]), ascii=ascii))
        shares.append(percent(float(dist.cumulative[rank - 1]), ascii=ascii))
        token = names.display(id, ascii=ascii)
        rows.append((str(rank), token, bar(probability / largest, BAR, palette), *shares, f"{dist.logits[id]:.2f}"))
    kept = {"full": "", "greedy": ", greedy", "top-k": f", top-k {dist.k}", "top-p": f", top-p {dist.p}"}[dist.mode]
    click.echo(clean(f"{name}, T {dist.temperature:g}{kept}: {dist.kept_count} of {len(dist.order)} tokens, {dist.entropy_bits:.2f} bits"))
    heads = ("rank", "token", "", "probability", *(("of all",) if filtered else ()), "cumulative", "logit")
    print_table(heads, rows, right=(0, *range(3, len(heads))))


def print_grid(cells: Sequence[Sequence[float | None]], tokens: Sequence[str]) -> None:
    """A row a query, a column a key; a dot where the key comes after the query. Never cut, however long the lines."""
    ascii = not unicode_out()
    blank = "." if ascii else "·"
    rows = [(f"{i} {tokens[i]}", *(blank if cell is None else number(cell, ascii=ascii) for cell in row)) for i, row in enumerate(cells)]
    print_table(("query", *(f"{j} {token}" for j, token in enumerate(tokens))), rows)
