"""The record of one run: every activation of the forward pass, read-only, under TransformerLens's names.

A Trace never changes, and any number of threads may read it at once. A longer one shares the rows of the one that it
continues: each forward pass adds one part to every tensor, and parts are joined when somebody looks at the whole.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.config import GPT2Config
from txexplain.engine.steps import STEPS, activation_letters, sizes
from txexplain.errors import CheckpointError, NotRecorded, TraceError
from txexplain.text import shown

Floats = NDArray[np.float32]
Parts = tuple[Floats, ...]

SQUARE = (".attn_scores", ".pattern")  # [H, T, T]; all others but the logits have a row a token first
PER_HEAD = (".q", ".k", ".v", ".z")  # [T, H, dh]
GROWING = (".attn.q", ".attn.k", ".attn.v")  # recorded whole, as views of buffers that grow in place
CHUNK = 32  # so many parts of fewer rows each are put together as one: a token each, they would be thousands of small arrays
SPARE = 2  # times its own size: so much memory at most a part of a run may keep alive after its other rows were given up
EMPTY_CELL = {".attn_scores": -np.inf, ".pattern": 0.0}  # what stands above the diagonal
LARGEST_NUMBER = 1e9  # far beyond any GPT-2's; what follows from numbers up to it, a cube or a sum of squares, still is a float32


@cache
def canonical(name: str) -> str:
    """One name for one tensor: what enters block L+1 is what left block L, and TransformerLens 4 calls a LayerNorm's result its `out`."""
    if name.endswith((".ln1.out", ".ln2.out")) or name == "ln_final.out":
        return name.removesuffix("out") + "normalized"
    match = re.fullmatch(r"blocks\.([1-9]\d*)\.resid_pre", name) if name.endswith("resid_pre") else None
    return f"blocks.{int(match[1]) - 1}.resid_post" if match else name


def block_names(layer: int) -> list[str]:
    """The names of one block's activations, in the order in which they are computed."""
    return [f"blocks.{layer}.{step.name}" for step in STEPS]


def activation_names(n_layer: int) -> list[str]:
    """Every name of a whole trace of n_layer blocks, in the order in which they are computed."""
    return list(activation_letters(n_layer))


def expected_shapes(config: GPT2Config, n_tokens: int) -> dict[str, tuple[int, ...]]:
    """The shape of every activation but the logits, for n_tokens tokens."""
    letters = activation_letters(config.n_layer)
    return {name: sizes(shape, config, n_tokens) for name, shape in letters.items() if name != "logits"}


@dataclass(frozen=True)
class Run:
    """What tells one run from another: the model, the ids that it read, and what was changed on the way."""

    model: object
    ids: tuple[int, ...]
    interventions: tuple[Any, ...] = ()

    def shared(self, other: Run | None) -> int:
        """How many tokens at the beginning both have in common: their rows are the same in both."""
        if other is None or self.model is not other.model:
            return 0
        alike, first = shared_length(self.ids, other.ids), first_difference(self.interventions, other.interventions)
        return alike if first is None else min(alike, first)


def first_difference(a: Sequence[Any], b: Sequence[Any]) -> int | None:
    """The first row that may differ between runs of the same ids with these interventions; None where none does."""
    rows = [each.first for i in range(max(len(a), len(b))) if a[i : i + 1] != b[i : i + 1] for each in (*a[i : i + 1], *b[i : i + 1])]
    return min(rows, default=None)


def shared_length(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class Trace(Mapping[str, Floats]):
    """The activations of one forward pass; `trace[name]` is a read-only float32 array.

    Names and shapes are DESIGN.md's table: `embed` [T, d], `blocks.5.attn.pattern` [H, T, T], `logits` [V] or [T, V], …
    A trace may be partial: `name in trace` says whether a tensor was recorded; asking for one that wasn't raises NotRecorded,
    and for a name that no run of this model has, KeyError.
    """

    def __init__(
        self,
        ids: Iterable[int],
        parts: Mapping[str, Parts],
        *,
        config: GPT2Config | None = None,
        model: str = "",
        prompt: str = "",
        tokens: tuple[str, ...] | None = None,
        origin: object = None,
        kv_cache: Any = None,
        interventions: tuple[Any, ...] = (),
        notes: tuple[str, ...] = (),
        lazy: Mapping[str, Callable[[], Floats]] | None = None,
    ) -> None:
        self.ids: tuple[int, ...] = tuple(int(i) for i in ids)
        self.config = config
        self.model = model
        self.prompt = prompt
        self.tokens = tokens
        self.origin = origin  # the GPT2 that made it; its rows may only be continued by the same weights
        self.kv_cache = kv_cache  # the buffers that q, k and v are views of, with room for more rows
        self.interventions = interventions  # what was changed on the way: a run is its model, its ids and these
        self.notes = notes  # what a reader is told of a file from elsewhere
        # Tensors that follow from others have no parts until somebody looks at them; then they are computed.
        self._lazy = {canonical(name): make for name, make in (lazy or {}).items()}
        # Its keys never change: one thread may walk over them while another looks at a tensor.
        self._parts: dict[str, Parts] = dict.fromkeys(self._lazy, ()) | dict(parts)
        self._making = threading.RLock()  # held by the thread that computes or joins a tensor
        self.run = Run(object() if origin is None else origin, self.ids, interventions)  # a file's run is like no other

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: every tensor as it is; what made it, and could go on from it, stays here."""
        parts = {name: (np.ascontiguousarray(self[name]),) for name in dict.fromkeys(map(canonical, self.names))}
        known = {name: getattr(self, name) for name in ("config", "model", "prompt", "tokens", "interventions", "notes")}
        return partial(Trace, **known), (self.ids, parts)

    @property
    def n_tokens(self) -> int:
        return len(self.ids)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the recorded tensors, in the order in which a forward pass makes them."""
        if self.config is None:
            layers = [int(m[1]) for name in self._parts if (m := re.match(r"blocks\.(\d+)\.", name))]
            n_layer = max(layers, default=-1) + 1
        else:
            n_layer = self.config.n_layer
        return tuple(name for name in activation_names(n_layer) if name in self)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and canonical(name) in self._parts

    def __getitem__(self, name: str) -> Floats:
        own = canonical(name)
        parts = self._parts.get(own)
        if parts is None:
            raise self._lacking(name)
        if len(parts) != 1:
            parts = self._one_part(own)
        whole = parts[0].view()
        whole.flags.writeable = False
        return whole

    def _lacking(self, name: str) -> KeyError:
        """Why a tensor isn't there: a run may lack what GPT-2 computes, but only a bug asks for what it doesn't."""
        inside = re.match(r"blocks\.(\d+)\.", name)
        layer = int(inside[1]) if inside else 0
        there = self.config is None or layer < self.config.n_layer
        if there and name in (block_names(layer) if inside else activation_names(0)):
            return NotRecorded(name)
        return KeyError(f"{shown(name)} is none of this model's activations; `names` lists those of this trace")

    def _one_part(self, own: str) -> Parts:
        """A tensor's only part, computed or joined now; it takes the parts' place, so that looking at a tensor doesn't hold it twice."""
        with self._making:
            parts = self._parts[own]  # another thread may have made it meanwhile
            if len(parts) != 1:
                parts = self._parts[own] = (join(own, parts) if parts else self._lazy[own](),)
            return parts

    def changed(self, name: str, *, head: int | None = None, row: int | None = None) -> bool:
        """Whether an activation was changed by hand where it was computed; with a head or a row, whether that part of it was."""
        return any(
            edit.name == canonical(name)
            for each in self.interventions
            if (head is None or each.head is None or head in each.head) and (row is None or each.rows is None or row in each.rows)
            for edit in each.edits(self.config)
        )

    def __repr__(self) -> str:
        return f"Trace({self.model or 'unknown model'}, {self.n_tokens} tokens, {len(self)} tensors)"

    @property
    def last_logits(self) -> Floats:
        """The logits that the last token predicts the next one with, [V]."""
        logits = self["logits"]
        return logits if logits.ndim == 1 else logits[-1]

    def completed(self, lazy: Mapping[str, Callable[[], Floats]]) -> Trace:
        """The same run with tensors that follow from the recorded ones, each computed when it is first asked for."""
        more = {name: make for name, make in lazy.items() if name not in self}
        if not more:
            return self
        made = self._lazy | more
        told = partial(Trace, config=self.config, model=self.model, prompt=self.prompt, tokens=self.tokens)
        whole = told(self.ids, self._parts, interventions=self.interventions, notes=self.notes, lazy=made)
        whole.run = self.run
        return whole

    def rows(self, n: int) -> dict[str, Parts]:
        """Every tensor but the logits and those that grow in place, cut to the first n tokens.

        Views of this trace, so that one more token copies nothing of the past; only where little is kept of an array is that copied.
        """
        kept = {name: parts for name, parts in self._parts.items() if parts and name != "logits" and not name.endswith(GROWING)}
        return kept if n == self.n_tokens else {name: cut(name, parts, n) for name, parts in kept.items()}

    def save(self, path: str | os.PathLike[str], *, only: Iterable[str] | None = None) -> None:
        """Write a safetensors file: the tensors as float32, `ids` as int64, and what is known of the run as metadata.

        The file appears whole or not at all; one that it replaces hands on its permissions. The same run gives the same bytes.
        Raises TraceError where the file can't be written, or is called as one of another kind.
        """
        from txexplain.engine import tracefile

        tracefile.save(self, Path(path), only)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Open a trace file; its tensors are mapped, not read.

        Raises TraceError where the file isn't a trace, or where its parts don't fit each other.
        """
        from txexplain.engine import tracefile

        return tracefile.load(Path(path))


def join(name: str, parts: Parts) -> Floats:
    """Parts that follow each other, as one array of n rows. Shapes: [n_i, ...] … -> [n, ...]; squares [H, n_i, T_i] … -> [H, n, T]."""
    if not name.endswith(SQUARE):
        return np.concatenate(parts)  # [n, ...]
    shape = (parts[0].shape[0], sum(part.shape[1] for part in parts), parts[-1].shape[2])
    whole = np.full(shape, EMPTY_CELL[name[name.rindex(".") :]], dtype=np.float32)  # [H, n, T]
    row = 0
    for part in parts:  # [H, n_i, T_i]
        whole[:, row : row + part.shape[1], : part.shape[2]] = part
        row += part.shape[1]
    return whole


def followed(name: str, parts: Parts, new: Floats) -> Parts:
    """A tensor's parts with one more behind them. However long the past is, each of its rows is copied at most once for that."""
    parts, axis = (*parts, new), 1 if name.endswith(SQUARE) else 0
    first = len(parts)
    while first and parts[first - 1].shape[axis] < CHUNK:
        first -= 1
    return parts if len(parts) - first < CHUNK else (*parts[:first], join(name, parts[first:]))


def cut(name: str, parts: Parts, n: int) -> Parts:
    """The first n tokens' rows of a tensor's parts, as views; a part of which little is left becomes a copy of that."""
    axis = 1 if name.endswith(SQUARE) else 0
    kept: list[Floats] = []
    row = 0
    for part in parts:
        take = min(part.shape[axis], n - row)
        if take <= 0:
            break
        row += take
        kept.append(part if take == part.shape[axis] else compact(part[:, :take, :row] if axis else part[:take]))
    return tuple(kept)


def compact(view: Floats) -> Floats:
    """A view, or a copy where the view would keep alive much more memory than it shows.

    Each edit further right in a long prompt keeps the rows before it: as views, they kept every earlier run alive.
    """
    whole = held(view)
    return view if not whole.flags.writeable or whole.nbytes <= SPARE * view.nbytes else view.copy()  # weights are read-only, and stay


def held(view: Floats) -> Floats:
    """The array whose memory a view keeps alive."""
    while isinstance(view.base, np.ndarray):
        view = view.base
    return view


def known_sizes(tensors: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """The sizes of the model that the shapes of its activations tell, under their names in a config."""

    def axis(ends: tuple[str, ...], ndim: int, which: int) -> int | None:
        return next((t.shape[which] for name, t in tensors.items() if name.endswith(ends) and t.ndim == ndim), None)

    rows = (".resid_pre", ".resid_mid", ".resid_post", ".normalized", "attn_out", "mlp_out", "embed")
    n_head, head_dim, n_embd = axis(SQUARE, 3, 0) or axis(PER_HEAD, 3, 1), axis(PER_HEAD, 3, 2), axis(rows, 2, 1)
    if n_embd is None and n_head and head_dim:
        n_embd = n_head * head_dim
    logits = tensors.get("logits")
    found = {
        "n_head": n_head, "n_embd": n_embd, "n_inner": axis((".pre", ".post"), 2, 1),
        "vocab_size": logits.shape[-1] if logits is not None and logits.ndim in (1, 2) else None,
    }  # fmt: skip
    return {name: size for name, size in found.items() if size}


def guess_config(where: str, tensors: Mapping[str, NDArray[Any]], n_tokens: int = 1) -> GPT2Config:
    """A config that the tensors themselves agree with, where the file holds none; what they don't tell is GPT-2's, or 1."""
    layers = [int(m[1]) for name in tensors if (m := re.match(r"blocks\.(\d{1,4})\.", name))]
    known = known_sizes(tensors)
    n_head, context = known.get("n_head", 1), max(GPT2Config.n_positions, n_tokens)
    sizes = {"n_layer": max(layers, default=0) + 1, "n_head": n_head, "n_embd": n_head, "n_positions": context} | known
    try:
        return GPT2Config.from_dict({"model_type": "gpt2", **sizes}, source=where)
    except CheckpointError as error:
        raise TraceError(f"{where} holds tensors that don't fit one model: {error}") from None
