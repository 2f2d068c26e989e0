"""What a prompt says never reaches the terminal as anything but text: every byte that the app writes is parsed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.pilot import Pilot

from tests.covering import few
from tests.examples import examples
from tests.ui.harness import ONCE, become, drive, press, screen_text, settled, until
from tests.ui.recorder import Recorded, record
from tests.vt import BIDI, harmful, kinds
from txexplain.engine.model import GPT2
from txexplain.explorer.examples import Example
from txexplain.explorer.lesson import parse_lesson
from txexplain.explorer.location import parse
from txexplain.explorer.reading import Reads
from txexplain.explorer.session import answers
from txexplain.explorer.state import ExplorerState
from txexplain.models.report import Entry
from txexplain.text import RAW
from txexplain.ui.app import ExplorerApp
from txexplain.ui.widgets.picture import Picture

CONTROLS = "".join(map(chr, [*range(32), *range(0x7F, 0xA0)]))
HOSTILE = {
    "ansi": "a\x1b[31mred\x1b[2J\x1b[1;1Hb",
    "osc": "a\x1b]0;title\x07\x1b]2;t\x1b\\\x1b]52;c;ZWNobw==\x07\x1b]8;;http://x\x1b\\l",
    "dcs": "\x1bP$q\x1b\\\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bX sos\x1b\\ \x1bc\x1b#8",
    "nul": "\x00a\x00",
    "c1": "\x9b31m\x9d0;title\x9c\x90q\x85\x8d",
    "all controls": CONTROLS,
    "bidi": "abc\u202edef\u2066ghi\u2069" + "".join(sorted(BIDI)),
    "joiners": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u200b\u200c\u2060\ufeff\u00ad\ufe0f\U000e0041",
    "combining": "e" + "\u0301" * 40 + " \u0301 Z\u0351\u0363\u0345",
    "emoji": "\U0001f600 \U0001f1e9\U0001f1ea \u2764\ufe0f \U0001f44d\U0001f3fd",
    "separators": "a\u2028b\u2029c\u0085d\x0b\x0ce",
    "markup": "[/] [red]x[/red] [@click=app.quit]x[/] [/nothing] \\[b] [[]]",
}
PLACES = ("embed", "L2H3:softmax", "output")


async def everything(app: Recorded, pilot: Pilot[None]) -> None:
    """Every pane, screen and toast that may show the prompt."""
    for place in PLACES:
        become(app, answers.change(app.session, app.state.go(parse(place), app.session.dims())))
        await settled(app, pilot)
    for key in ("y", "question_mark", "escape", "i", "x", "u", "b", "space", "left_parenthesis", "right_parenthesis"):
        await press(app, pilot, key)
    app.action_do("prompt")
    await pilot.pause()
    await press(app, pilot, "a", "escape")


@pytest.fixture(scope="module")
def benign(storyteller: GPT2) -> frozenset[str]:
    """The kinds of control function that the app writes while it shows plain words."""

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        await everything(app, pilot)
        await press(app, pilot, "ctrl+l")

    found = frozenset(kinds(record(test, storyteller, ExplorerState(prompt=ONCE))))
    assert not {kind for kind in found if kind.startswith(("control", "string")) and kind not in ("control 0a", "control 0d")}
    assert not found & {"OSC 0", "OSC 1", "OSC 2"}
    return found


@pytest.mark.parametrize(
    "names",
    few(
        ["ansi, osc, dcs, nul, c1, separators", "all controls, bidi", "joiners, combining, emoji, markup"],
        lambda names: names.startswith("ansi"),
    ),
)
def test_a_prompt_is_only_text(storyteller: GPT2, benign: frozenset[str], names: str) -> None:
    text = " ".join(HOSTILE[name] for name in names.split(", "))
    assert len(storyteller.prompt_ids(text)) < 250
    written = record(everything, storyteller, ExplorerState(prompt=text))
    assert len(written) > 10000
    assert harmful(written, benign) == []


def test_what_is_pasted_is_kept_whole(storyteller: GPT2) -> None:
    """Ten megabytes: the field holds the beginning, the state all of it, and only the beginning is tokenised."""
    text = "line of words\n" * 730_000
    asked: list[int | None] = []
    encode = storyteller.tokenizer.encode

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        app.action_do("prompt")
        await pilot.press("ctrl+u")
        app.post_message(events.Paste(text))
        await until(pilot, lambda: "shorten it" in app.session.message, "the sentence")
        assert app.state.prompt == text
        assert len(app.editor.text) < 20_000
        app.editor.move_cursor((0, 0))
        await pilot.press("x", "escape")
        await until(pilot, lambda: not app.running, "the answer")
        assert app.state.prompt == "x" + text
        await pilot.press("y", "slash", "z", "escape")
        held = len(app.editor.text) - 1
        assert app.state.prompt == ("x" + text)[:held] + "z" + ("x" + text)[held:]
        await pilot.press("slash")
        app.editor.select_all()
        await pilot.press("backspace", "O", "n", "c", "e")
        await settled(app, pilot)
        assert app.state.prompt == "Once"

    def watched(text: str, *, limit: int | None = None, bare: bool = False) -> list[int]:
        asked.append(limit)
        return encode(text, limit=limit, bare=bare)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storyteller.tokenizer, "encode", watched)
        record(test, storyteller)
    assert {limit for limit in asked if limit is not None} == {8 * 256}


def test_few_marks_stand_on_one_cell_however_they_come(storyteller: GPT2) -> None:
    """Each is written anew with each blink of the cursor: 16,000 of them on an “a” were 64 kB."""
    marks = "\u0301\u20dd\U000e0100"

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        await pilot.press("slash", "ctrl+u")
        app.post_message(events.Paste("Once e\u0301\u0323" + "a" + marks * 5000 + "\nb"))
        await pilot.pause()
        assert app.editor.text == "Once e\u0301\u0323" + "a" + (marks * 6)[:16] + "\nb"
        for text in ("c" + marks, marks * 3, marks * 9, marks, marks + "d"):
            app.editor.insert(text)
        assert app.editor.text.endswith("\nbc" + (marks * 6)[:16] + "d")
        app.editor.insert("\ne" + marks * 4 + "f" + marks * 5)
        for start, end, base in (((2, 13), (2, 14), "\ne"), ((1, 19), (2, 1), "d"), ((1, 18), (1, 19), "\nbc")):
            app.editor.delete(start, end)  # what stood between two stacks
            stack = app.editor.text.rpartition(base)[2]
            assert (len(stack), set(stack)) == (16, set(marks))
        app.editor.undo()
        app.editor.redo()
        await settled(app, pilot)
        assert app.state.prompt == app.editor.text

    record(test, storyteller)


def test_editing_changes_nothing_but_what_is_typed(storyteller: GPT2) -> None:
    texts = ("a\x0bb\x0c", "a\u2028b\u2029", "\x85a\x1c\x1d\x1e", "a\rb\r\nc\r", "a\nb\n", *HOSTILE.values())

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        for text in texts:
            app.editor.fill(text)
            await pilot.pause()
            assert app.editor.whole == text
            app.editor.insert("x")
            assert app.editor.whole == text + "x"
        await pilot.press("slash", "y", "escape")
        await settled(app, pilot)
        assert app.state.prompt == texts[-1] + "xy"

    record(test, storyteller, size=(60, 16))


def test_a_paste_of_several_lines_is_text(storyteller: GPT2) -> None:
    """Bracketed paste sends a carriage return for each newline; none of them leaves the field, no letter is a key."""

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        await pilot.press("slash", "ctrl+u")
        app.post_message(events.Paste("q\rone\r\ntwo\nq\x1b[31m\u2028\x07\r"))
        await pilot.pause()
        await settled(app, pilot)
        assert app.session.pane == "prompt"
        assert app.state.prompt == "q\none\ntwo\nq\x1b[31m\u2028\x07\n"

    assert not harmful(record(test, storyteller), frozenset({"CSI C", "CSI H", "CSI m", "OSC 22"}))


def test_a_sentence_is_no_markup(storyteller: GPT2) -> None:
    sentence = "[/] [red]x[/red] [@click=app.quit]y[/]"

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        app.say(sentence + "\x1b[2J\x9b\u202e")
        await pilot.pause(0.05)
        assert any("[@click=app.quit]y[/]" in line for line in screen_text(app))

    assert not harmful(record(test, storyteller), frozenset({"CSI C", "CSI H", "CSI m", "OSC 22"}))


SAID = "[/] [red]x[/red] [@click=app.quit]y[/]"


def test_no_list_field_or_page_reads_markup(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of models, examples, what is typed into fields, a lesson's title, text, question, answers and reasons."""
    monkeypatch.setattr("txexplain.ui.dialogs.examples_for", lambda model: (Example(SAID, SAID),))
    lesson = parse_lesson(f"# {SAID}\n\n+++\ntitle = '{SAID}'\nprompt = '{SAID}'\nquestion = '{SAID}'\nanswers = ['{SAID}', 'b']\n"
                          f"answer = 1\nwhy = '{SAID}'\n+++\n`{SAID}`\n")  # fmt: skip

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        app.list_models = lambda: [Entry(SAID, "cached", 1, 1, SAID)]
        for keys in (("m",), ("e",)):
            await pilot.press(*keys)
            await until(pilot, lambda: any("[red]x[/red] [@click" in line for line in screen_text(app)), f"the words behind {keys}")
            await pilot.press("escape")
            await settled(app, pilot)
        for key in ("J", "o"):
            await pilot.press(key, *("left_square_bracket", "slash", "right_square_bracket", "x"), "enter")
            await pilot.pause()
            assert any("[/]x" in line for line in screen_text(app)), key
            await pilot.press("escape")
        await settled(app, pilot)

    drive(test, storyteller)

    async def read(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await pilot.press("2", "1")
        await settled(app, pilot)
        shown = " ".join(line[80:].strip() for line in screen_text(app))
        assert shown.count("[red]x[/red]") >= 4

    drive(read, storyteller, reads=Reads(lesson))


@pytest.mark.long
def test_every_token_of_the_vocabulary_is_only_text(storyteller: GPT2, benign: frozenset[str]) -> None:
    """All 50,257 as candidates, a terminal of 400 rows full at a time: from the panel to the bytes."""
    seen: list[int] = []

    def shown(app: Recorded) -> list[int]:
        canvas = app.query_one("#panel", Picture).canvas
        assert canvas is not None
        return [hit.target[1] for hit in canvas.hits if isinstance(hit.target, tuple) and hit.target[0] == "candidate"]

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        assert app.session.distribution is not None
        last = len(app.session.distribution.order) - 1
        while not seen or seen[-1] < last:
            ranks = shown(app)
            seen.extend(rank for rank in ranks if not seen or rank > seen[-1])
            app.session = replace(app.session, candidate=min(last, seen[-1] + len(ranks)))
            app.paint()
            await pilot.pause()

    written = record(test, storyteller, ExplorerState(prompt=ONCE), size=(120, 400))
    assert seen == list(range(50257))
    assert harmful(written, benign) == []


ACTS = ("\x1b[", "\x1b]", "\x9b", "\x9d", "\x07", "\x1b\\", "\x00", "\ud800", "\udcff", "31m", "0;", "[/]", "[@click=app.quit]", "\u202e")


texts = st.lists(st.characters(codec=None) | st.sampled_from(ACTS), max_size=40).map("".join)


@pytest.mark.long
@examples(12)
@given(texts, st.sampled_from(("model", *PLACES)))
def test_whatever_a_prompt_is_made_of_it_is_only_text(storyteller: GPT2, benign: frozenset[str], text: str, place: str) -> None:
    """Any characters, half ones and the beginnings of control functions among them, pasted and then gone on with."""

    async def test(app: Recorded, pilot: Pilot[None]) -> None:
        await pilot.press("slash", "ctrl+u")
        app.post_message(events.Paste(text))
        await press(app, pilot, "a", "escape")
        assert app.state.prompt == text.replace("\r\n", "\n").replace("\r", "\n") + "a"
        become(app, answers.change(app.session, app.state.go(parse(place), app.session.dims())))
        await press(app, pilot, "y", "space", "i")

    assert harmful(record(test, storyteller, ExplorerState(prompt=ONCE)), benign) == []


@pytest.mark.parametrize("name", few(HOSTILE, lambda name: name in ("osc", "all controls", "bidi")))
def test_the_window_s_name_is_only_text(storyteller: GPT2, name: str) -> None:
    """Of the prompt and the model's name, whatever they hold: a name that ended early would be followed by commands."""
    names: list[str] = []

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        app._driver.entitle = names.append  # type: ignore[union-attr]
        for model, prompt in (("storyteller", HOSTILE[name]), (HOSTILE[name], ONCE)):
            app.session = replace(app.session, state=replace(app.state, model=model, prompt=prompt))
            app.entitle()

    drive(test, storyteller)
    assert len(names) == 2
    for text in names:
        assert text.startswith("txexplain ")
        assert not RAW.search(text)
        assert "\n" not in text
        assert "\t" not in text
