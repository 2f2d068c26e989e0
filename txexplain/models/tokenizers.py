"""Which tokenizer a model gets: its folder's own, GPT-2's where that is known to be it, or one that is named."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from txexplain.errors import ModelNotFound, TokenizerError
from txexplain.models import cache
from txexplain.models.bundled import NAME, bundled_path
from txexplain.models.hub import REPOS, Progress, fetch_tokenizer, repo_id
from txexplain.text import shown

if TYPE_CHECKING:
    from txexplain.engine.tokenizer import Tokenizer


def open_tokenizer(name: str, folder: Path, vocab_size: int) -> Tokenizer:
    """The tokenizer of a model's folder; ids only, and why, where the cache holds the model without the tokenizer that it may have."""
    from txexplain.engine.tokenizer import END_OF_TEXT, GPT2_VOCABULARY, Tokenizer, gpt2_with
    from txexplain.engine.vocabulary import open_folder

    if folder == bundled_path():
        return Tokenizer.gpt2()
    if cache.is_published_gpt2(folder) and not any(os.path.lexists(folder / file) for file in cache.VOCABULARY):
        return gpt2_with(name, vocab_size, typed={END_OF_TEXT: GPT2_VOCABULARY - 1})
    if cache.lacks_tokenizer(folder):
        remedy = f"connect to the network and `txexplain models pull {shown(name)}` fetches it"
        return Tokenizer.ids_only(name, vocab_size, f"{shown(name)} was cached without its tokenizer: {remedy}")
    return open_folder(folder, vocab_size, name)


def named_tokenizer(name: str, vocab_size: int, *, progress: Progress | None = None, may_fetch: bool = True) -> Tokenizer:
    """The tokenizer of a model, folder or hub repository for a model of vocab_size ids; of a repository nothing else is fetched.

    Raises ModelNotFound, and TokenizerError for one that can't read a text.
    """
    from txexplain.engine.tokenizer import END_OF_TEXT, GPT2_VOCABULARY, gpt2_with
    from txexplain.engine.vocabulary import open_folder
    from txexplain.models import existing

    if name == NAME or name in REPOS:
        return gpt2_with("gpt2", vocab_size, typed={END_OF_TEXT: GPT2_VOCABULARY - 1} if name != NAME else {})
    path = existing(name)
    if path is not None and not path.is_dir():
        path = path.parent if path.name in cache.VOCABULARY else None
        if path is None:
            raise TokenizerError(f"{shown(name)} is no tokenizer's file: name a folder, or its tokenizer.json.")
    if path is None:
        repo = repo_id(name)
        if repo is None:
            raise ModelNotFound(f"There is no tokenizer {shown(name)}; give gpt2, a hub repository (owner/name), or a folder that exists.")
        path = fetch_tokenizer(repo, progress) if may_fetch else cache.with_tokenizer(repo)
    if path is None or not any(os.path.lexists(path / file) for file in cache.VOCABULARY):
        raise TokenizerError(f"{shown(name)} holds no tokenizer's files: {', '.join(cache.VOCABULARY[:3])} or their like.")
    found = open_folder(path, vocab_size, name)
    if found.has_no_text:
        found.encode("")  # which says why
    return found
