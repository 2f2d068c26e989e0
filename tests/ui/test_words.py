"""`Y` gives the command that tells the present view in words."""

from __future__ import annotations

import shlex

import pytest
from textual.pilot import Pilot

from tests.ui.harness import press, said
from tests.ui.paper import on_paper
from txexplain.cli import cli
from txexplain.engine.model import GPT2
from txexplain.explorer.location import parse
from txexplain.explorer.state import ExplorerState
from txexplain.ui.app import ExplorerApp


@pytest.mark.parametrize(("place", "sentence"), [("model@2", "Where it came from"), ("L2H3[5,1]", "Query 5")])
def test_the_command_line_in_words(storyteller: GPT2, capsys: pytest.CaptureFixture[str], place: str, sentence: str) -> None:
    commands: list[str] = []

    async def test(app: ExplorerApp, pilot: Pilot[None]) -> None:
        await press(app, pilot, "right_square_bracket", "Y")
        commands.append(app.clipboard)
        assert said(app) == [app.clipboard]

    on_paper(test, storyteller, ExplorerState(prompt="Once upon a time there was", location=parse(place)))
    words = shlex.split(commands[0])
    assert words[:2] == ["txexplain", "describe"]
    with pytest.raises(SystemExit) as ended:
        cli.main(words[1:])
    assert not ended.value.code
    out = capsys.readouterr().out
    assert sentence in out
    assert "T 1.1" in out
