"""Checkpoints from the Hugging Face cache or hub; huggingface_hub is imported only when one is asked for."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from txexplain.engine.config import GPT2Config, read_json
from txexplain.engine.errors import CheckpointError, ModelNotFound, reason, shown

REPOS = {
    "gpt2": "openai-community/gpt2",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
    "distilgpt2": "distilbert/distilgpt2",
}
FILES = [
    *("config.json", "tokenizer.json", "vocab.json", "merges.txt"),
    *("model.safetensors", "model.safetensors.index.json", "model-*.safetensors"),
]
OR_A_FOLDER = "or name a folder that holds a GPT-2"


def repo_id(name: str) -> str | None:
    """The hub repository that a name means, or None where it can't mean one."""
    if name in REPOS:
        return REPOS[name]
    part = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
    return name if re.fullmatch(f"{part}/{part}", name, re.ASCII) and not re.search(r"\.\.|--|\.git$|\.safetensors$", name) else None


def fetch(repo: str, revision: str | None) -> Path:
    """The local folder of a repository's checkpoint: from the cache without any network, else downloaded. Raises ModelNotFound."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ModelNotFound(f"{repo} can't be fetched: {reason(error)}; install huggingface-hub, {OR_A_FOLDER}.") from None
    snapshot = partial(snapshot_download, repo, revision=revision)
    cached = in_cache(partial(snapshot, allow_patterns=FILES, local_files_only=True))
    if cached is not None:
        return cached
    # The config first: no one should wait for the gigabytes of a model that can't be shown.
    folder = attempt(repo, revision, partial(snapshot, allow_patterns="config.json"))
    if not (folder / "config.json").exists():
        raise ModelNotFound(f"{repo} has no config.json, so it isn't a GPT-2 that txexplain can open; check the name, {OR_A_FOLDER}.")
    try:
        GPT2Config.from_dict(read_json(folder / "config.json", "fetch it again"), source="its config.json")
    except CheckpointError as error:
        raise ModelNotFound(f"{repo} isn't a GPT-2 that txexplain can open: {error}") from None
    folder = attempt(repo, revision, partial(snapshot, allow_patterns=FILES))
    if not has_weights(folder):
        raise ModelNotFound(
            f"{repo} has no weights as safetensors, and txexplain opens no pickles, which can run code; "
            f"choose a repository that has a model.safetensors, {OR_A_FOLDER}."
        )
    return folder


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
    return f"{repo} can't be fetched from the Hugging Face hub: {reason(error)}; try again later, {OR_A_FOLDER}."
