"""Every action of the app, once: its id, keys, short label, help, and where it works.

Bindings, the footer, the command palette, the help screen and the README's table are all made from this list.
Each action has a key that German, French and Nordic keyboards have without AltGr, and that the Linux console knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from txexplain.explorer.places import PLACES
from txexplain.explorer.places.heads import WithCursor
from txexplain.explorer.places.place import Place
from txexplain.explorer.places.whole import LookedUp


@dataclass(frozen=True)
class Action:
    """One thing that the reader can do. `keys` are Textual's names, the first is the one shown."""

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    group: str
    footer: str = ""  # the word in the stage's footer, or "" where that leaves it out
    places: frozenset[str] = frozenset()  # the kinds of place at which it means something; empty: all
    script: bool = True  # whether a lecture's script may do it: not what writes, copies, opens another screen, turns back or ends


GLYPHS = {
    "escape": "esc",
    "enter": "⏎",
    "space": "space",
    "backspace": "⌫",
    "tab": "tab",
    "shift+tab": "shift+tab",
    "pageup": "PgUp",
    "pagedown": "PgDn",
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
    "semicolon": ";",
    "colon": ":",
}

# Signs without a name of their own above; and keys that have names rather than signs.
SIGNS = {
    "!": "exclamation_mark", '"': "quotation_mark", "#": "number_sign", "$": "dollar_sign", "%": "percent_sign", "&": "ampersand",
    "'": "apostrophe", "*": "asterisk", "@": "at", "^": "circumflex_accent", "_": "underscore",
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


def answering(key: str) -> frozenset[str]:
    """The kinds of place whose class says itself what a key does there; for the others it does nothing."""
    return frozenset(kind for kind, place in PLACES.items() if getattr(type(place), key) is not getattr(Place, key))


def looked_up(group: str) -> tuple[Action, ...]:
    """The keys that lead to places from any other."""
    places = {kind: place.key for kind, place in PLACES.items() if isinstance(place, LookedUp) and place.key.group == group}
    return tuple(Action(kind, (key.key,), key.label, key.help, group, key.footer) for kind, key in places.items())


STAGED = answering("next_face") | frozenset(kind for kind, place in PLACES.items() if place.faces)
IN_A_HEAD = frozenset(kind for kind, place in PLACES.items() if isinstance(place, WithCursor))
CHANGEABLE = answering("change")
WITH_HEADS, WITH_BLOCKS, LEAD_FURTHER = answering("step_head"), answering("step_block"), answering("enter")

ACTIONS: tuple[Action, ...] = (
    Action("enter", ("enter",), "zoom in", "Zoom into what is selected", "Move", "zoom"),
    Action("out", ("escape", "backspace"), "zoom out", "Zoom out, one level", "Move", "out"),
    Action("up", ("up", "k"), "up", "Move up", "Move"),
    Action("down", ("down", "j"), "down", "Move down", "Move"),
    Action("left", ("left", "h"), "left", "Move left", "Move"),
    Action("right", ("right", "l"), "right", "Move right", "Move"),
    Action("next_pane", ("tab",), "next pane", "Go to the next pane: stage, next token, prompt", "Move"),
    Action("previous_pane", ("shift+tab",), "previous pane", "Go to the pane before", "Move"),
    Action("block_back", ("comma", "f2"), "previous block", "The block before, same place", "Move", "block", WITH_BLOCKS),
    Action("block_on", ("full_stop", "f3"), "next block", "The block after, same place", "Move", "block", WITH_BLOCKS),
    Action("head_back", ("less_than_sign", "f4"), "previous head", "The head before, same place", "Move", "head", WITH_HEADS),
    Action("head_on", ("greater_than_sign", "f5"), "next head", "The head after, same place", "Move", "head", WITH_HEADS),
    Action(
        "stage", ("v",), "next stage", "A head's next stage, or a page's next face: as a matrix, sorted otherwise", "Move", "stage", STAGED
    ),
    Action("least", ("c",), "cut", "Only heads of 10, 25, 50% of what they are sorted by, or all", "Move", "cut", frozenset({"heads"})),
    *looked_up("Move"),
    Action("strongest", ("f",), "strongest key", "Go to the row's strongest key", "Move", "strongest", IN_A_HEAD),
    Action("atlas", ("a",), "all heads", "All heads of all blocks", "Move", "atlas"),
    Action(
        "jump",
        ("J", *"123456789"),
        "go to",
        "Go to a head (5.7), element or neuron by its number, to any place, or to a lesson's page: type it, Enter",
        "Move",
        script=False,
    ),
    Action(
        "play",
        ("M",),
        "show how",
        "How it comes about, in moving frames: the pass through the blocks, a head's row, the next draw; . a step, M pauses, Esc ends",
        "Move",
        "how",
        frozenset({"model", "head", "output"}),
    ),
    Action("flow", ("w",), "flow mode", "Ribbons by norms of what moved, or by attention rollout", "Move", "flow", frozenset({"model"})),
    Action(
        "switch",
        ("X",),
        "switch off",
        "What is selected: at its mean over other texts, at zero, on again; an edge cut here, in the block, everywhere",
        "Cause",
        "off",
        CHANGEABLE,
    ),
    *looked_up("Cause"),
    Action("patch", ("P",), "patch", "What is selected, as it is in the run that is held; again: as it was", "Cause"),
    Action("unedit", ("U",), "all on", "Nothing switched off, cut or patched any more", "Cause", "all on"),
    Action(
        "cooler", ("left_square_bracket", "semicolon", "shift+left"), "cooler", "Temperature down one stop", "Next token", "temperature"
    ),
    Action("warmer", ("right_square_bracket", "colon", "shift+right"), "warmer", "Temperature up one stop", "Next token", "temperature"),
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
    Action(
        "contrast",
        ("A",),
        "A and B",
        "This candidate is A, whose logit less B's is looked at; another one then B; again: the likeliest two",
        "Next token",
    ),
    Action("older", ("left_parenthesis",), "one before", "Step back through the probabilities that were shown", "Next token"),
    Action("newer", ("right_parenthesis",), "one after", "Step forth again, up to the present ones", "Next token"),
    Action("find", ("o",), "find a token", "Find any token among the candidates by its text", "Next token", script=False),
    Action("examples", ("e",), "examples", "Prompts that show something, each with what to look for", "Prompt", "examples", script=False),
    Action("prompt", ("slash", "f9"), "edit prompt", "Edit the prompt; Enter or Escape returns, the text stays", "Prompt", "prompt"),
    Action("surprisal", ("x",), "surprisal", "How surprising each token of the prompt was, or not", "Prompt"),
    Action(
        "explain",
        ("i", "f12"),
        "explain",
        "What is selected, or the pane that the keys go to: in words and numbers",
        "App",
        "explain",
        script=False,
    ),
    Action("page_up", ("pageup",), "explanation up", "The explanation's page before", "App"),
    Action("page_down", ("pagedown",), "explanation down", "The explanation's next page", "App"),
    Action("models", ("m",), "models", "Another model: the bundled one, one of the cache, or one to fetch", "App", script=False),
    Action(
        "lessons",
        ("t",),
        "lessons",
        "All lessons: open one, where you left it; close the one that is open",
        "Lesson",
        "lessons",
        script=False,
    ),
    Action("lesson_on", ("n",), "next page", "The lesson's next page; after the last, the next lesson", "Lesson", "page"),
    Action("lesson_back", ("p",), "page before", "The lesson's page before", "Lesson", "page", script=False),
    Action("lesson_view", ("z",), "page's view", "Back to what the lesson's page shows", "Lesson", "its view"),
    Action("pages", ("N",), "pages", "All pages of the lesson: go to one", "Lesson", script=False),
    Action("fill", ("Z",), "fill the screen", "The pane that the keys go to fills the screen; again: all panes", "Lecture"),
    Action("cover", ("H",), "cover", "Hide the pane that the keys go to; or show what is hidden", "Lecture"),
    Action("blank", ("B",), "blank", "Nothing on the screen, until any key", "Lecture"),
    Action("hands", ("Q",), "hands", "Type how many raised a hand for each answer; nothing typed takes all back", "Lecture", script=False),
    Action("copy", ("y",), "command line", "Show and copy the command line that reproduces this view", "App", script=False),
    Action(
        "copy_words", ("Y",), "command line in words", "Show and copy the command line that tells this view in words", "App", script=False
    ),
    Action("specials", ("S",), "specials", "Typed special and added tokens, as <|user|>, are tokens; or plain text", "App"),
    Action("repaint", ("ctrl+l",), "repaint", "Paint the whole screen anew, where something else wrote on it", "App"),
    Action("theme", ("T",), "theme", "The next theme: dark, light, of high contrast; it is remembered", "App", script=False),
    Action(
        "picture",
        ("I",),
        "pixels or characters",
        "Pictures in pixels, where the terminal shows them, or in characters",
        "App",
        script=False,
    ),
    Action("screenshot", ("f8",), "screenshot", "Save this screen as a picture, under a name that you give", "App", script=False),
    Action("palette", ("ctrl+p",), "commands", "Find any action by its name", "App", script=False),
    Action("help", ("question_mark", "f1"), "help", "The keys, and what this view shows", "App", "help", script=False),
    Action("suspend", ("ctrl+z",), "to the shell", "Give the terminal back to the shell; its fg comes back here", "App", script=False),
    Action("quit", ("q", "ctrl+q"), "quit", "Leave txexplain", "App", script=False),
)

# The footer: what it says of the keys at a place, the most useful first. Where there is little room the first ones stay.

Entry = tuple[str, str, str]  # keys, what they do, and that again for where it is tight

SHORTER = {
    "temperature": "T", "prompt": "text", "generate": "gen", "residual": "stream", "strongest": "top", "sampling": "mode",
    "take back": "undo", "next pane": "pane", "its view": "view", "find a token": "find", "type the prompt": "type", "new line": "line",
    "lessons, close": "close", "lessons": "learn",
}  # fmt: skip
AT_HOME = ("zoom", "draw", "temperature", "prompt", "lessons", "explain", "help", "flow", "residual", "atlas", "generate", "how", "block")
INSIDE = (
    "zoom",
    "out",
    "stage",
    "explain",
    "head",
    "draw",
    "temperature",
    "prompt",
    "help",
    "block",
    "atlas",
    "strongest",
    "how",
    "cut",
    "off",
)
IN_THE_ATLAS = ("zoom", "out", "stage", "cut", "explain", "draw", "temperature", "prompt", "help", "head", "block")
AT_THE_END = ("take", "out", "draw", "temperature", "sampling", "explain", "prompt", "help", "generate", "how", "atlas", "residual")
ENTER = {kind: place.takes for kind, place in PLACES.items() if place.takes}  # what it does where it doesn't lead further
NEED_A_MODEL = {
    "draw",
    "generate",
    "undo",
    "reseed",
    "examples",
    "prompt",
    "lessons",
    "switch",
    "patch",
    *(kind for kind, place in PLACES.items() if isinstance(place, LookedUp) and place.tries),
}  # where a recorded run is shown, they only say so
PANES: dict[str, tuple[tuple[str, ...], ...]] = {  # a word and its actions
    "panel": (
        ("choose", "up", "down"), ("take", "enter"), ("temperature", "cooler", "warmer"), ("draw", "draw"), ("sampling", "mode"),
        ("explain", "explain"), ("stage", "out"), ("generate", "generate"), ("take back", "undo"), ("size", "less", "more"),
        ("hold", "hold"), ("A and B", "contrast"), ("earlier", "older", "newer"), ("find a token", "find"), ("seed", "reseed"),
        ("next pane", "next_pane"),
        ("help", "help"),
    ),
    "lesson": (("answer", "enter"), ("choose", "up", "down"), ("stage", "out"), ("explain", "explain"), ("help", "help")),
    "explain": (("scroll", "up", "down"), ("page", "page_up", "page_down"), ("close", "explain"), ("stage", "out"), ("help", "help")),
}  # fmt: skip


@dataclass(frozen=True)
class Doing:
    """What the reader is at, as far as the footer goes by it."""

    kind: str
    pane: str = "stage"  # the one that has the focus
    lesson: bool = False  # whether one is open
    answers: int = 0  # of the open page's question
    answered: bool = False
    generating: bool = False
    recorded: bool = False  # whether a recorded run is shown, without its model
    filtered: bool = False  # whether the sampling has a size: k or p
    changed: bool = False  # whether something is switched off, cut or patched


def footer(doing: Doing, *, ascii: bool = False, actions: Sequence[Action] = ACTIONS) -> tuple[Entry, ...]:
    """The footer's entries, the most useful first."""
    by_id = {action.id: action for action in actions}

    def keys(*ids: str) -> str:
        return " ".join(key_name(by_id[id].keys[0], ascii=ascii) for id in ids if by_id[id].keys)

    def entries(*told: tuple[str, ...]) -> list[Entry]:
        usable = [(word, keys(*ids)) for word, *ids in told if not (doing.recorded and NEED_A_MODEL & set(ids))]
        return [(said, word, SHORTER.get(word, word)) for word, said in usable if said]

    if doing.pane == "prompt":
        return (("", "type the prompt", "type"), *typing(by_id, ascii=ascii))
    found = [("", "generating", "generating"), *entries(("pauses", "generate"), ("pace", "pace"))] if doing.generating else []
    if doing.lesson:
        found += entries(("page", "lesson_on", "lesson_back"), ("lessons, close", "lessons"))
        if doing.answers:
            word = "reasons" if doing.answered else "answer"
            found.append((f"1-{doing.answers}" if doing.answers > 1 else "1", word, word))
        found += entries(("its view", "lesson_view"))
    if doing.pane in ("panel", "side"):
        pane = doing.pane if doing.pane == "panel" else "lesson" if doing.lesson else "explain"
        asks = bool(doing.answers) and not doing.answered
        left_out = {*(() if doing.filtered else ("size",)), *(() if asks or pane != "lesson" else ("answer", "choose"))}
        left_out |= {"generate"} if doing.generating else set()
        own = entries(*(told for told in PANES[pane] if told[0] not in left_out))
        first = 2 if pane == "panel" and not doing.generating else 0  # what the arrows and Enter do there comes first
        return (*own[:first], *found, *own[first:])
    return (*found, *entries(*on_the_stage(doing, actions)))


def typing(by_id: Mapping[str, Action], *, ascii: bool) -> list[Entry]:
    """The keys that aren't text while the prompt is edited: the field's own, and of the actions those with a key that types nothing."""
    own = [(key_name("enter", ascii=ascii), "done"), ("ctrl+j", "new line"), ("tab", "next pane")]
    for id in ("explain", "help", "palette", "quit"):
        free = next((key for key in by_id[id].keys if re.fullmatch(r"f\d+|ctrl\+[a-z]", key)), "")
        own += [(free, by_id[id].label)] if free else []
    return [(keys, word, SHORTER.get(word, word)) for keys, word in own]


def on_the_stage(doing: Doing, actions: Sequence[Action]) -> list[tuple[str, ...]]:
    """What the stage's keys do at a place, as (word, actions); actions that share a word share an entry."""
    told: dict[str, list[str]] = {}
    for action in actions:
        idle = action.id == "out" and doing.kind == "model"
        idle |= action.id == "enter" and doing.kind not in LEAD_FURTHER | set(ENTER)
        idle |= action.group == "Lesson" and (doing.lesson or action.id != "lessons")
        idle |= action.id == "generate" and doing.generating
        idle |= action.id == "unedit" and not doing.changed
        if action.footer and not idle and (not action.places or doing.kind in action.places):
            word = ENTER.get(doing.kind, action.footer) if action.id == "enter" else action.footer
            told.setdefault(word, []).append(action.id)
    first = {"model": AT_HOME, "heads": IN_THE_ATLAS, "output": AT_THE_END}.get(doing.kind, INSIDE)
    words = sorted(told, key=lambda word: first.index(word) if word in first else len(first))
    return [(word, *told[word]) for word in words]
