"""What is said of a model: its parameters by part, its licence, and whether it is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from txexplain.cli import cli
from txexplain.engine.config import GPT2Config
from txexplain.engine.model import GPT2
from txexplain.errors import CheckpointError, ExplainError
from txexplain.models import load_model, report
from txexplain.models.known import KNOWN

GOLDEN = Path(__file__).parents[1] / "golden"
SAVED, TINY, OWN_HEAD = GOLDEN / "saved", GOLDEN / "parity" / "default", GOLDEN / "parity" / "erf"
SHAPES = {
    "gpt2": (12, 12, 768),
    "gpt2-medium": (24, 16, 1024),
    "gpt2-large": (36, 20, 1280),
    "gpt2-xl": (48, 25, 1600),
    "distilgpt2": (6, 12, 768),
}


@pytest.mark.parametrize("name", ["one", "sharded"])
def test_a_folder_that_transformers_5_saved_opens_as_it_is(name: str) -> None:
    expected = json.loads((SAVED / "expected.json").read_text("utf-8"))
    assert expected["transformers"].startswith("5.")
    model = load_model(SAVED / name)
    assert model.prompt_ids(expected["prompt"]) == expected["ids"]
    assert model.tokenizer.decode(expected["ids"]) == expected["prompt"]
    trace = model.forward(expected["ids"])
    assert trace is not None
    np.testing.assert_allclose(trace.last_logits, expected["logits"], atol=2e-5)


def test_the_known_models_have_the_parameters_of_their_shapes() -> None:
    assert set(KNOWN) == set(SHAPES)
    for name, (n_layer, n_head, d) in SHAPES.items():
        config = GPT2Config(n_layer=n_layer, n_head=n_head, n_embd=d, n_inner=4 * d)
        assert report.count_parameters(config, with_head=False) == KNOWN[name].parameters
        block = 12 * d * d + 13 * d  # 4 d² of attention, 8 d² of MLP, their biases, two LayerNorms
        assert KNOWN[name].parameters == 50257 * d + 1024 * d + n_layer * block + 2 * d
        assert KNOWN[name].megabytes * 1e6 >= 4 * KNOWN[name].parameters


@pytest.mark.parametrize("folder", [SAVED / "one", SAVED / "sharded", OWN_HEAD])
def test_the_parts_of_a_model_are_all_of_it(folder: Path) -> None:
    found = report.info(str(folder))
    d, n_layer, V = (found["architecture"][name] for name in ("n_embd", "n_layer", "vocab_size"))
    parts = found["parameters_by_part"]
    assert parts["token embedding"] == V * d
    assert parts["attention"] == n_layer * (4 * d * d + 4 * d)
    assert parts["LayerNorm"] == (2 * n_layer + 1) * 2 * d
    assert ("output" in parts) == (folder == OWN_HEAD)
    assert sum(parts.values()) == found["parameters"]
    assert report.local_entry("name", "cached", folder).parameters == found["parameters"]
    assert sum(parts.values()) == sum(weight.size for weight in load_model(folder).weights.values())
    assert {file["name"]: file["bytes"] for file in found["files"]} == {
        path.name: path.stat().st_size for path in folder.glob("*.safetensors")
    }
    assert found["dtype"] == "F32"


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model", "apache-2.0"),
        ("---\nlicense: 'mit'\n---\n", "mit"),
        ("# Model\nlicense: mit\n", "unknown: its card names none"),
        (None, "unknown: no card"),
    ],
)
def test_the_licence_is_the_cards(tmp_path: Path, card: str | None, licence: str) -> None:
    folder = shutil.copytree(TINY, tmp_path / "m")
    if card is not None:
        (folder / "README.md").write_text(card)
    assert report.info(str(folder))["licence"].startswith(licence)


def test_a_card_that_never_ends_is_no_card(tmp_path: Path) -> None:
    folder = shutil.copytree(TINY, tmp_path / "m")
    (folder / "README.md").symlink_to("/dev/zero")
    assert report.info(str(folder))["licence"].startswith("unknown: no card")


def test_a_whole_model_is_found_whole() -> None:
    findings = dict(report.verify(str(SAVED / "sharded")))
    assert list(findings) == ["structure", "numbers", "output", "tokenizer", "forward pass"]
    assert findings["structure"].startswith("28 tensors")
    assert "text comes back" in findings["tokenizer"]
    assert "tied" in findings["output"]
    assert "matrix of its own" in dict(report.verify(str(OWN_HEAD)))["output"]
    assert "ids" in dict(report.verify(str(TINY)))["tokenizer"]
    assert "as many parameters" not in str(findings)


def damaged(tmp_path: Path, tensor: str, change: object) -> str:
    folder = shutil.copytree(SAVED / "one", tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    tensors[tensor] = change(tensors[tensor])  # type: ignore[operator]
    save_file(tensors, folder / "model.safetensors")
    return str(folder)


def with_nan(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.reshape(-1)[-1] = np.nan
    return array


@pytest.mark.parametrize(
    ("tensor", "change", "words"),
    [
        ("transformer.h.1.mlp.c_fc.weight", with_nan, r"h\.1\.mlp\.c_fc\.weight\[.*isn.t finite"),
        ("transformer.wpe.weight", lambda a: with_nan(a), "wpe.weight"),
        ("transformer.ln_f.bias", lambda a: a[:-1].copy(), "ln_f.bias in the shape"),
        ("transformer.h.0.ln_1.weight", lambda a: np.full_like(a, 1e30), "isn't finite"),
    ],
)
def test_what_is_wrong_is_found_and_named(tmp_path: Path, tensor: str, change: object, words: str) -> None:
    with pytest.raises(ExplainError, match=words):
        list(report.verify(damaged(tmp_path, tensor, change)))


def test_a_tokenizer_that_is_another_models_is_found(tmp_path: Path) -> None:
    folder = shutil.copytree(SAVED / "one", tmp_path / "m")
    content = json.loads((folder / "tokenizer.json").read_text())
    vocab = content["model"]["vocab"]
    vocab["a"], vocab["b"] = vocab["b"] + 1000, vocab["a"]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ExplainError, match="token"):
        list(report.verify(str(folder)))


def test_a_known_name_with_other_parameters_is_not_that_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("txexplain.models.report.resolve", lambda *_, **__: SAVED / "one")
    with pytest.raises(CheckpointError, match=r"gpt2 has 12,\d{3} parameters here, but 124,439,808"):
        list(report.verify("gpt2"))


def run(*args: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, list(args), env={"TXEXPLAIN_MODEL": ""})
    return done.exit_code, done.stdout, done.stderr


def test_the_commands_say_the_same_in_words_and_json(tmp_path: Path) -> None:
    folder = str(SAVED / "one")
    code, text, _ = run("models", "info", folder)
    document = json.loads(run("models", "info", folder, "--json")[1])
    assert code == 0
    for part, count in document["parameters_by_part"].items():
        assert any(line.split() == [*part.split(), f"{count:,}"] for line in text.splitlines()), part
    assert f"{document['parameters']:,}" in text
    keys = "schema name folder commit architecture parameters parameters_by_part dtype tokenizer files licence notes"
    assert list(document) == keys.split()
    code, text, _ = run("models", "verify", folder)
    document = json.loads(run("models", "verify", folder, "--json")[1])
    assert (code, document["ok"], document["error"]) == (0, True, None)
    assert text.splitlines() == [f"ok  {what}: {finding}" for what, finding in document["checks"].items()]


def test_a_broken_model_ends_verify_with_2(tmp_path: Path) -> None:
    folder = damaged(tmp_path, "transformer.wte.weight", with_nan)
    code, text, said = run("models", "verify", folder)
    assert (code, said.count("\n"), text.count("ok  ")) == (2, 1, 1)
    assert "wte.weight" in said
    code, text, again = run("models", "verify", folder, "--json")
    document = json.loads(text)
    assert (code, again, document["ok"], list(document["checks"])) == (2, said, False, ["structure"])
    assert said == f"txexplain: {document['error']}\n"


def test_the_list_begins_with_the_bundled_model(storyteller: GPT2) -> None:
    _, text, _ = run("models")
    entries = json.loads(run("models", "--json")[1])["models"]
    assert [entry["name"] for entry in entries[:6]] == ["storyteller", *KNOWN]
    assert entries[0]["parameters"] == sum(weight.size for weight in storyteller.weights.values())
    assert entries[0]["state"] == "bundled"
    for entry in entries:
        assert list(entry) == ["name", "state", "parameters", "bytes", "folder", "revision"]
        assert (entry["folder"] is None) == (entry["state"] == "to download")
        assert f"{entry['parameters']:,}" in text


def test_verify_names_the_place_of_a_number_and_whose_run_it_is(tmp_path: Path) -> None:
    shutil.copytree(SAVED / "one", tmp_path / "own")
    tensors = load_file(tmp_path / "own" / "model.safetensors")
    tensors["transformer.h.1.mlp.c_fc.weight"] = (spoilt := tensors["transformer.h.1.mlp.c_fc.weight"].copy())
    spoilt[3, 5] = np.nan
    save_file(tensors, tmp_path / "own" / "model.safetensors")
    code, _, said = run("models", "verify", str(tmp_path / "own"))
    assert code == 2
    assert "h.1.mlp.c_fc.weight[3, 5] isn't finite" in said
    assert "pull" not in said, "it is nobody's but the reader's"
