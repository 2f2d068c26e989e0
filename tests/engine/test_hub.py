"""The real huggingface_hub against a hub on loopback: what arrives, what is asked, and what is said where it fails.

The library reads its settings when it is imported, so each stage runs in a process of its own; the tests look at what they told.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import close_session, constants

from tests.engine.hub_server import Hub
from txexplain.errors import ModelNotFound
from txexplain.models.cache import checksum_of, is_damaged
from txexplain.models.endpoint import WISHES
from txexplain.models.hub import fetch

ROOT = Path(__file__).parents[2]
SAVED = ROOT / "tests" / "golden" / "saved"
NAMES = ("one", "sharded", "drop", "cut", "damaged", "gated", "pickle", "llama", "down", "nothing", "stopped", "missing")

# Tries every repository, each in turn, and prints what became of it.
CHILD = """
import json, sys, time, traceback
time.sleep = lambda seconds: None  # the library rests before it tries again
from txexplain.errors import ExplainError
from txexplain.models import endpoint, load_model, resolve
from txexplain.models.hub import Stopped
endpoint.CHUNK = 4096  # as if the files were large
told = {}
for name, revision, stop in json.loads(sys.argv[1]):
    seen = []
    def progress(done, total):
        seen.append((done, total))
        if stop:
            raise Stopped
    key = f"{name}@{revision}" if revision else name
    try:
        model = load_model(f"owner/{name}", revision=revision, progress=progress)
        trace = model.forward(model.prompt_ids("Once upon a cat"))
        told[key] = {"folder": str(resolve(f"owner/{name}", revision=revision)), "text": model.tokenizer.decode(trace.ids)}
    except ExplainError as error:
        told[key] = {"said": str(error)}
    except Stopped:
        told[key] = {"said": "stopped"}
    except Exception:
        told[key] = {"said": traceback.format_exc()}
    told[key]["progress"] = seen
print(json.dumps(told))
"""


def python(code: str, *arguments: str, **environment: str) -> str:
    """Run a program that must be silent but for what it prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TXEXPLAIN")) and "proxy" not in key.lower()}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=env | {"PYTHONPATH": str(ROOT)} | environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def attempt(home: Path, url: str, *wanted: tuple[str, str | None, bool], **environment: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(python(CHILD, json.dumps(wanted), HF_HOME=str(home), HF_ENDPOINT=url, **environment))
    return told


@dataclass
class First:
    """What the first stage, with an empty cache, came to."""

    hub: Hub
    home: Path
    told: dict[str, Any]
    asked: list[tuple[str, str, str | None]]

    def files(self, name: str) -> list[str]:
        """The files of a repository that the cache holds."""
        return sorted(path.name for path in (self.home / "hub").glob(f"models--owner--{name}/snapshots/*/*") if path.exists())


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[First]:
    home = tmp_path_factory.mktemp("hf")
    noise = {"pytorch_model__bin": b"\x80\x02", "README__md": b"---\nlicense: mit\n---", "flax__msgpack": b"x", "model__onnx": b"x"}
    with Hub() as hub:
        for name in ("one", "drop", "cut", "damaged", "gated", "down", "stopped"):
            hub.add(f"owner/{name}", SAVED / "one", name, **noise)
        hub.add("owner/sharded", SAVED / "sharded", **noise)
        hub.add("owner/pickle", SAVED / "one", only="*.json", **noise)
        hub.add("owner/llama", SAVED / "one", config__json=b'{"model_type": "llama"}')
        hub.add("owner/nothing", SAVED / "one", only="tokenizer.json")
        told = attempt(home, hub.url, *((name, None, name == "stopped") for name in NAMES), ("one", "v9", False))
        yield First(hub, home, told, list(hub.asked))


@pytest.mark.parametrize("name", ["one", "sharded", "drop"])
def test_a_model_arrives_whole(first: First, name: str) -> None:
    told = first.told[name]
    assert told.get("text") == "Once upon a cat", told
    folder = SAVED / ("sharded" if name == "sharded" else "one")
    for path in Path(told["folder"]).iterdir():
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", ["one", "sharded"])
def test_only_what_a_gpt2_needs_is_fetched_and_never_a_pickle(first: First, name: str) -> None:
    weights = [path.name for path in (SAVED / name).glob("model*")]
    others = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
    assert first.files(name) == sorted([*others, *weights])
    fetched = {path.rsplit("/", 1)[1] for _, path, _ in first.asked if f"/{name}/" in path and ("resolve" in path or "/cdn/" in path)}
    assert fetched == {*others, *weights}
    everything = {path.rsplit("/", 1)[1] for _, path, _ in first.asked if "resolve" in path or "/cdn/" in path}
    assert not {file for file in everything if not file.endswith((".json", ".safetensors"))}


@pytest.mark.parametrize("name", ["one", "sharded", "drop"])
def test_progress_counts_every_byte_once(first: First, name: str) -> None:
    seen = [tuple(pair) for pair in first.told[name]["progress"]]
    folder = SAVED / ("sharded" if name == "sharded" else "one")
    config = (folder / "config.json").stat().st_size  # it was fetched first, and alone
    wanted = sum(path.stat().st_size for path in folder.iterdir() if path.name in first.files(name)) - config
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (wanted, wanted)


def test_a_dropped_connection_goes_on_where_it_broke(first: First) -> None:
    size = (SAVED / "one" / "model.safetensors").stat().st_size
    transfers = [asked for _, path, asked in first.asked if path == "/cdn/owner/drop/model.safetensors"]
    assert transfers == [None, f"bytes={size // 2 // 4096 * 4096}-"]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("missing", ["no repository owner/missing", "check the name"]),
        ("one@v9", ["owner/one has no revision v9"]),
        ("gated", ["owner/gated is gated", "hf auth login"]),
        ("pickle", ["owner/pickle has no weights as safetensors", "pickles"]),
        ("llama", ["owner/llama isn't a GPT-2", '"llama"']),
        ("nothing", ["owner/nothing has no config.json"]),
        ("cut", ["owner/cut arrived incomplete", "try again"]),
        ("damaged", ["model.safetensors arrived damaged", "sha256", "fetch it again"]),
        ("down", ["owner/down", "can't be reached"]),
    ],
)
def test_each_failure_is_one_sentence_with_what_to_do(first: First, key: str, words: list[str]) -> None:
    said = first.told[key].get("said", "")
    assert [word for word in words if word not in said] == [], said
    assert "\n" not in said
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("SSL_CERT_FILE", "/nowhere/ca.pem", "No such file"), ("SSL_CERT_FILE", __file__, "cert"), ("HTTPS_PROXY", "foo://x", "proxy")],
)
def test_certificates_and_proxies_that_cannot_be_used_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    """It was said that the cache can't be written."""
    for each in WISHES:
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    try:
        with pytest.raises(ModelNotFound, match=f"can't be fetched: no connection can be made by the environment's {name} .*{words}"):
            fetch("owner/name", None)
    finally:
        close_session()


def test_what_failed_leaves_no_weights_behind(first: First) -> None:
    for name in ("cut", "damaged", "gated", "pickle", "llama", "stopped"):
        assert not [file for file in first.files(name) if file.endswith((".safetensors", ".bin"))], name
    left = [path for path in (first.home / "hub").rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_size > 10_000]
    assert {path.parts[-3] for path in left} == {"models--owner--one", "models--owner--drop", "models--owner--sharded"}, (
        "no half of any other"
    )


def test_weights_of_another_architecture_are_not_even_asked_for(first: First) -> None:
    assert not [path for _, path, _ in first.asked if "owner/llama" in path and "safetensors" in path]


def test_a_download_can_be_stopped_and_begun_again(first: First) -> None:
    assert first.told["stopped"]["said"] == "stopped"
    again = attempt(first.home, first.hub.url, ("stopped", None, False), ("gated", None, False), HF_TOKEN="good")
    assert again["stopped"].get("text") == "Once upon a cat"
    assert again["gated"].get("text") == "Once upon a cat", "with a token whose bearer may read it"


def test_the_cache_is_tried_first_without_any_network(first: First) -> None:
    before = len(first.hub.asked)
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
        told = attempt(first.home, first.hub.url, ("one", None, False), ("sharded", None, False), **environment)
        assert [told[name].get("text") for name in ("one", "sharded")] == ["Once upon a cat"] * 2
        assert told["one"]["progress"] == []
    offline = attempt(first.home, first.hub.url, ("other", None, False), HF_HUB_OFFLINE="1")
    assert "owner/other isn't on this machine" in offline["other"]["said"]
    assert first.hub.asked[before:] == []


COMMANDS = """
import json, sys
from click.testing import CliRunner
from txexplain.cli import cli
told = []
for args in json.loads(sys.argv[1]):
    done = CliRunner().invoke(cli, args)
    told.append((done.exit_code, done.stdout, done.stderr))
print(json.dumps(told))
"""


def commands(first: First, *lines: str) -> list[tuple[int, str, str]]:
    given = json.dumps([line.split() for line in lines])
    told: list[tuple[int, str, str]] = json.loads(python(COMMANDS, given, HF_HOME=str(first.home), HF_ENDPOINT=first.hub.url))
    return told


def test_the_commands_about_models_of_the_hub(first: First) -> None:
    before = len(first.hub.asked)
    listed, info, verified, absent = commands(
        first, "models --json", "models info owner/sharded --json", "models verify owner/sharded --json", "models info gpt2"
    )
    assert first.hub.asked[before:] == [], "to look asks no network"
    entries = {entry["name"]: entry for entry in json.loads(listed[1])["models"]}
    assert entries["storyteller"]["state"] == "bundled"
    assert entries["gpt2"]["state"] == "to download"
    assert entries["owner/sharded"]["state"] == "cached"
    assert entries["owner/sharded"]["bytes"] == sum(path.stat().st_size for path in (SAVED / "sharded").glob("*.safetensors"))
    assert "owner/llama" not in entries
    assert len(json.loads(info[1])["files"]) == 4
    assert json.loads(verified[1])["checks"]["checksums"] == "sha256 of 4 files are the hub's"
    assert absent[0] == 2
    assert "models pull gpt2" in absent[2]


def test_pull_says_where_it_is_and_nothing_to_a_pipe(first: First) -> None:
    first.hub.add("owner/pulled", SAVED / "one")
    pulled, again, missing = commands(first, "models pull owner/pulled", "models pull owner/pulled", "models pull owner/missing")
    assert pulled == again
    assert pulled[0] == 0
    assert pulled[1].startswith("owner/pulled: ")
    assert pulled[2] == ""
    assert Path(pulled[1].split()[1], "model.safetensors").exists()
    assert (missing[0], missing[1]) == (2, "")
    assert "no repository owner/missing" in missing[2]


def test_verify_finds_a_cached_file_that_was_changed_since(first: First) -> None:
    first.hub.add("owner/changed", SAVED / "sharded")
    commands(first, "models pull owner/changed")
    (file,) = (first.home / "hub").glob("models--owner--changed/snapshots/*/model-00003-of-00004.safetensors")
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.resolve().write_bytes(data)
    ((code, _, said),) = commands(first, "models verify owner/changed")
    assert code == 2
    assert "model-00003-of-00004.safetensors" in said
    assert "sha256" in said
    assert file.exists(), "to look changes nothing"


def test_a_blob_that_is_a_link_into_a_shared_store_is_still_known_by_its_own_name(tmp_path: Path) -> None:
    """The library can keep the bytes of many repositories in one place, under names that are no sha256 of them."""
    data = b"weights"
    (tmp_path / ("f" * 64)).write_bytes(data)
    blob = tmp_path / hashlib.sha256(data).hexdigest()
    blob.symlink_to("f" * 64)
    (tmp_path / "snapshots").mkdir()
    file = tmp_path / "snapshots" / "model.safetensors"
    file.symlink_to(Path("..") / blob.name)
    assert checksum_of(file) == blob.name
    assert not is_damaged(file)
    (tmp_path / ("f" * 64)).write_bytes(b"Weights")
    assert is_damaged(file)
    (tmp_path / "plain").write_bytes(data)
    assert checksum_of(tmp_path / "plain") is None
