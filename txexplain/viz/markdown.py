"""A lesson's text: its Markdown, which the library reads, as runs of one look each, and those as rows of a width.

Of Markdown there is bold, italic, code, links (whose address is shown, and never opened), lists, headings and fenced code; all else is
plain text. What a text holds is parsed once, and laid out once for each width and the values in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from txexplain.explorer.lesson import Live, pieces
from txexplain.text import cell_width

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

PLAIN, STRONG, SLANTED, CODE, LIVE, QUIET = "plain", "strong", "slanted", "code", "live", "quiet"
FIRST_MARK = 0xF0000  # where the characters that stand for live values begin: a private plane of Unicode
MARK = re.compile(f"([{chr(FIRST_MARK)}-{chr(FIRST_MARK + 0xFFFD)}])")
RULES = ("fence", "heading", "list", "backticks", "emphasis", "link", "escape")
DEEPEST = 40  # levels of lists in lists, twice, and of spans in spans
KEPT = 64  # texts: those of some pages with their questions


@dataclass(frozen=True)
class Run:
    """Some text of one look."""

    text: str
    look: str = PLAIN


Row = tuple[Run, ...]


@dataclass(frozen=True)
class Block:
    """A paragraph, a heading, an item of a list, or one line of code."""

    runs: Row
    bullet: str = ""
    code: bool = False
    apart: bool = False  # an empty line stands before it


@cache
def reader() -> MarkdownIt:
    """The library's reader, told what a lesson may use."""
    from markdown_it import MarkdownIt  # with the first page, not with the app

    reads = MarkdownIt("zero", {"maxNesting": DEEPEST}).enable(list(RULES))
    reads.validateLink = lambda url: True  # type: ignore[method-assign]
    reads.normalizeLink = lambda url: url  # type: ignore[method-assign]
    return reads


@lru_cache(maxsize=KEPT)
def marked(text: str) -> tuple[str, tuple[Live, ...]]:
    """A text in which one character stands for each live value, so that no value is read as Markdown; and those values."""
    found: list[Live] = []
    parts = []
    for piece in pieces("".join(c if ord(c) < FIRST_MARK else "?" for c in text)):
        if isinstance(piece, Live):
            parts.append(chr(FIRST_MARK + len(found)))
            found.append(piece)
        else:
            parts.append(piece)
    return "".join(parts), tuple(found)


@lru_cache(maxsize=KEPT)
def parsed(text: str) -> tuple[Block, ...]:
    """A text's blocks."""
    return tuple(blocks(reader().parse(text), text.split("\n")))


def blocks(tokens: Sequence[Token], lines: Sequence[str]) -> Iterator[Block]:
    bullet, look, first = "", PLAIN, True
    for token in tokens:
        if token.type == "list_item_open":
            bullet = f"{token.info}{token.markup} " if token.info else "• "
        elif token.type in ("heading_open", "heading_close"):
            look = STRONG if token.nesting == 1 else PLAIN
        elif token.type in ("inline", "fence"):
            start = token.map[0] if token.map else 0
            apart = not first and not lines[start - 1].strip()
            first = False
            if token.type == "inline":
                yield Block(tuple(spans(token.children or (), look)), bullet, apart=apart)
                bullet = ""
            for number, line in enumerate(token.content.removesuffix("\n").split("\n") if token.type == "fence" else ()):
                yield Block((Run(line, CODE),), code=True, apart=apart and number == 0)


@lru_cache(maxsize=KEPT)
def inline(text: str) -> Row:
    """A text of one line, as a title is."""
    (token,) = reader().parseInline(text)
    return tuple(spans(token.children or (), PLAIN))


def spans(tokens: Sequence[Token], look: str) -> Iterator[Run]:
    """The runs of one paragraph."""
    looks, addresses = [look], []
    for token in tokens:
        match token.type:
            case "strong_open":
                looks.append(STRONG)
            case "em_open":
                looks.append(SLANTED)
            case "strong_close" | "em_close":
                looks.pop()
            case "link_open":
                addresses.append(token.attrGet("href"))
            case "link_close":
                yield Run(f" ({addresses.pop()})", QUIET)
            case "code_inline":
                yield Run(token.content, CODE)
            case _ if token.content:
                yield Run(token.content, looks[-1])


def shown(runs: Sequence[Run], values: Sequence[str]) -> list[Run]:
    """Runs with their live values put in, each a run of its own; spaces inside one don't break."""
    found: list[Run] = []
    for run in runs:
        for part in MARK.split(run.text):
            if MARK.fullmatch(part):
                found.append(Run(values[ord(part) - FIRST_MARK].replace(" ", "\xa0"), LIVE))
            elif part:
                found.append(Run(part, run.look))
    return found


@lru_cache(maxsize=KEPT)
def laid_out(text: str, values: tuple[str, ...], width: int) -> tuple[Row, ...]:
    """A marked text as rows; an empty one parts two blocks."""
    rows: list[Row] = []
    for block in parsed(text):
        if block.apart:
            rows.append(())
        runs = shown(block.runs, values)
        if block.code:
            rows.append(clipped(runs, width) or (Run(" ", CODE),))
        else:
            bullet = [Run(block.bullet.replace(" ", "\xa0"), QUIET)] if block.bullet else []
            rows += wrap([*bullet, *runs], width, len(block.bullet))
    return tuple(rows)


def wrap(runs: Sequence[Run], width: int, indent: int = 0) -> list[Row]:
    """Runs as rows of at most `width` cells, broken at spaces; rows after the first are indented. A word too long is broken."""
    rows: list[list[Run]] = [[]]
    used, gap = 0, False
    for word in words_of(runs):
        size = sum(cell_width(run.text) for run in word)
        if rows[-1] and used + gap + size > width:
            rows.append([])
            used, gap = indent, False
        if gap:
            look = word[0].look if rows[-1][-1].look == word[0].look else PLAIN
            rows[-1].append(Run(" ", look))
            used += 1
        for run in word:
            for number, part in enumerate(cut(run.text, width - used, width - indent)):
                if number:
                    rows.append([])
                    used = indent
                if part:
                    rows[-1].append(Run(part, run.look))
                used += cell_width(part)
        gap = True
    return [tuple(row) if number == 0 or not indent else (Run(" " * indent), *row) for number, row in enumerate(rows)]


def cut(text: str, first: int, width: int) -> Iterator[str]:
    """A text in parts: the first of at most `first` cells, which may be none, the others of at most `width`, or of one character."""
    start, room, part = 0, first, 0
    for end, char in enumerate(text):
        size = cell_width(char)
        if size > room and (end > start or part == 0):
            yield text[start:end]
            start, room, part = end, width, part + 1
        room -= size
    yield text[start:]


def clipped(runs: Sequence[Run], width: int) -> Row:
    """What of some runs fits one row."""
    found = []
    for run in runs:
        part = next(cut(run.text, width, width))
        width -= cell_width(part)
        found.append(Run(part, run.look))
        if part != run.text:
            break
    return tuple(run for run in found if run.text)


def words_of(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs split at spaces; a word may have parts of several looks."""
    words: list[list[Run]] = [[]]
    for run in runs:
        for number, part in enumerate(re.split(r"[ \t\n]+", run.text)):
            if number and words[-1]:
                words.append([])
            if part:
                words[-1].append(Run(part, run.look))
    return [word for word in words if word]
