"""What each thing of a run does to A − B: heads and MLPs set to their mean, edges of attention and tokens cut."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from txexplain.engine.config import GPT2Config
from txexplain.explorer.places.direct import PART, part_bounds
from txexplain.explorer.places.heads import WithHead
from txexplain.explorer.places.place import PLACES, Bound, Dims, Location, Shown, Work, token_by
from txexplain.explorer.places.whole import Key, LookedUp
from txexplain.facts.effects import EffectsFacts, Question, answer, known

SWEPT = {None: ("mlps", "heads"), "sorted": ("mlps", "heads"), "rows": ("rows",)}  # what is tried for a face
BY_TOKEN = ("edges", "rows")  # faces whose cursor is the selected token
BY_ROW = {"patch": "resid", "mlps": "mlps"}  # faces that patch a token's row of one block, with the sweep that tells it
BY_HEAD = ("z", "q", "k", "v", "pattern")  # and faces that patch one head
PATCHED = {**BY_ROW, **{face: face for face in BY_HEAD}}


class Effects(LookedUp):
    """Heads and MLPs as a table, or sorted; the last token's edges; the tokens. What is selected, Enter switches off.
    And the maps of patches from another run: the stream before each block and what its MLP adds, row by row; heads' z, q, k, v, pattern.

    `select` is a head or an MLP; faces without such leave it as it is.
    """

    __slots__ = ()
    kind = "effects"
    caption = "How A's lead over B changes when one part is switched off."
    about = (
        "By how much the difference of two tokens' logits changes where one head, MLP, edge or token is switched off, and all that "
        "follows is computed again: causes, on this prompt."
    )
    stem = word = "effects"
    brackets = "effects[L4H3]"
    faces = ("parts", "sorted", *BY_TOKEN, *PATCHED)
    key = Key(
        "E",
        "effects",
        "What each head, MLP, edge or token switched off does to A's logit less B's, or a patch from the run that is held; Enter does it",
        "Cause",
    )
    tries = "switching parts off"
    takes = "do it"

    def seen_from(self, at: Location, dims: Dims) -> Location:
        """With the head or MLP selected that the place belongs to."""
        place = PLACES[at.kind]
        name = place.thing(at) if isinstance(place, WithHead) else at.select or place.part(at)
        return Location("effects", select=name if name is not None and may_select(name) else None, token=at.chosen)

    def does(self, at: Location) -> str:
        return "patch" if at.face in PATCHED else "switch"

    def question(self, at: Location, run: Shown) -> Question | None:
        """What is asked; None where nobody could answer."""
        result = run.result
        if result.model is None or result.trace.origin is not result.model or run.pair is None:
            return None
        if at.face in PATCHED:
            unlike = run.other is not None and at.face == "pattern" and len(run.other) != result.trace.n_tokens
            return None if run.other is None or unlike else Question((PATCHED[at.face],), *run.pair, run.other)
        return Question(SWEPT.get(at.face, (f"edges [{result.trace.n_tokens - 1}]",)), *run.pair)

    def work(self, at: Location, run: Shown) -> Work | None:
        asked, found = self.question(at, run), self.found(at, run)
        return None if asked is None or (found is not None and found.complete) else Work(asked, partial(answer, run.result, asked))

    def found(self, at: Location, run: Shown) -> EffectsFacts | None:
        asked = self.question(at, run)
        return None if asked is None else known(run.result).get(asked)

    def order(self, at: Location, run: Shown) -> tuple[int, ...] | None:
        return sorted_parts(self.found(at, run), run.result.config) if at.face == "sorted" else None

    def text(self, at: Location) -> str:
        return self.word + (f":{at.face}" if at.face else "") + (f"[{at.select}]" if at.select else "")

    def select(self, at: Location, inside: str) -> Location | None:
        return replace(at, select=inside) if may_select(inside) else None

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        yield from part_bounds(at, dims)

    def part(self, at: Location) -> str | None:
        part = selected(at)
        return f"L{part['block']}.{part['half'] or 'attn'}"

    def change(self, at: Location, dims: Dims) -> str:
        """What is selected, by its name among the effects."""
        if at.face in BY_TOKEN:
            token = at.token_index(dims.n_tokens)
            return f"[{dims.n_tokens - 1 if at.face == 'edges' else '*'},{token}]"
        if at.face in BY_ROW:
            return row_name(at.face, int(selected(at)["block"]), at.token_index(dims.n_tokens))
        if at.face in BY_HEAD:
            return head_name(at.face, int(selected(at)["block"]), int(selected(at)["head"] or 0))
        if at.select is None and at.face == "sorted" and dims.order:
            return part_names(dims.n_layer, dims.n_head)[dims.order[0]]
        return selected(at)[0]

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        """Along the table or the list; from token to token where these are listed."""
        if at.face in BY_TOKEN:
            return token_by(at, dy, dims) if dy else at
        if at.face in BY_ROW:
            return token_by(at, dy, dims) if dy else self.step_block(at, dx, dims)
        if at.face in BY_HEAD:
            block, head = (int(selected(at)[which] or 0) + step for which, step in (("block", dy), ("head", dx)))
            return replace(at, select=head_name("z", max(0, min(block, dims.n_layer - 1)), max(0, min(head, dims.n_head - 1))))
        names = part_names(dims.n_layer, dims.n_head)
        here = names.index(self.change(at, dims))
        if at.face == "sorted":
            order = dims.order or tuple(range(len(names)))
            there = order[max(0, min(order.index(here) + dy, len(order) - 1))]
        else:
            block, column = divmod(here, dims.n_head + 1)
            block, column = max(0, min(block + dy, dims.n_layer - 1)), max(0, min(column + dx, dims.n_head))
            there = block * (dims.n_head + 1) + column
        return replace(at, select=names[there])

    def step_block(self, at: Location, step: int, dims: Dims) -> Location:
        if at.face in BY_TOKEN:
            return at
        name = at.select or "L0H0" if at.face in PATCHED else self.change(at, dims)
        block = int(name[1:].partition("H")[0].partition(".")[0])
        return replace(at, select=name.replace(f"L{block}", f"L{max(0, min(block + step, dims.n_layer - 1))}"))


def row_name(face: str, block: int, token: int) -> str:
    """A row of the stream before a block, or of what its MLP adds."""
    return f"L{block}.{'resid' if face == 'patch' else 'mlp'}@{token}"


def head_name(face: str, block: int, head: int) -> str:
    """A head's z, or another part of it."""
    return f"L{block}H{head}" + ("" if face == "z" else f".{face}")


def selected(at: Location) -> re.Match[str]:
    """The head or MLP that is selected; where none is, the first head."""
    part = PART.fullmatch(at.select or "L0H0")
    assert part is not None
    return part


def may_select(name: str) -> bool:
    """Whether a name is a head's or an MLP's."""
    part = PART.fullmatch(name)
    return part is not None and part["half"] != "bias"


def part_names(n_layer: int, n_head: int) -> list[str]:
    """All heads and MLPs, block by block: L0H0, …, L0.mlp, L1H0, …"""
    return [name for n in range(n_layer) for name in (*(f"L{n}H{head}" for head in range(n_head)), f"L{n}.mlp")]


def sorted_parts(facts: EffectsFacts | None, config: GPT2Config) -> tuple[int, ...]:
    """The heads and MLPs by size of effect, the largest first; those that aren't computed yet come last."""
    names = part_names(config.n_layer, config.n_head)
    if facts is None:
        return tuple(range(len(names)))
    number_of = {name: n for n, name in enumerate(names)}
    return tuple(number_of[facts.names[n]] for n in facts.order)
