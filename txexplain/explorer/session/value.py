"""A session as a value: all that the reader has done and all that is known, without a screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import Distribution, Draw
from txexplain.engine.surprisal import Surprise
from txexplain.engine.trace import Run
from txexplain.explorer.choice import dims_of, shown
from txexplain.explorer.history import Moment
from txexplain.explorer.lesson import Lesson
from txexplain.explorer.location import Dims, Location
from txexplain.explorer.reading import Bookmark, Reading, Reads, page_of
from txexplain.explorer.session.events import Effect
from txexplain.explorer.state import ExplorerState, ModelAsked

Step = Callable[[ExplorerState, Dims], ExplorerState]  # of one's way, which needs the model's and the prompt's sizes
PACES = (0.25, 1.0, 0.05)  # seconds between generated tokens, at the least


@dataclass(frozen=True)
class Arrival:
    """A model that was asked for and isn't open yet: bytes that are there, and all of them, once that is known."""

    name: str
    done: int = 0
    total: int = 0

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.total) if self.total else 0

    @property
    def words(self) -> str:
        """How far it is, in a few words for the header."""
        return f"{self.name} {self.percent}%" if self.total else f"opening {self.name}"


@dataclass(frozen=True)
class Own:
    """What the reader had before a lesson came: it stands there again once the lesson is left."""

    state: ExplorerState
    text: str  # the prompt in words, for another model
    history: tuple[Moment, ...]
    held: Moment | None


@dataclass(frozen=True, eq=False)
class Reader:
    """The lesson that is open, or was, and how far each is read."""

    asked: Reads
    lesson: Lesson | None = None
    number: int = 1  # the page's
    open: bool = False
    reading: Reading | None = None
    bookmarks: Mapping[Lesson, Bookmark] = field(default_factory=lambda: MappingProxyType({}))
    own: Own | None = None  # while a lesson is open
    awaited: tuple[ExplorerState, ExplorerState] | None = None  # what is shown until the own run is there, and then
    arriving: bool = False  # the page's run isn't there yet
    wanted: ExplorerState | None = None  # the state that it was asked for
    home: ModelAsked | None = None  # the reader's own model, while a page's is there
    pinned: str = ""  # the model that a page brought
    hands: Mapping[tuple[str, int], tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))  # by lesson and page
    waiting: tuple[tuple[str, str, str], ...] = ()  # a script's keys: what, with what, as it is shown
    pressed: tuple[str, ...] = ()  # the keys pressed last, in a lecture

    @property
    def side(self) -> str:
        """What the lesson puts into the side pane."""
        return "lesson" if self.open and self.reading is not None else ""

    @property
    def given(self) -> Mapping[int, int]:
        """The answers given in this lesson: page -> answer, both from 1."""
        return {} if self.lesson is None else self.bookmarks.get(self.lesson, Bookmark()).given

    @property
    def has_question(self) -> bool:
        """Whether the page on screen has a question, answered or not."""
        return bool(self.side) and self.reading is not None and bool(self.reading.page.question)

    @property
    def asks(self) -> bool:
        """Whether the page has a question that isn't answered."""
        return self.has_question and self.reading is not None and not self.reading.given

    def page_in(self, lesson: Lesson) -> int:
        """Where a lesson was left."""
        return self.bookmarks.get(lesson, Bookmark()).page


@dataclass(frozen=True, eq=False)
class Session:
    """One moment of a reader's work. What is on the screen follows from it and the screen's size.

    A run is its model, its ids and what was changed on the way: `result` is the one shown, `state.asked` says which one is asked for.
    """

    state: ExplorerState
    reader: Reader
    # The run
    model: GPT2 | None = None
    result: Result | None = None
    distribution: Distribution | None = None  # of the next token, at the state's setting
    prefix: Result | None = None  # the last runs, whose beginnings the next ones reuse
    running: bool = False  # whether another one is on its way
    ahead: tuple[Step, ...] = ()  # what was pressed before there was one, to be done once it is there
    late: bool = False  # and for so long that the old result fades
    message: str = ""  # what to say where there is no result
    cost: str = ""
    # What takes long, of the present run
    asked: frozenset[str] = frozenset()  # what is on its way, or can't be had; what came is kept with the run
    surprised: tuple[Run | None, tuple[Surprise | None, ...]] = (None, ())  # a run, and as much of its surprisal as is known
    # The probabilities that were shown
    history: tuple[Moment, ...] = ()  # the present ones last
    back: int = 0  # steps back in it
    held: Moment | None = None
    # Drawing
    queued: int = 0  # draws asked for while a run is on its way
    generating: bool = False
    pace: float = PACES[0]
    last_draw: Draw | None = None  # while its token is the last
    drawn_from: Distribution | None = None
    # What the reader looks at
    pane: str = "stage"  # the one with the keys
    about: str = "stage"  # and the one that an explanation is about
    candidate: int = 0
    hover: Location | None = None
    side: str = ""  # what stands in the side pane, unless a lesson does
    scroll: int = 0  # and its first row
    fills: bool = False  # whether the pane of the keys fills the screen
    covered: frozenset[str] = frozenset()  # panes whose picture is hidden
    blank: bool = False  # whether nothing is shown, until a key is pressed
    welcome: bool = False  # whether it says there what this is, and where one begins
    strip: bool | None = None  # the surprisal strip as the reader wants it; None: open where there is room
    room: tuple[bool, bool] = (False, False)  # what the screen has room for: the strip, an explanation beside the stage
    # Models
    arrival: Arrival | None = None  # the one that will take the present one's place
    granted: Mapping[str, int | None] = field(default_factory=lambda: MappingProxyType({}))  # what the reader named: bytes agreed to

    @property
    def beside(self) -> str:
        """What stands in the side pane."""
        return self.reader.side or ("welcome" if self.welcome else self.side)

    @property
    def filling(self) -> str:
        """The pane that fills the screen, if one does."""
        return "" if not self.fills else self.pane if self.pane in ("panel", "side") else "stage"

    @property
    def current(self) -> bool:
        """Whether the result shown is of the prompt shown."""
        return self.result is not None and not self.running

    @property
    def past(self) -> Moment | None:
        """The earlier distribution that is shown in place of the present one."""
        return self.history[-1 - self.back] if self.back else None

    @property
    def changed(self) -> bool:
        """Whether what is shown, or on its way, is a run with changes."""
        return bool(self.state.edits) or (
            self.result is not None and self.state.trace is not None and bool(self.result.trace.interventions)
        )

    @property
    def strip_open(self) -> bool:
        return self.strip if self.strip is not None else self.room[0] and not self.reader.asked.lecture

    def dims(self, columns: int = 1) -> Dims:
        """The sizes that bound where one goes; columns: how many heads the stage shows side by side."""
        assert self.result is not None
        return dims_of(self.result, self.state.location, columns, shown(self.result, self.state, self.held))

    def prompt_text(self) -> str:
        """The prompt as text: as typed, or what its ids say."""
        state = self.state
        if state.ids is None or self.model is None:
            return state.prompt
        if state.typed and all(state.typed):  # without what the tokenizer put around the text
            return state.prompt + b"".join(self.model.tokenizer.raw(each.id) for each in state.appended).decode("utf-8", "replace")
        return self.model.tokenizer.decode(state.ids)

    def can_surprise(self) -> bool:
        """Whether the surprisal of each token can be known: from the model, or from logits of every position."""
        if self.result is None or self.result.model is not None:
            return self.result is not None
        return "logits" in self.result.trace and self.result.trace["logits"].ndim == 2

    def surprisal(self) -> tuple[Surprise | None, ...] | None:
        """What is known of the prompt's surprisal, where the strip is open: a text's beginning keeps its own."""
        if self.result is None or not self.strip_open or not self.can_surprise():
            return None
        return self.surprised[1][: self.result.trace.run.shared(self.surprised[0])]

    def may_fetch(self, name: str) -> bool:
        """Whether a model may be fetched: the reader named it, or said so."""
        return name in self.granted or self.reader.asked.fetch


Outcome = tuple[Session, tuple[Effect, ...]]


def begun(state: ExplorerState, reads: Reads) -> Session:
    """The session that a command line begins."""
    lesson, pinned = reads.lesson, ""
    home: ModelAsked | None = None
    if lesson is not None and (model := page_of(lesson, reads.page).model) not in (None, reads.model):
        home, pinned = (reads.model, None, None, None), model or ""
    reader = Reader(reads, lesson, reads.page, open=lesson is not None, bookmarks=reads.bookmarks, home=home, pinned=pinned)
    granted = MappingProxyType({reads.model: None})
    return Session(state, reader, message=f"Loading {state.model} …", granted=granted, welcome=reads.welcome)
