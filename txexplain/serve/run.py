"""From a command line to a class: the house is opened, the door, and the link is told."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from txexplain.errors import ExplainError, reason
from txexplain.serve import relay
from txexplain.serve.host import is_loopback, is_served, public_host
from txexplain.serve.house import House
from txexplain.serve.limits import Limits
from txexplain.serve.web import Class
from txexplain.serve.wire import Lines, Outbox
from txexplain.text import clean

CODE = 6  # random bytes of the link's code
OTHERS = 100  # handles that are no guest's
KEPT = 10.0  # seconds that a connection may stand idle


class ServeError(ExplainError):
    """The class can't be served as it was asked."""


@dataclass(frozen=True)
class Plan:
    """What the lecturer asked for."""

    host: str
    port: int
    model: str
    lesson: str | None
    limits: Limits
    user: str | None = None
    names: tuple[str, ...] = ()  # of this machine, or of a proxy before it
    key: str | None = None  # what the machines of a class share
    follow: str | None = None  # the link of the one that leads
    leader: int | None = None  # the handle of a channel to the lecturer's app


def link_of(plan: Plan, port: int, code: str) -> str:
    """The address to give to the class: where it listens everywhere, the one under which others see this machine."""
    host = public_host(plan.host)
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{port}/" + (f"?c={code}" if code else "")


def step_down(user: str) -> None:
    """From root to another user, for good. Raises ServeError."""
    import pwd

    try:
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    except KeyError:
        raise ServeError(f"There is no user {user} on this machine.") from None
    except PermissionError:
        raise ServeError("Only root can serve as another user: leave --user out.") from None
    os.environ["HOME"] = entry.pw_dir


async def serve(plan: Plan, tell: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `tell` is given the link once guests can come. Raises ServeError or HouseError."""
    code = code_for(plan)
    if plan.follow is not None:
        relay.address_of(plan.follow)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(let_pass)
    may_open(plan.limits)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        door = socket.create_server((plan.host, plan.port), family=family_of(plan.host), backlog=1024)
    except OSError as error:
        raise ServeError(f"{plan.host} port {plan.port} can't be served on: {reason(error)}. Give another --host or --port.") from None
    with door:
        if plan.user is not None:
            step_down(plan.user)
        house = House(plan.model, plan.lesson)
        opening = asyncio.create_task(house.open())
        await asyncio.wait([opening, asyncio.create_task(ended.wait())], return_when=asyncio.FIRST_COMPLETED)
        if ended.is_set():
            opening.cancel()
            house.close()
            return
        await opening
        room = Class(house, plan.limits, code, lambda asked: is_served(asked, plan.host, plan.names), plan.key)
        runner = web.AppRunner(room.application(), access_log=None, handle_signals=False, keepalive_timeout=KEPT)
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # it tells each malformed request whole, whoever sent it
        await runner.setup()
        asides: list[asyncio.Task[None]] = []
        try:
            await web.SockSite(runner, door, shutdown_timeout=2.0).start()
            asides.append(asyncio.create_task(room.usher(lambda: runner.server.connections if runner.server else [])))
            if plan.leader is not None:
                listen(house, plan.leader, ended)
            if plan.follow is not None and plan.key is not None:
                asides.append(asyncio.create_task(relay.follow(house, plan.follow, plan.key, warn)))
            tell(link_of(plan, door.getsockname()[1], code))
            await asyncio.wait(
                [asyncio.create_task(ended.wait()), asyncio.create_task(house.failed.wait())], return_when=asyncio.FIRST_COMPLETED
            )
            if not ended.is_set():
                raise ServeError("The model's process has ended, so the class is over. Start it again.")
        finally:
            for aside in asides:
                aside.cancel()
            house.close()
            await runner.cleanup()


def code_for(plan: Plan) -> str:
    """What the link must hold, so that not everybody who reaches this machine comes in."""
    if plan.key is not None:
        return relay.code_of(plan.key)
    return "" if is_loopback(plan.host) else secrets.token_urlsafe(CODE)


def warn(sentence: str) -> None:
    sys.stderr.write(f"txexplain: {clean(sentence)}\n")


def let_pass(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The system's refusals, as where more connections stand at the door than it opens, write nothing to the lecturer's terminal."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


def may_open(limits: Limits) -> None:
    """Let this process have as many connections and terminals open as its limits let stand and sit here, if it may."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.crowd + 3 * limits.sessions + OTHERS
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def listen(house: House, leader: int, ended: asyncio.Event) -> None:
    """Take the lecturer's places from a channel, and give it the answers; its end is the class's."""
    channel, lines = socket.socket(fileno=leader), Lines()
    channel.setblocking(False)

    def heard() -> None:
        try:
            data = channel.recv(1 << 16)
            for message in lines.feed(data):
                house.lead(message)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            data = b""
        if not data:
            house.loop.remove_reader(channel)
            ended.set()

    house.report = Outbox(channel, house.loop).put
    house.loop.add_reader(channel, heard)


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def qr(link: str) -> str:
    """The link as a picture that a phone reads, in half blocks."""
    import io

    import segno

    out = io.StringIO()
    segno.make(link, error="l").terminal(out=out, compact=True)
    return out.getvalue()


def run(plan: Plan, tell: Callable[[str], None]) -> None:
    """Serve to the end; `tell` is given the link."""
    asyncio.run(serve(plan, tell))
