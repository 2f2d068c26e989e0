"""What models there are, what one is made of, and whether it is whole: what `txexplain models` says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from txexplain.engine.checkpoint import Layout, read_layout, weight_shapes
from txexplain.engine.config import GPT2Config
from txexplain.engine.safetensors import Stored
from txexplain.engine.tokenizer import Tokenizer
from txexplain.errors import CheckpointError
from txexplain.files import megabytes, read_whole
from txexplain.models import cache, resolve
from txexplain.models.bundled import NAME, bundled_path
from txexplain.models.hub import repo_id
from txexplain.models.known import KNOWN
from txexplain.models.tokenizers import open_tokenizer
from txexplain.models.widened import open_shared, require_equal

SAMPLE = "Once upon a time there was a café, 日本 and 42 cats."
LONGEST_CARD = 10_000_000  # bytes
PARTS = (
    ("token embedding", r"wte\."),
    ("position embedding", r"wpe\."),
    ("attention", r"h\.\d+\.attn\."),
    ("MLP", r"h\.\d+\.mlp\."),
    ("LayerNorm", r"(h\.\d+\.)?ln_"),
    ("output", r"lm_head\."),
)


@dataclass(frozen=True)
class Entry:
    """One model of the list. `state` is "bundled", "cached" or "to download"; `bytes` is None where nobody has said; `revision` is the
    branch or tag that alone is in the cache."""

    name: str
    state: str
    parameters: int | None
    bytes: int | None
    folder: str | None
    revision: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def known_models() -> list[Entry]:
    """The bundled model, the well-known ones, and the other GPT-2s of the Hugging Face cache. Asks no network."""
    found = [local_entry(NAME, "bundled", bundled_path())]
    for name, known in KNOWN.items():
        folder = cache.found(known.repo, None)
        if folder is not None:
            found.append(local_entry(name, "cached", folder))
        else:
            found.append(Entry(name, "to download", known.parameters, known.megabytes * 1_000_000, None))
    others = [repo for repo in cache.repos() if repo not in {known.repo for known in KNOWN.values()} and repo_id(repo) == repo]
    for repo in others:
        newest = cache.found(repo, None)
        folders: list[tuple[str | None, Path]] = [(None, newest)] if newest is not None else [*cache.revisions(repo).items()]
        found += [replace(local_entry(repo, "cached", folder), revision=name) for name, folder in folders if is_gpt2(folder)]
    return found


def local_entry(name: str, state: str, folder: Path) -> Entry:
    try:
        config = GPT2Config.from_file(folder / "config.json")
        parameters = count_parameters(config, with_head=not config.tie_word_embeddings)
    except CheckpointError:
        parameters = None
    return Entry(name, state, parameters, sum(path.stat().st_size for path in weight_files(folder)), str(folder))


def is_gpt2(folder: Path) -> bool:
    try:
        GPT2Config.from_file(folder / "config.json")
    except CheckpointError:
        return False
    return True


def weight_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if path.exists())


def count_parameters(config: GPT2Config, *, with_head: bool) -> int:
    """How many numbers a GPT-2 has; a tied output is the token embedding and counts once."""
    return sum(prod(shape) for shape in weight_shapes(config, with_head=with_head).values())


def parameters_by_part(layout: Layout) -> dict[str, int]:
    """The parameters of each kind of part; a part that the model lacks is left out."""
    counts = {part: sum(size for name, size in layout.sizes.items() if re.match(pattern, name)) for part, pattern in PARTS}
    return {part: count for part, count in counts.items() if count}


def licence_of(name: str, folder: Path) -> str:
    """The licence by the model's card: the `license` of its README's front matter, or what is known of a well-known model."""
    if name in KNOWN:
        return KNOWN[name].licence
    if name == NAME:
        return "mit"
    try:
        card = read_whole(folder / "README.md", LONGEST_CARD).decode("utf-8", "replace")
    except (OSError, ValueError):
        return "unknown: no card (README.md) beside the weights"
    front = re.match(r"---\n(.*?)\n---", card, re.DOTALL)
    said = re.search(r"^license:[ \t]*['\"]?([\w.+-]{1,80})", front[1], re.MULTILINE) if front else None
    return said[1] if said else "unknown: its card names none"


def info(name: str, revision: str | None = None) -> dict[str, Any]:
    """What a model on this machine is made of, by its config and headers: no weight is read. Raises ModelNotFound, CheckpointError."""
    layout = read_layout(resolve(name, revision=revision, may_fetch=False))
    parts = parameters_by_part(layout)
    return {
        "name": name,
        "folder": str(layout.folder),
        "commit": layout.folder.name if layout.folder.parent.name == "snapshots" else None,
        "architecture": layout.config.to_dict(),
        "parameters": sum(parts.values()),
        "parameters_by_part": parts,
        "dtype": layout.dtype,
        "tokenizer": open_tokenizer(name, layout.folder, layout.config.vocab_size).made_of,
        "files": [{"name": file.name, "bytes": file.stat().st_size} for file in layout.files],
        "licence": licence_of(name, layout.folder),
        "notes": list(layout.notes),
    }


def verify(name: str, revision: str | None = None) -> Iterator[tuple[str, str]]:
    """Look at everything about a model that can be wrong: (what, finding) for each thing that is right.

    Raises ExplainError, with one sentence, at the first that isn't.
    """
    from txexplain.engine.model import GPT2

    layout = read_layout(path := resolve(name, revision=revision, may_fetch=False))
    config = layout.config
    zeros = f", {len(layout.zeros)} biases that no file holds are zeros" if layout.zeros else ""
    yield "structure", f"{len(layout.stored)} tensors of the shapes that config.json asks for, {layout.dtype}{zeros}"
    if checked := [file for file in layout.files if cache.checksum_of(file)]:
        for file in checked:
            if cache.is_damaged(file):
                raise CheckpointError(
                    f"{file} is damaged: its sha256 isn't the one that the hub gave; `txexplain models pull {name}` fetches it again."
                )
        yield "checksums", f"sha256 of {len(checked)} {'file is' if len(checked) == 1 else 'files are'} the hub's"
    elif layout.folder.parent.name == "snapshots":
        yield "checksums", "none is known: these files are no links to the cache's blobs"
    for tensor, stored in layout.stored.items():
        if (where := not_finite(stored)) is not None:
            again = f"`txexplain models pull {name}` fetches it again" if in_cache(layout.folder) else "train or save it again"
            raise CheckpointError(f"{name}: the weight {tensor}{where} isn't finite; {again}.")
    total = sum(layout.sizes.values())
    yield "numbers", f"all {total:,} are finite"
    checkpoint = open_shared(path)
    if (copied := require_equal(layout)) is not None:
        yield "shared copy", f"the same numbers in float32, {megabytes(copied)}"
    if name in KNOWN:
        if total != KNOWN[name].parameters:
            raise CheckpointError(
                f"{name} has {total:,} parameters here, but {KNOWN[name].parameters:,} as published; it is another model."
            )
        yield "size", "as many parameters as published"
    yield "output", "a matrix of its own" if "lm_head.weight" in layout.stored else "tied to the token embedding"
    if cache.lacks_tokenizer(layout.folder):
        raise CheckpointError(f"{name} was cached without its tokenizer; `txexplain models pull {name}` fetches it.")
    tokenizer = open_tokenizer(name, layout.folder, config.vocab_size)
    ids, said = sample_ids(name, tokenizer, config)
    yield "tokenizer", said
    model = GPT2(checkpoint, tokenizer, name)
    trace = model.forward(ids[: min(config.n_positions, 32)])
    yield "forward pass", f"{trace.n_tokens} tokens in, {len(trace.last_logits):,} finite logits out"


def sample_ids(name: str, tokenizer: Tokenizer, config: GPT2Config) -> tuple[list[int], str]:
    """Ids to try a model with, and how its tokenizer did. Raises CheckpointError where text doesn't survive it."""
    if tokenizer.has_no_text:
        return list(range(min(8, config.vocab_size))), f"none: {tokenizer.why}"
    ids = tokenizer.encode(SAMPLE)
    if max(ids, default=0) >= config.vocab_size:
        raise CheckpointError(
            f"{name}: its tokenizer has the id {max(ids)}, and the model only {config.vocab_size}; it is another model's."
        )
    same = tokenizer.decode(tokenizer.encode(SAMPLE, bare=True)).strip() == SAMPLE
    said = "text comes back as it went in" if same else "text comes back changed, as its tokenizer sees it"
    return ids or [0], f"{tokenizer.n_vocab:,} ids; {said}"


def not_finite(stored: Stored) -> list[int] | None:
    """The place of the first number that isn't finite, without a second array as large as the first; None where all are."""
    before = 0
    for chunk in stored.chunks():
        if not (finite := np.isfinite(chunk)).all():
            return [int(i) for i in np.unravel_index(before + int(finite.argmin()), stored.entry.shape)]
        before += len(chunk)
    return None


def in_cache(folder: Path) -> bool:
    """Whether a checkpoint lies in the hub's cache, from which a command fetches it again."""
    return folder.parent.name == "snapshots"
