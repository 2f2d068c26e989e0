"""Two machines, one lecturer: the guests of both follow, their answers are counted together, and nobody else is told anything."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.covering import few
from tests.serve.room import Class, page, served
from txexplain.cli import cli
from txexplain.serve import relay
from txexplain.serve.follow import together

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="guests are forks, on Linux")
KEY = "a word that only we know"


@contextmanager
def two() -> Iterator[tuple[Class, Class, socket.socket]]:
    """The leading machine, the one that follows it, and the lecturer's end of the channel."""
    ours, theirs = socket.socketpair()
    with ours, theirs, served("--lesson", "attention", "--key", KEY, "--leader", str(theirs.fileno()), handles=[theirs.fileno()]) as one:
        theirs.close()
        with served("--lesson", "attention", "--key", KEY, "--follow", one.origin) as other:
            yield one, other, ours


def goes(channel: socket.socket, at: str, lesson: str = "", number: int = 0) -> None:
    channel.sendall(json.dumps({"at": at, "lesson": lesson, "page": number}).encode() + b"\n")


@pytest.mark.long
def test_guests_of_another_machine_follow_and_answer() -> None:
    async def go(one: Class, other: Class, lecturer: socket.socket) -> None:
        assert one.code == other.code == relay.code_of(KEY)  # one link fits both
        goes(lecturer, "at=model", "attention", 5)
        async with page(one) as here, page(other) as there:
            for each, key in ((here, "2"), (there, "3")):
                await each.shows("5/12")
                await each.press(key)
            lecturer.settimeout(30)
            told = b""
            while b'{"2": 1, "3": 1}' not in told:
                told += lecturer.recv(1 << 16)
            goes(lecturer, "at=L2H1&prompt=The+queen+was")
            for each in (here, there):
                await each.shows("queen")

    with two() as (one, other, lecturer):
        asyncio.run(go(one, other, lecturer))


def test_who_has_not_the_key_is_told_nothing_and_is_not_counted() -> None:
    async def go(room: Class, lecturer: socket.socket) -> None:
        address = f"{room.origin}{relay.PATH}?c={room.code}"
        async with aiohttp.ClientSession() as session:
            for words in ("", "Bearer ", relay.pass_of("another word"), f"Bearer {room.code}", "Bearer é"):
                with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                    await session.ws_connect(address, headers={"Authorization": words})
            for forged in ("", "[]", "{}", '{"house": "x"}', '{"house": "x", "all": [{"lesson": "a"}]}', "[" * 10_000):
                async with session.ws_connect(address, headers={"Authorization": relay.pass_of(KEY)}) as asked:
                    assert await asked.receive_json() == {"at": "at=model", "lesson": "", "page": 0}
                    await asked.send_str(forged)
                    assert (await asked.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    ours, theirs = socket.socketpair()
    with ours, theirs, served("--key", KEY, "--leader", str(theirs.fileno()), handles=[theirs.fileno()]) as room:
        goes(ours, "at=model")
        asyncio.run(go(room, ours))
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)


@pytest.mark.long
def test_without_a_key_no_machine_is_told_anything() -> None:
    async def go(room: Class) -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await session.ws_connect(f"{room.origin}{relay.PATH}", headers={"Authorization": relay.pass_of(KEY)})

    with served() as room:
        asyncio.run(go(room))


@pytest.mark.long
@pytest.mark.parametrize(
    ("link", "words"),
    few(
        [("http://127.0.0.1:9", "can't be followed: nobody answers there"), ("ONE?c=x", "can't be followed: it has another --key")],
        lambda link, _: link != "ONE?c=x",
    ),
)
def test_a_class_that_cannot_be_followed_says_why_and_goes_on(link: str, words: str) -> None:
    async def go(room: Class) -> None:
        async with page(room) as one:
            await one.shows("Next token")

    with served("--key", "another word") as leading, served("--key", KEY, "--follow", link.replace("ONE", leading.origin)) as room:
        asyncio.run(go(room))
        assert room.process.stdout is not None
        assert re.search(words, room.process.stdout.readline())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--follow", "http://one:8000"], "--follow takes the place of --lead, and the --key that the leading machine was given."),
        (["--follow", "http://one:8000", "--key", KEY, "--lead"], "--follow takes the place of --lead"),
        (["--key", "short"], "--key has 5 characters, and at least 8 are needed: guests could guess it."),
        (["--follow", "one:8000", "--key", KEY], "one:8000 is no link to a class"),
        (["--follow", "http://one:x", "--key", KEY], "http://one:x is no link to a class"),
    ],
)
def test_what_cannot_be_followed_is_one_sentence(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["serve", "--port", "0", *flags])
    assert words in capsys.readouterr().err


def test_the_key_is_in_neither_the_link_nor_what_houses_say() -> None:
    assert relay.code_of(KEY) not in relay.pass_of(KEY)
    assert len({relay.code_of(KEY), relay.code_of(KEY + " "), relay.code_of("A" + KEY[1:])}) == 3


def test_the_answers_of_houses_are_added_up() -> None:
    one = [{"lesson": "a", "page": 2, "answers": {"1": 3, "2": 1}}, {"lesson": "a", "page": 1, "answers": {"4": 1}}]
    other = [{"lesson": "a", "page": 2, "answers": {"2": 5, "10": 1}}, {"lesson": "b", "page": 1, "answers": {"1": 1}}]
    assert together([one, other]) == [
        {"lesson": "a", "page": 1, "answers": {"4": 1}},
        {"lesson": "a", "page": 2, "answers": {"1": 3, "2": 6, "10": 1}},
        {"lesson": "b", "page": 1, "answers": {"1": 1}},
    ]
    assert together([]) == []
