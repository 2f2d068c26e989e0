"""The app, from a command line to its first screen; and its keys, told without it."""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click

from txexplain.cli.asked import Changes, Sampling, Source, was_given
from txexplain.cli.flags import AUTO
from txexplain.cli.output import print_json, print_table, writable
from txexplain.cli.streams import brings_keys, is_terminal, other_screen, unicode_out
from txexplain.cli.views import Opened, View, Wishes, first_state, first_view
from txexplain.engine.derive import Result
from txexplain.explorer.location import Dims, check
from txexplain.explorer.reading import Reads
from txexplain.explorer.runs import require_named
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import ACTIONS, key_name, rebound
from txexplain.front.config import config_path, read_config
from txexplain.front.options import UiOptions
from txexplain.front.progress import Progress, read_progress
from txexplain.front.render import open_trace
from txexplain.text import clean
from txexplain.ui.terminal.asking import asking_of
from txexplain.ui.terminal.rescue import guard

NONE = Wishes()


def app(
    source: Source, changes: Changes, sampling: Sampling, view: View, opened: Opened,
    lecture: bool, pace: float | None, clock: bool, target: float | None, record: Path | None, wishes: Wishes,
) -> None:  # fmt: skip
    for flag, given in (("--lecture", lecture), ("--pace", pace), ("--clock", clock), ("--target", target), ("--record", record)):
        if given and opened.name is None:
            raise click.UsageError(f"{flag} is a lesson's: give --lesson NAME with it.")
    if pace is not None and math.isnan(pace):  # which is in every range
        raise click.UsageError("--pace is a number of seconds; nan is none.")
    check_terminal(source.file)
    state, lesson = first_view(source, sampling, view, opened, changes), opened.lesson
    pace = Reads.pace if pace is None else pace
    kept = Progress() if lecture else read_progress()
    kept_in = None if record is None else writable(record)
    reads = Reads(
        lesson, opened.page, lecture, pace, clock or target is not None, kept_in, source.model, opened.fetch, keeps=not lecture,
        bookmarks=kept.bookmarks, last=kept.last, target=target or 0.0, welcome=bare() and not kept.bookmarks,
    )  # fmt: skip
    start(source, state, view, reads, wishes)


def bare() -> bool:
    """Whether nothing was asked for: neither a prompt nor a flag."""
    return not any(was_given(str(each.name)) for each in click.get_current_context().command.params)


def recorded(trace: str, sampling: Sampling, view: View, wishes: Wishes) -> None:
    check_terminal(None, "use txexplain describe, explain or render.")
    source = Source.recorded(trace)
    start(source, first_state(source, sampling, view), view, None, wishes)


def start(source: Source, state: ExplorerState, view: View, reads: Reads | None, wishes: Wishes) -> NoReturn:
    """The app, from its first state on. What is wrong with the trace or the place is said before the screen is taken."""
    result = None
    if state.trace is not None:
        result = open_trace(state)
    elif view.at is not None or state.edits or state.answer is not None or state.against is not None:
        require_place(source, state)
    options = wished(view.options(), wishes)
    code = elsewhere(state, options, result, reads) if other_screen() else on_terminal(source.file, state, options, result, reads)
    let_go()
    sys.exit(code)


def let_go() -> None:
    """Write what is left; where nobody reads any more, as after a hang-up, forget it, or Python would end with a code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def wished(options: UiOptions, wishes: Wishes = NONE) -> UiOptions:
    """How the reader wants the screen: by flags, or else by the config file."""
    config = read_config()
    theme, glyphs = options.theme or config.theme, options.glyphs or config.glyphs
    return replace(
        options, theme=None if theme == AUTO else theme, keys=config.keys, cursor=wishes.cursor or config.cursor, glyphs=glyphs,
        ascii=options.ascii or glyphs == "ascii", picture=wishes.picture or config.picture,
    )  # fmt: skip


def elsewhere(state: ExplorerState, options: UiOptions, result: Result | None, reads: Reads | None) -> int:
    """The app where Textual is told to show it; the exit code. Raises UsageError."""
    if not brings_keys():
        raise click.UsageError("Under TEXTUAL_DRIVER standard input brings the keys, and this one can't; start without that variable.")
    from txexplain.ui.app import run_app

    return run_app(state, options, result, reads)


def on_terminal(file: str | None, state: ExplorerState, options: UiOptions, result: Result | None, reads: Reads | None, **more: Any) -> int:
    """The app on this terminal, which is asked what it can show, and is as it was after whatever end; the exit code.

    more: what else run_app is to know.
    """
    if not is_terminal(sys.__stderr__):
        sys.__stderr__ = sys.__stdout__  # type: ignore[misc]  # what Textual draws on
    if not unicode_out(sys.__stderr__):  # what it can't encode would come as \u2500
        options = replace(options, ascii=True)
    take_keyboard(file)
    goodbye, asking = guard(), asking_of(options)
    try:
        if asking is not None:
            asking.begin()
        from txexplain.ui.app import run_app  # Textual is loaded while the terminal answers

        code = run_app(state, options, result, reads, asking, **more)
    finally:
        if asking is not None:
            asking.close()
        goodbye()
    return code


def require_place(source: Source, state: ExplorerState) -> None:
    """Raise ExplainError, before the screen is taken, for a first place, change or token that this model or prompt lacks."""
    model = source.load()
    ids = model.checked(source.token_ids(model, state.prompt))
    require_named(state, model, len(ids))
    check(state.location, Dims.of(model.config, len(ids), model.name))


def check_terminal(file: str | None, instead: str = "to read the prompt from a pipe give --file -") -> None:
    """Raises UsageError where the app has no keyboard or no screen."""
    if other_screen():
        if file == "-":
            raise click.UsageError("Under TEXTUAL_DRIVER standard input brings the keys; give the prompt as --file PATH.")
        return
    if not is_terminal(sys.stdin) and file != "-":
        raise click.UsageError(f"Standard input is not a terminal, so the app has no keyboard; {instead}")
    if not is_terminal(sys.stdout):
        raise click.UsageError("Standard output is not a terminal, so the app has no screen; use txexplain predict, describe or render.")
    if os.environ.get("TERM") == "dumb":
        raise click.UsageError("This terminal can't place text (TERM=dumb); use txexplain describe, predict or render.")


def take_keyboard(file: str | None) -> None:
    """After a prompt from a pipe, read keys from the terminal itself. Raises UsageError."""
    if file != "-" or is_terminal(sys.stdin):
        return
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        raise click.UsageError("There is no terminal to read keys from; give the prompt as --file PATH, or use predict.") from None
    os.dup2(terminal, 0)
    os.close(terminal)


def keys(as_json: bool) -> None:
    actions = rebound(ACTIONS, read_config().keys)
    if as_json:
        print_json("keys", {"actions": [{"id": action.id, "keys": list(action.keys), "help": action.help} for action in actions]})
        return
    ascii = not unicode_out()
    rows = [(action.id, " ".join(key_name(key, ascii=ascii) for key in action.keys) or "none", action.help) for action in actions]
    print_table(("action", "keys", "what"), rows)
    with suppress(FileNotFoundError):  # this user has no home
        path = config_path()
        click.echo(f"\n{clean(str(path))} {'changes them' if path.exists() else 'may change them; it is not there yet'}.")
