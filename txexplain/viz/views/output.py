"""From logits to the draw: every stage for the candidates, the full-vocabulary probability always beside the filtered one."""

from __future__ import annotations

from txexplain.engine.errors import NotRecorded
from txexplain.engine.sampling import Distribution
from txexplain.engine.tokenizer import cell_width
from txexplain.viz.canvas import BOLD, STRIKE, Canvas
from txexplain.viz.numbers import count, number, percent
from txexplain.viz.scene import Scene
from txexplain.viz.views.chrome import title
from txexplain.viz.views.panel import comparable, moved_line, sampling_text

MOST = 50
COLUMNS = ("logit", "÷ T", "exp", "softmax", "cumul.", "filtered")
CELL, LEAST, TOKEN = 11, 9, 16
SPARED = ("exp", "cumul.", "÷ T")  # columns that a stage without room for all goes without, the first of them first
BANDS = ((MOST + 1, 100), (101, 1_000), (1_001, 10_000), (10_001, 1 << 30))  # ranks from 1, both ends


def draw_output(scene: Scene) -> Canvas:
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
    distribution = scene.distribution
    if distribution is None:
        raise NotRecorded("logits")
    columns = tuple(name for name in COLUMNS if name not in SPARED[: spared(scene.width)])
    cell = min(CELL, (scene.width - TOKEN - 6) // len(columns))
    canvas.put(1, 1, "rank  token", "muted")
    for i, name in enumerate(columns):
        text = name.replace("÷", "/") if scene.palette.ascii else name
        canvas.put(6 + TOKEN + i * cell, 1, text, "muted", width=cell - 1, align="right")
    for y, rank in enumerate(listed(scene, len(distribution.order)), start=2):
        if rank is None:
            canvas.put(3, y, scene.palette.glyphs.ellipsis, "faint")
            continue
        token = int(distribution.order[rank])
        kept, lit = bool(distribution.kept[token]), rank == scene.candidate
        ink = "text" if kept else "faint"
        if lit:
            canvas.fill(0, y, scene.width, 1, bg="cursor")
        canvas.put(0, y, str(rank + 1), "muted", width=5, align="right")
        canvas.put(7, y, scene.id_label(token), ink, attrs=(BOLD if lit else 0) | (0 if kept else STRIKE), width=TOKEN - 1)
        for i, text in enumerate(stages(scene, distribution, token, rank, columns)):
            canvas.put(6 + TOKEN + i * cell, y, text, ink, width=cell - 1, align="right")
        canvas.target(0, y, scene.width, 1, ("candidate", rank))
    formula(canvas, scene, distribution, scene.height - 2)
    if scene.held is not None and comparable(scene.held.distribution, distribution):
        canvas.put(1, scene.height - 1, moved_line(scene, scene.held, distribution, scene.width - 2), "accent")
    else:
        elsewhere(canvas, scene, distribution, scene.height - 1)
    return canvas


def spared(width: int) -> int:
    """How many columns there is no room for."""
    return max(0, min(len(SPARED), len(COLUMNS) - (width - TOKEN - 6) // LEAST))


def listed(scene: Scene, size: int) -> list[int | None]:
    """The ranks that the rows show: the first ones, scrolled to the cursor; one found further down stands below a gap (None)."""
    rows = max(1, min(MOST, scene.height - 5, size))
    if scene.candidate < min(MOST, size):
        first = max(0, min(scene.candidate - rows + 1, MOST - rows))
        return list(range(first, first + rows))
    return [*range(max(0, rows - 2)), None, scene.candidate]


def stages(scene: Scene, distribution: Distribution, token: int, rank: int, columns: tuple[str, ...]) -> list[str]:
    """The token's number at each stage."""
    ascii = scene.palette.ascii
    texts = {
        "logit": number(float(distribution.logits[token]), ascii=ascii),
        "÷ T": number(float(distribution.scaled[token]), ascii=ascii),
        "exp": number(float(distribution.exp[token]), ascii=ascii),
        "softmax": percent(float(distribution.full_probability[token]), ascii=ascii),
        "cumul.": percent(float(distribution.cumulative[rank]), ascii=ascii),
        "filtered": percent(float(distribution.probability[token]), ascii=ascii),
    }
    return [texts[name] for name in columns]


def formula(canvas: Canvas, scene: Scene, distribution: Distribution, y: int) -> None:
    """The selected row's arithmetic in real numbers."""

    def figure(x: float) -> str:
        return number(x, ascii=scene.palette.ascii)

    ascii = scene.palette.ascii
    token, top = int(distribution.order[scene.candidate]), int(distribution.order[0])
    name = scene.id_label(token).strip()
    scaled, most = float(distribution.scaled[token]), float(distribution.scaled[top])
    steps = [f"{figure(float(distribution.logits[token]))} ÷ T {distribution.shown_temperature:g} = {figure(scaled)}"]
    if distribution.kept[token]:
        less = f"− {figure(most)}" if most >= 0 else f"+ {figure(-most)}"
        steps.append(f"exp({figure(scaled)} {less}) = {figure(float(distribution.exp[token]))}")
        steps.append(f"÷ sum {figure(float(distribution.exp.sum()))} = {percent(float(distribution.probability[token]), ascii=ascii)}")
    else:
        full = percent(float(distribution.full_probability[token]), ascii=ascii)
        steps.append(f"cut by {sampling_text(scene)}: exp(−∞) = 0; had {full} of all")
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
