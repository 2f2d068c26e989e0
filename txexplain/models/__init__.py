"""Where checkpoints come from: the bundled one, a folder or file, the Hugging Face cache or hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from txexplain.engine.errors import ModelNotFound
from txexplain.models.bundled import NAME, bundled_path
from txexplain.models.hub import REPOS, fetch, repo_id

if TYPE_CHECKING:
    from txexplain.engine.model import GPT2


def default_model() -> str:
    """The model used where none is named: TXEXPLAIN_MODEL, or the bundled one."""
    return os.environ.get("TXEXPLAIN_MODEL") or NAME


def resolve(name: str, *, revision: str | None = None) -> Path:
    """The folder or file of a model's checkpoint. A folder of that name comes before a hub repository.

    Raises ModelNotFound.
    """
    if name == NAME:
        return bundled_path()
    path = Path(name).expanduser()
    if name not in REPOS and path.exists():
        return path
    repo = repo_id(name)
    if repo is not None and not name.startswith((".", "~", "/")):
        return fetch(repo, revision)
    known = ", ".join([NAME, *REPOS])
    raise ModelNotFound(f"There is no model {name!r}: give one of {known}, a hub repository like owner/name, or a folder that exists.")


def load_model(name_or_path: str | None = None, *, revision: str | None = None) -> GPT2:
    """Open a GPT-2 by name ("storyteller", "gpt2", …), hub repository, folder or .safetensors file; its weights are mapped.

    Raises ModelNotFound, CheckpointError or TokenizerError, each with one sentence for the reader.
    """
    from txexplain.engine.checkpoint import open_checkpoint
    from txexplain.engine.model import GPT2
    from txexplain.engine.tokenizer import Tokenizer

    name = name_or_path or default_model()
    checkpoint = open_checkpoint(resolve(name, revision=revision))
    tokenizer = Tokenizer.from_folder(checkpoint.folder, checkpoint.config.vocab_size)
    return GPT2(checkpoint, tokenizer, name)
