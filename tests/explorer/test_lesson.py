"""Lesson files: what parses, and how each mistake is told: with the file, the page, the key and the remedy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txexplain.errors import LessonError
from txexplain.explorer.lesson import KEYS, VALUES, Lesson, Live, find, lives, load, name_of, parse_lesson, pieces, shipped

FIRST = 'title = "One"\nprompt = "a b"\n'
ASKED = 'question = "Why?"\nanswers = ["a", "b"]\nanswer = 2\nwhy = "So."\n'


def page(front: str, body: str = "") -> str:
    return f"+++\n{front}+++\n{body}\n"


def test_a_lesson_is_its_pages_and_its_title() -> None:
    text = "# Looking\n\n" + page(
        FIRST + 'at = "L2.attn@1"\ntemperature = 2\nkeys = ["]", "enter"]\n', "Some *text*.\n<!-- claim: it's so\n  claim: and so -->"
    )
    text += page('title = "Two"\n' + ASKED, "More.") + page(
        'title = "Three"\nids = [1, 2]\nmodel = "gpt2"\ntop_k = 5\nseed = 3\n', "L1H2 here."
    )
    lesson = parse_lesson(text, "look.md")
    assert isinstance(lesson, Lesson)
    assert (lesson.title, [p.title for p in lesson.pages], [p.number for p in lesson.pages]) == (
        "Looking",
        ["One", "Two", "Three"],
        [1, 2, 3],
    )
    one, two, three = lesson.pages
    assert (one.text, one.claims, one.at, one.temperature, one.keys) == (
        "Some *text*.",
        ("it's so", "and so"),
        "L2.attn@1",
        2.0,
        ("]", "enter"),
    )
    assert (two.prompt, two.at, two.temperature, two.keys) == ("a b", "model", 1.0, ())  # the prompt carries over, nothing else
    assert (two.answer, two.why, two.reason_for(1), two.reason_for(2)) == (2, ("So.",), "So.", "So.")
    assert (three.prompt, three.ids, three.model, three.top_k, three.seed) == (None, (1, 2), "gpt2", 5, 3)


def test_line_ends_and_a_title_of_its_own_make_no_difference() -> None:
    text = page(FIRST, "Words.")
    assert parse_lesson(text.replace("\n", "\r\n")) == parse_lesson(text)
    assert parse_lesson(text).title == "One"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("words", ("f.md", "no page", "+++")),
        ("+++\n" + FIRST, ("page 1", "closed")),
        ("words\n" + page(FIRST), ("f.md", "# Title")),
        (page('title = "x\n'), ("page 1", "TOML")),
        (page("x = " + "[" * 5000 + "\n"), ("page 1", "TOML", "deeply")),
        (page(FIRST + "x = " + "1" * 5000 + "\n"), ("page 1", "TOML")),
        (page('title = "x"\n'), ("page 1", "prompt", "add")),
        (page('prompt = "x"\n'), ("page 1", "title", "add")),
        (page(FIRST) + page('title = "b"\ncolour = 1\n'), ("page 2", "colour", "keys are", "highlight")),
        (page(FIRST + "temperature = true\n"), ("page 1", "temperature", "number")),
        (page(FIRST + "temperature = nan\n"), ("temperature", "number")),
        (page(FIRST + 'seed = "a"\n'), ("seed", "whole number")),
        (page(FIRST + "ids = [1]\n"), ("ids", "prompt")),
        (page(FIRST + "top_k = 2\ntop_p = 0.5\n"), ("top_p", "contradicts top_k")),
        (page(FIRST + "top_p = 1.5\n"), ("top_p", "at most 1")),
        (page(FIRST + 'at = "L0Hx"\n'), ("page 1, at", "isn't a Location")),
        (page(FIRST + 'at = "{top}"\n'), ("page 1, at", "{head", "neuron")),
        (page(FIRST + 'at = "{head induction}:sideways"\n'), ("page 1, at", "no stage sideways")),
        (page(FIRST + 'highlight = "nothing"\n'), ("page 1, highlight", "isn't a Location")),
        (page(FIRST + 'keys = ["a b"]\n'), ("page 1, keys", "isn't a key")),
        (page(FIRST + 'question = "x"\n'), ("page 1, answers", "add")),
        (page(FIRST + ASKED.replace("2", "3")), ("page 1, answer:", "no answer 3", "1 to 2")),
        (page(FIRST + ASKED.replace("2", "0")), ("page 1, answer:", "no answer 0", "1 to 2")),
        (page(FIRST + ASKED.replace('"So."', '["a", "b", "c"]')), ("page 1, why", "3 reasons for 2 answers")),
        (page(FIRST, "See {nothing}."), ("page 1, text", "{nothing}", "values are")),
        (page(FIRST, "See {cell L3H5}."), ("page 1, text", "query and a key")),
        (page(FIRST, "See {head fun}."), ("page 1, text", "fun", "induction")),
        (page(FIRST + 'do = "L0H1"\n'), ("page 1, do", "a list of changes")),
        (page(FIRST + 'do = ["L0Hx"]\n'), ("page 1, do", "L0Hx", "L5H1")),
        (page(FIRST + 'do = ["L0H1"]\n'), ("page 1, do", "L0H1", "pin it with model")),
        (page(FIRST + 'do = ["L0.resid@1=from"]\n'), ("page 1, do", "another run", "from = ")),
        (page(FIRST + f"do = {['[1,0]'] * 21}\n"), ("page 1, do", "21 changes", "at most 20")),
        (page(FIRST + "pair = []\n"), ("page 1, pair", "one or two tokens")),
        (page(FIRST, "See {effect 3}."), ("page 1, text", "changed in a run")),
        (page(FIRST, "{effect [1,0]}" * 11), ("page 1:", "11 of its live values", "at most 10")),
        (page(FIRST, "See {T 3}."), ("page 1, text", "more than T takes", "write {T}")),
        (page(FIRST, 'See {probability " a"b}.'), ("page 1, text", "temperature")),
        (page(FIRST, "See {entropy 1001}."), ("page 1, text", "1001", "from 0 to 1000")),
        (page(FIRST, "See {reach 0.9 " + "9" * 400 + "}."), ("page 1, text", "from 0 to 1000")),
        (page(FIRST, "See { this."), ("page 1, text", "stands alone")),
        (page(FIRST, "See L3H5."), ("page 1, text", "L3H5", "pin", "{head induction}")),
        (page(FIRST + ASKED.replace("So.", "L1H1 does.")), ("page 1, why", "L1H1")),
        (page(FIRST, "See <!-- this"), ("page 1", "comment", "-->")),
        ("# " + "x" * 199 + "\n" + page(FIRST), ("title", "201 characters", "200 are the most")),
        (page(FIRST, "x" * 19_998), ("page 1:", "20,001 characters", "20,000", "more pages")),
        (page(FIRST + ASKED, "[" * 60_000), ("page 1:", "60,0", "20,000", "more pages")),
        (page(FIRST + ASKED.replace("So.", "{T}" * 51), "{bits 1}" * 50), ("page 1:", "101 live values", "100", "more pages")),
    ],
)  # fmt: skip
def test_each_mistake_is_told_in_one_sentence(text: str, said: tuple[str, ...]) -> None:
    with pytest.raises(LessonError) as error:
        parse_lesson(text, "f.md")
    sentence = str(error.value)
    assert sentence.startswith("f.md")
    assert "\n" not in sentence
    assert sentence.endswith(".")
    for part in said:
        assert part in sentence


def test_a_page_may_be_as_long_as_it_is_said_to() -> None:
    assert parse_lesson(page(FIRST, "x" * 19_997)).pages
    assert parse_lesson(page(FIRST, "{bits 1}" * 100)).pages


def test_a_fixed_head_may_be_named_where_the_model_is_pinned_also_by_an_earlier_page() -> None:
    text = page(FIRST + 'model = "storyteller"\n', "L3H5 it is.") + page('title = "b"\n', "And L4H1.")
    assert [p.model for p in parse_lesson(text).pages] == ["storyteller", "storyteller"]


def test_live_values_and_braces() -> None:
    found = pieces('a {{b}} {probability " \\"x y"  0.5}{T}')
    assert found == ["a {b} ", Live("probability", ('" \\"x y"', "0.5")), Live("T")]
    for name in VALUES:
        assert re.fullmatch("[A-Za-z]+", name)


EXAMPLES = {
    "rank": "2", "candidate": '" little"', "temperature": "0.5", "share": "0.9", "position": "3", "measure": "induction",
    "head": "previous:qk", "pair": "4,2", "part": "L2.attn", "layernorm": "L2.ln1", "block": "L2", "change": "L2H1=zero",
    "addend": "L2H1",
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_each_live_value_is_read_with_all_that_may_follow_it_and_refused_with_more(name: str) -> None:
    words = [EXAMPLES[kind.rstrip("?")] for kind in VALUES[name]]
    whole = "{" + " ".join((name, *words)) + "}"
    assert pieces(whole) == [Live(name, tuple(words))]
    assert str(pieces(whole)[0]) == whole
    with pytest.raises(LessonError, match="more than"):
        pieces(whole[:-1] + " 1}")


FRAGMENTS = st.sampled_from(
    [
        "+++\n",
        'title = "t"\n',
        'prompt = "p"\n',
        "{",
        "}",
        "{head induction}",
        "<!--",
        "-->",
        "\n",
        "# T\n",
        'at = "L1"\n',
        ASKED,
        *KEYS,
        "=",
        '"',
    ]
)
TEXTS = st.lists(FRAGMENTS | st.text(max_size=12), max_size=14).map("".join)


def refusal(text: str) -> str:
    """Why a text is no lesson; empty where it is one."""
    try:
        return "" if parse_lesson(text, "f.md").pages else "no pages"
    except LessonError as error:
        return str(error)


@given(TEXTS | st.text())
def test_any_text_is_a_lesson_or_gives_one_sentence(text: str) -> None:
    said = refusal(text)
    assert re.fullmatch(r"(f\.md[^\n]{5,600}\.)?", said)


VALUE = st.one_of(
    st.integers(),
    st.booleans(),
    st.floats(),
    st.text(max_size=8).map(repr),
    st.sampled_from(["[]", "[1]", '["a", "b"]', "1979-05-27", "{a = 1}"]),
)


@given(st.dictionaries(st.sampled_from(list(KEYS)), VALUE, max_size=5))
def test_any_front_matter_is_a_page_or_gives_one_sentence(front: dict[str, object]) -> None:
    text = page("".join(f"{key} = {str(value).lower() if isinstance(value, bool) else value}\n" for key, value in front.items()))
    assert re.match(r"$|f\.md(, page 1(, \w+)?)?: ", refusal(text))


def test_lessons_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    mine = tmp_path / "7-my talk.md"
    mine.write_text(page(FIRST), encoding="utf-8")
    assert load(str(mine)).name == "my talk"
    for path in shipped():
        assert find(name_of(path)) == find(path.stem) == path
    with pytest.raises(LessonError, match="no lesson nowhere"):
        load("nowhere")
    mine.write_bytes(b"+++\n\xff")
    with pytest.raises(LessonError, match="UTF-8"):
        load(str(mine))
    assert list(lives(["a {T}", "{top 2}"])) == [Live("T"), Live("top", ("2",))]
