"""What is switched off, cut or patched in a session: what the keys make of it, and how it is said. A state holds these as Changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from txexplain.engine.changes import Change, parse

Edits = tuple[Change, ...]
FLAGS = ("--ablate", "--cut", "--patch")


def switched(edits: Edits, what: str, *, means: bool = True) -> Edits:
    """The next thing that can be made of a part, in place of what was made of it: to its mean, to zero, and on again.

    An edge is cut in its head, in all heads of the block, everywhere, and whole again. means: whether the model can read a text to take
    means over.
    """
    return stepped(edits, [step for step in steps_of(parse(what)) if means or step.value != "mean"])


def patched(edits: Edits, what: str) -> Edits:
    """A part as the other run has it, or again as it was."""
    return stepped(edits, [replace(parse(what), value="from")])


def stepped(edits: Edits, steps: Sequence[Change]) -> Edits:
    """The next of several changes in place of the one that is made; after the last, none is."""
    made = next((n for n, step in enumerate(steps) if step in edits), None)
    following = steps[0 if made is None else made + 1 :][:1]
    if made is None:
        return (*edits, *following)
    at = edits.index(steps[made])
    return (*edits[:at], *following, *edits[at + 1 :])


def steps_of(change: Change) -> list[Change]:
    """What X makes of a part, key by key."""
    if change.part != "edges":
        return [replace(change, value=value) for value in ("mean", 0.0)]
    wider = [change, replace(change, heads=None), replace(change, heads=None, blocks=None)]
    return list(dict.fromkeys(wider))


def flags_of(edits: Edits) -> list[str]:
    """The flags that make these changes, in their order."""
    flags = []
    for each in edits:
        text = str(each)
        flag = "--cut" if each.part == "edges" else "--patch" if each.from_other else "--ablate"
        flags += [flag, text.removesuffix("=from") if flag == "--patch" else text]
    return flags


def read_flags(given: Sequence[tuple[str, str]]) -> Edits:
    """The changes that flags ask for, each with its text, in their order. Raises InterventionError."""
    return tuple(parse(text + ("=from" if flag == "--patch" and "=" not in text else "")) for flag, text in given)


def told(change: Change) -> str:
    """A change in a few words."""
    what = change.what + change.where
    match change.value:
        case "mean":
            return f"{what} at mean"
        case "cut":
            return f"{what} cut"
        case "raw":
            return f"{what} cut, its share lost"
        case "from":
            return f"{what} patched" + ("" if change.source is None else f" from @{str(change).rpartition('@')[2]}")
    return f"{what} at {change.shown_value}"
