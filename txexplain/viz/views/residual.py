"""The selected token's residual stream through the whole model: what each part added, and how near the end it has come."""

from __future__ import annotations

from dataclasses import replace

from txexplain.errors import ChangedByHand, NotRecorded
from txexplain.explorer.location import Location
from txexplain.facts.residual import ResidualFacts, raised, residual
from txexplain.text import wrapped
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import number, points
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.ramps import CALM
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, mark
from txexplain.viz.views.chrome import contrast_name, title

NAME, FIGURE, WORD = 9, 9, 14
LEAST_MOVED = 2  # rows of tokens that a part moves
GIVES = "A-B"
COLUMNS = ("part", "adds", "", "stream", "cosine", "", GIVES)


def parts_of(scene: Scene) -> ResidualFacts:
    """The parts of the selected token's stream, read for the two tokens that are looked at where they are known."""
    return residual(scene.result, scene.token, scene.contrast)


@PICTURES.of("residual")
def paint_residual(scene: Scene) -> Canvas:
    """A row a part: the norm that it adds, the stream's norm after it, and the stream's cosine with the final one."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, ascii = scene.location, scene.palette.ascii
    facts = parts_of(scene)
    parts = facts.parts
    names = [part.name for part in parts]
    here = names.index(place.select or "embed")
    foot = [row for line in legend(scene, facts) for row in wrapped(line, scene.width - 2)]
    rows = scene.height - 2 - len(foot)
    first = max(0, min(here - rows // 2, len(parts) - rows))
    note = f"parts {first + 1}-{min(first + rows, len(parts))} of {len(parts)}" if len(parts) > rows else f"{len(parts)} parts"
    title(canvas, scene, f"residual stream {scene.palette.glyphs.dot} token {scene.token} {scene.label(scene.token).strip()}", note)
    read = facts.direct is not None
    room = max(4, (scene.width - 2 - NAME - (4 if read else 3) * FIGURE - 2) // 2)
    adds = 1 + NAME
    bar_at = adds + FIGURE + 1
    stream = bar_at + room
    cosine = stream + FIGURE
    bar2_at = cosine + FIGURE + 1
    gives = bar2_at + room
    for x, text, width in ((1, "part", NAME), (adds, "adds", FIGURE), (stream, "stream", FIGURE), (cosine, "cosine", FIGURE)):
        canvas.put(x, 1, text, "muted", width=width, align="left" if x == 1 else "right")
    if read:
        canvas.put(gives, 1, GIVES, "muted", width=FIGURE, align="right")
    largest = max(part.adds.length for part in parts) or 1.0
    for row, part in enumerate(parts[first : first + rows]):
        y, lit = 2 + row, first + row == here
        role = "attention" if part.name.endswith("attn") else "mlp" if part.name.endswith("mlp") else "residual"
        if lit:
            canvas.fill(0, y, scene.width, 1, bg="cursor")
        canvas.put(1, y, part.name, role, attrs=BOLD if lit else 0)
        length = part.adds.length
        canvas.put(adds, y, number(length, ascii=ascii), "text", width=FIGURE, align="right")
        canvas.put(bar_at, y, bar(length / largest, room - 1, scene.palette), scene.palette.mix("background", role, CALM))
        canvas.put(stream, y, number(part.after.length, ascii=ascii), "muted", width=FIGURE, align="right")
        canvas.put(cosine, y, number(part.cosine, ascii=ascii), "text", width=FIGURE, align="right")
        canvas.put(bar2_at, y, bar(max(part.cosine, 0.0), room - 1, scene.palette), "bar")
        if part.gives is not None:
            canvas.put(gives, y, number(part.gives, ascii=ascii, sign=True), "text", width=FIGURE, align="right")
        canvas.target(0, y, scene.width, 1, target(place, part.name))
    moved(canvas, scene, names[here], 3 + min(rows, len(parts)), scene.height - len(foot) - 1)
    for line, text in enumerate(foot):
        canvas.put(1, scene.height - len(foot) + line, text, "muted", width=scene.width - 2)
    return canvas


def moved(canvas: Canvas, scene: Scene, name: str, y: int, end: int) -> None:
    """Where rows are to spare: what the selected part makes likelier, at the left, and less likely, at the right."""
    rows = end - y - 1
    if rows < LEAST_MOVED or scene.result.model is None:
        return
    said = f"what {name} moves, in points of probability, straight to the end"
    try:
        reading = raised(scene.result, name, scene.token)
    except NotRecorded as lacking:
        why = f"{lacking.name} was changed by hand" if isinstance(lacking, ChangedByHand) else f"{lacking.what} wasn't recorded"
        canvas.put(1, y, f"{said}: not told, {why}", "muted", width=scene.width - 2)
        return
    canvas.put(1, y, said, "muted", width=scene.width - 2)
    largest = max((abs(change) for _, change in (*reading.raises, *reading.lowers)), default=0.0) or 1.0
    half = (scene.width - 2) // 2
    for x, role, tokens in ((1, "positive", reading.raises), (1 + half, "negative", reading.lowers)):
        for row, (token, change) in enumerate(tokens[:rows]):
            text = scene.id_label(token).strip() or scene.id_label(token)
            canvas.put(x, y + 1 + row, text, "text", width=WORD)
            canvas.put(x + WORD, y + 1 + row, points(change, ascii=scene.palette.ascii), "muted", width=FIGURE, align="right")
            cells, ink = max(4, half - WORD - FIGURE - 3), scene.palette.mix("background", role, CALM)
            canvas.put(x + WORD + FIGURE + 1, y + 1 + row, bar(abs(change) / largest, cells, scene.palette), ink)


def target(place: Location, name: str) -> Location:
    return replace(place, kind="residual", select=None if name == "embed" else name)


def legend(scene: Scene, facts: ResidualFacts) -> list[str]:
    """What the columns mean, in as many words as fit."""
    first = "adds, stream: norms; cosine: with the stream that leaves the last block"
    if facts.direct is None:
        return [first, f"{GIVES}: not recorded, that takes the logits and the weights"]
    read = facts.direct
    rest, changed, total = (number(each, ascii=scene.palette.ascii, sign=True) for each in (read.always, read.changed, read.total))
    more = f" and {changed} of what was changed" if scene.changed else ""
    sum_ = f"with {rest} of the LayerNorm's bias{more} the sum is {total}"
    return [first, f"{GIVES}: to the logit of {contrast_name(scene)}, straight to the end, its scale held; {sum_}"]


@TABLES.of("residual")
def residual_table(scene: Scene) -> Table:
    rows: list[Row] = [("", "part", "adds", "stream", "cosine", GIVES)]
    here = scene.location.select or "embed"
    for part in parts_of(scene).parts:
        gives = "" if part.gives is None else number(part.gives, sign=True)
        norms = map(number, (part.adds.length, part.after.length))
        rows.append((mark(part.name == here), part.name, *norms, number(part.cosine), gives))
    heading = "What each part added (norms), and the cosine of the stream after it with the last block's"
    heading += ":" if scene.contrast is None else f"; what it gives to the logit of {contrast_name(scene)}, straight to the end:"
    return heading, rows
