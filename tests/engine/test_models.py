"""Where models come from: names, folders, the hub's cache, the hub; and what is said where there is none."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from txexplain.engine.errors import CheckpointError, ModelNotFound
from txexplain.models import bundled_path, hub, load_model, resolve, weights_dir

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "golden" / "parity" / "default"
SHARDED = ROOT / "tests" / "golden" / "parity" / "erf"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TXEXPLAIN_MODEL", raising=False)


def run_python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)} | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_bundled_model_is_whole() -> None:
    assert bundled_path() == weights_dir() / "storyteller"
    assert (weights_dir() / "gpt2.tiktoken").is_file()
    assert resolve("storyteller") == bundled_path()


NO_NETWORK = """
import socket, sys
def refuse(event, args):
    if event in ("socket.getaddrinfo", "socket.gethostbyname") or event == "socket.connect" and args[0].family != socket.AF_UNIX:
        raise AssertionError(event)
sys.addaudithook(refuse)
"""


def test_the_bundled_model_needs_no_hub_and_no_network() -> None:
    code = """
from txexplain import load_model
model = load_model()
assert model.forward(model.prompt_ids("Once upon a time")) is not None
strangers = {"huggingface_hub", "httpx", "requests", "textual", "torch", "safetensors"}
print(model.name, sorted(strangers & {name.partition(".")[0] for name in sys.modules}))
"""
    assert run_python(NO_NETWORK + code) == "storyteller []"


def test_the_app_and_the_commands_open_the_bundled_model_without_a_network() -> None:
    code = """
import asyncio
from click.testing import CliRunner
from txexplain.cli import cli
from txexplain.explorer.state import ExplorerState
from txexplain.models import load_model
from txexplain.ui.app import ExplorerApp
from txexplain.ui.options import UiOptions
said = CliRunner().invoke(cli, ["predict", "Once upon a time there was a"])
assert said.exit_code == 0 and "%" in said.stdout, said.output
async def go():
    app = ExplorerApp(ExplorerState(), UiOptions(), load_model)
    async with app.run_test() as pilot:
        while app.lens is None:
            await pilot.pause()
        return app.lens.trace.n_tokens
print(asyncio.run(go()))
"""
    assert run_python(NO_NETWORK + code) == "7"
    assert (
        "AssertionError"
        in subprocess.run(
            [sys.executable, "-c", NO_NETWORK + "socket.create_connection(('127.0.0.1', 9))"], capture_output=True, text=True, check=False
        ).stderr
    ), "the guard guards"


def test_models_can_be_imported_without_numpy() -> None:
    assert run_python("import sys, txexplain.models; print('numpy' in sys.modules, 'huggingface_hub' in sys.modules)") == "False False"


def test_the_environment_names_the_default_and_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(None) == bundled_path()
    monkeypatch.setenv("TXEXPLAIN_MODEL", str(TINY))
    assert resolve(None) == TINY
    assert resolve() == resolve("storyteller") == bundled_path()
    assert load_model(None).config.vocab_size == 61
    monkeypatch.setenv("TXEXPLAIN_MODEL", "")
    assert resolve(None) == bundled_path()


@pytest.mark.parametrize("place", [TINY, str(TINY), TINY / "model.safetensors"])
def test_a_folder_or_a_file_is_a_model(place: Any) -> None:
    model = load_model(place)
    assert model.name == str(place), "what a command line can name again"
    assert (model.config.n_embd, model.config.vocab_size) == (24, 61)
    assert not np.asarray(model.weights["wte.weight"]).flags.writeable


def test_a_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m").mkdir()
    assert resolve("~/m") == tmp_path / "m"


def test_names_come_before_folders_and_folders_before_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("gpt2", "storyteller", "owner/name", "mine"):
        (tmp_path / name).mkdir(parents=True)
    asked: list[str] = []
    monkeypatch.setattr("txexplain.models.fetch", lambda repo, revision, progress: asked.append(repo) or tmp_path)
    assert resolve("storyteller") == bundled_path()
    assert resolve("owner/name") == Path("owner/name")
    assert resolve("mine") == Path("mine")
    assert resolve("./gpt2") == Path("gpt2")
    assert asked == []
    resolve("gpt2")
    resolve("owner/other")
    assert asked == ["openai-community/gpt2", "owner/other"]


def test_the_known_names() -> None:
    assert {name: hub.repo_id(name) for name in ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "distilgpt2")} == {
        "gpt2": "openai-community/gpt2",
        "gpt2-medium": "openai-community/gpt2-medium",
        "gpt2-large": "openai-community/gpt2-large",
        "gpt2-xl": "openai-community/gpt2-xl",
        "distilgpt2": "distilbert/distilgpt2",
    }
    assert hub.repo_id("o.w-n_er/na.me-1_x") == "o.w-n_er/na.me-1_x"


@pytest.mark.parametrize(
    "name",
    [
        "nope",
        "",
        "./no/pe",
        "/no/pe",
        "a/b/c",
        "../b",
        "a/..",
        "a//b",
        "a/b.safetensors",
        "a/b.git",
        "-a/b",
        "a/b c",
        "a/b\n",
        "ä/b",
        "a/\x1b[2J",
        "a\nb",
    ],
)
def test_a_name_that_is_nothing_is_refused_without_the_hub(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")  # so that no name happens to be a folder
    monkeypatch.setattr("txexplain.models.fetch", lambda *_: pytest.fail("asked the hub"))
    assert_refused(name, ["no model", "storyteller, gpt2", "owner/name", "folder"])


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "~no-such-user-here/x"])
def test_a_name_that_the_system_refuses(name: str) -> None:
    assert_refused(name, ["can't be opened"])


@pytest.mark.parametrize("name", ["storyteller", str(TINY)])
def test_a_revision_is_the_hubs(name: str) -> None:
    with pytest.raises(ModelNotFound, match="no revision v2"):
        resolve(name, revision="v2")


def assert_refused(name: str, fragments: list[str], revision: str | None = None) -> None:
    with pytest.raises(ModelNotFound) as caught:
        resolve(name, revision=revision)
    text = str(caught.value)
    assert text.isprintable(), "one line, nothing raw"
    assert text.endswith(".")
    assert not text.endswith("..")
    assert len(text) < 400
    assert [fragment for fragment in fragments if fragment not in text] == [], text


class Hub:
    """A stand-in for huggingface_hub's snapshot_download: a cache folder, and what the hub would answer."""

    def __init__(self, cache: Path, remote: Path | None = None, failure: Exception | None = None) -> None:
        self.cache, self.remote, self.failure = cache, remote, failure
        self.calls: list[tuple[bool, Any]] = []

    def __call__(self, repo: str, *, revision: str | None, allow_patterns: Any, local_files_only: bool = False, **_: Any) -> str:
        self.calls.append((local_files_only, allow_patterns))
        if local_files_only:
            if not self.cache.exists():
                raise FileNotFoundError("not cached")
            return str(self.cache)
        if self.failure is not None:
            raise self.failure
        assert self.remote is not None
        self.cache.mkdir(exist_ok=True)
        for pattern in [allow_patterns] if isinstance(allow_patterns, str) else allow_patterns:
            for path in self.remote.glob(pattern):
                shutil.copy(path, self.cache)
        return str(self.cache)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Hub]:
    def use(**answers: Any) -> Hub:
        stand_in = Hub(tmp_path / "cache", **answers)
        monkeypatch.setattr("huggingface_hub.snapshot_download", stand_in)
        return stand_in

    return use


@pytest.mark.parametrize("files", [TINY, SHARDED])
def test_a_cached_model_is_opened_without_the_network(use: Callable[..., Hub], files: Path) -> None:
    stand_in = use()
    shutil.copytree(files, stand_in.cache)
    model = load_model("owner/name")
    assert model.name == "owner/name"
    assert [local for local, _ in stand_in.calls] == [True]


@pytest.mark.parametrize("files", [TINY, SHARDED])
def test_a_model_is_downloaded_config_first(use: Callable[..., Hub], files: Path, tmp_path: Path) -> None:
    remote = shutil.copytree(files, tmp_path / "remote")
    for name in ("pytorch_model.bin", "tf_model.h5", "README.md", "onnx.safetensors", "training_args.bin"):
        (remote / name).touch()
    stand_in = use(remote=remote)
    assert load_model("owner/name").config.n_embd == 24
    assert [(local, patterns if patterns == "config.json" else "all") for local, patterns in stand_in.calls] == [
        (True, "all"),
        (False, "config.json"),
        (False, "all"),
    ]
    wanted = {path.name for path in files.iterdir() if path.suffix in (".json", ".safetensors")}
    assert {path.name for path in stand_in.cache.iterdir()} == wanted, "no pickle and nothing else is fetched"


@pytest.mark.parametrize("missing", ["config.json", "model-00002-of-00003.safetensors", "model.safetensors.index.json"])
def test_a_model_cached_in_part_is_completed(use: Callable[..., Hub], missing: str) -> None:
    stand_in = use(remote=SHARDED)
    shutil.copytree(SHARDED, stand_in.cache)
    (stand_in.cache / missing).unlink()
    assert load_model("owner/name").config.n_embd == 24
    assert (stand_in.cache / missing).exists()


def make(folder: Path, **files: bytes) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("_json", ".json").replace("_bin", ".bin")).write_bytes(content)
    return folder


def test_another_model_is_refused_before_its_weights_are_fetched(use: Callable[..., Hub], tmp_path: Path) -> None:
    stand_in = use(remote=make(tmp_path / "remote", config_json=b'{"model_type": "llama"}'))
    assert_refused("owner/llama", ["owner/llama isn't a GPT-2", '"llama"'])
    assert len(stand_in.calls) == 2


def test_a_repository_without_config_or_with_pickles_only(use: Callable[..., Hub], tmp_path: Path) -> None:
    use(remote=make(tmp_path / "a", pytorch_model_bin=b""))
    assert_refused("owner/name", ["owner/name has no config.json"])
    use(remote=make(tmp_path / "b", pytorch_model_bin=b"", config_json=(TINY / "config.json").read_bytes()))
    assert_refused("owner/name", ["owner/name has no weights as safetensors", "pickle", "folder"])


def hub_error(name: str) -> Exception:
    from huggingface_hub import errors

    kind = getattr(errors, name)
    error: Exception = kind.__new__(kind, "many\nlines\x1b[2J of the hub's own.")  # its constructor wants an HTTP response
    return error


FAILURES: dict[str, tuple[Callable[[], Exception], list[str]]] = {
    "gated": (lambda: hub_error("GatedRepoError"), ["gated", "hf auth login"]),
    "none": (lambda: hub_error("RepositoryNotFoundError"), ["no repository owner/name", "hf auth login"]),
    "revision": (lambda: hub_error("RevisionNotFoundError"), ["no revision v9"]),
    "offline": (lambda: hub_error("LocalEntryNotFoundError"), ["can't be reached", "network"]),
    "offline mode": (lambda: hub_error("OfflineModeIsEnabled"), ["can't be reached"]),
    "no network": (lambda: ConnectionRefusedError(111, "Connection refused"), ["can't be reached"]),
    "slow": (lambda: TimeoutError("timed out"), ["can't be reached"]),
    "disk": (lambda: OSError(errno.ENOSPC, "No space left on device"), ["disk is full", "HF_HOME"]),
    "quota": (lambda: OSError(errno.EDQUOT, "Quota exceeded"), ["disk is full"]),
    "denied": (lambda: PermissionError(errno.EACCES, "Permission denied"), ["Permission denied", "try again"]),
    "odd": (lambda: RuntimeError("many\nlines\x1b[2J"), ["can't be fetched", "many lines"]),
    "silent": (KeyError, ["can't be fetched", "KeyError"]),
}


@pytest.mark.parametrize("case", FAILURES)
def test_each_failure_is_one_sentence(use: Callable[..., Hub], case: str) -> None:
    failure, fragments = FAILURES[case]
    use(failure=failure())
    assert_refused("owner/name", ["owner/name", *fragments], revision="v9")


def test_without_the_hub_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert_refused("gpt2", ["openai-community/gpt2", "install huggingface-hub"])


def test_the_real_library_without_a_network(tmp_path: Path) -> None:
    code = """
from txexplain import load_model
try:
    load_model("gpt2")
except Exception as error:
    print(type(error).__name__, error)
"""
    said = run_python(code, HF_HOME=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_DISABLE_TELEMETRY="1")
    assert said.startswith("ModelNotFound openai-community/gpt2 isn't on this machine"), said
    said = run_python(code, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert said.startswith("ModelNotFound openai-community/gpt2 isn't on this machine"), said


def test_a_folder_that_is_no_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        load_model(tmp_path)
