"""What the README shows of the commands is what they print. `python -m tests.e2e.test_readme_commands` writes it."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from huggingface_hub import constants

from tests.figures import differences
from tests.sparse import sparse_checkpoint
from txexplain.cli import cli
from txexplain.engine.reference import WINDOW, reference
from txexplain.front.config import config_path, read_config
from txexplain.models import weights_dir

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TEXT = README.read_text("utf-8")
CONSOLE = re.compile(r"```console\n(.*?)```\n", re.DOTALL)
# Blocks that a test can't run: they set up an environment, or need the hub or a screen.
EXEMPT = {
    "txexplain serve --host 0.0.0.0 --per-address 1000 --name one --name class.example.org --key 'words that only you know' "
    "--lead --lesson attention  # on the machine one\n"
    "txexplain serve --host 0.0.0.0 --per-address 1000 --name class.example.org --key 'words that only you know' "
    "--follow http://one:8000  # on two",
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/txexplain",
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest",
    'txexplain --model gpt2 "The capital of Norway is"\ntxexplain models pull distilgpt2\n'
    "txexplain convert out/ckpt.pt my-gpt2 && txexplain --model my-gpt2",
    "pip install 'txexplain[serve]'\ntxexplain serve --host 0.0.0.0 --lesson attention",
}

(OWN_MODEL,) = re.findall(r"```sh\n(txexplain models  .*?)\n```", TEXT, re.DOTALL)


def printed(command: str) -> str:
    """What a line of a block prints, run where files may be written. It may end in `| head -N`."""
    command, _, head = command.partition(" | head -")
    name, *arguments = shlex.split(command)
    assert name == "txexplain"
    done = CliRunner().invoke(cli, arguments, env={"TXEXPLAIN_MODEL": "", "HF_HOME": str(Path.cwd() / "hf"), "COLUMNS": "100"})
    assert done.exit_code == 0, (command, done.stderr, done.exception)
    # The folders of this machine are nobody else's.
    text = done.stdout.replace(str(Path.cwd()) + os.sep, "").replace(str(weights_dir()), "…/weights")
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(lines[: int(head)] if head else lines)


def block(text: str) -> str:
    """A block with what its commands print now."""
    commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    return "".join(f"$ {command}\n" + (f"{out}\n" if (out := printed(command)) else "") for command in commands)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path_factory.getbasetemp())


@pytest.mark.parametrize("number", range(len(CONSOLE.findall(TEXT))))
def test_commands_print_what_the_readme_shows(number: int) -> None:
    shown = CONSOLE.findall(TEXT)[number]
    now = block(shown)
    kept = json.loads(gzip.decompress((ROOT / "screenshots" / "cells.json.gz").read_bytes()))["weights"]
    if kept != hashlib.sha256((weights_dir() / "storyteller" / "model.safetensors").read_bytes()).hexdigest():
        pytest.skip("the README shows other weights than these: python -m tests.screenshots; python -m tests.e2e.test_readme_commands")
    assert differences(shown.splitlines(), now.splitlines()) == []


def test_every_other_block_is_known() -> None:
    """Shell blocks are run as console blocks, or listed as exempt; the Python block is run too."""
    assert {text.strip() for text in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)} == EXEMPT | {OWN_MODEL}
    assert set(re.findall(r"^```(\w+)$", TEXT, re.MULTILINE)) == {"sh", "console", "python", "markdown", "toml"}
    assert len(CONSOLE.findall(TEXT)) >= 10


def test_the_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {}
    for piece in code:
        exec(piece, names)
    shape = re.search(r"\.shape  # (\(.*?\))", code[0])
    assert shape is not None
    assert str(names["trace"]["blocks.3.attn.pattern"].shape) == shape[1]
    assert f"txexplain.lens(model, changed)  # {names['readings'].shape}" in "".join(code)
    assert names["picture"]._repr_svg_().startswith("<svg")
    assert sum(names["bits"]) == pytest.approx(names["score"].bits)
    np.testing.assert_array_equal(names["mine"].forward(names["trace"].ids)["logits"], names["trace"]["logits"])
    poor, young = (names["model"].tokenizer.encode(word)[0] for word in (" poor", " young"))
    wanted = names["changed"]["logits"][poor] - names["changed"]["logits"][young]
    assert names["parts"].total == pytest.approx(float(wanted), abs=1e-4)
    assert [names[name].change.shape for name in ("heads", "edges", "patched")] == [(6, 8), (7, 7), (6, 5)]
    assert names["heads"].to == "mean over tales"
    assert reference(names["model"]).n_tokens == 16 * WINDOW
    assert names["patched"].restored[0, 1] == pytest.approx(1, abs=1e-3), "the one token that differs, before the first block"
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_the_way_from_the_cache_to_one_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of "Bring your own model" on a cache as from_pretrained leaves it; what opens the app is described."""
    snapshot = tmp_path / "hf" / "hub" / "models--me--tales" / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    sparse_checkpoint(snapshot, n_layer=6, vocab_size=50300)
    shutil.copy(ROOT / "tests" / "golden" / "tokenizers" / "added" / "tokenizer.json", snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(snapshot.name)
    (tmp_path / "out").mkdir()
    sparse_checkpoint(tmp_path / "out" / "nanogpt", vocab_size=50304)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(snapshot.parents[2]))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    said = {}
    for line in OWN_MODEL.splitlines():
        _, *words = shlex.split(line.partition("  #")[0].partition(" > ")[0], comments=True)
        done = CliRunner().invoke(cli, words if not words[0].startswith("--") else ["describe", *words], env={"TXEXPLAIN_MODEL": ""})
        assert done.exit_code == 0, (line, done.stderr, done.exception)
        said[line] = done.stdout
    told = list(said.values())
    assert re.search(r"me/tales +cached", told[0])
    assert "tokenizer" in told[1]
    assert "<|user|>" in told[2].splitlines()[1]
    assert len(told[2].splitlines()) < len("<|user|>Tell me of Rapunzel")
    assert "#50257" in told[6]


def test_the_config_of_the_readme_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(Path.cwd()))
    (Path.cwd() / "txexplain").mkdir()
    (text,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    config_path().write_text(text)
    assert read_config().theme == "light"
    assert set(read_config().keys) == {"draw", "residual"}


def test_pictures_and_pages_that_the_readme_names_are_there() -> None:
    for target in re.findall(r'(?:src|srcset)="([^"]+)"|\]\(([^)#]+)\)', TEXT):
        path = target[0] or target[1]
        if not path.startswith("http"):
            assert (ROOT / path).exists(), path


def write() -> None:
    """Put into the README what its commands print now."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        README.write_text(CONSOLE.sub(lambda match: f"```console\n{block(match[1])}```\n", TEXT), "utf-8")


if __name__ == "__main__":
    write()
