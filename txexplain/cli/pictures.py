"""The app's screen without the app: render, poster, describe, explain."""

from __future__ import annotations

from pathlib import Path

import click

from txexplain.cli.asked import Changes, Sampling, Source
from txexplain.cli.output import print_json, writable, write_picture
from txexplain.cli.views import Opened, View, first_state, first_view
from txexplain.front.render import describe_document, describe_screen, explain_screen, render_poster, render_screen
from txexplain.text import clean


def render(
    source: Source, changes: Changes, sampling: Sampling, view: View, opened: Opened, size: tuple[int, int], explained: bool, path: Path
) -> None:
    kind = path.suffix.lower()
    if kind not in (".svg", ".txt"):
        raise click.UsageError(f"The screen is written as .svg or .txt; {path.name} is neither.")
    path = writable(path)
    state = first_view(source, sampling, view, opened, changes)
    side = "explain" if explained else ""
    may_fetch, fmt = opened.may_fetch(source), kind.removeprefix(".")
    write_picture(path, render_screen(state, view.options(), *size, fmt, side, opened.lesson, opened.page, may_fetch=may_fetch))


def describe(source: Source, changes: Changes, sampling: Sampling, view: View, opened: Opened, as_json: bool) -> None:
    state = first_view(source, sampling, view, opened, changes)
    asked, may_fetch = (state, view.options(), opened.lesson, opened.page), opened.may_fetch(source)
    if as_json:
        print_json("describe", describe_document(*asked, may_fetch=may_fetch))
    else:
        click.echo(clean(describe_screen(*asked, may_fetch=may_fetch)), nl=False)


def poster(source: Source, sampling: Sampling, flow: str, theme: str, path: Path) -> None:
    source.required_text()
    if path.suffix.lower() != ".svg":
        raise click.UsageError(f"A poster is written as .svg; {path.name} is none.")
    path = writable(path)
    state = first_state(source, sampling, View(None, 0, flow, theme, False, "truecolor"))
    write_picture(path, render_poster(state, theme))


def explain(source: Source, changes: Changes, sampling: Sampling, view: View) -> None:
    click.echo(clean(explain_screen(first_state(source, sampling, view, changes), view.options())), nl=False)
