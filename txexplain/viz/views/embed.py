"""Where a token becomes numbers: its bytes, merges and id; its row of wte, its position's row of wpe, their sum; its nearest tokens."""

from __future__ import annotations

from txexplain.facts.by_hand import recomputable
from txexplain.facts.embed import nearest
from txexplain.facts.vector import vector
from txexplain.text import cell_width, clip, display_bytes
from txexplain.viz.bars import bar
from txexplain.viz.canvas import BOLD, Canvas
from txexplain.viz.numbers import count, exact, number
from txexplain.viz.places import PICTURES, TABLES
from txexplain.viz.scene import Scene
from txexplain.viz.tables import CANDIDATES, Row, Table, by_id, vector_rows
from txexplain.viz.views.chrome import fitting, title
from txexplain.viz.views.strips import Vector, paint_strips

LEAST_NEAREST = 8  # rows that must be free under the strips for the nearest tokens to stand there


@PICTURES.of("embed")
def paint_embed(scene: Scene) -> Canvas:
    """The token's own story above; below, the rows that are added, or the tokens that lie nearest."""
    canvas = Canvas(scene.width, scene.height, scene.palette)
    place, token = scene.location, scene.token
    id_ = scene.trace.ids[token]
    title(canvas, scene, f"embed {scene.palette.glyphs.dot} token {token} {scene.label(token).strip()}", f"id {count(id_)}")
    y = 1
    for name, text in story(scene, id_):
        canvas.put(1, y, name, "muted", width=8)
        canvas.put(9, y, clip(text, scene.width - 10, scene.palette.glyphs.ellipsis), "text")
        y += 1
    y += int(scene.height > 20)
    if place.face == "nearest":
        paint_nearest(canvas, scene, id_, y, "v shows the strips again")
        return canvas
    wte, wpe, both = (vector(scene.result, name, token) for name in ("embed", "pos_embed", "blocks.0.resid_pre"))
    formulas = {
        "embed": f"row {count(id_)} of wte: the token", "pos_embed": f"row {token} of wpe: the place",
        "blocks.0.resid_pre": "what block L0 reads",
    }  # fmt: skip
    said = [formula if recomputable(scene.result, name, row=token) else "changed by hand" for name, formula in formulas.items()]
    vectors = [
        Vector("wte", "residual", wte, said[0]),
        Vector("wpe", "residual", wpe, said[1]),
        Vector("wte + wpe", "text", both, said[2]),
    ]
    y = paint_strips(canvas, scene, vectors, y, min(scene.height - y - 2, 19 if scene.height >= 40 else 16), place)
    element = place.element
    if element is not None and element < len(wte):
        a, b, c = (number(v.facts[element], ascii=scene.palette.ascii) for v in vectors)
        worked = f"element {element}: {a} + {b} = {c}" if b[0] not in "-−" else f"element {element}: {a} + ({b}) = {c}"
        holds = recomputable(scene.result, "blocks.0.resid_pre", row=token)
        canvas.put(1, y + 1, worked if holds else f"element {element} = {c}: changed by hand", "text")
        y += 2
    if scene.height - y > LEAST_NEAREST and scene.result.model is not None:
        paint_nearest(canvas, scene, id_, y + 1, "v shows more of them")
    elif element is None and y + 1 < scene.height:
        turn = "v shows the tokens that lie nearest"
        fitting(canvas, y + 1, f"{turn}; arrows move over elements and tokens", turn, ink="faint")
    return canvas


def story(scene: Scene, id_: int) -> list[tuple[str, str]]:
    """From text to id: the bytes, the merges in their order, and the shapes."""
    model, ascii = scene.result.model, scene.palette.ascii
    if model is None:
        return [("bytes", "not recorded: this trace came without its tokenizer")]
    tokenizer = model.tokenizer
    raw = tokenizer.token_bytes(id_)
    arrow = f" {scene.palette.glyphs.arrow} "
    space = display_bytes(b" ", ascii=ascii)
    pieces = [" ".join(display_bytes(piece, ascii=ascii).replace(" ", space) for piece in step) for step in tokenizer.merges(id_)]
    lines = [("bytes", " ".join(f"{byte:02x}" for byte in raw) or "none")]
    if pieces:
        lines.append(("merges", last_merges(pieces, arrow, scene.width - 10)))
    return lines


def last_merges(steps: list[str], arrow: str, room: int) -> str:
    """As many of the last merge steps as fit, the first always."""
    text = arrow.join(steps)
    if cell_width(text) <= room:
        return text
    for skipped in range(1, len(steps)):
        kept = [steps[0], f"({skipped} steps)", *steps[1 + skipped :]]
        text = arrow.join(kept)
        if cell_width(text) <= room:
            return text
    return steps[-1]


def paint_nearest(canvas: Canvas, scene: Scene, id_: int, y: int, turn: str) -> None:
    """The tokens whose rows of wte point most nearly the same way."""
    rows = scene.height - y - 3
    found = nearest(scene.result, id_).tokens[: max(1, rows)]
    canvas.put(1, y, "the nearest tokens by the cosine of their rows of wte", "muted", width=scene.width - 2)
    label, figure = 18, 8
    room = max(4, scene.width - label - figure - 4)
    for row, near in enumerate(found):
        at = y + 1 + row
        canvas.put(1, at, clip(scene.id_label(near.id), label - 1, scene.palette.glyphs.ellipsis), "text")
        canvas.put(1 + label, at, number(near.cosine, ascii=scene.palette.ascii), "text", attrs=BOLD, width=figure - 1, align="right")
        canvas.put(1 + label + figure, at, bar(max(near.cosine, 0.0), room, scene.palette), "bar")
    fitting(canvas, scene.height - 1, f"a full bar is cosine 1, the token itself; {turn}", f"a full bar is cosine 1; {turn}", ink="faint")


@TABLES.of("embed")
def embed_table(scene: Scene) -> Table:
    id_ = scene.trace.ids[scene.token]
    if scene.location.face == "nearest":
        rows: list[Row] = [("token", "cosine")]
        rows += [(by_id(scene, near.id), exact(near.cosine)) for near in nearest(scene.result, id_).tokens[:CANDIDATES]]
        return "The nearest tokens by the cosine of their rows of wte:", rows
    heading = "; ".join([f"id {id_}", *(f"{name} {text}" for name, text in story(scene, id_))])
    names = {"wte": "embed", "wpe": "pos_embed", "wte + wpe": "blocks.0.resid_pre"}
    vectors = {shown: vector(scene.result, name, scene.token) for shown, name in names.items()}
    return f"{heading}. Its rows:", vector_rows(vectors, scene.location.element)
