"""One lecturer, several machines: a house that follows another's lecturer, and tells it what its own guests answer.

The machines share a key, which guests don't know. The code in the link follows from it, so that one link fits all of them behind a
proxy; and with what else follows from it a house shows that it is one of them. Between them go the lecturer's place one way and the
counts of answers the other, over a WebSocket: what they know else stays theirs.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import WSMsgType, web

from txexplain.bounded import load_json
from txexplain.errors import ExplainError
from txexplain.serve.house import House
from txexplain.serve.wire import Message

PATH = "/lead"
LEAST_KEY = 8  # characters: whoever knows the link may try keys on a machine of their own
CODE = 6  # bytes of the link's code
AGAIN = 2.0  # seconds until a house that isn't reached is asked again
LONGEST = 1 << 20  # bytes of a message
MOST_VALUES = 100_000


class RelayError(ExplainError):
    """A house can't follow another one."""


def follows_from(key: str, what: str) -> bytes:
    """32 bytes that only those who know the key can tell (scrypt, RFC 7914). Raises RelayError for a key that is soon guessed."""
    if len(key) < LEAST_KEY:
        raise RelayError(f"--key has {len(key)} characters, and at least {LEAST_KEY} are needed: guests could guess it.")
    return hashlib.scrypt(key.encode("utf-8", "replace"), salt=f"txexplain {what}".encode(), n=1 << 14, r=8, p=1, dklen=32)


def code_of(key: str) -> str:
    """What the link holds."""
    return base64.urlsafe_b64encode(follows_from(key, "code")[:CODE]).decode()


def pass_of(key: str) -> str:
    """What a house says to be let in."""
    return f"Bearer {follows_from(key, 'house').hex()}"


def address_of(link: str) -> str:
    """Where the house of a link tells its lecturer's place. Raises RelayError."""
    with suppress(ValueError):
        parts = urlsplit(link)
        if parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port):
            return f"{parts.scheme}://{parts.netloc}{PATH}"
    raise RelayError(f"{link} is no link to a class: give that of the leading machine, as http://one:8000.")


# The house that leads


async def lead(socket: web.WebSocketResponse, house: House) -> None:
    """Tell another house where the lecturer is, whenever that changes, and take what its guests answered, until it leaves."""
    moved = asyncio.Event()
    moved.set()

    async def tell() -> None:
        while True:
            await moved.wait()
            moved.clear()
            if house.place is not None:
                await socket.send_str(json.dumps(house.place))

    house.followers.add(moved)
    telling = asyncio.create_task(tell())
    try:
        async for message in socket:
            if message.type is not WSMsgType.TEXT or (told := counts_of(message.data)) is None:
                return
            house.told_by(*told)
    finally:
        house.followers.discard(moved)
        telling.cancel()


def counts_of(text: str) -> tuple[str, list[Message]] | None:
    """A house's name for itself and what its guests answered, as it says them; None where it says neither."""
    with suppress(TypeError, ValueError, KeyError, AttributeError, RecursionError):
        told: Any = load_json(text.encode("utf-8", "replace"), MOST_VALUES)
        counts = [
            {"lesson": str(each["lesson"]), "page": int(each["page"]), "answers": {str(int(n)): int(m) for n, m in each["answers"].items()}}
            for each in told["all"]
        ]
        return str(told["house"])[:64], counts
    return None


# The house that follows


async def follow(house: House, link: str, key: str, tell: Callable[[str], None]) -> None:
    """Lead this house's guests as another house's are led, for good; `tell` is given a sentence where that isn't reached."""
    address, words, told = address_of(link), pass_of(key), ""
    own, counted = secrets.token_hex(8), asyncio.Event()
    house.report = lambda message: counted.set()
    while True:
        sentence = f"{link} has ended, or the network between: its place is asked for again, and guests stay where they are."
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_connect=10.0)) as session,
                session.ws_connect(address, headers={"Authorization": words}, heartbeat=30.0, max_msg_size=LONGEST) as socket,
            ):
                counted.set()  # what was counted while nobody listened
                answering = asyncio.create_task(answer(socket, house, own, counted))
                try:
                    told = ""
                    async for message in socket:
                        if message.type is WSMsgType.TEXT:
                            with suppress(ValueError, RecursionError):
                                house.lead(load_json(message.data.encode("utf-8", "replace"), MOST_VALUES))
                finally:
                    answering.cancel()
        except aiohttp.WSServerHandshakeError as error:
            refused = {403: "has another --key", 404: "is no class of this program's version", 421: "has another name: give it --name"}
            sentence = f"{link} can't be followed: it {refused.get(error.status, f'answers {error.status}')}."
        except aiohttp.ClientConnectionError:
            sentence = f"{link} can't be followed: nobody answers there. It is asked again."
        except (aiohttp.ClientError, OSError, ValueError) as error:
            sentence = f"{link} can't be followed: {error}."
        if sentence != told:
            tell(sentence)
            told = sentence
        await asyncio.sleep(AGAIN)


async def answer(socket: aiohttp.ClientWebSocketResponse, house: House, own: str, counted: asyncio.Event) -> None:
    """Say what was answered here, whenever that changes."""
    while True:
        await counted.wait()
        counted.clear()
        await socket.send_str(json.dumps({"house": own, "all": house.ballot.to_dict()}))
