"""Nothing is fetched that the reader didn't ask for: a lesson is a file that others write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from textual.pilot import Pilot

from tests.engine.hub_server import Hub
from tests.engine.hubs import hub_and_cache
from tests.ui.harness import drive, screen_text, until
from tests.ui.paper import on_paper
from txexplain.cli import cli
from txexplain.engine.model import GPT2
from txexplain.explorer.lesson import parse_lesson
from txexplain.explorer.reading import Reads
from txexplain.explorer.state import ExplorerState
from txexplain.ui.app import ExplorerApp
from txexplain.ui.models import FetchScreen

SAVED = Path(__file__).parents[1] / "golden" / "saved" / "one"
TEXT = (
    "+++\ntitle = 'a'\nprompt = 'Once upon a time'\nkeys = ['n']\n+++\n{blocks} blocks\n"
    "+++\ntitle = 'b'\nmodel = 'owner/name'\nprompt = 'Once upon'\nkeys = ['right']\n+++\nIt has {blocks} blocks.\n"
)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub_and_cache(monkeypatch, tmp_path / "hub") as hub:
        hub.add("owner/name", SAVED)
        yield hub


def words(app: ExplorerApp) -> str:
    return " ".join(" ".join(screen_text(app)).split())


async def asked(app: ExplorerApp, pilot: Pilot[None]) -> FetchScreen:
    await until(pilot, lambda: isinstance(app.screen, FetchScreen), "the question")
    assert isinstance(app.screen, FetchScreen)
    return app.screen


def test_a_pages_model_comes_by_the_readers_own_keys_alone(storyteller: GPT2, hub: Hub) -> None:
    """A script turns the page, in a lecture; what the page wants is a question, and stays one until the reader answers."""

    async def read(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await asked(app, pilot)
        assert hub.asked == []
        said = words(app)
        assert "wants owner/name" in said
        assert "127.0.0.1" in said
        assert "y ⏎ ask how large it is" in said
        await pilot.press("escape")
        await until(pilot, lambda: "shown without its model" in words(app), "what the page lacks")
        assert "txexplain models pull owner/name" in words(app)
        assert "It has … blocks." in words(app)
        assert hub.asked == []
        await pilot.press("p")  # the page before, whose script turns to this one again
        await asked(app, pilot)
        await pilot.press("enter")
        question = await asked(app, pilot)
        await until(pilot, lambda: question.bytes is not None, "what the hub says")
        assert {method for method, path, _ in hub.asked if "resolve" in path} == {"HEAD"}, "nothing is fetched yet"
        assert "It has 0.1 MB" in words(app)
        await pilot.press("y")
        await until(pilot, lambda: app.model is not None and app.model.name == "owner/name" and app.result is not None, "the model")
        await until(pilot, lambda: f"It has {app.model.config.n_layer} blocks." in words(app), "its figures")  # type: ignore[union-attr]

    drive(read, storyteller, reads=Reads(parse_lesson(TEXT, "mine"), lecture=True, pace=0.01), wait=False)


def test_no_more_is_fetched_than_was_agreed_to(storyteller: GPT2, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("txexplain.ui.jobs.MARGIN", 0)
    monkeypatch.setattr("txexplain.ui.models.offer", lambda repo: 1000)

    async def read(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await pilot.press("n")
        question = await asked(app, pilot)
        await pilot.press("y")
        await until(pilot, lambda: question.bytes is not None, "what the hub says")
        await pilot.press("y")
        await until(pilot, lambda: "you were told 0.0 MB" in words(app), "that there is more")
        assert not any("/cdn/" in path for _, path, _ in hub.asked)

    drive(read, storyteller, reads=Reads(parse_lesson(TEXT, "mine")))


def test_what_the_hub_refuses_is_said_in_the_question(storyteller: GPT2, hub: Hub) -> None:
    hub.repos.clear()

    async def read(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await pilot.press("n")
        question = await asked(app, pilot)
        await pilot.press("y", "y", "y")
        await until(pilot, lambda: bool(question.sentence), "what the hub says")
        await pilot.press("y")
        assert "shows no repository owner/name" in words(app)
        assert len(hub.asked) == 1

    drive(read, storyteller, reads=Reads(parse_lesson(TEXT, "mine")))


def test_the_first_page_asks_too_and_the_pages_beside_it_have_the_readers_model(hub: Hub, storyteller: GPT2) -> None:
    async def read(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await asked(app, pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "It has … blocks." in words(app), "the page without its model")
        await pilot.press("p")
        await until(pilot, lambda: app.result is not None and not app.running, "the reader's model")
        assert app.state.model == "storyteller"
        assert hub.asked == []

    reads = Reads(parse_lesson(TEXT, "mine"), page=2)
    drive(read, None, ExplorerState(model="owner/name"), reads=reads, wait=False)


@pytest.mark.parametrize("reads", [Reads(parse_lesson(TEXT, "mine"), fetch=True), Reads(parse_lesson(TEXT, "mine"), model="owner/name")])
def test_what_the_reader_named_or_allowed_comes_without_a_question(storyteller: GPT2, hub: Hub, reads: Reads) -> None:
    async def read(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await pilot.press("n")
        await until(pilot, lambda: app.model is not None and app.model.name == "owner/name" and app.result is not None, "the model")

    on_paper(read, storyteller, reads=reads)


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args), env={"TXEXPLAIN_MODEL": "", "COLUMNS": "100"})


def test_no_command_fetches_what_a_lesson_names_without_the_flag(hub: Hub, tmp_path: Path) -> None:
    path, picture = tmp_path / "mine.md", tmp_path / "x.txt"
    path.write_text(TEXT, encoding="utf-8")
    page = ("--lesson", str(path), "--page", "2")
    commands = (("describe", *page), ("render", *page, "-o", str(picture)), ("lessons", "check", str(path)))
    for command in commands:
        result = run(*command)
        assert result.exit_code == 2, result.output
        assert "mine.md, page 2" in result.stderr
        assert "txexplain models pull owner/name" in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert hub.asked == []
    assert not picture.exists()
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps({"format": "txexplain-answers/1", "lesson": "owner/name", "answers": []}))
    assert run("lessons", "report", str(answers)).exit_code == 0
    assert hub.asked == []
    assert run("describe", *page, "--fetch").exit_code == 0
    for command in commands:
        assert run(*command).exit_code == 0, "it is there now"


@pytest.mark.parametrize("command", ["check", "describe"])
def test_a_model_that_the_reader_names_needs_no_flag(hub: Hub, tmp_path: Path, command: str) -> None:
    path = tmp_path / "mine.md"
    path.write_text(TEXT.replace("model = 'owner/name'\n", ""), encoding="utf-8")
    arguments = ("lessons", "check", str(path)) if command == "check" else ("describe", "--lesson", str(path), "--page", "2")
    result = run(*arguments, "--model", "owner/name")
    assert result.exit_code == 0, result.output
    assert hub.asked


def test_fetch_is_a_lessons_flag() -> None:
    assert "--fetch is a lesson's" in run("describe", "Once", "--fetch").stderr
