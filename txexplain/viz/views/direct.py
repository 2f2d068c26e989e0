"""Direct attribution: what each part of the stream gives to A − B at the selected token, and what the selected part is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from txexplain.errors import ChangedByHand, NotRecorded
from txexplain.facts.direct import DirectFacts, by_key, by_neuron, direct, listed
from txexplain.facts.head import row as attention_row
from txexplain.text import clip, wrapped
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import number, percent
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, first_of, mark
from txexplain.viz.views.chrome import balance, contrast_name, title

NAME, FIGURE = 9, 9
WIDE = 76  # cells from which on the selected part stands beside the list
DETAIL = 0.45  # of the width


def facts_of(scene: Scene) -> DirectFacts:
    """The parts. Raises NotRecorded."""
    if scene.contrast is None:
        raise NotRecorded("logits")
    return direct(scene.result, scene.token, *scene.contrast)


@PICTURES.of("direct")
def paint_direct(scene: Scene) -> Canvas:
    """A row a part: what it gives, as a number and to either side of a line: right pushes to A, left to B."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    facts, place, ascii = facts_of(scene), scene.location, scene.palette.ascii
    name = contrast_name(scene)
    sum_, a, b = (number(each, ascii=ascii, sign=n == 0) for n, each in enumerate((facts.direct.total, facts.a, facts.b)))
    where = f"direct {scene.palette.glyphs.dot} {name} at token {scene.token} {scene.label(scene.token).strip()}"
    title(canvas, scene, where, f"sum {sum_} = logits {a} {scene.palette.glyphs.minus} {b}", f"sum {sum_}")
    names, values = list(facts.parts), list(facts.parts.values())
    order = listed(facts, place.face)
    here = names.index(place.select) if place.select in names else order[0]
    foot = wrapped(legend(scene), scene.width - 2)
    rows = max(1, scene.height - 2 - len(foot))
    lit_row = order.index(here) if here in order else 0
    first = max(0, min(lit_row - rows // 2, len(order) - rows))
    width = scene.width - round(DETAIL * scene.width) if scene.width >= WIDE else scene.width
    ends = (min(values), max(values))
    canvas.put(1, 1, f"parts {first + 1}-{min(first + rows, len(order))} of {len(order)}", "muted", width=width - 2)
    for line, n in enumerate(order[first : first + rows], 2):
        lit = n == here
        if lit:
            canvas.fill(0, line, width - 1, 1, bg="cursor")
        role = "attention" if "H" in names[n] or "bias" in names[n] else "mlp" if "mlp" in names[n] else "residual"
        canvas.put(1, line, names[n], role, attrs=BOLD if lit else 0, width=NAME)
        canvas.put(1 + NAME, line, number(values[n], ascii=ascii, sign=True), "text", width=FIGURE - 1, align="right")
        balance(canvas, values[n], ends, (1 + NAME + FIGURE, line), width - NAME - FIGURE - 3, "positive")
        canvas.target(0, line, width - 1, 1, replace(place, select=names[n]))
    if width < scene.width:
        detail(canvas, scene, names[here], width)
    for line, text in enumerate(foot):
        canvas.put(1, scene.height - len(foot) + line, text, "muted", width=scene.width - 2)
    return canvas


def legend(scene: Scene) -> str:
    """What it is, and what it isn't."""
    return (
        f"right: for {contrast_name(scene).split()[0]}; straight through the last LayerNorm as it scaled here. A reading, not a cause: "
        "what acts through later blocks isn't in it; X switches a part off"
    )


def detail(canvas: Canvas, scene: Scene, name: str, x: int) -> None:
    """What the selected part is made of: a head's keys, an MLP's neurons."""
    canvas.vline(x - 1, 1, scene.height - 2)
    try:
        lines = made_of(scene, name)
    except ChangedByHand as changed:
        lines = [("", None, f"not told: {changed.name} was changed by hand")]
    values = [value for _, value, _ in lines if value is not None]
    ends = (min(values, default=0.0), max(values, default=0.0))
    canvas.put(x, 1, f"{name} by {'key' if 'H' in name else 'neuron'}" if values else name, "muted", width=scene.width - x - 1)
    for y, (label, value, more) in enumerate(lines[: scene.height - 5], 2):
        if value is None:
            canvas.put(x, y, more, "muted", width=scene.width - x - 1)
            continue
        ascii = scene.palette.ascii
        at = x + 13
        canvas.put(x, y, clip(label, 12, scene.palette.glyphs.ellipsis), "text", width=12)
        canvas.put(at, y, number(value, ascii=ascii, sign=True), "text", width=FIGURE - 1, align="right")
        room = scene.width - at - FIGURE - len(more) - 2
        if room > 6:
            balance(canvas, value, ends, (at + FIGURE, y), room, "positive")
        canvas.put(scene.width - len(more) - 1, y, more, "muted")


def made_of(scene: Scene, name: str) -> list[tuple[str, float | None, str]]:
    """The selected part's own parts, the largest first: a label, what it gives, and a word more. Raises ChangedByHand."""
    assert scene.contrast is not None
    block = int(name[1:].partition("H")[0].partition(".")[0]) if name[0] == "L" else 0
    if "H" in name:
        head = int(name.partition("H")[2])
        found = by_key(scene.result, block, head, scene.token, *scene.contrast)
        shares = attention_row(scene.result, block, head, scene.token).values
        return [(f"{j} {scene.label(j).strip()}", found[j], percent(shares[j])) for j in found.order.tolist()]
    if name.endswith("mlp"):
        neurons = by_neuron(scene.result, block, scene.token, *scene.contrast)
        rest = facts_of(scene).parts[name] - float(neurons.values.sum())
        order = neurons.order[: max(1, scene.height - 6)].tolist()
        others = float(np.delete(neurons.values, order).sum())
        listed = [(str(n), neurons[n], "") for n in order]
        return [*listed, (f"{len(neurons) - len(order)} others", others, ""), ("bias", rest, "")]
    said = {
        "always": "ln_f's bias: the same in every run", "changed": "what was put into the stream, or taken out",
        "embed": "the token's row of wte", "pos": "the position's row of wpe",
    }  # fmt: skip
    return [("", None, said.get(name, "the bias of W_O"))]


@TABLES.of("direct")
def direct_table(scene: Scene) -> Table:
    facts = facts_of(scene)
    names, values = list(facts.parts), list(facts.parts.values())
    order = listed(facts, scene.location.face)
    here = names.index(scene.location.select) if scene.location.select in names else order[0]
    rows: list[Row] = [("", "part", "gives")]
    rows += [(mark(n == here), names[n], number(values[n], sign=True)) for n in first_of(order, here)]
    sum_ = f"{number(facts.direct.total, sign=True)} = logits {number(facts.a)} − {number(facts.b)}"
    return f"{contrast_name(scene)}, the sum of all {len(order)} parts is {sum_}. The largest:", rows
