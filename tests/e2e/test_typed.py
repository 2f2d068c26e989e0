"""What is typed and pasted at a real terminal: text stays text, sizes come and go, and nothing that was typed is lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.terminal import Terminal
from tests.vt import harmful, kinds

BEGIN, END = "\x1b[200~", "\x1b[201~"


@pytest.mark.long
def test_a_paste_of_lines_and_sequences_is_text(terminals: Callable[..., Terminal]) -> None:
    """No line's end leaves the prompt, no q quits, no sequence resizes the screen or is written back to the terminal."""
    terminal = terminals("Once", size=(120, 36))
    allowed = frozenset(kinds(terminal.output.decode()))
    terminal.send("/")
    terminal.send(f"{BEGIN} one\rq\r\ntwo\x1b[31mred{'q' * 40}\x1b[48;10;10;100;100t\x1b]0;title\x07\x9b2J\u202ez{END}")
    terminal.until(lambda: "]0;title" in terminal.text())
    terminal.send("!")
    terminal.until(lambda: "z!" in terminal.text().replace("\ufffd", ""))
    assert "two" in terminal.text()
    start = len(terminal.output)
    terminal.send("\ry")
    terminal.until(lambda: b"\x1b]52;" in terminal.output[start:])
    assert harmful(terminal.output[:start].decode(), allowed | {"CSI C"}) == []
    terminal.leave()


@pytest.mark.long
def test_ten_megabytes_pasted_at_a_terminal(terminals: Callable[..., Terminal]) -> None:
    """The sentence comes, keys go on, and the field takes what is typed."""
    terminal = terminals("Once")
    terminal.send("/\x15")
    terminal.send(BEGIN + "line of words\r" * 730_000 + END)
    terminal.until(lambda: "shorten it" in terminal.text())
    terminal.send("xyz")
    terminal.until(lambda: "xyz" in terminal.text())
    terminal.send("\r?")
    terminal.until(lambda: "Move up" in terminal.text())
    terminal.send("\r")
    terminal.until(lambda: "Move up" not in terminal.text())
    terminal.leave()


def test_keys_that_come_at_once_act_one_after_the_other(terminals: Callable[..., Terminal]) -> None:
    """As over a slow line: each acts on the screen that the one before left, and nothing that was typed is lost."""
    terminal = terminals("Once")
    terminal.send("/ upon a\r]]")
    terminal.until(lambda: "Once│ upon│ a│" in terminal.text() and "T 1.20" in terminal.text())
    terminal.send("J2.3\r]")
    terminal.until(lambda: "› L2H3" in terminal.text() and "T 1.30" in terminal.text())
    terminal.send("?q/!\r]a")
    terminal.until(lambda: "Once│ upon│ a│!│" in terminal.text() and "T 1.40" in terminal.text() and "› heads" in terminal.text())
    terminal.send("o the")
    terminal.until(lambda: "  the " in terminal.text() and "rank" in terminal.text())
    terminal.send("\r]/\x15" + BEGIN + "Twice\r" + END + "there\r]")
    terminal.until(lambda: "Tw│ice│" in terminal.text() and "there" in terminal.text() and "T 1.60" in terminal.text())
    terminal.leave()
