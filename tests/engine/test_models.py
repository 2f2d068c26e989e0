"""Where models come from: names, folders, the hub's cache, the hub; and what is said where there is none."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants

from tests.engine.hub_server import Hub
from tests.engine.hubs import hub_and_cache
from txexplain.errors import CheckpointError, ModelNotFound, TokenizerError
from txexplain.models import bundled_path, hub, load_model, open_tokenizer, pull, resolve, weights_dir
from txexplain.models.endpoint import Endpoint
from txexplain.models.hub import NotHere
from txexplain.models.report import info, known_models, verify

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
from txexplain.front.options import UiOptions
said = CliRunner().invoke(cli, ["predict", "Once upon a time there was a"])
assert said.exit_code == 0 and "%" in said.stdout, said.output
async def go():
    app = ExplorerApp(ExplorerState(), UiOptions())
    async with app.run_test() as pilot:
        while app.result is None:
            await pilot.pause()
        return app.result.trace.n_tokens
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


@pytest.fixture
def hub_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub_and_cache(monkeypatch, tmp_path / "hub") as server:
        yield server


def cached_as(store: str, files: Path, commit: str = "1" * 40, *, ref: str | None = "main", only: str = "*") -> Path:
    """A snapshot as another program left it."""
    folder = Path(constants.HF_HUB_CACHE) / store / "snapshots" / commit
    folder.mkdir(parents=True)
    for path in files.glob(only):
        shutil.copy(path, folder)
    if ref is not None:
        (folder.parents[1] / "refs").mkdir(exist_ok=True)
        (folder.parents[1] / "refs" / ref).write_text(commit)
    return folder


@pytest.mark.parametrize("files", [TINY, SHARDED])
def test_a_cached_model_is_opened_without_the_network(hub_server: Hub, files: Path) -> None:
    folder = cached_as("models--owner--name", files)
    (folder / "tokenizer.json").exists() or (folder.parents[1] / "trees").mkdir()
    (folder.parents[1] / "trees").exists() and (folder.parents[1] / "trees" / f"{folder.name}.json").write_text(
        '{"files": {"config.json": {}}}'
    )
    model = load_model("owner/name")
    assert model.name == "owner/name"
    assert hub_server.asked == []


@pytest.mark.parametrize("files", [TINY, SHARDED])
def test_a_model_is_downloaded_config_first(hub_server: Hub, files: Path) -> None:
    more = {"pytorch_model__bin": b"", "tf_model__h5": b"", "README__md": b"", "onnx__safetensors": b"", "training_args__bin": b""}
    hub_server.add("owner/name", files, **more)
    assert load_model("owner/name").config.n_embd == 24
    fetched = [Path(path).name for method, path, _ in hub_server.asked if method == "GET" and ("/resolve/" in path)]
    assert fetched[0] == "config.json"
    assert set(fetched) == {path.name for path in files.iterdir() if path.suffix in (".json", ".safetensors")}, "no pickle and nothing else"
    first = next(i for i, (_, path, _) in enumerate(hub_server.asked) if path.endswith(".safetensors"))
    assert ("GET", "config.json") in {(method, Path(path).name) for method, path, _ in hub_server.asked[:first]}


@pytest.mark.parametrize("missing", ["config.json", "model-00002-of-00003.safetensors", "model.safetensors.index.json"])
def test_a_model_cached_in_part_is_completed(hub_server: Hub, missing: str) -> None:
    hub_server.add("owner/name", SHARDED)
    folder = cached_as("models--owner--name", SHARDED, hub_server.repos["owner/name"].sha)
    (folder / missing).unlink()
    assert load_model("owner/name").config.n_embd == 24
    assert (folder / missing).exists()


def test_another_model_is_refused_before_its_weights_are_fetched(hub_server: Hub) -> None:
    hub_server.add("owner/llama", TINY, config__json=b'{"model_type": "llama"}')
    assert_refused("owner/llama", ["owner/llama isn't a GPT-2", '"llama"'])
    assert not any("safetensors" in path for _, path, _ in hub_server.asked)


def test_a_repository_without_config_or_with_pickles_only(hub_server: Hub) -> None:
    hub_server.add("owner/name", TINY, only="nothing", pytorch_model__bin=b"")
    assert_refused("owner/name", ["owner/name has no config.json"])
    hub_server.add("owner/name", TINY, only="config.json", pytorch_model__bin=b"")
    assert_refused("owner/name", ["owner/name has no weights as safetensors", "pickle", "refs/pr/1", "folder"])
    hub_server.add("owner/name", TINY, only="nothing", adapter_config__json=b"{}", adapter_model__safetensors=b"")
    assert_refused("owner/name", ["owner/name is an adapter", "hf download owner/name", "txexplain convert"])


def test_shards_are_those_that_the_index_names(hub_server: Hub, tmp_path: Path) -> None:
    """As transformers wrote them for a while: a safetensors index of files that are called as pickles' were."""
    files = shutil.copytree(SHARDED, tmp_path / "odd")
    for path in files.glob("model-*.safetensors"):
        path.rename(path.with_name(f"pytorch_{path.name}"))
    index = files / "model.safetensors.index.json"
    index.write_text(index.read_text().replace('"model-', '"pytorch_model-'))
    hub_server.add("owner/name", files, fp16__safetensors=b"another")
    folder = resolve("owner/name")
    assert {path.name for path in folder.glob("*.safetensors")} == {path.name for path in files.glob("*.safetensors")}
    assert resolve("owner/name", may_fetch=False) == folder
    assert load_model("owner/name").config.n_embd == 24


@pytest.mark.parametrize("named", ["../../../x.safetensors", "/etc/x.safetensors", "x.bin", "", 7])
def test_an_index_that_names_other_places_is_none(hub_server: Hub, tmp_path: Path, named: object) -> None:
    files = shutil.copytree(SHARDED, tmp_path / "odd")
    (files / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"wte.weight": named}}))
    hub_server.add("owner/name", files)
    assert_refused("owner/name", ["owner/name has no weights"])


FAILURES: dict[str, tuple[Callable[[], Exception], list[str]]] = {
    "no network": (lambda: ConnectionRefusedError(111, "Connection refused"), ["can't be reached"]),
    "slow": (lambda: TimeoutError("timed out"), ["can't be reached"]),
    "disk": (lambda: OSError(errno.ENOSPC, "No space left on device"), ["disk is full", "HF_HOME"]),
    "quota": (lambda: OSError(errno.EDQUOT, "Quota exceeded"), ["disk is full"]),
    "denied": (
        lambda: PermissionError(errno.EACCES, "Permission denied", "/a/hub/blobs"),
        ["/a/hub/blobs", "Permission denied", "HF_HOME"],
    ),
    "read only": (lambda: OSError(errno.EROFS, "Read-only file system", "/a/hub/x"), ["/a/hub/x", "Read-only file system", "HF_HOME"]),
    "odd": (lambda: RuntimeError("many\nlines\x1b[2J"), ["can't be fetched", "many lines"]),
    "silent": (KeyError, ["can't be fetched", "KeyError"]),
}


@pytest.mark.parametrize("case", FAILURES)
def test_each_failure_is_one_sentence(hub_server: Hub, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    failure, fragments = FAILURES[case]
    error = failure()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Endpoint, "describe", fail)
    assert_refused("owner/name", ["owner/name", *fragments], revision="v9")


def test_what_stands_in_the_way_is_named(hub_server: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub_server.add("owner/name", TINY)
    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file"))
    assert_refused("owner/name", ["owner/name can't be saved", str(tmp_path / "file"), "HF_HOME"])
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file"))
    assert_refused("owner/name", ["HF_HUB_CACHE"])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setenv(name, "1")
        assert_refused("owner/name", [f"{name} is set", f"take {name} out"])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9/mirror")
    assert_refused("owner/name", ["127.0.0.1:9 (HF_ENDPOINT) can't be reached"])


def test_a_disk_too_small_is_said_before_anything_is_fetched(hub_server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub_server.add("owner/name", TINY)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))  # type: ignore[attr-defined]
    assert_refused("owner/name", ["disk is full"])
    assert not any("/cdn/" in path for _, path, _ in hub_server.asked)


# What other programs leave in the cache


@pytest.mark.parametrize("store", ["models--gpt2", "models--openai-community--gpt2"])
def test_gpt2_is_found_as_from_pretrained_leaves_it_and_is_one_row(hub_server: Hub, store: str) -> None:
    folder = cached_as(store, TINY)
    assert resolve("gpt2") == resolve("openai-community/gpt2") == resolve("gpt2", may_fetch=False) == folder
    assert load_model("gpt2").config.n_embd == 24
    listed = [entry for entry in known_models() if "gpt2" in entry.name and "distil" not in entry.name]
    assert [(entry.name, entry.state) for entry in listed] == [
        ("gpt2", "cached"), *((f"gpt2-{size}", "to download") for size in ("medium", "large", "xl")),
    ]  # fmt: skip
    assert hub_server.asked == []


def test_both_caches_of_gpt2_are_one_row(hub_server: Hub) -> None:
    cached_as("models--gpt2", TINY)
    own = cached_as("models--openai-community--gpt2", TINY)
    cached_as("models--distilgpt2", TINY)
    cached_as("models--unknown", TINY)  # a name that can't be asked for
    assert resolve("gpt2") == own
    names = [entry.name for entry in known_models() if entry.state == "cached"]
    assert names == ["gpt2", "distilgpt2"]


def test_a_snapshot_that_only_its_commit_names_opens(hub_server: Hub) -> None:
    older, newest = (cached_as("models--owner--name", TINY, digit * 40, ref=None) for digit in "ab")
    os.utime(older, (1, 1))
    assert resolve("owner/name", may_fetch=False) == newest
    assert resolve("owner/name", revision="a" * 40, may_fetch=False) == older
    another = cached_as("models--owner--name", TINY, "c" * 40, ref="other")
    assert resolve("owner/name", may_fetch=False) == newest, "what a branch names is that branch's"
    assert resolve("owner/name", revision="other", may_fetch=False) == another
    for revision in ("../../x", "/etc", "", "v9", "a" * 39):
        with pytest.raises(NotHere, match="models pull owner/name"):
            resolve("owner/name", revision=revision, may_fetch=False)
    assert hub_server.asked == []


def test_what_another_revision_holds_is_listed_and_named(hub_server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    cached_as("models--owner--name", TINY, "a" * 40, ref="dev")
    cached_as("models--owner--name", TINY, "b" * 40, ref="v2")
    (entry, other) = [entry for entry in known_models() if entry.name == "owner/name"]
    assert [(each.state, each.revision) for each in (entry, other)] == [("cached", "dev"), ("cached", "v2")]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert_refused("owner/name", ["HF_HUB_OFFLINE", "--revision dev"])
    cached_as("models--owner--name", TINY, "c" * 40)
    assert [entry.revision for entry in known_models() if entry.name == "owner/name"] == [None], "the newest speaks for itself"


def test_a_damaged_cached_file_says_which_command_mends_it(hub_server: Hub) -> None:
    folder = cached_as("models--owner--name", SAVED)
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(data[:-9])
    with pytest.raises(CheckpointError, match=r"cut short.*`txexplain models pull owner/name` fetches it again"):
        load_model("owner/name")


def test_weights_of_another_name_are_no_pickles(hub_server: Hub, tmp_path: Path) -> None:
    shutil.copy(SAVED / "config.json", tmp_path)
    shutil.copy(SAVED / "model.safetensors", tmp_path / "model.fp16.safetensors")
    hub_server.add("owner/name", tmp_path)
    assert_refused(
        "owner/name", ["has no model.safetensors, but model.fp16.safetensors", "hf download owner/name", "--model DIR/model.fp16"]
    )


def test_pull_brings_the_newest_commit_and_asks_once_where_nothing_changed(hub_server: Hub) -> None:
    hub_server.add("owner/name", TINY)
    first, _ = pull("owner/name")
    hub_server.asked.clear()
    assert pull("owner/name") == (first, "")
    assert len(hub_server.asked) == 1
    hub_server.add("owner/name", TINY, generation_config__json=b"{}")
    assert resolve("owner/name") == first, "what is there is opened without a question"
    newest, _ = pull("owner/name")
    assert newest != first
    assert newest.name == hub_server.repos["owner/name"].sha
    assert resolve("owner/name") == newest
    assert [path for _, path, _ in hub_server.asked if "/cdn/" in path] == [], "the same weights aren't fetched twice"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("linked", [True, False])
def test_pull_mends_what_is_damaged(hub_server: Hub, name: str, linked: bool) -> None:
    hub_server.add("owner/name", TINY)
    if linked:
        folder, _ = pull("owner/name")
    else:
        folder = cached_as("models--owner--name", TINY, hub_server.repos["owner/name"].sha)
    data = (TINY / name).read_bytes()
    (folder / name).resolve().write_bytes(data[: len(data) // 2])
    again, said = pull("owner/name")
    assert (again, said) == (folder, "")
    assert (folder / name).read_bytes() == data


def test_pull_where_the_hub_is_down_says_so_and_never_passes_a_damaged_file(hub_server: Hub) -> None:
    hub_server.add("owner/name", TINY)
    folder, _ = pull("owner/name")
    hub_server.repos["owner/name"].faults.add("down")
    again, said = pull("owner/name")
    assert again == folder
    assert "stays as it is" in said
    assert "500" in said
    (folder / "model.safetensors").resolve().write_bytes(b"x")
    with pytest.raises(ModelNotFound, match=r"model\.safetensors is damaged"):
        pull("owner/name")


def test_pull_goes_on_with_the_cache_that_from_pretrained_began(hub_server: Hub) -> None:
    hub_server.add("openai-community/gpt2", TINY)
    commit = hub_server.repos["openai-community/gpt2"].sha
    folder = cached_as("models--gpt2", TINY, commit)
    assert pull("gpt2") == (folder, "")
    assert not (folder.parents[2] / "models--openai-community--gpt2").exists()


SAVED = ROOT / "tests" / "golden" / "saved" / "one"


def test_a_tokenizer_that_was_not_cached_is_fetched(hub_server: Hub) -> None:
    hub_server.add("owner/name", SAVED)
    folder = cached_as("models--owner--name", SAVED, hub_server.repos["owner/name"].sha, only="[cm]*")
    model = load_model("owner/name")
    assert model.tokenizer.decode(model.prompt_ids("Once upon")) == "Once upon"
    assert (folder / "tokenizer.json").exists()
    assert not any(path.endswith("safetensors") for _, path, _ in hub_server.asked)
    hub_server.asked.clear()
    load_model("owner/name")
    assert hub_server.asked == []


def test_the_settings_of_a_cached_tokenizer_are_fetched_once(hub_server: Hub) -> None:
    """They may put a space or a start before every text."""
    for name, there in (("owner/with", True), ("owner/without", False)):
        hub_server.add(name, SAVED, only="*" if there else "[cm]*")
        folder = cached_as(f"models--{name.replace('/', '--')}", SAVED, hub_server.repos[name].sha, only="[cm]*")
        shutil.copy(SAVED / "tokenizer.json", folder)
        load_model(name)
        assert (folder / "tokenizer_config.json").exists() is there
        hub_server.asked.clear()
        load_model(name)
        assert hub_server.asked == []


def test_a_named_tokenizer_is_fetched_alone_and_once(hub_server: Hub) -> None:
    hub_server.add("owner/words", SAVED)
    own = load_model(str(SAVED)).tokenizer
    for _ in range(2):
        model = load_model(str(SAVED), tokenizer="owner/words")
        assert model.tokenizer.name == "owner/words"
        assert model.tokenizer.encode("Once upon") == own.encode("Once upon")
    assert not any(path.endswith("safetensors") for _, path, _ in hub_server.asked)
    asked = len(hub_server.asked)
    load_model(str(SAVED), tokenizer="owner/words", may_fetch=False)
    assert len(hub_server.asked) == asked
    hub_server.add("owner/other", SAVED)
    with pytest.raises(TokenizerError, match="owner/other holds no tokenizer's files"):
        load_model(str(SAVED), tokenizer="owner/other", may_fetch=False)
    assert load_model("storyteller", tokenizer="gpt2").tokenizer.encode("<|endoftext|>") == [50256]
    assert len(load_model("storyteller").tokenizer.encode("<|endoftext|>")) == 7
    assert load_model("storyteller", specials="token").tokenizer.encode("<|endoftext|>") == [50256]
    assert len(load_model("storyteller", tokenizer="gpt2", specials="text").tokenizer.encode("<|endoftext|>")) == 7
    assert load_model(str(SAVED), tokenizer=str(SAVED / "tokenizer.json")).tokenizer.encode("Once") == own.encode("Once")
    for wrong in (SAVED / "config.json", SAVED.parent, "/nowhere"):
        with pytest.raises((TokenizerError, ModelNotFound), match="tokenizer"):
            load_model("storyteller", tokenizer=str(wrong))


def test_a_model_known_to_have_no_tokenizer_is_asked_about_once(hub_server: Hub) -> None:
    hub_server.add("owner/name", SAVED, only="[cm]*")
    cached_as("models--owner--name", SAVED, hub_server.repos["owner/name"].sha, only="[cm]*")
    model = load_model("owner/name")
    with pytest.raises(TokenizerError, match="owner/name brings no tokenizer"):
        model.prompt_ids("hello")
    assert len(hub_server.asked) == 1
    load_model("owner/name")
    assert len(hub_server.asked) == 1


@pytest.mark.parametrize("vocabulary", [None, 50257])
def test_no_other_vocabulary_takes_the_place_of_one_that_was_not_cached(
    hub_server: Hub, vocabulary: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the hub nobody knows whether the repository has a tokenizer of its own: then there are ids, and a sentence."""
    cached_as("models--owner--name", SAVED, only="[cm]*")
    for may_fetch in (False, True):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        model = load_model("owner/name", may_fetch=may_fetch)
        assert model.forward([1, 2, 3]).n_tokens == 3
        with pytest.raises(TokenizerError, match=r"owner/name was cached without its tokenizer.*models pull owner/name.*--ids"):
            model.prompt_ids("hello")
    if vocabulary is not None:
        folder = resolve("owner/name")
        with pytest.raises(TokenizerError, match="cached without"):
            open_tokenizer("owner/name", folder, vocabulary).encode("hello")
    with pytest.raises(CheckpointError, match="models pull owner/name"):
        list(verify("owner/name"))


def test_info_names_the_commit(hub_server: Hub) -> None:
    folder = cached_as("models--owner--name", SAVED)
    assert info("owner/name")["commit"] == folder.name == "1" * 40
    assert info(str(TINY))["commit"] is None


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
    assert "openai-community/gpt2 isn't on this machine" in said
    assert "127.0.0.1:9 (HF_ENDPOINT) can't be reached" in said
    said = run_python(code, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
    assert "openai-community/gpt2 isn't on this machine" in said
    assert "HF_HUB_OFFLINE" in said


def test_a_folder_that_is_no_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model\.safetensors"):
        load_model(tmp_path)
