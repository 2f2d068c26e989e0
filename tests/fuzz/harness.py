"""One execution and what came of it: opened and right, or refused in one clear sentence, or a fault."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import Protocol

import txexplain
from tests.fuzz.cases import Case, root_reads_all
from txexplain.errors import ExplainError, LocationError
from txexplain.text import RAW

PRODUCT = str(Path(txexplain.__file__).parent)
PATIENCE = 60.0  # seconds of the wall's clock after which something hangs
LONGEST_SENTENCE = 500  # characters beside the path
NOBODY = 65534


class Wrong(AssertionError):
    """What was opened isn't what an independent reader says."""


class Hangs(BaseException):
    """Nothing came of it in time."""


class Target(Protocol):
    """A public door of the product. `make` gives a case, `open` goes through the door and looks at what came in: it raises ExplainError
    where the product refuses, and Wrong where it shows something else than an independent reader finds. `also` says whether that
    reader would open what the product refused."""

    name: str
    bases: list[Case]

    def make(self, rng: Random) -> Case: ...

    def open(self, folder: Path, case: Case) -> None: ...

    def also(self, folder: Path, case: Case) -> bool: ...


@dataclass(frozen=True)
class Outcome:
    kind: str  # "opened", "refused", "fault", "skipped"
    site: str = ""  # where it was refused, or failed
    sentence: str = ""
    seconds: float = 0.0  # of the processor's time
    also: bool = False  # refused, but an independent reader would open it

    @property
    def is_fault(self) -> bool:
        return self.kind == "fault"


def execute(target: Target, case: Case, root: Path, *, most: float | None = None, stricter: bool = False) -> Outcome:
    """Write a case and open it. most: seconds of the processor's time that it may take; stricter: ask the independent reader, too."""
    if case.locked and not can_lock():
        return Outcome("skipped", "nothing is unreadable to root here")
    folder = case.write(root)
    began = time.process_time()
    try:
        with in_time(PATIENCE), powerless(case.locked):
            target.open(folder, case)
        outcome = Outcome("opened")
    except ExplainError as error:
        seconds = time.process_time() - began
        wrong = fault_of(error, folder)
        kind = "fault" if wrong else "refused"
        outcome = Outcome(kind, site_of(error), f"{wrong}: {error}" if wrong else str(error), seconds)
        if stricter and kind == "refused":
            outcome = Outcome(kind, outcome.site, outcome.sentence, seconds, target.also(folder, case))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        outcome = Outcome("fault", f"{type(error).__name__} {site_of(error)}", "".join(traceback.format_exception(error)[-12:]))
    seconds = outcome.seconds or time.process_time() - began
    if most is not None and seconds > most and not outcome.is_fault:
        return Outcome("fault", f"slow {outcome.site or outcome.kind}", f"{seconds:.1f} s: {outcome.sentence}", seconds)
    return Outcome(outcome.kind, outcome.site, outcome.sentence, seconds, outcome.also)


def fault_of(error: ExplainError, folder: Path) -> str:
    """What is wrong with a refusal, or nothing."""
    said = str(error)
    if type(error) is ExplainError:
        return "an error of no kind"
    if not said or RAW.search(said) or "\n" in said or "\t" in said:
        return "not one printable line"
    named = folder.name if folder.name.isprintable() and folder.name.isascii() else folder.parent.name
    place = isinstance(error, LocationError)  # what is asked for isn't there, whatever the file
    if (
        not place
        and named not in said
        and folder.name not in said
        and not any(name in said for name in ("lesson", "config.toml", "gpt2.tiktoken", "page"))
    ):
        return "names no file"
    if len(said) > LONGEST_SENTENCE + 2 * len(str(folder)):
        return f"has {len(said)} characters"
    if "Traceback" in said or "<class" in said or " object at 0x" in said:
        return "speaks Python"
    return ""


def site_of(error: BaseException) -> str:
    """Where in the product it was raised: the innermost function, and the line's text."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(PRODUCT)]
    if not frames:
        frames = list(traceback.extract_tb(error.__traceback__))[-1:]
    last = frames[-1]
    return f"{Path(last.filename).name}:{last.name}:{last.line}"


@contextmanager
def in_time(seconds: float) -> Iterator[None]:
    """Raise Hangs after so long, also out of a read that never ends."""

    def over(signum: int, frame: FrameType | None) -> None:
        raise Hangs(f"nothing after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def powerless(needed: bool) -> Iterator[None]:
    """Run as nobody where root's power to read all would spoil the case."""
    if not needed or not root_reads_all():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def can_lock() -> bool:
    """Whether a file can be made unreadable: root must be able to become nobody, who must still be able to read the product."""
    if not root_reads_all():
        return True
    try:
        os.seteuid(NOBODY)
    except OSError:
        return False
    try:
        return os.access(PRODUCT, os.R_OK, effective_ids=True)
    finally:
        os.seteuid(0)


Make = Callable[[Random], Case]
