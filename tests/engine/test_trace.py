"""Trace files: what goes in comes out, and what isn't a trace is refused in one sentence."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from txexplain.engine.errors import TraceError
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace

IDS = [7, 3, 3, 60, 0]


@pytest.fixture
def trace(tiny: GPT2) -> Trace:
    trace = tiny.forward(IDS, all_logits=True)
    assert trace is not None
    return trace


def test_save_and_load_keep_everything(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "t.safetensors")
    back = Trace.load(tmp_path / "t.safetensors")
    assert (back.ids, back.names, back.config, back.model, back.tokens) == (trace.ids, trace.names, trace.config, trace.model, trace.tokens)
    for name in trace.names:
        np.testing.assert_array_equal(back[name], trace[name], err_msg=name)
    np.testing.assert_array_equal(back.last_logits, trace["logits"][-1])


def test_the_library_reads_our_files(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "t.safetensors")
    tensors = load_file(tmp_path / "t.safetensors")
    assert tensors["ids"].dtype == np.int64
    assert tensors["ids"].tolist() == IDS
    assert all(array.dtype == np.float32 for name, array in tensors.items() if name != "ids")
    np.testing.assert_array_equal(tensors["blocks.1.attn.pattern"], trace["blocks.1.attn.pattern"])


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_get_the_users_umask(trace: Trace, tmp_path: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        trace.save(tmp_path / "t.safetensors")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "t.safetensors").stat().st_mode) == 0o666 & ~umask
    assert [p.name for p in tmp_path.iterdir()] == ["t.safetensors"]


def test_a_place_that_cannot_be_written_is_named(trace: Trace, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file"):
        trace.save(tmp_path / "missing" / "t.safetensors")


def test_a_partial_trace_knows_what_it_lacks(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "t.safetensors", only=["blocks.1.resid_pre", "blocks.0.attn.pattern"])
    back = Trace.load(tmp_path / "t.safetensors")
    # What enters block 1 is what left block 0: recorded once, known under both names.
    assert back.names == ("blocks.0.attn.pattern", "blocks.0.resid_post", "blocks.1.resid_pre")
    assert "blocks.0.attn.q" not in back
    with pytest.raises(KeyError):
        back["blocks.0.attn.q"]


def broken(**changes: object) -> dict[str, np.ndarray]:
    pattern = np.tril(np.full((2, 3, 3), 0.5, dtype=np.float32))
    scores = np.where(np.tril(np.ones((3, 3))) > 0, 1.0, -np.inf).astype(np.float32) * np.ones((2, 1, 1), dtype=np.float32)
    good: dict[str, object] = {"ids": np.array([1, 2, 3]), "blocks.0.attn.pattern": pattern, "blocks.0.attn.attn_scores": scores}
    return {key: value for key, value in (good | changes).items() if value is not None}  # type: ignore[misc]


def low_inf() -> np.ndarray:
    scores = broken()["blocks.0.attn.attn_scores"].copy()
    scores[0, 2, 0] = -np.inf
    return scores


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ids": None}, "ids"),
        ({"ids": np.array([1, -2, 3])}, "ids"),
        ({"ids": np.array([1.0, 2.0, 3.0], dtype=np.float32)}, "ids"),
        ({"blocks.0.attn.pattern": np.zeros((2, 3, 4), dtype=np.float32)}, "blocks.0.attn.pattern is float32"),
        ({"blocks.0.attn.pattern": np.zeros((2, 3, 3), dtype=np.float64)}, "float64"),
        ({"blocks.0.attn.pattern": np.full((2, 3, 3), np.nan, dtype=np.float32)}, "pattern holds numbers that aren't finite"),
        ({"blocks.0.attn.attn_scores": low_inf()}, "attn_scores holds numbers that aren't finite"),
        ({"blocks.0.resid_mid": np.zeros((4, 6), dtype=np.float32)}, "resid_mid"),
        ({"logits": np.zeros((2, 9), dtype=np.float32)}, "logits"),
        ({"weird": np.zeros(3, dtype=np.float32)}, "weird"),
    ],
)
def test_a_file_whose_parts_disagree_is_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    save_file(broken(**changes), tmp_path / "t.safetensors")
    with pytest.raises(TraceError) as caught:
        Trace.load(tmp_path / "t.safetensors")
    assert words in str(caught.value)
    assert "t.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "metadata", [{"config": "{"}, {"config": json.dumps({"model_type": "bert"})}, {"tokens": "[1]"}, {"tokens": '["a"]'}]
)
def test_metadata_that_lies_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    save_file(broken(), tmp_path / "t.safetensors", metadata=metadata)
    with pytest.raises(TraceError, match=r"config|tokens"):
        Trace.load(tmp_path / "t.safetensors")


def test_a_trace_without_metadata_opens(tmp_path: Path) -> None:
    save_file(broken(), tmp_path / "t.safetensors")
    trace = Trace.load(tmp_path / "t.safetensors")
    assert (trace.ids, trace.config, trace.tokens, trace.model) == ((1, 2, 3), None, None, "")
