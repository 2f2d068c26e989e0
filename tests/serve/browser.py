"""Debian's Chromium, headless, driven by its DevTools protocol: just what the tests need."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
KEYS = {"Enter": ("\r", 13), "Escape": ("", 27), "Tab": ("\t", 9)}


class Browser:
    """One page of a browser. What the page says is in `news`, by the protocol's names."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.number = socket, 0
        self.errors: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        await self.socket.send_str(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            told = json.loads((await self.socket.receive(timeout=30)).data)
            if told.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(json.dumps(told["params"])[:500])
            if told.get("id") == self.number:
                assert "error" not in told, told
                return dict(told["result"])

    async def open(self, address: str, size: tuple[int, int] = (1200, 800), *, webgl: bool = True) -> None:
        """Without WebGL, the terminal's text stands in the page's own elements, where a test can read it."""
        for domain in ("Page", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        if not webgl:
            taken = "HTMLCanvasElement.prototype.getContext = () => null"
            await self.call("Page.addScriptToEvaluateOnNewDocument", source=taken)
        await self.resize(*size)
        await self.call("Page.navigate", url=address)

    async def resize(self, width: int, height: int) -> None:
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    async def value(self, expression: str) -> Any:
        return (await self.call("Runtime.evaluate", expression=expression, returnByValue=True))["result"].get("value")

    async def until(self, expression: str, seconds: float = 30.0) -> Any:
        """Wait until an expression is true on the page; its value."""
        async with asyncio.timeout(seconds):
            while not (value := await self.value(expression)):
                await asyncio.sleep(0.05)
            return value

    async def press(self, key: str) -> None:
        text, code = KEYS.get(key, (key, ord(key[0].upper())))
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def pixels(self, colour: str) -> int:
        """How many of the page's pixels have a colour, told as a condition on r, g and b: the page counts its own picture."""
        picture = base64.b64encode(await self.picture()).decode()
        count = f"""new Promise(done => {{
            const image = new Image();
            image.onload = () => {{
                const canvas = document.createElement("canvas");
                [canvas.width, canvas.height] = [image.width, image.height];
                const context = canvas.getContext("2d");
                context.drawImage(image, 0, 0);
                const data = context.getImageData(0, 0, image.width, image.height).data;
                let found = 0;
                for (let i = 0; i < data.length; i += 4) {{
                    const [r, g, b] = data.slice(i, i + 3);
                    if ({colour}) found += 1;
                }}
                done(found);
            }};
            image.src = "data:image/png;base64,{picture}";
        }})"""
        told = await self.call("Runtime.evaluate", expression=count, awaitPromise=True, returnByValue=True)
        return int(told["result"]["value"])

    async def picture(self) -> bytes:
        """The page as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Browser]:
    """A browser with a profile of its own in a folder."""
    assert CHROMIUM is not None
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run", f"--user-data-dir={folder}")
    process = await asyncio.create_subprocess_exec(CHROMIUM, *flags, "about:blank", stderr=asyncio.subprocess.PIPE)
    try:
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while not (found := re.search(r"DevTools listening on ws://([^/]+)/", (await process.stderr.readline()).decode())):
                pass
        draining = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as session:
            targets = await (await session.get(f"http://{found[1]}/json/list")).json()
            address = next(each["webSocketDebuggerUrl"] for each in targets if each["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Browser(socket)
        draining.cancel()
    finally:
        process.terminate()
        await process.wait()
