"""How something comes about, in frames: a pass through the blocks, one row of attention, a draw.

A frame is a function of the scene and its number alone; each number in it is one of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from txexplain.engine.sampling import Draw, uniform
from txexplain.errors import NotRecorded
from txexplain.explorer import choice
from txexplain.facts import head as facts
from txexplain.facts.lens import best
from txexplain.facts.output import known
from txexplain.facts.residual import changes
from txexplain.text import cell_width
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import number, percent
from txexplain.viz.palette import contrast
from txexplain.viz.ramps import CALM, Ramp, pool
from txexplain.viz.scene import Scene
from txexplain.viz.shapes import Picture, rectangle, smootherstep
from txexplain.viz.views.chrome import fitting, title
from txexplain.viz.views.head import window, word
from txexplain.viz.views.model import CHIP, laid_out
from txexplain.viz.views.panel import sampling_text
from txexplain.viz.views.strips import columns, largest

LONGEST, SLOWEST = 4.5, 0.3  # seconds of a film, and of a frame, at most
IN_A_COLUMN = 3  # frames in which a block's column is passed
STEPS = 5  # frames in which a stage of a row runs down its keys
RUN = 24  # frames in which the number runs along the bar
STAGES = ("qk", "scaled", "masked", "exp", "share", "z")  # of a row, in their order
FIGURE = 11  # cells of a number of a row
TALL = 4  # rows of the sum of values, where there are so many
BAR = 3  # of the cumulative bar


@dataclass(frozen=True)
class Film:
    """Frames by their numbers, and the seconds that each is shown."""

    frames: int
    frame: Callable[[int], Canvas]

    @property
    def seconds(self) -> float:
        return min(SLOWEST, LONGEST / self.frames)


def film_of(scene: Scene, keys: str = "") -> Film | None:
    """What can be shown at the scene's place, in a stage of its size; keys: what they do meanwhile. None where there is nothing.

    Raises NotRecorded.
    """
    if scene.shown is None:
        return None
    match scene.location.kind:
        case "model" if scene.ribbons is not None:
            film = passing(scene)
        case "head":
            film = row(scene)
        case "output":
            film = drawing(scene)
        case _:
            return None

    def frame(t: int) -> Canvas:
        canvas = film.frame(t)
        said = f"{t + 1} of {film.frames}" + (f"   {keys}" if keys else "")
        canvas.put(1, scene.height - 1, said, "muted", "panel", width=scene.width - 2)
        return canvas

    return replace(film, frame=frame)


# A pass through the blocks


def passing(scene: Scene) -> Film:
    """The ribbons grow from the embedding to the end, block by block; the last frame is the view itself."""
    whole, c, (bottom, end) = laid_out(scene)
    blocks = [b for b in range(scene.config.n_layer) if b + 1 in c.shown]
    each = IN_A_COLUMN if scene.palette.pixels else 1  # of lines and numbers a part would be no number

    def frame(t: int) -> Canvas:
        canvas = Canvas(scene.width, scene.height, scene.palette)
        canvas.blit(whole, 0, 0)
        if t == len(blocks) * each:
            return canvas
        block, part = blocks[t // each], t % each + 1
        x0, x1 = c.at(block + 1), c.at(block + 2)
        canvas.curtain(max(x0 + (x1 - x0) * part // each, min(x0 + CHIP + 1, x1)), 2, bottom)
        canvas.curtain(x1 if part == each else x0, bottom, end)
        canvas.fill(0, end, scene.width, scene.height - end, bg="background")
        canvas.style(x0, 1, min(cell_width(f"L{block}"), x1 - x0), 1, "accent", attrs=BOLD)
        adds, says = block_in_words(scene, block)
        if scene.height - 3 >= end:
            canvas.put(1, scene.height - 3, adds, "text", width=scene.width - 2)
            canvas.put(1, scene.height - 2, says, "text", width=scene.width - 2)
        else:
            fitting(canvas, scene.height - 2, f"{adds}; {says}", says or adds, ink="text")
        return canvas

    return Film(len(blocks) * each + 1, frame)


def block_in_words(scene: Scene, block: int) -> tuple[str, str]:
    """What a block adds to the selected token, and what its stream would say next behind it; what isn't known isn't told."""
    ascii, name = scene.palette.ascii, word(scene, scene.token)
    try:
        attn, mlp = (number(length, ascii=ascii) for length in changes(scene.result, scene.token)[block])
        said = f"L{block} adds to {name}: attention {attn}, MLP {mlp} (norms)"
        token, share = best(scene.result, block + 1, scene.token)[0]
    except NotRecorded:
        return f"L{block}", ""
    guess, sure = scene.id_label(token).strip() or scene.id_label(token), percent(share, ascii=ascii)
    return said, f"read behind L{block}, “{guess}” would come next: {sure}"


# A row of attention


@dataclass(frozen=True, eq=False)
class RowOfKeys:
    """A query's numbers for every key, stage by stage: [T] each; of z, the sums of share × v down to each key: [T, dh]."""

    query: int
    scale: float
    most: float
    total: float
    stages: dict[str, np.ndarray]


def numbers_of(scene: Scene) -> RowOfKeys:
    """Raises NotRecorded, and ChangedByHand where the head's result isn't its mix of the values."""
    result, place = scene.result, scene.location
    query, layer, head = choice.cursor(result, place)[0], place.block, place.head
    qk, scaled, masked, pattern = (facts.grid(result, layer, head, stage)[query] for stage in ("qk", "scaled", "masked", "softmax"))
    first = facts.share(result, layer, head, query, 0)
    facts.weighted(result, layer, head)  # which asks whether z is what it should be
    values = result.trace[f"blocks.{layer}.attn.v"][:, head].astype(np.float64)  # [T, dh]
    scale = result.scale(layer)
    assert scale is not None  # or there would be no scaled scores
    exp = np.exp(masked.astype(np.float64) - first.most)
    shares = pattern.astype(np.float64)
    z = np.cumsum(shares[:, None] * values, axis=0)
    stages = {"qk": qk, "scaled": scaled, "masked": masked, "exp": exp, "share": shares, "z": z}
    return RowOfKeys(query, scale, first.most, first.total, stages)


def row(scene: Scene) -> Film:
    """Products, scale, mask, e^x, shares, the sum of the values: each runs down the keys."""
    numbers = numbers_of(scene)
    return Film(len(STAGES) * STEPS, partial(row_frame, scene, numbers))


def row_frame(scene: Scene, numbers: RowOfKeys, t: int) -> Canvas:
    """The stage at t // STEPS has come to a part of the keys, those before it to all."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, ascii, palette, query = scene.location, scene.palette.ascii, scene.palette, numbers.query
    title(canvas, scene, f"L{place.block}H{place.head} {palette.glyphs.dot} row of Q{query} {word(scene, query)}, step by step")
    tall = TALL if palette.pixels and scene.height >= scene.n_tokens + TALL + 6 else 1
    keys = window(query, scene.n_tokens, max(1, scene.height - tall - 6))
    now, part = divmod(t, STEPS)
    reached = keys[min(len(keys) - 1, -(-len(keys) * (part + 1) // STEPS) - 1)]
    names = min(16, max(cell_width(word(scene, key)) for key in keys) + len(str(keys[-1])) + 2)
    times, minus = palette.glyphs.times, palette.glyphs.minus
    heads = ("q·k", f"{times} {number(numbers.scale)}", "mask", f"e^(x{minus}max)", "share")
    x, most = 2 + names, float(numbers.stages["share"].max()) or 1.0
    canvas.put(1, 1, "key", "key")
    for n, (stage, text) in enumerate(zip(STAGES, heads, strict=False)):
        canvas.put(
            x + n * FIGURE, 1, text, "accent" if n == now else "muted", attrs=BOLD if n == now else 0, width=FIGURE - 1, align="right"
        )
        for y, key in enumerate(keys, 2):
            if n < now or (n == now and key <= reached):
                value = float(numbers.stages[stage][key])
                figure = percent(value, ascii=ascii) if stage == "share" else number(value, ascii=ascii)
                lit = n == now and key == reached
                canvas.put(
                    x + n * FIGURE, y, figure, "text" if n == now else "muted", "cursor" if lit else None, width=FIGURE - 1, align="right"
                )
                if stage == "share":
                    room, at = max(4, scene.width - x - (n + 1) * FIGURE - 2), x + (n + 1) * FIGURE
                    canvas.put(at, y, bar(value / most, room, palette), palette.mix("background", "attention", CALM))
    for y, key in enumerate(keys, 2):
        lit = key == reached
        canvas.put(1, y, f"K{key} {word(scene, key)}", "key", "cursor" if lit else None, BOLD if lit else 0, width=names)
    y = 2 + len(keys)
    if STAGES[now] == "z":
        whole = numbers.stages["z"]
        sum_ = whole[reached]
        canvas.put(1, y, f"z, the sum of share {times} v down to K{reached}", "value", attrs=BOLD, width=scene.width - 2)
        shown, _ = pool(sum_, scene.width - 2)
        ends = (float(whole.min()), float(whole.max()))
        each = max(1, (scene.width - 2) // len(shown))
        if tall > 1:
            columns(canvas, shown, largest(shown), ends, (1, y + 1), (each, tall))
        else:
            ramp = Ramp("diverging", "value", palette)
            ramp.cells(canvas, (1, y + 1), (each, 1), ramp.quantise(shown, *ends)[None])
    canvas.put(1, scene.height - 2, row_in_words(scene, numbers, STAGES[now], reached), "text", width=scene.width - 2)
    return canvas


def row_in_words(scene: Scene, numbers: RowOfKeys, stage: str, key: int) -> str:
    """One key's step in numbers."""
    ascii, glyphs, at = scene.palette.ascii, scene.palette.glyphs, {name: values[key] for name, values in numbers.stages.items()}
    figure = {name: number(float(value), ascii=ascii) for name, value in at.items() if name != "z"}
    divide = "/" if ascii else "÷"
    match stage:
        case "qk":
            return f"q of Q{numbers.query} {glyphs.dot} k of K{key} = {figure['qk']}: {scene.config.head_dim} products, added up"
        case "scaled":
            return f"{figure['qk']} {glyphs.times} {number(numbers.scale)} = {figure['scaled']}"
        case "masked":
            if key > numbers.query:
                return f"K{key} comes after Q{numbers.query}: {glyphs.minus}{glyphs.infinity}, so that its share is 0"
            return f"K{key} doesn't come after Q{numbers.query}: {figure['masked']} stays"
        case "exp":
            return f"e^({figure['masked']} {glyphs.minus} {number(numbers.most, ascii=ascii)}, the largest) = {figure['exp']}"
        case "share":
            total, share = number(numbers.total, ascii=ascii), percent(float(at["share"]), ascii=ascii)
            return f"{figure['exp']} {divide} {total}, the sum of all = {share}"
    length = number(float(np.linalg.norm(at["z"])), ascii=ascii)
    return f"{percent(float(at['share']), ascii=ascii)} of K{key}'s value is added: z has norm {length}"


# A draw


def drawing(scene: Scene) -> Film:
    """The number of the draw that comes next runs along the cumulative bar to where it lies."""
    distribution = known(scene.distribution)
    drawn = distribution.draw(uniform(scene.state.seed, scene.n_tokens))
    return Film(RUN + 1, partial(paint_frame, scene, drawn))


def paint_frame(scene: Scene, drawn: Draw, t: int) -> Canvas:
    """The number at part t of its way, and the token that it is at."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    ascii, palette, distribution = scene.palette.ascii, scene.palette, known(scene.distribution)
    title(canvas, scene, f"the next draw {palette.glyphs.dot} seed {scene.state.seed} {palette.glyphs.dot} {sampling_text(scene)}")
    u = drawn.uniform if t >= RUN else drawn.uniform * float(smootherstep(np.array(t / RUN)))
    at = distribution.draw(u)
    room, ends = scene.width - 2, distribution.drawing_bar  # [kept]
    cell = 1 + min(int(u * room), room - 1)
    canvas.put(1, 1, f"the number {u:.4f}", "accent", attrs=BOLD)
    canvas.put(cell, 2, palette.glyphs.down, "accent", attrs=BOLD)
    first = np.concatenate([[0.0], ends[:-1]])
    shown = min(len(ends), int((ends - first >= 0.5 / room).sum()) + 1)  # the others take less than half a cell each
    if palette.pixels:
        picture = Picture(room, BAR)
        for odd, strength in ((0, 0.5), (1, 0.3)):
            picture.add("bar", *(rectangle(first[i] * room, 0, (ends[i] - first[i]) * room, BAR, strength) for i in range(odd, shown, 2)))
        picture.add(
            "bar", *([rectangle(ends[shown - 1] * room, 0, (1 - ends[shown - 1]) * room, BAR, 0.15)] if ends[shown - 1] < 1 else [])
        )
        picture.add("drawn" if t >= RUN else "accent", rectangle(at.low * room, 0, (at.high - at.low) * room, BAR, 0.9))
        canvas.show(1, 3, picture)
    else:
        ranks_at = np.searchsorted(ends, (np.arange(room) + 0.5) / room, side="right").tolist()
        for x, rank in enumerate(ranks_at):
            char = palette.glyphs.shades[len(palette.glyphs.shades) - 1 if rank == at.rank else 1 + rank % 2]
            canvas.fill(1 + x, 3, 1, BAR, char, "drawn" if rank == at.rank else "bar")
    for rank in range(shown):
        name = scene.id_label(int(distribution.order[rank])).strip()
        x0, x1 = 1 + int(np.ceil(first[rank] * room)), 1 + int(ends[rank] * room)
        if 0 < cell_width(name) < x1 - x0 - 1 and palette.pixels:
            middle = (x0 + x1 - cell_width(name)) // 2
            ink = max(("text", "background"), key=lambda role: contrast(palette.rgb(role), int(canvas.bg[3 + BAR // 2, middle])))
            canvas.put(middle, 3 + BAR // 2, name, ink)
    canvas.put(1, 3 + BAR, "0", "faint")
    canvas.put(scene.width - 2, 3 + BAR, "1", "faint")
    rows = max(1, scene.height - BAR - 8)
    ranks = window(at.rank, min(len(ends), max(shown, at.rank + 1)), rows)
    canvas.put(1, 5 + BAR, "rank  token", "muted")
    for n, text in enumerate(("share", "from", "to")):
        canvas.put(24 + n * FIGURE, 5 + BAR, text, "muted", width=FIGURE - 1, align="right")
    for y, rank in enumerate(ranks, 6 + BAR):
        lit = rank == at.rank
        token, share = int(distribution.order[rank]), float(ends[rank] - first[rank])
        look = ("drawn" if lit and t >= RUN else "text", "cursor" if lit else None, BOLD if lit else 0)
        canvas.put(0, y, str(rank + 1), "muted", "cursor" if lit else None, width=5, align="right")
        canvas.put(5, y, "  " + scene.id_label(token), *look, width=19)
        figures = (percent(share, ascii=ascii), f"{first[rank]:.4f}", f"{ends[rank]:.4f}")
        for n, text in enumerate(figures):
            canvas.put(24 + n * FIGURE, y, text, look[0], look[1], width=FIGURE - 1, align="right")
    name = scene.id_label(at.id).strip() or scene.id_label(at.id)
    said = f"{u:.4f} lies from {at.low:.4f} to {at.high:.4f}: {name}"
    canvas.put(1, scene.height - 2, f"drawn: {said}" if t >= RUN else said, "text", width=scene.width - 2)
    return canvas
