"""Which keys a script may press."""

from __future__ import annotations

import pytest

from txexplain.errors import LessonError
from txexplain.front.actions import ACTIONS
from txexplain.front.lecture import check_keys, steps


def test_keys_are_actions_and_letters_while_the_prompt_is_edited() -> None:
    assert steps(["]", "shift+left", "/", "q", "space", "enter", "n"]) == [
        ("do", "warmer"), ("do", "cooler"), ("do", "prompt"), ("type", "q"), ("type", " "), ("leave", ""), ("do", "lesson_on"),
    ]  # fmt: skip


def test_a_script_presses_nothing_that_writes_copies_or_leaves() -> None:
    for action in ACTIONS:
        for key in action.keys:
            if not action.script:
                with pytest.raises(LessonError, match=r"^x, keys: .* isn't pressed by a script"):
                    check_keys("x", [key])
            else:
                check_keys("x", [key])
    kept = {action.id for action in ACTIONS if not action.script}
    assert {"quit", "copy", "copy_words", "theme", "jump", "screenshot", "palette", "models"} <= kept


@pytest.mark.parametrize(("keys", "words"), [(["f11"], "no key of the app"), (["n", "]"], "last key"), (["/", "tab"], "edited")])
def test_keys_that_mean_nothing_are_told(keys: list[str], words: str) -> None:
    with pytest.raises(LessonError, match=words):
        check_keys("x", keys)
