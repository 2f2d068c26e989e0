"""From logits to the draw: every stage for the candidates, the full-vocabulary probability always beside the filtered one."""

from __future__ import annotations

from txexplain.engine.sampling import Distribution
from txexplain.facts.output import CandidateFacts, candidate, known
from txexplain.text import cell_width
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, STRIKE, Canvas, plain_ascii
from txexplain.viz.numbers import count, number, percent
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, by_id, first_of, mark, nth
from txexplain.viz.views.chrome import title
from txexplain.viz.views.linear import signed
from txexplain.viz.views.panel import axis, comparable, moved_line, sampling_text

MOST = 50
LEAST_BAR = 16  # cells that must be free behind the columns for bars to stand there
# In the order in which they are computed: each follows from those to its left. A filter looks at softmax's shares of all tokens.
COLUMNS = ("logit", "÷ T", "exp", "softmax", "cumul.")
FILTERED = ("logit", "÷ T", "softmax", "cumul.", "kept?", "exp", "share")
WIDEST, LEAST, KEPT, TOKEN, NARROW = 11, 9, 6, 16, 14  # cells of a column, at most and at least; of the yes and no; of a token's name
SPARED = ("exp", "cumul.", "÷ T")  # columns that a stage without room for all goes without, the first of them first
SHIFTED = "e^(x−max)"  # the exp column's name, where it fits
MEANT = "exp is e^(x−max): the largest is taken off, in all alike"
ROOMY = 24  # rows of a stage that says beneath its table what max is
BANDS = ((MOST + 1, 100), (101, 1_000), (1_001, 10_000), (10_001, 1 << 30))  # ranks from 1, both ends


@PICTURES.of("output")
def paint_output(scene: Scene) -> Canvas:
    """A row a candidate, a column a stage, and the selected row's formula in numbers."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    title(
        canvas,
        scene,
        f"output {scene.palette.glyphs.dot} T {scene.state.temperature:.2f} {scene.palette.glyphs.dot} {sampling_text(scene)}",
        ""
        if scene.distribution is None
        else f"{count(scene.distribution.kept_count)} of {count(len(scene.distribution.order))} may be drawn",
    )
    distribution = known(scene.distribution)
    name, columns = columns_of(scene.width, distribution)
    canvas.put(1, 1, "rank  token", "muted")
    for column, (x, cell) in columns.items():
        text = SHIFTED if column == "exp" and cell > cell_width(SHIFTED) else column
        canvas.put(x, 1, plain_ascii(text) if scene.palette.ascii else text, "muted", width=cell - 1, align="right")
    bars = max(x + cell for x, cell in columns.values()) + 2
    end, room = axis(float(distribution.probability.max())), scene.width - bars - 2
    if room >= LEAST_BAR:
        canvas.put(bars, 1, f"full bar {percent(end)}", "faint")
    for y, rank in enumerate(listed(scene, len(distribution.order)), start=2):
        if rank is None:
            canvas.put(3, y, scene.palette.glyphs.ellipsis, "faint")
            continue
        shown, lit = candidate(distribution, rank), rank == scene.candidate
        ink = "text" if shown.kept else "faint"
        if lit:
            canvas.fill(0, y, scene.width, 1, bg="cursor")
        canvas.put(0, y, str(rank + 1), "muted", width=5, align="right")
        canvas.put(7, y, scene.id_label(shown.id), ink, attrs=(BOLD if lit else 0) | (0 if shown.kept else STRIKE), width=name - 1)
        texts = stages(shown, ascii=scene.palette.ascii)
        for column, (x, cell) in columns.items():
            canvas.put(x, y, texts[column], ink, width=cell - 1, align="right")
        if room >= LEAST_BAR:
            canvas.put(bars, y, bar(shown.probability / end, room, scene.palette), "bar")
        canvas.target(0, y, scene.width, 1, ("candidate", rank))
    if scene.height >= ROOMY:
        said = plain_ascii(MEANT) if scene.palette.ascii else MEANT
        canvas.put(1, scene.height - 3, said, "faint", width=scene.width - 2)
    formula(canvas, scene, distribution, scene.height - 2)
    if scene.held is not None and comparable(scene.held.distribution, distribution):
        canvas.put(1, scene.height - 1, moved_line(scene, scene.held, distribution, scene.width - 2), "muted")
    else:
        elsewhere(canvas, scene, distribution, scene.height - 1)
    return canvas


def columns_of(width: int, distribution: Distribution) -> tuple[int, dict[str, tuple[int, int]]]:
    """The cells of a token's name, and for each column that there is room for where it begins and its cells."""
    every, least = stage_names(distribution), {"kept?": KEPT}
    for spared in range(len(SPARED) + 1):
        names = [name for name in every if name not in SPARED[:spared]]
        token = next((cells for cells in (TOKEN, NARROW) if width - 6 - cells >= sum(least.get(name, LEAST) for name in names)), 0)
        if token or spared == len(SPARED):
            break
    token = token or NARROW
    fixed = sum(least.get(name, 0) for name in names)
    cell = min(WIDEST, (width - 6 - token - fixed) // sum(name not in least for name in names))
    sizes = [least.get(name, cell) for name in names]
    return token, {name: (6 + token + sum(sizes[:i]), size) for i, (name, size) in enumerate(zip(names, sizes, strict=True))}


def stage_names(distribution: Distribution) -> tuple[str, ...]:
    """The stages from logit to probability, in the order in which they are computed."""
    return COLUMNS if distribution.mode == "full" else FILTERED


def listed(scene: Scene, size: int) -> list[int | None]:
    """The ranks that the rows show: the first ones, scrolled to the cursor; one found further down stands below a gap (None)."""
    rows = max(1, min(MOST, scene.height - 5 - int(scene.height >= ROOMY), size))
    if scene.candidate < min(MOST, size):
        first = max(0, min(scene.candidate - rows + 1, MOST - rows))
        return list(range(first, first + rows))
    return [*range(max(0, rows - 2)), None, scene.candidate]


def stages(shown: CandidateFacts, *, ascii: bool = False) -> dict[str, str]:
    """A candidate's number at each stage."""
    return {
        "logit": number(shown.logit, ascii=ascii),
        "÷ T": number(shown.scaled, ascii=ascii),
        "exp": number(shown.exp, ascii=ascii),
        "softmax": percent(shown.full, ascii=ascii),
        "cumul.": percent(shown.cumulative, ascii=ascii),
        "kept?": "yes" if shown.kept else "no",
        "share": percent(shown.probability, ascii=ascii),
    }


def formula(canvas: Canvas, scene: Scene, distribution: Distribution, y: int) -> None:
    """The selected row's arithmetic in real numbers."""

    def figure(x: float) -> str:
        return number(x, ascii=scene.palette.ascii)

    ascii = scene.palette.ascii
    shown = candidate(distribution, scene.candidate)
    name = scene.id_label(shown.id).strip()
    steps = [f"{figure(shown.logit)} ÷ T {distribution.shown_temperature:g} = {figure(shown.scaled)}"]
    if shown.kept:
        minus = scene.palette.glyphs.minus
        steps.append(f"exp({figure(shown.scaled)} {minus} max {signed(shown.most, ascii)}) = {figure(shown.exp)}")
        steps.append(f"÷ sum {figure(shown.total)} = {percent(shown.probability, ascii=ascii)}")
    else:
        steps.append(f"cut by {sampling_text(scene)}: exp(−∞) = 0; had {percent(shown.full, ascii=ascii)} of all")
    used = canvas.put(1, y, name, "accent", attrs=BOLD, width=min(cell_width(name), 14)) + 1
    while len(steps) > 1 and cell_width("; ".join(steps)) > scene.width - used - 2:
        del steps[0]  # the columns have it
    canvas.put(1 + used, y, "; ".join(steps), "text", width=scene.width - used - 2)


def elsewhere(canvas: Canvas, scene: Scene, distribution: Distribution, y: int) -> None:
    """Where the probability beyond the list is, by ranks."""
    size, cumulative = len(distribution.order), distribution.cumulative
    x = 1
    for first, last in BANDS:
        if first > size:
            break
        last = min(last, size)
        share = max(0.0, float((1.0 if last == size else cumulative[last - 1]) - cumulative[first - 2]))
        text = f"ranks {first}-{count(last)} " if x == 1 else f" {scene.palette.glyphs.dot} to {count(last)} "
        text += percent(share, ascii=scene.palette.ascii)
        if x + len(text) + 1 > scene.width:
            break
        x += canvas.put(x, y, text, "muted")


@TABLES.of("output")
def output_table(scene: Scene) -> Table:
    """The likeliest tokens at every stage from logit to probability, in the order in which these are computed."""
    distribution = known(scene.distribution)
    names = stage_names(distribution)
    rows: list[Row] = [("", "rank", "token", *names)]
    for rank in first_of(range(len(distribution.order)), min(scene.candidate, len(distribution.order) - 1)):
        each = candidate(distribution, rank)
        texts = stages(each)
        rows.append((mark(rank == scene.candidate), nth(rank + 1), by_id(scene, each.id), *(texts[name] for name in names)))
    heading = f"T {scene.state.temperature:g}, {sampling_text(scene)}, {count(scene.config.vocab_size)} tokens."
    return f"{heading} {MEANT}:", rows
