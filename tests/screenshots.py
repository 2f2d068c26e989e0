"""Makes what is in screenshots/ from the running app: pictures in both themes, and the film.

    python -m tests.screenshots              # all of it
    python -m tests.screenshots --no-film    # pictures only; the film needs Pillow and the font DejaVu Sans Mono
    python -m tests.screenshots --windows    # real terminals that show pixels; needs kitty, xterm, Xvfb and ImageMagick
    python -m tests.screenshots --record     # records anew first what the model computes: for other weights, or other pictures

The app runs as the tests run it, keys are pressed, and every cell of its screen is taken as it stands. `cells.json.gz` keeps those
cells, and tests/ui/test_screenshots.py holds the app to them. The runs that pictures show are recorded in golden/pictures, for the
last figures of a sum are not the same on every processor.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import gzip
import hashlib
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from rich.style import Style
from textual.pilot import Pilot

from tests.windows import WINDOWS, Window, app, between, there
from txexplain.engine.derive import Result
from txexplain.engine.measures import sorted_heads
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace, canonical
from txexplain.explorer.lesson import load
from txexplain.explorer.location import parse
from txexplain.explorer.reading import Reads
from txexplain.explorer.state import ExplorerState
from txexplain.front.options import UiOptions
from txexplain.models import load_model, weights_dir
from txexplain.ui.app import ExplorerApp
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.canvas import BOLD, DIM, ITALIC, REVERSE, STRIKE, UNDERLINE, Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.svg import BLOCKS, svg

FOLDER = Path(__file__).parents[1] / "screenshots"
CELLS = FOLDER / "cells.json.gz"
RUNS = Path(__file__).parent / "golden" / "pictures"
WIDE, NARROW, FILM = (120, 36), (80, 24), (120, 34)
THEMES = ("dark", "light")
PROMPT = "The little fox lost her red ball. She looked everywhere for her red"
STORY = "Once upon a time there was a"
ATTRIBUTES = (("bold", BOLD), ("dim", DIM), ("italic", ITALIC), ("underline", UNDERLINE), ("strike", STRIKE), ("reverse", REVERSE))
PATIENCE = 60.0


@dataclass(frozen=True)
class Shot:
    """One picture: where the app starts, the keys that are pressed, and which rows of the screen are shown (all, by default)."""

    at: str = "model"
    keys: tuple[str, ...] = ()
    prompt: str = PROMPT
    size: tuple[int, int] = WIDE
    temperatures: tuple[float, ...] = (1.0,)  # one under the other, where there are several
    rows: tuple[int, int] = (0, 0)
    lesson: tuple[str, int] | None = None


def shots(model: GPT2) -> dict[str, Shot]:
    """The pictures. The head and its product are the ones that copy in this prompt, whichever those are."""
    trace = model.forward(model.prompt_ids(PROMPT))
    assert trace is not None
    n, heads = trace.n_tokens, model.config.n_head
    block, head = divmod(sorted_heads(Result(trace, model).measures, "induction", n)[0], heads)
    key = int(trace[f"blocks.{block}.attn.pattern"][head, n - 1].argmax())
    return {
        "model": Shot(),
        "block": Shot(f"L{block}"),
        "heads": Shot(f"heads:induction[{block}.{head}]"),
        "head": Shot(f"L{block}H{head}:softmax[{n - 1},{key}]"),
        "product": Shot(f"L{block}H{head}[{n - 1},{key}]"),
        "neuron": Shot(f"L{block}.mlp", keys=("enter",)),
        "output": Shot("output", prompt=STORY, temperatures=(0.4, 1.0, 2.0), rows=(4, 17)),
        "explain": Shot(f"L{block}H{head}:softmax[{n - 1},{key}]", keys=("i",)),
        "lesson": Shot(lesson=("2-attention", 10)),
        "first-contact": Shot(prompt=STORY, size=NARROW),
    }


# The app


async def settled(app: ExplorerApp, pilot: Pilot[None]) -> None:
    """Until the screen shows the result of what is asked."""
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE
    while app.result is None or app.running or app.session.queued or app.work.jobs:
        if loop.time() > end:
            raise TimeoutError("The app doesn't settle.")
        await pilot.pause(0.002)
    app.session = replace(app.session, cost="")  # milliseconds are the machine's, not the picture's
    app.paint()
    await pilot.pause()


def screen(app: ExplorerApp) -> Canvas:
    """The cells of the app's screen, whatever drew them."""
    width, height = app.size
    canvas = Canvas(width, height, app.tones)
    for y, strip in enumerate(app.screen._compositor.render_strips()):
        x = 0
        for segment in strip:
            style = segment.style or Style()
            attrs = sum(bit for name, bit in ATTRIBUTES if getattr(style, name))
            fg, bg = rgb(style.color), rgb(style.bgcolor)
            inks = ("text" if fg is None else fg, "background" if bg is None else bg)
            x += canvas.put(x, y, segment.text, *(inks[::-1] if style.reverse else inks), attrs & ~REVERSE)
    for pane in app.screen.query(Picture):
        if pane.display and pane.canvas is not None:
            shift = pane.region.offset
            canvas.pictures += [replace(each, x=each.x + shift.x, y=each.y + shift.y) for each in pane.canvas.pictures]
    return canvas


def rgb(colour: Any) -> int | None:
    if colour is None or colour.triplet is None:
        return None
    return colour.triplet.red << 16 | colour.triplet.green << 8 | colour.triplet.blue


def run(
    model: GPT2, state: ExplorerState, size: tuple[int, int], theme: str, do: Callable[[ExplorerApp, Pilot[None]], Awaitable[None]],
    reads: Reads | None = None,
) -> None:  # fmt: skip
    """The app with a model, from its first full screen on."""

    async def go() -> None:
        app = ExplorerApp(state, UiOptions(theme=theme, color="truecolor"), lambda progress: model, reads)
        app.animation_level = "none"
        async with app.run_test(size=size) as pilot:
            await settled(app, pilot)
            await do(app, pilot)

    asyncio.run(go())


def take(model: GPT2, shot: Shot, theme: str) -> Canvas:
    """A picture's cells."""
    taken: list[Canvas] = []

    async def look(app: ExplorerApp, pilot: Pilot[None]) -> None:
        for key in shot.keys:
            await pilot.press(key)
            await settled(app, pilot)
        taken.append(screen(app))

    reads = Reads(load(shot.lesson[0]), shot.lesson[1]) if shot.lesson else None
    for temperature in shot.temperatures:
        run(model, ExplorerState(prompt=shot.prompt, location=parse(shot.at), temperature=temperature), shot.size, theme, look, reads)
    if shot.rows == (0, 0):
        return taken[0]
    first, last = shot.rows
    whole = Canvas(shot.size[0], len(taken) * (last - first), Palette(theme))
    for number, canvas in enumerate(taken):
        part = Canvas(canvas.width, last - first, canvas.palette)
        part.blit(canvas, 0, -first)
        whole.blit(part, 0, number * (last - first))
    return whole


def pictures(model: GPT2) -> Iterator[tuple[str, Canvas]]:
    """Every picture by its name, in both themes."""
    for name, shot in shots(model).items():
        for theme in THEMES:
            yield f"{name}-{theme}", take(model, shot, theme)


# The runs that pictures show


def recorded(model: GPT2) -> GPT2:
    """The model with the recorded runs for its own."""
    runs = {trace.ids: trace for trace in map(Trace.load, RUNS.glob("*.safetensors"))}
    known = copy.copy(model)
    known.forward = lambda ids, **_: runs[tuple(ids)]  # type: ignore[method-assign]
    return known


def record(model: GPT2) -> None:
    """Keep of each run what the pictures ask for, which is about half of it."""
    runs: dict[tuple[int, ...], Trace] = {}
    asked: dict[tuple[int, ...], set[str]] = {}
    get, has = Trace.__getitem__, Trace.__contains__

    def ask(trace: Trace, name: str) -> Trace:
        runs[trace.ids] = trace
        asked.setdefault(trace.ids, set()).add(canonical(name))
        return trace

    with (
        mock.patch.object(Trace, "__getitem__", lambda trace, name: get(ask(trace, name), name)),
        mock.patch.object(Trace, "__contains__", lambda trace, name: has(ask(trace, name), name)),
    ):
        before = {name: cells_of(canvas) for name, canvas in pictures(model)}
    RUNS.mkdir(exist_ok=True)
    for path in RUNS.glob("*.safetensors"):
        path.unlink()
    for number, (ids, trace) in enumerate(sorted(runs.items())):
        trace.save(RUNS / f"{number}.safetensors", only=asked[ids])
    assert before == {name: cells_of(canvas) for name, canvas in pictures(recorded(model))}, "a recorded run looks otherwise"


# What the test compares


def cells_of(canvas: Canvas) -> dict[str, list[str]]:
    """Text and looks, row by row: `runs` are "count×ink/ground/attributes". A blank cell's ink can't be seen, so it is left out."""
    runs = []
    for y in range(canvas.height):
        looks = [
            f"{'' if char == ' ' and not attrs & (UNDERLINE | STRIKE | REVERSE) else format(int(fg), '06x')}/{int(bg):06x}/{attrs}"
            for char, fg, bg, attrs in zip(canvas.chars[y], canvas.fg[y], canvas.bg[y], canvas.attrs[y], strict=True)
        ]
        starts = [x for x in range(len(looks)) if x == 0 or looks[x] != looks[x - 1]]
        runs.append(" ".join(f"{b - a}×{looks[a]}" for a, b in zip(starts, [*starts[1:], len(looks)], strict=True)))
    return {"text": canvas.text(), "runs": runs}


def weights_hash() -> str:
    """Which weights the pictures show."""
    return hashlib.sha256((weights_dir() / "storyteller" / "model.safetensors").read_bytes()).hexdigest()


# The film


@dataclass
class Film:
    """Frames with the seconds that each is shown."""

    frames: list[Canvas] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def show(self, app: ExplorerApp, seconds: float) -> None:
        self.frames.append(screen(app))
        self.seconds.append(seconds)


def film(model: GPT2) -> Film:
    """Type a prompt, zoom in to one product and out, sweep the temperature, generate."""
    reel = Film()
    shot = shots(model)["product"]
    head = parse(shot.at)
    assert head.block is not None and head.head is not None  # noqa: PT018

    async def play(app: ExplorerApp, pilot: Pilot[None]) -> None:
        async def press(*keys: str, seconds: float = 0.12) -> None:
            for key in keys:
                await pilot.press(key)
                await settled(app, pilot)
                reel.show(app, seconds)

        reel.show(app, 0.8)
        await pilot.press("slash")
        app.editor.select_all()
        await pilot.press("delete")
        for number, char in enumerate(PROMPT):
            await pilot.press("space" if char == " " else char)
            if number % 2 or number == len(PROMPT) - 1:
                await settled(app, pilot)
                reel.show(app, 0.07)
        await press("enter", seconds=1.2)
        await press(*["full_stop"] * head.block, seconds=0.12)
        await press("enter", seconds=1.3)
        await press("enter", seconds=0.9)
        await press(*["greater_than_sign"] * head.head, seconds=0.12)
        await press("enter", seconds=1.2)
        await press("f", seconds=0.9)
        await press("enter", seconds=2.4)
        await press("escape", "escape", "escape", "escape", seconds=0.35)
        await press(*["right_square_bracket"] * 9, seconds=0.12)
        await press(*["left_square_bracket"] * 16, seconds=0.1)
        await press("0", seconds=0.8)
        await press(*["space"] * 14, seconds=0.16)
        reel.seconds[-1] = 2.0

    run(model, ExplorerState(prompt=STORY), FILM, "dark", play)
    return reel


def gif(reel: Film, path: Path) -> None:
    """Write the frames as a GIF in one palette, each as what changed."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        sys.exit("The film needs Pillow: pip install pillow (or --no-film).")
    wide, high, size, base = 8, 17, 13, 1
    try:
        fonts = [ImageFont.truetype(f"DejaVuSansMono{kind}.ttf", size) for kind in ("", "-Bold")]
    except OSError:
        sys.exit("The film needs the font DejaVu Sans Mono: apt-get install fonts-dejavu-core (or --no-film).")

    def image_of(canvas: Canvas) -> Image.Image:
        image = Image.new("RGB", (canvas.width * wide, canvas.height * high))
        draw = ImageDraw.Draw(image)
        for y in range(canvas.height):
            for x in range(canvas.width):
                left, top, bg = x * wide, y * high, f"#{int(canvas.bg[y, x]):06x}"
                if canvas.chars[y, x] != "":
                    double = x + 1 < canvas.width and canvas.chars[y, x + 1] == ""
                    draw.rectangle((left, top, left + wide * (1 + double) - 1, top + high - 1), fill=bg)
        for y in range(canvas.height):
            for x in range(canvas.width):
                char, fg, left, top = canvas.chars[y, x], f"#{int(canvas.fg[y, x]):06x}", x * wide, y * high
                if char in BLOCKS:
                    a, b, w, h = BLOCKS[char]
                    box = (left + a * wide, top + round(b * high), left + (a + w) * wide - 1, top + round((b + h) * high) - 1)
                    draw.rectangle(box, fill=fg)
                elif char not in ("", " "):
                    draw.text((left, top + base), char, fill=fg, font=fonts[bool(int(canvas.attrs[y, x]) & BOLD)])
        return image

    images = [image_of(frame) for frame in reel.frames]
    some = images[:: max(1, len(images) // 12)]
    sheet = Image.new("RGB", (some[0].width, some[0].height * len(some)))
    for number, image in enumerate(some):
        sheet.paste(image, (0, number * image.height))
    colours = sheet.quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few = [image.quantize(palette=colours, dither=Image.Dither.NONE) for image in images]
    durations = [round(seconds * 1000) for seconds in reel.seconds]
    few[0].save(path, save_all=True, append_images=few[1:], duration=durations, loop=0, optimize=False, disposal=1)


def in_windows() -> Iterator[str]:
    """Make pictures of real terminals that show pixels; their names."""
    for medium, theme, at in (("kitty", "dark", "L3"), ("sixel", "light", "model")):
        (program, words, _), colours = WINDOWS[medium], between(at, theme)
        with tempfile.TemporaryDirectory() as home:
            fonts = ["-fa", "DejaVu Sans Mono", "-fs", "11"] if program == "xterm" else []  # its own has no smooth edges
            window = Window(Path(home), [program, *fonts, *words, *app(PROMPT, "--theme", theme, "--at", at)])
            try:
                window.until(lambda seen, colours=colours: there(seen, colours, 4) >= 0.5 * len(colours))  # type: ignore[misc]
                window.picture(FOLDER / f"{program}.png")
            finally:
                window.close()
        yield f"{program}.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-film", action="store_true", help="leave demo.gif as it is")
    parser.add_argument("--windows", action="store_true", help="only pictures of real terminals that show pixels")
    parser.add_argument("--record", action="store_true", help="record the runs anew")
    args = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    if args.windows:
        for name in in_windows():
            print(name)
        return
    model, kept = load_model("storyteller"), {}
    if args.record:
        record(model)
    for name, canvas in pictures(recorded(model)):
        kept[name] = cells_of(canvas)
        (FOLDER / f"{name}.svg").write_text(svg(canvas), encoding="utf-8")
        print(f"{name}.svg")
    for path in FOLDER.glob("*.svg"):
        if path.stem not in kept:
            path.unlink()
    cells = json.dumps({"weights": weights_hash(), "pictures": kept}, ensure_ascii=False).encode()
    CELLS.write_bytes(gzip.compress(cells, mtime=0))
    if not args.no_film:
        reel = film(model)
        gif(reel, FOLDER / "demo.gif")
        print(f"demo.gif: {len(reel.frames)} frames, {sum(reel.seconds):.1f} s, {(FOLDER / 'demo.gif').stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
