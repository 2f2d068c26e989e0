"""What opens over the screen, and `y`, send what they change: the cells that look otherwise, and little more."""

from __future__ import annotations

import re

import pyte
import pytest
from textual.pilot import Pilot

from tests.covering import few
from tests.ui.harness import press
from tests.ui.recorder import Recorded, record
from tests.ui.test_wire import look
from txexplain.engine.model import GPT2
from txexplain.explorer.state import ExplorerState

SIZE = (80, 24)
OVERLAYS = ("question_mark", "m", "e", "t", "o", "J", "f8", "ctrl+p")
PER_CELL, AT_LEAST = 14, 400  # bytes: a cell with both colours of its own takes some forty, and most have their neighbour's
STRING = re.compile(r"\x1b\](?:22|52);[^\x07]*\x07")  # which pyte shows as text


@pytest.mark.parametrize("far", few([False, True], lambda far: far))
def test_opening_and_closing_send_the_cells_that_change(storyteller: GPT2, far: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    if far:
        monkeypatch.setenv("SSH_TTY", "/dev/pts/0")
    screen = pyte.Screen(*SIZE)
    stream, read = pyte.Stream(screen), [0]

    def sent(app: Recorded) -> tuple[int, int]:
        """Bytes and changed cells since the last time."""
        before = [[look(screen.buffer[y][x]) for x in range(SIZE[0])] for y in range(SIZE[1])]
        text = "".join(app.written[read[0] :])
        read[0] = len(app.written)
        stream.feed(STRING.sub("", text))
        changed = sum(look(screen.buffer[y][x]) != before[y][x] for y in range(SIZE[1]) for x in range(SIZE[0]))
        return len(text.encode()), changed

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        app.animation_level = "none"
        await pilot.pause()
        sent(app)
        at_rest = look(screen.buffer[0][2])  # in the name, at the upper left
        for key in OVERLAYS:
            for pressed in (key, "escape"):
                await press(app, pilot, pressed)
                await pilot.pause()
                size, changed = sent(app)
                assert changed > 0, (key, pressed)
                assert size <= PER_CELL * changed + AT_LEAST, (key, pressed, size, changed)
                if pressed != "escape" and key not in ("J", "f8"):  # what lies under a dialog is dimmed, but not on a line far away
                    assert (look(screen.buffer[0][2]) == at_rest) == far, key
        await press(app, pilot, "y")
        await pilot.pause()
        size, changed = sent(app)
        assert 0 < size <= PER_CELL * changed + AT_LEAST, (size, changed)

    record(test, storyteller, ExplorerState(prompt="The little fox lost her red ball. She looked everywhere for her red"), size=SIZE)
