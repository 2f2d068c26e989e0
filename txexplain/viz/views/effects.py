"""Effects: by how much A − B changes where a head or MLP is set to its mean, an edge is cut, or a token is hidden from all later ones."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from txexplain.errors import NotRecorded
from txexplain.explorer.location import Dims, place_of
from txexplain.explorer.places.effects import BY_HEAD, BY_ROW, BY_TOKEN, PATCHED, head_name, part_names, row_name, sorted_parts
from txexplain.facts.effects import EffectsFacts
from txexplain.text import clip, wrapped
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import MINUS, fit, number
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.ramps import MASKED, Ramp
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, first_of, mark
from txexplain.viz.views.chrome import balance, contrast_name, paragraph, title

LEFT = 5  # cells for the blocks' names
NARROWEST, WIDEST, TALLEST = 6, 10, 4  # cells of a square, its margin included
NAME, TOKEN, FIGURE = 8, 16, 9
WHAT = {
    None: "each head and MLP", "sorted": "the largest first", "edges": "the last token's edges", "rows": "tokens, hidden from later ones",
    "patch": "the stream before each block, patched", "mlps": "what each MLP adds, patched", "z": "each head's result, patched",
    "q": "each head's queries, patched", "k": "each head's keys, patched", "v": "each head's values, patched",
    "pattern": "where each head looks, patched",
}  # fmt: skip


def known(scene: Scene) -> EffectsFacts | None:
    """What a sweep has found so far."""
    found: EffectsFacts | None = scene.found
    return found


def value_of(facts: EffectsFacts | None, name: str) -> float:
    """An effect; NaN where it isn't computed yet."""
    return math.nan if facts is None else facts.by_name[name]


def dims_here(scene: Scene) -> Dims:
    """What tells which thing is selected."""
    config = scene.config
    dims = Dims.of(config, scene.n_tokens, scene.model_name)
    return replace(dims, order=sorted_parts(known(scene), config)) if scene.location.face == "sorted" else dims


def selected_name(scene: Scene) -> str:
    """What is selected, as changes name it."""
    return place_of(scene.location).change(scene.location, dims_here(scene))


@PICTURES.of("effects")
def paint_effects(scene: Scene) -> Canvas:
    """A square a head, a block a row; or a list, with a bar to either side of a line: left, where it was needed, A − B falls."""
    require_known(scene)
    canvas = Canvas(scene.width, scene.height, scene.palette)
    facts, dot = known(scene), scene.palette.glyphs.dot
    now = "" if facts is None else f" {number(facts.without, ascii=scene.palette.ascii, sign=True)}"
    title(
        canvas, scene, f"effects {dot} {contrast_name(scene)}{now}", f"{progress(facts)} {dot} {WHAT[scene.location.face]}", progress(facts)
    )
    if scene.location.face in PATCHED and (why := nothing(scene)):
        paragraph(canvas, 2, 2, why, scene.width - 4)
        return canvas
    foot = wrapped(legend(scene), scene.width - 2)[: max(0, scene.height - 6)]
    bottom = scene.height - 1 - len(foot)
    if scene.location.face is None or scene.location.face in PATCHED:
        squares(canvas, scene, bottom)
    else:
        listing(canvas, scene, bottom)
    canvas.put(1, bottom, readout(scene), "accent", attrs=BOLD, width=scene.width - 2)
    for line, text in enumerate(foot, bottom + 1):
        canvas.put(1, line, text, "muted", width=scene.width - 2)
    return canvas


def nothing(scene: Scene) -> str:
    """Why there is no map of patches; empty where there is one."""
    facts = known(scene)
    if facts is None and scene.location.face == "pattern":
        return "Not computed yet, or there is no other run of as many tokens: where a head looks can be patched between such alone."
    if facts is None:
        return "Not computed yet, or no other run is there to patch from: b holds this one, / edits the prompt; --from names one, too."
    return "" if facts.total else "The other run is the same: there is nothing that a patch could change."


def require_known(scene: Scene) -> None:
    """Raise NotRecorded where nothing can be tried: without the model that made the run, or without logits."""
    if scene.result.model is None or scene.trace.origin is not scene.result.model:
        raise NotRecorded("weights")
    if scene.contrast is None:
        raise NotRecorded("logits")


def progress(facts: EffectsFacts | None) -> str:
    """How much is computed."""
    if facts is None:
        return "not computed yet"
    return f"all {facts.total}" if facts.complete else f"{facts.done} of {facts.total} computed"


def legend(scene: Scene) -> str:
    """What the numbers are, and what they were found by."""
    face = scene.location.face
    to = "" if (facts := known(scene)) is None else facts.to
    if face in PATCHED:
        what = {"patch": "one token's stream before one block", "mlps": "what one MLP adds to one token"}.get(
            face, f"one head's {face}, in all rows,"
        )
        same = "; rows before these are the same in both" if face in BY_ROW else ""
        return (
            f"by how much {contrast_name(scene)} at the last token changes where {what} is taken from the other run, and all that "
            f"follows is computed again{same}. Enter does it for good, v shows others"
        )
    how = "cut in all heads and blocks" if face in BY_TOKEN else f"set to its {to}, a reference text" if "mean" in to else f"set to {to}"
    return (
        f"by how much {contrast_name(scene)} at the last token changes where one is {how or 'changed'}, and all that follows is computed "
        f"again: {scene.palette.glyphs.minus} it was needed, + it was in the way. Enter does it for good, v shows others"
    )


def readout(scene: Scene) -> str:
    """The selected thing: what it changes, in full figures."""
    facts, ascii, name = known(scene), scene.palette.ascii, selected_name(scene)
    change = value_of(facts, name)
    if facts is None or math.isnan(change):
        return f"{name}: {lacking(facts)}"
    before, after = (number(each, ascii=ascii, sign=True) for each in (facts.without, facts.without + change))
    done = facts.to if facts.to in ("cut", "patched") else f"at {facts.to}"
    way = "" if facts.restored(name) is None else f", {number(facts.restored(name) or 0.0, ascii=ascii)} of the way there"
    return f"{name} {done}: {before} {scene.palette.glyphs.arrow} {after}, that is {number(change, ascii=ascii, sign=True)}{way}"


def lacking(facts: EffectsFacts | None) -> str:
    """Why there is no number."""
    return "the other run has no such row" if facts is not None and facts.complete else "not computed yet"


def squares(canvas: Canvas, scene: Scene, bottom: int) -> None:
    """A square a thing, in the effect's colour, and the number under it: heads and MLPs by block, or tokens by the stream before blocks."""
    config, place, facts = scene.config, scene.location, known(scene)
    if place.face in BY_ROW:
        assert facts is not None
        rows = [f"{t} {scene.label(t).strip()}" for t in range(facts.start, scene.n_tokens)]
        heads = [f"L{n}" for n in range(config.n_layer)]
        names = [[row_name(place.face, n, t) for n in range(config.n_layer)] for t in range(facts.start, scene.n_tokens)]
        places = [[replace(place, select=f"L{n}H0", token=t) for n in range(config.n_layer)] for t in range(facts.start, scene.n_tokens)]
        left = TOKEN
    elif place.face in BY_HEAD:
        rows, heads, left = [f"L{n}" for n in range(config.n_layer)], [f"H{n}" for n in range(config.n_head)], LEFT
        names = [[head_name(place.face, n, head) for head in range(config.n_head)] for n in range(config.n_layer)]
        places = [[replace(place, select=head_name("z", n, head)) for head in range(config.n_head)] for n in range(config.n_layer)]
    else:
        rows, heads, left = [f"L{n}" for n in range(config.n_layer)], [*(f"H{n}" for n in range(config.n_head)), "MLP"], LEFT
        every, columns = part_names(config.n_layer, config.n_head), config.n_head + 1
        names = [every[n * columns : (n + 1) * columns] for n in range(config.n_layer)]
        places = [[replace(place, select=name) for name in row] for row in names]
    here = next(((r, row.index(selected_name(scene))) for r, row in enumerate(names) if selected_name(scene) in row), (0, 0))
    across = max(NARROWEST, min(WIDEST, (scene.width - left) // len(heads)))
    down = max(1, min(TALLEST, (bottom - 2) // max(1, len(rows))))
    seen = max(1, min(len(rows), (bottom - 2) // down)), max(1, min(len(heads), (scene.width - left) // across))
    top, first = (max(0, min(at - n // 2, size - n)) for at, n, size in zip(here, seen, (len(rows), len(heads)), strict=True))
    ramp, reach = Ramp("diverging", "positive", scene.palette), largest(facts)
    for x, c in enumerate(range(first, first + seen[1])):
        canvas.put(left + x * across, 1, heads[c], "accent" if c == here[1] else "muted", width=across - 1, align="right")
    for y, r in zip(range(2, bottom, down), range(top, min(len(rows), top + seen[0])), strict=False):
        label = clip(rows[r], left - 2, scene.palette.glyphs.ellipsis)
        canvas.put(1, y, label, "accent" if r == here[0] else "muted")
        for x, c in zip(range(left, scene.width, across), range(first, first + seen[1]), strict=False):
            square(canvas, ramp, (x, y), (across - 1, down), value_of(facts, names[r][c]), reach)
            if names[r][c] == selected_name(scene):
                canvas.put(x - 1, y, scene.palette.glyphs.marker, "accent", attrs=BOLD)
            canvas.target(x, y, across, down, places[r][c])


def largest(facts: EffectsFacts | None) -> float:
    """The size of the largest effect so far, which the strongest colour stands for."""
    sizes = np.abs(facts.change[~np.isnan(facts.change)]) if facts is not None else np.zeros(0)
    return float(sizes.max(initial=0.0)) or 1.0


def square(canvas: Canvas, ramp: Ramp, corner: tuple[int, int], size: tuple[int, int], value: float, reach: float) -> None:
    """A number under its colour, or on it where there is one row; a point where it isn't computed yet."""
    (x, y), (across, down), palette = corner, size, canvas.palette
    level = int(ramp.quantise([value], -reach, reach)[0])
    text = palette.glyphs.dot if level == MASKED else short(value, across, reach, 1, ascii=palette.ascii)
    tall = max(1, down - 2) if down > 2 else 1
    if level != MASKED and (ramp.coloured or down > 1):
        for line in range(tall):
            ramp.cell(canvas, x, y + line, across, level)
    if down > 1:
        canvas.put(x, y + tall, text, "text" if level != MASKED else "faint", width=across, align="right")
    elif ramp.coloured and level != MASKED:
        canvas.put(x, y, text, ramp.ink(level), ramp.colour(level), width=across, align="right")
    else:
        canvas.put(x, y, text, "text" if level != MASKED else "faint", width=across, align="right")


def short(value: float, cells: int, reach: float, decimals: int, *, ascii: bool) -> str:
    """An effect in a few cells, with its sign: to a tenth or hundredth, unless all are small."""
    if value == 0:
        return "0"
    sign = "+" if value > 0 else ""
    text = f"{value:+.{decimals}f}".replace("-", MINUS)
    text = text if text.strip("+0." + MINUS) else text[1:]
    text = text if reach >= 1 and len(text) <= cells else sign + fit(value, cells - len(sign))
    return text.replace(MINUS, "-") if ascii else text


def listing(canvas: Canvas, scene: Scene, bottom: int) -> None:
    """A row a head and MLP, or a token, with a bar."""
    config, place, facts = scene.config, scene.location, known(scene)
    if place.face in BY_TOKEN:
        dims, last = dims_here(scene), scene.n_tokens - 1
        rows = [(place_of(place).with_token(place, t, dims), f"{t} {scene.label(t).strip()}") for t in range(last + 1)]
        here, width = scene.token, TOKEN
    else:
        names = part_names(config.n_layer, config.n_head)
        order = sorted_parts(facts, config)
        rows = [(replace(place, select=names[n]), names[n]) for n in order]
        here, width = order.index(names.index(selected_name(scene))), NAME
    room = max(1, bottom - 1)
    first = max(0, min(here - room // 2, len(rows) - room))
    changes = [] if facts is None else facts.change[~np.isnan(facts.change)].tolist()
    ends, reach = (min(changes, default=0.0), max(changes, default=0.0)), largest(facts)
    for y, (at, label) in enumerate(rows[first : first + room], 1):
        lit = first + y - 1 == here
        value = value_of(facts, place_of(at).change(at, dims_here(scene)))
        if lit:
            canvas.fill(0, y, scene.width, 1, bg="cursor")
        role = "text" if place.face in BY_TOKEN else "mlp" if label.endswith("mlp") else "attention"
        canvas.put(1, y, clip(label, width - 1, scene.palette.glyphs.ellipsis), role, attrs=BOLD if lit else 0, width=width)
        figure = "not yet" if math.isnan(value) else short(value, FIGURE - 1, reach, 2, ascii=scene.palette.ascii)
        canvas.put(1 + width, y, figure, "faint" if math.isnan(value) else "text", width=FIGURE - 1, align="right")
        if not math.isnan(value):
            balance(canvas, value, ends, (1 + width + FIGURE, y), scene.width - width - FIGURE - 2, "positive")
        canvas.target(0, y, scene.width, 1, at)


@TABLES.of("effects")
def effects_table(scene: Scene) -> Table:
    require_known(scene)
    facts, here = known(scene), selected_name(scene)
    rows: list[Row] = [("", "what", "changes it by")]
    if facts is None:
        return nothing(scene), [*rows, (mark(True), here, "")]
    names = list(facts.by_name)
    rows += [(mark(names[n] == here), names[n], effect(facts, names[n])) for n in first_of(facts.order, names.index(here))]
    how = facts.to if facts.to in ("cut", "patched") else f"set to {facts.to}"
    now = number(facts.without, sign=True)
    return f"{contrast_name(scene)} is {now} here; what changes it most where it is {how} ({progress(facts)}):", rows


def effect(facts: EffectsFacts, name: str) -> str:
    """A change of A − B."""
    change = facts.by_name[name]
    return lacking(facts) if change != change else number(change, sign=True)
