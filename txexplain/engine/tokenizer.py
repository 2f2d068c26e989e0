"""Byte-level BPE as GPT-2 does it: text to ids, ids to bytes, and the one way a token is shown on a screen.

Source: Radford et al. 2019, section 2.2, and `encoder.py` of OpenAI's release. The merging itself is `tiktoken`'s, built from a local
file of ranks; nothing here opens the network.
"""

from __future__ import annotations

import binascii
import codecs
import hashlib
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate, chain, pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from txexplain.errors import TokenizerError
from txexplain.files import read_whole
from txexplain.text import display_bytes

if TYPE_CHECKING:
    import tiktoken

GPT2_VOCABULARY = 50257
END_OF_TEXT = "<|endoftext|>"
RANKS_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
# GPT-2's pattern 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ with possessive runs: the same pieces, faster.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
LONGEST_FILE = 50_000_000  # bytes
LONGEST_TOKEN = 512  # characters; GPT-2's longest has 128
OR_IDS = "give the prompt as numbers with --ids 1,2,3, or name its tokenizer with --tokenizer gpt2 or a folder"
CHUNK = 8192  # characters handed to the library at a time

T = TypeVar("T")


def ranks_path() -> Path:
    """Where GPT-2's ranks lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "weights" / "gpt2.tiktoken"
    return installed if installed.exists() else package.parent / "weights" / "gpt2.tiktoken"


class Tokenizer:
    """Text to ids and back. By itself it has no way from a text to ids: there are the ids of a model, and what each stands for where that
    is known. `gpt2()` and `vocabulary.open_folder` give those that read text.

    `name` says whose it is; `n_vocab` is the number of ids of the model, of which some may be no token (a padded vocabulary).
    `typed` are the tokens, beside those of ordinary text, that a text which holds them becomes; `note` is what a reader should know
    of it, or empty; `made_of` is what it is and which files it was made of.
    """

    made_of = "GPT-2's own, which comes with txexplain"
    typed: Mapping[str, int] = MappingProxyType({})

    def __init__(self, name: str, n_vocab: int, texts: Mapping[int, bytes], why: str = "", note: str = "") -> None:
        """texts: what each id stands for, as far as known; why: what to say to who gives a text, where there are ids only."""
        self.name = name
        self.n_vocab = n_vocab
        self.note = note
        self._texts = texts
        self.why = why

    def __getstate__(self) -> dict[str, Any]:
        """For another process, to which no read-only view of a dictionary can go."""
        return {name: dict(value) if isinstance(value, MappingProxyType) else value for name, value in self.__dict__.items()}

    @staticmethod
    def gpt2() -> Tokenizer:
        """GPT-2's own 50,257 tokens; typed `<|endoftext|>` is ordinary text. Raises TokenizerError where the file of ranks is
        missing or damaged."""
        return _gpt2()

    @staticmethod
    def ids_only(name: str, n_vocab: int, why: str = "", texts: Mapping[int, bytes] = MappingProxyType({})) -> Tokenizer:
        """No way from text to ids: encoding one says to give ids, or what else `why` says. An id without a text is shown as `#123`."""
        why = why or f"{name} brings no tokenizer for its {n_vocab} ids"
        found = Tokenizer(name, n_vocab, texts, f"{why}; {OR_IDS}")
        found.made_of = f"none: {why}"
        return found

    @property
    def has_no_text(self) -> bool:
        """Whether there are ids only."""
        return bool(self.why)

    def encode(self, text: str, *, limit: int | None = None, bare: bool = False) -> list[int]:
        """The ids of a text; with a limit the first limit + 1 of them at most, so that a longer list says "too long" without the
        cost of the rest. bare: without what is put before and after every text.

        A lone surrogate (a byte of the command line that is no UTF-8) becomes U+FFFD. Raises TokenizerError.
        """
        raise TokenizerError(self.why)

    def stream(self, text: str) -> Iterator[list[int]]:
        """The ids of a text, some at a time: of a long one, where that can't change them, in the memory that a piece takes.

        Raises TokenizerError.
        """
        return iter([self.encode(text)])

    @property
    def fits(self) -> bool:
        """Whether each of its tokens is one of the model's."""
        return max(self._texts, default=0) < self.n_vocab

    def ends(self, text: str) -> list[int]:
        """Where each token of a typed text ends, in characters. Raises TokenizerError."""
        pieces = [self.token_bytes(i) for i in self.encode(text, bare=True)]
        ends = list(accumulate(len(char.encode("utf-8", "replace")) for char in text))
        return [bisect_right(ends, at) for at in accumulate(map(len, pieces))]

    def plain(self) -> Tokenizer:
        """The same where typed text never becomes one of the `typed` tokens."""
        return self

    def special(self) -> Tokenizer:
        """The same where the text of each token that isn't ordinary text becomes that token."""
        return self

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, U+FFFD where their bytes are no UTF-8, `#123` for an id that is no token."""
        return b"".join(self.raw(i) for i in ids).decode("utf-8", "replace")

    def groups(self, ids: Sequence[int]) -> list[tuple[list[int], str]] | None:
        """Ids by the characters that they make together: the places of those that share one, and their text.

        The texts put together are `decode(ids)`; None where it isn't so.
        """
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        found: list[tuple[list[int], str]] = []
        places: list[int] = []
        text = ""
        for place, id in enumerate(ids):
            places.append(place)
            text += decoder.decode(self.raw(id), final=place == len(ids) - 1)
            if not decoder.getstate()[0]:
                found.append((places, text))
                places, text = [], ""
        whole, told = self.decode(ids), "".join(part for _, part in found)
        if told != whole and found and told.removeprefix(" ") == whole:  # some leave out the space that begins a text
            found[0] = (found[0][0], found[0][1].removeprefix(" "))
            return found
        return found if told == whole else None

    def token_bytes(self, id: int) -> bytes:
        """The bytes that an id stands for, empty for one that is no token."""
        return self._texts.get(id, b"")

    def raw(self, id: int) -> bytes:
        """What an id adds to the text before it."""
        return self.token_bytes(id) or b"#%d" % id

    def display(self, id: int, *, ascii: bool = False) -> str:
        """An id as the screen shows it, never empty: `display_bytes` of its bytes, or `#123` for an id that is no token."""
        return display_bytes(self.token_bytes(id) or b"#%d" % id, ascii=ascii)

    def merges(self, id: int) -> list[list[bytes]]:
        """How BPE builds a token: its pieces after 0, 1, 2 … merges, from single bytes to the whole.

        One step only for a token that isn't built, none for an id that is no token.
        """
        token = self.token_bytes(id)
        return [[token]] if token else []

    def candidates(self, text: str) -> list[int]:
        """The ids of a text that should be one token. Raises TokenizerError."""
        return self.encode(text, bare=True)


class Gpt2(Tokenizer):
    """GPT-2's own vocabulary: an id is the rank of its merge. A model may add tokens behind, or know a text's end when it is typed."""

    def __init__(
        self, name: str, n_vocab: int, merged: Sequence[bytes], special: Mapping[int, bytes], typed: Mapping[str, int], note: str = ""
    ) -> None:
        """merged: every token in the order of its merge, single bytes first; special: the other tokens; typed: those of them that are
        looked for in a text."""
        super().__init__(name, n_vocab, dict(enumerate(merged)) | dict(special), note=note)
        self._ranks = dict(zip(merged, range(len(merged)), strict=True))
        self._special = special
        self.typed = MappingProxyType(typed)

    def encode(self, text: str, *, limit: int | None = None, bare: bool = False) -> list[int]:
        wanted = None if limit is None else limit + 1
        ids: list[int] = []
        for piece in self._apart(characters(text)):
            if wanted is not None and len(ids) >= wanted:
                break
            token = self.typed.get(piece)
            left = None if wanted is None else wanted - len(ids)
            ids += [token] if token is not None else list(chain.from_iterable(self._read(piece, left)))[:left]
        return ids

    def stream(self, text: str) -> Iterator[list[int]]:
        for piece in self._apart(characters(text)):
            token = self.typed.get(piece)
            yield from self._read(piece, None) if token is None else [[token]]

    def plain(self) -> Tokenizer:
        return Gpt2(self.name, self.n_vocab, list(self._ranks), self._special, {}, self.note) if self.typed else self

    def special(self) -> Tokenizer:
        typed = {token.decode("utf-8", "replace"): id for id, token in self._special.items()}
        return self if typed == self.typed else Gpt2(self.name, self.n_vocab, list(self._ranks), self._special, typed, self.note)

    def merges(self, id: int) -> list[list[bytes]]:
        if id in self._special:
            return [[self._special[id]]]
        token = self.token_bytes(id)
        return list(merge_steps([token[i : i + 1] for i in range(len(token))], lambda left, right: self._ranks.get(left + right)))

    def _apart(self, text: str) -> list[str]:
        """A text cut where typed tokens stand: of two that begin at the same place, the longer."""
        if not self.typed:
            return [text]
        return [piece for piece in self._typed_pattern.split(text) if piece]

    @cached_property
    def _typed_pattern(self) -> re.Pattern[str]:
        return re.compile(f"({'|'.join(map(re.escape, sorted(self.typed, key=len, reverse=True)))})")

    @cached_property
    def _library(self) -> tiktoken.Encoding:
        import tiktoken  # 40 ms, and a trace can be looked at without it

        return tiktoken.Encoding(self.name, pat_str=PATTERN, mergeable_ranks=self._ranks, special_tokens={})

    @cached_property
    def _sorted(self) -> list[bytes]:
        return sorted(self._ranks)

    def _read(self, text: str, wanted: int | None) -> Iterator[list[int]]:
        """Ranks of a text, or of as much of it as has the first `wanted`, chunk by chunk, each cut where the pattern surely cuts.

        Not for speed alone: on a long run of spaces before a word the library's regex engine overflows its stack, and says so on the
        terminal behind our back.
        """
        start = count = 0
        while start < len(text) and (wanted is None or count < wanted):
            end = _last_cut(text, start, start + CHUNK)
            if end is None and wanted is not None and (certain := self._certain_start(text, start, wanted - count)):
                yield certain
                return
            if end is None:
                end = _next_cut(text, start, start + CHUNK)
            ranks = self._guarded(lambda piece: self._library.encode_ordinary(piece), text[start:end])
            yield ranks
            start, count = end, count + len(ranks)

    def _guarded(self, encode: Callable[[T], list[int]], piece: T) -> list[int]:
        try:
            return encode(piece)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # pyo3's, a BaseException that can't be imported
                raise
            raise TokenizerError("the tokenizer library failed on this text: shorten it, or give its ids with --ids") from error

    def _certain_start(self, text: str, start: int, wanted: int) -> list[int] | None:
        """The first `wanted` ranks of one endless word (or run of spaces) that begins at start, read only as far as needed.

        None where the text there isn't so simple, or not long enough.
        """
        length = CHUNK
        while start + length < len(text):
            part = text[start : start + length]
            kinds = set(map(_kind, part[1:]))
            if len(kinds) != 1 or "?" in kinds or not (part[0] == " " or _kind(part[0]) in kinds):
                return None
            if kinds == {"space"}:
                part = part[:-1]  # the last space of a run may belong to the next word
            if len(certain := self._common_start(part.encode())) >= wanted:
                return certain[:wanted]
            length += length * wanted // max(1, len(certain))  # as many tokens a character as so far, and some more
        return None

    def _common_start(self, piece: bytes) -> list[int]:
        """The ranks that a word beginning with these bytes has at its start, however it goes on.

        BPE never merges across a boundary of its result, so the result's beginning, up to any of its boundaries, is what BPE makes of
        those bytes alone. Some boundary lies at the piece's end or is followed by a token that reaches beyond the end. So we
        encode up to each place where such a token could start, and keep what all these agree on.
        """
        n = len(piece)
        longest = max(map(len, self._ranks))
        ends = [n] + [j for j in range(max(0, n - longest + 1), n) if self._begins_longer(piece[j:])]
        results = [self._guarded(lambda part: self._library._encode_single_piece(part), piece[:j]) if j else [] for j in ends]
        low, high = min(results), max(results)
        same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
        return low[:same]

    def _begins_longer(self, start: bytes) -> bool:
        """Whether some token begins with these bytes and is longer."""
        i = bisect_right(self._sorted, start)
        return i < len(self._sorted) and self._sorted[i].startswith(start)


@lru_cache(maxsize=1)
def _gpt2() -> Gpt2:
    path = ranks_path()
    try:
        data = read_whole(path, LONGEST_FILE)
    except OSError as error:
        raise TokenizerError(f"GPT-2's ranks can't be read from {path} ({error.strerror}): install txexplain again") from error
    if hashlib.sha256(data).hexdigest() != RANKS_SHA256:
        raise TokenizerError(f"GPT-2's ranks in {path} are damaged: install txexplain again")
    merged = [binascii.a2b_base64(token) for token in data.split()[::2]]  # the file's order is the order of ranks
    return Gpt2("gpt2", GPT2_VOCABULARY, merged, {GPT2_VOCABULARY - 1: END_OF_TEXT.encode()}, {})


def gpt2_with(
    name: str,
    n_vocab: int,
    added: Mapping[int, str] = MappingProxyType({}),
    typed: Mapping[str, int] = MappingProxyType({}),
    note: str = "",
) -> Tokenizer:
    """GPT-2's own vocabulary as a model has it: with other tokens added; those `typed` are looked for in a text. Raises TokenizerError."""
    special = {GPT2_VOCABULARY - 1: END_OF_TEXT} | dict(added)
    texts = {id: token.encode("utf-8", "replace") for id, token in special.items()}
    return Gpt2(name, n_vocab, list(_gpt2()._ranks), texts, typed, note)


# The places where a text may be cut without changing its ids. The pattern never looks back, and ahead by one character at most.

_WHITE_SPACE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | frozenset(map(chr, range(0x2000, 0x200B)))
_SAME = re.compile(r"(.)\1*", re.DOTALL)


def _kind(c: str) -> str:
    """The pattern's class of a character: space, L, N, other; "?" where Unicode's later versions may have decided."""
    if c in _WHITE_SPACE:
        return "space"
    category = unicodedata.category(c)
    return "?" if category == "Cn" else category[0] if category[0] in "LN" else "other"


def _is_cut(text: str, start: int, i: int) -> bool:
    """Whether the pattern, begun at start, surely ends a piece before text[i], and text[start:i] alone has those same pieces."""
    before, after = _kind(text[i - 1]), _kind(text[i])
    if after == "space":
        if before != "space":
            return True
        return i + 1 < len(text) and _kind(text[i + 1]) != "space"  # a run leaves its last space to the next piece
    if before == "space":
        return text[i - 1] != " " and (i - 2 < start or _kind(text[i - 2]) != "space")
    if "?" in (before, after):
        return False
    return before != after and not (text[i - 1] == "'" and after == "L")  # 's may be a piece of its own


def _last_cut(text: str, start: int, end: int) -> int | None:
    """The last sure cut after start and up to end; None where there is none."""
    if end >= len(text):
        return len(text)
    return next((i for i in range(end, start, -1) if _is_cut(text, start, i)), None)


def _next_cut(text: str, start: int, i: int) -> int:
    """The first sure cut after i, or the text's end."""
    while (i := i + 1) < len(text):
        if _is_cut(text, start, i):
            return i
        same = _SAME.match(text, i)
        assert same is not None
        i = max(i, same.end() - 2)  # there is no cut inside a run of one character but before its last
    return len(text)


def characters(text: str) -> str:
    """Surrogate pairs joined, lone surrogates replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def merge_steps(pieces: list[bytes], rank_of: Callable[[bytes, bytes], int | None]) -> Iterator[list[bytes]]:
    """The pieces of a token after each merge: of all neighbours, the pair of the lowest rank, leftmost first."""
    if pieces:
        yield list(pieces)
    while len(pieces) > 1:
        ranked = [(rank, i) for i, (a, b) in enumerate(pairwise(pieces)) if (rank := rank_of(a, b)) is not None]
        if not ranked:
            return
        _, i = min(ranked)
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
        yield list(pieces)
