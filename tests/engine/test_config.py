"""config.json: what is read, and what is refused in one sentence that names the file and the field."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txexplain.engine.config import ACTIVATION_NAMES, LARGEST, GPT2Config, as_generated
from txexplain.engine.ops import ACTIVATIONS
from txexplain.errors import CheckpointError


def test_defaults_are_gpt2_smalls() -> None:
    config = GPT2Config.from_dict({"model_type": "gpt2"}, source="config.json")
    assert config == GPT2Config()
    assert (config.vocab_size, config.n_positions, config.n_embd, config.n_layer, config.n_head) == (50257, 1024, 768, 12, 12)
    assert (config.n_inner, config.head_dim, config.bos_token_id, config.eos_token_ids) == (3072, 64, 50256, (50256,))
    assert (config.layer_norm_epsilon, config.activation_function, config.tie_word_embeddings) == (1e-5, "gelu_new", True)
    assert (config.scale_attn_weights, config.scale_attn_by_inverse_layer_idx, config.reorder_and_upcast_attn) == (True, False, False)


def test_every_field_is_read_and_written_back() -> None:
    fields = {
        "vocab_size": 11, "n_positions": 5, "n_embd": 12, "n_layer": 3, "n_head": 4, "n_inner": 7, "activation_function": "relu",
        "layer_norm_epsilon": 0.5, "scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True,
        "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    config = GPT2Config.from_dict(fields, source="here")
    assert {name: getattr(config, name) for name in fields if name != "eos_token_id"} | {"eos_token_id": 2} == fields
    assert config.eos_token_ids == (2,)
    assert config.head_dim == 3
    assert GPT2Config.from_dict(json.loads(json.dumps(config.to_dict())), source="there") == config
    assert config.to_dict()["model_type"] == "gpt2"


@pytest.mark.parametrize("n_inner", [{}, {"n_inner": None}])
def test_the_mlp_is_four_times_as_wide_where_the_config_does_not_say(n_inner: dict[str, Any]) -> None:
    assert GPT2Config.from_dict({"model_type": "gpt2", "n_embd": 24, "n_head": 3, **n_inner}, source="c").n_inner == 96


def test_positions_come_before_their_old_name() -> None:
    def positions(**fields: int) -> int:
        return GPT2Config.from_dict({"model_type": "gpt2", **fields}, source="c").n_positions

    assert positions(n_ctx=16) == 16
    assert positions(n_ctx=16, n_positions=32) == 32


@pytest.mark.parametrize(
    ("tokens", "bos", "eos"),
    [
        ({}, 99, ()),
        ({"bos_token_id": 0, "eos_token_id": 1}, 0, (1,)),
        ({"bos_token_id": None, "eos_token_id": [7, 8, 200]}, 7, (7, 8)),
        ({"bos_token_id": 3, "eos_token_id": []}, 3, ()),
        ({"bos_token_id": 3, "eos_token_id": None}, 3, ()),
        ({"bos_token_id": None, "eos_token_id": None}, 99, ()),
        ({"bos_token_id": 50256, "eos_token_id": 50256}, 99, ()),
    ],
)
def test_the_tokens_that_start_and_end_a_text(tokens: dict[str, Any], bos: int, eos: tuple[int, ...]) -> None:
    """As transformers' generate ends one: at each of a list, never where there is none or one that no token has."""
    config = GPT2Config.from_dict({"model_type": "gpt2", "vocab_size": 100, **tokens}, source="c")
    assert (config.bos_token_id, config.eos_token_ids) == (bos, eos)
    again = GPT2Config.from_dict(json.loads(json.dumps(config.to_dict())), source="c")
    assert again == config


def test_a_padded_vocabulary_keeps_gpt2s_start_token() -> None:
    assert GPT2Config.from_dict({"model_type": "gpt2", "vocab_size": 50304}, source="c").bos_token_id == 50256


def test_every_activation_has_its_function() -> None:
    assert set(ACTIVATION_NAMES) == set(ACTIVATIONS)
    for name in ACTIVATION_NAMES:
        assert GPT2Config.from_dict({"model_type": "gpt2", "activation_function": name}, source="c").activation_function == name


@pytest.mark.parametrize(
    "says",
    [
        {"model_type": "gpt2", "architectures": None},
        {"model_type": "gpt2", "architectures": []},
        {"architectures": ["GPT2LMHeadModel"]},
        {"architectures": ["GPT2Model"]},
        {"model_type": "gpt2", "architectures": ["GPT2DoubleHeadsModel"]},
        {"n_embd": 768, "n_layer": 12, "n_head": 12},
        {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12},
        {"model_type": "gpt2", "architectures": ["GPT2ForTokenClassification"], "quantization_config": None},
        {"model_type": "gpt2", "add_cross_attention": False},
    ],
)
def test_a_gpt2_is_known(says: dict[str, Any]) -> None:
    assert GPT2Config.from_dict(says, source="c") == GPT2Config()


@pytest.mark.parametrize(
    ("says", "fragments"),
    [
        ({}, ["isn't the config of a GPT-2", "n_embd"]),
        ({"n_embd": 768, "n_layer": 12}, ["isn't the config of a GPT-2"]),
        ({"model_type": "llama"}, ['"llama"', "GPT-2"]),
        ({"model_type": "gpt2\x1b[2J\n"}, ["GPT-2"]),
        ({"model_type": ["gpt2"]}, ["a list"]),
        ({"model_type": "gpt2", "architectures": ["JAISLMHeadModel"]}, ["JAISLMHeadModel"]),
        ({"model_type": "gpt2", "quantization_config": {"quant_method": "gptq"}}, ["quantized", "dequantize", "save"]),
        ({"hidden_size": 768, "num_hidden_layers": 12}, ["isn't the config of a GPT-2"]),
        ({"model_type": "gpt2", "architectures": "GPT2LMHeadModel"}, ["architectures", "list"]),
        ({"model_type": "gpt2", "architectures": [1]}, ["architectures", "list"]),
        ({"model_type": "gpt2", "add_cross_attention": True}, ["add_cross_attention"]),
        ([], ["object", "a list"]),
        (None, ["object", "null"]),
        ("gpt2", ["object", '"gpt2"']),
    ],
)
def test_what_is_not_a_gpt2_is_refused(says: Any, fragments: list[str]) -> None:
    refused(says, ["here.json", *fragments])


SIZES = ["vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "n_inner"]
FLAGS = ["scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "tie_word_embeddings"]
BAD = [
    *((name, value) for name in SIZES for value in (0, -1, 1.0, "2", True, [1], 10**30, float("inf"), float("nan"))),
    *((name, None) for name in SIZES if name != "n_inner"),
    *((name, value) for name in FLAGS for value in (0, 1, "true", None)),
    *(("layer_norm_epsilon", value) for value in (0, -1e-5, 1.5, "1e-5", None, True, float("nan"), float("inf"), 10**400)),
    *(("activation_function", value) for value in ("gelu_slow", "", None, 1, ["relu"])),
    *(("bos_token_id", value) for value in (-1, 1.5, "0", True, ["a"], {})),
    ("eos_token_id", -1), ("eos_token_id", [1, -1]), ("n_head", 7), ("n_layer", 20_000), ("n_ctx", 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda x: str(x)[:20])
def test_a_bad_field_is_named(name: str, value: Any) -> None:
    refused({"model_type": "gpt2", name: value}, ["here.json", name])


def refused(fields: Any, fragments: list[str]) -> None:
    with pytest.raises(CheckpointError) as caught:
        GPT2Config.from_dict(fields, source="here.json")
    assert_sentence(str(caught.value), fragments)


def assert_sentence(text: str, fragments: list[str]) -> None:
    assert text.isprintable(), "one line, nothing raw"
    assert text.endswith(".")
    assert len(text) < 300
    assert [fragment for fragment in fragments if fragment not in text] == [], text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(ACTIVATION_NAMES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from([*SIZES, *FLAGS, "layer_norm_epsilon", "activation_function", "bos_token_id", "n_ctx"]), anything, max_size=4
    )
)
def test_any_field_is_right_or_refused(fields: dict[str, Any]) -> None:
    try:
        config = GPT2Config.from_dict({"model_type": "gpt2", **fields}, source="here.json")
    except CheckpointError as error:
        assert_sentence(str(error), ["here.json"])
        return
    assert all(type(getattr(config, name)) is int and 1 <= getattr(config, name) <= 4 * LARGEST for name in SIZES)
    assert config.n_embd == config.n_head * config.head_dim
    assert 0 <= config.bos_token_id < config.vocab_size
    assert 0 < config.layer_norm_epsilon <= 1
    assert config.activation_function in ACTIVATIONS
    assert GPT2Config.from_dict(config.to_dict(), source="back") == config


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (None, "can't be read (No such file"),
        (b"", "isn't valid JSON"),
        (b'{"model_type": "gpt2"', "isn't valid JSON"),
        (b"\xff\xfe\xfa", "isn't valid JSON"),
        (b"[" * 100_000, "isn't valid JSON"),
        (b'{"n_embd": ' + b"9" * 5000 + b"}", "isn't valid JSON"),
        (b" " * 10_000_001, "too many"),
        (b"[]", "must hold a JSON object"),
    ],
    ids=lambda x: str(x)[:12],
)
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None, fragment: str) -> None:
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        GPT2Config.from_file(path)
    assert str(path) in str(caught.value)
    assert fragment in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_folder_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "config.json", tmp_path / "pipe"):
        with pytest.raises(CheckpointError, match="isn't a file"):
            GPT2Config.from_file(path)
    with pytest.raises(CheckpointError, match="can't be read"):
        GPT2Config.from_file(tmp_path / "a\0b")


def test_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "n_layer": 3, "unknown": NaN}')
    assert GPT2Config.from_file(tmp_path / "config.json") == GPT2Config(n_layer=3)


GENERATION: dict[str, tuple[str, tuple[int, ...], str]] = {
    "ends": ('{"eos_token_id": [3, 5]}', (3, 5), ""),
    "an end beyond the vocabulary": ('{"eos_token_id": 99}', (), ""),
    "nothing of it": ('{"bos_token_id": 1}', (2,), ""),
    "draws": (
        '{"do_sample": true, "temperature": 0.7, "top_k": 40, "top_p": 1.0, "eos_token_id": null}',
        (2,),
        "draws with temperature 0.7, top_k 40; here nothing of that is taken unasked: say --temperature",
    ),
    "greedy": ('{"do_sample": false, "temperature": 0.7}', (2,), ""),
    "no JSON": ("{", (2,), "isn't valid JSON; fetch it again, so the ends of a text are config.json's"),
    "no object": ("[]", (2,), "isn't a JSON object, so"),
    "no id": ('{"eos_token_id": "x"}', (2,), "eos_token_id must be a token id"),
}


@pytest.mark.parametrize(("text", "ends", "said"), GENERATION.values(), ids=GENERATION.keys())
def test_generation_config_names_the_ends_and_is_heeded_no_further(tmp_path: Path, text: str, ends: tuple[int, ...], said: str) -> None:
    base = GPT2Config(vocab_size=11, eos_token_ids=(2,))
    assert as_generated(base, tmp_path) == (base, ())
    (tmp_path / "generation_config.json").write_text(text, encoding="utf-8")
    config, notes = as_generated(base, tmp_path)
    assert config.eos_token_ids == ends
    assert len(notes) == bool(said)
    assert said in "".join(notes)
