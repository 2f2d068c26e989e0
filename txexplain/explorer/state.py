"""The state of a session, free of any UI: what is asked of the model, how it is sampled, and where the reader looks.

A state never changes; every key is a method that returns the next one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from txexplain.explorer.edits import Edits, flags_of, patched, read_flags, switched
from txexplain.explorer.jump import jump
from txexplain.explorer.location import (
    PLACES,
    Dims,
    Location,
    Memory,
    clamp,
    parse,
    place_of,
    remembered,
    zoom_in,
    zoom_out,
)
from txexplain.explorer.places.whole import LookedUp
from txexplain.explorer.typed import retyped
from txexplain.shell import joined

if TYPE_CHECKING:
    from txexplain.engine.tokenizer import Tokenizer

STOPS = (0.0, 0.05, *(round(0.1 * n, 1) for n in range(1, 21)), *(0.5 * n for n in range(5, 21)))
HOTTEST = STOPS[-1]
MODES = ("full", "top-k", "top-p", "greedy")
FLOWS = ("norms", "rollout")
EXAMPLE = "Once upon a time there was a"  # what a start without a prompt shows
K, P = 5, 0.9
P_STEP = 0.05


@dataclass(frozen=True)
class Appended:
    """A token that was put behind the prompt: "drawn" by its uniform number, or "chosen" by the reader."""

    id: int
    how: str


ModelAsked = tuple[str, str | None, str | None, str | None]  # a model's name, its revision, its tokenizer, and what typed specials are


@dataclass(frozen=True)
class ExplorerState:
    """One moment of a session. `prompt` is the truth until ids are given or a token is appended; then `ids` are.

    Temperature 0 and greedy are one state: `mode` is "greedy" exactly when `temperature` is 0.
    `tokenizer` names another than the model's own; `specials` says what a typed special token is: "token", "text" or what its files say.
    `edits` are what is changed in the run, `other` or `other_ids` the prompt of the run that patches are taken of.
    `answer` and `against` are the two tokens whose difference is looked at, as text or #464; None: the likeliest ones.
    `memory` and `warm` are conveniences for the next key and no part of what two states are compared by.
    """

    model: str = "storyteller"
    revision: str | None = None
    tokenizer: str | None = None
    specials: str | None = None
    prompt: str = EXAMPLE
    ids: tuple[int, ...] | None = None
    appended: tuple[Appended, ...] = field(default=(), compare=False)
    location: Location = field(default=Location())
    temperature: float = 1.0
    mode: str = "full"
    k: int = K
    p: float = P
    seed: int = 0
    flow: str = "norms"
    trace: str | None = None
    edits: Edits = ()
    other: str | None = None
    other_ids: tuple[int, ...] | None = None
    answer: str | None = None
    against: str | None = None
    typed: tuple[bool, ...] = field(default=(), compare=False, repr=False)  # which of the ids come from text that was typed; (): none
    memory: Memory = field(default=Memory(), compare=False, repr=False)
    warm: tuple[float, str] = field(default=(1.0, "full"), compare=False, repr=False)  # what to return to from greedy

    @property
    def reader(self) -> ModelAsked:
        """What reads the prompt."""
        return self.model, self.revision, self.tokenizer, self.specials

    def read_by(self, reader: ModelAsked) -> ExplorerState:
        model, revision, tokenizer, specials = reader
        return replace(self, model=model, revision=revision, tokenizer=tokenizer, specials=specials)

    # Temperature and sampling

    @property
    def sampling(self) -> dict[str, Any]:
        """The arguments for engine.sampling.distribution."""
        top_k = self.k if self.mode == "top-k" else None
        top_p = self.p if self.mode == "top-p" else None
        return {"temperature": self.temperature, "top_k": top_k, "top_p": top_p}

    def at_temperature(self, temperature: float) -> ExplorerState:
        """The same at another temperature; 0 is greedy, and leaving 0 returns to the mode before.

        The hottest stop bounds it, or a temperature above that which a flag gave.
        """
        temperature = round(min(max(temperature, 0.0), max(HOTTEST, self.temperature)), 4)
        if temperature == 0:
            warm = self.warm if self.mode == "greedy" else (self.temperature, self.mode)
            return replace(self, temperature=0.0, mode="greedy", warm=warm)
        return replace(self, temperature=temperature, mode=self.warm[1] if self.mode == "greedy" else self.mode)

    def warmer(self) -> ExplorerState:
        return self.at_temperature(next((stop for stop in STOPS if stop > self.temperature), self.temperature))

    def cooler(self) -> ExplorerState:
        return self.at_temperature(next((stop for stop in reversed(STOPS) if stop < self.temperature), self.temperature))

    def warmer_unit(self) -> ExplorerState:
        return self.at_temperature(self.temperature + 1)

    def cooler_unit(self) -> ExplorerState:
        return self.at_temperature(self.temperature - 1)

    def reset_temperature(self) -> ExplorerState:
        return self.at_temperature(1.0)

    def cycle_mode(self) -> ExplorerState:
        """full → top-k → top-p → greedy → full, at the temperature before greedy.

        warmer() leaves greedy too: to the first stop, in the mode before.
        """
        following = MODES[(MODES.index(self.mode) + 1) % len(MODES)]
        if following == "greedy":
            return self.at_temperature(0.0)
        if self.mode == "greedy":
            return replace(self, mode=following, temperature=self.warm[0] or 1.0)
        return replace(self, mode=following)

    def adjust(self, step: int, vocabulary: int) -> ExplorerState:
        """A larger or smaller k or p, whichever the mode has."""
        if self.mode == "top-k":
            return replace(self, k=min(max(self.k + step, 1), vocabulary))
        if self.mode == "top-p":
            whole = math.floor(self.p / P_STEP + 1e-9) if step > 0 else math.ceil(self.p / P_STEP - 1e-9)
            return replace(self, p=min(max(round((whole + step) * P_STEP, 2), min(self.p, 0.01)), 1.0))
        return self

    def reseed(self) -> ExplorerState:
        return replace(self, seed=self.seed + 1)

    # What is changed in the run

    @property
    def asked(self) -> tuple[object, ...]:
        """What the model is asked: where this is the same, so is its answer."""
        return self.prompt, self.ids, self.edits, self.other, self.other_ids

    def switch(self, what: str, *, means: bool = True) -> ExplorerState:
        """The next thing that can be made of a part: see switched."""
        return replace(self, edits=switched(self.edits, what, means=means))

    def patch(self, what: str, other: Sequence[int]) -> ExplorerState:
        """A part as the run of other ids has it, or again as it was."""
        same = self.other_ids == tuple(other)
        kept = self.edits if same else tuple(each for each in self.edits if not each.from_other)  # values of one other run at a time
        edits = patched(kept, what)
        return replace(self, edits=edits, other=None, other_ids=tuple(other) if any(each.from_other for each in edits) else None)

    def unedited(self) -> ExplorerState:
        """With nothing changed."""
        return replace(self, edits=(), other=None, other_ids=None)

    def contrasted(self, token: str) -> ExplorerState:
        """The token as A; where there is one, as B; and where it is one of the two, the usual ones again."""
        if self.answer is None:
            return replace(self, answer=token)
        if token in (self.answer, self.against):
            return replace(self, answer=None, against=None)
        return replace(self, against=token)

    def with_last_row(self, n_tokens: int) -> ExplorerState:
        """With the row that was named as the prompt's last by its number, which it keeps."""
        return replace(self, edits=tuple(each.fixed(n_tokens) for each in self.edits)) if self.edits else self

    # The prompt

    def with_prompt(self, text: str) -> ExplorerState:
        """A typed prompt: what was appended before is part of the text or gone."""
        return replace(self, prompt=text, ids=None, appended=(), typed=())

    def with_edited(self, text: str, tokenizer: Tokenizer | None) -> ExplorerState:
        """The prompt's text as it is after a change by hand: ids that were given stay where their characters did."""
        if self.ids is None or tokenizer is None or (self.typed and all(self.typed)):
            return self.with_prompt(text)
        found = retyped(tokenizer, self.ids, self.typed or (False,) * len(self.ids), text)
        if found is None or all(found[1]):
            return self.with_prompt(text)
        return replace(self, prompt=text, ids=found[0], appended=(), typed=found[1])

    def with_ids(self, ids: Sequence[int]) -> ExplorerState:
        return replace(self, ids=tuple(ids), typed=())

    def spelled(self, ids: Sequence[int]) -> ExplorerState:
        """With the ids of its prompt, which were typed where it was text."""
        return replace(self, ids=tuple(ids), typed=(True,) * len(ids)) if self.ids is None else self

    def append(self, token_id: int, how: str) -> ExplorerState:
        """One more token. The state must have its ids. A selected token that is the last moves on with the end."""
        assert self.ids is not None
        typed = (*self.typed, all(self.typed)) if self.typed else ()
        return replace(self, ids=(*self.ids, token_id), appended=(*self.appended, Appended(token_id, how)), typed=typed)

    def undo(self) -> ExplorerState:
        """Take back the last token appended; without one, nothing changes."""
        if not self.appended or self.ids is None:
            return self
        return replace(self, ids=self.ids[:-1], appended=self.appended[:-1], typed=self.typed[:-1])

    def toggle_flow(self) -> ExplorerState:
        return replace(self, flow=FLOWS[1 - FLOWS.index(self.flow)])

    # Moving

    def go(self, place: Location, dims: Dims | None = None) -> ExplorerState:
        """To a Location, or the nearest that exists; the selected token follows the end of the prompt once it is the last."""
        if dims is not None:
            place = clamp(place, dims)
            if place.token == dims.n_tokens - 1:
                place = replace(place, token=None)
        return replace(self, location=place, memory=remembered(self.memory, place))

    def fit(self, dims: Dims) -> ExplorerState:
        """The same where the place exists; else the nearest."""
        place = clamp(self.location, dims)
        return self if place == self.location else self.go(place)

    def enter(self, dims: Dims) -> ExplorerState:
        return self.go(zoom_in(self.location, self.memory, dims), dims)

    def out(self, dims: Dims) -> ExplorerState:
        return self.go(zoom_out(self.location, self.memory), dims)

    def step_block(self, step: int, dims: Dims) -> ExplorerState:
        """The block before or after, at the same place inside it; the model's selected column moves."""
        return self.step_to(place_of(self.location).step_block(self.location, step, dims), dims)

    def step_head(self, step: int, dims: Dims) -> ExplorerState:
        """The head before or after, around the block's end."""
        return self.step_to(place_of(self.location).step_head(self.location, step, dims), dims)

    def step_to(self, there: Location, dims: Dims | None = None) -> ExplorerState:
        """Where a key leads; the same state where it does nothing."""
        return self if there == self.location else self.go(there, dims)

    def jump(self, text: str, dims: Dims) -> ExplorerState:
        """To a place that was typed; in the atlas into the head. Raises LocationError with one sentence."""
        there = self.go(jump(text, self.location, dims), dims)
        return there.enter(dims) if self.location.kind == there.location.kind == "heads" else there

    def look(self, kind: str, dims: Dims) -> ExplorerState:
        """To a place that is looked up from any other; from there, back."""
        place = PLACES[kind]
        assert isinstance(place, LookedUp)
        return self.out(dims) if self.location.kind == kind else self.look_up(place.seen_from(self.location, dims), dims)

    def look_up(self, place: Location, dims: Dims) -> ExplorerState:
        """A place that is left to where it was looked up from, by way of others of its kind, too."""
        there, known = self.go(place, dims), isinstance(place_of(self.location), LookedUp)
        return replace(there, memory=replace(there.memory, before=self.memory.before if known else self.location))

    def next_least(self) -> ExplorerState:
        """Show only the heads of the atlas that reach the next percentage of the measure that sorts them."""
        return self.step_to(place_of(self.location).next_least(self.location))

    def next_stage(self, step: int = 1) -> ExplorerState:
        """The head's next stage, or the page's next face."""
        return self.step_to(place_of(self.location).next_face(self.location, step))

    def move(self, dx: int, dy: int, dims: Dims) -> ExplorerState:
        """An arrow key: dx, dy in −1, 0, 1. What it moves depends on the place."""
        return self.step_to(place_of(self.location).move(self.location, dx, dy, dims), dims)

    def select_token(self, token: int, dims: Dims) -> ExplorerState:
        """Select a token wherever one is."""
        return self.go(place_of(self.location).with_token(self.location, token, dims), dims)

    # The command line

    def arguments(self) -> list[str]:
        """The flags that reproduce this state, defaults left out."""
        default = ExplorerState()
        flags: list[str] = []
        for flag, value, usual in (
            ("--trace", self.trace, None),  # which brings its model's name and its prompt
            ("--model", self.model, self.model if self.trace is not None else None),  # always: TXEXPLAIN_MODEL may differ where it is run
            ("--revision", self.revision, None),
            ("--tokenizer", self.tokenizer, None),
            ("--specials", self.specials, None),
            ("--at", str(self.location), str(default.location)),
            ("--seed", self.seed, default.seed),
            ("--flow", self.flow, default.flow),
        ):
            if value != usual:
                flags += [flag, str(value)]
        if self.mode == "greedy":
            flags.append("--greedy")
        elif self.temperature != default.temperature:
            flags += [
                "--temperature",
                f"{self.temperature:g}" if float(f"{self.temperature:g}") == self.temperature else repr(self.temperature),
            ]
        if self.mode in ("top-k", "top-p"):
            flags += ["--top-k", str(self.k)] if self.mode == "top-k" else ["--top-p", repr(self.p)]
        if self.ids is not None:
            flags += ["--ids", ",".join(map(str, self.ids))]
        elif self.prompt != default.prompt and self.trace is None:
            flags += ["--prompt", self.prompt]
        flags += flags_of(self.edits)
        if self.other_ids is not None:
            flags += ["--from-ids", ",".join(map(str, self.other_ids))]
        for flag, text in (("--from", self.other), ("--answer", self.answer), ("--against", self.against)):
            if text is not None:
                flags += [flag, text]
        return flags

    def command_line(self, command: str = "") -> str:
        """The command that reproduces this state in the app, or with another command, quoted for any shell."""
        return joined(["txexplain", *([command] if command else []), *self.arguments()])


def from_flags(
    *,
    model: str = "storyteller",
    revision: str | None = None,
    tokenizer: str | None = None,
    specials: str | None = None,
    prompt: str | None = None,
    ids: Sequence[int] | None = None,
    at: str | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    seed: int = 0,
    flow: str = "norms",
    trace: str | None = None,
    edits: Sequence[tuple[str, str]] = (),
    other: str | None = None,
    other_ids: Sequence[int] | None = None,
    answer: str | None = None,
    against: str | None = None,
) -> ExplorerState:
    """The state that a command line asks for; edits: flags with their texts, as ("--ablate", "L5H1").

    Raises LocationError for a Location that isn't one, InterventionError for a text that names no change, ValueError for flags that clash.
    """
    if sum((top_k is not None, top_p is not None, greedy)) > 1:
        raise ValueError("Give one of --top-k, --top-p and --greedy.")
    warm = "top-k" if top_k is not None else "top-p" if top_p is not None else "full"
    mode = "greedy" if greedy or temperature == 0 else warm
    place = parse(at) if at else Location()
    return ExplorerState(
        model=model,
        revision=revision,
        tokenizer=tokenizer,
        specials=specials,
        prompt=EXAMPLE if prompt is None else prompt,
        ids=None if ids is None else tuple(ids),
        location=place,
        temperature=0.0 if mode == "greedy" else temperature,
        mode=mode,
        k=K if top_k is None else top_k,
        p=P if top_p is None else top_p,
        seed=seed,
        flow=flow,
        trace=trace,
        edits=read_flags(edits),
        other=other,
        other_ids=None if other_ids is None else tuple(other_ids),
        answer=answer,
        against=against,
        memory=remembered(Memory(), place),
        warm=(temperature or 1.0, warm),
    )
