"""What happens to a session (events), and what it asks for (effects). Both are plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.explorer.lesson import Lesson
from txexplain.explorer.location import Location
from txexplain.explorer.places.place import Work
from txexplain.explorer.reading import Bookmark, Reading
from txexplain.explorer.state import ExplorerState

# Events: the reader's


@dataclass(frozen=True)
class Key:
    """An action was asked for. columns: how many heads the stage shows side by side; shown: the key, for a lecture's audience."""

    action: str
    columns: int = 1
    shown: str = ""


@dataclass(frozen=True)
class Digit:
    """A digit was pressed."""

    digit: str


@dataclass(frozen=True)
class Clicked:
    """Something of a pane was clicked."""

    pane: str
    target: object


@dataclass(frozen=True)
class Hovered:
    """The pointer is over something else."""

    target: object


@dataclass(frozen=True)
class Wheel:
    """The wheel was turned: "up" or "down"."""

    pane: str
    direction: str
    columns: int = 1


@dataclass(frozen=True)
class Typed:
    """The prompt's text is another."""

    text: str


@dataclass(frozen=True)
class Left:
    """The reader is done with the prompt's text; step: 0 for the stage, else which pane comes next."""

    step: int


@dataclass(frozen=True)
class Resized:
    """The screen has another size: whether the surprisal strip, and an explanation beside the stage, have room there."""

    strip: bool
    side: bool


# Events: what a list or a field over the screen was answered with


@dataclass(frozen=True)
class Jumped:
    """A place, or a lesson's page, was typed."""

    text: str


@dataclass(frozen=True)
class Found:
    """A token was found among the candidates of some logits."""

    rank: int
    logits: Any


@dataclass(frozen=True)
class Began:
    """An example was picked: its prompt, and what to look for."""

    prompt: str
    look: str


@dataclass(frozen=True)
class LessonPicked:
    """A lesson's number in the list; the number after the last closes the one that is open."""

    number: int


@dataclass(frozen=True)
class PagePicked:
    """A page of the open lesson, by its number from 1."""

    number: int


@dataclass(frozen=True)
class Raised:
    """How many raised a hand for each answer of the open page; none: all answers are taken back, for the next group."""

    counts: tuple[int, ...]


@dataclass(frozen=True)
class ModelPicked:
    """A model of the list."""

    name: str


@dataclass(frozen=True)
class Led:
    """A lecturer who is followed shows another state, if it can be gone to, and a lesson's page or none."""

    state: ExplorerState | None
    lesson: Lesson | None
    page: int


@dataclass(frozen=True)
class Agreed:
    """Whether the reader lets a page's model be fetched, of how many bytes at the most; else the sentence that says what is shown."""

    name: str
    yes: bool
    bytes: int | None
    sentence: str = ""


# Events: news from the background


@dataclass(frozen=True)
class Progress:
    """What is done under a key has come so far."""

    key: str
    done: int
    total: int


@dataclass(frozen=True)
class Failed:
    """What was to be done under a key can't be."""

    key: str
    sentence: str
    error: Exception | None = None


@dataclass(frozen=True, eq=False)
class Opened:
    """A model is open, or a recorded run, that was asked for under a key: "load" or "arrive"."""

    key: str
    found: GPT2 | Result


@dataclass(frozen=True, eq=False)
class Ran:
    """The forward pass that was asked for last ended."""

    result: Result
    seconds: float


@dataclass(frozen=True, eq=False)
class Computed:
    """What takes long is known of the present run; what isn't kept with that comes as the value."""

    what: str
    value: Any = None


@dataclass(frozen=True)
class Further:
    """More of what takes long is known of the present run, and not yet all."""

    what: str


@dataclass(frozen=True)
class Rang:
    """So much time has passed."""

    timer: str


# Events: what only the screen can tell, as answers to effects


@dataclass(frozen=True)
class Scrolled:
    """The first row that the side pane shows."""

    row: int


@dataclass(frozen=True, eq=False)
class PageRead:
    """A lesson's page looks here, and says this; keys: its script's; fault, script_fault: why it can't, or the script can't be played."""

    state: ExplorerState | None = None
    reading: Reading | None = None
    keys: tuple[tuple[str, str, str], ...] = ()
    fault: str = ""
    script_fault: str = ""


# Effects: work


@dataclass(frozen=True, eq=False)
class Forward:
    """Ask the model what a state says, in place of what was asked before: Ran, or Failed("forward"). prefix: the last runs."""

    model: GPT2
    state: ExplorerState
    prefix: Result | None


@dataclass(frozen=True, eq=False)
class Compute:
    """Find out what takes long about a run: "norms", "rollout", "surprisal", or what the present "place" shows: Computed, or Failed."""

    what: str
    result: Result
    known: tuple[Any, ...] = ()  # as much of the surprisal as is known
    work: Work | None = None  # what a place shows


@dataclass(frozen=True)
class Load:
    """Open a model under a key: Opened, Failed, and Progress meanwhile."""

    key: str
    name: str
    revision: str | None = None
    tokenizer: str | None = None
    specials: str | None = None
    may_fetch: bool = True
    most: int | None = None  # bytes


@dataclass(frozen=True)
class Stop:
    """Nobody waits any more for what is done under these keys."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class Later:
    """Let a timer ring after so many seconds, in place of an earlier one of its name: Rang."""

    timer: str
    seconds: float


# Effects: the screen


@dataclass(frozen=True)
class Say:
    """A sentence for a while."""

    sentence: str


@dataclass(frozen=True)
class Do:
    """What needs nothing of the session: help, the theme, the end, …"""

    action: str


@dataclass(frozen=True)
class Show:
    """A list, a field or a page over the screen, by its name."""

    name: str
    given: Any = None


@dataclass(frozen=True)
class Focus:
    """Give a pane the keys; the prompt's is filled with this text."""

    pane: str
    text: str = ""


@dataclass(frozen=True)
class Zoom:
    """A frame grows from what was entered, or shrinks to what was left."""

    old: Location
    new: Location


@dataclass(frozen=True)
class Scroll:
    """How far the side pane can go: to a row, or some pages on: Scrolled."""

    row: int | None = None
    pages: int = 0


@dataclass(frozen=True)
class Read:
    """Where the open page looks, and what it says of the run that is there: PageRead."""


@dataclass(frozen=True)
class Press:
    """A script presses a key of an action."""

    action: str


@dataclass(frozen=True)
class Type:
    """A script types into the prompt; "backspace" takes a character away."""

    text: str


@dataclass(frozen=True)
class Keep:
    """Write a reader's answers."""

    path: Path
    answers: Mapping[str, Any]


@dataclass(frozen=True)
class KeepPlace:
    """Write how far lessons are read, for the next start: those of this session, and the one that is read now."""

    bookmarks: Mapping[Lesson, Bookmark]
    last: Lesson


@dataclass(frozen=True)
class Tell:
    """Let the lecturer's notes know which page is open."""

    lesson: Lesson
    page: int


Effect = Forward | Compute | Load | Stop | Later | Say | Do | Show | Focus | Zoom | Scroll | Read | Press | Type | Keep | KeepPlace | Tell
