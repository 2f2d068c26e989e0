"""The class's web server: one page, what the page needs, a WebSocket for each guest. It holds no model, and reads its own files alone."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from txexplain import __version__
from txexplain.bounded import load_json
from txexplain.front.medium import LEAST, MOST
from txexplain.serve import relay
from txexplain.serve.address import LONGEST
from txexplain.serve.house import CLOSED, MODES, Guest, House, HouseError, clamped
from txexplain.serve.limits import Bucket, Limits, Seats, turned_away

PAGE = Path(__file__).parent / "page"
ASSETS = {
    "page.js": "text/javascript", "page.css": "text/css", "vendor/xterm.js": "text/javascript", "vendor/xterm.css": "text/css",
    "vendor/addon-fit.js": "text/javascript", "vendor/addon-unicode11.js": "text/javascript", "vendor/addon-webgl.js": "text/javascript",
    "vendor/addon-image.js": "text/javascript",
}  # fmt: skip
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "  # xterm.js decodes pictures with WebAssembly of its own file's
        "style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; "  # and writes its sizes as styles
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the link holds the class's code
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
SLOW = 1_000_000  # bytes on their way to one page from which on its app waits
MOST_VALUES = 20  # of what a page says of itself
MISLED = "This class has another name. Open the link that the lecturer gave; behind a proxy, `txexplain serve --name HOST` says its name.\n"
HELLO = 10.0  # seconds in which a page says how large it is


class Class:
    """The routes, and who is in."""

    def __init__(self, house: House, limits: Limits, code: str, is_served: Callable[[str], bool], key: str | None = None) -> None:
        """is_served: whether a Host header means this class. key: what the machines of a class share, if there are several."""
        self.words = "" if key is None else relay.pass_of(key)
        self.house, self.limits, self.code, self.is_served = house, limits, code, is_served
        self.seated: set[asyncio.BaseTransport | None] = set()  # the connections that have a guest
        self.seats = Seats(limits)
        self.assets = {name: (PAGE / name).read_bytes() for name in ASSETS}
        self.html = (PAGE / "index.html").read_text(encoding="utf-8").replace("{version}", __version__).encode()

    def application(self) -> web.Application:
        made = web.Application(middlewares=[self.guarded], client_max_size=1024)
        made.add_routes([web.get("/", self.page), web.get("/ws", self.session), web.get(relay.PATH, self.lead)])
        made.add_routes([web.get(f"/{name}", self.asset) for name in ASSETS])
        return made

    @web.middleware
    async def guarded(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        """What holds for every answer."""
        try:
            if not self.is_served(request.headers.get("Host", "")):
                return web.Response(status=421, text=MISLED, headers=HEADERS)
            answer = await handler(request)
        except web.HTTPException as error:
            answer = web.Response(status=error.status, text=f"{error.status}: {error.reason}\n")
        if not answer.prepared:
            answer.headers.update(HEADERS)
        return answer

    def is_let_in(self, request: web.Request) -> bool:
        """Whether a request brings the code that the link holds."""
        return not self.code or hmac.compare_digest(request.query.get("c", "").encode(), self.code.encode())

    async def page(self, request: web.Request) -> web.Response:
        if not self.is_let_in(request):
            return web.Response(status=403, text="This class has a code in its link: open the whole link that the lecturer gave.\n")
        return web.Response(body=self.html, content_type="text/html", charset="utf-8")

    async def asset(self, request: web.Request) -> web.Response:
        name = request.path[1:]
        return web.Response(body=self.assets[name], content_type=ASSETS[name], charset="utf-8")

    async def session(self, request: web.Request) -> web.StreamResponse:
        """A guest, from the page's first word to its last."""
        if request.headers.get("Origin", "").partition("://")[2] != request.host:
            return web.Response(status=403, text="Only this class's own page may connect.\n")
        if not self.is_let_in(request):
            return web.Response(status=403, text="The class's code is lacking.\n")
        socket = web.WebSocketResponse(max_msg_size=self.limits.message, heartbeat=30.0, autoping=False, compress=False)
        await socket.prepare(request)
        try:
            hello = load_json((await socket.receive_str(timeout=HELLO)).encode("utf-8", "replace"), MOST_VALUES)
            columns, rows = hello["size"]
            size = clamped(int(columns), int(rows))
            cell = cell_of(hello.get("cell"))
            key, query, theme = (str(hello.get(name, ""))[:most] for name, most in (("key", 100), ("query", LONGEST + 1), ("theme", 100)))
        except (TypeError, ValueError, KeyError, TimeoutError, OverflowError, RecursionError):
            await socket.close(code=WSCloseCode.PROTOCOL_ERROR, message=b"not a page of this class")
            return socket
        guest = self.known(key)
        if guest is None:
            address = request.remote or ""
            refusal = self.seats.refusal(address)
            try:
                guest = None if refusal else self.house.admit(address, query, theme, size, cell)
            except (HouseError, OSError) as error:
                refusal = str(error) if isinstance(error, HouseError) else "The lecturer's machine has no room for another guest."
            if guest is None:
                await socket.send_str(json.dumps({"refused": refusal}))
                await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
                return socket
            self.seats.take(address)
            guest.watching = asyncio.create_task(self.watch(guest))
            first = ""
        else:
            first = MODES
        self.seated.add(request.transport)
        try:
            await self.talk(socket, guest, size, first)
        finally:
            self.seated.discard(request.transport)
        return socket

    async def lead(self, request: web.Request) -> web.StreamResponse:
        """Another machine's house, whose guests follow this one's lecturer."""
        if not (
            self.words and hmac.compare_digest(request.headers.get("Authorization", "").encode("utf-8", "replace"), self.words.encode())
        ):
            return web.Response(status=403, text="Only the class's other machines are told where the lecturer is.\n")
        socket = web.WebSocketResponse(max_msg_size=relay.LONGEST, heartbeat=30.0, compress=False)
        await socket.prepare(request)
        self.seated.add(request.transport)
        try:
            await relay.lead(socket, self.house)
        finally:
            self.seated.discard(request.transport)
        return socket

    async def usher(self, connections: Callable[[], Sequence[web.RequestHandler]]) -> None:
        """Close connections that say nothing, and the eldest where too many have no guest: each takes one of the machine's handles."""
        since: dict[web.RequestHandler, float] = {}
        while True:
            await asyncio.sleep(1.0)
            now = monotonic()
            since = {each: since.get(each, now) for each in connections() if each.transport and each.transport not in self.seated}
            waiting = list(since)
            peers = [each.transport.get_extra_info("peername") if each.transport else None for each in waiting]
            known = [(str(peer[0]) if peer else "", since[each]) for peer, each in zip(peers, waiting, strict=True)]
            for i in turned_away(known, self.limits, now):
                if (transport := waiting[i].transport) is not None:
                    transport.abort()

    def known(self, key: str) -> Guest | None:
        """The session of a page that was loaded anew, or whose line broke: that it left may not be known here yet."""
        for guest in self.house.guests.values():
            if key and hmac.compare_digest(guest.key.encode(), key.encode("utf-8", "replace")):
                return guest
        return None

    async def watch(self, guest: Guest) -> None:
        """End a session that nobody comes back to, or that nobody uses."""
        while not guest.over.is_set():
            most = self.limits.idle if guest.shown else self.limits.back
            left = guest.seen + most - monotonic()
            if left <= 0:
                if guest.shown:
                    guest.why = f"Nobody pressed a key for {most / 60:.2g} minutes, so this session was ended."
                self.house.dismiss(guest)
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(guest.over.wait(), min(left, 5.0))
        self.seats.leave(guest.address)

    async def talk(self, socket: web.WebSocketResponse, guest: Guest, size: tuple[int, int], first: str) -> None:
        """Between a page and its guest, until one of them leaves."""
        news: asyncio.Queue[bytes | str | None] = asyncio.Queue()
        waiting = 0

        def show(data: bytes | str) -> None:
            """Of what the app draws, and of what it says beside that: a page that takes no more must not fill this machine's memory."""
            nonlocal waiting
            waiting += len(data)
            if waiting > SLOW:
                self.house.pause(guest, True)
            news.put_nowait(data)

        async def send() -> None:
            nonlocal waiting
            while (each := await news.get()) is not None:
                await (socket.send_str(each) if isinstance(each, str) else socket.send_bytes(each))
                if waiting > SLOW >= waiting - len(each):
                    self.house.pause(guest, False)
                waiting -= len(each)
            await socket.close()

        def give_up() -> None:
            news.put_nowait(json.dumps({"over": "This session went on in another page."}))
            news.put_nowait(None)

        guest.give_up()
        guest.shown, guest.show, guest.seen, guest.give_up = True, show, monotonic(), give_up
        guest.hear = lambda message: show(json.dumps(message))
        show(json.dumps({"key": guest.key}))
        if first:
            show(first.encode())
            guest.resize(*size)
            guest.tell({"repaint": True})
        sending = asyncio.create_task(send())
        ending = asyncio.create_task(self.tell_end(guest, news))
        try:
            await self.listen(socket, guest)
        finally:
            if guest.give_up is give_up:  # no other page shows it since
                guest.shown, guest.show, guest.hear, guest.seen = False, lambda data: None, lambda message: None, monotonic()
                guest.give_up = lambda: None
            if waiting > SLOW:
                self.house.pause(guest, False)
            ending.cancel()
            news.put_nowait(None)
            with suppress(TimeoutError, ConnectionError):
                await asyncio.wait_for(sending, 5.0)

    async def tell_end(self, guest: Guest, news: asyncio.Queue[bytes | str | None]) -> None:
        await guest.over.wait()
        words = guest.why or (CLOSED if self.house.failed.is_set() else "This session has ended.")
        news.put_nowait(json.dumps({"over": words}))
        news.put_nowait(None)

    async def listen(self, socket: web.WebSocketResponse, guest: Guest) -> None:
        """Take what a page says; one that says too much is shown the door."""
        keys, flow = Bucket(self.limits.keys, 2 * self.limits.keys), Bucket(self.limits.bytes, 2 * self.limits.bytes)
        while not guest.over.is_set():
            message = await socket.receive()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG):
                return
            fits = keys.takes() and flow.takes(len(message.data))
            if fits and message.type is WSMsgType.BINARY:
                guest.seen = monotonic()
                fits = self.house.press(guest, message.data)
            if not fits:
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too much at once")
                return
            if message.type is WSMsgType.PING:
                with suppress(ConnectionError):
                    await socket.pong(message.data)
            elif message.type is WSMsgType.TEXT and (size := size_of(message.data)) is not None:
                guest.resize(*size)


def cell_of(told: Any) -> tuple[int, int] | None:
    """How many pixels a cell of a page's screen has, if it can show pictures in pixels. Raises TypeError or ValueError."""
    if told is None:
        return None
    sides = zip(told, LEAST, MOST, strict=True)
    across, down = (min(max(int(side), least), most) for side, least, most in sides)
    return across, down


def size_of(text: str) -> tuple[int, int] | None:
    """A page's new size; None for any other message."""
    with suppress(TypeError, ValueError, KeyError, OverflowError, RecursionError):
        told: Any = load_json(text.encode("utf-8", "replace"), MOST_VALUES)
        columns, rows = told["size"]
        return int(columns), int(rows)
    return None
