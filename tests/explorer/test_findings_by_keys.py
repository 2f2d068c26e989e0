"""The five findings of the review of causes, found again by keys alone: from a first screen, with fewer keys than a minute has seconds."""

from __future__ import annotations

import pytest

from tests.e2e.test_findings import GIVING, HOUSES, LISTS, PLURAL, SINGULAR, SWAPPED
from tests.explorer.test_session import World
from txexplain.engine.model import GPT2
from txexplain.explorer.session import events as e
from txexplain.front.actions import ACTIONS

ACTION_OF = {key: action.id for action in ACTIONS for key in action.keys}
MOST = 60  # keys, the prompts' letters not counted


class Hand:
    """A reader at the keyboard, who waits for what is on its way after each key."""

    def __init__(self, model: GPT2) -> None:
        self.world, self.keys = World(model), 0
        self.world.settle()

    def press(self, *keys: str) -> None:
        """Keys; a text of several letters that is no key is typed into the field that the key before it opened."""
        for key in keys:
            if key in ACTION_OF:
                self.keys += 1
                self.world.happen(e.Key(ACTION_OF[key]))
            else:
                self.keys += len(key) + 1  # and Enter
                self.world.happen(self.typed(key))
            self.world.settle()

    def typed(self, text: str) -> e.Jumped | e.Found:
        if self.world.shown[-1] == "jump":
            return e.Jumped(text)
        distribution = self.world.session.distribution
        assert distribution is not None
        (token,) = self.world.model.tokenizer.candidates(text)
        return e.Found(distribution.rank_of(token), distribution.logits)

    def prompt(self, text: str) -> None:
        self.keys += 2
        self.world.happen(e.Key("prompt"), e.Typed(text))
        self.world.settle()
        self.world.happen(e.Left(0))
        self.world.settle()

    def share(self, *words: str) -> float:
        """The probability of some words together."""
        distribution = self.world.session.distribution
        assert distribution is not None
        return sum(float(distribution.full_probability[self.world.model.prompt_ids(word)[0]]) for word in words)

    def plural(self) -> float:
        return self.share(*PLURAL) / self.share(*PLURAL, *SINGULAR)


@pytest.fixture
def hand(storyteller: GPT2) -> Hand:
    return Hand(storyteller)


def test_one_head_takes_the_number(hand: Hand) -> None:
    hand.prompt(HOUSES)
    assert hand.plural() > 0.95
    hand.press("tab", "A", "o", " has", "A", "tab", "escape")  # have − has
    hand.press("E", "v", "enter")  # the largest effect of all, for good
    assert hand.plural() < 0.4
    hand.press("U")
    assert hand.plural() > 0.95
    assert hand.keys < MOST


def test_a_cut_edge_takes_what_was_copied(hand: Hand) -> None:
    hand.prompt(LISTS)
    assert hand.share(" nine") > 0.5
    hand.press("J", "L3H6[10,9]", "X", "X", "X")  # here, in the block, everywhere
    assert hand.share(" nine") < 0.05
    assert hand.keys < MOST


def test_what_helps_in_one_order_hurts_in_the_other(hand: Hand) -> None:
    hand.prompt(GIVING)
    plain = hand.share(" Anna")
    hand.press("E", "v", "down", "enter")  # the second largest effect
    assert hand.share(" Anna") > plain + 0.1
    hand.prompt(SWAPPED)
    within = hand.share(" Anna")
    hand.press("U")
    assert within < hand.share(" Anna") - 0.1
    assert hand.keys < MOST


def test_a_patched_stream_is_another_country(hand: Hand) -> None:
    hand.prompt("The capital of France is")
    hand.press("b")
    hand.prompt("The capital of Norway is")
    hand.press("E", "v", "v", "v", "v", "up", "right", "right", "right", "enter")  # the map of patches, the country's row, block 3
    assert hand.share(" Paris") > 0.5
    assert hand.share(" Oslo") < 0.1
    assert hand.keys < MOST


def test_memory_and_agreement_are_apart(hand: Hand) -> None:
    hand.prompt(LISTS)
    for head in ("4.0", "4.6", "5.0", "5.1", "5.5", "5.6"):
        hand.press("J", head, "X", "X")
    assert hand.share(" nine") < 0.1
    hand.prompt(HOUSES)
    assert hand.plural() > 0.9
    assert hand.keys < MOST


@pytest.mark.parametrize(("turns", "moves", "done"), [
    (5, ("up", "right"), "L1.mlp@{last}=from"), (6, ("down", "right"), "L1H1=from"), (7, ("right",), "L0H1.q=from"),
    (8, ("f3", "f3"), "L2H0.k=from"), (9, ("down", "down", "down", "right", "left", "left"), "L3H0.v=from"), (10, (), "L0H0.pattern=from"),
])  # fmt: skip
def test_each_map_patches_for_good_what_is_selected(hand: Hand, turns: int, moves: tuple[str, ...], done: str) -> None:
    hand.prompt(HOUSES)
    hand.press("b")
    hand.prompt(HOUSES.replace("houses", "house"))
    hand.press("E", *["v"] * turns, *moves, "enter")
    assert [str(each) for each in hand.world.session.state.edits] == [done.format(last=3)]
    hand.press("P")
    assert hand.world.session.state.edits == ()
    hand.press("X")
    assert len(hand.world.session.state.edits) == 1
