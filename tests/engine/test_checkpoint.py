"""Safetensors files and checkpoints: the same arrays as the library's, mapped; and every broken file refused in one sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save, save_file

from tests.examples import examples
from txexplain.engine.checkpoint import Checkpoint, open_checkpoint
from txexplain.engine.safetensors import FLOAT_DTYPES, read_safetensors
from txexplain.errors import CheckpointError, TraceError
from txexplain.models import bundled_path

PARITY = Path(__file__).parents[1] / "golden" / "parity"
CONFIG = {"model_type": "gpt2", "vocab_size": 7, "n_positions": 5, "n_embd": 4, "n_layer": 2, "n_head": 2, "n_inner": 6}
Arrays = dict[str, np.ndarray]


def shapes() -> dict[str, tuple[int, ...]]:
    """What the tiny GPT-2 of CONFIG is made of, written out."""
    block = {
        "ln_1.weight": (4,), "ln_1.bias": (4,), "attn.c_attn.weight": (4, 12), "attn.c_attn.bias": (12,),
        "attn.c_proj.weight": (4, 4), "attn.c_proj.bias": (4,), "ln_2.weight": (4,), "ln_2.bias": (4,),
        "mlp.c_fc.weight": (4, 6), "mlp.c_fc.bias": (6,), "mlp.c_proj.weight": (6, 4), "mlp.c_proj.bias": (4,),
    }  # fmt: skip
    ends = {"wte.weight": (7, 4), "wpe.weight": (5, 4), "ln_f.weight": (4,), "ln_f.bias": (4,)}
    return ends | {f"h.{layer}.{name}": shape for layer in (0, 1) for name, shape in block.items()}


def weights(dtype: Any = np.float32) -> Arrays:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes().items()}


def write(folder: Path, tensors: Arrays, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    save_file(tensors, folder / "model.safetensors")
    return folder


def write_shards(folder: Path, tensors: Arrays, **index: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    weight_map = {name: file for file, part in parts.items() for name in part} | index
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def raw(header: Any, data: bytes = b"") -> bytes:
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str, shape: Any, start: Any, end: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def is_mapped(array: np.ndarray) -> bool:
    base: Any = array
    while base is not None:
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


def bits(array: np.ndarray) -> np.ndarray:
    """The array's very bits, so that NaN equals itself and −0 isn't 0."""
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def same(have: Arrays, want: Arrays) -> None:
    assert set(have) == set(want)
    for name, array in want.items():
        assert have[name].dtype == array.dtype, name
        assert have[name].shape == array.shape, name
        np.testing.assert_array_equal(bits(have[name]), bits(array), err_msg=name)


def test_the_same_arrays_as_the_library(tmp_path: Path) -> None:
    every_half = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    tensors = {
        "f32": np.random.default_rng(1).standard_normal((3, 5)).astype(np.float32),
        "f16": every_half.reshape(256, 256),
        "f64": np.array([[1e300, np.nan, -0.0]]),
        "half": np.array(2, np.float16),
        "scalar": np.array(7, np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "bool": np.array([True, False]),
        **{
            name: np.array([np.iinfo(name).min, np.iinfo(name).max, 3], name)
            for name in ("int64", "int32", "int16", "int8", "uint64", "uint8")
        },
    }
    save_file(tensors, tmp_path / "t.safetensors", {"greeting": "grüß dich\n"})
    have, metadata = read_safetensors(tmp_path / "t.safetensors")
    want = load_file(tmp_path / "t.safetensors")
    want |= {name: want[name].astype(np.float32) for name in ("f16", "half")}
    same(have, want)
    assert metadata == {"greeting": "grüß dich\n"}
    for name, array in have.items():
        assert not array.flags.writeable, name
        assert array.flags.aligned, name
    assert all(is_mapped(array) for name, array in have.items() if name not in ("f16", "half"))


def test_bf16_is_widened_exactly(tmp_path: Path) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16)
    (tmp_path / "t.safetensors").write_bytes(raw({"x": entry("BF16", [2, 1 << 15], 0, 1 << 17)}, halves.tobytes()))
    x = read_safetensors(tmp_path / "t.safetensors")[0]["x"]
    want = np.frombuffer(b"".join(b"\0\0" + half.tobytes() for half in halves), np.float32).reshape(2, -1)
    same({"x": x}, {"x": want})
    assert not x.flags.writeable
    assert x[0, 0x3F80] == 1.0
    assert np.isposinf(x[0, 0x7F80])


def test_a_bf16_scalar_is_an_array(tmp_path: Path) -> None:
    (tmp_path / "t.safetensors").write_bytes(raw({"x": entry("BF16", [], 0, 2)}, b"\x80\x3f"))
    same(read_safetensors(tmp_path / "t.safetensors")[0], {"x": np.array(1, np.float32)})


def test_tensors_of_a_file_share_one_map_and_memory_order_is_kept(tmp_path: Path) -> None:
    save_file({"a": np.ones((3, 5), np.float32), "b": np.ones((4, 4), np.float32)}, tmp_path / "t.safetensors")
    tensors, _ = read_safetensors(tmp_path / "t.safetensors")
    a, b = tensors["a"], tensors["b"]
    assert a.base is not None
    assert np.shares_memory(a, np.asarray(a.base))
    assert a.base is b.base
    assert a.strides == (20, 4)
    again, _ = read_safetensors(tmp_path / "t.safetensors")
    assert not np.shares_memory(a, again["a"]), "another map"
    with pytest.raises(ValueError, match="WRITEABLE"):
        a.flags.writeable = True


@pytest.mark.parametrize("padding", range(8))
def test_only_what_is_not_aligned_is_copied(tmp_path: Path, padding: int) -> None:
    values, ids = np.array([1.5, -2.5], np.float32), np.array([1, 2], np.int64)
    header = json.dumps({"ids": entry("I64", [2], 8, 24), "x": entry("F32", [2], 0, 8)}).encode()
    header += b" " * (-len(header) % 8 + padding)
    (tmp_path / "t.safetensors").write_bytes(raw(header, values.tobytes() + ids.tobytes()))
    tensors, _ = read_safetensors(tmp_path / "t.safetensors")
    same(tensors, {"x": values, "ids": ids})
    assert list(tensors) == ["x", "ids"], "in the order of their bytes"
    assert is_mapped(tensors["x"]) == (padding % 4 == 0)
    assert is_mapped(tensors["ids"]) == (padding == 0)
    assert all(t.flags.aligned and not t.flags.writeable for t in tensors.values())


def test_a_file_replaced_while_open_keeps_its_numbers(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write(tmp_path / "m", weights()))
    before = checkpoint.tensors["wte.weight"].copy()
    save_file({name: array * 0 for name, array in weights().items()}, tmp_path / "new")
    (tmp_path / "new").replace(tmp_path / "m" / "model.safetensors")
    np.testing.assert_array_equal(checkpoint.tensors["wte.weight"], before)
    assert before.any()


X = {"x": entry("F32", [2], 0, 8)}
BROKEN: dict[str, tuple[bytes, list[str]]] = {
    "empty": (b"", ["0 bytes", "too few"]),
    "seven bytes": (b"\2\0\0\0\0\0\0", ["7 bytes", "too few"]),
    "no header": ((0).to_bytes(8, "little"), ["header", "JSON"]),
    "header longer than the file": ((100).to_bytes(8, "little") + b"{}", ["100 bytes", "cut short"]),
    "header longer by one byte": ((3).to_bytes(8, "little") + b"{}", ["3 bytes", "cut short"]),
    "header longer than all": (b"\xff" * 8 + b"{}", ["isn't a safetensors file"]),
    "zip": (b"PK\x03\x04\0\0\x08\x08" + b"\0" * 50, ["pickle", "save_pretrained"]),
    "pickle": (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", ["pickle", "run code"]),
    "lfs pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", ["git lfs pull"]),
    "not utf-8": (raw(b'{"\xff": 1}'), ["header", "JSON"]),
    "not json": (raw(b"{'x': 1}"), ["header", "JSON"]),
    "nan": (raw(b'{"x": NaN}'), ["header", "NaN"]),
    "a list": (raw([]), ["header", "JSON object"]),
    "a byte order mark": (raw(b'\xef\xbb\xbf{"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', b"\0" * 8), ["JSON object"]),
    "deep": (raw(b'{"x": ' + b"[" * 100_000), ["header", "JSON"]),
    "twice": (raw(b'{"x": %b, "x": %b}' % ((json.dumps(X["x"]).encode(),) * 2), b"\0" * 8), ["x", "twice"]),
    "field twice": (raw(b'{"x": {"dtype": "F32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', b"\0" * 8), ["dtype", "twice"]),
    "metadata": (raw({"__metadata__": {"a": 1}, **X}, b"\0" * 8), ["__metadata__"]),
    "metadata list": (raw({"__metadata__": ["a"], **X}, b"\0" * 8), ["__metadata__"]),
    "surrogate": (raw(b'{"\\ud800": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', b"\0" * 8), ["header"]),
    "entry list": (raw({"x": []}), ["x"]),
    "lacks shape": (raw({"x": {"dtype": "F32", "data_offsets": [0, 8]}}, b"\0" * 8), ["x", "shape"]),
    "dtype": (raw({"x": entry("F8_E4M3", [8], 0, 8)}, b"\0" * 8), ["x", "F8_E4M3", "BF16"]),
    "dtype list": (raw({"x": {**X["x"], "dtype": ["F32"]}}, b"\0" * 8), ["x", "dtype"]),
    "shape string": (raw({"x": entry("F32", "2", 0, 8)}, b"\0" * 8), ["x", "shape"]),
    "shape bool": (raw({"x": entry("F32", [True, 2], 0, 8)}, b"\0" * 8), ["x", "shape"]),
    "shape float": (raw({"x": entry("F32", [2.0], 0, 8)}, b"\0" * 8), ["x", "shape"]),
    "shape negative": (raw({"x": entry("F32", [-2, -1], 0, 8)}, b"\0" * 8), ["header", "-2"]),
    "shape huge": (raw({"x": entry("F32", [1 << 62, 4], 0, 8)}, b"\0" * 8), ["x", "too large"]),
    "shape huge and empty": (raw({"x": entry("F32", [0, 1 << 62, 1 << 62], 0, 0)}), ["x", "too large"]),
    "axes": (raw({"x": entry("F32", [1] * 40 + [2], 0, 8)}, b"\0" * 8), ["x", "shape"]),
    "three offsets": (raw({"x": {**X["x"], "data_offsets": [0, 4, 8]}}, b"\0" * 8), ["x", "data_offsets"]),
    "offsets backwards": (raw({"x": entry("F32", [2], 8, 0)}, b"\0" * 8), ["x", "-8 bytes"]),
    "size": (raw({"x": entry("F32", [3], 0, 8)}, b"\0" * 8), ["x", "8 bytes", "F32 [3] takes 12"]),
    "cut short": (raw(X, b"\0" * 7), ["x", "cut short", "byte 8", "has 7"]),
    "offset out of bounds": (raw({"x": entry("F32", [2], 1 << 50, (1 << 50) + 8)}, b"\0" * 8), ["x", "gap"]),
    "gap at the start": (raw({"x": entry("F32", [1], 4, 8)}, b"\0" * 8), ["x", "gap"]),
    "gap": (raw({**X, "y": entry("F32", [1], 12, 16)}, b"\0" * 16), ["y", "gap"]),
    "overlap": (raw({**X, "y": entry("F32", [2], 4, 12)}, b"\0" * 12), ["y", "overlaps"]),
    "the same place": (raw({**X, "y": entry("F32", [2], 0, 8)}, b"\0" * 8), ["y", "overlaps"]),
    "bytes behind": (raw(X, b"\0" * 9), ["1 bytes behind"]),
}


def sentence_of(caught: pytest.ExceptionInfo[CheckpointError]) -> str:
    return one_line(str(caught.value))


def one_line(text: str) -> str:
    assert text.isprintable(), "one line, nothing raw"
    assert text.endswith(".")
    assert len(text) < 500
    return text


def assert_says(text: str, fragments: list[str]) -> None:
    assert [fragment for fragment in fragments if fragment not in text] == [], text


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named(tmp_path: Path, case: str) -> None:
    content, fragments = BROKEN[case]
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_safetensors(path)
    assert_says(sentence_of(caught), [f"The checkpoint {path} ", *fragments])


def test_the_reader_says_what_the_file_is(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"^The trace .*none\.safetensors can't be read: No such file or directory\.$"):
        read_safetensors(tmp_path / "none.safetensors", what="trace", error=TraceError)


@pytest.mark.parametrize(
    ("make", "fragments"),
    [
        (lambda path: path.mkdir(), ["is a folder"]),
        (os.mkfifo, ["device or pipe"]),
        (lambda path: path.symlink_to(path), ["can't be read"]),
        (lambda path: path.symlink_to("/dev/zero"), ["device or pipe"]),
    ],
    ids=["folder", "pipe", "loop", "device"],
)
def test_what_is_not_a_file_is_refused(tmp_path: Path, make: Callable[[Path], Any], fragments: list[str]) -> None:
    path = tmp_path / "odd.safetensors"
    make(path)
    with pytest.raises(CheckpointError) as caught:
        read_safetensors(path)
    assert_says(sentence_of(caught), [str(path), *fragments])


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "m", weights())

    def denied(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("txexplain.files.open", denied, raising=False)
    monkeypatch.setattr("txexplain.engine.safetensors.open", denied, raising=False)
    with pytest.raises(CheckpointError) as caught:
        read_safetensors(folder / "model.safetensors")
    assert_says(sentence_of(caught), ["model.safetensors", "Permission denied"])
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    assert_says(sentence_of(caught), ["config.json", "Permission denied"])


SMALL = save({"w": np.arange(6, dtype=np.float32).reshape(2, 3), "ids": np.array([3, 1], np.int64)}, {"k": "v"})


def check_against_the_library(path: Path, content: bytes) -> None:
    """Either the same arrays as the library's, or CheckpointError; never another exception, never arrays that the library refuses."""
    path.write_bytes(content)
    try:
        have, _ = read_safetensors(path)
    except CheckpointError as error:
        assert_says(one_line(str(error)), [str(path)])
        return
    want = load_file(path)
    same(have, {name: array.astype(np.float32) if array.dtype == np.float16 else array for name, array in want.items()})


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    for length in range(len(SMALL)):
        (tmp_path / "t.safetensors").write_bytes(SMALL[:length])
        with pytest.raises(CheckpointError, match=r"t\.safetensors"):
            read_safetensors(tmp_path / "t.safetensors")


header_end = 8 + int.from_bytes(SMALL[:8], "little")
edits = st.lists(
    st.tuples(
        st.integers(0, header_end - 1),
        st.sampled_from(["set", "insert", "delete", "copy"]),
        st.integers(0, 255) | st.sampled_from(list(b'0123456789-{}[]",:\\ FIUB')),
    ),
    min_size=1,
    max_size=4,
)


@settings(examples(600), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits, st.booleans())
def test_any_change_of_the_header_gives_the_librarys_arrays_or_a_refusal(
    tmp_path: Path, edits: list[tuple[int, str, int]], mend: bool
) -> None:
    content = bytearray(SMALL)
    for place, kind, byte in edits:
        if kind == "set":
            content[place] = byte
        elif kind == "insert":
            content.insert(place, byte)
        elif kind == "delete":
            del content[place]
        else:
            content[place:place] = content[place : place + byte]
    if mend:  # the length that the edited header really has: so that what is inside gets read
        content[:8] = (header_end - 8 + len(content) - len(SMALL)).to_bytes(8, "little", signed=True)
    check_against_the_library(tmp_path / "t.safetensors", bytes(content))


def test_every_single_byte_of_the_header_changed(tmp_path: Path) -> None:
    for place in range(header_end):
        for byte in (0, 0x20, 0x2D, 0x30, 0x39, 0x7D, 0xFF, SMALL[place] ^ 1):
            check_against_the_library(tmp_path / "t.safetensors", SMALL[:place] + bytes([byte]) + SMALL[place + 1 :])


names = st.sampled_from(["a", "b", "c"])
claims = st.builds(
    entry,
    st.sampled_from(["F32", "F16", "I64", "U8", "F4", "f32"]),
    st.lists(st.integers(0, 3) | st.sampled_from([-1, 2**31, 2**63, 2**64]), max_size=3),
    st.integers(0, 24),
    st.integers(0, 48) | st.just(2**64),
)


@settings(examples(300), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names, claims, max_size=3), st.integers(0, 48))
def test_any_claims_give_the_librarys_arrays_or_a_refusal(tmp_path: Path, header: dict[str, Any], size: int) -> None:
    check_against_the_library(tmp_path / "t.safetensors", raw(header, bytes(range(size))))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("prepared") / "m", weights())


def test_a_checkpoint_is_its_files_arrays(prepared: Path) -> None:
    checkpoint = open_checkpoint(prepared)
    same(dict(checkpoint.tensors), weights())
    assert all(is_mapped(array) and not array.flags.writeable for array in checkpoint.tensors.values())
    assert (checkpoint.folder, checkpoint.files, checkpoint.dtype) == (prepared, (prepared / "model.safetensors",), "F32")
    assert (checkpoint.config.n_layer, checkpoint.config.n_inner, checkpoint.config.tie_word_embeddings) == (2, 6, True)
    with pytest.raises(TypeError):
        checkpoint.tensors["wte.weight"] = np.zeros(1)  # type: ignore[index]


def test_a_file_beside_its_config_is_a_checkpoint(prepared: Path) -> None:
    checkpoint = open_checkpoint(prepared / "model.safetensors")
    same(dict(checkpoint.tensors), weights())
    assert checkpoint.folder == prepared


def test_names_may_have_the_prefix_and_buffers_are_ignored(tmp_path: Path) -> None:
    tensors = {f"transformer.{name}": array for name, array in weights().items()}
    for layer in (0, 1):
        tensors[f"transformer.h.{layer}.attn.bias"] = np.tril(np.ones((1, 1, 5, 5), np.uint8))
        tensors[f"transformer.h.{layer}.attn.masked_bias"] = np.array(-1e4, np.float32)
    same(dict(open_checkpoint(write(tmp_path / "m", tensors)).tensors), weights())


def test_shards_are_put_together(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_shards(tmp_path / "m", weights()))
    same(dict(checkpoint.tensors), weights())
    assert [file.name for file in checkpoint.files] == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def test_one_file_comes_before_shards(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "m", weights())
    write(folder, {name: array + 1 for name, array in weights().items()})
    same(dict(open_checkpoint(folder).tensors), {name: array + 1 for name, array in weights().items()})


@pytest.mark.parametrize("name", ["default", "erf", "relu", "silu", "tanh", "swish", "pytorch_tanh"])
def test_what_transformers_saved_is_read(name: str) -> None:
    folder = PARITY / name
    checkpoint = open_checkpoint(folder)
    for file in checkpoint.files:
        if checkpoint.dtype != "BF16":
            for key, array in load_file(file).items():
                np.testing.assert_array_equal(checkpoint.tensors[key.removeprefix("transformer.")], array.astype(np.float32))
    assert set(checkpoint.dtype.split(", ")) <= set(FLOAT_DTYPES)


def test_the_bundled_checkpoint_is_half_precision_widened() -> None:
    checkpoint = open_checkpoint(bundled_path())
    assert checkpoint.dtype == "F16"
    same(
        dict(checkpoint.tensors), {k.removeprefix("transformer."): v.astype(np.float32) for k, v in load_file(checkpoint.files[0]).items()}
    )


def test_mixed_dtypes_are_named(tmp_path: Path) -> None:
    tensors = weights(np.float16)
    tensors["ln_f.bias"] = tensors["ln_f.bias"].astype(np.float32)
    checkpoint = open_checkpoint(write(tmp_path / "m", tensors))
    assert checkpoint.dtype == "F16, F32"
    same(dict(checkpoint.tensors), {name: array.astype(np.float32) for name, array in tensors.items()})


def head() -> np.ndarray:
    return np.arange(28, dtype=np.float32).reshape(7, 4)


def test_a_head_of_its_own(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write(tmp_path / "m", weights() | {"lm_head.weight": head()}, tie_word_embeddings=False))
    np.testing.assert_array_equal(checkpoint.tensors["lm_head.weight"], head())
    assert not checkpoint.config.tie_word_embeddings


def test_an_untied_head_may_equal_the_embedding(tmp_path: Path) -> None:
    tensors = weights() | {"lm_head.weight": weights()["wte.weight"]}
    assert "lm_head.weight" in open_checkpoint(write(tmp_path / "m", tensors, tie_word_embeddings=False)).tensors


def test_a_tied_heads_copy_is_left_out(tmp_path: Path) -> None:
    tensors = weights() | {"lm_head.weight": weights()["wte.weight"]}
    checkpoint = open_checkpoint(write(tmp_path / "m", tensors))
    assert "lm_head.weight" not in checkpoint.tensors
    assert checkpoint.config.tie_word_embeddings


def test_a_head_that_differs_is_used_even_where_the_config_says_tied(tmp_path: Path) -> None:
    # transformers 5: "both are present in the checkpoints with different values, so we will NOT tie them"
    checkpoint = open_checkpoint(write(tmp_path / "m", weights() | {"lm_head.weight": head()}))
    np.testing.assert_array_equal(checkpoint.tensors["lm_head.weight"], head())
    assert not checkpoint.config.tie_word_embeddings


@pytest.mark.parametrize("name", [*shapes(), "lm_head.weight"])
def test_each_tensors_presence_shape_and_dtype_is_checked(tmp_path: Path, name: str) -> None:
    good = weights() | {"lm_head.weight": head()}
    changes: dict[str, Arrays] = {
        "lacks the tensor": {key: array for key, array in good.items() if key != name},
        "in the shape": good | {name: np.concatenate([good[name], good[name][:1]])},
        "as I32": good | {name: good[name].astype(np.int32)},
    }
    if good[name].ndim == 2 and good[name].shape[0] != good[name].shape[1]:
        changes["asks for"] = good | {name: np.ascontiguousarray(good[name].T)}
    for number, (fragment, tensors) in enumerate(changes.items()):
        folder = write(tmp_path / str(number), tensors, tie_word_embeddings=False)
        with pytest.raises(CheckpointError) as caught:
            open_checkpoint(folder)
        assert_says(sentence_of(caught), [str(folder / "model.safetensors"), name, fragment])


def edit(name: str, content: bytes | None) -> Callable[[Path], None]:
    """Replace a file of the folder, or remove it."""

    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_bytes(content)

    return change


def pickles_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def weights_are_a_folder(folder: Path) -> None:
    edit("model.safetensors", None)(folder)
    (folder / "model.safetensors").mkdir()


def half_a_model(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG | {"n_layer": 1}))


def twice(folder: Path) -> None:
    save_file(weights() | {"transformer.ln_f.bias": weights()["ln_f.bias"] + 1}, folder / "model.safetensors")


FOLDERS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "no config": (edit("config.json", None), ["config.json", "No such file"]),
    "another model": (edit("config.json", b'{"model_type": "bert"}'), ["config.json", '"bert"', "GPT-2"]),
    "no weights": (edit("model.safetensors", None), ["no model.safetensors"]),
    "pickle": (pickles_only, ["pytorch_model.bin", "pickle", "txexplain convert"]),
    "renamed pickle": (edit("model.safetensors", b"PK\x03\x04" + b"\x08" * 30), ["model.safetensors", "pickle"]),
    "cut short": (edit("model.safetensors", save(weights())[:-1]), ["model.safetensors", "cut short"]),
    "folder": (weights_are_a_folder, ["model.safetensors", "folder"]),
    "half a model": (half_a_model, ["model.safetensors", "h.1.", "n_layer = 1"]),
    "twice": (twice, ["ln_f.bias", "other numbers", "remove one"]),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_broken_folder_is_named(tmp_path: Path, case: str) -> None:
    change, fragments = FOLDERS[case]
    folder = write(tmp_path / "m", weights())
    change(folder)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    assert_says(sentence_of(caught), [str(folder), *fragments])


def index(content: Any) -> Callable[[Path], None]:
    return edit("model.safetensors.index.json", content if isinstance(content, bytes) else json.dumps(content).encode())


SHARDS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "shard missing": (edit("model-00002-of-00002.safetensors", None), ["index.json", "model-00002-of-00002.safetensors", "isn't there"]),
    "shard cut": (edit("model-00002-of-00002.safetensors", b"\0"), ["model-00002-of-00002.safetensors", "too few"]),
    "index not json": (index(b"{"), ["index.json", "JSON"]),
    "index list": (index([]), ["index.json", "weight_map"]),
    "no map": (index({"metadata": {}}), ["index.json", "weight_map"]),
    "empty map": (index({"weight_map": {}}), ["index.json", "weight_map"]),
    "map of numbers": (index({"weight_map": {"wte.weight": 1}}), ["index.json", "weight_map"]),
    "outside": (index({"weight_map": {"wte.weight": "../m/model-00001-of-00002.safetensors"}}), ["index.json", "../m", "same folder"]),
    "absolute": (index({"weight_map": {"wte.weight": "/etc/passwd"}}), ["index.json", "/etc/passwd", "same folder"]),
    "backslash": (index({"weight_map": {"wte.weight": "..\\x.safetensors"}}), ["index.json", "same folder"]),
    "newline": (index({"weight_map": {"wte.weight": "a.safetensors\n"}}), ["index.json", "same folder"]),
    "pickle": (index({"weight_map": {"wte.weight": "pytorch_model.bin"}}), ["index.json", "pytorch_model.bin"]),
    "half": (index({"weight_map": {"wte.weight": "model-00002-of-00002.safetensors"}}), ["index.json", "lacks the tensor wpe.weight"]),
}


@pytest.mark.parametrize("case", SHARDS)
def test_broken_shards_are_named(tmp_path: Path, case: str) -> None:
    change, fragments = SHARDS[case]
    folder = write_shards(tmp_path / "m", weights())
    change(folder)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(folder)
    assert_says(sentence_of(caught), [str(folder), *fragments])


def test_a_tensor_that_no_shard_holds_is_refused_by_the_shard_that_should(tmp_path: Path) -> None:
    lost = sorted(weights())[0]
    left = {name: array for name, array in weights().items() if name != lost}
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(write_shards(tmp_path / "m", left, **{lost: "model-00002-of-00002.safetensors"}))
    assert_says(sentence_of(caught), ["model-00002-of-00002.safetensors", f"lacks the tensor {lost}", "index"])


@pytest.mark.parametrize("name", ["nowhere", "a\0b", "x" * 300])
def test_a_path_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="can't be read"):
        open_checkpoint(tmp_path / name)


def test_numbers_that_are_not_finite_are_not_this_modules_affair(tmp_path: Path) -> None:
    checkpoint: Checkpoint = open_checkpoint(write(tmp_path / "m", {name: array * np.float32("nan") for name, array in weights().items()}))
    assert np.isnan(checkpoint.tensors["wte.weight"]).all()
