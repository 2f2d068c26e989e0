"""The figures of a run: predict, generate, tokens, trace, attention, head-stats."""

from __future__ import annotations

import codecs
import csv
import fnmatch
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from txexplain.cli.asked import Changes, Sampling, Source
from txexplain.cli.output import print_json, print_table, writable
from txexplain.cli.streams import unicode_out
from txexplain.engine.derive import Lens
from txexplain.engine.interventions import Intervention
from txexplain.engine.measures import head_measures
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import Distribution, Draw, uniform
from txexplain.engine.tokenizer import Tokenizer
from txexplain.engine.trace import Trace, activation_names
from txexplain.errors import NotRecorded, PromptError, TraceError
from txexplain.explorer.location import MEASURES, Dims, Level, check, parse
from txexplain.facts.head import grid
from txexplain.files import megabytes
from txexplain.front.names import Recorded, recorded_names
from txexplain.text import clean
from txexplain.viz.bars import bar
from txexplain.viz.numbers import measure, number, percent, several
from txexplain.viz.palette import Palette

Names = Tokenizer | Recorded

BAR = 20  # cells


def answered(source: Source, changes: Changes) -> tuple[str, Lens, Names]:
    """The run asked for, or the recorded one: its model's name, the run, and what tokens are called. Raises TraceError."""
    source.required_text()
    if source.trace is None:
        model = source.load()
        return model.name, changes.run(source, model), model.tokenizer
    lens = Lens(Trace.load(source.trace), None)
    return lens.trace.model or "trace", lens, recorded_names(lens)


def predict(source: Source, changes: Changes, sampling: Sampling, top: int, as_json: bool) -> None:
    name, lens, names = answered(source, changes)
    trace = lens.trace
    if "logits" not in trace:
        raise TraceError(f"The trace {source.trace} has no logits, which the probabilities come from; record it with them.")
    dist = sampling.distribution(trace)
    candidates = dist.order[:top].tolist()
    if not as_json:
        print_candidates(name, names, dist, candidates)
        return
    prompt = trace.prompt if source.text is None else source.text
    tokens = [token_fields(names, i) for i in trace.ids]
    following = [candidate_fields(names, dist, i) for i in candidates]
    shown = {"temperature": dist.temperature, "sampling": sampling_fields(dist), "next": following}
    print_json({"model": name, "prompt": prompt, "tokens": tokens, **shown})


def generate(source: Source, changes: Changes, sampling: Sampling, count: int, seed: int, as_json: bool) -> None:
    text = source.required_text()
    model = source.load()
    ids = model.checked(source.token_ids(model, text))
    draws = draw_tokens(model, ids, sampling, seed, count, changes.made(source, model))
    if as_json:
        drawn = list(draws)
        prompt = model.tokenizer.decode(ids) if text is None else text
        tokens = [token_fields(model.tokenizer, d.id) | draw_fields(d) for d in drawn]
        print_json({"model": model.name, "prompt": prompt, "seed": seed, "tokens": tokens})
    else:
        drawn = stream(model, draws)
    if len(drawn) < count and not (drawn and drawn[-1].id in model.config.eos_token_ids):
        click.echo(clean(f"txexplain: {model.name} reads at most {model.config.n_positions} tokens: the text ends here."), err=True)


def tokens(source: Source, as_json: bool) -> None:
    text = source.required_text()
    tokenizer = source.load().tokenizer
    ids = list(source.ids) if source.ids is not None else tokenizer.encode(text or "")
    if outside := [i for i in ids if i >= tokenizer.n_vocab]:
        last = tokenizer.n_vocab - 1
        raise PromptError(f"Token id {outside[0]} is not in the vocabulary of {source.model}; its ids go from 0 to {last}.")
    if as_json:
        print_json([token_fields(tokenizer, i) | {"bytes": tokenizer.token_bytes(i).hex()} for i in ids])
    else:
        rows = [(str(i), tokenizer.display(i, ascii=not unicode_out()), tokenizer.token_bytes(i).hex(" ")) for i in ids]
        print_table(("id", "token", "bytes"), rows, right=(0,))


def trace(source: Source, changes: Changes, path: Path, only: tuple[str, ...], all_logits: bool) -> None:
    text = source.required_text()
    target = writable(path)
    model = source.load()
    names = chosen_names(only, model)
    recorded = model.forward(source.token_ids(model, text), interventions=changes.made(source, model), all_logits=all_logits)
    recorded.save(target, only=names)
    told = f"{several(len(names), 'tensor')} of {several(len(recorded.ids), 'token')}, {megabytes(target.stat().st_size)}"
    click.echo(clean(f"{path}: {told}"))


def chosen_names(only: Sequence[str], model: GPT2) -> list[str]:
    """The tensors that patterns like blocks.5.* name, of those that a run of the model makes. Raises UsageError."""
    names = activation_names(model.config.n_layer)
    for pattern in only:
        if not fnmatch.filter(names, pattern):
            raise click.UsageError(
                f"--only {pattern or repr(pattern)}: no tensor has such a name; they are called {names[0]}, blocks.0.attn.pattern, logits."
            )
    return [name for name in names if not only or any(fnmatch.fnmatchcase(name, pattern) for pattern in only)]


def attention(source: Source, changes: Changes, at: str, as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two forms of the same numbers: give one of them.")
    source.required_text()
    place = parse(at)
    if place.level is not Level.HEAD:
        raise click.UsageError(f"--at {place} isn't a head's grid; name a head and a stage, as L5H1:scaled.")
    name, lens, names = answered(source, changes)
    check(place, Dims.of(lens.config, lens.trace.n_tokens, lens.trace.model or "this trace"))
    try:
        values = grid(lens, place.block, place.head, place.stage).astype("float32")  # [T, T]
    except NotRecorded as missing:
        raise TraceError(f"The trace {source.trace} has no {missing.what}, which this takes; record it with that.") from None
    n, after_mask = len(values), place.stage not in ("qk", "scaled")
    cells = [[None if after_mask and j > i else float(str(values[i, j])) for j in range(n)] for i in range(n)]  # float32's own figures
    ids = lens.trace.ids
    if as_json:
        head = {"block": place.block, "head": place.head, "stage": place.stage}
        print_json({"model": name, "tokens": [token_fields(names, i) for i in ids], **head, "values": cells})
    elif as_csv:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow(("query", "key", "query_token", "key_token", place.stage))
        shown = [names.display(i) for i in ids]
        lines.writerows((i, j, shown[i], shown[j], cell) for i, row in enumerate(cells) for j, cell in enumerate(row) if cell is not None)
    else:
        print_grid(cells, [names.display(i, ascii=not unicode_out()) for i in ids])


def head_stats(source: Source, changes: Changes, as_json: bool) -> None:
    text = source.required_text()
    model = source.load()
    recorded = model.forward(source.token_ids(model, text), interventions=changes.made(source, model))
    n_layer, n_head = model.config.n_layer, model.config.n_head
    measures = head_measures(recorded, n_layer, n_head)
    heads = {f"L{i}H{j}": {name: float(measures.of(name)[i, j]) for name in MEASURES} for i in range(n_layer) for j in range(n_head)}
    if as_json:
        tokens = [token_fields(model.tokenizer, i) for i in recorded.ids]
        prompt = recorded.prompt if text is None else text
        found = [{"head": head} | values for head, values in heads.items()]
        print_json({"model": model.name, "prompt": prompt, "tokens": tokens, "heads": found})
        return
    ascii = not unicode_out()
    rows = [(head, *(measure(name, value, ascii=ascii) for name, value in values.items())) for head, values in heads.items()]
    print_table(("head", *MEASURES), rows, right=range(1, 1 + len(MEASURES)))


# Generation


def draw_tokens(
    model: GPT2, ids: Sequence[int], sampling: Sampling, seed: int, count: int, changes: tuple[Intervention, ...] = ()
) -> Iterator[Draw]:
    """Up to count tokens, each drawn with the number of the position that it takes; ends after end of text or with the context."""
    text, trace = list(ids), None
    while count > 0 and len(text) < model.config.n_positions:
        trace = model.forward(text, interventions=changes, prefix=trace)
        drawn = sampling.distribution(trace).draw(uniform(seed, len(text)))
        yield drawn
        if drawn.id in model.config.eos_token_ids:
            return
        text.append(drawn.id)
        count -= 1


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
            end = show(decoder.decode(model.tokenizer.token_bytes(d.id) or f"#{d.id}".encode()))
    end = show(decoder.decode(b"", final=True))
    if end != "\n":
        sys.stdout.write("\n")
    return drawn


# What is printed of them


def token_fields(tokenizer: Names, id: int) -> dict[str, Any]:
    return {"id": id, "text": tokenizer.decode([id])}


def draw_fields(draw: Draw) -> dict[str, Any]:
    """Greedy too has its number: it is the position's, though any number would fall on the same token."""
    return {"probability": draw.probability, "full_probability": draw.full_probability, "uniform": draw.uniform}


def sampling_fields(dist: Distribution) -> dict[str, Any]:
    setting = {"k": dist.k} if dist.mode == "top-k" else {"p": dist.p} if dist.mode == "top-p" else {}
    return {"mode": dist.mode, **setting, "kept": dist.kept_count}


def candidate_fields(tokenizer: Names, dist: Distribution, id: int) -> dict[str, Any]:
    rank = dist.rank_of(id)
    return {
        "rank": rank + 1,
        **token_fields(tokenizer, id),
        "logit": float(dist.logits[id]),
        "scaled_logit": float(dist.scaled[id]),
        "probability": float(dist.probability[id]),
        "full_probability": float(dist.full_probability[id]),
        "cumulative": float(dist.cumulative[rank]),
        "kept": bool(dist.kept[id]),
    }


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
