"""Command lines that are there to be copied: bash, dash, zsh, fish, csh and tcsh read them alike, and run nothing that stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from txexplain.text import one_line

PLAIN = re.compile(r"[\w@+:,./-]+", re.ASCII)  # no % and no =, which fish and zsh take for more at a word's beginning
# In single quotes fish reads \\ and \', csh reads !, and nobody reads '. Outside of them, all shells read these three alike behind a \.
PIECES = re.compile(r"[\\'!]|[^\\'!]+")


def quoted(word: str) -> str:
    """One argument."""
    if PLAIN.fullmatch(word):
        return word
    return "".join(f"\\{piece}" if piece in "\\'!" else f"'{piece}'" for piece in PIECES.findall(word)) or "''"


def joined(words: Iterable[str]) -> str:
    """A command line."""
    return " ".join(map(quoted, words))


def typable(text: str) -> bool:
    """Whether a shell takes a text as it is where it is pasted: a tab is a key there, a new line ends, and so on."""
    return one_line(text) == text
