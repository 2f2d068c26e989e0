"""Makes the goldens of the views: how each place looks, drawn from a recorded trace of a tiny random model.

    python tests/golden/make_views.py             # views/*.txt and views/styles.json, from the trace that is committed
    python tests/golden/make_views.py --record    # records views/tiny.safetensors anew first

The trace is one of parity/default (2 blocks of 3 heads, d 24); no golden hangs on the bundled weights.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from txexplain.engine.derive import Result
from txexplain.engine.trace import Trace
from txexplain.explorer.choice import distribution_of, finish
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import Doing, footer
from txexplain.front.scenes import scene_of
from txexplain.models import load_model
from txexplain.viz.canvas import STRIKE, UNDERLINE, Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.screen import paint_screen

HERE = Path(__file__).parent
VIEWS = HERE / "views"
TRACE = VIEWS / "tiny.safetensors"
IDS = (5, 17, 42, 3, 17, 60, 28)
WORDS = {5: "Once", 17: " upon", 42: " a", 3: " té", 60: " 日本", 28: " encyclopaedia", 9: " time", 30: " cat", 11: "\\n"}
SIZES = ((80, 24), (120, 36))
LARGE = (200, 60)
PLACES = {
    "model": "model", "model-token": "model[L1]@3", "embed": "embed@2", "block": "L1", "block-step": "L0[add2]@4", "ln1": "L1.ln1",
    "qkv": "L0.qkv@5", "attn": "L1.attn[1]", "proj": "L1.proj", "ln2": "L0.ln2", "mlp": "L1.mlp@3", "neuron": "L1.mlp[41]",
    "heads": "heads[1.2]", "heads-sorted": "heads:previous[1.2]", "heads-cut": "heads:entropy.50[0.1]",
    "head-qk": "L1H2:qk[2,5]", "head-scaled": "L0H1:scaled[4,1]", "head-masked": "L1H0:masked[3,6]",
    "head-softmax": "L1H1:softmax[6,2]", "head-values": "L0H2:values", "product": "L1H1[6,2]", "product-masked": "L0H0[1,4]",
    "final": "final", "output": "output", "nearest": "embed:nearest", "embed-cursor": "embed[7]@2", "ln1-cursor": "L1.ln1[3]@4",
    "qkv-cursor": "L0.qkv[2,40]", "qkv-matrix": "L1.qkv:matrix[5,20]", "proj-matrix": "L0.proj:matrix", "mlp-pre": "L1.mlp:pre[7]",
    "residual": "residual", "residual-part": "residual[L1.attn]@3", "direct": "direct[L1H1]", "direct-mlp": "direct:order[L1.mlp]@4",
    "lens": "lens[L0]@2", "lens-rank": "lens:rank",
    "effects": "effects[L1H1]", "effects-sorted": "effects:sorted[L0.mlp]", "effects-edges": "effects:edges@2",
}  # fmt: skip
STYLED = "head-softmax"  # the place whose colours are held, in each theme, at the smaller size
LOOKS = {
    "dark": Palette("dark"), "light": Palette("light"), "contrast": Palette("contrast"), "dark-256": Palette("dark", "256"),
    "light-16": Palette("light", "16"),
}  # fmt: skip
PLAIN = {"16": Palette("dark", "16"), "ascii": Palette("dark", "none", ascii=True)}  # where pictures are made of characters
LARGE_PLACES = ("model", "block", "block-step", "attn", "head-qk", "head-scaled", "head-masked", "head-softmax", "head-values", "product")
PLAIN_PLACES = ("model", "block", "attn", "head-softmax")


class Words:
    """Tokens of several lengths and widths, so that labels are cut and aligned as in a real prompt."""

    def display(self, token_id: int, *, ascii: bool = False) -> str:
        text = WORDS.get(token_id, f" w{token_id}")
        return text.encode("ascii", "replace").decode("ascii") if ascii else text


def result() -> Result:
    """The recorded trace, with the weights that made it."""
    return Result(Trace.load(TRACE), load_model(str(HERE / "parity" / "default")))


def picture(source: Result, place: str, size: tuple[int, int], palette: Palette) -> Canvas:
    """The whole screen at a place."""
    state = ExplorerState(model="tiny", location=parse(PLACES[place]))
    keys = footer(Doing(state.location.kind), ascii=palette.ascii)
    if state.location.kind == "effects":  # which are tried, not recorded
        source = Result(source.weights().forward(list(IDS)), source.model)
        finish(source, state)
    scene = scene_of(
        state, palette, size, source, distribution=distribution_of(source, state), ribbons=tuple(source.flow("norms")), keys=keys
    )
    return paint_screen(replace(scene, display=Words()))


def texts() -> dict[str, list[str]]:
    """Every golden of text, by its file's name. What half blocks paint is no text; it is left blank."""
    source = result()
    drawn = {f"{place}-{w}x{h}": picture(source, place, (w, h), Palette()) for place in PLACES for w, h in SIZES}
    drawn |= {f"{place}-{LARGE[0]}x{LARGE[1]}": picture(source, place, LARGE, Palette()) for place in LARGE_PLACES}
    drawn |= {f"{place}-{name}-80x24": picture(source, place, SIZES[0], look) for name, look in PLAIN.items() for place in PLAIN_PLACES}
    return {name: [row.replace("▀", " ").rstrip() for row in canvas.text()] for name, canvas in drawn.items()}


def runs(canvas: Canvas) -> list[str]:
    """Each row's looks, run by run: how many cells, and their colours and attributes. An empty cell's ink can't be seen."""
    rows = []
    for y in range(canvas.height):
        cells = []
        for char, fg, bg, attrs in zip(canvas.chars[y], canvas.fg[y], canvas.bg[y], canvas.attrs[y], strict=True):
            seen = char != " " or attrs & (UNDERLINE | STRIKE)
            cells.append(f"{int(fg):06x}/{int(bg):06x}/{attrs}" if seen else f"/{int(bg):06x}/{attrs}")
        starts = [x for x in range(len(cells)) if x == 0 or cells[x] != cells[x - 1]]
        rows.append(" ".join(f"{b - a}×{cells[a]}" for a, b in zip(starts, [*starts[1:], len(cells)], strict=True)))
    return rows


def styles() -> dict[str, list[str]]:
    """The looks of one place in each theme, run by run."""
    source = result()
    return {name: runs(picture(source, STYLED, SIZES[0], look)) for name, look in LOOKS.items()}


def record() -> None:
    model = load_model(str(HERE / "parity" / "default"))
    trace = model.forward(list(IDS))
    assert trace is not None
    trace.save(TRACE)
    again = Trace.load(TRACE)
    assert all(np.array_equal(again[name], trace[name]) for name in trace.names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--record", action="store_true", help="record the trace anew")
    VIEWS.mkdir(exist_ok=True)
    if parser.parse_args().record or not TRACE.exists():
        record()
    wanted = texts()
    for name, rows in wanted.items():
        (VIEWS / f"{name}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for path in VIEWS.glob("*.txt"):
        if path.stem not in wanted:
            path.unlink()
    (VIEWS / "styles.json").write_text(json.dumps(styles(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(wanted)} screens and {len(LOOKS)} looks in {VIEWS}")


if __name__ == "__main__":
    main()
