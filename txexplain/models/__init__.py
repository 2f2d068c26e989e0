"""Where checkpoints come from: the bundled one, a folder or file, the Hugging Face cache or hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from txexplain.engine.errors import ModelNotFound, reason, shown
from txexplain.models.bundled import NAME, bundled_path, weights_dir
from txexplain.models.hub import REPOS, Progress, cached, fetch, repo_id

if TYPE_CHECKING:
    from txexplain.engine.model import GPT2

__all__ = ["bundled_path", "load_model", "resolve", "weights_dir"]


def load_model(
    name_or_path: str | os.PathLike[str] | None = NAME, *, revision: str | None = None, progress: Progress | None = None
) -> GPT2:
    """Open a GPT-2 by name ("storyteller", "gpt2", …), folder, .safetensors file, or hub repository; its weights are mapped.

    None is the model that TXEXPLAIN_MODEL names, or the bundled one; `revision` is a hub repository's branch, tag or commit.
    `progress` is told a download's bytes: those that are there, and all of them as far as known. What it raises ends the download.
    Raises ModelNotFound, CheckpointError or TokenizerError, each with one sentence for the reader.
    """
    from txexplain.engine.memory import keep_freed_memory
    from txexplain.engine.model import GPT2
    from txexplain.engine.tokenizer import Tokenizer
    from txexplain.models.widened import open_shared

    keep_freed_memory()
    name = named(name_or_path)
    checkpoint = open_shared(resolve(name, revision=revision, progress=progress))
    tokenizer = Tokenizer.from_folder(checkpoint.folder, checkpoint.config.vocab_size)
    return GPT2(checkpoint, tokenizer, name)


def resolve(
    name_or_path: str | os.PathLike[str] | None = NAME,
    *,
    revision: str | None = None,
    progress: Progress | None = None,
    offline: bool = False,
) -> Path:
    """The folder or file of a model's checkpoint.

    The known names come first, then what exists on disk, then the hub: `./gpt2` is a folder, `gpt2` is GPT-2.
    offline: what isn't on this machine isn't fetched.
    Raises ModelNotFound.
    """
    name = named(name_or_path)
    path = bundled_path() if name == NAME else None if name in REPOS else existing(name)
    if path is not None:
        if revision is not None:
            raise ModelNotFound(f"{shown(name)} is on this machine and has no revision {shown(revision)}; leave the revision out.")
        return path
    repo = repo_id(name)
    if repo is None:
        known = ", ".join([NAME, *REPOS])
        raise ModelNotFound(f"There is no model {shown(name)}; give {known}, a hub repository (owner/name), or a folder that exists.")
    if offline:
        folder = cached(repo, revision)
        if folder is None:
            raise ModelNotFound(f"{shown(name)} isn't on this machine; `txexplain models pull {shown(name)}` fetches it.")
        return folder
    return fetch(repo, revision, progress)


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
