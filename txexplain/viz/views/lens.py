"""The logit lens: a row a token, a column a stream, in each cell what that stream would say next."""

from __future__ import annotations

from dataclasses import replace

from txexplain.errors import NotRecorded
from txexplain.explorer.places.lens import column
from txexplain.facts.lens import LensFacts, StreamFacts, best, readings
from txexplain.text import clip, wrapped
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import count, number, percent, whole_percent
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.scene import Scene
from txexplain.viz.tables import Row, Table, mark
from txexplain.viz.views.chrome import contrast_name, title

LABEL, LEAST, MOST = 12, 9, 14  # cells of a token's name, and of a column at the least and at the most
FACES = {None: "the likeliest token and its share", "rank": "the rank of {}", "difference": "{}, in logits", "bits": "entropy in bits"}


def facts_of(scene: Scene) -> LensFacts:
    """The streams, all of them read unless that is under way. Raises NotRecorded."""
    if scene.contrast is None:
        raise NotRecorded("logits")
    facts = readings(scene.result, *scene.contrast)
    if scene.measured:
        for n in range(len(facts.names)):
            facts.stream(n)
    return facts


def names_of(scene: Scene) -> list[str]:
    """The columns' names: what enters the first block, and what leaves each."""
    return ["embed", *(f"L{layer}" for layer in range(scene.config.n_layer))]


@PICTURES.of("lens")
def paint_lens(scene: Scene) -> Canvas:
    """The grid, and below it what the selected stream says in its five likeliest tokens."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    facts, place, names = facts_of(scene), scene.location, names_of(scene)
    chosen = column(place)
    foot = wrapped(legend(scene, facts, chosen), scene.width - 2)
    rows = max(1, scene.height - 2 - len(foot))
    fits = max(1, min(len(names), (scene.width - LABEL - 1) // LEAST))
    wide = min(MOST, (scene.width - LABEL - 1) // fits)
    left = max(0, min(chosen - fits // 2, len(names) - fits))
    top = max(0, min(scene.token - rows // 2, scene.n_tokens - rows))
    what = FACES[place.face].format(spoken(scene, place.face))
    note = "" if fits == len(names) else f"columns {names[left]} to {names[left + fits - 1]} of {len(names)}"
    title(canvas, scene, f"lens {scene.palette.glyphs.dot} {what}", note)
    for n in range(left, left + fits):
        canvas.put(1 + LABEL + (n - left) * wide, 1, names[n], "residual", attrs=BOLD if n == chosen else 0, width=wide - 1, align="right")
    for token in range(top, min(top + rows, scene.n_tokens)):
        y, lit = 2 + token - top, token == scene.token
        canvas.put(1, y, clip(f"{token} {scene.label(token).strip()}", LABEL - 1, scene.palette.glyphs.ellipsis), "text", attrs=BOLD * lit)
        for n in range(left, left + fits):
            x, here = 1 + LABEL + (n - left) * wide, lit and n == chosen
            text = cell(scene, facts.streams.get(n), token, wide - 1)
            ink, ground = "text" if n == len(names) - 1 else "muted", "cursor" if here else None
            canvas.put(x, y, text, ink, ground, BOLD * here, width=wide - 1, align="right")
            canvas.target(x, y, wide, 1, replace(place, select=None if n == 0 else names[n], token=token))
    for line, text in enumerate(foot):
        canvas.put(1, scene.height - len(foot) + line, text, "muted", width=scene.width - 2)
    return canvas


def spoken(scene: Scene, face: str | None) -> str:
    """What a face's numbers are of."""
    name = contrast_name(scene)
    return name if face == "difference" else name.split(f" {scene.palette.glyphs.minus} ")[0]


def cell(scene: Scene, stream: StreamFacts | None, token: int, room: int) -> str:
    """What one stream says, in one face; a dot while it isn't computed."""
    if stream is None:
        return scene.palette.glyphs.dot
    ascii = scene.palette.ascii
    match scene.location.face:
        case "rank":
            return count(int(stream.rank[token]) + 1)
        case "difference":
            return number(float(stream.difference[token]), ascii=ascii, sign=True)
        case "bits":
            return number(float(stream.bits[token]), ascii=ascii)
    share = whole_percent(float(stream.share[token]))
    name = scene.id_label(int(stream.top[token]))
    return f"{clip(name.strip() or name, room - len(share) - 1, scene.palette.glyphs.ellipsis)} {share}"


def legend(scene: Scene, facts: LensFacts, chosen: int) -> str:
    """The selected stream's five likeliest tokens and its other numbers, and what the lens is."""
    likeliest, ascii = best(scene.result, chosen, scene.token), scene.palette.ascii
    said = ", ".join(f"{scene.id_label(token).strip()} {percent(share, ascii=ascii)}" for token, share in likeliest)
    stream, more = facts.streams.get(chosen), ""
    if stream is not None:
        more = f"; {spoken(scene, None)} is number {count(int(stream.rank[scene.token]) + 1)} of all, {contrast_name(scene)} "
        more += number(float(stream.difference[scene.token]), ascii=ascii, sign=True)
    return f"{names_of(scene)[chosen]} at {scene.token}: {said}{more}. Each stream by its own mean and spread: a reading, not a cause"


@TABLES.of("lens")
def lens_table(scene: Scene) -> Table:
    facts, t = facts_of(scene), scene.token
    rows: list[Row] = [("", "stream", "likeliest", "share", "rank of A", "A − B", "bits")]
    for n, name in enumerate(names_of(scene)):
        each = facts.stream(n)
        figures = number(float(each.difference[t]), sign=True), number(float(each.bits[t]))
        shown = f"'{scene.id_label(int(each.top[t]))}'", percent(float(each.share[t])), count(int(each.rank[t]) + 1)
        rows.append((mark(n == column(scene.location)), name, *shown, *figures))
    return f"The selected token's streams; A − B is {contrast_name(scene)}:", rows
