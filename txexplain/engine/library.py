"""Other people's tokenizers, run by the `tokenizers` library: Hugging Face's own, so that the ids are those that transformers gives.

What is handed to it was found harmless before (`harmless`), and it is imported only where a model brings such a tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from txexplain.engine.cuts import read
from txexplain.engine.tokenizer import CHUNK, LONGEST_TOKEN, Tokenizer, characters, merge_steps
from txexplain.errors import TokenizerError, reason

if TYPE_CHECKING:
    import tokenizers

CHARACTERS = 8  # for each id that is wanted: as many of a long text are read first, and no fewer than CHUNK
BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")

T = TypeVar("T")


class LibraryTokenizer(Tokenizer):
    """A tokenizer of the library's. What it puts before and after a text (a space, the start of a text, its end) is among the ids."""

    def __init__(
        self,
        name: str,
        n_vocab: int,
        library: tokenizers.Tokenizer,
        spelling: Spelling,
        pairs: Iterable[tuple[str, str]],
        typed: Mapping[str, int],
        again: Callable[[], tokenizers.Tokenizer],
        cut: bool = False,
    ) -> None:
        """spelling: how its tokens are written; pairs: its merges in order; typed: the added tokens that it looks for in a text;
        again: makes the library's tokenizer without any; cut: whether long texts may be read in pieces."""
        added = {id: token.content for id, token in library.get_added_tokens_decoder().items()}
        texts = {id: spelling.bytes_of(token) for token, id in library.get_vocab().items()}
        texts |= {id: text.encode("utf-8", "replace") for id, text in added.items()}
        super().__init__(name, n_vocab, texts)
        self.typed = MappingProxyType(dict(typed))
        self._library = library
        self._added = frozenset(added)
        self._cut = cut
        self._spelling = spelling
        self._pairs = pairs
        self._again = again
        self._whole: LibraryTokenizer | None = None  # where this is the plain one

    def encode(self, text: str, *, limit: int | None = None, bare: bool = False) -> list[int]:
        """As the library does it. Of a text with far more ids than `limit`, they are those of a beginning, which isn't read to its end."""
        text = characters(text)
        length = len(text) if limit is None else max(CHUNK, CHARACTERS * (limit + 1))
        while limit is not None and length < len(text):
            ids = self._encoded(text[:length], bare).ids
            if len(ids) > limit + LONGEST_TOKEN:  # so many may come of a token that is cut at the end
                return list(ids[: limit + 1])
            length *= 2
        ids = self._encoded(text, bare).ids
        return list(ids if limit is None else ids[: limit + 1])

    def stream(self, text: str) -> Iterator[list[int]]:
        if not self._cut:
            return super().stream(text)
        added = [self._texts[id].decode("utf-8") for id in self._added]
        return read(characters(text), added, lambda piece: self._encoded(piece, bare=False))

    def ends(self, text: str) -> list[int]:
        return [end for _, end in self._encoded(characters(text), bare=True).offsets]

    def plain(self) -> Tokenizer:
        if not self.typed:
            return self
        made = LibraryTokenizer(self.name, self.n_vocab, self._again(), self._spelling, self._pairs, {}, self._again, self._cut)
        made._texts, made._whole = self._texts, self
        return made

    def special(self) -> Tokenizer:
        return self._whole or self

    def decode(self, ids: Iterable[int]) -> str:
        if self._spelling.joins:
            return super().decode(ids)
        runs = groupby(ids, key=lambda id: id in self._texts)
        return "".join(self._decoded(list(run)) if known else "".join(f"#{id}" for id in run) for known, run in runs)

    def raw(self, id: int) -> bytes:
        if self._spelling.adds or id not in self._texts or self._anchor is None:
            return super().raw(id)
        return self._decoded([self._anchor, id]).removeprefix(self._decoded([self._anchor])).encode("utf-8", "replace")

    def merges(self, id: int) -> list[list[bytes]]:
        token = self._library.id_to_token(id)
        if not self._ranks or token is None or id in self._added:
            return super().merges(id)
        return list(merge_steps([self._spelling.bytes_of(c) for c in token], lambda left, right: self._ranks.get((left, right))))

    def candidates(self, text: str) -> list[int]:
        """The token that is written so; else the ids of the text: some put a space before it."""
        wanted = text.encode("utf-8", "replace")
        found = [id for id, token in self._texts.items() if token == wanted]
        return found if len(found) == 1 else self.encode(text, bare=True)

    def _encoded(self, text: str, bare: bool) -> tokenizers.Encoding:
        return self._guarded(lambda: self._library.encode(text, add_special_tokens=not bare))

    def _decoded(self, ids: list[int]) -> str:
        return self._guarded(lambda: str(self._library.decode(ids, skip_special_tokens=False)))

    def _guarded(self, ask: Callable[[], T]) -> T:
        """What the library answers. Raises TokenizerError, also where it panics, which is a BaseException that can't be imported."""
        try:
            return ask()
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            why = f" ({reason(error)})" if isinstance(error, Exception) else ""
            raise TokenizerError(f"the tokenizer of {self.name} failed on this text{why}; give its ids with --ids") from error

    @cached_property
    def _ranks(self) -> dict[tuple[bytes, bytes], int]:
        of = self._spelling.bytes_of
        return {(of(left), of(right)): rank for rank, (left, right) in enumerate(self._pairs)}

    @cached_property
    def _anchor(self) -> int | None:
        """A token behind which others show what they add to a text."""
        ordinary = (id for id in sorted(self._texts) if id not in self._added)
        return next((id for id in ordinary if self._decoded([id]).strip().isalnum()), None)


class Spelling:
    """How the tokens of a vocabulary are written, by the parts that put them together again: what each adds to a text, as bytes.

    `joins`: whether a text is nothing but its tokens' bytes, one behind the other; `adds`: whether it is but for its beginning.
    """

    def __init__(self, decoders: Iterable[Mapping[str, Any]], byte_level: bool) -> None:
        """decoders: in their order; byte_level: whether bytes are written in GPT-2's alphabet."""
        decoders = list(decoders)
        kinds = [each["type"] for each in decoders]
        self.byte_level = byte_level or "ByteLevel" in kinds
        self.byte_fallback = "ByteFallback" in kinds
        self.replaced: list[tuple[str, str]] = []
        for each in decoders:
            if each["type"] == "Metaspace":
                self.replaced.append((each.get("replacement", "▁"), " "))
            elif each["type"] == "Replace" and "String" in each["pattern"]:
                self.replaced.append((each["pattern"]["String"], each["content"]))
            elif each["type"] == "BPEDecoder":
                self.replaced.append((each.get("suffix", "</w>"), " "))
        self.joins = self.byte_level
        self.adds = self.byte_level or self.byte_fallback or bool(self.replaced)

    def bytes_of(self, token: str) -> bytes:
        """What a token, or a piece of one, stands for."""
        if self.byte_level:
            found = byte_level(token)
            return token.encode("utf-8", "replace") if found is None else found
        if self.byte_fallback and (byte := BYTE.fullmatch(token)):
            return bytes([int(byte[1], 16)])
        for old, new in self.replaced:
            token = token.replace(old, new) if old else token
        return token.encode("utf-8", "replace")


def byte_to_character() -> dict[int, str]:
    """GPT-2's alphabet for bytes: printable Latin-1 as itself, the others from U+0100 on (encoder.py, bytes_to_unicode)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(0x100 + i) for i, b in enumerate(others)}


BYTE_TO_CHARACTER = byte_to_character()
CHARACTER_TO_BYTE = {c: b for b, c in BYTE_TO_CHARACTER.items()}


def byte_level(token: str) -> bytes | None:
    """The bytes of a token written in GPT-2's alphabet; None where it isn't."""
    try:
        return bytes([CHARACTER_TO_BYTE[c] for c in token])
    except KeyError:
        return None
