"""The app: keys and results go in, a new state comes out, and every pane is drawn from it again."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary, WeakSet

from textual import events
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.filter import ANSIToTruecolor, LineFilter, Monochrome, NoColor
from textual.geometry import Offset, Size
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from txexplain.engine.derive import Lens
from txexplain.engine.memory import give_back
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import Distribution, Draw, uniform
from txexplain.engine.surprisal import Surprise
from txexplain.engine.trace import Run
from txexplain.errors import NO_MEMORY, ExplainError, LessonError, LocationError, NotRecorded, reason
from txexplain.explorer.contrast import contrast, token_text
from txexplain.explorer.examples import examples_for
from txexplain.explorer.history import Moment, recorded
from txexplain.explorer.jump import NUMBERED, asked
from txexplain.explorer.lesson import Lesson
from txexplain.explorer.location import Dims, Level, Location, breadcrumb, place_of
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import ACTIONS, Doing, footer, rebound
from txexplain.front.config import remember_theme
from txexplain.front.lessons import Reads
from txexplain.front.names import recorded_names
from txexplain.front.options import UiOptions
from txexplain.front.scenes import dims_of, distribution_of, effects_of, is_measured, name_of, palette_of, roomy, scene_of
from txexplain.models import load_model
from txexplain.models.hub import NotHere, Progress
from txexplain.models.report import known_models
from txexplain.shell import typable
from txexplain.text import clean, one_line
from txexplain.ui import jobs
from txexplain.ui.choose import ExamplesScreen, FindScreen, LessonsScreen
from txexplain.ui.explain import ExplainScreen
from txexplain.ui.help import HelpScreen
from txexplain.ui.inks import Inks, theme_of
from txexplain.ui.jobs import Arriving, Opening, Ran
from txexplain.ui.jump import JumpScreen
from txexplain.ui.models import Arrival, FetchScreen, ModelsScreen
from txexplain.ui.over import CommandsScreen
from txexplain.ui.reader import Reader
from txexplain.ui.save import SaveScreen, free_name
from txexplain.ui.sweeper import Sweeper
from txexplain.ui.terminal.asking import Asking, courteous, over_ssh
from txexplain.ui.terminal.fixes import MendedApp, move_cursor
from txexplain.ui.terminal.keyboard import Inbox, with_keyboard
from txexplain.ui.terminal.rescue import can_stop, crash_report, on_end
from txexplain.ui.terminal.visible import OnlyText
from txexplain.ui.terminal.wire import Wire, thrifty
from txexplain.ui.widgets.picture import Picture
from txexplain.ui.widgets.prompt import PromptEditor
from txexplain.ui.work import Failed, Heard, Work
from txexplain.viz.canvas import Canvas, plain
from txexplain.viz.cursor import Mark, followed, marks, place
from txexplain.viz.palette import THEMES
from txexplain.viz.scene import Scene
from txexplain.viz.screen import Rect, draw_pane, draw_screen, inputs, layout, layout_of
from txexplain.viz.svg import svg
from txexplain.viz.views.explain import scrolled
from txexplain.viz.zoom import box_of, frames

PANES = ("header", "edits", "prompt", "stage", "side", "panel", "footer", "small")
FOCUS = ("stage", "panel", "side", "prompt")
DEBOUNCE = 0.06  # seconds of quiet before typing runs the model
CANDIDATES = 50  # how far down the list of candidates the cursor goes
FADE_AFTER = 0.12  # seconds that a run takes before the old result fades
FRAME = 0.03  # seconds between the frames of a zoom
REST = 2.0  # seconds without news after which freed memory is given back
ONLY_TEXT = OnlyText()
LARGEST_SIDE = 1000  # cells of what is drawn, as of a picture
SAID = 1000  # characters of a sentence that pops up
COPIED = 70_000  # characters of a command line that terminals take for their clipboard
PACES = (0.25, 1.0, 0.05)  # seconds between generated tokens, at the least
LITTER = (20_000, 20, 100)  # new objects until Python looks for garbage; by its own measure it does so often, and a key waits for 50 ms


class ExplorerApp(MendedApp):
    """One screen: the prompt, the stage, the next-token panel, a breadcrumb and a footer of keys."""

    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        # Textual's screen has its own idea of Tab, which comes first unless ours has priority. A digit says which it is.
        Binding(
            keys,
            f"digit('{keys}')" if keys.isdigit() and action.id == "jump" else f"do('{action.id}')",
            action.label,
            id=action.id if keys.startswith(action.keys[0]) else f"{action.id}_{keys}",
            show=False,
            priority="tab" in keys,
        )
        for action in ACTIONS
        if action.id != "palette"
        for keys in (action.keys if action.id == "jump" else [",".join(action.keys)])
    ]

    def __init__(self, state: ExplorerState, options: UiOptions, load: Opening | None = None, reads: Reads | None = None) -> None:
        """load: what it starts with, where that isn't the model that the state names."""
        self.tones = palette_of(options)
        self.actions = rebound(ACTIONS, options.keys)
        self.ending_keys = next(action.keys for action in self.actions if action.id == "quit")
        super().__init__(ansi_color=False)  # Textual draws in the theme's 24-bit colours; Inks turns them into those that there are
        self.dress()
        self.state = state
        self.options = options
        self.shows_cursor = options.cursor
        self.load = load or self.opening(state)
        self.open_model: Callable[[str, Progress], GPT2] = lambda name, progress: load_model(name, progress=progress)
        self.list_models = lambda: [entry for entry in known_models() if entry.revision is None]
        self.arrival: Arrival | None = None  # the model that will take the present one's place
        self.model: GPT2 | None = None
        self.lens: Lens | None = None
        # What is being measured of a run, or was last; a run isn't kept for that.
        self.measuring: WeakKeyDictionary[Lens, tuple[Level, tuple[int, int] | None]] = WeakKeyDictionary()
        self.surprising: WeakSet[Lens] = WeakSet()  # whose surprisal is being computed, or was
        self.prefix: Lens | None = None  # the last runs, whose shared beginnings the next one reuses
        self.distribution: Distribution | None = None
        self.history: tuple[Moment, ...] = ()  # what was shown, the present last
        self.back = 0  # steps back in it
        self.held: Moment | None = None
        self.message = f"Loading {state.model} …"
        self.cost = ""
        self.pane = "stage"
        self.about = "stage"  # the pane that an explanation is about
        self.candidate = 0
        self.last_draw: Draw | None = None
        self.drawn_from: Distribution | None = None
        self.strip: bool | None = None  # the surprisal strip as the reader wants it; None: open where there is room
        self.surprised: tuple[Run | None, tuple[Surprise | None, ...]] = (None, ())  # the run that it was computed for
        self.hover: Location | None = None
        self.side = ""  # what stands in the side pane
        self.scroll = 0  # and its first row
        self.drawn: dict[str, tuple[Any, ...]] = {}  # what each pane's picture was drawn from
        self.placed: Mapping[str, Rect] = {}  # where the panes are
        self.marks: tuple[tuple[Mark, ...], Mark | None] = ((), None)  # those in the pane of the keys, and the cursor's
        self.running = False
        self.clock: Timer | None = None
        self.late = False  # the run has lasted long enough for the old result to fade
        self.typing: Timer | None = None
        self.digit = ""  # that the jump field is opened with
        self.tidying: Timer | None = None
        self.queued = 0  # draws asked for while a forward pass runs
        self.generating = False
        self.pace = PACES[0]
        self.pause: Timer | None = None
        self.motion: list[Canvas] = []  # the pictures of a zoom that are still to come
        self.reader = Reader(self, reads or Reads())
        # The models that the reader named; with the size agreed to, where a question told one.
        self.granted: dict[str, int | None] = {state.model if reads is None else reads.model: None}
        self.work = Work(self.post_message)
        self.sweeper = Sweeper(self)
        self.inbox = Inbox(self)
        self.asking: Asking | None = None  # the terminal, while what it answered isn't read

    # The screen

    def compose(self) -> ComposeResult:
        for name in PANES:
            yield Picture(id=name, can_focus=name in FOCUS)
        yield PromptEditor(self.tones, id="editor")

    def get_driver_class(self) -> type[Driver]:
        try:
            driver = super().get_driver_class()
        except (ImportError, AttributeError, ValueError, RuntimeError) as error:
            raise ExplainError(f"TEXTUAL_DRIVER is none of Textual's drivers: {reason(error)}. Take it out of the environment.") from None
        return thrifty(courteous(with_keyboard(driver)))

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Paste) and not isinstance(self.focused, PromptEditor):
            event.text = event.text[:SAID]  # a field of one line would work for minutes on megabytes
        if isinstance(event, events.Resize):
            event.size = at_most(event.size)
        if isinstance(event, events.Key) and self.leaves(event):
            self.do_quit()
            return
        await super().on_event(event)

    def leaves(self, key: events.Key) -> bool:
        """Whether a key ends the app over a dialog, too: no letter, which may be typed there, and none that the dialog has a use for."""
        if len(self.screen_stack) < 2 or key.key not in self.ending_keys:
            return False
        return not key.is_printable and key.key not in self.screen.active_bindings

    @property
    def size(self) -> Size:
        """The terminal's, as far as it is drawn on."""
        return at_most(super().size)

    def get_line_filters(self) -> Sequence[LineFilter]:
        few = self.tones.depth in ("16", "none")  # where dim is the terminal's own, not a mixed colour
        others = (Monochrome, NoColor, ANSIToTruecolor) if few else (Monochrome, NoColor)
        found = [each for each in super().get_line_filters() if not isinstance(each, others)]
        return [*found, *([] if self.tones.depth == "truecolor" else [Inks(self.tones)]), ONLY_TEXT]

    def on_mount(self) -> None:
        self.listen()
        self.screen_change_signal.subscribe(self, lambda _: self.point(self.layout_of(*self.size)))
        self.screen.set_class(True, "explorer")
        self.set_class(self.tones.ascii, "ascii")
        self.set_class(over_ssh(), "far")
        self.set_keymap({id: ",".join(keys) for id, keys in self.options.keys.items()})
        self.editor.display = False
        self.place()
        self.query_one("#stage").focus()
        if self.reader.asked.clock:
            self.set_interval(1.0, self.draw)
        self.work.start("load", jobs.load(self.state.model, self.load), self.loaded)

    def listen(self) -> None:
        """Let the signals that end a program end this one in order."""
        self.app_resume_signal.subscribe(self, lambda _: self.do_repaint())  # back from ctrl+z: what the terminal showed is gone
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()

        def ended(number: int) -> None:
            with suppress(RuntimeError):  # the loop has ended: so does the program
                loop.call_soon_threadsafe(partial(self.exit, return_code=128 + number))

        on_end(ended)

    def last_words(self, error: BaseException) -> str:
        return crash_report(error, self.command_line())

    async def handle(self, message: Message) -> None:
        """News that come when the screens are gone already are no news."""
        if self.screen_stack or not isinstance(message, Heard):
            try:
                await super().handle(message)
            except MemoryError:
                self.do_without(message)
        if isinstance(message, Heard) and self.screen_stack:
            self.tidy_soon()

    def on_heard(self, message: Heard) -> None:
        self.work.hear(message)

    def do_without(self, message: Message) -> None:
        """There isn't enough memory for what a message asks for."""
        if isinstance(message, Heard) and message.job.key in ("forward", "load", "arrive"):
            self.fail(NO_MEMORY)
        else:
            self.say(NO_MEMORY)

    async def run_action(self, *action: Any, **options: Any) -> bool:
        """An action for which there isn't enough memory says so, and the app goes on."""
        try:
            return await super().run_action(*action, **options)
        except MemoryError:
            self.say(NO_MEMORY)
            return True

    def tidy_soon(self) -> None:
        """Once nothing has come for a while, what runs, models and texts that are gone took goes back to the system."""
        if self.tidying is not None:
            self.tidying.stop()
        self.tidying = self.set_timer(REST, self.tidy)

    def tidy(self) -> None:
        """In a thread of its own, so that no key waits for it. During a long run, its end comes first."""
        if not self.running:
            threading.Thread(target=give_back, name="txexplain tidy", daemon=True).start()

    def on_resize(self, event: events.Resize) -> None:
        self.place(event.size.width, event.size.height)
        self.find_surprisal(event.size.width, event.size.height)

    @property
    def editor(self) -> PromptEditor:
        return self.query_one(PromptEditor)

    def place(self, width: int = 0, height: int = 0) -> None:
        """Put every pane where this size wants it, and draw it."""
        width, height = width or self.size.width, height or self.size.height
        self.put(self.layout_of(width, height))
        self.draw(width, height)

    def put(self, rects: Mapping[str, Rect]) -> None:
        """Give every pane its place."""
        self.placed = rects
        for name in PANES:
            picture = self.query_one(f"#{name}", Picture)
            picture.display = name in rects
            if name in rects:
                put(picture, rects[name])
        if "prompt" in rects:
            put(self.editor, rects["prompt"])

    def layout_of(self, width: int, height: int) -> dict[str, Rect]:
        return layout_of(self.scene(width, height))

    def stage_rect(self) -> Rect | None:
        return self.layout_of(*self.size).get("stage")

    def draw(self, width: int = 0, height: int = 0) -> None:
        """Draw every pane from the state; each repaints only the cells that differ."""
        width, height = width or self.size.width, height or self.size.height
        scene = self.scene(width, height)
        level, pair = asked = scene.location.level, scene.contrast
        if not scene.measured and self.lens is not None and self.measuring.get(self.lens) != asked:
            self.measuring[self.lens] = asked
            does = jobs.streams(self.lens, pair) if level is Level.LENS and pair is not None else jobs.measures(self.lens)
            self.work.start("measure", does, self.found)
        rects = layout_of(scene)
        if rects != self.placed:
            self.put(rects)
        self.drawn = {name: now for name, now in self.drawn.items() if name in rects}  # what isn't shown keeps no run
        for name, rect in rects.items():
            now = inputs(name, scene, rect)
            if self.drawn.get(name) != now:
                self.drawn[name] = now
                try:
                    picture = draw_pane(name, scene, rect)
                except MemoryError:
                    picture = draw_pane(name, replace(scene, lens=None, distribution=None, message=NO_MEMORY), rect)
                self.query_one(f"#{name}", Picture).show(picture)
        self.point(rects)

    def point(self, rects: Mapping[str, Rect]) -> None:
        """Put the terminal's cursor on what is selected in the pane that has the keys; fields put it where one types."""
        rect = rects.get(self.pane)
        if len(self.screen_stack) != 1 or self.pane == "prompt" or rect is None:
            return
        canvas = self.query_one(f"#{self.pane}", Picture).canvas
        if canvas is not None:
            if not (self.running and self.late):  # what fades has lost the cursor's ground
                now = marks(canvas)
                self.marks = now, followed(now, *self.marks)
            x, y = place(canvas, self.marks[1])
            self.cursor_position = Offset(rect.x + x, rect.y + y)

    def scene(self, width: int, height: int) -> Scene:
        """What the screen is drawn from."""
        past = self.history[-1 - self.back] if self.back else None
        return scene_of(
            self.state if past is None else past.seen_from(self.state),
            self.tones,
            (width, height),
            self.lens,
            distribution=self.distribution if past is None else past.distribution,
            held=self.held,
            back=self.back,
            stale=self.running and self.lens is not None,
            faded=self.running and self.late and self.lens is not None,
            message=self.message,
            cost=self.cost if self.arrival is None else self.arrival.words,
            keys=footer(self.doing(), ascii=self.tones.ascii, actions=self.actions),
            reading=self.reader.scene(),
            lecture=self.reader.asked.lecture,
            surprisal=self.surprisal(width, height),
            draw=self.last_draw,
            drawn_from=self.drawn_from if self.last_draw is not None else None,
            pane=self.pane,
            candidate=self.candidate,
            ribbons=self.ribbons(),
            measured=self.lens is None or is_measured(self.lens, self.state.location, contrast(self.state, self.lens)),
            hover=self.hover,
            side=self.reader.side or self.side,
            scroll=self.scroll,
            about="lesson" if self.pane == "side" and self.reader.side else self.about,
        )

    def doing(self) -> Doing:
        """What the reader is at, for the footer."""
        open_ = bool(self.reader.side)
        page = self.reader.reading if open_ else None
        return Doing(
            self.state.location.level.name,
            self.pane,
            open_,
            0 if page is None else len(page.page.answers),
            page is not None and bool(page.given),
            self.generating,
            self.state.trace is not None,
            self.state.mode in ("top-k", "top-p"),
            bool(self.state.edits),
        )

    def ribbons(self) -> tuple[Any, ...] | None:
        """The ribbons' shares, once they are traced."""
        name = f"{'norm' if self.state.flow == 'norms' else 'rollout'}_flow"
        return tuple(self.lens.__dict__[name]) if self.lens is not None and name in self.lens.__dict__ else None

    def surprisal(self, width: int, height: int) -> tuple[Surprise | None, ...] | None:
        """What is known of the prompt's surprisal where the strip is open: a text's beginning keeps its own."""
        if self.lens is None or not self.can_surprise() or not (self.roomy(width, height) if self.strip is None else self.strip):
            return None
        return self.surprised[1][: self.lens.trace.run.shared(self.surprised[0])]

    def can_surprise(self) -> bool:
        """Whether the surprisal of each token can be known: from the model, or from logits of every position."""
        if self.lens is None or self.lens.model is not None:
            return self.lens is not None
        return "logits" in self.lens.trace and self.lens.trace["logits"].ndim == 2

    def roomy(self, width: int, height: int) -> bool:
        """Whether the surprisal strip is open unless the reader says otherwise: not in a lecture, which is calm."""
        return roomy(width, height) and not self.reader.asked.lecture

    def current(self) -> bool:
        """Whether the result on screen is of the prompt on screen."""
        return self.lens is not None and not self.running

    # The model

    def loaded(self, what: GPT2 | Lens | Failed | Arriving) -> None:
        """The model that the app, or a lesson's page, starts with is there, or a recorded run; or why it isn't."""
        if isinstance(what, Arriving):
            if self.model is None:
                coming = Arrival(self.state.model, what.done, what.total)
                megabytes = f"{round(coming.done / 1e6)} of {round(coming.total / 1e6)} MB"
                self.message = f"Fetching {coming.name}: {megabytes}, {coming.percent}%"
                self.show_arrival()
        elif isinstance(what, Lens):
            self.open_run(what)
        elif isinstance(what, GPT2):
            self.use(what)
        elif isinstance(what.error, NotHere):
            self.ask_to_fetch(what.error)
        else:
            self.fail(what.sentence)

    def ask_to_fetch(self, lacking: NotHere) -> None:
        """A page wants a model that isn't here. Only a key of the reader's brings it: a lesson is a file that others write."""

        def answered(yes: bool | None) -> None:
            if yes:
                self.granted[lacking.name] = question.bytes
                self.use_model(self.state)
            else:
                self.fail(f"This page is shown without its model. {lacking}")

        self.message = f"{lacking.name} isn't on this machine."
        self.draw()
        question = FetchScreen(self.tones, self.work, lacking)
        self.push_screen(question, answered)

    def use(self, model: GPT2) -> None:
        self.outdate()
        self.model = model
        self.message = ""
        self.surprised = (None, ())
        self.history, self.held, self.back = (), None, 0
        self.editor.tokenizer = model.tokenizer
        if model.notes:
            self.say(" ".join(model.notes))
        if self.reader.open and self.reader.reading is None:
            self.reader.show(self.reader.number)
        else:
            self.run_model()

    def fetch(self, name: str) -> None:
        """Open another model, after a download where that takes one. The present one stays until then."""
        self.granted[name] = None
        self.arrival = Arrival(name)
        if self.lens is None:  # there is no present one to go on with
            self.work.stop("load")
            self.message = f"Loading {name} …"
        self.draw()
        self.work.start("arrive", jobs.load(name, lambda progress: self.open_model(name, progress)), self.arrived)

    def stop_arrival(self) -> None:
        """A download that runs ends at its next piece."""
        self.work.stop("arrive")
        self.arrival = None

    def give_up_arrival(self) -> None:
        """The reader stops what is on its way; where nothing else is shown, the screen says what stands there now."""
        if self.arrival is not None and self.lens is None:
            self.message = f"{self.arrival.name} isn't opened: it was stopped. m lists the models."
        self.stop_arrival()
        if self.lens is None and self.model is not None:
            self.run_model()  # which says again what the prompt lacks
        self.draw()

    def show_arrival(self) -> None:
        self.draw()
        if isinstance(self.screen, ModelsScreen):
            self.screen.update()

    def arrived(self, what: GPT2 | Failed | Arriving) -> None:
        """Another model has come further, is open, or can't be opened."""
        assert self.arrival is not None
        if isinstance(what, Arriving):
            self.arrival = replace(self.arrival, done=what.done, total=what.total)
            self.show_arrival()
            return
        name, self.arrival = self.arrival.name, None
        if isinstance(what, Failed):
            if self.lens is None:
                self.message = what.sentence
            else:
                self.say(what.sentence)
            self.show_arrival()
            return
        if isinstance(self.screen, ModelsScreen):
            self.screen.dismiss(None)
        self.state = replace(
            self.kept_prompt(what).unedited(), model=name, revision=None, tokenizer=None, trace=None,
            k=min(self.state.k, what.config.vocab_size),
        )  # fmt: skip
        self.generating, self.queued, self.prefix, self.cost = False, 0, None, ""
        self.lens = self.distribution = self.last_draw = None  # what was there is the other model's
        self.work.stop("load")
        self.use(what)
        self.draw()

    def kept_prompt(self, model: GPT2) -> ExplorerState:
        """The state with its prompt for another model: the same ids where they mean the same tokens there, else the text."""
        state, lens = self.state, self.lens
        ids = lens.trace.ids if lens is not None and state.trace is not None else state.ids
        if ids is None:
            return state
        names = self.model.tokenizer if self.model is not None else None
        if lens is not None and names is None:
            names = recorded_names(lens).gpt2
        if names is None:  # ids without names: nobody knows what they mean elsewhere
            prompt = lens.trace.prompt if lens is not None else ""
            return state.with_prompt(prompt) if prompt else state.with_ids(ids)
        if all(model.tokenizer.token_bytes(i) == names.token_bytes(i) != b"" for i in ids):
            return state.with_ids(ids)
        return state.with_prompt(names.decode(ids))

    def open_run(self, lens: Lens) -> None:
        """A trace file's run, which stays what it is: there is no model to ask anything else."""
        self.lens = lens
        self.message = ""
        if lens.trace.notes:
            self.say(" ".join(lens.trace.notes))
        self.distribution = distribution_of(self.lens, self.state)
        self.remember()
        self.state = self.state.fit(self.dims())
        self.draw()
        self.entitle()
        self.trace_flow(lens, self.state.flow)
        self.find_surprisal()

    def recorded(self, what: str) -> bool:
        """Whether what is shown is a recorded run; says then that it isn't enough for this."""
        if self.state.trace is None:
            return False
        self.say(f"This is a recorded run: {what} needs the model, which m opens.")
        return True

    def run_model(self) -> None:
        """Ask for the model's answer to the present prompt; an answer to an earlier request is dropped."""
        if self.model is None:
            return
        self.start_clock()
        self.sweeper.stop()
        self.work.start("forward", jobs.forward(self.model, self.state, self.prefix), self.ran)

    def outdate(self) -> None:
        """Nobody waits any more for what runs: it is told to stop, and its result is dropped."""
        self.work.stop("forward")
        self.sweeper.stop()
        self.running = False

    def start_clock(self) -> None:
        """From now on what is shown is old; if it stays so for a while, it fades. A quick model's steps don't flicker so."""
        if not self.running:
            self.running, self.late = True, False
            if self.clock is not None:
                self.clock.stop()
            self.clock = self.set_timer(FADE_AFTER, self.run_late)

    def run_late(self) -> None:
        if self.running and not self.late:
            self.late = True
            self.draw()

    def ran(self, what: Ran | Failed) -> None:
        """A forward pass ended."""
        if isinstance(what, Failed):
            self.fail(what.sentence)
            return
        self.running = False
        self.lens = what.lens
        self.prefix = what.lens
        self.message = ""
        self.cost = f"{1000 * what.seconds:.0f} ms"
        self.distribution = distribution_of(self.lens, self.state)
        self.remember()
        self.candidate = 0
        self.state = self.state.with_last_row(what.lens.trace.n_tokens).fit(self.dims())
        self.draw()
        self.entitle()
        self.reader.arrived()
        self.trace_flow(what.lens, self.state.flow)
        self.find_surprisal()
        self.sweeper.look()
        self.go_on()

    def entitle(self) -> None:
        """Name the terminal's window after the model and the prompt."""
        prompt = self.prompt_text() if self.lens is None or self.state.trace is None else self.lens.trace.prompt
        name = clean(" ".join(f"txexplain {name_of(self.state, self.lens)}: {prompt[:SAID]}".split()).rstrip(":"))
        if (entitle := getattr(self.driver, "entitle", None)) is not None:
            entitle(plain(name, self.tones))

    def fail(self, sentence: str) -> None:
        """There is nothing to show, and a sentence that says why."""
        self.running = False
        self.generating = False
        self.queued = 0
        self.message = sentence
        self.reader.lost()
        self.lens = self.distribution = self.last_draw = None  # what was there answers another prompt
        self.draw()

    def found(self, what: Failed | None) -> None:
        """Something that takes long was found out about the present run."""
        if what is None:
            self.draw()
        elif not isinstance(what.error, NotRecorded):
            self.say(what.sentence)

    def trace_flow(self, lens: Lens, mode: str) -> None:
        self.work.start("flow", jobs.flow(lens, mode), self.found)

    def find_surprisal(self, width: int = 0, height: int = 0) -> None:
        """Compute what the open strip lacks, once the frame stands."""
        known = self.surprisal(width or self.size.width, height or self.size.height)
        lacking = self.lens is not None and known is not None and len(known) < self.lens.trace.n_tokens
        if self.lens is not None and lacking and self.lens not in self.surprising:
            self.surprising.add(self.lens)
            self.work.start("surprisal", jobs.surprise(self.lens, self.surprised), partial(self.be_surprised, self.lens.trace.run))

    def be_surprised(self, run: Run, what: tuple[Surprise | None, ...] | Failed) -> None:
        """How surprising the tokens of the present run are is known."""
        if isinstance(what, Failed):
            self.found(what)
            return
        self.surprised = (run, what)
        self.draw()

    def use_model(self, state: ExplorerState) -> None:
        """Load the model that a state names, and run the state's prompt with it; whatever was on its way isn't wanted any more."""
        self.stop_arrival()
        self.outdate()
        self.state, self.lens, self.prefix, self.distribution, self.model = state, None, None, None, None
        self.message = f"Loading {state.model} …"
        self.work.start("load", jobs.load(state.model, self.opening(state), self.granted.get(state.model)), self.loaded)

    def opening(self, state: ExplorerState) -> Opening:
        """Opens the model that a state names."""
        how: dict[str, Any] = {"revision": state.revision, "tokenizer": state.tokenizer, "specials": state.specials}
        return lambda progress: load_model(state.model, **how, progress=progress, may_fetch=self.may_fetch(state.model))

    def may_fetch(self, name: str) -> bool:
        """Whether a model may be fetched: the reader named it, or said so."""
        return name in self.granted or self.reader.asked.fetch

    # The state

    def adopt(self, state: ExplorerState) -> None:
        """Another place or setting on the same run, without a frame that grows."""
        if state.flow != self.state.flow and self.lens is not None:
            self.trace_flow(self.lens, state.flow)
        self.state = state
        self.distribution = distribution_of(self.lens, state)
        self.last_draw, self.candidate = None, 0
        self.sweeper.look()
        self.draw()

    def change(self, state: ExplorerState) -> None:
        """Move to another state and draw it; run the model where the prompt differs."""
        old, self.state = self.state, state
        self.hover = None
        if state.location.level is not old.location.level:
            self.scroll = 0
        moves_on = state.asked != old.asked
        if state.sampling != old.sampling:
            self.distribution = distribution_of(self.lens, state)
            if not moves_on:  # else nobody looks at the old text in the new setting
                self.remember()
        if moves_on:
            self.last_draw = None
            self.run_model()
        if state.flow != old.flow and self.lens is not None:
            self.trace_flow(self.lens, state.flow)
        self.sweeper.look()
        before = self.query_one("#stage", Picture).canvas
        if bool(state.edits) != bool(old.edits):
            self.place()
        else:
            self.draw()
        if state.location.level is not old.location.level and before is not None:
            self.animate_zoom(before, old.location, state.location)

    def animate_zoom(self, before: Canvas, old: Location, new: Location) -> None:
        """A frame that grows from what was entered or shrinks to what was left, once the new level stands there whole."""
        stage = self.query_one("#stage", Picture)
        after = stage.canvas
        if self.animation_level == "none" or over_ssh() or after is None or (before.width, before.height) != (after.width, after.height):
            return
        grow = len(breadcrumb(new)) > len(breadcrumb(old))
        box = box_of(before, old) if grow else box_of(after, new)
        if box is None or after is before:
            return
        coming = self.motion = frames(after, box, grow=grow)
        shown = after

        def show_next() -> None:
            nonlocal shown
            if stage.canvas is not shown:
                coming.clear()  # something else is to be seen
            if coming:
                shown = coming.pop(0)
                stage.show(shown)
            if coming:
                self.set_timer(FRAME, show_next)

        self.set_timer(FRAME, show_next)

    def go_on(self) -> None:
        """After a result: do the draws that were asked for meanwhile."""
        if self.queued:
            self.queued -= 1
            self.append_draw()
        elif self.generating:
            self.rest()

    def rest(self) -> None:
        """The pause between two generated tokens."""
        if self.pause is not None:
            self.pause.stop()
        self.pause = self.set_timer(self.pace, self.step)

    def step(self) -> None:
        if self.generating and not self.running:
            self.append_draw()

    def append_draw(self) -> None:
        """Draw the next token by its uniform number and append it."""
        if self.distribution is None or self.lens is None or not self.current():
            return
        if self.full():
            self.generating = False
            self.queued = 0
            self.draw()
            return
        drawn = self.distribution.draw(uniform(self.state.seed, len(self.lens.trace.ids)))
        if self.model is not None and drawn.id in self.model.config.eos_token_ids:
            self.generating = False
        self.append(drawn.id, "drawn", drawn)

    def append(self, token_id: int, how: str, drawn: Draw | None = None) -> None:
        """Put a token behind the prompt; how it was drawn stays on screen while it is the last."""
        assert self.lens is not None
        source = self.distribution
        self.change(self.state.spelled(self.lens.trace.ids).append(token_id, how))
        self.last_draw, self.drawn_from = drawn, source if drawn is not None else None
        self.draw()

    def full(self) -> bool:
        """Whether the context has no room for another token; says so."""
        assert self.lens is not None
        limit = self.lens.config.n_positions
        if len(self.lens.trace.ids) < limit:
            return False
        self.say(f"The context is full: {self.state.model} reads at most {limit} tokens. u takes tokens back, / edits the prompt.")
        return True

    def say(self, sentence: str) -> None:
        """A sentence for a while, in place of the one before; of an endless one the beginning."""
        self.clear_notifications()
        self.notify(clean(sentence if len(sentence) <= SAID else sentence[:SAID] + "…"), markup=False, timeout=6)

    # Actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No key acts on what lies under another screen."""
        return action not in ("do", "digit") or len(self.screen_stack) == 1 or parameters == ("suspend",)

    def action_digit(self, digit: str) -> None:
        """A digit answers a lesson's question, or has its reason said again; on any other page it begins a number that names a place."""
        if self.reader.has_question():
            self.reader.answer(int(digit))
            return
        self.digit = digit
        self.action_do("jump")
        self.digit = ""

    def action_do(self, name: str) -> None:
        """Every key, click and palette entry comes through here; those that come after the one that quits do nothing."""
        if self.ending:
            return
        self.reader.pressed_action(name)
        self.perform(name)

    def perform(self, name: str) -> None:
        """Do an action, whoever asked for it."""
        method = getattr(self, f"do_{name}", None)
        if method is not None:
            method()
        elif name in ("up", "down", "left", "right"):
            self.move(name)

    def move(self, direction: str) -> None:
        if self.pane == "side" and direction in ("up", "down"):
            step = 1 if direction == "down" else -1
            if self.reader.reading is not None and self.reader.side:
                self.reader.move(step)
            else:
                self.page(step)  # an explanation, which a click made the pane of the keys
            return
        dx, dy = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}[direction]
        on_candidates = self.pane == "panel" or self.state.location.level is Level.OUTPUT
        if on_candidates and self.distribution is not None:
            self.candidate = max(0, min(self.candidate + dy, CANDIDATES - 1, len(self.distribution.order) - 1))
            self.draw()
        elif self.lens is not None:
            self.change(self.state.move(dx, dy, self.dims()))

    def dims(self) -> Dims:
        assert self.lens is not None
        pair = contrast(self.state, self.lens)
        found = effects_of(self.lens, self.state)
        return dims_of(self.lens, self.query_one("#stage").size, self.tones, self.state.location, pair, found)

    def moved(self, step: Callable[[ExplorerState, Dims], ExplorerState]) -> None:
        """A step that needs to know the model's and the prompt's sizes."""
        if self.lens is not None:
            self.change(step(self.state, self.dims()))

    def do_enter(self) -> None:
        if self.pane == "side":
            if self.reader.asks() and self.reader.reading is not None:
                self.reader.answer(self.reader.reading.cursor)
            return
        on_candidates = self.pane == "panel" or self.state.location.level is Level.OUTPUT
        if on_candidates and self.distribution is not None:
            self.choose(self.candidate)
        elif self.state.location.level is Level.EFFECTS:
            self.do_switch()
        else:
            self.moved(lambda state, dims: state.enter(dims))

    def do_out(self) -> None:
        if self.pane in ("panel", "side"):
            self.focus_pane("stage")
        else:
            self.moved(lambda state, dims: state.out(dims))

    def do_block_back(self) -> None:
        self.moved(lambda state, dims: state.step_block(-1, dims))

    def do_block_on(self) -> None:
        self.moved(lambda state, dims: state.step_block(1, dims))

    def do_head_back(self) -> None:
        self.moved(lambda state, dims: state.step_head(-1, dims))

    def do_head_on(self) -> None:
        self.moved(lambda state, dims: state.step_head(1, dims))

    def do_stage(self) -> None:
        """The next stage or face; a newly sorted atlas begins at its first head."""
        state = self.state.next_stage()
        if self.lens is not None and state.location.level is Level.HEADS and state.location.face is not None:
            order = dims_of(self.lens, self.query_one("#stage").size, self.tones, state.location).order
            if order:
                block, head = divmod(order[0], self.lens.config.n_head)
                state = state.go(replace(state.location, block=block, head=head))
        self.change(state)

    def do_least(self) -> None:
        self.change(self.state.next_least())

    def do_jump(self) -> None:
        """Ask where to: by a number where numbers name places, else by a Location."""
        place = self.state.location
        if self.lens is None or (self.digit and (place.level not in NUMBERED or self.pane != "stage")):
            return
        self.generating = False  # the prompt must not move on under what is typed
        self.draw()

        def fault(text: str) -> str:
            if self.lens is None:  # another model came meanwhile
                return "There is nothing to go to yet; wait for the model's answer."
            try:
                if lesson(text) is None:
                    self.state.jump(text, self.dims())
            except (LocationError, LessonError) as error:
                return str(error)
            return ""

        def lesson(text: str) -> tuple[Lesson, int] | None:
            return self.reader.named(text) if self.state.trace is None else None

        def go(text: str | None) -> None:
            if text is None or fault(text):
                return
            if (found := lesson(text)) is not None:
                self.reader.begin(*found)
            else:
                self.focus_pane("stage")
                self.moved(lambda state, dims: state.jump(text, dims))

        self.push_screen(JumpScreen(self.tones, asked(place), fault, self.stage_rect, self.digit), go)

    def do_residual(self) -> None:
        self.moved(lambda state, dims: state.to_residual(dims))

    def do_direct(self) -> None:
        self.moved(lambda state, dims: state.to_direct(dims))

    def do_lens(self) -> None:
        self.moved(lambda state, dims: state.to_lens(dims))

    def do_effects(self) -> None:
        if not self.recorded("switching parts off"):
            self.moved(lambda state, dims: state.to_effects(dims))

    def do_strongest(self) -> None:
        """The key that the row's query attends to most."""
        place = self.state.location
        if self.lens is None or place.level not in (Level.HEAD, Level.PRODUCT):
            return
        name = f"blocks.{place.block}.attn.pattern"
        if name in self.lens.trace:
            query = place.token_index(self.lens.trace.n_tokens)
            key = int(self.lens.trace[name][place.head, query, : query + 1].argmax())
            self.moved(lambda state, dims: state.go(replace(place, query=query, key=key, token=None), dims))

    def do_atlas(self) -> None:
        place = self.state.location
        memory = self.state.memory
        self.moved(lambda state, dims: state.go(Location(Level.HEADS, block=memory.block, head=memory.head, token=place.token), dims))

    def do_flow(self) -> None:
        self.change(self.state.toggle_flow())

    def do_switch(self) -> None:
        """What is selected is switched off, another way, and on again."""
        if self.lens is None or self.recorded("switching a part off"):
            return
        if what := self.changeable("switched off"):
            self.change(self.state.switch(what, means=self.model is not None and not self.model.tokenizer.has_no_text))

    def do_patch(self) -> None:
        """What is selected is taken from the run that is held."""
        if self.lens is None or self.recorded("patching"):
            return
        if self.held is None or self.held.run.interventions:
            self.say("A patch is taken from a run that is held: b holds this one, / edits the prompt, and P patches what is selected.")
        elif what := self.changeable("patched"):
            if "[" in what and ".mlp" not in what:
                self.say("An edge can't be patched: select a head, an MLP, a neuron or a part of the residual stream.")
            else:
                self.change(self.state.patch(what, self.held.ids))

    def changeable(self, done: str) -> str:
        """What is selected, as changes name it; where that is nothing which can be changed, it is said."""
        place = self.state.location
        what = place_of(place).change(place, self.dims())
        if not what:
            self.say(f"Nothing is selected here that can be {done}: go to a head, an MLP, a neuron, a token, or a cell of a grid.")
        return what

    def do_unedit(self) -> None:
        """Nothing is changed in the run any more."""
        self.change(self.state.unedited())

    def do_contrast(self) -> None:
        """The candidate under the cursor is A; once it is, it is B; and then the likeliest two are, as usual."""
        if self.lens is None or self.distribution is None or self.lens.config.vocab_size < 2:
            return
        token = int(self.distribution.order[self.candidate])
        self.change(self.state.contrasted(token_text(token, None if self.model is None else self.model.tokenizer)))

    def do_cooler(self) -> None:
        self.change(self.state.cooler())

    def do_warmer(self) -> None:
        self.change(self.state.warmer())

    def do_cooler_unit(self) -> None:
        self.change(self.state.cooler_unit())

    def do_warmer_unit(self) -> None:
        self.change(self.state.warmer_unit())

    def do_reset_temperature(self) -> None:
        self.change(self.state.reset_temperature())

    def do_mode(self) -> None:
        self.change(self.state.cycle_mode())

    def do_less(self) -> None:
        self.adjust(-1)

    def do_more(self) -> None:
        self.adjust(1)

    def adjust(self, step: int) -> None:
        if self.lens is not None:
            self.change(self.state.adjust(step, self.lens.config.vocab_size))

    def do_reseed(self) -> None:
        self.change(self.state.reseed())

    def do_draw(self) -> None:
        self.show_present()
        if self.recorded("drawing a token to go on with"):
            return
        if self.running:
            self.queued += 1
        else:
            self.append_draw()

    def do_generate(self) -> None:
        self.show_present()
        if self.recorded("generating text"):
            return
        if self.lens is None and not self.running:
            return  # there is nothing to go on from, and the screen says why
        self.generating = not self.generating
        if self.generating and not self.running:
            self.append_draw()
        self.draw()

    def do_pace(self) -> None:
        """Generate faster or slower."""
        self.pace = PACES[(PACES.index(self.pace) + 1) % len(PACES)]
        self.say(f"Generating takes {self.pace:g} s for each token, or what the model needs.")

    def do_undo(self) -> None:
        self.generating = False
        self.queued = 0
        self.change(self.state.undo())

    def choose(self, rank: int) -> None:
        """Append a candidate of the reader's choice."""
        if self.recorded("going on with a token"):
            return
        if self.back:  # what is shown is past: a key shows the present first
            self.step_back(-self.back)
            return
        if self.distribution is not None and not self.running and self.current() and not self.full():
            self.append(int(self.distribution.order[rank]), "chosen")

    def do_surprisal(self) -> None:
        """Open or shut the surprisal strip."""
        if not self.can_surprise() and self.recorded("surprisal without the logits of every position"):
            return
        self.strip = not (self.roomy(*self.size) if self.strip is None else self.strip)
        self.find_surprisal()
        self.draw()

    def remember(self) -> None:
        """Keep the present distribution, which is shown from now on."""
        self.back = 0
        if self.distribution is not None and self.lens is not None and not self.running:
            self.history = recorded(self.history, Moment.of(self.state, self.lens.trace.run, self.distribution))

    def do_hold(self) -> None:
        """Hold what is shown, or let go."""
        self.held = None if self.held is not None or not self.history else self.history[-1 - self.back]
        self.draw()

    def do_older(self) -> None:
        self.step_back(1)

    def do_newer(self) -> None:
        self.step_back(-1)

    def step_back(self, steps: int) -> None:
        """Show an earlier distribution: the first step goes to the one before the present."""
        if self.running:
            return
        self.generating = False
        self.back = max(0, min(self.back + steps, len(self.history) - 1))
        self.draw()

    def show_present(self) -> None:
        """Leave the past, on screen too."""
        if self.back:
            self.back = 0
            self.draw()

    def do_find(self) -> None:
        """Put the candidates' cursor on a token that the reader names."""
        distribution = self.distribution
        if distribution is None or self.lens is None:
            return
        self.generating = False
        self.draw()
        self.show_present()  # what is found belongs to this distribution
        scene = self.scene(*self.size)

        def found(rank: int | None) -> None:
            if rank is not None and self.distribution is not None and self.distribution.logits is distribution.logits:
                self.candidate = rank
                if self.state.location.level is not Level.OUTPUT:
                    self.focus_pane("panel")
                self.draw()

        self.push_screen(FindScreen(self.tones, self.work, distribution, replace(scene, lens=None).id_label), found)

    def do_examples(self) -> None:
        """Begin again with a prompt that shows something."""
        if self.recorded("another prompt"):
            return
        examples = examples_for(self.state.model)

        def picked(number: int | None) -> None:
            if number is not None:
                self.generating = False
                self.queued = 0
                self.change(self.state.with_prompt(examples[number].prompt))
                self.say(examples[number].look)

        self.push_screen(ExamplesScreen(self.tones, examples, self.state.prompt), picked)

    def do_lessons(self) -> None:
        if self.state.trace is not None:
            self.say("This is a recorded trace: a lesson needs the model.")
        else:
            self.choose_lesson()

    def choose_lesson(self) -> None:
        """Pick a lesson from a list and open it where it was left; or close the one that is open."""
        reader = self.reader
        lessons = reader.lessons

        def picked(number: int | None) -> None:
            if number is not None and number < len(lessons):
                reader.begin(lessons[number])
            elif number is not None and reader.open:
                reader.leave()

        at = lessons.index(reader.lesson) if reader.lesson in lessons else 0
        pages = [reader.page_in(lesson) if lesson in reader.bookmarks else 0 for lesson in lessons]
        self.push_screen(LessonsScreen(self.tones, lessons, pages, at, closes=reader.open, key=reader.key("lessons")), picked)

    def do_lesson_on(self) -> None:
        if self.reader.side:
            self.reader.turn(1)

    def do_lesson_back(self) -> None:
        if self.reader.side:
            self.reader.turn(-1)

    def do_lesson_view(self) -> None:
        if self.reader.side:
            self.reader.back()

    def side_scene(self) -> Scene:
        """What the side pane is drawn from."""
        scene = self.scene(*self.size)
        rect = self.layout_of(scene.width, scene.height).get("side", Rect(0, 0, 1, 1))
        return replace(scene, width=rect.width, height=rect.height)

    def do_prompt(self) -> None:
        self.focus_pane("prompt")

    def do_next_pane(self) -> None:
        self.focus_pane(self.pane_beside(self.pane, 1))

    def do_previous_pane(self) -> None:
        self.focus_pane(self.pane_beside(self.pane, -1))

    def pane_beside(self, pane: str, step: int) -> str:
        """The pane that Tab comes to."""
        there = [name for name in FOCUS if name != "side" or self.reader.side]
        return there[((there.index(pane) if pane in there else 0) + step) % len(there)]

    def do_models(self) -> None:
        """The list of models: one that is picked is opened; the one on its way, stopped."""
        screen = ModelsScreen(self.tones, self.work, "" if self.state.trace else self.state.model, lambda: self.arrival, self.list_models)

        def picked(number: int | None) -> None:
            if number is None or screen.models is None:
                return
            name = screen.models[number].name
            if self.arrival is not None and self.arrival.name == name:
                self.give_up_arrival()
            elif self.state.trace is not None or name != self.state.model or self.model is None:
                self.fetch(name)

        self.push_screen(screen, picked)

    def do_copy(self) -> None:
        self.copy_command()

    def do_copy_words(self) -> None:
        self.copy_command("describe")

    def copy_command(self, name: str = "") -> None:
        """Show and copy the command line of this view, in the app or by a command."""
        size = len(self.state.prompt)
        command = self.exact_command_line(name) if size <= COPIED else ""
        if not 0 < len(command) <= COPIED:
            self.say(
                f"This view's command line has {size or len(command)} characters, too many to copy: put the prompt in a file for --file."
            )
            return
        if not typable(command):
            what = "trace's name" if self.state.trace is not None else "prompt" if typable(self.state.model) else "model's name"
            self.say(f"This view's command line can't be copied: the {what} holds a character that can't be typed.")
            return
        self.copy_to_clipboard(command)
        self.say(command)

    def copy_to_clipboard(self, text: str) -> None:
        """To the terminal's clipboard, which takes UTF-8: half of a character, as an argument may hold, becomes `?`."""
        super().copy_to_clipboard(text.encode("utf-8", "replace").decode("utf-8"))

    def command_line(self, name: str = "") -> str:
        """The command that reproduces this view, fit for a screen and a shell: signs stand for what can't be typed."""
        return one_line(self.exact_command_line(name))

    def exact_command_line(self, name: str = "") -> str:
        """That command, with ids for a prompt that can't be typed."""
        command = self.state.command_line(name)
        if len(command) <= COPIED and not typable(command) and self.model is not None and self.state.ids is None:
            with suppress(ExplainError):
                command = self.state.with_ids(self.model.prompt_ids(self.state.prompt)).command_line(name)
        return command

    def dress(self) -> None:
        """Give Textual's own parts, as toasts, lists and scroll bars, the colours of the theme."""
        self.colour_at(self.tones.depth)
        theme = theme_of(self.tones)
        self.register_theme(theme)
        self.theme = theme.name
        self.set_class(not self.tones.pixels, "few", update=False)
        self.set_class(self.tones.depth != "truecolor", "indexed", update=False)

    def answered(self, depth: str | None, ground: tuple[int, int, int] | None) -> None:
        """What the terminal told when it was asked, once the app runs: the depth that it confirmed, its ground; None where it said nothing.

        The reader's own wishes, by flag, file or key, count for more.
        """
        self.look(replace(self.options, answered=depth or self.options.answered, ground=ground or self.options.ground))

    def look(self, options: UiOptions) -> None:
        """Draw everything in the colours that these options ask for."""
        self.options = options
        tones = palette_of(options)
        if tones != self.tones:
            self.tones = self.editor.tones = tones
            self.dress()
            self.drawn.clear()
            self.place()

    def do_specials(self) -> None:
        """Typed special and added tokens become tokens, or plain text again."""
        if self.model is None or self.recorded("reading a prompt"):
            return
        own = self.model.tokenizer
        tokenizer, how = (own.plain(), "text") if own.typed else (own.special(), "token")
        if tokenizer is own:
            self.say("This model's tokenizer has no special or added tokens.")
            return
        self.state, self.prefix = replace(self.state, specials=how), None
        self.use(GPT2(self.model.checkpoint, tokenizer, self.model.name))
        self.say(f"Typed special and added tokens are {'plain text' if how == 'text' else 'tokens'} now.")

    def do_theme(self) -> None:
        """The next theme, at once and from now on."""
        names = list(THEMES)
        name = names[(names.index(self.tones.theme) + 1) % len(names)]
        self.look(replace(self.options, theme=name))
        try:
            self.say(f"Theme {name}, remembered in {remember_theme(name)}.")
        except OSError as error:
            self.say(f"Theme {name}; it can't be remembered: {error.strerror}.")

    def do_screenshot(self) -> None:
        """Save the screen, as it stands now, as a picture under a name that the reader gives."""

        def saved(name: str | None) -> None:
            if name is not None:
                self.say(f"Saved {Path(name.strip()).expanduser().absolute()}")

        picture = svg(draw_screen(self.scene(*self.size)))
        self.push_screen(SaveScreen(self.tones, free_name(self.state.location), picture, self.stage_rect), saved)

    def do_suspend(self) -> None:
        """Give the terminal back to the shell until it says fg."""
        if self.driver is None or not self.driver.can_suspend:
            return
        if can_stop():
            with self.suspend():  # the terminal is restored before whoever started this stops too, and the shell takes it
                os.killpg(os.getpgrp(), signal.SIGTSTP)
        else:
            self.say("No shell waits here that could bring txexplain back after ctrl+z.")

    def do_repaint(self) -> None:
        """Whatever else wrote on the terminal goes."""
        if self.driver is not None and isinstance(wire := getattr(self.driver, "wire", None), Wire):
            wire.forget()
        self.refresh(layout=True)

    def do_explain(self) -> None:
        """Explain what is selected: beside the stage from now on, or once over a screen without room for that."""
        if not self.reader.side and "side" in layout(*self.size, "explain"):
            self.show_side("" if self.side == "explain" else "explain")
        elif self.lens is not None:
            self.push_screen(ExplainScreen(self.scene(*self.size)))

    def show_side(self, side: str) -> None:
        """Put something in the side pane, or nothing."""
        self.side, self.scroll = side, 0
        self.place()

    def do_page_up(self) -> None:
        self.page(-1)

    def do_page_down(self) -> None:
        self.page(1)

    def page(self, pages: int) -> None:
        """Scroll the side pane."""
        if self.reader.side:
            self.reader.scroll(pages)
            return
        rect = layout(*self.size, self.side).get("side")
        if rect is not None and self.lens is not None:
            self.scroll = scrolled(replace(self.scene(*self.size), width=rect.width, height=rect.height), pages)
            self.draw()

    def do_help(self) -> None:
        self.push_screen(HelpScreen(self.state.location.level, self.tones, self.actions))

    def do_quit(self) -> None:
        self.exit()

    def on_unmount(self) -> None:
        """Nobody waits for a forward pass any more, nor for a download, nor for what follows from a result."""
        self.inbox.close()
        self.work.end()
        self.lens = None

    # The prompt

    def focus_pane(self, name: str) -> None:
        if name == "prompt" and self.recorded("another prompt"):
            return
        if name == "prompt" and self.state.ids is not None and self.model is None:
            self.say(f"What the ids say is known once {self.state.model} is there.")
            return
        self.pane = name
        if name != "side":
            self.scroll = self.scroll if name == self.about else 0
            self.about = name
        editing = name == "prompt"
        if editing:
            self.generating = False
            self.queued = 0
            self.editor.fill(self.prompt_text())
        self.editor.display = editing
        (self.editor if editing else self.query_one(f"#{name}")).focus()
        if editing:  # whose place on the screen is known once it was laid out
            self.call_after_refresh(lambda: move_cursor(self, self.editor.cursor_screen_offset))
        self.draw()

    def prompt_text(self) -> str:
        """The prompt as text: as typed, or what its ids say."""
        state = self.state
        if state.ids is None or self.model is None:
            return state.prompt
        if state.typed and all(state.typed):  # without what the tokenizer put around the text
            return state.prompt + b"".join(self.model.tokenizer.raw(each.id) for each in state.appended).decode("utf-8", "replace")
        return self.model.tokenizer.decode(state.ids)

    def on_prompt_editor_left(self, message: PromptEditor.Left) -> None:
        self.focus_pane(self.pane_beside("prompt", message.step) if message.step else "stage")

    def on_prompt_editor_edited(self, message: PromptEditor.Edited) -> None:
        """Typing: the newest text wins, and a run for an older one is told to stop at once."""
        self.state = self.state.with_edited(message.text, self.model.tokenizer if self.model is not None else None)
        self.last_draw = None
        self.work.stop("forward")
        self.sweeper.stop()
        if self.model is not None:
            self.start_clock()
        self.draw()
        if self.typing is not None:
            self.typing.stop()
        self.typing = self.set_timer(DEBOUNCE, self.run_model)

    # The mouse

    def on_picture_pointed(self, message: Picture.Pointed) -> None:
        target, place = message.target, self.state.location
        if message.kind in ("up", "down") and message.picture.id == "side":
            self.page(1 if message.kind == "down" else -1)
        elif message.kind in ("up", "down"):
            self.move(message.kind)
        elif message.kind == "click":
            self.clicked(message.picture.id or "", target)
        elif message.kind == "hover":
            cell = isinstance(target, Location) and place.level is Level.HEAD and target.key is not None
            self.hover = target if isinstance(target, Location) and cell else None
            self.draw()

    def selected(self) -> int | None:
        """The selected token's position."""
        return None if self.lens is None else self.state.location.token_index(self.lens.trace.n_tokens)

    def clicked(self, pane: str, target: object) -> None:
        """A click selects; a click on what is selected zooms in, or edits the prompt."""
        selects = pane == "prompt" and isinstance(target, tuple) and target != ("token", self.selected())
        if pane in FOCUS and pane != self.pane and not selects:
            self.focus_pane(pane)
        match target:
            case Location():
                if pane == "stage" and str(target) == str(self.state.location):
                    self.do_enter()
                else:
                    self.moved(lambda state, dims: state.go(target, dims))
            case ("token", int(position)):
                self.moved(lambda state, dims: state.select_token(position, dims))
            case ("candidate", int(rank)):
                if rank == self.candidate and self.pane == "panel":
                    self.choose(rank)
                else:
                    self.candidate = rank
                    self.draw()
            case ("answer", int(number)):
                self.reader.answer(number)
            case ("temperature", float(value)):
                self.change(self.state.at_temperature(value))
            case ("do", str(name)):
                self.action_do(name)

    # The palette of commands

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandsScreen):
            self.push_screen(CommandsScreen(placeholder="Search for commands", id="--command-palette"))

    def get_system_commands(self, screen: Screen[Any]) -> Iterator[SystemCommand]:
        for action in ACTIONS:
            if action.id != "palette":
                yield SystemCommand(action.label, action.help, partial(self.action_do, action.id))


def at_most(size: Size) -> Size:
    """A size that can be drawn: a terminal may say any."""
    return Size(min(size.width, LARGEST_SIDE), min(size.height, LARGEST_SIDE))


def put(widget: Widget, rect: Rect) -> None:
    """Place a widget at a rectangle of the screen."""
    widget.styles.offset = (rect.x, rect.y)
    widget.styles.width, widget.styles.height = rect.width, rect.height


def run_app(
    state: ExplorerState,
    options: UiOptions,
    lens: Lens | None = None,
    reads: Reads | None = None,
    asking: Asking | None = None,
    made_by: Callable[..., ExplorerApp] = ExplorerApp,
) -> int:
    """Run the app until the reader leaves it; the exit code.

    lens: the recorded run that it opens instead of a model. asking: the terminal, which was asked for what the options leave open.
    made_by: what makes the app, where it isn't the usual one.
    """
    if asking is not None:
        options = asking.told(options)
    if palette_of(options).depth == "none":
        os.environ["NO_COLOR"] = "1"  # for what Textual draws itself
    app = made_by(state, options, None if lens is None else lambda progress: lens, reads)
    app.asking = asking
    gc.set_threshold(*LITTER)
    app.run(mouse=reads is None or not reads.lecture)
    app.work.join()
    return app.return_code or 0
