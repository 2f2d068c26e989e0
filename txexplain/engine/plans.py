"""What a sweep tries, one cell after the other: heads, MLPs, neurons, edges and rows switched off, parts patched from another run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from txexplain.engine.interventions import Cut, Intervention, Set, require_below
from txexplain.engine.model import GPT2
from txexplain.engine.ops import Array
from txexplain.engine.reference import USUAL, Reference, reference
from txexplain.engine.together import Change
from txexplain.engine.trace import SQUARE, Trace
from txexplain.errors import InterventionError
from txexplain.text import shown

Cell = tuple[int, ...]
OF = re.compile(r"(?P<kind>[a-z]+)(?: L(?P<block>\d{1,4})(?:H(?P<head>\d{1,4}))?)?(?: \[(?P<query>\d{1,9})\])?")
PARTS = {"heads": "attn.z", "mlps": "mlp_out", "attns": "attn_out", "neurons": "mlp.post"}  # what is set for all rows
HEADS = {"heads": "attn.z", "z": "attn.z", "q": "attn.q", "k": "attn.k", "v": "attn.v", "pattern": "attn.pattern"}  # patched by head
ROWS = {"resid": "resid_pre", "mlps": "mlp_out", "attns": "attn_out"}  # and by row
PATCHED = ("resid", "z", "q", "k", "v", "pattern")  # what only another run can be the source of
SHORT = {"resid_pre": "resid", "mlp_out": "mlp", "attn_out": "attn"}
KINDS = tuple(dict.fromkeys((*PARTS, "edges", "rows", *HEADS, *ROWS)))
CUT, RAW, MEAN, ZERO = "cut", "raw", "mean", "zero"
Stop = Callable[[], bool] | None


@dataclass(frozen=True)
class Try:
    """One cell of a sweep: the block in which it changes something first, and the first row whose last result that can change."""

    cell: Cell
    layer: int
    first: int


@dataclass(frozen=True)
class Plan:
    """What a sweep tries: `tries` in the order in which they are computed, the last blocks first. Other cells of the grid can't
    change the result and are exactly 0, or, where `empty`, have no meaning."""

    of: str
    to: str  # what parts are set to, in a word: "mean over tales", "zero", "cut", "patched"
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    tries: tuple[Try, ...]
    site: str  # the activation, by its name inside a block, from which each try goes on
    put: Callable[[Cell, Array, int], None] = field(repr=False)  # changes one run's own part of it, of which the first row is given
    do: Callable[[Cell], tuple[Intervention, ...]] = field(repr=False)  # the same as interventions
    place: Callable[[Cell], str] = field(repr=False)  # what a cell changes, as locations and `--ablate`, `--cut`, `--patch` name it
    empty: Callable[[Cell], bool] = field(default=lambda cell: False, repr=False)
    everywhere: bool = False  # whether the same is put in all blocks, and not in a try's own alone

    def change(self, cells: Iterable[Cell]) -> Change:
        """What is put for these cells, each in its own run."""
        cells = tuple(cells)

        def put(parts: Array, first: int) -> None:  # parts [B, …]
            for cell, part in zip(cells, parts, strict=True):
                self.put(cell, part, first)

        return put


def plan(
    model: GPT2,
    trace: Trace,
    of: str,
    *,
    to: str | float | Reference | None = None,
    donor: Trace | None = None,
    only: Iterable[int] | None = None,
    should_stop: Stop = None,
) -> Plan:
    """What effects(…) tries, see there. Raises InterventionError for what this model or this run lacks."""
    read = OF.fullmatch(of)
    kind = read["kind"] if read else ""
    if read is None or kind not in KINDS:
        raise InterventionError(f"There are no effects of {shown(of)}; give one of {', '.join(KINDS)}, as edges L5H1 or neurons L5.")
    block, head, query = (None if read[name] is None else int(read[name]) for name in ("block", "head", "query"))
    require_below("block", None if block is None else (block,), model.config.n_layer)
    require_below(f"L{block}, head", None if head is None else (head,), model.config.n_head)
    require_below("row", None if query is None else (query,), trace.n_tokens)
    named = {"edges": (True, True, True), "rows": (True, True, False), "neurons": (True, False, False)}.get(kind, (False, False, False))
    if any(given is not None and not may for given, may in zip((block, head, query), named, strict=True)):
        raise InterventionError(f"{of} can't be tried: {kind} are of the whole model; leave the rest out.")
    if kind in ("edges", "rows"):
        made = cuts(model, trace, kind, CUT if to is None else to, block, head, query)
    elif kind == "neurons" and block is None:
        raise InterventionError("Neurons are tried a block at a time: give its number, as neurons L5.")
    elif donor is not None:
        if kind == "neurons":
            raise InterventionError("Neurons aren't patched from another run; give heads, z, q, k, v, pattern, resid, mlps or attns.")
        made = patched_rows(model, trace, kind, donor) if kind in ROWS else patched_heads(model, trace, kind, donor)
    elif kind not in PARTS:
        raise InterventionError(f"{kind} is patched from another run; give that as donor.")
    else:
        made = parts(model, kind, trace.n_tokens, MEAN if to is None else to, block, should_stop)
    if only is None:
        return replace(made, of=of)
    kept = {(i,) if len(made.shape) == 1 else divmod(i, made.shape[-1]) for i in only}
    return replace(made, of=of, tries=tuple(each for each in made.tries if each.cell in kept), empty=lambda cell: cell not in kept)


def parts(model: GPT2, kind: str, n_tokens: int, to: str | float | Reference, block: int | None, should_stop: Stop) -> Plan:
    """Heads, MLPs, attentions or a block's neurons, set to a number or to their mean in all rows. Raises InterventionError."""
    if isinstance(to, str) and to not in (MEAN, ZERO):
        raise InterventionError(f"A part can't be set to {shown(to)}; give mean, zero or a number.")
    c, site = model.config, PARTS[kind]

    @cache
    def means() -> Reference:  # found when the first try asks for it
        return to if isinstance(to, Reference) else reference(model, should_stop=should_stop)

    def layer_of(cell: Cell) -> int:
        return cell[0] if block is None else block

    def value_at(cell: Cell) -> float | Array:
        if to == ZERO or isinstance(to, float | int):
            return 0.0 if to == ZERO else float(to)
        mean = means().means[f"blocks.{layer_of(cell)}.{site}"]  # [H, dh], [d] or [m]
        return mean if kind in ("mlps", "attns") else mean[cell[-1]]  # [d], [dh], or a neuron's own

    def put(cell: Cell, part: Array, first: int) -> None:
        if kind in ("mlps", "attns"):
            part[:] = value_at(cell)  # [n, d]
        else:
            part[:, cell[-1]] = value_at(cell)  # of [n, H, dh] or [n, m]

    def do(cell: Cell) -> tuple[Intervention, ...]:
        head, index = (cell[-1] if kind == which else None for which in ("heads", "neurons"))
        return (Set(f"blocks.{layer_of(cell)}.{site}", value_at(cell), head=head, index=index),)

    def place(cell: Cell) -> str:
        if kind == "neurons":
            return f"L{block}.mlp[{cell[0]}]"
        return f"L{cell[0]}H{cell[1]}" if kind == "heads" else f"L{cell[0]}.{SHORT[site]}"

    shape = {"heads": (c.n_layer, c.n_head), "neurons": (c.n_inner,)}.get(kind, (c.n_layer,))
    axes = {"heads": ("block", "head"), "neurons": ("neuron",)}.get(kind, ("block",))
    tries = [Try(cell, layer_of(cell), n_tokens - 1 if layer_of(cell) == c.n_layer - 1 else 0) for cell in np.ndindex(*shape)]
    said = f"{to:g}" if isinstance(to, float | int) and to != 0 else ZERO
    if isinstance(to, Reference) or to == MEAN:
        said = f"mean over {to.name if isinstance(to, Reference) else USUAL}"
    return Plan(kind, said, axes, shape, last_first(tries), site, put, do, place)


def cuts(model: GPT2, trace: Trace, kind: str, to: object, block: int | None, head: int | None, query: int | None) -> Plan:
    """Edges of attention, or all edges of later rows to one row, cut: in a head, in a block, or everywhere."""
    if to not in (CUT, RAW):
        raise InterventionError(f"{kind} can't be set to {shown(str(to))}: they are cut; give cut, or raw for a loss without sharing out.")
    n, raw, last = trace.n_tokens, to == RAW, model.config.n_layer - 1
    heads = slice(None) if head is None else head
    blocks = range(last + 1) if block is None else (block,)

    def edges_of(cell: Cell) -> tuple[tuple[int, int], ...]:
        if kind == "rows":
            return tuple((row, cell[0]) for row in range(cell[0] + 1, n))
        return ((cell[0], cell[1]) if query is None else (query, cell[0]),)

    def put(cell: Cell, part: Array, first: int) -> None:  # part [H, n, T]
        for row, key in edges_of(cell):
            if row >= first:
                part[heads, row - first, key] = 0 if raw else -np.inf

    def do(cell: Cell) -> tuple[Intervention, ...]:
        edges = edges_of(cell)  # none where no row is later
        return tuple(Cut(layer, head=head, edges=edges, raw=raw) for layer in blocks) if edges else ()

    def place(cell: Cell) -> str:
        where = "" if block is None else f"L{block}" if head is None else f"L{block}H{head}"
        return f"{where}[*,{cell[0]}]" if kind == "rows" else "{}[{},{}]".format(where, *edges_of(cell)[0])

    def counts(cell: Cell) -> bool:
        rows = [row for row, _ in edges_of(cell)]
        return bool(rows) and (blocks[0] < last or rows[-1] == n - 1)  # in the last block the last row's edges alone

    square = kind == "edges" and query is None
    shape = (n, n) if square else (n,) if kind == "rows" else ((query or 0) + 1,)
    tries = [
        Try(cell, blocks[0], n - 1 if blocks[0] == last else edges_of(cell)[0][0])
        for cell in np.ndindex(*shape)
        if not (square and cell[1] > cell[0]) and counts(cell)
    ]
    axes = ("query", "key") if square else ("row",) if kind == "rows" else ("key",)
    return Plan(kind, str(to), axes, shape, last_first(tries), "attn.pattern" if raw else "attn.attn_scores", put, do, place,
                (lambda cell: cell[1] > cell[0]) if square else (lambda cell: False), everywhere=block is None)  # fmt: skip


def patched_heads(model: GPT2, trace: Trace, kind: str, donor: Trace) -> Plan:
    """One head's z, q, k, v or pattern as another run has it, in all rows."""
    c, site = model.config, HEADS[kind]
    if site.endswith(SQUARE) and donor.n_tokens != trace.n_tokens:
        raise InterventionError(f"A pattern is patched between runs of as many tokens; these have {trace.n_tokens} and {donor.n_tokens}.")
    rows = min(trace.n_tokens, donor.n_tokens)
    given = {f"blocks.{layer}.{site}": taken(donor, trace, f"blocks.{layer}.{site}") for layer in range(c.n_layer)}
    start = trace.run.shared(donor.run)

    def put(cell: Cell, part: Array, first: int) -> None:
        values = given[f"blocks.{cell[0]}.{site}"]
        if site.endswith(SQUARE):
            part[cell[1]] = values[cell[1], first:]  # [n, T]
        else:
            earlier = first if site == "attn.z" else 0  # rows that part [n or T, H, dh] lacks
            part[: rows - earlier, cell[1]] = values[earlier:rows, cell[1]]

    def do(cell: Cell) -> tuple[Intervention, ...]:
        name = f"blocks.{cell[0]}.{site}"
        values = given[name][cell[1]] if site.endswith(SQUARE) else given[name][:, cell[1]]  # [T, T] or [T, dh]
        return (Set(name, values, head=cell[1], each=True),)

    def place(cell: Cell) -> str:
        return f"L{cell[0]}H{cell[1]}" + ("" if site == "attn.z" else f".{kind}")

    late = site in ("attn.z", "attn.pattern")  # of the last block, one row of these counts
    tries = [
        Try(cell, cell[0], trace.n_tokens - 1 if late and cell[0] == c.n_layer - 1 else start)
        for cell in np.ndindex(c.n_layer, c.n_head)
        if start < rows and not (late and cell[0] == c.n_layer - 1 and rows < trace.n_tokens)
    ]
    return Plan(kind, "patched", ("block", "head"), (c.n_layer, c.n_head), last_first(tries), site, put, do, place)


def patched_rows(model: GPT2, trace: Trace, kind: str, donor: Trace) -> Plan:
    """The stream before a block, or what its MLP or attention adds, as another run has it in one row."""
    c, site, n = model.config, ROWS[kind], trace.n_tokens
    rows, start, last = min(n, donor.n_tokens), trace.run.shared(donor.run), c.n_layer - 1
    given = {f"blocks.{layer}.{site}": taken(donor, trace, f"blocks.{layer}.{site}") for layer in range(c.n_layer)}

    def put(cell: Cell, part: Array, first: int) -> None:
        part[cell[1] - first] = given[f"blocks.{cell[0]}.{site}"][cell[1]]  # [d]

    def do(cell: Cell) -> tuple[Intervention, ...]:
        name = f"blocks.{cell[0]}.{site}"
        return (Set(name, given[name][cell[1]], rows=cell[1]),)

    def place(cell: Cell) -> str:
        return f"L{cell[0]}.{SHORT[site]}@{cell[1]}"

    tries = [
        Try(cell, cell[0], cell[1])
        for cell in np.ndindex(c.n_layer, n)
        if start <= cell[1] < rows and (cell[0] < last or kind == "resid" or cell[1] == n - 1)
    ]
    return Plan(kind, "patched", ("block", "row"), (c.n_layer, n), last_first(tries), site, put, do, place, lambda cell: cell[1] >= rows)


def taken(donor: Trace, trace: Trace, name: str) -> Array:
    """An activation of another run. Raises InterventionError where its shape is of another model, NotRecorded."""
    value, own = donor[name], trace[name]
    if value.shape[0 if name.endswith(SQUARE) else 1 :] != own.shape[0 if name.endswith(SQUARE) else 1 :]:
        raise InterventionError(
            f"{name} can't be patched from {shown(donor.model)}: it is {list(value.shape)} there, not {list(own.shape)}."
        )
    return value


def last_first(tries: Iterable[Try]) -> tuple[Try, ...]:
    """In the order in which they are computed: what is done soonest first, which is what changes least."""
    return tuple(sorted(tries, key=lambda each: (-each.layer, -each.first)))
