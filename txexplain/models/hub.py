"""Checkpoints from the Hugging Face cache or hub; huggingface_hub is imported only when one is asked for."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from txexplain.engine.config import GPT2Config, read_json
from txexplain.errors import CheckpointError, ModelNotFound, reason
from txexplain.files import make_folder, megabytes, put_file
from txexplain.models import cache
from txexplain.models.cache import CONFIG, INDEX, SETTINGS, TOKENIZER, VOCABULARY, WEIGHTS
from txexplain.models.endpoint import OR_A_FOLDER, Endpoint, Remote, Unreachable, is_transport, unreachable
from txexplain.models.known import KNOWN
from txexplain.models.line import LEAST
from txexplain.text import shown

Progress = Callable[[int, int], None]  # (bytes that are there, all bytes as far as known)

ABSENT = (*VOCABULARY, SETTINGS)  # what is noted where a repository lacks it, so that nobody asks for it again
REPOS = {name: known.repo for name, known in KNOWN.items()}
TRIES = 5  # in a row that bring next to nothing
ROOM = 10_000_000  # bytes of the disk that a download leaves free
LARGEST = 50_000_000  # bytes of a file that isn't weights


class Stopped(Exception):
    """A download that nobody waits for any more; a `progress` raises it."""


class NotHere(ModelNotFound):
    """A model that isn't on this machine, where nothing may be fetched. `bytes` is its size where that is known, else None."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bytes = KNOWN[name].megabytes * 1_000_000 if name in KNOWN else None
        size = f" ({megabytes(self.bytes)})" if self.bytes is not None else ""
        super().__init__(f"{shown(name)} isn't on this machine; `txexplain models pull {shown(name)}` fetches it{size}.")


def repo_id(name: str) -> str | None:
    """The hub repository that a name means, or None where it can't mean one."""
    if name in REPOS:
        return REPOS[name]
    part = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
    return name if re.fullmatch(f"{part}/{part}", name, re.ASCII) and not re.search(r"\.\.|--|\.git$|\.safetensors$", name) else None


def fetch(repo: str, revision: str | None, progress: Progress | None = None) -> Path:
    """The local folder of a repository's checkpoint: from the cache without any network, else downloaded.

    A tokenizer that the cache lacks is fetched too, where that can be.
    Raises ModelNotFound; and whatever `progress` raises, which ends the download.
    """
    folder = cache.found(repo, revision)
    if folder is None:
        try:
            return download(repo, revision, progress)
        except Unreachable as error:
            other = next(iter(cache.revisions(repo)), None)
            raise error if other is None else Unreachable(f"{error} Its revision {shown(other)} is here: --revision {other}.") from None
    if cache.lacks_tokenizer(folder) or cache.lacks_settings(folder):
        with suppress(ModelNotFound):  # the weights are there; who types a prompt is told
            complete(repo, folder, progress)
    return folder


def pull(repo: str, revision: str | None, progress: Progress | None = None) -> tuple[Path, str]:
    """The newest commit of a repository, whole and undamaged; and what is to be said where the hub couldn't be asked.

    Raises ModelNotFound; and whatever `progress` raises.
    """
    try:
        return download(repo, revision, progress, verify=True), ""
    except Unreachable as error:
        folder = cache.found(repo, revision)
        if folder is None:
            raise
        if damaged := next((file for file in sorted(folder.iterdir()) if cache.is_damaged(file)), None):
            raise ModelNotFound(f"{damaged} is damaged, and the Hugging Face hub can't be reached; connect to the network.") from None
        said = str(error).partition(" can't be reached")[2].partition(";")[0]
        return folder, f"{repo} stays as it is, for the hub can't be reached{said}."


def offer(repo: str, revision: str | None = None) -> int:
    """How many bytes a download would bring. Raises ModelNotFound; asks the hub and keeps nothing."""
    with saying(repo):
        hub = Endpoint(repo, revision, lambda: None)
        commit, names = hub.describe()
        weights = [WEIGHTS] if WEIGHTS in names else []
        if not weights and INDEX in names:
            with suppress(ValueError, RecursionError):
                weights = cache.shard_names(hub.text(commit, INDEX))
        wanted = [name for name in (CONFIG, INDEX, *TOKENIZER) if name in names] + weights
        return sum(hub.look(commit, name).size for name in wanted)


def download(repo: str, revision: str | None, progress: Progress | None, *, verify: bool = False) -> Path:
    """Bring a repository's files into the cache. verify: those that are there are read, and fetched again where they are damaged."""
    with saying(repo):
        told = Told(progress)
        hub = Endpoint(repo, revision, told.again)
        commit, names = hub.describe()
        store = cache.home(repo)
        work = Download(hub, store, commit, verify)
        # The config first: no one should wait for the gigabytes of a model that can't be shown.
        if "adapter_config.json" in names and CONFIG not in names:
            raise ModelNotFound(
                f"{repo} is an adapter, which changes another model: `hf download {repo} --local-dir DIR` fetches it, and "
                "`txexplain convert DIR FOLDER` puts it into that."
            )
        if CONFIG not in names:
            raise ModelNotFound(f"{repo} has no config.json, so it isn't a GPT-2 that txexplain can open; check the name, {OR_A_FOLDER}.")
        work.bring([CONFIG])
        try:
            GPT2Config.from_dict(read_json(work.folder / CONFIG, "fetch it again"), source="its config.json")
        except CheckpointError as error:
            raise ModelNotFound(f"{repo} isn't a GPT-2 that txexplain can open: {error}") from None
        weights = [WEIGHTS] if WEIGHTS in names else []
        if not weights and INDEX in names:
            work.bring([INDEX], told)
            weights = cache.shards_of(work.folder)
        if not weights or not set(weights) <= set(names):
            raise without_weights(repo, names)
        work.bring([*(name for name in TOKENIZER if name in names), *weights], told)
        cache.note(store, commit, revision or "main", [name for name in ABSENT if name not in names])
        return work.folder


def without_weights(repo: str, names: Sequence[str]) -> ModelNotFound:
    """Why a repository's weights aren't fetched, and how else they can be had."""
    other = next((name for name in names if name.endswith(".safetensors") and not name.startswith("adapter_")), None)
    if other is not None and INDEX not in names:
        return ModelNotFound(
            f"{repo} has no model.safetensors, but {shown(other)}: `hf download {repo} --local-dir DIR` fetches it, and "
            f"`--model DIR/{other}` opens it."
        )
    return ModelNotFound(
        f"{repo} has no weights as safetensors, and txexplain opens no pickles, which can run code; converted weights may wait as "
        f"--revision refs/pr/1, or `hf download {repo} --local-dir DIR` and `txexplain convert DIR FOLDER`, {OR_A_FOLDER}."
    )


def complete(repo: str, folder: Path, progress: Progress | None) -> None:
    """Bring the tokenizer of a cached commit, or the knowledge that there is none. Raises ModelNotFound."""
    with saying(repo):
        told = Told(progress)
        hub = Endpoint(repo, folder.name, told.again)
        commit, names = hub.describe()
        store = folder.parent.parent
        Download(hub, store, commit, verify=False).bring([name for name in TOKENIZER if name in names], told)
        cache.note(store, commit, commit, [name for name in ABSENT if name not in names])


def fetch_tokenizer(repo: str, progress: Progress | None = None) -> Path:
    """The local folder of a repository's tokenizer: from the cache, else downloaded, and nothing else. Raises ModelNotFound."""
    folder = cache.with_tokenizer(repo)
    if folder is not None:
        return folder
    with saying(repo):
        told = Told(progress)
        hub = Endpoint(repo, None, told.again)
        commit, names = hub.describe()
        work = Download(hub, cache.home(repo), commit, verify=False)
        work.bring([name for name in (CONFIG, *TOKENIZER) if name in names], told)
        return work.folder


class Told:
    """What a `progress` is told, and told again where nothing has come, so that it can end the work."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.done = self.total = 0
        self.before = 0  # bytes of what was brought earlier

    def bytes(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self.again()

    def again(self) -> None:
        if self.progress is not None:
            self.progress(self.done, self.total)


class Download:
    """Files of one commit, on their way into the cache."""

    def __init__(self, hub: Endpoint, store: Path, commit: str, verify: bool) -> None:
        self.hub, self.store, self.commit, self.verify = hub, store, commit, verify
        self.folder = store / "snapshots" / commit

    def bring(self, names: Sequence[str], told: Told | None = None) -> None:
        """Fetch those files that aren't there."""
        lacking = [self.hub.look(self.commit, name) for name in names if not self.is_there(name)]
        wanted = [remote for remote in lacking if not self.holds(self.folder / remote.name, remote)]
        self.require_room(wanted)
        done = told.before if told is not None else 0
        total = done + sum(remote.size for remote in wanted)
        if told is not None and wanted:
            told.bytes(done, total)  # before anything is fetched, so that it can be refused
        for remote in wanted:
            if not remote.name.endswith(".safetensors") and remote.size > LARGEST:
                raise self.hub.unbelievable(f"{remote.name} of {megabytes(remote.size)}, which is too large to be one")
            self.bring_one(remote, partial(self.tell, told, done, total))
            done += remote.size
        if told is not None:
            told.before = total

    def tell(self, told: Told | None, before: int, total: int, have: int) -> None:
        if told is not None:
            told.bytes(before + have, total)
        else:
            self.hub.alive()

    def is_there(self, name: str) -> bool:
        """Whether the cache has a file, with the bytes of its checksum where they are looked at: weights only on demand."""
        file = self.folder / name
        if not file.exists():
            return False
        digest = cache.checksum_of(file)
        if not self.verify and name.endswith(".safetensors"):
            return True
        return digest is not None and cache.matches(file, digest, self.hub.alive)

    def holds(self, file: Path, remote: Remote) -> bool:
        """Whether a file that is no link has the bytes of the hub's checksum."""
        return file.is_file() and file.stat().st_size == remote.size and cache.matches(file, remote.digest, self.hub.alive)

    def require_room(self, wanted: Sequence[Remote]) -> None:
        make_folder(self.store, cache.OPEN)
        parts = [self.part(remote) for remote in wanted]
        needed = sum(remote.size for remote in wanted) - sum(part.stat().st_size for part in parts if part.is_file())
        if needed + ROOM > shutil.disk_usage(self.store).free and needed > 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.store))

    def part(self, remote: Remote) -> Path:
        """What has arrived of a file: it stays where a download is stopped, and the next goes on with it."""
        return self.store / "blobs" / f"{remote.digest}.incomplete"

    def bring_one(self, remote: Remote, tell: Callable[[int], object]) -> None:
        blob, part = self.store / "blobs" / remote.digest, self.part(remote)
        with cache.locked(self.store, remote.digest, self.hub.alive):
            if not self.holds(blob, remote):
                self.transfer(remote, part, tell)
                put_file(part, blob)
            cache.put(blob, self.folder / remote.name)

    def transfer(self, remote: Remote, part: Path, tell: Callable[[int], object]) -> None:
        """Fetch a file's bytes, and look at their checksum: nothing gets its name that hasn't its bytes."""
        number = cache.open_part(part)
        try:
            have = os.fstat(number).st_size
            began = have <= remote.size and have
            self.receive(remote, number, tell)
            right = cache.matches(part, remote.digest, self.hub.alive)
            if not right and began:  # what was there may have been another program's
                os.ftruncate(number, 0)
                self.receive(remote, number, tell)
                right = cache.matches(part, remote.digest, self.hub.alive)
            if not right:
                part.unlink(missing_ok=True)
                kind = "sha256" if len(remote.digest) == 64 else "sha1"
                raise ModelNotFound(
                    f"{self.hub.repo}: {remote.name} arrived damaged: its {kind} isn't the one that the hub gives; "
                    "it was removed, so fetch it again."
                )
        finally:
            os.close(number)

    def receive(self, remote: Remote, number: int, tell: Callable[[int], object]) -> None:
        """Fetch what a file lacks, going on wherever a connection breaks."""
        failed = 0
        while (have := os.fstat(number).st_size) != remote.size:
            if have > remote.size:
                os.ftruncate(number, have := 0)
            broken: Exception | None = None
            try:
                for at, piece in self.hub.pieces(self.commit, remote.name, have):
                    if at < os.lseek(number, 0, os.SEEK_END):
                        os.ftruncate(number, at)
                    if at + len(piece) > remote.size:
                        raise self.uneven(remote)
                    os.lseek(number, at, os.SEEK_SET)
                    write_all(number, piece)
                    tell(at + len(piece))
            except Exception as error:
                if not is_transport(error):
                    raise
                broken = error
            size = os.fstat(number).st_size
            brought = size > have
            failed = 0 if size - have >= LEAST else failed + 1
            if (not brought and broken is None) or (failed == TRIES and size != remote.size):
                if broken is not None:
                    raise broken
                raise self.uneven(remote)
            if not brought:
                self.rest(2 ** (failed - 1))

    def uneven(self, remote: Remote) -> ModelNotFound:
        self.part(remote).unlink(missing_ok=True)
        return ModelNotFound(
            f"{self.hub.repo} arrived incomplete: {remote.name} is shorter or longer than the hub says; try again, {OR_A_FOLDER}."
        )

    def rest(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.hub.alive()
            time.sleep(0.1)


def write_all(number: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]


@contextmanager
def saying(repo: str) -> Iterator[None]:
    """Turn what goes wrong with a download into one sentence: why there is none, and what to do. Raises ModelNotFound."""
    try:
        yield
    except (Stopped, ModelNotFound):
        raise
    except Exception as error:  # the HTTP library's own, the system's: all end the same way for the reader
        raise refusal(repo, error) from None


def refusal(repo: str, error: Exception) -> ModelNotFound:
    """What to tell the reader about a failed download."""
    if is_transport(error) or isinstance(error, ConnectionError | TimeoutError):
        proxy = "; a proxy stands between, see HTTPS_PROXY" if is_transport(error, "ProxyError") else ""
        return unreachable(repo, f"{reason(error)}{proxy}")
    if isinstance(error, OSError):
        variable = next((name for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") if os.environ.get(name)), "HF_HOME")
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return ModelNotFound(f"The disk is full: {repo} can't be saved; make room, or let {variable} name a folder on another disk.")
        return ModelNotFound(
            f"{repo} can't be saved: {shown(str(error.filename or cache.root()), 200)} can't be written ({reason(error)}); "
            f"make that possible, or let {variable} name another folder."
        )
    return ModelNotFound(f"{repo} can't be fetched from the Hugging Face hub: {reason(error)}; try again later, {OR_A_FOLDER}.")
