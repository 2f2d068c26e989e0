"""The app without Textual: its session, what that asks for done in the test's own thread, and its screen as it would be drawn.

Keys, clicks and the helpers of tests/ui/harness.py work as with the app; a start and a key cost milliseconds. What only Textual's side can
do (dialogs, the theme, the editor's own keys) isn't here: a test that asks for it fails.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any

from textual.geometry import Region, Size

from tests.ui import harness
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.explorer.reading import Reads
from txexplain.explorer.session import events as e
from txexplain.explorer.session.answers import load_of
from txexplain.explorer.session.value import begun
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import ACTIONS, GLYPHS, rebound
from txexplain.front.options import UiOptions
from txexplain.front.scenes import palette_of, roomy
from txexplain.ui import jobs
from txexplain.ui.app import ExplorerApp
from txexplain.ui.deeds import DEEDS
from txexplain.ui.motion import Motion
from txexplain.ui.work import Does, Job, Work
from txexplain.viz.canvas import Canvas
from txexplain.viz.scene import Scene
from txexplain.viz.screen import Rect, layout, layout_of, paint_pane, paint_screen

NAMES = {glyph: name for name, glyph in GLYPHS.items()}
RINGING = ("typed", "drawn", "script")  # timers whose time comes once nothing else is on its way


class AtOnce(Work):
    """Jobs that wait until somebody does the next of them."""

    def __init__(self) -> None:
        super().__init__(self.hear)
        self.waiting: deque[tuple[Job, Does]] = deque()

    def spawn(self, job: Job, does: Does) -> None:
        self.waiting.append((job, does))

    def do_next(self) -> None:
        job, does = self.waiting.popleft()
        if not job.stopped:
            self.run(job, does)


class Pane:
    """A part of the screen: where it is, and what stands there."""

    def __init__(self, id: str, scene: Scene, rects: Mapping[str, Rect]) -> None:
        self.id, self.scene, self.display = id, scene, id in rects
        if (rect := rects.get(id)) is not None:
            self.rect, self.region = rect, Region(rect.x, rect.y, rect.width, rect.height)
            self.size = self.region.size

    @cached_property
    def canvas(self) -> Canvas:
        return paint_pane(self.id, self.scene, self.rect)

    def focus(self, *_: object) -> None:
        """The session knows it, and nothing is seen before somebody looks."""

    show = focus


class Paper:
    """An app and its pilot in one."""

    state, result, model, running = ExplorerApp.state, ExplorerApp.result, ExplorerApp.model, ExplorerApp.running
    happen, become, load_model, do = ExplorerApp.happen, ExplorerApp.become, ExplorerApp.load_model, ExplorerApp.do
    scene, layout_of, stage_rect, columns = ExplorerApp.scene, ExplorerApp.layout_of, ExplorerApp.stage_rect, ExplorerApp.columns
    widest_rect = ExplorerApp.widest_rect
    key, command_line = ExplorerApp.key, ExplorerApp.command_line
    perform, action_do, action_digit = ExplorerApp.perform, ExplorerApp.action_do, ExplorerApp.action_digit
    pointed = ExplorerApp.on_picture_pointed
    clock_began, ending, is_running, animation_level = 0.0, False, True, "none"

    def __init__(
        self,
        load: Callable[[], GPT2 | Result],
        state: ExplorerState,
        size: tuple[int, int],
        options: UiOptions,
        reads: Reads | None = None,
    ) -> None:
        self.session = begun(state, reads or Reads(model=state.model))
        self.options, self.tones, self.actions = options, palette_of(options), rebound(ACTIONS, options.keys)
        self.keys = {key: action.id for action in self.actions for key in action.keys}
        self.deeds = {name: partial(deed, self) for name, deed in DEEDS.items()}
        self.timers: dict[str, Any] = {}
        self.notes: list[str] = []
        self.clipboard = ""
        self.editor = SimpleNamespace(text="", display=False, focus=lambda: None, fill=lambda text: setattr(self.editor, "text", text))
        self.work = AtOnce()
        self.motion = Motion(self, self.show)
        self.size = Size(*size)
        self.resized()
        self.work.start("load", jobs.load(load_of(self.session, state), lambda progress: load()), self.happen)

    # What the session's effects ask of the app

    def show(self, *_: object) -> None:
        """Nothing is drawn before somebody looks."""

    paint = call_after_refresh = show

    def say(self, sentence: str) -> None:
        self.notes = [sentence]

    def clear_notifications(self) -> None:
        self.notes = []

    def copy_to_clipboard(self, text: str) -> None:
        self.clipboard = text

    def set_timer(self, seconds: float, callback: Callable[[], object], name: str = "") -> Any:
        return SimpleNamespace(seconds=seconds, ring=callback, stop=lambda: None)

    def query_one(self, selector: str, _: object = None) -> Pane:
        scene = self.scene(*self.size)
        return Pane(selector.removeprefix("#"), scene, layout_of(scene))

    def pane_text(self, name: str) -> list[str]:
        pane = self.query_one(f"#{name}")
        return pane.canvas.text() if pane.display else []

    def text(self) -> list[str]:
        return paint_screen(self.scene(*self.size)).text()

    # The reader

    async def press(self, *keys: str) -> None:
        for key in (NAMES.get(key, key) for key in keys):
            char = " " if key == "space" else GLYPHS.get(key, key)
            if self.session.pane == "prompt":
                if (step := {"enter": 0, "escape": 0, "tab": 1, "shift+tab": -1}.get(key)) is not None:
                    self.happen(e.Left(step))
                else:
                    self.editor.text = "" if key == "ctrl+u" else self.editor.text[:-1] if key == "backspace" else self.editor.text + char
                    self.happen(e.Typed(self.editor.text))
            elif key.isdigit() and self.keys[key] == "jump":
                self.action_digit(key)
            else:
                self.action_do(self.keys[key])

    async def pause(self, _: float = 0.0) -> None:
        """Let one thing come that is on its way: the next job's end, or where there is none, a timer's."""
        if self.work.waiting:
            self.work.do_next()
        elif (name := next((name for name in RINGING if name in self.timers), None)) is not None:
            self.timers.pop(name).ring()

    async def hover(self, selector: str = "", *, offset: tuple[int, int] | None = None) -> None:
        self.point("hover", offset)

    async def click(self, selector: str = "", *, offset: tuple[int, int]) -> None:
        self.point("click", offset)

    def point(self, kind: str, offset: tuple[int, int] | None) -> None:
        panes = [self.query_one(name) for name in self.layout_of(*self.size)]
        pane = next((pane for pane in panes if offset is not None and pane.region.contains(*offset)), None)
        target = None if pane is None else pane.canvas.hit(offset[0] - pane.region.x, offset[1] - pane.region.y)
        self.pointed(SimpleNamespace(kind=kind, target=target, picture=SimpleNamespace(id="" if pane is None else pane.id)))

    async def resize_terminal(self, width: int, height: int) -> None:
        self.size = Size(width, height)
        self.resized()

    def resized(self) -> None:
        self.happen(e.Resized(roomy(*self.size), "side" in layout(*self.size, "explain")))


def on_paper(
    test: Callable[[Any, Any], Awaitable[None]],
    model: GPT2 | Result | None,
    state: ExplorerState | None = None,
    *,
    size: tuple[int, int] = (120, 36),
    options: UiOptions = harness.COLOURS,
    load: Callable[[], GPT2] | None = None,
    wait: bool = True,
    reads: Reads | None = None,
) -> None:
    """As harness.drive, without Textual."""

    async def go() -> None:
        paper = Paper(load or (lambda: model), state or ExplorerState(), size, options, reads)
        if wait:
            await harness.settled(paper, paper)
        await test(paper, paper)

    asyncio.run(go())
