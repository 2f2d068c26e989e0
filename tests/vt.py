"""What a terminal would read in the bytes that it is sent: a parser of its grammar, after ECMA-48 and xterm's control sequences.

Every byte has a kind; text is of no kind but must be harmless.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
PIECES = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(?P<private>[<-?]?)(?P<parameters>[0-9:;]*)(?P<between>[ -/]*)(?P<final>[@-~])"
    r"|\x1b\](?P<number>[0-9]*)(?P<said>;[^\x00-\x1f\x7f-\x9f]*)?(?:\x07|\x1b\\)"
    r"|\x1b(?P<string>[PX^_])[^\x00-\x1f\x7f-\x9f]*\x1b\\"
    r"|\x1b(?P<short>[ -/]*[0-Z\\^-~])"
    r"|(?P<control>.)",
    re.DOTALL,
)


def kinds(written: str) -> Iterator[str]:
    """The kind of each control function: what it is, without its figures; a mode's number says what it is."""
    for match in PIECES.finditer(written):
        found = match.groupdict()
        if found["final"]:
            which = found["parameters"] if found["final"] in "hlnp" or found["private"] else ""
            yield f"CSI {found['private']}{which}{found['between']}{found['final']}"
        elif found["number"] is not None:
            yield f"OSC {found['number']}"
        elif found["string"]:
            yield f"string {found['string']}"
        elif found["short"]:
            yield f"ESC {found['short']}"
        elif found["control"]:
            yield f"control {ord(found['control']):02x}"


def texts(written: str) -> Iterator[str]:
    """What stands between the control functions."""
    return (match["text"] for match in PIECES.finditer(written) if match["text"])


def harmful(written: str, allowed: frozenset[str] = frozenset()) -> list[str]:
    """What no screen should be sent: control functions that aren't allowed, and characters that act on others' places."""
    found = [kind for kind in kinds(written) if kind not in allowed and kind != "control 0a" and kind != "control 0d"]
    for text in texts(written):
        found += [f"U+{ord(c):04X}" for c in text if c in BIDI or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
    return found
