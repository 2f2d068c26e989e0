"""What is kept beside a run: few answers of each kind, each to its own question."""

from __future__ import annotations

import sys
import threading

import pytest

from txexplain.engine.kept import Kept


def test_an_answer_is_found_once_while_it_is_kept() -> None:
    kept, found = Kept(), []

    def square(n: int) -> int:
        found.append(n)
        return n * n

    def ask(n: int, kind: str = "square") -> int:
        return kept.answer(kind, n, lambda: square(n), most=2)

    assert [ask(n) for n in (3, 4, 3, 3)] == [9, 16, 9, 9]
    assert found == [3, 4]
    ask(5)  # the third: what was asked for longest ago goes, and 3 was asked for since 4
    assert len(kept) == 2
    ask(3)
    assert found == [3, 4, 5]
    ask(4)
    assert found == [3, 4, 5, 4]
    ask(3, "another kind")
    assert found == [3, 4, 5, 4, 3]
    assert len(kept) == 3


def test_what_could_not_be_found_is_asked_for_again() -> None:
    kept = Kept()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            kept.answer("kind", 1, lambda: 1 // 0)
    assert len(kept) == 0
    assert kept.answer("kind", 1, lambda: "an answer") == "an answer"


def test_threads_get_the_answers_to_their_own_questions() -> None:
    kept, wrong = Kept(), []

    def ask(own: int) -> None:
        for n in range(2000):
            question = (n * own) % 7
            if kept.answer("kind", question, lambda question=question: -question, most=3) != -question:
                wrong.append(question)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=ask, args=(own,)) for own in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert len(kept) <= 3
