"""The first view that a command line asks for: a place and how it looks, or a lesson's page."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import click

from txexplain.cli.asked import Changes, Sampling, Source, was_given
from txexplain.cli.streams import other_charset
from txexplain.explorer.lesson import Lesson, load, state_of
from txexplain.explorer.reading import page_of
from txexplain.explorer.state import ExplorerState, from_flags
from txexplain.front.lessons import may_fetch
from txexplain.front.options import UiOptions

SAID_BY_PAGES = (
    "prompt", "prompt_text", "file", "ids", "trace", "at", "temperature", "top_k", "top_p", "greedy", "seed", "ablate", "cut", "patch",
    "answer", "against",
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """The app's first view: where, with which seed, and how it looks."""

    at: str | None
    seed: int
    flow: str
    theme: str | None
    ascii: bool
    color: str
    glyphs: str | None = None
    answer: str | None = None
    against: str | None = None

    def options(self) -> UiOptions:
        ascii = self.ascii or self.glyphs == "ascii" or other_charset()
        return UiOptions(self.theme, ascii, self.color, glyphs=self.glyphs)


@dataclass(frozen=True)
class Wishes:
    """What the reader wants of the app's screen alone."""

    cursor: bool = False
    picture: str | None = None


@dataclass(frozen=True)
class Opened:
    """The lesson to open, and at which page; a page says itself what is shown."""

    name: str | None
    page: int
    fetch: bool = False

    @classmethod
    def of(cls, lesson: str | None, page: int | None, fetch: bool) -> Opened:
        """Raises UsageError for flags that say what a page says."""
        if lesson is None:
            if page is not None or fetch:
                raise click.UsageError(f"--{'fetch' if fetch else 'page'} is a lesson's: give --lesson NAME with it.")
            return cls(None, 1)
        for name in SAID_BY_PAGES:
            if was_given(name):
                flag = "a prompt" if name == "prompt" else "--" + name.removesuffix("_text").replace("_", "-")
                raise click.UsageError(f"A lesson's page says what is shown: give --lesson without {flag}.")
        return cls(lesson, page or 1, fetch)

    @cached_property
    def lesson(self) -> Lesson | None:
        """Raises LessonError."""
        return None if self.name is None else load(self.name)

    def model(self, source: Source) -> str:
        """The model that the run needs: the one that the page names, or the one that was asked for. Raises LessonError, UsageError."""
        wanted = None if self.lesson is None else page_of(self.lesson, self.page).model
        if wanted is not None and was_given("model") and source.model != wanted:
            raise click.UsageError(f"This page is written for {wanted}: leave --model out.")
        return wanted or source.model

    def may_fetch(self, source: Source) -> bool:
        """Whether the model may be fetched: one that a page names only where the reader says so. Raises LessonError."""
        return self.lesson is None or self.fetch or may_fetch(page_of(self.lesson, self.page), source.model)


def first_state(source: Source, sampling: Sampling, view: View, changes: Changes | None = None) -> ExplorerState:
    """The app's first state. Raises LocationError, InterventionError, PromptError, UsageError."""
    changes = changes or Changes()
    return from_flags(
        model=source.model,
        revision=source.revision,
        tokenizer=source.tokenizer,
        specials=source.specials,
        prompt=source.text,
        ids=source.ids,
        at=view.at,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        seed=view.seed,
        flow=view.flow,
        trace=source.trace,
        edits=changes.edits,
        other=changes.other,
        other_ids=changes.other_ids,
        answer=view.answer,
        against=view.against,
    )


def first_view(source: Source, sampling: Sampling, view: View, opened: Opened, changes: Changes) -> ExplorerState:
    """The first state, or that of the lesson's page that is open in it. Raises LessonError too."""
    if opened.lesson is None:
        return first_state(source, sampling, view, changes)
    model = opened.model(source)
    own = (source.tokenizer, source.specials) if model == source.model else (None, None)
    state = ExplorerState(model, source.revision, *own, flow=view.flow)
    return state_of(page_of(opened.lesson, opened.page), state)
