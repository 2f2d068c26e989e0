"""What an explanation is made of: words with places for values, shapes, sources; and what the reader looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from txexplain.engine.derive import Doubles, Result
from txexplain.engine.sampling import Distribution, Draw
from txexplain.engine.surprisal import Surprise
from txexplain.errors import NotRecorded
from txexplain.explorer import choice
from txexplain.explorer.lesson import Lesson, Page
from txexplain.explorer.location import Location
from txexplain.explorer.places.by_place import ByPlace
from txexplain.explorer.source import Source
from txexplain.facts.by_hand import recomputable
from txexplain.facts.vector import VectorFacts, vector


@dataclass(frozen=True)
class Share:
    """A number shown as a percentage."""

    value: float


@dataclass(frozen=True)
class Plus:
    """A number that is added, shown with its operator: + 0.3 or − 0.3."""

    value: float


@dataclass(frozen=True)
class Token:
    """The prompt's token at a position."""

    position: int


@dataclass(frozen=True)
class Entry:
    """A token of the vocabulary."""

    id: int


Value = float | int | str | Share | Plus | Token | Entry


@dataclass(frozen=True)
class Line:
    """Words with the places of values in them as {}."""

    text: str
    values: tuple[Value, ...] = ()


def say(text: str, *values: Value) -> Line:
    return Line(text, values)


@dataclass(frozen=True)
class Shape:
    """A tensor's name and shape in letters and in numbers; `recorded` is None for weights, which a trace never holds."""

    name: str
    letters: tuple[str, ...]
    sizes: tuple[int, ...]
    recorded: bool | None


@dataclass(frozen=True)
class Explanation:
    """A place explained. `missing` names what stopped the worked formula: an activation, or "weights"."""

    title: str
    sentences: tuple[Line, ...]
    formula: tuple[str, ...]
    worked: tuple[Line, ...]
    missing: str
    shapes: tuple[Shape, ...]
    sources: tuple[Source, ...]


Made = tuple[Callable[..., Any], str]  # a function and what is made in it: see source_of


@dataclass(frozen=True)
class Topic:
    """An explanation as it is written: `worked` gives its lines one by one, and may raise NotRecorded on the way.

    `names` are the trace's tensors that the place shows, `weights` the shapes of the weights that it uses.
    """

    title: str
    sentences: tuple[Line, ...]
    formula: tuple[str, ...]
    worked: Iterator[Line]
    names: tuple[str, ...]
    made: tuple[Made, ...]
    weights: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Look:
    """What the reader looks at, and what is known of it."""

    place: Location
    result: Result
    distribution: Distribution | None = None
    candidate: int = 0  # the rank of the candidate that is selected
    ribbons: Sequence[Doubles] | None = None  # the shares that flow, where they are traced
    measured: bool = True  # whether all that the place shows may be asked for
    pane: str = "stage"  # the pane that is explained: stage, panel, prompt or lesson
    present: bool = True  # whether the distribution is the one that the next token is drawn from
    seed: int = 0
    draw: Draw | None = None  # the last draw, while its token is the prompt's last
    full_bar: float = 1.0  # the share that a full bar stands for
    surprisal: Sequence[Surprise | None] | None = None  # of the first tokens, as far as known; None where the strip is shut
    appended: int = 0  # how many tokens at the end were drawn or chosen
    hint: str = ""  # what to look for in an example
    lesson: Lesson | None = None  # the one that is open
    page: Page | None = None
    contrast: tuple[int, int] | None = None  # the two tokens whose difference is looked at
    found: Any = None  # what is known by now of what the place shows and takes long
    given: Mapping[int, int] = field(default_factory=dict)  # its answers: page -> answer

    @property
    def token(self) -> int:
        return self.place.token_index(self.result.trace.n_tokens)

    @property
    def here(self) -> Token:
        return Token(self.token)

    @property
    def element(self) -> int:
        """The element under the cursor; where there is none, the one that the view shows."""
        try:
            return choice.element(self.result, self.place)
        except NotRecorded:  # the view says what isn't recorded
            return 0

    def name(self, name: str) -> str:
        """A block's tensor by its name inside the block."""
        return f"blocks.{self.place.block}.{name}"

    def row(self, name: str) -> VectorFacts:
        """The selected token's row of a tensor, as one vector."""
        return vector(self.result, name, self.token)

    def holding(self, name: str, element: int, value: float) -> Line | None:
        """None as long as an activation is what its formula makes; else what there is to say of its element."""
        return None if recomputable(self.result, name, row=self.token) else say("element {} = {}: changed by hand", element, value)


TOPICS: ByPlace[Callable[[Look], Topic]] = ByPlace()  # the places' explanations, each registered where it is written


def entry(look: Look) -> Entry:
    """The selected token as one of the vocabulary."""
    return Entry(look.result.trace.ids[look.token])
