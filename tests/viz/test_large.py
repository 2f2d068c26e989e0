"""A model of GPT-2's own shape, 12 blocks of 12 heads at d = 768: every place draws and explains itself, with that model's numbers."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from tests.viz.reading import FIGURE, STAGES, line_with, scene_at, shows, stage_at, value
from tests.viz.test_views import SCREENS, assert_whole
from txexplain.engine.checkpoint import weight_shapes
from txexplain.engine.config import GPT2Config
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.tokenizer import Tokenizer
from txexplain.viz.palette import Palette
from txexplain.viz.screen import paint_screen
from txexplain.viz.views.explain import explain_text

PLACES = [
    "model[L11]@3", "embed[700]", "embed:nearest@2", "L11", "L7[fc]@4", "L11.ln1[767]", "L3.qkv[700,2303]", "L3.qkv:matrix[700,2303]",
    "L11.proj[5]", "L4.proj:matrix", "L11.ln2", "L11.mlp", "L5.mlp:added[3071]", "L5.mlp[3071]", "L11.attn[11]", "heads[11.11]",
    "heads:entropy.10", "L11H11:qk", "L11H11[5,2]", "final[3]", "residual[L9.mlp]", "output",
]  # fmt: skip
LOOKS = (Palette("dark"), Palette("light"), Palette("dark", "none", ascii=True))


@pytest.fixture(scope="module")
def large() -> Result:
    """Random weights; blocks share them, so that they take little memory, and differ by what comes in."""
    config = GPT2Config(vocab_size=500, n_positions=64)
    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}
    for name, shape in weight_shapes(config, with_head=False).items():
        first = re.sub(r"h\.\d+\.", "h.0.", name)
        if first not in tensors:
            noise = rng.standard_normal(shape, dtype=np.float32)
            tensors[first] = 1 + 0.1 * noise if first.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight")) else 0.05 * noise
        tensors[name] = tensors[first]
    model = GPT2(SimpleNamespace(config=config, tensors=tensors), Tokenizer.ids_only("large", 500), "large")  # type: ignore[arg-type]
    trace = model.forward([3, 141, 59, 26, 141, 59, 358, 9])
    assert trace is not None
    return Result(trace, model)


@pytest.mark.parametrize("at", PLACES)
def test_every_place_draws_and_explains_itself(large: Result, at: str) -> None:
    for turn, size in enumerate(SCREENS, PLACES.index(at)):
        screen = paint_screen(scene_at(large, at, size, LOOKS[turn % len(LOOKS)]))
        assert_whole(screen)
        assert not re.search(r"not recorded|NaN", "\n".join(screen.text()), re.I), at
    told = explain_text(scene_at(large, at, (80, 24)), 76)
    assert len(told.splitlines()) >= 8
    assert all(len(line) <= 76 for line in told.splitlines()), at


def test_its_numbers_are_its_own(large: Result) -> None:
    canvas = stage_at(large, "L3.qkv[700,2303]@4", STAGES["wide"])
    assert "element 2303 = V of H11, 63" in canvas.text()[1]
    recorded = float(large.trace["blocks.3.attn.v"][4, 11, 63])
    assert shows(line_with(canvas, rf"bias \(?{FIGURE}\)? = ({FIGURE})")[1], recorded)
    canvas = stage_at(large, "L11H7:softmax[6,2]", STAGES["wide"])
    assert value(line_with(canvas, rf"softmax = ({FIGURE})")[1]) == pytest.approx(float(large.trace["blocks.11.attn.pattern"][7, 6, 2]))
    row = line_with(stage_at(large, "residual[L9.mlp]@5", STAGES["wide"]), rf"^ L9\.mlp +({FIGURE})")
    assert shows(row[1], float(np.linalg.norm(large.trace["blocks.9.mlp_out"][5])), 1e-4)
