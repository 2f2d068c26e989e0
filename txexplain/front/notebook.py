"""A run's view as a picture in a notebook: what `render` draws, from Python."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace
from txexplain.explorer.choice import dims_of, distribution_of
from txexplain.explorer.location import check
from txexplain.explorer.state import from_flags
from txexplain.files import write_whole
from txexplain.front.render import ribbons_of
from txexplain.front.scenes import roomy, scene_of, surprisal_of
from txexplain.viz.palette import Palette
from txexplain.viz.screen import paint_screen
from txexplain.viz.svg import svg


@dataclass(frozen=True)
class Picture:
    """A view as an SVG document, which a notebook shows where it is the value of a cell."""

    svg: str
    at: str

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"Picture({self.at}, {len(self.svg):,} bytes of SVG)"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the document. Raises OSError."""
        write_whole(Path(path), self.svg.encode("utf-8"))


def show(
    trace: Trace,
    at: str = "model",
    *,
    model: GPT2 | None = None,
    temperature: float = 1.0,
    size: tuple[int, int] = (120, 36),
    theme: str = "light",
    flow: str = "norms",
) -> Picture:
    """The view of a run at a place, as the app shows it: `show(trace, "L3H5")`.

    at: a place, as the README's table has them. model: the one that made the trace, which a trace that `forward` gave knows itself; of
    one from a file what needs the weights is "not recorded" without it. size: columns and rows. theme: light, dark or contrast.
    Raises LocationError for a place that this run lacks, ValueError for a model that can't have made it.
    """
    made_by = trace.origin if isinstance(trace.origin, GPT2) else model
    if made_by is not None and trace.config is not None and made_by.config != trace.config:
        raise ValueError(f"{made_by.name} has other sizes than the model of this trace")
    result = Result(trace, made_by)
    recorded = None if made_by is not None else trace.model or "a trace"
    state = from_flags(
        model=trace.model or "model", prompt=trace.prompt, ids=trace.ids, at=at, temperature=temperature, flow=flow, trace=recorded
    )
    check(state.location, dims_of(result))
    palette = Palette(theme, "truecolor")
    scene = scene_of(
        state, palette, size, result, distribution=distribution_of(result, state), ribbons=ribbons_of(result, flow),
        surprisal=surprisal_of(result) if roomy(*size) else None,
    )  # fmt: skip
    return Picture(svg(paint_screen(scene)), str(state.location))
