"""What a picture is drawn from. A view is a function from a Scene to a Canvas; it keeps nothing and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.config import GPT2Config
from txexplain.engine.derive import Result
from txexplain.engine.sampling import Distribution, Draw, Ranking
from txexplain.engine.surprisal import Surprise
from txexplain.engine.trace import Trace
from txexplain.explorer.history import Moment
from txexplain.explorer.location import Location
from txexplain.explorer.reading import Reading
from txexplain.explorer.state import ExplorerState
from txexplain.viz.canvas import has_console
from txexplain.viz.palette import Palette


class Display(Protocol):
    """How tokens are shown: a model's tokenizer, or a trace's own list of tokens."""

    def display(self, token_id: int, *, ascii: bool = False) -> str: ...


@dataclass(frozen=True)
class Scene:
    """Everything that a view may read.

    `shown` is None until the first result is there. `stale` says that it belongs to an earlier prompt: words
    tell it at once, and where it lasts (`faded`) all of it dims.
    `ribbons` are the shares that flow, one [T, T] a block, or None while they are being traced.
    """

    state: ExplorerState
    palette: Palette
    width: int
    height: int
    shown: Result | None = None
    distribution: Distribution | None = None
    display: Display | None = None
    ribbons: tuple[NDArray[np.float64], ...] | None = None
    stale: bool = False
    faded: bool = False
    message: str = ""  # what to say where there is no result: loading, an error
    model_name: str = ""
    cost: str = ""  # how long the last run took; empty where a picture must not depend on the clock
    keys: tuple[tuple[str, str, str], ...] = ()  # the footer's (keys, what they do, the same in short), the most useful first
    draw: Draw | None = None  # the last draw, while its token is the prompt's last
    drawn_from: Distribution | None = None  # what that draw was made from
    surprisal: tuple[Surprise | None, ...] | None = None  # of the first tokens, as far as known; None where the strip is shut
    held: Moment | None = None  # a distribution that is shown beside the present one
    back: int = 0  # how many steps back the distribution shown is; 0 is the present one
    pane: str = "stage"  # the pane that has the focus: stage, panel or prompt
    measured: bool = True  # whether all that the place shows may be asked for; False while it is being computed
    hover: Location | None = None  # the cell of a head's grid under the pointer
    side: str = ""  # what stands in the side pane: "", "explain", "lesson" or "welcome"
    filling: str = ""  # the pane that fills the screen
    covered: frozenset[str] = frozenset()  # panes whose picture is hidden
    blank: bool = False  # whether nothing is shown
    begins: tuple[str, str] = ("t", "?")  # the keys of lessons and help, as that last one names them
    scroll: int = 0  # the explanation's first row
    about: str = "stage"  # the pane that it explains: stage, panel, prompt or lesson
    reading: Reading | None = None
    lecture: bool = False  # fewer figures, larger bars, the keys pressed in the footer
    candidate: int = 0  # the rank of the candidate that the panel's cursor is on
    found: Any = None  # what is known by now of what the place shows and takes long
    contrast: tuple[int, int] | None = None  # the tokens A and B whose difference is looked at; None where it isn't known

    @property
    def location(self) -> Location:
        return self.state.location

    @property
    def changed(self) -> bool:
        """Whether the run that is shown, or is on its way, isn't the model's own."""
        return bool(self.state.edits) or (self.shown is not None and bool(self.shown.trace.interventions))

    @property
    def result(self) -> Result:
        """What is shown. Views are only called with one."""
        assert self.shown is not None
        return self.shown

    @property
    def trace(self) -> Trace:
        return self.result.trace

    @property
    def config(self) -> GPT2Config:
        return self.result.config

    @property
    def ranking(self) -> Ranking | None:
        """The vocabulary by the logits of the run on the stage; `distribution` may be an earlier moment's."""
        return self.result.ranking if "logits" in self.trace else None

    @property
    def n_tokens(self) -> int:
        return len(self.trace.ids)

    @property
    def token(self) -> int:
        """The selected token's position."""
        return self.location.token_index(self.n_tokens)

    def label(self, position: int) -> str:
        """The token at a position, as it is shown."""
        return self.id_label(self.trace.ids[position])

    def id_label(self, token_id: int) -> str:
        """A token of the vocabulary, as it is shown."""
        if self.display is not None:
            text = self.display.display(token_id, ascii=self.palette.ascii and not self.palette.console)
            if self.palette.console and not all(map(has_console, text)):
                return self.display.display(token_id, ascii=True)
            return text
        return f"#{token_id}"
