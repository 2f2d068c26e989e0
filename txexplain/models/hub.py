"""Checkpoints from the Hugging Face cache or hub; huggingface_hub is imported only when one is asked for."""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import re
import threading
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from txexplain.engine.config import GPT2Config, read_json
from txexplain.engine.errors import CheckpointError, ModelNotFound, reason, shown
from txexplain.models.known import KNOWN

Progress = Callable[[int, int], None]  # (bytes that are there, all bytes as far as known)

REPOS = {name: known.repo for name, known in KNOWN.items()}
FILES = [
    *("config.json", "tokenizer.json", "vocab.json", "merges.txt"),
    *("model.safetensors", "model.safetensors.index.json", "model-*.safetensors"),
]
CHUNK = 1 << 20  # bytes of a download: as many are lost where it breaks, and may pass until it stops
OR_A_FOLDER = "or name a folder that holds a GPT-2"


class Stopped(Exception):
    """A download that nobody waits for any more; a `progress` raises it."""


def repo_id(name: str) -> str | None:
    """The hub repository that a name means, or None where it can't mean one."""
    if name in REPOS:
        return REPOS[name]
    part = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
    return name if re.fullmatch(f"{part}/{part}", name, re.ASCII) and not re.search(r"\.\.|--|\.git$|\.safetensors$", name) else None


def fetch(repo: str, revision: str | None, progress: Progress | None = None) -> Path:
    """The local folder of a repository's checkpoint: from the cache without any network, else downloaded.

    Raises ModelNotFound; and whatever `progress` raises, which ends the download.
    """
    snapshot = snapshots(repo, revision)
    folder = in_cache(partial(snapshot, allow_patterns=FILES, local_files_only=True))
    if folder is not None:
        return folder
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a disk too small, say: the error that follows is enough
        # The config first: no one should wait for the gigabytes of a model that can't be shown.
        folder = attempt(repo, revision, partial(snapshot, allow_patterns="config.json", tqdm_class=meter(None)))
        if not (folder / "config.json").exists():
            raise ModelNotFound(f"{repo} has no config.json, so it isn't a GPT-2 that txexplain can open; check the name, {OR_A_FOLDER}.")
        try:
            GPT2Config.from_dict(read_json(folder / "config.json", "fetch it again"), source="its config.json")
        except CheckpointError as error:
            raise ModelNotFound(f"{repo} isn't a GPT-2 that txexplain can open: {error}") from None
        before = set(folder.glob("*.safetensors"))
        folder = attempt(repo, revision, partial(snapshot, allow_patterns=FILES, tqdm_class=meter(progress)))
    if not has_weights(folder):
        raise ModelNotFound(
            f"{repo} has no weights as safetensors, and txexplain opens no pickles, which can run code; "
            f"choose a repository that has a model.safetensors, {OR_A_FOLDER}."
        )
    for file in sorted(set(folder.glob("*.safetensors")) - before):
        require_checksum(file)
    return folder


def snapshots(repo: str, revision: str | None) -> Callable[..., str]:
    """huggingface_hub's snapshot_download for a repository, made silent. Raises ModelNotFound without the library."""
    # Plain HTTP: it can be stopped at any byte, goes on where a connection broke, and ends in a file whose sha256 can be checked.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    try:
        from huggingface_hub import constants, snapshot_download
        from huggingface_hub.utils import logging as library_log
    except ImportError as error:
        raise ModelNotFound(f"{repo} can't be fetched: {reason(error)}; install huggingface-hub, {OR_A_FOLDER}.") from None
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    library_log.set_verbosity(logging.CRITICAL)  # what goes wrong is said by us, and never on the app's screen
    return partial(snapshot_download, repo, revision=revision)


def cached(repo: str, revision: str | None) -> Path | None:
    """The folder of a repository's checkpoint in the cache, if it is there whole; asks no network."""
    try:
        snapshot = snapshots(repo, revision)
    except ModelNotFound:
        return None
    return in_cache(partial(snapshot, allow_patterns=FILES, local_files_only=True))


def cached_repos() -> list[str]:
    """The repositories of models in the cache, whatever they hold."""
    try:
        from huggingface_hub import scan_cache_dir

        return sorted(repo.repo_id for repo in scan_cache_dir().repos if repo.repo_type == "model")
    except Exception:  # there is no cache, or it can't be read: then it holds nothing for us
        return []


def meter(progress: Progress | None) -> type[Any]:
    """A progress bar, as huggingface_hub wants one, that draws nothing and tells `progress` the bytes of all files together."""
    from tqdm.std import tqdm

    class Meter(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread of its own
        counting: Meter | None = None  # the newest bar that counts bytes; an older one, where there is one, counts them elsewhere

        def __init__(self, *args: Any, **options: Any) -> None:
            options.pop("name", None)
            super().__init__(*args, **options | {"file": io.StringIO(), "mininterval": 1e9})
            if options.get("unit") == "B":
                Meter.counting = self

        def display(self, *_: Any, **__: Any) -> bool:
            return True

        def update(self, n: float | None = 1) -> None:
            super().update(n)
            if progress is not None and Meter.counting is self:
                progress(int(self.n), int(self.total or 0))

    Meter.set_lock(threading.RLock())  # tqdm's own would start a process
    return Meter


def checksum_of(file: Path) -> str | None:
    """The sha256 that the hub gave for a cached file: the name of the blob that it links to. None where it is no such link."""
    blob = file.readlink().name if file.is_symlink() else ""  # the blob may be a link itself, to a store with other names
    return blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None


def is_damaged(file: Path) -> bool:
    """Whether a cached file's bytes aren't those that the hub promised."""
    wanted = checksum_of(file)
    if wanted is None:
        return False
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest() != wanted


def require_checksum(file: Path) -> None:
    """Remove a file that arrived damaged. Raises ModelNotFound."""
    if is_damaged(file):
        (file.parent / file.readlink()).unlink()
        file.unlink()
        raise ModelNotFound(f"{file.name} arrived damaged: its sha256 isn't the one that the hub gives; it was removed, so fetch it again.")


def in_cache(look_up: Callable[[], str]) -> Path | None:
    """The folder of a cached snapshot that is whole. Another program may have cached a part of it only."""
    try:
        folder = Path(look_up())
    except Exception:  # a cache that can't be used is as good as none: the hub will say what is wrong
        return None
    return folder if (folder / "config.json").exists() and has_weights(folder) else None


def has_weights(folder: Path) -> bool:
    """Whether a snapshot has a model.safetensors, or an index and as many shards as their names say."""
    if (folder / "model.safetensors").exists():
        return True
    shards = [path.name for path in folder.glob("model-*-of-*.safetensors") if path.exists()]
    total = {match[1] for name in shards if (match := re.search(r"-of-(\d{1,6})\.safetensors$", name))}
    return (folder / "model.safetensors.index.json").exists() and len(total) == 1 and len(shards) == int(total.pop())


def attempt(repo: str, revision: str | None, download: Callable[[], str]) -> Path:
    """What a download gives. Raises ModelNotFound: why there is none, and what to do."""
    try:
        return Path(download())
    except Stopped:
        raise
    except Exception as error:  # huggingface_hub's own, its HTTP library's, the system's: all end the same way for the reader
        raise ModelNotFound(refusal(repo, revision, error)) from None


def refusal(repo: str, revision: str | None, error: Exception) -> str:
    """What to tell the reader about a failed download."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is gated: accept its terms on huggingface.co and log in with `hf auth login`, {OR_A_FOLDER}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"The Hugging Face hub shows no repository {repo}; check the name, log in with `hf auth login` if it is private, {OR_A_FOLDER}."
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no revision {shown(str(revision))}; leave the revision out for the newest."
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled | ConnectionError | TimeoutError):
        return f"{repo} isn't on this machine and the Hugging Face hub can't be reached; connect to the network, {OR_A_FOLDER}."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full: {repo} can't be saved; make room, or let HF_HOME name a folder on another disk."
    if "Consistency check failed" in str(error):
        return f"{repo} arrived incomplete: a file is shorter or longer than the hub says; try again, {OR_A_FOLDER}."
    return f"{repo} can't be fetched from the Hugging Face hub: {reason(error)}; try again later, {OR_A_FOLDER}."
