"""The state of a session, free of any UI: what is asked of the model, how it is sampled, and where the reader looks.

A state never changes; every key is a method that returns the next one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from txexplain.engine.steps import TILES
from txexplain.explorer.jump import jump
from txexplain.explorer.location import (
    ENDS,
    FACES,
    LEASTS,
    PRODUCTS,
    STAGES,
    VECTORS,
    Dims,
    Level,
    Location,
    Memory,
    clamp,
    output_width,
    parse,
    remembered,
    residual_of,
    zoom_in,
    zoom_out,
)
from txexplain.explorer.shell import joined

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


@dataclass(frozen=True)
class ExplorerState:
    """One moment of a session. `prompt` is the truth until ids are given or a token is appended; then `ids` are.

    Temperature 0 and greedy are one state: `mode` is "greedy" exactly when `temperature` is 0.
    `memory` and `warm` are conveniences for the next key and no part of what two states are compared by.
    """

    model: str = "storyteller"
    revision: str | None = None
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
    memory: Memory = field(default=Memory(), compare=False, repr=False)
    warm: tuple[float, str] = field(default=(1.0, "full"), compare=False, repr=False)  # what to return to from greedy

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

    # The prompt

    def with_prompt(self, text: str) -> ExplorerState:
        """A typed prompt: what was appended before is part of the text or gone."""
        return replace(self, prompt=text, ids=None, appended=())

    def with_ids(self, ids: Sequence[int]) -> ExplorerState:
        return replace(self, ids=tuple(ids))

    def append(self, token_id: int, how: str) -> ExplorerState:
        """One more token. The state must have its ids. A selected token that is the last moves on with the end."""
        assert self.ids is not None
        return replace(self, ids=(*self.ids, token_id), appended=(*self.appended, Appended(token_id, how)))

    def undo(self) -> ExplorerState:
        """Take back the last token appended; without one, nothing changes."""
        if not self.appended or self.ids is None:
            return self
        return replace(self, ids=self.ids[:-1], appended=self.appended[:-1])

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
        place = self.location
        if place.level is Level.MODEL:
            column = place.select or "L0"
            block = (-1 if step > 0 else 0) if column == "embed" else dims.n_layer if column in ENDS else int(column[1:])
            return self.go(replace(place, select=column_name(block + step, dims.n_layer, blocks_only=True)), dims)
        if place.level is Level.RESIDUAL:
            return self.go(replace(place, select=part_name(part_position(place.select) + 2 * step, dims.n_layer)), dims)
        if place.level in (Level.EMBED, Level.FINAL, Level.OUTPUT):
            return self
        return self.go(replace(place, block=max(0, place.block + step)), dims)

    def step_head(self, step: int, dims: Dims) -> ExplorerState:
        """The head before or after, around the block's end."""
        if self.location.level in PRODUCTS:  # a head's elements stand together
            width = output_width(self.location.level, dims)
            dh = max(1, dims.n_embd // dims.n_head)
            return self.go(replace(self.location, element=((self.location.element or 0) // dh * dh + step * dh) % width), dims)
        if self.location.level not in (Level.ATTN, Level.HEADS, Level.HEAD, Level.PRODUCT):
            return self
        return self.go(replace(self.location, head=(self.location.head + step) % dims.n_head), dims)

    def jump(self, text: str, dims: Dims) -> ExplorerState:
        """To a place that was typed; in the atlas into the head. Raises LocationError with one sentence."""
        there = self.go(jump(text, self.location, dims), dims)
        return there.enter(dims) if self.location.level is Level.HEADS is there.location.level else there

    def to_residual(self, dims: Dims) -> ExplorerState:
        """To the selected token's residual stream; from there, back to where it was looked up."""
        if self.location.level is Level.RESIDUAL:
            return self.out(dims)
        there = self.go(residual_of(self.location), dims)
        return replace(there, memory=replace(there.memory, before=self.location))

    def next_least(self) -> ExplorerState:
        """Show only the heads of the atlas that reach the next percentage of the measure that sorts them."""
        place = self.location
        if place.level is not Level.HEADS or place.face is None:
            return self
        least = next((each for each in LEASTS if each > place.least), 0)
        return self.go(replace(place, least=least))

    def next_stage(self, step: int = 1) -> ExplorerState:
        """The head's next stage, or the page's next face."""
        place = self.location
        faces = FACES.get(place.level)
        if faces is not None:
            face = faces[(faces.index(place.face or faces[0]) + step) % len(faces)]
            return self.go(replace(place, face=face, least=0))
        if self.location.level is not Level.HEAD:
            return self
        return self.go(replace(self.location, stage=STAGES[(STAGES.index(self.location.stage) + step) % len(STAGES)]))

    def move(self, dx: int, dy: int, dims: Dims) -> ExplorerState:
        """An arrow key: dx, dy in −1, 0, 1. What it moves depends on the level."""
        place = self.location
        if place.level in (Level.HEAD, Level.PRODUCT):
            query, key = place.cursor(dims.n_tokens)
            query, key = (max(0, min(i + d, dims.n_tokens - 1)) for i, d in ((query, dy), (key, dx)))
            return self.go(replace(place, query=query, key=key, token=None), dims)
        if place.level is Level.HEADS:
            if dims.order is not None:
                return self.go(self.along(dims.order, place, dx + dy * dims.columns, dims), dims)
            return self.go(replace(place, head=max(0, place.head + dx), block=max(0, place.block + dy)), dims)
        if place.level is Level.RESIDUAL and dy:
            return self.go(replace(place, select=part_name(part_position(place.select) + dy, dims.n_layer)), dims)
        if place.level in (Level.RESIDUAL, Level.MLP) and dx:  # up and down go along the list there
            return self.go(replace(place, token=max(0, place.token_index(dims.n_tokens) + dx)), dims)
        if place.level is Level.MLP and dims.order:
            at = (dims.order.index(place.neuron) if place.neuron in dims.order else 0) + dy
            return self.go(replace(place, neuron=dims.order[max(0, min(at, len(dims.order) - 1))]), dims)
        if place.level in PRODUCTS and place.face == "matrix" and dy:
            return self.go(replace(place, source=max(0, (place.source or 0) + dy), element=place.element or 0), dims)
        if place.level in VECTORS | PRODUCTS and dx:
            element = 0 if place.element is None else max(0, min(place.element + dx, output_width(place.level, dims) - 1))
            return self.go(replace(place, element=element), dims)
        if place.level is Level.ATTN:
            head = place.head + dx + dy * dims.columns
            return self.go(replace(place, head=head) if 0 <= head < dims.n_head else place, dims)
        if dx and place.level is Level.MODEL:
            column = place.select or "L0"
            position = {"embed": -1, "final": dims.n_layer, "output": dims.n_layer + 1}.get(column)
            at = (int(column[1:]) if position is None else position) + dx
            return self.go(replace(place, select=column_name(at, dims.n_layer)), dims)
        if dx and place.level is Level.BLOCK:
            tile = TILES[max(0, min(TILES.index(place.select or "attn") + dx, len(TILES) - 1))]
            return self.go(replace(place, select=None if tile == "attn" else tile), dims)
        if dx and place.level is Level.NEURON:
            return self.go(replace(place, neuron=max(0, (place.neuron or 0) + dx)), dims)
        if dy and place.level is not Level.OUTPUT:  # there the arrows are the candidates'
            token = max(0, place.token_index(dims.n_tokens) + dy)
            return self.go(replace(place, token=token), dims)
        return self

    def along(self, order: Sequence[int], place: Location, step: int, dims: Dims) -> Location:
        """The head some steps further in the atlas as it is sorted; the first where the present one isn't in it."""
        here = place.block * dims.n_head + place.head
        if not order:
            return place
        at = order.index(here) + step if here in order else 0
        if not 0 <= at < len(order):
            return place
        block, head = divmod(order[at], dims.n_head)
        return replace(place, block=block, head=head)

    def select_token(self, token: int, dims: Dims) -> ExplorerState:
        """Select a token wherever one is."""
        place = self.location
        if place.level in (Level.HEAD, Level.PRODUCT):
            _, key = place.cursor(dims.n_tokens)
            return self.go(replace(place, query=token, key=key, token=None), dims)
        return self.go(replace(place, token=token), dims)

    # The command line

    def arguments(self) -> list[str]:
        """The flags that reproduce this state, defaults left out."""
        default = ExplorerState()
        flags: list[str] = []
        for flag, value, usual in (
            ("--trace", self.trace, None),  # which brings its model's name and its prompt
            ("--model", self.model, self.model if self.trace is not None else None),  # always: TXEXPLAIN_MODEL may differ where it is run
            ("--revision", self.revision, None),
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
        return flags

    def command_line(self, command: str = "") -> str:
        """The command that reproduces this state in the app, or with another command, quoted for any shell."""
        return joined(["txexplain", *([command] if command else []), *self.arguments()])


def part_position(part: str | None) -> int:
    """Where a part of the residual stream stands: embed, pos, then L0.attn, L0.mlp, L1.attn …"""
    if part in (None, "pos"):
        return int(part == "pos")
    assert part is not None
    block, _, half = part.partition(".")
    return 2 + 2 * int(block[1:]) + (half == "mlp")


def part_name(position: int, n_layer: int) -> str | None:
    """A part of the residual stream by where it stands; None is embed, the first."""
    position = max(0, min(position, 1 + 2 * n_layer))
    if position < 2:
        return "pos" if position else None
    return f"L{position // 2 - 1}.{'mlp' if position % 2 else 'attn'}"


def column_name(position: int, n_layer: int, *, blocks_only: bool = False) -> str | None:
    """A column of the model view by its position: −1 embed, 0… the blocks, n_layer final, then output. None is block 0."""
    if blocks_only:
        position = max(0, min(position, n_layer - 1))
    if position < 0:
        return "embed"
    if position >= n_layer:
        return "final" if position == n_layer else "output"
    return f"L{position}" if position else None


def from_flags(
    *,
    model: str = "storyteller",
    revision: str | None = None,
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
) -> ExplorerState:
    """The state that a command line asks for. Raises LocationError for a Location that isn't one, ValueError for flags that clash."""
    if sum((top_k is not None, top_p is not None, greedy)) > 1:
        raise ValueError("Give one of --top-k, --top-p and --greedy.")
    warm = "top-k" if top_k is not None else "top-p" if top_p is not None else "full"
    mode = "greedy" if greedy or temperature == 0 else warm
    place = parse(at) if at else Location()
    return ExplorerState(
        model=model,
        revision=revision,
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
        memory=remembered(Memory(), place),
        warm=(temperature or 1.0, warm),
    )
