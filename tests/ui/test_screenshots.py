"""The committed pictures show the app as it is: every cell's text and look. After a change that is meant: python -m tests.screenshots."""

from __future__ import annotations

import gzip
import json
import re
from typing import Any

import pytest

from tests import screenshots
from tests.figures import differences
from txexplain.engine.model import GPT2

KEPT: dict[str, Any] = json.loads(gzip.decompress(screenshots.CELLS.read_bytes()))
PICTURES: dict[str, dict[str, list[str]]] = KEPT["pictures"]
COMPARED = sorted(name for name in PICTURES if name.endswith("-dark") or name in ("model-light", "head-light"))
NEAR = 12  # a channel may differ by so much: a number at the edge of two levels, summed by another machine

needs_its_weights = pytest.mark.skipif(
    KEPT["weights"] != screenshots.weights_hash(), reason="the pictures show other weights than these: python -m tests.screenshots"
)


@pytest.fixture(scope="module")
def recorded(storyteller: GPT2) -> GPT2:
    return screenshots.recorded(storyteller)


@pytest.fixture(scope="module")
def shots(recorded: GPT2) -> dict[str, screenshots.Shot]:
    return screenshots.shots(recorded)


def looks(row: str) -> list[tuple[str, str, str]]:
    """One (ink, ground, attributes) a cell."""
    return [tuple(run.split("×", 1)[1].split("/")) for run in row.split() for _ in range(int(run.split("×")[0]))]  # type: ignore[misc]


def near(a: str, b: str) -> bool:
    if not a or not b:
        return a == b
    return all(abs(int(a[i : i + 2], 16) - int(b[i : i + 2], 16)) <= NEAR for i in (0, 2, 4))


@needs_its_weights
@pytest.mark.parametrize("name", COMPARED)
def test_a_picture_shows_the_app_as_it_is(recorded: GPT2, shots: dict[str, screenshots.Shot], name: str) -> None:
    """Drawn from the recorded runs; what the app works out of them may differ in its last figures, and colours by little."""
    shot, theme = name.rsplit("-", 1)
    kept, now = PICTURES[name], screenshots.cells_of(screenshots.take(recorded, shots[shot], theme))
    assert differences(kept["text"], now["text"]) == []
    for old, new, before, after in zip(kept["text"], now["text"], kept["runs"], now["runs"], strict=True):
        if old == new:  # else a number that is longer or shorter moved what stands behind it
            for was, is_ in zip(looks(before), looks(after), strict=True):
                assert near(was[0], is_[0]), (old, was, is_)
                assert near(was[1], is_[1]), (old, was, is_)
                assert was[2] == is_[2], (old, was, is_)


def test_each_picture_is_there_and_stands_alone() -> None:
    """Small, and without anything from elsewhere: no fonts, scripts, links or pictures but their own shapes."""
    files = {path.stem: path.read_text(encoding="utf-8") for path in screenshots.FOLDER.glob("*.svg")}
    assert set(files) == set(PICTURES)
    for name, text in files.items():
        assert len(text) < 70_000, name
        assert set(re.findall(r"<(\w+)", text)) <= {"svg", "rect", "g", "text", "path", "linearGradient", "stop"}
        assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
        assert "▀" not in text


def frames(data: bytes) -> list[float]:
    """The seconds that each frame of a GIF is shown, block by block."""

    def table(flags: int) -> int:
        return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0

    def behind(at: int) -> int:
        """The place behind a chain of sub-blocks."""
        while data[at]:
            at += data[at] + 1
        return at + 1

    at, seconds = 13 + table(data[10]), list[float]()
    while data[at] != 0x3B:
        if data[at] == 0x21:
            if data[at + 1] == 0xF9:
                seconds.append(int.from_bytes(data[at + 4 : at + 6], "little") / 100)
            at = behind(at + 2)
        else:
            assert data[at] == 0x2C
            at = behind(at + 11 + table(data[at + 9]))
    return seconds


def test_the_film_is_short_and_small() -> None:
    data = (screenshots.FOLDER / "demo.gif").read_bytes()
    assert data[:6] == b"GIF89a"
    assert len(data) <= 3_000_000
    assert 15 <= sum(frames(data)) <= 25
    assert len(frames(data)) >= 60
