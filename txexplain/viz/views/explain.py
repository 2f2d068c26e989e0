"""A place explained, in words: beside the stage, over a narrow screen, and as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from txexplain.explorer.examples import hint_for
from txexplain.explorer.source import Source
from txexplain.text import cell_width, wrapped
from txexplain.viz.canvas import BOLD, Canvas, plain
from txexplain.viz.numbers import count, number, percent, shape
from txexplain.viz.scene import Scene
from txexplain.viz.tables import padded
from txexplain.viz.views.chrome import OLD, title
from txexplain.viz.views.panel import full_bar
from txexplain.words.explain import explain
from txexplain.words.glossary import words_in
from txexplain.words.told import Entry, Explanation, Line, Look, Plus, Shape, Share, Token, Value

TALL = 30  # rows of a pane that shows more lines of code around the one that counts
NEAR, FAR = 1, 3  # lines of code before and after it
JOINED = "\ue000"  # stands for a space at which no line breaks
HANG = 2  # by how much what is wrapped stands further in


@dataclass(frozen=True)
class Row:
    """One row of text in one ink; `lit` is the line of code that counts."""

    text: str = ""
    ink: str = "text"
    attrs: int = 0
    lit: bool = False


def explanation(scene: Scene) -> Explanation:
    """What the reader looks at, explained."""
    reading, state = scene.reading, scene.state
    look = Look(
        scene.location, scene.result, scene.distribution, scene.candidate, scene.ribbons, scene.measured, scene.about,
        present=not scene.back, seed=state.seed, draw=scene.draw, full_bar=full_bar(scene), surprisal=scene.surprisal,
        appended=len(state.appended), hint=example_hint(scene),
        contrast=scene.contrast, found=scene.found,
    )  # fmt: skip
    if reading is not None:
        look = replace(look, lesson=reading.lesson, page=reading.page, given=reading.answers)
    return explain(look)


def example_hint(scene: Scene) -> str:
    """What to look for, where the text is an example's, apart from what was drawn since."""
    ids, model = scene.trace.ids, scene.result.model
    return "" if model is None else hint_for(model.tokenizer.decode(ids[: len(ids) - len(scene.state.appended)]), scene.state.model)


def rows_of(scene: Scene, width: int, context: int = FAR) -> list[Row]:
    """The whole explanation in rows of a width. context: lines of code before and after the one that counts."""
    told, ascii = explanation(scene), scene.palette.ascii

    def put(text: str, ink: str = "text", attrs: int = 0, indent: int = 0, hang: int = 0) -> list[Row]:
        return [Row(line, ink, attrs) for line in wrapped(plain(text, scene.palette), width, indent, indent + hang)]

    rows = put(told.title, "accent", BOLD)
    rows += put(" ".join(written(line, scene) for line in told.sentences))
    rows.append(Row())
    for formula in told.formula:
        rows += put(formula, "attention", hang=HANG)
    for line in told.worked:
        rows += put(written(line, scene), indent=2, hang=HANG)
    if told.missing == "weights":
        rows += put("More needs the model's weights, which a trace alone doesn't hold.", "warning", indent=2)
    elif told.missing:
        rows += put(f"Not recorded: this trace has no {told.missing}.", "warning", indent=2)
    shapes = [row for each in told.shapes for row in put(shape_text(each, ascii=ascii), "muted", hang=HANG)]
    if not told.sources:
        return [*rows, Row(), *shapes]
    for source in told.sources:
        rows.append(Row())
        rows += put(f"{source.file}, {source.function}", "muted", BOLD)
        rows += code_rows(source, width, context, scene)
        if source is told.sources[0]:
            rows += [Row(), *shapes]
    return rows


def written(line: Line, scene: Scene) -> str:
    """A line with its values in it."""
    return line.text.format(*(value_text(value, scene) for value in line.values))


def value_text(value: Value, scene: Scene) -> str:
    """A number or a token as it is shown."""
    ascii = scene.palette.ascii
    match value:
        case str():
            return value
        case int():
            return count(value)
        case float():
            return number(value, ascii=ascii)
        case Share():
            return percent(value.value, ascii=ascii)
        case Plus():
            return f"{'-' if value.value < 0 else '+'} {number(abs(value.value), ascii=ascii)}".replace("-", "-" if ascii else "−", 1)
        case Entry():
            return quoted(scene.id_label(value.id))
        case Token():
            again = scene.trace.ids.count(scene.trace.ids[value.position]) > 1
            return quoted(scene.label(value.position)) + (f" ({value.position})" if again else "")


def quoted(label: str) -> str:
    return f"'{label.strip() or label}'"


def shape_text(each: Shape, *, ascii: bool) -> str:
    """A tensor's shape, in letters and in numbers."""
    text = f"{each.name} [{', '.join(each.letters)}] = {shape(each.sizes, ascii=ascii)}"
    return text + (", weights" if each.recorded is None else "" if each.recorded else ", not recorded")


def code_rows(source: Source, width: int, context: int, scene: Scene) -> Iterator[Row]:
    """A function's lines with their numbers in the file; far from the line that counts, how many are left out."""
    glyphs = scene.palette.glyphs
    figures = len(str(source.lines[-1][0]))
    which = lines_shown(source, context)
    common = min(len(text) - len(text.lstrip()) for (_, text), shown in zip(source.lines, which, strict=True) if shown and text)
    gap = 0
    for (line, text), shown in zip(source.lines, which, strict=True):
        if not shown:
            gap += 1
            continue
        if gap:
            yield left_out(gap, figures, scene)
            gap = 0
        lit = line in source.marked
        indent = max(0, len(text) - len(text.lstrip()) - common)
        room = width - figures - 2
        for i, part in enumerate(wrapped_code(plain(text, scene.palette), room, indent)):
            front = f"{glyphs.marker if lit else ' '}{line if i == 0 else '':>{figures}} "
            yield Row(padded(front + part, width) if lit else front + part, "text" if lit else "muted", BOLD if lit else 0, lit)
    if gap:
        yield left_out(gap, figures, scene)


def wrapped_code(text: str, width: int, indent: int) -> list[str]:
    """A line of code in lines of a width; the shape at its end stays in one piece where it fits."""
    code, mark, shape = text.strip().partition("  # ")
    whole = mark + shape
    if cell_width(whole) <= width - indent - HANG:
        whole = "  " + whole[2:].replace(" ", JOINED) if mark else ""
    return [line.replace(JOINED, " ") for line in wrapped(code + whole, width, indent, indent + HANG)]


def left_out(lines: int, figures: int, scene: Scene) -> Row:
    return Row(f"{' ' * (figures + 2)}{scene.palette.glyphs.ellipsis} {lines} more line{'s' if lines > 1 else ''}", "faint")


def lines_shown(source: Source, context: int) -> list[bool]:
    """Which lines are shown: the marked ones with some before and after; all of a short function."""
    if not source.marked or len(source.lines) <= 2 * context + 3:
        return [True] * len(source.lines)
    near = range(source.marked.start - context, source.marked.stop + context)
    return [line in near for line, _ in source.lines]


# The pane


def paint_explain(scene: Scene) -> Canvas:
    """The explanation beside the stage, scrolled."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    if scene.shown is None:
        frame(canvas, scene, "")
        canvas.put(2, 1, scene.message or "not computed yet", "muted", width=scene.width - 3)
        return canvas
    rows = pane_rows(scene)
    room = body(scene, rows)
    first = min(scene.scroll, len(rows) - room)
    frame(canvas, scene, f"{first + 1}-{first + room} of {len(rows)}" if room < len(rows) else "")
    for y, row in enumerate(rows[first : first + room], start=1):
        canvas.put(2, y, row.text, row.ink, "cursor" if row.lit else None, row.attrs)
    if room < len(rows):
        up, down = scene.palette.glyphs.up, scene.palette.glyphs.down
        words = [f"{up} PgUp"] * (first > 0) + [f"{down} PgDn: more"] * (first + room < len(rows))
        canvas.put(2, scene.height - 1, "  ".join(words), "accent", "panel", width=scene.width - 3)
    if scene.stale:
        canvas.fade(OLD)
    return canvas


def frame(canvas: Canvas, scene: Scene, right: str) -> None:
    title(canvas, scene, "Explain", right, focused=False)
    canvas.vline(0, 1, scene.height - 1)
    canvas.put(0, 0, scene.palette.glyphs.tees[0], "rule")


def pane_rows(scene: Scene) -> list[Row]:
    return with_words(scene, rows_of(scene, scene.width - 3, FAR if scene.height >= TALL else NEAR), scene.width - 3)


def with_words(scene: Scene, rows: list[Row], width: int) -> list[Row]:
    """An explanation, and below it the words that it uses."""
    found = words_in(" ".join(row.text for row in rows))
    said = [plain(f"{word.names[0]}: {word.meaning}", scene.palette) for word in found]
    return [*rows, Row(), Row("Words", "accent", BOLD), *(Row(line) for each in said for line in wrapped(each, width, 0, HANG))]


def body(scene: Scene, rows: Sequence[Row]) -> int:
    """How many rows the pane shows: below its title, and above the mark that there is more."""
    room = max(1, scene.height - 1)
    return len(rows) if len(rows) <= room else max(1, room - 1)


def scrolled(scene: Scene, pages: int) -> int:
    """The pane's first row after some pages up or down: a page leaves two rows in view."""
    rows = pane_rows(scene)
    room = body(scene, rows)
    last = len(rows) - room
    return max(0, min(min(scene.scroll, last) + pages * max(1, room - 2), last))


def explain_text(scene: Scene, width: int) -> str:
    """The explanation as plain text."""
    return "".join(f"{row.text.rstrip()}\n" for row in rows_of(scene, width))
