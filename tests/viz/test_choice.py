"""What a place shows where nothing is selected in it is the same for stage, `i` and `describe`, at every place and in every face."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.viz.reading import scene_at, shows
from txexplain.engine.derive import Result
from txexplain.engine.trace import Trace
from txexplain.explorer.choice import dims_of
from txexplain.explorer.location import FACES, LEASTS, STAGES, TILES, parse
from txexplain.explorer.state import ExplorerState
from txexplain.facts.head import grid
from txexplain.facts.mlp import neurons
from txexplain.viz.canvas import Canvas
from txexplain.viz.describe import describe
from txexplain.viz.views import paint_stage
from txexplain.viz.views.explain import explain_text

SIZE = (148, 54)
TOKENS = ("", "@0", "@1", "@3")


class Seen:
    """A place as the stage draws it, as `i` explains it, and as `describe` says it."""

    def __init__(self, result: Result, at: str) -> None:
        scene = scene_at(result, at, SIZE)
        self.at, self.canvas = at, paint_stage(scene)
        self.stage = "\n".join(self.canvas.text())
        self.explained = explain_text(scene, 400)
        self.described = describe(scene)

    def find(self, pattern: str, text: str) -> tuple[str, ...]:
        found = re.search(pattern, text, re.MULTILINE)
        assert found is not None, (self.at, pattern, text)
        return found.groups()

    def agrees(self, stage: str, explained: str, described: str = "") -> None:
        """Whether what the three patterns find is the same."""
        shown = self.find(stage, self.stage)
        assert self.find(explained, self.explained) == shown, self.at
        assert not described or self.find(described, self.described) == shown, self.at

    def lit(self, canvas: Canvas) -> str:
        """The row that lies on the cursor's ground."""
        ground = canvas.palette.rgb("cursor")
        (row,) = {y for y in range(canvas.height) if (canvas.bg[y] == ground).sum() > canvas.width // 3}
        return canvas.text()[row]


def every(result: Result, page: str, kind: str) -> list[Seen]:
    """A page of each block in each of its faces, for some tokens."""
    faces = FACES.get(kind, ("",))
    return [Seen(result, f"L{b}.{page}{f':{f}' if f else ''}{t}") for b in range(2) for f in faces for t in TOKENS]


def test_neurons(result: Result) -> None:
    for seen in every(result, "mlp", "mlp"):
        shown = re.findall(r"\d+", seen.lit(seen.canvas))[0]
        assert seen.find(r"neuron ([\d,]+):", seen.explained) == (shown,), seen.at
        assert seen.find(r"^> +(\d+)", seen.described) == (shown,), seen.at
    for tile, face in (("fc", "pre"), ("act", "post")):
        for token in TOKENS:
            tile_seen, page = Seen(result, f"L1[{tile}]{token}"), Seen(result, f"L1.mlp:{face}{token}")
            assert page.find(r"^> +(\d+)", page.described) == tile_seen.find(r"neuron (\d+) f", tile_seen.explained)


def test_a_neuron_beyond_the_first_is_described_too(result: Result) -> None:
    last = neurons(result, 1, 2, "pre").order[-1]
    for at in (f"L1.mlp:pre[{last}]@2", f"L1.mlp:added[{neurons(result, 1, 2, 'added').order[-1]}]@2"):
        seen = Seen(result, at)
        neuron = seen.at.partition("[")[2].partition("]")[0]
        assert seen.find(r"neuron (\d+):", seen.explained) == seen.find(r"^> +(\d+)", seen.described) == (neuron,)


def test_elements_of_a_matrix(result: Result) -> None:
    for page, kind in (("qkv", "qkv"), ("proj", "proj")):
        for seen in every(result, page, kind):
            meaning = r"element (\d+) (?:= \S of H\d+, \d+|of attn_out)"
            assert seen.find(meaning, seen.stage) == seen.find(meaning, seen.described), seen.at
            if kind == "proj":
                seen.agrees(meaning, r"element (\d+) of attn_out = ", meaning)
            else:
                letter, head, i = seen.find(r"= ([QKV]) of H(\d+), (\d+)", seen.stage)
                assert seen.find(r"([qkv])\[(\d+)\] of head (\d+) =", seen.explained) == (letter.lower(), i, head), seen.at
            if ":matrix" in seen.at:
                seen.agrees(r"W\[(\d+),\d+\] =", r"largest term: \w\[(\d+)\]", r"^> +(\d+)")
    chosen = Seen(result, "L1.qkv:matrix[5,30]")
    chosen.agrees(r"W\[(\d+),\d+\] =", r"one term: \w\[(\d+)\]", r"^> +(\d+)")
    for tile in ("qkv", "proj"):
        said = r"([qkv]\[\d+\] of head \d+|element \d+ of attn_out) ="
        for token in TOKENS:
            step, page_ = Seen(result, f"L1[{tile}]{token}"), Seen(result, f"L1.{tile}{token}")
            assert step.find(said, step.explained) == page_.find(said, page_.explained)


def test_elements_of_a_layer_norm(result: Result) -> None:
    pages = [f"L{block}.{norm}" for block in range(2) for norm in ("ln1", "ln2")]
    for page in (*pages, "final"):
        for token in TOKENS:
            Seen(result, page + token).agrees(r"element (\d+) \(farthest\)", r"element (\d+): \(", r"element (\d+)$")
        Seen(result, f"{page}[3]@2").agrees(r"element (\d+): \(", r"element (\d+): \(", r"element (\d+)$")
    for tile in ("ln1", "ln2"):
        step, page_ = Seen(result, f"L1[{tile}]@2"), Seen(result, f"L1.{tile}@2")
        assert step.find(r"element (\d+): \(", step.explained) == page_.find(r"element (\d+): \(", page_.explained)


def test_an_added_vector_is_shown_by_its_largest_element(result: Result) -> None:
    """The stage shows these as wholes; the one element that `i` takes is the largest, as on the pages."""
    for tile, name in (("resid_pre", "resid_pre"), ("add1", "resid_mid"), ("out", "mlp_out"), ("add2", "resid_post")):
        seen = Seen(result, f"L1[{tile}]@2")
        assert seen.find(r"element (\d+)", seen.explained) == (str(int(np.abs(result.trace[f"blocks.1.{name}"][2]).argmax())),), tile
    seen = Seen(result, "embed@2")
    assert seen.find(r"element (\d+)", seen.explained) == (str(int(np.abs(result.trace["blocks.0.resid_pre"][2]).argmax())),)
    Seen(result, "embed[5]@2").agrees(r"element (\d+):", r"element (\d+):", r"element (\d+)$")


def test_nearest_tokens(result: Result) -> None:
    for token in TOKENS:
        seen = Seen(result, f"embed:nearest{token}")
        lines = seen.stage.split("\n")
        first = next(i for i, line in enumerate(lines) if "the nearest tokens by" in line) + 1
        told = re.search(r"is '?(.+?)'?:\n.* = (\S+)", seen.explained)
        said = re.search(r"cosine\n'(.+?)' +(\S+)", seen.described)
        assert told is not None
        assert said is not None
        name, cosine = lines[first][1:18].strip(), lines[first][19:27].strip()
        assert told[1].strip() == name == said[1].strip(), seen.at
        assert float(told[2]) == pytest.approx(float(cosine), abs=2e-3) == pytest.approx(float(said[2]), abs=1e-3)


def test_heads_and_cells(result: Result) -> None:
    for stage in STAGES:
        for cursor in ("", "@2", "[5,3]", "[2,4]"):
            at = f"L1H2{cursor}" if cursor.startswith("@") and stage == "softmax" else f"L1H2:{stage}{cursor}"
            seen = Seen(result, at)
            query, key = seen.find(r"^ Q(\d+) .*? → K(\d+) ", seen.stage)
            assert seen.find(r"^Row of query (\d+)", seen.described) == (query,), at
            assert seen.find(r"^> +(\d+)", seen.described) == (key,), at
            if stage in ("qk", "softmax", "values"):
                assert all(seen_name(result, int(i)) in seen.explained for i in (query, key)), at
            else:
                (told,) = seen.find(r"q·k = (\S+)" if stage == "scaled" or key <= query else r"score (−∞)", seen.explained)
                want = float(grid(result, 1, 2, "qk")[int(query), int(key)])
                assert told == "−∞" or shows(told, want), at
    for at in ("L1.attn", "L1.attn[2]@1"):
        seen = Seen(result, at)
        head = seen.find(r"^L1H(\d): one head", seen.explained)
        assert seen.find(r"^> +L1H(\d)", seen.described) == head
    for measure in FACES["heads"]:
        for least in LEASTS if measure not in ("order", "entropy") else (0,):
            at = f"heads:{measure}" + (f".{least}" if least else "") + "[1.1]"
            seen = Seen(result, at)
            assert "L1H1" in seen.explained.split("\n")[0], at
            rows = re.findall(r"^> +(L\dH\d)", seen.described, re.MULTILINE)
            assert rows == ["L1H1"] * ("L1H1" in seen.described.partition("\n")[2] and bool(rows)), at
            assert re.search(r"^ ?L1H1", seen.stage, re.MULTILINE), at


@pytest.mark.parametrize("page", ["L1.qkv", "L1.qkv:matrix", "L1.proj", "L1.proj:matrix", "L1.ln1", "L1.ln2", "final", "embed"])
def test_keys_go_on_from_what_is_marked(result: Result, page: str) -> None:
    """With nothing selected, an arrow leads to the neighbour of what stage and `i` show, and a head's key to the neighbouring head."""
    for token in TOKENS:
        state = ExplorerState(location=parse(page + token))
        dims = dims_of(result, state.location)
        seen, width = Seen(result, page + token), (3 if "qkv" in page else 1) * result.config.n_embd
        (told,) = seen.find(r"element (\d+)", seen.stage if page != "embed" else seen.explained)
        here = int(told)
        assert state.move(1, 0, dims).location.element == min(here + 1, width - 1), seen.at
        assert state.move(-1, 0, dims).location.element == max(here - 1, 0), seen.at
        if ":matrix" in page:
            (row,) = seen.find(r"W\[(\d+),\d+\] =", seen.stage)
            below = state.move(0, 1, dims).location
            assert (below.source, below.element) == (min(int(row) + 1, result.config.n_embd - 1), here), seen.at
            assert {state.move(step, 0, dims).location.source for step in (-1, 1)} == {int(row)}, seen.at
        if "qkv" in page or "proj" in page:
            wide = result.config.head_dim
            assert state.step_head(1, dims).location.element == (here // wide + 1) * wide % width, seen.at


def test_a_run_without_the_vectors_marks_none(result: Result) -> None:
    bare = Result(Trace(result.trace.ids, {"logits": (result.trace["logits"],)}, config=result.config), None)
    for at in ("L1.qkv", "L1.proj:matrix", "final", "embed"):
        dims = dims_of(bare, parse(at))
        assert (dims.element, dims.source) == (None, None)
        assert ExplorerState(location=parse(at)).move(1, 0, dims).location.element == 0


def test_a_place_of_a_larger_model_marks_what_the_nearest_does(result: Result) -> None:
    assert dims_of(result, parse("L9.qkv:matrix[999,9999]")).element == 3 * result.config.n_embd - 1


def seen_name(result: Result, token: int) -> str:
    return scene_at(result, "model", SIZE).label(token).strip()


def test_parts_and_tiles(result: Result) -> None:
    for at, part in (("residual", "embed"), ("residual[pos]@2", "pos"), ("residual[L1.attn]@1", "L1.attn")):
        seen = Seen(result, at)
        assert seen.lit(seen.canvas).split()[0] == part
        assert seen.find(r"^Residual stream: (\S+)", seen.explained) == seen.find(r"^> +(\S+)", seen.described) == (part,)
    titles = {
        "resid_pre": "what enters", "ln1": "LayerNorm before attention", "qkv": "query, key, value", "attn": "attention",
        "proj": "what attention adds", "add1": "add attention", "ln2": "LayerNorm before the MLP", "fc": "before", "act": "activation",
        "out": "what the MLP adds", "add2": "add the MLP",
    }  # fmt: skip
    for tile in TILES:
        seen = Seen(result, f"L1[{tile}]")
        assert titles[tile] in seen.explained.split("\n")[0], tile
    assert Seen(result, "L1").explained == Seen(result, "L1[attn]").explained
