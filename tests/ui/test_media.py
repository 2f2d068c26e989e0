"""Pictures in pixels on the wire: what a terminal shows after each frame is what the canvas has, whatever it showed before."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from rich.color import ColorSystem

from tests.ui.screen import PixelScreen
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.scenes import scene_of
from txexplain.ui.terminal.media import BAND, COLOURS, FIRST_ID, MEDIA, Image, Medium, few, png, sixel
from txexplain.ui.terminal.wire import BEGIN, END, Wire
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.screen import paint_screen
from txexplain.viz.shapes import Picture, Ribbon, rectangle
from txexplain.viz.tiles import FIRST

CELL = (9, 18)
FOX = "The little fox lost her red ball. She looked everywhere for her red"
KIB = 1024


def wired(medium: Medium | None, size: tuple[int, int]) -> Wire:
    wire = Wire(medium)
    wire.resize(*size)
    return wire


def said(canvas: Canvas) -> str:
    """What Textual writes for a whole canvas."""
    text = []
    for y, row in enumerate(canvas.lines(range(canvas.height))):
        parts = (each.style.render(each.text, color_system=ColorSystem.TRUECOLOR) if each.style else each.text for each in row)
        text.append(f"\x1b[{y + 1};1H" + "".join(parts))
    return BEGIN + "".join(text) + END


def check(screen: PixelScreen, canvas: Canvas, medium: Medium) -> None:
    """Each cell shows what the canvas with tiles has: a tile's pixels, or a letter on its ground and no pixel above it."""
    across, down = medium.tiles.cell
    wanted = canvas.bg.astype(np.int64).repeat(down, axis=0).repeat(across, axis=1)
    letters = canvas.chars.copy()
    for y, x in np.argwhere(canvas.chars >= chr(FIRST)).tolist():
        wanted[y * down : (y + 1) * down, x * across : (x + 1) * across] = medium.tiles.blocks[canvas.chars[y, x]]
        letters[y, x] = screen.letters[y, x]  # whatever lies under an image
    assert close(screen.shown(), wanted, medium)
    assert (screen.letters == letters).all()


def close(a: np.ndarray, b: np.ndarray | int, medium: Medium) -> bool:
    """Whether pixels have the same colours; sixels name theirs by hundredths."""
    off = 2 if type(medium) is MEDIA["sixel"] else 0
    return all(int(np.abs((a >> shift & 255) - (b >> shift & 255)).max()) <= off for shift in (16, 8, 0))


def drawn(random: Random, palette: Palette, size: tuple[int, int] = (24, 11)) -> Canvas:
    """A canvas with a picture, letters on and beside it, or with letters alone."""
    canvas = Canvas(*size, palette)
    if random.random() < 0.8:
        picture = Picture(18, 8)
        picture.add("residual", *(rectangle(0, row, 18, 1, random.choice([0.2, 0.5])) for row in range(0, 8, 2)))
        ends = [(random.uniform(1, 7), random.uniform(1, 7)) for _ in range(random.randint(1, 3))]
        picture.add("attention", *(Ribbon(2, 15, y0, y1, 0.8, 0.9) for y0, y1 in ends))
        canvas.show(3, 1, picture)
    for _ in range(random.randint(0, 4)):
        canvas.put(random.randrange(20), random.randrange(10), random.choice(["word", "x", "1 2"]), "text", random.choice([None, "panel"]))
    return canvas


@pytest.mark.parametrize("name", MEDIA)
def test_a_terminal_shows_what_the_canvas_has_whatever_it_showed(name: str) -> None:
    """Also where rows wait for room, the terminal was written on by others, and images are shown no more."""
    random, palette = Random(28), Palette()
    for _ in range(3):
        medium = MEDIA[name](CELL)
        wire, screen = wired(medium, (24, 11)), PixelScreen((24, 11), CELL)
        for _ in range(6):
            canvas = medium.tiles.place(drawn(random, palette))
            if random.random() < 0.1:
                screen.feed(wire.shrink(f"\x1b[1;1H{chr(FIRST)}\x1b[0K"))  # not understood: as it is, but for tiles
            if random.random() < 0.2:
                wire.forget()  # ctrl+z and back: the terminal was cleared
                screen.feed("\x1b[2J")
            room = random.choice([None, None, 200])
            screen.feed(wire.shrink(said(canvas), room))
            while wire.wanted:
                screen.feed(wire.flush(room))
            check(screen, canvas, medium)
            assert wire.shrink(said(canvas)) == ""
        screen.feed(wire.shrink(said(Canvas(24, 11, palette))))
        assert not screen.above
        assert close(screen.shown(), palette.rgb("background"), medium)


def test_only_bands_that_changed_are_sent_and_what_is_gone_is_deleted() -> None:
    medium = MEDIA["kitty"](CELL)
    wire, screen, palette = wired(medium, (24, 16)), PixelScreen((24, 16), CELL), Palette()

    def frame(y: float) -> str:
        picture = Picture(20, 14)
        picture.add("attention", Ribbon(1, 15, 1.5, 2.5, 1.0, 0.9), Ribbon(1, 15, y, y + 0.5, 1.0, 0.9))
        canvas = Canvas(24, 16, palette)
        canvas.show(0, 0, picture)
        sent = wire.shrink(said(medium.tiles.place(canvas)))
        screen.feed(sent)
        return sent

    frame(13)
    assert set(screen.above) == {FIRST_ID, FIRST_ID + 12 // BAND, FIRST_ID + 13 // BAND}
    assert f"i={FIRST_ID}," not in frame(9)
    assert set(screen.above) == {FIRST_ID, FIRST_ID + 9 // BAND}
    screen.feed(wire.shrink("") + wire.flush())
    wire.show_by(None)
    screen.feed(wire.shrink(said(Canvas(24, 16, palette))))
    assert not screen.above


@pytest.mark.parametrize("at", ["model", "L3"])
def test_the_bytes_of_a_cursor_move_in_a_picture(storyteller: GPT2, at: str) -> None:
    """At 120×40, from the last token to the one above it; and the picture is right."""
    trace = storyteller.forward(storyteller.prompt_ids(FOX))
    assert trace is not None
    result = Result(trace, storyteller)
    more = {"ribbons": tuple(result.flow("norms"))}
    before, after = (
        paint_screen(scene_of(ExplorerState(prompt=FOX, location=parse(f"{at}@{token}")), Palette(), (120, 40), result, **more))
        for token in (13, 12)
    )
    for name, kind in MEDIA.items():
        medium = kind(CELL)
        wire, screen = wired(medium, (120, 40)), PixelScreen((120, 40), CELL)
        screen.feed(wire.shrink(said(medium.tiles.place(before))))
        canvas = medium.tiles.place(after)
        sent = wire.shrink(said(canvas))
        screen.feed(sent)
        assert len(sent.encode()) <= 24 * KIB, name
        assert (canvas.chars >= chr(FIRST)).sum() > 100
        check(screen, canvas, medium)


def test_an_image_with_too_many_colours_keeps_their_highest_bits() -> None:
    blocks = np.arange(4096, dtype=np.int32).reshape(16, 16, 16) * 0x001003
    colours, numbers = few(blocks)
    assert len(colours) <= COLOURS
    found = np.array(colours)[numbers]
    assert all((np.abs((found >> shift & 255) - (blocks >> shift & 255)) < 64).all() for shift in (16, 8, 0))
    image = Image(colours, numbers[0].astype(np.int16))
    assert png(image)[:4] == b"\x89PNG"
    assert sixel(image).startswith("\x1bP0;1;0q")
