"""Explanations: every place has one, its arithmetic holds, its numbers are the trace's, and its line is the one that ran."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from textwrap import dedent
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest

from txexplain.engine import gpt2, ops, sampling
from txexplain.engine.config import GPT2Config
from txexplain.engine.derive import Result
from txexplain.engine.interventions import Edit
from txexplain.engine.model import GPT2
from txexplain.engine.ops import Array
from txexplain.engine.sampling import distribution
from txexplain.engine.trace import Trace, block_names, canonical
from txexplain.explorer.choice import finish, found
from txexplain.explorer.contrast import contrast
from txexplain.explorer.location import FACES, MEASURES, STAGES, TILES, parse
from txexplain.explorer.places import KINDS
from txexplain.explorer.source import Source, source_of
from txexplain.explorer.state import ExplorerState
from txexplain.words.explain import explain, topic_of
from txexplain.words.panes import getter
from txexplain.words.told import Explanation, Line, Look, Made, Plus, Share, Value

IDS = (5, 17, 42, 3, 17, 60, 28)
PLACES = (
    "model", "model[L1]@2", "model[embed]", "model[final]", "model[output]", "embed", "embed[5]@0", "embed:nearest@3",
    *(f"L1[{tile}]@4" for tile in TILES), "L0", "L0[resid_pre]",
    "L1.ln1", "L0.ln1[7]@2", "L1.ln2[23]", "final", "final[3]@1",
    "L1.qkv", "L0.qkv[3]", "L1.qkv[30]@4", "L1.qkv[71]", "L1.qkv:matrix[5,40]", "L1.proj", "L0.proj[9]@3", "L1.proj:matrix[2,9]",
    "L1.attn[2]", "L0.attn@0", "heads", "heads[1.2]@3", *(f"heads:{measure}[1.1]@4" for measure in MEASURES), "heads:previous@0",
    *(f"L1H2:{stage}{cursor}" for stage in STAGES for cursor in ("[5,2]", "[2,5]", "[4,4]")), "L0H1", "L0H1:qk@3",
    "L1H1[6,2]", "L0H0[1,4]", "L0H0[0,0]",
    "L1.mlp", "L0.mlp:pre@2", "L1.mlp:added", "L1.mlp:post[40]", "L1.mlp:pre[3]", "L1.mlp[41]", "L0.mlp[0]@0",
    "output", "output@2", "direct", "direct:order[L1H2]@4", "direct[always]", "lens", "lens:rank[L1]@2",
    "lens:difference[L0]", "lens:bits",
    "effects", "effects:sorted", "effects:edges@4", "effects:rows[L0.mlp]@2",
    *(f"effects:{face}" for face in ("mlps", "z", "q", "k", "v", "pattern")), "effects:patch[L1H0]@4",
    "residual", "residual[pos]@3", "residual[L0.attn]", "residual[L1.mlp]@4", "residual[L1.attn]",
)  # fmt: skip


@pytest.fixture(scope="module")
def result(tiny: GPT2) -> Result:
    trace = tiny.forward(list(IDS))
    assert trace is not None
    return Result(trace, tiny)


@pytest.fixture(scope="module")
def alone(result: Result) -> Result:
    """The same trace without the model that made it."""
    return Result(result.trace, None)


def at(result: Result, place: str, candidate: int = 0, **sampled: Any) -> Explanation:
    return explain(look(result, place, candidate, **sampled))


def marked(source: Source) -> str:
    """The marked lines, as they stand in the file but for their indentation."""
    return dedent("\n".join(text for number, text in source.lines if number in source.marked))


def look(result: Result, place: str, candidate: int = 0, **sampled: Any) -> Look:
    known = distribution(result.trace.last_logits, **sampled) if "logits" in result.trace else None
    state = ExplorerState(location=parse(place), other_ids=(5, 17, 42, 9, 17, 60, 28))
    finish(result, state)
    return Look(parse(place), result, known, candidate, contrast=contrast(state, result), found=found(result, state))


def floats(lines: tuple[Line, ...]) -> list[float]:
    """Every number of some lines, in their order."""
    numbers = [each.value if isinstance(each, Share | Plus) else each for line in lines for each in line.values]
    return [float(each) for each in numbers if isinstance(each, int | float)]


def test_the_places_are_of_every_kind() -> None:
    places = [parse(place) for place in PLACES]
    assert {place.kind for place in places} == set(KINDS)
    assert {place.select or "attn" for place in places if place.kind == "block"} == set(TILES)
    assert {place.stage for place in places if place.kind == "head"} == set(STAGES)
    for kind, faces in FACES.items():
        assert {place.face or faces[0] for place in places if place.kind is kind} == set(faces)


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_explained(result: Result, place: str) -> None:
    told = at(result, place)
    assert told.title
    assert 1 <= len(told.sentences) <= 2
    for sentence in told.sentences:  # each a sentence, and one only
        assert sentence.text.endswith(".")
        assert not re.search(r"[.?!]\s", sentence.text)
        assert len(sentence.text) <= 130
    assert told.formula
    assert told.worked
    assert told.missing == ""
    assert told.shapes
    assert told.sources[0].marked
    for line in (*told.sentences, *told.worked):
        assert line.text.replace("{{", "").count("{}") == len(line.values)


@pytest.mark.parametrize("place", PLACES)
def test_a_trace_alone_explains_what_it_holds(result: Result, alone: Result, place: str) -> None:
    """Without the weights the lines stop where a weight is needed; those before say the same."""
    full, told = at(result, place), at(alone, place)
    assert told.sentences == full.sentences
    assert told.shapes == full.shapes
    assert told.missing in ("", "weights")
    if not told.missing:
        assert told.worked == full.worked
    assert all(line in full.worked for line in told.worked)


@pytest.mark.parametrize("kept", [("blocks.0.attn.pattern",), ("logits",), ("blocks.1.resid_pre", "blocks.1.mlp.post"), ()])
def test_what_was_not_recorded_is_said(result: Result, kept: tuple[str, ...]) -> None:
    trace = Trace(result.trace.ids, {name: (result.trace[name],) for name in kept}, config=result.trace.config)
    for place in PLACES:
        told = at(Result(trace, None), place)
        assert told.missing == "" or told.missing == "weights" or told.missing not in trace, place
        assert told.missing or told.worked, place
        for shape in told.shapes:
            assert shape.recorded == (None if shape.recorded is None else shape.name in trace), (place, shape)


def test_shapes_are_those_of_the_arrays(result: Result) -> None:
    letters = {"T": 7, "H": 3, "dh": 8, "d": 24, "m": result.config.n_inner, "V": 61, "1": 1, "3·d": 72, "context": 16}
    seen = set()
    for place in PLACES:
        for shape in at(result, place).shapes:
            seen.add(shape.name)
            assert shape.sizes == tuple(letters[letter] for letter in shape.letters)
            if shape.recorded is not None:
                assert shape.sizes == result.trace[shape.name].shape
    assert {"blocks.1.attn.pattern", "blocks.0.attn.q", "ln_final.scale", "logits", "wte", "embed", "blocks.1.mlp.pre"} <= seen


# The arithmetic


def exact(value: Value) -> str:
    """A value with every figure that it has, as Python reads it."""
    if isinstance(value, Plus):
        return f"+ ({value.value!r})"
    if isinstance(value, Share):
        return f"({value.value!r})"
    return f"({value!r})" if isinstance(value, int | float) else "'token'"


SIGNS = {"×": "*", "÷": "/", "−": "-", "√(": "sqrt(", "e^(": "exp(", "‖v‖": "", "share": "", "sum": "", "counted": "", "bits": ""}
KNOWN = {"sqrt": math.sqrt, "exp": math.exp, "tanh": math.tanh, "max": max, "abs": abs}


def sides(line: Line) -> list[float]:
    """The sides of a line's equation that are all numbers."""
    found = []
    for side in line.text.format(*map(exact, line.values)).split(" = "):
        text = re.sub(r"\|([^|]*)\|", r"abs(\1)", side.rpartition(": ")[2].replace("it adds a vector of length ", ""))
        for sign, python in SIGNS.items():
            text = text.replace(sign, python)
        if not set(re.findall(r"[A-Za-z_']+", re.sub(r"\de[-+]?\d", "1", text))) - set(KNOWN):
            found.append(float(eval(text, KNOWN)))
    return found


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.5}, {"top_k": 3}, {"top_p": 0.4}])
def test_every_formula_holds(result: Result, settings: dict[str, float]) -> None:
    """Whatever stands on the two sides of an equals sign is the same number."""
    checked: dict[str, int] = {}
    for place in PLACES if not settings else ("output", "model[output]"):
        for candidate in range(5):
            for line in at(result, place, candidate, **settings).worked:
                first, *others = sides(line) or [0.0]
                for other in others:
                    assert other == pytest.approx(first, rel=2e-4, abs=2e-5), (place, line)
                    checked[place] = checked.get(place, 0) + 1
    expected = {place for place in PLACES if not re.search(r":(qk|masked)|\[5,2\]:masked|residual|model$|model\[L1|resid_pre", place)}
    assert not expected - set(checked) or settings, expected - set(checked)
    assert sum(checked.values()) > 5


@dataclass(frozen=True)
class Bent:
    """An intervention of another kind: each number of an activation otherwise than its formula makes it."""

    name: str
    head = rows = None
    first = 0

    def edits(self, config: GPT2Config) -> list[Edit]:
        return [Edit(canonical(self.name), self.changed)]

    def changed(self, array: Array, start: int) -> Array:
        return array * np.float32(0.5) if self.name.endswith("pattern") else array * np.float32(1.5)


CHANGED = ("embed", "blocks.0.resid_pre", *(name for name in block_names(1) if not name.endswith("resid_pre")), "ln_final.normalized")


@pytest.mark.parametrize("name", CHANGED)
def test_no_formula_is_told_that_a_change_by_hand_made_untrue(tiny: GPT2, name: str) -> None:
    """In a changed run too, the two sides of each equals sign are one number; where they aren't, the change is said instead."""
    trace = tiny.forward(list(IDS), interventions=(Bent(name),))
    assert trace.changed(name)
    changed = Result(trace, tiny)
    said = False
    for place in PLACES:
        told = at(changed, place)
        said |= "by hand" in told.missing or any("by hand" in line.text for line in told.worked)
        for line in told.worked:
            first, *others = sides(line) or [0.0]
            for other in others:
                assert other == pytest.approx(first, rel=2e-4, abs=2e-5), (place, line)
    assert said or name == "embed"


def test_the_product_is_the_models(result: Result) -> None:
    trace = result.trace
    q, k = trace["blocks.1.attn.q"][6, 1], trace["blocks.1.attn.k"][2, 1]
    scores = trace["blocks.1.attn.attn_scores"][1, 6].astype(np.float64)
    weight = result.weights().blocks[1]["attn.c_proj.weight"][8:16]
    share = float(trace["blocks.1.attn.pattern"][1, 6, 2])
    got = floats(at(result, "L1H1[6,2]").worked)
    want = [q @ k, *(q @ k, 1 / math.sqrt(8), scores[2]), scores[2], -scores.max(), np.exp(scores - scores.max()).sum(), share]
    want.append(float(np.linalg.norm(share * trace["blocks.1.attn.v"][2, 1] @ weight)))
    np.testing.assert_allclose(got[-len(want) :], want, rtol=1e-4)


def test_the_layer_norm_is_the_models(result: Result) -> None:
    x, y = result.trace["blocks.1.resid_mid"][6], result.trace["blocks.1.ln2.normalized"][6]
    got = floats(at(result, "L1.ln2[23]").worked)
    w = result.weights().blocks[1]
    for want in (x.mean(), x.var(), np.sqrt(x.var() + 1e-5), x[23], w["ln_2.weight"][23], w["ln_2.bias"][23], y[23]):
        assert any(value == pytest.approx(float(want), rel=1e-4, abs=1e-7) for value in got), want
    assert got[-1] == float(y[23])


@pytest.mark.parametrize(("place", "name", "index"), [
    ("L0.qkv[3]", "attn.q", (6, 0, 3)), ("L1.qkv[30]@4", "attn.k", (4, 0, 6)), ("L1.qkv[71]", "attn.v", (6, 2, 7)),
    ("L0.proj[9]@3", "attn_out", (3, 9)), ("L1[fc]@4", "mlp.pre", "most"), ("L1[act]@4", "mlp.post", "most"),
    ("L1[out]@4", "mlp_out", "size"), ("L1.mlp[41]", "mlp.post", (6, 41)), ("L1[add1]@4", "resid_mid", "size"),
    ("L1[add2]@4", "resid_post", "size"),
])  # fmt: skip
def test_the_number_of_the_trace_is_there(result: Result, place: str, name: str, index: tuple[int, ...] | str) -> None:
    tensor = result.trace[f"blocks.{parse(place).block}.{name}"]
    if isinstance(index, str):
        index = (4, int((tensor[4] if index == "most" else np.abs(tensor[4])).argmax()))
    want = float(tensor[index])
    assert want in floats(at(result, place).worked)
    if len(index) == 3:
        assert floats(at(result, place).worked)[:3] == [index[2], index[1], want]


def test_the_candidates_way_is_the_distributions(result: Result) -> None:
    for settings in ({"temperature": 0.5}, {"temperature": 2.0, "top_k": 3}, {"top_p": 0.4}, {"temperature": 0.0}):
        dist = distribution(result.trace.last_logits, **settings)
        for candidate in (0, 2, 7):
            id = int(dist.order[candidate])
            told = at(result, "output", candidate, **settings)
            shares = [value.value for line in told.worked for value in line.values if isinstance(value, Share)]
            assert shares[0] == float(dist.probability[id])
            if not dist.kept[id]:
                assert shares[1] == float(dist.full_probability[id])
            assert float(dist.logits[id]) in floats(told.worked)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_is_that_of_the_atlas(result: Result, measure: str) -> None:
    told = at(result, f"heads:{measure}[1.1]@4")
    assert float(result.measures.of(measure)[1, 1]) == pytest.approx(floats(told.worked)[2])
    row = result.trace["blocks.1.attn.pattern"][1, 4].astype(np.float64)
    # Token 4 is token 1 again: what followed that is token 2.
    want = {"self": row[4], "previous": row[3], "first": row[0], "induction": row[2], "entropy": -(row[:5] @ np.log2(row[:5]))}[measure]
    assert floats(told.worked)[-1] == pytest.approx(float(want))


def test_the_nearest_embedding_is_the_nearest(result: Result) -> None:
    wte = result.weights().weights["wte.weight"].astype(np.float64)
    unit = wte / np.linalg.norm(wte, axis=1, keepdims=True)
    cosines = np.delete(unit @ unit[IDS[3]], IDS[3])
    assert floats(at(result, "embed:nearest@3").worked)[-1] == pytest.approx(float(cosines.max()), rel=1e-5)


def test_explanations_move_with_the_selection(result: Result) -> None:
    """A neighbour's numbers are others: of a token, a head, a block, an element, a neuron."""
    for a, b in (
        ("L1H2[5,2]", "L1H2[5,3]"), ("L1H2[5,2]", "L1H1[5,2]"), ("L1H2[5,2]", "L0H2[5,2]"), ("L1.ln1[3]", "L1.ln1[4]"),
        ("L1.ln1[3]@2", "L1.ln1[3]@3"), ("L1.mlp[3]", "L1.mlp[4]"), ("L1.qkv[9]", "L1.qkv[33]"), ("final[2]", "final[3]"),
        ("embed[2]@1", "embed[2]@2"), ("residual[L0.attn]", "residual[L0.mlp]"), ("L1.proj:matrix[2,9]", "L1.proj:matrix[3,9]"),
    ):  # fmt: skip
        assert at(result, a).worked != at(result, b).worked, (a, b)


# The source


class Watch:
    """Watches functions run: after which line each variable, and each key of a dictionary `a` or `new`, is there or changes."""

    def __init__(self, codes: set[CodeType]) -> None:
        self.codes = codes
        self.appeared: dict[tuple[str, str], set[int]] = {}
        self.changed: dict[tuple[str, str], set[int]] = {}

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code not in self.codes:
            return None
        before, line = self.names(frame), frame.f_lineno

        def each_line(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal before, line
            if event in ("line", "return"):
                now = self.names(frame)
                where = frame.f_code.co_qualname
                for name, value in now.items():
                    if name not in before:
                        self.appeared.setdefault((where, name), set()).add(line)
                    elif isinstance(value, np.ndarray) and not np.array_equal(value, before[name], equal_nan=True):
                        self.changed.setdefault((where, name), set()).add(line)
                before, line = now, frame.f_lineno
            return each_line

        return each_line

    def names(self, frame: FrameType) -> dict[str, Any]:
        found: dict[str, Any] = dict(frame.f_locals)
        for own in ("a", "new"):
            if isinstance(found.get(own), dict):
                found.update(found[own])
        return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in found.items()}


def made_anywhere(result: Result) -> set[Made]:
    """Every function and target that some explanation marks."""
    return {made for place in PLACES for made in topic_of(look(result, place)).made if made[1]}


def code_of(function: Callable[..., Any]) -> CodeType:
    return function.__code__


def test_the_marked_line_is_the_one_that_made_the_tensor(result: Result, tiny: GPT2) -> None:
    made = made_anywhere(result)
    made |= {(gpt2.block, name.removeprefix("blocks.0.")) for name in block_names(0)}
    made |= {(gpt2.gpt2, name) for name in ("embed", "pos_embed", "ln_final.scale", "ln_final.normalized")}
    made |= {(sampling.settle, "ranked"), (ops.softmax, "e")}
    functions = {function for function, _ in made}
    watch = Watch({code_of(function) for function in functions})
    sys.settrace(watch)
    try:
        trace = tiny.forward([9, 8, 7])
        distribution(trace.last_logits) if trace is not None else None
    finally:
        sys.settrace(None)
    proven = set()
    for function, target in made:
        name = target.removeprefix("+")
        seen = (watch.changed if target.startswith("+") else watch.appeared).get((code_of(function).co_qualname, name))
        if seen is None:
            continue  # not a variable: a return, a call, a function that a forward pass doesn't run
        marked = set(source_of(function, target).marked)
        if target.startswith("+"):
            assert marked & seen, (function.__name__, target)
        else:
            assert seen <= marked, (function.__name__, target)
        proven.add((function.__name__, target))
    assert {("block", name.removeprefix("blocks.0.")) for name in block_names(0)} <= proven
    needed = {("gpt2", "x"), ("gpt2", "embed"), ("layer_norm", "scale"), ("linear", "y")}
    needed |= {("attention_scores", "raw"), ("attention_scores", "scaled"), ("settle", "weights"), ("gpt2", "ln_final.normalized")}
    assert needed <= proven, needed - proven


def test_lines_are_those_of_the_file(result: Result) -> None:
    """Each line stands in its file under its number; the marked ones are a whole statement about the target."""
    from pathlib import Path

    import txexplain

    for function, target in made_anywhere(result):
        source = source_of(function, target)
        file = (Path(txexplain.__file__).parent / source.file).read_text(encoding="utf-8").split("\n")
        assert source.file.startswith("engine/")
        for number, text in source.lines:
            assert file[number - 1].strip() == text.strip()
        assert set(source.marked) <= {number for number, _ in source.lines}
        assert target.strip("+()") in marked(source)
    with pytest.raises(LookupError):
        source_of(ops.softmax, "z")


@pytest.mark.parametrize("place", PLACES)
def test_the_line_shown_first_makes_what_the_place_shows(result: Result, place: str) -> None:
    """The first source assigns one of the place's tensors; what is derived from them has its own function."""
    told, (function, target) = at(result, place), topic_of(look(result, place)).made[0]
    names = {shape.name for shape in told.shapes if shape.recorded is not None}
    if function is gpt2.block:
        assert any(name.endswith(f".{target}") for name in names)
    elif function is gpt2.unembed:
        assert "logits" in names
    elif function is gpt2.gpt2:
        assert target in names or (target == "x" and "embed" in names)
    else:
        assert parse(place).kind in ("head", "heads", "direct", "lens", "effects")


@pytest.mark.parametrize(("place", "target"), [
    ("L1.ln1", "ln1.normalized"), ("L1.ln2", "ln2.normalized"), ("L1.qkv[3]", "attn.q"), ("L1.qkv[30]", "attn.k"), ("L1.qkv[50]", "attn.v"),
    ("L1.attn", "attn.pattern"), ("L1.proj", "attn_out"), ("L1[add1]", "resid_mid"), ("L1[fc]", "mlp.pre"), ("L1[act]", "mlp.post"),
    ("L1[out]", "mlp_out"), ("L1[add2]", "resid_post"), ("residual[L0.attn]", "attn_out"), ("residual[L0.mlp]", "mlp_out"),
    ("L1H1:softmax[3,1]", "attn.pattern"), ("L1H1[3,1]", "attn.attn_scores"), ("final", "ln_final.normalized"),
    ("residual", "embed"), ("residual[pos]", "pos_embed"),
])  # fmt: skip
def test_each_kind_has_its_line(result: Result, place: str, target: str) -> None:
    assert re.search(rf'(\["{target}"\]|^{target})[^=]*=', marked(at(result, place).sources[0]))


def test_what_is_returned_is_what_is_shown(result: Result) -> None:
    assert "return normalized @ unembedding.T" in marked(at(result, "output").sources[0])
    assert marked(source_of(getter("_kept_ranked"), "return")).startswith("return ")
    assert "causal_mask" in marked(source_of(ops.attention_scores, "causal_mask()"))
    assert '"""' not in "".join(text for _, text in source_of(ops.softmax).lines)
    assert not source_of(ops.softmax).marked


def test_without_sources_the_rest_is_told(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> Any:
        raise OSError("no source")

    monkeypatch.setattr("txexplain.words.explain.source_of", gone)
    told = at(result, "L1H2[5,2]")
    assert told.sources == ()
    assert told.worked
    assert {field.name for field in fields(told)} >= {"sentences", "formula", "worked", "shapes", "sources"}
