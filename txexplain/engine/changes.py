"""What may be changed in a run, as people write it: one grammar for flags, lessons, states and forward(), and what it comes to in a model.

    what := ["L" n ["H" n]] "[" n "," n "]"   an edge of attention, query and key; of all blocks, of all heads where none is named
          | "L" n "H" n ["." part]            a head's z, or its q, k, v, pattern
          | "L" n "." tensor                  resid (entering the block), mid (after attention), attn, mlp (what each adds)
          | "L" n ".mlp[" n "]"               neurons
          | "embed" | "pos"
    text := what ["@" rows] ["=" value]       value := mean | zero | a number | cut | raw | from ["@" rows]
    n    := 7 | 3-6 | 3+5 | * (all)           rows, queries and keys may be "last", too: the prompt's last token

Without a value an edge is cut, and all else is set to its mean over the reference text. `[*,3]` is every later query's edge to key 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from txexplain.engine.config import GPT2Config
from txexplain.engine.interventions import Cut, Intervention, Set
from txexplain.engine.ops import Array
from txexplain.engine.trace import LARGEST_NUMBER, Trace
from txexplain.errors import InterventionError
from txexplain.text import shown

if TYPE_CHECKING:
    from txexplain.engine.model import GPT2

LAST = -1  # the prompt's last token, until it is known which that is
MOST_EDGES = 1 << 16
ONE = r"(?:0|[1-9][0-9]{0,4})"
N = rf"(?:{ONE}-{ONE}|{ONE}(?:\+{ONE})*|\*)"
ROWS = rf"(?:last|{N})"
NUMBER = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:e[+-]?[0-9]{1,3})?")
WHAT = tuple(
    re.compile(rf"{what}(?:@(?P<rows>{ROWS}))?(?:=(?P<value>[^@\s]+?)(?:@(?P<source>{N}))?)?")
    for what in (
        rf"(?:L(?P<blocks>{N})(?:H(?P<heads>{N}))?)?\[(?P<queries>{ROWS}),(?P<keys>{ROWS})\]",
        rf"L(?P<blocks>{N})H(?P<heads>{N})(?:\.(?P<part>z|q|k|v|pattern))?",
        rf"L(?P<blocks>{N})\.mlp\[(?P<neurons>{N})\]",
        rf"L(?P<blocks>{N})\.(?P<tensor>resid_pre|resid_mid|attn_out|mlp_out|resid|mid|attn|mlp)",
        r"(?P<end>embed|pos)",
    )
)
SHORT = {"resid_pre": "resid", "resid_mid": "mid", "attn_out": "attn", "mlp_out": "mlp"}
TENSORS = {short: name for name, short in SHORT.items()} | {"embed": "embed", "pos": "pos_embed", "neurons": "mlp.post"}
FORM = "a text like L5H1, L3.mlp=zero, L3.mlp[417], L4.resid@5=from, L5H1[7,3] or [*,3]"

Stop = Callable[[], bool] | None
Numbers = tuple[int, ...] | None  # ascending; None: all


@dataclass(frozen=True)
class Change:
    """One change of a run, as it is written: parse(str(x)) == x.

    part: "edges", "z", "q", "k", "v", "pattern", "resid", "mid", "attn", "mlp", "neurons", "embed" or "pos".
    value: "mean", "cut", "raw", "from" or a number.
    """

    part: str
    blocks: Numbers = None
    heads: Numbers = None
    neurons: Numbers = None
    queries: Numbers = None
    keys: Numbers = None
    rows: Numbers = None
    value: str | float = "mean"
    source: Numbers = None  # the other run's rows, where they are others than these

    def __str__(self) -> str:
        """The canonical text."""
        return self.what + self.where + ("" if self.value in ("mean", "cut") else f"={self.shown_value}")

    @property
    def what(self) -> str:
        """The text of what is changed, without rows and value."""
        if self.part in ("embed", "pos"):
            return self.part
        block = f"L{written(self.blocks)}"
        if self.part == "edges":
            head = "" if self.heads is None else f"H{written(self.heads)}"
            of = "" if self.blocks is self.heads is None else block + head
            return f"{of}[{written(self.queries)},{written(self.keys)}]"
        if self.part == "neurons":
            return f"{block}.mlp[{written(self.neurons)}]"
        if self.part in SHORT.values():
            return f"{block}.{self.part}"
        return f"{block}H{written(self.heads)}" + ("" if self.part == "z" else f".{self.part}")

    @property
    def where(self) -> str:
        return "" if self.rows is None else f"@{written(self.rows)}"

    @property
    def shown_value(self) -> str:
        if isinstance(self.value, float):
            return "zero" if self.value == 0 else f"{self.value:g}" if float(f"{self.value:g}") == self.value else repr(self.value)
        return self.value + ("" if self.source is None else f"@{written(self.source)}")

    @property
    def from_other(self) -> bool:
        """Whether it takes the value of another run."""
        return self.value == "from"

    def fixed(self, n_tokens: int) -> Change:
        """With the prompt's last token by its number, which stays that row when tokens follow."""
        ends: dict[str, Any] = {name: (n_tokens - 1,) for name in ("queries", "keys", "rows") if getattr(self, name) == (LAST,)}
        return replace(self, **ends)

    def check(self, config: GPT2Config, model: str, n_tokens: int | None = None) -> None:
        """Raise InterventionError for what this model, or a prompt of so many tokens, lacks."""
        sizes = {"blocks": config.n_layer, "heads": config.n_head, "neurons": config.n_inner}
        for name, size in sizes.items():
            if max(getattr(self, name) or (0,)) >= size:
                raise InterventionError(f"{self}: {model} has {name} 0 to {size - 1}.")
        for name in ("queries", "keys", "rows"):
            if n_tokens is not None and max(getattr(self, name) or (0,)) >= n_tokens:
                raise InterventionError(f"{self}: this prompt has tokens 0 to {n_tokens - 1}.")


def parse(text: str) -> Change:
    """A change from its text. Raises InterventionError with one sentence."""
    found = next((match for pattern in WHAT if (match := pattern.fullmatch(text.strip()))), None)
    if found is None:
        raise InterventionError(f"{shown(text)} says nothing that can be changed in a run; give {FORM}.")
    given = found.groupdict()
    part = "edges" if "queries" in given else "neurons" if "neurons" in given else "z"
    part = next((given[name] for name in ("end", "tensor", "part") if given.get(name)), part)
    numbers = {name: read(text, given.get(name)) for name in ("blocks", "heads", "neurons", "queries", "keys", "rows", "source")}
    change = Change(SHORT.get(part, part), **numbers, value=value_of(text, given["value"], edge=part == "edges"))
    if change.source is not None and not change.from_other:
        raise InterventionError(f"{shown(text)}: only =from takes another run's rows, as in L4.resid@5=from@3.")
    if change.part == "edges":
        if change.rows is not None:
            raise InterventionError(f"{shown(text)}: an edge names its query itself; leave {change.where} out.")
        if change.queries and change.keys and LAST not in (*change.queries, *change.keys) and min(change.keys) > max(change.queries):
            raise InterventionError(f"{shown(text)}: a query sees itself and what came before, so there is no such edge.")
    if change.part == "pattern" and (change.value == "mean" or change.source is not None):
        raise InterventionError(f"{shown(text)}: shares of attention are of this prompt's own rows; give =zero or =from.")
    if change.from_other and change.source is not None and change.rows is None:
        raise InterventionError(f"{shown(text)}: say which row takes it, as in L4.resid@5=from@3.")
    if change.source is not None and len(change.source) != len(change.rows or ()):
        raise InterventionError(f"{shown(text)}: give as many rows of the other run as of this one.")
    return change


def value_of(text: str, value: str | None, *, edge: bool) -> str | float:
    """What stands behind the =. Raises InterventionError."""
    if edge:
        if value not in (None, "cut", "raw"):
            raise InterventionError(f"{shown(text)}: an edge is cut; give no value, or =raw, by which its share is lost.")
        return value or "cut"
    if value is None or value in ("mean", "from"):
        return value or "mean"
    found = 0.0 if value == "zero" else float(value) if NUMBER.fullmatch(value) else np.inf
    if abs(found) > LARGEST_NUMBER:
        raise InterventionError(f"{shown(text)}: {shown(value)} is no value to set; give mean, zero, a number or from.")
    return found + 0.0  # no −0


def read(text: str, numbers: str | None) -> Numbers:
    """Numbers as they are written. Raises InterventionError."""
    if numbers is None or numbers == "*":
        return None
    if numbers == "last":
        return (LAST,)
    first, dash, last = numbers.partition("-")
    if not dash:
        return tuple(sorted({int(each) for each in numbers.split("+")}))
    if int(last) < int(first):
        raise InterventionError(f"{shown(text)}: {numbers} goes backwards; write {last}-{first}.")
    return tuple(range(int(first), int(last) + 1))


def written(numbers: Numbers) -> str:
    """Numbers as one writes them."""
    if numbers is None:
        return "*"
    if numbers == (LAST,):
        return "last"
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return "+".join(map(str, numbers))


def resolved(
    given: Iterable[Intervention | Change | str], model: GPT2, n_tokens: int, donor: Trace | None = None, should_stop: Stop = None
) -> tuple[Intervention, ...]:
    """Texts as what they come to in this model, objects as they are, in the order given.

    should_stop: asked while means are computed. Raises Stopped then, InterventionError.
    """
    found: list[Intervention] = []
    for each in given:
        if isinstance(each, str | Change):
            change = (parse(each) if isinstance(each, str) else each).fixed(n_tokens)
            change.check(model.config, model.name)
            found += cuts(change, model.config) if change.part == "edges" else sets(change, model, donor, should_stop)
        else:
            found.append(each)
    return tuple(found)


def cuts(change: Change, config: GPT2Config) -> list[Intervention]:
    """Edges, block by block. Those of tokens that are still to come are among them, so that a text that grows keeps its run."""
    end = config.n_positions
    queries = range(end) if change.queries is None else [query for query in change.queries if query < end]
    edges = []
    for query in queries:
        seen = range(query + 1) if change.keys is None else [key for key in change.keys if key <= query]
        edges += [(query, key) for key in seen if not (change.queries is None and key == query)]
        if len(edges) > MOST_EDGES:
            raise InterventionError(f"{change} names more than {MOST_EDGES} edges; name fewer, or switch the heads off: L*H*=zero.")
    return [Cut(block, head=change.heads, edges=edges, raw=change.value == "raw") for block in change.blocks or range(config.n_layer)]


def sets(change: Change, model: GPT2, donor: Trace | None, should_stop: Stop) -> list[Intervention]:
    """An activation set, block by block."""
    found: list[Intervention] = []
    for name in names(change, model.config.n_layer):
        put = partial(Set, name, head=change.heads, index=change.neurons)
        if isinstance(change.value, float):
            found.append(put(change.value, rows=change.rows))
        elif not change.from_other:
            found.append(put(of_part(change, mean(model, name, should_stop)), rows=change.rows, origin="mean"))
        elif donor is None:
            raise InterventionError(f'{change} takes its value from another run; give its prompt, as --from "another prompt".')
        else:
            found += patches(change, donor[name], put)
    return found


def mean(model: GPT2, name: str, should_stop: Stop) -> Array:
    """An activation's mean over the reference text. Shapes: -> [d], [H, dh] or [m]. Raises TokenizerError, Stopped."""
    from txexplain.engine.reference import reference  # which runs the model, and so imports it

    return reference(model, should_stop=should_stop).means[name]


def patches(change: Change, other: Array, put: Callable[..., Set]) -> list[Set]:
    """An activation as another run has it, row by row. Raises InterventionError for a row that it lacks."""
    value = of_part(change, other.transpose(1, 0, 2) if change.part == "pattern" else other)  # [T, …]
    if change.source is None:
        return [put(value, rows=change.rows, each=True, origin="from")]
    for row in change.source:
        if row >= len(value):
            raise InterventionError(f"{change}: the other prompt has tokens 0 to {len(value) - 1}.")
    return [put(value[there], rows=here, origin="from") for here, there in zip(change.rows or (), change.source, strict=True)]


def of_part(change: Change, value: Array) -> Array:
    """Of an activation's rows, or of one, the heads or neurons that are meant. Shapes: […, H, n] or […, n] -> the same, with fewer."""
    if change.heads is not None:
        return value[..., list(change.heads), :]
    return value if change.neurons is None else value[..., list(change.neurons)]


def names(change: Change, n_layer: int) -> list[str]:
    """The activations that it sets, under TransformerLens's names."""
    if change.part in ("embed", "pos"):
        return [TENSORS[change.part]]
    inside = TENSORS.get(change.part, f"attn.{change.part}")
    return [f"blocks.{block}.{inside}" for block in (change.blocks or range(n_layer))]
