"""Every view at every size, and the numbers that it shows, read back from its cells and compared with the trace by NumPy alone."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rich.cells import cell_len

from tests.covering import covered, in_turn
from tests.viz.conftest import SENTENCE
from tests.viz.reading import (
    FIGURE,
    STAGES,
    halves,
    hits,
    in_points,
    levels_of,
    line_with,
    scene_at,
    shows,
    shows_percent,
    stage_at,
    strip_of,
    strips,
    unit,
    value,
)
from txexplain.engine.derive import Result
from txexplain.engine.model import GPT2
from txexplain.engine.trace import Trace
from txexplain.explorer.choice import order as order_of
from txexplain.explorer.location import STAGES as HEAD_STAGES
from txexplain.explorer.location import TILES, Location, breadcrumb, parse
from txexplain.explorer.places import KINDS
from txexplain.explorer.places.place import Shown
from txexplain.facts.head import mean_pattern
from txexplain.front.render import ribbons_of
from txexplain.viz.canvas import Canvas, Hit, graphemes
from txexplain.viz.describe import describe
from txexplain.viz.live import fill
from txexplain.viz.numbers import percent
from txexplain.viz.palette import THEMES, Palette, blend
from txexplain.viz.ramps import Ramp
from txexplain.viz.scene import Scene
from txexplain.viz.screen import layout, paint_pane, paint_screen
from txexplain.viz.shapes import Ribbon
from txexplain.viz.views import paint_stage
from txexplain.viz.views.bands import picture, plan
from txexplain.viz.views.chrome import paint_header
from txexplain.viz.views.explain import explain_text
from txexplain.viz.views.head import ramp_of
from txexplain.viz.views.panel import paint_panel

SCREENS = [(80, 24), (120, 36), (200, 60)]
LOOKS = [("truecolor", False), ("256", False), ("16", False), ("none", False), ("none", True)]
PLACES = [
    "model", "model[L1]@2", "model[output]", "embed@3", "L1", "L0[add2]@4", "L1.ln1", "L1.qkv@2", "L1.attn", "L1.attn[2]@3", "L0.proj",
    "L1.ln2", "L1.mlp", "L1.mlp[41]", "heads", "heads[1.2]", "L1H2:qk", "L0H1:scaled[2,5]", "L1H0:masked[5,2]", "L1H1", "L1H2[6,1]",
    "L1H1:softmax[3,6]", "L0H0:values[4,4]", "L1H2[2,5]", "final@1", "output", "embed:nearest", "embed[5]@2", "L1.ln1[3]", "L1.qkv[2,40]",
    "L0.qkv:matrix[1,9]", "L1.proj:matrix", "L1.proj[3]", "L1.mlp:pre[7]", "L1.mlp:added", "residual", "residual[L1.mlp]@2",
    "direct", "direct:order[L1H1]@2", "lens[L1]", "lens:bits@2",
    "effects", "effects:sorted[L1.mlp]", "effects:edges@2", "effects:rows",
    "heads:previous[1.0]", "heads:entropy.10", "heads:self.10@3",
]  # fmt: skip


# Whole screens


def assert_whole(canvas: Canvas) -> None:
    for row in canvas.text():
        assert cell_len(row) == canvas.width
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in row), row
        assert not canvas.palette.ascii or row.isascii(), row
    for hit in canvas.hits:
        inside = 0 <= hit.x <= hit.x + hit.width <= canvas.width and 0 <= hit.y <= hit.y + hit.height <= canvas.height
        assert inside, (hit, canvas.width, canvas.height)


def test_the_places_are_of_every_kind() -> None:
    assert {parse(at).kind for at in PLACES} == set(KINDS)


@pytest.mark.parametrize(("size", "look", "theme", "third"), covered(SCREENS, LOOKS, ["dark", "light"], range(3)), ids=str)
def test_every_place_fills_every_screen(result: Result, size: tuple[int, int], look: tuple[str, bool], theme: str, third: int) -> None:
    for at in PLACES[third::3]:
        scene = scene_at(result, at, size, Palette(theme, *look))
        screen = paint_screen(scene)
        assert (screen.width, screen.height) == size
        assert_whole(screen)
        rect = layout(*size)["stage"]
        stage = paint_pane("stage", scene, rect)
        assert_whole(stage)
        used = (stage.chars != " ") | (stage.bg != scene.palette.rgb("background"))
        assert used[1:].any(axis=1).sum() >= min(6, rect.height - 3), (at, "the stage is empty")
        assert "Not recorded" not in "".join(stage.text())


@pytest.mark.parametrize(
    "size", [(60, 16), (61, 17), (79, 23), (99, 30), (100, 29), (159, 45), (160, 45), (300, 90), (59, 16), (60, 15), (9, 3), (1, 1)]
)
def test_a_screen_of_any_size(story_result: Result, size: tuple[int, int]) -> None:
    for at in PLACES[::3]:
        assert_whole(paint_screen(scene_at(story_result, at, size)))
    text = " ".join(" ".join(paint_screen(scene_at(story_result, "model", size)).text()).split())
    assert ("60×16" in text) == ((size[0] < 60 or size[1] < 16) and size > (1, 1))


@pytest.mark.parametrize("panes", [(80, 24), (120, 36), (100, 30), (160, 50), (60, 16)])
def test_panes_tile_the_screen(panes: tuple[int, int]) -> None:
    covered = np.zeros(panes[::-1], dtype=int)
    for rect in layout(*panes).values():
        covered[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width] += 1
    assert (covered == 1).all()


@pytest.mark.parametrize(("size", "look"), in_turn(SCREENS, [LOOKS[0], LOOKS[2], LOOKS[4]]), ids=str)
def test_nothing_is_written_over_a_word_or_past_the_edge(
    result: Result, size: tuple[int, int], look: tuple[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words may stand on pictures, never on words; and what doesn't fit is left out or ends in an ellipsis."""
    faults: list[str] = []
    plain = Canvas.put

    def put(canvas: Canvas, x: int, y: int, text: str, *rest: object, **more: object) -> int:
        before = canvas.chars[y].copy() if 0 <= y < canvas.height else None
        written = plain(canvas, x, y, text, *rest, **more)
        if not text.strip():
            return written
        if before is None or x < 0 or (x + written > canvas.width and text.strip(canvas.palette.glyphs.horizontal)):
            faults.append(f"{at}: {text!r} at {x},{y} sticks out of {canvas.width}×{canvas.height}")
            return written
        for i in range(max(x, 0), min(x + written, canvas.width)):
            if before[i].isalnum() and before[i] != canvas.palette.glyphs.masked and canvas.chars[y, i] not in (" ", before[i]):
                faults.append(f"{at}: {text!r} at {x},{y} covers {''.join(before[x : x + written])!r}")
                break
        return written

    monkeypatch.setattr(Canvas, "put", put)
    for at in PLACES:
        paint_screen(scene_at(result, at, size, Palette("dark", *look)))
    assert not faults, "\n".join(dict.fromkeys(faults))


ZOOM = [
    "model",
    "model@1",
    "L1",
    "L1@2",
    "L0[add2]@4",
    "L1.attn",
    "L1.attn[2]@3",
    "L1H2:qk",
    "L1H0:masked[5,2]",
    "L1H1",
    "L1H2:values[6,1]",
]


@pytest.mark.parametrize(("size", "look"), in_turn(STAGES, [LOOKS[0], LOOKS[2], LOOKS[4]]))
def test_no_word_is_cut_where_there_is_room_for_it(
    wordy: Result, size: str, look: tuple[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[tuple[int, int, int, int, str]] = []
    plain = Canvas.put

    def put(canvas: Canvas, x: int, y: int, text: str, *rest: object, width: int | None = None, **more: object) -> int:
        size_ = sum(cells for _, cells in graphemes(text))
        if width is not None and size_ > width:
            cut.append((x, y, width, size_, text))
        return plain(canvas, x, y, text, *rest, width=width, **more)

    monkeypatch.setattr(Canvas, "put", put)
    for at in ZOOM:
        cut.clear()
        canvas = stage_at(wordy, at, STAGES[size], Palette("dark", *look))
        ground = canvas.palette.rgb("background")
        free = (canvas.chars == " ") & (canvas.bg == ground)
        for x, y, width, need, text in cut:
            more = need - width
            after, before = free[y, x + width : x + width + more + 2], free[y, max(0, x - more - 1) : x]
            assert not (len(after) == more + 2 and after.all()), (at, text)
            assert not (len(before) == more + 1 and before.all()), (at, text)


# One head


def head_numbers(result: Result, layer: int, head: int) -> dict[str, np.ndarray]:
    """The head's grid at each stage, in float64."""
    trace = result.trace
    q, k, v = (trace[f"blocks.{layer}.attn.{name}"][:, head].astype(np.float64) for name in "qkv")
    raw = q @ k.T
    scaled = raw / np.sqrt(q.shape[1])
    masked = np.where(np.tri(len(q)) > 0, scaled, -np.inf)
    share = np.exp(masked - masked.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    return {"qk": raw, "scaled": scaled, "masked": masked, "softmax": share, "values": share * np.linalg.norm(v, axis=1)}


def chosen(result: Result, seed: int, count: int = 5) -> list[tuple[int, int, int, int]]:
    """(block, head, query, key) at random."""
    rng, config, n = np.random.default_rng(seed), result.config, len(result.trace.ids)
    return [tuple(int(rng.integers(size)) for size in (config.n_layer, config.n_head, n, n)) for _ in range(count)]


@pytest.mark.parametrize("stage", HEAD_STAGES)
@pytest.mark.parametrize("size", STAGES)
def test_the_readout_is_the_number_under_the_cursor(result: Result, stage: str, size: str) -> None:
    for layer, head, query, key in chosen(result, 1, 8):
        if key > query and stage not in ("qk", "scaled"):
            query, key = key, query
        scene = scene_at(result, f"L{layer}H{head}:{stage}[{query},{key}]", STAGES[size])
        canvas = stage_at(result, f"L{layer}H{head}:{stage}[{query},{key}]", STAGES[size])
        row = line_with(canvas, rf"Q{query} (.+) → K{key} (.+?) [^ ].* = ({FIGURE})")
        assert row[1].rstrip("… ") in scene.label(query)
        numbers = head_numbers(result, layer, head)[stage]
        figure = value(row[3])
        assert figure == pytest.approx(numbers[query, key], rel=2e-5, abs=1e-5 * np.abs(numbers[np.isfinite(numbers)]).max())
        if stage in ("masked", "softmax"):  # what was recorded is shown to the last figure
            name = {"masked": "attn_scores", "softmax": "pattern"}[stage]
            assert np.float32(figure) == result.trace[f"blocks.{layer}.attn.{name}"][head, query, key]
        foot = line_with(canvas, rf"row {query}: sum ({FIGURE}), strongest key (\d+) ")
        part = numbers[query, : query + 1]
        assert shows(foot[1], part.sum(), 1e-4)
        assert int(foot[2]) == part.argmax()


@pytest.mark.parametrize("stage", HEAD_STAGES[2:])
def test_beyond_the_mask_is_no_number(result: Result, stage: str) -> None:
    canvas = stage_at(result, f"L1H2:{stage}[2,4]", STAGES["narrow"])
    assert "masked: the key comes after the query" in line_with(canvas, r"Q2 .*")[0]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("stage", HEAD_STAGES)
@pytest.mark.parametrize("size", STAGES)
def test_a_cell_has_the_colour_of_its_number(result: Result, stage: str, size: str, theme: str) -> None:
    rng = np.random.default_rng(2)
    for layer, head, query, key in chosen(result, 3, 3):
        scene = scene_at(result, f"L{layer}H{head}:{stage}[{query},{key}]", STAGES[size], Palette(theme))
        canvas = stage_at(result, f"L{layer}H{head}:{stage}[{query},{key}]", STAGES[size], Palette(theme))
        numbers = head_numbers(result, layer, head)
        cells = cells_of(canvas)
        assert {hit.target.stage for hit in cells} >= {stage}
        for hit in (cells[i] for i in rng.choice(len(cells), min(12, len(cells)), replace=False)):
            at = hit.target
            values = numbers[at.stage]
            ground = canvas.bg[hit.y : hit.y + hit.height, hit.x : hit.x + hit.width]
            if at.key > at.query and at.stage not in ("qk", "scaled"):
                assert "·" in canvas.text()[hit.y]
                assert (ground == scene.palette.rgb("background")).all()
                continue
            ramp = ramp_of(scene, at.stage)
            if at.stage in ("softmax", "values"):
                low, high = 0.0, values.max()
            else:  # around the mean of what the query may look at
                seen = values[at.query, : at.query + 1]
                values = values - seen.mean()
                high = np.abs(seen - seen.mean()).max() or 1.0
                low = -high
                values = np.clip(values, low, high)
            level = levels_of(ramp.kind, ramp.levels, values[at.query, at.key], low, high)
            near = {ramp.colour(min(max(int(level) + step, 0), ramp.levels - 1)) for step in (0, *border(ramp, values, at, low, high))}
            # What the mask will hide is quiet, and so are scores of other rows than the cursor's.
            if at.key > at.query or (at.query != query and at.stage not in ("softmax", "values")):
                near = {blend(colour, scene.palette.rgb("background"), 0.5) for colour in near}
            assert set(ground.ravel().tolist()) <= near, (at, level)


def border(ramp: Ramp, values: np.ndarray, at: Location, low: float, high: float) -> tuple[int, ...]:
    """The level beside, where a number lies so near the border that float32 may round it there."""
    reach = max(abs(low), abs(high))
    start, width = (-reach, 2 * reach) if ramp.kind == "diverging" else (low, high - low)
    part = (values[at.query, at.key] - start) / width * (ramp.levels - 1)
    return (-1, 1) if abs(part - np.floor(part) - 0.5) < 1e-4 else ()


def places(canvas: Canvas) -> list[Hit]:
    """All that leads to a place in a head: names of stages in the topmost row, labels of queries at the left, cells."""
    return list(hits(canvas, lambda at: isinstance(at, Location) and at.kind == "head"))


def cells_of(canvas: Canvas) -> list[Hit]:
    """The cells of the grids in view."""
    shown = places(canvas)
    top, left = min(hit.y for hit in shown), min(hit.x for hit in shown)
    return [hit for hit in shown if hit.y > top and hit.x > left]


@pytest.mark.parametrize("stage", ["qk", "softmax", "values"])
def test_numbers_written_in_cells_are_the_cells_own(tiny_result: Result, stage: str) -> None:
    read = 0
    for layer, head, query, key in chosen(tiny_result, 4, 3):
        canvas = stage_at(tiny_result, f"L{layer}H{head}:{stage}[{query},{key}]", STAGES["large"])
        numbers = head_numbers(tiny_result, layer, head)
        for hit in cells_of(canvas):
            at, middle = hit.target, hit.y + (hit.height - 1) // 2
            text = canvas.text()[middle][hit.x : hit.x + hit.width].strip(" []")
            if hit.width >= 5 and re.fullmatch(r"[−-]?\d*\.?\d+", text) and (at.query, at.key) != (query, key):
                expected = numbers[at.stage][at.query, at.key]
                assert abs(value(text) - expected) <= 0.501 * max(unit(text), 10.0 ** np.floor(np.log10(abs(expected)))), (at, text)
                read += 1
    assert read >= 20


def test_labels_stand_at_their_rows_and_columns(story_result: Result) -> None:
    for size, look in ((STAGES["large"], Palette()), (STAGES["narrow"], Palette(depth="none"))):
        scene = scene_at(story_result, "L2H3:softmax[9,4]", size, look)
        canvas = stage_at(story_result, "L2H3:softmax[9,4]", size, look)
        cells, shown = cells_of(canvas), places(canvas)
        top, left = min(hit.y for hit in cells), min(hit.x for hit in shown)
        rows = [hit for hit in shown if hit.x == left and hit.y >= top]
        assert len({hit.target.query for hit in rows}) == len({hit.y for hit in rows}) == len(rows) >= 7
        for hit in rows:
            label = "".join(canvas.chars[hit.y + (hit.height - 1) // 2, hit.x : hit.x + hit.width]).split()
            word = scene.label(hit.target.query).split()
            assert label in (word, [*word, str(hit.target.query)])
            assert {cell.y for cell in cells if cell.target.query == hit.target.query} == {hit.y}


@pytest.mark.parametrize(
    ("n", "end", "size", "ascii"),
    covered([1, 3, 7, 12, 20, 40, 110], ["", " her responsibilities", " unfortunately interesting"], [*STAGES, "lone"], [False, True]),
)
def test_keys_stand_above_their_columns(storyteller: GPT2, n: int, end: str, size: str, ascii: bool) -> None:
    """Whole, however they are written: in a row, in two rows by turns, downwards, or as positions with the cursor's token in full."""
    ids = storyteller.tokenizer.encode((SENTENCE + " Encyclopaedically, said she. ") * 5)[:n] + storyteller.tokenizer.encode(end)
    n = len(ids)
    trace = storyteller.forward(ids)
    assert trace is not None
    result, palette = Result(trace, storyteller), Palette(depth="none", ascii=ascii)
    for key in {0, n // 3, n - 1}:
        at, stage = f"L1H1:qk[{n - 1},{key}]", (60, 9) if size == "lone" else STAGES[size]
        scene, canvas = scene_at(result, at, stage, palette), stage_at(result, at, stage, palette)
        cells = cells_of(canvas)
        top = min(hit.y for hit in cells)
        shown = {hit.target.key: hit for hit in cells if hit.y == top and hit.target.stage == "qk"}
        assert key in shown
        words = {j: "".join(c for c, _ in graphemes(scene.label(j).strip() or scene.label(j))) for j in shown}
        squeezed = {j: word.replace(" ", "") for j, word in words.items()}
        grid = slice(min(hit.x for hit in cells), max(hit.x + hit.width for hit in cells))
        axis = canvas.chars[2:top, grid]
        assert palette.glyphs.ellipsis not in axis or any(palette.glyphs.ellipsis in word for word in words.values())
        numbers = written = 0
        for j, hit in shown.items():
            along = "".join(canvas.chars[top - 1, hit.x : hit.x + hit.width]).strip() == words[j]
            rows = [f"{''.join(row)} " for row in canvas.chars[2:top, max(0, hit.x - hit.width) :]]
            turns = any(0 <= row.find(f" {words[j]} ") < hit.width for row in rows)
            letters = canvas.chars[2:top, hit.x + (hit.width - 1) // 2 : hit.x + hit.width]
            down = "".join("".join(row) for row in letters).replace(" ", "")
            number = "".join(canvas.chars[2, hit.x :]).split()[:1] == [str(j)] or down == str(j)
            cursor = j == key and f"{j} {words[j]}" in "".join(canvas.chars[2, grid.start :])
            numbers += number
            written += along or turns or down == squeezed[j]
            assert along or turns or down == squeezed[j] or number or cursor or (top == 3 and j != key), (at, j, words[j])
        overlong = sum(len(word) > 2 * (top - 2) for word in words.values())  # no way to write them: their positions
        assert written >= 0.9 * (len(shown) - overlong) or (top == 3 and numbers >= len(shown) // 5), (at, written, numbers)


@pytest.mark.parametrize("size", ["wide", "large"])
def test_the_cursors_row_in_numbers(result: Result, size: str) -> None:
    """Below the grids: each key, or those with the largest shares, at every stage."""
    read = 0
    for layer, head, query, key in chosen(result, 12, 4):
        query, key = max(query, key), min(query, key)
        scene = scene_at(result, f"L{layer}H{head}:softmax[{query},{key}]", STAGES[size])
        text = paint_stage(scene).text()
        start = next((y for y, row in enumerate(text) if f"row of Q{query} " in row), None)
        if start is None:
            assert len(result.trace.ids) > 12
            continue
        numbers, keys = head_numbers(result, layer, head), []
        for line in text[start + 1 : -2]:
            match = re.match(rf" K(\d+) +(.*?) +({FIGURE}) +({FIGURE}) +({FIGURE})\b(.*) ({FIGURE}) *$", line)
            if match:
                at = int(match[1])
                assert match[2] == scene.label(at).strip()
                for figure, stage in zip(match.groups()[2:5], ("qk", "scaled", "softmax"), strict=True):
                    assert shows(figure, numbers[stage][query, at], 1e-3), (stage, line)
                assert shows(match[7], numbers["values"][query, at], 1e-3), line
                keys.append(at)
        largest = set(np.argsort(-numbers["softmax"][query, : query + 1], kind="stable")[: len(keys)].tolist())
        assert keys == sorted(keys)
        assert set(keys) == largest
        assert len(keys) == query + 1 or any(f"the {len(keys)} largest of {query + 1}" in row for row in text)
        read += len(keys)
    assert read >= 10 or len(result.trace.ids) > 12


@pytest.mark.parametrize("at", ["model@3", "L1@4"])
def test_tokens_stand_at_their_rows(result: Result, at: str) -> None:
    for size in ("wide", "large"):
        scene, canvas = scene_at(result, at, STAGES[size]), stage_at(result, at, STAGES[size])
        tokens = list(hits(canvas, lambda at: isinstance(at, tuple) and at[0] == "token"))
        assert len(tokens) >= 6
        for hit in tokens:
            text = "".join(canvas.chars[hit.y, hit.x : hit.x + hit.width]).strip()
            shown = scene.label(hit.target[1]).strip()
            assert text == shown or (text.endswith("…") and shown.startswith(text[:-1]))


# Heads of a block, and all heads


def pooled(pattern: np.ndarray, factor: int) -> np.ndarray:
    padded = np.pad(pattern, (0, -len(pattern) % factor))
    m = len(padded) // factor
    return padded.reshape(m, factor, m, factor).max(axis=(1, 3))


def is_drawn(image: np.ndarray, pattern: np.ndarray, palette: Palette) -> bool:
    """Whether a picture holds a pattern, its cells of any size, pooled as far as need be, but to no fewer than 4 × 4."""
    whole = float(pattern.max())
    for factor in range(1, -(-len(pattern) // 4) + 1):
        small = pooled(pattern, factor)
        ramp = Ramp("sequential", "attention", palette)
        colours = np.array(ramp.colours)[levels_of("sequential", ramp.levels, small, 0.0, whole)]
        want = np.where(np.tri(len(small)) > 0, colours, palette.rgb("background"))
        for down in range(1, 12):
            for across in range(1, 12):
                block = np.repeat(np.repeat(want, down, axis=0), across, axis=1)
                if block.shape[0] > image.shape[0] or block.shape[1] > image.shape[1]:
                    break
                views = np.lib.stride_tricks.sliding_window_view(image, block.shape)
                if (views == block).all(axis=(2, 3)).any():
                    return True
    return False


@pytest.mark.parametrize("size", STAGES)
def test_thumbnails_are_the_heads_own_patterns(result: Result, size: str) -> None:
    rng, palette = np.random.default_rng(5), Palette()
    n, named = len(result.trace.ids), [0]
    for layer in rng.choice(result.config.n_layer, 2, replace=False).tolist():
        token = int(rng.integers(1, n))
        scene = scene_at(result, f"L{layer}.attn@{token}", STAGES[size])
        canvas = stage_at(result, f"L{layer}.attn@{token}", STAGES[size])
        pattern = result.trace[f"blocks.{layer}.attn.pattern"].astype(np.float64)
        shown = list(hits(canvas, lambda at: isinstance(at, Location) and at.kind == "attn"))
        assert {hit.target.head for hit in shown} == set(range(result.config.n_head)) or size == "narrow"
        for hit in shown:
            head, name = hit.target.head, canvas.text()[hit.y][hit.x : hit.x + hit.width]
            assert name.startswith(f"L{layer}H{head}")
            strongest = int(pattern[head, token].argmax())
            note = re.search(rf"(\S+)\s+({FIGURE})\s*$", name)
            assert note, name
            assert shows(note[2], pattern[head, token, strongest])
            assert note[1].rstrip("…") in scene.label(strongest)
            image = halves(canvas, hit.x, hit.y + 1, hit.width, hit.height - 1)
            assert is_drawn(image, pattern[head], palette), (size, layer, head)
            below = canvas.text()[hit.y + 1 : hit.y + hit.height]
            lines = [match for row in below if (match := re.match(rf"(\S+).* ({FIGURE}) *$", row[hit.x : hit.x + hit.width]))]
            order = np.argsort(-pattern[head, token, : token + 1], kind="stable")
            for key, match in zip(order.tolist(), lines, strict=False):
                assert match[1] == scene.label(key).strip()
                assert shows(match[2], pattern[head, token, key])
            named.append(len(lines))
    assert max(named) >= 2 or size == "narrow"


# One block

TENSORS = {
    "resid_pre": "resid_pre", "ln1": "ln1.normalized", "proj": "attn_out", "add1": "resid_mid", "ln2": "ln2.normalized", "fc": "mlp.pre",
    "act": "mlp.post", "out": "mlp_out", "add2": "resid_post",
}  # fmt: skip


def norm(result: Result, name: str, token: int) -> float:
    return float(np.sqrt((result.trace[name][token].astype(np.float64) ** 2).sum()))


@pytest.mark.parametrize("size", STAGES)
def test_what_attention_and_mlp_add(result: Result, size: str) -> None:
    for layer, _, token, _ in chosen(result, 7, 5):
        canvas = stage_at(result, f"L{layer}@{token}", STAGES[size])
        row = line_with(canvas, rf"attention ({FIGURE}), MLP ({FIGURE})")
        assert shows(row[1], norm(result, f"blocks.{layer}.attn_out", token))
        assert shows(row[2], norm(result, f"blocks.{layer}.mlp_out", token))


@pytest.mark.parametrize("size", [(72, 31), (80, 31), (108, 40), (148, 54)])
def test_a_block_says_which_tokens_its_picture_shows(result: Result, size: tuple[int, int]) -> None:
    """Where it doesn't show all: from the first that has a label to the last."""
    n = result.trace.n_tokens
    for token in (0, 3, n - 1):
        canvas = stage_at(result, f"L1@{token}", size)
        title = canvas.text()[0]
        labelled = [hit.target[1] for hit in canvas.hits if isinstance(hit.target, tuple)]
        said = re.search(r"tokens (\d+)-(\d+) of (\d+)", title)
        shown = (min(labelled), max(labelled), n)
        assert (said is None) == (shown[:2] == (0, n - 1)), title
        assert said is None or tuple(map(int, said.groups())) == shown, title


@pytest.mark.parametrize("size", [(72, 31), (80, 31), (148, 54)])
def test_a_block_draws_a_line_for_each_value_that_its_token_attends_to(result: Result, size: tuple[int, int]) -> None:
    """As thick as the share; and what goes to tokens that there is no room for is said."""
    n = result.trace.n_tokens
    for token in (0, 3, n - 1):
        scene = scene_at(result, f"L1@{token}", size)
        p, shares = plan(scene, size[1] - 7), result.trace["blocks.1.attn.pattern"].astype(np.float64).mean(axis=0)[token]
        layers = picture(scene, p, mean_pattern(result, 1), *size).layers
        lines = [shape for layer in layers if layer.role == "value" for shape in layer.shapes if isinstance(shape, Ribbon)]
        own, *values = lines  # the token's own value is made of its stream
        shown = [j for j in p.tokens if shares[j] >= 0.01]
        assert len(values) == len(shown)
        assert [line.y0 for line in values] == [p.middles(2)[p.tokens.index(j)] for j in shown]
        assert {line.y1 for line in values} == {own.y0} == {p.rows[p.tokens.index(token)] + 0.5}
        order = np.argsort([shares[j] for j in shown])
        assert (np.diff(np.array([line.thickness for line in values])[order]) >= 0).all()
        hidden = 1 - shares[list(p.tokens)].sum()
        said = re.search(r"(<?\d+)% of its attention is out of view", "".join(stage_at(result, f"L1@{token}", size).text()))
        assert bool(said) == (hidden > 1e-6)
        assert said is None or said[1] == "<1" or int(said[1]) == round(100 * hidden)


@pytest.mark.parametrize("size", ["wide", "large"])
def test_the_selected_step_of_a_block_in_numbers(result: Result, size: str) -> None:
    for tile, name in TENSORS.items():
        layer, _, token, _ = chosen(result, TILES.index(tile), 1)[0]
        vector = result.trace[f"blocks.{layer}.{name}"][token].astype(np.float64)
        canvas = stage_at(result, f"L{layer}[{tile}]@{token}", STAGES[size])
        row = line_with(canvas, rf"({FIGURE}) to ({FIGURE}), norm ({FIGURE})")
        for text, expected in zip(row.groups(), (vector.min(), vector.max(), np.linalg.norm(vector)), strict=True):
            assert shows(text, expected), (tile, row[0])


def test_every_steps_norm_without_blocks(result: Result) -> None:
    layer, _, token, _ = chosen(result, 8, 1)[0]
    canvas = stage_at(result, f"L{layer}@{token}", STAGES["large"], Palette(depth="none", ascii=True))
    for tile, name in TENSORS.items():
        row = line_with(canvas, rf"\b{tile} .*norm ({FIGURE})")
        assert shows(row[1], norm(result, f"blocks.{layer}.{name}", token)), tile


@pytest.mark.parametrize("size", ["wide", "large"])
def test_strips_and_grid_of_a_block_have_their_numbers_colours(tiny_result: Result, size: str) -> None:
    trace, palette = tiny_result.trace, Palette()
    for layer, tile, token in ((0, "proj", 2), (1, "add2", 4), (1, "out", 6), (0, "ln1", 5), (1, "resid_pre", 1)):
        canvas = stage_at(tiny_result, f"L{layer}[{tile}]@{token}", STAGES[size])
        vector = trace[f"blocks.{layer}.{TENSORS[tile]}"][token]
        role = "mlp" if tile == "out" else "attention" if tile == "proj" else "residual"
        ramp = Ramp("diverging", role, palette)
        assert strips(canvas, strip_of(ramp, vector, vector)), (size, tile)
        mean = trace[f"blocks.{layer}.attn.pattern"].mean(axis=0)
        ramp = Ramp("sequential", "attention", palette)
        for query in (3, 5, 6):
            row = [ramp.colour(i) for i in levels_of("sequential", ramp.levels, mean[query, : query + 1], 0.0, mean.max())]
            assert strips(canvas, row), (size, query)


def test_q_k_and_v_in_a_block_are_the_tokens_own(tiny_result: Result) -> None:
    for size, layer, token in (("wide", 1, 5), ("large", 0, 2)):
        canvas = stage_at(tiny_result, f"L{layer}[qkv]@{token}", STAGES[size])
        for letter, role in (("q", "query"), ("k", "key"), ("v", "value")):
            vector = tiny_result.trace[f"blocks.{layer}.attn.{letter}"][token].ravel()
            ramp, found = Ramp("diverging", role, Palette()), []
            for cells in range(12, len(vector) + 1):  # each shows the number of greatest size among those that it stands for
                parts = np.split(vector, np.arange(1, cells) * len(vector) // cells)
                largest = [part[np.abs(part).argmax()] for part in parts]
                found += strips(canvas, strip_of(ramp, np.array(largest), vector))
            assert found, (size, letter)


@pytest.mark.parametrize("size", STAGES)
def test_each_heads_row_in_a_block_is_the_tokens_own(tiny_result: Result, size: str) -> None:
    for layer, token in ((0, 4), (1, 6)):
        canvas = stage_at(tiny_result, f"L{layer}@{token}", STAGES[size])
        rows = tiny_result.trace[f"blocks.{layer}.attn.pattern"][:, token, : token + 1].astype(np.float64)
        ramp = Ramp("sequential", "attention", Palette())
        colours = [[ramp.colour(i) for i in levels_of("sequential", ramp.levels, row, 0.0, 1.0)] for row in rows]
        found = [strips(canvas, row) for row in colours]
        in_order = [(x, y) for x, y in found[0] if any(x < x1 < x2 and y == y1 == y2 for x1, y1 in found[1] for x2, y2 in found[2])]
        assert in_order, (layer, token)


@pytest.mark.parametrize("size", ["wide", "large"])
def test_the_pictures_strips_are_the_selected_tokens_own(result: Result, size: str) -> None:
    """Each cell is as strong as the largest of the numbers that it stands for, by the largest of all tokens."""
    names = {
        "resid_pre": "residual", "attn_out": "attention", "resid_mid": "residual", "mlp.post": "mlp", "resid_post": "residual",
        "attn.q": "query", "attn.k": "key", "attn.v": "value",
    }  # fmt: skip
    for layer, token in ((0, 5), (1, 2), (1, 4)):
        canvas = stage_at(result, f"L{layer}@{token}", STAGES[size])
        for name, role in names.items():
            values = np.abs(result.trace[f"blocks.{layer}.{name}"].astype(np.float64)).reshape(len(result.trace.ids), -1)
            ramp, found = Ramp("sequential", role, Palette(), coarse=True), False
            image = halves(canvas, 0, 0, canvas.width, canvas.height)  # a token's may be half a row high
            for cells in (2, 3, 4, 6):
                edges = np.arange(cells + 1) * values.shape[1] // cells
                largest = np.maximum.reduceat(values[token], edges[:-1])
                levels = np.maximum(levels_of("sequential", ramp.levels, largest, 0.0, values.max()), 1)
                want = [ramp.colour(i) for i in levels]
                found |= bool((np.lib.stride_tricks.sliding_window_view(image, cells, axis=1) == want).all(axis=2).any())
            assert found, (layer, token, name)


# The model


def slices(canvas: Canvas, n_layer: int) -> dict[int, slice]:
    """The columns of cells of each block in view."""
    columns = [hit for hit in canvas.hits if isinstance(hit.target, Location) and hit.target.kind == "model"]
    found = {}
    for hit in columns:
        select = hit.target.select or "L0"
        if select.startswith("L"):
            found[int(select[1:])] = slice(hit.x, hit.x + hit.width)
    return found


@pytest.mark.parametrize("look", [LOOKS[0], LOOKS[2], LOOKS[4]], ids=lambda look: look[0] + "-ascii" * look[1])
@pytest.mark.parametrize("size", STAGES)
def test_what_each_block_adds_in_the_model_view(result: Result, size: str, look: tuple[str, bool]) -> None:
    for token in (1, 4, 6):
        canvas = stage_at(result, f"model@{token}", STAGES[size], Palette("dark", *look))
        text = canvas.text()
        rows = [row for row in text[2:] if re.match(r" [AM] ", row)]
        assert len(rows) == 2
        blocks = slices(canvas, result.config.n_layer)
        assert set(blocks) == set(range(result.config.n_layer))
        for row, what in zip(rows, ("attn_out", "mlp_out"), strict=True):
            for block, columns in blocks.items():
                figures = re.findall(FIGURE, row[columns])
                assert len(figures) == 1, (block, what, figures)
                assert shows(figures[0], norm(result, f"blocks.{block}.{what}", token)), (block, what)


@pytest.mark.parametrize("size", STAGES)
def test_what_comes_out_of_the_model(result: Result, size: str) -> None:
    """The likeliest next token, at the end of the last token's row."""
    for at in ("model", "model@2"):
        scene = scene_at(result, at, STAGES[size], temperature=0.3)
        canvas, order = paint_stage(scene), probabilities(result, 1.0, None)[0]
        out = next(hit for hit in canvas.hits if isinstance(hit.target, Location) and hit.target.select == "output")
        words = {y: word for y in range(2, out.y + out.height) if (word := "".join(canvas.chars[y, out.x :]).strip())}
        assert list(words.values()) == [scene.id_label(int(order[0])).strip()]
        (y,) = words
        assert canvas.chars[y, out.x - 2] == "→"
        last = [hit.y for hit in canvas.hits if hit.target == ("token", result.trace.n_tokens - 1)]
        assert [y] == last or (not last and "▼" in canvas.text()[y])


@pytest.mark.parametrize("size", STAGES)
def test_the_ribbons_drawn_are_the_widest_and_what_the_others_carry_is_said(result: Result, size: str) -> None:
    """Counted from the shares themselves; those from tokens above the view count as one for each token that they enter."""
    n = result.trace.n_tokens
    for token in (n - 1, n // 2):
        canvas = stage_at(result, f"model@{token}", STAGES[size])
        inside = [hit.target[1] for hit in canvas.hits if isinstance(hit.target, tuple) and hit.target[0] == "token"]
        held, moves, every = np.eye(n)[token], [], 0.0
        for layer in reversed(range(result.config.n_layer)):
            shares = norm_shares(result, layer) * held[:, None]
            held = shares.sum(axis=0)
            np.fill_diagonal(shares, 0.0)
            every += shares.sum()
            for target in inside:
                moves += [shares[target, source] for source in inside]
                moves.append(sum(share for share in shares[target, : min(inside)] if share >= 0.002))
        drawn = sorted((move for move in moves if move >= 0.012), reverse=True)[:24]
        said = line_with(canvas, rf"(?:the )?(\d+) widest.*? others(?: carry|:)? ({FIGURE}%)")
        assert int(said[1]) == len(drawn)
        assert shows_percent(said[2], 1 - sum(drawn) / every) or abs(value(said[2]) - 100 * (1 - sum(drawn) / every)) < 0.05


def test_what_moved_most_is_told_where_rows_are_to_spare(story_result: Result) -> None:
    canvas = stage_at(story_result, "model@6", (80, 40))
    rows = [match for row in canvas.text() if (match := re.match(r" +L(\d) +(\S+) \((\d+)\) → (\S+) \((\d+)\) +([\d.]+)%", row))]
    assert len(rows) >= 3
    shares, scene = story_result.flow("norms"), scene_at(story_result, "model@6", (80, 40))
    held = {story_result.config.n_layer: np.eye(story_result.trace.n_tokens)[6]}
    for layer in reversed(range(story_result.config.n_layer)):
        held[layer] = held[layer + 1] @ shares[layer]
    for row in rows:
        layer, source, target = int(row[1]), int(row[3]), int(row[5])
        assert [row[2], row[4]] == [scene.label(source).strip(), scene.label(target).strip()]
        assert shows(row[6], 100 * shares[layer][target, source] * held[layer + 1][target], 1e-4)


@pytest.mark.parametrize("size", ["wide", "large"])
def test_shares_from_a_twentieth_on_are_numbers_where_columns_begin(tiny_result: Result, size: str) -> None:
    config, n, read = tiny_result.config, tiny_result.trace.n_tokens, 0
    canvas, held = stage_at(tiny_result, "model@6", STAGES[size]), np.eye(n)[6]
    rows = {hit.target[1]: hit.y for hit in canvas.hits if isinstance(hit.target, tuple) and hit.target[0] == "token"}
    blocks = slices(canvas, config.n_layer)
    for layer in reversed(range(config.n_layer)):
        held = held @ norm_shares(tiny_result, layer)
        for i, y in rows.items():
            match = re.match(r"(\d+)%", canvas.text()[y][blocks[layer]])
            assert bool(match) == (held[i] >= 0.05), (layer, i, held[i])
            if match:
                read += 1
                assert int(match[1]) == round(100 * held[i])
    assert read >= 6


def norm_shares(result: Result, layer: int) -> np.ndarray:
    """Kobayashi's shares, written down from their definition. Shapes: -> [T, T]."""
    trace, model = result.trace, result.weights()
    n, n_head, dh = trace[f"blocks.{layer}.attn.v"].shape
    out = model.blocks[layer]["attn.c_proj.weight"].astype(np.float64).reshape(n_head, dh, -1)
    v, pattern = trace[f"blocks.{layer}.attn.v"].astype(np.float64), trace[f"blocks.{layer}.attn.pattern"].astype(np.float64)
    sizes = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            moved = sum(pattern[h, i, j] * v[j, h] @ out[h] for h in range(n_head))
            sizes[i, j] = np.linalg.norm(moved + (trace[f"blocks.{layer}.resid_pre"][i] if i == j else 0))
    return sizes / sizes.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("flow", ["norms", "rollout"])
def test_the_shares_that_reach_the_selected_token(tiny_result: Result, flow: str) -> None:
    config, trace = tiny_result.config, tiny_result.trace
    n = len(trace.ids)
    for token in (6, 3, 4):
        canvas = stage_at(tiny_result, f"model@{token}", STAGES["wide"], Palette("dark", "16"), flow=flow)
        held = {config.n_layer: np.eye(n)[token]}
        for layer in reversed(range(config.n_layer)):
            mean = trace[f"blocks.{layer}.attn.pattern"].mean(axis=0)
            shares = norm_shares(tiny_result, layer) if flow == "norms" else (mean + np.eye(n)) / 2
            held[layer] = held[layer + 1] @ shares
        rows = {hit.target[1]: hit.y for hit in canvas.hits if isinstance(hit.target, tuple) and hit.target[0] == "token"}
        assert len(rows) == n
        read = 0
        for block, columns in slices(canvas, config.n_layer).items():
            for i, y in rows.items():
                match = re.match(r"([\d.]+)%", canvas.text()[y][columns])
                share = held[block][i]
                assert bool(match) == (share >= 0.02) or abs(share - 0.02) < 1e-4, (block, i, share)
                if match:
                    read += 1
                    assert abs(value(match[1]) - 100 * share) <= 0.5 * unit(match[1]) + 0.002
        assert read >= 5


def test_ribbons_carry_ink_where_shares_flow(tiny_result: Result) -> None:
    """In pixels the selected token alone holds the last column, and no later token holds anything."""
    for token in (2, 5):
        canvas = stage_at(tiny_result, f"model@{token}", STAGES["wide"])
        rows = {hit.target[1]: hit.y for hit in canvas.hits if isinstance(hit.target, tuple) and hit.target[0] == "token"}
        final = next(hit for hit in canvas.hits if isinstance(hit.target, Location) and hit.target.select == "final")
        image = halves(canvas, final.x, 0, 1, canvas.height)[:, 0]
        darkest = max(rows, key=lambda i: abs(int(image[2 * rows[i] + 1] >> 8 & 255) - (THEMES["dark"]["background"] >> 8 & 255)))
        assert darkest == token


# One product


@pytest.mark.parametrize("size", STAGES)
def test_a_product_in_numbers(result: Result, size: str) -> None:
    model = result.weights()
    for layer, head, query, key in chosen(result, 9, 5):
        query, key = max(query, key), min(query, key)
        scene = scene_at(result, f"L{layer}H{head}[{query},{key}]", STAGES[size])
        canvas = stage_at(result, f"L{layer}H{head}[{query},{key}]", STAGES[size])
        numbers = head_numbers(result, layer, head)
        row = line_with(canvas, rf"sum ({FIGURE}) \S+ ({FIGURE}) = ({FIGURE})")
        largest = np.abs(numbers["qk"]).max()
        assert abs(value(row[1]) - numbers["qk"][query, key]) <= 0.501 * unit(row[1]) + 1e-5 * largest
        assert shows(row[2], 1 / np.sqrt(result.config.head_dim))
        assert value(row[3]) == pytest.approx(numbers["scaled"][query, key], rel=1e-4, abs=1e-5 * largest)
        assert shows(line_with(canvas, rf"share ({FIGURE})")[1], numbers["softmax"][query, key], 1e-4)
        weight = model.blocks[layer]["attn.c_proj.weight"].astype(np.float64)
        dh = result.config.head_dim
        v = result.trace[f"blocks.{layer}.attn.v"][key, head].astype(np.float64)
        moved = numbers["softmax"][query, key] * v @ weight[head * dh : (head + 1) * dh]
        row = line_with(canvas, rf"= ({FIGURE}) into a stream of norm ({FIGURE})")
        assert value(row[1]) == pytest.approx(np.linalg.norm(moved), rel=1e-4)
        assert shows(row[2], norm(result, f"blocks.{layer}.resid_pre", query))
        change = in_points(result, moved, query)
        for name, ids in (("raises", np.argsort(-change)), ("lowers", np.argsort(change))):
            text = line_with(canvas, rf"{name}\s+(.*)")[1]
            figures = re.findall(rf"([+−]{FIGURE})%", text)
            assert figures
            for figure, token in zip(figures[:5], ids, strict=False):
                assert shows(figure.replace("+", ""), 100 * change[token], 0.05), (name, text)
            assert text.startswith(scene.id_label(int(ids[0])).strip()) or abs(change[ids[0]] - change[ids[1]]) < 1e-6
        for letter, i in (("Q", query), ("K", key)):
            assert line_with(canvas, rf"{letter}{i} (\S+)")[1] in scene.label(i)


@pytest.mark.parametrize("size", ["wide", "large"])
def test_a_product_element_by_element(result: Result, size: str) -> None:
    for layer, head, query, key in chosen(result, 10, 3):
        query, key = max(query, key), min(query, key)
        canvas = stage_at(result, f"L{layer}H{head}[{query},{key}]", STAGES[size])
        q, k = (result.trace[f"blocks.{layer}.attn.{n}"][i, head].astype(np.float64) for n, i in (("q", query), ("k", key)))
        sums = np.cumsum(q * k)
        start = next(y for y, row in enumerate(canvas.text()) if re.search(r"\bi +q +k ", row))
        read = set()
        for row in canvas.text()[start + 1 :]:
            for match in re.finditer(rf"(?<!\S)(\d+) +({FIGURE}) +({FIGURE}) +({FIGURE}) +({FIGURE})", row):
                i = int(match[1])
                for text, expected in zip(match.groups()[1:], (q[i], k[i], q[i] * k[i], sums[i]), strict=True):
                    assert shows(text, expected, 1e-4) or abs(value(text) - expected) < 1e-5 * np.abs(sums).max(), match[0]
                read.add(i)
                for group, role in enumerate(("muted", "query", "key", "attention", "text"), 1):
                    y, (start_x, end_x) = canvas.text().index(row), match.span(group)
                    assert set(canvas.fg[y, start_x:end_x]) == {canvas.ink(role)}, (i, role)
        assert len(read) >= 5
        assert read == set(range(len(read)))


def test_the_row_that_a_product_sits_in(tiny_result: Result) -> None:
    for layer, head, query, key in ((0, 1, 5, 2), (1, 2, 6, 0), (1, 0, 4, 3)):
        canvas = stage_at(tiny_result, f"L{layer}H{head}[{query},{key}]", STAGES["narrow"])
        row = tiny_result.trace[f"blocks.{layer}.attn.pattern"][head, query, : query + 1]
        ramp = Ramp("sequential", "attention", Palette())
        assert strips(canvas, [ramp.colour(i) for i in levels_of("sequential", ramp.levels, row, 0.0, row.max())])
        for name, i in (("q", query), ("k", key)):
            vector = tiny_result.trace[f"blocks.{layer}.attn.{name}"][i, head]
            ramp = Ramp("diverging", {"q": "query", "k": "key"}[name], Palette())
            assert strips(canvas, strip_of(ramp, vector, vector))


@pytest.mark.parametrize("size", STAGES)
def test_the_product_s_key_is_marked_in_its_row(wordy: Result, size: str) -> None:
    """Also in a row that is too long for the screen, of which a part around the key is shown."""
    n, ramp = wordy.trace.n_tokens, Ramp("sequential", "attention", Palette())
    row = wordy.trace["blocks.2.attn.pattern"][3, n - 1]
    for key in (0, 1, n // 2, n - 2, n - 1):
        canvas = stage_at(wordy, f"L2H3[{n - 1},{key}]", STAGES[size])
        y = next(y for y, text in enumerate(canvas.text()) if text.startswith(" softmax"))
        end = canvas.text()[y].index("]")
        start = canvas.text()[y].index("[") if "[" in canvas.text()[y] else end
        colour = ramp.colour(int(levels_of("sequential", ramp.levels, row[key], 0.0, row.max())))
        assert set(canvas.bg[y, start : end + 1]) == {colour}, key


def test_what_a_trace_does_not_tell_is_not_guessed(tiny_result: Result) -> None:
    """A trace without its config and its scores, then one whose neurons no activation explains."""
    names = ("attn.q", "attn.k", "attn.v", "attn.pattern", "mlp.pre", "mlp.post")
    parts = {f"blocks.{layer}.{name}": (tiny_result.trace[f"blocks.{layer}.{name}"],) for layer in (0, 1) for name in names}

    def drawn(at: str) -> Canvas:
        return stage_at(Result(Trace(tiny_result.trace.ids, parts), None), at, STAGES["wide"], flow="rollout")

    line_with(drawn("L1H1[5,2]"), rf"sum {FIGURE} . scale: not recorded")
    assert ", scale " not in "".join(drawn("L1H1:qk[5,2]").text())
    line_with(drawn("L1.mlp[3]"), rf"gelu_new\({FIGURE}\) = ")
    parts |= {f"blocks.{layer}.mlp.post": (np.cos(parts[f"blocks.{layer}.mlp.pre"][0]),) for layer in (0, 1)}
    line_with(drawn("L1.mlp[3]"), rf"activation\({FIGURE}\) = ")
    assert "gelu" not in "".join(drawn("L1.mlp[3]").text())


# Output and panel


def probabilities(result: Result, temperature: float, k: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(order, probability over all, probability among the k best) of the next token, in float64."""
    logits = result.trace["logits"].astype(np.float64)
    order = np.lexsort((np.arange(len(logits)), -logits))
    full = np.exp(logits / temperature - logits.max() / temperature)
    full /= full.sum()
    kept = np.isin(np.arange(len(logits)), order[:k]) if k else np.ones(len(logits), dtype=bool)
    return order, full, np.where(kept, full, 0) / full[kept].sum()


SETTINGS = [{}, {"temperature": 0.7}, {"temperature": 1.5, "mode": "top-k", "k": 4}]
COMPUTED = {"full": "logit ÷T exp softmax cumul.", "top-k": "logit ÷T softmax cumul. kept? exp share"}
COMPUTED["top-p"] = COMPUTED["top-k"]


@pytest.mark.parametrize("settings", [*SETTINGS, {"mode": "top-p", "p": 0.5}], ids=["plain", "cool", "top-k", "top-p"])
@pytest.mark.parametrize("size", STAGES)
def test_every_stage_from_logit_to_probability(result: Result, size: str, settings: dict) -> None:
    scene = scene_at(result, "output", STAGES[size], **settings)
    canvas = stage_at(result, "output", STAGES[size], **settings)
    temperature = settings.get("temperature", 1.0)
    mode = settings.get("mode", "full")
    order, full, _ = probabilities(result, temperature, None)
    logits = result.trace["logits"].astype(np.float64)
    cumulative = np.cumsum(full[order])
    count = settings.get("k", int(np.searchsorted(cumulative, settings["p"])) + 1 if mode == "top-p" else len(order))
    _, _, kept = probabilities(result, temperature, count)
    rows = list(hits(canvas, lambda at: isinstance(at, tuple) and at[0] == "candidate"))
    assert len(rows) >= 5
    header = canvas.text()[rows[0].y - 1].replace("÷ T", "÷T").replace("e^(x−max)", "exp")
    header = header.partition("full bar")[0]  # behind the columns: bars, where there is room
    columns = slice(None if (end := canvas.text()[rows[0].y - 1].find("full bar")) < 0 else end)
    names = header.split()[2:]
    assert [name for name in COMPUTED[mode].split() if name in names] == names, "each column follows from those to its left"
    assert len(names) >= (5 if mode == "full" else 7)
    assert re.search(r"exp\(\S+ − max \S+\) = ", "\n".join(canvas.text()))
    assert ("e^(x−max)" in "".join(canvas.text())) or size == "narrow"
    for hit in rows:
        rank, row = hit.target[1], canvas.text()[hit.y][columns]
        token = int(order[rank])
        assert int(row.split()[0]) == rank + 1
        assert scene.id_label(token).strip().rstrip("…")[:8] in row
        fields = dict(zip(names, row.split()[-len(names) :], strict=True))
        scaled = logits[token] / temperature
        numbers = {"logit": logits[token], "÷T": scaled, "exp": np.exp(scaled - logits.max() / temperature) * (kept[token] > 0)}
        for name, want in numbers.items():
            assert shows(fields[name], want, 1e-6), (rank, name, want)
        for name, want in (("softmax", full[token]), ("cumul.", cumulative[rank]), ("share", kept[token])):
            assert name not in fields or shows_percent(fields[name], want), (rank, name, want)
        assert fields.get("kept?", "yes") == ("yes" if rank < count else "no")


@pytest.mark.parametrize("settings", SETTINGS, ids=["plain", "cool", "top-k"])
@pytest.mark.parametrize("size", [(80, 6), (40, 32), (52, 54)])
def test_the_panels_numbers_and_bars(result: Result, size: tuple[int, int], settings: dict) -> None:
    scene: Scene = scene_at(result, "model", size, **settings)
    from txexplain.viz.views.panel import paint_panel

    canvas = paint_panel(scene)
    order, full, kept = probabilities(result, settings.get("temperature", 1.0), settings.get("k"))
    rows = list(hits(canvas, lambda at: isinstance(at, tuple) and at[0] == "candidate"))
    assert len(rows) >= 3
    lengths, eighths = {}, scene.palette.glyphs.bars
    for hit in rows:
        rank, row = hit.target[1], canvas.text()[hit.y]
        token = int(order[rank])
        assert scene.id_label(token).strip()[:6] in row
        figures = re.findall(r">?[\d.]+(?:e−\d+)?%", row)
        assert shows_percent(figures[0], kept[token])
        if "k" in settings:
            assert shows_percent(figures[1], full[token])
        else:
            lengths[rank] = sum(eighths.index(c) for c in row if c in eighths[1:])
    for rank, length in lengths.items():  # as long, in eighths of a cell, as the best one's bar says
        want = lengths[0] * full[order[rank]] / full[order[0]]
        assert abs(length - max(want, 1)) <= 1.01, (rank, length, want)
    entropy = -(kept[kept > 0] * np.log2(kept[kept > 0])).sum()
    row = line_with(canvas, rf"({FIGURE}) bits . perplexity ({FIGURE})")
    assert shows(row[1], entropy)
    assert shows(row[2], 2**entropy)
    assert f"T {settings.get('temperature', 1.0):.2f}" in "".join(canvas.text()[:3])


# The chrome


def test_the_prompt_and_the_breadcrumb_answer_to_the_pointer(story_result: Result) -> None:
    scene = scene_at(story_result, "L3H5[6,2]", (120, 36))
    screen = paint_screen(scene)
    text = screen.text()
    for hit in screen.hits:
        if hit.y == 0 and isinstance(hit.target, Location):
            assert text[0][hit.x : hit.x + hit.width] in str(hit.target) or hit.target.kind == "head"
    crumbs = [hit.target.kind for hit in screen.hits if hit.y == 0]
    assert crumbs == ["model", "block", "attn", "head", "product"]
    tokens = [hit for hit in screen.hits if 1 <= hit.y <= 3 and hit.target[0] == "token"]
    assert [hit.target[1] for hit in tokens] == list(range(len(tokens)))
    for hit in tokens[:8]:
        assert "".join(screen.chars[hit.y, hit.x : hit.x + hit.width]).rstrip("│").strip() == scene.label(hit.target[1]).strip()


def test_a_stale_result_looks_so(tiny_result: Result) -> None:
    fresh = scene_at(tiny_result, "L1H1", (120, 36))
    old = paint_screen(replace(fresh, stale=True))
    assert "computing" in old.text()[0]
    assert any("old: computing the new ones" in line for line in old.text())
    faded = paint_screen(replace(fresh, stale=True, faded=True))
    assert faded.text() == old.text()
    assert (faded.fg != old.fg).mean() > 0.5


@pytest.mark.parametrize("lecture", [False, True])
@pytest.mark.parametrize("height", [1, 6])
@pytest.mark.parametrize("width", range(60, 121, 5))
def test_that_a_distribution_is_not_the_present_is_said_in_whole_words(
    story_result: Result, width: int, height: int, lecture: bool
) -> None:
    scene = replace(scene_at(story_result, "L1", (80, 24)), width=width, height=height, lecture=lecture)
    assert scene.distribution is not None
    share = percent(float(scene.distribution.probability[scene.distribution.order[0]]))
    for how, said in (({"back": 2}, r" 2 back(: T 1\.00 full)? "), ({"stale": True}, r" old: computing( the new ones)? ")):
        rows = paint_panel(replace(scene, **how)).text()
        if height == 1 or width >= 80 or "back" in how or lecture:  # a narrow screen says "computing" in its header only
            assert re.search(said, rows[0]), rows[0]
        assert share in "".join(rows)


@pytest.mark.parametrize("place", ["model", "L5.mlp", "L5H1[6,3]"])
@pytest.mark.parametrize("width", range(60, 121, 5))
def test_the_header_never_cuts_a_word(story_result: Result, width: int, place: str) -> None:
    """The trail's end and what the run cost, or that one is under way, have room; what is left out is left out whole."""
    labels = [label for label, _ in breadcrumb(parse(place))]
    trails = [" › ".join(labels), *(" › ".join(["…", *labels[cut:]]) for cut in range(1, len(labels)))]
    for stale, state in ((True, "computing…"), (False, "123 ms")):
        scene = replace(scene_at(story_result, place, (80, 24)), width=width, height=1, stale=stale, cost="123 ms")
        canvas = paint_header(scene)
        (row,) = canvas.text()
        assert row.endswith(f" {state} ")
        assert any(f" {trail}  " in row for trail in trails), row
        assert [hit.target for hit in canvas.hits][-1] == parse(place)


def test_what_was_not_recorded_says_so(tiny_result: Result) -> None:
    from txexplain.engine.trace import Trace

    parts = {name: (tiny_result.trace[name],) for name in ("embed", "blocks.0.attn.pattern")}
    bare = Result(Trace(tiny_result.trace.ids, parts, config=tiny_result.config), None)
    for at in PLACES:
        scene = scene_at(tiny_result, at, (120, 36))
        screen = paint_screen(replace(scene, shown=bare, distribution=None, ribbons=None))
        assert_whole(screen)


# What wasn't recorded, and what is a bug


@pytest.mark.parametrize("error", [KeyError("blocks.1.mlp.post"), LookupError("half a sentence"), IndexError(3)], ids=repr)
def test_an_error_of_the_program_is_no_gap_in_the_recording(tiny_result: Result, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Stage, `i`, describe, live values, ribbons and the neurons' order say of NotRecorded alone that something wasn't recorded."""
    whole = Trace.__getitem__

    def get(trace: Trace, name: str) -> object:
        if name in ("blocks.1.mlp.post", "blocks.1.attn.pattern"):
            raise error
        return whole(trace, name)

    result = Result(tiny_result.trace, tiny_result.model)
    scene = replace(scene_at(tiny_result, "L1.mlp", (80, 24)), shown=result)
    monkeypatch.setattr(Trace, "__getitem__", get)
    asks: dict[str, Callable[[], object]] = {
        "stage": lambda: paint_stage(scene),
        "explain": lambda: explain_text(scene, 76),
        "describe": lambda: describe(scene),
        "live": lambda: fill("{neuron L1}", scene),
        "ribbons": lambda: ribbons_of(result, "rollout"),
        "order": lambda: order_of(scene.location, Shown(result)),
    }
    for name, ask in asks.items():
        with pytest.raises(type(error)) as raised:
            ask()
        assert raised.value is error, name


def test_a_place_of_the_model_before_has_no_neurons(tiny_result: Result) -> None:
    assert order_of(parse("L7.mlp"), Shown(tiny_result)) is None
