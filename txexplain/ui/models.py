"""The list of models over the screen, and what is known of a model on its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from txexplain.explorer.session.events import Failed
from txexplain.explorer.session.value import Arrival
from txexplain.files import megabytes
from txexplain.models.endpoint import host
from txexplain.models.hub import NotHere, offer, repo_id
from txexplain.ui.choose import ChooseScreen, Entry
from txexplain.ui.over import OverScreen
from txexplain.ui.work import Work
from txexplain.viz.bars import bar
from txexplain.viz.canvas import plain
from txexplain.viz.numbers import count, percent
from txexplain.viz.palette import Palette

if TYPE_CHECKING:
    from txexplain.models.report import Entry as Model

BAR = 24  # cells


class ModelsScreen(ChooseScreen):
    """The models with their size and state; the answer is the number of the one picked in `models`."""

    heading = "Models"
    hint = "↑ ↓ move   ⏎ open, or fetch and open   esc back"

    def __init__(
        self, tones: Palette, work: Work, present: str, arrival: Callable[[], Arrival | None], known: Callable[[], Sequence[Model]]
    ) -> None:
        super().__init__(tones)
        self.work, self.present, self.arrival, self.known = work, present, arrival, known
        self.models: Sequence[Model] | None = None
        self.sentence = ""

    def on_mount(self) -> None:
        super().on_mount()
        self.work.start("look", lambda job: self.known(), self.listed)  # the cache is read from the disk: that may take long

    def on_unmount(self) -> None:
        self.work.stop("look")

    def listed(self, models: Sequence[Model] | Failed) -> None:
        """What models there are is known."""
        if isinstance(models, Failed):
            self.models, self.sentence = (), models.sentence
        else:
            self.models = models
        self.at = next((i for i, model in enumerate(self.models) if model.name == self.present), 0)
        self.update()

    def nothing(self) -> str:
        return self.sentence or "looking for models …"

    def update(self) -> None:
        """List the models as they stand now."""
        self.entries = [self.entry(number, model) for number, model in enumerate(self.models or ())]
        self.show()

    def entry(self, number: int, model: Model) -> Entry:
        arrival, ascii = self.arrival(), self.tones.ascii
        state, below = model.state, model.folder or "enter fetches it into the Hugging Face cache"
        if model.name == self.present:
            below = "the present one"
        if arrival is not None and arrival.name == model.name:
            share = arrival.done / arrival.total if arrival.total else 0.0
            state = f"fetched {arrival.percent}%" if arrival.total else "opening"
            below = f"{bar(share, BAR, self.tones):<{BAR}} {percent(share, ascii=ascii)} of {megabytes(arrival.total)}; enter stops it"
        parameters = count(model.parameters) if model.parameters else "?"
        return Entry(model.name, f"{parameters:>13}  {megabytes(model.bytes or 0):>8}  {state:<12}", below, number)


class FetchScreen(OverScreen[bool]):
    """Whether a model that a lesson names may be fetched: what, how large, from where. Nothing is asked of the hub before.

    How large an unknown one is only the hub knows: then the first answer asks it, and the second fetches.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(False)", "go on without", show=False),
        Binding("y,enter", "agree", "fetch", show=False),
    ]
    DEFAULT_CSS = """
    FetchScreen { align: center middle; }
    FetchScreen Vertical { width: 76; max-width: 96%; height: auto; padding: 1 2; background: $panel; }
    FetchScreen Static { width: 1fr; height: auto; }
    """

    def __init__(self, tones: Palette, work: Work, lacking: NotHere, ask: Callable[[str], int] | None = None) -> None:
        super().__init__()
        self.tones, self.work, self.model, self.bytes = tones, work, lacking.name, lacking.bytes
        self.ask = ask or (lambda name: offer(repo_id(name) or name))
        self.host = host()
        self.asking, self.sentence = False, ""

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.show()

    def show(self) -> None:
        """Write the question as it stands now."""
        yes = ""
        if self.sentence:
            known = self.sentence
        elif self.bytes is not None:
            known, yes = f"It has {megabytes(self.bytes)}, which {self.host} would send into the Hugging Face cache.", "y ⏎ fetch it   "
        elif self.asking:
            known = f"{self.host} is asked how large it is …"
        else:
            known, yes = f"How large it is, {self.host} says once it is asked.", "y ⏎ ask how large it is   "
        text = Text()
        text.append(plain(f"The lesson's page wants {self.model}, which isn't on this machine.\n", self.tones), "bold")
        text.append(plain(f"{known}\n\n", self.tones))
        text.append(plain(f"{yes}esc go on without", self.tones), "dim")
        self.query_one(Static).update(text)

    def action_agree(self) -> None:
        if self.bytes is not None:
            self.dismiss(True)
        elif not self.asking and not self.sentence:
            self.asking = True
            self.show()
            self.work.start("inquire", lambda job: self.ask(self.model), self.answered)

    def on_unmount(self) -> None:
        self.work.stop("inquire")

    def answered(self, size: int | Failed) -> None:
        """What the hub says of the size; or why it says nothing."""
        self.asking = False
        if isinstance(size, Failed):
            self.sentence = size.sentence
        else:
            self.bytes = size
        self.show()
