"""Turns texts into token files: any folder or file of text, Markdown or JSON lines → documents → GPT-2's tokens.

    python -m weights.recipe.prepare tales=corpus/tales.jsonl.gz general=corpus/general.jsonl.gz teaching=made:400000

For each name two files: `tales.train.npy` and `tales.held.npy`, ids as uint16, each document after an <|endoftext|>. One document in a
hundred is held out, chosen by the hash of its text, so that the same text is held out wherever and whenever it is prepared. A document
that says itself whether it is `held` is believed: teaching.py's are held out by what they combine.

`made:400000` stands for so many documents that teaching.py makes by rule; `made:400000:7` begins them from seed 7. The same input gives the
same bytes, and what is there already isn't made again: beside the tokens lies a digest of all that they came from.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.tokenizer import Tokenizer
from weights.recipe import teaching

END_OF_TEXT = 50256
HELD_OUT = 100  # one document in so many
SHORTEST = 40  # characters; what is shorter is a stray heading
QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "–": "-", "\u00a0": " ", "\ufeff": None, "\r": None})
CACHE = Path.home() / ".cache" / "txexplain-train"
RECIPE = Path(__file__).parent
RANKS = RECIPE.parent / "gpt2.tiktoken"
MADE = re.compile(r"made:(\d+)(?::(\d+))?")
SUFFIXES = (".txt", ".md", ".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class Document:
    text: str
    is_held: bool


def files(path: Path) -> list[Path]:
    """The readable files under a path, in an order that doesn't hang on the disk."""
    if path.is_file():
        return [path]
    return sorted(f for f in path.rglob("*") if f.is_file() and f.name.endswith(SUFFIXES))


def documents(path: Path) -> Iterator[Document]:
    """The documents of a file: each line of JSON lines, each chapter of Markdown, the whole of a text."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    written = raw.decode("utf-8")
    if ".jsonl" in path.suffixes:
        for stored in map(json.loads, written.strip().split("\n")):
            text = normalized(stored["text"])
            yield Document(text, stored.get("held", is_held_out(text)))
        return
    for part in chapters(written) if path.suffix == ".md" else [written]:
        text = normalized(part)
        if len(text) >= SHORTEST:
            yield Document(text, is_held_out(text))


def chapters(markdown: str) -> list[str]:
    """A Markdown book by its headings, which are left out, as are emphasis, links and pictures."""
    plain = re.sub(r"!\[[^]]*\]\([^)]*\)", "", markdown)
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", plain)
    plain = re.sub(r"(?<!\w)[*_]{1,3}(?=\S)(.+?)(?<=\S)[*_]{1,3}(?!\w)", r"\1", plain)
    return re.split(r"^#{1,6} .*$", plain, flags=re.MULTILINE)


def normalized(text: str) -> str:
    """One way to write quotes, dashes and line ends: paragraphs between empty lines, no others wrapped."""
    text = text.translate(QUOTES)
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def is_held_out(text: str) -> bool:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % HELD_OUT == 0


def tokens(texts: Iterable[str], tokenizer: Tokenizer) -> NDArray[np.uint16]:
    """One stream, an <|endoftext|> before each text and one at the end."""
    parts = [np.array([END_OF_TEXT, *tokenizer.encode(text)], dtype=np.uint16) for text in texts]
    return np.concatenate([*parts, np.array([END_OF_TEXT], dtype=np.uint16)])


def made(documents: int, seed: int) -> Iterator[Document]:
    """The teaching texts."""
    return (Document(text.plain, text.is_held) for text in teaching.documents(documents, seed))


def found(source: str) -> Iterator[Document]:
    """A source's documents: those of a file or a folder, or those made by rule."""
    if of := MADE.fullmatch(source):
        return made(int(of[1]), int(of[2] or 0))
    return (d for f in files(Path(source)) for d in documents(f))


def prepare(source: str, tokenizer: Tokenizer) -> dict[str, NDArray[np.uint16]]:
    """A source's tokens, `train` and `held`."""
    all_of_it = list(found(source))
    return {part: tokens((d.text for d in all_of_it if d.is_held == held), tokenizer) for part, held in (("train", False), ("held", True))}


def digest(source: str) -> str:
    """Of everything that the tokens hang on: the texts or the rules that make them, this file, the tokenizer's ranks."""
    of = hashlib.sha256()
    if MADE.fullmatch(source):
        of.update(source.encode())
        read = [RECIPE / f"{name}.py" for name in ("teaching", "modern", "nonce")]
    else:
        read = files(Path(source))
    for path in [*read, Path(__file__), RANKS]:
        of.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return of.hexdigest()


def kept(folder: Path, name: str, source: str, tokenizer: Tokenizer) -> Iterator[str]:
    """Makes the token files of a source, unless they are there and of the same digest; a line about each."""
    stamp, now = folder / f"{name}.sha256", digest(source)
    parts = {part: folder / f"{name}.{part}.npy" for part in ("train", "held")}
    if is_new := not (stamp.exists() and stamp.read_text() == now and all(path.exists() for path in parts.values())):
        stamp.unlink(missing_ok=True)
        for part, stream in prepare(source, tokenizer).items():
            np.save(parts[part], stream)
        stamp.write_text(now)
    for part, path in parts.items():
        stream = np.load(path)
        said = f"{name}.{part}: {len(stream):,} tokens, {np.count_nonzero(stream == END_OF_TEXT) - 1:,} documents"
        yield said if is_new else f"{said}, there already"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "sources", nargs="+", metavar="NAME=SOURCE", help="the name of the tokens, and a file, a folder, or made:DOCUMENTS[:SEED]"
    )
    parser.add_argument("-o", "--out", type=Path, default=CACHE / "tokens", help="the folder for the token files (default: %(default)s)")
    given = parser.parse_args()
    sources = [given_source.partition("=")[::2] for given_source in given.sources]
    for name, source in sources:
        if not source or not (MADE.fullmatch(source) or Path(source).exists()):
            sys.exit(f"{name}={source}: give a name and a file or folder that is there, as in tales=corpus/tales.jsonl.gz, or made:400000")
    given.out.mkdir(parents=True, exist_ok=True)
    for name, source in sources:
        for line in kept(given.out, name, source, Tokenizer.gpt2()):
            print(line, flush=True)


if __name__ == "__main__":
    main()
