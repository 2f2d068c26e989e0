"""What the session asks for, done with Textual: a function for each kind of effect, and the table of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from txexplain.errors import ExplainError
from txexplain.explorer.session import events as e
from txexplain.front.lecture import NotPlayed, Now, steps, tell
from txexplain.front.lessons import read
from txexplain.front.progress import write_progress
from txexplain.ui import jobs
from txexplain.ui.deeds import keep
from txexplain.ui.dialogs import DIALOGS
from txexplain.ui.terminal.fixes import move_cursor
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.screen import Rect
from txexplain.viz.views.explain import scrolled
from txexplain.viz.views.lesson import overflow

if TYPE_CHECKING:
    from txexplain.ui.app import ExplorerApp


def later(app: ExplorerApp, effect: e.Later) -> None:
    """A timer, in place of an earlier one of its name."""
    if (timer := app.timers.pop(effect.timer, None)) is not None:
        timer.stop()
    app.timers[effect.timer] = app.set_timer(effect.seconds, partial(app.happen, e.Rang(effect.timer)), name=effect.timer)


def focus(app: ExplorerApp, effect: e.Focus) -> None:
    """The pane that takes keys; one types where the prompt stands."""
    editing = effect.pane == "prompt"
    if editing:
        app.editor.fill(effect.text)
    app.editor.display = editing
    (app.editor if editing else app.query_one(f"#{effect.pane}")).focus()
    if editing:  # whose place on the screen is known once it was laid out
        app.call_after_refresh(lambda: move_cursor(app, app.editor.cursor_screen_offset))


def zoom(app: ExplorerApp, effect: e.Zoom) -> None:
    """The new place is drawn whole, and then come the frames to it."""
    before = app.query_one("#stage", Picture).canvas
    app.paint()
    app.motion.begin(before, effect.old, effect.new)


def scroll(app: ExplorerApp, effect: e.Scroll) -> None:
    """How far the side pane can go is known by what stands there."""
    scene = app.scene(*app.size)
    rect = app.layout_of(*app.size).get("side", Rect(0, 0, 1, 1))
    scene = replace(scene, width=rect.width, height=rect.height)
    row = scrolled(scene, effect.pages) if effect.row is None else max(0, min(effect.row, overflow(scene)))
    app.happen(e.Scrolled(row))


def read_page(app: ExplorerApp, _: e.Read) -> None:
    """Where the open page looks, and what its script presses."""
    reading, result = app.session.reader.reading, app.session.result
    assert reading is not None
    assert result is not None
    page = reading.page
    keys: tuple[tuple[str, str, str], ...] = ()
    wrong = ""
    try:
        keys = tuple((what, text, shown) for (what, text), shown in zip(steps(page.keys), page.keys, strict=True))
    except NotPlayed as error:
        wrong = str(error.args[0])
    try:
        state, found = read(reading.lesson, page, app.session.state, result, app.tones)
    except ExplainError as error:
        app.happen(e.PageRead(fault=str(error), keys=keys, script_fault=wrong))
    else:
        app.happen(e.PageRead(state, found, keys, script_fault=wrong))


def write(app: ExplorerApp, effect: e.Type) -> None:
    """A script types."""
    if effect.text == "backspace":
        app.editor.action_delete_left()
    else:
        app.editor.insert(effect.text)


def keep_answers(app: ExplorerApp, effect: e.Keep) -> None:
    if sentence := keep(effect.path, effect.answers):
        app.say(sentence)


def keep_place(_: ExplorerApp, effect: e.KeepPlace) -> None:
    """Where that can't be written, the next start begins at page 1; nobody who reads need hear of it."""
    with suppress(OSError):
        write_progress(effect.bookmarks, effect.last)


def tell_page(app: ExplorerApp, effect: e.Tell) -> None:
    """The notes beside show this page; where that can't be told, the lecture goes on."""
    with suppress(OSError):
        tell(Now(effect.lesson.name, effect.page, app.clock_began, app.session.reader.asked.target))


EFFECTS: dict[type, Callable[[ExplorerApp, Any], object]] = {
    e.Forward: lambda app, effect: app.work.start("forward", jobs.forward(effect), app.happen),
    e.Compute: lambda app, effect: app.work.start(effect.what, jobs.compute(effect), app.happen),
    e.Load: lambda app, effect: app.load_model(effect),
    e.Stop: lambda app, effect: app.work.stop(*effect.keys),
    e.Later: later,
    e.Say: lambda app, effect: app.say(effect.sentence),
    e.Do: lambda app, effect: app.do(effect.action),
    e.Show: lambda app, effect: DIALOGS[effect.name](app, effect.given),
    e.Focus: focus,
    e.Zoom: zoom,
    e.Scroll: scroll,
    e.Read: read_page,
    e.Press: lambda app, effect: app.perform(effect.action),
    e.Type: write,
    e.Keep: keep_answers,
    e.KeepPlace: keep_place,
    e.Tell: tell_page,
}
