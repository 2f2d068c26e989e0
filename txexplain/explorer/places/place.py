"""What every place shares: the Location record, the sizes that bound one, and the class that all kinds of place are made from."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from txexplain.engine.config import GPT2Config
from txexplain.engine.derive import Result
from txexplain.errors import LocationError

STAGES = ("qk", "scaled", "masked", "softmax", "values")
NUMBER = r"(?:0|[1-9][0-9]{0,6})"
IN_BLOCK = rf"L(?P<block>{NUMBER})"
# What may follow a place's name: its face, or a head's stage; what is selected in it; the selected token.
TAIL = rf"(?::(?P<face>[a-z]+)(?:\.(?P<least>{NUMBER}))?)?(?:\[(?P<inside>[\w.,]+)\])?(?:@(?P<token>{NUMBER}))?"


@dataclass(frozen=True)
class Dims:
    """What a transition needs to know of the run: the sizes that bound a Location, and what the present view shows.

    `columns` and `order` say how it lists neurons or heads; `element`, `source` and `key` are what it marks where nothing is selected.
    """

    n_layer: int
    n_head: int
    n_inner: int
    n_tokens: int
    columns: int = 1  # of the grid of heads on screen
    model: str = "this model"
    n_embd: int = 1
    order: tuple[int, ...] | None = None  # the neurons, or the heads (block × n_head + head), as the present view lists them
    element: int | None = None  # None: not known, as of a run that lacks the vector
    source: int | None = None
    key: int | None = None  # of a head's grid: the one that the selected query attends to most

    @classmethod
    def of(cls, config: GPT2Config, n_tokens: int, model: str) -> Dims:
        """The sizes of a model and a prompt."""
        return cls(config.n_layer, config.n_head, config.n_inner, n_tokens, model=model, n_embd=config.n_embd)


@dataclass(frozen=True)
class Location:
    """A place in the model. Fields that its kind doesn't use hold their defaults.

    `select` is the column selected in the model view ("L3", "embed", …; None: block 0), the tile selected in a block
    (None: attn) or the part selected in the residual stream (None: embed). `token` None is the last. At a head or product
    with a cursor, `query` is the selected token. `element` is one of a vector's, of a product's output; `source` of its input.
    `face` is which of a page's faces is shown (None: the usual), `least` a percentage that heads of the atlas must reach.
    """

    kind: str = "model"
    block: int = 0
    head: int = 0
    stage: str = "softmax"
    query: int | None = None
    key: int | None = None
    neuron: int | None = None
    select: str | None = None
    token: int | None = None
    element: int | None = None
    source: int | None = None
    face: str | None = None
    least: int = 0

    def __post_init__(self) -> None:
        if self.face is not None and self.face in PLACES[self.kind].faces[:1]:
            object.__setattr__(self, "face", None)  # a place has one Location, however it was named

    def __str__(self) -> str:
        """The canonical text: parse(str(x)) == x."""
        return PLACES[self.kind].text(self) + ("" if self.token is None else f"@{self.token}")

    @property
    def chosen(self) -> int | None:
        """The token that was selected; None is the last."""
        return self.query if self.query is not None else self.token

    def token_index(self, n_tokens: int) -> int:
        """The selected token's position among n_tokens."""
        chosen = self.chosen
        return max(0, n_tokens - 1 if chosen is None else min(chosen, n_tokens - 1))

    def cursor(self, n_tokens: int, strongest: int | None = None) -> tuple[int, int]:
        """The query and key under a head's cursor; without one, the selected token and the key that it attends to most, or itself."""
        query = self.token_index(n_tokens)
        key = strongest if self.key is None else self.key
        return query, query if key is None else max(0, min(key, n_tokens - 1))


@dataclass(frozen=True)
class Memory:
    """What a zoom would forget: the block, head, stage, tile and neuron last visited, and whether a head was entered from the atlas.

    `cursor` is the query and key that a head was left with; it returns with a head only while that query is the selected token.
    `page` is the page of vectors or neurons last seen, whose cursor and face return with it; `listed` is how an MLP's neurons were
    sorted, `sorted` and `least` how the atlas was; `before` is where the residual stream was looked up from.
    """

    block: int = 0
    head: int = 0
    stage: str = "softmax"
    tile: str | None = None
    neuron: int = 0
    atlas: bool = False
    cursor: tuple[int, int] | None = None
    page: Location | None = None
    listed: str | None = None
    sorted: str | None = None
    least: int = 0
    before: Location | None = None


class Parts(NamedTuple):
    """A Location's text, taken apart."""

    block: int
    head: int
    face: str | None
    least: int | None
    inside: str | None
    token: int | None


@dataclass(frozen=True)
class Bound:
    """One index of a place: what it counts, the Location's field that holds it as `held` writes it, how many there are, and what to say."""

    what: str
    field: str
    index: int
    size: int
    has: str
    held: Any = int


@dataclass(frozen=True)
class Shown:
    """A run as places show it."""

    result: Result
    pair: tuple[int, int] | None = None  # the tokens A and B whose difference is looked at
    other: tuple[int, ...] | None = None  # the ids of the run that patches are taken of


@dataclass(frozen=True)
class Work:
    """What a place shows and takes longer than a key press may wait.

    `steps` does it a little at a time, and ends early once the function that it gets says so; what is found is kept with the run.
    """

    of: Hashable  # what tells it from other work on the same run
    steps: Callable[[Callable[[], bool]], Iterator[object]]


class Place(ABC):
    """All that is known of one kind of place. It holds nothing itself: what is selected stands in the Location, `at`.

    The class is the one for places that have no block, hold one selected token, and no inside; others say what they do otherwise.
    """

    __slots__ = ()
    kind: ClassVar[str]  # its name, by which all that shows it is found
    about: ClassVar[str]  # what one sees there
    caption: ClassVar[str]  # that again, in one plain sentence without a code or a formula: it stands below the view
    stem: ClassVar[str] = ""  # the pattern of its text before TAIL; empty where another kind's class reads it
    word: ClassVar[str] = ""  # the word that names it there
    brackets: ClassVar[str] = ""  # examples of what its brackets may hold
    faces: ClassVar[tuple[str, ...]] = ()  # the usual one first; it goes without saying
    tiles: ClassVar[tuple[str, ...]] = ()  # of the block's view that lead to it, the first where none was used
    named: ClassVar[bool] = False  # whether the brackets are part of its name
    flows: ClassVar[bool] = False  # whether ribbons are part of what it shows
    has_candidates: ClassVar[bool] = False  # whether the arrows go along the next token's candidates there
    takes: ClassVar[str] = ""  # what Enter does there, in the footer, where it leads no further
    asks: ClassVar[str] = ""  # what may be typed into the jump field beside any place
    numbered: ClassVar[bool] = False  # whether a number alone names something there

    # Its text

    @abstractmethod
    def text(self, at: Location) -> str:
        """The canonical text, without the token."""

    def read(self, text: str, parts: Parts) -> Location:
        """The Location that a text names which has this place's stem. Raises LocationError with one sentence."""
        at = self.faced(text, Location(self.kind, block=parts.block, head=parts.head, token=parts.token), parts)
        if parts.inside is None:
            return at
        found = self.select(at, parts.inside)
        if found is None:
            give = f"; give {self.brackets}." if self.brackets else "."
            raise LocationError(f"{shown(text)}: [{clipped(parts.inside)}] names nothing in that view{give}")
        return found

    def faced(self, text: str, at: Location, parts: Parts) -> Location:
        """The place with the page's face that a colon names."""
        face = parts.face
        if face is None:
            return at
        if face not in self.faces:
            if face in STAGES and not self.faces:
                raise LocationError(f"{shown(text)}: only a head has stages, as in L5H1:{face}.")
            has = f"; it has {', '.join(self.faces)}." if self.faces else " or any other."
            raise LocationError(f"{shown(text)}: that view has no face {clipped(face)}{has}")
        if parts.least is not None and not self.may_demand(face, parts.least):
            raise LocationError(f"{shown(text)}: only a measure of the atlas has a least percentage, as in heads:induction.25.")
        return replace(at, face=face, least=parts.least or 0)

    def may_demand(self, face: str, least: int) -> bool:
        """Whether a least percentage may follow the face."""
        return False

    def select(self, at: Location, inside: str) -> Location | None:
        """The place with what the brackets name selected; None where they name nothing."""
        return None

    def label(self, at: Location) -> str:
        """A step's short name in the breadcrumb: its text without what is selected in it, unless that makes the place."""
        if self.named:
            return self.text(at)
        return self.text(Location(self.kind, at.block, self.own_head(at), at.stage)).partition("[")[0]

    def own_head(self, at: Location) -> int:
        """The head that the place belongs to, not one that is selected in it."""
        return 0

    def captioned(self, at: Location) -> str:
        """The plain sentence for a Location."""
        return self.caption

    # What there is of it

    def bounds(self, at: Location, dims: Dims) -> Iterator[Bound]:
        """Every index that the Location holds here, with how many there are."""
        yield from self.indices(at, dims)
        for field in ("token", "query", "key"):
            index = getattr(at, field)
            if index is not None:
                yield Bound("token", field, index, dims.n_tokens, f"the prompt's tokens go from 0 to {dims.n_tokens - 1}")

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        """Those of them that are no tokens."""
        yield from ()

    def check(self, at: Location, dims: Dims) -> None:
        """Raise LocationError where the model or the prompt lacks the place."""
        for each in self.bounds(at, dims):
            if each.index >= each.size:
                raise LocationError(f"{at}: there is no {each.what} {each.index}; {each.has}.")

    def clamp(self, at: Location, dims: Dims) -> Location:
        """The nearest that exists. A block or head that the place has no use for goes."""
        near = {each.field: each.held(max(0, min(each.index, each.size - 1))) for each in self.bounds(at, dims)}
        return replace(at, **{"block": 0, "head": 0} | near)

    # The ways in and out

    def remember(self, memory: Memory, at: Location) -> Memory:
        """The memory after having been here."""
        return replace(memory, before=None)

    def arrive(self, at: Location, memory: Memory, dims: Dims) -> Location:
        """The place as it shows when it is entered: as it was last seen, where the last page was of its kind."""
        page = memory.page
        if page is None or page.kind != at.kind:
            return at
        return self.clamp(replace(at, face=page.face, element=page.element, source=page.source, neuron=page.neuron), dims)

    def enter(self, at: Location, memory: Memory, dims: Dims) -> Location:
        """Into what is selected; a place that has no inside is its own."""
        return at

    @abstractmethod
    def out(self, at: Location, memory: Memory) -> Location:
        """To what holds this place, with this place selected there."""

    def part(self, at: Location) -> str | None:
        """The part of the residual stream that the place belongs to."""
        return None

    def thing(self, at: Location) -> str | None:
        """The head, or the part of the residual stream, that the place belongs to."""
        return self.part(at)

    def subject(self, at: Location) -> str:
        """What is selected, by the name of its page, of a block's tile or of a model's column."""
        return self.kind

    def change(self, at: Location, dims: Dims) -> str:
        """What X switches off here and P patches, in the grammar of changes; nothing where nothing of that kind is selected."""
        return ""

    # What it shows of a run

    def order(self, at: Location, run: Shown) -> tuple[int, ...] | None:
        """The numbers of what it lists, in that order: see Dims. None: in the model's order, or not known yet. Raises NotRecorded."""
        return None

    def work(self, at: Location, run: Shown) -> Work | None:
        """What is still to be computed of what it shows, where that takes long. Raises NotRecorded."""
        return None

    def found(self, at: Location, run: Shown) -> Any:
        """What is known by now of what takes long: another value once more is known."""
        return None

    # Keys

    def does(self, at: Location) -> str:
        """The action that Enter is there; "" where it leads further, or to nothing."""
        return ""

    def first(self, at: Location, dims: Dims) -> Location:
        """Where a face begins that was just turned to."""
        return at

    def move(self, at: Location, dx: int, dy: int, dims: Dims) -> Location:
        """An arrow key: dx, dy in −1, 0, 1."""
        return token_by(at, dy, dims) if dy else at

    def step_block(self, at: Location, step: int, dims: Dims) -> Location:
        """The block before or after, at the same place inside it."""
        return at

    def step_head(self, at: Location, step: int, dims: Dims) -> Location:
        """The head before or after, around the block's end."""
        return at

    def next_face(self, at: Location, step: int) -> Location:
        """The page's next face."""
        if not self.faces:
            return at
        present = self.faces.index(at.face or self.faces[0])
        return replace(at, face=self.faces[(present + step) % len(self.faces)], least=0)

    def next_least(self, at: Location) -> Location:
        """Only what reaches the next percentage of what the page is sorted by."""
        return at

    def with_token(self, at: Location, token: int, dims: Dims) -> Location:
        """The place with another token selected."""
        return replace(at, token=token)

    # What was typed into the jump field

    def number(self, at: Location, numbers: Sequence[int]) -> Location | None:
        """What one number, or more, mean here; None where they mean nothing."""
        return None

    def typed(self, at: Location, there: Location) -> Location:
        """Where a Location leads that was typed here."""
        return there


class InBlock(Place):
    """A place of one block: a page of it, a head, a neuron."""

    __slots__ = ()
    half: ClassVar[str] = "attn"  # of the block, which the residual stream's parts are named by

    def indices(self, at: Location, dims: Dims) -> Iterator[Bound]:
        yield block_bound(at.block, dims)

    def remember(self, memory: Memory, at: Location) -> Memory:
        return replace(super().remember(memory, at), block=at.block)

    def out(self, at: Location, memory: Memory) -> Location:
        """To the block, with the tile selected that leads here; several may."""
        tile = memory.tile if memory.tile in self.tiles else self.tiles[0]
        return Location("block", block=at.block, select=None if tile == "attn" else tile, token=at.chosen)

    def part(self, at: Location) -> str | None:
        return f"L{at.block}.{self.half}"

    def step_block(self, at: Location, step: int, dims: Dims) -> Location:
        return replace(at, block=max(0, at.block + step))


PLACES: dict[str, Place] = {}  # the registry: `places/__init__.py` fills it


def page_stem(word: str) -> str:
    """The pattern of a page of a block."""
    return rf"{IN_BLOCK}\.{word}"


def block_bound(index: int, dims: Dims, field: str = "block", held: Any = int) -> Bound:
    return Bound("block", field, index, dims.n_layer, f"{dims.model} has blocks L0 to L{dims.n_layer - 1}", held)


def token_by(at: Location, step: int, dims: Dims) -> Location:
    """The place at a token before or after."""
    return replace(at, token=max(0, at.token_index(dims.n_tokens) + step))


def numbers_in(inside: str, pattern: str = NUMBER) -> tuple[int, ...] | None:
    """The numbers that the brackets hold, where they are written like this."""
    return tuple(int(each) for each in re.findall(r"[0-9]+", inside)) if re.fullmatch(pattern, inside) else None


PAIR = rf"{NUMBER},{NUMBER}"


def shown(text: str) -> str:
    """What was typed, short and on one line."""
    return f"'{clipped(text)}'"


def clipped(text: str) -> str:
    """What was typed, short and in ASCII."""
    plain = ascii(text)[1:-1]
    return plain if len(plain) <= 58 else plain[:56] + "…"
