"""The prompt with the model's surprise at each of its tokens: heights below the tokens, or between them where room is short."""

from __future__ import annotations

from dataclasses import replace

from txexplain.facts.prompt import mean_surprisal
from txexplain.text import cell_width
from txexplain.viz.bars import sparkline
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import count, number, percent
from txexplain.viz.ramps import CALM
from txexplain.viz.scene import Scene
from txexplain.viz.views.chrome import OLD, computing, paint_prompt, prompt_mark, prompt_rows

MOST_BITS = 16.0  # a full height: one in 65,536, about the vocabulary


def paint_prompt_pane(scene: Scene) -> Canvas:
    """The prompt; with the strip open, how surprising each token was, and the selected one's figures in the last row."""
    if scene.surprisal is None or scene.shown is None or scene.height < 2:
        return paint_prompt(scene)
    below = 2 * len(prompt_rows(scene, scene.width - 3)) <= scene.height - 1
    if below:
        canvas = paint_prompt(replace(scene, faded=False), apart=2)
        prompt_mark(canvas, scene)
    else:
        canvas = Canvas(scene.width, scene.height, scene.palette)
        canvas.blit(paint_prompt(replace(scene, height=scene.height - 1, faded=False), marked=True), 0, 0)
        prompt_mark(canvas, scene)
    for hit in canvas.hits:
        x, y, size = hit.x, hit.y, hit.width - 1
        if not below and canvas.hit(x + size, y) != hit.target:
            continue  # the note of hidden rows stands there
        position = hit.target[1] if isinstance(hit.target, tuple) else 0
        surprise = scene.surprisal[position] if position < len(scene.surprisal) else None
        if surprise is None:
            continue
        share = min(surprise.bits / MOST_BITS, 1.0)
        glyph = sparkline([share], scene.palette, 1.0)
        ink = scene.palette.mix("faint", "positive", CALM * share**0.5)
        if below:
            canvas.put(x, y + 1, glyph * size, ink)
        else:
            canvas.put(x + size, y, glyph, ink)
    readout(canvas, scene, scene.height - 1)
    if scene.faded:
        canvas.fade(OLD)
    return canvas


def rows_needed(scene: Scene) -> int:
    """The rows that show the whole prompt, with each token's surprisal below it where the strip is open."""
    if scene.shown is None:
        return 1 + len(scene.state.prompt) // max(1, scene.width - 3)
    rows = len(prompt_rows(scene, scene.width - 3))
    return rows if scene.surprisal is None else 2 * rows + 1


def readout(canvas: Canvas, scene: Scene, y: int) -> None:
    """The selected token's surprisal in figures, and what the model expected in its place."""
    assert scene.surprisal is not None
    ascii, dot = scene.palette.ascii, scene.palette.glyphs.dot
    x, token = 2, scene.token
    name = scene.label(token).strip()
    x += canvas.put(x, y, name, "text", attrs=BOLD, width=max(1, min(cell_width(name), 16)))
    whole = mean_surprisal(scene.surprisal)
    surprise = scene.surprisal[token] if token < len(scene.surprisal) else None
    if token == 0:
        text = f" {dot} the first token: nothing came before it"
    elif surprise is None:
        text = f" {dot} surprisal: {computing(scene)}"
    else:
        bits = f"{number(surprise.bits, ascii=ascii)} bits"
        text = f" {dot} {bits} {dot} {percent(surprise.probability, ascii=ascii)} {dot} rank {count(surprise.rank + 1)}"
        if surprise.rank:
            expected = scene.id_label(surprise.expected).strip()
            text += f" {dot} expected {expected} {percent(surprise.expected_probability, ascii=ascii)}"
        else:
            text += f" {dot} as expected"
    mean = f"surprisal, mean {number(whole.bits, ascii=ascii)} bits" if whole else ""
    room = scene.width - x - 1
    if mean and cell_width(text) + len(mean) + 2 <= room:
        canvas.put(scene.width - 1 - len(mean), y, mean, "faint")
    canvas.put(x, y, text, "muted", width=min(cell_width(text), room))
