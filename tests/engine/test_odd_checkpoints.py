"""Checkpoints as other programs and people leave them: what transformers makes of each is what is shown, or a sentence says what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from tests.engine.odd_checkpoints import BASE, HEADS, IDS, ODD, PREFIXED, base, in_shards, renamed, with_config, with_tensors, write
from txexplain.cli import cli
from txexplain.engine.checkpoint import open_checkpoint, read_layout
from txexplain.errors import CheckpointError
from txexplain.models import load_model

REFERENCE = np.load(BASE.parents[1] / "checkpoints.npz")


def logits(path: Path) -> np.ndarray:
    return load_model(path).forward(IDS)["logits"]


def close(have: np.ndarray, want: np.ndarray) -> None:
    np.testing.assert_allclose(have, want, rtol=0, atol=1e-5 * float(np.abs(want).max()))


def test_the_references_tell_the_kinds_apart() -> None:
    """A model that ignored what is odd would be seen: the numbers differ by more than is allowed."""
    plain = REFERENCE[""]
    for name in (
        "gelu_python",
        "gelu_10",
        "quick_gelu",
        "float64 and half",
        "no biases",
        "no biases of LayerNorms",
        "no biases of linear layers",
    ):
        assert np.abs(REFERENCE[name] - plain).max() > 3e-5 * np.abs(plain).max(), name
    assert np.abs(REFERENCE["gelu_10"] - REFERENCE["quick_gelu"]).max() > 1e-3


@pytest.mark.parametrize("name", ODD)
def test_logits_are_transformers(name: str, tmp_path: Path) -> None:
    ODD[name](tmp_path)
    close(logits(tmp_path), REFERENCE[name])


@pytest.mark.parametrize("name", PREFIXED)
def test_what_training_put_before_names_is_taken_off(name: str, tmp_path: Path) -> None:
    PREFIXED[name](tmp_path)
    close(logits(tmp_path), REFERENCE[""])


def test_a_classifier_that_is_not_tied_shows_its_body(tmp_path: Path) -> None:
    """As it was trained: in its place stood no output that could be tied. The embedding stands for one, and that is said."""
    made = with_tensors(lambda tensors: tensors | {"score.weight": np.ones((2, 24), np.float32)}, tie_word_embeddings=False)
    made(tmp_path)
    close(logits(tmp_path), REFERENCE["classifies texts"])
    assert load_model(tmp_path).notes == (
        "Its other head (score.weight) isn't shown: what is shown is the body, with the token embedding as its output.",
    )


def test_a_body_that_says_its_output_is_its_own_says_how_to_see_it(tmp_path: Path) -> None:
    with_config(tie_word_embeddings=False, architectures=["GPT2Model"])(tmp_path)
    with pytest.raises(
        CheckpointError, match=r'lacks the tensor lm_head\.weight.*"tie_word_embeddings": true in its config.json shows its body'
    ):
        load_model(tmp_path)
    with_config(tie_word_embeddings=True, architectures=["GPT2Model"])(tmp_path)
    close(logits(tmp_path), REFERENCE[""])


def test_an_index_of_another_precision_opens_by_its_name(tmp_path: Path) -> None:
    index = "model.safetensors.index.fp16.json"
    in_shards(dict, ("model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"), index)(tmp_path)
    close(logits(tmp_path / index), REFERENCE[""])
    with pytest.raises(CheckpointError, match="name that file itself"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_is_not_shown_is_named(name: str, tmp_path: Path) -> None:
    ODD[name](tmp_path)
    (note,) = open_checkpoint(tmp_path).notes
    assert [word for word in (*HEADS[name], "isn't shown", "body", "token embedding") if word not in note] == []
    assert open_checkpoint(BASE).notes == ()


def test_commands_say_what_is_not_shown_apart_from_the_numbers(tmp_path: Path) -> None:
    ODD["classifies texts"](tmp_path)
    done = CliRunner().invoke(cli, ["predict", "--model", str(tmp_path), "--ids", "1,2", "--json"])
    assert json.loads(done.stdout)["next"]
    assert done.stderr.startswith("txexplain: Its other head (score.weight) isn't shown")
    assert "score.weight" in CliRunner().invoke(cli, ["models", "info", str(tmp_path)]).stdout


def test_biases_that_nobody_trained_are_read_only_zeros(tmp_path: Path) -> None:
    ODD["no biases"](tmp_path)
    layout, checkpoint = read_layout(tmp_path), open_checkpoint(tmp_path)
    assert set(layout.zeros) == {name for name in checkpoint.tensors if name.endswith(".bias")}
    for name, shape in layout.zeros.items():
        bias = checkpoint.tensors[name]
        assert (bias.shape, bias.dtype, bias.flags.writeable, bias.any()) == (shape, np.float32, False, False)
    assert set(checkpoint.tensors) == set(open_checkpoint(BASE).tensors)


@pytest.mark.parametrize("lost", ["transformer.h.1.ln_2.bias", "transformer.ln_f.bias", "transformer.h.0.mlp.c_fc.bias"])
def test_a_model_that_lacks_one_bias_is_damaged(lost: str, tmp_path: Path) -> None:
    with_tensors(lambda tensors: {name: array for name, array in tensors.items() if name != lost})(tmp_path)
    with pytest.raises(CheckpointError, match=lost.removeprefix("transformer.")):
        open_checkpoint(tmp_path)


def test_a_number_beyond_float32_becomes_infinite_and_is_found(tmp_path: Path) -> None:
    with_tensors(lambda tensors: {name: array.astype(np.float64) * 1e300 for name, array in tensors.items()})(tmp_path)
    assert np.isinf(open_checkpoint(tmp_path).tensors["wte.weight"]).any()


# Refusals: each has looked at what is there


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "gpt2"}))
    save_file(
        {"base_model.model.transformer.h.0.attn.c_attn.lora_A.weight": np.ones((1, 8), np.float32)}, folder / "adapter_model.safetensors"
    )


def touched(*names: str, data: bytes = b"\x80\x02}q\0.") -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    return make


def trained(folder: Path) -> None:
    for name in ("checkpoint-9", "checkpoint-500", "checkpoint-70"):
        (folder / name).mkdir()
        with_config()(folder / name)
    touched("training_args.bin", "optimizer.pt", "rng_state.pth")(folder)


def in_the_cache(folder: Path) -> None:
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    with_config()(folder / "snapshots" / ("0" * 40))


def called(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write(folder, *base(), name)

    return make


def transposed(folder: Path) -> None:
    linear = ("c_attn.weight", "c_fc.weight", "c_proj.weight")
    with_tensors(lambda tensors: {name: array.T if name.endswith(linear) else array for name, array in tensors.items()})(folder)


REFUSED: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "an adapter": (adapter, ["PEFT adapter of gpt2"]),
    "nanoGPT's": (touched("ckpt.pt", data=b"PK\x03\x04\0\0"), ["ckpt.pt", "a pickle"]),
    "pickles in shards": (touched("pytorch_model.bin.index.json", data=b"{}"), ["pytorch_model.bin.index.json", "a pickle"]),
    "a pickle of any name": (touched("epoch3.pth"), ["epoch3.pth", "a pickle"]),
    "OpenAI's": (touched("model.ckpt.index", "model.ckpt.data-00000-of-00001", "checkpoint"), ["TensorFlow", "transformers 4"]),
    "Keras": (touched("tf_model.h5", "config.json"), ["tf_model.h5", "TensorFlow"]),
    "Flax": (touched("flax_model.msgpack"), ["flax_model.msgpack", "Flax", "from_flax"]),
    "llama.cpp's": (touched("gpt2-q4.gguf"), ["gpt2-q4.gguf", "GGUF"]),
    "another precision": (called("model.fp16.safetensors"), ["model.fp16.safetensors: name that file itself"]),
    "another name": (called("my.safetensors"), ["my.safetensors: name that file itself"]),
    "a shard without the index": (called("model-00001-of-00002.safetensors"), ["model.safetensors.index.json", "fetch that too"]),
    "a trainer's output": (trained, ["its folder checkpoint-500 has", "checkpoint-500"]),
    "a repository of the cache": (in_the_cache, ["snapshots", "0" * 40]),
    "a wrapper's names": (renamed(lambda name: f"pretrained_model.{name}"), ["names begin with pretrained_model.transformer."]),
    "another model's names": (renamed(lambda name: f"layers.{name.replace('wte', 'tok')}"), ["no tensor of GPT-2's names", "layers."]),
    "an adapter left in": (
        renamed(lambda name: name.replace("c_attn.weight", "c_attn.lora_A.weight")),
        ["lora_A", "merge_and_unload"],
    ),
    "quantized": (with_tensors(lambda tensors: {n: a.astype(np.int8) for n, a in tensors.items()}), ["I8", "quantized", "dequantize"]),
    "quantized, by the config": (with_config(quantization_config={"quant_method": "awq"}), ["config.json", "quantized", "dequantize"]),
    "transposed": (transposed, ["c_attn.weight", "[72, 24]", "transposed", "[inputs, outputs]"]),
    "nothing": (lambda folder: None, ["name a folder that holds a GPT-2"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_what_is_there_and_what_to_do(name: str, tmp_path: Path) -> None:
    make, words = REFUSED[name]
    make(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path)
    said = str(caught.value)
    assert [word for word in (str(tmp_path), *words) if word not in said] == [], said
    assert "checkpoint-9" not in said


@pytest.mark.parametrize(
    ("make", "file", "words"),
    [
        (touched("ckpt.pt", data=b"PK\x03\x04\0\0"), "ckpt.pt", ["a pickle"]),
        (touched("x.gguf", data=b"GGUF\3\0\0\0"), "x.gguf", ["GGUF"]),
        (adapter, "adapter_model.safetensors", ["PEFT adapter of gpt2"]),
        (touched("model.ckpt.index"), "model.ckpt.index", ["TensorFlow"]),
        (with_config(), "config.json", ["a config", "name its folder"]),
    ],
)
def test_a_file_is_looked_at_before_its_config_is_missed(make: Callable[[Path], None], file: str, words: list[str], tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path / file)
    said = str(caught.value)
    assert [word for word in (str(tmp_path / file), *words) if word not in said] == [], said
    assert "can't be read" not in said


def test_a_pipe_among_the_files_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match="name a folder that holds a GPT-2"):
        open_checkpoint(tmp_path)


def test_two_shards_that_differ_in_a_tensor_are_refused(tmp_path: Path) -> None:
    ODD["a tensor in both shards"](tmp_path)
    tensors, _ = base()
    name = "transformer.h.0.attn.c_attn.bias"
    part = {key: tensors[key] for key in sorted(tensors)[1::2]} | {name: tensors[name] + 1}
    save_file(part, tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(CheckpointError, match=r"c_attn\.bias with other numbers than .*00001-of-00002"):
        open_checkpoint(tmp_path)


HOSTILE = {
    "more names than any model has": ({f"h.{n}.x": "model-00001-of-00002.safetensors" for n in range(100_001)}, "more than 100,000"),
    "a shard a name": ({f"h.{n}.x": f"m{n}.safetensors" for n in range(90_000)}, "m0.safetensors, which isn't there"),
    "a shard outside": ({"wte.weight": "../model-00001-of-00002.safetensors"}, "isn't a .safetensors file in the same folder"),
    "itself": ({"wte.weight": "model.safetensors.index.json"}, "isn't a .safetensors file in the same folder"),
    "a name without an end": ({"wte.weight": "a" * 5000 + ".safetensors"}, "isn't there"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_index_costs_little_and_opens_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight_map, words = HOSTILE[name]
    in_shards(lambda _: weight_map)(tmp_path)

    def never(*_: object) -> None:
        raise AssertionError("no shard is opened")

    monkeypatch.setattr("txexplain.engine.checkpoint.map_safetensors", never)
    with pytest.raises(CheckpointError, match=words) as caught:
        open_checkpoint(tmp_path)
    assert len(str(caught.value)) < 500
