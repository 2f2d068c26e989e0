"""Prompts to begin with, in our own words: each with what to look for. Which ones are offered depends on the model in use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Example:
    """A prompt, and what is worth seeing in what the model makes of it."""

    prompt: str
    look: str


STORIES = (
    Example("Once upon a time there was a", "Many words fit. [ and ] change the bars' lengths, never their order."),
    Example(
        "The little fox lost her red ball. She looked everywhere for her red",
        "What follows red was said before: find the head that looks back (a).",
    ),
    Example(
        "Tom and Anna went to the park. Tom had two apples, so he gave one to",
        "Who gets it? Compare the names' bars; find the head that sees Anna.",
    ),
    Example(
        "It was a hot day. The boy was thirsty, so he wanted to drink some cold",
        "Few words fit: little entropy is left. How hot until that changes?",
    ),
    Example(
        'The old bear was sad. "I am sorry," he said. "I will never',
        "Draw with space: does the speech end with its mark? u takes back.",
    ),
    Example(
        "Lily opened the box and found a shiny",
        "Generate (g), take back (u), new seed (r): one start, many stories.",
    ),
    Example(
        "The invoice for the quantum reactor was",
        "No words for children: x shows how surprising each of them is.",
    ),
)

GENERAL = (
    Example(
        "The museum is closed on Mondays, but on every other day of the",
        "One word fits best: with little entropy sampling hardly matters.",
    ),
    Example("The capital of Norway is", "A fact from the training text: where among the candidates is Oslo?"),
    Example(
        "When Maria and Peter went to the market, Peter gave a basket to",
        "Which name wins? Find the heads that look back to the names (a).",
    ),
    Example(
        "The lighthouse keeper lit the lamp. At dawn, the lighthouse",
        "A pair comes again: find heads that look at what followed it before.",
    ),
    Example("To make bread you need flour, water, salt and", "A list: with ] the rarer ingredients rise."),
    Example("def area(width, height):\n    return width *", "It has read programs too: the second name stands in the line above."),
    Example("Two, four, six, eight,", "A pattern: x shows how the surprise falls from number to number."),
)


def examples_for(model: str) -> tuple[Example, ...]:
    """The examples for a model by its name or folder: story openings for the bundled one, general text for the others."""
    return STORIES if PurePath(model).name == "storyteller" else GENERAL
