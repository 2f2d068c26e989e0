"""The app for a room of browsers."""

from __future__ import annotations

import os
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click

from txexplain.cli.flags import CLASS_KEY
from txexplain.errors import ExplainError
from txexplain.models import named


def serve(
    host: str, port: int, model: str | None, lesson: str | None, sessions: int, per_address: int | None, idle: float, user: str | None,
    names: tuple[str, ...], key: str | None, follow: str | None, lead: bool, record: Path | None, leader: int | None,
) -> None:  # fmt: skip
    if find_spec("aiohttp") is None or find_spec("segno") is None:
        raise ExplainError("A class needs the extra `serve`: pip install 'txexplain[serve]'.")
    if sys.platform != "linux":
        raise ExplainError("A class is served from Linux: its guests are forks of one process, each on a pseudo-terminal.")
    if record is not None and not lead:
        raise click.UsageError("--record keeps the answers that the leading screen counts: give --lead with it.")
    if follow is not None and (key is None or lead):
        raise click.UsageError("--follow takes the place of --lead, and the --key that the leading machine was given.")
    if lead:
        given = {"--host": host, "--port": port, "--model": model, "--lesson": lesson, "--sessions": sessions, "--idle": idle}
        given |= {"--per-address": per_address, "--user": user}
        flags = [word for name in names for word in ("--name", name)]
        flags += [word for flag, value in given.items() if value is not None for word in (flag, str(value))]
        if key is not None:
            os.environ[CLASS_KEY] = key  # not among the server's flags, which others on this machine may read
        lead_class(flags, named(model), lesson, record)
    from txexplain.serve.limits import Limits
    from txexplain.serve.run import Plan, run

    limits = Limits(sessions=sessions, of_one=per_address or sessions, idle=idle)
    run(Plan(host, port, named(model), lesson, limits, user, names, key, follow, leader), tell)


def tell(link: str) -> None:
    """The link, and on a terminal its picture."""
    click.echo(link)
    if sys.stdout.isatty():
        from txexplain.serve.run import qr

        click.echo(f"{qr(link)}\nCtrl-C ends the class.")


def lead_class(flags: list[str], model: str, lesson: str | None, record: Path | None) -> None:
    """The server beside this terminal, and here the app that leads."""
    from txexplain.cli.output import writable
    from txexplain.cli.start import check_terminal, let_go, on_terminal, wished
    from txexplain.explorer.lesson import load
    from txexplain.explorer.reading import Reads
    from txexplain.explorer.state import ExplorerState
    from txexplain.front.options import UiOptions
    from txexplain.serve.lead import LeaderApp, Served
    from txexplain.serve.run import qr

    check_terminal(None)
    path = None if record is None else writable(record)
    reads = Reads(load(lesson), model=model) if lesson is not None else None
    server = Served(flags)
    try:
        click.echo(f"{server.link}\n{qr(server.link)}")
        click.prompt("Enter begins", default="", prompt_suffix=" ", show_default=False)
        made_by = partial(LeaderApp, server.channel, path)
        code = on_terminal(None, ExplorerState(model=model), wished(UiOptions()), None, reads, made_by=made_by)
    finally:
        server.close()
    let_go()
    sys.exit(code)
