"""A hub's answers: the commit, the list of files, each file's headers. No network: the answers lie in the case's file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import unquote, urlsplit

import huggingface_hub
from huggingface_hub import constants

from tests.fuzz.cases import Case, content
from tests.fuzz.harness import Wrong
from tests.fuzz.mutate import mutated_bytes, mutated_json_bytes
from txexplain.models.hub import download

SAVED = Path(__file__).parents[1] / "golden" / "saved" / "one"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SERVED = {name: (SAVED / name).read_bytes() for name in ("config.json", "tokenizer.json", "model.safetensors")}
WORDS = (
    *("../../../../planted", "/tmp/planted", "0" * 40, "f" * 64, COMMIT, COMMIT.upper(), "", -1, 10**30, "1" * 16, "\x1b[2J", "\n"),
    *("gzip", "identity", "file:///etc/passwd", "http://[", "https://huggingface.co/x", "/x", "bytes 3-9/10", 200, 206, 302, 307, 401, 404),
    *(416, 429, 500, "RepoNotFound", "GatedRepo", "EntryNotFound", "location", "etag", "x-linked-etag", "content-encoding", "x-error-code"),
    *("model.safetensors.index.json", "vocab.json", "adapter_config.json", None),
)


def answers() -> dict[str, Any]:
    """What an honest hub says."""
    files = {name: {"status": 200, "headers": honest(name, data)} for name, data in SERVED.items()}
    siblings = [{"rfilename": name} for name in SERVED]
    return {"revision": {"status": 200, "headers": {}, "body": {"sha": COMMIT, "siblings": siblings}}} | files


def honest(name: str, data: bytes) -> dict[str, str]:
    large = name.endswith(".safetensors")
    digest = hashlib.sha256(data).hexdigest() if large else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    linked = {"x-linked-etag": f'"{digest}"', "x-linked-size": str(len(data))}
    return {"x-repo-commit": COMMIT, "etag": f'"{digest}"', "content-length": str(len(data))} | (linked if large else {})


class Answer:
    """A response, as far as it is looked at."""

    def __init__(self, fields: Any, body: bytes) -> None:
        fields = fields if isinstance(fields, dict) else {"status": 404}
        status, headers = fields.get("status"), fields.get("headers")
        self.status_code = status % 1000 if isinstance(status, int) else 200
        headers = headers if isinstance(headers, dict) else {}
        self.headers = {str(name).lower(): str(value) for name, value in headers.items() if value is not None}
        self.body = body

    def iter_raw(self, size: int = 1000) -> Iterator[bytes]:
        for start in range(0, len(self.body), size):
            yield self.body[start : start + size]

    def close(self) -> None:
        pass


class Session:
    def __init__(self, document: Any) -> None:
        self.document = document if isinstance(document, dict) else {}

    def build_request(self, method: str, url: str, **_: Any) -> Any:
        return SimpleNamespace(method=method, url=SimpleNamespace(path=urlsplit(url).path, host=urlsplit(url).hostname))

    def send(self, request: Any, **_: Any) -> Answer:
        name = unquote(request.url.path).rpartition("/")[2]
        fields = self.document.get("revision" if name == "main" else name)
        body = json.dumps(fields.get("body")).encode() if name == "main" and isinstance(fields, dict) else SERVED.get(name, b"")
        return Answer(fields, b"" if request.method == "HEAD" else body)


class Hubs:
    name = "hubs"

    def __init__(self) -> None:
        self.bases = [Case({"answers.json": json.dumps(answers()).encode()})]

    def make(self, rng: Random) -> Case:
        case = self.bases[0]
        for _ in range(rng.choice((1, 1, 2, 3))):
            data = case.files["answers.json"]
            assert isinstance(data, bytes)
            bytewise = rng.random() < 0.2
            case = case.with_file("answers.json", mutated_bytes(rng, data) if bytewise else mutated_json_bytes(rng, data, WORDS))
        return case

    def open(self, folder: Path, case: Case) -> None:
        try:
            document = json.loads(content(folder / "answers.json"))
        except (ValueError, RecursionError):
            document = None
        with (
            mock.patch.object(constants, "HF_HUB_CACHE", str(folder / "cache")),
            mock.patch.object(constants, "HF_HUB_OFFLINE", False),
            mock.patch.object(huggingface_hub, "get_token", return_value=None),
            mock.patch.object(huggingface_hub, "get_session", return_value=Session(document)),
        ):
            try:
                found = download("owner/case", None, None)
            finally:
                self.look(folder)
        for name in ("config.json", "model.safetensors"):
            if (found / name).read_bytes() != SERVED[name]:
                raise Wrong(f"{name} isn't what was sent")

    def look(self, folder: Path) -> None:
        """Nothing outside the cache, and in it nothing whose name isn't its checksum."""
        if {path.name for path in folder.iterdir()} - {"answers.json", "cache"} or [path.name for path in folder.parent.iterdir()] != [
            "case"
        ]:
            raise Wrong("something was written outside the cache")
        for blob in (folder / "cache").glob("*/blobs/*"):
            data = blob.read_bytes()
            sums = (hashlib.sha256(data), hashlib.sha1(data), hashlib.sha1(b"blob %d\0" % len(data) + data))
            if not blob.name.endswith(".incomplete") and blob.name not in {each.hexdigest() for each in sums}:
                raise Wrong(f"{blob.name} isn't its checksum")

    def also(self, folder: Path, case: Case) -> bool:
        return False
