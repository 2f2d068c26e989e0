"""Where checkpoints come from: the bundled one, a folder or file, the Hugging Face cache or hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from txexplain.errors import CheckpointError, ModelNotFound, reason
from txexplain.models import cache
from txexplain.models.bundled import NAME, bundled_path, weights_dir
from txexplain.models.hub import REPOS, NotHere, Progress, fetch, repo_id
from txexplain.models.hub import pull as pull_repo
from txexplain.models.tokenizers import named_tokenizer, open_tokenizer
from txexplain.text import shown

if TYPE_CHECKING:
    from txexplain.engine.model import GPT2

__all__ = ["bundled_path", "load_model", "open_tokenizer", "pull", "resolve", "weights_dir"]


def load_model(
    name_or_path: str | os.PathLike[str] | Mapping[str, Any] | None = NAME,
    *,
    revision: str | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    specials: str | None = None,
    config: Any = None,
    progress: Progress | None = None,
    may_fetch: bool = True,
) -> GPT2:
    """Open a GPT-2 by name ("storyteller", "gpt2", …), folder, .safetensors file, or hub repository; its weights are mapped.

    Or one from memory: a state dict (tensors of PyTorch's, or arrays, by their names), which is copied, with `config`, transformers' own
    or its fields. Its tokens are GPT-2's where it has as many, or those of `tokenizer`.
    None is the model that TXEXPLAIN_MODEL names, or the bundled one; `revision` is a hub repository's branch, tag or commit.
    `tokenizer` names another than the model's own: that of a model, a folder or a repository. `specials` says what a typed special or
    added token is: "token", "text", or None for what the tokenizer's files say.
    `progress` is told a download's bytes: those that are there, and all of them as far as known. What it raises ends the download.
    may_fetch: whether what isn't on this machine is fetched; without, no network is asked.
    Raises ModelNotFound, CheckpointError or TokenizerError, each with one sentence for the reader.
    """
    from txexplain.engine.memory import keep_freed_memory
    from txexplain.engine.model import GPT2
    from txexplain.models.widened import open_shared

    keep_freed_memory()
    if isinstance(name_or_path, Mapping):
        from txexplain.models.memory import checkpoint_from, tokenizer_for

        name, checkpoint = "state dict", checkpoint_from(name_or_path, config)
        own = tokenizer_for
    else:
        name = named(name_or_path)
        path = resolve(name, revision=revision, progress=progress, may_fetch=may_fetch)
        try:
            checkpoint = open_shared(path)
        except CheckpointError as error:
            raise mended(error, name, path) from None
        own = open_tokenizer
    size = checkpoint.config.vocab_size
    if tokenizer is None:
        found = own(name, checkpoint.folder, size)
    else:
        found = named_tokenizer(os.fspath(tokenizer), size, progress=progress, may_fetch=may_fetch)
    return GPT2(checkpoint, found.plain() if specials == "text" else found.special() if specials == "token" else found, name)


def mended(error: CheckpointError, name: str, path: Path) -> CheckpointError:
    """What is wrong with a checkpoint, with the command that fetches it again where it lies in the hub's cache."""
    if path.parent.name != "snapshots":
        return error
    return CheckpointError(str(error).replace("fetch it again", f"`txexplain models pull {shown(name)}` fetches it again"))


def resolve(
    name_or_path: str | os.PathLike[str] | None = NAME,
    *,
    revision: str | None = None,
    progress: Progress | None = None,
    may_fetch: bool = True,
) -> Path:
    """The folder or file of a model's checkpoint.

    The known names come first, then what exists on disk, then the hub: `./gpt2` is a folder, `gpt2` is GPT-2.
    may_fetch: whether what isn't on this machine is fetched; without, no network is asked.
    Raises ModelNotFound, NotHere for what would have to be fetched and may not.
    """
    name = named(name_or_path)
    repo = require_repo(name, revision)
    if isinstance(repo, Path):
        return repo
    if may_fetch:
        return fetch(repo, revision, progress)
    folder = cache.found(repo, revision)
    if folder is None:
        raise NotHere(name)
    return folder


def pull(name: str, *, revision: str | None = None, progress: Progress | None = None) -> tuple[Path, str]:
    """The folder of a model, of a hub's repository the newest commit, undamaged; and what is to be said where the hub couldn't be asked.

    Raises ModelNotFound.
    """
    repo = require_repo(name, revision)
    return (repo, "") if isinstance(repo, Path) else pull_repo(repo, revision, progress)


def require_repo(name: str, revision: str | None) -> str | Path:
    """The hub's repository that a name means, or the folder or file that it means on this machine. Raises ModelNotFound."""
    path = bundled_path() if name == NAME else None if name in REPOS else existing(name)
    if path is not None:
        if revision is not None:
            raise ModelNotFound(f"{shown(name)} is on this machine and has no revision {shown(revision)}; leave the revision out.")
        return path
    repo = repo_id(name)
    if repo is None:
        known = ", ".join([NAME, *REPOS])
        raise ModelNotFound(f"There is no model {shown(name)}; give {known}, a hub repository (owner/name), or a folder that exists.")
    return repo


def named(name_or_path: str | os.PathLike[str] | None) -> str:
    return os.fspath(name_or_path) if name_or_path is not None else os.environ.get("TXEXPLAIN_MODEL") or NAME


def existing(name: str) -> Path | None:
    """The folder or file that a name means on this machine, if any. Raises ModelNotFound where the system won't say."""
    if not name:
        return None
    try:
        path = Path(name).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RuntimeError) as error:  # too long a name, a NUL byte, no such user's home
        raise ModelNotFound(f"The model {shown(name)} can't be opened: {reason(error)}.") from None
    return path
