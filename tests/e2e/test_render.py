"""`render` and `describe`: the app's screen without the app, the same bytes each time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from txexplain.cli import cli
from txexplain.engine.model import GPT2
from txexplain.explorer.state import EXAMPLE

PROMPT = "Once upon a time there was a"


def run(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code == code, done.output
    return done


@pytest.mark.parametrize("size", ["80x24", "120x36"])
def test_text_has_exactly_its_lines_and_cells_and_is_the_same_twice(tmp_path: Path, size: str) -> None:
    width, height = map(int, size.split("x"))
    words = ["render", PROMPT, "--at", "L3H5:qk[5,2]", "--size", size, "-o"]
    run(*words, str(tmp_path / "a.txt"))
    subprocess.run([sys.executable, "-m", "txexplain", *words, tmp_path / "b.txt"], check=True)  # another process
    text = (tmp_path / "a.txt").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.txt").read_text(encoding="utf-8")
    lines = text.split("\n")
    assert lines.pop() == ""
    assert [cell_len(line) for line in lines] == [width] * height
    assert "L3H5" in lines[0]
    assert " ms" not in lines[0]  # no clocks


def test_pictures_are_made_of_the_glyphs_that_are_asked_for(tmp_path: Path) -> None:
    found = {}
    for name, *flags in (("edge",), ("half", "--glyphs", "half"), ("ascii", "--glyphs", "ascii"), ("same", "--ascii")):
        run("render", PROMPT, "--size", "100x30", *flags, "-o", str(tmp_path / f"{name}.txt"))
        found[name] = (tmp_path / f"{name}.txt").read_text(encoding="utf-8")
    quadrants = set("▘▝▖▗")
    assert quadrants & set(found["edge"])
    assert not quadrants & set(found["half"])
    assert "▀" in found["half"]
    assert found["ascii"].isascii()
    assert found["ascii"] == found["same"]


def test_a_picture_is_whole_and_the_same_twice(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        run("render", PROMPT, "--size", "100x30", "-o", str(tmp_path / name))
    picture = (tmp_path / "a.svg").read_bytes()
    assert picture == (tmp_path / "b.svg").read_bytes()
    root = ElementTree.fromstring(picture)
    assert root.tag.endswith("svg")
    assert picture.count(b"http") == 1  # the name of the format itself
    assert len(picture) < 400_000


def test_what_is_rendered_is_what_the_model_computed(storyteller: GPT2, tmp_path: Path) -> None:
    run("render", PROMPT, "--at", "L3H5:softmax[6,1]", "-o", str(tmp_path / "a.txt"))
    trace = storyteller.forward(storyteller.prompt_ids(PROMPT))
    assert trace is not None
    value = str(trace["blocks.3.attn.pattern"][5, 6, 1])
    assert f"softmax = {value}" in (tmp_path / "a.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("L9", "L0 to L5"),
        ("L0H8", "H0 to H7"),
        ("L3H5[7,0]", "tokens go from 0 to 6"),
        ("L2.mlp[1024]", "0 to 1023"),
        ("nowhere", "isn't a Location"),
    ],
)
def test_a_place_that_is_not_there_is_one_sentence(place: str, words: str, tmp_path: Path) -> None:
    for arguments in (["render", PROMPT, "--at", place, "-o", str(tmp_path / "x.txt")], ["describe", PROMPT, "--at", place]):
        done = run(*arguments, code=2)
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert "Traceback" not in done.stderr


PLACES = [
    "model",
    "embed",
    "L3",
    "L3.ln1",
    "L3.qkv",
    "L3.attn",
    "L3.proj",
    "L3.ln2",
    "L3.mlp",
    "L3.mlp[7]",
    "heads",
    "L3H5",
    "L3H5[6,3]",
    "final",
    "output",
]


@pytest.mark.parametrize("place", PLACES)
def test_every_place_can_be_said_in_words(storyteller: GPT2, place: str) -> None:
    result = CliRunner().invoke(cli, ["describe", PROMPT, "--at", place])
    assert result.exit_code == 0, result.output
    assert "Selected token: 6 ' a'" in result.output
    trace = storyteller.forward(storyteller.prompt_ids(PROMPT))
    assert trace is not None
    assert storyteller.tokenizer.display(int(trace.last_logits.argmax())) in result.output


def test_the_row_that_is_described_is_the_row_of_the_trace(storyteller: GPT2) -> None:
    out = run("describe", PROMPT, "--at", "L2H1:values[4,4]").stdout
    trace = storyteller.forward(storyteller.prompt_ids(PROMPT))
    assert trace is not None
    norms = np.linalg.norm(trace["blocks.2.attn.v"][:, 1].astype(np.float64), axis=-1)
    row = trace["blocks.2.attn.pattern"][1, 4] * norms
    said = [float(figure) for figure in re.findall(r"\d+\.\d{4,}", out)]
    for key in range(5):
        assert any(figure == pytest.approx(row[key], rel=1e-6) for figure in said)
    assert out.count("masked") == 2


def test_without_a_prompt_there_is_one_worth_exploring(tmp_path: Path) -> None:
    run("render", "-o", str(tmp_path / "a.txt"))
    run("render", EXAMPLE, "-o", str(tmp_path / "b.txt"))
    assert (tmp_path / "a.txt").read_bytes() == (tmp_path / "b.txt").read_bytes()


@pytest.mark.parametrize(
    ("locale", "plain"), [("de_DE.ISO-8859-1", True), ("ja_JP.eucJP", True), ("C", False), ("de_DE.utf8@euro", False), ("", False)]
)
def test_a_locale_of_another_charset_gets_ascii(locale: str, plain: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", locale)
    path = tmp_path / "screen.txt"
    assert CliRunner().invoke(cli, ["render", "Once upon", "-o", str(path), "--size", "80x24"]).exit_code == 0
    assert path.read_text("utf-8").isascii() == plain
