"""Text on a screen: what may stand there, how wide it is, where it is cut and how its lines are filled.

How a token is shown (`display_bytes`), so that its width in cells is sure and nothing in it can move the cursor or reorder a line:

    space           kept before a visible character (` upon`); a trailing one, a run, or a token of nothing else: `␣`, `␣␣`, `␣×16`
    newline …       `↵` `⇥` `␍`, other C0 controls their pictures `␀`…`␟`, DEL `␡`, the no-break space `⍽`
    text            itself: letters of every script, wide characters, one-character emoji, marks on the base before them (`◌` where none is)
    invalid UTF-8   `⟨E2 80⟩`, the bytes: a token may end in the middle of a character
    all else        `⟨U+202E⟩`: C1, bidi and format characters, joiners, variation selectors, flags, odd spaces, private, unassigned,
                    characters on whose width terminals disagree, and those that serve as signs here (a real `↵` is `⟨U+21B5⟩`)

With `ascii=True` the same in 7 bits: `\\n`, `\\x1b`, `\\u202e`, `<E2 80>`, and `\\x20` for the spaces that show above.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Control characters but newline and tab, bidi controls, line and paragraph separators, lone surrogates.
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_SIGNS = {chr(c): chr(0x2400 + c) for c in range(32)} | {"\n": "↵", "\t": "⇥", "\r": "␍", "\x7f": "␡", "\u00a0": "⍽"}
_ASCII_SIGNS = {chr(c): f"\\x{c:02x}" for c in (*range(32), 127)} | {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
_OWN_SIGNS = frozenset("␣◌⟨⟩") | frozenset(_SIGNS.values())
_SIGNS_AS_LETTERS = dict.fromkeys(map(ord, _OWN_SIGNS), "x")
_ELEMENTS = re.compile(r"[\udc80-\udcff]+|.", re.DOTALL)
_MARKS = 3  # a taller stack of marks on one base grows into the lines above
# Characters whose width terminals, fonts or Unicode's versions don't agree on, or that join their neighbours.
_UNSURE = (
    (0x115F, 0x11FF),  # Hangul jamo, which join into one block
    (0x2630, 0x2637),  # wide since Unicode 16, as the next one, the hexagrams and the counting rods
    (0x268A, 0x268F),
    (0x3164, 0x3164),  # a blank letter, as U+FFA0
    (0x4DC0, 0x4DFF),
    (0xA960, 0xA97F),  # jamo
    (0xD7B0, 0xD7FF),  # jamo
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),
    (0x1D300, 0x1D37F),
    (0x1F1E6, 0x1F1FF),  # pairs of these are flags
    (0x1F3FB, 0x1F3FF),  # skin tones
    (0xE0000, 0xE0FFF),  # tags and more variation selectors
)


# Text from outside, fit for a sentence.


def shown(value: object, limit: int = 80) -> str:
    """A name or value that came from outside, fit for a sentence: on one line, nothing raw, at most `limit` characters."""
    text = value if isinstance(value, str) and value and value.isprintable() else ascii(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean(text: str) -> str:
    """The text with what a terminal would act on, and what would reorder its line, as visible signs: none may reach a screen raw."""
    return RAW.sub(lambda match: sign(match[0]), text)


def one_line(text: str) -> str:
    """The text with those and with tabs and ends of lines as visible signs."""
    return re.sub(r"[\t\n]", lambda match: sign(match[0]), clean(text))


def sign(char: str) -> str:
    """One visible character in place of a raw one."""
    code = ord(char)
    return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "\ufffd"


# How a token is shown, how wide, and where its line is cut.


@lru_cache(maxsize=65536)
def display_bytes(token: bytes, *, ascii: bool = False) -> str:
    """A token's bytes as visible characters on one line, of a width that is sure: see this module's docstring."""
    text = token.decode("utf-8", "surrogateescape")  # an invalid byte b comes as U+DC00 + b
    space = "\\x20" if ascii else "␣"
    if len(text) > 3 and not text.strip(" "):
        return f"{space}{'*' if ascii else '×'}{len(text)}"
    shown: list[str] = []
    room: int | None = None  # for marks on the base before; None: there is no base
    for element in _ELEMENTS.finditer(text):
        c = element[0]
        if c == " ":
            before, after = text[: element.start()], text[element.end() :]
            shown.append(" " if after and not after[0].isspace() and not before.endswith(" ") else space)
            room = None
        elif not ascii and _is_mark(c):
            shown.append("◌" + c if room is None else c if room else _code(c, ascii))
            room = max(0, (_MARKS if room is None else room) - 1)
        elif c.isascii() and c.isprintable() if ascii else _is_base(c):
            shown.append(c)
            room = _MARKS
        else:
            shown.append((_ASCII_SIGNS if ascii else _SIGNS).get(c) or _code(c, ascii))
            room = None
    return "".join(shown)


def visible(text: str) -> str:
    """A token's text from outside as it may stand on a screen: itself where `display_bytes` could have made it, else its display."""
    plain = text.translate(_SIGNS_AS_LETTERS)
    if text and display_bytes(plain.encode("utf-8", "replace")) == plain:
        return text
    return display_bytes(text.encode("utf-8", "replace")) if text else "⟨⟩"


def cell_width(text: str) -> int:
    """The cells that a text takes, if it holds only what `display_bytes` gives; equal to rich's and Textual's measure of it."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def clip(text: str, cells: int, ellipsis: str = "…") -> str:
    """A text cut to at most so many cells, the ellipsis included where something was cut; a base keeps its marks."""
    if cell_width(text) <= cells:
        return text
    if (room := cells - cell_width(ellipsis)) < 0:
        room, ellipsis = max(0, cells), ""
    end = 0
    while end < len(text) and (room := room - _cells(text[end])) >= 0:
        end += 1
    return text[:end] + ellipsis


def wrapped(text: str, width: int, first: int = 0, rest: int = 0) -> list[str]:
    """Text in lines of a width, indented, broken between words; a word too long for a line is broken where it has a mark."""
    first, rest = (min(indent, max(0, width // 2)) for indent in (first, rest))  # an indent leaves room for words
    lines, line = [], " " * first
    empty = True
    for piece in re.findall(r"\s*\S+", text):
        word = piece.lstrip() if empty else piece
        while word and cell_width(line + word) > width:
            if not empty:
                lines.append(line)
                line, word, empty = " " * rest, word.lstrip(), True
                continue
            cut = break_at(word, width - cell_width(line))
            lines.append(line + word[:cut])
            line, word = " " * rest, word[cut:]
        line += word
        empty = False
    return [*lines, line]


def break_at(word: str, room: int) -> int:
    """How many characters of a word stay on a line: up to the last mark that fits, else as many as fit."""
    fits = 1
    while fits < len(word) and cell_width(word[: fits + 1]) <= room:
        fits += 1
    marks = [i + 1 for i, char in enumerate(word[:fits]) if char in ",.([_=/"]
    return marks[-1] if marks and marks[-1] > fits // 3 else fits


@lru_cache(maxsize=4096)
def _cells(c: str) -> int:
    if unicodedata.category(c) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


@lru_cache(maxsize=4096)
def _is_base(c: str) -> bool:
    """Whether a character is shown as itself: a letter, number, sign or symbol of sure width that isn't one of our own signs."""
    return len(c) == 1 and unicodedata.category(c)[0] in "LNPS" and _is_sure(c) and c not in _OWN_SIGNS


@lru_cache(maxsize=4096)
def _is_mark(c: str) -> bool:
    """Whether a character is a mark that takes no cell of its own."""
    return len(c) == 1 and unicodedata.category(c) == "Mn" and _is_sure(c)


def _is_sure(c: str) -> bool:
    return not any(first <= ord(c) <= last for first, last in _UNSURE)


def _code(element: str, ascii: bool) -> str:
    """A character by its number, or a run of invalid bytes (as surrogates) by theirs."""
    if "\udc80" <= element[0] <= "\udcff":
        code = " ".join(f"{ord(c) - 0xDC00:02X}" for c in element)
        return f"<{code}>" if ascii else f"⟨{code}⟩"
    if ascii:
        return f"\\u{ord(element):04x}" if ord(element) < 0x10000 else f"\\U{ord(element):08x}"
    return f"⟨U+{ord(element):04X}⟩"
