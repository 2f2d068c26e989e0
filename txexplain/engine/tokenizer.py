"""Byte-level BPE as GPT-2 does it: text to ids, ids to bytes, and the one way a token is shown on a screen.

Source: Radford et al. 2019, section 2.2, and `encoder.py` of OpenAI's release. The merging itself is `tiktoken`'s, built from a local
file of ranks; nothing here opens the network.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from txexplain.bounded import load_json
from txexplain.engine.config import LARGEST
from txexplain.errors import TokenizerError, reason
from txexplain.files import is_there, read_whole
from txexplain.text import display_bytes

if TYPE_CHECKING:
    import tiktoken

GPT2_VOCABULARY = 50257
END_OF_TEXT = "<|endoftext|>"
RANKS_SHA256 = "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930"
# GPT-2's pattern 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ with possessive runs: the same pieces, faster.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
LONGEST_FILE = 50_000_000  # bytes
MOST_VALUES = 1_000_000  # of a JSON file: three for each token, of which GPT-2 has 50,257
LONGEST_TOKEN = 512  # bytes; GPT-2's longest has 128
MOST_BYTES = 8_000_000  # of all merged tokens together; GPT-2's have 0.3 million
CHUNK = 8192  # characters handed to the library at a time

T = TypeVar("T")


def ranks_path() -> Path:
    """Where GPT-2's ranks lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "weights" / "gpt2.tiktoken"
    return installed if installed.exists() else package.parent / "weights" / "gpt2.tiktoken"


class Tokenizer:
    """Text to ids and back. Make one with `gpt2()`, `from_folder()` or `ids_only()`.

    `name` says whose it is; `n_vocab` is the number of ids of the model, of which some may be no token (a padded vocabulary).
    """

    def __init__(
        self, name: str, n_vocab: int, merged: Sequence[bytes], ids: Sequence[int] | None, special: Mapping[int, bytes], why: str = ""
    ) -> None:
        """merged: every token in the order of its merge, single bytes first; ids: the id of each (None: its place);
        special: tokens that no text becomes; why: what to say to who gives a text, where there are ids only."""
        self.name = name
        self.n_vocab = n_vocab
        self._ranks = dict(zip(merged, range(len(merged)), strict=True))
        self._ids = ids
        self._bytes = dict(zip(range(len(merged)) if ids is None else ids, merged, strict=True))
        self._special = dict(special)
        self._why = why or f"{name} brings no tokenizer for its {n_vocab} ids: give the prompt as numbers with --ids 1,2,3"

    @staticmethod
    def gpt2() -> Tokenizer:
        """GPT-2's own 50,257 tokens. Raises TokenizerError where the file of ranks is missing or damaged."""
        return _gpt2()

    @staticmethod
    def ids_only(name: str, n_vocab: int, why: str = "") -> Tokenizer:
        """No tokens at all: ids are shown as `#123`, and encoding a text says to give ids, or what else `why` says."""
        return Tokenizer(name, n_vocab, [], None, {}, why)

    @staticmethod
    def from_folder(folder: Path, vocab_size: int) -> Tokenizer:
        """The tokenizer of a checkpoint folder: its tokenizer.json, or its vocab.json and merges.txt, or GPT-2's where vocab_size
        is 50,257, or ids only. Raises TokenizerError where its files can't be read or aren't byte-level BPE with GPT-2's pattern.

        Added tokens are known by their ids; typed text never becomes one, and none is put before or after a text.
        """
        if is_there(path := folder / "tokenizer.json"):
            return _from_tokenizer_json(path, vocab_size)
        if is_there(path := folder / "vocab.json") or is_there(folder / "merges.txt"):
            return _from_vocab_and_merges(path, folder / "merges.txt", vocab_size)
        return Tokenizer.gpt2() if vocab_size == GPT2_VOCABULARY else Tokenizer.ids_only(folder.name, vocab_size)

    @property
    def has_no_text(self) -> bool:
        """Whether there are ids only."""
        return not self._ranks

    def encode(self, text: str, *, limit: int | None = None) -> list[int]:
        """The ids of a text; with a limit the first limit + 1 of them at most, so that a longer list says "too long" without the
        cost of the rest. `encode(text, limit=n) == encode(text)[:n + 1]`.

        A lone surrogate (a byte of the command line that is no UTF-8) becomes U+FFFD. Raises TokenizerError.
        """
        if not self._ranks:
            raise TokenizerError(self._why)
        ranks = self._encode(_characters(text), None if limit is None else limit + 1)
        return ranks if self._ids is None else [self._ids[rank] for rank in ranks]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, U+FFFD where their bytes are no UTF-8, `#123` for an id that is no token."""
        return b"".join(self._raw(i) for i in ids).decode("utf-8", "replace")

    def token_bytes(self, id: int) -> bytes:
        """The bytes that an id stands for, empty for one that is no token."""
        return self._special.get(id) or self._bytes.get(id, b"")

    def display(self, id: int, *, ascii: bool = False) -> str:
        """An id as the screen shows it, never empty: `display_bytes` of its bytes, or `#123` for an id that is no token."""
        return display_bytes(self._raw(id), ascii=ascii)

    def merges(self, id: int) -> list[list[bytes]]:
        """How BPE builds a token: its pieces after 0, 1, 2 … merges, from single bytes to the whole.

        One step only for a special token, none for an id that is no token.
        """
        if id in self._special:
            return [[self._special[id]]]
        return list(_merge_steps(self._bytes.get(id, b""), self._ranks))

    def _raw(self, id: int) -> bytes:
        return self.token_bytes(id) or b"#%d" % id

    @cached_property
    def _library(self) -> tiktoken.Encoding:
        import tiktoken  # 40 ms, and a trace can be looked at without it

        return tiktoken.Encoding(self.name, pat_str=PATTERN, mergeable_ranks=self._ranks, special_tokens={})

    @cached_property
    def _sorted(self) -> list[bytes]:
        return sorted(self._ranks)

    def _encode(self, text: str, wanted: int | None) -> list[int]:
        """Ranks of a text, chunk by chunk, each cut where the pattern surely cuts.

        Not for speed alone: on a long run of spaces before a word the library's regex engine overflows its stack, and says so on the
        terminal behind our back.
        """
        ranks: list[int] = []
        start = 0
        while start < len(text) and (wanted is None or len(ranks) < wanted):
            end = _last_cut(text, start, start + CHUNK)
            if end is None and wanted is not None and (certain := self._certain_start(text, start, wanted - len(ranks))):
                ranks += certain
                break
            if end is None:
                end = _next_cut(text, start, start + CHUNK)
            ranks += self._guarded(lambda piece: self._library.encode_ordinary(piece), text[start:end])
            start = end
        return ranks[:wanted]

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
def _gpt2() -> Tokenizer:
    path = ranks_path()
    try:
        data = read_whole(path, LONGEST_FILE)
    except OSError as error:
        raise TokenizerError(f"GPT-2's ranks can't be read from {path} ({error.strerror}): install txexplain again") from error
    if hashlib.sha256(data).hexdigest() != RANKS_SHA256:
        raise TokenizerError(f"GPT-2's ranks in {path} are damaged: install txexplain again")
    merged = [binascii.a2b_base64(token) for token in data.split()[::2]]  # the file's order is the order of ranks
    return Tokenizer("gpt2", GPT2_VOCABULARY, merged, None, {GPT2_VOCABULARY - 1: END_OF_TEXT.encode()})


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


def _characters(text: str) -> str:
    """Surrogate pairs joined, lone surrogates replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _merge_steps(token: bytes, ranks: Mapping[bytes, int]) -> Iterator[list[bytes]]:
    """The pieces of a token after each merge: of all neighbours, the pair whose union has the lowest rank, leftmost first."""
    pieces = [token[i : i + 1] for i in range(len(token))]
    if pieces:
        yield list(pieces)
    while len(pieces) > 1:
        rank, i = min((ranks.get(a + b, len(ranks)), i) for i, (a, b) in enumerate(pairwise(pieces)))
        if rank == len(ranks):
            return
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
        yield list(pieces)


# A checkpoint's own files.


def _from_tokenizer_json(path: Path, vocab_size: int) -> Tokenizer:
    document = _read_json(path)
    model, split = document.get("model"), document.get("pre_tokenizer")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        raise _unfit(path, "its model isn't BPE")
    if not isinstance(split, dict) or split.get("type") != "ByteLevel" or split.get("use_regex", True) is not True:
        raise _unfit(path, "its pre_tokenizer isn't ByteLevel with GPT-2's pattern")
    if split.get("add_prefix_space", True) is not False:
        raise _unfit(path, "it puts a space before every text (add_prefix_space)")
    if (normalizer := document.get("normalizer")) not in (None, {"type": "Sequence", "normalizers": []}):
        raise _unfit(path, f"it changes the text first (normalizer {_clipped(normalizer)})")
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"):
        if model.get(key):
            raise _unfit(path, f"its model sets {key}")
    vocab, merges, added = model.get("vocab"), model.get("merges"), document.get("added_tokens") or []
    if not isinstance(vocab, dict) or not isinstance(merges, list) or not isinstance(added, list):
        raise _unfit(path, "its vocab, merges or added_tokens is missing")
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    try:
        special = {entry["content"]: entry["id"] for entry in added}
    except (TypeError, KeyError) as error:
        raise _unfit(path, "an added token has no content or no id") from error
    return _from_parts(path, vocab_size, vocab, pairs, special)


def _from_vocab_and_merges(vocab_path: Path, merges_path: Path, vocab_size: int) -> Tokenizer:
    vocab = _read_json(vocab_path)
    added_path = vocab_path.with_name("added_tokens.json")
    special = _read_json(added_path) if is_there(added_path) else {}
    try:
        text = read_whole(merges_path, LONGEST_FILE).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{merges_path} can't be read ({reason(error)}); fetch it again") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    pairs = [line.split(" ") for line in lines if line.strip() and not line.startswith("#version")]
    _require_ids(added_path, special)
    return _from_parts(vocab_path, vocab_size, vocab, pairs, special, merges_path)


def _from_parts(
    path: Path, vocab_size: int, vocab: dict[str, Any], pairs: Sequence[Any], special: dict[str, Any], merges_path: Path | None = None
) -> Tokenizer:
    """A tokenizer of a vocabulary (token to id), its merges in order and its added tokens; merges_path where these have their own file.

    The library merges whichever neighbours' union has the lowest rank; the files say which two pieces may merge. Both give the same
    ids where every token has one merge and BPE makes that token of its own bytes, so that is checked, and nothing else is let in.
    """
    _require_ids(path, vocab)
    _require_ids(path, special)
    for table in (vocab, special):
        _require_short(path, max(table, key=len, default=""))
    merges_path = merges_path or path
    merged = [bytes([b]) for b in range(256)]
    known = set(merged)
    names = [_BYTE_TO_CHARACTER[b] for b in range(256)]
    halves: list[tuple[bytes, bytes]] = []
    in_all = 0  # bytes
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(half, str) for half in pair):
            raise _unfit(merges_path, f"the merge {_clipped(pair)} isn't a pair")
        _require_short(merges_path, "".join(pair))
        left, right = _byte_level(pair[0]), _byte_level(pair[1])
        if left is None or right is None or left not in known or right not in known or left + right in known:
            raise _unfit(merges_path, f"the merge {_clipped(pair)} isn't of two earlier tokens into a new one")
        merged.append(left + right)
        known.add(left + right)
        names.append(pair[0] + pair[1])
        halves.append((left, right))
        if (in_all := in_all + len(merged[-1])) > MOST_BYTES:
            raise _unfit(merges_path, f"its merges make tokens of more than {MOST_BYTES:,} bytes together")
    if missing := next((name for name in names if name not in vocab), None):
        raise _unfit(path, f"its vocab lacks {_clipped(missing)}")
    ids = [vocab[name] for name in names]
    if len(set(ids)) < len(ids):
        raise _unfit(path, "two of its tokens have the same id")
    if max(ids) >= vocab_size:
        raise _unfit(path, f"it has the id {max(ids)} and the model only {vocab_size} ids")
    if merged[256:] != list(Tokenizer.gpt2()._ranks)[256:]:  # GPT-2's own need no check, which takes a second
        _check_reachable(path, merged, halves)
    text_of = {id: _byte_level(token) or token.encode("utf-8", "replace") for token, id in vocab.items()}
    text_of |= {id: token.encode("utf-8", "replace") for token, id in special.items()}
    used = set(ids)
    return Tokenizer(path.parent.name, vocab_size, merged, ids, {id: text for id, text in text_of.items() if id not in used})


def _require_ids(path: Path, table: Mapping[Any, Any]) -> None:
    """Raise TokenizerError unless a table maps tokens to ids."""
    for token, id in table.items():
        if not isinstance(token, str) or type(id) is not int or not 0 <= id <= LARGEST:
            raise _unfit(path, f"the id of {_clipped(token)} is {_clipped(id)}")


def _require_short(path: Path, token: str) -> None:
    """Raise TokenizerError for a token that is far too long: it is shown in many places, and its merges are checked."""
    if len(token) > LONGEST_TOKEN:
        raise _unfit(path, f"it has a token of {len(token):,} characters, {_clipped(token)}…, and {LONGEST_TOKEN} are the most")


def _check_reachable(path: Path, merged: Sequence[bytes], halves: Sequence[tuple[bytes, bytes]]) -> None:
    """That BPE makes each token of its own bytes, and by the merge that the file says. merged: 256 bytes, then what halves make."""
    ranks = dict(zip(merged, range(len(merged)), strict=True))
    split = [(0, 0)] * 256 + [(ranks[left], ranks[right]) for left, right in halves]
    for rank in range(256, len(merged)):
        if not _is_reached(rank, merged, ranks, split):
            raise _unfit(path, f"its merges don't build its own token {_clipped(display_bytes(merged[rank]))}")


def _is_reached(rank: int, merged: Sequence[bytes], ranks: Mapping[bytes, int], split: Sequence[tuple[int, int]]) -> bool:
    """Whether BPE of a token's bytes ends with its two halves, where all earlier tokens are reached.

    Each half alone comes about by its own merges. Together they do, too, unless a merge across the border between them comes first.
    So we go back in time, the last merge first: two pieces touch the border until one of them is merged away, and a merge of the two
    with a lower rank than that merge would have come before it. Of equal ranks the leftmost comes first. There are fewer steps than bytes.
    """
    left, right = split[rank]
    until = rank  # merges of lower rank come before the two pieces are merged away
    while ranks.get(merged[left] + merged[right], until) >= until:
        if left < 256 and right < 256:
            return True
        if left > right:
            until, left = left, split[left][1]
        else:
            until, right = right + 1, split[right][0]
    return False


def _byte_to_character() -> dict[int, str]:
    """GPT-2's alphabet for bytes: printable Latin-1 as itself, the others from U+0100 on (encoder.py, bytes_to_unicode)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(0x100 + i) for i, b in enumerate(others)}


_BYTE_TO_CHARACTER = _byte_to_character()
_CHARACTER_TO_BYTE = {c: b for b, c in _BYTE_TO_CHARACTER.items()}


def _byte_level(token: str) -> bytes | None:
    """The bytes of a token written in GPT-2's alphabet; None where it isn't."""
    try:
        return bytes([_CHARACTER_TO_BYTE[c] for c in token])
    except KeyError:
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = load_json(read_whole(path, LONGEST_FILE), MOST_VALUES)
    except (OSError, ValueError, RecursionError) as error:
        raise TokenizerError(f"{path} can't be read as JSON ({reason(error)}); fetch it again") from error
    if not isinstance(document, dict):
        raise TokenizerError(f"{path} can't be used: it isn't a JSON object")
    return document


def _unfit(path: Path, why: str) -> TokenizerError:
    return TokenizerError(f"{path} can't be used: {why}; only byte-level BPE as GPT-2's is read")


def _clipped(value: object) -> str:
    return ascii(value)[:60]
