"""What `txexplain convert` writes opens, and gives the numbers of what wrote the source: nanoGPT's layout in torch, transformers, PEFT."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from tests.engine.odd_checkpoints import BASE, IDS, base, renamed, with_config, with_tensors, write
from txexplain.cli import cli
from txexplain.errors import CheckpointError, ExplainError
from txexplain.models import load_model, unpickle
from txexplain.models.convert import convert

GOLDEN = Path(__file__).parents[1] / "golden" / "convert"
REFERENCE = np.load(GOLDEN / "logits.npz")
PLAIN = np.load(BASE.parents[1] / "checkpoints.npz")[""]


def close(folder: Path, want: np.ndarray) -> None:
    np.testing.assert_allclose(load_model(folder).forward(IDS)["logits"], want, rtol=0, atol=1e-5 * float(np.abs(want).max()))


def python(folder: Path, says: bytes = b"", code: int = 0, why: str = "") -> str:
    """A program that answers as a Python with torch did; it keeps what it was asked."""
    (folder / "says").write_bytes(says)
    (folder / "python").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/asked\ncat {folder}/says\necho "{why}" >&2\nexit {code}\n')
    (folder / "python").chmod(0o700)
    return str(folder / "python")


@pytest.fixture
def pickle(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return Path(shutil.copy(GOLDEN / "ckpt.pt", tmp_path / "out"))


@pytest.mark.parametrize("name", ["ckpt", "biased"])
def test_nanogpts_checkpoint_is_the_same_model(name: str, pickle: Path, tmp_path: Path) -> None:
    done = convert(pickle, tmp_path / "new", python=python(tmp_path, (GOLDEN / f"{name}.stream").read_bytes()))
    close(tmp_path / "new", REFERENCE[name])
    asked = (tmp_path / "asked").read_text().splitlines()
    assert (asked[0], Path(asked[1]).name, asked[2:]) == ("-I", "unpickle.py", [str(pickle)])
    assert "gelu" in done.notes[0]
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert (config["n_positions"], config["eos_token_id"], config["activation_function"]) == (12, None, "gelu")
    assert load_model(tmp_path / "new").config.eos_token_ids == ()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="reads a real pickle with torch, which isn't here")
def test_torch_reads_the_pickle_itself(pickle: Path, tmp_path: Path) -> None:
    convert(pickle, tmp_path / "new")
    close(tmp_path / "new", REFERENCE["ckpt"])


def test_transformers_pickle_takes_its_config_and_its_tokenizer_along(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(GOLDEN.parent / "saved" / "one", source)
    (source / "model.safetensors").unlink()
    shutil.copy(BASE / "config.json", source)
    (source / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    done = convert(source, tmp_path / "new", python=python(tmp_path, (GOLDEN / "pytorch_model.stream").read_bytes()))
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
    }  # fmt: skip
    assert done.notes == ()
    (tmp_path / "new" / "tokenizer.json").unlink()  # it has more tokens than this model
    close(tmp_path / "new", REFERENCE["pytorch_model"])


def test_a_tied_head_isnt_written_twice(pickle: Path, tmp_path: Path) -> None:
    convert(pickle, tmp_path / "new", python=python(tmp_path, (GOLDEN / "ckpt.stream").read_bytes()))
    names = set(load_file(tmp_path / "new" / "model.safetensors"))
    assert "transformer.wte.weight" in names
    assert not [name for name in names if "lm_head" in name or "_orig_mod" in name]


@pytest.mark.parametrize("name", ["plain", "patterns", "more", "ends", "embedding"])
def test_an_adapter_in_its_base_is_what_peft_runs(name: str, tmp_path: Path) -> None:
    convert(GOLDEN / name, tmp_path / "new", base=str(BASE))
    close(tmp_path / "new", REFERENCE[name])
    assert np.abs(REFERENCE[name] - PLAIN).max() > 0.1, "it changes something"


def test_an_adapter_finds_the_base_that_it_names(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "plain", tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(BASE)}))
    for n, path in enumerate((tmp_path / "adapter", tmp_path / "adapter" / "adapter_model.safetensors")):
        convert(path, tmp_path / str(n))
        close(tmp_path / str(n), REFERENCE["plain"])


def changed(fields: dict[str, Any], **tensors: np.ndarray) -> Any:
    def make(folder: Path) -> None:
        shutil.copytree(GOLDEN / "plain", folder / "adapter")
        path = folder / "adapter" / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))
        kept = load_file(folder / "adapter" / "adapter_model.safetensors")
        named = {name.replace("__", "."): array for name, array in tensors.items()}
        save_file(kept | named, folder / "adapter" / "adapter_model.safetensors")

    return make


A = "base_model__model__transformer__h__0__attn__c_attn__lora_A__weight"
REFUSED: dict[str, tuple[Any, list[str]]] = {
    "another kind": (changed({"peft_type": "IA3"}), ["IA3", "merge_and_unload"]),
    "no kind": (changed({"peft_type": None}), ["None", "merge_and_unload"]),
    "a start that changed the base": (changed({"init_lora_weights": "olora"}), ["init_lora_weights", "merge_and_unload"]),
    "what nobody knows yet": (changed({"use_new_lora": True}), ["use_new_lora", "merge_and_unload"]),
    "a pattern without an end": (changed({"alpha_pattern": {"(a+)+$": 3}}), ["alpha_pattern"]),
    "alpha": (changed({"lora_alpha": "many"}), ["lora_alpha", "many"]),
    "one half": (
        changed({}, base_model__model__transformer__h__0__mlp__c_fc__lora_A__weight=np.ones((2, 24), np.float32)),
        ["h.0.mlp.c_fc"],
    ),
    "another base's": (changed({}, **{A: np.ones((2, 32), np.float32)}), ["[2, 32]", "[24, 72]", "--base"]),
    "a rank of none": (changed({}, **{A: np.ones((0, 24), np.float32)}), ["[0, 24]", "--base"]),
    "integers": (changed({}, **{A: np.ones((2, 24), np.int32)}), ["I32"]),
    "no weights": (lambda folder: shutil.copytree(GOLDEN / "dora", folder / "adapter"), ["adapter_model.safetensors"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_adapter_that_is_not_plain_lora_is_refused(name: str, tmp_path: Path) -> None:
    make, words = REFUSED[name]
    make(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / "adapter", tmp_path / "new", base=str(BASE))
    assert [word for word in words if word not in str(caught.value)] == [], str(caught.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["dora", "pissa"])
def test_what_peft_itself_writes_of_other_kinds_is_refused(name: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / name, tmp_path / "adapter")
    shutil.copy(GOLDEN / "plain" / "adapter_model.safetensors", tmp_path / "adapter")
    with pytest.raises(CheckpointError, match="merge_and_unload"):
        convert(tmp_path / "adapter", tmp_path / "new", base=str(BASE))


def test_a_base_is_never_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ExplainError, match="models pull me/base"):
        convert(GOLDEN / "plain", tmp_path / "new", base="me/base")


def transposed(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    linear = ("c_attn.weight", "c_fc.weight", "c_proj.weight")
    return {name: array.T if name.endswith(linear) else array for name, array in tensors.items()}


@pytest.mark.parametrize(
    "make",
    [
        renamed(lambda name: f"pretrained_model.{name}"),
        renamed(lambda name: f"model.gpt.{name.removeprefix('transformer.')}"),
        renamed(lambda name: f"_orig_mod.net.{name}"),
        with_tensors(transposed),
        with_tensors(lambda tensors: {f"model.{name}": array for name, array in transposed(tensors).items()}),
        with_config(),
    ],
    ids=["trl", "a wrapper", "compiled in a wrapper", "transposed", "both", "as it is"],
)
def test_other_names_and_turned_matrices(make: Any, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    make(tmp_path / "old")
    convert(tmp_path / "old", tmp_path / "new")
    close(tmp_path / "new", PLAIN)


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    tensors, config = base()
    more = {"v_head.weight": np.ones((1, 24), np.float32), "transformer.h.0.attn.bias": np.ones((1, 1, 4, 4), np.float32)}
    write(tmp_path / "old", tensors | more, config)
    (note, _) = sorted(convert(tmp_path / "old", tmp_path / "new").notes)
    assert note == "Left out, since no GPT-2 language model has it: v_head.weight."


def test_it_writes_into_no_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").touch()
    with pytest.raises(CheckpointError, match="isn't an empty folder"):
        convert(BASE, tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, ["PyTorch", "pip install torch", "--python", "because"]),
        (4, ["as weights alone", "because", "state_dict()"]),
        (137, ["ended with 137"]),
    ],
)
def test_what_the_other_process_says_is_said(code: int, words: list[str], pickle: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        convert(pickle, tmp_path / "new", python=python(tmp_path, code=code, why="because\x1b[2J of\nthat"))
    assert [word for word in (str(pickle), *words) if word not in str(caught.value)] == [], str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_python_that_is_none(pickle: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere can't be run: .*--python"):
        convert(pickle, tmp_path / "new", python=str(tmp_path / "nowhere"))


def stream(sizes: Any, size: int = 4) -> bytes:
    header = {"__metadata__": {"sizes": sizes if isinstance(sizes, str) else json.dumps(sizes)}}
    text = json.dumps(header | {"transformer.wte.weight": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, size]}}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)


HOSTILE = {
    "a header without an end": (b"\xff" * 8, "out of bounds|first 8 bytes"),
    "a header that ends": ((1000).to_bytes(8, "little") + b"{}", "ended while it was read"),
    "no sizes": (stream({}), "config.json"),
    "sizes of a giant": (stream(dict.fromkeys(("block_size", "vocab_size", "n_embd", "n_layer", "n_head"), 10**9)), "n_embd|vocab_size"),
    "sizes that are words": (stream(dict.fromkeys(("block_size", "vocab_size", "n_embd", "n_layer", "n_head"), "x")), "whole number"),
    "sizes that are a list": (stream([1]), "config.json"),
    "sizes that are nothing": (stream("{"), "config.json"),
    "a tensor of other bytes": (stream({}, 8), "8 bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_comes_from_there_is_believed(name: str, pickle: Path, tmp_path: Path) -> None:
    says, words = HOSTILE[name]
    with pytest.raises(CheckpointError, match=words):
        convert(pickle, tmp_path / "new", python=python(tmp_path, says))
    assert not (tmp_path / "new").exists()


def test_a_stream_that_breaks_off_leaves_no_weights(pickle: Path, tmp_path: Path) -> None:
    whole = (GOLDEN / "ckpt.stream").read_bytes()
    with pytest.raises(CheckpointError, match="ended while it was read"):
        convert(pickle, tmp_path / "new", python=python(tmp_path, whole[:-100]))
    assert list((tmp_path / "new").iterdir()) == []


def test_the_command(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["convert", str(GOLDEN / "plain"), str(tmp_path / "my gpt"), "--base", str(BASE)])
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"txexplain --model '{tmp_path}/my gpt'"
    close(tmp_path / "my gpt", REFERENCE["plain"])
    again = CliRunner().invoke(cli, ["convert", str(GOLDEN / "plain"), str(tmp_path / "my gpt"), "--base", str(BASE)])
    assert (again.exit_code, "isn't an empty folder" in again.stderr) == (2, True)


def test_every_refusal_that_names_the_command_can_be_followed(tmp_path: Path) -> None:
    """The sentence's own command line, run."""
    renamed(lambda name: f"pretrained_model.{name}")(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        load_model(tmp_path)
    words = str(caught.value).partition("`txexplain ")[2].partition("`")[0].split()
    assert words[::2] == ["convert", "FOLDER"]
    assert CliRunner().invoke(cli, [*words[:2], str(tmp_path / "new")]).exit_code == 0
    close(tmp_path / "new", PLAIN)


def test_a_tensor_that_is_larger_than_what_is_stored_of_it_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    """A stride of 0 makes a matrix of any size of one number."""

    def tensor(numbers: int, stored: int) -> Any:
        storage = SimpleNamespace(nbytes=lambda: stored)
        return SimpleNamespace(
            dtype="torch.float32", shape=(numbers,), numel=lambda: numbers, element_size=lambda: 4, data_ptr=lambda: 1,
            untyped_storage=lambda: storage,
        )  # fmt: skip

    with pytest.raises(SystemExit) as ended:
        unpickle.write({"h.0.attn.bias": tensor(1 << 45, 4)}, {}, None)
    assert ended.value.code == 4
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "h.0.attn.bias is larger than what is stored of it")


def test_nobody_is_told_to_let_a_pickle_run_what_it_likes() -> None:
    """PyTorch's own words for a refusal are how to go round it."""

    class UnpicklingError(Exception):
        pass

    asks = "Weights only load failed. Re-running `torch.load` with `weights_only` set to `False` will likely succeed. {}"
    assert (
        unpickle.why(UnpicklingError(asks.format("Unsupported global: GLOBAL posix.system was not an allowed")))
        == "it asks for posix.system"
    )
    assert unpickle.why(UnpicklingError(asks.format("Unsupported operand 149"))) == "it holds more than tensors and plain values"
    assert unpickle.why(RuntimeError("a\nb")) == "RuntimeError: a b"


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sparse file of kilobytes may claim a matrix of a hundred gigabytes."""
    for what, patched in (
        ("MB of memory on its way, and 0.0 MB are free", ("txexplain.models.convert.free_memory", lambda: 1000)),
        ("MB, and the disk has 0.0 MB left", ("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*patched)
            with pytest.raises(CheckpointError, match=what):
                convert(BASE, tmp_path / "new")
        assert not (tmp_path / "new").exists()
    convert(BASE, tmp_path / "new")
