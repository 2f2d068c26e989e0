"""The next-token panel, its search, the examples and the surprisal strip, by keys."""

from __future__ import annotations

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets._toast import Toast

from tests.covering import few
from tests.ui.harness import ONCE, SlowForward, drive, fresh, pane_text, press, screen_text, settled, until
from tests.ui.paper import on_paper
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution
from txexplain.engine.surprisal import surprisal
from txexplain.explorer.examples import GENERAL, STORIES, examples_for
from txexplain.explorer.location import parse
from txexplain.explorer.search import find_tokens
from txexplain.explorer.state import STOPS, ExplorerState
from txexplain.ui.app import ExplorerApp
from txexplain.ui.choose import ExamplesScreen, FindScreen
from txexplain.viz.numbers import percent

App, Hand = ExplorerApp, Pilot[None]


# The draw


def test_the_draw_stays_as_it_was_while_the_settings_change(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "space")
        before = pane_text(app, "panel")[-4:]
        assert "drew" in before[0]
        assert "▲" in before[1]
        ids = app.state.ids
        await press(app, hand, "left_square_bracket", "left_square_bracket", "s")
        after = pane_text(app, "panel")[-4:]
        assert after == before
        assert app.state.ids == ids
        assert app.session.drawn_from is not None
        assert app.session.drawn_from.temperature == 1.0
        await press(app, hand, "u")
        assert not any("drew" in line for line in pane_text(app, "panel"))

    on_paper(test, storyteller)


def test_thirty_presses_during_a_forward_pass_all_count_and_show_true_bars(storyteller: GPT2, monkeypatch: pytest.MonkeyPatch) -> None:
    """No press of [ is lost while the model runs; the bars are those of the old prompt, dimmed and called old, until the new ones are there."""
    slow = SlowForward(monkeypatch)
    slow.shut = False

    async def test(app: App, hand: Hand) -> None:
        old = distribution(fresh(storyteller, ONCE).last_logits)
        await press(app, hand, "right_curly_bracket")  # T 2
        slow.shut = True
        ids = list(app.result.trace.ids)  # type: ignore[union-attr]
        await hand.press("space")
        await until(hand, lambda: app.running and len(slow.started) > 1, "a forward pass")
        stops = [stop for stop in reversed(STOPS) if stop < 2.0]
        for n in range(30):
            await hand.press("left_square_bracket")
            want = stops[min(n, len(stops) - 1)]
            panel = pane_text(app, "panel")
            assert app.state.temperature == want
            assert f"T {want:.2f}" in panel[2]
            assert any("old: computing" in line for line in panel)
            top = old.at(want)
            assert percent(float(top.probability[top.order[0]])) in panel[5]
        assert app.running
        slow.open()
        await settled(app, hand)
        assert len(app.state.ids or ()) == len(ids) + 1
        new = distribution(fresh(storyteller, list(app.state.ids or ())).last_logits, 0.0)
        panel = pane_text(app, "panel")
        assert not any("old:" in line for line in panel)
        assert "100%" in panel[5]
        assert storyteller.tokenizer.display(int(new.order[0])).strip()[:8] in panel[5]

    drive(test, storyteller)


# Search


def test_any_token_can_be_found_by_its_text(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await hand.press("o")
        assert isinstance(app.screen, FindScreen)
        screen = app.screen
        await until(hand, lambda: screen.texts is not None, "the vocabulary")
        await hand.press(*"dragon")
        rows = screen_text(app)
        assert any("dragons" in line for line in rows)
        await hand.press("enter")
        await hand.pause()
        want = storyteller.tokenizer.encode(" dragon")[0]
        assert app.session.distribution is not None
        assert app.session.candidate == app.session.distribution.rank_of(want) >= 50
        listed = [line for line in pane_text(app, "stage") if "   dragon " in line]
        assert len(listed) == 1
        assert f"{app.session.candidate + 1} " in listed[0]
        assert percent(float(app.session.distribution.full_probability[want])) in listed[0]
        assert any(line.strip().startswith("dragon") and "exp(" in line for line in pane_text(app, "stage"))
        await press(app, hand, "enter")  # a branch with what was found
        assert (app.state.ids or ())[-1] == want
        await press(app, hand, "u")
        assert len(app.state.ids or ()) == len(storyteller.prompt_ids(ONCE))

    drive(test, storyteller, ExplorerState(location=parse("output")))


def test_search_can_be_left_and_leads_to_the_panel_elsewhere(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await hand.press("o", "z", "escape")
        assert len(app.screen_stack) == 1
        assert app.session.candidate == 0
        await hand.press("o")
        screen = app.screen
        await until(hand, lambda: getattr(screen, "texts", None) is not None, "the vocabulary")
        await hand.press(*"girl", "down", "enter")
        await hand.pause()
        assert app.session.pane == "panel"
        assert app.session.distribution is not None
        assert "girl" in storyteller.tokenizer.display(int(app.session.distribution.order[app.session.candidate])).lower()
        assert any("girl" in line.lower() for line in pane_text(app, "panel"))

    drive(test, storyteller)


def test_what_is_found_is_sorted_by_fit_then_by_likelihood() -> None:
    texts = [" Cat", "concat", " cat", "cats", "dog", "cat"]
    assert find_tokens(texts, "cat", [5, 4, 3, 2, 1, 0]) == [5, 2, 0, 3, 1]
    assert find_tokens(texts, "cat", [0, 1, 2, 3, 4, 5]) == [0, 2, 5, 3, 1]
    assert find_tokens(texts, "Cat", [0, 1, 2, 3, 4, 5]) == [0]
    assert find_tokens(texts, " c", [0, 1, 2, 3, 4, 5]) == [0, 2]
    assert find_tokens(texts, "", [0, 1]) == []
    rng = np.random.default_rng(0)
    assert len(find_tokens(["x"] * 5000, "x", rng.permutation(5000).tolist())) == 200


# Examples


def test_an_example_is_one_key_away(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await press(app, hand, "space", "left_square_bracket")
        await hand.press("e")
        assert isinstance(app.screen, ExamplesScreen)
        assert all(any(example.look in line for line in screen_text(app)) for example in STORIES)
        await hand.press("down", "down", "enter")
        await settled(app, hand)
        assert app.state.prompt == STORIES[2].prompt
        assert app.state.temperature == 0.9
        assert app.result is not None
        assert list(app.result.trace.ids) == storyteller.prompt_ids(STORIES[2].prompt)
        assert app.session.last_draw is None
        await hand.press("e", "escape")
        assert app.state.prompt == STORIES[2].prompt

    drive(test, storyteller)


@pytest.mark.parametrize("size", few([((60, 16),), ((80, 24),), ((120, 36),)], lambda size: size == (80, 24)))
def test_a_hint_covers_no_number_and_can_be_read_again(storyteller: GPT2, size: tuple[int, int]) -> None:
    async def test(app: App, hand: Hand) -> None:
        longest = max(STORIES, key=lambda example: len(example.look))
        await hand.press("e", *["down"] * STORIES.index(longest), "enter")
        await settled(app, hand)
        await until(hand, lambda: any(toast.region.height for toast in app.screen.query(Toast)), "the hint")
        (toast,) = app.screen.query(Toast)
        footer = app.query_one("#footer").region
        assert toast.region.height == 1
        assert footer.contains_region(toast.region)
        assert longest.look in screen_text(app)[-1]
        app.action_do("pace")  # another sentence takes its place
        await until(hand, lambda: any("Generating takes" in row for row in screen_text(app)), "the newer sentence")
        assert len(app.screen.query(Toast)) == 1
        await hand.press("e")
        await hand.pause()
        rows = screen_text(app)
        row = next(y for y, text in enumerate(rows) if longest.prompt[:30] in text and "│" not in text)  # the list, where it was left
        assert longest.look in " ".join(" ".join(text.strip(" │─") for text in rows[row + 1 : row + 3]).split())
        after = STORIES[(STORIES.index(longest) + 1) % len(STORIES)]
        (row,) = (y for y, text in enumerate(rows) if after.prompt[:30] in text)
        await hand.click(offset=(30, row))  # also below a line of the list that has its hint with it
        await settled(app, hand)
        assert app.state.prompt == after.prompt

    drive(test, storyteller, size=size)


@pytest.mark.parametrize("examples", [STORIES, GENERAL])
def test_examples_are_of_one_kind(storyteller: GPT2, examples: tuple) -> None:
    assert len(examples) >= 5
    assert len({example.prompt for example in examples}) == len(examples)
    for example in examples:
        assert 2 <= len(storyteller.prompt_ids(example.prompt)) <= 40
        assert example.prompt == example.prompt.strip()


def test_each_model_has_examples_of_its_own() -> None:
    assert examples_for("storyteller") == examples_for("/somewhere/weights/storyteller") == STORIES
    assert examples_for("gpt2") == examples_for("distilgpt2") == examples_for("someone/gpt2-stories") == GENERAL


# Surprisal


def test_the_strip_is_open_where_there_is_room_and_on_a_key(storyteller: GPT2) -> None:
    want = surprisal(fresh(storyteller, ONCE), storyteller.unembedding)

    async def wide(app: App, hand: Hand) -> None:
        assert "bits" in pane_text(app, "prompt")[-1]
        await press(app, hand, "x")
        assert not any("bits" in line for line in pane_text(app, "prompt"))
        await press(app, hand, "x", "up")
        surprise = want[5]
        assert surprise is not None
        assert f"rank {surprise.rank + 1:,}" in pane_text(app, "prompt")[-1]

    async def narrow(app: App, hand: Hand) -> None:
        assert not any("bits" in line for line in pane_text(app, "prompt"))
        assert app.session.surprised == (None, ())  # nothing is computed that isn't shown
        await press(app, hand, "x")
        assert "bits" in pane_text(app, "prompt")[-1]
        await hand.resize_terminal(60, 16)
        await settled(app, hand)
        assert "bits" in pane_text(app, "prompt")[-1]

    on_paper(wide, storyteller)
    on_paper(narrow, storyteller, size=(80, 24))


def test_a_longer_text_keeps_what_is_known(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        known = app.session.surprised[1]
        await press(app, hand, "space")
        assert len(app.session.surprised[1]) == len(known) + 1
        assert all(a is b for a, b in zip(known, app.session.surprised[1], strict=False))
        await press(app, hand, "u")
        assert app.scene(120, 36).surprisal == known

    on_paper(test, storyteller)


def test_a_larger_terminal_opens_the_strip(storyteller: GPT2) -> None:
    async def test(app: App, hand: Hand) -> None:
        await hand.resize_terminal(120, 36)
        await settled(app, hand)
        await until(hand, lambda: "bits" in pane_text(app, "prompt")[-1], "the strip")

    on_paper(test, storyteller, size=(80, 24))
