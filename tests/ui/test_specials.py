"""Another's added tokens in the app: shown as one, typed as one or as text, and given ids that stay while text is typed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.ui.harness import drive, pane_text, press, settled, until
from tests.ui.paper import on_paper
from txexplain.engine.model import GPT2
from txexplain.engine.vocabulary import open_folder
from txexplain.explorer.state import ExplorerState
from txexplain.ui.app import ExplorerApp

FOLDERS = Path(__file__).parents[1] / "golden" / "tokenizers"


@pytest.fixture
def with_users(storyteller: GPT2) -> GPT2:
    return GPT2(storyteller.checkpoint, open_folder(FOLDERS / "added", storyteller.config.vocab_size), "mine")


def test_a_typed_special_is_one_token_until_s_makes_it_text(with_users: GPT2) -> None:
    own = with_users.tokenizer
    text = "<|user|>Rapunzel"

    async def watch(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await settled(app, pilot)
        assert app.result is not None
        assert app.result.trace.ids == (own.typed["<|user|>"], own.typed["Rapunzel"])
        assert "<|user|>" in "".join(pane_text(app, "prompt"))
        await press(app, pilot, "S")
        assert app.result.trace.ids == tuple(own.plain().encode(text))
        assert "--specials text" in app.state.command_line()
        await press(app, pilot, "S")
        assert app.result.trace.ids == (own.typed["<|user|>"], own.typed["Rapunzel"])

    on_paper(watch, with_users, ExplorerState(model="mine", prompt=text))


def test_given_ids_stay_while_letters_are_typed_behind_them(with_users: GPT2) -> None:
    own = with_users.tokenizer
    apart = [own.encode(c, bare=True)[0] for c in "the"]  # which text would make one token
    given = (own.typed["<|user|>"], *apart)

    async def watch(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await settled(app, pilot)
        await pilot.press("slash", "c", "a", "t")
        want = (*given, *own.encode("cat", bare=True))
        await until(pilot, lambda: app.result is not None and app.result.trace.ids == want, "the ids with what was typed")
        assert app.editor.text == "<|user|>thecat"
        await pilot.press("backspace", "backspace", "backspace", "escape")
        await until(pilot, lambda: app.result is not None and app.result.trace.ids == given, "the ids as they were given")
        assert app.state.ids == given

    on_paper(watch, with_users, ExplorerState(model="mine", ids=given))


def test_what_a_tokenizer_puts_before_a_text_stands_there_once(storyteller: GPT2) -> None:
    """Drawing makes ids of the prompt; editing it then doesn't take its start for typed text."""
    template = GPT2(storyteller.checkpoint, open_folder(FOLDERS / "template", storyteller.config.vocab_size), "mine")

    async def watch(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await settled(app, pilot)
        assert app.model is not None
        await press(app, pilot, "space")
        drawn = app.state.ids
        assert drawn is not None
        await pilot.press("slash", "x")
        text = app.editor.text
        assert text.startswith("the cat")
        want = tuple(app.model.prompt_ids(text))
        await until(pilot, lambda: app.result is not None and app.result.trace.ids == want, "the text's own ids")
        assert want[0] == drawn[0]
        assert want[1] == drawn[1] != want[0]

    on_paper(watch, template, ExplorerState(model="mine", prompt="the cat"))


def test_a_model_without_such_tokens_says_so(storyteller: GPT2) -> None:
    plain = GPT2(storyteller.checkpoint, open_folder(Path("/nowhere"), 7, "none"), "mine")

    async def watch(app: ExplorerApp, pilot: Pilot[None]) -> None:
        said: list[str] = []
        app.say = said.append  # type: ignore[method-assign, assignment]
        app.perform("specials")
        await pilot.pause()
        assert said == ["This model's tokenizer has no special or added tokens."]

    on_paper(watch, plain, ExplorerState(model="mine", ids=(1, 2)))


def test_given_ids_are_no_text_before_the_model_is_there(with_users: GPT2) -> None:
    gate = threading.Event()

    def load() -> GPT2:
        assert gate.wait(20)
        return with_users

    async def watch(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await pilot.press("slash", "x")
        assert (app.session.pane, app.state.ids) == ("stage", (5, 6))
        gate.set()
        await settled(app, pilot)
        await pilot.press("slash")
        assert app.editor.text == with_users.tokenizer.decode((5, 6))

    drive(watch, None, ExplorerState(model="mine", ids=(5, 6)), load=load, wait=False)
