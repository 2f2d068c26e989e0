"""The page in Debian's Chromium: it opens, keys arrive, the picture is drawn, a reload returns, and the page asks nobody else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.serve.browser import CHROMIUM, browser
from tests.serve.room import served

pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]
SHOWN = "[...document.querySelectorAll('.xterm-rows > div')].map(row => row.textContent).join('\\n')"


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    async def go(link: str) -> None:
        async with browser(tmp_path / "profile") as found:
            await found.call("Network.enable")
            await found.open(f"{link}?at=L3H5", webgl=False)
            await found.until(f"({SHOWN}).includes('L3H5')")
            for key, place in (("Escape", "at=L3.attn"), ("a", "at=heads")):
                await found.press(key)
                await found.until(f"location.search.includes('{place}')")
            await found.press("]")
            await found.until("location.search.includes('temperature=1.1')")
            key = await found.value("sessionStorage.getItem('txexplain.session')")
            await found.call("Page.reload")
            await found.until(f"({SHOWN}).includes('T 1.10')")
            assert await found.value("sessionStorage.getItem('txexplain.session')") == key
            await found.resize(700, 500)
            await found.until(f"({SHOWN}).split('\\n').length < 30 && ({SHOWN}).includes('heads')")
            await found.value("navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve(); }")
            await found.press("y")
            assert "at=heads" in await found.until("window.copied")
            await found.press("q")
            await found.until("document.getElementById('said').textContent.includes('has ended')")
            hosts = set(await found.value("performance.getEntriesByType('resource').map(each => new URL(each.name).host)"))
            assert hosts <= {link.split("/")[2]}
            assert not [error for error in found.errors if '"level": "error"' in error or "exceptionDetails" in error], found.errors

    with served() as room:
        asyncio.run(go(room.link))


def test_the_picture_is_drawn_whole(tmp_path: Path) -> None:
    """With WebGL too: the attention's violet fills areas, as it does in the terminal."""

    async def go(link: str) -> None:
        async with browser(tmp_path / "profile") as found:
            await found.open(f"{link}?at=L3H5")
            await found.until("location.search.includes('L3H5') && sessionStorage.getItem('txexplain.session')")
            async with asyncio.timeout(60):
                while await found.pixels("b > r + 40 && r > g + 20") < 5000:
                    await asyncio.sleep(0.2)

    with served() as room:
        asyncio.run(go(room.link))


def test_a_small_phone_shows_the_app_and_its_bar_of_keys_acts(tmp_path: Path) -> None:
    async def go(link: str) -> None:
        async with browser(tmp_path / "profile") as found:
            await found.call("Emulation.setTouchEmulationEnabled", enabled=True)
            await found.open(link, (320, 568), webgl=False)
            await found.until(f"({SHOWN}).includes('Next token')")
            await found.until("!document.getElementById('keys').hidden")
            await found.value("document.querySelector('#keys button').dispatchEvent(new PointerEvent('pointerdown', {bubbles: true}))")
            await found.until("location.search.includes('at=L0')")
            await found.resize(568, 320)
            await found.until(f"({SHOWN}).includes('L0')")

    with served() as room:
        asyncio.run(go(room.link))


def test_pixels_on_a_key(tmp_path: Path) -> None:
    """Smooth edges have far more shades of violet than cells."""

    async def go(link: str) -> None:
        async with browser(tmp_path / "profile") as found:
            await found.open(link)
            await found.until("sessionStorage.getItem('txexplain.session')")
            async with asyncio.timeout(60):
                while await found.pixels("b > r + 40 && r > g + 20") < 5000:
                    await asyncio.sleep(0.2)
            assert await found.value("document.querySelector('.xterm-image-layer') === null")
            await found.press("I")
            await found.until("document.querySelector('.xterm-image-layer') !== null")
            assert not [error for error in found.errors if "WebAssembly" in error or "exceptionDetails" in error], found.errors

    with served() as room:
        asyncio.run(go(room.link))
