"""What a stranger's tokenizer.json may ask for: nothing that takes time or memory out of all proportion to the text it is given.

The `tokenizers` library runs whatever such a file describes, inside this process, where nothing can stop it. So every part is looked at
first: what kind it is, how long its strings are, how much longer than the text its result can be, and whether its patterns are read in a
time proportional to the text. What isn't known to be harmless is refused in a few words, and the model opens with ids only.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from txexplain.engine.config import LARGEST
from txexplain.engine.memory import free_memory
from txexplain.engine.tokenizer import LONGEST_TOKEN
from txexplain.files import megabytes
from txexplain.text import shown

LONGEST_PIECE = 64  # characters of a Unigram's, which are all tried at each place; sentencepiece makes them of 16
MOST_BYTES = 8_000_000  # of all tokens together; GPT-2's have 0.3 million
MOST_PIECES = 4_000_000  # bytes of a Unigram's; XLM-R's have some 3
TREE = 350  # bytes that the library makes of each of them, in a tree of all beginnings
MOST_ADDED = 20_000  # added tokens
MOST_TO_FIND = 1_000_000  # bytes of added tokens, as they are looked for: the library makes some 90 of each
MOST_PARTS = 16  # normalizers, pre-tokenizers, decoders … of one file
MOST_GROWTH = 16  # how many times longer than the text what is made of it may be
LONGEST_CHARACTER = 64  # bytes of what a character map makes of one; those of sentencepiece have 33
MOST_AROUND = 64  # tokens that a template puts around a text
LONGEST_WORD = 200  # characters that WordPiece tries every piece of; BERT's is 100
LONGEST_PATTERN = 2000  # characters

Json = Mapping[str, Any]


class Unfit(Exception):
    """Why a tokenizer's files can't be used, as the end of a sentence."""


def require_harmless(document: Json) -> None:
    """Raise Unfit unless a tokenizer.json's parts are all of a known kind and size."""
    require_model(document.get("model"))
    added = document.get("added_tokens") or []
    if not isinstance(added, list) or not all(isinstance(each, dict) and isinstance(each.get("content"), str) for each in added):
        raise Unfit("an added token has no content")
    normalizers, splits, decoders = (parts_of(document, what) for what in ("normalizer", "pre_tokenizer", "decoder"))
    for part in splits:
        require_pattern(part)
    if grown(normalizers) * grown(splits) > MOST_GROWTH:
        raise Unfit(f"it makes a text more than {MOST_GROWTH} times as long before it is read")
    require_added([each["content"] for each in added], grown(normalizers))
    for each in added:
        require_bounded(each["content"], each.get("lstrip"), each.get("rstrip"))
    for part in decoders:
        require_short(part.get("content"))
    if grown(part for part in decoders if part["type"] == "Replace") > MOST_GROWTH:
        raise Unfit(f"it shows a token more than {MOST_GROWTH} times as long as it is")
    for part in parts_of(document, "post_processor"):
        if part["type"] == "TemplateProcessing":
            require_template(part)


# Tokens


def require_model(model: Any) -> None:
    """Raise Unfit unless a model's vocabulary, merges and numbers are such as a library takes."""
    kind = kind_of(model) if isinstance(model, dict) else None
    if kind not in ("BPE", "Unigram", "WordPiece", "WordLevel"):
        raise Unfit("it names no model that is known: BPE, Unigram, WordPiece or WordLevel")
    vocab = model.get("vocab")
    if kind == "Unigram":
        require_scores(vocab, model.get("unk_id"))
    else:
        require_ids(vocab)
    if model.get("dropout"):
        raise Unfit("it merges at random (dropout), so that a text has other ids each time")
    for name in ("unk_token", "continuing_subword_prefix", "end_of_word_suffix"):
        require_short(model.get(name))
    if model.get("continuing_subword_prefix") and kind == "BPE":
        raise Unfit("its BPE has a continuing_subword_prefix")
    longest = model.get("max_input_chars_per_word", 100)
    if kind == "WordPiece" and not (type(longest) is int and 0 <= longest <= LONGEST_WORD):
        raise Unfit(f"its max_input_chars_per_word isn't a number up to {LONGEST_WORD}")
    if kind == "BPE":
        require_merges(model.get("merges"), vocab)


def kind_of(model: Json) -> Any:
    """BPE, Unigram, WordPiece or WordLevel; older files don't say it."""
    return model.get("type", "BPE" if "merges" in model else None)


def require_ids(table: Any, what: str = "vocab") -> None:
    """Raise Unfit unless a table maps tokens of reasonable lengths to ids."""
    if not isinstance(table, dict):
        raise Unfit(f"its {what} is missing")
    for token, id in table.items():
        if type(id) is not int or not 0 <= id <= LARGEST:
            raise Unfit(f"the id of {clipped(token)} is {clipped(id)}")
    require_tokens(table)


def require_tokens(tokens: Mapping[str, Any] | Sequence[str], most: int = LONGEST_TOKEN) -> None:
    longest = max(map(len, tokens), default=0)
    if longest > most:
        token = next(token for token in tokens if len(token) == longest)
        raise Unfit(f"it has a token of {longest:,} characters, {clipped(token)}…, and {most} are the most")
    if sum(map(len, tokens)) > MOST_BYTES:
        raise Unfit(f"its tokens have more than {MOST_BYTES:,} characters together")


def require_scores(vocab: Any, unknown: Any) -> None:
    """Raise Unfit unless a Unigram's vocabulary is a list of tokens with their log-probabilities."""
    if not isinstance(vocab, list) or not vocab or not all(is_scored(each) for each in vocab):
        raise Unfit("its vocab isn't a list of tokens with their scores")
    require_tokens([token for token, _ in vocab], LONGEST_PIECE)
    if (size := sum(bytes_in(token) for token, _ in vocab)) > MOST_PIECES:
        raise Unfit(f"its tokens have more than {MOST_PIECES:,} bytes together")
    if (free := free_memory()) is not None and size * TREE > free:
        raise Unfit(f"its tokens take {megabytes(size * TREE)} of memory, and {megabytes(free)} are free")
    if unknown is not None and not (type(unknown) is int and 0 <= unknown < len(vocab)):
        raise Unfit(f"its unk_id is {clipped(unknown)}")


def is_scored(each: Any) -> bool:
    if not isinstance(each, list | tuple) or len(each) != 2:
        return False
    token, score = each
    return isinstance(token, str) and token != "" and type(score) in (int, float) and math.isfinite(score) and abs(score) < 1e30


def require_merges(merges: Any, vocab: Mapping[str, int]) -> None:
    """Raise Unfit unless each merge is of two tokens into one, all three of the vocabulary."""
    if not isinstance(merges, list):
        raise Unfit("its merges are missing")
    for merge in merges:
        pair = merge.split(" ") if isinstance(merge, str) else merge
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(half, str) for half in pair):
            raise Unfit(f"the merge {clipped(merge)} isn't a pair")
        if not (pair[0] in vocab and pair[1] in vocab and pair[0] + pair[1] in vocab):
            raise Unfit(f"the merge {clipped(merge)} isn't of two tokens of its vocab into another")


def require_added(tokens: Sequence[str], growth: float) -> None:
    """Raise Unfit for added tokens too many or too long. growth: how many times longer normalizers make what is looked for."""
    if len(tokens) > MOST_ADDED:
        raise Unfit(f"it has more than {MOST_ADDED:,} added tokens")
    require_tokens(tokens)
    if growth * sum(map(bytes_in, tokens)) > MOST_TO_FIND:
        raise Unfit(f"its added tokens have more than {MOST_TO_FIND:,} bytes together, as they are looked for")


def require_bounded(content: str, lstrip: Any, rstrip: Any) -> None:
    """Raise Unfit for an added token of spaces that takes the spaces around it: each of a run would look through the run."""
    if (lstrip or rstrip) and not content.strip():
        raise Unfit(f"its added token {clipped(content)} takes the spaces around it, and is nothing else")


def require_short(value: Any) -> None:
    if value is not None and (not isinstance(value, str) or len(value) > LONGEST_TOKEN):
        raise Unfit(f"{clipped(value)}… is no string, or longer than {LONGEST_TOKEN} characters")


# Parts

NORMALIZERS = (
    "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "Strip", "StripAccents", "BertNormalizer", "ByteLevel", "Prepend", "Replace",
    "Precompiled",
)  # fmt: skip
PRE_TOKENIZERS = (
    "ByteLevel", "BertPreTokenizer", "Whitespace", "WhitespaceSplit", "Punctuation", "Digits", "Metaspace", "CharDelimiterSplit",
    "UnicodeScripts", "Split",
)  # fmt: skip
DECODERS = ("ByteLevel", "WordPiece", "Metaspace", "BPEDecoder", "ByteFallback", "Fuse", "Strip", "Replace", "CTC")
PROCESSORS = ("TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel")
KINDS = {
    "normalizer": ("normalizers", NORMALIZERS),
    "pre_tokenizer": ("pretokenizers", PRE_TOKENIZERS),
    "decoder": ("decoders", DECODERS),
    "post_processor": ("processors", PROCESSORS),
}


def parts_of(document: Json, what: str) -> list[dict[str, Any]]:
    """A document's normalizers, pre-tokenizers …, those of sequences in their order. Raises Unfit for one of another kind."""
    part, (inside, known) = document.get(what), KINDS[what]
    found: list[dict[str, Any]] = []
    waiting = [] if part is None else [part]
    while waiting:
        each = waiting.pop()
        kind = each.get("type") if isinstance(each, dict) else None
        if kind == "Sequence" and isinstance(each.get(inside), list):
            waiting += reversed(each[inside])
        elif kind in known:
            found.append(each)
        else:
            raise Unfit(f"its {what} {clipped(kind)} isn't one that is known")
        if len(found) + len(waiting) > MOST_PARTS:
            raise Unfit(f"its {what} has more than {MOST_PARTS} parts")
    return found


def require_template(part: Json) -> None:
    """Raise Unfit unless a template puts a few tokens around a text, each of which it says the ids of."""
    single, specials = part.get("single"), part.get("special_tokens")
    if not isinstance(single, list) or not isinstance(specials, dict) or not all(map(is_special, specials.values())):
        raise Unfit("its post_processor is no template of tokens with their ids")
    if len(single) > MOST_AROUND or sum(len(each["ids"]) for each in specials.values()) > MOST_AROUND:
        raise Unfit(f"its post_processor puts more than {MOST_AROUND} tokens around a text")
    for piece in single:
        kind, token = next(iter(piece.items())) if isinstance(piece, dict) and len(piece) == 1 else ("", None)
        id = token.get("id") if isinstance(token, dict) else None
        if not (kind == "Sequence" and id == "A") and not (kind == "SpecialToken" and isinstance(id, str) and id in specials):
            raise Unfit(f"its post_processor doesn't say the id of {clipped(piece)}")


def is_special(value: Any) -> bool:
    """Whether it is a template's entry for a token: as many ids as tokens."""
    ids, tokens = (value.get("ids"), value.get("tokens")) if isinstance(value, dict) else (None, None)
    if not isinstance(ids, list) or not isinstance(tokens, list):
        return False
    return len(ids) == len(tokens) and all(type(id) is int and 0 <= id <= LARGEST for id in ids)


def grown(parts: Iterable[Json]) -> float:
    """How many times longer than its text what parts make of it, one after the other, may be. Raises Unfit."""
    return math.prod(map(growth_of, parts))


def growth_of(part: Json) -> float:
    """How many times longer than its text what a part makes of it may be. Raises Unfit."""
    if part["type"] == "ByteLevel":
        return 2.0  # a byte becomes a character of two
    if part["type"] == "Precompiled":
        return charsmap_growth(part.get("precompiled_charsmap"))
    if part["type"] == "Prepend":
        require_short(part.get("prepend"))
        return 1.0 + len(part.get("prepend") or "")  # before each piece between two added tokens, which may be a single character
    if part["type"] != "Replace":
        return 1.0
    content = part.get("content") or ""
    require_short(content)
    pattern = require_pattern(part)
    shortest = len(pattern.encode("utf-8", "replace")) or SHORTEST.get(str((part.get("pattern") or {}).get("Regex")), 0)
    return max(1.0, len(content.encode("utf-8", "replace")) / shortest) if shortest else 1.0 + len(content)


def require_pattern(part: Json) -> str:
    """The string that a part looks for; empty where it is a regular expression, which must be harmless. Raises Unfit."""
    pattern = part.get("pattern")
    if pattern is None:
        return ""
    given = pattern.get("String", pattern.get("Regex")) if isinstance(pattern, dict) and len(pattern) == 1 else None
    if not isinstance(given, str) or not given or len(given) > LONGEST_PATTERN:
        raise Unfit("a pattern of its isn't a string, or is too long")
    if "String" in pattern:
        return given
    if given not in KNOWN_PATTERNS and not HARMLESS.fullmatch(given):
        raise Unfit(f"its pattern {clipped(given)} isn't one that is known to take little time")
    return ""


# Patterns: of each alternative, all that may go on without end stands where nothing after it can fail, and little before it may be read in
# more than one way, so that a text is read once. What is known by heart are those of well-known models, which look ahead.

ATOM = (
    r"(?:\\[pP]\{\^?[A-Za-z_]{1,30}\}|\\[sSdDwWnrtfvh]|\\x[0-9a-fA-F]{2}|\\[^A-Za-z0-9\s]"
    r"|\[\^?(?:\\[pP]\{\^?[A-Za-z_]{1,30}\}|\\[sSdDwWnrtfvh]|\\[^A-Za-z0-9\s]|[^\[\]\\&])+\]|[^\\\[\](){}|*+?.^$]|\.)"
)
ALWAYS = rf"(?:{ATOM}(?:\{{[0-9]{{1,2}}\}})?(?![?*+{{]))*+"
WORDS = r"\((?:\?:|\?i:)?[A-Za-z' ]+(?:\|[A-Za-z' ]+)*\)\??"
# Each of what may be there or not doubles the ways to read a text, all of which are tried before a pattern fails; a choice of words, which
# may be the same ones, has as many as there are.
CHOICES = rf"(?:{ALWAYS}{ATOM}\?){{0,2}}{ALWAYS}"
FEW = rf"(?:{CHOICES}(?:{ATOM}\{{[0-9]{{1,2}},[0-9]{{1,2}}\}})?{CHOICES}|{ALWAYS}{WORDS}{ALWAYS})"
REST = rf"(?:{ATOM}(?:[*+]|\{{[0-9]{{1,2}},\}})\+?(?:{ATOM}[*?]\+?)*)"
ALTERNATIVE = rf"(?:{FEW}{REST}?|\\s\+\(\?!\\S\)|\(\?i:(?:'[a-z]+\|?)+\))"
HARMLESS = re.compile(rf"\(?{ALTERNATIVE}(?:\|{ALTERNATIVE}){{0,50}}\)?")
SHORTEST = {" {2,}": 2, r"\s{2,}|[\n\r\t]": 1}  # bytes that patterns of well-known normalizers match at least
QWEN2_PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
KNOWN_PATTERNS = (
    # GPT-2
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # GPT-4's cl100k_base; Llama 3; Qwen 2 and 3
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    QWEN2_PATTERN,
    # GPT-4o's o200k_base
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    # Bloom
    r" ?[^(\s|[.,!?…。，、।۔،])]+",
)


# The character maps of sentencepiece: a double-array trie, and behind it what its leaves point to.


def charsmap_growth(encoded: Any) -> float:
    """How many times longer than its text what a map makes of it may be. Raises Unfit for a trie that leads out of itself."""
    try:
        data = binascii.a2b_base64(encoded, strict_mode=True)
        size = int.from_bytes(data[:4], "little")
        units, texts = np.frombuffer(data[4 : 4 + size], "<u4").astype(np.int64), data[4 + size :]
        texts.decode("utf-8")
    except (TypeError, ValueError):
        raise Unfit("its precompiled_charsmap can't be read") from None
    leaf = units >= 1 << 31
    inner = np.flatnonzero(~leaf)
    offset = (units >> 10) << ((units & (1 << 9)) >> 6)
    leads = (inner ^ offset[inner]) | 0xFF
    points = units[leaf] & 0x7FFFFFFF
    starts = np.frombuffer(texts, np.uint8)
    if len(units) == 0 or size % 4 or (leads >= len(units)).any() or (points >= len(texts)).any() or (starts[points] & 0xC0 == 0x80).any():
        raise Unfit("its precompiled_charsmap leads out of itself")
    if (longest := max(map(len, texts.split(b"\0")))) > LONGEST_CHARACTER:
        raise Unfit(f"its precompiled_charsmap makes {longest} bytes of a character")
    return max(1.0, longest / 4)


def bytes_in(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def clipped(value: object) -> str:
    return shown(ascii(value), 60)
