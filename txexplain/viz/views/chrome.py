"""What stands around the stage: header with the breadcrumb, prompt, footer of keys, and the sentence for a screen too small."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from txexplain.explorer.location import breadcrumb
from txexplain.text import cell_width, clip, wrapped
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, UNDERLINE, Canvas, Ink
from txexplain.viz.numbers import count, points
from txexplain.viz.ramps import CALM
from txexplain.viz.scene import Scene

OLD = 0.55  # how far a result that is out of date fades


def title(canvas: Canvas, scene: Scene, text: str, *rights: str, focused: bool | None = None) -> None:
    """A pane's first row: its name in a rule, and at the right what is worth a word, in the first wording that there is room for."""
    lit = scene.pane == "stage" if focused is None else focused
    canvas.hline(0, 0, canvas.width)
    used = canvas.put(2, 0, f" {text} ", "accent" if lit else "muted", attrs=BOLD if lit else 0)
    room = canvas.width - used - 5
    right = next((each for each in rights if room >= cell_width(each) + 2), "")
    if right:
        canvas.put(canvas.width - cell_width(right) - 4, 0, f" {right} ", "muted")


def part_of(tokens: range, n: int) -> str:
    """Which of n tokens are in view."""
    return f"tokens {tokens[0]}-{tokens[-1]} of {n}"


def paragraph(canvas: Canvas, x: int, y: int, text: str, width: int) -> None:
    """A sentence in as many lines as it takes; a word longer than a line, as a path may be, goes on in the next."""
    for row, line in enumerate(textwrap.wrap(text, max(1, width))):
        canvas.put(x, y + row, line, "muted", width=width)


def facts(scene: Scene, room: int) -> str:
    """The model in as many words as there is room for."""
    if scene.shown is None:
        return scene.model_name
    config = scene.config
    dot, times = scene.palette.glyphs.dot, scene.palette.glyphs.times
    if scene.result.known is not None:
        told = f"{scene.model_name} {dot} {known_sizes(scene)}"
        return told if cell_width(told) <= room else clip(scene.model_name, max(room, 0))
    sizes = f"{config.n_layer} blocks {times} {config.n_head} heads"
    variants = (f"{scene.model_name} {dot} {sizes} {dot} d {config.n_embd}", f"{scene.model_name} {dot} {sizes}", scene.model_name)
    return next((text for text in variants if cell_width(text) <= room), clip(scene.model_name, max(room, 0)))


def known_sizes(scene: Scene) -> str:
    """What the tensors of a trace without its config tell of the model; how many blocks follow the recorded ones, none does."""
    config, known = scene.config, scene.result.known or ()
    parts = [f"blocks to L{config.n_layer - 1}"]
    parts += [f"{config.n_head} heads"] if "n_head" in known else []
    parts += [f"d {config.n_embd}"] if "n_embd" in known else []
    return f" {scene.palette.glyphs.dot} ".join(parts)


def computing(scene: Scene) -> str:
    """What is said of what comes with the run that is on its way."""
    return "computing" + scene.palette.glyphs.ellipsis


def paint_header(scene: Scene) -> Canvas:
    """Name, model, breadcrumb (each step answers to the pointer), and the run's size and cost; where it is tight, its end and the cost."""
    canvas = Canvas(scene.width, 1, scene.palette)
    canvas.fill(0, 0, scene.width, 1, bg="panel")
    glyphs = scene.palette.glyphs
    steps = breadcrumb(scene.location)
    trail = f" {glyphs.crumb} ".join(label for label, _ in steps)
    state = computing(scene) if scene.stale else scene.cost
    size = f"{count(scene.n_tokens)} tok" if scene.shown is not None else ""
    right = f" {glyphs.dot} ".join(part for part in (size, state) if part)
    x = 1 + canvas.put(1, 0, "txexplain", "text", attrs=BOLD) + 2
    if x + cell_width(trail) + 2 + cell_width(right) >= scene.width:
        right = state
    while x + cell_width(trail) + 2 + cell_width(right) >= scene.width and len(steps) > 1:
        steps = steps[1:]
        trail = f" {glyphs.crumb} ".join([glyphs.ellipsis, *(label for label, _ in steps)])
    room = scene.width - x - cell_width(trail) - cell_width(right) - 6
    if room >= 8:
        x += canvas.put(x, 0, facts(scene, room), "muted") + 2
    at = scene.width - cell_width(right) - 1
    canvas.put(at, 0, right, "warning" if scene.stale else "muted")
    x = max(x, at - cell_width(trail) - 3)
    if trail.startswith(glyphs.ellipsis):
        x += canvas.put(x, 0, glyphs.ellipsis, "faint")
    for number, (label, place) in enumerate(steps):
        if number or trail.startswith(glyphs.ellipsis):
            x += canvas.put(x, 0, f" {glyphs.crumb} ", "faint")
        last = number == len(steps) - 1
        size_ = canvas.put(x, 0, label, "text" if last else "muted", attrs=BOLD if last else 0)
        canvas.target(x, 0, size_, 1, place)
        x += size_
    return canvas


def appended_from(scene: Scene) -> int:
    """The position from which on tokens were drawn or chosen; those before are the prompt."""
    return scene.n_tokens - len(scene.state.appended)


def prompt_rows(scene: Scene, width: int, *, marked: bool = False) -> list[list[tuple[int, str]]]:
    """The prompt's tokens in rows that fit a width: (position, shown). marked: with a cell for the mark before each drawn one."""
    rows: list[list[tuple[int, str]]] = [[]]
    used = 0
    for position in range(scene.n_tokens):
        shown = scene.label(position)
        size = cell_width(shown) + 1 + (marked and position >= appended_from(scene))
        if rows[-1] and used + size > width:
            rows.append([])
            used = 0
        rows[-1].append((position, shown))
        used += size
    return rows


def paint_prompt(scene: Scene, apart: int = 1, *, marked: bool = False) -> Canvas:
    """The prompt as the model sees it: tokens between thin lines, the selected one lit, drawn ones in their colour and after a dotted line.

    apart: from one of its rows to the next; what lies between is free, and answers to the pointer as the token above it.
    marked: dotted lines have cells of their own, where something else than a line will stand behind each token.
    """
    canvas = Canvas(scene.width, scene.height, scene.palette)
    if scene.shown is None:
        prompt_mark(canvas, scene)
        canvas.put(2, 0, scene.state.prompt[: 4 * scene.width].replace("\n", " "), "text", width=scene.width - 3)
        return canvas
    rows, room = prompt_rows(scene, scene.width - 3, marked=marked), scene.height // apart
    prompt_mark(canvas, scene)
    chosen = scene.token
    row_of = next((number for number, row in enumerate(rows) if any(position == chosen for position, _ in row)), 0)
    first = max(0, min(row_of - room + 1, len(rows) - room)) if row_of >= room else 0
    glyphs, first_drawn = scene.palette.glyphs, appended_from(scene)
    for number, row in enumerate(rows[first : first + room]):
        x, y = 2, number * apart
        for position, shown in row:
            drawn = position >= first_drawn
            lit = position == chosen
            lead = int(marked and drawn)
            size = lead + canvas.put(
                x + lead, y, shown, "drawn" if drawn else "text", "cursor" if lit else None, BOLD | UNDERLINE if lit else 0,
                width=min(cell_width(shown), scene.width - 3 - lead),
            )  # fmt: skip
            canvas.target(x, y, size + 1, apart, ("token", position))
            if drawn:
                canvas.put(x + lead - 1, y, glyphs.drawn, "drawn")
            x += size
            canvas.put(x, y, glyphs.vertical, "rule")
            x += 1
    hidden = len(rows) - first - room
    if hidden > 0 or first:
        note = f" rows {first + 1}-{min(first + room, len(rows))} of {len(rows)} "
        canvas.put(scene.width - len(note), scene.height - 1, note, "faint", "panel")
        canvas.target(scene.width - len(note), scene.height - 1, len(note), 1, None)
    if scene.faded:
        canvas.fade(OLD)
    return canvas


def prompt_mark(canvas: Canvas, scene: Scene) -> None:
    """The marks at the left of the prompt that tell that the keys go there."""
    if scene.pane == "prompt":
        canvas.vline(0, 0, canvas.height, "accent", scene.palette.glyphs.marker)


def paint_footer(scene: Scene) -> Canvas:
    """The keys that work here, as many as fit; in a lecture, those that were pressed last. That text is generated is said in each."""
    canvas = Canvas(scene.width, 1, scene.palette)
    canvas.fill(0, 0, scene.width, 1, bg="panel")
    if scene.lecture:
        pressed = scene.reading.pressed if scene.reading is not None else ""
        goes_on = [entry for entry in scene.keys[:2] if not scene.keys[0][0]]
        used = sum(entry_width(keys, word) + 2 for keys, word, _ in goes_on)
        canvas.put(1, 0, pressed, "text", attrs=BOLD, width=scene.width - 2 - used)
        put_entries(canvas, scene.width - used + 1, [(keys, word) for keys, word, _ in goes_on])
        return canvas
    put_entries(canvas, 1, fitting_entries(scene.keys, scene.width - 1))
    return canvas


def put_entries(canvas: Canvas, x: int, entries: Iterable[tuple[str, str]]) -> None:
    """Keys and what they do; a word without a key says what goes on."""
    for keys, word in entries:
        x += canvas.put(x, 0, f"{keys} " if keys else "", "text", attrs=BOLD)
        x += canvas.put(x, 0, word, "muted" if keys else "text", attrs=0 if keys else BOLD) + 2


def entry_width(keys: str, word: str) -> int:
    return cell_width(keys) + bool(keys) + cell_width(word)


def fitting_entries(entries: Iterable[tuple[str, str, str]], width: int) -> list[tuple[str, str]]:
    """The entries that there is room for, as (keys, word): in short words as many as can be, then the first of them at length."""
    kept, room = [], width + 2
    for entry in entries:
        if (size := entry_width(entry[0], entry[2]) + 2) <= room:
            kept.append(entry)
            room -= size
    said = []
    for keys, word, short in kept:
        longer = cell_width(word) - cell_width(short)
        said.append((keys, word if longer <= room else short))
        room -= longer if longer <= room else 0
    return said


def paint_covered(scene: Scene) -> Canvas:
    """A pane whose picture is hidden."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    canvas.hline(0, 0, canvas.width)
    said = " covered "
    canvas.put(max(0, (scene.width - cell_width(said)) // 2), scene.height // 2, said, "muted")
    return canvas


def paint_blank(scene: Scene) -> Canvas:
    """Nothing, as dark as the terminal can."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    if scene.palette.pixels:
        canvas.fill(0, 0, scene.width, scene.height, bg=0)
    return canvas


def paint_small(scene: Scene) -> Canvas:
    """All that a screen under 60×16 can say."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    times = scene.palette.glyphs.times
    sentence = f"txexplain needs 60{times}16 cells; this terminal has {scene.width}{times}{scene.height}."
    for y, line in enumerate(wrapped(sentence, scene.width)):
        canvas.put(0, y, line, "text")
    return canvas


def fitting(canvas: Canvas, y: int, *texts: str, ink: str = "muted") -> None:
    """A row's note in the first of several wordings that there is room for."""
    room = canvas.width - 2
    canvas.put(1, y, next((text for text in texts if cell_width(text) <= room), texts[-1]), ink, width=room)


def contrast_name(scene: Scene) -> str:
    """The two tokens: Anna − Tom."""
    assert scene.contrast is not None
    a, b = (scene.id_label(token).strip() or scene.id_label(token) for token in scene.contrast)
    return f"{a} {scene.palette.glyphs.minus} {b}"


def put_moved(canvas: Canvas, scene: Scene, tokens: Iterable[tuple[int, float]], x: int, y: int, end: int) -> None:
    """Tokens and by how much their probability is moved, as many as fit before a column."""
    put = 0
    for token, change in tokens:
        text = scene.id_label(token).strip() or scene.id_label(token)
        figure = points(change, ascii=scene.palette.ascii)
        if x + cell_width(text) + cell_width(figure) + 1 > end:
            break
        x += canvas.put(x, y, text, "text") + 1
        x += canvas.put(x, y, figure, "muted") + 2
        put += 1
    if not put:
        canvas.put(x, y, "nothing", "faint", width=max(0, end - x))


def balance(canvas: Canvas, value: float, ends: tuple[float, float], corner: tuple[int, int], cells: int, role: Ink) -> None:
    """A number as a bar from the line that stands for 0: to its right, or to its left, on one scale; `ends` are the least and greatest.

    Where none is negative there is no line, and bars begin at the left. They are calm: a wall of them is not to lead.
    """
    (x, y), palette = corner, canvas.palette
    role = palette.mix("background", role, CALM) if isinstance(role, str) else role
    low, high = min(ends[0], 0.0), max(ends[1], 0.0)
    if low == 0:
        canvas.put(x, y, bar(value / (high or 1.0), cells, palette), role)
        return
    left = cells - 1 if high == 0 else max(1, min(cells - 2, round((cells - 1) * -low / (high - low))))
    right = cells - 1 - left
    unit = min(left / -low, right / high) if high else left / -low  # cells for 1
    canvas.put(x + left, y, palette.glyphs.vertical, "rule")
    if value >= 0:
        canvas.put(x + left + 1, y, bar(value * unit / max(right, 1), right, palette), role)
    else:
        full = max(1, min(left, round(-value * unit)))
        canvas.put(x + left - full, y, palette.glyphs.bars[-1] * full, palette.mix("background", "negative", CALM))
