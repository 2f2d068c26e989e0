"""Lead and follow: the lecturer's place reaches those who follow, and their answers come back, counted."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.serve.room import Class, page, served
from txexplain.serve import lead
from txexplain.serve.follow import Ballot, is_place
from txexplain.serve.wire import Lines, Message, Outbox

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="guests are forks, on Linux")


def test_of_what_a_full_channel_does_not_take_the_newest_arrives() -> None:
    """Places came half to a guest that computed, which ended it, or not at all."""

    async def go() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            outbox, lines, got = Outbox(ours, asyncio.get_running_loop()), Lines(), list[Message]()
            places = [{"lead": {"at": f"{number}" * 5000}} for number in range(100)]
            for number, place in enumerate(places):
                outbox.put(place)
                if number == 50:
                    outbox.put({"repaint": True})
            async with asyncio.timeout(60):
                while places[-1] not in got or {"repaint": True} not in got:
                    theirs.setblocking(False)
                    with suppress(BlockingIOError):
                        got += lines.feed(theirs.recv(1 << 16))
                    await asyncio.sleep(0)
            told = [each for each in got if "lead" in each]
            assert len(told) < len(places)
            assert told == sorted(told, key=places.index)
            theirs.close()
            outbox.put(places[0])
            ours.close()
            outbox.put(places[0])

    asyncio.run(go())


@contextmanager
def led() -> Iterator[tuple[Class, socket.socket]]:
    """A class, and the lecturer's end of the channel."""
    ours, theirs = socket.socketpair()
    with ours, theirs, served("--lesson", "attention", "--leader", str(theirs.fileno()), handles=[theirs.fileno()]) as room:
        theirs.close()
        yield room, ours


def goes(channel: socket.socket, at: str, lesson: str = "", number: int = 0) -> None:
    channel.sendall(json.dumps({"at": at, "lesson": lesson, "page": number}).encode() + b"\n")


def test_guests_follow_let_go_and_return() -> None:
    async def go(room: Class, lecturer: socket.socket) -> None:
        goes(lecturer, "at=L3H5&prompt=The+king+was")
        async with page(room) as one, page(room) as other:  # who come late land where the class is
            for each in (one, other):
                await each.shows("king")
                await each.until(lambda each=each: "at=L3H5" in each.told.get("at", ""))
            await one.press("]")
            await one.shows("on your own")
            goes(lecturer, "at=L2H1&prompt=The+queen+was&temperature=0.5&ablate=L1H2")
            await other.shows("queen")
            await other.until(lambda: all(part in other.told["at"] for part in ("at=L2H1", "temperature=0.5", "ablate=L1H2")))
            assert "queen" not in one.text
            await one.press("F")
            await one.shows("queen")
            goes(lecturer, "at=model", "attention", 5)
            await one.shows("5/12")
            await other.shows("5/12")

    with led() as (room, lecturer):
        asyncio.run(go(room, lecturer))


def test_answers_are_counted_without_names() -> None:
    async def go(room: Class, lecturer: socket.socket) -> None:
        goes(lecturer, "at=model", "attention", 5)
        async with page(room) as one, page(room) as other:
            for each, key in ((one, "2"), (other, "3")):
                await each.shows("5/12")
                await each.press(key)
                await each.press("1")  # the first one counts
            lecturer.settimeout(30)
            told = b""
            while b'{"2": 1, "3": 1}' not in told:
                told += lecturer.recv(1 << 16)
            last = json.loads(told.splitlines()[-1])
            assert last == {"all": [{"lesson": "attention", "page": 5, "answers": {"2": 1, "3": 1}}]}

    with led() as (room, lecturer):
        asyncio.run(go(room, lecturer))


def test_the_lecturers_end_ends_the_class() -> None:
    async def go(room: Class, lecturer: socket.socket) -> None:
        async with page(room) as one:
            await one.until(lambda: "key" in one.told)
            lecturer.close()
            await one.until(lambda: "over" in one.told)
        assert room.process.wait(20) == 0

    with led() as (room, lecturer):
        asyncio.run(go(room, lecturer))


def test_a_ballot_counts_each_guest_once() -> None:
    ballot = Ballot()
    for guest, answer in ((1, 2), (2, 2), (3, 1), (1, 1)):
        ballot.put(guest, "a", 3, answer)
    assert ballot.counts("a", 3) == {2: 2, 1: 1}
    assert ballot.counts("a", 4) == {}


@pytest.mark.parametrize("message", [None, [], {}, {"at": "x"}, {"at": 1, "lesson": "", "page": 0}, {"at": "", "lesson": None, "page": 1}])
def test_what_names_no_place_is_none(message: object) -> None:
    assert not is_place(message)


@pytest.mark.long
def test_a_terminal_leads(tmp_path: Path) -> None:
    """The command itself, in a terminal: the link, Enter, the app; V shows the answers, and they are kept."""
    command = [sys.executable, "-m", "txexplain", "serve", "--port", "0", "--lead", "--lesson", "attention", "--record", "class.json"]
    screen = pyte.Screen(120, 36)
    stream = pyte.ByteStream(screen)
    environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(Path.cwd())}
    terminal = pexpect.spawn(command[0], command[1:], dimensions=(36, 120), env=environment, cwd=tmp_path, timeout=60)  # type: ignore[arg-type]
    terminal.expect(r"(http://[^\s]+)")
    link = terminal.match[1].decode()
    terminal.expect("Enter begins")
    terminal.send("\r")

    async def shows(words: str, *, there: bool = True) -> None:
        async with asyncio.timeout(60):
            while (words in "\n".join(screen.display)) != there:
                try:
                    stream.feed(terminal.read_nonblocking(1 << 16, timeout=0))
                except pexpect.TIMEOUT:
                    await asyncio.sleep(0.05)

    async def go(room: Class) -> None:
        await shows("1/12")
        terminal.send("nnnn")
        await shows("5/12")
        async with page(room) as one:
            await one.shows("5/12")
            await one.press("2")
            await one.shows("1-3 reasons")
            terminal.send("V")
            await shows("1 of 1, 100%")
            terminal.send("\x1b")
            await shows("1 of 1", there=False)
            terminal.send("q")
            await one.until(lambda: "over" in one.told)

    asyncio.run(go(Class(None, link)))  # type: ignore[arg-type]
    terminal.expect(pexpect.EOF)
    kept = json.loads((tmp_path / "class.json").read_text())
    assert re.fullmatch(r"txexplain-class/\d+", kept["schema"])
    assert kept["answers"] == [{"lesson": "attention", "page": 5, "answers": {"2": 1}}]


def test_what_the_server_says_of_crashes_holds_no_class_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as a pipe doesn't hold; a guest's crash is some ten kilobytes."""
    server = tmp_path / "server"
    server.write_text("#!/bin/sh\necho http://127.0.0.1:1/\nhead -c 1000000 /dev/zero >&2\nexit 7\n")
    server.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(server))
    server_beside = lead.Served([])
    assert server_beside.process.wait(30) == 7
    server_beside.close()


@pytest.mark.long
def test_a_lecturer_may_stand_in_anybodys_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is no part of the program, whatever it is called; but a lesson of that folder is found by its name."""
    for name in ("aiohttp", "click", "json", "txexplain", "numpy"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\nraise SystemExit(9)\n")
    (tmp_path / "mine.md").write_text('# Mine\n\n+++\ntitle = "One"\nprompt = "a b c"\n+++\nText.\n')
    monkeypatch.chdir(tmp_path)
    server = lead.Served(["--port", "0", "--lesson", "mine.md"])
    server.close()
    assert server.link.startswith("http://")
    assert not (tmp_path / "ran").exists()
