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
    Example("Once upon a time there was a", "Many words fit. [ ] change the bars, but not their order."),
    Example(
        "The little fox lost her red ball. She looked everywhere for her red", "What followed red before? A head looks back to it (a)."
    ),
    Example(
        "Tom and Anna went to the park. Tom had two apples, so he gave one to", "Who gets it? Compare the names; a head sees Anna (a)."
    ),
    Example(
        "It was a hot day. The boy was thirsty, so he wanted to drink some cold",
        "Few words fit: little entropy. How hot until that changes?",
    ),
    Example('The old bear was sad. "I am sorry," he said. "I will never', "Draw with space: does the speech end? u takes back."),
    Example("Lily opened the box and found a shiny", "Generate (g), take back (u), new seed (r): many stories."),
    Example("The invoice for the quantum reactor was", "How surprising is each token? x shows that and hides it."),
)

GENERAL = (
    Example("The museum is closed on Mondays, but on every other day of the", "One word fits best: sampling hardly matters here."),
    Example("The capital of Norway is", "A fact from the training text: where is Oslo in the list?"),
    Example("When Maria and Peter went to the market, Peter gave a basket to", "Which name wins? Find heads that look back to the names."),
    Example("The lighthouse keeper lit the lamp. At dawn, the lighthouse", "A pair comes again: find heads that look at what followed."),
    Example("To make bread you need flour, water, salt and", "A list: with ] the rarer ingredients rise."),
    Example("def area(width, height):\n    return width *", "It has read programs: the second name is a line above."),
    Example("Two, four, six, eight,", "Does the surprise fall? x shows it for each, and hides it."),
)


def hint_for(prompt: str, model: str) -> str:
    """What to look for in a prompt that is one of the examples; nothing for another."""
    return next((example.look for example in examples_for(model) if example.prompt == prompt), "")


def examples_for(model: str) -> tuple[Example, ...]:
    """The examples for a model by its name or folder: story openings for the bundled one, general text for the others."""
    return STORIES if PurePath(model).name == "storyteller" else GENERAL
