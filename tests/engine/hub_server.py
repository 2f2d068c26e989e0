"""A Hugging Face hub on loopback, with the answers that huggingface_hub asks for and the faults that networks have.

Repositories are folders; what goes wrong with one is its `faults`:
    gated       its files are refused to all but the bearer of the token "good"
    drop        the first transfer of its weights breaks off in the middle
    cut         its weights end before the size that the hub gave
    damaged     a byte of its weights differs from those whose sha256 the hub gave
    down        every answer is 500
    hold        the first transfer of its weights stops in the middle; `halfway` is set, and the rest never comes
What a hostile one answers, as `word=value`:
    etag, sha, commit, size, encoding, range    this, in place of the right checksum, commit, commit of a file, size, …
    names       a list of files with this one in it
    link        that the list goes on there
    list        its list is `endless`, `deep`, `text`, `bomb` (compressed), `many` or `none`
    moved       the list is there; `loop`: where it is
    weights     the weights are there, which is answered to a GET alone
    body        the config is `long`er than its size, `damaged`, or a `bomb`
    endless     never ends, a little at a time: the `head` of its list (100 Continue), its `list`, a file's head (`file`), its `weights`;
                `crumbs`: a byte of its weights for each connection
"""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repo:
    files: dict[str, bytes]
    faults: set[str] = field(default_factory=set)

    def says(self, word: str) -> str | None:
        return next((fault.partition("=")[2] for fault in self.faults if fault.startswith(f"{word}=")), None)

    @property
    def sha(self) -> str:
        return hashlib.sha1(repr(sorted((name, hashlib.sha1(data).hexdigest()) for name, data in self.files.items())).encode()).hexdigest()


class Hub(ThreadingHTTPServer):
    """`asked` is the log of (method, path, Range)."""

    daemon_threads = True

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), Handler)
        self.repos: dict[str, Repo] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.tokens: list[tuple[str, str]] = []  # (host, path) of what came with one
        self.dropped: set[str] = set()
        self.halfway, self.over = threading.Event(), threading.Event()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def add(self, name: str, folder: Path, *faults: str, only: str = "*", **more: bytes) -> None:
        files = {path.name: path.read_bytes() for path in sorted(folder.glob(only)) if path.is_file()}
        self.repos[name] = Repo(files | {key.replace("__", "."): data for key, data in more.items()}, set(faults))

    def __enter__(self) -> Hub:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        pass  # a client that goes away is what some tests are about


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.reply()

    def do_HEAD(self) -> None:
        self.reply()

    def reply(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append((self.command, path, self.headers.get("Range")))
        if self.headers.get("Authorization"):
            self.server.tokens.append((self.headers["Host"].partition(":")[0], path))
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            name, rest = "/".join(parts[2:4]), parts[4:]
        elif parts[0] == "cdn":
            name, rest = "/".join(parts[1:3]), ["cdn", *parts[3:]]
        else:
            name, rest = "/".join(parts[:2]), parts[2:]
        repo = self.server.repos.get(name)
        if repo is None:
            self.send(401, b"Invalid username or password.", {"X-Error-Code": "RepoNotFound"})
        elif "down" in repo.faults:
            self.send(500, b"down")
        elif rest[:1] == ["revision"] and rest[1] not in ("main", repo.sha):
            self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif rest[:1] in ([], ["revision"]):
            self.describe(name, repo)
        elif rest[0] == "tree":
            self.send_json([tree_entry(file, data) for file, data in repo.files.items()])
        elif rest[0] == "resolve":
            self.resolve(name, repo, "/".join(rest[2:]))
        elif rest[0] == "cdn":
            self.transfer(name, repo, "/".join(rest[1:]))
        else:
            self.send(404, b"")

    def describe(self, name: str, repo: Repo) -> None:
        siblings = [{"rfilename": file} for file in (*repo.files, *filter(None, [repo.says("names")]))]
        document = {"_id": "1", "id": name, "modelId": name, "sha": repo.says("sha") or repo.sha, "private": False, "siblings": siblings}
        kind, moved, headers = repo.says("list"), repo.says("moved"), {}
        if repo.says("endless") == "head":
            self.drip(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif repo.says("endless") == "list":
            self.start(200, 10**9, {"Content-Type": "application/json"})
            self.drip(b" ")
        elif moved is not None:
            self.send(307, b"", {"Location": self.path if moved == "loop" else moved})
        elif kind == "endless":
            self.start(200, 10**15, {"Content-Type": "application/json"})
            while True:
                self.wfile.write(b'{"a":' + b" " * 1_000_000)
        elif kind in ("deep", "text"):
            self.send(200, b"[" * 100_000 if kind == "deep" else b"<html>", {})
        elif kind == "bomb":
            self.send(200, gzip.compress(b" " * 50_000_000, 1), {"Content-Encoding": "gzip"})
        else:
            document |= {"siblings": [{"rfilename": "a"}] * 100_001} if kind == "many" else {"siblings": None} if kind == "none" else {}
            if (link := repo.says("link")) is not None:
                headers = {"Link": f'<{link}>; rel="next"'}
            self.send(200, json.dumps(document).encode(), {"Content-Type": "application/json"} | headers)

    def resolve(self, name: str, repo: Repo, file: str) -> None:
        if "gated" in repo.faults and self.headers.get("Authorization") != "Bearer good":
            self.send(403 if self.headers.get("Authorization") else 401, b"", {"X-Error-Code": "GatedRepo"})
        elif file not in repo.files:
            self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.sha})
        elif repo.says("endless") == "file":
            self.drip(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif is_large(file):
            data = repo.files[file]
            headers = {
                "X-Repo-Commit": repo.says("commit") or repo.sha,
                "X-Linked-Etag": f'"{repo.says("etag") or hashlib.sha256(data).hexdigest()}"',
                "X-Linked-Size": repo.says("size") or str(len(data)),
                "Location": f"http://localhost:{self.server.server_address[1]}/cdn/{name}/{file}",  # another host, as the hub's
            }
            if self.command == "GET" and (there := repo.says("weights")) is not None:
                headers["Location"] = there
            self.send(302, b"", headers)
        else:
            data, body = repo.files[file], repo.says("body")
            headers = {"X-Repo-Commit": repo.says("commit") or repo.sha, "ETag": f'"{repo.says("etag") or git_blob(data)}"'}
            if self.command == "GET" and body == "bomb":
                self.send(200, gzip.compress(b" " * 50_000_000, 1), headers | {"Content-Encoding": "gzip"})
            elif self.command == "GET" and body is not None:
                self.send(200, data + b" " * 10_000_000 if body == "long" else data[:-2] + b" }", headers)
            else:
                self.send(200, data, headers)

    def transfer(self, name: str, repo: Repo, file: str) -> None:
        data = repo.files[file]
        if "damaged" in repo.faults:
            data = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
        if "cut" in repo.faults:
            data = data[:-100]
        asked, start = self.headers.get("Range"), 0
        if asked is not None:
            start = int(asked.removeprefix("bytes=").split("-")[0])
        part = data[start:]
        headers = {"Content-Range": repo.says("range") or f"bytes {start}-{len(data) - 1}/{len(data)}"} if asked is not None else {}
        if repo.says("endless") == "weights":
            self.start(200, len(part), headers)
            self.drip(part[:1])
            return
        if repo.says("endless") == "crumbs":
            self.start(206 if asked else 200, len(part), headers)
            self.wfile.write(part[:1])
            self.close_connection = True
            return
        if "drop" in repo.faults and name not in self.server.dropped and len(part) > 1000:
            self.server.dropped.add(name)
            self.start(206 if asked else 200, len(part), headers)
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.close_connection = True
            return
        if "hold" in repo.faults and name not in self.server.dropped:
            self.server.dropped.add(name)
            self.start(200, len(part), headers)
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.server.halfway.set()
            self.rfile.read(1)  # until the client goes away
            self.close_connection = True
            return
        self.send(206 if asked is not None else 200, part, headers)

    def drip(self, drop: bytes) -> None:
        """The same few bytes until the client goes away."""
        self.close_connection = True
        while not self.server.over.wait(0.01):
            self.wfile.write(drop)

    def send_json(self, document: Any) -> None:
        self.send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.start(status, len(data), headers or {})
        if self.command != "HEAD":
            self.wfile.write(data)

    def start(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


def is_large(file: str) -> bool:
    return file.endswith((".safetensors", ".bin"))


def git_blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def tree_entry(file: str, data: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": file, "size": len(data), "oid": git_blob(data)}
    if is_large(file):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry
