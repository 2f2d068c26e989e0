"""What a monkey does: random steps, weighed so that no view is rare, and how each is done to an app."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from textual import events
from textual.command import CommandPalette
from textual.drivers.headless_driver import HeadlessDriver
from textual.geometry import Size
from textual.keys import _character_to_key
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.widgets import Input

from tests.monkey.world import SIZES, World, anywhere, picking
from txexplain.front.actions import ACTIONS
from txexplain.ui.app import ExplorerApp
from txexplain.ui.widgets.picture import Picture

Step = Any  # a key's name, or a list: what, and with what; JSON keeps it
App = ExplorerApp
TYPED = (*"abcLHxyz0123 .,:@[]()!?<&", "é", "日", "🙂", "\t")
PASTED = (*TYPED, *"/'\"\\", "\n", "\r\n", "\x1b[31m", "\x07", "\ud800", "\u2028", "[/]", "[red]", "$(id)", "word " * 9)
WORDS = ("zoom", "atlas", "theme", "save", "help", "lesson", "temper", "leave", "undo", "prompt", "model", "draw")
OTHERS = ("home", "end", "insert", "delete", "f11", "f12", "ctrl+c", "ctrl+z", "ctrl+a", "ctrl+home", "alt+x", "ctrl+j", "ctrl+pageup", "ä")
EDITING = (
    "left", "right", "up", "down", "home", "end", "backspace", "delete", "ctrl+w", "ctrl+u", "ctrl+k", "ctrl+a", "shift+left", "shift+up",
    "ctrl+j", "ctrl+z", "ctrl+y", "ctrl+x", "ctrl+v", "enter", "escape", "tab", "shift+tab",
)  # fmt: skip
LISTED = ("up", "down", "down", "pageup", "pagedown", "home", "end", "tab", "backspace", "q", "i", "question_mark", "f1")
QUIT = 0.1  # how often the keys that quit are pressed, beside those of another action
AT_ONCE = 200  # rounds of messages until a step counts as done, whatever still comes
SETTLED = 0.55  # how often a step is followed by waiting for its result


def next_step(app: App, world: World, rng: np.random.Generator) -> Step:
    """A random step that means something where the app is: mostly."""
    pick = picking(rng)
    if rng.random() < 0.12:
        return a_gesture(app, rng)
    if rng.random() < 0.03:
        return ["size", *pick(*SIZES)]
    if len(app.screen_stack) > 1:
        return over_the_screen(app, rng)
    if app.session.pane == "prompt" and rng.random() < 0.8:
        return pick(
            ["text", some(rng, TYPED, 12)], ["paste", some(rng, PASTED, 30)], pick(*EDITING), pick(*EDITING), pick("enter", "escape")
        )
    kind = rng.random()
    if kind < 0.08 and app.result is not None:
        return ["jump", anywhere(rng, app.result.config, app.result.trace.n_tokens)]
    if kind < 0.10:
        return ["paste", some(rng, PASTED, 30)]
    if kind < 0.13:
        return ["keys", *(a_key(rng) for _ in range(int(rng.integers(2, 5))))]
    if kind < 0.17:
        return pick(*OTHERS, *(char for char in TYPED if char != "\t"))
    return a_key(rng)


def a_key(rng: np.random.Generator) -> str:
    """A key of a random action."""
    action = picking(rng)(*ACTIONS)
    if action.id == "quit" and rng.random() > QUIT:
        return "ctrl+p"
    return str(picking(rng)(*action.keys))


def over_the_screen(app: App, rng: np.random.Generator) -> Step:
    """What to press where a list, a field or a page lies over the screen: in the end, what closes it."""
    pick = picking(rng)
    closing = pick("escape", "escape", "enter", "enter", ["keys", *(pick("escape", "enter", "q", "i") for _ in range(3))])
    typing = bool(app.screen.query(Input))
    if not typing:
        return pick(closing, pick(*LISTED), pick(*LISTED))
    # What is typed into a field that isn't known here may become a file's name: letters, then.
    text = pick(*WORDS) if isinstance(app.screen, CommandPalette) else some(rng, TYPED[:6], 4)
    if type(app.screen).__name__ in ("FindScreen", "JumpScreen", "CommandsScreen"):
        text = pick(text, some(rng, TYPED, 8))
    return pick(closing, closing, ["text", text], pick(*LISTED[:9]), ["paste", text])


def some(rng: np.random.Generator, chars: tuple[str, ...], most: int) -> str:
    return "".join(chars[int(i)] for i in rng.integers(0, len(chars), int(rng.integers(1, most))))


def a_gesture(app: App, rng: np.random.Generator) -> Step:
    """Something with the mouse: half of it where something answers."""
    pick = picking(rng)
    width, height = app.size
    x, y = int(rng.integers(width)), int(rng.integers(height))
    targets = [
        (picture.region.x + hit.x, picture.region.y + hit.y)
        for picture in app.screen_stack[0].query(Picture)
        if picture.display and picture.canvas is not None and rng.random() < 0.5
        for hit in picture.canvas.hits[:400]
    ]
    if targets and rng.random() < 0.6:
        x, y = pick(*targets)
    kind = pick("click", "click", "click", "double", "move", "move", "up", "down", "drag", "right", "middle")
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    return [kind, x, y, *((int(rng.integers(width)), int(rng.integers(height))) if kind == "drag" else ())]


# Doing


async def do(app: App, pilot: Pilot[None], step: Step) -> None:
    """Do a step, and let the app take it in."""
    match step:
        case str(key):
            send(app, key_event(key))
        case ["keys", *keys]:
            for key in keys:
                send(app, key_event(key))
        case ["text", text]:
            for char in text:
                send(app, events.Key(_character_to_key(char), char))
        case ["jump", text]:
            send(app, key_event("J"))
            await taken_in(app, pilot)
            for char in text:
                send(app, events.Key(_character_to_key(char), char))
            send(app, key_event("enter"))
        case ["paste", text]:
            send(app, events.Paste(text))
        case ["size", width, height]:
            size = Size(width, height)
            if isinstance(app._driver, HeadlessDriver):
                app._driver._size = size
            app.post_message(events.Resize(size, size))
        case [kind, x, y, *more]:
            for number, event in enumerate(gesture(app, kind, x, y, more)):
                if number and kind != "double":
                    await taken_in(app, pilot)
                send(app, event)
        case _:
            raise ValueError(f"no step: {step}")
    await taken_in(app, pilot)


def send(app: App, event: events.Event) -> None:
    """As a terminal's driver sends it."""
    if app._driver is not None and app.is_running:
        app._driver.process_message(event)


def key_event(key: str) -> events.Key:
    if key == "space":
        return events.Key("space", " ")
    if len(key) == 1:
        return events.Key(_character_to_key(key), key)
    named = {"slash": "/", "question_mark": "?", "comma": ",", "full_stop": ".", "minus": "-", "equals_sign": "=", "plus": "+"}
    brackets = {"left_square_bracket": "[", "right_square_bracket": "]", "left_curly_bracket": "{", "right_curly_bracket": "}"}
    others = {"left_parenthesis": "(", "right_parenthesis": ")", "less_than_sign": "<", "greater_than_sign": ">"}
    return events.Key(key, (named | brackets | others | {"enter": "\r", "tab": "\t", "escape": "\x1b", "backspace": "\x7f"}).get(key))


def gesture(app: App, kind: str, x: int, y: int, more: list[int]) -> Iterator[events.MouseEvent]:
    """The events of a gesture; none where the screen ends before it."""
    if x >= app.size.width or y >= app.size.height:
        return
    button = {"right": 3, "middle": 2}.get(kind, 1)
    yield mouse(events.MouseMove, x, y, 0)
    if kind in ("up", "down"):
        yield mouse(events.MouseScrollUp if kind == "up" else events.MouseScrollDown, x, y, 0)
    elif kind in ("click", "right", "middle", "double"):
        for _ in range(2 if kind == "double" else 1):
            yield mouse(events.MouseDown, x, y, button)
            yield mouse(events.MouseUp, x, y, button)
    elif kind == "drag":
        x1, y1 = min(more[0], app.size.width - 1), min(more[1], app.size.height - 1)
        yield mouse(events.MouseDown, x, y, 1)
        yield mouse(events.MouseMove, (x + x1) // 2, (y + y1) // 2, 1)
        yield mouse(events.MouseMove, x1, y1, 1)
        yield mouse(events.MouseUp, x1, y1, 1)


def mouse(kind: type[events.MouseEvent], x: int, y: int, button: int) -> events.MouseEvent:
    return kind(None, x, y, 0, 0, button, False, False, False, x, y)


async def taken_in(app: App, pilot: Pilot[None]) -> None:
    """Until no message waits to be handled."""
    for _ in range(AT_ONCE):
        if app._exit or app._exception is not None:
            return
        await pilot.pause(0)
        if not app.inbox.under_way and not any(pump.message_queue_size for pump in pumps(app)):
            return


def pumps(app: App) -> Iterator[MessagePump]:
    yield app
    for screen in app.screen_stack:
        yield from screen.walk_children(with_self=True)


# Settling

OURS = {"load", "arrive", "forward", "norms", "rollout", "place", "surprisal"}  # what a screen waits for


def computes(app: App) -> bool:
    """Whether something is on its way that will change the screen; between two generated tokens, nothing is."""
    typing = app.timers.get("typed")
    typed = typing is not None and typing._task is not None and not typing._task.done()
    resized = app._resize_timer is not None or app._resize_event is not None
    paints = bool(app.screen._layout_required or app.screen._dirty_widgets)
    works = bool(OURS & set(app.work.jobs))
    return paints or resized or app.running or bool(app.session.queued) or typed or works


async def settled(app: App, pilot: Pilot[None], patience: float) -> None:
    """Until the screen shows the newest result. Raises AssertionError where it never does."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while True:
        await taken_in(app, pilot)
        if app._exit or app._exception is not None or not computes(app):
            return
        assert loop.time() < end, "the app doesn't settle"
        if loop.time() > end - patience / 2:
            app.session = replace(app.session, generating=False)  # else a busy machine never has a moment between
        await asyncio.sleep(0.001)
