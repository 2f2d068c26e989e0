"""The process's own three streams: what they are, what they can show, and what is said on them while something takes its time."""

from __future__ import annotations

import codecs
import os
import selectors
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from txexplain.text import clean

PATIENCE = 1.0  # seconds until it is said what the prompt is waited for from


def hold_closed_streams() -> None:
    """Take the numbers of streams that the shell closed (`>&-`): no file gets them, and who uses such a stream meets an OSError."""
    for number, name, mode, wrong_way in ((0, "stdin", "r", os.O_WRONLY), (1, "stdout", "w", os.O_RDONLY), (2, "stderr", "w", os.O_RDWR)):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, wrong_way)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()  # None: closed by the shell


def other_screen() -> bool:
    """Whether Textual is told to show the app elsewhere than on a terminal, as textual-serve does in a browser."""
    return bool(os.environ.get("TEXTUAL_DRIVER"))


def shows_colours() -> bool:
    """Whether what is printed may have colours: on a terminal that has them, unless the reader wants none."""
    return is_terminal(sys.stdout) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


def brings_keys() -> bool:
    """Whether standard input can be waited for, as a driver of Textual's does: a file, or none, can't."""
    with selectors.DefaultSelector() as selector:
        try:
            selector.register(0, selectors.EVENT_READ)
        except OSError:
            return False
    return True


def unicode_out(stream: TextIO | None = None) -> bool:
    return codecs.lookup((stream or sys.stdout).encoding or "ascii").name == "utf-8"


def other_charset() -> bool:
    """Whether the locale names a character set that isn't UTF-8. C and POSIX name none: terminals show UTF-8 there too."""
    locale = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := os.environ.get(name))), "")
    charset = locale.partition(".")[2].partition("@")[0].lower().replace("-", "").replace("_", "")
    return charset not in ("", "utf8")


@contextmanager
def waited_for(where: str, path: str) -> Iterator[None]:
    """Say on the terminal what is waited for, where a pipe or a keyboard brings the prompt and takes its time: it may never end."""
    if not is_terminal(sys.stderr) or (path != "-" and Path(path).is_file()):
        yield
        return
    told = clean(f"txexplain: reading the prompt from {where} until that ends; ctrl+c gives up.")
    timer = threading.Timer(PATIENCE, lambda: click.echo(told, err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def terminal_progress(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """What tells how far a download is, on one line of standard error that is gone in the end; None where that is no terminal."""
    if not is_terminal(sys.stderr):
        yield None
        return
    shown = ""

    def tell(done: int, total: int) -> None:
        nonlocal shown
        if not total:
            return
        text = clean(f"{name}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
        if text != shown:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
            shown = text

    try:
        yield tell
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
