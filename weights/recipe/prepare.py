"""Turns texts into token files: any folder or file of text, Markdown or JSON lines → documents → GPT-2's tokens.

    python -m weights.recipe.prepare tales=corpus/tales.jsonl.gz general=corpus/general.jsonl.gz teaching=teaching.jsonl -o tokens

For each name two files: `tales.train.npy` and `tales.held.npy`, ids as uint16, each document after an <|endoftext|>. One document in a
hundred is held out, chosen by the hash of its text, so that the same text is held out wherever and whenever it is prepared. A document
that says itself whether it is `held` is believed: teaching.py's are held out by what they combine.

The same input gives the same bytes.
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

END_OF_TEXT = 50256
HELD_OUT = 100  # one document in so many
SHORTEST = 40  # characters; what is shorter is a stray heading
QUOTES = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "–": "-", "\u00a0": " ", "\ufeff": None, "\r": None})
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


def prepare(path: Path, tokenizer: Tokenizer) -> dict[str, NDArray[np.uint16]]:
    """A source's tokens, `train` and `held`."""
    found = [d for f in files(path) for d in documents(f)]
    return {part: tokens((d.text for d in found if d.is_held == held), tokenizer) for part, held in (("train", False), ("held", True))}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sources", nargs="+", metavar="NAME=PATH", help="a file or a folder, and the name of its tokens")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder for the token files")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for source in given.sources:
        name, _, path = source.partition("=")
        if not path or not Path(path).exists():
            sys.exit(f"{source}: give a name and a file or folder that is there, as in tales=corpus/tales.jsonl.gz")
        for part, stream in prepare(Path(path), Tokenizer.gpt2()).items():
            np.save(given.out / f"{name}.{part}.npy", stream)
            print(f"{name}.{part}: {len(stream):,} tokens, {np.count_nonzero(stream == END_OF_TEXT) - 1:,} documents")


if __name__ == "__main__":
    main()
