"""What the commands print is text too, whatever their arguments, files and names hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from textual.color import Color

from tests.examples import examples
from tests.vt import harmful, kinds
from txexplain.cli import cli
from txexplain.cli.output import print_table
from txexplain.engine.model import GPT2
from txexplain.engine.tokenizer import Tokenizer
from txexplain.text import clean
from txexplain.ui.terminal.visible import OnlyText
from txexplain.viz.canvas import Canvas
from txexplain.viz.palette import Palette

HOSTILE = "a\x1b]0;t\x07\x1b[31m\u202eb\x9b2J\x7f\u2066[/][red][@click=app.quit]x[/]\u2028\x85"
NO_UTF8 = "\udcff\udc80\u202e\x1b[2J"  # as argv brings bytes that are no UTF-8
MARKUP = "[/][red]x[@click=app.quit]y[/]"


def printed(*args: str) -> tuple[str, int]:
    """All that a command prints to a terminal, and its exit code."""
    done = CliRunner().invoke(cli, list(args), env={"TXEXPLAIN_MODEL": "", "COLUMNS": "300"})
    assert done.exit_code in (0, 2), (args, done.exception)
    return done.output, done.exit_code


@pytest.mark.parametrize("text", [HOSTILE, NO_UTF8], ids=["controls", "no utf-8"])
def test_no_command_prints_a_control_character(text: str, tmp_path: Path, storyteller: GPT2) -> None:
    calls = [
        ("predict", text), ("tokens", text), ("generate", text, "--tokens", "3"), ("describe", text), ("explain", text, "--at", "L1H1"),
        ("attention", text, "--at", "L1H1"), ("attention", text, "--at", "L1H1", "--csv"), ("head-stats", text),
        ("predict", text, "--json"),
        ("predict", "--file", text), ("predict", "x", "--model", text), ("predict", text, text), ("describe", "x", "--at", text),
        ("render", "x", "-o", text), ("render", "x", "-o", f"/nowhere/{text}.svg"), ("trace", "x", "-o", f"/nowhere/{text}"),
        ("trace", "x", "-o", str(tmp_path / "a.safetensors"), "--only", text), ("predict", "--trace", text), ("open", text),
        ("lessons", "check", text), ("lessons", "report", text), ("lessons", text), ("models", text), ("models", "info", text),
        ("models", "verify", text), ("completion", text), (f"--{text}",), ("predict", "x", "--ids", text), ("poster", "x", "-o", text),
        ("render", "x", "-o", "x.svg", "--size", text), ("describe", "--lesson", text), ("predict", "x", "--temperature", text),
        ("trace", "x", "--only", "embed", "-o", str(tmp_path / f"{text.replace('/', '')}.safetensors")),
    ]  # fmt: skip
    for call in calls:
        said, code = printed(*call)
        assert said, call
        assert not harmful(said), call
        assert code == 0 or len(said.splitlines()) == 1, (call, said)


def test_markup_is_printed_as_it_is(tmp_path: Path, storyteller: GPT2) -> None:
    """Names and texts of files stand in a table letter by letter."""
    lesson = tmp_path / "a.md"
    lesson.write_text(f'+++\ntitle = "{MARKUP}"\nprompt = "{MARKUP}"\n+++\n{MARKUP} {HOSTILE[1:3]}\n', encoding="utf-8")
    said, _code = printed("lessons", "check", str(lesson))
    assert MARKUP in said, said
    assert "[/]" in printed("predict", "x", "--model", MARKUP)[0]
    assert MARKUP.replace(" ", "") in printed("predict", "--file", MARKUP)[0]
    told, _ = printed("tokens", MARKUP)
    assert all(piece in told for piece in ("[/", "][", "red", "@", "click"))
    answers = {"format": "txexplain-answers/1", "lesson": MARKUP + HOSTILE, "questions": []}
    (tmp_path / "a.json").write_text(json.dumps(answers), encoding="utf-8")
    assert not harmful(printed("lessons", "report", str(tmp_path / "a.json"))[0])


def test_a_table_shows_what_it_is_given(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    print_table(("name", "what"), [(MARKUP, HOSTILE)], right=())
    said = capsys.readouterr().out
    assert MARKUP in said
    assert not harmful(said)


def test_every_token_is_shown_as_text() -> None:
    tokenizer = Tokenizer.gpt2()
    for ascii in (False, True):
        shown = [tokenizer.display(i, ascii=ascii) for i in range(tokenizer.n_vocab)]
        assert not harmful("".join(shown))
        assert all(shown)
        assert "\n" not in "".join(shown)


anything = st.text(st.characters() | st.sampled_from("\x1b[]0;\x07\x9b\x9d\x9c\u202e\u2066\ud800m\\"))


@examples(300)
@given(anything)
def test_no_door_lets_a_control_character_through(text: str) -> None:
    """A sentence, a line of any widget, a cell of any picture."""
    assert not harmful(clean(text).replace("\t", ""))
    assert clean(clean(text)) == clean(text)
    line = OnlyText().apply([Segment("x"), Segment(text)], Color(0, 0, 0))
    assert not list(kinds("".join(piece.text for piece in line)))
    assert not harmful("".join(piece.text for piece in line))
    canvas = Canvas(20, 1, Palette())
    canvas.put(0, 0, text)
    assert not list(kinds("".join(canvas.text())))
    assert not harmful("".join(canvas.text()))


def test_the_grammar_sees_what_a_terminal_would() -> None:
    written = "a\x1b[1;2Hb\x1b[?1049h\x1b]0;t\x07\x1b]52;c;YQ==\x1b\\\x1bPq\x1b\\\x1bc\x1b(B\x9b\x07\x1b"
    assert list(kinds(written)) == [
        "CSI H",
        "CSI ?1049h",
        "OSC 0",
        "OSC 52",
        "string P",
        "ESC c",
        "ESC (B",
        "control 9b",
        "control 07",
        "control 1b",
    ]
    assert harmful("a\u202eb\u2029") == ["U+202E", "U+2029"]
    assert harmful("a\r\nb\x1b[m", frozenset({"CSI m"})) == []
