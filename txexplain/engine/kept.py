"""What was computed of a run, kept beside it: the last few answers of each kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Answer = TypeVar("Answer")


class Kept:
    """Answers by their kind and question; of each kind the ones asked for last.

    Several threads may ask at once: each gets the answer to its own question, and at worst two compute the same one.
    """

    def __init__(self) -> None:
        self._kinds: dict[Hashable, dict[Hashable, Any]] = {}
        self._lock = threading.Lock()  # held while answers are looked up and put down, never while one is computed

    def answer(self, kind: Hashable, question: Hashable, find: Callable[[], Answer], most: int = 1) -> Answer:
        """The answer to a question, found now where it isn't kept; at most `most` of its kind stay."""
        with self._lock:
            answers = self._kinds.setdefault(kind, {})
            if question in answers:
                answers[question] = found = answers.pop(question)  # the one asked for last stands last
                return found
        found = find()
        with self._lock:
            found = answers.setdefault(question, found)
            while len(answers) > most:
                del answers[next(iter(answers))]
        return found

    def __len__(self) -> int:
        """How many answers are kept."""
        return sum(map(len, self._kinds.values()))
