"""What is switched off, cut or patched in a session: what the keys make of it, and how it is said. A state holds these as Changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from txexplain.engine.changes import TENSORS, Change, parse, written
from txexplain.engine.interventions import Cut, Intervention, Set

Edits = tuple[Change, ...]
FLAGS = ("--ablate", "--cut", "--patch")
WORDY = 40  # characters of an edge's ends


def switched(edits: Edits, what: str, *, means: bool = True) -> Edits:
    """The next thing that can be made of a part, in place of what was made of it: to its mean, to zero, and on again.

    An edge is cut in its head, in all heads of the block, everywhere, and whole again. means: whether the model can read a text to take
    means over.
    """
    return stepped(edits, [step for step in steps_of(named(what)) if means or step.value != "mean"])


def patched(edits: Edits, what: str) -> Edits:
    """A part as the other run has it, or again as it was."""
    return stepped(edits, [replace(named(what), value="from")])


def named(what: str) -> Change:
    """A part by its name, without a value; shares of attention have none that goes without saying."""
    return parse(f"{what}=zero" if what.endswith(".pattern") else what)


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
    if change.part == "pattern":
        return [change]
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


def told_of_run(interventions: Iterable[Intervention]) -> list[str]:
    """What was changed in a recorded run, in a few words each; what was done to several blocks alike, once."""
    found: dict[Change | str, set[int]] = {}
    for each in interventions:
        change = cut_of(each) if isinstance(each, Cut) else set_of(each) if isinstance(each, Set) else "changed by hand"
        blocks = () if isinstance(change, str) else change.blocks or ()
        found.setdefault(change if isinstance(change, str) else replace(change, blocks=None), set()).update(blocks)
    return [each if isinstance(each, str) else told(replace(each, blocks=tuple(sorted(blocks)) or None)) for each, blocks in found.items()]


def cut_of(cut: Cut) -> Change | str:
    """Edges as the grammar has them; where it would name others, too, how many they are."""
    queries, keys = (tuple(sorted(set(ends))) for ends in zip(*cut.edges, strict=True))
    told = len(written(queries) + written(keys)) <= WORDY
    if not told or {(query, key) for query in queries for key in keys if key <= query} != set(cut.edges):
        return f"{len(cut.edges)} edges of L{cut.block}{'' if cut.head is None else f'H{written(cut.head)}'} cut"
    value = "raw" if cut.raw else "cut"
    return Change("edges", blocks=(cut.block,), heads=cut.head, queries=queries, keys=keys, value=value)


def set_of(given: Set) -> Change | str:
    """What was set as the grammar has it, or where it has no word for it, by the activation's name."""
    name = given.name
    value = given.origin or (float(str(given.value)) if not given.value.ndim else "given numbers")
    _, _, inside = name.removeprefix("blocks.").partition(".")
    parts = {tensor: part for part, tensor in TENSORS.items()} | {f"attn.{part}": part for part in ("z", "q", "k", "v", "pattern")}
    part = parts.get(inside if name.startswith("blocks.") else name)
    if part is None or (given.index is not None) != (part == "neurons"):
        of = "" if given.head is None else f", heads {written(given.head)}"
        elements = "" if given.index is None else f"[{written(given.index)}]"
        rows = "" if given.rows is None else f"@{written(given.rows)}"
        return f"{name}{elements}{of}{rows} set"
    blocks = (int(name.split(".")[1]),) if name.startswith("blocks.") else None
    return Change(part, blocks=blocks, heads=given.head, neurons=given.index, rows=given.rows, value=value)
