"""The atlas, read back from its cells: which head stands where, its pattern, its measures, and what arrows then go by."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.covering import covered
from tests.examples import examples
from tests.viz.reading import FIGURE, STAGES, halves, hits, levels_of, line_with, scene_at, shows, shows_percent, stage_at
from txexplain.engine.config import GPT2Config
from txexplain.engine.derive import Result
from txexplain.engine.trace import Trace
from txexplain.explorer.choice import dims_of
from txexplain.explorer.location import LEASTS, MEASURES, Location, parse
from txexplain.explorer.state import ExplorerState
from txexplain.front.scenes import columns_of, scene_of
from txexplain.viz.canvas import Canvas
from txexplain.viz.describe import describe
from txexplain.viz.numbers import tenths, whole_percent
from txexplain.viz.palette import Palette
from txexplain.viz.ramps import Ramp
from txexplain.viz.scene import Scene
from txexplain.viz.views import paint_stage

SHAPES = [(12, 12), (48, 25)]  # GPT-2 124M's heads and gpt2-xl's
LOOKS = [Palette(), Palette("light", "256"), Palette("dark", "16"), Palette("dark", "none", ascii=True)]


def random_result(n_layer: int, n_head: int, n: int, seed: int = 0, *, copies: bool = True, without: tuple[int, ...] = ()) -> Result:
    rng = np.random.default_rng(seed)
    parts = {}
    for layer in set(range(n_layer)) - set(without):
        shares = np.tril(np.exp(3 * rng.standard_normal((n_head, n, n))))
        parts[f"blocks.{layer}.attn.pattern"] = ((shares / shares.sum(axis=-1, keepdims=True)).astype(np.float32),)
    config = GPT2Config.from_dict({"model_type": "gpt2", "n_layer": n_layer, "n_head": n_head, "n_embd": 4 * n_head}, source="a test")
    ids = rng.integers(0, max(2, n // 3), n).tolist() if copies else list(range(n))
    return Result(Trace(ids, parts, config=config), None)


def scene(result: Result, at: str, size: tuple[int, int], palette: Palette | None = None) -> Scene:
    return scene_of(ExplorerState(model="random", location=parse(at)), palette or Palette(), size, result)


def heads_drawn(canvas: Canvas) -> list[tuple[int, int, int, int]]:
    """(y, x, block, head) of each thumbnail, by its target, in reading order."""
    return sorted((hit.y, hit.x, hit.target.block, hit.target.head) for hit in hits(canvas, lambda at: isinstance(at, Location)))


def by_hand(result: Result, name: str, least: int) -> list[tuple[int, int]]:
    """The order that a measure asks for, written down apart from the code's."""
    values = result.measures.of(name)
    whole = math.log2(result.trace.n_tokens) if name == "entropy" else 1.0
    heads = [(i, j) for i in range(values.shape[0]) for j in range(values.shape[1])]
    known = sorted((-values[head], head) for head in heads if not math.isnan(values[head]) and values[head] / whole >= least / 100)
    return [head for _, head in known] + [head for head in heads if math.isnan(values[head]) and not least]


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def random(request: pytest.FixtureRequest) -> Result:
    return random_result(*request.param, 32)


# Sorted and cut


@examples(60)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(2, 9), st.sampled_from(MEASURES), st.sampled_from(LEASTS), st.integers(0, 99))
def test_heads_are_sorted_by_what_they_do_and_cut_where_it_is_little(
    n_layer: int, n_head: int, n: int, name: str, least: int, seed: int
) -> None:
    result = random_result(n_layer, n_head, n, seed, copies=seed % 3 > 0, without=(0,) if seed % 2 and n_layer > 1 else ())
    at = f"heads:{name}.{least}" if least else f"heads:{name}"
    order = dims_of(result, parse(at)).order
    canvas = paint_stage(scene(result, at, (80, 60)))
    if np.isnan(result.measures.of(name)).all():
        assert not heads_drawn(canvas)
        assert order == ()  # arrows have nothing to go along
        assert any("no token comes twice in this prompt" in row for row in canvas.text())
    else:
        assert [divmod(i, n_head) for i in order or ()] == by_hand(result, name, least)
        assert [(layer, head) for _, _, layer, head in heads_drawn(canvas)] == by_hand(result, name, least)
        assert by_hand(result, name, least) or any(f"reaches {least}%" in row for row in canvas.text())


@pytest.mark.parametrize(("look", "size", "name"), covered(LOOKS, STAGES, MEASURES))
def test_names_and_measures_stand_in_the_order(random: Result, size: str, name: str, look: Palette) -> None:
    order = by_hand(random, name, 0)
    rng = np.random.default_rng(1)
    for at in (order[0], order[int(rng.integers(len(order)))], order[-1]):
        canvas = paint_stage(scene(random, f"heads:{name}[{at[0]}.{at[1]}]", STAGES[size], look))
        shown = heads_drawn(canvas)
        first = order.index((shown[0][2], shown[0][3]))
        assert [(layer, head) for _, _, layer, head in shown] == order[first : first + len(shown)]
        assert at in order[first : first + len(shown)]
        if len(shown) < len(order):
            line_with(canvas, rf" {first + 1}-{first + len(shown)} of {len(order)} in view ")
        columns = columns_of(random, STAGES[size], look, parse(f"heads:{name}"))
        assert len({x for _, x, _, _ in shown}) == min(columns, len(shown))
        assert len({y for y, _, _, _ in shown}) == -(-len(shown) // columns)
        for y, x, layer, head in shown:
            width = min([other for row, other, _, _ in shown if row == y and other > x], default=canvas.width) - x
            cell = [canvas.text()[y + i][x : x + width] for i in (0, 1)]
            assert re.search(rf"\bL{layer}H{head}\b", cell[0]), (cell, layer, head)
            figure = re.search(rf"({FIGURE})%?\s*$", cell[1].rstrip("▸> "))
            assert figure, cell
            told = random.measures.of(name)[layer, head]
            assert shows(figure[1], told) if name == "entropy" else shows_percent(figure[1] + "%", told), (cell, told)


def test_arrows_go_along_the_grid_that_is_drawn(random: Result) -> None:
    for size, at in ((STAGES["narrow"], "heads:previous"), (STAGES["wide"], "heads:entropy.25"), (STAGES["large"], "heads")):
        canvas = paint_stage(scene(random, at, size))
        shown = heads_drawn(canvas)
        rows = sorted({y for y, _, _, _ in shown})
        below = {(layer, head) for y, x, layer, head in shown if y == rows[1] and x == shown[1][1]}
        place = replace(parse(at), block=shown[1][2], head=shown[1][3])
        state = ExplorerState(location=place).move(0, 1, dims_of(random, place, columns_of(random, size, Palette(), place)))
        assert {(state.location.block, state.location.head)} == below
        left = ExplorerState(location=place).move(-1, 0, dims_of(random, place, columns_of(random, size, Palette(), place))).location
        assert (left.block, left.head) == shown[0][2:]


def test_a_selected_head_that_is_cut_is_said_to_be(random: Result) -> None:
    order = by_hand(random, "first", 10)
    out = next(head for head in by_hand(random, "first", 0) if head not in order)
    text = paint_stage(scene(random, f"heads:first.10[{out[0]}.{out[1]}]", STAGES["narrow"])).text()
    assert f"L{out[0]}H{out[1]} (cut), by first, 10% or more" in text[0]
    assert "(cut)" not in paint_stage(scene(random, f"heads:first.10[{order[3][0]}.{order[3][1]}]", STAGES["narrow"])).text()[0]


def test_no_copy_no_measure_and_no_pattern_are_said() -> None:
    single = paint_stage(scene(random_result(2, 2, 1), "heads:self", (80, 14))).text()
    assert any("Nothing to sort by self: the prompt has one token." in row for row in single)
    assert "nothing to measure, the prompt has one token" in single[-1]
    partial = random_result(3, 2, 5, without=(1,))
    text = paint_stage(scene(partial, "heads[1.0]", (80, 31))).text()
    assert sum(row.count("not recorded") for row in text) == 3
    assert "L1H0: its pattern was not recorded" in text[-1]
    unmeasured = paint_stage(scene(random_result(2, 2, 1), "heads", (80, 31))).text()
    assert not any(re.search(r"\bself\b|\bbits\b|%", row) for row in unmeasured[:-2])
    nothing = Result(Trace([1, 2], {}, config=partial.config), None)
    assert "Not recorded" in paint_stage(scene(nothing, "heads", (80, 14))).text()[2]
    nowhere = paint_stage(scene(random_result(2, 3, 6, copies=False), "heads:self.50[1.1]", (80, 14))).text()
    values = random_result(2, 3, 6, copies=False).measures.self
    layer, head = np.unravel_index(values.argmax(), values.shape)
    told = next(re.search(r"No head's self reaches 50%; the most is (\S+), (L\dH\d)'s\.", row) for row in nowhere if "reaches" in row)
    assert told
    assert told[2] == f"L{layer}H{head}"
    assert shows_percent(told[1], values.max())


# In the model's order


@pytest.mark.parametrize("size", [*STAGES.values(), (60, 7)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_thumbnails_are_their_heads_patterns_under_their_labels(result: Result, size: tuple[int, int]) -> None:
    place = Location("heads", block=1, head=result.config.n_head - 1)
    canvas = stage_at(result, str(place), size)
    shown = heads_drawn(canvas)
    assert (1, place.head) in {(layer, head) for _, _, layer, head in shown}
    ramp, n = Ramp("sequential", "attention", Palette(), coarse=True), result.trace.n_tokens
    columns = {match.start(): int(match[1]) for match in re.finditer(r"H(\d+)", canvas.text()[1])}
    ys = sorted({y for y, _, _, _ in shown})
    assert len(set(np.diff(ys).tolist())) <= 1
    assert len(set(np.diff(sorted(columns)).tolist())) <= 1
    for y, x, layer, head in shown:
        assert columns[x] == head
        assert re.match(rf" L{layer}\b", canvas.text()[y])
        pattern = result.trace[f"blocks.{layer}.attn.pattern"][head].astype(np.float64)
        image = halves(canvas, x, y, 16, canvas.height - y)
        fits = False
        for m in range(3, n + 1):
            edges = [i * n // m for i in range(m + 1)]
            small = np.array([[pattern[a:b, c:d].max() for c, d in pairwise(edges)] for a, b in pairwise(edges)])
            colours = np.array(ramp.colours)[levels_of("sequential", ramp.levels, small, 0.0, 1.0)]
            want = np.where(np.tri(m) > 0, colours, Palette().rgb("panel"))
            for scale in (1, 2):
                block = np.repeat(np.repeat(want, scale, axis=0), scale, axis=1)
                if block.shape[0] <= image.shape[0] and block.shape[1] <= image.shape[1]:
                    fits = fits or bool((image[: len(block), : len(block)] == block).all())
            if fits:
                break
        assert fits, (layer, head)


@pytest.mark.parametrize("at", ["heads[1.2]", "heads:previous[0.1]", "heads:entropy[1.0]"])
@pytest.mark.parametrize("size", [*STAGES.values(), (60, 7)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_readout_has_all_five_measures(result: Result, size: tuple[int, int], at: str) -> None:
    place = parse(at)
    row = stage_at(result, at, size).text()[-1]
    found = re.match(
        rf" L{place.block}H{place.head} +self (\S+) +prev\w* (\S+) +(?:first|1st) (\S+) +ind\w* (\S+) +(?:entropy )?({FIGURE}) bits *$", row
    )
    assert found, row
    for name, text in zip(MEASURES, found.groups(), strict=True):
        told = result.measures.of(name)[place.block, place.head]
        assert shows(text, told) if name == "entropy" else shows_percent(text, told) or abs(float(text[:-1]) - 100 * told) < 0.6, name


def test_a_prompt_without_copies_says_so_in_the_readout() -> None:
    result = random_result(2, 3, 6, copies=False)
    assert "induction none, no token comes twice in this prompt" in paint_stage(scene(result, "heads", (148, 31))).text()[-1]
    assert re.search(r"ind\w* none", paint_stage(scene(result, "heads", (80, 14))).text()[-1])


@pytest.mark.parametrize("size", [(80, 31), (148, 54)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_thumbnails_tag_is_its_largest_share_or_its_entropy(story_result: Result, size: tuple[int, int]) -> None:
    canvas = stage_at(story_result, "heads[2.3]", size)
    measures, down = story_result.measures, np.diff(sorted({y for y, _, _, _ in heads_drawn(canvas)}))[0]
    assert len(heads_drawn(canvas)) == 48
    seen = set()
    for y, x, layer, head in heads_drawn(canvas):
        shares = {name: measures.of(name)[layer, head] for name in MEASURES[:4]}
        name = max(shares, key=lambda each: shares[each])
        large = shares[name] >= 0.25
        want = (
            ({"self": "self", "previous": "prev", "first": "1st", "induction": "ind"}[name], whole_percent(shares[name]))
            if large
            else (tenths(measures.entropy[layer, head]), "bits")
        )
        cell = " ".join(canvas.text()[y + i][x : x + 16] for i in range(down))
        assert re.search(rf"\b{want[0]}\s.*?{want[1]}" if down < 6 else want[0], cell), (want, cell)
        seen.add(large)
    assert seen == {True, False}


# In words, and while it is measured


def test_the_table_lists_the_heads_as_the_atlas_does(result: Result) -> None:
    text = describe(scene_at(result, "heads:previous.10[1.1]", (80, 24)))
    rows = [line.split() for line in text.split("\n\n")[3].splitlines()[2:]]
    assert [row[-7 if row[-1] == "bits" else -6] for row in rows] == [f"L{i}H{j}" for i, j in by_hand(result, "previous", 10)]
    for row, (layer, head) in zip(rows, by_hand(result, "previous", 10), strict=True):
        assert shows_percent(row[-5], result.measures.previous[layer, head])
        assert (row[0] == ">") == ((layer, head) == (1, 1))


def test_an_atlas_that_is_not_measured_yet_is_drawn_without_measures() -> None:
    result = random_result(6, 8, 12)
    for at in ("heads[1.2]", "heads:first[1.2]"):
        paint_stage(replace(scene(result, at, (80, 31)), measured=False))
        assert "measures" not in result.__dict__
    assert any(
        "Measuring all 48 heads" in row for row in paint_stage(replace(scene(result, "heads:first", (80, 31)), measured=False)).text()
    )
