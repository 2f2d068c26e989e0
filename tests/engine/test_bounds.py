"""Work is bounded before it is begun: what is too much for the memory that is free, or for any GPT-2, is refused in one sentence."""

from __future__ import annotations

import dataclasses
import json
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sparse import refusal, sparse_checkpoint, sparse_file, within
from txexplain import cli
from txexplain.bounded import STRING, TooMuch, count_values, load_json
from txexplain.engine import room
from txexplain.engine.checkpoint import weight_shapes
from txexplain.engine.config import GPT2Config
from txexplain.engine.derive import norm_shares
from txexplain.engine.measures import head_measures
from txexplain.engine.model import GPT2
from txexplain.engine.room import longest, look_bytes, run_bytes
from txexplain.engine.safetensors import LONGEST_HEADER, read_safetensors
from txexplain.engine.trace import Trace
from txexplain.errors import CheckpointError, PromptError, TraceError
from txexplain.models import load_model

GOLDEN = Path(__file__).parents[1] / "golden"
JSON_FOLDER = GOLDEN / "tokenizer" / "json"
MB, GB = 10**6, 10**9
linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is Linux's")


@contextmanager
def at_most(most: int) -> Iterator[None]:
    """So many bytes more than there are."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[1] - before < most
    finally:
        tracemalloc.stop()


# Headers, and other JSON


@pytest.mark.parametrize("text", ['{"a": [1, {"b": []}], "c": "x"}', '["[,{", "\\"[[[", {"\\\\": 1}]', "[]", "1", '"a'])
def test_values_are_counted_before_they_are_made(text: str) -> None:
    plain = STRING.sub(b"", text.encode())
    found = count_values(plain)
    try:
        told = json.loads(text)
    except ValueError:
        return

    def within_it(value: Any) -> int:
        inside = [*value] if isinstance(value, list) else [*value.values()] if isinstance(value, dict) else []
        return isinstance(value, list | dict) + sum(map(within_it, inside)) + max(0, len(inside) - 1)

    assert found == within_it(told)
    assert load_json(text.encode(), found) == told
    if found:
        with pytest.raises(TooMuch, match="more than"):
            load_json(text.encode(), found - 1)


def test_strings_are_looked_for_once() -> None:
    """What never ends doesn't begin again at each of its quotes."""
    assert STRING.sub(b"", b'"' + b'\\"' * 100_000) == b""
    assert len(list(STRING.finditer(b'"' + b'\\"' * 100_000))) == 1


def header_file(path: Path, header: bytes) -> Path:
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


def test_a_header_of_many_values_is_refused_before_they_are_made(tmp_path: Path) -> None:
    path = header_file(tmp_path / "model.safetensors", b'{"x":[' + b"[]," * 6_000_000 + b"[]]}")
    with at_most(80 * MB), pytest.raises(CheckpointError, match=r"model\.safetensors has a header of more than 500,000 values"):
        read_safetensors(path)


def test_a_header_as_large_as_the_format_lets_it_be_isnt_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write((99 * MB).to_bytes(8, "little"))
        file.truncate(100 * MB)
    with at_most(MB), pytest.raises(CheckpointError, match=r"has a header of 99 MB; txexplain reads at most 20 MB of one"):
        read_safetensors(path)
    assert LONGEST_HEADER == 20 * MB


def test_a_config_of_many_values_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"x": [' + "[]," * 1_000_000 + "[]]}")
    with at_most(10 * MB), pytest.raises(CheckpointError, match=r"config\.json isn't a checkpoint's.*100,000"):
        GPT2Config.from_file(tmp_path / "config.json")


# Models


def test_a_model_of_more_heads_than_any_is_refused() -> None:
    fields = {"model_type": "gpt2", "n_layer": 1000, "n_embd": 1024}
    with pytest.raises(CheckpointError, match=r"n_layer = 1000 blocks of n_head = 1024 have 1,024,000 heads.*65,536"):
        GPT2Config.from_dict(fields | {"n_head": 1024}, "config.json")
    assert GPT2Config.from_dict(fields | {"n_head": 64}, "config.json").n_head == 64


@linux
def test_weights_too_large_to_widen_are_refused_and_what_needs_names_only_reads_these(tmp_path: Path) -> None:
    folder = str(sparse_checkpoint(tmp_path / "model", "F16", n_positions=1 << 22, n_embd=128))  # 1 GB of them
    said = refusal(within(5 * GB // 2, "predict", "--ids", "1,2", "--model", folder))
    assert "in float32 they take 2,1" in said
    assert "are free" in said
    info = within(5 * GB // 2, "models", "info", folder)
    assert info.returncode == 0, info.stderr
    assert "F16" in info.stdout


@linux
def test_a_run_too_long_for_the_memory_is_refused_with_what_it_needs_and_how_long_it_may_be(tmp_path: Path) -> None:
    folder = str(sparse_checkpoint(tmp_path / "model", n_positions=65536, n_layer=12, n_head=16, n_embd=16))
    said = refusal(within(3 * GB, "predict", "--ids", ",".join(["1"] * 8001), "--model", folder))
    assert "A run of 8,001 tokens through" in said
    most = int(said.rpartition("shorten the prompt to ")[2].split()[0].replace(",", ""))
    assert 300 < most < 2000


def model_of(tiny: GPT2, **sizes: int) -> GPT2:
    config = dataclasses.replace(tiny.config, **sizes)
    rng = np.random.default_rng(0)
    shapes = weight_shapes(config, with_head=False)
    tensors = {name: (rng.standard_normal(shape) * 0.1).astype(np.float32) for name, shape in shapes.items()}
    return GPT2(dataclasses.replace(tiny.checkpoint, config=config, tensors=tensors), tiny.tokenizer, "model")


SHAPES = [
    ({"n_positions": 700, "n_layer": 3, "n_head": 8, "n_embd": 16, "n_inner": 16}, 700, False),  # grids
    ({"n_positions": 300, "n_layer": 3, "n_head": 1, "n_embd": 256, "n_inner": 1024}, 300, False),  # rows
    ({"n_positions": 400, "n_layer": 1, "n_head": 1, "n_embd": 8, "n_inner": 8, "vocab_size": 20_000}, 400, True),  # logits
]


@pytest.mark.parametrize(("sizes", "n", "all_logits"), SHAPES)
def test_what_a_run_takes_is_known_before_it(tiny: GPT2, sizes: dict[str, int], n: int, all_logits: bool) -> None:
    model = model_of(tiny, **sizes)
    model.forward([1])
    tracemalloc.start()
    try:
        model.forward([1] * n, all_logits=all_logits)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    told = run_bytes(model.config, n, n, all_logits=all_logits)
    assert 0.7 * told < peak < 1.2 * told


def test_the_sentence_gives_the_most_tokens_that_fit(tiny: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LITTLE", 0)
    config = tiny.config
    free = run_bytes(config, 5, 5) + room.BLAS
    monkeypatch.setattr(room, "free_memory", lambda: free)
    assert longest(config, free - room.BLAS) == 5
    tiny.forward([1] * 5)
    said = r"^A run of 6 tokens through .* needs .* MB of memory, and .* are free; shorten the prompt to 5 tokens\.$"
    with pytest.raises(PromptError, match=said):
        tiny.forward([1] * 6)
    monkeypatch.setattr(room, "free_memory", lambda: 10)
    with pytest.raises(PromptError, match="open a smaller model"):
        tiny.forward([1])
    monkeypatch.setattr(room, "free_memory", lambda: None)  # the system doesn't say
    tiny.forward([1] * 6)


def test_shares_and_measures_are_computed_a_piece_at_a_time(tiny: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(tiny, n_positions=256, n_layer=1, n_head=8, n_embd=64, n_inner=8)
    trace = model.forward([i * 7 % 5 for i in range(256)])
    whole, measured = norm_shares(model, trace, 0), head_measures(trace, 1, 8)
    monkeypatch.setattr("txexplain.engine.derive.AT_ONCE", 50_000)
    monkeypatch.setattr("txexplain.engine.measures.AT_ONCE", 70_000)
    with at_most(3 * MB):  # the shares are half a megabyte, a grid of all heads in float64 four
        pieces = norm_shares(model, trace, 0)
    with at_most(3 * MB):
        parts = head_measures(trace, 1, 8)
    np.testing.assert_allclose(pieces, whole, rtol=1e-6)
    for name in parts.__dataclass_fields__:
        np.testing.assert_allclose(parts.of(name), measured.of(name), rtol=1e-12)


# Recorded runs


def trace_file(path: Path, n: int, *names: str, n_head: int = 1) -> Path:
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {"ids": ("I64", (n,))}
    for name in names:
        shapes[f"blocks.0.attn.{name}"] = ("F32", (n_head, n, n) if name in ("attn_scores", "pattern") else (n, n_head, 1))
    return sparse_file(path, shapes, format="txexplain-trace/1")


@linux
@pytest.mark.parametrize("names", [("pattern",), ("q", "k")])
def test_grids_too_large_for_the_memory_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Also those that aren't in the file, and would be computed from what is."""
    path = trace_file(tmp_path / "run.safetensors", 1 << 14, *names)
    said = refusal(within(3 * GB, "attention", "--trace", str(path), "--at", "L0H0"))
    assert "run.safetensors is too long: the attention of 16,384 tokens takes" in said
    assert "record fewer tokens" in said


def test_a_file_of_grids_is_looked_at_row_by_row(tmp_path: Path) -> None:
    path = trace_file(tmp_path / "run.safetensors", 2048, "pattern", "attn_scores", n_head=4)  # 67 MB each
    with at_most(24 * MB):
        assert Trace.load(path).n_tokens == 2048


@pytest.mark.parametrize(
    ("name", "at", "value", "said"),
    [
        ("pattern", (1, 900, 3), 2.0, "aren't shares"),
        ("pattern", (1, 3, 900), 0.5, "aren't shares"),
        ("pattern", (0, 5, 5), -0.5, "aren't shares"),
        ("pattern", (0, 999, 0), np.nan, "aren't finite"),
        ("attn_scores", (1, 900, 3), -np.inf, "aren't finite"),
        ("attn_scores", (0, 3, 900), np.nan, "aren't finite"),
        ("attn_scores", (0, 3, 900), np.inf, "aren't finite"),
        ("attn_scores", (1, 999, 999), -2e9, "2e+09"),
        ("attn_scores", (0, 3, 900), -np.inf, ""),
        ("attn_scores", (0, 3, 900), -3e38, ""),
    ],
)
def test_one_wrong_number_in_a_grid_of_many_rows_is_found(
    tmp_path: Path, name: str, at: tuple[int, int, int], value: float, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("txexplain.engine.tracefile.AT_ONCE", 7000)
    path = trace_file(tmp_path / "run.safetensors", 1000, name, n_head=2)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - 4 * 2_000_000 + 4 * (at[0] * 1_000_000 + at[1] * 1000 + at[2]))
        file.write(np.float32(value).tobytes())
    if said:
        with pytest.raises(TraceError) as error:
            Trace.load(path)
        assert said in str(error.value)
    else:
        assert Trace.load(path).n_tokens == 1000


def test_a_recorded_token_is_no_longer_than_one_can_be(tmp_path: Path) -> None:
    path = sparse_file(
        tmp_path / "run.safetensors", {"ids": ("I64", (2,))}, format="txexplain-trace/1", tokens=json.dumps(["a", "b" * 5000])
    )
    with pytest.raises(TraceError, match="token of 5,000 characters; 4,096 are the most"):
        Trace.load(path)


def test_what_views_take_grows_with_the_grids(tiny: GPT2) -> None:
    assert all(a < b for a, b in pairwise(look_bytes(tiny.config, n) for n in (1, 2, 50, 1000)))


# What nobody foresaw


def test_a_lack_of_memory_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def lacks(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("txexplain.engine.model.GPT2.stoppable_forward", lacks)
    with pytest.raises(SystemExit) as end:
        cli.cli.main(["predict", "Once"])
    assert end.value.code == 2
    assert capsys.readouterr().err.endswith(
        "The system has too little memory for this; close other programs, or give a shorter prompt or a smaller model.\n"
    )


def test_a_model_still_opens() -> None:
    assert load_model(str(GOLDEN / "saved" / "one")).forward([1, 2]).n_tokens == 2
