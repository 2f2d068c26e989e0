"""The next-token panel: bars by descending logit, so that temperature changes lengths and never the order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from txexplain.engine.sampling import Distribution, Draw, Ranking, movers, settle
from txexplain.explorer.edits import told
from txexplain.explorer.history import Moment
from txexplain.explorer.location import place_of
from txexplain.explorer.state import STOPS
from txexplain.text import cell_width, clip
from txexplain.viz.bars import bar, slider, sparkline
from txexplain.viz.canvas import BOLD, STRIKE, Canvas
from txexplain.viz.numbers import count, number, percent
from txexplain.viz.scene import Scene
from txexplain.viz.views.chrome import OLD, paragraph, title
from txexplain.words.panes import figures_apart

AXES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # where a full bar may end
HOTTEST = 10.0
MOST, FEWEST, LISTED = 10, 3, 0.001  # candidates at most and at least, and the share from which on one is listed
SWEEP_ROWS, SWEEP_LEAST = 5, 0.1  # the tokens whose shares are shown at each temperature, from this one on
LOWEST = 3  # rows of a panel whose list the stage has
ABOVE = ("lesson", "welcome")  # what of the side pane stands above the panel
DRAW_ROWS = 4  # how a token was drawn, in a panel that stands beside the stage
NAMED = 200  # how far down the ranks the bar of the draw has a segment of its own
COLUMN, LOW = 60, 14  # a panel narrower than this is a column, and up to this height a low one
SHORTEST = 5  # cells of a name on the bar of the draw that is cut: with fewer, it is left out
NUMBER = 8  # cells of a percentage with its space


def axis(largest: float) -> float:
    """The probability that a full bar stands for: the first round one that holds the largest."""
    return next((end for end in AXES if largest <= end), 1.0)


def full_bar(scene: Scene) -> float:
    """What a full bar stands for in this panel: it holds each share that is shown, those before the filter and the held ones too."""
    if scene.distribution is None:
        return 1.0
    held = scene.held.distribution if scene.held is not None and comparable(scene.held.distribution, scene.distribution) else None
    shown = [scene.distribution.probability, scene.distribution.full_probability, *(() if held is None else (held.probability,))]
    return axis(max(float(shares.max()) for shares in shown))


def has_two_columns(scene: Scene) -> bool:
    """Whether each row has two percentages: kept and all, or now and held."""
    held = scene.distribution is not None and scene.held is not None and comparable(scene.held.distribution, scene.distribution)
    return held or (scene.distribution is not None and scene.distribution.mode != "full")


def sampling_text(scene: Scene) -> str:
    """The sampling mode in a word or two."""
    state = scene.state
    return {"full": "full", "greedy": "greedy", "top-k": f"top-k {state.k}", "top-p": f"top-p {state.p:g}"}[state.mode]


def temperature_position(temperature: float) -> float:
    """Where the slider's knob lies: half the way is for 0 to 2, where most of the stops are."""
    return temperature / 4 if temperature <= 2 else 0.5 + (temperature - 2) / (2 * (HOTTEST - 2))


def stands_beside(scene: Scene) -> bool:
    """Whether the panel is a column beside the stage, not rows below it."""
    return scene.width < COLUMN


def one_row(canvas: Canvas, scene: Scene, distribution: Distribution) -> int:
    """All that a lesson leaves of the panel in a narrow screen: the temperature and the likeliest token. Returns where that begins."""
    top = int(distribution.order[0])
    text = f" {clip(scene.id_label(top).strip(), 14)} {percent(float(distribution.probability[top]), ascii=scene.palette.ascii)} "
    x = scene.width - cell_width(text) - 2
    present = not (scene.back or scene.stale)  # else that is said here
    if present and x >= 60:
        settings(canvas, scene, 16, 0, 44)
    elif present:
        canvas.put(16, 0, f" T {scene.state.temperature:.2f} {sampling_text(scene)} ", "text", attrs=BOLD)
    canvas.put(x, 0, text, "text", attrs=BOLD)
    return x


def is_tall(scene: Scene) -> bool:
    """Whether a column has room for more than the bars; a lecture wants the bars alone."""
    return stands_beside(scene) and scene.height > LOW and not scene.lecture


def paint_panel(scene: Scene) -> Canvas:
    """Temperature, live figures, and a bar for as many candidates as fit."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    beside, tall = stands_beside(scene), is_tall(scene)
    title(canvas, scene, "Next token", focused=scene.pane == "panel")
    if beside:
        canvas.vline(0, 1, scene.height - 1)
        canvas.put(0, 0, scene.palette.glyphs.tees[0 if scene.side in ABOVE else 2], "rule")
    distribution = scene.distribution
    if distribution is None:
        unknown = "not computed yet" if scene.shown is None or "logits" in scene.trace else "logits: not recorded"
        paragraph(canvas, 2, 1, scene.message or unknown, scene.width - 3)
        return canvas
    x, y = (2 if beside else 62), int(tall)  # where it is said that this isn't the present
    room, notices = scene.width - x - 1, notices_of(scene)
    if scene.height == 1:
        x, room = 16, one_row(canvas, scene, distribution) - 16
    elif beside and not tall:
        draw_rows = DRAW_ROWS if scene.draw is not None and scene.drawn_from is not None and scene.height >= 4 + DRAW_ROWS else 0
        settings(canvas, scene, 2, 1, scene.width - 3)
        first = 2 if scene.lecture else 3
        if not scene.lecture:
            figures(canvas, scene, distribution, 2, 2)
        candidates(canvas, scene, distribution, first, scene.height - first - (draw_rows or 1 - scene.lecture))
        if draw_rows:
            drawing(canvas, scene, 2, scene.height - draw_rows, scene.width - 3)
        elif not scene.lecture:
            story(canvas, scene, 2, scene.height - 1)
    elif tall:
        settings(canvas, scene, 2, 2, scene.width - 3)
        figures(canvas, scene, distribution, 2, 3)
        draw_rows = DRAW_ROWS if scene.draw is not None and scene.drawn_from is not None else 0
        end = scene.height - (draw_rows or 1) - 1
        y_next = 5 + candidates(canvas, scene, distribution, 5, end - 5) + 1
        if scene.held is not None and comparable(scene.held.distribution, distribution):
            moved(canvas, scene, scene.held, distribution, 2, y_next, min(SWEEP_ROWS, end - y_next - 1))
        elif end - y_next >= SWEEP_ROWS + 2:
            sweep(canvas, scene, distribution, y_next)
        if draw_rows:
            drawing(canvas, scene, 2, scene.height - draw_rows, scene.width - 3)
        else:
            story(canvas, scene, 2, scene.height - 1)
    else:
        if notices and (scene.back or scene.lecture) and len(notices[-1]) + 2 > room:  # elsewhere the header says "computing", too
            x, room = 16, scene.width - 17  # in place of the setting
        else:
            settings(canvas, scene, 16, 0, min(44, scene.width - 18 - (2 * NUMBER if has_two_columns(scene) else 0)))
        stage_lists = place_of(scene.location).has_candidates and scene.height <= LOWEST
        shown_draw = scene.draw is not None and scene.drawn_from is not None and (stage_lists or scene.height >= 6)
        if not stage_lists:
            candidates(canvas, scene, distribution, 1, scene.height - (3 if shown_draw else 2))
        if shown_draw:
            cumulative_bar(canvas, scene, 1, scene.height - 2, scene.width - 2)
        if scene.held is not None and comparable(scene.held.distribution, distribution):
            canvas.put(1, scene.height - 1, moved_line(scene, scene.held, distribution, scene.width - 2), "muted")
        elif scene.draw is not None:
            story(canvas, scene, 1, scene.height - 1)
        else:
            figures(canvas, scene, distribution, 1, scene.height - 1)
    if scene.faded:
        canvas.fade(OLD)
    if notices:
        words = next((words for words in notices if len(words) + 2 <= room), "")
        canvas.put(x, y, f" {words} " if words else "", "warning", "panel")
    return canvas


def notices_of(scene: Scene) -> tuple[str, ...]:
    """How it is said that a distribution isn't the present one, the longer words first; nothing where it is."""
    if scene.stale:
        return "old: computing the new ones", "old: computing"
    if scene.back:
        return f"{scene.back} back: T {scene.state.temperature:.2f} {sampling_text(scene)}", f"{scene.back} back"
    return ()


def comparable(a: Distribution, b: Distribution) -> bool:
    """Whether two distributions are over the same vocabulary."""
    return len(a.order) == len(b.order)


def held_name(scene: Scene, held: Moment) -> str:
    """What is held, in words: its setting, and its text and what was changed in it where these are others."""
    name = f"T {held.temperature:.2f} " + {"top-k": f"top-k {held.k}", "top-p": f"top-p {held.p:g}"}.get(held.mode, held.mode)
    if scene.shown is None:
        return name
    dot, same = f" {scene.palette.glyphs.dot} ", held.ids == tuple(scene.trace.ids)
    if same and scene.changed and not held.edits:
        return "the unchanged run" + (dot + name if held.seen_from(scene.state).sampling != scene.state.sampling else "")
    if not same:
        name += f"{dot}text of {len(held.ids)} up to {scene.id_label(held.ids[-1]).strip()}"
    if held.edits and held.edits != scene.state.edits:
        name += dot + ", ".join(told(each) for each in held.edits)
    return name


def moved(canvas: Canvas, scene: Scene, held: Moment, distribution: Distribution, x: int, y: int, rows: int) -> None:
    """What changed most since the distribution that is held."""
    ascii = scene.palette.ascii
    canvas.put(x, y, f"held: {held_name(scene, held)}", "text", width=scene.width - x - 1)
    found = movers(held.distribution, distribution, rows + 1)
    if not found:
        canvas.put(x, y + 1, "nothing has changed since", "muted", width=scene.width - x - 1)
    for row, (token, before, after) in enumerate(found):
        up = after > before
        glyph = scene.palette.glyphs.up if up else scene.palette.glyphs.down
        canvas.put(x, y + 1 + row, f"{glyph} ", "positive" if up else "negative")
        canvas.put(x + 2, y + 1 + row, scene.id_label(token).strip(), "text", width=12)
        change = f"{percent(before, ascii=ascii)} {scene.palette.glyphs.arrow} {percent(after, ascii=ascii)}"
        canvas.put(x + 15, y + 1 + row, change, "muted", width=scene.width - x - 16)


def moved_line(scene: Scene, held: Moment, distribution: Distribution, room: int) -> str:
    """The same on one line, as much as fits."""
    ascii, text = scene.palette.ascii, f"held {held_name(scene, held)}"
    for token, before, after in movers(held.distribution, distribution, 5):
        glyph = scene.palette.glyphs.up if after > before else scene.palette.glyphs.down
        name = scene.id_label(token).strip()
        more = f"  {glyph} {name} {percent(before, ascii=ascii)} {scene.palette.glyphs.arrow} {percent(after, ascii=ascii)}"
        if cell_width(text) + cell_width(more) > room:
            break
        text += more
    return text


def settings(canvas: Canvas, scene: Scene, x: int, y: int, width: int) -> None:
    """Temperature as a slider that the mouse moves too, its ends named, and the sampling mode."""
    temperature = scene.state.temperature
    x += canvas.put(x, y, f" T {temperature:.2f} " if y == 0 else f"T {temperature:.2f} ", "text", attrs=BOLD)
    cells = min(16, width - 24)
    if cells < SHORTEST:
        sampling_word(canvas, scene, x - 1, y)
        return
    x += canvas.put(x, y, "0", "faint")
    canvas.put(x, y, slider(temperature_position(temperature), cells, scene.palette), "muted")
    knob = x + 1 + round(min(max(temperature_position(temperature), 0.0), 1.0) * (cells - 3))
    canvas.style(knob, y, 1, 1, fg="text", attrs=BOLD)
    for step in range(1, cells - 1):
        fraction = (step - 1) / max(1, cells - 3)
        value = 4 * fraction if fraction <= 0.5 else 2 + (fraction - 0.5) * 2 * (HOTTEST - 2)
        canvas.target(x + step, y, 1, 1, ("temperature", round(value, 1)))
    x += cells
    x += canvas.put(x, y, f"{HOTTEST:g}", "faint")
    sampling_word(canvas, scene, x, y)


def sampling_word(canvas: Canvas, scene: Scene, x: int, y: int) -> None:
    """The sampling mode; a click changes it."""
    text = f" {sampling_text(scene)} "
    canvas.put(x, y, text, "text" if scene.state.mode != "full" else "muted")
    canvas.target(x, y, len(text), 1, ("do", "mode"))


def figures(canvas: Canvas, scene: Scene, distribution: Distribution, x: int, y: int) -> None:
    """Entropy, perplexity and how many tokens may be drawn."""
    dot = scene.palette.glyphs.dot
    bits, ascii = number(distribution.entropy_bits, ascii=scene.palette.ascii), scene.palette.ascii
    text = f"{bits} bits {dot} perplexity {number(distribution.perplexity, ascii=ascii)}"
    if distribution.kept_count < len(distribution.order):
        text += f" {dot} {count(distribution.kept_count)} kept"
    canvas.put(x, y, text, "muted", width=scene.width - x - 1)


def listed(scene: Scene, distribution: Distribution, rows: int) -> range:
    """The ranks that the rows show: those with a share worth a row, and the cursor's among them; the last row is for all others."""
    size = len(distribution.order)
    if size <= min(rows, MOST):
        return range(size)
    likeliest = distribution.order[:MOST]
    worth = int((np.maximum(distribution.probability[likeliest], distribution.full_probability[likeliest]) >= LISTED).sum())
    count = max(1, min(max(worth, FEWEST), rows - 1))
    first = max(0, scene.candidate - count + 1)
    return range(first, min(first + count, size))


def candidates(canvas: Canvas, scene: Scene, distribution: Distribution, y: int, rows: int) -> int:
    """A row a candidate: its token, its bar, its probability; behind the bar, what it had before the filter. The last row is
    that of all others. Returns how many rows that takes.
    """
    held = scene.held.distribution if scene.held is not None and comparable(scene.held.distribution, distribution) else None
    filtered = distribution.mode != "full" and held is None
    inside = 2 if stands_beside(scene) else 1
    label = 14 if scene.width >= 48 else 11
    numbers = NUMBER * (2 if has_two_columns(scene) else 1)
    room = scene.width - inside - label - 1 - numbers - 1
    each = 2 if scene.lecture and rows > 1 else 1  # the rows of a bar
    ranks = listed(scene, distribution, rows // each)
    shown = distribution.order[ranks.start : ranks.stop]
    end = full_bar(scene)
    if is_tall(scene):
        canvas.put(inside, y - 1, f"full bar {percent(end)}", "faint")
    if has_two_columns(scene):
        column_heads(canvas, scene, y - 1 if is_tall(scene) else 0, ("kept", "all") if filtered else ("now", "held"))
    ghost, calm = scene.palette.mix("background", "bar", 0.35), scene.palette.rgb("bar")
    for row, token in enumerate(shown.tolist()):
        rank, at = ranks.start + row, y + row * each
        kept = bool(distribution.kept[token])
        probability, full = float(distribution.probability[token]), float(distribution.full_probability[token])
        lit = scene.pane == "panel" and rank == scene.candidate
        ink = "text" if kept else "faint"
        ground, attrs = "cursor" if lit else None, (BOLD if lit else 0) | (0 if kept else STRIKE)
        canvas.put(inside, at, scene.id_label(token), ink, ground, attrs, width=label)
        x = inside + label + 1
        filled = bar(probability / end, room, scene.palette)
        for line in range(at, at + each):
            if filtered:
                canvas.put(x, line, bar(full / end, room, scene.palette), ghost)
            canvas.put(x, line, filled, calm)
        if filtered and kept:
            # The filter only ever lengthens what it keeps, so what it was before shows as the bar's darker beginning.
            before = min(round(full / end * room), len(filled))
            canvas.style(x, at, before, each, fg=scene.palette.mix("background", "bar", 0.65))
        x = scene.width - 1 - numbers
        canvas.put(x, at, percent(probability, ascii=scene.palette.ascii), "text" if kept else "faint", width=NUMBER, align="right")
        if held is not None:
            share = float(held.probability[token])
            mark = inside + label + 1 + min(round(share / end * room), room - 1)
            for line in range(at, at + each):
                canvas.put(mark, line, scene.palette.glyphs.vertical, "text", attrs=BOLD)
            canvas.put(x + NUMBER, at, percent(share, ascii=scene.palette.ascii), "muted", width=NUMBER, align="right")
        if filtered:
            canvas.put(x + NUMBER, at, percent(full, ascii=scene.palette.ascii), "faint", width=NUMBER, align="right")
        canvas.target(inside, at, scene.width - inside, each, ("candidate", rank))
    others, at = len(distribution.order) - len(shown), y + len(shown) * each
    if not others or at >= y + rows:
        return len(shown) * each
    name, weak = f" {count(others)} others", scene.palette.mix("background", "bar", 0.65)
    canvas.put(inside, at, name if cell_width(name) <= label else " others", "muted", width=label)
    x = scene.width - 1 - numbers
    for column, shares in enumerate(columns_of(distribution, held)):
        share = float(np.delete(shares, shown).sum())
        if column == 0:
            canvas.put(inside + label + 1, at, bar(min(share / end, 1.0), room, scene.palette), weak)
        if NUMBER * column < numbers:
            canvas.put(x + NUMBER * column, at, percent(share, ascii=scene.palette.ascii), "muted", width=NUMBER, align="right")
    return (len(shown) + 1) * each


def columns_of(distribution: Distribution, held: Distribution | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The shares of the panel's columns, of which the second stands there where it differs."""
    return distribution.probability, distribution.full_probability if held is None else held.probability


def column_heads(canvas: Canvas, scene: Scene, y: int, heads: tuple[str, str]) -> None:
    """What the two percentages of a row are: above them, or where there is no row for that, in the pane's first."""
    for word, right in zip(heads, (NUMBER, 0), strict=True):
        canvas.put(scene.width - 1 - right - len(word) - 1, y, f" {word} ", "muted" if word == "held" else "faint")


@lru_cache(maxsize=4)  # a temperature key changes the mark in the picture, never the shares
def shares_at(ranking: Ranking, stops: tuple[float, ...]) -> NDArray[np.float64]:
    """The likeliest tokens' probability over the whole vocabulary at each temperature. Shapes: -> [stops, SWEEP_ROWS]."""
    return np.array([settle(ranking, stop, None, None).full_by_rank[:SWEEP_ROWS] for stop in stops])


def sweep(canvas: Canvas, scene: Scene, distribution: Distribution, y: int) -> None:
    """How the shares of the likeliest tokens change with the temperature: a row of columns each, as high as the share is of all."""
    stops = [stop for stop in STOPS if stop >= SWEEP_LEAST]
    label = 14 if scene.width >= 48 else 11
    x, room = 2 + label + 1, scene.width - 2 - label - 2
    stops = stops[:: -(-len(stops) // room)]
    present = min(range(len(stops)), key=lambda i: abs(stops[i] - distribution.shown_temperature))
    shares = shares_at(distribution.ranking, tuple(stops))  # [stops, rows]
    high = axis(float(shares.max()))
    canvas.put(2, y, f"by temperature, 0 to {percent(high)}", "muted")
    for row, token in enumerate(distribution.order[: shares.shape[1]].tolist(), start=1):
        canvas.put(2, y + row, scene.id_label(token), "muted", width=label)
        canvas.put(x, y + row, sparkline(shares[:, row - 1].tolist(), scene.palette, high), "bar")
        canvas.style(x + present, y + row, 1, 1, fg="text")
    below = y + 1 + shares.shape[1]
    canvas.put(x + present, below, scene.palette.glyphs.up, "text", attrs=BOLD)
    canvas.put(2, below, "T", "faint", width=label, align="right")
    for stop, name in ((SWEEP_LEAST, f"{SWEEP_LEAST:g}"), (stops[-1], f"{stops[-1]:g}")):
        at = min(stops.index(stop), len(stops) - len(name))
        if not at - 1 <= present <= at + len(name):
            canvas.put(x + at, below, name, "faint")


def drawing(canvas: Canvas, scene: Scene, x: int, y: int, width: int) -> None:
    """How the last token was drawn: the bar that the number fell on, the number's place, and what the likeliest token needed."""
    drawn, source = scene.draw, scene.drawn_from
    assert drawn is not None
    assert source is not None
    ascii = scene.palette.ascii
    name = scene.id_label(drawn.id).strip()
    right = f" {percent(drawn.probability, ascii=ascii)} {scene.palette.glyphs.dot} rank {count(drawn.rank + 1)}"
    used = canvas.put(x, y, "drew ", "muted")
    used += canvas.put(x + used, y, name, "drawn", attrs=BOLD, width=max(1, min(cell_width(name), width - used - len(right))))
    canvas.put(x + used, y, right, "muted", width=max(1, width - used))
    cumulative_bar(canvas, scene, x, y + 1, width)
    top = scene.id_label(int(source.order[0])).strip()
    if drawn.rank:
        need = f" needs u < {number(float(source.drawing_bar[0]), ascii=ascii)}"
        why = canvas.put(x, y + 2, top, "muted", width=max(1, min(cell_width(top), width - len(need))))
        canvas.put(x + why, y + 2, need, "muted")
    else:
        canvas.put(x, y + 2, "the likeliest token", "muted", width=width)
    interval = interval_text(drawn, scene)
    canvas.put(x, y + 3, interval, "text")
    seed = f"seed {scene.state.seed}"
    if len(interval) + len(seed) + 2 <= width:
        canvas.put(x + width - len(seed), y + 3, seed, "faint")


def interval_text(drawn: Draw, scene: Scene) -> str:
    """The number of a draw, and the interval that it fell in, each told from the others."""
    u, low, high = figures_apart(drawn)
    return f"u {u} in {low}{scene.palette.glyphs.ellipsis}{high}"


def cumulative_bar(canvas: Canvas, scene: Scene, x: int, y: int, width: int) -> None:
    """The distribution that the last token was drawn from, as one bar from 0 to 1, with a mark where the number fell."""
    drawn, source = scene.draw, scene.drawn_from
    assert drawn is not None
    assert source is not None
    palette = scene.palette
    ends = np.rint(source.drawing_bar[:NAMED] * width).astype(int)  # [≤ NAMED], in cells
    canvas.fill(x, y, width, 1, bg="panel")
    starts = np.r_[0, ends[:-1]]
    mark = min(int(drawn.uniform * width), width - 1)
    for n, rank in enumerate(np.flatnonzero(ends > starts).tolist()):
        at, end, own = int(starts[rank]), int(ends[rank]), rank == drawn.rank
        if palette.pixels:
            ground = palette.mix("background", "drawn" if own else "bar", 0.5 if own else (0.45, 0.3)[n % 2])
            canvas.fill(x + at, y, end - at, 1, bg=ground)
        else:
            canvas.put(x + end - 1, y, palette.glyphs.vertical if end - at > 1 else palette.glyphs.dot, "rule")
        if own and at <= mark < end:  # its name stands where the mark leaves more room
            at, end = (mark + 1, end) if end - mark > mark - at else (at, mark + 1)
        label = scene.id_label(int(source.order[rank])).strip()
        if end - at > min(cell_width(label), SHORTEST):
            canvas.put(x + at, y, label, "text", attrs=BOLD if own else 0, width=end - at - 1)
    canvas.put(x + mark, y, palette.glyphs.up, "text", attrs=BOLD)


def story(canvas: Canvas, scene: Scene, x: int, y: int) -> None:
    """How the last token was drawn; or the seed that the next will be drawn with."""
    drawn = scene.draw
    if drawn is None:
        canvas.put(x, y, f"seed {scene.state.seed}", "faint", width=scene.width - x - 1)
        return
    token = scene.id_label(drawn.id).strip()
    x += canvas.put(x, y, "drew ", "muted")
    x += canvas.put(x, y, token, "drawn", attrs=BOLD, width=min(cell_width(token), 14))
    text = f" rank {drawn.rank + 1}: {interval_text(drawn, scene)}"
    if drawn.rank and scene.drawn_from is not None:
        top, need = scene.id_label(int(scene.drawn_from.order[0])).strip(), float(scene.drawn_from.drawing_bar[0])
        text += f"; {top} needs u < {number(need, ascii=scene.palette.ascii)}"
    canvas.put(x, y, text, "muted", width=scene.width - x - 1)
