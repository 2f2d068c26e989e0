"""The Linux console: nothing is drawn but what Debian's fonts of 256 characters for Western Europe, Lat15-*, all have."""

from __future__ import annotations

import pytest

from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.explorer.choice import distribution_of
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.actions import Doing, footer
from txexplain.front.options import UiOptions
from txexplain.front.scenes import palette_of, scene_of
from txexplain.viz.canvas import Canvas, has_console, on_console
from txexplain.viz.palette import CONSOLE, Palette
from txexplain.viz.ramps import Ramp
from txexplain.viz.screen import paint_screen

# Read from the fonts' own tables in console-setup-linux 1.221: characters of all 29.
LETTERS = "".join(map(chr, range(0x20, 0x7F))) + "".join(map(chr, range(0xA1, 0x100))) + "ĐĞğİıŒœŞşŠšŸŽžƒ€"
LINES = "─━│┃┄┅┆┇┈┉┊┋┌┍┎┏┐┑┒┓└┕┖┗┘┙┚┛├┝┞┟┠┡┢┣┤┥┦┧┨┩┪┫┬┭┮┯┰┱┲┳┴┵┶┷┸┹┺┻┼┽┾┿╀╁╂╃╄╅╆╇╈╉╊╋═║╒╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡╢╣╤╥╦╧╨╩╪╫╬╴╵╶╷╸╹╺╻╼╽╾╿"
FONTS = set(LETTERS + LINES + "‐‑‒–—―‘’‚“”„•‹›‼№™←↑→↓−≈≠≤≥⊕⊖█░▒■▲▶▸▼◀◂●✗")
TONES = Palette("dark", "16", ascii=True, console=True)
PLACES = (
    "model", "embed", "embed:nearest", "L1", "L0[add2]", "L1.ln1", "L0.qkv", "L1.qkv:matrix", "L1.attn", "L1.proj", "L1.mlp", "L1.mlp[5]",
    "heads", "heads:previous", "L1H1:qk", "L1H1:softmax", "L1H1:values", "L1H1[4,2]", "final", "output", "residual",
)  # fmt: skip


def drawn(result: Result, place: str, size: tuple[int, int], tones: Palette = TONES, side: str = "") -> Canvas:
    state = ExplorerState(location=parse(place))
    keys = footer(Doing(state.location.kind), ascii=tones.ascii)
    more = {"distribution": distribution_of(result, state), "ribbons": tuple(result.flow(state.flow)), "keys": keys, "side": side}
    return paint_screen(scene_of(state, tones, size, result, surprisal=None, **more))


@pytest.mark.parametrize("place", PLACES)
def test_every_view_is_made_of_what_the_consoles_fonts_have(place: str, story_result: Result) -> None:
    for size, side in (((80, 24), ""), ((128, 40), ""), ((128, 48), "explain")):
        other = {char for row in drawn(story_result, place, size, side=side).chars.tolist() for char in row} - FONTS
        assert not other - {""}, size


def test_lines_blocks_and_shades_are_kept(story_result: Result) -> None:
    assert set("─│┌█") & set("".join(drawn(story_result, "model", (100, 30)).text())) >= set("─│█")
    assert set("═║╗╝⊕") <= set("".join(drawn(story_result, "L1", (80, 24)).text()))
    assert set("░▒█") <= set("".join(drawn(story_result, "L1H1:softmax", (120, 40)).text()))


def test_the_glyphs_are_the_fonts() -> None:
    signs = "".join(value for value in vars(CONSOLE).values())
    levels = "".join(
        ramp.glyph(level) for kind in ("sequential", "diverging") for ramp in [Ramp(kind, "value", TONES)] for level in range(ramp.levels)
    )
    assert set(signs + levels) <= FONTS
    assert all(has_console(char) == (char in FONTS) for char in signs + "éß½√Σ‖ŵ日▓⏎␣↵\x00\x9b")


@pytest.mark.parametrize(
    ("text", "shown"), [("√d × é", "sqrt d × é"), ("⏎ go", "enter go"), ("␣␣", "··"), ("↵", "¶"), ("日本", "??"), ("‖x‖ → ∞", "|x| → inf")]
)
def test_signs_that_the_fonts_lack_are_words(text: str, shown: str) -> None:
    assert on_console(text) == shown


def test_tokens_keep_their_letters_and_others_are_named(storyteller: GPT2) -> None:
    trace = storyteller.forward(storyteller.tokenizer.encode("un café, 日\n"))
    assert trace is not None
    result = Result(trace, storyteller)
    scene = scene_of(ExplorerState(), TONES, (80, 24), result)
    labels = "".join(scene.label(i) for i in range(trace.n_tokens))
    assert "café" in labels
    assert "\\n" in labels
    assert set(labels) <= FONTS


def test_the_console_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "linux")
    assert palette_of(UiOptions()) == Palette("dark", "16", ascii=True, console=True)
    assert palette_of(UiOptions(ascii=True)) == Palette("dark", "16", ascii=True)
    monkeypatch.setenv("TERM", "xterm")
    assert not palette_of(UiOptions()).ascii
