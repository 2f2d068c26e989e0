"""Trace files: a run as a safetensors file. What is read may be anybody's, so every claim of it is checked before anything is shown.

Names are TransformerLens's, with or without their `hook_`; what a file holds beyond a run's activations is left out, and counted.
A LayerNorm's result is `normalized` here, gain and bias applied, as in TransformerLens 2 with no_processing; TransformerLens 4 calls that
`out`, and what it calls `normalized` is the vector before. A file that is written here has the result under both names.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from txexplain.bounded import load_json
from txexplain.engine.config import LARGEST, MOST_VALUES, GPT2Config
from txexplain.engine.interventions import Cut, Intervention, Set
from txexplain.engine.room import lack_for_look
from txexplain.engine.safetensors import Entry, Mapped, Source, Stored, as_array, header_of, let_go, map_safetensors, require_memory_for
from txexplain.engine.steps import AFTER, BEFORE, STEPS
from txexplain.engine.tokenizer import LONGEST_TOKEN, Tokenizer
from txexplain.engine.trace import LARGEST_NUMBER, PER_HEAD, SQUARE, Floats, Trace, canonical, expected_shapes, guess_config, known_sizes
from txexplain.errors import CheckpointError, ExplainError, TokenizerError, TraceError, reason
from txexplain.files import write_whole
from txexplain.text import clean, shown, visible

FORMAT, SUFFIX = "txexplain-trace/1", ".safetensors"
HOOK = re.compile(r"(?<![^.])hook_")
INSIDE = re.compile(r"blocks\.(?:0|[1-9][0-9]{0,8})\.(.+)")
BLOCK, ENDS = frozenset(each.name for each in STEPS), frozenset((*BEFORE, *AFTER))
NORMALIZED, OUT = ".normalized", ".out"
OTHERWISE = {"ids": ("input_ids", "tokens", "embed.in"), "logits": ("unembed.out",)}  # what else the field calls them
LONGEST_SHOWN = 8 * LONGEST_TOKEN  # characters of a token as it is shown: a byte may be shown as some
AT_ONCE = 1 << 20  # numbers that are looked at in one go
MOST_TOKENS = 1 << 16  # in a file: far above any GPT-2's context, and a screen can still count them
MOST_EDITS = 500_000  # values in what was changed by hand: an edge takes three
MOST_NAMED = 3
SMALLEST_SCALE = 1e-7  # a LayerNorm's is sqrt(variance + eps), and eps some 1e-5
ROUNDING = 1e-2  # how far a share may lie outside of 0 to 1: a file may come from a run in half precision
SAMPLE = 16  # tokens that tell what `normalized` is
FITS = 1e-3  # of the largest number: how far it may lie from what explains it


# Writing


def save(trace: Trace, path: Path, only: Iterable[str] | None = None) -> int:
    """Write a trace's tensors as float32, `ids` as int64, and what is known of the run as metadata; how many activations there are.

    The same run gives the same bytes. Raises TraceError where the file can't be written, or is called as one of another kind.
    """
    require_suffix(path)
    names = in_file(trace.names if only is None else [name for name in trace.names if name in set(only)])
    shapes = [("ids", "I64", (trace.n_tokens,)), *((name, "F32", trace[name].shape) for name in names)]

    def pieces() -> Iterator[bytes | memoryview]:
        yield header_of(shapes, metadata_of(trace))
        yield np.array(trace.ids, dtype="<i8").tobytes()
        for name in names:
            yield np.ascontiguousarray(trace[name], dtype="<f4").data

    try:
        write_whole(path, pieces())
    except OSError as error:
        raise TraceError(f"The trace can't be written to {path}: {reason(error).lower()}; name another file.") from None
    return len(names)


def require_suffix(path: Path) -> None:
    """Raise TraceError for a name that promises another kind of file."""
    if path.name == "-":
        raise TraceError("A trace is a file with the whole run in it, not a stream; name one that ends in .safetensors.")
    if path.suffix not in ("", SUFFIX):
        raise TraceError(f"A trace is written as safetensors, and {path.name} is called as something else; name it {path.stem}{SUFFIX}.")


def in_file(names: Iterable[str]) -> list[str]:
    """The names under which a file holds these activations: a LayerNorm's result under both its names."""
    return [each for name in names for each in ((name, out_of(name)) if name.endswith(NORMALIZED) else (name,))]


def out_of(name: str) -> str:
    """TransformerLens 4's name of a LayerNorm's result."""
    return name.removesuffix(NORMALIZED) + OUT


def metadata_of(trace: Trace) -> dict[str, str]:
    """What is known of a run, in strings."""
    metadata = {"format": FORMAT, "model": clean(trace.model), "prompt": trace.prompt}
    if trace.config is not None:
        metadata["config"] = json.dumps(trace.config.to_dict())
    if trace.tokens is not None:
        metadata["tokens"] = json.dumps(list(trace.tokens))
    if trace.interventions:
        metadata["interventions"] = json.dumps([fields_of(each) for each in trace.interventions])
    return metadata


def fields_of(edit: Intervention) -> dict[str, Any]:
    """What was changed by hand, as JSON: an array as its float32 numbers' bytes, in base64."""
    if isinstance(edit, Cut):
        return {"cut": edit.block, "head": edit.head, "edges": edit.edges, "raw": edit.raw}
    data = base64.b64encode(edit.value.astype("<f4").tobytes()).decode("ascii")
    value = {"shape": edit.value.shape, "float32": data} if edit.value.ndim else float(edit.value)
    fields = {"set": edit.name, "value": value, "rows": edit.rows, "head": edit.head, "index": edit.index, "each": edit.each}
    return fields | ({"origin": edit.origin} if edit.origin else {})


# Reading


def load(path: Path) -> Trace:
    """Open a trace file; its tensors are mapped, not read.

    Raises TraceError where the file isn't a trace, or where its parts don't fit each other.
    """
    source = Source(path, "trace", TraceError)
    mapped = map_safetensors(source)
    where, metadata = f"The trace {path}", mapped.metadata
    named, left_out = by_our_names(where, mapped.entries, ours=metadata.get("format") == FORMAT)
    ids = read_ids(where, mapped, named.pop("ids", None))
    config = read_config(where, metadata)
    tokens = read_tokens(where, metadata, len(ids))
    edits = read_interventions(where, metadata, config)
    require_memory_for([Stored(entry, mapped.data, source) for entry in named.values()], source)
    tensors = {name: without_batch(where, name, as_array(mapped.data, entry)) for name, entry in named.items()}
    logits = tensors.get("logits")
    if logits is not None and logits.ndim == 2 and len(logits) == 1 < len(ids):
        tensors["logits"] = logits[0]  # the last position's, of a batch of one
    good = by_one_name(where, checked(where, tensors, config, ids, edits))
    prompt = metadata.get("prompt", "")
    return Trace(
        ids,
        {name: (array,) for name, array in good.items()},
        config=config,
        tokens=gpt2_tokens(ids, prompt) if tokens is None else tokens,
        model=shown(metadata["model"], 200) if metadata.get("model") else "",
        prompt=prompt,
        interventions=edits,
        notes=notes_on(left_out, good, named),
    )


def by_our_names(where: str, entries: Iterable[Entry], *, ours: bool) -> tuple[dict[str, Entry], list[str]]:
    """A file's tensors by the names that a Trace has for them, and the names of those that it has none for.

    ours: the file says that txexplain wrote it, so that `normalized` is what it is here.
    Raises TraceError where one is there with its hook_ and without.
    """
    given: dict[str, Entry] = {}
    for entry in entries:
        name = HOOK.sub("", entry.name)
        if name in given:
            raise TraceError(f"{where} holds {name} and {entry.name}, which are two names of one tensor; remove one of the two.")
        given[name] = entry
    for name, others in OTHERWISE.items():
        if name not in given and (other := next((each for each in others if each in given), None)):
            given[name] = given.pop(other)
    of_4 = not ours and any(name.endswith((".in", OUT)) for name in given)
    named = {name: entry for name, entry in given.items() if is_known(name) and not (of_4 and name.endswith(NORMALIZED))}
    return named, [entry.name for name, entry in given.items() if name not in named]


def is_known(name: str) -> bool:
    """Whether a run of some GPT-2 has an activation of that name."""
    name = canonical(name)
    inside = INSIDE.fullmatch(name)
    return name == "ids" or (inside[1] in BLOCK if inside else name in ENDS)


def without_batch(where: str, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """A tensor without TransformerLens's batch of one, float64 as float32. Raises TraceError for a larger batch."""
    axes = 1 if name == "ids" else 3 if name.endswith((*SQUARE, *PER_HEAD)) else 2
    if array.ndim == axes + 1:
        if len(array) > 1:
            raise TraceError(f"{where} holds a batch of {len(array)} runs ({name} is {list(array.shape)}); save one of them.")
        array = array[0] if len(array) else array
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):  # what no float32 holds is refused as infinite
            array = array.astype(np.float32)
    array.flags.writeable = False
    return array


def read_ids(where: str, mapped: Mapped, entry: Entry | None) -> tuple[int, ...]:
    ids = None if entry is None else without_batch(where, "ids", as_array(mapped.data, entry))
    if ids is None or ids.ndim != 1 or ids.dtype.kind not in "iu" or ids.size == 0 or ids.min() < 0:
        raise TraceError(f"{where} has no list of token ids (a tensor `ids` of whole numbers): it isn't one that txexplain can show.")
    if ids.size > MOST_TOKENS:
        raise TraceError(f"{where} says that it has {ids.size} tokens; txexplain opens traces of at most {MOST_TOKENS}.")
    if ids.max() >= LARGEST:
        raise TraceError(f"{where} holds the token id {ids.max()}, which no vocabulary has.")
    return tuple(ids.tolist())


def read_config(where: str, metadata: Mapping[str, str]) -> GPT2Config | None:
    if "config" not in metadata:
        return None
    try:
        return GPT2Config.from_dict(load_json(metadata["config"].encode(), MOST_VALUES), source=where)
    except (ValueError, RecursionError, CheckpointError) as error:
        raise TraceError(f"{where} holds a config that can't be used: {error}") from None


def read_tokens(where: str, metadata: Mapping[str, str], n_tokens: int) -> tuple[str, ...] | None:
    if "tokens" not in metadata:
        return None
    try:
        tokens = load_json(metadata["tokens"].encode(), n_tokens)
    except (ValueError, RecursionError):
        tokens = None
    if not isinstance(tokens, list) or len(tokens) != n_tokens or not all(isinstance(t, str) for t in tokens):
        raise TraceError(f"{where} holds a list of tokens that isn't {n_tokens} strings, one for each id.")
    if len(longest := max(tokens, key=len)) > LONGEST_SHOWN:
        raise TraceError(f"{where} holds a token of {len(longest):,} characters; {LONGEST_SHOWN:,} are the most.")
    return tuple(visible(token) for token in tokens)


def gpt2_tokens(ids: Sequence[int], prompt: str) -> tuple[str, ...] | None:
    """GPT-2's tokens, for a file that names none: where its prompt encodes to its ids, with or without the token that starts a text."""
    if not prompt or max(ids) >= GPT2Config.vocab_size:
        return None
    gpt2 = Tokenizer.gpt2()
    try:
        found = gpt2.encode(prompt, limit=len(ids))
    except TokenizerError:
        return None
    same = list(ids) in (found, [GPT2Config.bos_token_id, *found])
    return tuple(gpt2.display(i) for i in ids) if same else None


def read_interventions(where: str, metadata: Mapping[str, str], config: GPT2Config | None) -> tuple[Intervention, ...]:
    """What was changed by hand in the run. Raises TraceError for what can't be, or can't be in this model."""
    if "interventions" not in metadata:
        return ()
    if config is None:
        raise TraceError(f"{where} says what was changed in its run, but not in which model: its config is missing.")
    try:
        fields = load_json(metadata["interventions"].encode(), MOST_EDITS)
        edits = tuple(edit_of(each) for each in fields)
        for each in edits:
            each.edits(config)
    except ExplainError as error:
        raise TraceError(f"{where} holds a change that its run can't have had: {error}") from None
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, MemoryError):
        raise TraceError(f"{where} holds a list of changes that can't be read; record the run again.") from None
    return edits


def edit_of(fields: Any) -> Intervention:
    """One change. Raises InterventionError, ValueError, TypeError, KeyError, OverflowError."""
    if "cut" in fields:
        return Cut(whole(fields["cut"]), head=fields["head"], edges=fields["edges"], raw=bool(fields["raw"]))
    value = fields["value"]
    if isinstance(value, dict):
        numbers = np.frombuffer(base64.b64decode(value["float32"], validate=True), dtype="<f4")
        value = numbers.reshape([whole(size) for size in value["shape"]])
    parts = {name: fields[name] for name in ("rows", "head", "index")}
    origin = fields.get("origin", "")
    return Set(str(fields["set"]), value, each=bool(fields["each"]), origin=origin if origin in ("mean", "from") else "", **parts)


def whole(number: Any) -> int:
    if type(number) is not int or not 0 <= number < LARGEST:
        raise ValueError("not a whole number")
    return number


def checked(
    where: str, tensors: Mapping[str, NDArray[Any]], config: GPT2Config | None, ids: Sequence[int], edits: Sequence[Intervention]
) -> dict[str, Floats]:
    """The activations of a file, each of the shape that the others ask for, and finite where it must be."""
    n_tokens = len(ids)
    told = config or guess_config(where, tensors)
    require_room(where, tensors, config, ids)
    require_memory(where, tensors, told, n_tokens)
    known = expected_shapes(told, n_tokens)
    known |= {out_of(name): shape for name, shape in known.items() if name.endswith(NORMALIZED)}
    good: dict[str, Floats] = {}
    for name, array in tensors.items():
        if name == "logits":
            V = told.vocab_size if array.ndim in (1, 2) else "V"
            fits = array.shape in ((V,), (n_tokens, V))
            wanted = f"[{V}] or [{n_tokens}, {V}]"
        elif name in known:
            fits, wanted = array.shape == known[name], str(list(known[name]))
        else:
            raise TraceError(
                f"{where} has a tensor {shown(name)}, of a block that its model doesn't have; one of the two is another run's."
            )
        if array.dtype != np.float32 or not fits:
            raise TraceError(f"{where}: {name} is {array.dtype} {list(array.shape)}, but must be float32 {wanted}.")
        found = looked_at(name, without_cuts(name, array, edits))
        let_go(array)
        if not found.finite:
            raise TraceError(f"{where}: {name} holds numbers that aren't finite.")
        if found.largest > LARGEST_NUMBER:
            raise TraceError(
                f"{where}: {name} holds a number of size {found.largest:.2g}; beyond {LARGEST_NUMBER:g} the views would be wrong."
            )
        if name.endswith(".scale") and found.least < SMALLEST_SCALE:
            raise TraceError(f"{where}: {name} holds numbers that aren't a LayerNorm's scales: each is at least {SMALLEST_SCALE:g}.")
        if name.endswith(".pattern") and not found.shares:
            raise TraceError(
                f"{where}: {name} holds numbers that aren't shares: each is 0 to 1, and 0 where the key comes after the query."
            )
        good[name] = array
    return good


def without_cuts(name: str, array: Floats, edits: Iterable[Intervention]) -> Floats:
    """Scores in which an edge that was cut isn't −inf, so that only what nobody cut must be finite."""
    cuts = [each for each in edits if isinstance(each, Cut) and name == f"blocks.{each.block}.attn.attn_scores" and not each.raw]
    if not cuts:
        return array
    array = array.copy()
    for cut in cuts:
        heads = list(range(len(array)) if cut.head is None else cut.head)
        for query, key in cut.edges:
            if query < array.shape[1]:
                array[heads, query, key] = np.where(np.isneginf(array[heads, query, key]), 0, array[heads, query, key])
    return array


def by_one_name(where: str, tensors: Mapping[str, Floats]) -> dict[str, Floats]:
    """The activations by their canonical names. Raises TraceError where a file holds one under both its names, and they differ."""
    found: dict[str, Floats] = {}
    for name, array in tensors.items():
        own = canonical(name)
        if own in found and not np.array_equal(found[own], array):
            raise TraceError(f"{where} holds {own} once more under the name {name}, with other numbers; remove one of the two.")
        found[own] = array
    return found


def require_room(where: str, tensors: Mapping[str, NDArray[Any]], config: GPT2Config | None, ids: Sequence[int]) -> None:
    """Raise TraceError for more tokens than the model reads, or an id outside of its vocabulary."""
    if config is not None and len(ids) > config.n_positions:
        raise TraceError(f"{where} has {len(ids)} tokens, but its config says that the model reads at most {config.n_positions}.")
    V = config.vocab_size if config is not None else known_sizes(tensors).get("vocab_size")
    largest = max(ids)
    if V is not None and largest >= V:
        raise TraceError(f"{where} holds the token id {largest}, but its vocabulary has {V} tokens.")


def require_memory(where: str, tensors: Mapping[str, NDArray[Any]], config: GPT2Config, n_tokens: int) -> None:
    """Raise TraceError for grids, recorded or to be computed from what is, that don't fit into memory."""
    grids = [tensors[name] for name in tensors if name.endswith(SQUARE)]
    attends = grids or any(name.endswith(".q") for name in tensors)
    if attends and (lack := lack_for_look(config, n_tokens, sum(grid.nbytes for grid in grids))):
        raise TraceError(f"{where} is too long: {lack}.")


def notes_on(left_out: Sequence[str], tensors: Mapping[str, Floats], named: Iterable[str]) -> tuple[str, ...]:
    """What a reader is told of a file from elsewhere, which calls its tensors so."""
    notes = []
    if left_out:
        names = ", ".join(shown(name, 40) for name in left_out[:MOST_NAMED]) + (", …" if len(left_out) > MOST_NAMED else "")
        notes.append(f"{len(left_out)} of its tensors aren't shown, since no run here has them: {names}.")
    if any(is_before(name, tensors) for name in tensors if name.endswith(NORMALIZED) and out_of(name) not in named):
        notes.append(
            "Its LayerNorms' `normalized` is before gain and bias, as TransformerLens 4 means it (or a model whose LayerNorms were folded)."
        )
    return tuple(notes)


def is_before(name: str, tensors: Mapping[str, Floats]) -> bool:
    """Whether a LayerNorm's `normalized` is (x − mean) ÷ scale, with neither gain nor bias, where the file holds what tells it."""
    block, _, which = name.removesuffix(NORMALIZED).rpartition(".")
    source = f"{block}.resid_mid" if which == "ln2" else canonical(f"{block}.resid_pre") if which == "ln1" else last_stream(tensors)
    if source not in tensors or f"{block}.{which}.scale".lstrip(".") not in tensors:
        return False
    x, scale = tensors[source][:SAMPLE], tensors[f"{block}.{which}.scale".lstrip(".")][:SAMPLE]  # [n, d], [n, 1]
    divided = (x - x.mean(axis=-1, keepdims=True)) / scale  # [n, d]
    return bool(np.abs(divided - tensors[name][:SAMPLE]).max() <= FITS * np.abs(divided).max())


def last_stream(tensors: Iterable[str]) -> str:
    """The name of what the final LayerNorm reads."""
    return max((name for name in tensors if name.endswith(".resid_post")), key=lambda name: int(name.split(".")[1]), default="")


class Found(NamedTuple):
    """What the numbers of a tensor are like. Of a grid those above the diagonal are apart."""

    finite: bool  # every number that a query sees; above the diagonal, scores may be −inf
    largest: float  # without its sign; above the diagonal, scores may be any that a mask puts there
    least: float
    shares: bool  # whether a pattern can be softmax's: between 0 and 1, nothing above the diagonal


def looked_at(name: str, array: Floats) -> Found:
    """Look at every number once, some rows at a time: a file may be much larger than what it takes of the disk."""
    finite, largest, least, empty = True, 0.0, math.inf, True
    for rows, later in in_rows(name, array):
        if later is None:
            seen, hidden = rows, rows[:0]
        else:
            seen, hidden = rows[~later], rows[later]
        scores = name.endswith(".attn_scores")
        finite &= bool(np.isfinite(seen).all() and (not np.isnan(hidden).any() and not np.isposinf(hidden).any() if scores else True))
        if not scores:
            finite &= bool(np.isfinite(hidden).all())
            empty &= not hidden.any()
        if not finite:
            break
        seen = seen if scores else rows
        largest = max(largest, float(seen.max(initial=0.0)), -float(seen.min(initial=0.0)))
        least = min(least, float(seen.min(initial=math.inf)))
    return Found(finite, largest, least, empty and least >= -ROUNDING and largest <= 1 + ROUNDING)


def in_rows(name: str, array: Floats) -> Iterator[tuple[Floats, NDArray[np.bool_] | None]]:
    """A tensor's numbers, some rows at a time, and of a grid's rows which keys come after the query. Shapes: [n, …], [n, T] or None."""
    if not name.endswith(SQUARE):
        step = max(1, AT_ONCE // max(1, array[:1].size))
        for start in range(0, len(array), step):
            yield array[start : start + step], None
        return
    n_tokens = array.shape[-1]
    step = max(1, AT_ONCE // n_tokens)
    for head in array:  # [T, T]
        for start in range(0, n_tokens, step):
            rows = head[start : start + step]  # [n, T]
            yield rows, np.arange(n_tokens) > np.arange(start, start + len(rows))[:, None]
