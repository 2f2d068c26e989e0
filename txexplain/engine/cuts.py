"""Where a long text may be cut so that its parts have the tokens of the whole, which other people's tokenizers thus read in little memory.

A cut stands before a single space between two ASCII letters, where no added token is near. A tokenizer is read in pieces only if all of
its parts are known to see nothing beyond such a place, and one of them to part words there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from txexplain.engine.harmless import KNOWN_PATTERNS, SHORTEST, Json, kind_of, parts_of

if TYPE_CHECKING:
    import tokenizers

PIECE = 1 << 16  # characters read at once
CUT = re.compile(r"(?<=[A-Za-z])(?= [A-Za-z])")
BY_CHARACTER = ("NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents", "BertNormalizer", "Precompiled")
PARTING = ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")
INSIDE = ("Digits", "Punctuation")  # they part words, and know of no space


def may_be_cut(document: Json, normalized: bool) -> bool:
    """Whether a tokenizer gives the parts of a text the tokens that it gives them in the whole, as far as its tokenizer.json tells.

    normalized: whether some added tokens are looked for in a normalized text.
    """
    normalizers, splits = parts_of(document, "normalizer"), parts_of(document, "pre_tokenizer")
    if (normalizers and normalized) or not all(map(is_local, normalizers)) or not splits:
        return False
    known = all(parts_words(each, document, first=n == 0) or each["type"] in (*INSIDE, "ByteLevel") for n, each in enumerate(splits))
    return known and any(parts_words(each, document, first=n == 0) for n, each in enumerate(splits)) and is_around(document)


def is_local(normalizer: Json) -> bool:
    """Whether it makes the same of a text's parts."""
    if normalizer["type"] == "Strip":
        return not normalizer.get("strip_left", True)
    if normalizer["type"] == "Replace":
        pattern = normalizer.get("pattern") or {}
        return " " not in pattern.get("String", " ") or pattern.get("Regex") in SHORTEST
    return normalizer["type"] in BY_CHARACTER


def parts_words(split: Json, document: Json, *, first: bool) -> bool:
    """Whether it ends a word at each cut, and begins the next one there as it would begin a text."""
    if split["type"] == "ByteLevel":
        return bool(split.get("use_regex", True))
    if split["type"] == "Metaspace":
        begun = first or split.get("prepend_scheme") != "first"
        return begun and (split.get("split", True) or has_no_token_across(document["model"], split.get("replacement", "▁")))
    if split["type"] == "Split":
        known = (split.get("pattern") or {}).get("Regex") in KNOWN_PATTERNS[:-1]
        return known and split.get("behavior") == "Isolated" and not split.get("invert", False)
    return split["type"] in PARTING


def has_no_token_across(model: Json, space: str) -> bool:
    """Whether no token of a BPE goes on behind a word's end: then no merge does."""
    return kind_of(model) == "BPE" and not any(space in token.lstrip(space) for token in model["vocab"])


def is_around(document: Json) -> bool:
    """Whether a text stands once among what is put around it."""
    templates = [each for each in parts_of(document, "post_processor") if each["type"] == "TemplateProcessing"]
    return all(sum("Sequence" in piece for piece in each["single"]) == 1 for each in templates)


def pieces(text: str, added: Collection[str]) -> Iterator[str]:
    """A text in pieces of PIECE characters, or some more, that may be read one by one."""
    near = re.compile("|".join(map(re.escape, added))) if added else None
    reach = max(map(len, added), default=0)

    def is_far(at: int) -> bool:
        return near is None or near.search(text, max(0, at - reach - 1), at + reach + 2) is None

    start = 0
    while start < len(text):
        found = (cut.start() for cut in CUT.finditer(text, start + PIECE)) if start + PIECE < len(text) else ()
        end = next(filter(is_far, found), len(text))
        yield text[start:end]
        start = end


def read(text: str, added: Collection[str], encode: Callable[[str], tokenizers.Encoding]) -> Iterator[list[int]]:
    """The ids of a text, piece by piece; encode: what the library makes of one, with what it puts around a text."""
    after: list[int] | None = None
    for piece in pieces(text, added):
        found = encode(piece)
        marks = found.special_tokens_mask  # 1 for what is put around
        ids = [id for id, mark in zip(found.ids, marks, strict=True) if not mark]
        if ids and after is None:
            begin = marks.index(0)
            after = found.ids[begin + len(ids) :]
            yield found.ids[:begin]
        yield ids
    yield encode("").ids if after is None else after
