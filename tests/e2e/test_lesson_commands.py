"""The commands around lessons: what they list, check, report and refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from txexplain.cli import app, cli
from txexplain.explorer.lesson import KEYS, VALUES, Live, load, pieces, shipped, shipped_lectures

PAGE = '+++\ntitle = "One"\nprompt = "a b"\n'

SHIPPED = (*shipped(), *shipped_lectures())


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, list(args), env={"TXEXPLAIN_MODEL": "", "COLUMNS": "100"})
    assert (result.exit_code == 0) == (code == 0), result.output
    return result


def refused(*args: str) -> str:
    return str(run(*args, code=1).exception or "") + run(*args, code=1).output


@pytest.mark.long
def test_the_shipped_lessons_are_listed_and_hold() -> None:
    listed = json.loads(run("lessons", "--json").output)["lessons"]
    assert [set(each) for each in listed] == [{"name", "title", "pages"}] * len(SHIPPED)
    for each, path in zip(listed, SHIPPED, strict=True):
        assert each["pages"] == len(load(each["name"]).pages)
        assert each["title"] in run("lessons").output
        assert "no faults" in run("lessons", "check", str(path)).output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PAGE + 'at = "L9"\n+++\n', ("page 1, at", "no block 9")),
        (PAGE + 'at = "L1H1[2,0]"\n+++\n', ("page 1, at", "no token 2")),
        (PAGE + '+++\n{probability " two words"}', ("page 1, text", "is 2 tokens")),
        (PAGE + "+++\n{head induction}", ("page 1, text", "tells no head")),
        (PAGE + "+++\n{cell L9H1 0,0}", ("page 1, text", "L0 to L5")),
        (PAGE + "+++\n{token 5}", ("page 1, text", "0 to 1")),
        (PAGE + 'highlight = "L3H3"\n+++\n', ("page 1, highlight", "nothing of that name")),
        (PAGE + 'keys = ["q"]\n+++\n', ("page 1, keys", "isn't pressed")),
        (PAGE.replace('prompt = "a b"', "ids = [60000]") + "+++\n", ("page 1", "60000")),
        (PAGE + 'model = "no-such-model-here"\n+++\n', ("page 1", "no-such-model-here")),
    ],
)
def test_check_finds_what_only_the_model_can_tell(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "mine.md"
    path.write_text(text, encoding="utf-8")
    said = refused("lessons", "check", str(path))
    for word in ("mine.md", *words):
        assert word in said


def test_render_and_describe_open_a_page(tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    run("render", "--lesson", "attention", "--page", "5", "--size", "80x24", "-o", str(path))
    text = path.read_text("utf-8")
    assert "Masked" in text
    assert "5/12" in text
    assert "scaled, masked" in text
    said = run("describe", "--lesson", "attention", "--page", "5").output
    assert "Everything right of the diagonal" in said
    assert "Place: model > L" in said
    assert "1 to 12" in refused("describe", "--lesson", "attention", "--page", "13")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--lesson", "attention", "--at", "L3"], "without --at"),
        (["--lesson", "attention", "Once"], "without a prompt"),
        (["--lesson", "attention", "--temperature", "2"], "without --temperature"),
        (["--page", "2"], "give --lesson"),
        (["--lesson", "nowhere"], "no lesson nowhere"),
    ],
)
def test_flags_that_say_what_a_page_says_are_refused(args: list[str], words: str) -> None:
    assert words in refused("describe", *args)


@pytest.mark.parametrize("flag", [["--lecture"], ["--clock"], ["--record", "x.json"], ["--pace", "2"]])
def test_a_lessons_flags_need_a_lesson(flag: list[str]) -> None:
    result = CliRunner().invoke(app, flag)
    assert result.exit_code == 2
    assert "give --lesson" in result.output


def answers(path: Path, *given: tuple[int, int, bool]) -> str:
    rows = [{"page": page, "question": "Q", "answer": answer, "right": right} for page, answer, right in given]
    path.write_text(json.dumps({"format": "txexplain-answers/1", "lesson": "x", "questions": 2, "right": 1, "answers": rows}))
    return str(path)


def test_a_class_is_reported_question_by_question(tmp_path: Path) -> None:
    files = [
        answers(tmp_path / "a.json", (2, 1, True)),
        answers(tmp_path / "b.json", (2, 3, False), (5, 3, True)),
        answers(tmp_path / "c.json", (2, 1, True)),
    ]
    report = json.loads(run("lessons", "report", "--json", *files).output)
    assert report["questions"] == [
        {"lesson": "x", "page": 2, "question": "Q", "answered": 3, "right": 2, "answers": {"1": 2, "3": 1}},
        {"lesson": "x", "page": 5, "question": "Q", "answered": 1, "right": 1, "answers": {"3": 1}},
    ]
    assert "2 of 3" in run("lessons", "report", *files).output
    for wrong in ("[]", "{", '{"format": "txexplain-answers/1", "lesson": "x", "answers": [{"page": "2"}]}', "[" * 100_000):
        (tmp_path / "bad.json").write_text(wrong)
        assert "isn't a file that --record wrote" in refused("lessons", "report", files[0], str(tmp_path / "bad.json"))


def test_an_answer_that_no_lesson_can_have_is_refused(tmp_path: Path) -> None:
    """A pupil's file can't make the teacher's table as wide as it likes."""
    for given in ((0, 1, True), (10**4000, 1, True), (1, 0, True), (1, 10, False)):
        assert "isn't a file that --record wrote" in refused("lessons", "report", answers(tmp_path / "bad.json", given))
    long = Path(answers(tmp_path / "long.json", (1, 1, True)))
    long.write_text(long.read_text().replace('"lesson": "x"', f'"lesson": "{"x" * 256}"'))
    assert "isn't a file that --record wrote" in refused("lessons", "report", str(long))


def test_a_poster_is_one_picture(tmp_path: Path) -> None:
    run("poster", "Once upon a time", "--temperature", "2", "-o", str(tmp_path / "p.svg"))
    picture = ElementTree.parse(tmp_path / "p.svg")
    assert "Once upon a time" in [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "is none" in refused("poster", "x", "-o", str(tmp_path / "p.png"))


def test_the_readmes_lesson_holds_and_its_values_are_all_there_are(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    example = re.search(r"```markdown\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    path = tmp_path / "readme.md"
    path.write_text(example[1], encoding="utf-8")
    assert "no faults" in run("lessons", "check", str(path)).output
    named = re.search(r"Values in braces.*?written twice", readme, re.DOTALL)
    assert named is not None
    told = [piece for code in re.findall(r"`(\{.*?\})`", named[0]) for piece in pieces(code)]
    assert {piece.name for piece in told if isinstance(piece, Live)} == set(VALUES)
    table = re.search(r"\| key \| what \|\n\|---\|---\|\n((?:\|.*\n)+)", readme)
    assert table is not None
    assert {key for row in table[1].splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1])} == set(KEYS)


def test_notes_are_printed_for_the_lecturer() -> None:
    told = run("lessons", "notes", "lecture-attention").output
    assert told.count("Next:") == 15
    assert "Take hands" in told or "hands with Q" in told
    assert "4 min" in told.split("\n")[0]
