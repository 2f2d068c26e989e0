"""Each dialog in each depth and theme: no letter has a ground without an ink, all can be read, no colour is of another depth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.color import ColorType
from textual.containers import Vertical, VerticalScroll
from textual.pilot import Pilot

from tests.covering import few
from tests.ui.harness import COLOURS, ONCE, drive, settled, until
from tests.ui.test_contrast import READABLE, ratio
from tests.viz.test_console import FONTS
from txexplain.engine.model import GPT2
from txexplain.explorer.location import parse
from txexplain.explorer.session.events import Failed
from txexplain.explorer.state import ExplorerState
from txexplain.models.hub import NotHere
from txexplain.ui.app import ExplorerApp
from txexplain.ui.over import CommandsScreen, OverScreen

OPENED = {
    "help": ("question_mark",), "examples": ("e",), "lessons": ("t",), "models": ("m",), "find": ("o", "r"), "jump": ("J", "5"), "save": ("f8",),
    "palette": ("ctrl+p", "r", "down"), "palette, empty": ("ctrl+p",), "explain": ("i",), "toast": ("y",), "editor": ("slash",),
}  # fmt: skip
LOOKS = [
    ("256", "dark"), ("256", "light"), ("256", "contrast"), ("16", "dark"), ("16", "light"), ("truecolor", "light"), ("none", "dark"),
    ("console", "dark"),
]  # fmt: skip
KINDS = {
    "truecolor": {ColorType.TRUECOLOR}, "256": {ColorType.EIGHT_BIT}, "16": {ColorType.STANDARD, ColorType.DEFAULT},
    "none": {ColorType.DEFAULT},
}  # fmt: skip


def faults(app: ExplorerApp, depth: str) -> set[tuple[object, ...]]:
    """What is painted so that it can't be read, in colours that the terminal has not, or in signs that the console has not."""
    found: set[tuple[object, ...]] = set()
    strips = app.screen._compositor.render_strips()
    if depth == "console":
        depth = "16"
        found = {("no sign of the console's", char) for strip in strips for char in strip.text if char not in FONTS}
    if depth == "truecolor" and isinstance(app.screen, (OverScreen, CommandsScreen)):  # what lies below is dimmed
        region = app.screen.query(Vertical if app.screen.query(Vertical) else VerticalScroll).first().region
        strips = [strip.crop(region.x, region.right) for strip in strips[region.y : region.bottom]]
    for strip in strips:
        for text, style, _ in strip:
            if style is None:
                continue
            ink, ground = style.color, style.bgcolor
            kinds = {each.type for each in (ink, ground) if each is not None}
            if not kinds <= KINDS[depth]:
                found.add(("colours of another depth", text, ink, ground))
            owned = [each is not None and not each.is_default for each in (ink, ground)]
            if owned[1] and not owned[0] and text.strip():
                found.add(("a ground without an ink", text, ground))
            if depth == "16" and owned[1]:
                assert ink is not None
                assert ground is not None
                if (ground.number, ink.number) != (4, 15) and text.strip():
                    found.add(("an ink that is hard to read on this ground", text, ink, ground))
            if depth in ("truecolor", "256") and any(char.isalnum() for char in text):
                if owned != [True, True]:
                    found.add(("the terminal's own", text, ink, ground))
                elif ratio(ink, ground) < READABLE:
                    found.add(("low contrast", text, ink, ground, round(ratio(ink, ground), 1)))
    return found


@pytest.mark.parametrize(("depth", "theme"), few(LOOKS, lambda *look: look == ("256", "light")))
def test_every_dialog_can_be_read(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch, depth: str, theme: str) -> None:
    found: dict[str, set[tuple[object, ...]]] = {}

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        for name, keys in OPENED.items():
            base = app.screen
            await pilot.press(*keys)
            if name == "toast":
                await until(pilot, lambda: bool(app._notifications), "a sentence")
            elif name != "editor":
                await until(pilot, lambda base=base: app.screen is not base, name)
            if name.startswith("palette"):
                await until(pilot, lambda: bool(app.screen.query("CommandList.--visible")), "commands")
                if name == "palette":
                    await until(pilot, lambda: app.screen.query_one("CommandList").highlighted is not None, "one that is picked")
            await settled(app, pilot)
            found[name] = faults(app, depth)
            await pilot.press("escape")
            await until(pilot, lambda base=base: app.screen is base, f"{name} shut")

    state, colour = ExplorerState(prompt=ONCE, location=parse("L2")), depth
    if depth == "console":
        colour = "auto"
        monkeypatch.setenv("TERM", "linux")
        for name in ("COLORTERM", "NO_COLOR"):
            monkeypatch.delenv(name, raising=False)
    drive(test, storyteller, state, size=(90, 30), options=replace(COLOURS, color=colour, theme=theme))
    assert not {name: pieces for name, pieces in found.items() if pieces}


@pytest.mark.parametrize(
    "name", few([*(name for name in OPENED if name != "toast"), "fetch"], lambda name: name in ("help", "jump", "palette", "fetch"))
)
def test_a_key_that_is_no_letter_leaves_the_app_from_every_dialog(storyteller: GPT2, name: str) -> None:
    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        base = app.screen
        if name == "fetch":
            app.happen(Failed("load", "", NotHere("gpt2")))
        else:
            await pilot.press(*OPENED[name])
        if name != "editor":
            await until(pilot, lambda: app.screen is not base, name)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app._exit, "the end")

    drive(test, storyteller, ExplorerState(prompt=ONCE, location=parse("L2")), size=(90, 30))


def test_a_dialog_s_own_keys_and_letters_stay_its_own(storyteller: GPT2) -> None:
    """Whatever keys the reader chose for the end."""

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        base = app.screen
        for opens, closes in ((("question_mark",), "escape"), (("J",), "escape"), (("e",), "down"), (("f8",), "x")):
            await pilot.press(*opens)
            await until(pilot, lambda: app.screen is not base, opens[0])
            await pilot.press(closes)
            await pilot.pause()
            assert not app._exit
            if closes != "escape":
                await pilot.press("tab")
                app.screen.dismiss(None)
            await until(pilot, lambda: app.screen is base, "the dialog shut")
        await pilot.press("m")
        await until(pilot, lambda: app.screen is not base, "models")
        await pilot.press("f11")
        await until(pilot, lambda: app._exit, "the end")

    keys = {"quit": ("escape", "down", "x", "f11"), "out": ("backspace",), "down": ("j",), "surprisal": ("f2",), "block_back": ("comma",)}
    drive(test, storyteller, ExplorerState(prompt=ONCE, location=parse("L2")), size=(90, 30), options=replace(COLOURS, keys=keys))


@pytest.mark.parametrize("size", [(3000, 40), (90, 3000)])
def test_a_screen_of_any_size_is_drawn_as_far_as_can_be(storyteller: GPT2, size: tuple[int, int]) -> None:
    """A terminal may say that it has 65,535 columns and as many rows; each cell takes memory."""

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        within = (min(size[0], 1000), min(size[1], 1000))
        assert (tuple(app.size), tuple(app.screen.size)) == (within, within)
        await pilot.resize_terminal(90, 30)
        await until(pilot, lambda: tuple(app.screen.size) == (90, 30), "a usual size")
        await pilot.resize_terminal(*size)
        await until(pilot, lambda: tuple(app.screen.size) == within, "the size")
        assert app.query_one("#stage").size.width <= within[0]

    drive(test, storyteller, ExplorerState(prompt=ONCE), size=size)


def test_an_open_dialog_follows_the_terminals_answers(storyteller: GPT2) -> None:
    """A terminal that confirms 24-bit colour, and a light ground, while the help lies over the screen."""

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        assert (app.tones.theme, app.tones.depth) == ("dark", "256")
        await pilot.press("question_mark")
        assert not faults(app, "256")
        app.answered("truecolor", (255, 250, 240))
        await until(pilot, lambda: not faults(app, "truecolor"), "24-bit colours")
        assert (app.tones.theme, app.tones.depth) == ("light", "truecolor")
        app.answered(None, None)  # an answer to nothing changes nothing
        assert (app.tones.theme, app.tones.depth) == ("light", "truecolor")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm-256color")
        patch.delenv("COLORTERM", raising=False)
        patch.delenv("NO_COLOR", raising=False)
        drive(test, storyteller, ExplorerState(prompt=ONCE), size=(90, 30), options=replace(COLOURS, color="auto", theme=None))


@pytest.mark.parametrize("own", [{"theme": "dark", "color": "auto"}, {"theme": None, "color": "256"}])
def test_what_the_reader_asked_for_counts_for_more_than_an_answer(storyteller: GPT2, own: dict[str, str]) -> None:
    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        app.answered("truecolor", (255, 255, 255))
        assert app.tones.theme == ("dark" if own["theme"] else "light")
        assert app.tones.depth == ("truecolor" if own["color"] == "auto" else "256")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm-256color")
        patch.delenv("COLORTERM", raising=False)
        patch.delenv("NO_COLOR", raising=False)
        drive(test, storyteller, ExplorerState(prompt=ONCE), size=(60, 16), options=replace(COLOURS, **own))
