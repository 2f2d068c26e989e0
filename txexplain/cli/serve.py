"""The app for a room of browsers."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import click

from txexplain.errors import ExplainError
from txexplain.models import named


def serve(
    host: str, port: int, model: str | None, lesson: str | None, sessions: int, per_address: int | None, idle: float, user: str | None
) -> None:
    if find_spec("aiohttp") is None or find_spec("segno") is None:
        raise ExplainError("A class needs the extra `serve`: pip install 'txexplain[serve]'.")
    if sys.platform != "linux":
        raise ExplainError("A class is served from Linux: its guests are forks of one process, each on a pseudo-terminal.")
    from txexplain.serve.limits import Limits
    from txexplain.serve.run import Plan, qr, run

    def tell(link: str) -> None:
        click.echo(link)
        if sys.stdout.isatty():
            click.echo(f"{qr(link)}\nCtrl-C ends the class.")

    run(Plan(host, port, named(model), lesson, Limits(sessions=sessions, of_one=per_address or sessions, idle=idle), user), tell)
