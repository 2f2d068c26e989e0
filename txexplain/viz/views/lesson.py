"""A lesson's page beside the stage: its text as simple Markdown, its question, and the mark on what it points at."""

from __future__ import annotations

from dataclasses import dataclass, replace

from txexplain.errors import LessonError, LocationError
from txexplain.explorer.contrast import contrast
from txexplain.explorer.lesson import HIGHLIGHTS, state_of
from txexplain.explorer.location import Location, parse, place_of
from txexplain.explorer.places.heads import Head, Heads
from txexplain.explorer.reading import Reading
from txexplain.text import cell_width
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, ITALIC, UNDERLINE, Canvas, Hit
from txexplain.viz.live import fill, value
from txexplain.viz.markdown import CODE, LIVE, PLAIN, QUIET, SLANTED, STRONG, Row, Run, inline, laid_out, marked, shown, wrap
from txexplain.viz.scene import Scene

LOOKS: dict[str, tuple[str, int]] = {
    PLAIN: ("text", 0), STRONG: ("text", BOLD), SLANTED: ("text", ITALIC), CODE: ("query", 0), LIVE: ("accent", BOLD),
    QUIET: ("muted", 0), "right": ("value", BOLD), "wrong": ("key", BOLD),
}  # fmt: skip
OPEN = "…"  # in place of a value that isn't computed yet


@dataclass(frozen=True)
class Line:
    """One row of the pane; `answer` is the number of the answer that it belongs to."""

    runs: Row = ()
    answer: int = 0


# The pane


def page_scene(scene: Scene, reading: Reading) -> Scene | None:
    """What a page's live values are filled in from: the page's own run, at the temperature on screen where it is the run on screen."""
    if reading.result is None:
        return None
    shown, own = scene.shown, reading.result
    same = shown is not None and shown.trace.run == own.trace.run and scene.distribution is not None
    place = reading.place or Location()
    asked = state_of(reading.page, scene.state)
    state = scene.state if same else asked
    display = own.model.tokenizer if own.model is not None else scene.display
    return replace(
        scene, shown=own, display=display, distribution=scene.distribution if same else reading.distribution,
        state=replace(state, location=place, other=asked.other), contrast=contrast(asked, own),
    )  # fmt: skip


def values_in(text: str, scene: Scene | None) -> tuple[str, tuple[str, ...]]:
    """A text with a mark for each live value, and what these are in a run. Raises LessonError."""
    plain, lives = marked(text)
    return plain, tuple(OPEN if scene is None else value(live, scene) for live in lives)


def markdown(text: str, scene: Scene | None, width: int) -> list[Line]:
    """A text as rows; an empty Line parts two blocks. scene: what live values are filled in from. Raises LessonError."""
    return [Line(row) for row in laid_out(*values_in(text, scene), width)]


def page_lines(scene: Scene, width: int) -> list[Line]:
    """A page's rows: its text, then its question, its answers and, once one is given, the reason. Raises LessonError."""
    reading = scene.reading
    assert reading is not None
    page, source = reading.page, page_scene(scene, reading)
    lines = markdown(page.text, source, width)
    if page.question:
        lines += [Line(), *(replace(line, runs=bold(line.runs)) for line in markdown(page.question, source, width))]
        for number, answer in enumerate(page.answers, 1):
            lines += answer_lines(reading, number, markdown(answer, source, width - 3), scene)
        if reading.given:
            lines += markdown(page.reason_for(reading.cursor), source, width)
    for closing in (reading.summary, reading.ending):
        if closing:
            lines += [Line(), *markdown(closing, None, width)]
    return lines


def bold(runs: Row) -> Row:
    return tuple(replace(run, look=STRONG) if run.look == PLAIN else run for run in runs)


def answer_lines(reading: Reading, number: int, lines: list[Line], scene: Scene) -> list[Line]:
    """One answer: its number, the cursor, and whether it is right once one was given: then the cursor is where the reason is from."""
    here = reading.cursor == number and reading.given != number
    verdict = ""
    if reading.given and number == reading.page.answer:
        verdict = "right"
    elif reading.given == number:
        verdict = "wrong"
    sign = {"right": "✓", "wrong": "✗"}.get(verdict) or (scene.palette.glyphs.marker if here else " ")
    head = Run(f"{sign}{number} ", verdict or ("live" if here else "quiet"))
    found = []
    for row, line in enumerate(lines):
        runs = bold(line.runs) if here or verdict == "right" else line.runs
        found.append(Line(((head if row == 0 else Run("   ")), *runs), number))
    if reading.hands:
        found.append(Line((Run("   "), *hands(reading.hands, number, scene)), number))
    return found


def hands(counts: tuple[int, ...], number: int, scene: Scene) -> Row:
    """How many raised a hand for an answer, as a bar and in figures."""
    total, own = sum(counts), counts[number - 1]
    share = own / total if total else 0.0
    told = f" {own} of {total}"
    cells = max(4, inside(scene)[1] - 3 - len(told))
    return Run(bar(share, cells, scene.palette), LIVE), Run(told, STRONG)


def fitted(lines: list[Line], rows: int) -> list[Line]:
    """The rows, without those that only part blocks where they are too many with them."""
    return lines if len(lines) <= rows else [line for line in lines if line.runs]


def inside(scene: Scene) -> tuple[int, int, int]:
    """Where the text begins, and its columns and rows."""
    beside = scene.width < 60
    return 2, scene.width - (3 if beside else 4), scene.height - 1


def paint_lesson(scene: Scene) -> Canvas:
    """The page that is open, with how far one is."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    reading = scene.reading
    assert reading is not None
    x, columns, rows = inside(scene)
    heading, lines = readable(scene, reading, columns, rows)
    first = max(0, min(reading.scroll, len(lines) - rows))
    number = f"{reading.page.number}/{len(reading.lesson.pages)}"
    progress = " ".join(part for part in (reading.clock, "" if scene.lecture and not reading.clock else number) if part)
    if len(lines) > rows:
        arrows, more = scene.palette.glyphs, first + rows < len(lines)
        progress += (" " if progress else "") + (arrows.up if first else "") + (arrows.down if more else "")
        progress += " PgDn" if more else " PgUp"
    frame(canvas, scene, heading, progress)
    for y, line in enumerate(lines[first : first + rows], 1):
        put_row(canvas, x, y, line.runs)
        if line.answer:
            canvas.target(x, y, columns, 1, ("answer", line.answer))
    if not lines:
        canvas.put(x, 1, scene.message or OPEN, "muted", width=columns)
    return canvas


def frame(canvas: Canvas, scene: Scene, heading: str, right: str) -> tuple[int, int, int]:
    """The pane's rule with its heading, and where the text begins, with its columns and rows."""
    beside = scene.width < 60
    if beside:
        canvas.vline(0, 1, scene.height - 1)
    canvas.hline(0, 0, canvas.width)
    lit = scene.pane == "side"
    at = canvas.width - cell_width(right) - 3
    canvas.put(2, 0, " ")
    used = canvas.put(3, 0, heading, "accent" if lit else "text", attrs=BOLD, width=min(cell_width(heading), at - 5))
    canvas.put(3 + used, 0, " ")
    canvas.put(at, 0, f" {right} " if right else "", "muted")
    if beside:
        canvas.put(0, 0, scene.palette.glyphs.tees[2], "rule")
    return inside(scene)


def put_row(canvas: Canvas, x: int, y: int, runs: Row) -> None:
    """A row of text, each run in its look."""
    for run in runs:
        role, attrs = LOOKS[run.look]
        x += canvas.put(x, y, run.text.replace("\xa0", " "), role, attrs=attrs)


def readable(scene: Scene, reading: Reading, columns: int, rows: int) -> tuple[str, list[Line]]:
    """The page's heading and rows; of a page that this model or prompt lacks something for, the sentence that says what."""
    try:
        title, values = values_in(reading.page.title, page_scene(scene, reading))
        heading = "".join(run.text for run in shown(inline(title), values))
        return heading, fitted(page_lines(scene, columns), rows)
    except LessonError as error:
        return reading.page.title, [Line(row) for row in wrap([Run(str(error), "wrong")], columns)]


def overflow(scene: Scene) -> int:
    """How many rows of the page don't fit its pane."""
    _, columns, rows = inside(scene)
    return 0 if scene.reading is None else max(0, len(readable(scene, scene.reading, columns, rows)[1]) - rows)


# The mark


def marked_hits(canvas: Canvas, pane: str, scene: Scene) -> list[Hit]:
    """What of a pane's picture the page points at. Raises LessonError, LocationError."""
    reading = scene.reading
    if reading is None or reading.page.highlight is None or pane not in ("prompt", "stage", "panel"):
        return []
    text = reading.page.highlight
    if text == pane:
        return [Hit(0, 0, canvas.width, 1, None)]
    if text == "temperature":
        return [hit for hit in canvas.hits if isinstance(hit.target, tuple) and hit.target[0] == "temperature"]
    word, _, index = text.partition(" ")
    if word in ("token", "candidate"):
        wanted = (word, int(index))
        return [hit for hit in canvas.hits if hit.target == wanted and (pane == "prompt" or word != "token")]
    source = page_scene(scene, reading)
    if pane != "stage" or text in HIGHLIGHTS or source is None or scene.location.kind != (reading.place or Location()).kind:
        return []
    if word in ("query", "key"):
        named = [hit for hit in canvas.hits if isinstance(hit.target, Location) and getattr(hit.target, word) == int(index)]
        # The names above a grid's columns lead to the present query, those beside its rows to the present key.
        return [hit for hit in named if (hit.y == max(h.y for h in named) if word == "query" else hit.x == max(h.x for h in named))]
    place = parse(fill(text, source, reading.lesson.name, "highlight"))
    places = [hit for hit in canvas.hits if isinstance(hit.target, Location)]
    return [hit for hit in places if hit.target == place] or [hit for hit in places if leads_to(hit.target, place)]


def leads_to(target: object, place: Location) -> bool:
    """Whether a target is a place, the selected token and a picture's way to its head apart."""
    assert isinstance(target, Location)
    if isinstance(place_of(place), Head) and isinstance(place_of(target), Heads):
        return (target.block, target.head) == (place.block, place.head)
    return replace(target, token=None) == replace(place, token=None)


def mark(canvas: Canvas, pane: str, scene: Scene) -> None:
    """Mark what the page points at: between two arrows where it is a row or two, between two bars where it is tall."""
    try:
        hits = marked_hits(canvas, pane, scene)
    except (LessonError, LocationError):
        return
    if not hits:
        return
    left, top = min(hit.x for hit in hits), min(hit.y for hit in hits)
    right, bottom = max(hit.x + hit.width for hit in hits), max(hit.y + hit.height for hit in hits)
    glyphs = scene.palette.glyphs
    canvas.style(
        left, top, right - left, bottom - top, attrs=BOLD | (UNDERLINE if bottom - top == 1 and right - left < canvas.width else 0)
    )
    tall, edges = bottom - top > 2, (" ", glyphs.vertical, glyphs.horizontal)
    inner = min(right - 1, canvas.width - 1)
    after = inner if right >= canvas.width or all(canvas.chars[y, inner] in edges for y in range(top, bottom)) or tall else right
    for y in range(top, bottom):
        canvas.put(max(0, left - 1), y, glyphs.vertical if tall else glyphs.marker, "warning", attrs=BOLD)
        canvas.put(after, y, glyphs.vertical if tall else glyphs.here, "warning", attrs=BOLD)
