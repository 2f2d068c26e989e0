"""A lecturer's script: keys that a page presses by itself, checked before and played at a pace. Free of Textual."""

from __future__ import annotations

from collections.abc import Sequence

from txexplain.errors import LessonError
from txexplain.front.actions import ACTIONS
from txexplain.text import shown

LEAVES = ("enter", "escape")
NAMES = {
    "[": "left_square_bracket", "]": "right_square_bracket", "{": "left_curly_bracket", "}": "right_curly_bracket", ",": "comma",
    ".": "full_stop", "<": "less_than_sign", ">": "greater_than_sign", "/": "slash", "?": "question_mark", "-": "minus",
    "=": "equals_sign", "+": "plus", " ": "space",
}  # fmt: skip
BY_KEY = {key: action for action in ACTIONS for key in action.keys}


class NotPlayed(Exception):
    """Half a sentence: why a script can't press a key."""


def steps(keys: Sequence[str]) -> list[tuple[str, str]]:
    """What each key does: ("do", action) on the screen, ("type", text) in the prompt, ("leave", "") out of it.

    Raises NotPlayed for a key that a script can't press.
    """
    found: list[tuple[str, str]] = []
    typing = False
    for number, key in enumerate(keys):
        if typing:
            if key in LEAVES:
                found.append(("leave", ""))
                typing = False
            elif key in ("space", "backspace") or len(key) == 1:
                found.append(("type", " " if key == "space" else key))
            else:
                raise NotPlayed(f"{shown(key)} can't be pressed while the prompt is edited; type letters, and leave with enter")
            continue
        action = BY_KEY.get(NAMES.get(key, key))
        if action is None:
            raise NotPlayed(f"{shown(key)} is no key of the app")
        if not action.script:  # a script is data
            raise NotPlayed(f"{shown(key)} isn't pressed by a script, which writes, copies, opens and ends nothing; leave it out")
        if action.id == "lesson_on" and number != len(keys) - 1:
            raise NotPlayed(f"{shown(key)} turns the page, so that it must be the last key")
        typing = action.id == "prompt"
        found.append(("do", action.id))
    return found


def check_keys(where: str, keys: Sequence[str]) -> None:
    """Raise LessonError for keys that a script can't press."""
    try:
        steps(keys)
    except NotPlayed as wrong:
        raise LessonError(f"{where}, keys: {wrong.args[0]}.") from None
