"""The list of models over the screen, and what is known of a model on its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from txexplain.errors import ExplainError, ModelNotFound, sentence_of
from txexplain.files import megabytes
from txexplain.models.endpoint import host
from txexplain.models.hub import NotHere, Stopped, offer, repo_id
from txexplain.ui.choose import ChooseScreen, Entry
from txexplain.ui.over import OverScreen
from txexplain.ui.threads import in_thread
from txexplain.viz.bars import bar
from txexplain.viz.canvas import plain
from txexplain.viz.numbers import count, percent
from txexplain.viz.palette import Palette

if TYPE_CHECKING:
    from txexplain.models.report import Entry as Model

BAR = 24  # cells
MARGIN = 10_000_000  # bytes that a download may have more than was said: a well-known model's size is that of its weights alone


class Arrival:
    """A model that was asked for and isn't open yet. The worker that opens it writes, the screen reads."""

    def __init__(self, name: str, changed: Callable[[Arrival], object], most: int | None = None) -> None:
        """most: as many bytes the reader agreed to; None: any number."""
        self.name, self.most = name, most
        self.changed = changed
        self.done = self.total = 0
        self.stopped = False

    def progress(self, done: int, total: int) -> None:
        """What a download tells; raises Stopped once nobody waits for it."""
        if self.stopped:
            raise Stopped
        if self.most is not None and total > self.most + MARGIN:
            raise ModelNotFound(f"{self.name} isn't fetched: it has {megabytes(total)} now, and you were told {megabytes(self.most)}.")
        before = self.words
        self.done, self.total = done, total
        if self.words != before:
            self.changed(self)

    @property
    def percent(self) -> int:
        return min(100, 100 * self.done // self.total) if self.total else 0

    @property
    def words(self) -> str:
        """How far it is, in a few words for the header."""
        return f"{self.name} {self.percent}%" if self.total else f"opening {self.name}"


class ModelsScreen(ChooseScreen):
    """The models with their size and state; the answer is the number of the one picked in `models`."""

    heading = "Models"
    hint = "↑ ↓ move   ⏎ open, or fetch and open   esc back"

    class Listed(Message):
        """What models there are is known; or a sentence why it isn't."""

        def __init__(self, models: Sequence[Model], sentence: str = "") -> None:
            super().__init__()
            self.models, self.sentence = models, sentence

    def __init__(self, tones: Palette, present: str, arrival: Callable[[], Arrival | None], known: Callable[[], Sequence[Model]]) -> None:
        super().__init__(tones)
        self.present, self.arrival, self.known = present, arrival, known
        self.models: Sequence[Model] | None = None
        self.sentence = ""

    def on_mount(self) -> None:
        super().on_mount()
        self.look()

    @in_thread("look")
    def look(self) -> None:
        """The cache is read from the disk, which may take longer than a key may."""
        try:
            self.post_message(self.Listed(self.known()))
        except (ExplainError, OSError) as error:
            self.post_message(self.Listed((), sentence_of(error)))

    def on_models_screen_listed(self, message: Listed) -> None:
        self.models, self.sentence = message.models, message.sentence
        self.at = next((i for i, model in enumerate(message.models) if model.name == self.present), 0)
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

    class Told(Message):
        """What the hub says of the size; or a sentence why it says nothing."""

        def __init__(self, size: int | None, sentence: str = "") -> None:
            super().__init__()
            self.bytes, self.sentence = size, sentence

    def __init__(self, tones: Palette, lacking: NotHere, ask: Callable[[str], int] | None = None) -> None:
        super().__init__()
        self.tones, self.model, self.bytes = tones, lacking.name, lacking.bytes
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
            self.inquire()

    @in_thread("inquire")
    def inquire(self) -> None:
        try:
            self.post_message(self.Told(self.ask(self.model)))
        except ExplainError as error:
            self.post_message(self.Told(None, str(error)))

    def on_fetch_screen_told(self, message: Told) -> None:
        self.asking, self.bytes, self.sentence = False, message.bytes, message.sentence
        self.show()
