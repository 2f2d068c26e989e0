"""One run of the model, around gpt2.py: what is recorded, what is changed on the way, when it stops, and whether its numbers are sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from txexplain.engine.cores import CORES
from txexplain.engine.interventions import Edit
from txexplain.engine.kv_cache import NewRows
from txexplain.engine.ops import Array
from txexplain.engine.trace import GROWING, LARGEST_NUMBER, canonical
from txexplain.errors import NonFinite

# A NaN or infinity anywhere in a block reaches q, k, v or one of these; others may hide it, as softmax, a division by infinity or GELU do.
TELLING = ("resid_post", "ln1.scale", "ln2.scale", "mlp.pre")


class Stopped(Exception):
    """Nobody waits for this run any more."""


class Edited(dict[str, Array]):
    """Activations by name, of which some are changed as they are stored."""

    def __init__(self, edits: Mapping[str, Sequence[Edit]], start: int) -> None:
        super().__init__()
        self.edits = edits
        self.start = start  # tokens that were run before

    def __setitem__(self, name: str, array: Array) -> None:
        for edit in self.edits.get(name, ()):
            changed = edit(array, self.start)
            if f".{name}".endswith(GROWING):  # q, k and v are read from the cache, by later tokens too: they are changed there
                array[self.start :] = changed[self.start :]
            else:
                array = changed
        super().__setitem__(name, array)


class Recording(Edited):
    """The activations of one run by name. Between two blocks the run is looked at, and may end."""

    def __init__(self, rows: NewRows, model: str, edits: Iterable[Edit] = (), should_stop: Callable[[], bool] | None = None) -> None:
        super().__init__(by_name(edits), rows.start)
        self.rows = rows
        self.model = model
        self.should_stop = should_stop
        self.inside: dict[str, Array] = {}  # the present block's, by their names inside it
        self.layer = -1

    def block(self, layer: int) -> dict[str, Array]:
        """Begin a block; its activations are stored in what is returned. Raises Stopped, and NonFinite for what was computed before."""
        self.end_block()
        if self.should_stop is not None and self.should_stop():
            raise Stopped
        CORES.share()
        prefix = f"blocks.{layer}."
        edits = {name.removeprefix(prefix): each for name, each in self.edits.items() if name.startswith(prefix)}
        self.layer, self.inside = layer, Edited(edits, self.start) if edits else {}
        return self.inside

    def end_block(self) -> None:
        """Take over the activations of the block that ends, if they are sound. Raises NonFinite."""
        if self.layer < 0:
            require_sound(self, self.start, self.model)
            return
        block = {canonical(f"blocks.{self.layer}.{name}"): array for name, array in self.inside.items()}
        if not all(map(is_bounded, (*(self.inside[name] for name in TELLING), self.rows.room(self.layer)))):
            require_sound(block, self.start, self.model)
        self.update(block)


def by_name(edits: Iterable[Edit]) -> dict[str, list[Edit]]:
    """What is changed, by the activation's name, in the order given."""
    found: dict[str, list[Edit]] = {}
    for edit in edits:
        found.setdefault(canonical(edit.name), []).append(edit)
    return found


def require_sound(new: Mapping[str, Array], start: int, model: str) -> None:
    """Raise NonFinite, naming the first activation with NaN or infinity where it must not be, or else with a number far too large. It is
    a sentence's beginning: the model ends it."""
    rows = {name: array[start:] if name.endswith(GROWING) else array for name, array in new.items()}
    rows = {name: array for name, array in rows.items() if not is_bounded(array)}
    for name, array in rows.items():
        if all_finite(name, array):
            continue
        token = int(np.argwhere(~np.isfinite(array))[0][0]) if array.ndim == 2 else None
        place = "" if token is None else f" at token {token + (0 if name == 'logits' else start)}"
        raise NonFinite(f"{model} computed a number that isn't finite in {name}{place}")
    for name, array in rows.items():
        largest = float(np.abs(array, where=np.isfinite(array), out=np.zeros_like(array)).max(initial=0))
        if largest > LARGEST_NUMBER:
            raise NonFinite(f"{model} computed a number of size {largest:.2g} in {name}")


def is_bounded(array: Array) -> bool:
    """Whether the sum of squares is: then so is each number.

    No score can overflow where those of q and k are, since |q · k| ≤ (|q|² + |k|²) / 2.
    """
    return bool(np.vdot(array, array) <= LARGEST_NUMBER**2)


def all_finite(name: str, array: Array) -> bool:
    """Whether every number of an activation is finite; scores are −inf above the diagonal only."""
    if name.endswith("attn.attn_scores"):
        # A finite row maximum and sum of shares is all that softmax asks for; −inf below the diagonal would hide there.
        n_head, n, _ = array.shape
        return math.isfinite(array.max()) and np.count_nonzero(array == -np.inf) == n_head * n * (n - 1) // 2
    return bool(np.isfinite(array).all())
