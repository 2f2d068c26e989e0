"""What a prompt says never reaches the terminal as anything but text: every byte that the app writes is parsed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual import events
from textual.pilot import Pilot

from tests.ui.harness import ONCE, press, settled, until
from tests.ui.recorder import Recorded, record
from tests.vt import BIDI, harmful, kinds
from txexplain.engine.model import GPT2
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState

CONTROLS = "".join(map(chr, [*range(32), *range(0x7F, 0xA0)]))
HOSTILE = {
    "ansi": "a\x1b[31mred\x1b[2J\x1b[1;1Hb",
    "osc": "a\x1b]0;title\x07\x1b]2;t\x1b\\\x1b]52;c;ZWNobw==\x07\x1b]8;;http://x\x1b\\l",
    "dcs": "\x1bP$q\x1b\\\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bX sos\x1b\\ \x1bc\x1b#8",
    "nul": "\x00a\x00",
    "c1": "\x9b31m\x9d0;title\x9c\x90q\x85\x8d",
    "all controls": CONTROLS,
    "bidi": "abc\u202edef\u2066ghi\u2069" + "".join(sorted(BIDI)),
    "joiners": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u200b\u200c\u2060\ufeff\u00ad\ufe0f\U000e0041",
    "combining": "e" + "\u0301" * 40 + " \u0301 Z\u0351\u0363\u0345",
    "emoji": "\U0001f600 \U0001f1e9\U0001f1ea \u2764\ufe0f \U0001f44d\U0001f3fd",
    "separators": "a\u2028b\u2029c\u0085d\x0b\x0ce",
    "markup": "[/] [red]x[/red] [@click=app.quit]x[/] [/nothing] \\[b] [[]]",
}
PLACES = ("model", "embed", "L2H3:softmax", "output")


async def everything(app: Recorded, pilot: Pilot[None]) -> None:
    """Every pane, screen and toast that may show the prompt."""
    for place in PLACES:
        app.change(app.state.go(parse(place), app.dims()))
        await settled(app, pilot)
    for key in ("y", "question_mark", "escape", "i", "x", "u", "b", "space", "left_parenthesis", "right_parenthesis"):
        await press(app, pilot, key)
    app.focus_pane("prompt")
    await pilot.pause()
    await press(app, pilot, "a", "escape")


@pytest.fixture(scope="module")
def benign(storyteller: GPT2) -> frozenset[str]:
    """The kinds of control function that the app writes while it shows plain words."""

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        await everything(app, pilot)
        await press(app, pilot, "ctrl+l")

    found = frozenset(kinds(record(test, storyteller, ExplorerState(prompt=ONCE))))
    assert not {kind for kind in found if kind.startswith(("control", "string")) and kind not in ("control 0a", "control 0d")}
    assert not found & {"OSC 0", "OSC 1", "OSC 2"}
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_prompt_is_only_text(storyteller: GPT2, benign: frozenset[str], name: str) -> None:
    written = record(everything, storyteller, ExplorerState(prompt=HOSTILE[name]))
    assert len(written) > 10000
    assert harmful(written, benign) == []
