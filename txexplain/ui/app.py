"""The app: keys and news go to the session as events, what it asks for is done, and every pane is painted from it again."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import time
from typing import Any, ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Offset
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from txexplain.engine.derive import Result
from txexplain.engine.memory import give_back
from txexplain.engine.model import GPT2
from txexplain.errors import NO_MEMORY
from txexplain.explorer.reading import Reads
from txexplain.explorer.session import events as e
from txexplain.explorer.session import step
from txexplain.explorer.session.answers import FOCUS, load_of
from txexplain.explorer.session.keys import ARROWS
from txexplain.explorer.session.value import Outcome, Session, begun
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import ACTIONS, Action, rebound
from txexplain.front.lecture import clock_text
from txexplain.front.medium import GLYPHS, PIXELS
from txexplain.front.options import UiOptions
from txexplain.front.scenes import columns_of, name_of, palette_of, roomy
from txexplain.front.shown import key_of, scene_for
from txexplain.models import load_model
from txexplain.models.hub import Progress
from txexplain.models.report import known_models
from txexplain.text import clean, one_line
from txexplain.ui import jobs
from txexplain.ui.deeds import DEEDS, NO_PIXELS, command_line
from txexplain.ui.effects import EFFECTS
from txexplain.ui.models import ModelsScreen
from txexplain.ui.motion import Motion
from txexplain.ui.over import CommandsScreen
from txexplain.ui.terminal.asking import Asking, over_ssh
from txexplain.ui.terminal.base import TerminalApp
from txexplain.ui.terminal.keyboard import Inbox
from txexplain.ui.terminal.media import MEDIA, Medium
from txexplain.ui.widgets.picture import Picture
from txexplain.ui.widgets.prompt import PromptEditor
from txexplain.ui.work import Heard, Work
from txexplain.viz.canvas import plain
from txexplain.viz.cursor import Mark, followed, marks, place
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.viz.screen import Rect, inputs, layout, layout_of, paint_pane

PANES = ("header", "edits", "prompt", "stage", "caption", "side", "panel", "footer", "small", "blank")
REST = 2.0  # seconds without news after which freed memory is given back
SAID = 1000  # characters of a sentence that pops up
LITTER = (20_000, 20, 100)  # gc's thresholds: with its defaults it collects so often that a key may wait for 50 ms


class ExplorerApp(TerminalApp):
    """One screen: the prompt, the stage, the next-token panel, a breadcrumb and a footer of keys."""

    CSS_PATH = Path(__file__).with_name("app.tcss")  # whole, so that a kind of this app in another folder finds it
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

    def __init__(self, state: ExplorerState, options: UiOptions, load: jobs.Opening | None = None, reads: Reads | None = None) -> None:
        """load: what it starts with, where that isn't the model that the state names."""
        super().__init__(palette_of(options))
        self.actions: tuple[Action, ...] = rebound(ACTIONS, options.keys)
        self.ending_keys = next(action.keys for action in self.actions if action.id == "quit")
        self.options = options
        self.shows_cursor = options.cursor
        self.medium = medium_of(options, self.tones)
        self.session: Session = begun(state, reads or Reads(model=state.model))
        self.load = load
        self.open_model: Callable[[str, Progress], GPT2] = lambda name, progress: load_model(name, progress=progress)
        self.list_models = lambda: [entry for entry in known_models() if entry.revision is None]
        self.deeds: dict[str, Callable[[], object]] = {name: partial(deed, self) for name, deed in DEEDS.items()}
        self.painted: dict[str, tuple[Any, ...]] = {}  # what each pane's picture was painted from
        self.placed: Mapping[str, Rect] = {}  # where the panes are
        self.marks: tuple[tuple[Mark, ...], Mark | None] = ((), None)  # those in the pane of the keys, and the cursor's
        self.timers: dict[str, Timer] = {}
        self.tidying: Timer | None = None
        self.clock_began = 0.0  # a lecture's, with the first key; seconds of the epoch
        self.motion = Motion(self, self.paint_stage)
        self.work: Work = Work(self.post_message)
        self.inbox = Inbox(self)
        self.asking: Asking | None = None  # the terminal, while what it answered isn't read

    # What tests and screens read of the session most

    state = property(lambda self: self.session.state)
    result = property(lambda self: self.session.result)
    model = property(lambda self: self.session.model)
    running = property(lambda self: self.session.running)

    # Events and effects

    def happen(self, event: object) -> None:
        """Something happens."""
        try:
            self.become(step(self.session, event))
        except MemoryError:
            if isinstance(event, e.Ran | e.Opened):
                self.happen(e.Failed("forward", NO_MEMORY))
            else:
                self.say(NO_MEMORY)

    def become(self, outcome: Outcome) -> None:
        """Do what another session asks for, and show it."""
        before = self.session
        self.session, effects = outcome
        for effect in effects:
            EFFECTS[type(effect)](self, effect)
        self.show(before)

    def show(self, before: Session) -> None:
        """Paint what is another than before."""
        session = self.session
        if session.model is not before.model:
            self.editor.tokenizer = None if session.model is None else session.model.tokenizer
        if session is not before:
            self.paint()
        if session.result is not before.result and session.result is not None:
            self.entitle()
        if session.arrival != before.arrival and isinstance(self.screen, ModelsScreen):
            self.screen.update()

    def load_model(self, effect: e.Load) -> None:
        """A model that a page names, or one that the reader picked."""

        def opening(progress: Progress) -> GPT2:
            if effect.key == "arrive":
                return self.open_model(effect.name, progress)
            how: dict[str, Any] = {"revision": effect.revision, "tokenizer": effect.tokenizer, "specials": effect.specials}
            return load_model(effect.name, **how, progress=progress, may_fetch=effect.may_fetch)

        self.work.start(effect.key, jobs.load(effect, opening), self.happen)

    def do(self, action: str) -> None:
        """What needs nothing of the session."""
        if (deed := self.deeds.get(action)) is not None:
            deed()

    def say(self, sentence: str) -> None:
        """A sentence for a while, in place of the one before; of an endless one the beginning."""
        self.clear_notifications()
        self.notify(clean(sentence if len(sentence) <= SAID else sentence[:SAID] + "…"), markup=False, timeout=6)

    # Textual's side

    def compose(self) -> ComposeResult:
        for name in PANES:
            yield Picture(id=name, can_focus=name in FOCUS)
        yield PromptEditor(self.tones, id="editor")

    @property
    def editor(self) -> PromptEditor:
        return self.query_one(PromptEditor)

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
        if self.options.picture in PIXELS and self.medium is None:
            self.say(NO_PIXELS)
        if self.session.reader.asked.clock:
            self.set_interval(1.0, self.paint)
        state = self.session.state
        first = load_of(self.session, state)
        if self.load is None:
            self.load_model(first)
        else:
            self.work.start("load", jobs.load(first, self.load), self.happen)

    async def handle(self, message: Message) -> None:
        """Drop what a job says once the panes are taken away: there is nothing left to show it on."""
        if not isinstance(message, Heard) or self.stands:
            try:
                await super().handle(message)
            except MemoryError:
                self.say(NO_MEMORY)
        if isinstance(message, Heard) and self.stands:
            self.tidy_soon()

    @property
    def stands(self) -> bool:
        """Whether the panes are there: at the end Textual takes them away while messages still come."""
        return bool(self.screen_stack and self.query("#stage"))

    def on_heard(self, message: Heard) -> None:
        self.work.hear(message)

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
        if not self.session.running:
            threading.Thread(target=give_back, name="txexplain tidy", daemon=True).start()

    def on_resize(self, event: Resize) -> None:
        width, height = event.size
        self.happen(e.Resized(roomy(width, height), "side" in layout(width, height, "explain")))
        self.place(width, height)

    def on_unmount(self) -> None:
        """Nobody waits for anything any more."""
        self.inbox.close()
        self.work.end()
        self.session = replace(self.session, result=None, arrival=None)

    # Painting

    def place(self, width: int = 0, height: int = 0) -> None:
        """Put every pane where this size wants it, and paint it."""
        width, height = width or self.size.width, height or self.size.height
        self.put(self.layout_of(width, height))
        self.paint(width, height)

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

    def widest_rect(self) -> Rect | None:
        """Where a field finds room, whatever fills the screen."""
        rects = self.layout_of(*self.size)
        return rects.get("stage") or rects.get(self.session.filling)

    def paint(self, width: int = 0, height: int = 0) -> None:
        """Paint every pane from the session; each repaints only the cells that differ."""
        width, height = width or self.size.width, height or self.size.height
        scene = self.scene(width, height)
        rects = layout_of(scene)
        if rects != self.placed:
            self.put(rects)
        self.painted = {name: now for name, now in self.painted.items() if name in rects}  # what isn't shown keeps no run
        for name, rect in rects.items():
            now = inputs(name, scene, rect)
            if self.painted.get(name) != now:
                self.painted[name] = now
                try:
                    picture = paint_pane(name, scene, rect)
                except MemoryError:
                    picture = paint_pane(name, replace(scene, shown=None, distribution=None, message=NO_MEMORY), rect)
                self.query_one(f"#{name}", Picture).show(picture)
        self.point(rects)

    def paint_stage(self) -> None:
        """Show the stage's own picture again."""
        self.painted.pop("stage", None)
        self.paint()

    def point(self, rects: Mapping[str, Rect]) -> None:
        """Put the terminal's cursor on what is selected in the pane that has the keys; fields put it where one types."""
        pane = self.session.pane
        rect = rects.get(pane)
        if len(self.screen_stack) != 1 or pane == "prompt" or rect is None:
            return
        canvas = self.query_one(f"#{pane}", Picture).canvas
        if canvas is not None:
            if not (self.session.running and self.session.late):  # what fades has lost the cursor's ground
                now = marks(canvas)
                self.marks = now, followed(now, *self.marks)
            x, y = place(canvas, self.marks[1])
            self.cursor_position = Offset(rect.x + x, rect.y + y)

    def pane_text(self, name: str) -> list[str]:
        """What stands in a pane; nothing where it isn't shown."""
        picture = self.query_one(f"#{name}", Picture)
        return picture.canvas.text() if name in self.placed and picture.canvas is not None else []

    def scene(self, width: int, height: int) -> Scene:
        """What the screen is painted from."""
        reader = self.session.reader
        seconds = int(time() - self.clock_began) if self.clock_began else 0
        clock = clock_text(seconds, reader.lesson, reader.number, reader.asked.target) if reader.asked.clock and reader.lesson else ""
        return scene_for(self.session, self.tones, (width, height), self.actions, clock)

    def entitle(self) -> None:
        """Name the terminal's window after the model and the prompt."""
        state, result = self.session.state, self.session.result
        prompt = self.session.prompt_text() if result is None or state.trace is None else result.trace.prompt
        name = clean(" ".join(f"txexplain {name_of(state, result)}: {prompt[:SAID]}".split()).rstrip(":"))
        if (entitle := getattr(self.driver, "entitle", None)) is not None:
            entitle(plain(name, self.tones))

    def answered(self, depth: str | None, ground: tuple[int, int, int] | None) -> None:
        """What the terminal told when it was asked, once the app runs: the depth that it confirmed, its ground; None where it said nothing.

        The reader's own wishes, by flag, file or key, count for more.
        """
        self.look(replace(self.options, answered=depth or self.options.answered, ground=ground or self.options.ground))

    def look(self, options: UiOptions) -> None:
        """Paint everything in the colours that these options ask for."""
        self.options = options
        tones = palette_of(options)
        self.show_by(medium_of(options, tones))
        if tones != self.tones:
            self.tones = self.editor.tones = tones
            self.dress()
            self.painted.clear()
            self.place()

    def command_line(self) -> str:
        """The command that reproduces this view, fit for a screen and a shell: signs stand for what can't be typed."""
        return one_line(command_line(self.session))

    def key(self, action: str) -> str:
        """An action's key, as it is written for people."""
        return key_of(action, self.tones, self.actions)

    # The reader's keys and mouse

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """No key acts on what lies under another screen."""
        return action not in ("do", "digit") or len(self.screen_stack) == 1 or parameters == ("suspend",)

    def action_digit(self, digit: str) -> None:
        self.happen(e.Digit(digit))

    def action_do(self, name: str) -> None:
        """Every key, click and palette entry comes through here; those that come after the one that quits do nothing."""
        if not self.ending and not self.motion.takes(name):
            shown = next((known.keys[0] for known in self.actions if known.id == name and known.keys), name)
            self.perform(name, shown)

    def perform(self, name: str, shown: str = "") -> None:
        """Do an action, whoever asked for it; shown: the reader's key."""
        self.clock_began = self.clock_began or time()
        self.happen(e.Key(name, self.columns() if name in ARROWS else 1, shown))

    def columns(self) -> int:
        """How many heads stand side by side on the stage."""
        result, rect = self.result, self.stage_rect()
        size = None if rect is None else (rect.width, rect.height)
        return 1 if result is None or size is None else columns_of(result, size, self.tones, self.session.state.location)

    def on_prompt_editor_left(self, message: PromptEditor.Left) -> None:
        self.happen(e.Left(message.step))

    def on_prompt_editor_edited(self, message: PromptEditor.Edited) -> None:
        self.happen(e.Typed(message.text))

    def on_picture_pointed(self, message: Picture.Pointed) -> None:
        target, pane = message.target, message.picture.id or ""
        if message.kind in ("up", "down"):
            self.happen(e.Wheel(pane, message.kind, self.columns()))
        elif message.kind == "hover":
            self.happen(e.Hovered(target))
        elif message.kind == "click":
            self.happen(e.Clicked(pane, target))
            match target:
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


def medium_of(options: UiOptions, tones: Palette) -> Medium | None:
    """How pictures are shown in pixels; None: in cells."""
    if options.medium is None or options.picture == GLYPHS or tones.depth != "truecolor":
        return None
    name, cell = options.medium
    return MEDIA[name](cell)


def put(widget: Widget, rect: Rect) -> None:
    """Place a widget at a rectangle of the screen."""
    widget.styles.offset = (rect.x, rect.y)
    widget.styles.width, widget.styles.height = rect.width, rect.height


def run_app(
    state: ExplorerState,
    options: UiOptions,
    result: Result | None = None,
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
    app = made_by(state, options, None if result is None else lambda progress: result, reads)
    app.asking = asking
    gc.set_threshold(*LITTER)
    app.run(mouse=reads is None or not reads.lecture)
    app.work.join()
    return app.return_code or 0
