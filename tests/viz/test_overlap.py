"""No two texts of a view lie over each other: a letter or digit never takes the place of another's."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.covering import few
from txexplain.engine.derive import Result
from txexplain.explorer.choice import distribution_of
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import Doing, footer
from txexplain.front.scenes import scene_of
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.screen import paint_screen

PLACES = (
    "model", "embed", "embed:nearest", "embed[7]@2", "L1", "L0[add2]@4", "L1[qkv]", "L1.ln1", "L1.ln1[3]@4", "L0.qkv", "L0.qkv[2,40]",
    "L1.qkv:matrix", "L0.proj:matrix", "L1.attn", "L1.attn[2]", "L1.proj", "L1.ln2", "L1.mlp", "L1.mlp:pre[7]", "L1.mlp[5]", "heads",
    "heads[1.2]", "heads:previous[1.2]", "heads:entropy.50", "L1H1:qk", "L1H1:scaled", "L1H1:masked", "L1H1:softmax",
    "L1H1:softmax[6,2]", "L1H1:values",
    "L1H1[6,2]", "L1H1[1,4]", "final", "output", "residual", "residual[L1.attn]@3",
)  # fmt: skip
SIZES = ((60, 16), (61, 17), (70, 20), (80, 24), (99, 24), (100, 30), (103, 24), (110, 33), (120, 36), (140, 45), (160, 50), (200, 60))
LOOKS = (Palette("dark"), Palette("light", "16"), Palette("dark", "none", ascii=True))


@pytest.fixture
def over(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was written over letters, as it happens."""
    found: list[str] = []
    put = Canvas.put

    def watched(self: Canvas, x: int, y: int, text: str, *args: Any, **more: Any) -> int:
        before = "".join(self.chars[y]) if 0 <= y < self.height else ""
        cells = self.chars[y].copy() if before else []
        used = put(self, x, y, text, *args, **more)
        for at in range(max(x, 0), min(x + used, self.width)) if before else ():
            old, new = cells[at], self.chars[y, at]
            if old.isalnum() and old != new and text.strip() and not text.startswith(" rows "):  # the note of rows that are hidden
                found.append(f"{text!r} at {x}, {y} over {before.strip()!r}")
                break
        return used

    monkeypatch.setattr(Canvas, "put", watched)
    return found


@pytest.mark.parametrize(("place", "odd"), few(product(PLACES, (0, 1)), lambda place, odd: PLACES.index(place) % 2 == odd))
def test_no_text_lies_over_another(place: str, odd: int, result: Result, over: list[str]) -> None:
    state = ExplorerState(location=parse(place))
    more = {"distribution": distribution_of(result, state), "ribbons": tuple(result.flow(state.flow))}
    found = set()
    for number, (width, height) in list(enumerate(SIZES))[odd::2]:
        tones = LOOKS[number % len(LOOKS)]
        keys = footer(Doing(state.location.kind), ascii=tones.ascii)
        paint_screen(scene_of(state, tones, (width, height), result, keys=keys, **more))
        found |= {(width, height, each) for each in over}
        over.clear()
    assert not found, "\n".join(sorted(map(str, found)))
