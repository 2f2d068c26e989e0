"""The Hugging Face cache on disk: what it holds of a repository, and how a file is put into it. Asks no network.

A repository is a folder `models--owner--name`: `blobs` under their checksums, `snapshots/COMMIT` with links to them, `refs/REVISION`
with the commit that a branch or tag named last, and `.no_exist/COMMIT` with the names of files that the commit is known to lack.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from txexplain.bounded import load_json
from txexplain.engine.config import GENERATION, LONGEST_FILE, MOST_VALUES, TOKENIZER_FILES
from txexplain.errors import ModelNotFound, reason
from txexplain.files import is_there, make_folder, only_regular, open_kept, ours, put_file, put_link, read_whole, write_whole
from txexplain.models.known import KNOWN
from txexplain.text import shown

COMMIT = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")  # a sha256; or a sha1, as Git takes it of a file or of its bytes alone
FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")  # of a repository's top folder
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
VOCABULARY = TOKENIZER_FILES  # any of them makes a tokenizer
SETTINGS = "tokenizer_config.json"
TOKENIZER = (*VOCABULARY, SETTINGS, "special_tokens_map.json", "added_tokens.json", GENERATION)
SHORT_NAMES = {known.repo: name for name, known in KNOWN.items()}  # as from_pretrained("gpt2") names what it caches
CHUNK = 1 << 20
LONGEST_REF = 1000  # bytes
MOST_SHARDS = 1000  # each is asked for
MOST_NOTED = 1_000_000  # values of a note of all files of a repository
OPEN = 0o777  # what the umask leaves of it: a cache may be meant for several


def root() -> Path:
    """The folder of all repositories. Raises ImportError without huggingface_hub, which knows the variables that name it; ModelNotFound."""
    told = str(settings().HF_HUB_CACHE)
    try:
        return Path(told).expanduser()
    except RuntimeError:
        raise ModelNotFound(f"The Hugging Face cache can't be {shown(told)}: there is no such home; let HF_HOME name a folder.") from None


def settings() -> Any:
    """What huggingface_hub reads in the environment. Raises ImportError without it; ModelNotFound where it can't read a variable."""
    try:
        from huggingface_hub import constants
    except ValueError as error:
        raise ModelNotFound(f"A variable HF_… of the environment isn't what huggingface_hub takes: {reason(error)}. Mend it.") from None
    return constants


def stores(repo: str) -> list[Path]:
    """The folders that may hold a repository."""
    names = [repo, SHORT_NAMES[repo]] if repo in SHORT_NAMES else [repo]
    return [root() / f"models--{name.replace('/', '--')}" for name in names]


def home(repo: str) -> Path:
    """The folder that a repository's files go to: the one that already holds it whole, so that nothing is kept twice."""
    found = stores(repo)
    return next((store for store in found if snapshot(store, None) is not None), found[0])


def repos() -> list[str]:
    """The repositories of models that have a folder in the cache, whatever it holds; each under its owner's name."""
    owners = {name: repo for repo, name in SHORT_NAMES.items()}
    try:
        names = [path.name.removeprefix("models--").replace("--", "/") for path in root().glob("models--*")]
    except (ImportError, OSError):  # no cache, or none that can be read, holds nothing for us
        return []
    return sorted({owners.get(name, name) for name in names})


def found(repo: str, revision: str | None) -> Path | None:
    """The folder of a repository's checkpoint, if it is there whole."""
    try:
        return next((folder for store in stores(repo) if (folder := snapshot(store, revision)) is not None), None)
    except ImportError:
        return None


def revisions(repo: str) -> dict[str, Path]:
    """The branches and tags of a repository that are there whole, with the folders of their checkpoints."""
    found: dict[str, Path] = {}
    with suppress(ImportError, OSError):
        for store in stores(repo):
            for name in sorted(refs_of(store)):
                if (folder := snapshot(store, name)) is not None:
                    found.setdefault(name, folder)
    return found


def refs_of(store: Path) -> list[str]:
    """The branches and tags that a store has a commit of. Raises OSError."""
    return [path.relative_to(store / "refs").as_posix() for path in (store / "refs").rglob("*") if path.is_file()]


def snapshot(store: Path, revision: str | None) -> Path | None:
    """The whole snapshot of a revision. Where no ref tells which commit the newest is: the one cached last of those without any ref."""
    snapshots = store / "snapshots"
    commit = revision if revision is not None and COMMIT.fullmatch(revision) else read_ref(store, revision or "main")
    if commit is not None:
        return snapshots / commit if is_whole(snapshots / commit) else None
    if revision is not None:
        return None
    with suppress(OSError):
        named = {read_ref(store, name) for name in refs_of(store)}
        others = [path for path in snapshots.iterdir() if COMMIT.fullmatch(path.name) and path.name not in named and is_whole(path)]
        return max(others, key=lambda path: path.stat().st_mtime, default=None)
    return None


def ref_path(store: Path, revision: str) -> Path | None:
    """The file with a branch's or tag's commit; None for a name that isn't one, or would lie elsewhere."""
    parts = revision.split("/")
    return None if "\0" in revision or any(part in ("", ".", "..") for part in parts) else store.joinpath("refs", *parts)


def read_ref(store: Path, revision: str) -> str | None:
    path = ref_path(store, revision)
    with suppress(OSError, ValueError):
        text = read_whole(path, LONGEST_REF).decode("ascii").strip() if path is not None else ""
        return text if COMMIT.fullmatch(text) else None
    return None


def is_whole(folder: Path) -> bool:
    """Whether a snapshot has a config and all its weights. Another program may have cached a part of it only."""
    if not (folder / CONFIG).exists():
        return False
    shards = shards_of(folder)
    return (folder / WEIGHTS).exists() or (bool(shards) and all((folder / name).exists() for name in shards))


def shards_of(folder: Path) -> list[str]:
    """The files that a snapshot's index names; none where there is no index, or none that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        return shard_names(read_whole(folder / INDEX, LONGEST_FILE))
    return []


def shard_names(index: bytes) -> list[str]:
    """The files that the text of an index names. Raises ValueError for what isn't one."""
    document = load_json(index, MOST_VALUES)
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    names = set(weight_map.values()) if isinstance(weight_map, dict) and all(isinstance(v, str) for v in weight_map.values()) else set()
    if not 0 < len(names) <= MOST_SHARDS or not all(FILE.fullmatch(name) and name.endswith(".safetensors") for name in names):
        raise ValueError("no index")
    return sorted(names)


def lacks_tokenizer(folder: Path) -> bool:
    """Whether a cached snapshot has no tokenizer, and it isn't known that its repository has none either."""
    if folder.parent.name != "snapshots" or any(os.path.lexists(folder / name) for name in VOCABULARY) or is_published_gpt2(folder):
        return False
    return may_have(folder, VOCABULARY, VOCABULARY[:2])


def lacks_settings(folder: Path) -> bool:
    """Whether a cached snapshot has a tokenizer without its settings, and it isn't known that there are none."""
    if folder.parent.name != "snapshots" or not any(os.path.lexists(folder / name) for name in VOCABULARY):
        return False
    return not os.path.lexists(folder / SETTINGS) and may_have(folder, (SETTINGS,), (SETTINGS,))


def may_have(folder: Path, names: Sequence[str], usual: Sequence[str]) -> bool:
    """Whether a snapshot's repository may have one of these files, by what is noted in the cache: at the least of the usual ones."""
    store, commit = folder.parent.parent, folder.name
    if all((store / ".no_exist" / commit / name).exists() for name in usual):
        return False
    with suppress(OSError, ValueError, RecursionError, AttributeError, TypeError):
        listed = load_json(read_whole(store / "trees" / f"{commit}.json", LONGEST_FILE), MOST_NOTED)  # huggingface_hub's own note
        files = listed.get("files", listed)
        return CONFIG not in files or any(name in files for name in names)
    return True


def is_published_gpt2(folder: Path) -> bool:
    """Whether a snapshot is of one of the well-known GPT-2s, whose tokenizer is the one that is here."""
    published = {f"models--{name.replace('/', '--')}" for pair in SHORT_NAMES.items() for name in pair}
    return folder.parent.name == "snapshots" and folder.parent.parent.name in published


def with_tokenizer(repo: str) -> Path | None:
    """The folder of a repository's tokenizer, whatever else is there of it: the commit of main, else the one cached last."""
    try:
        folders = [folder for store in stores(repo) for folder in (store / "snapshots").glob("*")]
        mains = {read_ref(store, "main") for store in stores(repo)}
    except ImportError:
        return None
    having = [folder for folder in folders if COMMIT.fullmatch(folder.name) and any((folder / name).exists() for name in VOCABULARY)]
    return max(having, key=lambda folder: (folder.name in mains, folder.stat().st_mtime), default=None)


# Checksums


def checksum_of(file: Path) -> str | None:
    """The checksum that the hub gave for a cached file: the name of the blob that it links to. None where it is no such link."""
    blob = file.readlink().name if file.is_symlink() else ""  # the blob may be a link itself, to a store with other names
    return blob if DIGEST.fullmatch(blob) else None


def is_damaged(file: Path) -> bool:
    """Whether a cached file's bytes aren't those that the hub promised."""
    wanted = checksum_of(file)
    return wanted is not None and not matches(file, wanted)


def matches(file: Path, digest: str, alive: Callable[[], object] = lambda: None) -> bool:
    """Whether a file's bytes have a checksum. alive: called now and then; what it raises ends the reading."""
    try:
        with open(file, "rb", opener=only_regular) as data:
            if len(digest) == 64:
                sums = [hashlib.sha256()]
            else:
                size = os.fstat(data.fileno()).st_size
                sums = [hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), hashlib.sha1(usedforsecurity=False)]
            while piece := data.read(CHUNK):
                alive()
                for each in sums:
                    each.update(piece)
    except FileNotFoundError:
        return False
    return digest in {each.hexdigest() for each in sums}


# Writing


@contextmanager
def locked(store: Path, digest: str, alive: Callable[[], object]) -> Iterator[None]:
    """One program at a time brings a blob; huggingface_hub takes the same lock. alive: called while another has it."""
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    lock = store.parent / ".locks" / store.name / f"{digest}.lock"
    make_folder(lock.parent, OPEN)
    with ExitStack() as stack:
        while True:
            with suppress(TimeoutError):
                stack.enter_context(WeakFileLock(lock, timeout=0.5))
                break
            alive()
        yield


def open_part(path: Path) -> int:
    """A descriptor of the file that a download goes on in: never a link's, a pipe's, another user's, nor that of a file with two names."""
    make_folder(path.parent, OPEN)
    if path.is_symlink():
        path.unlink()
    number = open_kept(path, 0o666)
    status = os.fstat(number)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and ours(status):
        return number
    os.close(number)
    path.unlink()
    return open_kept(path, 0o666)


def put(blob: Path, file: Path) -> None:
    """Make a snapshot's file a link to a blob, in place of whatever stands there; the blob itself where the disk knows no links."""
    make_folder(file.parent, OPEN)
    try:
        put_link(file, os.path.relpath(blob, file.parent))
    except OSError:
        put_file(blob, file)


def note(store: Path, commit: str, revision: str, absent: Sequence[str]) -> None:
    """Keep which commit a revision is, and which files it lacks."""
    for name in absent:
        path = store / ".no_exist" / commit / name
        make_folder(path.parent, OPEN)
        if not is_there(path):
            write_whole(path, b"")
    ref = ref_path(store, revision)
    if ref is None or COMMIT.fullmatch(revision) or read_ref(store, revision) == commit:
        return
    make_folder(ref.parent, OPEN)
    write_whole(ref, commit.encode())
