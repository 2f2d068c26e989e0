"""Films: each frame is a function of the scene and its number, and each number in it is one of the run."""

from __future__ import annotations

import re

import numpy as np
import pytest
from rich.color import ColorSystem

from tests.viz.reading import FIGURE, scene_at, shows
from txexplain.engine.derive import Result
from txexplain.engine.sampling import uniform
from txexplain.ui.terminal.wire import Wire
from txexplain.viz.canvas import Canvas
from txexplain.viz.film import LONGEST, RUN, STEPS, Film, film_of
from txexplain.viz.palette import Palette
from txexplain.viz.scene import Scene
from txexplain.viz.views import paint_stage

PLACES = ("model", "L1H1", "L1H1:softmax[3,1]", "output")
STAGE = (80, 34)
WAYS = [Palette(), Palette("light"), Palette(depth="256"), Palette(depth="16"), Palette(depth="none"), Palette(ascii=True, depth="none")]
KIB = 1024


def film_at(result: Result, at: str, size: tuple[int, int] = STAGE, palette: Palette | None = None) -> tuple[Scene, Film]:
    scene = scene_at(result, at, size, palette)
    film = film_of(scene, "keys")
    assert film is not None
    return scene, film


def cells(canvas: Canvas) -> list[bytes]:
    return [np.array(plane).tobytes() for plane in (canvas.chars.astype("U4"), canvas.fg, canvas.bg, canvas.attrs)]


@pytest.mark.parametrize("palette", WAYS, ids=lambda palette: f"{palette.theme}-{palette.depth}{'-ascii' * palette.ascii}")
@pytest.mark.parametrize("at", PLACES)
def test_frames_are_the_same_twice_and_whole_at_every_size_and_depth(tiny_result: Result, at: str, palette: Palette) -> None:
    for size in ((60, 10), (80, 15), STAGE):
        _, film = film_at(tiny_result, at, size, palette)
        assert film.frames * film.seconds <= LONGEST
        for t in (0, film.frames // 2, film.frames - 1):
            canvas, again = film.frame(t), film.frame(t)
            assert cells(canvas) == cells(again)
            assert (canvas.width, canvas.height) == size
            assert canvas.text()[-1].startswith(f" {t + 1} of {film.frames}   keys")
            assert not palette.ascii or "".join(canvas.text()).isascii()


def test_a_place_where_nothing_comes_about_has_no_film(tiny_result: Result) -> None:
    assert film_of(scene_at(tiny_result, "L1", STAGE)) is None


@pytest.mark.parametrize("palette", [Palette(), Palette(depth="none")], ids=["colours", "none"])
def test_the_pass_shows_the_view_from_its_left_and_never_a_part_of_a_number(story_result: Result, palette: Palette) -> None:
    scene, film = film_at(story_result, "model", (76, 34), palette)
    whole = paint_stage(scene).text()
    known = [set(re.findall(r"[\d.]+%?", row)) for row in whole]
    seen = []
    for t in range(film.frames - 1):
        rows = film.frame(t).text()
        for y, row in enumerate(rows[:-3]):
            assert set(re.findall(r"[\d.]+%?", row)) <= known[y], (t, row)
        seen.append(sum(char != " " for row in rows[2:-3] for char in row))
    assert seen == sorted(seen)
    assert seen[0] < seen[-1] / 2
    assert film.frame(film.frames - 1).text()[:-1] == whole[:-1]


def test_the_pass_tells_what_each_block_adds(story_result: Result) -> None:
    scene, film = film_at(story_result, "model", (120, 34))
    each, token = (film.frames - 1) // scene.config.n_layer, scene.token
    for block in range(scene.config.n_layer):
        said = re.search(rf"L{block} adds to .*: attention ({FIGURE}), MLP ({FIGURE}) ", film.frame(block * each).text()[-3])
        assert said is not None
        for figure, name in zip(said.groups(), ("attn_out", "mlp_out"), strict=True):
            assert shows(figure, float(np.linalg.norm(story_result.trace[f"blocks.{block}.{name}"][token])), 1e-2)


@pytest.mark.parametrize("query", [2, -1])
def test_a_row_runs_from_products_to_the_heads_result(story_result: Result, query: int) -> None:
    trace, layer, head = story_result.trace, 1, 1
    query %= trace.n_tokens
    _, film = film_at(story_result, f"L{layer}H{head}:softmax[{query},0]", (100, 40))
    at = f"blocks.{layer}.attn."
    q, k = (trace[at + part][:, head].astype(np.float64) for part in "qk")
    scores, pattern = (trace[at + name][head, query].astype(np.float64) for name in ("attn_scores", "pattern"))
    rows = film.frame(film.frames - 1).text()
    for key in range(trace.n_tokens):
        row = next(row for row in rows if re.match(rf" K{key} ", row))
        figures = re.findall(rf"(?<=  )(?:{FIGURE}|[−-]inf|−∞)%?", row)
        wants = (q[query] @ k[key], scores[key] if key <= query else q[query] @ k[key] * story_result.scale(layer), scores[key])
        for figure, want in zip(figures, (*wants, np.exp(scores[key] - scores.max())), strict=False):
            assert ("inf" in figure or "∞" in figure) if np.isinf(want) else shows(figure, float(want), 1e-2), (row, figure, want)
        assert shows(figures[4].rstrip("%"), 100 * pattern[key], 2e-2) or pattern[key] < 1e-4, (row, pattern[key])
    norm = re.search(rf"z has norm ({FIGURE})", rows[-2])
    assert norm is not None
    assert shows(norm[1], float(np.linalg.norm(trace[at + "z"][query, head])), 1e-2)
    first = film.frame(0).text()
    assert sum(bool(re.match(rf" K\d+ .*  {FIGURE} *$", row)) for row in first) == -(-trace.n_tokens // STEPS), (
        "a part of the keys at first"
    )


@pytest.mark.parametrize("palette", [Palette(), Palette(depth="none")], ids=["colours", "none"])
def test_the_number_of_a_draw_runs_to_where_it_lies(story_result: Result, palette: Palette) -> None:
    scene, film = film_at(story_result, "output", STAGE, palette)
    assert scene.distribution is not None
    drawn = scene.distribution.draw(uniform(scene.state.seed, scene.n_tokens))
    before = -1.0
    for t in range(film.frames):
        canvas = film.frame(t)
        said = re.search(r"([\d.]+) lies from ([\d.]+) to ([\d.]+): (.+?) *$", canvas.text()[-2])
        assert said is not None
        u, low, high = map(float, said.groups()[:3])
        assert before <= u
        assert low - 1e-4 <= u <= high + 1e-4
        before = u
    assert film.frames == RUN + 1
    assert abs(before - drawn.uniform) < 1e-4
    assert said[4] == scene.id_label(drawn.id).strip()
    assert canvas.text()[-2].startswith(" drawn: ")


@pytest.mark.parametrize("at", ["model", "L3H5", "output"])
def test_a_film_costs_the_line_no_more_than_a_zoom_may(story_result: Result, at: str) -> None:
    """At 120×40 all frames together, by the app's own wire."""
    scene, film = film_at(story_result, at, (80, 34))
    wire, sent = Wire(), 0
    wire.resize(120, 40)
    canvas = paint_stage(scene)
    for t in range(-1, film.frames):
        canvas = canvas if t < 0 else film.frame(t)
        rows = []
        for y, line in enumerate(canvas.lines(range(canvas.height))):
            text = "".join(part.style.render(part.text, color_system=ColorSystem.TRUECOLOR) if part.style else part.text for part in line)
            rows.append(f"\x1b[{y + 5};1H{text}")
        size = len(wire.shrink("".join(rows)).encode())
        sent += size if t >= 0 else 0
    assert 0 < sent <= 96 * KIB
