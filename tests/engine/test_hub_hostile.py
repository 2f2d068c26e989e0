"""A hub that answers whatever it likes: nothing outside the cache, nothing unchecked in it, an end soon, and one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.hub_server import Hub, git_blob
from tests.engine.hubs import hub_and_cache
from txexplain.errors import ModelNotFound
from txexplain.models import endpoint, line, resolve
from txexplain.models.cache import VOCABULARY, shard_names

ROOT = Path(__file__).parents[2]
SAVED = ROOT / "tests" / "golden" / "saved"
A_COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setattr(endpoint, "CHUNK", 4096)  # as if the files were large
    with hub_and_cache(monkeypatch, tmp_path / "cache" / "hub", "secret") as hub:
        yield hub


HOSTILE = {
    "etag={outside}/planted": "checksum",
    "etag=../../../../outside/planted": "checksum",
    "etag=ABCDEF": "checksum",
    f"etag={'A' * 64}": "checksum",
    "etag=\x1b]0;x\x07": "checksum",
    "sha=../../../../outside/planted": "commit",
    "sha={outside}/planted": "commit",
    "sha=main": "commit",
    "commit=../../../../outside/planted": "another commit|another one|of another",
    f"commit={A_COMMIT}": "of another",
    "size=-1": "size",
    "size=many": "size",
    f"size={10**15}": "too large|disk is full|size",
    "size=100": "incomplete",
    "list=endless": "MB where",
    "list=deep": "isn't JSON",
    "list=text": "isn't JSON",
    "list=bomb": "compressed",
    "list=many": "list of files",
    "list=none": "list of files",
    "moved=http://localhost:{port}/api/models/owner/other/revision/main": "moved",
    "moved=file:///etc/passwd": "moved",
    "moved=http://[": "moved|fetched",
    "moved=loop": "redirect",
    "weights=file:///etc/passwd": "moved",
    "body=bomb": "compressed",
    "body=long": "incomplete",
    "body=damaged": "arrived damaged: its sha1",
}


@pytest.mark.parametrize("fault", HOSTILE)
def test_what_cannot_be_believed_is_refused_in_a_sentence_and_nothing_of_it_is_used(hub: Hub, tmp_path: Path, fault: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    hub.add("owner/other", SAVED / "one")
    hub.add("owner/bad", SAVED / "one", fault.format(outside=outside, port=hub.server_address[1]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelNotFound, match=HOSTILE[fault]) as caught:
        resolve("owner/bad")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 100_000, "kilobytes"
    assert [path for path in tmp_path.rglob("*") if "planted" in path.name] == []
    assert [path.name for path in tmp_path.iterdir()] in (["outside"], ["cache", "outside"], ["outside", "cache"])
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix not in (".lock", ".incomplete")]
    names = {path.name for path in kept}
    assert names <= {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        *(path.name for path in kept if path.parent.name == "blobs"),
    }
    assert all(re.fullmatch("[0-9a-f]{40}", path.name) for path in kept if path.parent.name == "blobs")
    with pytest.raises(ModelNotFound):
        resolve("owner/bad", may_fetch=False)


@pytest.mark.parametrize("part", ["head", "list", "file", "weights"])
def test_what_drips_without_end_is_cut_and_a_sentence_tells_the_least_rate(hub: Hub, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr(line, "PERIOD", 0.3)
    hub.add("owner/slow", SAVED / "one", f"endless={part}")
    with pytest.raises(ModelNotFound, match="it sends less than 60 kB a minute"):
        resolve("owner/slow")


def test_a_few_lines_that_come_for_minutes_are_cut(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "PERIOD", 0.1)
    monkeypatch.setattr(line, "LEAST", 0)
    monkeypatch.setattr(endpoint, "LONGEST", 0.3)
    hub.add("owner/slow", SAVED / "one", "endless=list")
    with pytest.raises(ModelNotFound, match="a few lines for more than"):
        resolve("owner/slow")


@pytest.mark.long
def test_a_byte_for_each_connection_is_next_to_nothing(hub: Hub) -> None:
    hub.add("owner/slow", SAVED / "one", "endless=crumbs")
    with pytest.raises(ModelNotFound, match="can't be reached"):
        resolve("owner/slow")
    assert sum(path.startswith("/cdn/") for _, path, _ in hub.asked) < 10


def test_an_index_names_no_shards_without_end() -> None:
    def index(count: int) -> bytes:
        return json.dumps({"weight_map": {f"h.{i}": f"model-{i}.safetensors" for i in range(count)}}).encode()

    assert len(shard_names(index(200))) == 200
    with pytest.raises(ValueError, match="no index"):
        shard_names(index(20_000))


@pytest.mark.parametrize("near", ["127.0.0.2", "127.0.0."])
def test_a_public_hub_leads_nobody_into_a_private_network(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, near: str) -> None:
    """Unless it lies there itself: then its files may."""
    monkeypatch.setattr(endpoint, "is_near", lambda host: host.startswith(near))
    with Hub("127.0.0.2") as inner:
        inner.add("owner/one", SAVED / "one")
        hub.add("owner/one", SAVED / "one", f"weights={inner.url}/cdn/owner/one/model.safetensors")
        if near == "127.0.0.":
            resolve("owner/one")
            assert inner.asked
        else:
            with pytest.raises(ModelNotFound, match=r"moved to 127\.0\.0\.2, which isn't public"):
                resolve("owner/one")
            assert inner.asked == []


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("127.0.0.1", True), ("10.1.2.3", True), ("192.168.0.1", True), ("169.254.169.254", True), ("100.64.0.1", True), ("0.0.0.0", True),
        ("::1", True), ("fe80::1%eth0", True), ("fd00::1", True), ("::ffff:10.0.0.1", True), ("127.1", True), ("0x7f000001", True),
        ("localhost", True), ("a.LOCALHOST.", True), ("8.8.8.8", False), ("2606:4700::1111", False), ("::ffff:8.8.8.8", False),
        ("huggingface.co", False), ("localhost.example.org", False),
    ],
)  # fmt: skip
def test_which_addresses_are_private(host: str, near: bool) -> None:
    assert line.is_near(host) == near


@pytest.mark.parametrize("name", ["../../x.json", "/etc/passwd", "a/tokenizer.json", ".hidden", "\x1b[2J", "a" * 5000])
def test_other_files_of_a_list_are_passed_over(hub: Hub, name: str, tmp_path: Path) -> None:
    hub.add("owner/one", SAVED / "one", f"names={name}")
    folder = resolve("owner/one")
    others = {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in folder.iterdir()} == {*others, "model.safetensors"}


def test_the_token_goes_to_the_hub_alone_and_no_further_page_is_asked(hub: Hub) -> None:
    hub.add("owner/one", SAVED / "one", f"link=http://localhost:{hub.server_address[1]}/third/list")
    resolve("owner/one")
    assert {host for host, _ in hub.tokens} == {"127.0.0.1"}
    assert any(path.startswith("/cdn/") for _, path, _ in hub.asked), "the weights came from another host"
    assert not any("third" in path or "agent" in path for _, path, _ in hub.asked), "and nothing was asked but what is needed"


def test_bytes_of_another_place_are_not_taken_for_the_rest(hub: Hub) -> None:
    hub.add("owner/one", SAVED / "one", "drop", "range=bytes 7-99/100")
    with pytest.raises(ModelNotFound, match="other bytes"):
        resolve("owner/one")


def test_what_was_left_of_another_download_does_not_get_into_a_file(hub: Hub, tmp_path: Path) -> None:
    """Half of a file whose bytes are wrong is thrown away, and the file fetched anew."""
    hub.add("owner/one", SAVED / "one")
    (digest,) = {path.name for path in (resolve("owner/one").parent.parent / "blobs").iterdir() if len(path.name) == 64}
    blobs = tmp_path / "cache" / "hub" / "models--owner--one" / "blobs"
    (blobs / digest).unlink()
    (blobs / f"{digest}.incomplete").write_bytes(b"x" * 1000)
    folder = resolve("owner/one")
    assert (folder / "model.safetensors").read_bytes() == (SAVED / "one" / "model.safetensors").read_bytes()
    assert [asked for _, path, asked in hub.asked if path.startswith("/cdn/")] == [None, "bytes=1000-", None]
    assert not (blobs / f"{digest}.incomplete").exists()


def test_a_planted_link_in_the_cache_is_not_written_through(hub: Hub, tmp_path: Path) -> None:
    hub.add("owner/one", SAVED / "one")
    folder = resolve("owner/one")
    blobs = folder.parent.parent / "blobs"
    (digest,) = [path.name for path in blobs.iterdir() if len(path.name) == 64]
    (blobs / digest).unlink()
    target = tmp_path / "bashrc"
    target.write_text("mine")
    (blobs / f"{digest}.incomplete").symlink_to(target)
    resolve("owner/one")
    assert target.read_text() == "mine"


def test_nothing_that_stands_in_a_shared_cache_leads_a_download_elsewhere(hub: Hub, tmp_path: Path) -> None:
    """Another name of a file, a pipe, and a link in the place of an empty note."""
    hub.add("owner/good", SAVED / "one")
    files, store = hub.repos["owner/good"].files, tmp_path / "cache" / "hub" / "models--owner--good"
    (store / "blobs").mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    os.link(precious, store / "blobs" / f"{hashlib.sha256(files['model.safetensors']).hexdigest()}.incomplete")
    os.mkfifo(store / "blobs" / f"{git_blob(files['config.json'])}.incomplete")
    note = store / ".no_exist" / hub.repos["owner/good"].sha / next(name for name in VOCABULARY if name not in files)
    note.parent.mkdir(parents=True)
    note.symlink_to(tmp_path / "made")
    folder = resolve("owner/good")
    assert {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}.items() <= files.items()
    assert precious.read_text() == "mine"
    assert not (tmp_path / "made").exists()


PULL = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background has it ignored
from txexplain.models import endpoint, hub
endpoint.CHUNK = 4096
write = hub.write_all
def told(number, data):
    write(number, data)
    print(os.fstat(number).st_size, flush=True)
hub.write_all = told
sys.argv = ["txexplain", "models", "pull", "owner/one"]
from txexplain.cli import main
main()
"""


@pytest.mark.long
def test_an_interrupt_ends_a_download_at_once_and_the_next_try_goes_on_with_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("owner/one", SAVED / "one", "hold")
    for name, value in {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_ENDPOINT": hub.url, "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    with subprocess.Popen([sys.executable, "-c", PULL], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        try:
            assert hub.halfway.wait(60)
            assert run.stdout is not None
            next(line for line in run.stdout if int(line) > 10_000)  # more than any file but the weights has
            run.send_signal(signal.SIGINT)
            assert run.wait(60) == 130, run.stderr and run.stderr.read()
        finally:
            run.kill()
    hub.asked.clear()
    done = subprocess.run([sys.executable, "-c", PULL], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (asked,) = [asked for _, path, asked in hub.asked if path.startswith("/cdn/")]
    assert asked is not None
    assert 0 < int(asked.removeprefix("bytes=").removesuffix("-")) <= (SAVED / "one" / "model.safetensors").stat().st_size // 2
    folder = Path(done.stdout.split()[-1])
    assert (folder / "model.safetensors").read_bytes() == (SAVED / "one" / "model.safetensors").read_bytes()
    assert not list((tmp_path / "cache").rglob("*.incomplete"))
