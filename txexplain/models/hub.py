"""Checkpoints from the Hugging Face cache or hub; huggingface_hub is imported only when one is asked for."""

from __future__ import annotations

import re
from pathlib import Path

from txexplain.engine.errors import ModelNotFound

REPOS = {
    "gpt2": "openai-community/gpt2",
    "gpt2-medium": "openai-community/gpt2-medium",
    "gpt2-large": "openai-community/gpt2-large",
    "gpt2-xl": "openai-community/gpt2-xl",
    "distilgpt2": "distilbert/distilgpt2",
}
FILES = ["config.json", "tokenizer.json", "vocab.json", "merges.txt", "model.safetensors", "model.safetensors.index.json", "model-*.safetensors"]


def repo_id(name: str) -> str | None:
    """The hub repository that a name means, or None where it can't mean one."""
    if name in REPOS:
        return REPOS[name]
    return name if re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", name) and ".." not in name else None


def fetch(repo: str, revision: str | None) -> Path:
    """The local folder of a repository: from the cache with no network at all, else downloaded. Raises ModelNotFound."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    for offline in (True, False):
        try:
            folder = Path(snapshot_download(repo, revision=revision, allow_patterns=FILES, local_files_only=offline))
        except LocalEntryNotFoundError:
            if offline:
                continue
            raise ModelNotFound(
                f"{repo} isn't in the cache and the hub can't be reached; connect to the network, or give --model a local folder."
            ) from None
        except HfHubHTTPError as error:
            raise ModelNotFound(hub_sentence(repo, revision, error)) from None
        except (OSError, ValueError) as error:
            raise ModelNotFound(f"{repo} can't be fetched: {one_line(error)}; give --model a local folder instead.") from None
        if whole(folder):
            return folder
        if not offline:
            raise ModelNotFound(f"{repo} holds no GPT-2 weights as safetensors (only those are fetched, never pickles); give another model.")
    raise AssertionError("unreachable")


def whole(folder: Path) -> bool:
    """Whether a snapshot has a config and weights: the cache may hold only some of a repository's files."""
    weights = (folder / "model.safetensors").exists() or (folder / "model.safetensors.index.json").exists()
    return weights and (folder / "config.json").exists()


def hub_sentence(repo: str, revision: str | None, error: Exception) -> str:
    """What to tell the reader about the hub's refusal."""
    kind = type(error).__name__
    if kind == "GatedRepoError":
        return f"{repo} is gated: accept its terms on the hub and log in with `hf auth login`, or give --model a local folder."
    if kind == "RevisionNotFoundError":
        return f"{repo} has no revision {revision!r}; leave --revision out for its newest."
    if kind == "RepositoryNotFoundError":
        return f"The hub has no model {repo}, or it is private; check the name, or log in with `hf auth login`."
    return f"The hub refused {repo}: {one_line(error)}; try again later, or give --model a local folder."


def one_line(error: Exception) -> str:
    """An error's first line, short."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else text[:119] + "…"
