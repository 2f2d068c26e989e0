"""A vocabulary of the sentencepiece library (`spiece.model`, `tokenizer.model` …): its pieces, which is all that transformers takes of one.

Such a file is a protocol buffer: fields by number, each with a length. Source: sentencepiece_model.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from txexplain.engine.config import MOST_TOKENS
from txexplain.engine.harmless import LONGEST_PIECE, Unfit, require_tokens

PIECE, TRAINER, NORMALIZER = 1, 2, 3  # of a model
TEXT, SCORE, TYPE = 1, 2, 3  # of a piece
UNKNOWN_ID = 40  # of a trainer
CHARACTER_MAP = 2  # of a normalizer
NORMAL, CONTROL, TYPED = 1, 3, 4  # types of pieces; typed ones are looked for before all others
LONGEST_FILE = 10_000_000  # bytes: large vocabularies take 5 million, and a field may have two


@dataclass(frozen=True)
class Pieces:
    """The pieces in the order of their ids, each with its score; `added` are those that are tokens of their own, and whether each is
    special."""

    scores: list[tuple[str, float]]
    added: Mapping[str, bool]
    unknown: int
    character_map: bytes

    def ids(self) -> dict[str, int]:
        return {piece: id for id, (piece, _) in enumerate(self.scores)}


def pieces_of(data: bytes) -> Pieces:
    """The pieces of a file. Raises Unfit."""
    if len(data) > LONGEST_FILE:
        raise Unfit(f"it has {len(data):,} bytes, and {LONGEST_FILE:,} are the most of a vocabulary of sentencepiece")
    scores, added, unknown, character_map = [], {}, 0, b""
    for number, value in fields_of(data):
        if number not in (PIECE, TRAINER, NORMALIZER):
            continue
        part = dict(fields_of(bytes_of(value)))
        if number == TRAINER:
            unknown = whole(part.get(UNKNOWN_ID, unknown))
        elif number == NORMALIZER:
            character_map = bytes_of(part.get(CHARACTER_MAP, character_map))
        else:
            text, score = text_of(part.get(TEXT, b"")), struct.unpack("<f", bytes_of(part.get(SCORE, bytes(4)), 4))[0]
            scores.append((text, score))
            if part.get(TYPE, NORMAL) in (CONTROL, TYPED):
                added[text] = part[TYPE] == CONTROL
        if len(scores) > MOST_TOKENS:
            raise Unfit(f"it has more than {MOST_TOKENS:,} pieces")
    if not scores:
        raise Unfit("it has no pieces, so it isn't a vocabulary of sentencepiece")
    require_tokens([text for text, _ in scores], LONGEST_PIECE)
    return Pieces(scores, added, unknown, character_map)


def fields_of(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Each field's number and value. Raises Unfit."""
    at = 0
    while at < len(data):
        key, at = number_at(data, at)
        kind = key & 7
        if kind == 0:
            value, at = number_at(data, at)
            yield key >> 3, value
            continue
        size, at = number_at(data, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, len(data)), at)
        if at + size > len(data):
            raise Unfit("it is cut short, or isn't a vocabulary of sentencepiece; fetch it again")
        yield key >> 3, data[at : at + size]
        at += size


def number_at(data: bytes, at: int) -> tuple[int, int]:
    """A number, seven bits a byte, and where it ends. Raises Unfit."""
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at
    raise Unfit("it is cut short, or isn't a vocabulary of sentencepiece; fetch it again")


def whole(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise Unfit("it isn't a vocabulary of sentencepiece")
    return value


def bytes_of(value: int | bytes, size: int | None = None) -> bytes:
    if not isinstance(value, bytes) or size not in (None, len(value)):
        raise Unfit("it isn't a vocabulary of sentencepiece")
    return value


def text_of(value: int | bytes) -> str:
    try:
        return bytes_of(value).decode("utf-8")
    except UnicodeDecodeError:
        raise Unfit("a piece of its isn't UTF-8") from None
