"""A lesson in the app: pages drive the screen, the reader may wander off, questions are answered, a script plays its keys."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.ui.harness import COLOURS, SlowForward, become, drive, pane_text, press, said, screen_text, settled, until, write
from tests.ui.paper import Paper, on_paper
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution
from txexplain.explorer.lesson import Lesson, parse_lesson, shipped_lessons
from txexplain.explorer.reading import Reads
from txexplain.explorer.session import answers, lessons
from txexplain.explorer.session.lessons import SHOWN_KEYS
from txexplain.explorer.state import from_flags
from txexplain.front import config
from txexplain.front.actions import ACTIONS
from txexplain.front.lessons import read
from txexplain.front.scenes import palette_of, scene_of
from txexplain.models import load_model
from txexplain.models.report import Entry
from txexplain.ui import deeds, save
from txexplain.ui.app import ExplorerApp
from txexplain.ui.choose import LessonsScreen
from txexplain.ui.models import ModelsScreen
from txexplain.ui.widgets.picture import Picture
from txexplain.viz.numbers import percent
from txexplain.viz.screen import Rect, paint_pane

LESSON = parse_lesson(
    """# Looking
+++
title = "First"
prompt = "red blue red blue red"
at = "{head induction}:softmax[4,1]"
highlight = "query 4"
+++
Most is given by {head induction}, to {token 1} it gives {cell induction 4,1}; {top} leads with {logit 1}.
+++
title = "Asked"
temperature = 2
top_k = 3
seed = 4
at = "output"
highlight = "temperature"
question = "Which?"
answers = ["one", "two", "three"]
answer = 2
why = ["not one", "two, yes", "not three"]
+++
T is {T}.
+++
title = "Last"
prompt = "Once upon a time"
question = "And now?"
answers = ["a", "b"]
answer = 1
why = "Because."
+++
""",
    "looking",
)
SIZES = ((80, 24), pytest.param((120, 36), marks=pytest.mark.long))


def side(app: ExplorerApp) -> str:
    return " ".join("\n".join(pane_text(app, "side")).replace("│", " ").split())


@pytest.mark.parametrize("size", SIZES)
def test_a_page_drives_the_screen_and_says_what_the_run_says(storyteller: GPT2, size: tuple[int, int]) -> None:
    async def look(app: ExplorerApp, pilot: Pilot[None]) -> None:
        assert app.result is not None
        assert app.state.prompt == "red blue red blue red"
        place = app.state.location
        best = app.result.measures.induction
        assert best[place.block, place.head] == best[best == best].max()
        assert (place.query, place.key) == (4, 1)
        share = percent(float(app.result.trace[f"blocks.{place.block}.attn.pattern"][place.head, 4, 1]))
        assert f"L{place.block}H{place.head}" in side(app)
        assert share in side(app)
        assert "1/3" in side(app)
        marked = [line for line in pane_text(app, "stage") if "▸" in line]
        assert len(marked) in (1, 2)  # a row of the grid is one or two lines high
        assert "red" in marked[0]

    on_paper(look, storyteller, size=size, reads=Reads(LESSON))


def test_pages_turn_and_what_a_page_does_not_say_begins_anew(storyteller: GPT2) -> None:
    async def turn(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "p")
        assert app.session.reader.number == 1
        await press(app, pilot, "n")
        assert (app.state.temperature, app.state.mode, app.state.k, app.state.seed) == (2.0, "top-k", 3, 4)
        assert str(app.state.location) == "output"
        assert "T is 2." in side(app)
        await press(app, pilot, "]")
        assert "T is 2.5." in side(app)  # the text follows what the reader does
        await press(app, pilot, "n", "n")
        assert (app.session.reader.number, app.state.prompt, app.state.temperature, app.state.mode) == (3, "Once upon a time", 1.0, "full")
        assert app.result is not None
        assert app.result.trace.n_tokens == 4
        await press(app, pilot, "p")
        assert (app.session.reader.number, app.state.prompt, app.state.temperature) == (2, "red blue red blue red", 2.0)

    on_paper(turn, storyteller, reads=Reads(LESSON))


@pytest.mark.parametrize("size", SIZES)
def test_the_reader_wanders_off_and_comes_back(storyteller: GPT2, size: tuple[int, int]) -> None:
    async def wander(app: ExplorerApp, pilot: Pilot[None]) -> None:
        view, said = app.state, side(app)
        await press(app, pilot, "escape", "escape", "]", "space")
        assert app.state != view
        assert side(app) == said  # values of the page's own run
        await press(app, pilot, "z")
        assert replace(app.state, memory=view.memory) == view
        assert side(app) == said
        await press(app, pilot, "slash")
        await write(app, pilot, "Quite another text n p t z")
        await pilot.press("enter")
        await press(app, pilot, "t", "t")
        assert not any("1/3" in line for line in screen_text(app))
        assert len(pane_text(app, "panel")) > 1
        await press(app, pilot, "a", "t", "enter")
        assert app.state == view
        assert side(app) == said

    drive(wander, storyteller, size=size, reads=Reads(LESSON))


def test_answers_by_digit_by_cursor_and_the_summary_and_the_record(storyteller: GPT2, tmp_path: Path) -> None:
    kept = tmp_path / "answers.json"

    async def answer(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "n")
        assert "two, yes" not in side(app)
        await press(app, pilot, "9", "3")
        assert "not three" in side(app)
        assert "✓2" in side(app)
        assert "✗3" in side(app)
        place = app.state.location
        await press(app, pilot, "2", "9")
        assert "two, yes" in side(app)  # the reason for another answer
        assert "not three" not in side(app)
        assert "▸1" not in side(app)
        await press(app, pilot, "1")
        assert "not one" in side(app)
        assert "▸1 one" in side(app)
        assert ("✓2" in side(app), "✗3" in side(app)) == (True, True)
        await press(app, pilot, "3", "tab", "tab", "down", "enter")
        assert "not three" in side(app)
        assert app.session.reader.given == {2: 3}  # an answer stands
        assert app.state.location == place
        written = json.loads(kept.read_text("utf-8"))
        assert written["answers"] == [{"page": 2, "question": "Which?", "answer": 3, "right": False}]
        await press(app, pilot, "n", "down", "up", "enter")
        assert "Because." in side(app)
        assert "1 of 2 questions right" in side(app)
        assert json.loads(kept.read_text("utf-8"))["right"] == 1
        await press(app, pilot, "p")
        assert "not three" in side(app)

    on_paper(answer, storyteller, reads=Reads(LESSON, record=kept))


def test_nothing_is_written_unless_it_was_asked_for(storyteller: GPT2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def answer(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "n", "1")
        assert app.session.reader.given == {2: 1}

    drive(answer, storyteller, reads=Reads(LESSON))
    assert list(tmp_path.iterdir()) == []


def test_t_without_a_lesson_lists_the_shipped_ones_and_opens_one(storyteller: GPT2) -> None:
    async def choose(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "n", "z")
        assert app.session.reader.lesson is None
        await pilot.press("t")
        await until(pilot, lambda: len(app.screen_stack) == 2, "the list")
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.session.reader.lesson is not None, "a lesson")
        await press(app, pilot)
        await until(pilot, lambda: app.session.reader.reading is not None and app.session.reader.reading.result is not None, "its page")
        assert app.session.reader.lesson is not None
        assert app.session.reader.lesson.name == "attention"
        assert "1/12" in side(app)

    drive(choose, storyteller)


@pytest.mark.parametrize("size", SIZES)
def test_lessons_are_a_chain_and_any_opens_at_any_time(storyteller: GPT2, size: tuple[int, int]) -> None:
    first, _, third, *_, final = shipped_lessons()

    def at(app: ExplorerApp) -> tuple[str, int]:
        assert app.session.reader.lesson is not None
        title = pane_text(app, "side")[0]
        assert f"{app.session.reader.number}/{len(app.session.reader.lesson.pages)}" in title
        return app.session.reader.lesson.name, app.session.reader.number

    async def walk(app: ExplorerApp, pilot: Pilot[None]) -> None:
        last = len(first.pages)
        assert at(app) == ("transformer", last)
        await press(app, pilot, "space", *["pagedown"] * 30)
        assert "The end of this lesson. n opens the next: Attention in depth." in side(app)
        assert len(app.state.appended) == 1
        await press(app, pilot, "n")
        assert at(app) == ("attention", 1)
        await press(app, pilot, "p")
        assert at(app) == ("transformer", last)
        await press(app, pilot, "n", "n", "n", "t")  # on page 3, the list again
        rows = [" ".join(row.split()) for row in screen_text(app)]
        assert any("Attention in depth page 3 of 12" in row for row in rows)
        await press(app, pilot, "down", "enter")
        assert at(app) == (third.name, 1)
        await press(app, pilot, "ctrl+p")
        await pilot.press(*"lessons", "enter")
        await until(pilot, lambda: isinstance(app.screen, LessonsScreen), "the list by its name")
        await press(app, pilot, "up", "enter")
        assert at(app) == ("attention", 3)  # where it was left
        await press(app, pilot, "J", *"Transformer", "space", "4", "enter")
        assert at(app) == ("transformer", 4)
        await press(app, pilot, "J", *"rest", "space", "9", "9", "enter")
        await until(pilot, lambda: any("has no page 99" in row for row in screen_text(app)), "what is wrong")
        await press(app, pilot, "escape", "J", *final.name, "space", *str(len(final.pages)), "enter", "space", "n", "n")
        assert at(app) == (final.name, len(final.pages))
        assert len(app.state.appended) == 1  # where nothing follows, nothing is thrown away
        assert "The end of this lesson. t lists the lessons" in side(app)

    drive(walk, storyteller, size=size, reads=Reads(first, page=len(first.pages)))


def test_the_first_page_stays_as_it_is_where_nothing_comes_before(storyteller: GPT2) -> None:
    async def back(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "space", "p")
        assert len(app.state.appended) == 1

    on_paper(back, storyteller, reads=Reads(LESSON))


OWN = from_flags(prompt="My own words", temperature=2.5, top_k=7, seed=3, at="L2H1:qk[1,0]")


@pytest.mark.parametrize("size", SIZES)
def test_leaving_a_lesson_gives_back_what_the_reader_had(storyteller: GPT2, size: tuple[int, int]) -> None:
    async def visit(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "space", "[", "b")
        own, history, held = app.state, [moment.key for moment in app.session.history], app.session.held
        assert held is not None
        await press(app, pilot, "t", "down", "enter", "n", "]", "space", "space")
        page = app.session.reader.number
        assert app.session.held is None
        assert not {moment.ids for moment in app.session.history} & {ids for ids, *_ in history}
        await press(app, pilot, "t")
        assert "Close the lesson" in str(app.screen.entries[-1])
        assert "t close the lesson" in " ".join(screen_text(app))
        await press(app, pilot, "t")
        assert app.state == own
        assert app.state.appended == own.appended
        assert [moment.key for moment in app.session.history] == history
        assert app.session.held is held
        await press(app, pilot, "u")
        assert app.session.prompt_text() == "My own words"
        await press(app, pilot, "t", "enter")
        assert app.session.reader.number == page
        assert app.session.reader.reading is not None
        assert app.state.prompt == app.session.reader.reading.page.prompt
        await press(app, pilot, "t", "end", *["down"] * (len(shipped_lessons()) + 1), "enter")  # the list's last line closes it, too
        assert app.session.reader.side == ""
        assert app.session.prompt_text() == "My own words"

    drive(visit, storyteller, OWN, size=size)


@pytest.mark.long
def test_the_own_place_may_lie_where_the_pages_run_has_nothing(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone to once the own run is there; a key that leads elsewhere meanwhile counts."""
    long = "One two three four five six seven eight nine ten eleven twelve"
    own = from_flags(prompt=long, at="L2H1:qk[11,9]")
    slow = SlowForward(monkeypatch)

    async def visit(app: ExplorerApp, pilot: Pilot[None]) -> None:
        for keys, place in (((), "L2H1:qk[11,9]"), (("a",), "heads[2.1]@11")):
            await press(app, pilot, "t", "enter")
            assert app.result is not None
            assert app.result.trace.n_tokens < 10
            slow.shut = True
            slow.gate(storyteller.prompt_ids(long)).clear()
            await pilot.press("t", "t", *keys)
            assert app.running
            slow.open()
            await settled(app, pilot)
            assert app.session.prompt_text() == long
            assert str(app.state.location).replace("@11", "") == place.replace("@11", "")
            if not keys:
                assert app.state == own

    slow.open()
    drive(visit, storyteller, own)


def test_a_lesson_that_is_closed_before_its_model_is_there_stays_closed(storyteller: GPT2) -> None:
    gate = threading.Event()

    def load() -> GPT2:
        assert gate.wait(20)
        return storyteller

    async def close(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await pilot.press("t", "t")
        gate.set()
        await press(app, pilot)
        assert app.session.reader.side == ""
        assert app.state == OWN

    drive(close, None, OWN, load=load, wait=False, reads=Reads(LESSON))


def test_answers_are_kept_of_the_lesson_that_was_asked_for(storyteller: GPT2, tmp_path: Path) -> None:
    kept = tmp_path / "answers.json"

    async def answer(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "1", "J", *"transformer", "space", "3", "enter")
        assert any("Looking alone" in sentence for sentence in said(app))
        await press(app, pilot, "1")
        assert app.session.reader.given == {3: 1}
        written = json.loads(kept.read_text("utf-8"))
        assert (written["lesson"], len(written["answers"])) == ("looking", 1)

    drive(answer, storyteller, reads=Reads(LESSON, page=2, record=kept))
    assert [path.name for path in tmp_path.iterdir()] == ["answers.json"]


def test_a_page_brings_its_model_and_the_next_one_gives_it_back(storyteller: GPT2, tiny: GPT2) -> None:
    folder = Path(__file__).parents[1] / "golden" / "parity" / "default"
    first = "+++\ntitle = 'a'\nprompt = 'Once upon a time'\n+++\n{blocks} blocks\n"
    lesson = parse_lesson(first + f"+++\ntitle = 'b'\nmodel = '{folder}'\nids = [5, 17, 3]\n+++\n{{blocks}} blocks\n", "two")

    async def turn(app: ExplorerApp, pilot: Pilot[None]) -> None:
        assert "6 blocks" in side(app)
        await pilot.press("n")
        await until(pilot, lambda: "2 blocks" in side(app), "the page's model")
        assert app.result is not None
        assert app.result.trace.ids == (5, 17, 3)
        await pilot.press("p")
        await until(pilot, lambda: "6 blocks" in side(app), "the reader's own model")
        assert app.state.model == "storyteller"
        await pilot.press("n")
        await until(pilot, lambda: "2 blocks" in side(app), "the page's model again")
        await pilot.press("t", "t")
        await settled(app, pilot)
        assert app.state == OWN
        assert app.model is not None
        assert app.model.config.n_layer == 6

    drive(turn, storyteller, OWN, reads=Reads(lesson))


@pytest.mark.long
def test_a_model_that_the_reader_picks_in_a_lesson_stays(storyteller: GPT2) -> None:
    """With the words of the own prompt, which that model cuts in its own way."""
    other = Path(__file__).parents[1] / "golden" / "saved" / "one"

    async def pick(app: ExplorerApp, pilot: Pilot[None]) -> None:
        app.list_models = lambda: [Entry("storyteller", "bundled", 1, 1, ""), Entry("small", "cached", 1, 1, str(other))]  # type: ignore[method-assign]
        app.open_model = lambda name, progress: load_model(other)
        await press(app, pilot, "space", "t", "enter")
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen) and app.screen.models is not None, "the list of models")
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.state.model == "small", "the other model")
        await press(app, pilot, "t", "t")
        assert app.state.model == "small"
        assert app.session.prompt_text().startswith("My own words")
        assert (app.state.temperature, app.state.k, str(app.state.location)) == (2.5, 7, "L1H1:qk[1,0]")
        assert app.result is not None
        assert app.result.trace.ids == tuple(app.model.prompt_ids(app.session.prompt_text()))  # type: ignore[union-attr]

    drive(pick, storyteller, OWN)


def test_a_page_keeps_its_models_numbers(storyteller: GPT2, tiny: GPT2) -> None:
    """Another model that reads the same tokens says something else, and the page doesn't say it."""
    lesson = parse_lesson("+++\ntitle = 'a'\nids = [5, 17, 3]\n+++\nThe likeliest: {probability 1}.\n", "numbers")
    other = tiny.forward([5, 17, 3])
    assert other is not None

    async def look(app: ExplorerApp, pilot: Pilot[None]) -> None:
        scene, rect = app.scene(*app.size), app.layout_of(*app.size)["side"]
        switched = replace(scene, shown=Result(other, tiny), distribution=distribution(other.last_logits))
        said = [" ".join(" ".join(paint_pane("side", each, rect).text()).split()) for each in (scene, switched)]
        assert scene.distribution is not None
        assert f"The likeliest: {percent(scene.distribution.probability.max())}." in said[0]
        assert said[1] == said[0]

    on_paper(look, storyteller, reads=Reads(lesson))


def test_a_page_says_its_own_settings_numbers_wherever_the_reader_went(storyteller: GPT2) -> None:
    """The reader chose top-k before the page's run was there, and went on to another text."""
    lesson = parse_lesson("+++\ntitle = 'a'\nprompt = 'Once upon a time'\n+++\n{top} {probability} {probability 1 0.5}.\n", "numbers")
    trace = storyteller.forward(storyteller.prompt_ids("Once upon a time"))
    assert trace is not None
    result, tones = Result(trace, storyteller), palette_of(COLOURS)
    state, reading = read(lesson, lesson.pages[0], from_flags(prompt="Once upon a time", top_k=3), result, tones)
    own = [distribution(trace.last_logits, temperature) for temperature in (1.0, 0.5)]
    elsewhere = storyteller.forward(storyteller.prompt_ids("The cat"))
    assert elsewhere is not None
    scene = scene_of(replace(state, prompt="The cat"), tones, (60, 20), Result(elsewhere, storyteller),
                     distribution=distribution(elsewhere.last_logits, top_k=3), reading=reading, side="lesson")  # fmt: skip
    said = " ".join(" ".join(paint_pane("side", scene, Rect(0, 0, 60, 20)).text()).split())
    assert " ".join(percent(each.probability[each.order[0]]) for each in own) in said


def test_a_click_answers(storyteller: GPT2) -> None:
    async def click(app: ExplorerApp, pilot: Pilot[None]) -> None:
        rows = pane_text(app, "side")
        row = next(y for y, line in enumerate(rows) if "2 two" in line)
        await pilot.click("#side", offset=(6, row))
        await press(app, pilot)
        assert app.session.reader.given == {2: 2}
        await pilot.click("#side", offset=(6, row - 1))
        await press(app, pilot)
        assert app.session.reader.given == {2: 2}  # an answer stands
        assert "not one" in side(app)

    drive(click, storyteller, reads=Reads(LESSON, page=2))


def script(*keys: str) -> Lesson:
    pages = f"+++\ntitle = 'a'\nprompt = 'Once upon a time'\nkeys = {json.dumps(keys)}\n+++\ntext\n+++\ntitle = 'b'\n+++\n"
    return parse_lesson(pages, "script")


@pytest.mark.long
def test_a_script_plays_its_keys_the_same_way_each_time(storyteller: GPT2) -> None:
    ends = []

    async def watch(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: len(app.session.reader.pressed) >= SHOWN_KEYS, "the script has begun")
        await until(pilot, lambda: not app.session.reader.waiting and not app.running, "the script's end")
        await press(app, pilot)
        ends.append((app.state, app.session.reader.pressed))

    keys = ("]", "]", "slash", "x", "space", "backspace", "backspace", "!", "enter", "space", "enter", "right")
    for _ in range(2):
        drive(watch, storyteller, reads=Reads(script(*keys), lecture=True, pace=0.01), wait=False)
    assert ends[0] == ends[1]
    state, pressed = ends[0]
    assert state.temperature == 1.2
    assert len(state.appended) == 1
    assert state.ids is not None
    assert storyteller.tokenizer.decode(state.ids[:-1]) == "Once upon a time!"
    assert state.location.kind == "block"
    assert pressed[-3:] == ("space", "enter", "right")


def test_nothing_that_a_script_may_press_writes_copies_opens_or_leaves(
    storyteller: GPT2, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every such action is done as a script does it, with a question open whose answers are kept in a file."""
    done: list[str] = []
    doing = ["the start"]
    played = [action.id for action in ACTIONS if action.script]

    async def watch(app: Paper, pilot: Paper) -> None:
        for whose, name in ((config, "write_whole"), (deeds, "write_whole"), (save, "write_whole"), (os, "killpg")):
            monkeypatch.setattr(whose, name, lambda *_, **__: done.append(doing[0]))
        for name in ("copy_to_clipboard", "suspend", "exit", "push_screen", "load_model"):
            monkeypatch.setattr(Paper, name, lambda *_, **__: done.append(doing[0]), raising=False)
        for name in ("look", "repaint", "list_models"):
            monkeypatch.setattr(Paper, name, lambda *_: None, raising=False)
        for pane, actions in (("stage", played), ("side", ["enter", "down", "up"])):
            become(app, lessons.show(app.session, 2))
            become(app, answers.focus(app.session, pane))
            for action in actions:
                doing[0] = action
                app.session = replace(app.session, generating=False)  # which might never come to rest
                await settled(app, pilot)
                if pane == "side":
                    assert (app.session.pane, app.session.reader.asks) == ("side", True)
                app.session = lessons.with_reader(app.session, waiting=(("do", action, action),))
                become(app, lessons.press(app.session))
                assert not app.session.reader.waiting
        await settled(app, pilot)
        assert done == []
        assert app.session.reader.given == {}
        # The same keys of the reader's own do all that.
        doing[0] = "own"
        app.perform("enter")
        assert app.session.reader.given == {2: 1}
        for action in (each for each in ACTIONS if not each.script and each.id not in ("palette", "lesson_back", "suspend", "picture")):
            before = len(done)
            app.perform(action.id)
            assert len(done) > before, action.id

    reads = Reads(LESSON, page=2, lecture=True, pace=500, record=tmp_path / "answers.json")
    on_paper(watch, storyteller, reads=reads)


def test_the_lecturer_takes_over_with_any_key(storyteller: GPT2) -> None:
    async def stop(app: ExplorerApp, pilot: Pilot[None]) -> None:
        assert app.session.reader.waiting
        await press(app, pilot, "]")
        assert app.session.reader.waiting == ()
        await press(app, pilot, "n")
        assert (app.session.reader.number, app.session.reader.waiting) == (2, ())
        assert "n" in "".join(pane_text(app, "footer"))

    on_paper(stop, storyteller, reads=Reads(script(*"]" * 100), lecture=True, pace=500))


def test_a_lecture_shows_a_key_at_once(storyteller: GPT2) -> None:
    """Also one that opens a page over the screen, and draws nothing itself."""

    async def press_help(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await pilot.press("question_mark")
        await until(pilot, lambda: len(app.screen_stack) > 1, "the help")
        canvas = app.screen_stack[0].query_one("#footer", Picture).canvas
        assert canvas is not None
        assert canvas.text()[0].strip() == "?"

    drive(press_help, storyteller, reads=Reads(LESSON, lecture=True))


def test_without_lecture_no_key_is_pressed(storyteller: GPT2) -> None:
    async def wait(app: ExplorerApp, pilot: Pilot[None]) -> None:
        assert app.session.reader.waiting == ()
        assert "script" not in app.timers

    on_paper(wait, storyteller, reads=Reads(script("]"), pace=0.01))
