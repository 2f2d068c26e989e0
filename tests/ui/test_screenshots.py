"""The committed pictures show the app as it is: every cell's text and look. After a change that is meant: python -m tests.screenshots."""

from __future__ import annotations

import difflib
import gzip
import json
import re
from typing import Any

import pytest

from tests import screenshots
from txexplain.engine.model import GPT2

KEPT: dict[str, Any] = json.loads(gzip.decompress(screenshots.CELLS.read_bytes()))
PICTURES: dict[str, dict[str, list[str]]] = KEPT["pictures"]
COMPARED = sorted(name for name in PICTURES if name.endswith("-dark") or name in ("model-light", "head-light"))
LAST_FIGURES = re.compile(r"\d+\.\d{4,}(?:e[−-]?\d+)?")
NEAR = 12  # a channel may differ by so much: a number at the edge of two levels, summed by another machine

needs_its_weights = pytest.mark.skipif(
    KEPT["weights"] != screenshots.weights_hash(), reason="the pictures show other weights than these: python -m tests.screenshots"
)


@pytest.fixture(scope="module")
def shots(storyteller: GPT2) -> dict[str, screenshots.Shot]:
    return screenshots.shots(storyteller)


def steady(row: str) -> str:
    """A row without the last figures of exact numbers, in which two machines' sums may differ."""
    return LAST_FIGURES.sub(lambda match: f"{float(match[0].replace('−', '-')):.3g}", row).rstrip()


def looks(runs: list[str]) -> list[tuple[str, str, str]]:
    """One (ink, ground, attributes) a cell."""
    return [tuple(run.split("×", 1)[1].split("/")) for row in runs for run in row.split() for _ in range(int(run.split("×")[0]))]  # type: ignore[misc]


def near(a: str, b: str) -> bool:
    if not a or not b:
        return a == b
    return all(abs(int(a[i : i + 2], 16) - int(b[i : i + 2], 16)) <= NEAR for i in (0, 2, 4))


@needs_its_weights
@pytest.mark.parametrize("name", COMPARED)
def test_a_picture_shows_the_app_as_it_is(storyteller: GPT2, shots: dict[str, screenshots.Shot], name: str) -> None:
    shot, theme = name.rsplit("-", 1)
    now = screenshots.cells_of(screenshots.take(storyteller, shots[shot], theme))
    old, new = ([steady(row) for row in cells["text"]] for cells in (PICTURES[name], now))
    assert old == new, "\n".join(difflib.unified_diff(old, new, f"{name} (committed)", f"{name} (the app)", lineterm="", n=0))
    for before, after in zip(looks(PICTURES[name]["runs"]), looks(now["runs"]), strict=True):
        assert near(before[0], after[0]), (before, after)
        assert near(before[1], after[1]), (before, after)
        assert before[2] == after[2]


def test_each_picture_is_there_and_stands_alone() -> None:
    """Small, and without anything from elsewhere: no fonts, scripts, links or pictures but their own shapes."""
    files = {path.stem: path.read_text(encoding="utf-8") for path in screenshots.FOLDER.glob("*.svg")}
    assert set(files) == set(PICTURES)
    for name, text in files.items():
        assert len(text) < 150_000, name
        assert set(re.findall(r"<(\w+)", text)) <= {"svg", "rect", "g", "text"}
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
