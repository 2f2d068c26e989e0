"""The panes around the stage, explained: each figure is computed again from the logits, apart from the engine's own way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import Draw, distribution, uniform
from txexplain.engine.surprisal import surprisal
from txexplain.errors import NotRecorded
from txexplain.explorer.examples import GENERAL, STORIES
from txexplain.explorer.lesson import shipped_lessons
from txexplain.explorer.location import Location
from txexplain.words.explain import explain, topic_of
from txexplain.words.panes import PANES, figures_apart
from txexplain.words.told import Entry, Explanation, Line, Look, Plus, Share

IDS = (5, 17, 42, 3, 17, 60, 28)


@pytest.fixture(scope="module")
def result(tiny: GPT2) -> Result:
    trace = tiny.forward(list(IDS))
    assert trace is not None
    return Result(trace, tiny)


def look(result: Result, pane: str, temperature: float = 1.0, **more: Any) -> Look:
    sampling = {key: more.pop(key) for key in ("top_k", "top_p") if key in more}
    return Look(Location(), result, distribution(result.trace.last_logits, temperature, **sampling), pane=pane, **more)


def line(told: Explanation, words: str) -> tuple[Any, ...]:
    """The values of the one line that has these words."""
    (found,) = (each for each in told.worked if words in each.text)
    return tuple(value.value if isinstance(value, Share | Plus) else value for value in found.values)


def shares(result: Result, temperature: float) -> np.ndarray:
    e = np.exp(result.trace.last_logits.astype(np.float64) / temperature)
    return np.sort(e / e.sum())[::-1]


@pytest.mark.parametrize("pane", PANES)
def test_each_has_a_name_and_two_sentences_or_three(result: Result, pane: str) -> None:
    lesson = shipped_lessons()[0]
    topic = topic_of(look(result, pane, lesson=lesson, page=lesson.pages[0]))
    assert topic.title
    assert 2 <= len(topic.sentences) <= 3
    assert all(isinstance(each, Line) for each in topic.worked)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_panels_figures(result: Result, temperature: float) -> None:
    told = explain(look(result, "panel", temperature, candidate=2, full_bar=0.5, seed=9))
    ranked = shares(result, temperature)
    entry, rank, *_, share = line(told, "rank")
    assert (entry.id, rank) == (int(np.argsort(-result.trace.last_logits, kind="stable")[2]), 3)
    assert share == pytest.approx(ranked[2])
    bits = -(ranked * np.log2(ranked)).sum()
    assert line(told, "as open as among") == pytest.approx((bits, bits, 2**bits, 2**bits))
    assert line(told, "a full bar") == (0.5,)
    for stop in (0.1, 1.0, 10.0):
        (values,) = (each.values for each in told.worked if each.text.startswith("at T") and each.values[0] == f"{stop:g}")
        assert values[2].value == pytest.approx(shares(result, stop)[:5].sum())  # type: ignore[union-attr]
    u = uniform(9, len(IDS))
    assert line(told, "gives token")[:2] == ("9", str(len(IDS)))
    (drawn,) = line(told, "a draw takes")
    number = int(np.searchsorted(np.cumsum(ranked), u, side="right"))
    assert drawn == Entry(int(np.argsort(-result.trace.last_logits, kind="stable")[number]))
    assert not any("a draw takes" in each.text for each in explain(look(result, "panel", present=False)).worked)


def test_the_panel_says_what_the_filter_keeps(result: Result) -> None:
    assert line(explain(look(result, "panel")), "full:") == (result.config.vocab_size,)
    kept = line(explain(look(result, "panel", top_k=4)), "top-k:")
    assert kept == (4, result.config.vocab_size, pytest.approx(shares(result, 1.0)[:4].sum()))
    assert line(explain(look(result, "panel", 0.0)), "greedy:")[0] == 1
    assert "cuts it" in " ".join(each.text for each in explain(look(result, "panel", top_k=2, candidate=5)).worked)


def test_without_logits_the_panel_says_so(result: Result) -> None:
    told = explain(replace(look(result, "panel"), distribution=None))
    assert told.missing == "logits"
    assert NotRecorded("logits").what == "logits"


@pytest.mark.parametrize(
    ("low", "u", "high", "said"),
    [
        (0.5, 0.51, 0.6, ("0.5100", "0.5000", "0.6000")),
        (0.519912, 0.519913, 0.519917, ("0.519913", "0.519912", "0.519917")),
        (0.0, 0.0, 0.25, ("0.0000", "0.0000", "0.2500")),
    ],
)
def test_a_draws_number_and_the_ends_of_its_interval_are_told_apart(low: float, u: float, high: float, said: tuple[str, ...]) -> None:
    assert figures_apart(Draw(3, u, 0, high - low, high - low, low, high)) == said


def test_the_prompts_figures(result: Result, tiny: GPT2) -> None:
    known = surprisal(result.trace, tiny.unembedding)
    for token in range(len(IDS)):
        told = explain(replace(look(result, "prompt", surprisal=known, appended=2), place=Location(token=token)))
        assert line(told, "of the vocabulary")[1:] == (str(token), str(len(IDS) - 1), str(IDS[token]))
        assert line(told, "drawn or chosen") == (2,)
        each = [surprise.bits for surprise in known if surprise is not None]
        assert line(told, "perplexity") == pytest.approx((len(each), np.mean(each), np.mean(each), 2 ** np.mean(each)))
        surprise = known[token]
        if surprise is None:
            assert any("nothing came before" in row.text for row in told.worked)
            continue
        p, rank, bits = line(told, "−log₂ p")
        before = tiny.forward(list(IDS[:token]))
        assert before is not None
        e = np.exp(before.last_logits.astype(np.float64))
        assert p == pytest.approx(e[IDS[token]] / e.sum(), rel=1e-4)
        assert bits == pytest.approx(-np.log2(p))
        assert rank == 1 + int((before.last_logits > before.last_logits[IDS[token]]).sum())


def test_the_prompt_tells_an_examples_hint_and_that_the_strip_is_shut(result: Result) -> None:
    told = explain(look(result, "prompt", hint="Look there."))
    assert told.sentences[0] == Line("An example. {}", ("Look there.",))
    assert any("x opens" in each.text for each in told.worked)
    assert "An example" not in explain(look(result, "prompt")).sentences[0].text


def test_the_lessons_figures(result: Result) -> None:
    lesson = shipped_lessons()[1]
    asked = [page.number for page in lesson.pages if page.question]
    given = {asked[0]: lesson.pages[asked[0] - 1].answer, asked[1]: 1 + lesson.pages[asked[1] - 1].answer % 2}
    told = explain(look(result, "lesson", lesson=lesson, page=lesson.pages[4], given=given))
    assert told.title.endswith("Attention in depth")
    assert line(told, "page {} of {}") == (5, 12)
    assert line(told, "questions") == (len(asked), 2, 1)


@pytest.mark.parametrize("example", [*STORIES, *GENERAL], ids=lambda example: example.prompt[:20])
def test_an_examples_hint_fits_the_footers_row_at_60_columns(example: Any) -> None:
    assert len(example.look) <= 58
    if " x " in example.look:
        assert "shows" in example.look
        assert "hides" in example.look  # the strip is open already where there is room
