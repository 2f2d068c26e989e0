"""The model view's columns: a wider screen never shows fewer blocks, and the picture's end is there wherever it fits."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from tests.covering import few
from tests.viz.reading import scene_at
from txexplain.engine.checkpoint import Checkpoint, weight_shapes
from txexplain.engine.config import GPT2Config
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.tokenizer import Tokenizer
from txexplain.explorer.location import Location
from txexplain.facts.residual import changes
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.screen import layout
from txexplain.viz.views import paint_stage

FOX = "The little fox lost her red ball. She looked everywhere for her red"
WIDTHS = range(60, 201)
COLOURS = [Palette("dark", "truecolor"), Palette("dark", "none"), Palette("dark", "none", ascii=True)]


@pytest.fixture(scope="module")
def fox(storyteller: GPT2) -> Result:
    trace = storyteller.forward(storyteller.prompt_ids(FOX))
    assert trace is not None
    return Result(trace, storyteller)


@lru_cache(maxsize=4)
def deep(n_layer: int) -> Result:
    """A small model of many blocks with random weights, and words of the usual length."""
    config, rng = GPT2Config(n_layer=n_layer, n_head=2, n_embd=8, n_inner=16, vocab_size=50257, n_positions=16), np.random.default_rng(0)
    tensors = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in weight_shapes(config, with_head=False).items()}
    tokenizer = Tokenizer.gpt2()
    model = GPT2(Checkpoint(config, tensors, Path(), (), "F32"), tokenizer, "deep")
    trace = model.forward(tokenizer.encode(FOX)[:9])
    assert trace is not None
    return Result(trace, model)


def columns(result: Result, width: int, at: str = "model", palette: Palette | None = None) -> tuple[list[str], Canvas]:
    """The columns that stand over the picture at a screen's width."""
    rect = layout(width, 30)["stage"]
    canvas = paint_stage(scene_at(result, at, (rect.width, rect.height), palette))
    heads = [hit for hit in canvas.hits if isinstance(hit.target, Location) and hit.height > 1]
    names = [hit.target.select or "L0" for hit in heads if isinstance(hit.target, Location)]
    row = canvas.text()[1]
    for name, word in zip(names, row.strip(" ▸◂<>").split()[-len(names) :], strict=True):
        assert word == {"output": "out"}.get(name, name), "the names run into each other"
    return names, canvas


@pytest.mark.parametrize("at", ["model", "model[embed]", "model[L3]", "model[output]"])
def test_a_wider_screen_never_shows_fewer_blocks(fox: Result, at: str) -> None:
    counts = [len(columns(fox, width, at)[0]) for width in (WIDTHS if at == "model" else WIDTHS[::4])]
    assert counts == sorted(counts)
    assert counts[0] == 9, "all nine columns of the bundled model fit into 60 cells"


@pytest.mark.parametrize("n_layer", few([12, 24, 48], lambda n_layer: n_layer == 24))
def test_of_many_blocks_the_last_ones_are_shown_and_an_arrow_tells_of_the_first(n_layer: int) -> None:
    result = deep(n_layer)
    for widths in (range(60, 100), range(100, 160), range(160, 201)):  # the panel stands below, beside, and beside in a larger size
        counts = []
        for width in widths:
            names, canvas = columns(result, width)
            counts.append(len(names))
            assert names[-3:] == [f"L{n_layer - 1}", "final", "output"], width
            assert ("◂" in canvas.text()[1]) == (len(names) < n_layer + 3)
            assert (" L0◂" in canvas.text()[1]) == ("L0" not in names), "what is selected is named where its column is hidden"
        assert counts == sorted(counts)


def test_the_column_that_the_reader_chose_is_always_shown() -> None:
    result = deep(24)
    for column in ("embed", *(f"L{b}" for b in range(1, 24)), "final", "output"):
        names, canvas = columns(result, 100, f"model[{column}]")
        assert column in names
        assert ("▸" in canvas.text()[1]) == (names[-1] != "output")
        assert ("◂" in canvas.text()[1]) == (names[0] != "embed")


LINES = "─╴╸━┬┳┐┓┤┫┴┻┼╩═│┃-+=#|~" + "".join(map(chr, range(0x2800, 0x2900)))  # and braille's dots


@pytest.mark.parametrize("palette", COLOURS, ids=lambda palette: palette.depth + "-ascii" * palette.ascii)
def test_numbers_keep_apart_in_narrow_columns(fox: Result, palette: Palette) -> None:
    """Under each block stands its own figure whole, and each share on a line has its sign."""
    _, canvas = columns(fox, 100, "model", palette)
    text = canvas.text()
    for side, letter in enumerate("AM"):
        row = next(row for row in text[2:] if row.startswith(f" {letter} "))
        figures = re.findall(r"[\d.]+", row)
        assert len(figures) == 6
        for figure, pair in zip(figures, changes(fox, fox.trace.n_tokens - 1), strict=True):
            assert float(figure) == pytest.approx(pair[side], rel=0.03)
    if not palette.pixels:
        shares = [word for row in text[2 : text.index(row)] for word in row[13:].split() if "%" in word]
        assert shares
        for word in shares:
            assert all(piece.strip(LINES).isdigit() for piece in word.split("%")[:-1]), word
