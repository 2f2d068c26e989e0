"""Every action of the app, once: its id, keys, short label, help, and where it works.

Bindings, the footer, the command palette, the help screen and the README's table are all made from this list.
Each action has a key that German, French and Nordic keyboards have without AltGr.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Action:
    """One thing that the reader can do. `keys` are Textual's names, the first is the one shown."""

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    group: str
    footer: str = ""  # the word in the footer, or "" where the footer leaves it out
    levels: frozenset[str] = frozenset()  # the levels at which it means something; empty: all


GLYPHS = {
    "escape": "esc",
    "enter": "⏎",
    "space": "space",
    "backspace": "⌫",
    "tab": "tab",
    "shift+tab": "shift+tab",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "left_curly_bracket": "{",
    "right_curly_bracket": "}",
    "left_parenthesis": "(",
    "right_parenthesis": ")",
    "comma": ",",
    "full_stop": ".",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "slash": "/",
    "question_mark": "?",
    "minus": "-",
    "equals_sign": "=",
    "plus": "+",
}

# Signs without a name of their own above; and keys that have names rather than signs.
SIGNS = {
    "!": "exclamation_mark", '"': "quotation_mark", "#": "number_sign", "$": "dollar_sign", "%": "percent_sign", "&": "ampersand",
    "'": "apostrophe", "*": "asterisk", ":": "colon", ";": "semicolon", "@": "at", "^": "circumflex_accent", "_": "underscore",
    "`": "grave_accent", "|": "vertical_line", "~": "tilde", "\\": "backslash",
}  # fmt: skip
NAMED = re.compile(
    r"f([1-9]|1\d|2[0-4])|(ctrl|shift|alt)\+(left|right|up|down|home|end|f([1-9]|1[0-2]))|ctrl\+[a-z]"
    r"|home|end|insert|delete|pageup|pagedown"
)
ASCII_GLYPHS = {"enter": "enter", "backspace": "bksp", "up": "up", "down": "down", "left": "left", "right": "right"}


def key_name(key: str, *, ascii: bool = False) -> str:
    """How a key is written for people."""
    if ascii and key in ASCII_GLYPHS:
        return ASCII_GLYPHS[key]
    return GLYPHS.get(key, key)


def key_of(text: str) -> str | None:
    """Textual's name of a key that a person wrote, as it stands on the keyboard or in the table of keys; None for what is no key."""
    named = {glyph: key for key, glyph in GLYPHS.items()} | {key: key for key in GLYPHS}
    if text in named:
        return named[text]
    if len(text) == 1:
        return text if text.isalnum() and text.isascii() else SIGNS.get(text)
    return text if NAMED.fullmatch(text) else None


def rebound(actions: tuple[Action, ...], keys: Mapping[str, tuple[str, ...]]) -> tuple[Action, ...]:
    """The actions with a reader's own keys: a key that was given to one is taken from the others."""
    taken = {key: id for id, own in keys.items() for key in own}
    return tuple(
        replace(action, keys=keys[action.id] if action.id in keys else tuple(key for key in action.keys if key not in taken))
        for action in actions
    )


def levels(*names: str) -> frozenset[str]:
    return frozenset(names)


IN_A_BLOCK = levels("BLOCK", "LN1", "QKV", "PROJ", "LN2", "ATTN", "HEAD", "PRODUCT", "MLP", "NEURON", "HEADS")
STAGED = levels("HEAD", "EMBED", "QKV", "PROJ", "MLP", "HEADS")
IN_A_HEAD = levels("HEAD", "PRODUCT")

ACTIONS: tuple[Action, ...] = (
    Action("enter", ("enter",), "zoom in", "Zoom into what is selected", "Move", "zoom"),
    Action("out", ("escape", "backspace"), "zoom out", "Zoom out, one level", "Move", "out"),
    Action("up", ("up", "k"), "up", "Move up", "Move"),
    Action("down", ("down", "j"), "down", "Move down", "Move"),
    Action("left", ("left", "h"), "left", "Move left", "Move"),
    Action("right", ("right", "l"), "right", "Move right", "Move"),
    Action("next_pane", ("tab",), "next pane", "Go to the next pane: stage, next token, prompt", "Move"),
    Action("previous_pane", ("shift+tab",), "previous pane", "Go to the pane before", "Move"),
    Action("block_back", ("comma", "f2"), "previous block", "The block before, same place", "Move", "block"),
    Action("block_on", ("full_stop", "f3"), "next block", "The block after, same place", "Move", "block"),
    Action("head_back", ("less_than_sign", "f4"), "previous head", "The head before, same place", "Move", "head", IN_A_BLOCK),
    Action("head_on", ("greater_than_sign", "f5"), "next head", "The head after, same place", "Move", "head", IN_A_BLOCK),
    Action(
        "stage", ("v",), "next stage", "A head's next stage, or a page's next face: as a matrix, sorted otherwise", "Move", "stage", STAGED
    ),
    Action("least", ("c",), "cut", "Only heads of 10, 25, 50% of what they are sorted by, or all", "Move", "cut", levels("HEADS")),
    Action(
        "residual", ("d",), "residual stream", "The selected token's residual stream through the model; again to return", "Move", "residual"
    ),
    Action("strongest", ("f",), "strongest key", "Go to the row's strongest key", "Move", "strongest", IN_A_HEAD),
    Action("atlas", ("a",), "all heads", "All heads of all blocks", "Move", "atlas"),
    Action(
        "jump",
        ("J", *"123456789"),
        "go to",
        "Go to a head (5.11), element or neuron by its number, or to any place: type it, Enter",
        "Move",
    ),
    Action("flow", ("w",), "flow mode", "Ribbons by norms of what moved, or by attention rollout", "Move", "flow", levels("MODEL")),
    Action("cooler", ("left_square_bracket", "shift+left"), "cooler", "Temperature down one stop", "Next token", "temperature"),
    Action("warmer", ("right_square_bracket", "shift+right"), "warmer", "Temperature up one stop", "Next token", "temperature"),
    Action("cooler_unit", ("left_curly_bracket", "f6"), "cooler by 1", "Temperature down a whole unit", "Next token"),
    Action("warmer_unit", ("right_curly_bracket", "f7"), "warmer by 1", "Temperature up a whole unit", "Next token"),
    Action("reset_temperature", ("0",), "temperature 1", "Temperature back to 1.0", "Next token"),
    Action("mode", ("s",), "sampling mode", "Sampling: full, top-k, top-p, greedy", "Next token", "sampling"),
    Action("less", ("minus",), "smaller k or p", "A smaller k or p", "Next token"),
    Action("more", ("equals_sign", "plus"), "larger k or p", "A larger k or p", "Next token"),
    Action("draw", ("space",), "draw", "Draw one token and append it", "Next token", "draw"),
    Action("generate", ("g",), "generate", "Generate, a token at a time; again to pause", "Next token", "generate"),
    Action("pace", ("G", "f10"), "pace", "How fast it generates: 4 tokens a second, 1, or 20", "Next token"),
    Action("undo", ("u",), "take back", "Take back the last token appended", "Next token", "undo"),
    Action("reseed", ("r",), "new seed", "A new seed for the draws", "Next token"),
    Action("hold", ("b",), "hold", "Hold these probabilities beside those that follow; again to let go", "Next token"),
    Action("older", ("left_parenthesis",), "one before", "Step back through the probabilities that were shown", "Next token"),
    Action("newer", ("right_parenthesis",), "one after", "Step forth again, up to the present ones", "Next token"),
    Action("find", ("o",), "find a token", "Find any token among the candidates by its text", "Next token"),
    Action("examples", ("e",), "examples", "Prompts that show something, each with what to look for", "Prompt", "examples"),
    Action("prompt", ("slash", "f9"), "edit prompt", "Edit the prompt; Enter or Escape returns, the text stays", "Prompt", "prompt"),
    Action("surprisal", ("x",), "surprisal", "How surprising each token of the prompt was, or not", "Prompt"),
    Action("explain", ("i",), "explain", "What is selected: in words, in numbers, its shapes and its source", "App", "explain"),
    Action("page_up", ("pageup",), "explanation up", "The explanation's page before", "App"),
    Action("page_down", ("pagedown",), "explanation down", "The explanation's next page", "App"),
    Action("models", ("m",), "models", "Another model: the bundled one, one of the cache, or one to fetch", "App"),
    Action("lessons", ("t",), "lessons", "Open a lesson; leave it, and return to the same page", "Lesson", "lesson"),
    Action("lesson_on", ("n",), "next page", "The lesson's next page", "Lesson", "page"),
    Action("lesson_back", ("p",), "page before", "The lesson's page before", "Lesson", "page"),
    Action("lesson_view", ("z",), "page's view", "Back to what the lesson's page shows", "Lesson", "its view"),
    Action("copy", ("y",), "command line", "Show and copy the command line that reproduces this view", "App"),
    Action("repaint", ("ctrl+l",), "repaint", "Paint the whole screen anew, where something else wrote on it", "App"),
    Action("theme", ("T",), "theme", "The next theme: dark, light, of high contrast; it is remembered", "App"),
    Action("screenshot", ("f8",), "screenshot", "Save this screen as a picture, under a name that you give", "App"),
    Action("palette", ("ctrl+p",), "commands", "Find any action by its name", "App"),
    Action("help", ("question_mark", "f1"), "help", "The keys, and what this view shows", "App", "help"),
    Action("suspend", ("ctrl+z",), "to the shell", "Give the terminal back to the shell; its fg comes back here", "App"),
    Action("quit", ("q", "ctrl+q"), "quit", "Leave txexplain", "App"),
)

FIRST = ("zoom", "out", "temperature", "draw", "prompt", "help", "explain")  # what a narrow footer must hold

AT_HOME = ("zoom", "temperature", "draw", "prompt", "lesson", "help", "explain")  # where one begins: nothing lies further out
LESSON_FIRST = ("page", "lesson", "its view")  # and while a lesson is open


def footer(level: str, *, ascii: bool = False, lesson: bool = False, actions: Sequence[Action] = ACTIONS) -> tuple[tuple[str, str], ...]:
    """The footer's entries for a level: (keys, word), where actions that share a word share an entry. An open lesson's come first."""
    entries: dict[str, list[str]] = {}
    for action in actions:
        apart = action.group == "Lesson" and action.id != "lessons" and not lesson
        idle = action.id == "out" and level == "MODEL"
        if action.keys and action.footer and not apart and not idle and (not action.levels or level in action.levels):
            entries.setdefault(action.footer, []).append(key_name(action.keys[0], ascii=ascii))
    first = (*LESSON_FIRST, *FIRST) if lesson else AT_HOME if level == "MODEL" else FIRST
    words = sorted(entries, key=lambda word: first.index(word) if word in first else len(first))
    return tuple((" ".join(entries[word]), word) for word in words)
