"""From logits to the draw: every stage for the candidates, the full-vocabulary probability always beside the filtered one."""

from __future__ import annotations

from txexplain.engine.sampling import Distribution
from txexplain.viz.canvas import BOLD, STRIKE, Canvas
from txexplain.viz.numbers import count, number, percent
from txexplain.viz.scene import Scene
from txexplain.viz.views.chrome import title
from txexplain.viz.views.panel import sampling_text

MOST = 50
COLUMNS = ("logit", "÷ T", "exp", "softmax", "cumul.", "filtered")
CELL, TOKEN = 11, 16


def draw_output(scene: Scene) -> Canvas:
    """A row a candidate, a column a stage, and the selected row's formula in numbers."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    title(
        canvas,
        scene,
        f"output {scene.palette.glyphs.dot} T {scene.state.temperature:.2f} {scene.palette.glyphs.dot} {sampling_text(scene)}",
        f"{count(scene.config.vocab_size)} tokens",
    )
    distribution = scene.distribution
    if distribution is None:
        raise KeyError("logits")
    cell = max(9, min(CELL, (scene.width - TOKEN - 6) // len(COLUMNS)))
    columns = COLUMNS if scene.width >= TOKEN + 6 + cell * len(COLUMNS) else COLUMNS[:2] + COLUMNS[3:]
    canvas.put(1, 1, "rank  token", "muted")
    for i, name in enumerate(columns):
        text = name.replace("÷", "/") if scene.palette.ascii else name
        canvas.put(6 + TOKEN + i * cell, 1, text, "muted", width=cell - 1, align="right")
    rows = max(1, min(MOST, scene.height - 5))
    first = max(0, min(scene.candidate - rows + 1, MOST - rows))
    for row, token in enumerate(distribution.order[first : first + rows].tolist()):
        rank, y = first + row, 2 + row
        kept, lit = bool(distribution.kept[token]), rank == scene.candidate
        ink = "text" if kept else "faint"
        if lit:
            canvas.fill(0, y, scene.width, 1, bg="cursor")
        canvas.put(1, y, str(rank + 1), "muted", width=4, align="right")
        canvas.put(7, y, scene.id_label(token), ink, attrs=(BOLD if lit else 0) | (0 if kept else STRIKE), width=TOKEN - 1)
        for i, text in enumerate(stages(scene, distribution, token, rank, columns)):
            canvas.put(6 + TOKEN + i * cell, y, text, ink, width=cell - 1, align="right")
        canvas.target(0, y, scene.width, 1, ("candidate", rank))
    formula(canvas, scene, distribution, scene.height - 2)
    return canvas


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
    """The selected row's arithmetic, and where the mass outside the list is."""
    ascii = scene.palette.ascii
    token = int(distribution.order[scene.candidate])
    shifted = float(distribution.scaled[token] - distribution.scaled[distribution.order[0]])
    total = float(distribution.exp.sum())
    p = percent(float(distribution.probability[token]), ascii=ascii)
    text = f"{scene.id_label(token).strip()}: exp({number(shifted, ascii=ascii)}) / {number(total, ascii=ascii)} = {p}"
    if not distribution.kept[token]:
        full = percent(float(distribution.full_probability[token]), ascii=ascii)
        text = f"{scene.id_label(token).strip()}: cut by the filter, {full} of the whole vocabulary"
    canvas.put(1, y, text, "text", width=scene.width - 2)
    rest = max(0.0, 1.0 - float(distribution.cumulative[min(MOST, len(distribution.order)) - 1]))
    kept = f"{count(distribution.kept_count)} of {count(len(distribution.order))} may be drawn"
    kept += f"; beyond rank {MOST}: {percent(rest, ascii=ascii)} of all"
    canvas.put(1, y + 1, kept, "muted", width=scene.width - 2)
