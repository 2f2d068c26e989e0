"""What the environment says: a variable that holds nonsense is passed over, or is a sentence."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from textual.pilot import Pilot

import txexplain.cli
from tests.ui.harness import drive, screen_text, until
from txexplain.cli import Program, cli, main
from txexplain.engine.model import GPT2
from txexplain.errors import ModelNotFound
from txexplain.models import cache, endpoint
from txexplain.ui.app import ExplorerApp


@pytest.fixture
def anew() -> Iterator[None]:
    """huggingface_hub's settings are read again, and are as they were in the end."""
    name = "huggingface_hub.constants"
    hub, kept = importlib.import_module("huggingface_hub"), importlib.import_module(name)
    del sys.modules[name], hub.constants
    yield
    sys.modules[name] = hub.constants = kept  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("variable", "given", "kept"),
    [
        ("TEXTUAL_FPS", "99999999999999", "120"), ("TEXTUAL_FPS", "-1", "120"), ("TEXTUAL_FPS", "fast", "120"), ("TEXTUAL_FPS", "30", "30"),
        ("TEXTUAL_PRESS", "wait:abc", None), ("TEXTUAL_PRESS", "a,wait:1e9,b", None), ("TEXTUAL_PRESS", "wait:", None),
        ("TEXTUAL_PRESS", "t,wait:10,enter", "t,wait:10,enter"), ("TEXTUAL_COLOR_SYSTEM", "plaid", None),
        ("TEXTUAL_COLOR_SYSTEM", "256", "256"), ("ESCDELAY", "100", "100"),
    ],
)  # fmt: skip
def test_what_textual_would_end_over_is_passed_over(variable: str, given: str, kept: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEXTUAL_FPS", "TEXTUAL_PRESS", "TEXTUAL_COLOR_SYSTEM", "ESCDELAY", "OPENBLAS_THREAD_TIMEOUT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, given)
    monkeypatch.setattr(Program, "main", lambda self: None)
    main()
    assert os.environ.get(variable) == kept


WORDS = [("models",), ("models", "info", "gpt2"), ("models", "pull", "gpt2"), ("predict", "x", "--model", "gpt2")]


@pytest.mark.parametrize("words", WORDS)
def test_a_variable_that_the_hub_s_library_cannot_read_is_a_sentence(
    words: tuple[str, ...], anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "soon")
    done = CliRunner().invoke(cli, list(words))
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "A variable HF_… of the environment isn't what huggingface_hub takes" in done.output
    assert "'soon'" in done.output


def test_a_cache_in_no_such_home_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "~nobodyatall/hub")
    for words in (("models",), ("models", "pull", "a/b")):
        done = CliRunner().invoke(cli, list(words))
        assert (done.exit_code, done.output.count("\n")) == (2, 1)
        assert "there is no such home" in done.output


def test_an_endpoint_that_is_no_address_is_named_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://[\x1b")
    assert endpoint.host() == "'http://[\\x1b'"


def test_a_list_of_models_that_cannot_be_made_says_why(storyteller: GPT2) -> None:
    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        for error, said in (
            (ModelNotFound("The cache is odd."), "The cache is odd."),
            (PermissionError(13, "Permission denied"), "denied"),
        ):

            def fails(error: Exception = error) -> list[object]:
                raise error

            app.list_models = fails  # type: ignore[assignment]
            await pilot.press("m")
            await until(pilot, lambda said=said: said in "\n".join(screen_text(app)), said)
            await pilot.press("enter", "escape")

    drive(test, storyteller)


def test_the_cache_is_asked_where_the_library_says() -> None:
    assert cache.root() == Path(cache.settings().HF_HUB_CACHE).expanduser()
    assert txexplain.cli.HEEDED.keys() <= {"TEXTUAL_FPS", "TEXTUAL_PRESS"}
