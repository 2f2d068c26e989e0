"""What a Hugging Face hub answers, looked at before anything is done with it: a mirror may answer whatever it likes.

The library's own client asks (its settings, proxies and certificates hold), but what it would believe is checked here: a checksum becomes
a file's name and a commit a folder's, a list may go on for ever, a redirect may lead anywhere. Nothing compressed is taken, so that a
byte that arrives is a byte; the reader's token goes to the hub alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from math import inf
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from txexplain.bounded import load_json
from txexplain.errors import ModelNotFound, reason
from txexplain.models.cache import COMMIT, DIGEST, FILE, settings
from txexplain.models.line import LONGEST, Line, is_near
from txexplain.text import shown

OR_A_FOLDER = "or name a folder that holds a GPT-2"
HUB = "https://huggingface.co"
# What the environment may say of connections.
WISHES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
MOVED = (301, 302, 303, 307, 308)
REDIRECTS = 5
CHUNK = 1 << 16  # bytes of a download: as many are lost where it breaks, and may pass until it stops
LARGEST_ANSWER = 16_000_000  # bytes of a JSON document
MOST_FILES = 100_000  # in one repository
MOST_VALUES = 1_000_000  # of a JSON document


class Unreachable(ModelNotFound):
    """The hub gives no answer, or says that it can't."""


@dataclass(frozen=True)
class Remote:
    """A file of a repository: its checksum, and how large it is."""

    name: str
    digest: str
    size: int


class Endpoint:
    """One repository on the hub, at a revision. Raises ModelNotFound for whatever the hub refuses, and for what can't be believed."""

    def __init__(self, repo: str, revision: str | None, alive: Callable[[], object]) -> None:
        """alive: called with each piece that arrives; what it raises ends the work. Raises Unreachable where no network may be used."""
        try:
            constants = settings()
            from huggingface_hub import get_session, get_token
        except ImportError as error:
            raise ModelNotFound(f"{repo} can't be fetched: {reason(error)}; install huggingface-hub, {OR_A_FOLDER}.") from None
        self.repo, self.revision, self.alive = repo, revision, alive
        self.base = str(constants.ENDPOINT)
        if constants.HF_HUB_OFFLINE:
            name = next((name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if os.environ.get(name)), "HF_HUB_OFFLINE")
            raise unreachable(repo, f"{name} is set", f"take {name} out of the environment")
        self.timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        try:
            self.session = get_session()
        except (OSError, ValueError) as error:  # certificates, a proxy
            wishes = ", ".join(name for name in WISHES if os.environ.get(name)) or "settings"
            why = f"no connection can be made by the environment's {wishes} ({reason(error)})"
            raise ModelNotFound(f"{repo} can't be fetched: {why}; mend that, {OR_A_FOLDER}.") from None
        self.near: bool | None = None  # whether the hub lies in a private network; None: it wasn't reached yet
        self.token = None
        with suppress(OSError):  # of a home that is no folder; where files go, that is said
            self.token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()

    def describe(self) -> tuple[str, list[str]]:
        """The commit that the revision is, and the names of the files in its top folder."""
        answer = self.document(f"{self.base}/api/models/{self.repo}/revision/{quote(self.revision or 'main', safe='')}")
        fields = answer if isinstance(answer, dict) else {}
        commit, siblings = fields.get("sha"), fields.get("siblings")
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise self.unbelievable(f"the commit {shown(str(commit), 60)}, which is none")
        if self.revision is not None and COMMIT.fullmatch(self.revision) and commit != self.revision:
            raise self.unbelievable("another commit than the one that was asked for")
        if not isinstance(siblings, list) or len(siblings) > MOST_FILES:
            raise self.unbelievable("no list of files, or one without an end")
        names = [each.get("rfilename") for each in siblings if isinstance(each, dict)]
        return commit, [name for name in names if isinstance(name, str) and FILE.fullmatch(name)]

    def look(self, commit: str, name: str) -> Remote:
        """A file's checksum and size."""
        with self.answer("HEAD", self.place(commit, name)) as response:
            headers, moves = response.headers, response.status_code in MOVED
        digest = (headers.get("x-linked-etag") or headers.get("etag") or "").removeprefix("W/").strip('"')
        size = headers.get("x-linked-size") or ("" if moves else headers.get("content-length", ""))
        if not DIGEST.fullmatch(digest):
            raise self.unbelievable(f"{shown(digest, 60)} for {name}'s checksum, which is none")
        if headers.get("x-repo-commit", commit) != commit:
            raise self.unbelievable(f"{name} of another commit than the one that was asked for")
        if not re.fullmatch("[0-9]{1,15}", size):
            raise self.unbelievable(f"no size for {name}")
        return Remote(name, digest, int(size))

    def text(self, commit: str, name: str) -> bytes:
        """What a small file holds; kept nowhere."""
        with self.answer("GET", self.place(commit, name), anywhere=True) as response:
            return self.bounded(response)

    def pieces(self, commit: str, name: str, start: int) -> Iterator[tuple[int, bytes]]:
        """A file's bytes from `start` on, each piece with its place; from 0 on where the hub can't begin there."""
        with self.answer("GET", self.place(commit, name), start=start, anywhere=True, brief=False) as response:
            at = 0
            if response.status_code == 206:
                span = re.match(r"bytes ([0-9]{1,15})-", response.headers.get("content-range", ""))
                if span is None or int(span[1]) != start:
                    raise self.unbelievable(f"other bytes of {name} than were asked for")
                at = start
            elif response.status_code == 416:
                return
            for piece in response.iter_raw(CHUNK):
                yield at, piece
                at += len(piece)

    # Asking

    def place(self, commit: str, name: str) -> str:
        return f"{self.base}/{self.repo}/resolve/{commit}/{quote(name)}"

    def document(self, url: str) -> Any:
        with self.answer("GET", url) as response:
            data = self.bounded(response)
        try:
            return load_json(data, MOST_VALUES)
        except (ValueError, RecursionError):
            raise self.unbelievable("what isn't JSON") from None

    def bounded(self, response: Any) -> bytes:
        """A whole answer, unless it is too long to be meant."""
        data = bytearray()
        for piece in response.iter_raw():
            self.alive()
            data += piece
            if len(data) > LARGEST_ANSWER:
                raise self.unbelievable(f"more than {LARGEST_ANSWER // 1_000_000} MB where a few lines were asked for")
        return bytes(data)

    @contextmanager
    def answer(self, method: str, url: str, *, start: int = 0, anywhere: bool = False, brief: bool = True) -> Iterator[Any]:
        """The open answer to a question: not an error, and not a redirect, but for a HEAD's to another host, which describes the file.

        anywhere: whether the answer may come from another host, as large files do. It never gets the token. brief: it has few lines.
        """
        line = Line(self.reached, LONGEST if brief else inf)
        try:
            with closing(self.followed(line, method, url, start, anywhere)) as response:
                yield response
        except Exception as error:
            if not line.why or not is_transport(error):
                raise
        finally:
            line.close()
        if line.why:  # where the end of the connection is the answer's, nothing is raised
            raise unreachable(self.repo, line.why, "try again later")

    def reached(self, address: str) -> None:
        """Before anything is asked of an address: a public hub leads nobody into a private network, whose machines answer those within."""
        near = is_near(address)
        if self.near is None:
            self.near = near
        elif near and not self.near:
            raise self.unbelievable(f"that it moved to {shown(address, 60)}, which isn't public and isn't followed")

    def followed(self, line: Line, method: str, url: str, start: int, anywhere: bool) -> Any:
        """The open answer, behind its redirects."""
        for _ in range(REDIRECTS):
            self.alive()
            response = self.send(line, method, url, start)
            location = response.headers.get("location") if response.status_code in MOVED else None
            if location is None:
                return self.accepted(response, ranged=start > 0)
            target = urljoin(url, location)
            if not self.is_hub(target) and method == "HEAD":
                return response
            response.close()
            to, of = urlsplit(target).scheme, urlsplit(url).scheme
            if not (anywhere or self.is_hub(target)) or to not in ("http", "https") or (of == "https" and to == "http"):
                raise self.unbelievable(f"that it moved to {shown(target, 60)}, which isn't followed")
            url = target
        raise self.unbelievable("one redirect after another")

    def send(self, line: Line, method: str, url: str, start: int) -> Any:
        from txexplain import __version__

        # A connection for each question: of one that was kept open, nothing would be known.
        headers = {"accept-encoding": "identity", "user-agent": f"txexplain/{__version__}", "connection": "close"}
        if self.token is not None and self.is_hub(url):
            headers["authorization"] = f"Bearer {self.token}"
        if start:
            headers["range"] = f"bytes={start}-"
        request = self.session.build_request(method, url, headers=headers, timeout=self.timeout, extensions={"trace": line.heard})
        line.asked, line.response = request.url.host, None
        line.response = self.session.send(request, stream=True, follow_redirects=False)
        return line.response

    def accepted(self, response: Any, *, ranged: bool) -> Any:
        """The answer, unless it is an error or compressed."""
        status, code = response.status_code, response.headers.get("x-error-code", "")
        encoding = response.headers.get("content-encoding", "identity")
        if status in (200, 206) or (status == 416 and ranged):
            if encoding == "identity":
                return response
            response.close()
            raise self.unbelievable(f"compressed bytes ({shown(encoding, 20)}), which weren't asked for")
        response.close()
        if code == "GatedRepo":
            raise ModelNotFound(f"{self.repo} is gated: accept its terms on huggingface.co and log in with `hf auth login`, {OR_A_FOLDER}.")
        if code == "RevisionNotFound":
            raise ModelNotFound(f"{self.repo} has no revision {shown(str(self.revision))}; leave the revision out for the newest.")
        if status == 401 or code == "RepoNotFound" or (status == 404 and code != "EntryNotFound"):
            raise ModelNotFound(
                f"The Hugging Face hub shows no repository {self.repo}; check the name, log in with `hf auth login` if it is private, "
                f"{OR_A_FOLDER}."
            )
        if status in (408, 429) or status >= 500:
            raise unreachable(self.repo, f"it answers {status}", "try again later")
        raise ModelNotFound(f"{self.repo} can't be fetched from {host()}: it answers {status}; try again later, {OR_A_FOLDER}.")

    def is_hub(self, url: str) -> bool:
        return origin(url) in (origin(self.base), origin(HUB))

    # Saying

    def unbelievable(self, what: str) -> ModelNotFound:
        return ModelNotFound(
            f"{self.repo} isn't fetched: {host()} answers with {what}; nothing of it is used. Ask another hub, {OR_A_FOLDER}."
        )


def host() -> str:
    """What is asked, as it is said to people."""
    try:
        base = str(settings().ENDPOINT)
    except (ImportError, ModelNotFound):
        base = HUB
    try:
        return shown(urlsplit(base).netloc.rpartition("@")[2] or base)
    except ValueError:  # no address at all
        return shown(base)


def unreachable(repo: str, why: str, remedy: str = "connect to the network") -> Unreachable:
    at = "" if origin(str(settings().ENDPOINT)) == origin(HUB) else f" at {host()} (HF_ENDPOINT)"
    return Unreachable(f"{repo} isn't on this machine and the Hugging Face hub{at} can't be reached ({why}); {remedy}, {OR_A_FOLDER}.")


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address; three that are no hub's where it can't be read."""
    try:
        parts = urlsplit(url)
        return parts.scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", "", None


def is_transport(error: BaseException, name: str = "TransportError") -> bool:
    """Whether it is the HTTP library's word for a connection that failed; which library that is depends on huggingface_hub's version."""
    return any(kind.__name__ == name for kind in type(error).__mro__)
