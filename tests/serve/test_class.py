"""A class as it is: a server, its warmed parent, and guests at pages."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from tests.covering import few
from tests.serve.room import Class, Page, page, served
from txexplain.serve import house, web
from txexplain.serve.host import is_served
from txexplain.serve.limits import SPARE, Limits
from txexplain.serve.run import Plan, ServeError, may_open, serve

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="guests are forks, on Linux")


@pytest.fixture(scope="module")
def room() -> Iterator[Class]:
    with served("--sessions", "100") as found:
        yield found


def test_a_guest_sees_the_app_and_its_keys_act(room: Class) -> None:
    async def go() -> None:
        async with page(room, "at=L3H5") as one:
            await one.shows("L3H5 · softmax")
            await one.press("\x1b")
            await one.until(lambda: one.told.get("at", "").startswith("at=L3.attn"))
            await one.press("]")
            await one.until(lambda: "temperature=1.1" in one.told["at"])
            await one.shows("T 1.10")

    asyncio.run(go())


def test_guests_do_not_share_a_view(room: Class) -> None:
    async def go() -> None:
        async with page(room, "at=L3H5") as one, page(room, "prompt=The+king&at=output") as other:
            await one.shows("L3H5 · softmax")
            await other.shows("king")
            await one.press("]]")
            await one.until(lambda: "temperature=1.2" in one.told.get("at", ""))
            assert "temperature" not in other.told.get("at", "")
            assert "upon" not in other.text

    asyncio.run(go())


async def in_the_atlas(one: Page, room: Class) -> int:
    """A guest goes away from where all begin; how many processes there are then."""
    await one.shows("Next token")
    await one.press("a")
    await one.until(lambda: one.told.get("at", "").startswith("at=heads"))
    return len(room.forks())


def test_a_page_that_is_loaded_anew_finds_its_session(room: Class) -> None:
    async def go() -> None:
        async with page(room) as first:
            before = await in_the_atlas(first, room)
        async with page(room, "", key=first.told["key"], size=(120, 36)) as again:
            await again.shows("L5")
            await again.until(lambda: "heads" in again.screen.display[0])
            assert again.told["key"] == first.told["key"]
            assert len(room.forks()) == before
        async with page(room, "", key="another key") as stranger:
            await stranger.shows("Next token")
            assert stranger.told["key"] != first.told["key"]

    asyncio.run(go())


def test_a_page_whose_line_broke_finds_its_session_before_that_is_known(room: Class) -> None:
    async def go() -> None:
        async with page(room) as first:
            before = await in_the_atlas(first, room)
            async with page(room, "", key=first.told["key"]) as again:
                await again.until(lambda: "heads" in again.screen.display[0])
                await first.until(lambda: "another page" in first.told.get("over", ""))
                await first.until(first.closed.is_set)
                await again.press("]")
                await again.shows("T 1.10")
                assert len(room.forks()) == before

    asyncio.run(go())


def test_a_link_that_cannot_be_read_says_so_and_opens(room: Class) -> None:
    async def go() -> None:
        async with page(room, "at=nowhere") as one:
            await one.shows("Next token")
            await one.shows("nowhere")

    asyncio.run(go())


def test_a_resize_reaches_the_app(room: Class) -> None:
    async def go() -> None:
        async with page(room) as one:
            await one.shows("Next token")
            one.screen.resize(24, 80)
            await one.socket.send_str('{"size": [80, 24]}')
            await one.until(lambda: "⏎" in one.screen.display[23])

    asyncio.run(go())


@pytest.mark.parametrize(("key", "words"), [("m", "Not in a class"), ("\x1a", "Not in a class")])
def test_what_reaches_the_machine_is_closed(room: Class, key: str, words: str) -> None:
    async def go() -> None:
        async with page(room) as one:
            await one.shows("Next token")
            await one.press(key)
            await one.shows(words)

    asyncio.run(go())


def test_a_picture_is_kept_by_the_browser_and_the_link_too(room: Class, tmp_path: Path) -> None:
    async def go() -> None:
        async with page(room, "at=L3H5") as one:
            await one.shows("softmax")
            await one.press("\x1b[19~")
            await one.until(lambda: "download" in one.told)
            assert one.told["download"] == "L3H5.svg"
            await one.press("y")
            await one.until(lambda: one.told.get("copy") == "at=L3H5")

    asyncio.run(go())


def test_q_ends_the_session_and_its_process(room: Class) -> None:
    async def go() -> None:
        before = set(room.forks())
        async with page(room) as one:
            await one.shows("Next token")
            (pid,) = set(room.forks()) - before
            await one.press("q")
            await one.until(lambda: "over" in one.told)
            await one.until(one.closed.is_set)
        await gone(pid)

    asyncio.run(go())


def test_a_guest_that_is_killed_says_so_and_the_others_live(room: Class) -> None:
    async def go() -> None:
        async with page(room) as other:
            await other.shows("Next token")
            before = set(room.forks())
            async with page(room) as one:
                await one.shows("Next token")
                (pid,) = set(room.forks()) - before
                os.kill(pid, signal.SIGKILL)
                await one.until(lambda: one.told.get("over") == "This session has ended.")
            await other.press("]")
            await other.shows("T 1.10")

    asyncio.run(go())


def test_when_all_seats_are_taken_a_sentence_says_so() -> None:
    async def go(room: Class) -> None:
        async with page(room) as one, page(room) as two:
            await one.until(lambda: "key" in one.told)
            await two.until(lambda: "refused" in two.told)
            assert "1 seats" in two.told["refused"]

    with served("--sessions", "1") as small:
        asyncio.run(go(small))


@pytest.mark.long
def test_a_page_that_nobody_uses_ends_and_one_that_left_is_forgotten() -> None:
    async def go(room: Class) -> None:
        async with page(room) as one:
            await one.until(lambda: "over" in one.told)
            assert "Nobody pressed a key" in one.told["over"]

    with served("--idle", "2") as short:
        asyncio.run(go(short))


def test_the_parents_end_is_told_to_all() -> None:
    async def go(room: Class) -> None:
        async with page(room) as one:
            await one.shows("Next token")
            os.kill(room.forks()[0], signal.SIGKILL)
            await one.until(lambda: "has ended on the lecturer's machine" in one.told.get("over", ""))
        assert room.process.wait(20) == 2

    with served() as room:
        asyncio.run(go(room))


@pytest.mark.long
def test_a_lesson_opens_on_every_page() -> None:
    async def go(room: Class) -> None:
        async with page(room, size=(120, 36)) as one:
            await one.shows("1/12")
            await one.press("n")
            await one.shows("2/12")
            await one.until(lambda: one.told.get("at", "").startswith("at=L"))

    with served("--lesson", "attention") as room:
        asyncio.run(go(room))


@pytest.mark.parametrize(
    ("flags", "words"),
    few(
        [
            (("--lesson", "nowhere.md"), "nowhere.md"),
            (("--model", "no-such-model"), "no-such-model"),
            (("--host", "203.0.113.7"), "--host"),
        ],
        lambda flags, _: "--lesson" in flags,
    ),
)
def test_what_cannot_be_served_is_one_sentence(flags: tuple[str, ...], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "txexplain", "serve", "--port", "0", *flags], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


# As an attacker would


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1"])
def test_another_sites_page_is_refused(room: Class, origin: str) -> None:
    async def go() -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with page(room, origin=origin):
                pass
        assert refused.value.status == 403

    asyncio.run(go())


async def answers(room: Class, host: str, path: str = "/") -> int:
    """The status for a request that asks for a host by that name; "": by none."""
    port = int(room.origin.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    named = f"Host: {host}\r\n" if host else ""
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    writer.write(f"GET {path} HTTP/1.1\r\n{named}Origin: http://{host}\r\n{upgrade if path == '/ws' else ''}\r\n".encode())
    status = int((await reader.readline()).split()[1])
    writer.close()
    return status


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "localhost.evil.example", "10.0.0.1:{port}", "", "[", "127.0.0.1.evil.example"]
)
def test_a_name_that_was_made_to_lead_here_is_no_class(room: Class, host: str) -> None:
    """A page of evil.example, whose name leads to this machine once it is loaded (DNS rebinding): Host and Origin agree there."""

    async def go() -> None:
        asked = host.format(port=room.origin.rpartition(":")[2])
        assert {await answers(room, asked, path) for path in ("/", "/ws", "/page.js")} <= {400, 403, 421}

    asyncio.run(go())


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "localhost:9000", "[::1]:{port}", "class.localhost", "127.8.9.1", "LOCALHOST."]
)
def test_this_machines_names_are_the_class(room: Class, host: str) -> None:
    async def go() -> None:
        asked = host.format(port=room.origin.rpartition(":")[2])
        assert (await answers(room, asked), await answers(room, asked, "/ws")) == (200, 101)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("asked", "host", "names", "is_it"),
    [
        ("class.example.org", "127.0.0.1", ("class.example.org",), True),
        ("CLASS.example.org.:80", "127.0.0.1", ("class.example.org",), True),
        ("other.example.org", "0.0.0.0", ("class.example.org",), False),
        ("192.0.2.7:8000", "0.0.0.0", (), True),
        ("lab.example.org:8000", "lab.example.org", (), True),
        ("evil.example", "0.0.0.0", (), False),
        ("[2001:db8::1]:8000", "::", (), True),
    ],
)  # fmt: skip
def test_beyond_this_machine_addresses_and_names_that_were_given_are_the_class(
    asked: str, host: str, names: tuple[str, ...], is_it: bool
) -> None:
    assert is_served(asked, host, names) == is_it


@pytest.mark.long
def test_sockets_that_say_nothing_take_no_room() -> None:
    """Neither those that ask for nothing, nor pages that never say how large they are; whoever means to come in does."""

    async def go(room: Class) -> None:
        port = int(room.origin.rpartition(":")[2])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(SPARE + 100)]
        async with asyncio.timeout(60):
            ends = [asyncio.create_task(reader.read(1)) for reader, _ in idle]
            for count, each in enumerate(asyncio.as_completed(ends), 1):
                with suppress(ConnectionError):
                    assert await each == b""
                if count == 90:
                    break
        async with page(room) as one:
            await one.shows("Next token")
        for each in ends:
            each.cancel()
        for _, writer in idle:
            writer.close()

    with served("--sessions", "2") as room:
        asyncio.run(go(room))


def test_beyond_this_machine_the_link_has_a_code() -> None:
    async def go(room: Class) -> None:
        assert len(room.code) >= 8
        async with aiohttp.ClientSession() as session:
            for code, status in (("", 403), ("?c=", 403), ("?c=x", 403), ("?c=%C3%A9", 403), (f"?c={room.code}", 200)):
                assert (await session.get(f"{room.origin}/{code}")).status == status
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(f"{room.origin}/ws", origin=room.origin)
        async with page(room) as one:
            await one.shows("Next token")

    with served("--host", "0.0.0.0") as open_to_all:
        asyncio.run(go(open_to_all))


def test_the_page_says_what_a_browser_may_do_and_no_path_leads_out(room: Class) -> None:
    async def go() -> None:
        async with aiohttp.ClientSession() as session:
            answer = await session.get(room.origin)
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            for path in ("../pyproject.toml", "vendor/../../web.py", "vendor/..%2f..%2fweb.py", "%2fetc/passwd", "page", "vendor/"):
                there = await session.get(aiohttp.client.URL(f"{room.origin}/{path}", encoded=True))
                assert there.status in (400, 404), path

    asyncio.run(go())


@pytest.mark.parametrize(
    "hello",
    ["[]", '"x"', "nonsense", '{"size": 3}', '{"size": [1]}', '{"size": ["a", 2]}', '{"size": [1e999, 2]}', "[" * 20_000],
)
def test_a_forged_first_word_is_no_guest(room: Class, hello: str) -> None:
    async def go() -> None:
        before = len(room.forks())
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{room.origin}/ws", origin=room.origin) as socket:
            await socket.send_str(hello)
            message = await socket.receive(timeout=20)
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert len(room.forks()) == before

    asyncio.run(go())


@pytest.mark.parametrize(
    "more",
    [
        {"query": "x" * 65_480},
        {"query": "é" * 30_000},
        {"query": "\U0001f600" * 15_000},
        {"theme": "é" * 30_000},
        {"query": "\x01" * 8001, "theme": "\x01" * 2000},
    ],
)
def test_a_long_or_odd_first_word_ends_no_class(room: Class, more: dict[str, str]) -> None:
    """What is too long for one message to the warmed parent was cut there, and ended it, and all guests with it."""

    async def go() -> None:
        async with page(room) as other, page(room, hello={"size": (100, 30), **more}) as odd:
            await odd.until(lambda: odd.closed.is_set() or "key" in odd.told)
            await odd.shows("Next token")
            await other.shows("Next token")
            async with page(room) as later:
                await later.shows("Next token")
            await other.press("]")
            await other.shows("T 1.10")

    asyncio.run(go())


FULL = """
import os, socket, sys
from txexplain.serve import zygote
from txexplain.serve.wire import receive_with, send_with

def full():
    raise BlockingIOError(11, "Resource temporarily unavailable")

zygote.opened, zygote.warm, os.fork = (lambda asked: None), (lambda served: None), full
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
send_with(ours, {}, [])
for number in (1, 2):
    send_with(ours, {"guest": number}, os.pipe())
ours.shutdown(socket.SHUT_WR)
zygote.serve_forks(theirs)
print([receive_with(ours, 0)[0] for _ in range(3)])
"""


@pytest.mark.long
def test_a_machine_without_room_for_another_process_keeps_those_that_are_here() -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[{'ready': True}, {'ended': 1, 'code': 1}, {'ended': 2, 'code': 1}]", done.stderr


def test_malformed_requests_write_nothing_to_the_lecturers_terminal() -> None:
    """Nor, with --lead, into a pipe: it was full after one of them, and the class stood still."""
    long = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X" * 8000 + b"\r\n\r\n"
    requests = [b"\x16\x03\x01\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n", *[long] * 20]

    async def go(room: Class) -> None:
        port = int(room.origin.rpartition(":")[2])
        for request in requests:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            async with asyncio.timeout(30):
                assert b" 400 " in await reader.readline()
            writer.close()

    with served() as room:
        asyncio.run(go(room))
        room.process.terminate()
        assert room.process.stdout is not None
        assert room.process.stdout.read() == ""


def test_a_key_of_half_a_character_is_unknown(room: Class) -> None:
    async def go() -> None:
        async with page(room) as one:
            await one.shows("Next token")
            address = f"{room.origin}/ws"
            async with aiohttp.ClientSession() as session, session.ws_connect(address, origin=room.origin) as socket:
                await socket.send_str(r'{"size": [100, 30], "key": "\ud800", "query": "prompt=\ud800", "theme": "\ud800"}')
                message = await socket.receive(timeout=30)
                assert message.type is aiohttp.WSMsgType.TEXT
                assert json.loads(message.data)["key"]

    asyncio.run(go())


def test_giant_frames_and_floods_end_the_one_that_sends_them(room: Class) -> None:
    async def go() -> None:
        async with page(room) as other:
            await other.shows("Next token")
            async with page(room) as giant:
                await giant.until(lambda: "key" in giant.told)
                await giant.socket.send_bytes(b"x" * 1_000_000)
                await giant.until(giant.closed.is_set)
            async with page(room) as flood:
                await flood.until(lambda: "key" in flood.told)
                for _ in range(5000):
                    if flood.closed.is_set():
                        break
                    await flood.socket.send_bytes(b"]")
                await flood.until(flood.closed.is_set)
            async with page(room) as pings:
                await pings.until(lambda: "key" in pings.told)
                with suppress(ConnectionError):
                    for _ in range(5000):
                        await pings.socket.ping(b"x")
                await pings.until(pings.closed.is_set)
            await other.press("]")
            await other.shows("T 1.10")

    asyncio.run(go())


def test_a_ping_is_answered(room: Class) -> None:
    async def go() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{room.origin}/ws", origin=room.origin, autoping=False) as socket,
        ):
            await socket.send_json({"size": [80, 24], "key": "", "query": "", "theme": "dark"})
            await socket.ping(b"there?")
            async with asyncio.timeout(60):
                while (message := await socket.receive()).type is not aiohttp.WSMsgType.PONG:
                    pass
            assert message.data == b"there?"

    asyncio.run(go())


def test_more_connections_than_the_system_opens_write_nothing_to_the_lecturers_terminal(caplog: pytest.LogCaptureFixture) -> None:
    """A page of tracebacks for each second in which a crowd stood at the door."""

    async def go() -> None:
        with pytest.raises(ServeError, match="can't be served on"):
            await serve(Plan("203.0.113.7", 0, "storyteller", None, Limits(sessions=1)), print)
        loop = asyncio.get_running_loop()
        refused = OSError(errno.EMFILE, "Too many open files")
        loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": refused})
        assert caplog.messages == []
        loop.call_exception_handler({"message": "a fault of ours", "exception": KeyError("x")})
        assert len(caplog.messages) == 1

    asyncio.run(go())


@pytest.mark.parametrize(("soft", "hard", "then"), [(256, 4096, 2000), (256, 1000, 1000), (3000, 4096, 3000)])
def test_a_class_may_open_what_its_limits_let_in(monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, then: int) -> None:
    told = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda what: tuple(told))
    monkeypatch.setattr(resource, "setrlimit", lambda what, most: told.__setitem__(slice(None), list(most)))
    may_open(Limits(sessions=370, of_one=1))  # 370 × 3 of guests, 790 at the door, and some
    assert told == [then, hard]


def test_where_memory_is_lacking_nobody_comes_in_and_guests_go_first(room: Class, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest may take hundreds of megabytes, and whoever has the link may come in as hundreds of guests."""

    async def go() -> None:
        async with page(room) as one:
            await one.shows("Next token")
            marks = [Path(f"/proc/{pid}/oom_score_adj").read_text().strip() for pid in room.forks()]
            assert marks[0] == Path("/proc/self/oom_score_adj").read_text().strip()
            assert set(marks[1:]) == {"1000"}
        monkeypatch.setattr(house, "free_memory", lambda: house.ROOM - 1)
        with pytest.raises(house.HouseError, match="no memory left"):
            house.House("storyteller", None).admit("127.0.0.1", "", "dark", (80, 24))

    asyncio.run(go())


def test_an_app_that_takes_no_keys_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pressed waits, up to a bound; when its page leaves, that is known, so that the seat is free again."""

    monkeypatch.setattr(house, "MOST_KEYS", 100_000)

    async def go() -> None:
        keeper = house.House("storyteller", None)
        screen, theirs = os.openpty()
        tty.setraw(theirs)
        for handle in (screen, theirs):
            os.set_blocking(handle, False)
        ours, other = socket.socketpair()
        guest = house.Guest(1, "127.0.0.1", screen, ours)
        messages = [aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, b"x" * 10_000, None)] * 6
        left = iter([*messages, aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)])

        async def receive() -> aiohttp.WSMessage:
            return next(left)

        room = SimpleNamespace(house=keeper, limits=Limits())
        async with asyncio.timeout(60):
            await web.Class.listen(room, SimpleNamespace(receive=receive), guest)  # type: ignore[arg-type]
        waiting = len(guest.keys)
        assert 0 < waiting < 60_000
        assert not any(keeper.press(guest, b"y" * 100_000) for _ in range(2))
        came = b""
        async with asyncio.timeout(60):
            while len(came) < 260_000:  # it takes some at last, in their order
                with suppress(BlockingIOError):
                    came += os.read(theirs, 1 << 16)
                await asyncio.sleep(0)
        assert came == b"x" * 60_000 + b"y" * 200_000
        guest.over.set()
        for handle in (screen, theirs):
            os.close(handle)
        ours.close()
        other.close()

    asyncio.run(go())


def test_odd_sizes_and_messages_change_nothing(room: Class) -> None:
    async def go() -> None:
        async with page(room, size=(100, 30)) as one:
            await one.shows("Next token")
            sizes = ('{"size": [0, 0]}', '{"size": [-5, 1000000]}', '{"size": [1e400, 3]}')
            for text in (*sizes, "{}", "[]", "x", '{"repaint": 1}', "[" * 9000):
                await one.socket.send_str(text)
            await one.socket.send_str('{"size": [100, 30]}')
            await one.press("]")
            await one.until(lambda: "temperature=1.1" in one.told.get("at", ""))

    asyncio.run(go())


def test_escape_sequences_in_a_prompt_reach_no_screen(room: Class) -> None:
    async def go() -> None:
        hostile = "\x1b]52;c;cm0gLXJm\x07\x1b[2J\x9b31m\u202e"
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{room.origin}/ws", origin=room.origin) as socket:
            await socket.send_json(
                {"size": [100, 30], "key": "", "query": aiohttp.client.URL.build(query={"prompt": hostile}).query_string, "theme": "x"}
            )
            came, until = b"", time.monotonic() + 60
            while b"Next token" not in came and time.monotonic() < until:
                message = await socket.receive(timeout=60)
                came += message.data if message.type is aiohttp.WSMsgType.BINARY else b""
            assert b"Next token" in came
            assert b"\x1b]52;" not in came
            assert b"\x1b[2J" not in came.partition(b"Next token")[2]
            assert "\u202e".encode() not in came

    asyncio.run(go())


@pytest.mark.parametrize("hello", ["[" * 60_000, "[" + "1," * 1000 + "1]", "{}", "1", '"'], ids=lambda text: text[:3])
def test_a_first_word_of_any_form_is_answered(room: Class, hello: str) -> None:
    async def go() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{room.origin}/ws", origin=room.origin) as socket:
            await socket.send_str(hello)
            message = await socket.receive(timeout=60)
            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.PROTOCOL_ERROR)

    asyncio.run(go())


def test_what_is_said_to_a_page_that_takes_nothing_is_held_back() -> None:
    """A picture is a message beside the screen: a page that asks for one after another and reads none fills no memory here."""

    class Deaf:
        async def send_str(self, text: str) -> None:
            await asyncio.Event().wait()

        send_bytes = receive = send_str

    async def go() -> None:
        paused: list[bool] = []
        told = SimpleNamespace(pause=lambda guest, so: paused.append(so), failed=asyncio.Event())
        guest = SimpleNamespace(over=asyncio.Event(), key="", why="", give_up=lambda: None)
        room = SimpleNamespace(house=told, tell_end=never, listen=never)
        talking = asyncio.create_task(web.Class.talk(room, Deaf(), guest, (80, 24), ""))  # type: ignore[arg-type]
        while not hasattr(guest, "hear"):
            assert not talking.done()
            await asyncio.sleep(0)
        for _ in range(9):
            guest.hear({"download": "a.svg", "data": "x" * (web.SLOW // 8)})
        assert paused
        assert all(paused)
        talking.cancel()

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    asyncio.run(go())


async def gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while Path(f"/proc/{pid}").exists():
            await asyncio.sleep(0.02)


def test_a_page_that_can_is_sent_pixels_once_its_guest_asks(room: Class) -> None:
    async def go() -> None:
        for cell, sent in (([1e9, -5], True), (None, False)):
            hello = {"size": (100, 30), "key": "", "query": "", "theme": "dark", "cell": cell}
            async with page(room, hello=hello) as one:
                await one.shows("Next token")
                assert one.images == 0
                await one.press("I")
                await one.until(lambda one=one, sent=sent: one.images if sent else "stay characters" in one.text)

    asyncio.run(go())
