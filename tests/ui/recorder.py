"""An app without a terminal that writes as it would to one, and keeps what it wrote."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from textual.driver import Driver
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from tests.ui.harness import COLOURS, settled
from txexplain.engine.model import GPT2
from txexplain.explorer.reading import Reads
from txexplain.explorer.state import ExplorerState
from txexplain.front.options import UiOptions
from txexplain.ui.app import ExplorerApp
from txexplain.ui.terminal.wire import thrifty


class Loud(HeadlessDriver):
    """Keeps what is written."""

    def write(self, data: str) -> None:
        self._app.written.append(data)


class Recorded(ExplorerApp):
    """What it would write to a terminal stands in `written`, after the thrifty wire."""

    CSS_PATH = inspect.getfile(ExplorerApp).removesuffix("app.py") + "app.tcss"
    is_headless = False

    def __init__(self, *given: object) -> None:
        self.written: list[str] = []
        super().__init__(*given)  # type: ignore[arg-type]

    def _build_driver(self, headless: bool, inline: bool, mouse: bool, size: tuple[int, int] | None) -> Driver:
        driver = self._driver = thrifty(Loud)(self, debug=False, mouse=mouse, size=size)
        return driver

    @property
    def sent(self) -> str:
        return "".join(self.written)


def record(
    test: Callable[[Recorded, Pilot[None]], Awaitable[None]],
    model: GPT2,
    state: ExplorerState | None = None,
    *,
    size: tuple[int, int] = (120, 36),
    options: UiOptions = COLOURS,
    reads: Reads | None = None,
) -> str:
    """Run a test against a new app; all that the app wrote."""
    found: list[str] = []

    async def go() -> None:
        app = Recorded(state or ExplorerState(), options, lambda progress: model, reads)
        async with app.run_test(size=size, notifications=True) as pilot:
            await settled(app, pilot)
            await test(app, pilot)
            await pilot.pause()
            found.append(app.sent)

    asyncio.run(go())
    return found[0]
