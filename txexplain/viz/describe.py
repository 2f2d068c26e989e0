"""A view in words and a plain table: for screen readers, logs, and the help page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from txexplain.errors import NotRecorded
from txexplain.explorer.location import breadcrumb, place_of
from txexplain.facts.flow import by_size, held
from txexplain.facts.output import candidate, known
from txexplain.viz.flow import LINE_FROM
from txexplain.viz.numbers import Figure, number, percent, several
from txexplain.viz.places import TABLES
from txexplain.viz.scene import Scene
from txexplain.viz.tables import CANDIDATES, Row, named, plain_table, quoted
from txexplain.viz.views.chrome import known_sizes
from txexplain.viz.views.edits import changes_text, effect_text
from txexplain.viz.views.model import MODES, traced
from txexplain.viz.views.panel import sampling_text

MOVES = 2  # ribbons of a block that are named


def describe(scene: Scene) -> str:
    """The view of a finished scene: sentences, then its numbers as a table, then the next token."""
    config, trace = scene.config, scene.trace
    sizes = f"{config.n_layer} blocks of {config.n_head} heads, d {config.n_embd}" if scene.result.known is None else known_sizes(scene)
    tokens = ", ".join(f"{i} {quoted(scene, i)}" for i in range(scene.n_tokens))
    parts = [
        f"{scene.model_name}: {sizes}. {several(scene.n_tokens, 'token')}: {tokens}.",
        f"Place: {' > '.join(label for label, _ in breadcrumb(scene.location))}. {place_of(scene.location).about}",
        f"Selected token: {scene.token} {quoted(scene, scene.token)}.",
        *trace.notes,
        *([f"Changed: {'; '.join(filter(None, (changes_text(scene), effect_text(scene))))}."] if scene.changed else []),
    ]
    try:
        heading, rows = TABLES[scene.location.kind](scene)
        parts.append(f"{heading}\n{plain_table(rows)}")
    except NotRecorded as missing:
        parts.append(f"Not recorded: this trace has no {missing.what}.")
    if place_of(scene.location).flows:
        parts.append(flow_text(scene))
    if scene.distribution is not None and not place_of(scene.location).has_candidates:
        parts.append(f"Next token, T {scene.state.temperature:g}, {sampling_text(scene)}:\n{plain_table(next_tokens(scene))}")
    elif "logits" not in trace:
        parts.append("Next token: not recorded.")
    return "\n\n".join(parts) + "\n"


def document(scene: Scene, text_of: Callable[[int], str]) -> dict[str, Any]:
    """The same as values: what the view tells, as rows by the names of their columns. text_of: the text of a token of the vocabulary."""
    found: dict[str, Any] = {
        "at": str(scene.location),
        "token": scene.token,
        "view": place_of(scene.location).about,
        "notes": list(scene.trace.notes),
        "heading": None,
        "rows": [],
        "lacks": None,
    }
    try:
        heading, rows = TABLES[scene.location.kind](scene)
        found |= {"heading": heading, "rows": records(rows, text_of)}
    except NotRecorded as missing:
        found["lacks"] = missing.what
    if place_of(scene.location).flows and scene.ribbons is not None:
        found["flow"] = [
            {
                "block": layer,
                "moves": [{"from": source, "to": target, "share": share} for source, target, share in moves],
                "before": [{"token": token, "share": share} for token, share in holders],
                "others": others,
            }
            for layer, (moves, holders, others) in enumerate(flow_of(scene))
        ]
    return found


def records(rows: Sequence[Row], text_of: Callable[[int], str]) -> list[dict[str, Any]]:
    """Rows below the first one as values by that one's names; the column without a name marks what is selected."""
    names, *others = rows
    return [
        {name or "selected": value_of(cell, text_of) if name else bool(cell) for name, cell in zip(names, row, strict=True)}
        for row in others
    ]


def value_of(cell: str, text_of: Callable[[int], str]) -> Any:
    """What a cell was written of: a number, a token or several; or else its text, and null for an empty one."""
    if not isinstance(cell, Figure):
        return cell or None
    if isinstance(cell.value, list):
        return [{"id": each["id"], "text": text_of(each["id"]), **each} for each in cell.value]
    return {"id": cell.value["id"], "text": text_of(cell.value["id"])} if isinstance(cell.value, dict) else cell.value


def next_tokens(scene: Scene) -> list[Row]:
    distribution = known(scene.distribution)
    rows: list[Row] = [("rank", "token", "logit", "of all", "probability")]
    for rank in range(min(CANDIDATES, len(distribution.order))):
        each = candidate(distribution, rank)
        kept = percent(each.probability) if each.kept else "cut"
        rows.append((str(rank + 1), f"'{scene.id_label(each.id)}'", number(each.logit), percent(each.full), kept))
    return rows


def flow_text(scene: Scene) -> str:
    """The ribbons in words: for each block what moved most in it, and which tokens held before it what reaches the selected one."""
    if scene.ribbons is None:
        lacking = scene.result.flow_lacks(scene.state.flow)
        why = "not told" if lacking.endswith("by hand") else "not recorded"
        return f"Where it came from: {why}: {lacking}." if lacking else "Where it came from: being traced."
    rows: list[Row] = [("block", "what moved most in it", "what reaches the selected token, before the block, was in")]
    for layer, (moves, before, others) in enumerate(flow_of(scene)):
        told = [f"{named(scene, source)} → {named(scene, target)} {percent(share)}" for source, target, share in moves]
        holders = [f"{named(scene, token)} {percent(share)}" for token, share in before]
        holders += [f"others {percent(others)}"] if others else []
        rows.append((f"L{layer}", ", ".join(told) or "nothing", ", ".join(holders)))
    return f"Where it came from, traced back from the last block ({MODES[scene.state.flow]}):\n{plain_table(rows)}"


def flow_of(scene: Scene) -> Iterator[tuple[list[tuple[int, int, float]], list[tuple[int, float]], float]]:
    """Of each block: what moved most in it (from, to, share); which tokens held a share before it; and what all others held together."""
    columns, between = traced(scene)
    for column, ribbons in zip(columns, between, strict=False):
        moves = [i for i in by_size(ribbons.share) if ribbons.source[i] != ribbons.target[i]][:MOVES]
        before = held(column, LINE_FROM)
        told = [(int(ribbons.source[i]), int(ribbons.target[i]), float(ribbons.share[i])) for i in moves]
        yield told, [(token, float(column[token])) for token in before.tokens], before.others
