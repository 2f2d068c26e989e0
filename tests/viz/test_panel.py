"""The panel: who is listed, how long the bars are, what the temperature does to the likeliest, and how a token was drawn."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import examples
from tests.viz.reading import shows_percent, to_fraction
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.sampling import distribution, uniform
from txexplain.explorer.history import Moment
from txexplain.explorer.runs import required_run
from txexplain.explorer.state import STOPS, ExplorerState
from txexplain.front.scenes import scene_of
from txexplain.viz.canvas import STRIKE, Canvas
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.viz.views.panel import SWEEP_LEAST, SWEEP_ROWS, axis, paint_panel

WIDTH, HEIGHT = 52, 33
SWEPT = [stop for stop in STOPS if stop >= SWEEP_LEAST]


@pytest.fixture(scope="module")
def result(storyteller: GPT2) -> Result:
    trace = storyteller.forward(storyteller.prompt_ids("Once upon a time there was a"))
    assert trace is not None
    return Result(trace, storyteller)


def panel(result: Result, temperature: float, **sampling: int) -> tuple[Canvas, Scene]:
    dist = distribution(result.trace.last_logits, temperature, **sampling)
    state = ExplorerState().at_temperature(temperature)
    scene = scene_of(state, Palette(depth="none"), (WIDTH, HEIGHT), result, distribution=dist)
    return paint_panel(scene), scene


@pytest.mark.parametrize("temperature", [0.1, 0.8, 1.0, 2.0, 10.0])
def test_shares_by_temperature_are_the_models(result: Result, temperature: float) -> None:
    """A row a token, with its name; a column a temperature, as high as the share is; a mark under the present one."""
    canvas, scene = panel(result, temperature)
    rows = canvas.text()
    top = next(y for y, line in enumerate(rows) if "by temperature" in line)
    logits = result.trace.last_logits.astype(np.float64)
    order = np.lexsort((np.arange(len(logits)), -logits))[:SWEEP_ROWS]
    stops = SWEPT[::2]  # as many as there is room for
    shares = np.array([(e := np.exp((logits - logits.max()) / stop))[order] / e.sum() for stop in stops])  # [stops, rows]
    high = axis(float(shares.max()))
    assert shows_percent(rows[top].split()[-1], high)
    for row, token in enumerate(order.tolist(), start=top + 1):
        assert rows[row][2:17].strip() == scene.id_label(token).strip()
        heights = np.array(["▁▂▃▄▅▆▇█".index(char) + 1 for char in rows[row][17 : 17 + len(stops)]])
        want = np.maximum(np.rint(shares[:, row - top - 1] / high * 8), 1)
        assert np.abs(heights - want).max() <= 1
        assert np.abs(heights - want).mean() < 0.1
    mark = rows[top + SWEEP_ROWS + 1].index("▲")
    assert abs(stops[mark - 17] - temperature) == min(abs(stop - temperature) for stop in stops)


def test_what_the_filter_keeps_shows_what_it_was_before(result: Result) -> None:
    state = ExplorerState(mode="top-k", k=3)
    dist = distribution(result.trace.last_logits, top_k=3)
    palette = Palette()
    canvas = paint_panel(scene_of(state, palette, (WIDTH, HEIGHT), result, distribution=dist))
    calm, ghost = palette.rgb("bar"), palette.mix("background", "bar", 0.65)
    token = int(dist.order[0])
    bar = [int(ink) for ink, char in zip(canvas.fg[5], canvas.chars[5], strict=True) if char == "█"]
    before = sum(ink == ghost for ink in bar)
    assert set(bar) == {calm, ghost}
    assert before / len(bar) == pytest.approx(dist.full_probability[token] / dist.probability[token], abs=1.5 / len(bar))


FIRST_ROW, LABEL, FIGURE = 5, 14, 8  # the wide panel's rows and columns
logit_lists = st.lists(st.floats(-160, 20, width=32), min_size=30, max_size=80)
samplings = st.one_of(
    st.just({}), st.integers(1, 40).map(lambda k: {"top_k": k}), st.floats(0.01, 1).map(lambda p: {"top_p": round(p, 2) or 0.01})
)


@examples(60)
@given(logit_lists, st.sampled_from([stop for stop in STOPS if stop]), samplings, st.booleans())
def test_bars_convert_back_to_the_probabilities(
    result: Result, logits: list[float], temperature: float, sampling: dict, ascii: bool
) -> None:
    dist = distribution(np.array(logits, dtype=np.float32), temperature, **sampling)
    state = ExplorerState().at_temperature(temperature)
    palette = Palette(ascii=ascii)
    canvas = paint_panel(scene_of(state, palette, (WIDTH, HEIGHT), result, distribution=dist))
    figures = FIGURE * (1 if dist.mode == "full" else 2)
    room = WIDTH - 2 - LABEL - 1 - figures - 1
    end = axis(float(max(dist.probability.max(), dist.full_probability.max())))
    half = end / room / (2 if ascii else 16)
    for row, token in enumerate(dist.order[:3].tolist()):
        y = FIRST_ROW + row
        shown = "".join(canvas.chars[y, 17 : 17 + room])
        kept = bool(dist.kept[token])
        p = float(dist.probability[token] if kept else dist.full_probability[token])
        least = to_fraction(shown, room, palette) * room * (1 if ascii else 8)
        assert to_fraction(shown, room, palette) * end == pytest.approx(p, abs=half * 1.0001) or (p > 0 and round(least) == 1)
        assert bool(canvas.attrs[y, 3] & STRIKE) == (not kept)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sampling", [{}, {"top_k": 5}, {"top_p": 0.8}])
@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (78, 6)])
def test_the_drawn_number_stands_where_it_fell(result: Result, seed: int, sampling: dict, size: tuple[int, int]) -> None:
    dist = distribution(result.trace.last_logits, 0.8, **sampling)
    u = uniform(seed, 7)
    drawn = dist.draw(u)
    palette = Palette()
    scene = scene_of(ExplorerState(), palette, size, result, distribution=dist, draw=drawn, drawn_from=dist)
    canvas = paint_panel(scene)
    wide = size[1] > 14
    x, y, cells = (2, size[1] - 3, size[0] - 3) if wide else (1, size[1] - 2, size[0] - 2)
    assert [i - x for i, char in enumerate(canvas.chars[y]) if char == "▲"] == [int(u * cells)]
    own = palette.mix("background", "drawn", 0.5)
    lit = [i - x for i, ground in enumerate(canvas.bg[y].tolist()) if ground == own]
    a, b = round(drawn.low * cells), round(drawn.high * cells)
    assert lit == list(range(a, b))
    text = "\n".join(canvas.text()[-4:])
    assert f"rank {drawn.rank + 1}" in text
    assert f"u {u:.4f}" in text
    top = scene.id_label(int(dist.order[0])).strip()
    assert (f"{top} needs u <" in text) == (drawn.rank > 0)


@pytest.mark.parametrize("size", [(80, 6), (40, 31), (52, 33), (52, 54)])
@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("cursor", [0, 2, 40])
def test_who_is_listed_and_what_all_others_have(result: Result, size: tuple[int, int], temperature: float, cursor: int) -> None:
    """Ten at most, those from 0.1% on, three at least; with the cursor's; and a row for all others together."""
    dist = distribution(result.trace.last_logits, temperature)
    scene = scene_of(ExplorerState(), Palette(), size, result, distribution=dist, candidate=cursor, pane="panel")
    canvas = paint_panel(scene)
    ranks = sorted(hit.target[1] for hit in canvas.hits if isinstance(hit.target, tuple) and hit.target[0] == "candidate")
    assert ranks == list(range(ranks[0], ranks[-1] + 1))
    assert cursor in ranks
    assert (ranks[0] == 0) == (cursor < len(ranks))
    worth = int((dist.probability >= 0.001).sum())
    assert len(ranks) == min(max(worth, 3), 10, 3 if size == (80, 6) else 10)
    others = next(row for row in canvas.text() if " others" in row)
    rest = 1 - dist.probability[dist.order[ranks[0] : ranks[-1] + 1]].sum()
    assert shows_percent(re.findall(r">?[\d.]+(?:e−\d+)?%", others)[0], rest)
    if size[0] != 40:
        assert f"{len(dist.order) - len(ranks):,} others" in others


def test_a_draw_leaves_the_list_and_the_temperatures_their_places(result: Result) -> None:
    dist = distribution(result.trace.last_logits)
    drawn = scene_of(ExplorerState(), Palette(), (40, 31), result, distribution=dist, draw=dist.draw(0.7), drawn_from=dist)
    rows, after = paint_panel(replace(drawn, draw=None)).text(), paint_panel(drawn).text()
    assert rows[:24] == after[:24]
    assert any("by temperature" in row for row in after)
    assert any("drew" in row for row in after[-4:])


@pytest.mark.parametrize("size", [(60, 5), (80, 6), (40, 11), (40, 31)])
@pytest.mark.parametrize("mode", ["greedy", "top-k", "held"])
def test_two_percentages_in_a_row_have_heads(result: Result, size: tuple[int, int], mode: str) -> None:
    """Each head ends where the figures below it do, and nothing else stands in its place."""
    state = ExplorerState() if mode == "held" else ExplorerState().at_temperature(0.0) if mode == "greedy" else ExplorerState(mode="top-k")
    dist = distribution(result.trace.last_logits, **state.sampling)
    held = Moment.of(state, result.trace.run, dist) if mode == "held" else None
    rows = paint_panel(scene_of(state, Palette(), size, result, distribution=dist, held=held)).text()
    first = next(row for row in rows if row.count("%") == 2)
    ends = [i for i, char in enumerate(first) if char == "%"]
    words = ("now", "held") if held else ("kept", "all")
    (head,) = (row for row in rows if f" {words[0]}" in row and f" {words[1]}" in row)
    assert [head.rindex(word) + len(word) - 1 for word in words] == ends
    assert all(f"{word}─" not in head for word in words)
    setting = next(row for row in rows if "T 1.00" in row or "T 0.00" in row)
    assert {"greedy": "greedy", "top-k": "top-k 5", "held": "full"}[mode] in setting


def test_what_is_held_is_told_by_what_was_changed_in_it(storyteller: GPT2) -> None:
    """A run with a head off isn't passed off as the model's own, nor the unchanged one as being at this temperature."""
    plain, off, other = ExplorerState(), ExplorerState().switch("L4H3"), ExplorerState().switch("L5H0")
    results = {state: required_run(state, storyteller) for state in (plain, off, other)}

    def said(shown: ExplorerState, held: ExplorerState | None) -> str:
        result = results[shown]
        dist = distribution(result.trace.last_logits)
        run = None if held is None else results[replace(held, temperature=1.0)]
        beside = None if run is None else Moment.of(held, run.trace.run, distribution(run.trace.last_logits, held.temperature))
        rows = paint_panel(scene_of(shown, Palette(), (40, 31), result, distribution=dist, held=beside)).text()
        return next(row for row in rows if "held:" in row).strip("│ ")

    assert said(off, None) == said(off, plain) == "held: the unchanged run"
    assert said(off, plain.at_temperature(0.5)) == "held: the unchanged run · T 0.50 full"
    assert said(plain, off) == said(other, off) == "held: T 1.00 full · L4H3 at mean"
    assert said(off, off.at_temperature(0.5)) == "held: T 0.50 full"


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("size", [(80, 6), (40, 31)])
def test_the_interval_of_a_draw_has_two_ends_and_its_bar_no_stumps(result: Result, seed: int, size: tuple[int, int]) -> None:
    dist = distribution(result.trace.last_logits, 3.0)  # many thin parts
    drawn = dist.draw(uniform(seed, 7))
    rows = paint_panel(scene_of(ExplorerState(), Palette(), size, result, distribution=dist, draw=drawn, drawn_from=dist)).text()
    u, low, high = re.search(r"u (\S+) in ([\d.]+)…([\d.]+)", "\n".join(rows)).groups()  # type: ignore[union-attr]
    assert float(low) <= float(u) <= float(high)
    assert len({u, low, high}) == 3
    (bar,) = (row for row in rows if "▲" in row and not re.match(r"│? *T ", row))
    assert all(len(word) > 3 for word in re.findall(r"\w+…", bar))
