"""Actions that need nothing of the session but what it shows: copying, the theme, pictures, help, the shell, the end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from txexplain.errors import ExplainError, NotRecorded, reason
from txexplain.explorer.session.value import Session
from txexplain.files import write_whole
from txexplain.front.config import remember_theme
from txexplain.front.medium import GLYPHS
from txexplain.shell import typable
from txexplain.ui.help import HelpScreen
from txexplain.ui.save import SaveScreen, free_name
from txexplain.ui.terminal.rescue import can_stop
from txexplain.viz.film import film_of
from txexplain.viz.palette import THEMES
from txexplain.viz.screen import paint_screen
from txexplain.viz.svg import svg

if TYPE_CHECKING:
    from txexplain.ui.app import ExplorerApp

NO_PIXELS = "Pictures stay characters: this terminal didn't say that it shows pixels so, with 24-bit colours and cells of a known size."
WORDED = ("header", "stage", "caption", "side", "panel")  # the panes whose words are explained; the prompt's are the reader's
COPIED = 70_000  # characters of a command line that terminals take for their clipboard


def command_line(session: Session, name: str = "") -> str:
    """The command that reproduces a view, in the app or by another command; with ids for a prompt that can't be typed."""
    command = session.state.command_line(name)
    if len(command) <= COPIED and not typable(command) and session.model is not None and session.state.ids is None:
        with suppress(ExplainError):
            command = session.state.with_ids(session.model.prompt_ids(session.state.prompt)).command_line(name)
    return command


def copy(app: ExplorerApp, name: str = "") -> None:
    """Show and copy the command line of this view."""
    state = app.session.state
    size = len(state.prompt)
    command = command_line(app.session, name) if size <= COPIED else ""
    if not 0 < len(command) <= COPIED:
        app.say(f"This view's command line has {size or len(command)} characters, too many to copy: put the prompt in a file for --file.")
        return
    if not typable(command):
        what = "trace's name" if state.trace is not None else "prompt" if typable(state.model) else "model's name"
        app.say(f"This view's command line can't be copied: the {what} holds a character that can't be typed.")
        return
    app.copy_to_clipboard(command)
    app.say(command)


def keep(path: Path, answers: Mapping[str, Any]) -> str:
    """Write a reader's answers, whole or not at all; the sentence that says why they aren't written."""
    try:
        write_whole(path, (json.dumps(answers, indent=1) + "\n").encode("utf-8"))
    except OSError as error:
        return f"The answers can't be written to {path}: {reason(error)}."
    return ""


def next_theme(app: ExplorerApp) -> str:
    """Show the next theme; its name."""
    names = list(THEMES)
    name = names[(names.index(app.tones.theme) + 1) % len(names)]
    app.look(replace(app.options, theme=name))
    return name


def theme(app: ExplorerApp) -> None:
    """The next theme, at once and from now on."""
    name = next_theme(app)
    try:
        app.say(f"Theme {name}, remembered in {remember_theme(name)}.")
    except OSError as error:
        app.say(f"Theme {name}; it can't be remembered: {error.strerror}.")


def picture(app: ExplorerApp) -> None:
    """Pictures in pixels, where the terminal can show them, or in characters."""
    if app.options.medium is None:
        app.say(NO_PIXELS)
        return
    shown = GLYPHS if app.options.picture != GLYPHS else app.options.medium[0]
    app.look(replace(app.options, picture=shown))
    app.say("Pictures in characters." if app.medium is None else f"Pictures in pixels, by {shown}.")


def screenshot(app: ExplorerApp) -> None:
    """Save the screen, as it stands now, as a picture under a name that the reader gives."""

    def saved(name: str | None) -> None:
        if name is not None:
            app.say(f"Saved {Path(name.strip()).expanduser().absolute()}")

    picture = svg(paint_screen(app.scene(*app.size)))
    app.push_screen(SaveScreen(app.tones, free_name(app.session.state.location), picture, app.stage_rect), saved)


def play(app: ExplorerApp) -> None:
    """Show how what the stage shows comes about, frame by frame."""
    rect, pause, step, out = app.stage_rect(), app.key("play"), app.key("block_on"), app.key("out")
    if rect is None or app.session.running:
        return
    scene = replace(app.scene(*app.size), width=rect.width, height=rect.height)
    try:
        film = film_of(scene, f"{step} a step   {pause} {'plays' if app.motion.still else 'pauses, plays'}   {out} ends")
    except NotRecorded as lacking:
        app.say(f"How this comes about can't be shown: {lacking}")
        return
    if film is None:
        app.say(f"{pause} shows how it comes about in the model view, at a head and in the output.")
    else:
        app.motion.play(film)


def help_(app: ExplorerApp) -> None:
    """The keys here, and the words that stand on the screen."""
    seen = "\n".join(line for name in WORDED for line in app.pane_text(name))
    app.push_screen(HelpScreen(app.session.state.location.kind, app.tones, app.actions, seen))


def suspend(app: ExplorerApp) -> None:
    """Give the terminal back to the shell until it says fg."""
    if app.driver is None or not app.driver.can_suspend:
        return
    if can_stop():
        with app.suspend():  # the terminal is restored before whoever started this stops too, and the shell takes it
            os.killpg(os.getpgrp(), signal.SIGTSTP)
    else:
        app.say("No shell waits here that could bring txexplain back after ctrl+z.")


DEEDS: dict[str, Callable[[ExplorerApp], object]] = {
    "copy": copy,
    "copy_words": lambda app: copy(app, "describe"),
    "theme": theme,
    "picture": picture,
    "screenshot": screenshot,
    "play": play,
    "suspend": suspend,
    "repaint": lambda app: app.repaint(),
    "help": help_,
    "quit": lambda app: app.exit(),
}
